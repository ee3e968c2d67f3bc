"""What the OpenAPI document says of editing and of the history of a feature: only what the caller may do stands in it."""

from __future__ import annotations

from gis.access.identity import caller
from gis.api.schema import edited
from gis.catalog.model import Layer
from gis.catalog.read import catalog

_TEXT = {"type": "string"}
_FEATURE_ID = {"$ref": "#/components/parameters/featureId"}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/exception"}}}
_DONE = {
    "type": "object",
    "required": ["id", "batch", "findings"],
    "properties": {
        "id": _TEXT,
        "batch": {
            "type": "integer",
            "nullable": True,
            "description": "The batch that the edit became; null where nothing was to be changed.",
        },
        "findings": {"type": "array", "items": {"type": "object"}, "description": "Warnings of the layer's checks."},
    },
}
_REFUSALS = {
    "400": "It is no feature of this layer.",
    "401": "Log in first.",
    "403": "Your role may not edit this layer.",
    "404": "There is no such feature.",
    "409": "The id is taken, or other features refer to the feature.",
    "412": "The feature was changed since If-Match.",
    "415": "The body is of another type.",
    "422": "The layer's checks speak against it; `findings` says what is wrong and what to do.",
}


def _header(name: str, description: str, schema: dict) -> dict:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


_CONTENT_CRS = _header("Content-Crs", "The CRS of the coordinates, as URI in angle brackets; CRS84 where it is missing.", _TEXT)
_IF_MATCH = _header("If-Match", "The ETag of the feature as it was read: where it was changed since, nothing is done.", _TEXT)
_PREFER = _header("Prefer", "return=representation answers the feature; handling=strict refuses what a warning speaks against.", _TEXT)


def add(paths: dict) -> None:
    """Puts the operations of editing beside the reading ones of every layer that the caller may edit."""
    role = caller.get().role
    for path in list(paths):
        parts = path.split("/")
        layer = catalog().layers.get(parts[2]) if len(parts) in (4, 5) and parts[3] == "items" else None
        if layer is None or layer.is_raster:
            continue
        if len(parts) == 5:
            _of_one(paths[path], layer)
        if layer.writable_by(role):
            (_add_to_item if len(parts) == 5 else _add_to_items)(paths[path], layer, role)


def _of_one(operations: dict, layer: Layer) -> None:
    """One feature: at another time, with its history, or not at all where it is known."""
    operation = operations["get"]
    operation["parameters"] += [
        {"$ref": "#/components/parameters/as-of"},
        {"name": "history", "in": "query", "required": False, "schema": {"type": "boolean"}, "style": "form", "explode": False,
         "description": "true: every version that was ever believed, newest first, with the time it was recorded."},
    ]  # fmt: skip
    operation["responses"]["304"] = {"description": "It is as If-None-Match knows it."}


def _operation(layer: Layer, name: str, summary: str, parameters: list[dict], body: dict | None, status: str = "200") -> dict:
    title = layer.id.title().replace("_", "")
    made = {
        "summary": f"{summary} ({layer.title.zh})",
        "tags": [layer.id],
        "operationId": f"{name}{title}Feature",
        "parameters": parameters,
        "responses": {status: {"description": "It is done.", "content": {"application/json": {"schema": _DONE}}}}
        | {code: {"description": text, "content": _PROBLEM} for code, text in _REFUSALS.items()},
    }
    return made | ({"requestBody": {"required": True, "content": body}} if body else {})


def _add_to_items(operations: dict, layer: Layer, role: str) -> None:
    """POST means two things: a filter for everybody, a feature for those who may create it."""
    body = {"application/geo+json": {"schema": edited(layer, layer.columns_for(role))}}
    searching = operations.get("post", {}).get("requestBody", {}).get("content", {})
    creating = _operation(layer, "create", "Create a feature, or filter by a CQL2 body", [_CONTENT_CRS, _PREFER], searching | body, "201")
    found = operations.get("post", {}).get("responses", {}).get("200")
    operations["post"] = creating | {"responses": creating["responses"] | ({"200": found} if found else {})}


def _add_to_item(operations: dict, layer: Layer, role: str) -> None:
    columns = layer.columns_for(role)
    whole = {"application/geo+json": {"schema": edited(layer, columns)}}
    patch = {"application/merge-patch+json": {"schema": edited(layer, columns, partly=True)}}
    headers = [_CONTENT_CRS, _IF_MATCH, _PREFER]
    operations["put"] = _operation(layer, "replace", "Replace a feature", [_FEATURE_ID, *headers], whole)
    operations["patch"] = _operation(layer, "update", "Change a feature in part", [_FEATURE_ID, *headers], patch)
    operations["delete"] = _operation(layer, "delete", "Delete a feature", [_FEATURE_ID, _IF_MATCH], None)
