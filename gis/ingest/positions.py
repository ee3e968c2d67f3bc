"""Positions in tables: which columns hold them, whether they are degrees, and the geometry of a batch of rows.

A position is a WKT column, a pair of coordinate columns, or two pairs (the ends of a line).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely

from gis.errors import SourceError
from gis.ingest import wkb
from gis.ingest.read import Batch
from gis.ingest.values import numbers, plain
from gis.ingest.wanted import Notes, Wanted

_WKT = ("wkt", "geometry", "geom", "the_geom", "几何", "图形")
_ENDS = (
    ("起点X", "起点X坐标", "起点经度", "x1", "start_x", "from_x", "start_lon", "from_lon"),
    ("起点Y", "起点Y坐标", "起点纬度", "y1", "start_y", "from_y", "start_lat", "from_lat"),
    ("终点X", "终点X坐标", "终点经度", "x2", "end_x", "to_x", "end_lon", "to_lon"),
    ("终点Y", "终点Y坐标", "终点纬度", "y2", "end_y", "to_y", "end_lat", "to_lat"),
)
"""The columns of a line table that gives both ends: x and y of the start, x and y of the end."""


@dataclass(frozen=True)
class Where:
    """The columns that hold the position: none, one (WKT), two (a point's x and y) or four (a line's ends)."""

    columns: tuple[str, ...] = ()

    @property
    def survey_axes(self) -> bool:
        """Whether they are called X and Y, which in survey tables mean northing and easting."""
        letters = {plain(c).removesuffix("坐标").strip("起终点12")[-1:] for c in self.columns}
        degrees = any(mark in plain(c) for c in self.columns for mark in ("lon", "lat", "经", "纬"))
        return len(self.columns) > 1 and letters == {"x", "y"} and not degrees


def where(path: Path, names: Sequence[str], layer: Wanted) -> Where:
    """The columns of a table that hold positions. Raises SourceError where there are none, unless none are wanted."""
    if not layer.positions:
        return Where()
    by_plain = {plain(name): name for name in reversed(names)}

    def first(wanted: Sequence[str]) -> str | None:
        return next((by_plain[plain(w)] for w in wanted if plain(w) in by_plain), None)

    wkt, ends = first(_WKT), tuple(first(wanted) for wanted in _ENDS)
    point = first(layer.source.lon), first(layer.source.lat)
    if wkt is not None:
        return Where((wkt,))
    if layer.dimension == 1 and None not in ends:
        return Where(ends)
    if None not in point:
        return Where(point)
    lines = ", or 起点X, 起点Y, 终点X and 终点Y" if layer.dimension == 1 else ""
    raise SourceError(
        f"{path.name} has no columns with coordinates; its columns are {', '.join(names[:30])}",
        remedy=f"Name them {layer.source.lon[0]} and {layer.source.lat[0]}{lines}, or give a column WKT",
    )


def declared(path: Path, at: Where, sample: pa.Table, crs: str | int | None, layer: Wanted, findings: Notes) -> str | None:
    """`EPSG:4490` where nobody says a CRS and the first rows' coordinates are degrees, which is reported; else None."""
    if crs is not None or layer.source.crs is not None or not at.columns or not sample.num_rows:
        return None
    made, _, _ = geometry(sample, at)
    bounds = shapely.bounds(wkb.shapes(made)[0])
    x, y = bounds[:, 2], bounds[:, 3]
    known = np.isfinite(x) & np.isfinite(y)
    if known.any() and np.mean((np.abs(x[known]) <= 180) & (np.abs(y[known]) <= 180)) > 0.9:
        from gis import crs as reference  # brings PROJ, which only this needs

        message = f"{path.name} declares no CRS; its coordinates are degrees, taken as EPSG:{reference.STORED}"
        findings.add(layer.id, "CRS01", "info", message)
        return f"EPSG:{reference.STORED}"
    return None


def batch(table: pa.Table, row_numbers: np.ndarray, at: Where) -> Batch:
    """A table's rows with their geometry; the position's columns are taken out."""
    if not at.columns:
        return Batch(table, row_numbers)
    made, broken, texts = geometry(table, at)
    return Batch(table.drop_columns(list(at.columns)), row_numbers, made, broken, texts)


def geometry(table: pa.Table, at: Where) -> tuple[pa.Array, np.ndarray, list[str]]:
    """WKB of all rows, null where there is no position; which positions cannot be understood, and their texts."""
    if len(at.columns) == 1:
        texts = table.column(at.columns[0]).to_numpy(zero_copy_only=False)
        shapes = _shapes(texts)
        broken = shapely.is_missing(shapes) & np.array([t is not None for t in texts], dtype=bool)
        return wkb.of(shapes), broken, [str(t) for t in texts[broken]]
    read = [numbers(_whole(table.column(c))) for c in at.columns]
    values = np.column_stack([v.to_numpy(zero_copy_only=False).astype(float) for v, _ in read])
    missing = ~np.isfinite(values).all(axis=1)
    broken = missing & np.logical_or.reduce([bad for _, bad in read])
    marked = [table.column(c).filter(pa.array(broken)).to_pylist() for c in at.columns]
    raw = [", ".join(map(str, parts)) for parts in zip(*marked, strict=True)]
    if len(at.columns) == 2:
        return wkb.points(values[:, 0], values[:, 1], missing=missing), broken, raw
    shapes = np.full(len(values), None, dtype=object)
    shapes[~missing] = shapely.linestrings(values[~missing].reshape(-1, 2, 2))
    return wkb.of(shapes), broken, raw


def _shapes(texts: np.ndarray) -> np.ndarray:
    """Shapely objects of WKT, None where it is none or a curve."""
    try:
        return shapely.from_wkt(texts, on_invalid="ignore")
    except RuntimeError:
        found = np.full(len(texts), None, dtype=object)
        for i, text in enumerate(texts):
            with contextlib.suppress(RuntimeError):
                found[i] = shapely.from_wkt(text, on_invalid="ignore")
        return found


def _whole(column: pa.ChunkedArray) -> pa.Array:
    column = column.combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
