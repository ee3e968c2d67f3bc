"""Tables of a layer column by column: a pandas frame or an Arrow table, read without an object per value.

Text stays in Arrow (one buffer, hash joins, order of bytes); numbers, flags and coordinates become arrays. Geometry is one array of
vertices cut by offsets, whatever it came as: shapely objects of a frame or (E)WKB of an Arrow table.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely

_LITTLE, _SRID, _Z = 1, 0x20000000, 0x80000000
_POINT, _LINE = 1, 2


class Columns:
    """The rows of a table in some order; a column that is not there is empty."""

    def __init__(self, table: pd.DataFrame | pa.Table, rows: np.ndarray | None = None):
        self._table, self._rows = table, rows
        self._arrow = isinstance(table, pa.Table)
        self._texts: dict[str, pa.Array] = {}

    def __len__(self) -> int:
        return len(self._table) if self._rows is None else len(self._rows)

    def __contains__(self, column: str) -> bool:
        return column in (self._table.column_names if self._arrow else self._table)

    def take(self, rows: np.ndarray) -> Columns:
        """Some rows (indices, or a mask) in this order."""
        if rows.dtype == bool:
            if rows.all():
                return self
            rows = np.flatnonzero(rows)
        return Columns(self._table, rows if self._rows is None else self._rows[rows])

    def sorted(self, column: str) -> Columns:
        """The rows in the order of the bytes of a text column: the same everywhere, whatever the locale."""
        order = byte_order(self.text(column))
        return self if np.array_equal(order, np.arange(len(order))) else self.take(order)

    def text(self, column: str) -> pa.Array:
        """A text column; empty text and missing values are null."""
        if column not in self._texts:
            self._texts[column] = self._text(column)
        return self._texts[column]

    def _text(self, column: str) -> pa.Array:
        if column not in self:
            return pa.nulls(len(self), pa.string())
        values = one(self._table[column]) if self._arrow else pa.array(self._table[column].astype(object), pa.string(), from_pandas=True)
        values = values if self._rows is None else values.take(pa.array(self._rows))
        empty = pc.fill_null(pc.equal(values, ""), False)
        return pc.if_else(empty, None, values) if pc.any(empty).as_py() else values

    def dates(self, column: str) -> pa.Array:
        """A column of an Arrow table as text, whatever its type."""
        if column not in self:
            return pa.nulls(len(self), pa.string())
        values = one(self._table[column]).cast(pa.string())
        return values if self._rows is None else values.take(pa.array(self._rows))

    def numbers(self, column: str, missing: float = 0.0) -> np.ndarray:
        """A column as float64, `missing` where there is no value."""
        if column not in self:
            return np.full(len(self), missing)
        values = self._table[column]
        if self._arrow:
            values = one(values).cast(pa.float64()).to_numpy(zero_copy_only=False)
        else:
            values = pd.to_numeric(values, errors="coerce").to_numpy(float, na_value=np.nan)
        return np.nan_to_num(self._chosen(values), nan=missing)

    def flags(self, column: str, default: bool) -> np.ndarray:
        """A column as bool, `default` where it is missing."""
        if column not in self:
            return np.full(len(self), default)
        values = self._table[column]
        if self._arrow:
            return self._chosen(one(values).fill_null(default).to_numpy(zero_copy_only=False))
        values = values.astype(object)
        return self._chosen(values.where(values.notna(), default).astype(bool).to_numpy())

    @cached_property
    def drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """The vertices of all rows (n, 2), and where each row's begin (rows + 1)."""
        if "geometry" not in self:
            return np.zeros((0, 2)), np.zeros(len(self) + 1, np.int64)
        if self._arrow:
            xy, at = from_wkb(one(self._table["geometry"]))
        else:
            xy, owner = shapely.get_coordinates(np.asarray(self._table["geometry"], dtype=object), return_index=True)
            at = _starts(np.bincount(owner, minlength=len(self._table)))
        if self._rows is None:
            return xy, at
        size = at[self._rows + 1] - at[self._rows]
        return xy[_spread(at[self._rows], size)], _starts(size)

    def points(self, last: bool = False) -> np.ndarray:
        """The first (or last) vertex of each row, NaN where there is none; (n, 2)."""
        xy, at = self.drawn
        found = np.full((len(self), 2), np.nan)
        there = at[1:] > at[:-1]
        found[there] = xy[at[1:][there] - 1 if last else at[:-1][there]]
        return found

    def _chosen(self, values: np.ndarray) -> np.ndarray:
        return values if self._rows is None else values[self._rows]


