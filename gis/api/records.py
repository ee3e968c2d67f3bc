"""The catalogue (数据资源目录) as OGC API records: what is published here, each with its record, for the one who asks.

A record exists for whom the thing itself exists: a layer and what is made of it for who reads it, a process for who may run it, a delivery
for who reads one of its layers. Source: OGC API - Records - Part 1: Core (OGC 20-004r1), clauses 7.2 (record) and 7.3 (collection).
"""

from __future__ import annotations

from dataclasses import dataclass

from gis.access.identity import Identity
from gis.access.roles import visible_catalog
from gis.api import process as served
from gis.api import raster
from gis.api.layer_file import FORMATS
from gis.catalog.model import GROUPS, Access, Catalog, Column, Layer, Text
from gis.catalog.observed import SENSORS
from gis.catalog.read import catalog

ID = "catalogue"
"""The collection of records."""
TITLE = Text(zh="数据资源目录", en="Catalogue")
DESCRIPTION = Text(
    zh="本平台发布的图层、服务、样式、瓦片、文件与入库批次，可按文字、范围、时间检索",
    en="The layers, services, styles, tile sets, files and deliveries published here, found by text, area and time",
)
CONFORMANCE = tuple(
    f"http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/{name}"
    for name in ("record-core", "record-collection", "record-core-query-parameters", "record-api", "searchable-catalog",
                 "searchable-catalog-filtering", "searchable-catalog-sorting", "filtering", "sorting", "json", "html", "oas30")
)  # fmt: skip
_REL = "http://www.opengis.net/def/rel/ogc/1.0/"
_PROFILE = "http://www.opengis.net/def/profile/OGC/0/"
CATALOG_MEDIA = "application/ogc-catalog+json"
SCHEME = "onemap"
"""The scheme of external ids: a layer, a process or a delivery as this platform names it."""
RECORD = "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core"
TYPES = {
    "dataset": Text(zh="图层", en="Layer"),
    "service": Text(zh="服务", en="Service"),
    "style": Text(zh="样式", en="Style"),
    "tileset": Text(zh="瓦片", en="Tile set"),
    "file": Text(zh="文件下载", en="File"),
    "batch": Text(zh="入库批次", en="Delivery"),
}
"""The types of records."""


def _column(zh: str, en: str, kind: str = "text") -> Column:
    return Column(type=kind, title=Text(zh=zh, en=en))


QUERYABLE = Layer(
    id=ID, group="base", title=TITLE, description=DESCRIPTION, geometry="MultiPolygon", key=("id",),
    access=Access(label="公开", read=("anonymous",)),
    fields={
        "id": _column("标识", "Id"), "type": _column("资源类型", "Type"), "title": _column("标题", "Title"),
        "description": _column("说明", "Description"), "keywords": _column("关键词", "Keywords"), "layer": _column("图层", "Layer"),
        "label": _column("密级", "Label"), "created": _column("发布时间", "Created", "timestamp"),
        "updated": _column("更新时间", "Updated", "timestamp"),
    },
)  # fmt: skip
"""What filters and `sortby` may ask of a record, said as a layer is: titles in both languages, joined by a line feed."""


