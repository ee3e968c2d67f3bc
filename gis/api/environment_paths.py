"""The paths of the observations for the OpenAPI document."""

from __future__ import annotations

from gis.api.environment import FORMS
from gis.catalog.observed import QUANTITIES, SENSORS

_TEXT = {"type": "string"}


def _query(name: str, description: str, schema: dict, required: bool = False) -> dict:
    described = {"name": name, "in": "query", "required": required, "description": description, "schema": schema}
    return described | {"style": "form", "explode": False}


_POINT = _query("coords", "A position, longitude first: POINT(117.0 32.0).", _TEXT, True)
_AREA = _query("coords", "A polygon, longitude first.", _TEXT, True)
_BOX = _query("bbox", "West, south, east, north.", {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}, True)
_WITHIN = (
    _query("within", "The distance.", {"type": "number", "minimum": 0}, True),
    _query("within-units", "Its unit.", {"type": "string", "enum": ["m", "km"]}, True),
)
_NAMES = {"type": "array", "items": {"type": "string", "enum": list(QUANTITIES)}}
_BOTH = (
    _query("datetime", "A moment, a partial date or an interval.", _TEXT),
    _query("parameter-name", "What was observed, separated by commas.", _NAMES),
)
_VALUES = (
    *_BOTH,
    _query("latest", "The latest value of each series only.", {"type": "boolean", "default": False}),
    _query("aggregate", "Summaries of each hour or day (Beijing time).", {"type": "string", "enum": ["hour", "day"]}),
    _query("summary", "Which summary.", {"type": "string", "enum": ["mean", "min", "max", "sum", "count"]}),
    _query("quality", "The quality flags beside the values (CoverageJSON).", {"type": "boolean", "default": False}),
    _query("f", "The form of the answer.", {"type": "string", "enum": [*FORMS, "covjson", "geojson", "csv"], "default": "covjson"}),
)


def paths(collections: dict) -> dict:
    """The paths of the observations where the caller sees the sensors. `collections`: the paths that the document has already."""
    base = f"/collections/{SENSORS}"
    if base not in collections:
        return {}
    wrong = {"400": "InvalidParameter", "401": "Unauthorized", "404": "NotFound"}

    def get(summary: str, name: str, *parameters: dict, features: bool = False) -> dict:
        kinds = ["application/geo+json"] if features else ["application/prs.coverage+json", "application/geo+json", "text/csv"]
        content = {kind: {"schema": _TEXT if kind == "text/csv" else {"type": "object"}} for kind in kinds}
        responses = {"200": {"description": "The answer.", "content": content}, "204": {"description": "Nothing was observed."}}
        responses |= {status: {"$ref": f"#/components/responses/{kind}"} for status, kind in wrong.items()}
        return {"get": {"summary": summary, "tags": [SENSORS], "operationId": name, "parameters": list(parameters), "responses": responses}}

    one = {"name": "locationId", "in": "path", "required": True, "description": "The id of the sensor.", "schema": _TEXT}
    box = _BOX | {"required": False}
    count = (
        _query("limit", "How many sensors a page holds.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
        _query("offset", "How many sensors come before the page.", {"type": "integer", "minimum": 0, "default": 0}),
    )
    return {
        f"{base}/locations": get("Sensors with their latest values", "getLocations", box, *_BOTH, *count, features=True),
        f"{base}/locations/{{locationId}}": get("Values of a sensor", "getLocation", one, *_VALUES),
        f"{base}/position": get("Values at a position", "getPosition", _POINT, *_VALUES),
        f"{base}/radius": get("Values around a position", "getRadius", _POINT, *_WITHIN, *_VALUES),
        f"{base}/area": get("Values in an area", "getArea", _AREA, *_VALUES),
        f"{base}/cube": get("Values in a box", "getCube", _BOX, *_VALUES),
    }