def one(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece."""
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def byte_order(values: pa.Array) -> np.ndarray:
    """The indices that put texts in the order of their UTF-8 bytes; equal ones stay as they stand."""
    if not values.null_count and (len(values) < 2 or pc.all(pc.less_equal(values[:-1], values[1:])).as_py()):
        return np.arange(len(values))
    return pc.array_sort_indices(values).to_numpy().astype(np.int64)


def codes(values: pa.Array, keys: pa.Array) -> np.ndarray:
    """Where each text stands among the keys; -1 where it is missing or not among them; int32."""
    if values.null_count == len(values) or not len(keys):  # nothing to look up: no table of the keys is made
        return np.full(len(values), -1, np.int32)
    found = pc.index_in(values, value_set=keys.drop_null() if keys.null_count else keys, skip_nulls=True)
    return found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)


def fixed_width(values: pa.Array) -> np.ndarray:
    """Texts as UTF-8 bytes of one width, shape (n,); missing ones are empty."""
    values = one(values).cast(pa.binary()).fill_null(b"")
    if not len(values):
        return np.zeros(0, "S1")
    bounds, data = _bytes(values)
    size = np.diff(bounds)
    width = max(int(size.max()), 1)
    if size.min() == width:
        return data[bounds[0] : bounds[-1]].copy().view(f"S{width}")
    made = np.zeros((len(values), width), np.uint8)
    made[np.arange(width) < size[:, None]] = data[bounds[0] : bounds[-1]]
    return made.reshape(-1).view(f"S{width}")


def from_wkb(shapes: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The vertices (n, 2) of points and lines in (E)WKB, and where each row's begin."""
    bounds, data = _bytes(shapes)
    size = np.diff(bounds)
    drawn = np.flatnonzero(size > 0)
    count = np.zeros(len(shapes), np.int64)
    if not len(drawn):
        return np.zeros((0, 2)), _starts(count)
    if len(drawn) == len(shapes) and size.min() == size.max():
        alike = _alike(data[bounds[0] : bounds[-1]].reshape(len(shapes), size[0]))
        if alike is not None:
            return alike
    first = bounds[drawn].astype(np.int64)
    head = data[first[:, None] + np.arange(9)]
    kind = np.ascontiguousarray(head[:, 1:5]).view("<u4").ravel()
    if (head[:, 0] != _LITTLE).any() or (kind != kind[0]).any() or (kind[0] & 0xFF) not in (_POINT, _LINE) or kind[0] & 0xFFFFFF > 0xFF:
        return _by_shapely(shapes)
    start = first + (9 if kind[0] & _SRID else 5)
    width = 24 if kind[0] & _Z else 16
    count[drawn] = 1
    if (kind[0] & 0xFF) == _LINE:
        count[drawn] = np.ascontiguousarray(data[start[:, None] + np.arange(4)]).view("<u4").ravel()
        start = start + 4
    some = count[drawn]
    vertex = np.repeat(start, some) + (np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)) * width
    xy = np.lib.stride_tricks.sliding_window_view(data, 16)[vertex]
    return np.ascontiguousarray(xy).view("<f8"), _starts(count)


def _alike(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The vertices of shapes of one kind and one number of vertices, as points always are: one view, no gathering. None where the
    shapes only happen to be of one size, or are neither points nor lines."""
    kind = int.from_bytes(rows[0, 1:5].tobytes(), "little")
    if rows[0, 0] != _LITTLE or kind & 0xFF not in (_POINT, _LINE) or kind & 0xFFFFFF > 0xFF:
        return None
    start = 9 if kind & _SRID else 5
    width = 24 if kind & _Z else 16
    line = kind & 0xFF == _LINE
    some = int.from_bytes(rows[0, start : start + 4].tobytes(), "little") if line else 1
    head = start + 4 if line else start
    if rows.shape[1] != head + some * width or not some or (rows[:, :head] != rows[0, :head]).any():
        return None
    pairs = np.ascontiguousarray(rows[:, head:]).view("<f8").reshape(len(rows), some, width // 8)[:, :, :2]
    return pairs.reshape(-1, 2), np.arange(0, (len(rows) + 1) * some, some, dtype=np.int64)


def _by_shapely(shapes: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    made = shapely.from_wkb(np.array(shapes.to_pylist(), dtype=object))
    xy, owner = shapely.get_coordinates(made, return_index=True)
    return xy, _starts(np.bincount(owner, minlength=len(shapes)))


def _bytes(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The offsets and the bytes behind an Arrow column of bytes."""
    _, bounds, data = values.buffers()
    bounds = np.frombuffer(bounds, np.int32)[values.offset : values.offset + len(values) + 1]
    return bounds, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)


def _starts(size: np.ndarray) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(size))).astype(np.int64)


def _spread(start: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.repeat(start - (np.cumsum(size) - size), size) + np.arange(size.sum())
