"""In which encoding a delivery's texts are: found by trying to decode its bytes, never by statistics."""

from __future__ import annotations

import struct
from functools import cached_property
from pathlib import Path

import numpy as np

from gis.errors import SourceError

GB18030 = "GB18030"
"""The superset of GB2312 and GBK: what undeclared Chinese files are decoded with."""
_CANDIDATES = ("UTF-8", GB18030)
_SAMPLE = 64 << 20


def canonical(name: str) -> str:
    """The name under which an encoding is used here: every Chinese code page becomes GB18030.

    Raises SourceError for a name that no codec has.
    """
    key = name.strip().upper().replace("_", "-").replace(" ", "")
    if key in {"GBK", "CP936", "936", "GB2312", "EUC-CN", "GB18030", "ANSI936", "ANSI-936", "OEM936", "WINDOWS-936"}:
        return GB18030
    if key in {"UTF8", "UTF-8", "65001", "UTF-8-SIG"}:
        return "UTF-8"
    try:
        "".encode(key)
    except LookupError:
        raise SourceError(f"unknown encoding {name[:40]!r}", remedy="Use GBK, GB18030 or UTF-8") from None
    return key


def of_text(path: Path, raw: bytes | None = None) -> str:
    """The encoding of a text file: by its byte-order mark, else UTF-8 where every byte agrees, else GB18030.

    `raw` is the start of the text where the file itself is compressed. Raises SourceError where none fits.
    """
    if raw is None:
        with path.open("rb") as file:
            raw = file.read(_SAMPLE)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    for candidate in _CANDIDATES:
        if _decodes(raw, candidate):
            return candidate
    raise SourceError(
        f"the text of {path.name} is neither UTF-8 nor GB18030", remedy="Say which encoding it is in (--encoding), or export it as UTF-8"
    )


def as_utf8(path: Path, encoding: str, folder: Path | None) -> Path:
    """A copy of a text file in UTF-8 in `folder`. Raises SourceError where a byte is not of the encoding."""
    target = (folder or path.parent) / f"utf-8-{path.name}"
    try:
        with path.open(encoding=encoding, newline="") as source, target.open("w", encoding="utf-8", newline="") as file:
            while chunk := source.read(1 << 20):
                file.write(chunk)
    except UnicodeDecodeError:
        raise SourceError(f"the text of {path.name} is not {encoding} to its end", remedy="Write it again as UTF-8") from None
    return target


def _decodes(raw: bytes, encoding: str) -> bool:
    """Whether the bytes are valid; of a long text, which may be but the beginning, the last character may be cut off."""
    for cut in range(4 if len(raw) >= 4096 else 1):
        try:
            raw[: len(raw) - cut].decode(encoding)
        except UnicodeDecodeError as error:
            if error.start < len(raw) - 8:
                return False
        else:
            return True
    return False


class Dbf:
    """The header of a dBase file: `rows`, `complete` (all announced rows are there), and its character fields' bytes."""

    def __init__(self, path: Path):
        self.path = path
        with path.open("rb") as file:
            head = file.read(32)
            if len(head) < 32:
                raise SourceError(f"{path.name} is cut off", remedy="Deliver the complete file")
            self.rows, self.start, self.width = struct.unpack("<IHH", head[4:12])
            self.language = head[29]
            fields = file.read(max(0, self.start - 32))
        self.fields: list[tuple[bytes, str, int, int]] = []
        self._decimals: list[int] = []
        offset = 1
        for i in range(0, len(fields) - 31, 32):
            if fields[i] == 0x0D:
                break
            name, kind, width = fields[i : i + 11].split(b"\0")[0], chr(fields[i + 11]), fields[i + 16]
            self.fields.append((name, kind, offset, width))
            self._decimals.append(fields[i + 17])
            offset += width
        self.complete = path.stat().st_size >= self.start + self.rows * self.width
        self.sound = self.width >= 1 and offset <= self.width + 1 and self.start >= 33

    def described(self) -> list[tuple[bytes, str, int, int, int]]:
        """Name, type, start, width and decimals of each field."""
        return [(*field, decimals) for field, decimals in zip(self.fields, self._decimals, strict=True)]

    def living(self) -> int:
        """The rows that are not marked as deleted."""
        if not self.sound or not self.rows:
            return 0
        rows = np.memmap(self.path, np.uint8, "r", self.start, (self.rows, self.width))
        return int(np.count_nonzero(rows[:, 0] != ord("*")))

    @cached_property
    def sample(self) -> list[bytes]:
        """The distinct values of the character fields and the field names, trailing blanks removed; of the first rows."""
        return self.texts()

    def texts(self, limit: int = 200_000) -> list[bytes]:
        """The same of at most `limit` rows."""
        names = [name for name, *_ in self.fields]
        if not self.sound or not self.rows:
            return names
        rows = min(self.rows, limit, max(1, _SAMPLE // self.width))
        with self.path.open("rb") as file:
            file.seek(self.start)
            body = np.frombuffer(file.read(rows * self.width), dtype=np.uint8)
        table = body[: len(body) // self.width * self.width].reshape(-1, self.width)
        values = []
        for _, kind, offset, width in self.fields:
            if kind == "C" and width:
                column = np.ascontiguousarray(table[:, offset : offset + width]).view(f"S{width}").ravel()
                foreign = np.any(table[:, offset : offset + width] > 127, axis=1)
                values.extend({v.rstrip(b" \0") for v in set(column[foreign].tolist())})  # a set: sorting takes ten times as long
        return names + values


def of_dbf(dbf: Dbf) -> tuple[str | None, bool]:
    """(encoding, ambiguous) of a dBase file by trial decoding; None where it is plain ASCII. A last character may be cut off by the
    field's width. Ambiguous where the bytes are valid in UTF-8 and in GB18030 (UTF-8 is then taken: chance makes few such texts)."""
    texts = [text for text in dbf.sample if not text.isascii()]
    if not texts:
        return None, False
    fitting = [candidate for candidate in _CANDIDATES if _all_decode(texts, candidate)]
    if not fitting:
        raise SourceError(
            f"the texts of {dbf.path.name} are neither UTF-8 nor GB18030", remedy="Say which encoding they are in (--encoding)"
        )
    return fitting[0], len(fitting) > 1


def _decodes_field(text: bytes, encoding: str) -> bool:
    for cut in range(4):
        try:
            text[: len(text) - cut].decode(encoding)
            return True
        except UnicodeDecodeError as error:
            if error.start < len(text) - 4:
                return False
    return False


def fits(dbf: Dbf, encoding: str) -> bool:
    """Whether all texts of a dBase file are valid in an encoding."""
    return _all_decode(dbf.sample, encoding)


def _all_decode(texts: list[bytes], encoding: str) -> bool:
    """Whether every text is valid, at most its last character cut off; all at once where none is cut off."""
    try:
        return b"\0".join(texts).decode(encoding) is not None
    except UnicodeDecodeError:
        return all(_decodes_field(text, encoding) for text in texts)
