"""What pygeoapi's OpenAPI document says wrongly of its own paths, or not at all."""

from __future__ import annotations

from gis.api.coverage_json import MEDIA as COVERAGE_JSON

_TEXT = {"type": "string"}
_ITEMS_TAKE = ("datetime", "as-of", "filter", "filter-lang", "filter-crs", "cursor", "resultType")
_COVERAGE_TAKES = ("bbox", "bbox-crs", "subset", "crs", "scale-factor", "scale-size", "scale-axes")
_TILE_TAKES = ("datetime", "as-of")
_TIFF = "image/tiff; application=geotiff"
_STATES = ["accepted", "running", "successful", "failed", "dismissed"]


def _answer(description: str, media: str, schema: dict | None = None) -> dict:
    return {"description": description, "content": {media: {"schema": schema or {"type": "object"}}}}


def _query(name: str, description: str, schema: dict) -> dict:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema, "style": "form", "explode": False}


def _referred(names: tuple[str, ...]) -> list[dict]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def correct(path: str, operation: dict) -> None:
    """Make the operation of a path true: its parameters, its answers."""
    answers = operation.setdefault("responses", {})
    answers.setdefault("401", {"$ref": "#/components/responses/Unauthorized"})
    parameters = [p for p in operation.get("parameters", []) if not p.get("$ref", "").endswith("/vendorSpecificParameters")]
    known = {p.get("name") or p["$ref"].rsplit("/", 1)[-1] for p in parameters}
    if path.endswith("/items") and operation["operationId"].startswith("get") and "bbox" in known:
        parameters = [p for p in parameters if p.get("name") != "limit"] + _referred(("limit",))
        parameters += _referred(tuple(name for name in _ITEMS_TAKE if name not in known))
    elif path.endswith("/coverage"):
        form = _query("f", "GeoTIFF, or CoverageJSON.", _TEXT | {"enum": ["GTiff", "json"], "default": "GTiff"})
        bands = [p for p in parameters if p.get("name") == "properties"]
        parameters = [form, *_referred(_COVERAGE_TAKES), *bands]
        cells = _answer("The cells.", _TIFF, _TEXT | {"format": "binary"})
        cells["content"][COVERAGE_JSON] = {"schema": {"type": "object"}}
        answers["200"] = cells
    elif path.endswith(("/schema", "/queryables")):
        answers["200"] = _answer("A JSON schema.", "application/schema+json")
    elif path.endswith("/tiles"):
        answers["200"] = _answer("The tilesets, one per grid.", "application/json")
    elif path.endswith("/{tileCol}"):
        answers |= {"204": {"description": "There is nothing in the tile."}, "304": {"description": "It is as If-None-Match knows it."}}
        if ".vector." in operation["operationId"]:
            parameters += _referred(_TILE_TAKES)
    elif path == "/jobs":
        parameters += _jobs_take()
    if parameters or "parameters" in operation:
        operation["parameters"] = parameters


def _jobs_take() -> list[dict]:
    """OGC 18-062r2, 11.2."""
    seconds = {"type": "integer", "minimum": 0}
    return [
        *_referred(("limit",)),
        _query("offset", "How many jobs come before the page.", {"type": "integer", "minimum": 0, "default": 0}),
        _query("type", "Kinds of jobs, separated by commas.", {"type": "array", "items": _TEXT | {"enum": ["process"]}}),
        _query("processID", "Of these processes, separated by commas.", {"type": "array", "items": _TEXT}),
        _query("status", "In these states, separated by commas.", {"type": "array", "items": _TEXT | {"enum": _STATES}}),
        _query("datetime", "Made then: a moment, a partial date or an interval.", _TEXT),
        _query("minDuration", "That took at least so many seconds.", seconds),
        _query("maxDuration", "That took at most so many seconds.", seconds),
    ]


def paths(known: dict) -> dict:
    """Paths that are served and that pygeoapi does not describe: the grids, and the tileset of each collection that has tiles."""

    def get(summary: str, name: str, *parameters: dict) -> dict:
        answers = {"200": _answer(summary, "application/json")}
        answers |= {
            status: {"$ref": f"#/components/responses/{kind}"} for status, kind in (("400", "InvalidParameter"), ("404", "NotFound"))
        }
        return {"get": {"summary": summary, "tags": ["tiles"], "operationId": name, "parameters": list(parameters), "responses": answers}}

    grid, form = (
        _referred(("tileMatrixSetId",))[0],
        _query("f", "The form.", _TEXT | {"enum": ["json", "tilejson", "html"], "default": "json"}),
    )
    made = {
        "/TileMatrixSets": get("The grids", "getTileMatrixSets"),
        "/TileMatrixSets/{tileMatrixSetId}": get("A grid", "getTileMatrixSet", grid),
    }
    for path in known:
        if path.startswith("/collections/") and path.endswith("/tiles"):
            called = path.split("/")[2].title().replace("_", "")
            made[f"{path}/{{tileMatrixSetId}}"] = get("A tileset; TileJSON by f=tilejson", f"get{called}Tileset", grid, form)
    return made
