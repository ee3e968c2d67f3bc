"""Layers as files: what another program reads in them is what the layer holds."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import ezdxf
import geopandas
import pyogrio
import pytest
from api_rows import put

from gis.access import audit
from gis.api import layer_file
from gis.ingest import archive

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
ROADS = "/collections/road/download"


@pytest.fixture
def roads(app):
    """R1 (the good row) and three others: one without a name, one with quotes, a comma and a line feed in it, one far away."""
    put(
        "road",
        {"road_id": "R2", "name": None, "lanes": 4, "width_m": 12.5, "geometry": "LINESTRING(117.01 32.01, 117.02 32.01)"},
        {"road_id": "R3", "name": '甲"乙",丙\n丁', "bridge": True, "geometry": "LINESTRING(117.01 32.02, 117.02 32.02)"},
        {"road_id": "R4", "name": "", "valid_from": "2020-02-29", "geometry": "LINESTRING(117.11 32.12, 117.12 32.12)"},
    )


def read(response, tmp_path: Path, suffix: str) -> geopandas.GeoDataFrame:
    assert response.status_code == 200, response.text
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(response.data)
    return geopandas.read_parquet(path) if suffix == "parquet" else geopandas.read_file(path)


@pytest.mark.parametrize("form", ["gpkg", "fgb", "parquet"])
def test_a_file_holds_the_layer(anyone, roads, tmp_path, form):
    items = {f["id"]: f for f in anyone.get("/collections/road/items?limit=100").json["features"]}
    response = anyone.get(f"{ROADS}?f={form}")
    found = read(response, tmp_path, form).set_index("road_id", drop=False)
    assert set(found.index) == set(items) and response.headers["OGC-NumberReturned"] == "4"
    assert found.crs.to_epsg() == 4490
    for key, item in items.items():
        row = found.loc[key]
        assert row.geometry.coords[0] == pytest.approx(tuple(item["geometry"]["coordinates"][0]), abs=1e-7)
        for name, value in item["properties"].items():
            given = row[name]
            given = None if (not isinstance(given, str) and given != given) or given is None else given
            if name in ("valid_from", "valid_to"):
                given = None if given is None or str(given) == "NaT" else str(given)[:10]
            assert given == value, (key, name)


def test_a_file_in_the_citys_system_has_easting_first(anyone, roads, tmp_path):
    found = read(anyone.get(f"{ROADS}?f=gpkg&crs={EPSG}4548&road_id=R1"), tmp_path, "gpkg")
    assert found.crs.to_epsg() == 4548 and len(found) == 1
    assert found.geometry[0].coords[0] == pytest.approx((500000.0, 3541852.434), abs=0.01), "x is easting in a file"


@pytest.mark.parametrize("encoding", ["UTF-8", "GBK"])
def test_a_shapefile_in_either_encoding(anyone, roads, tmp_path, encoding):
    response = anyone.get(f"{ROADS}?f=shp&encoding={encoding}&names=title&properties=road_id,name,class")
    assert response.mimetype == "application/zip"
    path = tmp_path / "road.zip"
    path.write_bytes(response.data)
    found = pyogrio.read_dataframe(f"/vsizip/{path}/road.shp", encoding=encoding)
    names = {"UTF-8": ["道路编", "道路名", "道路等"], "GBK": ["道路编号", "道路名称", "道路等级"]}[encoding]
    assert list(found.columns) == [*names, "geometry"], "ten bytes hold three characters of UTF-8 and five of GBK"
    assert found[names[1]][2] == '甲"乙",丙\n丁' and found[names[1]].isna()[1]


def test_a_table_opens_in_a_spreadsheet(anyone, roads):
    response = anyone.get(f"{ROADS}?f=csv&names=title")
    assert response.data.startswith("\ufeff".encode())
    rows = list(csv.DictReader(io.StringIO(response.data.decode("utf-8-sig"), newline="")))
    assert [row["道路编号"] for row in rows] == ["R1", "R2", "R3", "R4"] and rows[2]["道路名称"] == '甲"乙",丙\n丁'
    assert rows[1]["wkt"] == "LINESTRING (117.01 32.01, 117.02 32.01)"


def test_what_a_shapefile_cannot_hold_is_told(anyone, app, tmp_path):
    long = "长" * 100
    put("road", {"road_id": "R2", "name": "㙟家😀路"}, {"road_id": "R3", "name": long})
    for encoding, named, changed in (("GBK", "〓家〓路", 1), ("UTF-8", "㙟家😀路", 1)):
        response = anyone.get(f"{ROADS}?f=shp&encoding={encoding}")
        assert response.headers["OneMap-Texts-Changed"] == str(changed)
        path = tmp_path / f"{encoding}.zip"
        path.write_bytes(response.data)
        found = pyogrio.read_dataframe(path, encoding=encoding).set_index("road_id")["name"]
        assert found["R2"] == named and len(found["R3"]) == (100 if encoding == "GBK" else 84)
        sheet = zipfile.ZipFile(path).read("road.md").decode()
        assert "| speed_kmh | speed_kmh |" in sheet and "| node_from" not in sheet
        assert ("| R2 | name | 㙟家😀路 |" if encoding == "GBK" else f"| R3 | name | {long} |") in sheet
    assert "OneMap-Texts-Changed" not in anyone.get(f"{ROADS}?f=shp&road_id=R1").headers


def test_a_shapefile_says_which_field_is_which(water, tmp_path):
    path = tmp_path / "pipe.zip"
    path.write_bytes(water.get("/collections/water_pipe/download?f=shp").data)
    short = [name for name in pyogrio.read_info(path)["fields"]]
    items = water.get("/collections/water_pipe/items").json["features"][0]["properties"]
    sheet = zipfile.ZipFile(path).read("water_pipe.md").decode()
    rows = [line.strip("| ").split(" | ") for line in sheet.splitlines() if line.startswith("|")][2:]
    assert [row[0] for row in rows] == short and [row[1] for row in rows] == list(items) and all(row[2] for row in rows)
    assert any(len(name) > 10 for name in items)
    assert [*delivered(path, tmp_path)] == ["water_pipe.shp"], "and is no second table for who loads it again"


def delivered(path: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "unpacked").mkdir()
    return archive.files(path, tmp_path / "unpacked")


def test_no_text_in_a_table_is_a_formula(anyone, app):
    texts = {
        "=1+1": "'=1+1",
        "@SUM(A1)": "'@SUM(A1)",
        "+HYPERLINK(1)": "'+HYPERLINK(1)",
        "-1+cmd|'x'!A0": "'-1+cmd|'x'!A0",
        "\t=1": "'\t=1",
    }
    texts |= {one: one for one in ("-1层", "+86 10", "a=1", "甲\n=1")}
    put("road", *({"road_id": f"F{n}", "name": text} for n, text in enumerate(texts)))
    rows = csv.DictReader(io.StringIO(anyone.get(f"{ROADS}?f=csv").data.decode("utf-8-sig"), newline=""))
    assert [row["name"] for row in rows if row["road_id"].startswith("F")] == list(texts.values())


def test_a_drawing_has_a_layer_per_class(anyone, roads, tmp_path):
    path = tmp_path / "road.dxf"
    path.write_bytes(anyone.get(f"{ROADS}?f=dxf&crs={EPSG}4548").data)
    found = geopandas.read_file(path)
    assert len(found) == 4 and all(name.startswith("road_") for name in found["Layer"])
    drawing = ezdxf.readfile(path)
    assert not drawing.audit().errors and not drawing.audit().fixes, "a program that is strict about drawings opens it"
    written = [[text for _, text in line.get_xdata("ONEMAP")] for line in drawing.modelspace()]
    said = [dict(text.split("=", 1) for text in texts) for texts in written]
    assert {one["road_id"]: one.get("name") for one in said}["R3"] == '甲"乙",丙 丁'
    assert len({line.dxf.handle for line in drawing.modelspace()}) == 4
    drawing.modelspace().add_point((0, 0))
    drawing.saveas(tmp_path / "again.dxf")
    assert not ezdxf.readfile(tmp_path / "again.dxf").audit().errors, "and goes on drawing"
    for line in drawing.modelspace():
        if line.dxftype() == "POLYLINE" and dict(text.split("=", 1) for _, text in line.get_xdata("ONEMAP"))["road_id"] == "R1":
            item = anyone.get(f"/collections/road/items/R1?crs={EPSG}4548").json
            assert [(x, y) for x, y, _ in line.points()] == [pytest.approx((e, n), abs=1e-3) for n, e in item["geometry"]["coordinates"]]


def test_areas_and_long_texts_in_a_drawing(anyone, app, tmp_path):
    put("facility", {"facility_id": "F2", "name": "名" * 300})
    path = tmp_path / "areas.dxf"
    response = anyone.get("/collections/facility/download?f=dxf")
    path.write_bytes(response.data)
    texts = [text for point in ezdxf.readfile(path).modelspace() for _, text in point.get_xdata("ONEMAP")]
    assert response.headers["OneMap-Texts-Changed"] == "1" and "name=" + "名" * 245 in texts
    path.write_bytes(anyone.get("/collections/community/download?f=dxf").data)
    drawing = ezdxf.readfile(path)
    assert not drawing.audit().errors and not drawing.audit().fixes
    rings = [ring for part in anyone.get("/collections/community/items").json["features"][0]["geometry"]["coordinates"] for ring in part]
    lines = list(drawing.modelspace())
    assert len(lines) == len(rings) and all(line.is_closed for line in lines)
    assert [[(x, y) for x, y, _ in line.points()] for line in lines] == [[pytest.approx(tuple(c), abs=1e-7) for c in r[:-1]] for r in rings]


def test_what_the_parameters_leave(anyone, roads, tmp_path):
    for query, expected in (
        ("bbox=117.1,32.1,117.2,32.2", {"R4"}),
        ("lanes=4", {"R2"}),
        ("filter=name IS NULL", {"R2"}),
        ("datetime=2020-02-29&filter=road_id='R4'", {"R4"}),
        ("datetime=2020-02-28&filter=road_id='R4'", set()),
        ("as-of=2000-01-01", set()),
    ):
        assert set(read(anyone.get(f"{ROADS}?f=gpkg&{query}"), tmp_path, "gpkg").get("road_id", ())) == expected, query
        (tmp_path / "file.gpkg").unlink()


@pytest.mark.parametrize("form", list(layer_file.FORMATS))
def test_nothing_found_is_a_file_without_rows(anyone, roads, form):
    response = anyone.get(f"{ROADS}?f={form}&road_id=nothing")
    assert response.status_code == 200 and response.data and response.headers["OGC-NumberReturned"] == "0"


@pytest.mark.parametrize(
    "query",
    [
        "f=exe",
        "f=../x",
        "bbox=1,2,3",
        "crs=EPSG:9999",
        "of=1",
        "properties=nothing",
        "encoding=LATIN1",
        "names=x",
        "filter=nothing=1",
        "lanes=x",
    ],
)
def test_what_is_no_question_is_refused(anyone, query):
    assert anyone.get(f"{ROADS}?{query}").status_code == 400


def test_pipes_for_whom_they_are_and_on_the_record(anyone, as_role, tmp_path):
    assert anyone.get("/collections/water_pipe/download").status_code == 404
    found = read(as_role("water").get("/collections/water_pipe/download?f=gpkg"), tmp_path, "gpkg")
    assert len(found) == 1 and found.geometry[0].has_z
    entry = audit.entries(layer="water_pipe", limit=1)[0]
    assert (entry["action"], entry["n"], entry["detail"]["format"]) == ("download", 1, "gpkg")


def test_hidden_columns_are_in_no_file(as_role, tmp_path):
    assert "officer" in read(as_role("admin").get("/collections/grid_cell/download?f=fgb"), tmp_path, "fgb")
    assert "officer" not in read(as_role("water").get("/collections/grid_cell/download?f=fgb"), tmp_path, "fgb")
    assert as_role("water").get("/collections/grid_cell/download?properties=officer").status_code == 400


@pytest.mark.parametrize("form", list(layer_file.FORMATS))
def test_a_file_that_nobody_waits_for_is_not_written_to_its_end(anyone, roads, monkeypatch, form):
    monkeypatch.setattr("gis.api.watch.has_hung_up", lambda sock: True)
    answer = anyone.client.get(f"{ROADS}?f={form}", environ_overrides={"gunicorn.socket": object()})
    assert answer.status_code == 400 and "waits" in answer.json["what"]


def test_nothing_stays_behind(anyone, roads, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    response = anyone.get(f"{ROADS}?f=gpkg")
    assert response.data
    response.close()
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []
