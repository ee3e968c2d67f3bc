"""A real QGIS, headless, against the running server: it opens the project, finds everything in its place, asks for no more than it
needs, and writes back what a planner changed. What it saw is compared with the database."""

from __future__ import annotations

import base64
import io
import json
import urllib.parse
import urllib.request

import numpy as np
import pytest
from PIL import Image
from planner_questions import BOX, FILTERS, GRIDS
from serving import City

from gis.access.roles import visible_catalog
from gis.catalog import read
from gis.catalog.model import GROUPS
from gis.catalog.qgis_project import TILES_GROUP
from gis.catalog.qgis_project_layers import LAYER_PREFIX, TILES_PREFIX
from gis.standards import codes

PARTS_2_TO_4 = 33200
"""From this version on QGIS asks for other CRSs than CRS84, sends filters as CQL2, and writes features."""
COUNT = "SELECT count(*) FROM core.{}"
ALIVE = "(valid_from IS NULL OR valid_from <= %s) AND (valid_to IS NULL OR valid_to > %s)"
PIPE_IDS = "SELECT network || ':' || pipe_id FROM core.water_pipe WHERE "


@pytest.fixture(scope="module")
def water():
    """The layers of the role that looks, without rasters that were never loaded."""
    seen = visible_catalog(read.catalog(), "water")
    return {name: layer for name, layer in seen.layers.items() if name != "image"}


@pytest.fixture(scope="module")
def filled(water, rows) -> set[str]:
    """The layers that have rows: QGIS takes fields and geometry from the first of them."""
    return {name for name, layer in water.items() if not layer.is_raster and rows(COUNT.format(name))[0][0]}


def sent(requests: list, parameter: str) -> list[str]:
    """The values of a parameter in the requests for features."""
    asked = [urllib.parse.parse_qs(urllib.parse.urlparse(url).query) for _, url in requests if "/items?" in url]
    return [one[parameter][0] for one in asked if parameter in one]


# --- the project ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["project", "postgis"])
def test_project_opens_with_every_layer(seen, water, way):
    project = seen[way]
    assert project["read"] and not project["error"]
    assert not {name: layer["error"] for name, layer in project["layers"].items() if not layer["valid"]}
    vectors = {name for name, layer in water.items() if not layer.is_raster}
    assert {name for name in project["layers"] if name.startswith(LAYER_PREFIX)} == {LAYER_PREFIX + name for name in water}
    assert {name for name in project["layers"] if name.startswith(TILES_PREFIX)} == {TILES_PREFIX + name for name in vectors}
    through = {project["layers"][LAYER_PREFIX + name]["provider"] for name in vectors}
    assert through == {{"project": "OAPIF", "postgis": "postgres"}[way]}
    assert not [said for tag, level, said in project["messages"] if level > 0 and tag != "PostGIS"]


def test_project_has_the_citys_crs_its_groups_and_its_time(seen, water):
    project, city = seen["project"], read.catalog().city
    assert (project["crs"], project["ellipsoid"], project["title"]) == (city.working_crs, "EPSG:1024", "青澜县一张图")
    assert project["span"][0].startswith("1950-01-01") and project["span"][1].startswith("2050-01-01")
    groups = {name: [title for title, _ in members] for name, members, _ in project["tree"]}
    assert list(groups) == [title.zh for title in GROUPS.values()] + [TILES_GROUP]
    for group, title in GROUPS.items():
        assert sorted(groups[title.zh]) == sorted(layer.title.zh for layer in water.values() if layer.group == group)
    assert all(found for _, members, _ in project["tree"] for _, found in members)
    assert [shown for *_, shown in project["tree"]] == [True] * len(GROUPS) + [False]
    order = [name.removeprefix(LAYER_PREFIX) for name in project["order"] if name.startswith(LAYER_PREFIX)]
    assert order[-1] == "dem" and order.index("water_valve") < order.index("water_pipe") < order.index("road") < order.index("parcel")


def test_layers_have_chinese_names_code_lists_and_a_life(seen, water, filled):
    for name in filled:
        layer, found = water[name], seen["project"]["layers"][LAYER_PREFIX + name]
        assert found["name"] == layer.title.zh and layer.access.label in found["abstract"]
        for column, definition in layer.columns.items():
            assert found["fields"][column][1].startswith(definition.title.zh)
        expected = {n: {e.code: e.zh for e in codes(c.codes)} for n, c in layer.columns.items() if c.codes}
        assert found["maps"] == expected
        assert found["temporal"] == [True, 2, "valid_from", "valid_to"]
        assert bool(found["labels"]) == bool(layer.style.label)
        assert found["min_scale"] == pytest.approx(559_082_264 / 2**layer.tiles.min_zoom, abs=1)
    assert len(filled) > 15


def test_layers_are_drawn_by_class(seen):
    layers = seen["project"]["layers"]
    assert layers[LAYER_PREFIX + "water_pipe"]["renderer"] == "RuleRenderer"
    assert [title for title, _ in layers[LAYER_PREFIX + "facility"]["classes"]][:2] == ["幼儿园", "小学"]
    assert layers[LAYER_PREFIX + "facility"]["renderer"] == "categorizedSymbol"
    assert layers[TILES_PREFIX + "water_pipe"]["classes"][0][1] == '"status" = \'0\' OR "status" IS NULL'


def test_the_project_over_http_is_the_one_of_the_command(served_city: City, written):
    request = urllib.request.Request(served_city.url + "/qgis/city.qgz", headers={"X-API-Key": served_city.keys["water"]})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.read() == written["api"]
        assert "city.qgz" in answer.headers["Content-Disposition"]


# --- places, pages, filters, time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["EPSG:4490", "EPSG:4548", "OGC:CRS84"])
def test_features_are_in_their_place(seen, rows, system):
    (found,) = (one for one in seen["positions"] if one["crs"] == system)
    assert found["valid"]
    if seen["version"] < PARTS_2_TO_4:
        system = "OGC:CRS84"  # it knows no other
    else:
        assert found["system"] == system
    srid = {"EPSG:4490": 4490, "EPSG:4548": 4548, "OGC:CRS84": 4490}[system]
    true = rows(
        "SELECT network || ':' || pipe_id, ST_X(p), ST_Y(p), ST_Z(p) FROM (SELECT *, ST_Transform(ST_StartPoint(geom), %s) p "
        "FROM core.water_pipe) t", srid,
    )  # fmt: skip
    assert len(true) == len(found["vertices"]) > 50
    for name, *place in true:
        assert found["vertices"][name] == pytest.approx(place, abs=0.002 if srid == 4548 else 2e-9)


