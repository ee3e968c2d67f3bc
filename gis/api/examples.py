"""Questions that work, for the pages and the OpenAPI document: built from the layer files, so that none outlives what it asks for. A test
asks every one of them."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, replace
from urllib.parse import quote

import orjson

from gis import processes
from gis.access.identity import caller
from gis.access.roles import ANONYMOUS
from gis.api import raster, schema
from gis.catalog.model import Layer
from gis.catalog.observed import SENSORS
from gis.catalog.read import catalog

_NEAR = 0.01
"""Degrees around the city's centre."""
_TILE_ZOOM = 14


@dataclass(frozen=True)
class Example:
    """A question: its titles, the method, the path behind the base URL, the JSON body of a POST."""

    title: dict[str, str]
    path: str
    body: dict | None = None
    with_key: bool = False

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    def curl(self, base: str) -> str:
        """The command line that asks it; with the caller's key, in the variable ONEMAP_KEY, where not everybody may ask."""
        words = ["curl"]
        if self.with_key:
            words += ["-H", '"X-API-Key: $ONEMAP_KEY"']
        if self.path.partition("?")[2].startswith("f=GTiff"):
            words += ["-o", "part.tif"]
        if self.body is not None:
            words += ["-H", shlex.quote("Content-Type: application/json"), "-d", shlex.quote(orjson.dumps(self.body).decode())]
        return " ".join([*words, shlex.quote(base + self.path)])


def examples_of(layer_id: str) -> list[Example]:
    """The examples of a layer that the caller may read; without a layer, those of the platform. Empty for what is no layer for him."""
    if not layer_id:
        return _of_the_platform()
    layer = catalog().layers.get(layer_id)
    if layer is None or not layer.readable_by(caller.get().role) or (layer.is_raster and not raster.is_loaded(layer_id)):
        return []
    found = _of_raster(layer) if layer.is_raster else [*_of(layer), *(_of_observations(layer) if layer_id == SENSORS else ())]
    return [replace(one, with_key=not layer.readable_by(ANONYMOUS)) for one in found]


def filter_of(layer_id: str) -> str:
    """A CQL2 filter that fits the layer; empty where there is no layer for the caller."""
    layer = catalog().layers.get(layer_id)
    if layer is None or layer.is_raster or not layer.readable_by(caller.get().role):
        return ""
    columns = layer.columns_for(caller.get().role)
    for name, column in columns.items():
        if column.type == "code" and column.codes:
            return f"{name} = '{schema.codes(column.codes, 'en')[0][0]}'"
    for name, column in columns.items():
        if column.type in ("int", "real"):
            return f"{name} > 1"
    return f"{next(iter(columns))} IS NOT NULL"


def _of_the_platform() -> list[Example]:
    listed = [
        Example({"zh": "有哪些图层", "en": "Which collections there are"}, "/collections?f=json"),
        Example({"zh": "整幅地图的样式（MapLibre）", "en": "The style of the whole map (MapLibre)"}, "/styles/onemap"),
    ]
    process = processes.processes().get("geocode")
    if process is not None:
        body = {"inputs": process.example}
        listed.append(Example({"zh": "地址变坐标", "en": "From an address to a position"}, "/processes/geocode/execution", body))
    return listed


def _of(layer: Layer) -> list[Example]:
    items = f"/collections/{layer.id}/items"
    lon, lat = catalog().city.center
    box = _box()
    said = filter_of(layer.id)
    name = said.split(" ", 1)[0]
    z = min(max(_TILE_ZOOM, layer.tiles.min_zoom), layer.tiles.max_zoom)
    x, y = _tile(lon, lat, z)
    return [
        Example({"zh": "前两个要素", "en": "The first two features"}, f"{items}?f=json&limit=2"),
        Example({"zh": "按属性筛选（CQL2）", "en": "By attributes (CQL2)"}, f"{items}?f=json&limit=2&filter={quote(said)}"),
        Example({"zh": "按范围", "en": "By area"}, f"{items}?f=json&limit=2&bbox={box}"),
        Example({"zh": "某一天在用的", "en": "In service on a day"}, f"{items}?f=json&limit=2&datetime=2024-06-01"),
        Example(
            {"zh": "CGCS2000 坐标（纬度在前）", "en": "Coordinates in CGCS2000 (latitude first)"},
            f"{items}?f=json&limit=2&crs=http://www.opengis.net/def/crs/EPSG/0/4490",
        ),
        Example(
            {"zh": "筛选条件放在请求体里", "en": "The filter as a body"},
            f"{items}?limit=2",
            {"op": "not", "args": [{"op": "isNull", "args": [{"property": name}]}]},
        ),
        Example({"zh": "从头开始的变化", "en": "What changed, from the beginning"}, f"/collections/{layer.id}/changes?limit=2"),
        Example({"zh": "下载为 CSV", "en": "As a CSV file"}, f"/collections/{layer.id}/download?f=csv&bbox={box}"),
        Example({"zh": "一块矢量瓦片", "en": "A vector tile"}, f"/collections/{layer.id}/tiles/WebMercatorQuad/{z}/{y}/{x}?f=mvt"),
    ]


def _of_raster(layer: Layer) -> list[Example]:
    place = f"/collections/{layer.id}"
    lon, lat = catalog().city.center
    x, y = _tile(lon, lat, _TILE_ZOOM)
    return [
        Example({"zh": "截取一部分（GeoTIFF）", "en": "A part as GeoTIFF"}, f"{place}/coverage?f=GTiff&bbox={_box()}"),
        Example({"zh": "缩小到 40 × 30 个像元（CoverageJSON）", "en": "40 by 30 cells (CoverageJSON)"},
                f"{place}/coverage?f=json&bbox={_box()}&scale-size=Lon(40),Lat(30)"),
        Example({"zh": "一块图像瓦片", "en": "An image tile"}, f"{place}/tiles/WebMercatorQuad/{_TILE_ZOOM}/{y}/{x}?f=png"),
    ]  # fmt: skip


def _of_observations(layer: Layer) -> list[Example]:
    place = f"/collections/{layer.id}"
    lon, lat = catalog().city.center
    return [
        Example({"zh": "设备及最新值", "en": "Sensors with their latest values"}, f"{place}/locations?limit=5"),
        Example({"zh": "周围 2 公里内的最新压力（CSV）", "en": "The latest pressures within 2 km, as CSV"},
                f"{place}/radius?coords=POINT({lon:.4f}%20{lat:.4f})&within=2&within-units=km&parameter-name=pressure&latest=true&f=csv"),
    ]  # fmt: skip


def _box() -> str:
    lon, lat = catalog().city.center
    return ",".join(f"{value:.4f}" for value in (lon - _NEAR, lat - _NEAR, lon + _NEAR, lat + _NEAR))


def _tile(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """Column and row of WebMercatorQuad (OGC 17-083r4, annex D.1)."""
    n = 2**zoom
    return int((lon + 180) / 360 * n), int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * n)


def of_document(document: dict) -> dict:
    """The OpenAPI document with the examples at the operations that they ask (`x-codeSamples`)."""
    for example in [*examples_of(""), *(one for name in catalog().layers for one in examples_of(name))]:
        path = example.path.split("?")[0]
        operation = document["paths"].get(path, {}).get(example.method.lower())
        if operation is not None:
            sample = {"lang": "Shell", "label": example.title["en"], "source": example.curl("")}
            operation.setdefault("x-codeSamples", []).append(sample)
    return document
