"""The sample city served as a bureau would serve it, and a real browser that looks at it."""

from __future__ import annotations

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
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql
from visiting import PASSWORD, City, Visit, onemap

from gis.db import cluster, connection
from gis.settings import ROOT

VIEWER = ROOT / "gis" / "viewer"
DATABASE = "viewer_city"
ADDRESSES = 2000
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""MapLibre needs WebGL; SwiftShader is WebGL without a graphics card. The others keep the browser itself from calling out."""


@pytest.fixture(scope="session")
def built_viewer() -> Path:
    """The folder of the built viewer; built here where sources are newer."""
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
def served_city(pg: Path, template: str, built_viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A small city, loaded from its source files by the commands that a bureau uses, served by gunicorn on a free port."""
    maintenance = cluster.parameters("postgres")
    _run(maintenance, sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(*map(sql.Identifier, (DATABASE, template))))
    env = _environment(tmp_path_factory.mktemp("served"))
    try:
        files = tmp_path_factory.mktemp("city")
        onemap("city", "make", "--addresses", str(ADDRESSES), "--seed", "7", "--out", str(files), env=env)
        onemap("city", "load", str(files), env=env)
        keys = {role: _key(f"{role}-officer", role, env) for role in ("water", "address", "admin")}
        with _served(env) as url:
            yield City(url, keys, env)
    finally:
        _run(maintenance, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))


def _environment(home: Path) -> dict[str, str]:
    owner = cluster.parameters(DATABASE)
    serving = owner | {"user": connection.LOGIN, "password": cluster.secret(connection.LOGIN)}
    with psycopg2.connect(**owner) as link, link.cursor() as cursor:
        cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(*map(sql.Identifier, (DATABASE, connection.LOGIN))))
    link.close()
    dsn = psycopg2.extensions.make_dsn
    settings = {"ONEMAP_HOME": str(home), "ONEMAP_DSN": dsn(**owner), "ONEMAP_DSN_SERVING": dsn(**serving)}
    return os.environ | settings | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}


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
def _served(env: dict[str, str]) -> Iterator[str]:
    """The address of a server that runs as long as the context."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = Path(env["ONEMAP_HOME"]) / "serve.log"
    command = [sys.executable, "-m", "gis.cli.main", "serve", "--port", str(port), "--workers", "1", "--no-jobs"]
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


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """The system's Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need the package playwright: ./run setup")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, served_city: City) -> Iterator:
    """Makes visits: `visit(width=390, height=844)`; all tabs are closed after the test."""
    made: list[Visit] = []

    def start(**more) -> Visit:
        made.append(Visit(browser, served_city, **more))
        return made[-1]

    yield start
    for one in made:
        one.context.close()
