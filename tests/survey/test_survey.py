"""A survey by CJJ 61-2017: exactly the planted faults are found; heights are on the right side of the pipe; nothing is joined by guess."""

import json
import shutil
import zipfile
from collections import Counter

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from etl.pipe_survey import survey_of
from etl.pipe_survey_codes import CODES
from etl.pipe_survey_rows import kind_of, kind_of_table
from gis import crs
from gis.catalog import read
from gis.catalog.model import DatumShift
from gis.errors import SourceError


def found(made) -> Counter:
    """Findings by code and the row of the table that they name."""
    frame = made.findings.frame()
    return Counter(zip(frame["code"], frame["message"].str.extract(r"\[([^\[\]]*:\d+)\]$")[0].fillna(""), strict=True))


def codes(made) -> list[str]:
    """What was found about points and lines."""
    return sorted(c for c in made.findings.frame()["code"] if c[:2] in ("SP", "SL") or c == "TYP01")


def test_exactly_the_planted_faults_are_found(clean, faulty, catalog):
    without, with_ = survey_of(catalog, [clean]), survey_of(catalog, [faulty])
    assert set(without.findings.counts()) <= {"CRS01", "MAP01", "SRC03", "SN01"}
    planted = json.loads((faulty / "manifest.json").read_text(encoding="utf-8"))
    expected = Counter((m["code"], m["at"]) for m in planted if m["code"] in CODES)
    new = found(with_)
    new.subtract(found(without))
    assert +new == expected and not -new
    assert {code for code, _ in expected} == set(CODES) - {"SL19", "SL20"}  # those two come of how it is loaded and of valves as lines


def test_every_point_and_line_is_a_row_of_a_layer(clean, catalog):
    made = survey_of(catalog, [clean])
    counts = {name: sum(len(pd.read_csv(f, encoding="gbk")) for f in clean.glob(f"*_{name}.csv")) for name in ("POINT", "LINE")}
    nodes = ("water_node", "sewer_manhole", "gas_node", "heat_node", "power_node", "telecom_node")
    pipes = ("water_pipe", "sewer_pipe", "rain_pipe", "gas_pipe", "heat_pipe", "power_line", "telecom_line")
    assert sum(len(made.frames[k]) for k in nodes) == counts["POINT"] and sum(len(made.frames[k]) for k in pipes) == counts["LINE"]
    assert {f["name"]: f["kept"] for f in made.statistics} and all(f["kept"] for f in made.statistics)


def test_depth_is_to_the_top_of_pressure_pipes_and_to_the_bottom_of_gravity_pipes(write, points, lines, catalog):
    folder = write(
        JS_POINT=points(("J1", "预留口", None, 0, 0), ("J2", "预留口", None, 50, 0)),
        JS_LINE=lines(("J1", "J2", 1.2, 1.5, 300)),
        WS_POINT=points(
            ("W1", None, "污水井", 0, 9), ("W2", None, "污水井", 40, 9), ("W3", None, "污水井", 40, 49), ("W4", None, "污水井", 80, 9)
        ),
        WS_LINE=lines(("W1", "W2", 2.0, 2.2, 400), ("W3", "W2", 1.5, 1.7, 300), ("W2", "W4", 2.6, 2.8, 500)),
    )
    made = survey_of(catalog, [folder])
    pipe, sewer, hole = made.frames["water_pipe"], made.frames["sewer_pipe"], made.frames["sewer_manhole"].set_index("manhole_id")
    assert shapely.get_coordinates(pipe.geometry.iloc[0], include_z=True)[:, 2].tolist() == [28.8, 28.5]  # the pipe's top
    assert sewer[["invert_from_m", "invert_to_m"]].to_numpy().tolist() == [[28.0, 27.8], [28.5, 28.3], [27.4, 27.2]]
    assert [g.coords[1][2] for g in sewer.geometry[:2]] == [27.8, 28.3]  # each inlet at its own level
    assert hole.loc["W2", "invert_m"] == 27.4 and hole.geometry["W2"].z == 27.4 and hole.loc["W2", "depth_m"] == 2.6
    assert set(hole["system"]) == {"sewage"} and codes(made) == []
    shallow = write(
        "trap", WS_POINT=points(("W1", None, "污水井", 0, 0), ("W2", None, "污水井", 40, 0)), WS_LINE=lines(("W1", "W2", 0.5, 0.5, 800))
    )
    assert "SL18" not in codes(made)
    with pytest.raises(SourceError, match="no line table"):
        survey_of(catalog, [next(shallow.glob("*POINT.csv"))])
    assert codes(survey_of(catalog, [shallow])) == ["SL18", "SL18"]


def test_a_number_at_two_places_is_joined_to_neither(write, points, lines, catalog):
    folder = write(
        JS_POINT=points(("J1", "预留口", None, 0, 0), ("J2", "预留口", None, 50, 0), ("J2", "预留口", None, 55, 0)),
        JS_LINE=lines(("J1", "J2", 1.0, 1.0, 100)),
    )
    made = survey_of(catalog, [folder])
    assert codes(made) == ["SL07", "SP03", "SP03"] and made.frames["water_pipe"].geometry.isna().all()


