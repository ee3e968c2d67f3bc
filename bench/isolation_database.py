"""What isolation costs from the database: the build, a second worker's memory, and the peers inside PostGIS.

In a database of its own (`onemap_bench`) on the server of the settings, made anew and dropped afterwards.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import psycopg2
from psycopg2 import sql

from bench.streets import put, streets
from gis.catalog import read
from gis.db import cluster, connection, migrations, plan
from gis.db.store import Store
from gis.processes import _water_network as water_network
from gis.settings import settings

DATABASE, NETWORK = "onemap_bench", "bench"

_STEPS = """
WITH RECURSIVE reached (pipe_id) AS (
  VALUES (%(pipe)s)
  UNION
  SELECT e.other FROM reached r JOIN step e ON e.pipe_id = r.pipe_id
) SELECT count(*) FROM reached
"""
_STEP_TABLE = """
CREATE TEMP TABLE step AS
WITH free AS (
  SELECT p.pipe_id, n.node_id FROM core.water_pipe p CROSS JOIN LATERAL (VALUES (p.from_node), (p.to_node)) n (node_id)
  WHERE p.network = %(network)s AND NOT EXISTS (
    SELECT FROM core.water_valve v WHERE v.network = p.network AND v.pipe_id = p.pipe_id AND v.node_id = n.node_id))
SELECT a.pipe_id, b.pipe_id AS other FROM free a JOIN free b USING (node_id) WHERE a.pipe_id <> b.pipe_id
"""
_SECOND = """
import sys
from gis.db.store import Store
from gis.processes import pipe_burst
def private():
    return sum(int(line.split()[1]) for line in open('/proc/self/smaps_rollup') if line.startswith('Private_')) / 1024
with Store('admin') as store:
    store.rows('database_identity'); store.catalog
    before = private()
    pipe_burst.run(store, pipe_burst.parsed(network=sys.argv[1], pipe=sys.argv[2]), print)
    pipe_burst.run(store, pipe_burst.parsed(network=sys.argv[1], pipe=sys.argv[3]), print)
    print(private() - before)
