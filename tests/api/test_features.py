"""Features as clients see them, over a real PostGIS."""

from __future__ import annotations

import datetime as dt
import gzip
from urllib.parse import quote, urlsplit

import orjson
import pytest
from api_rows import put

from gis.api import site
from gis.catalog.read import catalog
from gis.db.connection import owner

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
ROADS = "/collections/road/items"


def ids(response) -> list[str]:
    assert response.status_code == 200, response.text
    return [feature["id"] for feature in response.json["features"]]


@pytest.fixture
def roads(app):
    """R1 (the good row) and eleven others, along a line to the north, with names that repeat and some that are empty."""
    put(
        "road",
        *(
            {
                "road_id": f"R{i:02}",
                "name": None if i % 4 == 0 else f"第{i % 3}路",
                "lanes": i % 5,
                "width_m": i * 1.5,
                "class": "lane" if i % 2 else "branch",
                "valid_from": f"20{i + 5:02}-01-01",
                "valid_to": f"20{i + 6:02}-01-01" if i < 5 else None,
                "geometry": f"LINESTRING(117.01 {32 + i / 100}, 117.011 {32 + i / 100})",
            }
            for i in range(2, 13)
        ),
    )


def test_coordinates_go_out_in_the_order_of_each_authority(anyone):
    first = {}
    for code in ("", EPSG + "4490", EPSG + "4326", EPSG + "3857", EPSG + "4548"):
        answer = anyone.get(ROADS + (f"?crs={code}" if code else ""))
        first[code.rsplit("/", 1)[-1]] = answer.json["features"][0]["geometry"]["coordinates"][0]
        assert answer.headers["Content-Crs"] == f"<{code or 'http://www.opengis.net/def/crs/OGC/1.3/CRS84'}>"
    assert first[""] == [117, 32] and first["4490"] == first["4326"] == [32, 117]
    assert first["4548"] == pytest.approx([3541852.434, 500000.0], abs=0.01), "northing, easting"
    assert first["3857"] == pytest.approx([13024380.422, 3763310.627], abs=0.01), "easting, northing"
    assert anyone.get(f"{ROADS}?crs={EPSG}4528").status_code == 400, "not offered by this collection"


def test_a_surveyed_layer_keeps_its_millimetres(water):
    put("water_pipe", {"pipe_id": "MM", "geometry": "LINESTRING Z (117.000000013 32.000000024 1.2345, 117.001 32 1)"})
    feature = water.get("/collections/water_pipe/items/city:MM").json
    assert feature["geometry"]["coordinates"][0] == [117.000000013, 32.000000024, 1.2345]


def test_bbox_finds_the_same_in_every_system(anyone, roads):
    near = {"R1", "R02"}
    asked = {"116.9,31.99,117.1,32.025": "", "31.99,116.9,32.025,117.1": EPSG + "4490", "3540700,490000,3544650,510000": EPSG + "4548"}
    for box, system in asked.items():
        found = set(ids(anyone.get(f"{ROADS}?bbox={box}" + (f"&bbox-crs={system}" if system else ""))))
        assert found == near, system
    assert ids(anyone.get(f"{ROADS}?bbox=0,0,1,1")) == []
    assert len(ids(anyone.get(f"{ROADS}?bbox=-180,-90,180,90"))) == 12


def test_bbox_is_exact_where_the_index_is_coarse(anyone):
    """Boxes in the index are float4 (a metre at this longitude); a point 10 cm outside is outside."""
    put("road_node", {"node_id": "P", "geometry": "POINT(117.0000010 32.5)"})
    assert ids(anyone.get("/collections/road_node/items?bbox=116.9,32.4,117.0000005,32.6")) == []
    assert ids(anyone.get("/collections/road_node/items?bbox=116.9,32.4,117.0000010,32.6")) == ["P"]