def test_an_end_is_joined_by_nearness_only_where_asked_and_only_to_one_point(write, points, lines, catalog):
    table = lines(("J1", "J9", 1.0, 1.0, 100), ("J1", "J8", 1.0, 1.0, 100))
    header = (*table[0], "E_X", "E_Y")
    rows = [(*table[1], 3_541_500.0, 500_050.2), (*table[2], 3_541_500.0, 500_090.0)]
    folder = write(
        JS_POINT=points(
            ("J1", None, "窨井", 0, 0), ("J2", "预留口", None, 50, 0), ("J3", "预留口", None, 89.9, 0), ("J4", "预留口", None, 90.1, 0)
        ),
        JS_LINE=[header, *rows],
    )
    assert codes(survey_of(catalog, [folder])).count("SL02") == 2
    made = survey_of(catalog, [folder], tolerance=0.3)
    told = made.findings.frame()
    assert codes(made).count("SL19") == 1 and codes(made).count("SL02") == 1  # two points are as near: which is meant is not known
    assert told.loc[told["code"] == "SL19", "value"].tolist() == ["J9 → J2: 0.200 m"]
    assert made.frames["water_pipe"]["to_node"].tolist()[0] == "J2"


@pytest.mark.parametrize("form", ["point", "split", "link"])
def test_a_valve_has_one_form_however_it_is_delivered(form, valve, catalog):
    made = survey_of(catalog, [valve(form)])
    rows = made.frames["water_valve"]
    assert len(rows) == 1 and rows["node_id"].tolist() == ["V"] and rows["kind"].tolist() == ["gate"]
    assert pd.isna(rows["pipe_id"].iloc[0]) if form == "point" else rows["pipe_id"].iloc[0] == "V-V2"
    assert codes(made) == ([] if form == "point" else ["SL20"])


def test_csv_excel_and_zip_say_the_same(faulty, tmp_path, catalog):
    chosen = sorted(f for f in faulty.glob("*.csv") if f.name[:2] in ("RQ", "TX"))
    expected = survey_of(catalog, chosen)
    book, pack = tmp_path / "survey.xlsx", tmp_path / "survey.zip"
    with pd.ExcelWriter(book) as sheets, zipfile.ZipFile(pack, "w") as packed:
        for file in chosen:
            frame = pd.read_csv(file, encoding="gbk", dtype=str)
            title = pd.DataFrame([["青澜县地下管线探测成果表"]])
            title.to_excel(sheets, sheet_name=file.stem, index=False, header=False)
            frame.to_excel(sheets, sheet_name=file.stem, index=False, startrow=2)
            packed.write(file, f"成果/{file.name}")
    for source in (book, pack):
        made = survey_of(catalog, [source])
        assert codes(made) == codes(expected)
        for layer, frame in expected.frames.items():
            assert len(made.frames[layer]) == len(frame)
            assert (
                shapely.equals_exact(made.frames[layer].geometry.to_numpy(), frame.geometry.to_numpy(), 1e-9).sum()
                == frame.geometry.notna().sum()
            )


def test_shapefiles_say_where_points_are_by_their_geometry_and_crs(clean, nodes, tmp_path, catalog):
    points, lines = (pd.read_csv(clean / f"RQ_{name}.csv", encoding="gbk") for name in ("POINT", "LINE"))
    at = geopandas.GeoDataFrame(points.drop(columns=["X", "Y"]), geometry=shapely.points(points["Y"], points["X"]), crs=4548)
    at.to_file(tmp_path / "RQ_POINT.shp", encoding="GBK", engine="pyogrio")
    drawn = shapely.linestrings(lines[["S_Y", "S_X", "E_Y", "E_X"]].to_numpy().reshape(-1, 2, 2))
    geopandas.GeoDataFrame(lines, geometry=drawn, crs=4548).to_file(tmp_path / "RQ_LINE.shp", encoding="GBK", engine="pyogrio")
    made = survey_of(catalog, [tmp_path])
    assert shapely.equals_exact(made.frames["gas_node"].geometry.to_numpy(), nodes, 1e-9).all()
    assert codes(made) == [] and "CRS01" not in made.findings.counts()


PLACES = {
    "working": ("EPSG:4548", False, None), "zone in the easting": ("EPSG:4527", False, None), "six degrees": ("EPSG:4509", False, None),
    "six degrees with its zone": ("EPSG:4498", False, None), "easting first": ("EPSG:4548", True, None), "declared": ("EPSG:4527",
    False, "EPSG:4527"),
    "GCJ-02": ("GCJ-02", False, "GCJ-02"), "BD-09": ("BD-09", False, "BD-09"),
}  # fmt: skip