"""


class _Nowhere(io.RawIOBase):
    """Counts what it is given."""

    size = 0

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.size += len(data)
        return len(data)


def figure(**values) -> None:
    print(json.dumps({"bench": "isolation"} | {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}), flush=True)


def measure(size: int) -> None:
    """The figures of a street network of `size` pipes in a database made for it."""
    _turn(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), sql.SQL("CREATE DATABASE {}"))
    kept = {k: os.environ.get(k) for k in ("ONEMAP_DSN", "ONEMAP_DSN_SERVING", "ONEMAP_HOME")}
    serving = {"user": connection.LOGIN, "password": cluster.secret(connection.LOGIN)}
    try:
        with tempfile.TemporaryDirectory() as home:
            os.environ["ONEMAP_DSN"] = psycopg2.extensions.make_dsn(**cluster.parameters(DATABASE))
            os.environ["ONEMAP_DSN_SERVING"] = psycopg2.extensions.make_dsn(**cluster.parameters(DATABASE) | serving)
            os.environ["ONEMAP_HOME"] = home
            settings.cache_clear()
            _prepared(size)
            _build(size)
            _peers(size)
            connection.close_pool()
    finally:
        for name, value in kept.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        settings.cache_clear()
        _turn(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"))


def _turn(*statements: sql.SQL) -> None:
    link = psycopg2.connect(**cluster.parameters("postgres"))
    link.autocommit = True
    with link.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.format(sql.Identifier(DATABASE)))
    link.close()


def _prepared(size: int) -> None:
    migrations.migrate()
    plan.apply(read.catalog())
    with connection.owner() as link:
        with link.cursor() as cursor:
            login = sql.Identifier(connection.LOGIN)
            cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(DATABASE), login))
        put(link, streets(size, drawn=True), NETWORK)


def _build(size: int) -> None:
    """The whole build (rows, arrays, segments, feed, tree, files) beside the bare COPY OUT of the same columns; the median of three,
    taken in turns; then a second process that maps the files."""
    bare, built = [], []
    for _ in range(3):
        with Store("admin") as store:
            begun = time.perf_counter()
            _copied_out(store)
            bare.append(time.perf_counter() - begun)
        water_network._open.clear()
        for folder in (settings().home / "networks").glob("*/*@*"):
            (folder / "network.json").write_text('{"from": "9999-01-01", "until": "9999-01-01"}')
        with Store("admin") as store:
            begun = time.perf_counter()
            water_network.water(store, NETWORK)
            built.append(time.perf_counter() - begun)
    ours, limit = float(np.median(built)), float(np.median(bare))
    figure(figure="build from PostGIS", pipes=size, ours_s=ours, limit="COPY OUT of the same columns", limit_s=limit, to_limit=ours / limit)
    done = subprocess.run([sys.executable, "-c", _SECOND, NETWORK, "P00000000", f"P{size // 2:08d}"], capture_output=True, text=True)
    figure(figure="a second worker", pipes=size, private_mb=float(done.stdout.split()[-1]) if done.returncode == 0 else None, limit_mb=50)


def _copied_out(store: Store) -> None:
    for layer in water_network.LAYERS:
        columns = [sql.Identifier(c) for c in (*water_network._COLUMNS[layer], "valid_from", "valid_to")]
        place = sql.SQL("") if layer == "door_plate" else sql.SQL(", geom")
        where = sql.SQL("") if layer == "door_plate" else sql.SQL("WHERE network = {}").format(sql.Literal(NETWORK))
        query = sql.SQL("COPY (SELECT {}{} FROM {} {}) TO STDOUT (FORMAT binary)").format(
            sql.SQL(", ").join(columns), place, sql.Identifier("pub", layer), where
        )
        with store.connection.cursor() as cursor:
            cursor.copy_expert(query, _Nowhere())


def _peers(size: int) -> None:
    """One burst's segment by a recursive query over an indexed table of steps, and by pgRouting; ours through the process, with all
    of the answer."""
    from gis.processes import pipe_burst

    pipes = [f"P{i:08d}" for i in np.random.default_rng(3).integers(0, size * 9 // 10, 30)]
    with Store("admin") as store:
        ours = _median_ms(lambda p: pipe_burst.run(store, pipe_burst.parsed(network=NETWORK, pipe=p), lambda *_: None), pipes)
        engine = water_network.water(store, NETWORK).engine
    index = engine.network.pipe
    answer = _median_ms(lambda p: engine.burst(engine.segments.of_pipe[[index(p)]]), pipes)
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(_STEP_TABLE, {"network": NETWORK})
        cursor.execute("CREATE INDEX ON step (pipe_id)")
        cursor.execute("ANALYZE step")
        recursive = _median_ms(lambda p: cursor.execute(_STEPS, {"pipe": p}), pipes)
        cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'pgrouting'")
        routing = _routing_ms(cursor) if cursor.fetchone()[0] else None
    figure(figure="one burst from the database", pipes=size, ours_with_customers_ms=ours, ours_isolation_ms=answer,
           recursive_segment_only_ms=recursive, to_recursive=answer / recursive, pgrouting_all_segments_ms=routing)


def _median_ms(ask, pipes: list[str]) -> float:
    taken = []
    for pipe in pipes:
        begun = time.perf_counter()
        ask(pipe)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken)) * 1e3


def _routing_ms(cursor) -> float:
    """pgr_connectedComponents over the same steps, once for all segments."""
    cursor.execute("CREATE EXTENSION IF NOT EXISTS pgrouting")
    begun = time.perf_counter()
    cursor.execute(
        "SELECT count(*) FROM pgr_connectedComponents('SELECT row_number() OVER () AS id, substr(pipe_id, 2)::bigint AS source, "
        "substr(other, 2)::bigint AS target, 1::float8 AS cost, 1::float8 AS reverse_cost FROM step')"
    )
    return (time.perf_counter() - begun) * 1e3
