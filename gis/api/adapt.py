"""Where pygeoapi is bent, all in one place: each name that is replaced, and why. Import this before anything of `pygeoapi.api`.

Checked against pygeoapi 0.24. The replaced names are module attributes that the API's functions look up when they run.
"""

from __future__ import annotations

import logging
import re
import sys
from enum import Enum
from functools import lru_cache
from importlib import import_module

import pygeoapi.crs
import pygeoapi.util
from pygeoapi import l10n
from pygeoapi.plugin import PLUGINS

from gis.api import boxes, environment, pages, records, tile_grid
from gis.api.listing import Filter
from gis.api.serialize import to_json
from gis.catalog.observed import SENSORS
from gis.catalog.read import catalog

# Chinese escaped and `<` turned into `&lt;` in every answer; a new Jinja environment for every page. Both are imported
# by name, so they are replaced before the modules that use them are loaded.
pygeoapi.util.to_json = to_json
pygeoapi.util.render_j2_template = pages.render_for_pygeoapi
# Compiled catalogues in a folder of the package: ours are read from the .po files.
l10n.translate_gettext = pages.phrase
# Warns of every request without offset; its errors are logged by our own handler.
logging.getLogger("pygeoapi").setLevel(logging.ERROR)
# Builds a pyproj CRS for every provider object, twice per request.
pygeoapi.crs.get_crs = lru_cache(maxsize=128)(pygeoapi.crs.get_crs)

import pygeoapi.api as core  # noqa: E402
import pygeoapi.api.itemtypes as itemtypes  # noqa: E402
import pygeoapi.api.processes as processes  # noqa: E402
import pygeoapi.api.tiles as tiles  # noqa: E402
import pygeoapi.linked_data as linked_data  # noqa: E402
import pygeoapi.provider.base as provider_base  # noqa: E402
from pygeoapi.models.provider.base import TileMatrixSetEnumType  # noqa: E402
from pygeoapi.openapi import get_oas  # noqa: E402

oas = sys.modules[get_oas.__module__]
"""`pygeoapi.openapi` itself: as an attribute of the package that name is a command of its command line."""

for _module in (core, itemtypes, processes, tiles, oas, linked_data):
    for _name, _ours in (("to_json", to_json), ("render_j2_template", pages.render_for_pygeoapi)):
        if hasattr(_module, _name):
            setattr(_module, _name, _ours)
provider_base.get_crs = pygeoapi.crs.get_crs


def _preferred(headers: dict, header_name: str, all: bool = False) -> list[str] | str | None:
    """What a header with qualities (`text/html;q=0.5, application/json`) accepts, best first (RFC 9110, 12.4.2); None for nothing."""
    found = []
    for i, part in enumerate(str(headers.get(header_name) or "").split(",")):
        value, *parameters = (one.strip() for one in part.split(";"))
        said = [one[2:] for one in parameters if one[:2].lower() == "q="]
        quality = float(said[-1]) if said and _QUALITY.match(said[-1]) else 0.0 if said else 1.0
        if value and quality > 0:
            found.append((-quality, i, {"application/geo+json": "application/json"}.get(value.lower(), value)))
    values = [value for _, _, value in sorted(found)]
    return None if not values else values if all else values[0]


_QUALITY = re.compile(r"^(0(\.\d{0,3})?|1(\.0{0,3})?)$")
# Divides by the quality, 0 too, and forgets to sort.
core.get_choice_from_headers = _preferred


@lru_cache(maxsize=64)
def _class_of(name: str, kind: str) -> type:
    module, _, named = (name if "." in name else PLUGINS[kind][name]).rpartition(".")
    return getattr(import_module(module), named)


def load_plugin(plugin_type: str, plugin_def: dict):
    """A plugin as pygeoapi loads it, without writing out the list of all plugins for a log that nobody keeps."""
    return _class_of(plugin_def["name"], plugin_type)(plugin_def)


@lru_cache(maxsize=8)
def _formatters(kind: str) -> dict:
    return _all_formatters({"providers": [{"type": kind}]})


_all_formatters = pygeoapi.util.get_dataset_formatters
itemtypes.load_plugin = load_plugin
PLUGINS["formatter"]["CSV"] = "gis.api.table.Table"  # writes whatever stands in a text, and spreadsheets compute it
# Makes each formatter anew for every page; no collection here has formatters of its own.
itemtypes.get_dataset_formatters = lambda dataset: _formatters(pygeoapi.util.get_provider_default(dataset["providers"])["type"])

# A fixed list of two tile matrix sets; the national grid of CGCS2000 is a third.
tiles.TileMatrixSetEnum = Enum(
    "TileMatrixSetEnum",
    {
        grid.id: TileMatrixSetEnumType(
            tileMatrixSet=grid.id,
            tileMatrixSetURI=grid.uri or f"/TileMatrixSets/{grid.id}",
            crs=grid.crs,
            title=grid.title,
            orderedAxes=list(grid.axes),
            wellKnownScaleSet=grid.scale_set or "",
            tileMatrices=grid.matrices(),
        )
        for grid in tile_grid.GRIDS.values()
    },
)


