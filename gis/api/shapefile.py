"""What a shapefile cannot hold, found before it is written: names above ten bytes, texts above 254, characters that its encoding lacks.

Nothing is lost in silence: a sheet beside the file says which field is which and which texts were changed, with the whole of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

NAME_BYTES = 10
"""Of a field's name (dBASE III)."""
TEXT_BYTES = 254
LISTED = 1000
"""Changed texts that are named; the others are counted."""
MISSING = "〓"
"""Stands for a character that the encoding lacks (the printers' mark for one that is not at hand); `?` might have been there."""


def short_names(names: list[str], encoding: str) -> list[str]:
    """Names cut to what a shapefile keeps, between characters, and still different from each other."""
    cut: list[str] = []
    for name in names:
        short, n = _cut(name, encoding, NAME_BYTES), 0
        while short.lower() in (other.lower() for other in cut):
            n += 1
            short = _cut(name, encoding, NAME_BYTES - len(f"_{n}")) + f"_{n}"
        cut.append(short)
    return cut


def _cut(text: str, encoding: str, most: int) -> str:
    return text.encode(encoding, "replace")[:most].decode(encoding, "ignore")


@dataclass
class Fitting:
    """Makes texts fit. `changed`: how many were changed; `listed`: the first of them as (key, field, the whole text)."""

    encoding: str
    key: str | None
    """The column that names a row, where it is in the file."""
    changed: int = 0
    listed: list[tuple[str, str, str]] = field(default_factory=list)

    def fitted(self, rows: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The batches under the names and types of `schema`, whose texts fit."""
        for batch in rows:
            columns = [column.cast(kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
            for at, name in enumerate(rows.schema.names):
                if pa.types.is_string(columns[at].type):
                    columns[at] = self._column(columns[at], name, batch)
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _column(self, texts: pa.StringArray, name: str, batch: pa.RecordBatch) -> pa.StringArray:
        different = pc.unique(texts)
        unfit = [text for text in different.to_pylist() if text is not None and self._fit(text) != text]
        if not unfit:
            return texts
        keys = batch.column(self.key).to_pylist() if self.key is not None else [None] * len(texts)
        which = pc.is_in(texts, pa.array(unfit, pa.string())).to_pylist()
        found = texts.to_pylist()
        for row in (row for row, hit in enumerate(which) if hit):
            self.changed += 1
            if len(self.listed) < LISTED:
                self.listed.append((str(keys[row] or ""), name, found[row]))
            found[row] = self._fit(found[row])
        return pa.array(found, pa.string())

    def _fit(self, text: str) -> str:
        try:
            written = text.encode(self.encoding)
        except UnicodeEncodeError:
            written = "".join(one if _has(self.encoding, one) else MISSING for one in text).encode(self.encoding)
        return written[:TEXT_BYTES].decode(self.encoding, "ignore")

    def sheet(self, titles: dict[str, str], short: dict[str, str]) -> str:
        """What lies beside the file, as Markdown. titles: of each column of the file; short: its name in the shapefile."""
        lines = [
            f"编码 / Encoding: {self.encoding}", "", "| 字段 / Field | 列 / Column | 标题 / Title |", "|---|---|---|",
            *(f"| {_cell(short[name])} | {_cell(name)} | {_cell(title)} |" for name, title in titles.items()), "",
        ]  # fmt: skip
        if self.changed:
            lines += [
                f"有 {self.changed} 处文字与平台中的不同：{self.encoding} 没有的字符写作 {MISSING}，长于 {TEXT_BYTES} 字节的被截断。"
                "原文如下；GeoPackage 能存全文。",
                f"{self.changed} texts differ from those of the platform: characters that {self.encoding} lacks are written {MISSING}, and "
                f"what is longer than {TEXT_BYTES} bytes is cut. The first {len(self.listed)} in full; a GeoPackage holds all of them.",
                "", "| 行 / Row | 列 / Column | 原文 / Text |", "|---|---|---|",
                *(f"| {' | '.join(map(_cell, one))} |" for one in self.listed), "",
            ]  # fmt: skip
        return "\n".join(lines)


def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
