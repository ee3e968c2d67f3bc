"""WMTS 1.0.0 (OGC 07-057r7) over the raster layers, for clients that know no OGC API: the capabilities, and what a request asks for.

The tiles are those of `/collections/<raster>/tiles`, in the same grids; a raster that the caller may not see is in no document.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from gis.access.identity import caller
from gis.api import raster, tile_grid
from gis.catalog.model import Catalog, Layer
from gis.catalog.read import catalog
from gis.errors import InputError

WMTS, OWS, XLINK = "http://www.opengis.net/wmts/1.0", "http://www.opengis.net/ows/1.1", "http://www.w3.org/1999/xlink"
VERSION = "1.0.0"
STYLE = "default"
FORMAT = "image/png"
MEDIA = "application/xml; charset=utf-8"
CAPABILITIES = f"wmts/{VERSION}/WMTSCapabilities.xml"
_CRS = {
    "WebMercatorQuad": "urn:ogc:def:crs:EPSG::3857",
    "WorldCRS84Quad": "urn:ogc:def:crs:OGC:1.3:CRS84",
    "CGCS2000Quad": "urn:ogc:def:crs:EPSG::4490",
}
_OPERATIONS = ("GetCapabilities", "GetTile")

for _prefix, _uri in (("", WMTS), ("ows", OWS), ("xlink", XLINK)):
    Xml.register_namespace(_prefix, _uri)


@dataclass(frozen=True)
class TileRequest:
    """A tile as a request names it; all texts as they came."""

    layer: str
    matrix_set: str
    z: str
    y: str
    x: str


def parsed(arguments: dict[str, str]) -> TileRequest | None:
    """The tile that a KVP request asks for, None where it asks for the capabilities. Names of parameters know no case (OGC 07-057r7,
    8.1). Raises InputError whose `where` is the parameter."""
    given = {name.lower(): value for name, value in arguments.items()}
    if given.get("service", "").upper() != "WMTS":
        raise InputError("this is a WMTS", where="service", remedy="Send service=WMTS")
    request = given.get("request", "")
    if request.lower() == "getcapabilities":
        versions = given.get("acceptversions", VERSION).split(",")
        if VERSION not in versions:
            raise InputError(f"only version {VERSION} is spoken here", where="AcceptVersions")
        return None
    if request.lower() != "gettile":
        raise InputError(f"{request[:40]!r} is no operation of this service", where="request", remedy="One of " + ", ".join(_OPERATIONS))
    wanted = {"layer": "Layer", "tilematrixset": "TileMatrixSet", "tilematrix": "TileMatrix", "tilerow": "TileRow", "tilecol": "TileCol"}
    for name, written in wanted.items():
        if not given.get(name):
            raise InputError(f"{written} is missing", where=written)
    if given.get("version", VERSION) != VERSION:
        raise InputError(f"only version {VERSION} is spoken here", where="version")
    if given.get("style", "") not in ("", STYLE):
        raise InputError(f"the only style is {STYLE}", where="style")
    if given.get("format", FORMAT) != FORMAT:
        raise InputError(f"the only format is {FORMAT}", where="format")
    return TileRequest(*(given[name] for name in wanted))


def rasters(seen: Catalog) -> list[Layer]:
    """The raster layers that exist for the caller: his, and loaded."""
    role = caller.get().role
    return [layer for layer in seen.layers.values() if layer.is_raster and layer.readable_by(role) and raster.is_loaded(layer.id)]


def capabilities(base_url: str) -> bytes:
    """The capabilities document for the caller (OGC 07-057r7, 7.1.1.2)."""
    city = catalog().city
    root = Xml.Element(f"{{{WMTS}}}Capabilities", version=VERSION)
    about = _ows(root, "ServiceIdentification")
    _ows(about, "Title", f"{city.name.zh}一张图")
    _ows(about, "Abstract", f"One Map of {city.name.en}: rasters")
    _ows(about, "ServiceType", "OGC WMTS")
    _ows(about, "ServiceTypeVersion", VERSION)
    _ows(_ows(root, "ServiceProvider"), "ProviderName", city.name.zh)
    operations = _ows(root, "OperationsMetadata")
    for name in _OPERATIONS:
        http = _ows(_ows(_ows(operations, "Operation", name=name), "DCP"), "HTTP")
        get = _ows(http, "Get", **{f"{{{XLINK}}}href": f"{base_url}/wmts?"})
        _ows(_ows(_ows(get, "Constraint", name="GetEncoding"), "AllowedValues"), "Value", "KVP")
    contents = Xml.SubElement(root, f"{{{WMTS}}}Contents")
    shown = rasters(catalog())
    for layer in shown:
        _layer(contents, layer, base_url)
    # clients take the finest matrix for the raster's own pixels: none is named that has no tiles
    deepest = max((layer.tiles.max_zoom for layer in shown), default=tile_grid.DEEPEST)
    for grid in tile_grid.GRIDS.values():
        _matrix_set(contents, grid, deepest)
    _wmts(root, "ServiceMetadataURL", **{f"{{{XLINK}}}href": f"{base_url}/{CAPABILITIES}"})
    Xml.indent(root, " ")
    return Xml.tostring(root, encoding="utf-8", xml_declaration=True)


def exception(what: str, where: str, code: str) -> bytes:
    """An exception report (OGC 06-121r3, 8)."""
    root = Xml.Element(f"{{{OWS}}}ExceptionReport", version="1.1.0")
    one = _ows(root, "Exception", exceptionCode=code, **({"locator": where} if where else {}))
    _ows(one, "ExceptionText", what)
    return Xml.tostring(root, encoding="utf-8", xml_declaration=True)


def _ows(parent: Xml.Element, name: str, text: str | None = None, /, **attributes: str) -> Xml.Element:
    return _child(parent, OWS, name, text, attributes)


def _wmts(parent: Xml.Element, name: str, text: str | None = None, /, **attributes: str) -> Xml.Element:
    return _child(parent, WMTS, name, text, attributes)


def _child(parent: Xml.Element, namespace: str, name: str, text: str | None, attributes: dict[str, str]) -> Xml.Element:
    made = Xml.SubElement(parent, f"{{{namespace}}}{name}", attributes)
    made.text = text
    return made


def _layer(contents: Xml.Element, layer: Layer, base_url: str) -> None:
    one, bounds = _wmts(contents, "Layer"), raster.published(layer.id).bounds
    _ows(one, "Title", layer.title.zh)
    _ows(one, "Abstract", layer.description.zh)
    box = _ows(one, "WGS84BoundingBox")
    _ows(box, "LowerCorner", f"{bounds[0]:.8f} {bounds[1]:.8f}")
    _ows(box, "UpperCorner", f"{bounds[2]:.8f} {bounds[3]:.8f}")
    _ows(one, "Identifier", layer.id)
    _ows(_wmts(one, "Style", isDefault="true"), "Identifier", STYLE)
    _wmts(one, "Format", FORMAT)
    for grid in tile_grid.GRIDS.values():
        link = _wmts(one, "TileMatrixSetLink")
        _wmts(link, "TileMatrixSet", grid.id)
        limits = _wmts(link, "TileMatrixSetLimits")
        for z in range(max(layer.tiles.min_zoom, grid.first), layer.tiles.max_zoom + 1):
            first_column, last_column, first_row, last_row = tile_grid.limits(grid.id, z, bounds)
            at = _wmts(limits, "TileMatrixLimits")
            for name, value in (
                ("TileMatrix", z), ("MinTileRow", first_row), ("MaxTileRow", last_row), ("MinTileCol", first_column),
                ("MaxTileCol", last_column),
            ):  # fmt: skip
                _wmts(at, name, str(value))
    template = f"{base_url}/wmts/{VERSION}/{layer.id}/{STYLE}/{{TileMatrixSet}}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}.png"
    _wmts(one, "ResourceURL", format=FORMAT, resourceType="tile", template=template)


def _matrix_set(contents: Xml.Element, grid: tile_grid.Grid, deepest: int) -> None:
    one = _wmts(contents, "TileMatrixSet")
    _ows(one, "Title", grid.title)
    _ows(one, "Identifier", grid.id)
    _ows(one, "SupportedCRS", _CRS[grid.id])
    if grid.scale_set:
        _wmts(one, "WellKnownScaleSet", grid.scale_set)
    for matrix in grid.matrices()[: deepest - grid.first + 1]:
        at = _wmts(one, "TileMatrix")
        _ows(at, "Identifier", matrix["id"])
        _wmts(at, "ScaleDenominator", f"{matrix['scaleDenominator']:.10f}")
        _wmts(at, "TopLeftCorner", " ".join(f"{value:.10f}" for value in matrix["pointOfOrigin"]))
        for name, key in (("TileWidth", "tileWidth"), ("TileHeight", "tileHeight"), ("MatrixWidth", "matrixWidth"),
                          ("MatrixHeight", "matrixHeight")):  # fmt: skip
            _wmts(at, name, str(matrix[key]))
