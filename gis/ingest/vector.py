"""GeoPackage, GeoJSON, file geodatabase, GML, KML and FlatGeobuf through GDAL's Arrow stream."""

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

from gis.errors import SourceError
from gis.ingest import markup
from gis.ingest.ordinary import ordinary
from gis.ingest.read import BATCH, Batch, Source
from gis.ingest.wanted import Notes, Wanted

_DRIVERS = {
    "gpkg": "GPKG", "shp": "ESRI Shapefile", "geojson": "GeoJSON", "geojsonseq": "GeoJSONSeq", "gdb": "OpenFileGDB", "gml": "GML",
    "kml": "LIBKML", "fgb": "FlatGeobuf", "dxf": "DXF",
}  # fmt: skip
_OPTIONS = {"gml": {"DOWNLOAD_SCHEMA": "NO", "USE_BBOX": "NO", "SWAP_COORDINATES": "AUTO"}}
_DEGREES = ("geojson", "geojsonseq", "kml")
"""Formats whose coordinates are degrees of WGS 84, longitude first, whatever they declare (RFC 7946, section 4; OGC 12-007r2)."""
_CUT = ("gpkg", "fgb", "geojsonseq")
"""Formats in which GDAL begins at any row without making the ones before."""
UNREADABLE = (
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


def open_vector(path: Path, layer: Wanted, format_: str, *, source_layer: str | None, scratch: Path | None) -> Source:
    """Opens a vector file for one layer; see `gis.ingest.read.open_source`."""
    findings, read = Notes(), path
    if format_ in ("gml", "kml"):
        read = markup.sound(path, scratch)
    name = layer.choice(path.name, layers(read, format_), source_layer, "layers")
    info = information(read, format_, name)
    declared = "OGC:CRS84" if format_ in _DEGREES and info["crs"] in (None, "EPSG:4326") else info["crs"]
    names = distinct([str(n) for n in info["fields"]], path, layer, findings)
    count = info["features"] if info["features"] >= 0 else None
    if format_ == "geojsonseq":
        count = _records(path)
    cuts = range(count or 0) if format_ in _CUT else ()
    return Source(
        name=path.name, path=path, format=format_, columns=tuple(names), crs=declared, crs_declared=declared is not None, encoding="UTF-8",
        count=count, findings=findings, layer_name=name, cuts=cuts,
        batches=lambda start=0, stop=None: _batches(read, format_, name, names, count, layer, findings, start, stop),
        parts=tuple(sorted(p for p in path.iterdir() if p.is_file())) if path.is_dir() else (path,),
    )  # fmt: skip


def unreadable(path: Path) -> SourceError:
    return SourceError(
        f"{path.name} cannot be read: it is damaged or not what its name says",
        remedy="Open it in the program that wrote it, save it again and deliver all its files",
    )


def information(path: Path, format_: str, name: str | None, **options) -> dict:
    """What GDAL says of a file's layer. Raises SourceError where it cannot, or where the file is of another format inside."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = pyogrio.read_info(path, layer=name, **options, **_OPTIONS.get(format_, {}))
    except UNREADABLE:
        raise unreadable(path) from None
    if info["driver"] != _DRIVERS[format_]:
        raise SourceError(f"{path.name} is not a {_DRIVERS[format_]} file inside", remedy="Deliver it in the format its name says")
    return info


def layers(path: Path, format_: str) -> list[str]:
    """The names of a file's layers; in KML, where each folder is one, of those with something in them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                listed = pyogrio.list_layers(path)
            except pyogrio.errors.GeometryError:
                # the types of a GML file's geometries are known from the second look on: the first has written them beside it
                listed = pyogrio.list_layers(path)
            names = [str(row[0]) for row in listed]
            if format_ == "kml" and len(names) > 1:
                names = [n for n in names if pyogrio.read_info(path, layer=n, force_feature_count=True)["features"]] or names[:1]
    except UNREADABLE:
        raise unreadable(path) from None
    return names


def distinct(names: list[str], path: Path, layer: Wanted, findings: Notes) -> list[str]:
    """Column names, each once: what stands there again gets a number, which is reported."""
    found: list[str] = []
    for name in names:
        made, n = name, 1
        while made in found or (n > 1 and made in names):
            n += 1
            made = f"{name}_{n}"
        if made != name:
            findings.add(layer.id, "SRC11", "info", f"{path.name} has several columns named {name}; this one is called {made}", value=made)
        found.append(made)
    return found


def note_measures(n: int, path: Path, layer: Wanted, findings: Notes) -> None:
    """Says that measures were left out, if any were."""
    if n:
        findings.add(layer.id, "SRC10", "info", f"{path.name}: {n} geometries have measures (M), which are left out", value=str(n))


def stream(path: Path, name: str | None, layer: Wanted, findings: Notes, start: int = 0, stop: int | None = None,
           **options) -> Iterator[tuple[pa.Table, pa.Array | None]]:  # fmt: skip
    """Attributes and ordinary geometries from row `start` up to before `stop`, `BATCH` rows at a time. Raises SourceError where GDAL says
    that it cannot go on."""
    done, measured = start, 0
    if start:
        options["skip_features"] = start
    try:
        with (
            warnings.catch_warnings(),
            open_arrow(path, layer=name, use_pyarrow=True, batch_size=BATCH, **options) as (meta, reader),
        ):
            warnings.simplefilter("ignore")
            column = meta["geometry_name"] or "wkb_geometry"
            for batch in reader:
                batch = batch if stop is None else batch.slice(0, stop - done)
                table, geometry = pa.Table.from_batches([batch]), None
                at = table.schema.get_all_field_indices(column)
                if at:
                    geometry, n = ordinary(table.column(at[-1]))
                    table, measured = table.remove_column(at[-1]), measured + n
                yield table, geometry
                done += len(batch)
                if done == stop:
                    break
    except UNREADABLE as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path.name} cannot be read beyond row {done}", remedy="Deliver the complete file") from None
    note_measures(measured, path, layer, findings)


def _batches(path: Path, format_: str, name: str | None, names, count: int | None, layer: Wanted, findings: Notes, start: int = 0,
             stop: int | None = None) -> Iterator[Batch]:  # fmt: skip
    """The rows of one layer, in order, from `start` up to before `stop`. GDAL ends in silence where it meets damage: then fewer rows come
    than there are, which is a SourceError."""
    done = start
    for table, geometry in stream(path, name, layer, findings, start, stop, **_OPTIONS.get(format_, {})):
        rows = table.rename_columns(names) if len(names) == table.num_columns else table
        n = len(geometry) if geometry is not None else table.num_rows
        yield Batch(rows, np.arange(done + 1, done + n + 1), geometry)
        done += n
    if count is not None and done != (count if stop is None else stop) and not _is_end(done, start, stop, _counted(path, name)):
        raise SourceError(f"{path.name} announces {count} rows, but {done} can be read", remedy="It is damaged: deliver it again")


def _is_end(done: int, start: int, stop: int | None, counted: int | None) -> bool:
    """Whether rows that were counted anew end there, or the piece of them does."""
    return counted is not None and done == (counted if stop is None else max(start, min(stop, counted)))


def _records(path: Path) -> int:
    """The records of a GeoJSON text sequence: lines that are not empty, or texts that a record separator begins (RFC 8142)."""
    separated = lines = 0
    with path.open("rb") as file:
        for line in file:
            separated += line.count(b"\x1e")
            lines += bool(line.strip(b"\x1e \t\r\n"))
    return separated or lines


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
