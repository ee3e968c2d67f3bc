"""Shapefiles: complete or refused, encoding declared or found, points read as plain memory, other shapes through GDAL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from gis.errors import SourceError
from gis.ingest import dbf as tables
from gis.ingest import encoding as texts
from gis.ingest import vector, wkb
from gis.ingest.read import BATCH, Batch, Source
from gis.ingest.wanted import Notes, Wanted

_POINTS = {1: 2, 11: 3, 21: 3}
"""Shape types that are points, and the numbers that each has: x, y, then Z and M (ESRI Shapefile Technical Description, 1998)."""
_NO_DATA = -1e38


def open_shapefile(path: Path, layer: Wanted, *, encoding: str | None) -> Source:
    """Opens a shapefile for one layer; see `gis.ingest.read.open_source`."""
    findings = Notes()
    dbf_path = _companion(path, ".dbf")
    _require_complete(path, dbf_path)
    dbf = tables.opened(dbf_path)
    if not tables.readable(dbf):
        raise SourceError(f"{dbf_path.name} has columns of a kind that shapefiles do not have", remedy="Write the shapefile again")
    used = _encoding(path, dbf, layer, encoding, findings)
    rows = tables.Rows(dbf, used)
    info = vector.information(path, "shp", None, encoding="ISO-8859-1")
    names = vector.distinct(rows.names, path, layer, findings)
    count = int(np.count_nonzero(rows.living))
    return Source(
        name=path.name, path=path, format="shp", columns=tuple(names), crs=info["crs"], crs_declared=info["crs"] is not None,
        encoding=used, count=count, findings=findings, layer_name=path.stem, parts=_parts(path),
        batches=lambda start=0, stop=None: _batches(path, rows, names, layer, findings, start, stop),
        cuts=range(count) if count == len(rows.living) else (),  # GDAL counts deleted rows where it begins, and not where it goes on
    )  # fmt: skip


def _companion(path: Path, suffix: str) -> Path | None:
    """The file beside a shapefile with the same stem, whatever the case of its suffix."""
    return next((p for s in (suffix, suffix.upper()) if (p := path.with_suffix(s)).exists()), None)


def _parts(path: Path) -> tuple[Path, ...]:
    others = (_companion(path, suffix) for suffix in (".dbf", ".shx", ".prj", ".cpg"))
    return (path, *(p for p in others if p is not None))


def _require_complete(path: Path, dbf: Path | None) -> None:
    """A shapefile without its parts or cut off is refused: GDAL would read what is left of it in silence."""
    index = _companion(path, ".shx")
    missing = [s for s, p in ((".dbf", dbf), (".shx", index)) if p is None]
    if missing:
        raise SourceError(f"{path.name} came without its {' and '.join(missing)}", remedy="Deliver all files of the shapefile")
    with path.open("rb") as file:
        announced = int.from_bytes(file.read(28)[24:28], "big") * 2
    table = tables.opened(dbf)
    shapes = (index.stat().st_size - 100) // 8
    if announced > path.stat().st_size or not table.complete or not table.sound or shapes != table.rows:
        raise SourceError(
            f"{path.name} is incomplete: {shapes} shapes, {table.rows} attribute rows, {path.stat().st_size} of {announced} bytes",
            remedy="Copy it again: a part of it was cut off or belongs to another delivery",
        )


def _encoding(path: Path, table: texts.Dbf, layer: Wanted, asked: str | None, findings: Notes) -> str:
    """The encoding of a shapefile's texts: asked for (refused where the bytes contradict), declared in .cpg, or found by decoding."""
    if asked is not None:
        wanted = texts.canonical(asked)
        if not texts.fits(table, wanted):
            raise SourceError(f"the texts of {table.path.name} are not {wanted}", remedy="Leave --encoding out to have it found")
        return wanted
    found, ambiguous = texts.of_dbf(table)
    declared = _declared(_companion(path, ".cpg"))
    if found is None:
        return declared or "UTF-8"
    if declared is not None and texts.fits(table, declared):
        return declared
    if declared is not None:
        message = f"{path.name} declares {declared}, but its texts are {found}"
        findings.add(layer.id, "SRC04", "warning", message, value=declared, remedy="Correct the .cpg file")
    elif ambiguous and layer.source.encoding:
        return texts.canonical(layer.source.encoding)
    else:
        findings.add(layer.id, "SRC03", "info", f"{path.name} declares no encoding; its texts are {found}", value=found)
    return found


