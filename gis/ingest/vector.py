"""GeoPackage, Shapefile and GeoJSON through GDAL's Arrow stream."""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyogrio
from pyogrio.raw import open_arrow

from gis import crs as reference
from gis.errors import InputError, SourceError
from gis.ingest import encoding as texts
from gis.ingest import wkb
from gis.ingest.read import BATCH, Batch, Source
from gis.ingest.wanted import Notes, Wanted

_DRIVERS = {"gpkg": "GPKG", "shp": "ESRI Shapefile", "geojson": "GeoJSON"}
_UNREADABLE = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyogrio.errors.FeatureError,
    pyogrio.errors.GeometryError,
    pyogrio.errors.FieldError,
    pa.ArrowException,
    UnicodeDecodeError,
    OSError,
    ValueError,
    RuntimeError,
    UnboundLocalError,
)
"""What GDAL, pyogrio and Arrow raise over damaged bytes (the last one is pyogrio's own, over a CRS that is no text)."""


def open_vector(
    path: Path, layer: Wanted, format_: str, *, encoding: str | None, crs: str | int | None, source_layer: str | None
) -> Source:
    """Opens a vector file for one layer; see `gis.ingest.read.open_source`."""
    findings = Notes()
    dbf = _companion(path, ".dbf") if format_ == "shp" else None
    if format_ == "shp":
        _require_complete(path, dbf)
    used = _shapefile_encoding(path, dbf, layer, encoding, findings) if format_ == "shp" else "UTF-8"
    name = _choose_layer(path, layer, source_layer)
    texts_ = texts.Recoding.of(texts.Dbf(dbf), used) if format_ == "shp" else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = pyogrio.read_info(path, layer=name, encoding=texts_.read_as if texts_ else None)
    except _UNREADABLE:
        raise _unreadable(path) from None
    if info["driver"] != _DRIVERS[format_]:
        raise SourceError(f"{path.name} is not a {_DRIVERS[format_]} file inside", remedy="Deliver it in the format its name says")
    declared = "OGC:CRS84" if format_ == "geojson" and info["crs"] in (None, "EPSG:4326") else info["crs"]
    source_crs = _source_crs(path, layer, crs, declared, findings)
    count = info["features"] if info["features"] >= 0 else None
    if dbf is not None:
        count = texts.Dbf(dbf).living()
    return Source(
        name=path.name,
        path=path,
        format=format_,
        columns=tuple(texts_.name(n) if texts_ else str(n) for n in info["fields"]),
        crs=source_crs,
        crs_declared=crs is None and declared is not None,
        encoding=used,
        count=count,
        findings=findings,
        layer_name=name,
        batches=lambda: _batches(path, name, texts_, count),
        parts=_parts(path, format_),
    )


def _unreadable(path: Path) -> SourceError:
    return SourceError(
        f"{path.name} cannot be read: it is damaged or not what its name says",
        remedy="Open it in the program that wrote it, save it again and deliver all its files",
    )


