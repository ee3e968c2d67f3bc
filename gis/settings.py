"""The settings, in one place: each is an environment variable `ONEMAP_…`; nothing else reads the environment."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Where things are and how large they may get. Paths are absolute; seconds, bytes and counts as named."""

    model_config = SettingsConfigDict(env_prefix="ONEMAP_", env_ignore_empty=True)

    home: Path = ROOT / ".onemap"
    """The embedded cluster, kept sources, built networks, logs: everything that is not in git."""

    dsn: str | None = None
    """An existing PostgreSQL server (libpq DSN of the owner); without it the embedded cluster is used."""

    dsn_serving: str | None = None
    """The DSN of the serving login role on that server, which owns nothing; without it it is derived from `dsn`."""

    layers: Path = ROOT / "layers"
    """The folder of layer files."""

    city: Path | None = None
    """The city file; without it `city.yaml` in the folder of layer files."""

    jobs: Path | None = None
    """The file of scheduled loads; without it `jobs.yaml` in the folder of layer files, if it is there."""

    pool_size: int = 8
    """Connections to the database per process."""

    statement_timeout_s: float = 30.0
    """How long a statement of a reader may run."""

    sources_max_bytes: int = 2 << 30
    """Delivered files larger than this are loaded but not kept."""

    read_memory_bytes: int = 3 << 30
    """Memory that the reading of one delivered file may take."""

    read_stall_s: float = 300.0
    """How long a file's reader may be silent before it is stopped."""

    read_cpu_s: int = 7200
    """Seconds of computing that the reading of one file may take."""

    read_unpacked_bytes: int = 16 << 30
    """Bytes that the content of one archive may unpack to."""

    jobs_poll_s: float = 1.0
    """How often the worker looks for a job when nothing wakes it."""

    host: str = "127.0.0.1"
    port: int = 5080
    workers: int = 2
    threads: int = 8

    public_url: str | None = None
    """The URL that clients see (behind a proxy); without it http://host:port."""

    @field_validator("home", "layers", "city", "jobs")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.absolute() if path else None

    @property
    def city_file(self) -> Path:
        return self.city or self.layers / "city.yaml"

    @property
    def jobs_file(self) -> Path:
        return self.jobs or self.layers / "jobs.yaml"


SERVED = "served-at"
"""The file under `home` that holds the address at which the platform was last served from here."""


@lru_cache
def settings() -> Settings:
    """The settings of this process, read once. Tests that change the environment call `settings.cache_clear()`."""
    return Settings()


def library_environment() -> dict[str, str]:
    """The variables that say where programs and libraries are: what a process may know that must not know who enters the database."""
    return {name: os.environ[name] for name in _LIBRARIES if name in os.environ}


_LIBRARIES = ("PATH", "LD_LIBRARY_PATH", "PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "TMPDIR")
