"""Where the rows of a delivery are between reading and publishing, and how mapped rows get there: COPY BINARY, a batch at a time.

Usually that is `stage.<layer>`. Rows that a check may speak against wait in the temporary table `suspects_<layer>` until it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from psycopg2 import sql

from gis import crs
from gis.catalog.model import Layer
from gis.catalog.quote import name
from gis.ingest import binary, wkb
from gis.ingest.map import Mapped

_MOST_BYTES = 1 << 29
"""Of one COPY: Arrow's texts end at 2 GB."""


@dataclass(frozen=True)
class Place:
    """Where the rows of one layer are staged. `relation` (schema, name) is read: the layer's columns, src_row, geom. `table` is written:
    its column `number` holds the source row plus `base`; `typed` where its geometry column says type and CRS."""

    relation: tuple[str, str]
    table: tuple[str, str]
    number: str = "src_row"
    base: int = 0
    typed: bool = False
    geometry: str = "geom"

    @property
    def rows(self) -> sql.Identifier:
        """The relation in a statement."""
        return sql.Identifier(*self.relation)

    @property
    def text(self) -> str:
        """The relation in a check's SQL."""
        return name(*self.relation)


def of(layer: Layer) -> Place:
    """The stage of a layer."""
    return Place(("stage", layer.id), ("stage", layer.id))


def suspects(layer: Layer) -> Place:
    """Where rows wait that a check may speak against; a temporary table."""
    return Place(("pg_temp", f"suspects_{layer.id}"), ("pg_temp", f"suspects_{layer.id}"), geometry="wkb")


def await_suspects(cursor, layer: Layer) -> None:
    """Makes the table of the suspects. Their geometries arrive as bytes: the binary form of a geometry is refused where a ring is not
    closed, and that is for the checks to say."""
    cursor.execute(
        sql.SQL("CREATE TEMP TABLE {0} (LIKE {1}); ALTER TABLE {0} ADD COLUMN wkb bytea").format(
            suspects(layer).rows, sql.Identifier("stage", layer.id)
        )
    )


def understand_suspects(cursor, layer: Layer) -> None:
    """Makes geometries of the bytes that arrived; then the table has the columns of the stage."""
    cursor.execute(
        sql.SQL("UPDATE {0} SET geom = encode(wkb, 'hex')::geometry WHERE wkb IS NOT NULL; ALTER TABLE {0} DROP COLUMN wkb").format(
            suspects(layer).rows
        )
    )


def empty(cursor, layer: Layer) -> None:
    """Makes room: whatever an earlier load left in the stage goes."""
    cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("stage", layer.id)))


def encoded(layer: Layer, batch: Mapped, place: Place) -> memoryview:
    """Mapped rows in the form in which they are copied to a place."""
    geometry = batch.geometry if place.typed else wkb.with_srid(batch.geometry, crs.STORED)
    columns = [wkb.whole(batch.rows.column(n)) for n in layer.columns]
    return binary.rows([*columns, pa.array(batch.numbers + place.base, pa.int64()), geometry])


def parts(batch: Mapped) -> list[Mapped]:
    """The batch in parts that one COPY can hold."""
    size = batch.rows.nbytes + batch.geometry.nbytes
    if size <= _MOST_BYTES or len(batch.numbers) < 2:
        return [batch]
    half = len(batch.numbers) // 2
    return [p for cut in (slice(None, half), slice(half, None)) for p in parts(batch.cut(cut))]


def copy(cursor, layer: Layer, place: Place, body: memoryview) -> None:
    """Puts encoded rows into their place."""
    listed = sql.SQL(", ").join(map(sql.Identifier, [*layer.columns, place.number, place.geometry]))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(*place.table), listed)
    cursor.copy_expert(statement, binary.Copy(body), size=1 << 20)


def release(cursor, layer: Layer, place: Place) -> int:
    """The suspects that were not rejected join the other rows; answers how many."""
    columns = sql.SQL(", ").join(map(sql.Identifier, layer.columns))
    move = sql.SQL("INSERT INTO {} ({columns}, {}, geom) SELECT {columns}, src_row + %s, geom FROM {}").format(
        sql.Identifier(*place.table), sql.Identifier(place.number), suspects(layer).rows, columns=columns
    )
    cursor.execute(move, (place.base,))
    moved = cursor.rowcount
    cursor.execute(sql.SQL("TRUNCATE {}").format(suspects(layer).rows))
    return moved
