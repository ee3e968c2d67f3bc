"""The layers of a QGIS project (`gis.catalog.qgis_project`), each as QGIS's element `maplayer`."""

from __future__ import annotations

from urllib.parse import quote
from xml.etree import ElementTree as Xml

from gis import crs
from gis.catalog import maplibre, qml
from gis.catalog.model import City, Layer

WKB = {
    "Point": "Point", "PointZ": "PointZ", "LineString": "LineString", "LineStringZ": "LineStringZ", "MultiPolygon": "MultiPolygon",
    "MultiPolygonZ": "MultiPolygonZ",
}  # fmt: skip
KIND = {0: "Point", 1: "Line", 2: "Polygon"}
STORED, MERCATOR = f"EPSG:{crs.STORED}", f"EPSG:{crs.WEB_MERCATOR}"
LAYER_PREFIX, TILES_PREFIX = "onemap_layer_", "onemap_tiles_"
"""Before a layer's id: QGIS gives a layer whose id is no longer than ten characters another one, and its tree finds it no more."""


def from_api(layer: Layer, city: City, url: str, authcfg: str | None, system: str = STORED) -> Xml.Element:
    """A vector layer over OGC API Features, in the CRS that it is stored in (a QGIS that knows CRS84 only asks for that: the numbers are
    the same) or in another, only what is in view, page by page."""
    parts = {
        "pagingEnabled": "true", "restrictToRequestBBOX": "1", "srsname": system, "typename": layer.id, "url": _base(url),
        "version": "OGC_API_FEATURES",
    }  # fmt: skip
    return _vector(layer, city, " ".join([*_login(authcfg), *(f"{name}='{value}'" for name, value in parts.items())]), "OAPIF", system)


def from_postgis(layer: Layer, city: City, service: str, authcfg: str | None) -> Xml.Element:
    """A vector layer read from its view in PostGIS: the columns that the reader may see, and `fid` as key."""
    columns = ", ".join(f'\\"{name}\\"' for name in ("fid", *layer.columns, "geom"))
    table = f'(SELECT {columns} FROM \\"pub\\".\\"{layer.id}\\")'
    parts = [
        f"service='{service}'", *_login(authcfg), "key='fid'", "estimatedmetadata=true", f"srid={crs.STORED}",
        f"type={WKB[layer.geometry]}", "checkPrimaryKeyUnicity='0'", f'table="{table}" (geom)',
    ]  # fmt: skip
    return _vector(layer, city, " ".join(parts), "postgres", STORED)


def vector_tiles(layer: Layer, city: City, url: str, authcfg: str | None) -> Xml.Element:
    """The layer's tiles, drawn in the same classes; labels of areas from the points that their tiles bring."""
    source = _tiles(maplibre.TILES, layer, url, authcfg)
    element = _layer(layer, TILES_PREFIX + layer.id, city, "vector-tile", source, "", MERCATOR)
    geometry = str(layer.dimension)
    renderer = Xml.SubElement(element, "renderer", type="basic")
    styles, found = Xml.SubElement(renderer, "styles"), qml.classes(layer)
    others = " AND ".join(f"NOT coalesce({one.condition}, false)" for one in found if one.condition)
    for one in found:
        style = Xml.SubElement(
            styles, "style", {"name": one.title, "enabled": "1", "geometry": geometry, "layer": layer.id, "min-zoom": "-1",
            "max-zoom": "-1", "expression": one.condition or others},
        )  # fmt: skip
        Xml.SubElement(style, "symbols").append(one.symbol)
    if layer.style.label and layer.style.label in layer.tiles.columns:
        element.append(_tile_labels(layer))
    Xml.SubElement(element, "layerOpacity").text = "1"
    return element


def raster(layer: Layer, city: City, url: str, authcfg: str | None) -> Xml.Element:
    """The picture tiles of a raster."""
    element = _layer(layer, LAYER_PREFIX + layer.id, city, "raster", _tiles(maplibre.PICTURES, layer, url, authcfg), "wms", MERCATOR)
    pipe = Xml.SubElement(element, "pipe")
    Xml.SubElement(
        pipe, "rasterrenderer", type="singlebandcolordata", band="1", opacity=f"{layer.style.opacity:g}", alphaBand="-1", nodataColor=""
    )
    Xml.SubElement(element, "blendMode").text = "0"
    return element


