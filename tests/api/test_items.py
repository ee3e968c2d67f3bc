"""Our pages, our single features and pygeoapi's own answers to the same questions are the same, value for value: pygeoapi is the oracle."""

from __future__ import annotations

import random
from collections import Counter
from urllib.parse import quote

import msgspec
import orjson
import pytest
from api_rows import put
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2 import sql

from gis.access import identity, rights
from gis.api import boxes, items, listing, select
from gis.api.feature_rows import FeatureRows
from gis.api.serialize import json_bytes
from gis.catalog.read import catalog
from gis.db.connection import fetch

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
NASTY = 'a"b\\c/d<e>&\u2028\ufeff\x7f\t\n\r\x01\x1f\x0b😀第一路'
FILTERS = (
    "name IS NULL",
    "name LIKE '%路'",
    "S_INTERSECTS(geometry, POINT(117 32))",
    "no_such = 1",
    "name LIKE",
    '{"op": "isNull", "args": [{"property": "name"}]}',
)
PARAMETERS = {
    "f": ("json", "json", "json", "html", "csv", "xml", ""),
    "lang": ("en", "zh", "zh-CN", "de", ""),
    "limit": ("1", "2", "3", "1000", "99999", "0", "-1", "1.0", "1e1", " 2", "+2", "٣", "", "x"),
    "offset": ("0", "1", "2", "100000", "100001", "9999999999", "-1", "1.5", " 1", "1_0", "", "x"),
    "resulttype": ("results", "hits", "", "guess"),
    "resultType": ("results", "hits", "", "guess"),
    "bbox": (
        "116.9,31.9,117.1,32.1",
        "31.9,116.9,32.1,117.1",
        "116.9,31.9,-10,117.1,32.1,10",
        "170,-80,-170,80",
        "117.1,31.9,116.9,32.1",
        "116.9,32.1,117.1,31.9",
        "1,2,3",
        "a,b,c,d",
        "nan,0,1,1",
        "inf,0,inf,1",
        " 116.9, 31.9, 117.1, 32.1",
        "",
    ),
    "bbox-crs": (EPSG + "4490", EPSG + "3857", EPSG + "4548", "http://www.opengis.net/def/crs/OGC/1.3/CRS84", EPSG + "9999", "x", ""),
    "crs": (
        EPSG + "4490",
        EPSG + "3857",
        EPSG + "4548",
        EPSG + "4326",
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        EPSG + "1",
        "x",
        "",
    ),
    "datetime": ("2024-01-01", "../2024-01-01", "2020/..", "2024", "0000/2024", "2024-13-01", "2025/2024", "..", ""),
    "as-of": ("2999-01-01", "2000-01-01", "x"),
    "sortby": ("name", "-name", "+name", "name,-name", "-name,valid_from", "no_such", "", "-", ",", "name,"),
    "properties": ("name", "name,valid_from", "valid_from,name,name", "no_such", "", "name,"),
    "skipGeometry": ("true", "false", "TRUE", "yes", "1", ""),
    "q": ("", "road"),
    "filter": FILTERS,
    "filter-lang": ("cql2-text", "cql2-json", "cql-text", "sql", ""),
    "filter-crs": (EPSG + "4490", "http://www.opengis.net/def/crs/OGC/1.3/CRS84", EPSG + "1", ""),
    "cursor": ("rubbish", ""),
    "name": ("第1路", NASTY, ""),
    "lanes": ("2", "x"),
    "no_such": ("1",),
}
LAYERS = ("road", "road", "water_pipe", "place_name", "sensor", "hydrant", "terrain", "no_such_layer")
ACCEPTED = ("*/*", "application/geo+json", "text/csv", "text/html", "application/json", "text/html;q=0.1,application/json")
SPOKEN = ("", "zh-CN,zh;q=0.9,en;q=0.8", "en", "de")
QUESTIONS = 450


def question(chance: random.Random) -> tuple[str, dict[str, str]]:
    """A path with a few parameters, most of them right, and headers."""
    named = chance.sample(sorted(PARAMETERS), chance.choice((0, 1, 1, 2, 2, 3, 4)))
    pairs = [(name, PARAMETERS[name][int(len(PARAMETERS[name]) * chance.random() ** 2)]) for name in named]
    query = "&".join(f"{name}={quote(value, safe=',:/')}" for name, value in pairs)
    headers = {
        "X-Request-Id": "one",
        "Accept": chance.choice(ACCEPTED[: chance.choice((1, 1, 6))]),
        "Accept-Language": chance.choice(SPOKEN),
    }
    return f"/collections/{chance.choice(LAYERS)}/items" + (f"?{query}" if query else ""), headers


