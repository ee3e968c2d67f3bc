"""Geometries as the layers know them: points, lines, polygons and their collections, flat or with Z.

Measures (M) are left out, surfaces become the polygons that they are made of. GDAL has already turned curves into lines.
"""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa

from gis.ingest import wkb

_Z, _M = 0x80000000, 0x40000000
_SRID = 0x20000000
_SURFACES = {15: 6, 16: 6, 17: 3}
"""Polyhedral surface and TIN as multipolygon, triangle as polygon (ISO 19125-1, OGC 06-103r4)."""
_POINT, _LINE, _CIRCULAR, _POLYGON, _TRIANGLE = 1, 2, 8, 3, 17
_DEEPEST = 32


def ordinary(column: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, int]:
    """A column of WKB with nothing but ordinary geometries, and how many had measures that were left out. Bytes that are no geometry
    stay: they are found where they are mapped."""
    column = wkb.plain(column)
    strange = _strange(column)
    if not len(strange):
        return column, 0
    values = column.to_pylist()
    measured = 0
    for row in strange:
        try:
            made, _, has_m = _geometry(values[row], 0, 0)
        except (struct.error, ValueError, IndexError):
            continue
        values[row] = made
        measured += has_m
    return pa.array(values, pa.binary()), measured


def _strange(column: pa.Array) -> np.ndarray:
    """The rows (k,) whose type is neither 1–7 nor one of these with Z."""
    if not len(column):
        return np.empty(0, int)
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    rows = np.flatnonzero(np.diff(offsets) >= 5)
    at = offsets[:-1][rows]
    little = data[at] == 1
    parts = [data[at + 1 + i].astype(np.uint32) for i in range(4)]
    code = np.where(little, _u32(parts), _u32(parts[::-1]))
    base, thousands = (code & 0x0FFFFFFF) % 1000, (code & 0x0FFFFFFF) // 1000
    usual = (base >= 1) & (base <= 7) & (thousands <= 1) & (code & _M == 0)
    return rows[~usual]


def _u32(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] | (parts[1] << 8) | (parts[2] << 16) | (parts[3] << 24)


def _geometry(data: bytes, at: int, depth: int) -> tuple[bytes, int, bool]:
    """One geometry from a position on: its ordinary form, the position behind it, whether it had measures."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    order = "<" if data[at] == 1 else ">"
    (code,) = struct.unpack_from(order + "I", data, at + 1)
    at += 5
    if code & _SRID:
        at += 4
    thousands, base = divmod(code & 0x0FFFFFFF, 1000)
    z, m = bool(code & _Z) or thousands in (1, 3), bool(code & _M) or thousands in (2, 3)
    shape = (order, 2 + z + m, 2 + z)
    kind = _SURFACES.get(base, base)
    head = struct.pack("<BI", 1, kind + (1000 if z else 0))
    if base == _POINT:
        body, at = _points(data, at, 1, *shape)
        return head + body, at, m
    (n,) = struct.unpack_from(order + "I", data, at)
    at += 4
    body = [struct.pack("<I", n)]
    if base in (_LINE, _CIRCULAR):
        points, at = _points(data, at, n, *shape)
        return head + body[0] + points, at, m
    for _ in range(n):
        if base in (_POLYGON, _TRIANGLE):
            (count,) = struct.unpack_from(order + "I", data, at)
            points, at = _points(data, at + 4, count, *shape)
            body += [struct.pack("<I", count), points]
        else:
            inner, at, _ = _geometry(data, at, depth + 1)
            body.append(inner)
    return head + b"".join(body), at, m


def _points(data: bytes, at: int, n: int, order: str, given: int, kept: int) -> tuple[bytes, int]:
    end = at + 8 * n * given
    if end > len(data):
        raise ValueError("cut off")
    found = np.frombuffer(data, order + "f8", n * given, at).reshape(n, given)
    return found[:, :kept].astype("<f8").tobytes(), end
