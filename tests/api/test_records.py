"""The catalogue: what is published has a record, for whom it exists and for nobody else."""

from __future__ import annotations

from api_rows import put

from gis.access import identity, rights
from gis.api import records
from gis.catalog.read import catalog
from gis.db.connection import owner

ITEMS = "/collections/catalogue/items"


def ids(answer) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {one["id"] for one in answer.json["features"]}


def deliver(layers: list[str], source: str, operator: str = "张三", findings: int = 0, at: str = "now") -> int:
    """A published batch without rows."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO meta.batch (status, recorded_at, source, operator, mode) VALUES ('published', %s, %s, %s, 'replace') RETURNING id",
            (at, source, operator),
        )
        batch = cursor.fetchone()[0]
        for layer in layers:
            cursor.execute("INSERT INTO meta.batch_layer (batch, layer, rows_read, rows_loaded) VALUES (%s, %s, 5, 5)", (batch, layer))
            for _ in range(findings):
                cursor.execute("INSERT INTO meta.finding (batch, layer, code, level) VALUES (%s, %s, 'RNG', 'warning')", (batch, layer))
        return batch


def test_a_record_of_every_kind_that_the_caller_sees_and_of_nothing_else(app, as_role):
    for role in ("anonymous", "water", "admin"):
        caller = as_role(role)
        found = caller.get(f"{ITEMS}?limit=1000").json
        assert found["numberMatched"] == found["numberReturned"] == len(found["features"])
        of = {kind: {one["id"] for one in found["features"] if one["properties"]["type"] == kind} for kind in records.TYPES}
        layers = {name for name, layer in catalog().readable_by(role).items() if not layer.is_raster}
        assert of["dataset"] == layers and of["style"] == {f"{name}.style" for name in layers} | {"onemap.style"}
        assert of["tileset"] == {f"{name}.tileset" for name in layers} and of["file"] == {f"{name}.file" for name in layers}
        listed = {one["id"] for one in caller.get("/processes?limit=1000").json["processes"]}
        assert of["service"] == {f"process.{name}" for name in listed} | {"onemap"}
        assert len(of["batch"]) == len(layers), "a batch for the good row of every layer"
        for one in found["features"]:
            assert {"type", "title", "description", "keywords", "language", "contacts", "license"} <= set(one["properties"])
            assert caller.get(f"{ITEMS}/{one['id']}").status_code == 200 if one["properties"]["type"] == "dataset" else True


def test_what_is_hidden_is_not_found_on_any_way(app, anyone, as_role):
    hidden = deliver(["water_pipe"], "秘密管线.gpkg")
    mixed = deliver(["road", "water_pipe"], "路网与秘密管线.zip")
    everything = anyone.get(f"{ITEMS}?limit=1000").text + anyone.get(f"{ITEMS}/batch.{mixed}").text
    assert "秘密管线" not in everything and "water_pipe" not in everything and "张三" not in everything
    for path in ("water_pipe", "water_pipe.file", f"batch.{hidden}", "process.pipe-burst", "nothing", "batch.999999"):
        assert anyone.get(f"{ITEMS}/{path}").status_code == 404
    for query in ("q=秘密管线", f"ids=batch.{hidden},water_pipe", "filter=layer='water_pipe'", "filter=description LIKE '%25秘密%25'"):
        assert anyone.get(f"{ITEMS}?{query}").json["features"] == []
    assert ids(as_role("water").get(f"{ITEMS}?q=秘密管线")) == {f"batch.{hidden}", f"batch.{mixed}"}
    seen = {role: as_role(role).get(f"{ITEMS}/batch.{mixed}").json["properties"] for role in ("anonymous", "water", "admin")}
    assert seen["anonymous"]["layers"] == ["road"] and "source" not in seen["anonymous"]
    assert seen["water"]["source"] == "路网与秘密管线.zip" and "operator" not in seen["water"]
    assert seen["admin"]["operator"] == "张三"
    officer = catalog().layers["grid_cell"].columns["officer"].title.zh
    with_officer = as_role("admin").get(f"{ITEMS}/grid_cell").json["properties"]
    without = as_role("water").get(f"{ITEMS}/grid_cell").json["properties"]
    assert officer in with_officer["keywords"] and officer not in without["keywords"]
    assert "officer" in with_officer["completeness"] and "officer" not in without["completeness"]


def test_searched_by_text_area_time_type_and_filter(app, anyone, as_role):
    put("road", {"road_id": "R9", "geometry": "LINESTRING(117.15 32.10, 117.16 32.11)"})
    old = deliver(["building"], "旧房屋调查_100%.gdb", at="2001-05-06T12:00:00+08")
    for query, expected in (
        ("q=道路&type=dataset", {"road"}),
        ("q=旧房屋", {f"batch.{old}"}),
        ("q=100%25.gdb", {f"batch.{old}"}),
        ("q=1__%25", set()),
        ("q=没有这个,旧房屋", {f"batch.{old}"}),
        ("bbox=117.14,32.09,117.17,32.12&type=dataset", {"road"}),
        ("datetime=2001-05-06&type=batch", {f"batch.{old}"}),
        ("datetime=2001-05-07&type=batch", set()),
        ("datetime=../2001-05&type=batch", {f"batch.{old}"}),
        (f"ids=road,batch.{old}", {"road", f"batch.{old}"}),
        ("filter=updated < TIMESTAMP('2002-01-01T00:00:00Z')", {f"batch.{old}"}),
        ("filter=type='dataset' AND S_INTERSECTS(geom, POINT(117.155 32.105))", {"road"}),
    ):
        found = ids(anyone.get(f"{ITEMS}?limit=1000&{query}"))
        assert expected <= found if query.startswith("q=道路") else found == expected, query
    assert anyone.get(f"{ITEMS}?q=road&resultType=hits").json["numberMatched"] > 3
    titles = [one["properties"]["title"] for one in anyone.get(f"{ITEMS}?type=dataset&sortby=-title&lang=zh").json["features"]]
    assert titles == sorted(titles, reverse=True) or len(titles) == 10
    for query in ("type=x", "bbox=1,2", "datetime=x", "limit=0", "limit=x", "offset=-1", "filter=nothing=1", "sortby=nothing", "of=1",
                  "resultType=x", "filter-lang=x", "f=exe", "q=" + "a" * 300):  # fmt: skip
        assert anyone.get(f"{ITEMS}?{query}").status_code == 400, query


def test_pages_lead_through_all_of_them(app, anyone):
    for number in range(3):
        deliver(["road"], f"道路{number}.gpkg")
    whole = [one["id"] for one in anyone.get(f"{ITEMS}?limit=1000").json["features"]]
    walked, url = [], f"{ITEMS}?limit=17"
    while url:
        page = anyone.get(url).json
        walked += [one["id"] for one in page["features"]]
        url = next((link["href"].partition("5080")[2] or link["href"].partition("localhost")[2]
                    for link in page["links"] if link["rel"] == "next"), None)  # fmt: skip
    assert walked == whole and len(set(walked)) == len(walked)
    newest = [one["id"] for one in anyone.get(f"{ITEMS}?type=batch&limit=1000").json["features"]]
    assert newest == sorted(newest, key=lambda name: -int(name[6:]))


def test_the_record_of_a_layer_tells_how_it_stands(app, anyone, as_role):
    batch = deliver(["road"], "道路.gpkg", findings=2)
    put("road", {"road_id": "R2", "name": None, "valid_from": "2020-02-29"})
    one = anyone.get(f"{ITEMS}/road").json
    told = one["properties"]
    assert told["count"] == 2 and told["completeness"]["name"] == 0.5 and told["completeness"]["road_id"] == 1.0
    assert told["version"] and told["updated"] >= told["created"] and told["label"] == "公开"
    assert one["time"]["interval"][1] == ".." and one["geometry"]["type"] == "Polygon"
    assert {"GeoJSON", "MVT", "gpkg", "shp"} <= {form["name"] for form in told["formats"]}
    rels = [link["rel"] for link in one["links"]]
    assert {"self", "alternate", "profile"} <= set(rels) and rels.count("collection") == 1
    for link in [link for link in one["links"] if link["rel"] != "profile"]:
        assert anyone.get(link["href"].split("://", 1)[1].partition("/")[2].join(("/", ""))).status_code in (200, 204), link
    assert anyone.get(f"{ITEMS}/batch.{batch}").json["properties"]["findings"] == [
        {"layer": "road", "code": "RNG", "level": "warning", "n": 2}
    ]
    english = anyone.get(f"{ITEMS}/road?lang=en").json["properties"]
    assert english["title"] == catalog().layers["road"].title.en and english["language"]["code"] == "en"


def test_the_catalogue_is_a_collection_with_pages(app, anyone):
    assert "catalogue" in {one["id"] for one in anyone.get("/collections").json["collections"]}
    assert anyone.get("/collections/catalogue").json["itemType"] == "record"
    assert set(anyone.get("/collections/catalogue/queryables").json["properties"]) == {"geometry", *records.QUERYABLE.fields}
    assert anyone.get("/collections/catalogue/schema?f=html").status_code == 200
    for path in ("/collections/catalogue?f=html", f"{ITEMS}?f=html", f"{ITEMS}/road?f=html", f"{ITEMS}?f=html&lang=en"):
        page = anyone.get(path)
        assert page.status_code == 200 and page.mimetype == "text/html", path
    assert "道路" in anyone.get(f"{ITEMS}?f=html").text
    assert any("ogcapi-records-1" in uri for uri in anyone.get("/conformance").json["conformsTo"])
    for path in ("changes", "download", "tiles", "coverage"):
        assert anyone.get(f"/collections/catalogue/{path}").status_code == 404
    assert ITEMS in anyone.get("/openapi?f=json").json["paths"]


def test_it_is_harvested_as_the_standard_says(app, anyone, as_role):
    """OGC 20-004r1: external ids, media type and type of a catalogue, sortables, how it is discovered."""
    batch = deliver(["road"], "道路.gpkg")

    def named(query):
        return {one["id"] for one in anyone.get(f"{ITEMS}?limit=1000&{query}").json["features"]}

    assert named("externalIds=onemap:road,facility") == {"road", "facility"} and named("externalIds=geocode") == {"process.geocode"}
    assert named(f"externalIds={batch}") == {f"batch.{batch}"} and named("externalIds=onemap") == named("")
    assert not named("externalIds=water_pipe") and not named("externalIds=road&ids=facility") and not named("externalIds=other:road")
    assert anyone.get(f"{ITEMS}/road").json["properties"]["externalIds"] == [{"scheme": "onemap", "value": "road"}]
    collection = anyone.get("/collections/catalogue", headers={"Accept": "application/ogc-catalog+json"})
    assert collection.content_type == "application/ogc-catalog+json" and collection.json["type"] == "Collection"
    assert anyone.get("/collections/catalogue").content_type == "application/json"
    sortable = anyone.get("/collections/catalogue/sortables").json["properties"]
    assert sortable.keys() == records.QUERYABLE.fields.keys() and {"sortables", "profile"} <= {
        link["rel"].rsplit("/", 1)[-1] for link in collection.json["links"]
    }
    links = {link["rel"].rsplit("/", 1)[-1]: link for link in anyone.get(f"{ITEMS}?q=道路&limit=1").json["links"]}
    assert "f=html" in links["alternate"]["href"] and anyone.get(f"{ITEMS}?f=html&q=道路").mimetype == "text/html"
    found = {link["rel"].rsplit("/", 1)[-1]: link["href"] for link in anyone.get("/?f=json").json["links"]}
    assert found["ogc-catalog"].endswith(ITEMS) and found["about"].endswith("/?f=html")


def test_a_hundred_thousand_deliveries_are_searched_by_an_index(app, anyone):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "WITH b AS (INSERT INTO meta.batch (status, recorded_at, source) SELECT 'published', now(), '测量队第' || n || '次交付.gpkg'"
            " FROM generate_series(1, 20000) AS n RETURNING id) INSERT INTO meta.batch_layer (batch, layer) SELECT id, 'road' FROM b"
        )
        cursor.execute("ANALYZE meta.batch; ANALYZE meta.batch_layer")
        cursor.execute(
            "EXPLAIN SELECT id FROM meta.batch WHERE source ILIKE ANY (ARRAY['%测量队第777次%']) AND status = 'published'"
            " AND kind IN ('load', 'rollback')"
        )
        assert "batch_source_words" in "\n".join(row[0] for row in cursor.fetchall())
    page = anyone.get(f"{ITEMS}?type=batch&limit=5").json
    assert len(page["features"]) == 5 and "numberMatched" not in page, "counted only where that is cheap"
    assert len(anyone.get(f"{ITEMS}?q=测量队第777次").json["features"]) == 1
    assert anyone.get(f"{ITEMS}?type=batch&resultType=hits").json["numberMatched"] > 20000


def test_who_sees_a_part_is_told_no_number_of_the_whole(app, as_role):
    put("water_pipe", {"pipe_id": "EAST", "geometry": "LINESTRING Z(117.15 32.0 1, 117.16 32.0 1)"})
    batch = deliver(["water_pipe"], "管线.gpkg", findings=3)
    caller = as_role("water")
    assert caller.get(f"{ITEMS}/water_pipe").json["properties"]["count"] == 2
    assert caller.get(f"{ITEMS}/batch.{batch}").json["properties"]["rows"]["rows_read"] == 5
    rights.add("user", "test-water", "water_pipe", area="116.9,31.9,117.1,32.1")
    identity.forget()
    answer = caller.get(f"{ITEMS}/water_pipe")
    assert answer.status_code == 200, answer.text
    told = answer.json
    assert told["properties"]["count"] == 1 and "findings" not in told["properties"]
    assert max(x for x, _ in told["geometry"]["coordinates"][0]) < 117.1
    assert caller.get(f"{ITEMS}/batch.{batch}").status_code == 404 and caller.get(f"{ITEMS}?q=管线.gpkg").json["features"] == []
    put("water_pipe", {"pipe_id": "WEST", "geometry": "LINESTRING Z(117.01 32.0 1, 117.02 32.0 1)"})
    assert caller.get(f"{ITEMS}/water_pipe").json["properties"]["count"] == 2, "counted anew, though he is not told that it changed"