def _choose_layer(path: Path, layer: Wanted, asked: str | None) -> str | None:
    """The layer of the file to read: the one asked for, the only one, or the one that the layer file names."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = [str(row[0]) for row in pyogrio.list_layers(path)]
    except _UNREADABLE:
        raise _unreadable(path) from None
    if asked is not None:
        if asked not in names:
            raise InputError(f"{path.name} has no layer {asked!r}", remedy=f"It has: {', '.join(names)}")
        return asked
    if len(names) <= 1:
        return names[0] if names else None
    for wanted in (layer.source.layer, layer.id, layer.title):
        if wanted in names:
            return wanted
    raise InputError(f"{path.name} holds {len(names)} layers", remedy=f"Choose one with --source-layer: {', '.join(names)}")


def _source_crs(path: Path, layer: Wanted, asked: str | int | None, declared: str | None, findings: Notes) -> str | None:
    """The CRS to read in: asked for, declared, or assumed by the layer file (reported). Raises SourceError where none is known."""
    if asked is not None:
        chosen = str(asked)
    elif declared is not None:
        chosen = declared
    elif layer.source.crs is not None:
        chosen = layer.source.crs
        findings.add(layer.id, "CRS01", "info", f"{path.name} declares no CRS; the layer file's was taken", value=chosen)
    else:
        raise SourceError(
            f"{path.name} says in no place which coordinate reference system it is in",
            remedy="Give it with --crs, for example --crs EPSG:4548, or --place LON,LAT for a drawing in local coordinates",
        )
    if reference.chinese_offset(chosen):
        findings.add(layer.id, "CRS04", "info", f"converted from {chosen}: positions are good to metres, not survey grade", value=chosen)
        return chosen
    reference.require_known_datum(chosen)
    return chosen


def _companion(path: Path, suffix: str) -> Path | None:
    """The file beside a shapefile with the same stem, whatever the case of its suffix."""
    return next((p for s in (suffix, suffix.upper()) if (p := path.with_suffix(s)).exists()), None)


def _parts(path: Path, format_: str) -> tuple[Path, ...]:
    if format_ != "shp":
        return (path,)
    others = (_companion(path, suffix) for suffix in (".dbf", ".shx", ".prj", ".cpg"))
    return (path, *(p for p in others if p is not None))


def _require_complete(path: Path, dbf: Path | None) -> None:
    """A shapefile without its parts or cut off is refused: GDAL would read what is left of it in silence."""
    index = _companion(path, ".shx")
    missing = [s for s, p in ((".dbf", dbf), (".shx", index)) if p is None]
    if missing:
        raise SourceError(f"{path.name} came without its {' and '.join(missing)}", remedy="Deliver all files of the shapefile")
    announced = int.from_bytes(path.read_bytes()[24:28] if path.stat().st_size < 100 else _bytes(path, 24, 4), "big") * 2
    table = texts.Dbf(dbf)
    shapes = (index.stat().st_size - 100) // 8
    if announced > path.stat().st_size or not table.complete or not table.sound or shapes != table.rows:
        raise SourceError(
            f"{path.name} is incomplete: {shapes} shapes, {table.rows} attribute rows, {path.stat().st_size} of {announced} bytes",
            remedy="Copy it again: a part of it was cut off or belongs to another delivery",
        )


def _bytes(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _shapefile_encoding(path: Path, dbf: Path, layer: Wanted, asked: str | None, findings: Notes) -> str:
    """The encoding of a shapefile's texts: asked for (refused where the bytes contradict), declared in .cpg, or found by decoding."""
    table = texts.Dbf(dbf)
    if asked is not None:
        wanted = texts.canonical(asked)
        if not texts.fits(table, wanted):
            raise SourceError(f"the texts of {dbf.name} are not {wanted}", remedy="Leave --encoding out to have it found")
        return wanted
    found, ambiguous = texts.of_dbf(table)
    cpg = _companion(path, ".cpg")
    declared = _declared(cpg)
    if found is None:
        return declared or "UTF-8"
    if declared is not None and texts.fits(table, declared):
        return declared
    if declared is not None:
        findings.add(
            layer.id,
            "SRC04",
            "warning",
            f"{path.name} declares {declared}, but its texts are {found}",
            value=declared,
            remedy="Correct the .cpg file",
        )
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


def _batches(path: Path, name: str | None, recoding: texts.Recoding | None, count: int | None) -> Iterator[Batch]:
    """The rows of one layer, in order, `BATCH` at a time. GDAL ends in silence where it meets damage: then fewer rows come than there
    are, which is a SourceError."""
    done = 0
    try:
        with (
            warnings.catch_warnings(),
            open_arrow(path, layer=name, encoding=recoding and recoding.read_as, use_pyarrow=True, batch_size=BATCH) as (meta, reader),
        ):
            warnings.simplefilter("ignore")
            column = meta["geometry_name"] or "wkb_geometry"
            for batch in reader:
                table = pa.Table.from_batches([batch])
                geometry = None
                if column in table.column_names:
                    geometry = wkb.plain(table.column(column))
                    table = table.drop_columns([column])
                if recoding is not None:
                    table = recoding.table(table)
                yield Batch(table, np.arange(done + 1, done + len(batch) + 1), geometry)
                done += len(batch)
        if count is not None and done != count and done != _counted(path, name):
            raise SourceError(f"{path.name} announces {count} rows, but {done} can be read", remedy="It is damaged: deliver it again")
    except _UNREADABLE as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path.name} cannot be read beyond row {done}", remedy="Deliver the complete file") from None


def _counted(path: Path, name: str | None) -> int | None:
    """The rows of a GeoPackage's table counted anew: its own count may be stale."""
    if path.suffix.lower() != ".gpkg":
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
            quoted = '"' + str(name).replace('"', '""') + '"'
            return file.execute(f"SELECT count(*) FROM {quoted}").fetchone()[0]
    except sqlite3.Error:
        return None
