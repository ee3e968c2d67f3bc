"""The rows of a dBase file as Arrow columns, a batch at a time: blanks cut, texts decoded once per distinct value.

GDAL converts each value by itself; a delivery has the same road and community in thousands of rows. A value that is not of its
column's type leaves its column as texts, so that it is reported with what it says instead of becoming zero or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gis.errors import SourceError
from gis.ingest.encoding import Dbf

_READ = frozenset("CNFDL")
_STARS = r"^[*?]+$"
"""What dBase programs write for a number that does not fit, or is unknown."""


@dataclass(frozen=True)
class Field:
    """A column: its name, dBase type, and where its bytes are in a row."""

    name: str
    kind: str
    start: int
    width: int
    whole: bool


class Rows:
    """The rows of a dBase file in an encoding; `living` (n,) marks those that are not deleted."""

    def __init__(self, dbf: Dbf, encoding: str):
        self.encoding = encoding
        count = dbf.rows if dbf.sound else 0
        self.bytes = np.memmap(dbf.path, np.uint8, "r", dbf.start, (count, dbf.width)) if count else np.empty((0, 1), np.uint8)
        self.fields = _fields(dbf, encoding)
        self.living = self.bytes[:, 0] != ord("*")

    @property
    def names(self) -> list[str]:
        return [field.name for field in self.fields]

    def table(self, numbers: np.ndarray) -> pa.Table:
        """The rows of these numbers (0-based, rising)."""
        first, last = (int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else (0, 0)
        rows = self.bytes[first:last] if last - first == len(numbers) else self.bytes[numbers]
        columns = [self._column(rows, field) for field in self.fields]
        return pa.Table.from_arrays(columns, names=self.names) if columns else pa.table({"": pa.nulls(len(numbers))}).select([])

    def _column(self, rows: np.ndarray, field: Field) -> pa.Array:
        raw = _before_zero(_trimmed(rows[:, field.start : field.start + field.width]))
        match field.kind:
            case "N" | "F":
                return _numbers(raw, field.whole) if _ascii(raw) else self._texts(raw)
            case "D":
                return _dates(raw) if _ascii(raw) else self._texts(raw)
            case "L":
                return _truths(raw) if _ascii(raw) else self._texts(raw)
        return self._texts(raw)

    def _texts(self, raw: pa.StringArray) -> pa.Array:
        """Texts of bytes; a last character that the column's width cut in two is left out."""
        if self.encoding == "UTF-8" or _ascii(raw):
            try:
                raw.validate(full=True)
                return raw
            except pa.ArrowInvalid:
                pass
        distinct = pc.dictionary_encode(raw.cast(pa.binary()))
        return pa.array(_decoded(distinct.dictionary.to_pylist(), self.encoding), pa.string()).take(distinct.indices)


def readable(dbf: Dbf) -> bool:
    """Whether all of a file's columns are of the types that are read here."""
    return all(kind in _READ and width for _, kind, _, width in dbf.fields)


def _fields(dbf: Dbf, encoding: str) -> list[Field]:
    found = []
    for name, kind, start, width, decimals in dbf.described():
        found.append(Field(name.decode(encoding, "ignore").strip(), kind, start, width, decimals == 0 and width <= 18))
    return found


def _trimmed(column: np.ndarray) -> pa.StringArray:
    """A matrix of bytes (n, width) as values without the blanks at their ends, null where nothing is left. Not yet decoded: the bytes are
    only called texts, so that Arrow cuts blanks off them."""
    n, width = column.shape
    offsets = pa.py_buffer(np.arange(0, (n + 1) * width, width, dtype=np.int32))
    texts = pa.StringArray.from_buffers(n, offsets, pa.py_buffer(np.ascontiguousarray(column)))
    texts = pc.ascii_rtrim(texts, characters=" ")
    _, ends, data = texts.buffers()
    given = np.diff(np.frombuffer(ends, np.int32)[: n + 1]) > 0
    return texts if given.all() else pa.StringArray.from_buffers(n, ends, data, pa.array(given).buffers()[1])


def _data(texts: pa.StringArray) -> np.ndarray:
    return np.frombuffer(texts.buffers()[2] or b"", np.uint8)


def _ascii(texts: pa.StringArray) -> bool:
    data = _data(texts)
    return not len(data) or int(data.max()) < 128


def _before_zero(texts: pa.StringArray) -> pa.StringArray:
    """What stands before a zero byte, which ends a text for many programs."""
    data = _data(texts)
    if not len(data) or int(data.min()) > 0:
        return texts
    cut = [None if v is None else v.split(b"\0")[0].rstrip(b" ") or None for v in texts.cast(pa.binary()).to_pylist()]
    return pa.array(cut, pa.binary()).view(pa.string())


def _decoded(values: list[bytes], encoding: str) -> list[str]:
    try:
        texts = b"\0".join(values).decode(encoding).split("\0")
        if len(texts) == len(values):
            return texts
    except UnicodeDecodeError:
        pass
    return [value.decode(encoding, "ignore") for value in values]


def _numbers(raw: pa.StringArray, whole: bool) -> pa.Array:
    plain = pc.ascii_trim_whitespace(raw)
    for kind in (pa.int64(), pa.float64()) if whole else (pa.float64(),):
        try:
            return plain.cast(kind)
        except pa.ArrowInvalid:
            continue
    known = pc.if_else(pc.match_substring_regex(plain, _STARS), pa.scalar(None, pa.string()), plain)
    known = pc.if_else(pc.equal(known, ""), pa.scalar(None, pa.string()), known)
    short = pc.replace_substring_regex(known, r"([eE][+-]?)0+([0-9])", r"\1\2")  # 0.0e+000, as Windows writes it
    try:
        return short.cast(pa.float64())
    except pa.ArrowInvalid:
        return known


def _dates(raw: pa.StringArray) -> pa.Array:
    known = pc.if_else(pc.match_substring_regex(raw, r"^[0\s]*$"), pa.scalar(None, pa.string()), raw)
    read = pc.strptime(known, format="%Y%m%d", unit="s", error_is_null=True)
    again = pc.strftime(read, format="%Y%m%d")
    sound = read.null_count == known.null_count and pc.all(pc.fill_null(pc.equal(again, known), True)).as_py()
    return read.cast(pa.date32()) if sound else known


def _truths(raw: pa.StringArray) -> pa.Array:
    upper = pc.ascii_upper(raw)
    yes, no = pc.is_in(upper, pa.array(["T", "Y", "1"])), pc.is_in(upper, pa.array(["F", "N", "0"]))
    known = pc.or_(yes, no)
    unknown = pc.fill_null(pc.equal(upper, "?"), True)
    if not pc.all(pc.or_(known, unknown)).as_py():
        return raw
    return pc.if_else(known, yes, pa.scalar(None, pa.bool_()))


def opened(path: Path) -> Dbf:
    """The header of a dBase file. Raises SourceError where it is cut off."""
    try:
        return Dbf(path)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be opened: {error.strerror}", remedy="Check its permissions") from None
