"""CSV and other text tables with coordinates: encoding, separator and coordinate columns found and reported."""

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
import shapely

from gis import crs as reference
from gis.errors import SourceError
from gis.ingest import encoding as texts
from gis.ingest import wkb
from gis.ingest.read import Batch, Source
from gis.ingest.values import numbers, plain
from gis.ingest.vector import _source_crs as source_crs
from gis.ingest.wanted import Notes, Wanted

_WKT = ("wkt", "geometry", "geom", "the_geom", "几何", "图形")
_BLOCK = 16 << 20
_HEAD = 8 << 20


def open_table(path: Path, layer: Wanted, *, encoding: str | None, crs: str | int | None) -> Source:
    """Opens a text table for one layer; see `gis.ingest.read.open_source`.

    Positions come from a WKT column or from the layer file's `lon` and `lat` columns. Without a CRS, numbers that are degrees are
    taken as EPSG:4490 (reported).
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
    names = _header(path, sample, separator)
    by_plain = {plain(name): name for name in reversed(names)}
    wkt = next((by_plain[w] for w in _WKT if w in by_plain), None)
    lon = next((by_plain[plain(w)] for w in layer.source.lon if plain(w) in by_plain), None)
    lat = next((by_plain[plain(w)] for w in layer.source.lat if plain(w) in by_plain), None)
    if wkt is None and (lon is None or lat is None):
        raise SourceError(
            f"{path.name} has no columns with coordinates; its columns are {', '.join(names[:30])}",
            remedy=f"Name them {layer.source.lon[0]} and {layer.source.lat[0]}, or give a column WKT",
        )
    where = (wkt,) if wkt else (lon, lat)
    declared = None
    if crs is None and layer.source.crs is None:
        declared = _degrees(path, names, where, sample, separator, layer, findings)
    source = Source(
        name=path.name, path=path, format="csv", columns=tuple(n for n in names if n not in where),
        crs=source_crs(path, layer, crs, declared, findings), crs_declared=False, encoding=used, count=None, findings=findings,
        batches=lambda: _batches(path, layer, used, separator, names, where, findings), parts=(path,),
        survey_axes=wkt is None and {plain(lon), plain(lat)} == {"x", "y"},
    )  # fmt: skip
    return source


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


def _header(path: Path, sample: str, separator: str) -> list[str]:
    names = next(csv.reader(io.StringIO(sample), delimiter=separator), [])
    names = [name.strip() for name in names]
    if not any(names):
        raise SourceError(f"{path.name} has no header line", remedy="The first line must name the columns")
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise SourceError(f"{path.name} has several columns named {', '.join(doubled)[:100]}", remedy="Give each column a name of its own")
    return names


def _degrees(path, names, where, sample, separator, layer: Wanted, findings: Notes) -> str | None:
    """`EPSG:4490` where the first rows' coordinates are degrees, which is reported; else None."""
    rows = [row for row in csv.reader(io.StringIO(sample[:200_000]), delimiter=separator) if len(row) == len(names)][1:]
    if len(where) == 1:
        points = [shapely.from_wkt(row[names.index(where[0])], on_invalid="ignore") for row in rows[:500]]
        bounds = shapely.bounds([p for p in points if p is not None])
        x, y = bounds[:, 2], bounds[:, 3]
    else:
        x, y = (numbers(pa.array([row[names.index(c)] for row in rows]))[0].to_numpy(zero_copy_only=False) for c in where)
    x, y = np.asarray(x, float), np.asarray(y, float)
    known = np.isfinite(x) & np.isfinite(y)
    if known.any() and np.mean((np.abs(x[known]) <= 180) & (np.abs(y[known]) <= 180)) > 0.9:
        findings.add(
            layer.id, "CRS01", "info", f"{path.name} declares no CRS; its coordinates are degrees, taken as EPSG:{reference.STORED}"
        )
        return f"EPSG:{reference.STORED}"
    return None


def _batches(path, layer: Wanted, encoding, separator, names, where, findings: Notes) -> Iterator[Batch]:
    """The rows in order; a line with the wrong number of columns becomes a rejected row (`SRC02`), never a shifted one."""
    wrong: list[tuple[int, str]] = []

    def skip(row) -> str:
        wrong.append((row.number - 1, row.text or ""))  # counted from the first line below the header
        return "skip"

    done = 0
    try:
        with _open(path) as file:
            reader = pacsv.open_csv(
                file,
                read_options=pacsv.ReadOptions(use_threads=False, block_size=_BLOCK, encoding=encoding, column_names=names, skip_rows=1),
                parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=skip),
                convert_options=pacsv.ConvertOptions(
                    column_types={n: pa.string() for n in names},
                    strings_can_be_null=True,
                    null_values=[""],
                    quoted_strings_can_be_null=True,
                ),
            )
            for record in reader:
                bad = [number for number, _ in wrong]
                mine = np.setdiff1d(np.arange(done + 1, done + len(record) + len(bad) + 1), bad)[: len(record)]
                done = int(mine[-1]) if len(mine) else done
                yield _batch(pa.Table.from_batches([record]), mine, where)
        findings.extend(
            layer.id, "SRC02", "error", f"the line does not have {len(names)} columns",
            "Correct the line: a separator or a quotation mark is missing or too many",
            rows=[number for number, _ in wrong], values=[text for _, text in wrong],
        )  # fmt: skip
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError):
        raise SourceError(
            f"{path.name} cannot be read beyond row {done}", remedy="A character is not of its encoding, or the file is cut off"
        ) from None


def _batch(table: pa.Table, numbers_: np.ndarray, where: tuple[str, ...]) -> Batch:
    if len(where) == 1:
        texts_ = table.column(where[0]).to_numpy(zero_copy_only=False)
        geometry = shapely.from_wkt(texts_, on_invalid="ignore")
        broken = shapely.is_missing(geometry) & np.array([t is not None for t in texts_], dtype=bool)
        return Batch(table.drop_columns(list(where)), numbers_, wkb.of(geometry), broken, [str(t) for t in texts_[broken]])
    (x, bad_x), (y, bad_y) = (numbers(table.column(c).combine_chunks()) for c in where)
    x, y = (v.to_numpy(zero_copy_only=False).astype(float) for v in (x, y))
    missing = ~(np.isfinite(x) & np.isfinite(y))
    geometry = wkb.points(x, y, missing=missing)
    broken = missing & (bad_x | bad_y)
    raw = [", ".join(map(str, pair)) for pair in zip(*(table.column(c).filter(pa.array(broken)).to_pylist() for c in where), strict=True)]
    return Batch(table.drop_columns(list(where)), numbers_, geometry, broken, raw)
