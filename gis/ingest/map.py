"""From a source's rows to a layer's: names to fields, values to types, positions to EPSG:4490, geometries to the layer's type.

Nothing is lost on the way: a source column that no field takes is reported, a value that is not of its field's type is a
finding with its raw text.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from gis import crs
from gis.catalog.model import Column, Layer
from gis.ingest import values, wkb
from gis.ingest.findings import Findings
from gis.ingest.read import Batch, Source
from gis.ingest.values import plain

_TYPE_NAMES = {
    "int": "a whole number",
    "real": "a number",
    "bool": "yes or no",
    "date": "a date",
    "timestamp": "a moment",
    "texts": "a list of texts",
}
_DBF_NAME = 10
"""Bytes that a dBase field name can have."""


@dataclass(frozen=True)
class Mapping:
    """Which source column fills which field; `constants` are the same in all rows; `unmapped` source columns fill none."""

    columns: dict[str, str]
    constants: dict[str, object] = field(default_factory=dict)
    unmapped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Required fields that nothing fills."""

    def without(self, columns: frozenset[str]) -> Mapping:
        """The same where some source columns are no field's business."""
        return replace(self, unmapped=tuple(c for c in self.unmapped if c not in columns))


def mapping(layer: Layer, source: Source, *, constants: dict[str, object] | None = None, names: dict[str, str] | None = None) -> Mapping:
    """How a source's columns fill a layer's fields: by the field's name, its `source` names, its titles; whatever their case and width, and
    in shapefiles cut off after ten bytes. `names` (field → source column) comes first; `constants` set their
    fields in all rows, whatever the source says (`{row}` in one is the row's number, None is empty)."""
    names, constants = names or {}, dict(constants or {})
    by_plain: dict[str, str] = {}
    for column in source.columns:
        by_plain.setdefault(plain(column), column)
    found: dict[str, str] = {}
    taken: set[str] = set()
    for field_name, column in layer.columns.items():
        if field_name in constants:
            continue
        for name in (names.get(field_name), field_name, *column.source, column.title.zh, column.title.en):
            match = None if name is None else by_plain.get(plain(name)) or _cut_off(name, source)
            if match is not None and match not in taken:
                found[field_name] = match
                taken.add(match)
                break
    constants = {k: v for k, v in constants.items() if k in layer.columns}
    missing = [k for k, c in layer.columns.items() if c.required and c.default is None and k not in found and k not in constants]
    return Mapping(found, constants, tuple(c for c in source.columns if c not in taken), tuple(missing))


def _cut_off(name: str, source: Source) -> str | None:
    """The shapefile column whose name is this name cut off after ten bytes."""
    if source.format != "shp":
        return None
    for encoding in (source.encoding, "UTF-8"):
        cut = name.encode(encoding, "ignore")[:_DBF_NAME].decode(encoding, "ignore")
        for column in source.columns:
            if len(cut) < len(name) and plain(cut) == plain(column):
                return column
    return None


def report(layer: Layer, source: Source, how: Mapping, findings: Findings, *, all_needed: bool = True) -> None:
    """What the mapping leaves open: source columns without a field (information), required fields without a column (fatal; where not
    `all_needed` only those of the key: an update leaves what it does not speak of as it is)."""
    if how.unmapped:
        findings.add(
            layer.id,
            "MAP01",
            "info",
            f"{source.name}: {len(how.unmapped)} columns have no field and stay in the kept source",
            value=", ".join(how.unmapped),
            remedy="Add their names to `source` of a field in the layer file, or to --map",
        )
    for name in how.missing:
        if not all_needed and name not in layer.key:
            continue
        column = layer.columns[name]
        accepted = ", ".join(dict.fromkeys((name, *column.source, column.title.zh)))
        findings.add(
            layer.id,
            "MAP02",
            "fatal",
            f"{source.name} has no column for {name} ({column.title.zh}), which is required",
            field=name,
            value=", ".join(source.columns),
            remedy=f"Accepted names: {accepted}; or --map {name}=COLUMN, --set {name}=VALUE",
        )


