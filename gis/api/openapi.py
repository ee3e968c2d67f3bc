"""The OpenAPI document: what pygeoapi writes for a configuration, closed in itself (no reference leads to another server) and true:
our parameters, our limits, our errors, our ways to log in."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from gis.api import account, adapt, environment_paths, examples, path_corrections, record_paths, records, tile_paths, transaction_paths
from gis.api.configuration import DEFAULT_LIMIT, LARGEST_LIMIT
from gis.api.layer_file import ENCODINGS, FORMATS
from gis.api.tile_grid import GRIDS

_OUTSIDE = re.compile(r"^https?://")


def _query(name: str, description: str, schema: dict) -> dict:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema, "style": "form", "explode": False}


def _path(name: str, description: str, schema: dict) -> dict:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


_TEXT = {"type": "string"}
_INDEX = {"type": "integer", "minimum": 0}

PARAMETERS = {
    "limit": _query(
        "limit", "How many features a page holds.", {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT}
    ),
    "datetime": _query("datetime", "Valid time: an instant, a partial date or an interval; only what was in service then.", _TEXT),
    "as-of": _query("as-of", "Recorded time: the answer as it was known at this moment.", _TEXT),
    "cursor": _query("cursor", "Where the page begins; taken from a next link.", _TEXT),
    "resultType": _query("resultType", "hits counts exactly and answers no features.", {"type": "string", "enum": ["results", "hits"]}),
    "subset": _query("subset", "The part of a raster: Lat(31.9:32.1),Lon(116.9:117.1).", _TEXT),
    "scale-factor": _query("scale-factor", "Above 1: so many times fewer cells per side.", {"type": "number", "minimum": 0.0001}),
    "scale-size": _query("scale-size", "So many cells: Lon(400),Lat(300).", _TEXT),
    "scale-axes": _query("scale-axes", "A factor per axis: Lon(2),Lat(4).", _TEXT),
    "sortby": _query("sortby", "Properties to sort by, separated by commas; - before a name sorts downwards.", _TEXT),
    "filter": _query("filter", "A CQL2 filter.", _TEXT),
    "filter-lang": _query(
        "filter-lang",
        "The language of the filter; cql-text, the name before the standard, is taken for cql2-text (GDAL looks for it).",
        {"type": "string", "enum": ["cql2-text", "cql2-json", "cql-text"], "default": "cql2-text"},
    ),
    "filter-crs": _query("filter-crs", "The CRS of the coordinates in the filter.", {"type": "string", "format": "uri"}),
    "featureId": _path("featureId", "The id of the feature: the values of its key joined by a colon.", _TEXT),
    "tileMatrixSetId": _path("tileMatrixSetId", "The tile grid.", {"type": "string", "enum": list(GRIDS)}),
    "tileMatrix": _path("tileMatrix", "The zoom.", _INDEX | {"maximum": 24}),
    "tileRow": _path("tileRow", "The row from the north.", _INDEX),
    "tileCol": _path("tileCol", "The column from the west.", _INDEX),
}

MISTAKES = (
    "InputError", "OutsideExtent", "NotOnNetwork", "Ambiguous", "Conflict", "Stale", "Refused", "WrongMediaType", "NotFound",
    "AccessDenied", "StoreError", "Unexpected",
)  # fmt: skip
"""The classes of mistakes that answers carry (`gis.errors`)."""

_LINK = {
    "type": "object",
    "required": ["href", "rel"],
    "properties": {
        "href": _TEXT,
        "rel": _TEXT,
        "type": _TEXT,
        "title": _TEXT,
        "hreflang": _TEXT,
        "length": {"type": "integer"},
        "templated": {"type": "boolean"},
    },
}
_FEATURE = {
    "type": "object",
    "required": ["type", "geometry", "properties"],
    "properties": {
        "type": {"type": "string", "enum": ["Feature"]},
        "id": _TEXT,
        "geometry": {"type": "object", "nullable": True},
        "properties": {"type": "object", "nullable": True},
    },
}

SCHEMAS = {
    "link": _LINK,
    "exception": {
        "type": "object",
        "required": ["title", "status", "code", "error"],
        "properties": {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "error": {"type": "string", "enum": list(MISTAKES)},
            "code": _TEXT,
            "what": _TEXT,
            "detail": _TEXT,
            "description": _TEXT,
            "where": _TEXT,
            "remedy": _TEXT,
            "requestId": _TEXT,
        },
    },
    "cql2": {
        "type": "object",
        "description": "A CQL2 JSON filter (OGC 21-065r2).",
        "properties": {"op": _TEXT, "args": {"type": "array", "items": {}}},
    },
    "feature": _FEATURE,
    "featureCollection": {
        "type": "object",
        "required": ["type", "features"],
        "properties": {
            "type": {"type": "string", "enum": ["FeatureCollection"]},
            "features": {"type": "array", "items": {"$ref": "#/components/schemas/feature"}},
            "links": {"type": "array", "items": {"$ref": "#/components/schemas/link"}},
            "numberReturned": _INDEX,
            "numberMatched": _INDEX,
            "numberMatchedEstimate": _INDEX,
            "timeStamp": _TEXT,
        },
    },
    "execute": {
        "type": "object",
        "properties": {
            "inputs": {"type": "object"},
            "response": {"type": "string", "enum": ["raw", "document"]},
            "outputs": {"type": "object"},
        },
    },
}


def _answer(description: str, schema: dict, media: str = "application/json") -> dict:
    return {"description": description, "content": {media: {"schema": schema}}}


_PROBLEM = {"$ref": "#/components/schemas/exception"}
RESPONSES = {
    "InvalidParameter": _answer("The request is wrong.", _PROBLEM, "application/problem+json"),
    "Unauthorized": _answer("The credentials do not hold.", _PROBLEM, "application/problem+json"),
    "NotFound": _answer("There is nothing here, or nothing that this caller may see.", _PROBLEM, "application/problem+json"),
    "ServerError": _answer("The platform made a mistake.", _PROBLEM, "application/problem+json"),
    "LandingPage": _answer("Links.", {"type": "object"}),
    "Collection": _answer("A collection.", {"type": "object"}),
    "Features": _answer("A page of features.", {"$ref": "#/components/schemas/featureCollection"}, "application/geo+json"),
    "Feature": _answer("A feature.", {"$ref": "#/components/schemas/feature"}, "application/geo+json"),
    "ProcessList": _answer("The processes.", {"type": "object"}),
    "ExecuteAsync": _answer("The job was queued.", {"type": "object"}),
}
SECURITY = {
    "basic": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def document(config: dict) -> dict:
    """The OpenAPI document of a configuration (already narrowed to what the caller sees)."""
    layers = {name: resource for name, resource in config["resources"].items() if name != records.ID}
    oas = _closed(adapt.get_oas(deepcopy(config | {"resources": layers}), fail_on_invalid_collection=False))
    components = oas["components"]
    components["parameters"] = {
        name: parameter
        for name, parameter in components["parameters"].items()
        if name not in ("vendorSpecificParameters", "bbox-crs-epsg", "resourceId")
    } | deepcopy(PARAMETERS)
    components["schemas"] = components.get("schemas", {}) | deepcopy(SCHEMAS)
    components["responses"] = components["responses"] | deepcopy(RESPONSES)
    components["securitySchemes"] = deepcopy(SECURITY)
    oas["security"] = [{}, *({name: []} for name in SECURITY)]
    oas["info"] |= {"version": "1.0.0"}
    for path, operations in oas["paths"].items():
        for operation in operations.values():
            path_corrections.correct(path, operation)
    transaction_paths.add(oas["paths"])
    oas["paths"] |= _own_paths() | _of_collections(oas["paths"]) | record_paths.paths() | environment_paths.paths(oas["paths"])
    oas["paths"] |= tile_paths.paths() | path_corrections.paths(oas["paths"]) | account.paths()
    return examples.of_document(oas)


def _closed(part: Any) -> Any:
    """The document with every reference to another server turned to a component of the same name."""
    if isinstance(part, list):
        return [_closed(value) for value in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    if isinstance(reference, str) and _OUTSIDE.match(reference):
        kind, name = (
            re.search(r"(parameters|responses|schemas)/([^/#]+?)(?:\.yaml|\.json)?$", reference + "").groups()
            if ("parameters/" in reference or "responses/" in reference or "schemas/" in reference)
            else ("schemas", "")
        )
        name = name or reference.rsplit("/", 1)[-1].split(".")[0]
        return {"$ref": f"#/components/{kind}/{name}"}
    return {key: _closed(value) for key, value in part.items()}


_SINCE = _query("since", "The token of the answer before, a date or a moment; nothing means from the beginning.", _TEXT)
_FILE = (
    _query("f", "The kind of file.", {"type": "string", "enum": list(FORMATS), "default": "gpkg"}),
    _query("encoding", "The encoding of a shapefile.", {"type": "string", "enum": list(ENCODINGS), "default": "UTF-8"}),
    _query("names", "Columns by their names, or by their Chinese titles.", {"type": "string", "enum": ["id", "title"], "default": "id"}),
)
_FILE_TAKES = ("bbox", "datetime", "as-of", "filter", "filter-lang", "filter-crs")


def _of_collections(paths: dict) -> dict:
    """The change feed and the file of every collection that has items."""
    made = {}
    wrong = {status: {"$ref": f"#/components/responses/{kind}"} for status, kind in (
        ("400", "InvalidParameter"), ("401", "Unauthorized"), ("404", "NotFound"),
    )}  # fmt: skip
    for path, operations in paths.items():
        if not path.endswith("/items") or "get" not in operations:
            continue
        name = path.split("/")[2]
        called = name.title().replace("_", "")
        made[f"/collections/{name}/sortables"] = {"get": {
            "summary": f"What {name} can be sorted by", "tags": [name], "operationId": f"get{called}Sortables",
            "parameters": [{"$ref": f"#/components/parameters/{parameter}"} for parameter in ("f", "lang")],
            "responses": {"200": _answer("A JSON schema.", {"type": "object"}, "application/schema+json")} | wrong,
        }}  # fmt: skip
        made[f"/collections/{name}/changes"] = {"get": {
            "summary": f"What changed in {name}", "tags": [name], "operationId": f"get{called}Changes",
            "parameters": [_SINCE, {"$ref": "#/components/parameters/limit"}],
            "responses": {"200": _answer("Changes, oldest first.", {"type": "object"})} | wrong,
        }}  # fmt: skip
        files = {form.media.split(";")[0]: {"schema": _TEXT | {"format": "binary"}} for form in FORMATS.values()}
        made[f"/collections/{name}/download"] = {"get": {
            "summary": f"{name} as a file", "tags": [name], "operationId": f"get{called}File",
            "parameters": [*_FILE, *({"$ref": f"#/components/parameters/{parameter}"} for parameter in _FILE_TAKES)],
            "responses": {"200": {"description": "The file.", "content": files}} | wrong,
        }}  # fmt: skip
    return made


def _own_paths() -> dict:
    """The paths that are ours and not pygeoapi's."""

    def get(summary: str, media: str, *parameters: dict) -> dict:
        return {
            "get": {
                "summary": summary,
                "tags": ["server"],
                "operationId": "get" + re.sub(r"\W+", "", summary.title()),
                "parameters": list(parameters),
                "responses": {
                    "200": _answer(summary, {"type": "object"} if "json" in media else _TEXT, media),
                    "404": {"$ref": "#/components/responses/NotFound"},
                },
            }
        }

    style = _query("f", "mbs (MapLibre) or qml (QGIS).", {"type": "string", "enum": ["json", "mbs", "qml"]})
    return {
        "/catalog": get("The layer tree of the map", "application/json"),
        "/styles/{styleId}": get("A style", "application/json", _path("styleId", "A layer, or onemap for the whole map.", _TEXT), style),
        "/qgis/city.qgz": get(
            "The map as a QGIS project",
            "application/x-qgis-project",
            _query("crs", "In what layers are asked for: EPSG:4490, or the working CRS for who edits them.", _TEXT),
        ),
        "/d/{token}": get("A door plate", "text/html", _path("token", "What the plate's QR code says.", _TEXT)),
        "/health": get("Whether the platform is live and ready", "application/json"),
        "/metrics": get("Figures for Prometheus", "text/plain"),
    }
