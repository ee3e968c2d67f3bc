"""The catalogue's paths for the OpenAPI document."""

from __future__ import annotations

from gis.api import records

_TEXT = {"type": "string"}


def _query(name: str, description: str, schema: dict) -> dict:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema, "style": "form", "explode": False}


_FORM = _query("f", "The form of the answer.", {"type": "string", "enum": ["json", "html"], "default": "json"})
_LANGUAGE = _query("lang", "The language of the texts.", {"type": "string", "enum": ["zh", "en"], "default": "zh"})
_KINDS = {"type": "array", "items": {"type": "string", "enum": list(records.TYPES)}}
_FILTERS = ("bbox", "bbox-crs", "datetime", "filter", "filter-lang", "filter-crs", "resultType")
TAKES = (
    _query("q", "Texts, separated by commas; records that hold any of them, in Chinese or English.", _TEXT | {"maxLength": 2000}),
    _query("type", "Types of records, separated by commas.", _KINDS),
    _query("ids", "Ids of records, separated by commas.", {"type": "array", "items": _TEXT | {"maxLength": 80}, "maxItems": 1000}),
    _query("externalIds", "Ids outside the catalogue, separated by commas: onemap:road, or road.", {"type": "array", "items": _TEXT}),
    _query("sortby", "Properties to sort by, separated by commas; - before a name sorts downwards.", _TEXT),
    _query("limit", "How many records a page holds.", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 10}),
    _query("offset", "How many records come before the page.", {"type": "integer", "minimum": 0, "maximum": 1_000_000, "default": 0}),
    _FORM,
    _LANGUAGE,
)


def paths() -> dict:
    """The paths of the catalogue, to be merged into the document; what they refer to is among its components."""
    base = f"/collections/{records.ID}"

    def get(summary: str, name: str, answer: dict, *parameters: dict) -> dict:
        wrong = {"400": "InvalidParameter", "401": "Unauthorized", "404": "NotFound"}
        responses = {"200": answer} | {status: {"$ref": f"#/components/responses/{kind}"} for status, kind in wrong.items()}
        return {
            "get": {"summary": summary, "tags": [records.ID], "operationId": name, "parameters": list(parameters), "responses": responses}
        }

    document = {"description": "The answer.", "content": {"application/json": {"schema": {"type": "object"}}}}
    schema = {"description": "A JSON schema.", "content": {"application/schema+json": {"schema": {"type": "object"}}}}
    shared = [{"$ref": f"#/components/parameters/{name}"} for name in _FILTERS]
    one = {"name": "recordId", "in": "path", "required": True, "description": "The id of the record.", "schema": _TEXT}
    found, single = ({"$ref": f"#/components/responses/{name}"} for name in ("Features", "Feature"))
    return {
        base: get("The catalogue", "describeCatalogue", document, _FORM, _LANGUAGE),
        f"{base}/items": get("Records of what is published", "getRecords", found, *shared, *TAKES),
        f"{base}/items/{{recordId}}": get("A record", "getRecord", single, one, _FORM, _LANGUAGE),
        f"{base}/schema": get("The schema of a record", "getRecordSchema", schema, _FORM, _LANGUAGE),
        f"{base}/sortables": get("What records are sorted by", "getRecordSortables", schema, _FORM, _LANGUAGE),
        f"{base}/queryables": get("What filters may ask of a record", "getRecordQueryables", schema, _FORM, _LANGUAGE),
    }
