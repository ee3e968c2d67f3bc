"""Where the tests keep the databases that they throw away."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

from gis.db.tuning import machine_memory

CLUSTER = 800_000_000
"""What the clusters of one process take at most, in bytes; 300 MB were seen."""


def new_home(prefix: str) -> Path:
    """An empty folder for a cluster: in memory where the clusters of all processes that test have room, else among the temporary files.

    A database is copied for every other test; its 1,300 files are copied in memory in a sixth of the time.
    """
    memory, processes = Path("/dev/shm"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    is_usable = memory.is_dir() and os.access(memory, os.W_OK | os.X_OK)
    is_roomy = is_usable and shutil.disk_usage(memory).free >= processes * CLUSTER and machine_memory() >= 2 * processes * CLUSTER
    if is_usable:
        _clear(memory, prefix)
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=memory if is_roomy else None))
    home.chmod(0o755)  # the server's account passes through
    (home / _OWNER).write_text(str(os.getpid()))
    return home


_OWNER = "owner"
"""The file with the number of the process that tests there."""


def _clear(memory: Path, prefix: str) -> None:
    """Runs that were killed could not clear up: what they left lies in memory until somebody does."""
    for home in memory.glob(f"{prefix}*"):
        with contextlib.suppress(OSError, ValueError):
            if Path("/proc", (home / _OWNER).read_text()).exists():
                continue
            with contextlib.suppress(OSError, ValueError, IndexError):
                os.kill(int((home / "cluster" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            shutil.rmtree(home, ignore_errors=True)
