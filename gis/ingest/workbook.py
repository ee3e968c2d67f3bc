"""Excel workbooks (.xlsx): one sheet as a table, streamed row by row; its header found below titles."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import openpyxl
import pyarrow as pa

from gis.errors import SourceError
from gis.ingest import archive, markup, positions
from gis.ingest.read import BATCH, Batch, Source
from gis.ingest.values import plain
from gis.ingest.wanted import Notes, Wanted

_ROWS, _COLUMNS = 1_048_576, 16_384
"""What Excel itself can hold."""
_HEADER_WITHIN = 20
_SAMPLE = 500
_BROKEN = (
    zipfile.BadZipFile, ElementTree.ParseError, KeyError, ValueError, TypeError, IndexError, AttributeError, OSError, EOFError,
    RuntimeError, UnicodeDecodeError, OverflowError,
)  # fmt: skip
"""What openpyxl raises over damaged workbooks."""


def open_workbook(path: Path, layer: Wanted, *, crs: str | int | None, source_layer: str | None) -> Source:
    """Opens one sheet for one layer; see `gis.ingest.read.open_source`. Sheets without rows are not counted."""
    findings = Notes()
    sheet = layer.choice(path.name, sheets(path), source_layer, "sheets")
    if sheet is None:
        raise SourceError(f"{path.name} has no sheet with rows", remedy="Deliver a workbook with a table")
    header, titles = _header(path, sheet, layer)
    names = [name for name in titles if name]
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise SourceError(
            f"sheet {sheet} of {path.name} has several columns named {', '.join(doubled)[:100]}", remedy="Give each a name of its own"
        )
    at = positions.where(path, names, layer)
    first, _ = next(_tables(path, sheet, header, titles, _SAMPLE), (pa.table({n: pa.array([], pa.string()) for n in names}), None))
    return Source(
        name=path.name, path=path, format="xlsx", columns=tuple(n for n in names if n not in at.columns),
        crs=positions.declared(path, at, first, crs, layer, findings), crs_declared=False, encoding="UTF-8", count=None, findings=findings,
        batches=lambda: _batches(path, sheet, header, titles, at), layer_name=sheet, parts=(path,), survey_axes=at.survey_axes,
    )  # fmt: skip


def _require_sound(path: Path) -> None:
    """No part of the workbook declares a document type, nor is the whole a bomb."""
    try:
        with zipfile.ZipFile(path) as packed:
            archive.require_modest(path.name, packed)
            for entry in packed.infolist():
                if entry.filename.lower().endswith((".xml", ".rels")):
                    with packed.open(entry) as part:
                        markup.require_no_doctype(part, f"{path.name}/{Path(entry.filename).name}")
    except _BROKEN:
        raise _damaged(path) from None


def _damaged(path: Path) -> SourceError:
    return SourceError(f"{path.name} cannot be read: it is damaged or no Excel workbook", remedy="Open it in Excel, save it again as .xlsx")


@lru_cache(maxsize=1)
def _book(path: Path) -> openpyxl.Workbook:
    """The workbook, opened once in the life of a reading: its shared texts are read each time."""
    return openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)


def _rows(path: Path, sheet: str) -> Iterator[tuple]:
    """The rows of a sheet as values. Raises SourceError, also where there are more than Excel can hold."""
    try:
        page = _book(path)[sheet]
        page.reset_dimensions()
        for number, row in enumerate(page.iter_rows(values_only=True)):
            if number >= _ROWS or len(row) > _COLUMNS:
                raise SourceError(f"sheet {sheet} of {path.name} claims more cells than Excel can hold", remedy="It is damaged")
            yield row
    except SourceError:
        raise
    except _BROKEN:
        raise _damaged(path) from None


def sheets(path: Path) -> list[str]:
    """The visible sheets that have at least one filled cell near their beginning. Raises SourceError, also where the file would do harm."""
    _require_sound(path)
    try:
        names = [page.title for page in _book(path).worksheets if page.sheet_state == "visible"]
    except _BROKEN:
        raise _damaged(path) from None
    return [name for name in names if any(any(v is not None for v in row) for row in islice(_rows(path, name), 50))]


def _header(path: Path, sheet: str, layer: Wanted) -> tuple[int, list[str]]:
    """The number of the header's row (0-based) and the column names in it: the row that names most fields, then the one with most texts."""
    known = {plain(name) for name in (*layer.names, *layer.source.lon, *layer.source.lat)}
    best: tuple[tuple[int, int], int, list[str]] | None = None
    for number, row in enumerate(islice(_rows(path, sheet), _HEADER_WITHIN)):
        names = [" ".join((_text(v) or "").split()) if v is not None else "" for v in row]
        score = sum(plain(name) in known for name in names if name), sum(isinstance(v, str) and bool(v.strip()) for v in row)
        if any(names) and (best is None or score > best[0]):
            best = (score, number, names)
    if best is None:
        raise SourceError(f"sheet {sheet} of {path.name} has no header row", remedy="A row near its beginning must name the columns")
    return best[1], best[2]


def _tables(path: Path, sheet: str, header: int, titles: list[str], size: int) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """The rows below the header as texts, and their numbers counted from it; rows without a value are left out."""
    keep = [i for i, title in enumerate(titles) if title]
    names = [titles[i] for i in keep]
    columns: list[list[str | None]] = [[] for _ in keep]
    numbers: list[int] = []
    for number, row in enumerate(islice(_rows(path, sheet), header + 1, None), 1):
        values = [_text(row[i]) if i < len(row) and row[i] is not None else None for i in keep]
        if any(v is not None for v in values):
            numbers.append(number)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        if len(numbers) == size:
            yield pa.table([pa.array(c, pa.string()) for c in columns], names=names), np.array(numbers)
            columns, numbers = [[] for _ in keep], []
    if numbers:
        yield pa.table([pa.array(c, pa.string()) for c in columns], names=names), np.array(numbers)


def _batches(path: Path, sheet: str, header: int, titles: list[str], at: positions.Where) -> Iterator[Batch]:
    for table, numbers in _tables(path, sheet, header, titles, BATCH):
        yield positions.batch(table, numbers, at)


def _text(value) -> str | None:
    """A cell as text: whole numbers without a fraction, dates without midnight; an empty text is none."""
    match value:
        case str():
            return value.strip() or None
        case bool():
            return "是" if value else "否"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case dt.datetime() if value.time() == dt.time():
            return value.date().isoformat()
        case dt.date() | dt.time():
            return value.isoformat()
    return str(value)
