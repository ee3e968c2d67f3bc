"""The files of a pipe survey as plain tables: CSV, Excel (every sheet), Access (every table), shapefiles and GeoPackages; folders, ZIPs."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyogrio
import shapely

from gis.errors import SourceError
from gis.ingest import encoding as texts

SUFFIXES = (".csv", ".txt", ".tsv", ".xlsx", ".xlsm", ".mdb", ".accdb", ".shp", ".gpkg", ".zip")
_HEADER_WITHIN = 12
"""A sheet may have a title and remarks above its header; so many rows are searched for it."""
_MAX_UNPACKED = 4 << 30
_MAX_RATIO = 200


@dataclass
class Raw:
    """A table as delivered: `rows` with its own column names; easting and northing (n,) where its features have a geometry."""

    name: str
    file: Path
    rows: pd.DataFrame
    crs: str | None = None
    encoding: str | None = None
    easting: np.ndarray | None = None
    northing: np.ndarray | None = None


def raw_tables(path: Path, *, encoding: str | None = None) -> Iterator[Raw]:
    """Every table of a folder, ZIP or file, in the order of names. Raises SourceError."""
    if not path.exists():
        raise SourceError(f"there is no {path.name}", remedy="Check the name and the folder")
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise SourceError(f"{path.name} holds no table", remedy=f"A survey is delivered as {', '.join(SUFFIXES)}")
    for file in files:
        yield from _of_file(file, encoding)


def _of_file(file: Path, encoding: str | None) -> Iterator[Raw]:
    match file.suffix.lower():
        case ".csv" | ".txt" | ".tsv":
            yield _text(file, encoding)
        case ".xlsx" | ".xlsm":
            yield from _sheets(file)
        case ".mdb" | ".accdb":
            yield from _access(file)
        case ".shp" | ".gpkg":
            yield from _features(file, encoding)
        case ".zip":
            yield from _packed(file, encoding)
        case _:
            raise SourceError(f"{file.name} is no table of a survey", remedy=f"Accepted are {', '.join(SUFFIXES)}")


def _text(file: Path, encoding: str | None) -> Raw:
    """A text table; every value a text, an empty one missing."""
    raw = file.read_bytes()
    used = texts.canonical(encoding) if encoding else texts.of_text(file, raw)
    try:
        head = raw[:65536].decode(used, "ignore").removeprefix("\ufeff")
        separator = max(",\t;|", key=head.split("\n", 1)[0].count)
        names = [name.strip() for name in next(csv.reader(io.StringIO(head), delimiter=separator), [])]
        table = pacsv.read_csv(
            io.BytesIO(raw),
            pacsv.ReadOptions(encoding=used, column_names=_distinct(names), skip_rows=1),
            pacsv.ParseOptions(delimiter=separator, newlines_in_values=True),
            pacsv.ConvertOptions(column_types={n: pa.string() for n in _distinct(names)}, strings_can_be_null=True, null_values=[""]),
        )
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        where = str(error).split(":")[-1][:120] if isinstance(error, pa.ArrowInvalid) else "a character is not of its encoding"
        raise SourceError(f"{file.name} cannot be read: {where}", remedy="Every line needs as many columns as the header") from None
    return Raw(file.name, file, table.to_pandas(), encoding=used)


def _distinct(names: list[str]) -> list[str]:
    """Column names, a repeated or empty one with its position."""
    return [n if n and n not in names[:i] else f"{n or 'column'}_{i + 1}" for i, n in enumerate(names)]


def _sheets(file: Path) -> Iterator[Raw]:
    """Each sheet of a workbook that has a header."""
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"{file.name} is no Excel workbook", remedy="Save it as .xlsx again") from error
    try:
        for sheet in book.worksheets:
            rows = [list(r) for r in sheet.iter_rows(values_only=True)]
            rows = [r for r in rows if any(v is not None for v in r)]
            if len(rows) < 2:
                continue
            top = max(range(min(_HEADER_WITHIN, len(rows))), key=lambda i: sum(isinstance(v, str) for v in rows[i]))
            names = _distinct([str(v or "").strip() for v in rows[top]])
            width = len(names)
            body = [[*r[:width], *([None] * (width - len(r)))] for r in rows[top + 1 :]]
            yield Raw(f"{file.name}[{sheet.title}]", file, pd.DataFrame(body, columns=names, dtype=object))
    finally:
        book.close()


def _access(file: Path) -> Iterator[Raw]:
    """Each table of an Access database, by mdbtools."""
    if shutil.which("mdb-export") is None:
        raise SourceError(f"{file.name} needs mdbtools to be read", remedy="Install the package mdbtools, or deliver Excel or CSV")
    listed = _mdb(["mdb-tables", "-1", str(file.absolute())], file)
    for name in filter(None, (line.strip() for line in listed.splitlines())):
        body = _mdb(["mdb-export", str(file.absolute()), name], file)
        rows = list(csv.reader(io.StringIO(body)))
        if len(rows) > 1:
            frame = pd.DataFrame(rows[1:], columns=_distinct(rows[0]), dtype=object).replace({"": None})
            yield Raw(f"{file.name}[{name}]", file, frame)


def _mdb(command: list[str], file: Path) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        raise SourceError(f"{file.name} takes too long to read", remedy="Deliver it as Excel or CSV") from None
    if done.returncode:
        raise SourceError(f"{file.name} is no Access database, or it is damaged", remedy="Compact and repair it, then deliver again")
    return done.stdout.decode("utf-8", "replace")


def _features(file: Path, encoding: str | None) -> Iterator[Raw]:
    """Each layer of a shapefile or GeoPackage; points keep their position as easting and northing."""
    try:
        for name in pyogrio.list_layers(file)[:, 0]:
            used = encoding if file.suffix.lower() == ".shp" else None
            frame = pyogrio.read_dataframe(file, layer=name, encoding=used)
            label = file.name if file.suffix.lower() == ".shp" else f"{file.name}[{name}]"
            geometry = getattr(frame, "geometry", None) if "geometry" in frame else None
            if geometry is None:
                yield Raw(label, file, pd.DataFrame(frame))
                continue
            rows = pd.DataFrame(frame.drop(columns="geometry"))
            points = shapely.get_type_id(geometry.to_numpy()) == 0
            x, y = shapely.get_x(geometry.to_numpy()), shapely.get_y(geometry.to_numpy())
            declared = None if frame.crs is None else frame.crs.to_wkt()
            if points.any():
                yield Raw(label, file, rows, declared, used, _as_texts(x), _as_texts(y))
            else:
                yield Raw(label, file, rows, declared, used)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError) as error:
        raise SourceError(f"{file.name} cannot be read", remedy="Deliver the file as its format's own program writes it") from error


def _as_texts(values: np.ndarray) -> np.ndarray:
    return np.array([None if v != v else repr(float(v)) for v in values], dtype=object)


def _packed(file: Path, encoding: str | None) -> Iterator[Raw]:
    """The tables in a ZIP: unpacked beside, within limits, by plain names only."""
    try:
        with zipfile.ZipFile(file, metadata_encoding="gbk") as packed, tempfile.TemporaryDirectory() as folder:
            entries = [e for e in packed.infolist() if Path(e.filename).suffix.lower() not in ("", ".zip")]
            size = sum(e.file_size for e in entries)
            if size > _MAX_UNPACKED or size > _MAX_RATIO * max(file.stat().st_size, 1 << 20):
                raise SourceError(f"{file.name} unpacks to {size >> 20} MB", remedy="Deliver the tables unpacked")
            for entry in entries:
                target = Path(folder) / Path(entry.filename).name
                with packed.open(entry) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
            for raw in raw_tables(Path(folder), encoding=encoding):
                raw.file = file
                yield raw
    except (zipfile.BadZipFile, RuntimeError) as error:
        raise SourceError(f"{file.name} cannot be unpacked", remedy="Pack it again, without a password") from error
