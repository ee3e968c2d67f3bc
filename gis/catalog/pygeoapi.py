"""The visitor that writes `pygeoapi-config.yml`: the server part by hand, one resource per layer and per process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from gis.catalog.model import GROUPS, Catalog, Layer, Text

SERVER = Path(__file__).with_name("pygeoapi_server.yml")
NOTE = "# Rendered by `onemap layers render` from the layer files and gis/catalog/pygeoapi_server.yml: change those, not this.\n"
RASTERS = "${ONEMAP_RASTER:-.onemap/raster}"
"""The folder of the published rasters, `<layer>.tif` in it."""

FEATURES = "gis.api.provider.FeatureProvider"
TILES = "gis.api.tiles.TileProvider"
COVERAGE = "gis.api.coverage.CoverageProvider"
PICTURES = "gis.api.coverage.RasterTileProvider"
PROCESSOR = "gis.api.process.Processor"
CRS = "http://www.opengis.net/def/crs/EPSG/0/{}"
OUTPUT_CRS = (4490, 4326, 3857, *range(4547, 4555))
"""Besides CRS84 and the city's working CRS: what the neighbours' surveys are in (CGCS2000 3-degree zones 114° E to 135° E)."""


def render(catalog: Catalog, processes: Iterable[str] = ()) -> str:
    """The text of `pygeoapi-config.yml`: valid for stock pygeoapi 0.24.

    processes: ids of the processes to publish; the catalogue does not know them itself.
    """
    found = {"resources": resources(catalog, processes)}
    body = yaml.safe_dump(found, allow_unicode=True, sort_keys=False, width=140, default_flow_style=None)
    return f"{NOTE}{SERVER.read_text(encoding='utf-8')}\n{body}"


def resources(catalog: Catalog, processes: Iterable[str] = (), rasters: str = RASTERS) -> dict:
    """What pygeoapi calls resources: the collection of every layer, and the processes with these ids.

    rasters: the folder of the published rasters.
    """
    found = {layer.id: resource(catalog, layer, rasters) for layer in catalog.layers.values()}
    return found | {name: {"type": "process", "processor": {"name": PROCESSOR, "process": name}} for name in sorted(processes)}


def resource(catalog: Catalog, layer: Layer, rasters: str = RASTERS) -> dict:
    """The collection of a layer: titles, keywords, extents, providers."""
    group = GROUPS[layer.group]
    return {
        "type": "collection",
        "title": _both(layer.title),
        "description": _both(layer.description),
        "keywords": {"zh": [group.zh, layer.title.zh], "en": [group.en, layer.title.en]},
        "extents": {
            "spatial": {"bbox": list(catalog.city.extent), "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
            "temporal": {"begin": None, "end": None},
        },
        "providers": [_coverage(layer, rasters), _pictures(layer)] if layer.is_raster else [_features(catalog, layer), _tiles(layer)],
    }


def _features(catalog: Catalog, layer: Layer) -> dict:
    title = {"title_field": layer.style.label} if layer.style.label else {}
    codes = dict.fromkeys([*OUTPUT_CRS, catalog.city.srid])
    return {
        "type": "feature",
        "name": FEATURES,
        "data": layer.id,
        "id_field": layer.key[0] if len(layer.key) == 1 else "id",
        "time_field": "valid_from",
        **title,
        "count": False,
        "crs": ["http://www.opengis.net/def/crs/OGC/1.3/CRS84", *(CRS.format(code) for code in codes)],
    }


def _tiles(layer: Layer) -> dict:
    return {
        "type": "tile",
        "name": TILES,
        "data": layer.id,
        "options": {"zoom": {"min": layer.tiles.min_zoom, "max": layer.tiles.max_zoom}, "schemes": ["WebMercatorQuad"]},
        "format": {"name": "pbf", "mimetype": "application/vnd.mapbox-vector-tile"},
    }


def _coverage(layer: Layer, rasters: str) -> dict:
    return {
        "type": "coverage",
        "name": COVERAGE,
        "data": f"{rasters}/{layer.id}.tif",
        "format": {"name": "GTiff", "mimetype": "image/tiff; application=geotiff"},
    }


def _pictures(layer: Layer) -> dict:
    return {
        "type": "tile",
        "name": PICTURES,
        "data": layer.id,
        "options": {"zoom": {"min": layer.tiles.min_zoom, "max": layer.tiles.max_zoom}, "schemes": ["WebMercatorQuad"]},
        "format": {"name": "png", "mimetype": "image/png"},
    }


def _both(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}
