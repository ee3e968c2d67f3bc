"""Into `stage.<layer>`: mapped rows streamed by COPY, a batch in memory at a time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import shapely
from psycopg2 import sql

from gis import crs
from gis.catalog.model import Layer
from gis.ingest.map import Mapped


def empty(cursor, layer: Layer) -> None:
    """Makes room: whatever an earlier load left in the stage goes."""
    cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("stage", layer.id)))


def fill(cursor, layer: Layer, batches: Iterator[Mapped], progress: Callable[[int], None]) -> int:
    """Copies mapped rows (any number of batches) into the stage; answers how many. `progress` hears the rows so far.

    Text COPY in CSV: Arrow writes it at the disk's speed, an unquoted empty value is NULL and a quoted one an empty text.
    """
    copy = sql.SQL("COPY {} ({}, src_row, geom) FROM STDIN (FORMAT csv)").format(
        sql.Identifier("stage", layer.id), sql.SQL(", ").join(map(sql.Identifier, layer.columns))
    )
    done = 0
    for batch in batches:
        cursor.copy_expert(copy, _as_csv(batch), size=1 << 20)
        done += len(batch.numbers)
        progress(done)
    return done


def _as_csv(batch: Mapped) -> io.BytesIO:
    """The rows as CSV without a header, the geometry last as hexadecimal EWKB."""
    columns = [_array_texts(c.combine_chunks()) if pa.types.is_list(c.type) else _timestamp_texts(c) for c in batch.rows.columns]
    geometry = shapely.to_wkb(shapely.set_srid(batch.shapes(), crs.STORED), hex=True, include_srid=True)
    columns += [pa.array(batch.numbers, pa.int64()), pa.array(geometry, pa.string())]
    names = [*batch.rows.column_names, "src_row", "geom"]
    buffer = io.BytesIO()
    pacsv.write_csv(pa.table(columns, names=names), buffer, pacsv.WriteOptions(include_header=False))
    buffer.seek(0)
    return buffer


def _timestamp_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Moments with their offset; other columns as they are."""
    return pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ") if pa.types.is_timestamp(column.type) else column


def _array_texts(column: pa.Array) -> pa.Array:
    """Lists of texts as PostgreSQL array literals."""
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    escaped = pc.replace_substring(pc.replace_substring(column.flatten(), "\\", "\\\\"), '"', '\\"')
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.r_[0, np.cumsum(counts)], pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, quoted), ",")
    literal = pc.binary_join_element_wise("{", pc.fill_null(joined, ""), "}", "")
    return pc.if_else(column.is_valid(), literal, pa.scalar(None, pa.string()))
