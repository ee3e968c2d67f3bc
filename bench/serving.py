"""What the benchmarks of serving share: one table of addresses, and the servers beside each other (the callers: bench/callers.py).

Every server gets the same rows, the same database, two processes, and is asked by the same callers one after the other. Peers live in
virtual environments of their own under the home; one that cannot be installed is left out with its reason.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql

from gis.catalog import read
from gis.db import cluster, connection, migrations, plan
from gis.settings import ROOT, settings

DATABASE = "bench_serving"
WORKERS = 2
_ROWS = """
INSERT INTO core.address
       (address_id, full_text, county, town, community, road, number, name, status, stage, level, batch, recorded_from, geom)
SELECT 'A' || lpad(i::text, 9, '0'), '青澜县城关街道' || '第' || i %% 500 || '路' || i / 500 || '号', '青澜县', '城关街道',
       '第' || i %% 80 || '社区', '第' || i %% 500 || '路', (i / 500)::text, '楼栋' || i, 'official', 'current', 'gate', 1, now(),
       ST_SetSRID(ST_Point(116.9 + 0.2 * ((i * 0.61803398875) %% 1), 31.9 + 0.2 * ((i * 0.75487766625) %% 1)), 4490)
FROM generate_series(1, %s) AS i
"""
_PUBLISHED = """
INSERT INTO meta.batch (status, recorded_at) VALUES ('published', now());
INSERT INTO meta.batch_layer (batch, layer, rows_read, rows_loaded, inserted) SELECT max(id), 'address', 1, 1, 1 FROM meta.batch;
"""
_COPY = """
CREATE TABLE public.address84 AS SELECT {columns}, ST_SetSRID(geom, 4326)::geometry(Point, 4326) AS geom FROM core.address;
ALTER TABLE public.address84 ADD PRIMARY KEY (address_id);
CREATE INDEX ON public.address84 USING gist (geom);
CREATE INDEX ON public.address84 (road);
"""


@dataclass(frozen=True)
class Server:
    """One of the servers beside each other: its name and address (host:port, or the path of a FastCGI socket), None and the reason where
    it does not run."""

    name: str
    url: str | None
    why_not: str = ""
    pid: int = 0


@contextlib.contextmanager
def table(size: int) -> Iterator[str]:
    """A database with `size` addresses, in `core.address` and as a plain copy in EPSG:4326 for the peers; its DSN. It is dropped."""
    cluster.start()
    _administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)", "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'")
    owner = cluster.parameters(DATABASE)
    serving = owner | {"user": connection.LOGIN, "password": cluster.secret(connection.LOGIN)}
    dsn = psycopg2.extensions.make_dsn(**owner)
    os.environ["ONEMAP_DSN"] = dsn
    settings.cache_clear()
    try:
        migrations.migrate()  # gives the serving login the password of this home
        os.environ["ONEMAP_DSN_SERVING"] = psycopg2.extensions.make_dsn(**serving)
        settings.cache_clear()
        plan.apply(read.catalog())
        with connection.owner() as link, link.cursor() as cursor:
            cursor.execute(_ROWS, (size,))
            cursor.execute(_PUBLISHED + _COPY.format(columns=", ".join(read.catalog().layer("address").columns)))
        with connection.owner(autocommit=True) as link, link.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE core.address")
            cursor.execute("VACUUM ANALYZE public.address84")
        yield dsn
    finally:
        for name in ("ONEMAP_DSN", "ONEMAP_DSN_SERVING"):
            os.environ.pop(name, None)
        settings.cache_clear()
        _administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)")


def _administrate(*statements: str) -> None:
    link = psycopg2.connect(**cluster.parameters("postgres"))
    try:
        link.autocommit = True
        with link.cursor() as cursor:
            for statement in statements:
                cursor.execute(sql.SQL(statement).format(sql.Identifier(DATABASE)))
    finally:
        link.close()


# --- the servers ------------------------------------------------------------------------------------------------------


def environment(name: str, *packages: str) -> tuple[Path | None, str]:
    """The `bin` folder of a peer's own virtual environment, made on first use; None and the reason where that fails."""
    folder = settings().home / "bench" / name
    if not (folder / "installed").exists():
        log = settings().home / "bench" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as out:
            for command in ([sys.executable, "-m", "venv", str(folder)], [str(folder / "bin" / "pip"), "install", *packages]):
                if subprocess.run(command, stdout=out, stderr=out, timeout=600).returncode:
                    return None, f"{packages[0]} cannot be installed"
        (folder / "installed").touch()
    return folder / "bin", ""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def running(name: str, command: list[str], ready: str, env: dict | None = None, port: int | None = None) -> Iterator[Server]:
    """A server as long as the context; `{port}` in the command is replaced by a free port. Its output goes into a log in the home."""
    port = port or _free_port()
    log = settings().home / "bench" / f"{name}.out"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        made = [part.replace("{port}", str(port)) for part in command]
        process = subprocess.Popen(made, cwd=ROOT, env=os.environ | (env or {}), stdout=out, stderr=out)
    try:
        yield _ready(name, port, ready, process)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        if process.poll() is None:
            process.kill()


def _ready(name: str, port: int, path: str, process: subprocess.Popen, seconds: float = 60) -> Server:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            link.request("GET", path, headers={"Accept": "*/*"})
            if link.getresponse().status == 200:
                return Server(name, f"127.0.0.1:{port}", pid=process.pid)
        time.sleep(0.3)
    return Server(name, None, "it does not start")


