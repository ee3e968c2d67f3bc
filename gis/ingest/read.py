"""The sources: what a delivered file holds, read in batches of Arrow tables, whatever its format, encoding and CRS.

Nothing is opened that the allow-list below does not name, and only when its first bytes are what its name says: a VRT or a
GDAL pipeline under another name could read any file of the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from gis.catalog.model import Layer
from gis.errors import SourceError
from gis.ingest import wkb
from gis.ingest.findings import Findings

BATCH = 65_536
"""Rows per batch: bounds the memory of a load."""


@dataclass
class Batch:
    """Rows of a source: `rows` their attributes as delivered, `numbers` their 1-based numbers in the source, `geometry` as WKB (null where
    missing) in the source's CRS, x before y, Z kept; bytes that are no geometry may stand in it and are found when it is mapped. `broken`
    marks positions that the reader could not make a geometry of (null then), `broken_texts` are their raw texts where there are some."""

    rows: pa.Table
    numbers: np.ndarray
    geometry: pa.BinaryArray | None = None
    broken: np.ndarray | None = None
    broken_texts: list[str] | None = None

    def shapes(self) -> np.ndarray:
        """The positions as shapely objects (n,), None where there is none or its bytes are no geometry."""
        return np.full(len(self.numbers), None, dtype=object) if self.geometry is None else wkb.shapes(self.geometry)[0]


@dataclass
class Source:
    """One file (or one layer of it), open for reading. `crs` is what it is in (None only where it has no positions);
    `crs_declared` says whether the file itself says so. `columns` are its attributes; `count` its rows where known beforehand."""

    name: str
    path: Path
    format: str
    columns: tuple[str, ...]
    crs: str | None
    crs_declared: bool
    encoding: str
    count: int | None
    findings: Findings
    batches: Callable[[], Iterator[Batch]]
    layer_name: str | None = None
    survey_axes: bool = False
    """The positions come from columns named X and Y, which in survey tables mean northing and easting."""
    parts: tuple[Path, ...] = field(default=())
    """All files that belong to it (a shapefile has several); the first is `path`."""


def open_source(
    path: Path | str, layer: Layer, *, encoding: str | None = None, crs: str | int | None = None, source_layer: str | None = None
) -> Source:
    """Opens a delivered file for one layer.

    encoding, crs: what the operator says, before what the file declares, before what the layer file assumes. source_layer: which
    layer of a file that holds several. Raises SourceError (unreadable, not allowed, wrong encoding, no CRS) or InputError
    (several layers and none named).
    """
    from gis.ingest import table, vector

    path = Path(path)
    format_ = format_of(path)
    if format_ == "csv":
        return table.open_table(path, layer, encoding=encoding, crs=crs)
    if format_ in ("gpkg", "shp", "geojson"):
        return vector.open_vector(path, layer, format_, encoding=encoding, crs=crs, source_layer=source_layer)
    other = {"osm": "onemap load osm", "tiff": "onemap load raster", "epanet": "onemap load epanet"}[format_]
    raise SourceError(f"{path.name} is not read into one layer", remedy=f"Use `{other}`")


FORMATS = {
    ".gpkg": "gpkg", ".shp": "shp", ".geojson": "geojson", ".json": "geojson", ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".pbf": "osm", ".tif": "tiff", ".tiff": "tiff", ".inp": "epanet",
}  # fmt: skip
"""What may come in, by the end of its name."""


def format_of(path: Path) -> str:
    """The format of a file by its name, after its first bytes agreed. Raises SourceError."""
    if not path.exists():
        raise SourceError(f"there is no file {path.name}", remedy="Check the name and the folder")
    if path.is_dir():
        raise SourceError(f"{path.name} is a folder", remedy="Name the files in it")
    suffixes = [s.lower() for s in path.suffixes]
    zipped = suffixes[-1:] == [".gz"] and suffixes[-2:-1] in ([".csv"], [".tsv"], [".txt"])
    format_ = "csv" if zipped else FORMATS.get(suffixes[-1] if suffixes else "")
    if format_ is None:
        raise SourceError(
            f"files like {path.name} are not accepted",
            remedy="Accepted are GeoPackage, Shapefile, GeoJSON, CSV, OSM PBF, EPANET .inp and GeoTIFF",
        )
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be opened: {error.strerror}", remedy="Check its permissions") from None
    if not _agrees(format_, head, zipped):
        what = "empty" if not head else f"not a {format_} file inside"
        raise SourceError(f"{path.name} is {what}", remedy="Deliver the file as its format's own program writes it")
    return format_


def _agrees(format_: str, head: bytes, zipped: bool) -> bool:
    """Whether the first bytes are those of the format."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return {
        "gpkg": head.startswith(b"SQLite format 3\0"),
        "shp": head.startswith(b"\x00\x00\x27\x0a"),
        "geojson": text.startswith(b"{") and b"gdal_streamed_alg" not in head,
        "csv": head.startswith(b"\x1f\x8b") if zipped else bool(head) and not text.startswith((b"<OGRVRT", b"<VRTDataset", b"SQLite")),
        "osm": b"OSMHeader" in head[:64],
        "tiff": head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "epanet": bool(head) and b"\0" not in head,
    }[format_]
