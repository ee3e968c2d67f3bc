"""GeoParquet: row group by row group through Arrow; positions as WKB, as native arrays, or in columns of coordinates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from gis.errors import SourceError
from gis.ingest import positions, wkb
from gis.ingest.ordinary import ordinary
from gis.ingest.read import BATCH, Batch, Source
from gis.ingest.vector import distinct, note_measures
from gis.ingest.wanted import Notes, Wanted

_NATIVE = {
    "point": shapely.GeometryType.POINT, "linestring": shapely.GeometryType.LINESTRING, "polygon": shapely.GeometryType.POLYGON,
    "multipoint": shapely.GeometryType.MULTIPOINT, "multilinestring": shapely.GeometryType.MULTILINESTRING,
    "multipolygon": shapely.GeometryType.MULTIPOLYGON,
}  # fmt: skip
_DEGREES = "OGC:CRS84"
"""What a GeoParquet file is in that says nothing (GeoParquet 1.1, column metadata)."""
_BROKEN = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError)


def open_parquet(path: Path, layer: Wanted, *, crs: str | int | None) -> Source:
    """Opens a file for one layer; see `gis.ingest.read.open_source`."""
    findings = Notes()
    try:
        file = pq.ParquetFile(path)
        schema, count = file.schema_arrow, file.metadata.num_rows
        said = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
    except _BROKEN:
        raise _damaged(path) from None
    column, encoding, declared = _geometry(path, schema, said)
    at = positions.Where() if column else positions.where(path, schema.names, layer)
    bbox = _covering(said, column)
    wanted = [n for n in schema.names if n != column and n != bbox]
    if len(set(schema.names)) != len(schema.names):
        raise SourceError(f"{path.name} has several columns of one name", remedy="Give each column a name of its own")
    if not column:
        try:
            sample = next(file.iter_batches(500, columns=list(at.columns)), None) if at.columns else None
        except _BROKEN:
            raise _damaged(path) from None
        table = pa.Table.from_batches([sample]) if sample is not None else pa.table({})
        declared = positions.declared(path, at, table, crs, layer, findings)
    names = distinct([n for n in wanted if n not in at.columns], path, layer, findings)
    return Source(
        name=path.name, path=path, format="parquet", columns=tuple(names), crs=declared,
        crs_declared=column is not None and declared is not None, encoding="UTF-8", count=count, findings=findings,
        batches=lambda start=0, stop=None: _batches(path, wanted, column, encoding, at, count, layer, findings, start, stop),
        parts=(path,), survey_axes=at.survey_axes, cuts=_groups(file.metadata),
    )  # fmt: skip


def _damaged(path: Path) -> SourceError:
    return SourceError(f"{path.name} cannot be read: it is damaged or no Parquet file", remedy="Write it again")


def _geometry(path: Path, schema: pa.Schema, said: dict) -> tuple[str | None, str, str | None]:
    """The geometry's column, its encoding, and the CRS that the file declares."""
    if not isinstance(said, dict) or not isinstance(said.get("columns", {}), dict):
        raise _damaged(path)
    column = said.get("primary_column")
    described = said.get("columns", {}).get(column)
    if column is None or described is None:
        return None, "", None
    if column not in schema.names or not isinstance(described, dict):
        raise SourceError(f"{path.name} has no geometry column {str(column)[:40]!r}, which it announces", remedy="Write it again")
    encoding = str(described.get("encoding", "WKB"))
    if encoding.upper() != "WKB" and encoding not in _NATIVE:
        raise SourceError(f"{path.name} encodes its geometry as {encoding[:40]!r}", remedy="Write it with WKB")
    crs = described.get("crs", _DEGREES)
    return column, encoding, json.dumps(crs) if isinstance(crs, dict) else crs


def _covering(said: dict, column: str | None) -> str | None:
    """The column of bounding boxes, which repeats what the geometry says."""
    box = ((said.get("columns", {}).get(column) or {}).get("covering") or {}).get("bbox") or {}
    return next((str(at[0]) for at in box.values() if isinstance(at, list) and at), None) if isinstance(box, dict) else None


def _groups(metadata: pq.FileMetaData) -> list[int]:
    """The first row of each row group that has some, counted from 0."""
    sizes = np.array([0, *(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))])
    return np.cumsum(sizes)[:-1][sizes[1:] > 0].tolist()


def _batches(path: Path, names, column, encoding, at: positions.Where, count: int, layer: Wanted, findings: Notes, start: int = 0,
             stop: int | None = None) -> Iterator[Batch]:  # fmt: skip
    """The rows from `start` up to before `stop`, both the first row of a row group."""
    done, measured = start, 0
    try:
        with pq.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
            columns = [*names, *([column] if column else [])]
            for record in file.iter_batches(BATCH, row_groups=_between(file.metadata, start, stop), columns=columns, use_threads=False):
                rows = pa.Table.from_batches([record])
                numbers = np.arange(done + 1, done + len(record) + 1)
                done += len(record)
                if column is None:
                    yield positions.batch(_flat(rows), numbers, at)
                    continue
                geometry, n = _wkb(rows.column(column).combine_chunks(), encoding)
                measured += n
                yield Batch(_flat(rows.drop_columns([column])), numbers, geometry)
    except _BROKEN:
        raise SourceError(f"{path.name} cannot be read beyond row {done}", remedy="It is damaged: write it again") from None
    if done != (count if stop is None else stop):
        raise SourceError(f"{path.name} announces {count} rows, but {done} can be read", remedy="It is damaged: write it again")
    note_measures(measured, path, layer, findings)


def _between(metadata: pq.FileMetaData, start: int, stop: int | None) -> list[int]:
    """The row groups of these rows."""
    sizes = np.array([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)], dtype=np.int64)
    first = np.cumsum(sizes) - sizes
    return np.flatnonzero((first >= start) & (first < (metadata.num_rows if stop is None else stop))).tolist()


def _flat(rows: pa.Table) -> pa.Table:
    """Columns as the layers' values read them: dictionaries as values, structures as JSON."""
    columns = []
    for column in rows.columns:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        elif pa.types.is_struct(column.type) or pa.types.is_map(column.type) or pa.types.is_binary(column.type):
            column = pa.array(
                [None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in column.to_pylist()], pa.string()
            )
        elif pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        columns.append(column)
    return pa.table(columns, names=rows.column_names)


def _wkb(column: pa.Array, encoding: str) -> tuple[pa.Array, int]:
    if encoding.upper() == "WKB":
        return ordinary(column)
    missing = ~column.is_valid().to_numpy(zero_copy_only=False)
    offsets, inner = [], column.fill_null([]) if pa.types.is_list(column.type) and column.null_count else column
    while pa.types.is_list(inner.type) or pa.types.is_large_list(inner.type):
        starts = inner.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        offsets.insert(0, starts - starts[0])
        inner = inner.flatten()
    z = inner.type.get_field_index("z") >= 0 if pa.types.is_struct(inner.type) else inner.type.list_size == 3
    if pa.types.is_struct(inner.type):
        ordinates = [inner.field(n).to_numpy(zero_copy_only=False).astype(float) for n in ("x", "y", *("z" if z else ""))]
        points = np.column_stack(ordinates)
    else:
        points = inner.flatten().to_numpy(zero_copy_only=False).astype(float).reshape(-1, inner.type.list_size)
    if encoding == "point":
        return wkb.points(points[:, 0], points[:, 1], points[:, 2] if z else None, missing=missing | np.isnan(points[:, 0])), 0
    shapes = shapely.from_ragged_array(_NATIVE[encoding], points, tuple(offsets))
    shapes[missing] = None
    return wkb.of(shapes), 0