def ours() -> contextlib.AbstractContextManager[Server]:
    """One Map under gunicorn, as `onemap serve` starts it."""
    command = [sys.executable, "-m", "gis.cli.main", "serve", "--port", "{port}", "--workers", str(WORKERS), "--no-jobs"]
    # the limits of one caller are another question, and all callers here are one
    unlimited = {"ONEMAP_RATE_PER_S": "0", "ONEMAP_RATE_PER_S_ANONYMOUS": "0", "ONEMAP_AT_ONCE": "0"}
    return running("ours", command, "/health", {"PYTHONPATH": str(ROOT)} | unlimited)


@contextlib.contextmanager
def bare(dsn: str, layer: str = "address", table: str = "address84", ready: str = "/items?limit=1") -> Iterator[Server]:
    """The least web app (bench/least_web_app.py): what HTTP and PostgreSQL allow at all. `table`: the copy of the layer."""
    folder, why = environment("least", "starlette", "asyncpg", "uvicorn[standard]")
    if folder is None:
        yield Server("least_web_app", None, why)
        return
    command = [str(folder / "uvicorn"), "bench.least_web_app:app", "--port", "{port}", "--workers", str(WORKERS), "--no-access-log"]
    columns = ",".join(read.catalog().layer(layer).columns)
    env = {"BENCH_DSN": uri(dsn), "BENCH_COLUMNS": columns, "BENCH_TABLE": table, "PYTHONPATH": str(ROOT)}
    with running("least_web_app", command, ready, env) as server:
        yield server


@contextlib.contextmanager
def stock_pygeoapi(dsn: str) -> Iterator[Server]:
    """pygeoapi as it comes, of the version that we build on, over the copy in EPSG:4326."""
    from importlib.metadata import version

    folder, why = environment("pygeoapi", f"pygeoapi=={version('pygeoapi')}", "sqlalchemy", "geoalchemy2", "psycopg2-binary", "gunicorn")
    if folder is None:
        yield Server("pygeoapi", None, why)
        return
    port = _free_port()
    home = settings().home / "bench"
    config, openapi = home / "pygeoapi.json", home / "pygeoapi-openapi.json"
    config.write_text(json.dumps(_stock_configuration(dsn, port)), encoding="utf-8")
    openapi.write_text('{"openapi": "3.0.2", "info": {"title": "", "version": "1"}, "paths": {}}', encoding="utf-8")
    env = {"PYGEOAPI_CONFIG": str(config), "PYGEOAPI_OPENAPI": str(openapi)}
    server = ["pygeoapi.flask_app:APP", "--bind", "127.0.0.1:{port}", "--workers", str(WORKERS), "--threads", "8", "--timeout", "300"]
    with running("pygeoapi", [str(folder / "gunicorn"), *server], "/collections/address/items?limit=1&f=json", env, port) as one:
        yield one


def _stock_configuration(dsn: str, port: int) -> dict:
    data = address_of(dsn) | {"search_path": ["public"]}
    table_of = {"data": data, "id_field": "address_id", "table": "address84", "geom_field": "geom"}
    tiles = {"options": {"zoom": {"min": 0, "max": 20}}, "format": {"name": "pbf", "mimetype": "application/vnd.mapbox-vector-tile"}}
    features = {"type": "feature", "name": "PostgreSQL", **table_of}
    vector_tiles = {"type": "tile", "name": "MVT-postgresql", **table_of, **tiles}
    some = {"title": "b", "description": "b", "keywords": ["b"]}
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port}, "url": f"http://127.0.0.1:{port}", "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8", "gzip": False, "languages": ["en-US"], "pretty_print": False, "admin": False,
            "limits": {"default_items": 10, "max_items": 10000}, "map": {"url": "x", "attribution": "x"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": some | {"keywords_type": "theme", "terms_of_service": "x", "url": "http://x"},
            "license": {"name": "x", "url": "http://x"}, "provider": {"name": "x", "url": "http://x"}, "contact": {"name": "x"},
        },
        "resources": {
            "address": some | {
                "type": "collection", "links": [], "extents": {"spatial": {"bbox": [116.9, 31.9, 117.1, 32.1]}},
                "providers": [features, vector_tiles],
            }
        },
    }  # fmt: skip


@contextlib.contextmanager
def tipg(dsn: str) -> Iterator[Server]:
    """tipg (FastAPI over the same copy), where it installs."""
    folder, why = environment("tipg", "tipg", "uvicorn[standard]")
    if folder is None:
        yield Server("tipg", None, why)
        return
    command = [str(folder / "uvicorn"), "tipg.main:app", "--port", "{port}", "--workers", str(WORKERS), "--no-access-log"]
    env = {"DATABASE_URL": uri(dsn), "TIPG_DB_SCHEMAS": '["public"]'}
    with running("tipg", command, "/collections/public.address84/items?limit=1&f=geojson", env) as server:
        yield server


def address_of(dsn: str) -> dict:
    """Where the database is, for drivers that know one host and one port: the last of both."""
    parts = psycopg2.extensions.parse_dsn(dsn)
    last = {name: parts.get(name, otherwise).rsplit(",", 1)[-1] for name, otherwise in (("host", "127.0.0.1"), ("port", "5432"))}
    return {name: parts[name] for name in ("dbname", "user", "password")} | last


def uri(dsn: str) -> str:
    """The DSN as drivers write it that take addresses only."""
    at = address_of(dsn)
    return f"postgresql://{at['user']}:{at['password']}@{at['host']}:{at['port']}/{at['dbname']}"
