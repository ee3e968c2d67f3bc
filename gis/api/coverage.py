"""Raster layers for pygeoapi: coverages (GeoTIFF, CoverageJSON) and picture tiles, as the caller may see them.

pygeoapi's own rasterio provider answers a bad bbox with 500, looks two corners up only and reads whatever size is asked for.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial

import numpy as np
from pygeoapi.provider.base import BaseProvider
from rasterio.transform import xy
from rasterio.windows import Window

from gis import crs as systems
from gis.access import audit
from gis.access.identity import caller
from gis.api import raster, tile_grid
from gis.api.boxes import Area, area
from gis.api.provider import layer_of
from gis.api.tile_cache import cache
from gis.api.tiles import Answer, TileProvider, etag_of
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.errors import InputError, NotFound

LARGEST_TIFF = 16_000_000
"""Cells times bands of one GeoTIFF answer."""
LARGEST_JSON = 250_000
"""The same of CoverageJSON, where a cell takes some 7 bytes of text."""
TIFF = "image/tiff; application=geotiff"
COVERAGE_JSON = "application/prs.coverage+json"
PNG = "image/png"
_SCALED = re.compile(r"^(lon|long|lat)\(([-+.0-9e]{1,30})\)$", re.IGNORECASE)
_AXIS = re.compile(r"^(lon|long|lat)\(([-+.0-9e]{1,30}):([-+.0-9e]{1,30})\)$", re.IGNORECASE)


def box_of(bbox: str | None, bbox_crs: str | None, subset: str | None) -> Area | None:
    """The area that `bbox` (with `bbox-crs`) or `subset=Lat(…:…),Lon(…:…)` in degrees asks for. Raises InputError."""
    if bbox is None and subset is None:
        return None
    if bbox is not None and subset is not None:
        raise InputError("bbox and subset exclude each other", where="subset", remedy="Send one of them")
    if bbox is not None:
        return area(_numbers(bbox.split(","), "bbox"), bbox_crs)
    found = {}
    for part in re.split(r"(?<=\)),", subset or ""):
        match = _AXIS.match(part.strip())
        if match is None:
            raise InputError(f"{part[:60]!r} is no subset", where="subset", remedy="Write Lat(31.9:32.1),Lon(116.9:117.1)")
        found[match[1].lower()[:3]] = _numbers([match[2], match[3]], "subset")
    west, east = found.get("lon", [-180.0, 180.0])
    south, north = found.get("lat", [-90.0, 90.0])
    return area([west, south, east, north], None)


@dataclass(frozen=True)
class Scale:
    """How many cells a caller wants: as many fewer as a factor (1: the file's own), along x and y, or so many."""

    x: float = 1.0
    y: float = 1.0
    columns: int | None = None
    rows: int | None = None

    def cut(self, part: Window) -> raster.Cut:
        """A part in as many cells. One of columns and rows alone keeps the shape of the cells."""
        if self.columns or self.rows:
            factor = part.width / self.columns if self.columns else part.height / self.rows
            return raster.Cut(part, self.rows or max(1, round(part.height / factor)), self.columns or max(1, round(part.width / factor)))
        return raster.Cut(part, max(1, round(part.height / self.y)), max(1, round(part.width / self.x)))


def scale_of(factor: str | None, size: str | None, axes: str | None) -> Scale:
    """The cells that `scale-factor=2`, `scale-size=Lon(400),Lat(300)` or `scale-axes=Lon(2),Lat(4)` asks for (OGC API - Coverages, scaling:
    a factor above 1 means fewer cells). Raises InputError."""
    given = {"scale-factor": factor, "scale-size": size, "scale-axes": axes}
    named = [name for name, text in given.items() if text is not None]
    if not named:
        return Scale()
    if len(named) > 1:
        raise InputError(f"{' and '.join(named)} exclude each other", where=named[1], remedy="Send one of them")
    where = named[0]
    if factor is not None:
        value = _positive(factor, where)
        return Scale(value, value)
    found: dict[str, str] = {}
    for part in (size or axes or "").split(","):
        match = _SCALED.match(part.strip())
        if match is None or (axis := match[1].lower()[:3]) in found:
            raise InputError(f"{part[:60]!r} scales no axis", where=where, remedy="Write Lon(400),Lat(300)")
        found[axis] = match[2]
    if axes is not None:
        return Scale(_positive(found.get("lon", "1"), where), _positive(found.get("lat", "1"), where))
    cells = {axis: _positive(text, where) for axis, text in found.items()}
    if any(value != int(value) or value > 100_000 for value in cells.values()):
        raise InputError("a number of cells is a whole number up to 100,000", where=where)
    return Scale(columns=int(cells.get("lon", 0)) or None, rows=int(cells.get("lat", 0)) or None)


def _positive(text: str, where: str) -> float:
    (value,) = _numbers([text], where)
    if not 1e-4 <= value <= 1e6:
        raise InputError(f"{text[:40]!r} is no scale", where=where, remedy="Scales are numbers above 0; above 1 means fewer cells")
    return value


def _numbers(texts: list[str], where: str) -> list[float]:
    if where == "bbox" and len(texts) not in (4, 6):
        raise InputError("bbox is four numbers", where=where, remedy="Write west,south,east,north")
    try:
        return [float(text) for text in texts]
    except ValueError:
        raise InputError(f"{','.join(texts)[:60]!r} are no numbers", where=where) from None


NATIVE = Scale()


_DEFINITIONS = {
    "uint8": "ogcType:unsignedByte", "int16": "ogcType:signedShort", "uint16": "ogcType:unsignedShort", "int32": "ogcType:signedInt",
    "uint32": "ogcType:unsignedInt", "float32": "ogcType:float32", "float64": "ogcType:double",
}  # fmt: skip


class CoverageProvider(BaseProvider):
    """One raster layer as a coverage. Made anew for every request."""

    def __init__(self, provider_def: dict):
        self.layer = _layer(provider_def)
        super().__init__(provider_def)
        self.published = raster.published(self.layer.id)
        with raster.opened(self.published.path) as file:
            self._coverage_properties = {"width": file.width, "height": file.height, "resx": file.res[0], "resy": file.res[1]}
            self._fields = {str(i): {"title": f"{self.layer.id} {i}", "type": _kind(dtype)} for i, dtype in enumerate(file.dtypes, 1)}
        self.axes = ["Lon", "Lat"]

    def get_fields(self) -> dict:
        """The bands: {number: {title, type}}."""
        return self._fields

    def bands(self, properties: str | None) -> list[int]:
        """The bands asked for (numbers separated by commas); all without. Raises InputError."""
        if properties is None:
            return [int(name) for name in self._fields]
        wanted = properties.split(",")
        if unknown := [name for name in wanted if name not in self._fields]:
            raise InputError(f"no band {unknown[0][:40]!r}", where="properties", remedy="Bands: " + ", ".join(self._fields))
        return [int(name) for name in dict.fromkeys(wanted)]

    def describe(self, collection: dict) -> dict:
        """The description of a raster's collection: its grid in degrees, as its extent is; the same as domain set and range type (by which
        GDAL reads a coverage); and a link to the cells in degrees."""
        west, south, east, north = self.published.bounds
        with raster.opened(self.published.path) as file:
            cells = raster.cells_in_degrees(file, self.published.bounds)
            kinds = list(file.dtypes)
        counts, axes = (int(cells.width), int(cells.height)), []
        for name, low, high, n in (("Lon", west, east, counts[0]), ("Lat", south, north, counts[1])):
            axes.append({"type": "RegularAxis", "axisLabel": name, "lowerBound": low, "upperBound": high, "resolution": (high - low) / n,
                         "uomLabel": "deg"})  # fmt: skip
        grid = [{"cellsCount": n, "resolution": axis["resolution"]} for n, axis in zip(counts, axes, strict=True)]
        spatial = collection["extent"]["spatial"] | {"bbox": [[west, south, east, north]], "grid": grid}
        fields = [
            {"type": "Quantity", "name": str(i), "definition": _DEFINITIONS.get(kind, "ogcType:double")} for i, kind in enumerate(kinds, 1)
        ]
        links = [link for link in collection["links"] if "coverage?f=html" not in link["href"]]
        tiff = next(link for link in links if link["href"].endswith("coverage?f=GTiff"))
        return collection | {
            "extent": collection["extent"] | {"spatial": spatial},
            "domainset": {
                "type": "DomainSet",
                "generalGrid": {"type": "GeneralGridCoverage", "srsName": systems.CRS84, "axisLabels": ["Lon", "Lat"], "axis": axes},
            },
            "rangetype": {"type": "DataRecord", "field": fields},
            "links": [*links, tiff | {"href": f"{tiff['href']}&crs={systems.CRS84}", "title": f"{tiff['title']} (CRS84)"}],
        }

    def is_in_degrees(self, uri: str | None) -> bool:
        """Whether the answer is to be in degrees (CRS84), or as the file is. Raises InputError for another CRS."""
        with raster.opened(self.published.path) as file:
            own = f"http://www.opengis.net/def/crs/EPSG/0/{file.crs.to_epsg()}"
        if uri not in (None, own, systems.CRS84):
            remedy = f"Write {own} or {systems.CRS84}"
            raise InputError(f"CRS {uri[:80]!r} is not offered for these cells", where="crs", remedy=remedy)
        return uri == systems.CRS84

    def cut(self, where: Area | None, bands: list[int], as_json: bool, scale: Scale = NATIVE, *, degrees: bool = False) -> bytes | dict:
        """The cells of an area: a GeoTIFF, or a CoverageJSON object, in the raster's own CRS, or of exactly the area in degrees. Raises
        OutsideExtent, and InputError where it is too large."""
        with raster.opened(self.published.path) as file:
            box = where.box if where else self.published.bounds
            cut = scale.cut(raster.cells_in_degrees(file, box) if degrees else raster.window(file, where and where.box))
            cells, most = cut.width * cut.height * len(bands), LARGEST_JSON if as_json else LARGEST_TIFF
            if cells > most:
                least = math.ceil(math.sqrt(cells / most))
                raise InputError(
                    f"{cells:,} cells are asked for, at most {most:,} are given at once",
                    where="bbox",
                    remedy=f"Ask for a smaller bbox, or for fewer cells: scale-factor={least}",
                )
            write = partial(_coverage_json, layer=self.layer) if as_json else raster.geotiff
            if degrees:
                whole = raster.Cut(Window(0, 0, cut.width, cut.height), cut.height, cut.width)
                with raster.in_degrees(file, box, cut.width, cut.height) as seen:
                    answer = write(seen, whole, bands)
            else:
                answer = write(file, cut, bands)
        audit.record_access(caller.get(), "coverage", self.layer, n=cells, bbox=where and where.box)
        return answer

    def __repr__(self) -> str:
        return f"<CoverageProvider> {self.layer.id}"


class RasterTileProvider(TileProvider):
    """The picture tiles of one raster layer."""

    mimetype = PNG
    formats = ("png",)
    takes = ("f", "lang")

    def __init__(self, provider_def: dict):
        _layer(provider_def)
        super().__init__(provider_def)
        self.tile_type = "map"

    def tile(self, matrix_set, z, y, x, *, known: str | None = None, **_) -> Answer:
        """The picture, from the cache where the file has not changed; as `TileProvider.tile`."""
        place = tile_grid.tile(matrix_set, z, y, x)
        tiles, identity = self.layer.tiles, caller.get()
        if not tiles.min_zoom <= place.z <= tiles.max_zoom:
            raise NotFound("tile outside the zooms of the layer")
        published = raster.published(self.layer.id)
        key = (str(published.path), published.version, self.layer.id, matrix_set, place.z, place.x, place.y)
        etag = etag_of(key[1:])
        if known and etag in known:
            return Answer(None, etag, 0)
        kept = cache.get(key)
        if kept is None:
            picture = raster.tile(published, place)
            kept = (picture, int(bool(picture)))
            cache.put(key, *kept)
        self._record(identity, place, kept[1])
        return Answer(kept[0], etag, kept[1])

    def get_default_metadata(self, dataset, server_url, layer, tileset, title, description, keywords=None, **_) -> dict:
        """OGC tileset metadata (OGC 17-083r4, 7.3)."""
        document = super().get_default_metadata(dataset, server_url, layer, tileset, title, description)
        del document["layers"]
        return document | {"dataType": "map"}

    get_html_metadata = get_default_metadata

    def get_vendor_metadata(self, dataset, server_url, layer, tileset, title, description, keywords=None, **_) -> dict:
        """TileJSON 3.0."""
        document = super().get_vendor_metadata(dataset, server_url, layer, tileset, title, description)
        del document["vector_layers"]
        return document

    def __repr__(self) -> str:
        return f"<RasterTileProvider> {self.layer.id}"


def _layer(provider_def: dict) -> Layer:
    layer = layer_of(provider_def)
    if not layer.is_raster or not layer.readable_by(caller.get().role):
        raise NotFound("Collection not found")
    return layer


def _kind(dtype: str) -> str:
    return "integer" if np.issubdtype(np.dtype(dtype), np.integer) else "number"


def _coverage_json(file, cut: raster.Cut, bands: list[int], layer: Layer) -> dict:
    """The cells as CoverageJSON (OGC 21-069r2): a grid of cell centres in the raster's own CRS, y from north to south."""
    transform, city = cut.transform(file), catalog().city
    west, north = xy(transform, 0, 0)
    east, south = xy(transform, cut.height - 1, cut.width - 1)
    epsg = file.crs.to_epsg() or city.srid
    uri = systems.CRS84 if epsg == systems.STORED else f"http://www.opengis.net/def/crs/EPSG/0/{epsg}"
    system = {"type": "ProjectedCRS" if file.crs.is_projected else "GeographicCRS", "id": uri}
    named = ["y", "x"] if uri != systems.CRS84 and systems.is_northing_easting(epsg) else ["x", "y"]  # in the order of the CRS's axes
    ranges, parameters = {}, {}
    for band, cells in zip(bands, cut.read(file, bands), strict=True):
        name = layer.id if len(file.indexes) == 1 else f"{layer.id}_{band}"
        whole = np.issubdtype(cells.dtype, np.integer)
        values = np.where(np.ma.getmaskarray(cells), None, cells.data.astype(object)).ravel().tolist()
        parameters[name] = {
            "type": "Parameter", "description": layer.description.model_dump(),
            "observedProperty": {"label": layer.title.model_dump()},
        }  # fmt: skip
        ranges[name] = {
            "type": "NdArray", "dataType": "integer" if whole else "float", "axisNames": ["y", "x"],
            "shape": [cut.height, cut.width], "values": [v if v is None or whole else round(v, 3) for v in values],
        }  # fmt: skip
    axes = {"x": {"start": west, "stop": east, "num": cut.width}, "y": {"start": north, "stop": south, "num": cut.height}}
    domain = {"type": "Domain", "domainType": "Grid", "axes": axes, "referencing": [{"coordinates": named, "system": system}]}
    return {"type": "Coverage", "domain": domain, "parameters": parameters, "ranges": ranges}
