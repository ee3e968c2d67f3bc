"""Source names, types, positions and geometry types become those of the layer; what does not is said."""

import geopandas
import numpy as np
import pytest
import shapely

from gis.ingest import frames
from gis.ingest import map as mapping
from gis.ingest.findings import Findings


def mapped(layer, frame, **how):
    source = frames.source(frame, layer, "delivery")
    plan = mapping.mapping(layer, source, **how)
    findings = Findings()
    mapping.report(layer, source, plan, findings)
    batches = [mapping.mapped(layer, source, plan, batch, findings) for batch in source.batches()]
    return batches[0], findings, plan


def test_names_in_any_case_width_and_language(catalog, facilities):
    layer = catalog.layer("facility")
    renamed = facilities.rename(columns={"设施编号": "FACILITY_ID", "设施名称": "ＮＡＭＥ", "容量": " 容 量 "})
    got, findings, _ = mapped(layer, renamed)
    assert got.rows.column("facility_id").to_pylist() == ["S1", "S2", "S3", "S4"]
    assert got.rows.column("kind").to_pylist() == ["primary_school", "hospital", "kindergarten", "park"]
    assert got.rows.column("capacity").to_pylist() == [1800, 600, 240, None]
    assert got.rows.column("address").to_pylist() == ["府前街20号", None, "青澜大道3号", None]
    assert [str(d) for d in got.rows.column("valid_from").to_pylist()] == ["1956-09-01", "1980-05-01", "2001-03-01", "None"]
    assert got.rows.column_names == list(layer.columns) and not len(findings)


def test_shapefile_names_cut_off_after_ten_bytes(catalog):
    layer = catalog.layer("sewer_pipe")
    frame = geopandas.GeoDataFrame(
        {"pipe_id": ["W1"], "slope_perm": [3.0], "invert_fro": [20.0], "invert_to_": [19.0]},
        geometry=[shapely.LineString([(117, 32), (117.001, 32)])],
        crs=4490,
    )
    source = frames.source(frame, layer, "x")
    source.format = "shp"
    plan = mapping.mapping(layer, source)
    assert {k: plan.columns[k] for k in ("slope_permille", "invert_from_m")} == {
        "slope_permille": "slope_perm",
        "invert_from_m": "invert_fro",
    }


def test_unmapped_columns_and_missing_required_ones_are_findings(catalog, facilities):
    _, findings, plan = mapped(catalog.layer("facility"), facilities.drop(columns="设施名称").assign(备注="x", 电话号码="1"))
    found = findings.frame().set_index("code")
    assert found.loc["MAP01", "value"] == "备注, 电话号码" and found.loc["MAP01", "level"] == "info"
    assert found.loc["MAP02", "field"] == "name" and found.loc["MAP02", "level"] == "fatal" and "设施名称" in found.loc["MAP02", "remedy"]
    assert plan.missing == ("name",)


def test_constants_and_the_operators_own_names(catalog, facilities):
    frame = facilities.drop(columns=["设施编号", "设施类型"]).rename(columns={"设施名称": "叫什么"})
    got, findings, _ = mapped(
        catalog.layer("facility"), frame, constants={"facility_id": "K{row}", "kind": "公园"}, names={"name": "叫什么"}
    )
    assert got.rows.column("facility_id").to_pylist() == ["K1", "K2", "K3", "K4"]
    assert set(got.rows.column("kind").to_pylist()) == {"park"} and not len(findings)


def test_values_of_the_wrong_type_keep_their_raw_text(catalog, facilities):
    frame = facilities.assign(容量=["1,800 人", "六百", "240", "12.5"], 启用日期=["2024年13月5日", "2024-01-01", None, "不详"])
    got, findings, _ = mapped(catalog.layer("facility"), frame)
    found = findings.frame()
    assert got.rows.column("capacity").to_pylist() == [1800, None, 240, None]
    assert found[["code", "level", "src_row", "field", "value"]].values.tolist() == [
        ["TYP01", "warning", 2, "capacity", "六百"],
        ["TYP01", "warning", 4, "capacity", "12.5"],
        ["TYP01", "warning", 1, "valid_from", "2024年13月5日"],
    ]


def test_defaults_fill_what_is_missing(catalog):
    layer = catalog.layer("building")
    frame = geopandas.GeoDataFrame(
        {"房屋编号": ["B1", "B2"], "用途": ["住宅", None]}, geometry=[shapely.box(117, 32, 117.001, 32.001)] * 2, crs=4490
    )
    got, _, _ = mapped(layer, frame)
    assert got.rows.column("use").to_pylist() == ["residential", "other"]
    assert [g.geom_type for g in got.shapes()] == ["MultiPolygon", "MultiPolygon"]


def test_positions_in_the_working_crs_land_where_they_are(catalog, facilities):
    got, _, _ = mapped(catalog.layer("facility"), facilities.to_crs(4548))
    assert np.allclose(shapely.get_coordinates(got.shapes()), shapely.get_coordinates(facilities.geometry.values), atol=1e-10)


@pytest.mark.parametrize(
    ("wkt", "wanted", "becomes"),
    [
        ("POLYGON ((0 0, 1 0, 1 1, 0 0))", "MultiPolygon", "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))"),
        ("MULTILINESTRING ((0 0, 1 1))", "LineString", "LINESTRING (0 0, 1 1)"),
        ("MULTIPOINT Z ((1 2 3))", "Point", "POINT (1 2)"),
        ("LINESTRING (0 0, 1 1)", "LineStringZ", "LINESTRING Z (0 0 0, 1 1 0)"),
        ("LINESTRING Z (0 0 5, 1 1 NaN)", "LineStringZ", "LINESTRING Z (0 0 5, 1 1 0)"),
        ("MULTILINESTRING ((0 0, 1 1), (2 2, 3 3))", "LineString", "MULTILINESTRING ((0 0, 1 1), (2 2, 3 3))"),
        ("GEOMETRYCOLLECTION (POINT (1 1))", "Point", "GEOMETRYCOLLECTION (POINT (1 1))"),
        ("LINESTRING (0 0, 1 1)", "Point", "LINESTRING (0 0, 1 1)"),
    ],
)
def test_geometry_is_promoted_where_nothing_is_invented(wkt, wanted, becomes):
    (got,) = mapping.promoted(np.array([shapely.from_wkt(wkt)], dtype=object), wanted)
    assert shapely.to_wkt(got, rounding_precision=-1) == shapely.to_wkt(shapely.from_wkt(becomes), rounding_precision=-1)


def test_heights_come_from_ground_and_depth_and_from_inverts(catalog):
    node = catalog.layer("water_node")
    frame = geopandas.GeoDataFrame(
        {"network": "city", "node_id": ["1", "2"], "ground_m": [32.0, None], "depth_m": [1.2, 1.0]},
        geometry=shapely.points([[117.0, 32.0]] * 2),
        crs=4490,
    )
    got, _, _ = mapped(node, frame)
    assert shapely.get_z(got.shapes()).tolist() == [30.8, 0.0]
    pipe = catalog.layer("sewer_pipe")
    line = shapely.LineString([(117, 32), (117.001, 32), (117.004, 32)])
    frame = geopandas.GeoDataFrame(
        {"pipe_id": ["1"], "from_node": ["a"], "to_node": ["b"], "invert_from_m": [20.0], "invert_to_m": [16.0]}, geometry=[line], crs=4490
    )
    got, _, _ = mapped(pipe, frame)
    assert shapely.get_coordinates(got.shapes(), include_z=True)[:, 2] == pytest.approx([20, 19, 16])
