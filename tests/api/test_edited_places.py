"""Where edited features lie: systems, axes, digits, heights; and what QGIS sends."""

from __future__ import annotations

from urllib.parse import urlsplit

import pyproj
import pytest
from editing import EPSG, PIPES, ROADS, ask, road, rows


def test_what_qgis_sends(planner):
    """QGIS creates with POST, replaces feature by feature with PUT, removes with DELETE; it reads which of them it may from OPTIONS, names
    the CRS in Content-Crs, gives no If-Match, and writes coordinates with six decimals."""
    caller = {"headers": planner.headers}
    assert "POST" in planner.client.options(ROADS, **caller).headers["Allow"]
    crs = {"Content_Crs": f"<{EPSG}4490>"}
    given = road(geometry={"type": "LineString", "coordinates": [[32.01, 117.01], [32.010001, 117.02]]})
    address = urlsplit(ask(planner, "POST", ROADS, given, **crs).headers["Location"]).path
    assert planner.get(address).json["geometry"]["coordinates"] == [[117.01, 32.01], [117.02, 32.010001]]
    exact = rows("UPDATE core.road SET geom = 'SRID=4490;LINESTRING(117.0123456789 32.0123456789, 117.02 32.01)'::geometry"
                 " WHERE road_id = 'N1' RETURNING ST_AsText(geom, 15)")  # fmt: skip
    feature = planner.get(f"{address}?crs={EPSG}4490").json
    feature["geometry"]["coordinates"] = [[round(x, 6) for x in position] for position in feature["geometry"]["coordinates"]]
    feature["properties"] |= {"lanes": 2}
    assert ask(planner, "PUT", address, feature, **crs).status_code == 200
    text = "SELECT ST_AsText(geom, 15), lanes FROM core.road WHERE road_id = 'N1'"
    assert rows(text) == [(exact[0][0], 2)], "what was not moved keeps its digits"
    feature["geometry"]["coordinates"][1] = [32.03, 117.03]
    assert ask(planner, "PUT", address, feature, **crs).status_code == 200
    assert rows(text)[0][0] == "LINESTRING(117.0123456789 32.0123456789,117.03 32.03)"
    assert ask(planner, "DELETE", address).status_code == 200


def test_the_same_place_in_every_system(planner):
    """Written in each system the collection offers, in the order of its axes, a position lies where it should (PROJ is the oracle)."""
    offered = {uri.rsplit("/", 1)[-1] for uri in planner.get("/collections/road_node").json["crs"]}
    nodes = "/collections/road_node/items"
    body = {"type": "Feature", "properties": {"node_id": "X0"}, "geometry": {"type": "Point", "coordinates": [117.01, 32.01]}}
    assert ask(planner, "POST", nodes, body).status_code == 201
    tried = 0
    for code in sorted(offered - {"CRS84"}):
        coordinates = planner.get(f"{nodes}/X0?crs={EPSG}{code}").json["geometry"]["coordinates"]
        source = 4326 if code in ("4326", "3857") else 4490
        assert coordinates == pytest.approx(pyproj.Transformer.from_crs(source, int(code)).transform(32.01, 117.01), abs=0.01), code
        body["properties"]["node_id"] = f"X{code}"
        body["geometry"]["coordinates"] = coordinates
        made = ask(planner, "POST", nodes, body, Content_Crs=f"<{EPSG}{code}>")
        assert made.status_code == 201, (code, made.text)
        tried += 1
    assert tried >= 5
    far = rows("SELECT max(ST_Distance(a.geom::geography, b.geom::geography)) FROM core.road_node a, core.road_node b"
               " WHERE a.node_id = 'X0' AND b.node_id LIKE 'X%'")  # fmt: skip
    assert far[0][0] < 0.02, "3 decimals of a metre, 7 of a degree"
    assert ask(planner, "POST", nodes, body, Content_Crs=f"<{EPSG}4555>").status_code == 400, "not offered"
    assert ask(planner, "POST", nodes, body, Content_Crs="<nonsense>").status_code == 400


def test_heights_and_millimetres_of_surveyed_layers(water):
    exact = "SRID=4490;LINESTRING Z (117.0000000001 32.0000000002 30.1234567, 117.001 32 30.9)"
    rows("UPDATE core.water_pipe SET geom = %s::geometry RETURNING 1", exact)
    path = f"{PIPES}/city:JS1-JS2"
    feature = water.get(path).json
    feature["properties"]["owner"] = "甲"
    feature["geometry"]["coordinates"] = [position[:2] for position in feature["geometry"]["coordinates"]]
    assert ask(water, "PUT", path, feature).status_code == 200
    text = "SELECT ST_AsText(geom, 15) FROM core.water_pipe"
    assert rows(text) == [("LINESTRING Z (117.0000000001 32.0000000002 30.1234567,117.001 32 30.9)",)], "heights stay where none are sent"
    middle = [117.0005, 32.0001]
    feature["geometry"]["coordinates"].insert(1, middle)
    feature["geometry"]["coordinates"][2] += [30.5]
    feature["geometry"]["coordinates"][0] += [30.1235]
    feature["geometry"]["coordinates"][1] = [*middle, 30.7]
    assert ask(water, "PUT", path, feature).status_code == 200
    assert rows(text) == [("LINESTRING Z (117.0000000001 32.0000000002 30.1234567,117.0005 32.0001 30.7,117.001 32 30.5)",)]
    same = ask(water, "PUT", path, water.get(path).json)
    assert same.status_code == 200 and same.json["batch"] is None, "what a GET gave changes nothing"
