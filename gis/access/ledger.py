"""What area of which layer went to whom, added up from the audit.

Large-scale data that continuously cover more than 25 km² outside military areas are secret (自然资发〔2020〕95号, item 18): whoever
hands them out piece by piece has to know when the pieces make a whole.
"""

from __future__ import annotations

import datetime as dt

import psycopg2.extras

from gis.access.operator import AUDIT, Operator, operator
from gis.catalog.model import Catalog
from gis.settings import settings

SENSITIVE = "敏感"
ACTIONS_WITHOUT_DATA = ("edit", "result")
"""What a job's result tells was counted when the job ran."""
ACTIONS_PARTLY_PLACED = ("process",)
"""What their answers tell of is not all placed: ids count by their share of the layer, beside the box of what is."""
_AREAS = """
WITH city AS (
  SELECT ST_MakeEnvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4326) AS shape
), seen AS (
  SELECT a.user_name, l.layer, a.n, a.at, a.id,
         CASE WHEN jsonb_typeof(a.detail -> 'bbox') = 'array' AND jsonb_array_length(a.detail -> 'bbox') = 4 THEN
           ST_MakeEnvelope((a.detail -> 'bbox' ->> 0)::float8, (a.detail -> 'bbox' ->> 1)::float8,
                           (a.detail -> 'bbox' ->> 2)::float8, (a.detail -> 'bbox' ->> 3)::float8, 4326) END AS box,
         a.action = ANY (%(partly)s) OR jsonb_typeof(a.detail -> 'bbox') IS DISTINCT FROM 'array' AS unplaced
  FROM access.audit a
  CROSS JOIN LATERAL (
    SELECT a.layer WHERE a.layer IS NOT NULL
    UNION ALL SELECT jsonb_array_elements_text(a.detail -> 'layers') WHERE a.layer IS NULL AND jsonb_typeof(a.detail -> 'layers') = 'array'
  ) l
  WHERE a.action <> ALL (%(without)s)
    AND (%(user)s::text IS NULL OR a.user_name = %(user)s) AND (%(layer)s::text IS NULL OR l.layer = %(layer)s)
    AND (%(since)s::timestamptz IS NULL OR a.at >= %(since)s::timestamptz)
), boxes AS (
  SELECT DISTINCT s.user_name, s.layer, ST_Intersection(s.box, city.shape) AS shape FROM seen s, city WHERE s.box IS NOT NULL
), placed AS (
  SELECT b.user_name, b.layer, ST_Area(ST_Union(b.shape)::geography) / 1e6 AS km2 FROM boxes b GROUP BY b.user_name, b.layer
), counted AS (
  SELECT s.user_name, s.layer, count(*) AS accesses, sum(s.n) AS features, min(s.at) AS first_at, max(s.at) AS last_at,
         count(*) FILTER (WHERE s.unplaced) AS without_area, coalesce(sum(s.n) FILTER (WHERE s.unplaced), 0) AS features_without_area
  FROM seen s GROUP BY s.user_name, s.layer
)
SELECT c.user_name AS "user", c.layer, coalesce(p.km2, 0)::float8 AS placed_km2, c.accesses,
       c.features::bigint AS features,
       c.without_area, c.features_without_area::bigint AS features_without_area, c.first_at, c.last_at,
       coalesce((SELECT greatest(k.reltuples, 1) FROM pg_class k JOIN pg_namespace s ON s.oid = k.relnamespace
                 WHERE s.nspname = 'core' AND k.relname = c.layer), 1)::float8 AS rows,
       (SELECT ST_Area(city.shape::geography) / 1e6 FROM city)::float8 AS city_km2
FROM counted c LEFT JOIN placed p USING (user_name, layer)
ORDER BY c.user_name, c.layer
"""


def areas(
    catalog: Catalog,
    *,
    user: str | None = None,
    layer: str | None = None,
    since: dt.date | dt.datetime | None = None,
    limit_km2: float | None = None,
    who: Operator | None = None,
) -> list[dict]:
    """Per user and layer {user, layer, label, area_km2, placed_km2, accesses, features, without_area, features_without_area,
    first_at, last_at, over}, the largest first.

    placed_km2: the union of all boxes that were asked for (items, tiles, downloads, coverages), cut to the city: an upper bound
    of what was seen of them. Accesses without a box (a whole layer, single features) count by their features' share of the layer,
    as if spread evenly, never more than the city; so do the answers of analyses, whose ids have no box. over: a sensitive layer's area_km2
    is beyond the limit (default: the setting).
    """
    west, south, east, north = catalog.city.extent
    asked = {
        "user": user, "layer": layer, "since": since, "without": list(ACTIONS_WITHOUT_DATA),
        "partly": list(ACTIONS_PARTLY_PLACED),
        "west": west, "south": south, "east": east, "north": north,
    }  # fmt: skip
    limit = settings().area_limit_km2 if limit_km2 is None else limit_km2
    who = who or operator(AUDIT)
    with who.connection(read=True) as connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(_AREAS, asked)
        found = [dict(row) for row in cursor.fetchall()]
    for one in found:
        city_km2, rows = one.pop("city_km2"), one.pop("rows")
        share = min(1.0, one["features_without_area"] / rows)
        known = catalog.layers.get(one["layer"])
        one["placed_km2"] = round(one["placed_km2"], 3)
        one["area_km2"] = round(min(city_km2, one["placed_km2"] + share * city_km2), 3)
        one["label"] = known.access.label if known else None
        one["over"] = one["label"] == SENSITIVE and one["area_km2"] > limit
    return sorted(found, key=lambda one: -one["area_km2"])
