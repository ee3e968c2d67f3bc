"""Features edited by those who may: OGC API Features part 4, over a real PostGIS."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson
import pytest
from api_rows import put

from gis.catalog.read import catalog
from gis.db.connection import owner
from gis.errors import InputError
from gis.ingest.rollback import rollback

ROADS, PIPES = "/collections/road/items", "/collections/water_pipe/items"
GEOJSON = {"Content-Type": "application/geo+json"}
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"


def ask(caller, method: str, path: str, body=None, **headers):
    sent = caller.headers | (GEOJSON if body is not None else {}) | {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.client.open(path, method=method, data=None if body is None else orjson.dumps(body), headers=sent)


def rows(query: str, *bound) -> list[tuple]:
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(query, bound)
        return cursor.fetchall()


def road(**properties) -> dict:
    given = {"road_id": "N1", "name": "新街", "class": "branch"} | properties
    geometry = given.pop("geometry", {"type": "LineString", "coordinates": [[117.01, 32.01], [117.02, 32.01]]})
    return {"type": "Feature", "properties": given, "geometry": geometry}


def test_a_feature_from_its_beginning_to_its_end(planner):
    made = ask(planner, "POST", ROADS, road())
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == f"http://localhost{ROADS}/N1" and made.json["findings"] == []
    path = urlsplit(made.headers["Location"]).path
    first = planner.get(path)
    assert first.json["properties"]["name"] == "新街" and first.json["properties"]["oneway"] == "both", "the default of the layer file"
    assert first.headers["ETag"] == made.headers["ETag"]

    changed = first.json | {"properties": first.json["properties"] | {"name": "新大街", "lanes": 4}}
    assert ask(planner, "PUT", path, changed, If_Match=first.headers["ETag"]).status_code == 200
    assert ask(planner, "PUT", path, changed, If_Match=first.headers["ETag"]).status_code == 412, "somebody was faster"
    patched = ask(planner, "PATCH", path, {"properties": {"lanes": None, "width_m": "20 m"}}, Content_Type="application/merge-patch+json")
    assert patched.status_code == 200, patched.text
    now = planner.get(path)
    assert now.headers["ETag"] == patched.headers["ETag"] != first.headers["ETag"]
    assert {k: now.json["properties"][k] for k in ("name", "lanes", "width_m")} == {"name": "新大街", "lanes": None, "width_m": 20}
    assert now.json["geometry"] == first.json["geometry"]
    assert planner.get(path, headers={"If-None-Match": now.headers["ETag"]}).status_code == 304

    gone = ask(planner, "DELETE", path, If_Match=f'"x", {now.headers["ETag"]}')
    assert gone.status_code == 200 and planner.get(path).status_code == 404
    assert rows("SELECT count(*) FROM history.road WHERE road_id = 'N1'") == [(3,)]
    batches = rows("SELECT kind, operator, status FROM meta.batch WHERE kind = 'edit' ORDER BY id")
    assert batches == [("edit", "test-planner", "published")] * 4
    audit = rows("SELECT user_name, role, layer, detail->>'operation', detail->>'id' FROM access.audit WHERE action = 'edit' ORDER BY id")
    assert audit == [("test-planner", "planner", "road", what, "N1") for what in ("insert", "update", "update", "delete")]
    since = rows("SELECT min(recorded_at) - interval '1 microsecond' FROM meta.batch WHERE kind = 'edit'")[0][0]
    feed = planner.get("/collections/road/changes", query_string={"since": since.isoformat()}).json["changes"]
    assert [(one["op"], one["id"]) for one in feed] == [("delete", "N1")]
