"""The formats that may come in: known by their names, agreed by their first bytes, opened each by its reader.

Nothing is opened that this page does not name, and only when its first bytes are what its name says: a VRT or a GDAL pipeline
under another name could read any file of the server. `open_here` opens in this very process, which must be the reading process.
"""

from __future__ import annotations

import os
from pathlib import Path

from gis.errors import SourceError
from gis.ingest.wanted import Wanted

SUFFIXES = {
    ".gpkg": "gpkg", ".shp": "shp", ".geojson": "geojson", ".json": "geojson", ".geojsonl": "geojsonseq", ".geojsons": "geojsonseq",
    ".geojsonseq": "geojsonseq", ".ndjson": "geojsonseq", ".jsonl": "geojsonseq", ".gml": "gml", ".kml": "kml", ".fgb": "fgb",
    ".gdb": "gdb", ".parquet": "parquet", ".geoparquet": "parquet", ".dxf": "dxf", ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".xlsx": "xlsx", ".xlsm": "xlsx", ".mdb": "access", ".accdb": "access", ".zip": "zip", ".kmz": "zip",
    ".pbf": "osm", ".tif": "tiff", ".tiff": "tiff", ".inp": "inp",
}  # fmt: skip
"""What may come in, by the end of its name."""
VECTOR = ("gpkg", "geojson", "geojsonseq", "gml", "kml", "fgb", "gdb")
TABULAR = ("csv", "xlsx", "access")
_ELSEWHERE = {"osm": "onemap load osm", "tiff": "onemap load raster", "inp": "onemap load epanet` or `onemap load swmm"}
_SHAPEFILE = "Export it as Shapefile"
_ADVICE = {
    ".xls": "Save it as .xlsx", ".dwg": "Save it as DXF", ".rar": "Pack it as ZIP", ".7z": "Pack it as ZIP", ".wl": _SHAPEFILE,
    ".wp": _SHAPEFILE, ".wt": _SHAPEFILE, ".tab": _SHAPEFILE, ".mif": _SHAPEFILE, ".dbf": "Name the .shp file, or save it as CSV",
    ".shx": "Name the .shp file",
}  # fmt: skip


def format_of(path: Path) -> str:
    """The format of a file by its name, after its first bytes agreed. Raises SourceError."""
    if not path.exists():
        raise SourceError(f"there is no file {path.name}", remedy="Check the name and the folder")
    suffixes = [s.lower() for s in path.suffixes]
    last = suffixes[-1] if suffixes else ""
    if path.is_dir():
        if last == ".gdb":
            return _geodatabase(path)
        raise SourceError(f"{path.name} is a folder", remedy="Name the files in it")
    zipped = last == ".gz" and suffixes[-2:-1] in ([".csv"], [".tsv"], [".txt"])
    format_ = "csv" if zipped else SUFFIXES.get(last)
    if format_ is None or not path.is_file():
        raise SourceError(f"files like {path.name} are not accepted", remedy=_ADVICE.get(last) or f"Accepted are {', '.join(SUFFIXES)}")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be opened: {error.strerror}", remedy="Check its permissions") from None
    if format_ == "gdb" or not _agrees(format_, head, zipped):
        what = "empty" if not head else f"not a {format_} file inside"
        raise SourceError(f"{path.name} is {what}", remedy="Deliver the file as its format's own program writes it")
    return format_


def _geodatabase(path: Path) -> str:
    """A file geodatabase is a folder of plain files."""
    try:
        inside = list(os.scandir(path))
    except OSError as error:
        raise SourceError(f"{path.name} cannot be opened: {error.strerror}", remedy="Check its permissions") from None
    if any(entry.is_symlink() for entry in inside):
        raise SourceError(f"{path.name} holds links to other files", remedy="Deliver the geodatabase itself")
    if not any(entry.name.lower().endswith(".gdbtable") for entry in inside):
        raise SourceError(f"{path.name} is not a file geodatabase inside", remedy="Deliver the whole .gdb folder, or a ZIP of it")
    return "gdb"