def told(answer) -> tuple:
    """What an answer tells, without what differs by the clock. Pages for people are pygeoapi's both times."""
    headers = sorted((name, value) for name, value in answer.headers if name not in ("Date", "Content-Length", "X-Request-Id"))
    body = answer.data if "html" not in answer.headers.get("Content-Type", "") else b""
    if "json" in answer.headers.get("Content-Type", ""):
        body = orjson.loads(body)
        body.pop("timeStamp", None)
    return answer.status_code, headers, body


@pytest.fixture
def nasty(unthrottled, app, as_role) -> None:
    """Rows with everything that JSON has to write in its own way."""
    put(
        "road",
        {"road_id": "R2", "name": NASTY, "width_m": float("nan"), "speed_kmh": 1e20},
        {"road_id": "R3", "name": "", "width_m": float("inf"), "speed_kmh": -float("inf")},
        {"road_id": NASTY.replace("\n", "").replace("/", ""), "name": None, "width_m": 1e-7, "lanes": 2**62, "bridge": True},
    )
    put("water_pipe", *({"network": f"n:{i}", "pipe_id": f'p"{i}', "diameter_mm": i / 3} for i in range(4)))
    put(
        "place_name",
        {"name_id": "N2", "aliases": [NASTY, "", "null"]},
        {"name_id": "N3", "aliases": []},
        {"name_id": "N4", "aliases": None},
    )
    as_role("water")
    rights.add("user", "test-water", "water_pipe", area="116,31,118,33", columns=("diameter_mm", "status"))
    identity.forget()


def test_our_page_is_the_one_that_pygeoapi_writes(nasty, as_role, monkeypatch):
    chance, ours = random.Random(1), []
    write = items.page
    monkeypatch.setattr(items, "page", lambda *given: ours.append(write(*given)) or ours[-1])
    outcomes = Counter()
    for i in range(QUESTIONS):
        client = as_role(("anonymous", "water", "admin", "planner")[i % 4])
        path, headers = question(chance)
        ours.clear()
        mine = told(client.get(path, headers=headers))
        was_ours = bool(ours and ours[-1])
        with monkeypatch.context() as without:
            without.setattr(items, "page", lambda *_: None)
            theirs = told(client.get(path, headers=headers))
        assert mine == theirs, (path, headers, client.headers)
        is_page = mine[0] == 200 and ("Content-Type", "application/geo+json") in mine[1]
        assert is_page or not was_ours, (path, headers, mine[0])
        outcomes[is_page, was_ours] += 1
    # few are left to pygeoapi that it takes for right (`offset=1_0`), and of wrong ones there are many
    assert outcomes[True, True] > 20 * outcomes[True, False] and outcomes[True, True] > QUESTIONS / 4, outcomes
    assert outcomes[False, False] > QUESTIONS / 4, outcomes


def test_our_pages_follow_each_other_as_pygeoapis_do(nasty, as_role, monkeypatch):
    for start in ("road/items?limit=1", "road/items?limit=1&sortby=-name&properties=name", "water_pipe/items?limit=2&f=json&lang=en"):
        path, seen = f"/collections/{start}", []
        while path:
            mine = as_role("admin").get(path)
            with monkeypatch.context() as without:
                without.setattr(items, "page", lambda *_: None)
                theirs = as_role("admin").get(path)
            assert told(mine) == told(theirs), path
            seen += [feature["id"] for feature in mine.json["features"]]
            path = next((link["href"].split("localhost", 1)[-1] for link in mine.json["links"] if link["rel"] == "next"), None)
        assert len(seen) == len(set(seen)) > 3


ITEMS = (
    "road/items/R1",
    "road/items/R2",
    "road/items/" + quote(NASTY.replace("\n", "").replace("/", "")),
    "road/items/nobody",
    "road/items/%00",
    "water_pipe/items/n:1:p%221",
    "water_pipe/items/city:P1",
    "water_pipe/items/1",
    "place_name/items/N2",
    "terrain/items/1",
    "no_such_layer/items/1",
)
OF_ONE = ("f", "lang", "crs", "as-of", "bbox", "no_such")


