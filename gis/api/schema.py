"""What features look like, for `/schema` and `/queryables`: true geometry types, titles in the caller's language, units, codes."""

from __future__ import annotations

from functools import lru_cache

from gis import standards
from gis.catalog.model import Column, Layer, Text

_JSON = {
    "text": {"type": "string"},
    "code": {"type": "string"},
    "int": {"type": "integer"},
    "real": {"type": "number"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    "texts": {"type": "array", "items": {"type": "string"}},
}
_GEOMETRY = {
    "Point": "geometry-point",
    "PointZ": "geometry-point",
    "LineString": "geometry-linestring",
    "LineStringZ": "geometry-linestring",
    "MultiPolygon": "geometry-multipolygon",
    "MultiPolygonZ": "geometry-multipolygon",
}
_UCUM = {"[‰]": "[ppth]"}
"""Units whose code in UCUM is not what the layer files show."""
_GEOJSON = {0: ("Point",), 1: ("LineString",), 2: ("Polygon", "MultiPolygon")}
"""What is taken for a layer of each dimension."""


def text(value: Text, language: str) -> str:
    """The text in the language of the caller (zh or en)."""
    return value.zh if language.startswith("zh") else value.en


@lru_cache(maxsize=256)
def codes(name: str, language: str) -> tuple[tuple[str, str], ...]:
    """(code, title) of each entry of a code list."""
    return tuple((str(entry.code), entry.zh if language.startswith("zh") else entry.en) for entry in standards.codes(name).entries)


def bare(column: Column) -> dict:
    """Type and format only, as pygeoapi wants its fields."""
    return dict(_JSON[column.type])


def described(column: Column, language: str, *, required: bool = False) -> dict:
    """A column as JSON Schema: title, description, unit (OGC API Features part 5), range, code list as oneOf of const and title."""
    schema = bare(column) | {"title": text(column.title, language)}
    if column.description:
        schema["description"] = text(column.description, language)
    if column.unit:
        schema |= {"x-ogc-unit": _UCUM.get(column.unit, column.unit), "x-ogc-unitLang": "UCUM"}
    if column.codes:
        schema["oneOf"] = [{"const": code, "title": title} for code, title in codes(column.codes, language)]
    if column.type in ("int", "real"):
        schema |= {name: limit for name, limit in (("minimum", column.min), ("maximum", column.max)) if limit is not None}
    if column.type == "text" and required and column.max_length:
        schema["maxLength"] = column.max_length
    if column.pattern:
        schema["pattern"] = column.pattern
    return schema


def geometry(layer: Layer, language: str) -> dict:
    """The geometry property with its true type (QGIS takes the layer's type from it)."""
    return {
        "format": _GEOMETRY[layer.geometry],
        "x-ogc-role": "primary-geometry",
        "title": "几何" if language.startswith("zh") else "Geometry",
    }


def _roles(layer: Layer, name: str) -> dict:
    """What the column is for (OGC API Features part 5, 7.7)."""
    if layer.key == (name,):
        return {"x-ogc-role": "id"}
    return {"valid_from": {"x-ogc-role": "primary-interval-start"}, "valid_to": {"x-ogc-role": "primary-interval-end"}}.get(name, {})


def schema(layer: Layer, columns: dict[str, Column], language: str, url: str) -> dict:
    """The schema of a layer's features, with the columns that the caller sees."""
    properties = {"geometry": geometry(layer, language)}
    for i, (name, column) in enumerate(columns.items(), 1):
        properties[name] = described(column, language, required=True) | _roles(layer, name) | {"x-ogc-propertySeq": i}
    return _document(layer, properties, language, url) | {
        "required": [name for name, column in columns.items() if column.required or name in layer.key],
        "additionalProperties": False,
    }


def edited(layer: Layer, columns: dict[str, Column], *, partly: bool = False) -> dict:
    """A feature as it is sent to be stored, as GeoJSON; partly: a merge patch of one. What has a default need not be given."""
    properties = {name: bare(column) | {"nullable": not column.required} for name, column in columns.items()}
    needed = [name for name, column in columns.items() if column.required and column.default is None]
    feature = {
        "type": {"type": "string", "enum": ["Feature"]},
        "id": {"type": "string"},
        "geometry": {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"type": "string", "enum": list(_GEOJSON[layer.dimension])},
                "coordinates": {"type": "array", "items": {}},
            },
        },
        "properties": {"type": "object", "properties": properties, "additionalProperties": False},
    }
    if partly:
        return {"type": "object", "properties": feature}
    feature["properties"] |= {"required": needed} if needed else {}
    return {"type": "object", "required": ["type", "geometry", "properties"], "properties": feature}


def queryables(layer: Layer, columns: dict[str, Column], language: str, url: str) -> dict:
    """What filters may ask for: the same columns and the geometry; nothing else is understood."""
    properties = {"geometry": geometry(layer, language)}
    for name, column in columns.items():
        described_column = described(column, language)
        described_column.pop("pattern", None)
        properties[name] = described_column | _roles(layer, name)
    return _document(layer, properties, language, url) | {"additionalProperties": False}


def is_sortable(column: Column) -> bool:
    """Whether `sortby` may name the column: lists have no order (Features part 5, /req/sortables/response)."""
    return column.type != "texts"


def sortables(layer: Layer, columns: dict[str, Column], language: str, url: str) -> dict:
    """What `sortby` may name: the columns but for lists; nothing else is understood."""
    properties = {name: described(column, language) | _roles(layer, name) for name, column in columns.items() if is_sortable(column)}
    for one in properties.values():
        one.pop("pattern", None)
    return _document(layer, properties, language, url) | {"additionalProperties": False}


def _document(layer: Layer, properties: dict, language: str, url: str) -> dict:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": url,
        "type": "object",
        "title": text(layer.title, language),
        "description": text(layer.description, language),
        "properties": properties,
    }
