"""Arrow columns as the rows of PostgreSQL's COPY BINARY: one contiguous run of bytes, made column by column.

A row is the number of its columns (16 bits), then for each column the length of its value (32 bits, -1 for NULL) and the value, all
big-endian (PostgreSQL manual, COPY, "Binary Format").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_DAY_ZERO = 10_957
"""2000-01-01, from which PostgreSQL counts days, in days since 1970."""
_EMPTY_LIST = bytes(8) + (25).to_bytes(4, "big")
_TEXT_OID = 25


class Copy:
    """A file of COPY BINARY for `copy_expert`, read straight from the memory of the encoded rows."""

    def __init__(self, body: memoryview):
        self._parts, self._at = [memoryview(_HEAD), body, memoryview(_TAIL)], 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        while self._parts:
            part = self._parts[0]
            if self._at < len(part):
                taken = part[self._at :] if size < 0 else part[self._at : self._at + size]
                self._at += len(taken)
                return bytes(taken)
            self._parts.pop(0)
            self._at = 0
        return b""


def rows(columns: Sequence[pa.Array]) -> memoryview:
    """The rows of these columns (each n long: texts, integers as 64 bits, floats, booleans, dates, moments in UTC, lists of texts,
    binary as it is) as bytes."""
    pieces: list[pa.Array | bytes] = [len(columns).to_bytes(2, "big")]
    for column in columns:
        for piece in _pieces(column):
            if isinstance(piece, bytes) and isinstance(pieces[-1], bytes):
                pieces[-1] += piece
            else:
                pieces.append(piece)
    joined = pc.binary_join_element_wise(
        *(pa.scalar(p, pa.binary()) if isinstance(p, bytes) else p for p in pieces), b"", null_handling="replace", null_replacement=b""
    )
    if isinstance(joined, pa.Scalar):
        return memoryview(joined.as_py() * len(columns[0]))
    if not len(joined):
        return memoryview(b"")
    ends = np.frombuffer(joined.buffers()[1], np.int32)[joined.offset : joined.offset + len(joined) + 1]
    return memoryview(joined.buffers()[2])[int(ends[0]) : int(ends[-1])]


def _pieces(column: pa.Array) -> list[pa.Array | bytes]:
    """A column's values with their lengths in front."""
    if column.null_count == len(column):
        return [_NULL]
    kind = column.type
    if pa.types.is_list(kind):
        column = _lists(column)
    elif pa.types.is_string(kind):
        column = column.cast(pa.binary())
    if pa.types.is_binary(column.type):
        lengths = pc.fill_null(pc.binary_length(column), -1).to_numpy(zero_copy_only=False)
        return [_fixed(lengths.astype(">i4")), column]
    values, width = _numbers(column), 1 if pa.types.is_boolean(kind) else 4 if pa.types.is_date(kind) else 8
    head = np.full((len(column), 4), np.frombuffer(width.to_bytes(4, "big"), np.uint8), np.uint8)
    body = values.view(np.uint8).reshape(len(column), width)
    if not column.null_count:
        return [_fixed(np.hstack([head, body]))]
    missing = column.is_null().to_numpy(zero_copy_only=False)
    head[missing] = 255
    return [_fixed(head), _fixed(body, ~missing)]


def _numbers(column: pa.Array) -> np.ndarray:
    """The values (n,) in the bytes that PostgreSQL receives; what stands for null does not matter."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return pc.fill_null(column, False).to_numpy(zero_copy_only=False).astype("u1")
    if pa.types.is_date(kind):
        return (pc.fill_null(column.cast(pa.int32()), 0).to_numpy(zero_copy_only=False) - _DAY_ZERO).astype(">i4")
    if pa.types.is_timestamp(kind):
        moments = pc.fill_null(column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        return (moments - _DAY_ZERO * 86_400_000_000).astype(">i8")
    if pa.types.is_floating(kind):
        return pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False).astype(">f8")
    return pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(">i8")


def _fixed(values: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """The bytes of an array, cut into n values of the same width."""
    n = len(values)
    width = values.nbytes // n
    offsets = pa.py_buffer(np.arange(0, (n + 1) * width, width, dtype=np.int32))
    mask = None if valid is None else pa.array(valid).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), n, [mask, offsets, pa.py_buffer(np.ascontiguousarray(values))])


def _lists(column: pa.Array) -> pa.Array:
    """Lists of texts as one-dimensional arrays of text in their binary form."""
    head = bytes.fromhex("0000000100000000") + _TEXT_OID.to_bytes(4, "big")

    def array(texts: list[str] | None) -> bytes | None:
        if not texts:
            return None if texts is None else _EMPTY_LIST
        encoded = [t.encode() for t in texts]
        return head + len(encoded).to_bytes(4, "big") + b"\0\0\0\1" + b"".join(len(t).to_bytes(4, "big") + t for t in encoded)

    return pa.array([array(texts) for texts in column.to_pylist()], pa.binary())