def _with_crs(found: Filter, *, filter_crs_uri: str, **_) -> Filter:
    return Filter(found.text, filter_crs_uri)


# pygeofilter reads `A OR B AND C` as `(A OR B) AND C` and answers an unknown property with no rows.
itemtypes.parse_cql2_text = Filter
itemtypes.parse_cql2_json = Filter
itemtypes.modify_pygeofilter = _with_crs

# Reads one time field, fails on `2020-01` and on QGIS's year 0000; the provider reads datetime itself.
itemtypes.validate_datetime = lambda extents, text=None: text


def _area(numbers: list, from_crs: str, to_crs: str, always_xy: bool = False) -> boxes.Area:
    """Transforms two corners only, with swapped axes for CGCS2000, and looks up the CRSs anew each time."""
    return boxes.area(numbers, from_crs)


itemtypes.transform_bbox = _area


def _target(provider_def: dict, query_crs_uri: str | None = None) -> boxes.Target:
    """Compares CRSs by pyproj for every request; ours is looked up. Raises ValueError for what the collection does not offer."""
    uri = boxes.systems.CRS84 if query_crs_uri is None else query_crs_uri
    if uri not in pygeoapi.crs.get_supported_crs_list(provider_def):
        raise ValueError(f"CRS {uri[:80]!r} is not offered by this collection; see its list of crs")
    return boxes.target(uri)


itemtypes.create_crs_transform_spec = _target

_described = core.gen_collection
_NO_RASTER = ("/schema", "/queryables")


def _sortables(url: str, language: str) -> dict:
    return {"rel": "http://www.opengis.net/def/rel/ogc/1.0/sortables", "type": "application/schema+json", "href": f"{url}/sortables?f=json",
            "title": "可排序字段" if language == "zh" else "Sortables"}  # fmt: skip


def _collection(api, request, dataset: str, locale) -> dict:
    """With the label (密级). A raster has cells, not properties that could be filtered: no links to what is not there."""
    if dataset == records.ID:
        return records.description(api.base_url, pages.language_of(locale))
    made = _described(api, request, dataset, locale)
    if dataset == SENSORS:
        made = environment.describe(made, api.base_url, pages.language_of(locale))
    layer = catalog().layers[dataset]
    made["label"] = layer.access.label
    if not layer.is_raster:
        made["links"].append(_sortables(f"{api.base_url}/collections/{dataset}", pages.language_of(locale)))
    for provider in api.config["resources"][dataset]["providers"]:
        if provider["type"] == "coverage":
            made["links"] = [link for link in made["links"] if not link["rel"].endswith(_NO_RASTER)]
            made = load_plugin("provider", provider).describe(made)
    return made


core.gen_collection = _collection

_QGIS = (  # without these QGIS filters on the client and guesses the schema
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/schemas",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/core-roles-features",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/queryables",  # what the standard made of part 5
    "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/returnables-and-receivables",
    "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/sortables",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/advanced-comparison-operators",
    "http://www.opengis.net/spec/cql2/1.0/conf/case-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions-plus",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-operators",  # the draft's name for it: what QGIS up to 3.40 looks for
    "http://www.opengis.net/spec/cql2/1.0/conf/spatial-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/temporal-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/array-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/accent-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/property-property",
)
_NOT_OURS = ("processes-1/1.0/conf/callback",)
"""Declared by pygeoapi; no callback is ever made."""
_EDITING = "create-replace-delete update features optimistic-locking-etags"
"""Classes of Features part 4."""

tiles.CONFORMANCE_CLASSES += [
    uri
    for name in ("dataset-tilesets", "collections-selection", "datetime", "png")
    if (uri := f"http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/{name}") not in tiles.CONFORMANCE_CLASSES
]
for _classes in (itemtypes.CONFORMANCE_CLASSES_FEATURES, processes.CONFORMANCE_CLASSES):
    _classes[:] = [uri for uri in _classes if not uri.endswith(_NOT_OURS)]
_declared = (*_QGIS, *(f"http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/{name}" for name in _EDITING.split()))
itemtypes.CONFORMANCE_CLASSES_FEATURES += [uri for uri in _declared if uri not in itemtypes.CONFORMANCE_CLASSES_FEATURES]
core.CONFORMANCE_CLASSES += [uri for uri in records.CONFORMANCE + environment.CONFORMANCE if uri not in core.CONFORMANCE_CLASSES]
processes.CONFORMANCE_CLASSES += [
    uri
    for name in ("job-list", "dismiss")
    if (uri := f"http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/{name}") not in processes.CONFORMANCE_CLASSES
]
