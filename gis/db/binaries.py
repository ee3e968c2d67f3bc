"""Where PostgreSQL's own programs are, and as whom they run: never as root, which PostgreSQL refuses for good
reason."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gis.errors import StoreError

MIN_VERSION = 15
"""`security_invoker` views, on which the access rules rest, came with PostgreSQL 15."""

ACCOUNTS = ("onemap", "postgres")
"""System accounts that may run the server when the caller is root, best first; the first is made where none exists."""


@dataclass(frozen=True)
class Account:
    """A system account: its name and numbers."""

    name: str
    uid: int
    gid: int


def _folders() -> list[Path]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: _number(p.parent.name), reverse=True)
    found += sorted(Path("/usr").glob("pgsql-*/bin"), key=lambda p: _number(p.parent.name), reverse=True)
    for tool in ("initdb", "pg_config"):
        if path := shutil.which(tool):
            found.append(Path(path).resolve().parent)
    return found


def _number(text: str) -> int:
    digits = re.search(r"\d+", text)
    return int(digits.group()) if digits else 0


def major_version(folder: Path) -> int:
    """The major version of the server in this folder of programs."""
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return _number(answer.split("(PostgreSQL)")[-1])


@lru_cache
def binaries(version: int | None = None) -> Path:
    """The folder of initdb, pg_ctl, postgres, pg_dump; of this major version where one is given (a cluster stays with
    its own).

    Raises StoreError where there is none that is new enough.
    """
    for folder in _folders():
        if all((folder / tool).exists() for tool in ("initdb", "pg_ctl", "postgres")):
            found = major_version(folder)
            if found == version or (version is None and found >= MIN_VERSION):
                return folder
    wanted = f"PostgreSQL {version}" if version else f"PostgreSQL {MIN_VERSION} or newer"
    raise StoreError(
        f"{wanted} is not installed",
        remedy="Run `./run setup` (or install the packages postgresql and postgresql-postgis)",
    )


@lru_cache
def account() -> Account | None:
    """The account that runs the server; None means: the caller's own, who is not root."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    made = subprocess.run(
        ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNTS[0]],
        capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode != 0:
        raise StoreError("No account to run PostgreSQL as", remedy="Create a system user `onemap`, or run as a normal user")
    entry = pwd.getpwnam(ACCOUNTS[0])
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def run(command: Sequence[str | Path], *, env: dict[str, str] | None = None, **options) -> subprocess.CompletedProcess:
    """Run a program of the server as its account, with an English UTF-8 locale; the answer carries stdout and stderr
    as text."""
    as_user = account()
    if as_user:
        options |= {"user": as_user.uid, "group": as_user.gid, "extra_groups": []}
    clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"} | (env or {})
    options = {"capture_output": True, "text": True, "cwd": "/"} | options
    return subprocess.run([str(part) for part in command], env=clean, **options)


def reachable(path: Path) -> bool:
    """Whether the server's account can pass through all the folders above this path."""
    as_user = account()
    if as_user is None:
        return True
    for folder in path.absolute().parents:
        try:
            state = folder.stat()
        except FileNotFoundError:
            continue
        shift = 6 if state.st_uid == as_user.uid else 3 if state.st_gid == as_user.gid else 0
        if not (state.st_mode >> shift) & 0o1:
            return False
    return True