def test_six_numbers_select_by_height(water):
    path = "/collections/water_pipe/items?bbox=116,31,{},118,33,{}"
    assert ids(water.get(path.format(30, 31))) == ["city:JS1-JS2"] and ids(water.get(path.format(40, 50))) == []


def test_datetime_asks_what_was_in_service(anyone, roads):
    assert ids(anyone.get(f"{ROADS}?datetime=2008-06-01")) == ["R03"]
    assert ids(anyone.get(f"{ROADS}?datetime=2008-01-01")) == ["R03"], "half-open: R02 ended that day"
    assert ids(anyone.get(f"{ROADS}?datetime=2008")) == ["R03"]
    assert ids(anyone.get(f"{ROADS}?datetime=0000-01-01T00:00:00Z/2007-12-31T00:00:00Z")) == ["R02"], "QGIS's since ever"
    assert len(ids(anyone.get(f"{ROADS}?datetime=2017-01-01/.."))) == 9


def test_as_of_asks_what_was_known(anyone):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE core.road SET recorded_from = '2024-01-01' WHERE road_id = 'R1'")
        columns = ", ".join([*catalog().layers["road"].columns, "fid", "batch", "geom"])
        old = columns.replace("name", "'旧名'", 1)
        cursor.execute(
            f"INSERT INTO history.road ({columns}, recorded_from, recorded_to) SELECT {old}, '2020-01-01', '2024-01-01' FROM core.road"
        )
    for path in (f"{ROADS}/R1", f"{ROADS}?limit=1"):
        mark = "&" if "?" in path else "?"

        def name(when: str, path=path, mark=mark):
            answer = anyone.get(f"{path}{mark}as-of={when}").json
            found = answer.get("features", [answer] if "properties" in answer else [])
            return [feature["properties"]["name"] for feature in found]

        assert name("2022-07-01") == ["旧名"] and name("2024-06") == ["青澜大道"] and name("2019") == []


def test_properties_select_with_their_types(anyone, roads):
    assert ids(anyone.get(f"{ROADS}?lanes=3")) == ["R03", "R08"]
    assert ids(anyone.get(f"{ROADS}?width_m=4.5")) == ["R03"]
    assert ids(anyone.get(f"{ROADS}?name=" + quote("第2路") + "&class=branch")) == ["R02"]
    assert ids(anyone.get(f"{ROADS}?bridge=false&valid_from=2017-01-01")) == ["R12"]
    put("place_name", {"name_id": "N9", "aliases": ["老街", "O'Brien 街"]})
    assert ids(anyone.get("/collections/place_name/items?aliases=" + quote("O'Brien 街"))) == ["N9"]


def test_cql2_text_and_json_agree(anyone, roads):
    text = "lanes = 3 OR lanes = 4 AND class = 'branch'"
    wanted = ["R03", "R04", "R08"]
    assert ids(anyone.get(f"{ROADS}?filter=" + quote(text))) == wanted, "AND binds closer than OR"
    tree = {
        "op": "or",
        "args": [
            {"op": "=", "args": [{"property": "lanes"}, 3]},
            {
                "op": "and",
                "args": [{"op": "=", "args": [{"property": "lanes"}, 4]}, {"op": "=", "args": [{"property": "class"}, "branch"]}],
            },
        ],
    }
    assert ids(anyone.post(ROADS, json=tree)) == wanted
    assert ids(anyone.get(f"{ROADS}?filter-lang=cql2-json&filter=" + quote(orjson.dumps(tree).decode()))) == wanted
    in_zone = f"S_INTERSECTS(geometry, BBOX(32.015, 117.0, 32.025, 117.1))&filter-crs={EPSG}4490"
    assert ids(anyone.get(f"{ROADS}?filter={in_zone}")) == ["R02"]
    first = anyone.post(f"{ROADS}?limit=2", json=tree).json
    follow = next(link["href"] for link in first["links"] if link["rel"] == "next")
    assert ids(anyone.get(follow[len("http://localhost") :])) == wanted[2:], "the posted filter goes on in the next link"


