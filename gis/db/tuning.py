"""The server's configuration for the machine it runs on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MB = 1024 * 1024


def machine_memory() -> int:
    """The memory this process may count on, in bytes: the machine's, or the container's limit where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            total = min(total, int(limit.read_text()))
        except (OSError, ValueError):
            continue
    return total


def _clamp(value: float, low: int, high: int) -> int:
    return int(max(low, min(value, high)))


def memory(total: int, cores: int) -> dict[str, str]:
    """Memory and worker settings for so many bytes and cores.

    An eighth for shared buffers, not the usual quarter: the platform's networks and the page cache want theirs on the
    same machine.
    """
    megabytes = total // MB
    return {
        "shared_buffers": f"{_clamp(megabytes / 8, 128, 8192)}MB",
        "effective_cache_size": f"{_clamp(megabytes * 0.6, 256, 262144)}MB",
        "work_mem": f"{_clamp(megabytes / 384, 8, 256)}MB",
        "maintenance_work_mem": f"{_clamp(megabytes / 32, 64, 2048)}MB",
        "max_worker_processes": str(max(8, cores * 2)),
        "max_parallel_workers": str(max(2, cores)),
        "max_parallel_maintenance_workers": str(_clamp(cores / 2, 1, 4)),
        "max_parallel_workers_per_gather": str(_clamp(cores / 2, 1, 4)),
    }


def configuration(*, port: int, sockets: Path) -> dict[str, str]:
    """All settings that differ from PostgreSQL's own. fsync and full_page_writes stay on."""
    values = memory(machine_memory(), os.cpu_count() or 1) | {
        "port": str(port),
        "listen_addresses": "'127.0.0.1'",
        "unix_socket_directories": f"'{sockets}'",
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "password_encryption": "'scram-sha-256'",
        "timezone": "'UTC'",
        "datestyle": "'ISO, YMD'",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
        "wal_compression": "on",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "jit": "off",
        "idle_in_transaction_session_timeout": "10min",
        "logging_collector": "on",
        "log_directory": "'log'",
        "log_filename": "'postgresql-%a.log'",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_min_duration_statement": "2s",
        "log_line_prefix": "'%m [%p] %u@%d '",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "cluster_name": "'onemap'",
    }
    shared = Path("/dev/shm")
    if not shared.is_dir() or shutil.disk_usage(shared).total < 512 * MB:
        # Containers give 64 MB there, which one parallel sort exceeds.
        values["dynamic_shared_memory_type"] = "mmap"
    return values


def text(values: dict[str, str]) -> str:
    """The settings as a file that PostgreSQL reads."""
    return "# Written by `onemap db start` each time; own settings go into postgresql.auto.conf (ALTER SYSTEM).\n" + "".join(
        f"{name} = {value}\n" for name, value in values.items()
    )


HBA = """\
# Written by `onemap db start`. Nobody enters without a password; nothing listens beyond this machine.
local  all          all                scram-sha-256
host   all          all  127.0.0.1/32  scram-sha-256
local  replication  all                scram-sha-256
"""
