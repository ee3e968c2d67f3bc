"""Positions as Arrow arrays of WKB: made from coordinates, read into coordinates or shapely objects.

Points are handled as plain memory: a little-endian WKB point is 21 bytes (29 with Z), so a column of them is a matrix of bytes.
"""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

_FLAT, _HIGH = 21, 29
_FLAT_HEAD = np.frombuffer(bytes.fromhex("0101000000"), np.uint8)
_HIGH_HEADS = (
    np.frombuffer(bytes.fromhex("01e9030000"), np.uint8),  # ISO: type 1001
    np.frombuffer(bytes.fromhex("0101000080"), np.uint8),  # extended: the flag of Z
)


def of(geometry: np.ndarray) -> pa.Array:
    """Shapely objects (n,), None allowed, as WKB (ISO, little-endian; x before y, Z kept), null where there is none."""
    return pa.array(shapely.to_wkb(np.asarray(geometry, dtype=object), flavor="iso"), pa.binary())


def points(x: np.ndarray, y: np.ndarray, z: np.ndarray | None = None, *, missing: np.ndarray | None = None) -> pa.Array:
    """Points from coordinates (n,) as WKB; null where `missing`."""
    width = _FLAT if z is None else _HIGH
    made = np.empty((len(x), width), np.uint8)
    made[:, :5] = _FLAT_HEAD if z is None else _HIGH_HEADS[0]
    coordinates = np.column_stack([x, y] if z is None else [x, y, z]).astype("<f8", copy=False)
    made[:, 5:] = coordinates.view(np.uint8).reshape(len(x), width - 5)
    offsets = pa.py_buffer(np.arange(0, (len(x) + 1) * width, width, dtype=np.int32))
    valid = None if missing is None or not missing.any() else pa.array(~missing).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), len(x), [valid, offsets, pa.py_buffer(made)])


def coordinates(column: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
    """x, y, z (n,) of a column that holds nothing but little-endian points of one kind, z None where they are flat; None for any
    other column. Missing geometries are allowed and NaN."""
    column = plain(column)
    lengths = pc.unique(pc.drop_null(pc.binary_length(column))).to_pylist()
    if len(lengths) != 1 or lengths[0] not in (_FLAT, _HIGH):
        return None
    width = lengths[0]
    present = column.drop_null() if column.null_count else column
    matrix = _matrix(present, width)
    heads = (_FLAT_HEAD,) if width == _FLAT else _HIGH_HEADS
    if not any((matrix[:, :5] == head).all() for head in heads):
        return None
    found = np.ascontiguousarray(matrix[:, 5:]).view("<f8")
    if column.null_count:
        whole = np.full((len(column), found.shape[1]), np.nan)
        whole[column.is_valid().to_numpy(zero_copy_only=False)] = found
        found = whole
    return found[:, 0], found[:, 1], found[:, 2] if width == _HIGH else None


def shapes(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Shapely objects (n,), None where there is none, and a mask of those whose bytes are no geometry."""
    column = plain(column)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        geometry = shapely.from_wkb(column.to_numpy(zero_copy_only=False), on_invalid="ignore")
    return geometry, column.is_valid().to_numpy(zero_copy_only=False) & shapely.is_missing(geometry)


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    joined = column.combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.array([], column.type)


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One contiguous array of binary values with 32-bit offsets."""
    column = whole(column)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column if column.type == pa.binary() else column.cast(pa.binary())


def _matrix(column: pa.Array, width: int) -> np.ndarray:
    """The bytes of a column without nulls whose values all have this length: (n, width)."""
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    first = int(np.frombuffer(column.buffers()[1], np.int32)[column.offset]) if len(column) else 0
    return data[first : first + len(column) * width].reshape(len(column), width)


def with_srid(column: pa.Array, srid: int) -> pa.Array:
    """The geometries of a column made by `of` or `points` with the number of their CRS in them (EWKB)."""
    flagged = b"\x20" + srid.to_bytes(4, "little")
    end = pc.max(pc.binary_length(column)).as_py() or _FLAT
    return pc.binary_join_element_wise(pc.binary_slice(column, 0, 4), flagged, pc.binary_slice(column, 5, end), b"")