def _vector(layer: Layer, city: City, source: str, provider: str, system: str) -> Xml.Element:
    element = _layer(layer, LAYER_PREFIX + layer.id, city, "vector", source, provider, system)
    for name, value in {"geometry": KIND[layer.dimension], "wkbType": WKB[layer.geometry], **qml.attributes(layer)}.items():
        element.set(name, value)
    element.find("provider").set("encoding", "")
    element.extend(qml.elements(layer))
    return element


def _layer(layer: Layer, name: str, city: City, kind: str, source: str, provider: str, system: str) -> Xml.Element:
    """What every kind of layer has: its id, where its data are, its Chinese name, its CRS and extent, what it is about."""
    element = Xml.Element("maplayer", type=kind, styleCategories="AllStyleCategories")
    west, south, east, north = city.extent
    x, y = crs.transform([west, east], [south, north], crs.STORED, system)
    rectangle(Xml.SubElement(element, "extent"), (x[0], y[0], x[1], y[1]))
    Xml.SubElement(element, "id").text = name
    Xml.SubElement(element, "datasource").text = source
    Xml.SubElement(element, "layername").text = layer.title.zh
    reference_system(Xml.SubElement(element, "srs"), system)
    about = Xml.SubElement(element, "resourceMetadata")
    Xml.SubElement(about, "identifier").text = layer.id
    Xml.SubElement(about, "language").text = "zho"
    Xml.SubElement(about, "type").text = "dataset"
    Xml.SubElement(about, "title").text = layer.title.zh
    Xml.SubElement(about, "abstract").text = f"{layer.description.zh}。密级：{layer.access.label}"
    Xml.SubElement(element, "provider").text = provider
    return element


def _tile_labels(layer: Layer) -> Xml.Element:
    settings = qml.labeling(layer).find("settings")
    area = layer.dimension == 2
    if area:  # one point for each area, that a cut by tiles does not name it in each
        settings.find("placement").set("placement", qml.PLACEMENT[0])
    found = Xml.Element("labeling", type="basic", labelsEnabled="1")
    values = {
        "name": layer.title.zh, "enabled": "1", "geometry": "0" if area else str(layer.dimension), "expression": "",
        "layer": f"{layer.id}_label" if area else layer.id, "min-zoom": str(layer.style.label_min_zoom), "max-zoom": "-1",
    }  # fmt: skip
    style = Xml.SubElement(Xml.SubElement(found, "styles"), "style", values)
    style.append(settings)
    return found


def _tiles(path: str, layer: Layer, url: str, authcfg: str | None) -> str:
    address = quote(_base(url) + path.format(layer.id), safe=":/?{}")
    zooms = f"zmin={layer.tiles.min_zoom}&zmax={layer.tiles.max_zoom}"
    return "&".join(["type=xyz", f"url={address}", zooms, *_login(authcfg)])


def _login(authcfg: str | None) -> list[str]:
    return [f"authcfg={authcfg}"] if authcfg else []


def _base(url: str) -> str:
    return url.rstrip("/") + "/"


def reference_system(parent: Xml.Element, name: str) -> None:
    """A CRS by its authority's name: QGIS looks the rest up. It does so only where an internal number stands beside the name, whatever
    that number is."""
    system = Xml.SubElement(parent, "spatialrefsys")
    Xml.SubElement(system, "srsid").text = str(crs.epsg(name))
    Xml.SubElement(system, "authid").text = name


def rectangle(parent: Xml.Element, bounds: tuple[float, float, float, float]) -> None:
    """An extent: west, south, east, north, as x and y are drawn."""
    for name, value in zip(("xmin", "ymin", "xmax", "ymax"), bounds, strict=True):
        Xml.SubElement(parent, name).text = f"{value:.9g}" if abs(value) < 1000 else f"{value:.3f}"