@pytest.mark.parametrize("sortby", ["", "name", "-name", "-lanes,name", "width_m", "-valid_to,%2Blanes", "name,-road_id", "-bridge"])
@pytest.mark.parametrize("limit", [1, 5, 12])
def test_pages_hold_every_row_once_in_order(anyone, roads, sortby, limit):
    query = f"sortby={sortby}&" if sortby else ""
    whole = ids(anyone.get(f"{ROADS}?{query}limit=100"))
    assert len(set(whole)) == 12
    found, path = [], f"{ROADS}?{query}limit={limit}"
    for _ in range(20):
        page = anyone.get(path)
        found += ids(page)
        links = [link["href"] for link in page.json["links"] if link["rel"] == "next"]
        if not links:
            break
        assert len(page.json["features"]) == limit
        parts = urlsplit(links[0])
        path = f"{parts.path}?{parts.query}"
    assert found == whole


def test_counts_are_free_or_asked_for(anyone, roads):
    full = anyone.get(f"{ROADS}?limit=100").json
    assert full["numberMatched"] == full["numberReturned"] == 12
    page = anyone.get(f"{ROADS}?limit=5&filter=lanes>=0").json
    assert "numberMatched" not in page and page["numberMatchedEstimate"] >= 6
    hits = anyone.get(f"{ROADS}?resultType=hits&lanes=3").json
    assert hits["numberMatched"] == 2 and hits["features"] == [] and all(link["rel"] != "next" for link in hits["links"])
    assert anyone.get(f"{ROADS}?resulttype=hits").json["numberMatched"] == 12


def test_properties_and_geometry_can_be_left_out(anyone):
    feature = anyone.get(f"{ROADS}?properties=name,lanes&skipGeometry=true").json["features"][0]
    assert feature == {"type": "Feature", "id": "R1", "geometry": None, "properties": {"name": "青澜大道", "lanes": 6}}


def test_an_id_may_hold_colons_slashes_and_chinese(water):
    for pipe in ("a:b", "x/y", "城:东/1 号", "%41", "'; DROP TABLE core.water_pipe; --"):
        put("water_pipe", {"pipe_id": pipe})
        answer = water.get("/collections/water_pipe/items/" + quote(f"city:{pipe}", safe=""))
        assert answer.status_code == 200 and answer.json["properties"]["pipe_id"] == pipe
    assert water.get("/collections/water_pipe/items/nocolon").status_code == 404


def test_texts_come_back_as_they_are(anyone):
    nasty = "<script>alert(\"DN<300 & 'x'\")</script> 中文 \\ \u2028 end"
    put("road", {"road_id": "N", "name": nasty})
    answer = anyone.get(f"{ROADS}/N")
    assert answer.json["properties"]["name"] == nasty and "中文".encode() in answer.data and b"&lt;" not in answer.data
    for path in (f"{ROADS}/N?f=html", f"{ROADS}?f=html"):
        page = anyone.get(path)
        assert page.status_code == 200 and "<script" not in page.text and "&lt;script&gt;" in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_schema_says_what_the_layer_is(water):
    schema = water.get("/collections/water_pipe/schema?lang=zh").json
    assert schema["properties"]["geometry"]["format"] == "geometry-linestring"
    diameter = schema["properties"]["diameter_mm"]
    assert (diameter["type"], diameter["title"], diameter["x-ogc-unit"]) == (
        "number",
        catalog().layers["water_pipe"].columns["diameter_mm"].title.zh,
        "mm",
    )
    status = {entry["const"]: entry["title"] for entry in schema["properties"]["status"]["oneOf"]}
    assert status["0"] == "在用"
    english = water.get("/collections/water_pipe/queryables?lang=en").json
    assert english["properties"]["diameter_mm"]["title"] == "Diameter" and english["additionalProperties"] is False
    assert water.get("/collections/road/schema").json["properties"]["road_id"]["x-ogc-role"] == "id"


