"""Rows as features: which values a row is read as, and the GeoJSON feature made of them.

PostGIS writes the geometry, the answer's JSON is written here once: for a page of a thousand features with 25 properties that takes two
thirds of the time that `row_to_json` takes (docs/decisions/0170).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter

import msgspec
import orjson
from psycopg2 import sql

from gis.api import select
from gis.api.boxes import Target
from gis.catalog import quote
from gis.catalog.model import Catalog, Column, Layer
from gis.catalog.read import catalog

_AS_JSON_HAS_IT = frozenset(("text", "code", "int", "real", "bool", "texts"))
"""Types whose values orjson writes as they come; the others are read as the text that JSON has for them."""
_TEXT = frozenset(("text", "code"))


class Feature(msgspec.Struct, tag_field="type", tag="Feature", gc=False):
    """A feature that is written and thrown away: a record with fixed places takes a fifth of the time of a dict with names."""

    id: str
    geometry: msgspec.Raw | None
    properties: msgspec.Struct


class LinkedFeature(Feature, tag="Feature"):
    """A feature that is an answer of its own."""

    links: list[dict]


class FeatureRows:
    """How rows of one layer become features: `columns` is the select list over a subquery `f`, in which `names`, the key and the sort
    columns are found. A row holds the properties, then the geometry as GeoJSON text, then what id and position need besides."""

    def __init__(self, layer: Layer, names: tuple[str, ...], target: Target, geometry: bool, sort: tuple[str, ...]):
        self.names = names
        self._geometry_at = len(names)
        texts = list(dict.fromkeys((*layer.key, *sort)))
        besides = [name for name in texts if not (name in names and layer.columns[name].type in _TEXT)]
        at = {name: len(names) + 1 + i for i, name in enumerate(besides)} | {n: names.index(n) for n in texts if n not in besides}
        self._id_at = tuple(at[name] for name in layer.key)
        self._position_at = tuple(at[name] for name in sort)
        self.columns = select.fixed(
            sql.SQL(", ").join(
                [
                    *(sql.SQL(_value(layer.columns[name], quote.name("f", name))) for name in names),
                    select.geojson(layer, target, geometry=geometry),
                    *(sql.SQL(quote.name("f", name) + "::text") for name in besides),
                ]
            )
        )

        self.with_version = select.fixed(self.columns + sql.SQL(", f.fid || '.' || coalesce(f.batch, 0)"))
        """The same and, as the last, the version of a feature (gis/api/transaction.py)."""
        places = [f"at{i}" for i in range(len(names))]
        self._properties = msgspec.defstruct("Properties", places, rename=dict(zip(places, names, strict=True)), gc=False)

    def written(self, rows: Iterable[tuple]) -> list[Feature]:
        """The rows as features that msgspec writes as JSON, the same as `features` (NaN and infinity become null)."""
        n, properties_of = self._geometry_at, self._properties
        identified = itemgetter(*self._id_at) if len(self._id_at) == 1 else self.id
        return [
            Feature(identified(row), None if (geometry := row[n]) is None else msgspec.Raw(geometry), properties_of(*row[:n]))
            for row in rows
        ]

    def features(self, rows: Iterable[tuple], parsed: bool = False) -> list[dict]:
        """The rows as GeoJSON features. parsed: geometries as objects, where a page or a formatter looks into them; else as the text
        that PostGIS wrote."""
        names, geometry_at, geometry_of = self.names, self._geometry_at, orjson.loads if parsed else orjson.Fragment
        made = []
        for row in rows:
            geometry = row[geometry_at]
            made.append(
                {
                    "type": "Feature",
                    "id": self.id(row),
                    "geometry": None if geometry is None else geometry_of(geometry),
                    "properties": dict(zip(names, row, strict=False)),
                }
            )
        return made

    def id(self, row: tuple) -> str:
        """The id of a feature: the values of its key joined by ':'."""
        if len(self._id_at) == 1:
            return row[self._id_at[0]]
        return ":".join([row[at] for at in self._id_at])

    def position(self, row: tuple) -> list[str | None]:
        """Where a row stands in its order, for the cursor of the next page."""
        return [row[at] for at in self._position_at]


def _value(column: Column, name: str) -> str:
    """A column as its value in JSON: dates and times as PostgreSQL writes them there."""
    if column.type in _AS_JSON_HAS_IT:
        return name
    return f"to_json({name})#>>'{{}}'" if column.type == "timestamp" else f"{name}::text"


def feature_rows(layer: Layer, names: tuple[str, ...], target: Target, *, geometry: bool = True, sort: tuple[str, ...] = ()) -> FeatureRows:
    """How rows of a layer are read as features with these properties; made once per combination and catalogue."""
    return _feature_rows(layer.id, catalog(), names, target, geometry, sort)


@lru_cache(maxsize=512)
def _feature_rows(layer_id: str, of: Catalog, names: tuple[str, ...], target: Target, geometry: bool, sort: tuple[str, ...]) -> FeatureRows:
    return FeatureRows(of.layer(layer_id), names, target, geometry, sort)
