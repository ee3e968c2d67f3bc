"""CSV and other text tables: encoding, separator and coordinate columns found and reported."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from gis.errors import SourceError
from gis.ingest import encoding as texts
from gis.ingest import positions
from gis.ingest.read import Batch, Source
from gis.ingest.wanted import Notes, Wanted

_BLOCK = 16 << 20
_HEAD = 8 << 20
_SAMPLE = 500


def open_table(path: Path, layer: Wanted, *, encoding: str | None, crs: str | int | None) -> Source:
    """Opens a text table for one layer; see `gis.ingest.read.open_source`.

    Positions come from a WKT column, from the layer file's `lon` and `lat` columns or, of lines, from the columns of both ends.
    Without a CRS, numbers that are degrees are taken as EPSG:4490 (reported).
    """
    findings = Notes()
    head = _head(path)
    if encoding is not None:
        used = texts.canonical(encoding)
        if not texts._decodes(head, used):
            raise SourceError(f"the text of {path.name} is not {used}", remedy="Leave --encoding out to have it found")
    else:
        used = texts.of_text(path, head)
        if used != "UTF-8":
            findings.add(layer.id, "SRC03", "info", f"the text of {path.name} is {used}", value=used)
    sample = codecs.getincrementaldecoder(used)("strict").decode(head).removeprefix("\ufeff")
    separator = _separator(sample)
    names = header(path, sample, separator)
    at = positions.where(path, names, layer)
    rows = [row for row in csv.reader(io.StringIO(sample[:200_000]), delimiter=separator) if len(row) == len(names)][1 : _SAMPLE + 1]
    declared = positions.declared(path, at, _texts(names, rows), crs, layer, findings)
    return Source(
        name=path.name, path=path, format="csv", columns=tuple(n for n in names if n not in at.columns),
        crs=declared, crs_declared=False, encoding=used, count=None, findings=findings,
        batches=lambda: _batches(path, layer, used, separator, names, at, findings), parts=(path,), survey_axes=at.survey_axes,
    )  # fmt: skip


def _texts(names: list[str], rows: list[list[str]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.table([pa.array([v or None for v in column], pa.string()) for column in columns], names=names)


def _open(path: Path):
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _head(path: Path) -> bytes:
    try:
        with _open(path) as file:
            return file.read(_HEAD)
    except (OSError, EOFError) as error:
        raise SourceError(f"{path.name} cannot be read: it is damaged", remedy="Pack it again") from error


def _separator(sample: str) -> str:
    first = sample.split("\n", 1)[0]
    return max(",\t;|", key=first.count)


def header(path: Path, sample: str, separator: str) -> list[str]:
    try:
        names = next(csv.reader(io.StringIO(sample), delimiter=separator), [])
    except csv.Error:
        names = []
    names = [name.strip() for name in names]
    if not any(names):
        raise SourceError(f"{path.name} has no header line", remedy="The first line must name the columns")
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise SourceError(f"{path.name} has several columns named {', '.join(doubled)[:100]}", remedy="Give each column a name of its own")
    return names


def _batches(path, layer: Wanted, encoding, separator, names, at: positions.Where, findings: Notes) -> Iterator[Batch]:
    """The rows in order; a line with the wrong number of columns becomes a rejected row (`SRC02`), never a shifted one."""
    try:
        with _open(path) as file:
            yield from rows(file, names, at, layer, findings, encoding=encoding, separator=separator)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path.name} cannot be read to its end", remedy="A character is not of its encoding, or the file is cut off"
        ) from error


def rows(file, names: list[str], at: positions.Where, layer: Wanted, findings: Notes, *, encoding: str, separator: str) -> Iterator[Batch]:
    """The rows of comma-separated text below its header line, as texts; empty is missing."""
    wrong: list[tuple[int, str]] = []

    def skip(row) -> str:
        wrong.append((row.number - 1, row.text or ""))  # counted from the first line below the header
        return "skip"

    done = 0
    reader = pacsv.open_csv(
        file,
        read_options=pacsv.ReadOptions(use_threads=False, block_size=_BLOCK, encoding=encoding, column_names=names, skip_rows=1),
        parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pacsv.ConvertOptions(
            column_types={n: pa.string() for n in names}, strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=True
        ),
    )
    for record in reader:
        bad = [number for number, _ in wrong]
        mine = np.setdiff1d(np.arange(done + 1, done + len(record) + len(bad) + 1), bad)[: len(record)]
        done = int(mine[-1]) if len(mine) else done
        yield positions.batch(pa.Table.from_batches([record]), mine, at)
    findings.extend(
        layer.id, "SRC02", "error", f"the line does not have {len(names)} columns",
        "Correct the line: a separator or a quotation mark is missing or too many",
        rows=[number for number, _ in wrong], values=[text for _, text in wrong],
    )  # fmt: skip