def test_one_feature_is_the_one_that_pygeoapi_writes(nasty, as_role, monkeypatch):
    chance, ours = random.Random(2), []
    write = items.one
    monkeypatch.setattr(items, "one", lambda *given: ours.append(write(*given)) or ours[-1])
    written = 0
    for i in range(QUESTIONS // 2):
        client, path = as_role(("anonymous", "water", "admin", "planner")[i % 4]), "/collections/" + chance.choice(ITEMS)
        named = chance.sample(OF_ONE, chance.choice((0, 0, 1, 1, 2)))
        path += "?" + "&".join(f"{name}={quote(chance.choice(PARAMETERS[name]), safe=',:/')}" for name in named)
        headers = {"X-Request-Id": "one", "Accept": chance.choice(ACCEPTED), "Accept-Language": chance.choice(SPOKEN)}
        ours.clear()
        mine = told(client.get(path, headers=headers))
        written += bool(ours and ours[-1])
        with monkeypatch.context() as without:
            without.setattr(items, "one", lambda *_: None)
            theirs = told(client.get(path, headers=headers))
        assert mine == theirs, (path, headers, client.headers)
    assert written > QUESTIONS / 16, written


def test_a_posted_filter_is_answered_the_same(nasty, as_role, monkeypatch):
    for filter_ in (*FILTERS[-1:], '{"op": "=", "args": [{"property": "no_such"}, 1]}', '{"op": 1}', "{"):
        asked = {"data": filter_, "headers": {"X-Request-Id": "one", "Content-Type": "application/query-cql-json"}}
        mine = told(as_role("planner").post("/collections/road/items?limit=1", **asked))
        with monkeypatch.context() as without:
            without.setattr(items, "page", lambda *_: None)
            theirs = told(as_role("planner").post("/collections/road/items?limit=1", **asked))
        assert mine == theirs, filter_


def test_few_in_an_area_are_all_of_them(unthrottled, app, as_role, monkeypatch):
    """The statement for few rows gives the page that the one for any number of rows gives: below, at and above the limit."""
    at = random.Random(3)
    put(
        "road",
        *({"road_id": f"Q{i}", "name": str(i % 3), "geometry": line(117 + at.random() / 10, 32 + at.random() / 10)} for i in range(30)),
    )
    tried = []
    few = listing._few
    monkeypatch.setattr(listing, "_few", lambda *given: tried.append(few(*given)) or tried[-1])
    for i in range(120):
        size, west, south = at.choice((0, 0.001, 0.02, 0.05, 1)), 117 + at.random() / 10, 32 + at.random() / 10
        query = f"bbox={west},{south},{west + size},{south + size}&limit={at.choice((1, 2, 5, 30))}" + at.choice(("", "&sortby=-name"))
        listing._densities.clear()
        mine = told(as_role(("anonymous", "admin")[i % 2]).get(f"/collections/road/items?{query}"))
        with monkeypatch.context() as without:
            without.setattr(listing, "_few", lambda *_: None)
            theirs = told(as_role(("anonymous", "admin")[i % 2]).get(f"/collections/road/items?{query}"))
        assert mine == theirs, query
    lengths = Counter(None if found is None else min(len(found), 2) for found in tried)
    assert min(lengths[outcome] for outcome in (None, 0, 1, 2)) > 5, lengths


def line(x: float, y: float) -> str:
    return f"LINESTRING({x} {y}, {x + 0.001} {y})"


def test_few_are_found_by_the_spatial_index(app):
    layer, columns = catalog().layer("road"), catalog().layer("road").columns_for("anonymous")
    rows = FeatureRows(layer, tuple(columns), boxes.target(boxes.systems.CRS84), True, layer.key)
    statement = select.Statement()
    wanted = select.Wanted(layer, columns, area=boxes.area([-180, -90, 180, 90], None))
    composed = sql.SQL("EXPLAIN ") + select.few(wanted, listing.ordered(layer, ()), rows.columns, statement, limit=10)
    plan = "\n".join(row[0] for row in fetch("anonymous", "", composed, statement.parameters, by_index=True))
    assert "Index Scan using road_geom_idx" in plan and "Seq Scan" not in plan, plan


VALUES = {
    "text": st.text(),
    "int": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(),
    "bool": st.booleans(),
    "texts": st.lists(st.text() | st.none(), max_size=3),
}


@given(data=st.data())
@settings(max_examples=150, deadline=None, database=None)
def test_rows_are_written_as_their_features(data):
    layer = catalog().layer(data.draw(st.sampled_from(("road", "place_name", "water_pipe", "sensor"))))
    names = tuple(data.draw(st.lists(st.sampled_from(sorted(layer.columns)), unique=True)))
    rows = FeatureRows(layer, names, boxes.target(boxes.systems.CRS84), True, layer.key)
    values = [VALUES.get(layer.columns[name].type, VALUES["text"]) | st.none() for name in names]
    geometry = st.none() | st.tuples(st.floats(-180, 180), st.floats(-90, 90)).map(
        lambda at: f'{{"type":"Point","coordinates":[{at[0]},{at[1]}]}}'
    )
    keys = [st.text()] * (len(layer.key) + len(names))
    row = data.draw(st.tuples(*values, geometry, *keys))
    at = [*rows._id_at]  # a key is never null, and is read as text
    row = tuple(str(value) if i in at else value for i, value in enumerate(row))
    written = msgspec.json.encode(rows.written([row]))
    assert orjson.loads(written) == orjson.loads(json_bytes(rows.features([row]))) == orjson.loads(json_bytes(rows.features([row], True)))
