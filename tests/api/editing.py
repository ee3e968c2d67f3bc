"""Edits of features as callers send them, and what the database holds afterwards."""

from __future__ import annotations

import orjson

from gis.db.connection import owner

ROADS, PIPES = "/collections/road/items", "/collections/water_pipe/items"
GEOJSON = {"Content-Type": "application/geo+json"}
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"


def ask(caller, method: str, path: str, body=None, **headers):
    sent = caller.headers | (GEOJSON if body is not None else {}) | {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.client.open(path, method=method, data=None if body is None else orjson.dumps(body), headers=sent)


def rows(query: str, *bound) -> list[tuple]:
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(query, bound or None)
        return cursor.fetchall()


def road(**properties) -> dict:
    given = {"road_id": "N1", "name": "新街", "class": "branch"} | properties
    geometry = given.pop("geometry", {"type": "LineString", "coordinates": [[117.01, 32.01], [117.02, 32.01]]})
    return {"type": "Feature", "properties": given, "geometry": geometry}
