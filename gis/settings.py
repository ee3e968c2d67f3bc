"""The settings, in one place: each is an environment variable `ONEMAP_…`; nothing else reads the environment."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gis.errors import InputError

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

    jobs_kept_days: float = Field(30, ge=0)
    """Days after which a job that ended is forgotten with its answer; 0: never."""

    host: str = "127.0.0.1"
    port: int = 5080
    workers: int = 2
    threads: int = 8

    log_format: Literal["plain", "json"] = "plain"
    """How the server writes its log on stderr: lines to read, or one JSON document per line."""

    log_level: Literal["info", "warning", "error"] = "info"
    """From where on it writes: at `info` one line per request."""

    network: Literal["intranet", "government", "internet"] = "intranet"
    """The network on which is served (内网, 政务外网, 互联网): on the second no layer labelled 敏感 exists, on the third 公开 ones only,
    for no role."""

    public_url: str | None = None
    """The URL that clients see (behind a proxy); without it http://host:port."""

    trusted_proxies: str = ""
    """Addresses or networks (comma-separated) of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    cors_origins: str = ""
    """Origins (comma-separated, such as https://desk.example.org) whose pages may ask; `*`: what anybody may see, without credentials."""

    webhook_hosts: str = ""
    """Hosts (comma-separated, `host` or `host:port`) that the platform may tell of changes; addresses that are not public are listed
    themselves."""

    password_days: int = 90
    """Days after which a password must be changed; 0: never."""

    key_days: int = 365
    """Days that a key lives where its maker does not say."""

    key_days_longest: int = 1095
    """Days that a key may live at most."""

    session_hours: float = 12
    """Hours that a session lives at most."""

    session_idle_minutes: float = 30
    """Minutes without a request after which a session ends."""

    operator_key: str | None = None
    """The key of the security administrator or auditor at the command line: commands then run with the rights of that role."""

    separate_duties: bool = False
    """Whether `onemap user`, `onemap key` and `onemap audit` ask for the key of the administrator whose duty it is."""

    oidc_issuer: str | None = None
    """The issuer of tokens (the claim `iss`, an address); without it no token is taken."""

    oidc_audience: str | None = None
    """What must stand in the claim `aud`: this platform's name at the issuer."""

    oidc_keys: str | None = None
    """The issuer's public keys (JWKS): a file, or an address on the issuer's own host; without it the issuer's own document says where."""

    oidc_algorithms: str = "RS256,ES256,PS256,EdDSA"
    """The signatures taken, comma-separated."""

    oidc_user_claim: str = "sub"
    """The claim that names the user."""

    oidc_role_claim: str = "roles"
    """The claim that holds his roles or groups; a path with dots such as realm_access.roles."""

    oidc_roles: dict[str, str] = {}
    """Which role each of them means here, as JSON; others mean nothing."""

    oidc_department_claim: str | None = None
    """The claim that holds his department."""

    rate_per_s: float = 200
    """Requests per second of one user, over ten seconds; 0: as many as he likes."""

    rate_per_s_anonymous: float = 50
    """The same for one address without a user."""

    at_once: int = 16
    """Requests of one user (or address) answered at the same time; 0: no limit."""

    heavy_at_once: int = 4
    """Of these, downloads, processes and coverages."""

    file_rows: int = 5_000_000
    """Features that one download may hold; 0: no limit."""

    audit_wait_s: float = 5
    """How long an access may wait for its line in the audit; what cannot be written then is not answered."""

    area_limit_km2: float = 25
    """Area of one sensitive layer that one user may have had before `onemap audit areas` warns."""

    prepared_zoom: int = 13
    """Up to which zoom the worker draws the tiles that take long as soon as a layer has changed; -1: none."""

    @field_validator("home", "layers", "city", "jobs")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.absolute() if path else None

    @property
    def labels_shown(self) -> tuple[str, ...]:
        """The labels of the layers that exist on this network."""
        return {"intranet": ("公开", "内部", "敏感"), "government": ("公开", "内部"), "internet": ("公开",)}[self.network]

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


def served_at() -> str:
    """The address to write down: the public one; where none is set, that at which the platform was last served from here."""
    served = settings().home / SERVED
    base = settings().public_url or (served.read_text().strip() if served.is_file() else f"http://{settings().host}:{settings().port}")
    return base.rstrip("/")


class Overlay:
    """What is said over the environment: by a file of NAME=value lines, and above it by the command line. It may be said anew."""

    def __init__(self, file: Path | None, given: dict[str, str]):
        self.file, self._given = file, given
        self._before: dict[str, str | None] = {}

    def apply(self) -> None:
        """Put it over the environment; what the file said last time and does not say any more is as it was. Raises InputError."""
        said = _lines(self.file) if self.file else {}
        self._restore(os.environ)
        self._before = {name: os.environ.get(name) for name in said}
        os.environ.update(said | self._given)
        settings.cache_clear()

    def below(self) -> dict[str, str]:
        """The environment without what the file said."""
        environment = dict(os.environ)
        self._restore(environment)
        return environment | self._given

    def _restore(self, environment) -> None:
        for name, value in self._before.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value


def _lines(file: Path) -> dict[str, str]:
    """The settings of a file as systemd reads it (EnvironmentFile=): NAME=value, comments, quotes. Raises InputError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError("the file of settings cannot be read", where=str(file)) from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if not bare or bare[0] in "#;":
            continue
        name, equals, value = bare.partition("=")
        if not equals or not name.strip().isidentifier():
            raise InputError("the line is not NAME=value", where=f"{file}, line {number}")
        value = value.strip()
        found[name.strip()] = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
    return found


def library_environment() -> dict[str, str]:
    """The variables that say where programs and libraries are: what a process may know that must not know who enters the database."""
    return {name: os.environ[name] for name in _LIBRARIES if name in os.environ}


_LIBRARIES = ("PATH", "LD_LIBRARY_PATH", "PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "TMPDIR")