def _declared(cpg: Path | None) -> str | None:
    if cpg is None:
        return None
    try:
        return texts.canonical(cpg.read_bytes()[:40].decode("ascii", "replace"))
    except SourceError:
        return None


def _batches(path: Path, rows: tables.Rows, names: list[str], layer: Wanted, findings: Notes, start: int = 0,
             stop: int | None = None) -> Iterator[Batch]:  # fmt: skip
    """The rows that are not deleted, in order, `BATCH` at a time, from `start` up to before `stop`. Raises SourceError where shapes are
    missing."""
    living = np.flatnonzero(rows.living)
    end = len(living) if stop is None else stop
    kind = int.from_bytes(_bytes(path, 32, 4), "little")
    shapes = (
        _points(path, living[:end], _POINTS[kind], layer, findings, start)
        if kind in _POINTS
        else _others(path, layer, findings, start, stop)
    )
    done = start
    for numbers, geometry in shapes:
        if not np.array_equal(numbers, living[done : done + len(numbers)]):
            raise SourceError(f"{path.name} cannot be read beyond row {done}", remedy="It is damaged: deliver it again")
        yield Batch(rows.table(numbers).rename_columns(names), np.arange(done + 1, done + len(numbers) + 1), geometry)
        done += len(numbers)
    if done != end:
        raise SourceError(f"{path.name} announces {len(living)} rows, but {done} can be read", remedy="It is damaged: deliver it again")


def _bytes(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _points(path: Path, living: np.ndarray, dimension: int, layer: Wanted, findings: Notes,
            begin: int) -> Iterator[tuple[np.ndarray, pa.Array]]:  # fmt: skip
    """Numbers of rows and their points as WKB, null for a null shape. A record that lies outside the file or is no point ends it."""
    data = np.memmap(path, np.uint8, "r")
    index = np.memmap(_companion(path, ".shx"), ">i4", "r", 100)
    offsets, sizes = index[: len(index) // 2 * 2].reshape(-1, 2).astype(np.int64).T * 2
    measured = 0
    for start in range(begin, len(living), BATCH):
        numbers = living[start : start + BATCH]
        at = offsets[numbers] + 8
        inside = (at >= 108) & (at + 4 <= len(data))
        kinds = np.where(sizes[numbers] == 0, 0, -1)
        inside &= kinds < 0
        kinds[inside] = _words(data, at[inside], 4).view("<i4").ravel()
        wide = 4 + 8 * dimension
        full = np.isin(kinds, list(_POINTS)) & (at + wide <= len(data))
        if not (full | (kinds == 0)).all():
            first = start + int(np.flatnonzero(~(full | (kinds == 0)))[0]) + 1
            raise SourceError(f"{path.name}: the shape of row {first} is no point", remedy="It is damaged: deliver it again")
        found = np.full((len(at), dimension), np.nan)
        found[full] = _words(data, at[full] + 4, wide - 4).view("<f8")
        z = found[:, 2] if dimension == 3 and kinds.max(initial=0) == 11 else None
        if dimension == 3 and kinds.max(initial=0) == 21:
            measured += int(np.count_nonzero(found[:, 2] > _NO_DATA))
        missing = ~np.isfinite(found[:, :2]).all(axis=1)
        yield numbers, wkb.points(found[:, 0], found[:, 1], z, missing=missing)
    vector.note_measures(measured, path, layer, findings)


def _words(data: np.ndarray, at: np.ndarray, width: int) -> np.ndarray:
    """The bytes (n, width) from each of these positions on."""
    return np.ascontiguousarray(data[at[:, None] + np.arange(width)])


def _others(path: Path, layer: Wanted, findings: Notes, start: int, stop: int | None) -> Iterator[tuple[np.ndarray, pa.Array]]:
    """Numbers of rows and their lines, polygons or multipoints as WKB, by GDAL."""
    for table, geometry in vector.stream(path, None, layer, findings, start, stop, columns=[], return_fids=True, encoding="ISO-8859-1"):
        yield table.column(table.column_names[0]).to_numpy(), geometry