def _agrees(format_: str, head: bytes, zipped: bool) -> bool:
    """Whether the first bytes are those of the format."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    json = text.removeprefix(b"\x1e").lstrip().startswith(b"{") and b"gdal_streamed_alg" not in head
    xml = (text.startswith(b"<") and not text.startswith((b"<OGRVRT", b"<VRTDataset"))) or head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return {
        "gpkg": head.startswith(b"SQLite format 3\0"),
        "shp": head.startswith(b"\x00\x00\x27\x0a"),
        "geojson": json,
        "geojsonseq": json,
        "gml": xml,
        "kml": xml,
        "fgb": head[:3] == b"fgb" and head[4:7] == b"fgb",
        "parquet": head.startswith(b"PAR1"),
        "dxf": bool(head) and (head.startswith(b"AutoCAD Binary DXF") or text[:1] in b"09") and b"SECTION" in head,
        "csv": head.startswith(b"\x1f\x8b") if zipped else bool(head) and not text.startswith((b"<OGRVRT", b"<VRTDataset", b"SQLite")),
        "xlsx": head.startswith(b"PK\x03\x04"),
        "access": head[:4] == b"\x00\x01\x00\x00" and head[4:15] in (b"Standard Je", b"Standard AC"),
        "zip": head.startswith(b"PK\x03\x04"),
        "osm": b"OSMHeader" in head[:64],
        "tiff": head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "inp": bool(head) and b"\0" not in head,
        "gdb": False,
    }[format_]


def open_here(path: str, wanted: dict, encoding: str | None, crs: str | None, source_layer: str | None, scratch: str | None):
    """Opens a file in this process; see `gis.ingest.read.open_source`, whose arguments come here as plain data. scratch: an empty folder,
    for what has to be unpacked."""
    return opened(Path(path), Wanted.from_dict(wanted), encoding, crs, source_layer, scratch=None if scratch is None else Path(scratch))


def listed_here(path: str, scratch: str | None) -> list[str]:
    """The names of a file's layers, sheets, tables or files; see `gis.ingest.read.layers_of`."""
    return listed(Path(path), None if scratch is None else Path(scratch))


def listed(path: Path, scratch: Path | None) -> list[str]:
    """The same, in this process."""
    format_ = format_of(path)
    if format_ in VECTOR:
        from gis.ingest import markup, vector

        return vector.layers(markup.sound(path, scratch) if format_ in ("gml", "kml") else path, format_)
    if format_ == "xlsx":
        from gis.ingest import workbook

        return workbook.sheets(path)
    if format_ == "access":
        from gis.ingest import access

        return access.tables(path)
    if format_ == "zip":
        from gis.ingest import archive

        return archive.files(path, scratch)
    return []


UNPACKED = ("zip", "dxf", "gml", "kml", "osm")
"""Formats whose readers may have to write a copy, unpacked or in UTF-8."""


def opened(path: Path, wanted: Wanted, encoding: str | None, crs: str | None, source_layer: str | None, *, scratch: Path | None,
           nested: bool = False):  # fmt: skip
    """The source that a file is, by the reader of its format."""
    format_ = format_of(path)
    if format_ == "osm" and source_layer is not None:
        from gis.ingest import osm

        return osm.open_extract(path, wanted, source_layer=source_layer, scratch=scratch)
    if format_ in _ELSEWHERE:
        raise SourceError(f"{path.name} is not read into one layer", remedy=f"Use `{_ELSEWHERE[format_]}`")
    if format_ in VECTOR:
        from gis.ingest import vector

        return vector.open_vector(path, wanted, format_, source_layer=source_layer, scratch=scratch)
    match format_:
        case "shp":
            from gis.ingest import shapefile

            return shapefile.open_shapefile(path, wanted, encoding=encoding)
        case "csv":
            from gis.ingest import table

            return table.open_table(path, wanted, encoding=encoding, crs=crs)
        case "xlsx":
            from gis.ingest import workbook

            return workbook.open_workbook(path, wanted, crs=crs, source_layer=source_layer)
        case "access":
            from gis.ingest import access

            return access.open_database(path, wanted, crs=crs, source_layer=source_layer)
        case "parquet":
            from gis.ingest import parquet

            return parquet.open_parquet(path, wanted, crs=crs)
        case "dxf":
            from gis.ingest import drawing

            return drawing.open_drawing(path, wanted, encoding=encoding, source_layer=source_layer, scratch=scratch)
    if nested or scratch is None:
        raise SourceError(f"{path.name} is an archive in an archive", remedy="Unpack it, and pack the files into one archive")
    from gis.ingest import archive

    return archive.open_archive(path, wanted, scratch, encoding, crs, source_layer)


def preload() -> None:
    """Loads the readers that most files need."""
    from gis.ingest import shapefile, table, vector  # noqa: F401
