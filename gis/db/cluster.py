"""The embedded PostGIS: a cluster of our own under `settings().home`, made, started and stopped without the system's
services.

`cluster.json` in the home remembers where the data, the sockets and the port are; the passwords lie beside it,
readable by the caller only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg2

from gis.db import tuning
from gis.db.binaries import account, binaries, major_version, reachable, run
from gis.errors import StoreError
from gis.settings import settings

OWNER = "onemap_owner"
DATABASE = "onemap"
SOCKET_PATH_LIMIT = 107
"""Linux's limit of a socket's path, in bytes (unix(7))."""


@dataclass(frozen=True)
class Cluster:
    """Where the embedded cluster is: data and socket folders, TCP port on 127.0.0.1, major version of PostgreSQL."""

    data: str
    sockets: str
    port: int
    version: int


def is_external() -> bool:
    """Whether `ONEMAP_DSN` names a server of someone else's, which we neither start nor stop."""
    return settings().dsn is not None


def secret(name: str) -> str:
    """The password of this name, made on first use, kept in the home for its owner's eyes only (0600)."""
    path = settings().home / "secrets" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(f".{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # the first of two at once wins, and both read its word
        draft.unlink()
    try:
        return path.read_text()
    except PermissionError as error:
        raise StoreError("The database's password is not readable", remedy="Run as the user who installed the platform") from error


ROOMS = ("cluster", "run", "secrets", "sources", "raster", "networks", "roads", "tiles", "metrics")
"""Folders of the home that nobody else looks into."""


def room(name: str) -> Path:
    """A folder of the home, made where it is missing: deliveries, networks and tiles are for the platform's own user alone."""
    folder = settings().home / name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def close_home() -> None:
    """Take from others what they could read in the home; only the way through it stays open to the server's account. Nothing is opened."""
    home = settings().home
    for place in (home, *home.iterdir()):
        about = place.lstat()
        if stat.S_ISLNK(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & stat.S_ISVTX:
            continue
        way = 0o011 if place == home and account() else 0
        if about.st_mode & 0o077 & ~way:
            place.chmod(stat.S_IMODE(about.st_mode) & (0o700 | way))


def described() -> Cluster | None:
    """The cluster of this home, or None where none was made yet."""
    path = settings().home / "cluster.json"
    return Cluster(**json.loads(path.read_text())) if path.exists() else None


def parameters(database: str = DATABASE) -> dict:
    """libpq connection parameters of the cluster's owner: by socket, by TCP where the socket's folder was swept
    away."""
    cluster = described()
    if cluster is None:
        raise StoreError("There is no database yet", remedy="Run `onemap db start`")
    return {
        "host": f"{cluster.sockets},127.0.0.1", "port": f"{cluster.port},{cluster.port}",
        "user": OWNER, "password": secret(OWNER), "dbname": database,
    }  # fmt: skip


# --- start ------------------------------------------------------------------------------------------------------------


def start() -> str:
    """Make the cluster where there is none, start it where it does not run, make sure it understands Chinese.

    Returns what was done: "external", "running", "started" or "created".
    """
    if is_external():
        settings().home.mkdir(parents=True, exist_ok=True, mode=0o700)
        close_home()
        return "external"
    with _alone():
        close_home()
        cluster, done = described(), "started"
        if cluster is None:
            cluster, done = _create(), "created"
        elif _answers(cluster):
            return "running"
        cluster = _with_free_port(cluster)
        _configure(cluster)
        _forget_dead_postmaster(cluster)
        _launch(cluster)
        _ensure_database()
        _require_chinese_trigrams()
    return done


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two starts at once: the second waits for the first."""
    home = settings().home
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "cluster.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _own(path: Path, mode: int = 0o700) -> Path:
    """Make the folder and give it to the server's account."""
    path.mkdir(parents=True, exist_ok=True, mode=mode)
    if as_user := account():
        os.chown(path, as_user.uid, as_user.gid)
    path.chmod(mode)
    return path


def _mark() -> str:
    """A short name for this home, for folders that must lie elsewhere."""
    return hashlib.sha256(str(settings().home.resolve()).encode()).hexdigest()[:12]


def _data_folder() -> Path:
    """`home/cluster`; where the server's account cannot get there (a project in /root), a folder in /var/lib linked
    from there."""
    inside = settings().home / "cluster"
    if reachable(inside):
        return _own(inside)
    outside = Path("/var/lib/onemap") / _mark()
    outside.parent.mkdir(exist_ok=True, mode=0o755)
    _own(outside)
    if not inside.is_symlink():
        inside.symlink_to(outside)
    return outside


def _socket_folder() -> Path:
    """`home/run`; where its path is too long for a socket or out of the server's reach, a short one among the
    temporary files."""
    inside = settings().home / "run"
    room = SOCKET_PATH_LIMIT - len("/.s.PGSQL.65535.lock")
    if len(os.fsencode(inside)) <= room and reachable(inside) and not set("',") & set(str(inside)):
        return _own(inside)
    short = Path(tempfile.gettempdir()) / f"onemap-{_mark()}"
    if len(os.fsencode(short)) > room or not reachable(short):
        short = Path("/tmp") / f"onemap-{_mark()}"
    owner = account().uid if account() else os.geteuid()
    if short.is_symlink() or (short.exists() and short.stat().st_uid not in (owner, os.geteuid())):
        raise StoreError("The folder for the database's socket belongs to someone else", where=str(short), remedy="Remove it")
    return _own(short)


def _create() -> Cluster:
    folder, data, sockets = binaries(), _data_folder(), _socket_folder()
    making = settings().home / "cluster.making"
    if making.exists():  # an earlier attempt was cut off halfway: nothing of it is worth keeping
        shutil.rmtree(data)
        data = _data_folder()
    if (data / "PG_VERSION").exists():
        raise StoreError("The database's description is lost", where=str(data), remedy="Restore cluster.json, or `onemap db reset`")
    making.touch()
    password = sockets / "password"
    _write(password, secret(OWNER) + "\n")
    done = run([folder / "initdb", "-D", data, "-U", OWNER, "--encoding=UTF8", "--locale=C.UTF-8",
                "--auth=scram-sha-256", f"--pwfile={password}", "--data-checksums"])  # fmt: skip
    password.unlink()
    if done.returncode != 0:
        raise StoreError("The database cluster could not be made", remedy=_last_words(done.stderr))
    cluster = _remember(Cluster(str(data), str(sockets), _free_port(), major_version(folder)))
    making.unlink()
    return cluster


def _remember(cluster: Cluster) -> Cluster:
    path = settings().home / "cluster.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(cluster), indent=1))
    draft.replace(path)
    return cluster


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _with_free_port(cluster: Cluster) -> Cluster:
    """The cluster with its remembered port, or with a new one where another program has taken that; its socket folder
    exists."""
    port = cluster.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            port = cluster.port if _postmaster(cluster) else _free_port()
    current = Cluster(str(_data_folder()), str(_socket_folder()), port, cluster.version)
    return current if current == cluster else _remember(current)


def _configure(cluster: Cluster) -> None:
    data = Path(cluster.data)
    _write(data / "onemap.conf", tuning.text(tuning.configuration(port=cluster.port, sockets=Path(cluster.sockets))))
    _write(data / "pg_hba.conf", tuning.HBA)
    main = (data / "postgresql.conf").read_text()
    if "include_if_exists = 'onemap.conf'" not in main:
        _write(data / "postgresql.conf", main + "\ninclude_if_exists = 'onemap.conf'\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    if as_user := account():
        os.chown(path, as_user.uid, as_user.gid)


def _postmaster(cluster: Cluster) -> int | None:
    """The process id of the living server of this cluster, or None. A recycled number of another process does not
    count."""
    try:
        pid = int((Path(cluster.data) / "postmaster.pid").read_text().split("\n")[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        runs_here = Path(f"/proc/{pid}/cwd").resolve() == Path(cluster.data).resolve()
    except (OSError, ValueError):
        return None
    return pid if b"postgres" in command and runs_here else None


def _forget_dead_postmaster(cluster: Cluster) -> None:
    """After a kill -9 or a power cut: remove what a server that no longer lives left behind. PostgreSQL itself would
    be deceived
    by a process that has got the same number since."""
    if _postmaster(cluster) is None:
        (Path(cluster.data) / "postmaster.pid").unlink(missing_ok=True)
        for left in Path(cluster.sockets).glob(".s.PGSQL.*"):
            left.unlink(missing_ok=True)


def _launch(cluster: Cluster, patience_s: float = 60) -> None:
    """Start and wait until it answers.

    The children of a killed server may hold its memory for some seconds, so try again.
    """
    folder, until = binaries(cluster.version), time.monotonic() + patience_s
    log = Path(cluster.data) / "start.log"
    while True:
        run([folder / "pg_ctl", "-D", cluster.data, "-l", log, "-w", "-t", "600", "start"])
        if _answers(cluster):
            return
        if time.monotonic() > until:
            raise StoreError("The database does not start", where=str(log), remedy=_last_words(log.read_text(errors="replace")))
        time.sleep(0.5)


def _answers(cluster: Cluster) -> bool:
    if _postmaster(cluster) is None:
        return False
    try:
        psycopg2.connect(**parameters("postgres"), connect_timeout=5).close()
    except psycopg2.OperationalError:
        return False
    return True


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "PostgreSQL said: " + " / ".join(lines[-3:]) if lines else "PostgreSQL said nothing; see the log in the home folder"


def _ensure_database() -> None:
    with contextlib.closing(psycopg2.connect(**parameters("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if not cursor.fetchone():
                cursor.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'")


def _require_chinese_trigrams() -> None:
    """Under LC_CTYPE=C pg_trgm drops every Chinese character, and any two addresses with the same number are equal to
    it."""
    with contextlib.closing(psycopg2.connect(**parameters())) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        cursor.execute("SELECT cardinality(show_trgm('府前街'))")
        if not cursor.fetchone()[0]:
            raise StoreError(
                "The database's locale does not know Chinese characters, so address search would find nonsense",
                remedy="Install the locale C.UTF-8 (package libc-bin), then `onemap db reset`",
            )
        connection.commit()


# --- stop, status, reset
# ------------------------------------------------------------------------------------------------


def stop() -> str:
    """Stop the server, breaking off what runs. Returns "external", "stopped", or "not running"."""
    if is_external():
        return "external"
    cluster = described()
    if cluster is None or _postmaster(cluster) is None:
        return "not running"
    with _alone():
        done = run([binaries(cluster.version) / "pg_ctl", "-D", cluster.data, "-m", "fast", "-w", "-t", "300", "stop"])
    if done.returncode != 0:
        raise StoreError("The database does not stop", remedy=_last_words(done.stderr))
    return "stopped"


def status() -> dict:
    """What is known without asking the server: state (external, absent, stopped, running), port, folders, version,
    process id."""
    if is_external():
        return {"state": "external"}
    cluster = described()
    if cluster is None:
        return {"state": "absent"}
    pid = _postmaster(cluster)
    state = "running" if pid and _answers(cluster) else "starting" if pid else "stopped"
    return {"state": state, "pid": pid, **asdict(cluster)}


def remove() -> None:
    """Stop the server and delete the cluster with all its data. The passwords and the kept sources stay."""
    if is_external():
        raise StoreError("An external server is not ours to delete", remedy="Drop the database there, or unset ONEMAP_DSN")
    stop()
    home, cluster = settings().home, described()
    with _alone():
        if cluster:
            shutil.rmtree(cluster.data, ignore_errors=True)
            shutil.rmtree(cluster.sockets, ignore_errors=True)
        inside = home / "cluster"
        if inside.is_symlink():
            inside.unlink()
        elif inside.exists():
            shutil.rmtree(inside)
        (home / "cluster.json").unlink(missing_ok=True)
