"""What isolation costs from the database: the build, what an edit costs, a second worker's memory, one burst over HTTP, and the peers
inside PostGIS.

In a database of its own (`onemap_bench`) on the server of the settings, made anew and dropped afterwards: the streets of
`bench.streets`, and on every fifth pipe a service connection to a building with a door-plate.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import psycopg2
from psycopg2 import sql

from bench import isolation_http
from bench.streets import put, streets
from gis.analysis.segments import labels
from gis.catalog import read
from gis.db import cluster, connection, migrations, plan
from gis.db.store import Store
from gis.processes import _water_network as water_network
from gis.processes import pipe_burst, valve_state
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
_CONSUMERS = """
INSERT INTO meta.batch (kind, operator, status, recorded_at)
SELECT 'load', 'bench', 'published', max(recorded_at) + interval '1 microsecond' FROM meta.batch;
INSERT INTO core.water_connection (network, connection_id, pipe_id, fraction, building_id, customers, priority, geom, batch)
SELECT network, 'C' || pipe_id, pipe_id, 0.5, 'B' || pipe_id, 4, 'none',
       ST_Force3D(ST_MakeLine(ST_StartPoint(geom), ST_Translate(ST_StartPoint(geom), 0.0001, 0.0001))), (SELECT max(id) FROM meta.batch)
FROM core.water_pipe WHERE right(pipe_id, 1) IN ('0', '5');
INSERT INTO core.door_plate (plate_id, address_id, address, building_id, kind, geom, batch)
SELECT 'D' || pipe_id, 'A' || pipe_id, '第' || pipe_id || '号', 'B' || pipe_id, 'building', ST_Force2D(ST_StartPoint(geom)),
       (SELECT max(id) FROM meta.batch)
FROM core.water_pipe WHERE right(pipe_id, 1) IN ('0', '5');
INSERT INTO meta.batch_layer (batch, layer, scope, rows_read, rows_loaded, inserted)
SELECT (SELECT max(id) FROM meta.batch), layer, scope, 1, 1, 1
FROM (VALUES ('water_connection', 'bench'), ('door_plate', NULL)) l (layer, scope);
ANALYZE core.water_connection;
ANALYZE core.door_plate;
"""
_EDIT = """
WITH made AS (INSERT INTO meta.batch (kind, operator, status, recorded_at)
              SELECT 'edit', 'bench', 'published', max(recorded_at) + interval '1 second' FROM meta.batch RETURNING id, recorded_at),
     told AS (INSERT INTO meta.batch_layer (batch, layer, scope, rows_read, rows_loaded, updated)
              SELECT id, 'water_pipe', 'bench', 1, 1, 1 FROM made RETURNING batch)
UPDATE core.water_pipe p SET diameter_mm = 150, batch = made.id, recorded_from = made.recorded_at FROM made, told WHERE p.pipe_id = %(pipe)s
"""
_SECOND = """
import json, sys
from gis.db.store import Store
from gis.processes import pipe_burst
def memory():
    rows = (line.split() for line in open('/proc/self/smaps_rollup') if line.endswith('kB\\n'))
    return {row[0].rstrip(':'): int(row[1]) / 1024 for row in rows}
with Store('admin') as store:
    store.rows('database_identity'); store.catalog
    before = memory()
    for pipe in sys.argv[2:]:
        pipe_burst.run(store, pipe_burst.parsed(network=sys.argv[1], pipe=pipe), print)
    after = memory()
print(json.dumps({key: after[key] - before[key] for key in ('Anonymous', 'Pss', 'Rss')}))
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
            _edits(size)
            _second_worker(size)
            served = isolation_http.measure(NETWORK, size)
            figure(figure="one burst over HTTP, door-plates and map included", pipes=size, limit_ms=30.0, **served)
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
        with link.cursor() as cursor:
            cursor.execute(_CONSUMERS)


def _build(size: int) -> None:
    """The whole build (rows, arrays, segments, feed, tree, files) beside the bare COPY OUT of the same columns; the median of three,
    taken in turns."""
    bare, built = [], []
    for _ in range(3):
        with Store("admin") as store:
            begun = time.perf_counter()
            _copied_out(store)
            bare.append(time.perf_counter() - begun)
        water_network._open.clear()
        shutil.rmtree(settings().home / "networks", ignore_errors=True)
        with Store("admin") as store:
            begun = time.perf_counter()
            water_network.water(store, NETWORK)
            built.append(time.perf_counter() - begun)
    ours, limit = float(np.median(built)), float(np.median(bare))
    figure(figure="build from PostGIS", pipes=size, ours_s=ours, limit="COPY OUT of the same columns", limit_s=limit, to_limit=ours / limit)


def _asked(pipe: str) -> tuple[str, float]:
    """The version of an answer and the seconds it took."""
    with Store("admin") as store:
        begun = time.perf_counter()
        answer = pipe_burst.run(store, pipe_burst.parsed(network=NETWORK, pipe=pipe), lambda *_: None)
        return answer["data_version"], time.perf_counter() - begun


def _edits(size: int) -> None:
    """The first answer after a valve was reported, and after a pipe was edited: each names a new version."""
    pipe, turned, versions = f"P{size // 2:08d}", [], {_asked(f"P{size // 2:08d}")[0]}
    for i in range(3):
        with Store("admin", "bench") as store:
            valve_state.run(store, valve_state.ValveStateInputs(network=NETWORK, valve=f"V{i:08d}", operable=False))
        version, seconds = _asked(pipe)
        versions.add(version)
        turned.append(seconds)
    figure(figure="first answer after a valve was reported", pipes=size, ours_s=float(np.median(turned)), versions=len(versions))
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(_EDIT, {"pipe": pipe})
    version, seconds = _asked(pipe)
    figure(figure="first answer after a pipe was edited", pipes=size, ours_s=seconds, new_version=version not in versions)


def _second_worker(size: int) -> None:
    """What a process takes beyond the shared files when it answers fifty bursts: its own (anonymous) memory. `pss_mb` counts also its
    share of the files' pages, all of them where nobody else has them open; they are the same pages for every worker."""
    pipes = [f"P{i:08d}" for i in np.random.default_rng(9).integers(0, size * 9 // 10, 50)]
    done = subprocess.run([sys.executable, "-c", _SECOND, NETWORK, *pipes], capture_output=True, text=True, check=True)
    grown = json.loads(done.stdout.splitlines()[-1])
    figure(figure="a second worker", pipes=size, own_mb=grown["Anonymous"], limit_mb=50, pss_mb=grown["Pss"], resident_mb=grown["Rss"])


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
        there = cursor.fetchone()[0] > 0
        routing = _routing_ms(cursor) if there else None
    figure(
        figure="one burst from the database",
        pipes=size,
        ours_with_customers_ms=ours,
        ours_isolation_ms=answer,
        recursive_segment_only_ms=recursive,
        to_recursive=answer / recursive,
        not_installed=[] if there else ["pgrouting"],
    )
    labelled = _median_ms(lambda _: labels(engine.network).of_span, pipes[:9])
    figure(figure="segments beside pgRouting", pipes=size, ours_ms=labelled, pgrouting_ms=routing,
           to_pgrouting=labelled / routing if routing else None, not_installed=[] if there else ["pgrouting"])  # fmt: skip


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
