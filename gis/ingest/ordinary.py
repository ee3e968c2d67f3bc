"""Geometries as the layers know them: points, lines, polygons and their collections, flat or with Z.

Measures (M) are left out, arcs are drawn as lines, surfaces become the polygons that they are made of.
"""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa

from gis.ingest import curves, wkb

_Z, _M = 0x80000000, 0x40000000
_SRID = 0x20000000
_BECOMES = {8: 2, 9: 2, 10: 3, 11: 5, 12: 6, 13: 5, 14: 6, 15: 6, 16: 6, 17: 3}
"""Circular string and compound curve as line, curve polygon and triangle as polygon, multicurve as multiline, multisurface, polyhedral
surface and TIN as multipolygon (type numbers of ISO 13249-3 and OGC 06-103r4)."""
_POINT, _LINE, _POLYGON, _CIRCULAR, _COMPOUND, _CURVE_POLYGON, _TRIANGLE = 1, 2, 3, 8, 9, 10, 17
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
    head = struct.pack("<BI", 1, _BECOMES.get(base, base) + (1000 if z else 0))
    if base == _POINT:
        points, at = _points(data, at, 1, *shape)
        return head + points.tobytes(), at, m
    (n,) = struct.unpack_from(order + "I", data, at)
    at += 4
    if base in (_LINE, _CIRCULAR):
        points, at = _points(data, at, n, *shape)
        return head + _counted(curves.drawn(points) if base == _CIRCULAR else points), at, m
    parts = []
    for _ in range(n):
        if base in (_POLYGON, _TRIANGLE):
            (count,) = struct.unpack_from(order + "I", data, at)
            points, at = _points(data, at + 4, count, *shape)
            parts.append(_counted(points))
        else:
            inner, at, _ = _geometry(data, at, depth + 1)
            parts.append(inner[5:] if base in (_COMPOUND, _CURVE_POLYGON) else inner)
    if base == _COMPOUND:
        return head + _joined(parts, 2 + z), at, m
    return head + struct.pack("<I", n) + b"".join(parts), at, m


def _points(data: bytes, at: int, n: int, order: str, given: int, kept: int) -> tuple[np.ndarray, int]:
    end = at + 8 * n * given
    if end > len(data):
        raise ValueError("cut off")
    found = np.frombuffer(data, order + "f8", n * given, at).reshape(n, given)
    return found[:, :kept].astype("<f8"), end


def _counted(points: np.ndarray) -> bytes:
    return struct.pack("<I", len(points)) + np.ascontiguousarray(points, "<f8").tobytes()


def _joined(parts: list[bytes], dimension: int) -> bytes:
    """Lines end to end as one: the end of each is the start of the next."""
    lines = [np.frombuffer(part, "<f8", offset=4).reshape(-1, dimension) for part in parts]
    lines = [line if i == 0 or not len(lines[i - 1]) else line[1:] for i, line in enumerate(lines)]
    return _counted(np.vstack(lines)) if lines else struct.pack("<I", 0)