@dataclass
class Mapped:
    """Rows as the layer wants them: `rows` one column per field in the layer's order, `numbers` source rows, `geometry` WKB in EPSG:4490
    (null where there is none)."""

    rows: pa.Table
    numbers: np.ndarray
    geometry: pa.BinaryArray

    def shapes(self) -> np.ndarray:
        """The geometries as shapely objects (n,), None where there is none."""
        return wkb.shapes(self.geometry)[0]

    def cut(self, rows: np.ndarray | slice) -> Mapped:
        """Some of the rows: a mask (n,) or a slice."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self.numbers))
            return Mapped(self.rows.slice(start, stop - start), self.numbers[rows], self.geometry.slice(start, stop - start))
        mask = pa.array(rows)
        return Mapped(self.rows.filter(mask), self.numbers[rows], self.geometry.filter(mask))


@dataclass(frozen=True)
class Reading:
    """What of a source the mapping of its batches needs: the CRS, and whether its positions are columns of a table."""

    crs: str | None
    tabular: bool


def mapped(layer: Layer, source: Source | Reading, how: Mapping, batch: Batch, findings: Findings, *, swapped: bool = False) -> Mapped:
    """One batch of a source as rows of the layer. `swapped`: the source's first coordinate is its second (see `gis.crs`)."""
    columns = [_column(layer, name, how, batch, findings) for name in layer.columns]
    rows = pa.table(columns, names=list(layer.columns))
    if batch.broken is not None and batch.broken.any():
        _report_broken(layer, batch.numbers[batch.broken], batch.broken_texts, findings, tabular=source.tabular)
    if batch.geometry is None:
        return Mapped(rows, batch.numbers, pa.nulls(len(batch.numbers), pa.binary()))
    geometry = _points(layer, source.crs, batch.geometry, rows, swapped)
    if geometry is None:
        shapes, unreadable = wkb.shapes(batch.geometry)
        if unreadable.any():
            _report_broken(layer, batch.numbers[unreadable], None, findings, tabular=False)
        shapes = placed(shapes, source.crs, swapped)
        geometry = wkb.of(promoted(with_heights(shapes, layer, rows), layer.geometry))
    return Mapped(rows, batch.numbers, geometry)


def _report_broken(layer: Layer, rows: np.ndarray, raw: list[str] | None, findings: Findings, *, tabular: bool) -> None:
    code, what = ("TYP02", "the coordinates are no numbers") if tabular else ("TYP03", "the geometry cannot be read")
    findings.extend(layer.id, code, "warning", what, "Correct the position", rows=rows, field="geom", values=raw)


def _points(layer: Layer, source_crs: str | int | None, column: pa.BinaryArray, rows: pa.Table, swapped: bool) -> pa.BinaryArray | None:
    """What `placed`, `with_heights` and `promoted` make of a column of points, without an object for each; None for any other column."""
    found = wkb.coordinates(column) if layer.dimension == 0 else None
    if found is None:
        return None
    x, y, z = found
    missing = np.isnan(x) & np.isnan(y)
    x, y = crs.transform(*((y, x) if swapped else (x, y)), source_crs if source_crs is not None else crs.STORED, crs.STORED)
    if layer.flat:
        return wkb.points(x, y, missing=missing)
    if z is None:
        z = _point_heights(rows)
        z = np.zeros(len(x)) if z is None else np.where(np.isfinite(z), z, 0.0)
    return wkb.points(x, y, np.where(np.isnan(z), 0.0, z), missing=missing)


def _column(layer: Layer, name: str, how: Mapping, batch: Batch, findings: Findings) -> pa.Array:
    """One field's values: from its source column, its constant, or its default; values of the wrong type are reported."""
    column, n = layer.columns[name], len(batch.numbers)
    if name in how.columns:
        raw = batch.rows.column(how.columns[name]).combine_chunks()
        raw = raw.chunk(0) if isinstance(raw, pa.ChunkedArray) and raw.num_chunks else raw
        result, bad = values.cast(raw, column)
        if bad.any():
            needed = column.required or name in layer.key
            findings.extend(
                layer.id,
                "TYP01",
                "error" if needed else "warning",
                f"{column.title.zh} ({name}) is not {_TYPE_NAMES[column.type]}",
                "Correct the value; the field stays empty until then" if not needed else "Correct the value",
                rows=batch.numbers[bad],
                field=name,
                values=values.texts(raw.filter(pa.array(bad))).to_pylist(),
            )
    elif name in how.constants:
        result = _constant(how.constants[name], column, batch.numbers)
    else:
        result = values.cast(pa.nulls(n, pa.string()), column)[0]
    if column.default is not None and result.null_count:
        result = pc.coalesce(result, _repeated(column.default, column, n))
    return result


def _constant(value, column: Column, numbers: np.ndarray) -> pa.Array:
    """A constant for each row; `{row}` in it is the row's number in the source."""
    if isinstance(value, str) and "{row}" in value:
        return values.cast(pa.array([value.replace("{row}", str(n)) for n in numbers]), column)[0]
    return _repeated(value, column, len(numbers))


def _repeated(value, column: Column, n: int) -> pa.Array:
    one, bad = values.cast(pa.array([None if value is None else str(value)], pa.string()), column)
    return one.take(pa.array(np.zeros(n, dtype=np.int64))) if not bad[0] else values.cast(pa.nulls(n, pa.string()), column)[0]