def test_every_page_comes(seen, rows):
    total = rows(COUNT.format("address"))[0][0]
    pages = seen["pages"]
    assert pages["ids"] == pages["distinct"] == pages["by_700"] == total > 1000
    limit = json.loads(sent(pages["requests"], "limit")[0])
    assert limit == 1000, "OpenAPI's components.parameters.limit allows as many as QGIS likes"
    assert len(sent(pages["requests"], "cursor")) == -(-total // 1000) - 1
    assert set(sent(pages["requests_by_700"], "limit")) == {"700"}


@pytest.mark.parametrize("name", FILTERS)
def test_filter(seen, rows, name):
    """The filter finds what the same condition finds in the database; a QGIS that knows CQL2 leaves it to the server."""
    _, condition, cql2 = FILTERS[name]
    true = sorted(row[0] for row in rows(PIPE_IDS + condition.replace("%", "%%")))
    (found,) = (one for one in seen["filters"] if one["name"] == name)
    if name == "between" and seen["version"] < PARTS_2_TO_4:
        assert found["subset"] == {"taken": False}, "its expressions have no BETWEEN yet"
        return
    assert found["ids"] == true and 0 < len(true) < rows(COUNT.format("water_pipe"))[0][0]
    if seen["version"] >= PARTS_2_TO_4:
        assert sent(found["requests"], "filter") == [cql2] and sent(found["requests"], "filter-lang") == ["cql2-text"]
        assert found["subset"]["taken"] and found["subset"]["ids"] == true and sent(found["subset"]["requests"], "filter")


@pytest.mark.parametrize("name", FILTERS)
def test_filter_as_a_newer_qgis_sends_it(served_city: City, rows, name):
    """What QGIS 3.40 was seen to send, for systems whose own QGIS is older."""
    _, condition, cql2 = FILTERS[name]
    query = urllib.parse.urlencode({"limit": 1000, "filter": cql2, "filter-lang": "cql2-text"})
    found = served_city.get(f"/collections/water_pipe/items?{query}", "water")["features"]
    assert sorted(one["id"] for one in found) == sorted(row[0] for row in rows(PIPE_IDS + condition.replace("%", "%%")))


def test_only_what_is_in_view_is_asked_for(seen, rows):
    (found,) = (one for one in seen["filters"] if one["name"] == "box")
    inside = rows(PIPE_IDS + "geom && ST_MakeEnvelope(%s, %s, %s, %s, 4490)", *BOX)
    assert found["ids"] == sorted(row[0] for row in inside)
    assert 0 < len(inside) < rows(COUNT.format("water_pipe"))[0][0]
    (asked,) = sent(found["requests"], "bbox")
    west, south, east, north = BOX
    if seen["version"] < PARTS_2_TO_4:
        expected = [west, south, east, north]
    else:  # latitude first, as EPSG:4490 has it
        expected = [south, west, north, east]
        assert sent(found["requests"], "bbox-crs") == ["http://www.opengis.net/def/crs/EPSG/0/4490"]
    assert [float(value) for value in asked.split(",")] == pytest.approx(expected)


def test_the_temporal_controller_shows_the_city_of_a_day(seen, rows):
    counts = []
    for one in seen["times"]:
        true = sorted(row[0] for row in rows(PIPE_IDS + ALIVE, one["day"], one["day"]))
        assert one["ids"] == true
        counts.append(len(true))
    assert not seen["times"][1]["sent"], "another day of what is in view already asks nothing of the server"
    assert 0 < counts[0] < counts[1]


# --- pictures ---------------------------------------------------------------------------------------------------------


def painted(mask: list[str]) -> np.ndarray:
    return np.array([[cell == "#" for cell in line] for line in mask])


def test_tiles_lie_where_the_features_lie(seen):
    pictures = {one["name"]: one for one in seen["pictures"]} | {"postgis": seen["database_picture"]}
    assert not [error for one in pictures.values() for error in one["errors"]]
    api, tiles, direct = (painted(pictures[name]["mask"]) for name in ("api", "tiles", "postgis"))
    assert 100 < api.sum() < api.size / 2
    assert (api & direct).sum() / (api | direct).sum() > 0.98
    assert (api & tiles).sum() / (api | tiles).sum() > 0.8
    then = painted(pictures["then"]["mask"])
    assert 0 < then.sum() < api.sum() and not (then & ~api).any()
    assert painted(pictures["raster"]["mask"]).all()
    asked = [url for _, url in pictures["tiles"]["requests"] if "/tiles/WebMercatorQuad/" in url]
    assert asked and all("f=mvt" in url for url in asked)


@pytest.mark.parametrize("grid", GRIDS)
def test_rasters_come_over_wmts(seen, grid):
    """In each grid the heights fill the view: a grid whose axes are taken the wrong way round would show nothing here."""
    (found,) = (one for one in seen["pictures"] if one["name"] == grid)
    assert found["valid"] and not found["errors"]
    assert painted(found["mask"]).all()


def test_the_whole_map_is_drawn_with_its_labels(seen):
    (whole,) = (one for one in seen["pictures"] if one["name"] == "whole")
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(whole["png"]))).convert("RGB")).reshape(-1, 3)
    colors = {tuple(color) for color in np.unique(image, axis=0)}
    assert {(0, 255, 255), (188, 216, 232), (216, 67, 21)} <= colors, "water pipes, the river, hydrants"
    assert len(colors) > 500


# --- styles -----------------------------------------------------------------------------------------------------------


