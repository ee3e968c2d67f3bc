"""One feature through time, as each caller may know of it."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from api_rows import put

from gis.catalog.read import catalog
from gis.db.connection import owner
from gis.ingest.rollback import rollback

ROAD = "/collections/road/items/R1"


def edit(caller, path: str, **properties) -> int:
    return caller.client.patch(path, json={"properties": properties}, headers=caller.headers).json["batch"]


def test_every_version_and_who_made_it(as_role, planner, anyone):
    first, second = edit(planner, ROAD, name="甲路"), edit(planner, ROAD, name="乙路", lanes=4)
    rollback(catalog(), second, operator="chief")
    planner.client.delete(ROAD, headers=planner.headers)
    assert anyone.get(ROAD).status_code == 404
    told = anyone.get(f"{ROAD}?history=true")
    assert told.content_type == "application/geo+json" and told.json["numberReturned"] == 4
    versions = told.json["features"]
    assert [(v["properties"]["name"], v["properties"]["lanes"]) for v in versions] == [
        ("甲路", 6),
        ("乙路", 4),
        ("甲路", 6),
        ("青澜大道", 6),
    ]
    recorded = [v["recorded"] for v in versions]
    assert all(newer["from"] == older["to"] for newer, older in itertools.pairwise(recorded)), "without a gap"
    assert [(r["by"]["kind"], r["superseded_by"]["kind"]) for r in recorded] == [
        ("rollback", "edit"), ("edit", "rollback"), ("edit", "edit"), ("load", "edit"),
    ]  # fmt: skip
    assert recorded[2]["by"]["batch"] == first and recorded[1]["by"]["batch"] == second
    assert all(set(r["by"]) == {"batch", "kind"} for r in recorded), "nobody in particular is not told who"
    known = [v["recorded"] for v in planner.get(f"{ROAD}?history=true").json["features"]]
    assert known[1]["by"]["operator"] == known[0]["superseded_by"]["operator"] == "test-planner" and known[0]["by"]["operator"] == "chief"
    assert "operator" not in as_role("water").get(f"{ROAD}?history=true").json["features"][0]["recorded"]["by"]
    for version in versions[1:]:
        middle = dt.datetime.fromisoformat(version["recorded"]["from"]) + dt.timedelta(microseconds=1)
        then = anyone.get(ROAD, query_string={"as-of": middle.isoformat()}).json
        assert then["properties"] == version["properties"] and then["geometry"] == version["geometry"]


def test_a_history_exists_where_the_feature_does(as_role, anyone, water):
    put("water_pipe", {"pipe_id": "A:B/丙"})
    path = "/collections/water_pipe/items/city:A:B/丙?history=true"
    assert anyone.get(path).status_code == 404 and as_role("gas").get(path).status_code == 404
    assert [f["recorded"]["to"] for f in water.get(path).json["features"]] == [None]
    turned = water.get(f"{path}&crs=http://www.opengis.net/def/crs/EPSG/0/4490")
    assert turned.json["features"][0]["geometry"]["coordinates"][0][0] == 32 and "4490" in turned.headers["Content-Crs"]
    for wrong in ("history=yes", "history=true&as-of=2020", "history=true&f=csv", "history=true&crs=x", "history=true&limit=1"):
        assert anyone.get(f"{ROAD}?{wrong}").status_code == 400, wrong
    assert anyone.get("/collections/road/items/nothing?history=true").status_code == 404
    assert anyone.get(f"{ROAD}?history=false").json["id"] == "R1"
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_name, action, n FROM access.audit WHERE layer = 'water_pipe' AND action = 'history'")
        assert cursor.fetchall() == [("test-water", "history", 1)] * 2


@pytest.mark.parametrize("role", ["planner", "water"])
def test_hidden_columns_have_no_history(as_role, role):
    text = as_role(role).get("/collections/water_connection/items", query_string={"limit": 1}).json["features"][0]["id"]
    told = as_role(role).get(f"/collections/water_connection/items/{text}?history=true").text
    assert ("customer_name" in told) == (role == "water")
