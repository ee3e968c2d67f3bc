"""The sample city for tests that look at it from outside: made and loaded once per run, copied for whoever changes it, served by
gunicorn on a free port."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import prepared
import psycopg2
import pytest
from psycopg2 import sql

from gis.db import cluster, connection
from gis.settings import ROOT

VIEWER = ROOT / "gis" / "viewer"
PASSWORD = "Qinglan-2026-water"
ADDRESSES, SEED = 2000, 1
ROLES = ("water", "address", "admin")


@dataclass(frozen=True)
class City:
    """A served city: its address, a key per role, and the environment of commands that work on it."""

    url: str
    keys: dict[str, str]
    env: dict[str, str]

    def get(self, path: str, role: str | None = None) -> dict:
        return self._read(urllib.request.Request(self.url + path), role)

    def execute(self, process: str, inputs: dict, role: str | None = None) -> dict:
        body = json.dumps({"inputs": inputs}).encode()
        request = urllib.request.Request(f"{self.url}/processes/{process}/execution", body, {"Content-Type": "application/json"})
        return self._read(request, role)

    def _read(self, request: urllib.request.Request, role: str | None) -> dict:
        request.add_header("Accept", "application/json")
        if role:
            request.add_header("X-API-Key", self.keys[role])
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@dataclass(frozen=True)
class LoadedCity:
    """A loaded city that nobody is connected to: its database, its home, and the folder of its source files."""

    database: str
    home: Path
    files: Path


def onemap(*arguments: str, env: dict[str, str], stdin: str | None = None) -> str:
    """What the command prints; a command that fails fails the test with what it said."""
    done = subprocess.run([prepared.command(), *arguments], env=env, cwd=ROOT, capture_output=True, text=True, input=stdin, timeout=300)
    assert done.returncode == 0, f"onemap {' '.join(arguments)}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def built_viewer() -> Path:
    """The folder of the built viewer; built here where sources are newer, by one of the processes that test."""
    with (VIEWER / "package.json").open() as one:
        fcntl.flock(one, fcntl.LOCK_EX)
        return _built_viewer()


def _built_viewer() -> Path:
    built = VIEWER / "dist" / "index.html"
    sources = [VIEWER / "index.html", VIEWER / "vite.config.ts", *(VIEWER / "src").rglob("*"), *(VIEWER / "public").rglob("*")]
    if not built.exists() or built.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        if shutil.which("npm") is None:
            pytest.skip("the viewer is not built and there is no npm to build it: ./run setup")
        if not (VIEWER / "node_modules").is_dir():
            subprocess.run(["npm", "ci"], cwd=VIEWER, check=True, capture_output=True, timeout=300)
        subprocess.run(["npm", "run", "build"], cwd=VIEWER, check=True, capture_output=True, timeout=120)
    return built.parent


@pytest.fixture(scope="session")
def loaded_city(pg: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedCity]:
    """A small city, loaded from its source files by the commands that a bureau uses."""
    home, files = tmp_path_factory.mktemp("loaded"), tmp_path_factory.mktemp("city")
    with database("loaded_city", template) as name:
        env = environment(name, home)
        onemap("city", "make", "--addresses", str(ADDRESSES), "--seed", str(SEED), "--out", str(files), env=env)
        onemap("city", "load", str(files), env=env)
        yield LoadedCity(name, home, files)


@pytest.fixture(scope="session")
def served_city(loaded_city: LoadedCity, built_viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """The city served as a bureau would serve it."""
    with city("served_city", loaded_city, tmp_path_factory.mktemp("served") / "home") as one:
        yield one


@contextmanager
def city(name: str, loaded: LoadedCity, home: Path, *, jobs: bool = False) -> Iterator[City]:
    """A copy of the loaded city, in a database of this name and a home of its own, served."""
    shutil.copytree(loaded.home, home)
    with database(name, loaded.database):
        env = environment(name, home)
        keys = {role: _key(f"{role}-officer", role, env) for role in ROLES}
        with _served(env, jobs) as url:
            yield City(url, keys, env)


@contextmanager
def database(name: str, source: str) -> Iterator[str]:
    """A copy of a database that nobody is connected to; it is dropped afterwards, whoever is connected."""
    maintenance = cluster.parameters("postgres")
    _run(maintenance, sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(*map(sql.Identifier, (name, source))))
    try:
        yield name
    finally:
        _run(maintenance, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def environment(name: str, home: Path) -> dict[str, str]:
    """The environment of commands that work on this database with this home."""
    return os.environ | settings_for(name, home) | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}


def settings_for(name: str, home: Path) -> dict[str, str]:
    """The settings that lead to this database and this home; the server's login may connect from now on, nobody else.

    Tests ask faster than callers may: tests/access says what limits do.
    """
    owner = cluster.parameters(name)
    serving = owner | {"user": connection.LOGIN, "password": cluster.secret(connection.LOGIN)}
    rights = "GRANT CONNECT ON DATABASE {0} TO {1}; REVOKE ALL ON DATABASE {0} FROM PUBLIC"
    _run(owner, sql.SQL(rights).format(*map(sql.Identifier, (name, connection.LOGIN))))
    dsn = psycopg2.extensions.make_dsn
    return {"ONEMAP_HOME": str(home), "ONEMAP_DSN": dsn(**owner), "ONEMAP_DSN_SERVING": dsn(**serving), "ONEMAP_RATE_PER_S": "0"}


def _run(parameters: dict, statement: sql.Composable) -> None:
    link = psycopg2.connect(**parameters)
    try:
        link.autocommit = True
        with link.cursor() as cursor:
            cursor.execute(statement)
    finally:
        link.close()


def _key(name: str, role: str, env: dict[str, str]) -> str:
    """A key of a new user with this role; his password is PASSWORD."""
    onemap("user", "add", name, "--role", role, "--password-stdin", env=env, stdin=PASSWORD + "\n")
    return json.loads(onemap("key", "new", name, "--json", env=env))["key"]


@contextmanager
def _served(env: dict[str, str], jobs: bool) -> Iterator[str]:
    """The address of a server that runs as long as the context."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = Path(env["ONEMAP_HOME"]) / "serve.log"
    command = [sys.executable, "-m", "gis.cli.main", "serve", "--port", str(port), "--workers", "1", "--jobs" if jobs else "--no-jobs"]
    with log.open("w") as out:
        server = subprocess.Popen(command, env=env, cwd=ROOT, stdout=out, stderr=out)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url + "/health", server, log)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert server.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"no answer within {seconds} s: {log.read_text()[-2000:]}")