def test_every_style_is_understood(seen):
    catalog = read.catalog()
    assert {one["layer"] for one in seen["styles"]} == {layer.id for layer in catalog.vectors}
    for one in seen["styles"]:
        layer = catalog.layers[one["layer"]]
        assert one["taken"], one["said"]
        assert not one["messages"], one["messages"]
        expected = 2 if one["renderer"] == "RuleRenderer" else len(layer.style.cases) + 1 if layer.style.cases else 1
        assert one["symbols"] == expected
        if layer.dimension == 0:
            signed = bool(layer.style.symbol)
            assert one["parts"][-1] == ["SimpleMarker", "FontMarker"] if signed else one["parts"][-1] == ["SimpleMarker"]
        if layer.style.cases and layer.dimension == 2:
            assert one["colors"][: len(layer.style.cases)] == [case.color.lower() for case in layer.style.cases]
        assert {n for n, c in layer.columns.items() if c.codes} == set(one["maps"])
        assert {n: alias.startswith(layer.columns[n].title.zh) for n, (_, alias) in one["fields"].items()} == dict.fromkeys(
            layer.columns, True
        )
        assert one["temporal"] == [True, 2, "valid_from", "valid_to"]


# --- logging in, and writing ------------------------------------------------------------------------------------------


def test_credentials_come_from_the_store_of_qgis(seen, rows):
    whole = rows(COUNT.format("water_pipe"))[0][0]
    found = {one["authcfg"]: one["rows"] for one in seen["logins"]}
    assert found["onemap1"] == whole
    assert not found["onemap9"] and not found[None], "without the right credentials there is no such layer"
    if seen["stored"].get("onemap3"):
        assert found["onemap3"] == whole


@pytest.fixture
def writing(seen) -> dict:
    if seen["version"] < PARTS_2_TO_4:
        pytest.skip(f"QGIS {seen['version']} only reads OGC API Features; ONEMAP_TEST_QGIS names a newer one (decision 0206)")
    return seen


def test_what_a_planner_changes_is_changed(writing, rows):
    seen = writing
    for one in seen["edits"]:
        exact = {"EPSG:4490": 1e-6, "EPSG:4548": 1e-7}[one["crs"]]  # QGIS writes six decimals
        steps = {step["name"]: step for step in one["steps"]}
        assert list(steps) == ["add", "change", "move", "delete"]
        assert all(step["committed"] for step in steps.values()), [step["said"] for step in steps.values()]
        assert [verb for verb, url in steps["add"]["requests"] if verb == "POST"] == ["POST"]
        (added,), (changed,), (moved,) = (steps[name]["now"] for name in ("add", "change", "move"))
        assert (added["name"], added["kind"], added["valid_from"]) == ("测试诊所", "clinic", "2020-01-01")
        assert (changed["name"], moved["name"]) == ("改了名的诊所", "改了名的诊所")
        assert steps["delete"]["now"] == []
        lon, lat = rows("SELECT ST_X(geom), ST_Y(geom) FROM core.facility ORDER BY facility_id LIMIT 1")[0]
        assert added["place"][:2] == changed["place"][:2] == pytest.approx([lon + 0.0001, lat + 0.0001], abs=exact)
        assert moved["place"][:2] == pytest.approx([lon + 0.0003, lat + 0.0003], abs=exact)
    known = rows("SELECT count(*), count(DISTINCT batch) FROM history.facility WHERE facility_id LIKE 'QGIS-%%'")[0]
    assert known == (6, 6), "each state that was replaced is remembered: added, renamed, moved, in two CRSs"


def test_a_surveyed_pipe_keeps_its_millimetres(writing, rows):
    steps = {step["name"]: step for step in writing["surveyed"]["steps"]}
    assert all(step["committed"] for step in steps.values()), [step["said"] for step in steps.values()]
    (added,), (changed,), (moved,) = (steps[name]["now"] for name in ("add", "change", "move"))
    x, y, z = writing["surveyed"]["place"]
    for found, shift in ((added, 0), (changed, 0), (moved, 1)):
        true = rows("SELECT ST_X(p), ST_Y(p) FROM ST_Transform(ST_SetSRID(ST_MakePoint(%s, %s), 4548), 4490) p", x + shift, y)[0]
        assert found["place"][:2] == pytest.approx(true, abs=1e-9), "a tenth of a millimetre"
        assert found["place"][2] == pytest.approx(z + shift / 1000, abs=1e-6)
    assert changed["material"] == "PE" and changed["id"] == "city:QGIS-1"
    who = rows("SELECT DISTINCT operator FROM meta.batch WHERE id IN (SELECT batch FROM history.water_pipe WHERE pipe_id = 'QGIS-1')")
    assert who == [("water-officer",)]
