"""A real QGIS, asked once about everything: the answers of one headless process are what the tests of this folder look at."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from planner_questions import DATABASE_PASSWORD, MARKER, SERVICE_ROLE, question
from psycopg2 import sql
from serving import City, onemap

from gis.db import cluster
from gis.db.connection import owner

DESK = (Path(__file__).with_name("desktop.py"), *Path(__file__).parent.glob("desk_*.py"))
BOOT = """
import json, os, sys, tempfile
asked, home = json.load(sys.stdin), tempfile.mkdtemp(prefix="qgis-")
for name, text in asked.pop("modules").items():
    with open(os.path.join(home, name), "w", encoding="utf-8") as file:
        file.write(text)
os.environ.update(
    QT_QPA_PLATFORM="offscreen", HOME=home, XDG_RUNTIME_DIR=home, QGIS_CUSTOM_CONFIG_PATH=home, QGIS_AUTH_DB_DIR_PATH=home,
    PGSERVICEFILE=os.path.join(home, "pg_service.conf"),
)
sys.path.insert(0, home)
from desktop import answer
answer(asked)
"""
"""What the Python of QGIS runs: it writes the modules that it is sent into a folder of its own, and asks them."""


@functools.cache
def python_of_qgis() -> tuple[str, ...]:
    """The command of a Python that has PyQGIS; none where there is none. ONEMAP_TEST_QGIS names another than the system's."""
    for command in filter(None, (os.environ.get("ONEMAP_TEST_QGIS"), "/usr/bin/python3")):
        words = tuple(shlex.split(command))
        if shutil.which(words[0]) and subprocess.run([*words, "-c", "import qgis.core"], capture_output=True).returncode == 0:
            return words
    return ()


def offered() -> bool:
    """Whether this is a Debian: its packages hold PyQGIS, and `./run test` installs them."""
    release = Path("/etc/os-release")
    return release.is_file() and "ID=debian" in release.read_text(encoding="utf-8").split()


@pytest.fixture(scope="session")
def qgis() -> tuple[str, ...]:
    command = python_of_qgis()
    if not command and offered():
        pytest.fail("PyQGIS is not installed: ./run test does it (apt-get install python3-qgis qgis-providers)")
    if not command:
        pytest.skip("no PyQGIS here: install this system's python3-qgis with its WFS provider, or name another by ONEMAP_TEST_QGIS")
    return command


@pytest.fixture(scope="session")
def rows(served_city: City):
    """Ask the database that is served."""

    def answer(statement: str, *parameters) -> list[tuple]:
        with psycopg2.connect(served_city.env["ONEMAP_DSN"]) as link, link.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall()

    return answer


@pytest.fixture(scope="session")
def database_login(served_city: City) -> Iterator[str]:
    """A login of the database for one desk, as docs/planner-qgis.md has the administrator make it; the service file that leads to it."""
    settings = psycopg2.extensions.parse_dsn(served_city.env["ONEMAP_DSN"])
    name = sql.Identifier(SERVICE_ROLE)
    statements = (
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE onemap_water").format(name, sql.Literal(DATABASE_PASSWORD)),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(settings["dbname"]), name),
    )
    with owner() as link, link.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    port = cluster.parameters()["port"].split(",")[-1]
    yield f"[onemap]\nhost=127.0.0.1\nport={port}\ndbname={settings['dbname']}\n"
    with owner() as link, link.cursor() as cursor:
        cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {}").format(sql.Identifier(settings["dbname"]), name))
        cursor.execute(sql.SQL("DROP ROLE {}").format(name))


@pytest.fixture(scope="session")
def written(served_city: City, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The project files of the water company's officer, as the command writes them."""
    folder = tmp_path_factory.mktemp("projects")
    told = ("--user", "water-officer", "--url", served_city.url)
    onemap("qgis", "--out", str(folder / "api.qgz"), *told, env=served_city.env)
    onemap("qgis", "--out", str(folder / "postgis.qgz"), *told, "--postgis", env=served_city.env)
    return {path.stem: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="session")
def seen(qgis, served_city: City, written: dict[str, bytes], database_login: str, rows) -> dict:
    """What QGIS answered."""
    asked = question(served_city, written, database_login, rows)
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    asked["modules"] = {path.name: path.read_text(encoding="utf-8") for path in DESK}
    done = subprocess.run(
        [*qgis, "-c", BOOT], input=json.dumps(asked), env=environment | {"PYTHONUTF8": "1"}, capture_output=True, text=True, timeout=240
    )
    assert MARKER in done.stdout, done.stderr[-3000:]
    found = json.loads(done.stdout.split(MARKER)[1])
    broken = {name: part["failed"] for name, part in found.items() if isinstance(part, dict) and "failed" in part}
    assert not broken, "\n".join(broken.values())
    return found