def _transformed(folder, to, name, swapped):
    to.mkdir()
    for file in folder.glob("RQ_*.csv"):
        shutil.copy(file, to)
    for file in to.glob("*_POINT.csv"):
        frame = pd.read_csv(file, encoding="gbk", dtype={"物探点号": str})
        lon, lat = crs.transform(frame["Y"], frame["X"], 4548)
        offset = {"GCJ-02": crs.wgs84_to_gcj02, "BD-09": crs.wgs84_to_bd09}.get(name)
        east, north = offset(lon, lat) if offset else crs.transform(lon, lat, 4490, name)
        digits = 10 if offset or crs.is_geographic(name) else 4
        frame["Y"], frame["X"] = np.round((north, east) if swapped else (east, north), digits)
        frame.to_csv(file, index=False, encoding="gbk")
    lines = pd.read_csv(to / "RQ_LINE.csv", encoding="gbk").drop(columns=["S_X", "S_Y", "E_X", "E_Y"])
    lines.to_csv(to / "RQ_LINE.csv", index=False, encoding="gbk")
    return to


@pytest.fixture(scope="session")
def nodes(clean):
    """The gas points of the clean survey as they are, by the city's working CRS."""
    return survey_of(read.catalog(), sorted(clean.glob("RQ_*.csv"))).frames["gas_node"].geometry.to_numpy()


@pytest.mark.parametrize("case", PLACES)
def test_every_coordinate_system_leads_to_the_same_place(case, clean, nodes, tmp_path, catalog):
    name, swapped, asked = PLACES[case]
    expected = nodes
    made = survey_of(catalog, [_transformed(clean, tmp_path / "moved", name, swapped)], crs=asked)
    there = made.frames["gas_node"].geometry.to_numpy()
    off = np.hypot((shapely.get_x(there) - shapely.get_x(expected)) * 94_000, (shapely.get_y(there) - shapely.get_y(expected)) * 110_900)
    assert off.max() < 0.001
    told = made.findings.counts()
    assert ("CRS05" in told) == swapped and ("CRS04" in told) == (name in ("GCJ-02", "BD-09")) and ("CRS01" in told) == (asked is None)
    assert "CRS02" not in told


def test_a_declared_system_that_cannot_be_true_is_refused_with_the_likely_one(clean, catalog):
    told = survey_of(catalog, sorted(clean.glob("RQ_*.csv")), crs="EPSG:4527").findings.frame()
    row = told[told["code"] == "CRS02"].iloc[0]
    assert row["level"] == "fatal" and row["value"] == "EPSG:4548"


def test_beijing_54_comes_in_by_the_citys_parameters_only(clean, nodes, tmp_path, catalog):
    with pytest.raises(SourceError, match="Beijing 1954"):
        survey_of(catalog, sorted(clean.glob("RQ_*.csv")), crs="EPSG:2436")
    seven = (15.8, -154.4, -82.3, 0.0, 0.0, 0.0, 0.0)
    shift = catalog.city.model_copy(update={"datums": {"beijing54": DatumShift(seven=seven, source="a test")}})
    known = catalog.model_copy(update={"city": shift})
    bound = crs.known_datum("EPSG:2436", shift.shifts)
    made = survey_of(known, [_transformed(clean, tmp_path / "old", bound, False)], crs="EPSG:2436")
    expected = nodes
    there = made.frames["gas_node"].geometry.to_numpy()
    assert np.abs(shapely.get_x(there) - shapely.get_x(expected)).max() * 94_000 < 0.002
    assert made.findings.counts()["CRS07"] == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [("51042204", ("JS", "JP")), ("WS", ("PS", "WS")), ("给水", ("JS", None)), ("雨污合流", ("PS", "HS")), ("天然气", ("RQ", "TR")),
     ("QT", ("QT", None)), ("不明", ("QT", None)), ("", (None, None)), ("nonsense", (None, None)), (None, (None, None))],
)  # fmt: skip
def test_a_kind_is_known_by_code_title_and_feature_code(text, kind):
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("JS_POINT.csv", ("JS", None)), ("WSL.shp", ("PS", "WS")), ("a.xlsx[污水管点]", ("PS", "WS")), ("b.mdb[YS_LINE]", ("PS", "YS")),
     ("points.csv", (None, None)), ("燃气管线成果表.csv", ("RQ", None))],
)  # fmt: skip
def test_a_kind_is_known_by_the_tables_name(name, kind):
    assert kind_of_table(name) == kind


def test_all_categories_in_one_table(clean, tmp_path, catalog):
    expected = survey_of(catalog, [clean])
    folder = tmp_path / "one"
    folder.mkdir()
    for name in ("POINT", "LINE"):
        parts = [pd.read_csv(f, encoding="gbk", dtype=str) for f in sorted(clean.glob(f"*_{name}.csv"))]
        whole = pd.concat(parts, ignore_index=True)
        if name == "POINT":
            whole = whole.drop(columns=["点编码"])  # neither type nor code: the lines say what a point belongs to
        whole.to_csv(folder / f"{name.lower()}s.csv", index=False, encoding="utf-8")
    made = survey_of(catalog, [folder])
    assert {k: len(f) for k, f in made.frames.items()} == {k: len(f) for k, f in expected.frames.items()}