def description(base: str, language: str) -> dict:
    """The collection as `/collections` lists it."""
    path = f"{base}/collections/{ID}"

    def said(text: Text) -> str:
        return text.zh if language == "zh" else text.en

    def link(rel: str, end: str, kind: str, title: str) -> dict:
        return {"rel": rel, "type": kind, "title": title, "href": path + end, "hreflang": language}

    items = "目录记录" if language == "zh" else "Records"
    return {
        "id": ID,
        "type": "Collection",
        "title": said(TITLE),
        "description": said(DESCRIPTION),
        "itemType": "record",
        "keywords": [said(kind) for kind in TYPES.values()],
        "extent": {
            "spatial": {"bbox": [list(catalog().city.extent)], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
            "temporal": {"interval": [[None, None]]},
        },
        "crs": ["http://www.opengis.net/def/crs/OGC/1.3/CRS84"],
        "links": [
            link("self", "?f=json", "application/json", said(TITLE)),
            link("alternate", "?f=html", "text/html", said(TITLE)),
            link("items", "/items?f=json", "application/geo+json", items),
            link("items", "/items?f=html", "text/html", items),
            link(f"{_REL}schema", "/schema", "application/schema+json", "Schema"),
            link(f"{_REL}queryables", "/queryables", "application/schema+json", "Queryables"),
            link(f"{_REL}sortables", "/sortables", "application/schema+json", "Sortables"),
            profile("ogc-catalog"),
        ],
    }


def profile(name: str) -> dict:
    """The link that says which profile of OGC a document keeps to (OGC 20-004r1, /req/json/record-content)."""
    return {"rel": "profile", "type": "text/html", "title": name, "href": _PROFILE + name}


def discovered(base: str, language: str) -> dict:
    """The link by which harvesters find the catalogue (OGC 20-004r1, class autodiscovery)."""
    title = TITLE.zh if language == "zh" else TITLE.en
    return {"rel": f"{_REL}ogc-catalog", "type": "application/geo+json", "title": title, "href": f"{base}/collections/{ID}/items"}


def resource() -> dict:
    """The collection as pygeoapi's configuration knows it; it is read by paths of its own, so no provider is named."""
    return {
        "type": "collection",
        "title": TITLE.model_dump(),
        "description": DESCRIPTION.model_dump(),
        "keywords": {"zh": [TITLE.zh], "en": [TITLE.en]},
        "extents": {"spatial": {"bbox": list(catalog().city.extent)}, "temporal": {"begin": None, "end": None}},
        "providers": [],
    }


def external_of(one: Defined) -> str | None:
    """What the resource is called outside the catalogue: the layer's or the process's id; None for what has no name of its own."""
    if one.process is not None:
        return one.process
    return one.layer.id if one.layer is not None and one.type == "dataset" else None


@dataclass(frozen=True)
class Defined:
    """A record that follows from the definitions: all but the deliveries. `layer`: the one it is made of; `of`: the process."""

    id: str
    type: str
    title: Text
    description: Text
    keywords: tuple[Text, ...] = ()
    layer: Layer | None = None
    process: str | None = None

    @property
    def words(self) -> str:
        """All that a search by text looks at."""
        texts = (self.title, self.description, TYPES[self.type], *self.keywords)
        return "\n".join([self.id, *(word for text in texts for word in (text.zh, text.en))])


def seen(identity: Identity) -> Catalog:
    """The layers that exist for the caller, rasters only where one was loaded."""
    visible = visible_catalog(catalog(), identity.role)
    layers = {name: layer for name, layer in visible.layers.items() if not layer.is_raster or raster.is_loaded(name)}
    return visible.model_copy(update={"layers": layers})


def defined(identity: Identity) -> list[Defined]:
    """The records of layers, of what is made of them, and of the services, for the caller, in their order."""
    layers = list(seen(identity).layers.values())
    found = [_dataset(layer) for layer in layers]
    found.append(_platform())
    words = (Text(zh="分析服务", en="Process"),)
    found += [
        Defined(f"process.{process.id}", "service", process.title, process.description, words, None, process.id)
        for process in served.runnable(identity.role).values()
    ]
    found.append(Defined("onemap.style", "style", Text(zh="全图样式", en="Style of the whole map"),
                         Text(zh="可见图层的 MapLibre 样式", en="MapLibre style of all layers that you see")))  # fmt: skip
    found += [made for layer in layers for made in _made_of(layer)]
    return found


def _dataset(layer: Layer) -> Defined:
    columns = [column.title for column in layer.fields.values()]
    return Defined(layer.id, "dataset", layer.title, layer.description, (GROUPS[layer.group], *columns), layer)


def _platform() -> Defined:
    return Defined(
        "onemap", "service", Text(zh="一张图 OGC API", en="One Map OGC API"),
        Text(zh="要素、瓦片、覆盖、目录、观测与分析的统一接口", en="Features, tiles, coverages, catalogue, observations and processes"),
        (Text(zh="接口", en="API"), Text(zh="时空信息平台", en="Spatio-temporal platform")),
    )  # fmt: skip


def _made_of(layer: Layer) -> list[Defined]:
    """Style, tiles and file of a layer."""

    def made(kind: str, zh: str, en: str) -> Defined:
        title = Text(zh=f"{layer.title.zh} {zh}", en=f"{layer.title.en}: {en}")
        return Defined(f"{layer.id}.{kind}", kind, title, layer.description, (GROUPS[layer.group],), layer)

    tiles = made("tileset", "瓦片", "tiles")
    if layer.is_raster:
        return [tiles]
    files = made("file", "文件下载", "file")
    return [tiles, made("style", "样式", "style"), files]


# --- links and formats ------------------------------------------------------------------------------------------------

_GEOJSON, _JSON = ("GeoJSON", "application/geo+json"), ("JSON", "application/json")


def _link(rel: str, href: str, kind: str, zh: str, en: str, language: str) -> dict:
    return {"rel": rel, "type": kind, "title": zh if language == "zh" else en, "href": href, "hreflang": language}


def links(one: Defined, base: str, language: str) -> list[dict]:
    """Where the thing itself is: items, tiles, styles, files, execution."""

    def link(rel: str, path: str, kind: str, zh: str, en: str) -> dict:
        return _link(rel, f"{base}{path}", kind, zh, en, language)

    if one.process is not None:
        path = f"/processes/{one.process}"
        return [link("describedby", path, "application/json", "服务说明", "Description"),
                link(f"{_REL}execute", f"{path}/execution", "application/json", "执行", "Execute")]  # fmt: skip
    if one.layer is None and one.type == "style":
        return [link("stylesheet", "/styles/onemap", "application/json", "MapLibre 样式", "MapLibre style")]
    if one.layer is None:
        return [link("service-desc", "/openapi?f=json", "application/vnd.oai.openapi+json;version=3.0", "接口定义", "OpenAPI"),
                link("service-doc", "/openapi?f=html", "text/html", "接口文档", "Documentation"),
                link("data", "/collections", "application/json", "全部图层", "Collections")]  # fmt: skip
    return _links_of_layer(one, link)


def _links_of_layer(one: Defined, link) -> list[dict]:
    layer, path = one.layer, f"/collections/{one.layer.id}"
    tiles = link(f"{_REL}tilesets-{'map' if layer.is_raster else 'vector'}", f"{path}/tiles", "application/json", "瓦片", "Tiles")
    if one.type == "tileset":
        return [tiles]
    styles = [] if layer.is_raster else [
        link("stylesheet", f"/styles/{layer.id}", "application/json", "MapLibre 样式", "MapLibre style"),
        link("stylesheet", f"/styles/{layer.id}?f=qml", "application/xml", "QGIS 样式", "QGIS style"),
    ]  # fmt: skip
    if one.type == "style":
        return styles
    files = [] if layer.is_raster else [
        link("enclosure", f"{path}/download?f={name}", form.media, f"下载 {name}", f"Download {name}") for name, form in FORMATS.items()
    ]  # fmt: skip
    if one.type == "file":
        return files
    about = link("about", path, "application/json", "图层", "Collection")
    if layer.is_raster:
        return [about, link(f"{_REL}coverage", f"{path}/coverage", "image/tiff", "栅格数据", "Cells"), tiles]
    return [
        about,
        link("items", f"{path}/items", "application/geo+json", "要素", "Features"),
        link("describedby", f"{path}/schema", "application/schema+json", "字段说明", "Schema"),
        link("monitor", f"{path}/changes", "application/json", "变更", "Changes"),
        *([link("data", f"{path}/locations", "application/geo+json", "监测数据", "Observations")] if layer.id == SENSORS else []),
        tiles, *styles, *files,
    ]  # fmt: skip


def formats(one: Defined) -> list[dict]:
    """The formats in which the thing is had: {name, mediaType}."""
    vector_tiles, png = ("MVT", "application/vnd.mapbox-vector-tile"), ("PNG", "image/png")
    is_raster = one.layer is not None and one.layer.is_raster
    styles = [("MapLibre Style", "application/vnd.mapbox.style+json"), *([("QML", "application/xml")] if one.layer else [])]
    of = {
        "dataset": [("GeoTIFF", "image/tiff"), ("CoverageJSON", "application/prs.coverage+json"), png] if is_raster
        else [_GEOJSON, vector_tiles, *((name, form.media) for name, form in FORMATS.items())],
        "tileset": [png if is_raster else vector_tiles],
        "style": styles, "service": [_JSON], "file": [(name, form.media) for name, form in FORMATS.items()],
    }  # fmt: skip
    return [{"name": name, "mediaType": media} for name, media in of[one.type]]