def test_other_formats_of_the_same_page(anyone, roads):
    table = anyone.get(f"{ROADS}?f=csv&limit=3").text.splitlines()
    assert len(table) == 4 and "第2路" in "".join(table)
    put("road", {"road_id": "=1+1", "name": "=HYPERLINK(1)"}, {"road_id": "-1层", "name": "+86 10"})
    table = anyone.get(f"{ROADS}?f=csv&limit=1000").text
    assert "'=1+1" in table and "'=HYPERLINK(1)" in table and "-1层" in table and "'-1层" not in table and "'+86" not in table
    linked = anyone.get(f"{ROADS}?f=jsonld&limit=3")
    assert linked.status_code == 200 and linked.json["@context"]
    assert anyone.get(f"{ROADS}/R1?f=jsonld").status_code == 200


def test_history_is_as_of_today_in_an_instant(anyone):
    now = dt.datetime.now(dt.UTC).isoformat()
    assert ids(anyone.get(f"{ROADS}?as-of=" + quote(now))) == ["R1"]


def test_files_of_the_map_are_squeezed_and_kept(anyone, monkeypatch, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>" + "<p>一张图</p>" * 10)
    script = "export const layers = [];\n" * 2000 + "".join(str(i * i) for i in range(3000))
    (tmp_path / "assets" / "index-1a2b.js").write_text(script)
    monkeypatch.setattr(site, "VIEWER", tmp_path)
    squeezed = anyone.get("/map/assets/index-1a2b.js", headers={"Accept-Encoding": "gzip, br"})
    assert squeezed.headers["Content-Encoding"] == "gzip" and gzip.decompress(squeezed.data).decode() == script
    assert squeezed.headers["Vary"] == "Accept-Encoding" and "immutable" in squeezed.headers["Cache-Control"]
    plain = anyone.get("/map/assets/index-1a2b.js", headers={"Accept-Encoding": "gzip;q=0, br"})
    assert "Content-Encoding" not in plain.headers and plain.text == script
    assert squeezed.headers["ETag"] == "W/" + plain.headers["ETag"], "two writings of one file are alike, not the same"
    for known in (plain, squeezed):
        known = {"If-None-Match": known.headers["ETag"], "Accept-Encoding": "gzip"}
        assert anyone.get("/map/assets/index-1a2b.js", headers=known).status_code == 304
    assert anyone.get("/map/").headers["Cache-Control"] == "no-cache"
    assert anyone.get("/map/../app.py").status_code == 404 and anyone.get("/map/assets/none.js").status_code == 404


def test_what_the_standards_ask_of_every_answer(anyone):
    """From the abstract tests of Features part 1 (7.6, 7.14 to 7.16), part 2 (6) and part 3 (7)."""
    page = anyone.get(f"{ROADS}?limit=1&crs={EPSG}4490")
    assert page.headers["Content-Crs"] == f"<{EPSG}4490>" and page.json["timeStamp"].endswith("Z")
    for path, rels in ((f"{ROADS}?limit=1", {"self", "alternate", "collection"}), (f"{ROADS}/R1", {"self", "alternate", "collection"})):
        answer = anyone.get(path)
        links = {link["rel"]: link for link in answer.json["links"]}
        assert rels <= links.keys() and all(link["href"] and link["type"] for link in links.values())
        assert links["self"]["type"] == answer.content_type == "application/geo+json"
        head = anyone.client.head(path)
        assert head.status_code == 200 and head.data == b"" and head.content_type == answer.content_type
    described = anyone.get("/collections/road").json
    rels = {link["rel"].rsplit("/", 1)[-1] for link in described["links"]}
    assert {"items", "schema", "queryables", "self", "alternate"} <= rels and described["storageCrs"] in described["crs"]
    assert {uri.rsplit("/", 1)[-1] for uri in described["crs"]} == {"CRS84", "4490", "4326", "3857", *map(str, range(4547, 4555))}
    for accept, kind in (("text/csv", "text/csv"), ("application/geo+json", "application/geo+json"), ("text/html", "text/html")):
        assert anyone.get(ROADS, headers={"Accept": accept}).mimetype == kind
        assert anyone.get(f"{ROADS}?f=json", headers={"Accept": accept}).mimetype == "application/geo+json", "f wins"
    for accept, kind in (
        ("text/html;q=0.1, application/geo+json;q=0.9", "application/geo+json"), ("application/geo+json;q=0.1, text/html", "text/html"),
        ("text/csv;q=0.5, application/geo+json", "application/geo+json"), ("application/json;q=0, text/html", "text/html"),
        ("text/html;q=0", "application/geo+json"), ("*/*;q=0", "application/geo+json"), ("text/html;q=x", "application/geo+json"),
    ):  # fmt: skip
        assert anyone.get(ROADS, headers={"Accept": accept}).mimetype == kind, accept
    for language, chosen in (("zh;q=0.1, en;q=0.2", "en"), ("en;q=0", "zh"), ("zh;q=0", "zh"), ("fr, en;q=0.5", "en")):
        assert anyone.get(ROADS, headers={"Accept-Language": language}).headers["Content-Language"] == chosen, language
    assert anyone.get("/collections?lang=en;q=0").status_code == 200
    wrong = [f"{path}?nothing=1" for path in ("/", "/conformance", "/collections", "/collections/road", "/collections/road/schema")]
    wrong += [
        f"{ROADS}?{query}" for query in ("skipGeometry=maybe", "filter=lanes=1&filter-crs=nonsense", "filter=lanes=1&filter-crs=EPSG:1")
    ]
    assert {path: anyone.get(path).status_code for path in wrong} == dict.fromkeys(wrong, 400)
    schema = anyone.get("/collections/road/schema").json
    assert schema["additionalProperties"] is False and set(schema["properties"]) == {"geometry", *catalog().layers["road"].columns}
    assert anyone.get("/collections/place_name/items?sortby=aliases").json["where"] == "sortby"
    for query in ("limit=0", "offset=-1", "bbox=1,2,3", "bbox=1,5,2,4", "sortby=x", "properties=none", "crs=x", "filter=a&filter-lang=x"):
        answer = anyone.get(f"{ROADS}?{query}")
        assert answer.status_code == 400 and answer.json["where"] in query and answer.json["remedy"], query
    sortable = anyone.get("/collections/place_name/sortables")
    assert sortable.content_type == "application/schema+json" and "sortables" in rels
    assert set(sortable.json["properties"]) == set(catalog().layers["place_name"].columns) - {"aliases"}


def test_filters_over_lists_and_valid_time(anyone, roads):
    put("place_name", {"name_id": "N9", "aliases": ["老街", "O'Brien 街"]})
    names = "/collections/place_name/items?filter="
    assert ids(anyone.get(names + quote("A_CONTAINS(aliases, ('老街'))"))) == ["N9"]
    assert ids(anyone.get(names + quote("A_OVERLAPS(aliases, ('O''Brien 街', '无'))"))) == ["N9"]
    within = "T_DURING(INTERVAL(valid_from, valid_to), INTERVAL('2006-12-31', '2009-01-02'))"
    assert ids(anyone.get(f"{ROADS}?filter=" + quote(within))) == ["R02", "R03"]
    assert len(ids(anyone.get(f"{ROADS}?filter=" + quote("T_INTERSECTS(INTERVAL(valid_from, valid_to), DATE('2030-01-01'))")))) == 9
    tree = {"op": "a_containedBy", "args": [{"property": "aliases"}, ["老街", "O'Brien 街", "x"]]}
    assert ids(anyone.post("/collections/place_name/items", json=tree)) == ["N9"]