def placed(geometry: np.ndarray, source_crs: str | int | None, swapped: bool = False) -> np.ndarray:
    """Geometries (n,) in EPSG:4490, x = longitude; empty ones become None. `swapped` turns the axes first."""
    geometry = np.where(shapely.is_empty(geometry), None, geometry)
    if swapped:
        geometry = np.where(shapely.has_z(geometry), _swap(geometry, True), _swap(geometry, False))
    return crs.project(geometry, source_crs if source_crs is not None else crs.STORED, crs.STORED)


def _swap(geometry: np.ndarray, z: bool) -> np.ndarray:
    return shapely.transform(geometry, lambda p: p[:, [1, 0, *range(2, p.shape[1])]], include_z=z)


def promoted(geometry: np.ndarray, wanted: str) -> np.ndarray:
    """Geometries (n,) in the layer's type where nothing is invented: polygons to multipolygons, multi-geometries of one part to that
    part, Z added or dropped (unknown Z is 0). What does not fit stays as it is: the layer's geometry check reports it."""
    geometry = geometry.copy()
    base = wanted.removesuffix("Z")
    kind = shapely.get_type_id(geometry)
    if base == "MultiPolygon":
        single = kind == 3
        if single.any():
            geometry[single] = shapely.multipolygons(geometry[single], indices=np.arange(single.sum()))
    else:
        multi = (kind == (5 if base == "LineString" else 4)) & (shapely.get_num_geometries(geometry) == 1)
        geometry[multi] = shapely.get_geometry(geometry[multi], 0)
    has_z = shapely.has_z(geometry)
    if wanted.endswith("Z"):
        flat = ~has_z & ~shapely.is_missing(geometry)
        geometry[flat] = shapely.force_3d(geometry[flat], 0.0)
        unknown = has_z & np.isnan(_any_z(geometry))
        geometry[unknown] = shapely.transform(
            geometry[unknown], lambda p: np.column_stack([p[:, :2], np.nan_to_num(p[:, 2])]), include_z=True
        )
    else:
        geometry[has_z] = shapely.force_2d(geometry[has_z])
    return geometry


def _any_z(geometry: np.ndarray) -> np.ndarray:
    """The sum of each geometry's heights (n,), NaN where one of them is."""
    points, owner = shapely.get_coordinates(geometry, include_z=True, return_index=True)
    total = np.zeros(len(geometry))
    np.add.at(total, owner, points[:, 2])
    return total


def with_heights(geometry: np.ndarray, layer: Layer, rows: pa.Table) -> np.ndarray:
    """Heights (metres, 1985 national height) from the fields where the geometry has none and the layer wants them: a point's invert, or
    its ground less its depth; a gravity line's inverts at its ends, straight between them by vertices' length (CJJ 61-2017: depth of a
    gravity pipe is to its inner bottom)."""
    if not layer.geometry.endswith("Z"):
        return geometry
    flat = ~shapely.has_z(geometry) & ~shapely.is_missing(geometry)
    if layer.geometry == "PointZ":
        z = _point_heights(rows)
        usable = flat & (shapely.get_type_id(geometry) == 0) & np.isfinite(z) if z is not None else np.zeros(len(flat), bool)
        if usable.any():
            geometry = geometry.copy()
            geometry[usable] = shapely.points(shapely.get_x(geometry[usable]), shapely.get_y(geometry[usable]), z[usable])
        return geometry
    start, end = _known(rows, "invert_from_m"), _known(rows, "invert_to_m")
    if start is None or end is None:
        return geometry
    usable = flat & (shapely.get_type_id(geometry) == 1) & np.isfinite(start) & np.isfinite(end)
    if usable.any():
        geometry = geometry.copy()
        geometry[usable] = _sloped(geometry[usable], start[usable], end[usable])
    return geometry


def _known(rows: pa.Table, name: str) -> np.ndarray | None:
    return rows.column(name).to_numpy(zero_copy_only=False).astype(float) if name in rows.column_names else None


def _point_heights(rows: pa.Table) -> np.ndarray | None:
    """The heights (n,) of points from their fields, NaN where unknown; None where no field tells them."""
    z, ground, depth = _known(rows, "invert_m"), _known(rows, "ground_m"), _known(rows, "depth_m")
    if ground is not None and depth is not None:
        return ground - depth if z is None else np.where(np.isnan(z), ground - depth, z)
    return ground if z is None else z


def _sloped(lines: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Lines (n,) with heights running straight from `start` to `end` along their length."""
    points, owner = shapely.get_coordinates(lines, return_index=True)
    step = np.r_[0.0, np.hypot(*np.diff(points, axis=0).T)]
    first = np.r_[True, owner[1:] != owner[:-1]]
    step[first] = 0.0
    run = np.cumsum(step)
    run -= run[first][owner]
    total = np.maximum(shapely.length(lines), 1e-300)[owner]
    z = start[owner] + (end - start)[owner] * run / total
    return shapely.linestrings(np.column_stack([points, z]), indices=owner)
