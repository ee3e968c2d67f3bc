"""A large delivery for an empty layer is written once: into a table of its own, indexed there, that becomes core's when it is published.

Until then nobody sees it (schema `incoming`); a process that dies leaves a table that the next load drops. Readers wait only for the
exchange itself, which rewrites nothing: moment and batch of the rows are defaults of columns added at the end.
"""

from __future__ import annotations

import datetime as dt
import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg2.errors
from psycopg2 import sql

from gis.catalog import ddl
from gis.catalog.model import Layer
from gis.catalog.quote import name
from gis.db.connection import owner
from gis.errors import StoreError
from gis.ingest.stage import Place
from gis.ingest.statements import statement, text

ABOVE = 50_000
"""Rows from which a first delivery is worth a table of its own."""
_LATE = ("batch", "recorded_from")


@dataclass(frozen=True)
class Index:
    """An index to be made on the incoming table: `late` where it needs the columns that come with publishing."""

    is_key: bool
    late: bool
    name: str
    definition: str
    comment: str | None


def possible(cursor, layer: Layer) -> bool:
    """Whether the layer is empty and nothing but its own views and keys hangs on its table."""
    columns = sorted([*layer.columns, *ddl.SYSTEM, "geom"])
    bound = {"core": name("core", layer.id), "layer": layer.id, "columns": columns}
    cursor.execute(statement("direct_possible", layer), bound)
    return cursor.fetchone()[0]


def begin(cursor, layer: Layer) -> Place:
    """Makes the incoming table; answers where its rows are put and read. Their number is their fid, less the last one given before."""
    drop(cursor, layer.id)
    cursor.execute(ddl.incoming(layer))
    base = _last_fid(cursor, layer)
    columns = sql.SQL(", ").join(map(sql.Identifier, layer.columns))
    cursor.execute(
        sql.SQL("CREATE VIEW {} AS SELECT {}, fid - {} AS src_row, geom FROM {}").format(
            sql.Identifier("incoming", f"{layer.id}_rows"), columns, sql.Literal(base), sql.Identifier("incoming", layer.id)
        )
    )
    return Place(("incoming", f"{layer.id}_rows"), ("incoming", layer.id), "fid", base, typed=True)


def drop(cursor, layer_id: str) -> None:
    """Drops what an earlier load left."""
    cursor.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier("incoming", layer_id)))


def _last_fid(cursor, layer: Layer) -> int:
    cursor.execute("SELECT pg_get_serial_sequence(%s, 'fid')", (name("core", layer.id),))
    sequence = cursor.fetchone()[0]
    cursor.execute(sql.SQL("SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {}").format(sql.SQL(sequence)))
    return cursor.fetchone()[0]


def indexes(cursor, layer: Layer) -> list[Index]:
    """What core's table has, to be made on the incoming one: the costliest first."""
    cursor.execute(text("direct_indexes"), {"core": name("core", layer.id)})
    return [Index(*row) for row in cursor.fetchall()]


def index(wanted: Sequence[Index], workers: int) -> list[Index]:
    """Makes indexes over as many connections as there are workers; answers those that found a value twice. The table's rows must be
    committed."""
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    for one in wanted:
        waiting.put(one)
    threads = max(1, min(workers, len(wanted)))

    def work() -> list[Index]:
        twice = []
        with owner(autocommit=True) as connection, connection.cursor() as cursor:
            if threads > 1:
                cursor.execute("SET max_parallel_maintenance_workers = 0")
            while True:
                try:
                    one = waiting.get_nowait()
                except queue.Empty:
                    return twice
                try:
                    cursor.execute(one.definition)
                except psycopg2.errors.UniqueViolation:
                    twice.append(one)

    with ThreadPoolExecutor(threads, "index") as pool:
        return [one for future in [pool.submit(work) for _ in range(threads)] for one in future.result()]


def publish(cursor, layer: Layer, place: Place, *, batch: int, recorded_at: dt.datetime) -> None:
    """Makes the incoming table core's, within the caller's transaction. Raises StoreError where somebody has put rows into the layer
    meanwhile."""
    core, incoming = sql.Identifier("core", layer.id), sql.Identifier("incoming", layer.id)
    cursor.execute(
        sql.SQL(
            "DROP VIEW {rows};"
            "ALTER TABLE {table} ADD COLUMN batch bigint DEFAULT {batch}, ADD COLUMN recorded_from timestamptz NOT NULL DEFAULT {at};"
            "ALTER TABLE {table} ALTER COLUMN batch DROP DEFAULT, ALTER COLUMN recorded_from SET DEFAULT now()"
        ).format(rows=place.rows, table=incoming, batch=sql.Literal(batch), at=sql.Literal(recorded_at))
    )
    made = indexes(cursor, layer)
    for one in made:
        if one.late:
            cursor.execute(one.definition)
    cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier("core", layer.id)))
    cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(core))
    if cursor.fetchone()[0] or _last_fid(cursor, layer) != place.base:
        raise StoreError(f"{layer.id} was edited while it was loaded", remedy="Load it again")
    for view in ddl.views(layer):
        cursor.execute(view.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1).replace(name("core", layer.id), name("incoming", layer.id)))
    cursor.execute(sql.SQL("DROP TABLE {}; ALTER TABLE {} SET SCHEMA core").format(core, incoming))
    for one in made:
        if one.is_key:
            cursor.execute(
                sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(core, *(sql.Identifier(one.name),) * 2)
            )
        if one.comment is not None:
            cursor.execute(sql.SQL("COMMENT ON INDEX {} IS {}").format(sql.Identifier("core", one.name), sql.Literal(one.comment)))
    for written in (*ddl.comments(layer), *ddl.grants(layer)):
        cursor.execute(written)
    cursor.execute(
        sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'fid'), greatest(max(fid), {}, 1)) FROM {}").format(
            sql.Literal(name("core", layer.id)), sql.Literal(place.base), core
        )
    )
