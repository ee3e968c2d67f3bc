"""Every format gives the same rows; of several layers, sheets or files the one that was asked for; what is left out is said."""

import shutil
import zipfile

import ezdxf
import files
import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from etl import swmm
from gis.errors import InputError, SourceError
from gis.ingest import sandbox
from gis.ingest.read import layers_of, open_source, together


@pytest.fixture
def layer(catalog):
    return catalog.layer("facility")


def rows(source):
    return [row for batch in source.batches() for row in batch.rows.to_pylist()]


def shapes(source):
    return [shape for batch in source.batches() for shape in batch.shapes()]


@pytest.mark.parametrize("suffix", files.FORMATS)
def test_every_format_gives_the_same_rows(facilities, layer, tmp_path, suffix):
    source = open_source(files.write(facilities, tmp_path, suffix), layer)
    (batch,) = source.batches()
    found = {
        row["设施编号"]: (row["设施名称"], shape.x, shape.y) for row, shape in zip(batch.rows.to_pylist(), batch.shapes(), strict=True)
    }
    wanted = zip(facilities["设施编号"], facilities["设施名称"], facilities.geometry.x, facilities.geometry.y, strict=True)
    assert found == {key: (name, pytest.approx(x), pytest.approx(y)) for key, name, x, y in wanted}
    assert source.crs is not None and source.parts and source.count in (None, 4)


def test_a_geodatabase_is_a_folder_or_a_zip_of_it(facilities, layer, tmp_path):
    path = files.write(facilities, tmp_path, "gdb")
    source = open_source(path, layer)
    assert source.format == "gdb" and len(source.parts) > 5 and source.parts[0].parent == path
    packed = tmp_path / "交付.gdb.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for part in path.iterdir():
            file.write(part, f"facility.gdb/{part.name}")
    assert len(rows(open_source(packed, layer))) == 4
    (path / "link.gdbtable").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match="links"):
        open_source(path, layer)


def test_a_workbook_with_titles_and_several_sheets(facilities, layer, tmp_path):
    table = pd.DataFrame(
        {"编号": ["S1", "S2"], "名称": ["甲", "乙"], "经度": [117.0, 117.01], "纬度": [32.0, 32.01], "建成": [2001.0, None]}
    )
    path = files.workbook(tmp_path / "两表.xlsx", {"管点": table, "管线": table.iloc[:1]}, title="某县设施调查表")
    assert layers_of(path) == ("管点", "管线")
    with pytest.raises(InputError, match="2 sheets") as asked:
        open_source(path, layer)
    assert "管点, 管线" in asked.value.remedy
    source = open_source(path, layer, source_layer="管点")
    assert source.columns == ("编号", "名称", "建成") and source.tabular
    (batch,) = source.batches()
    assert batch.rows.to_pylist()[0] == {"编号": "S1", "名称": "甲", "建成": "2001"} and batch.numbers.tolist() == [1, 2]
    plain = open_source(path, layer, source_layer="管线", positions=False)
    assert plain.columns == ("编号", "名称", "经度", "纬度", "建成") and plain.crs is None
    assert [batch.geometry for batch in plain.batches()] == [None]


def test_a_line_table_draws_its_lines(catalog, tmp_path):
    table = pd.DataFrame(
        {"管段编号": ["P1", "P2"], "起点X": [3541000.0, "?"], "起点Y": [500000.0, 1], "终点X": [3541010.0, 2], "终点Y": [500020.0, 3]}
    )
    path = files.workbook(tmp_path / "管线.xlsx", {"管线": table})
    source = open_source(path, catalog.layer("sewer_pipe"), crs="EPSG:4548")
    (batch,) = source.batches()
    assert source.survey_axes and [s and s.wkt for s in batch.shapes()] == ["LINESTRING (3541000 500000, 3541010 500020)", None]
    assert batch.broken.tolist() == [False, True] and batch.broken_texts == ["?, 1, 2, 3"]


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize("kind", ["point", "line", "polygon", "multi"])
def test_geoparquet_in_both_encodings(catalog, tmp_path, encoding, kind):
    made = {
        "point": shapely.points([[117, 32, 5], [117.1, 32.1, 6]]),
        "line": np.array([shapely.LineString([(117, 32), (117.1, 32)]), shapely.LineString([(117, 32), (117.1, 32), (117.2, 32)])]),
        "polygon": np.array([shapely.box(117, 32, 117.1, 32.1), shapely.box(0, 0, 9, 9).difference(shapely.box(1, 1, 2, 2))]),
        "multi": np.array(
            [shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)]), shapely.MultiPolygon([shapely.box(5, 5, 6, 6)])]
        ),
    }[kind]
    frame = geopandas.GeoDataFrame({"n": [1, 2, 3]}, geometry=np.array([*made, None], dtype=object), crs=4548)
    path = tmp_path / "a.parquet"
    frame.to_parquet(path, geometry_encoding=encoding, write_covering_bbox=True, row_group_size=2)
    source = open_source(path, catalog.layer("building"))
    got = shapes(source)
    assert source.columns == ("n",) and source.crs_declared and got[2] is None
    assert all(a.equals(b) and a.has_z == b.has_z for a, b in zip(got[:2], made, strict=True))


def test_parquet_without_geometry_needs_columns_of_coordinates(layer, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"编号": ["S1"], "经度": [117.0], "纬度": [32.0], "附": pa.array([{"甲": 1}])}), path)
    source = open_source(path, layer)
    assert rows(source) == [{"编号": "S1", "附": '{"甲": 1}'}] and shapes(source)[0].wkt == "POINT (117 32)"
    pq.write_table(pa.table({"编号": ["S1"]}), path)
    with pytest.raises(SourceError, match="no columns with coordinates"):
        open_source(path, layer)


def test_measures_surfaces_and_curves_become_ordinary(catalog, tmp_path):
    kinds = ["LINESTRING M (0 0 5, 1 1 6)", "LINESTRING ZM (0 0 1 5, 1 1 2 6)", "LINESTRING Z (0 0 1, 1 1 2)"]
    path = tmp_path / "a.gpkg"
    frame = geopandas.GeoDataFrame({"n": [1, 2, 3]}, geometry=shapely.from_wkt(kinds), crs=4548)
    wkb = shapely.to_wkb(frame.geometry.values, output_dimension=4, flavor="iso")
    pyogrio.raw.write(
        path, geometry=wkb, field_data=[np.array([1, 2, 3])], fields=["n"], geometry_type="Unknown", crs="EPSG:4548", layer="a"
    )
    source = open_source(path, catalog.layer("road"))
    assert [s.wkt for s in shapes(source)] == ["LINESTRING (0 0, 1 1)", "LINESTRING Z (0 0 1, 1 1 2)", "LINESTRING Z (0 0 1, 1 1 2)"]
    found = source.findings.frame()
    assert found["code"].tolist() == ["SRC10"] and found["value"].tolist() == ["2"]


def drawing(path, encoding="gbk"):
    """A drawing of two mains, a valve, texts beside them, and a house."""
    made = ezdxf.new("R2004")
    made.encoding, made.header["$DWGCODEPAGE"] = encoding, "ANSI_936"
    space, block = made.modelspace(), made.blocks.new("阀门")
    block.add_circle((0, 0), 0.5)
    space.add_line((500000, 3542000, 1), (500010, 3542000, 2), dxfattribs={"layer": "JS_给水管"})
    space.add_lwpolyline([(500010, 3542000), (500020, 3542010), (500030, 3542010)], dxfattribs={"layer": "JS_给水管"})
    space.add_blockref("阀门", (500010, 3542000, 3), dxfattribs={"layer": "JS_点", "rotation": 30}).add_attrib("编号", "F-1")
    space.add_text("DN300 铸铁", dxfattribs={"layer": "JS_文字", "insert": (500004, 3542001)})
    space.add_lwpolyline([(0, 0), (9, 0), (9, 9)], close=True, dxfattribs={"layer": "房屋"})
    made.saveas(path)
    return path


def test_a_drawing_by_its_cad_layers_blocks_and_texts(catalog, tmp_path):
    path = drawing(tmp_path / "管线图.dxf")
    mains = open_source(path, catalog.layer("water_pipe"), crs="EPSG:4548")
    first, second = rows(mains)
    assert (first["图层"], first["文字"], first["管径"]) == ("JS_给水管", "DN300 铸铁", "300") and second["管径"] is None
    assert shapes(mains)[0].wkt == "LINESTRING Z (500000 3542000 1, 500010 3542000 2)" and mains.encoding == "GB18030"
    assert mains.findings.frame()["value"].tolist() == ["JS_点 (1), 房屋 (1)"]
    (valve,) = rows(open_source(path, catalog.layer("water_valve"), crs="EPSG:4548"))
    assert (valve["图块"], valve["编号"], valve["角度"]) == ("阀门", "F-1", "30")
    with pytest.raises(InputError, match="nothing in 管线图") as asked:
        open_source(path, catalog.layer("building"), crs="EPSG:4548")
    assert "房屋 (1)" in asked.value.remedy
    house = open_source(path, catalog.layer("building"), crs="EPSG:4548", source_layer="房*")
    assert shapes(house)[0].area == 40.5
    with pytest.raises(SourceError, match="coordinate reference system"):
        open_source(path, catalog.layer("water_pipe"))


def test_what_a_drawing_holds_beyond_what_is_read_is_said(catalog, tmp_path):
    made = ezdxf.readfile(drawing(tmp_path / "a.dxf"))
    made.modelspace().add_xline((0, 0), (1, 0), dxfattribs={"layer": "JS_给水管"})
    made.saveas(tmp_path / "a.dxf")
    source = open_source(tmp_path / "a.dxf", catalog.layer("water_pipe"), crs="EPSG:4548")
    found = source.findings.frame()
    assert found["code"].tolist() == ["SRC12", "SRC12"] and found["value"].tolist()[1] == "XLINE (1)"


def test_access_databases_that_are_none_and_a_machine_without_mdbtools(catalog, tmp_path, monkeypatch):
    path = tmp_path / "管线.mdb"
    path.write_bytes(b"\x00\x01\x00\x00Standard Jet DB\x00" + bytes(range(256)) * 40)
    with pytest.raises(SourceError, match=r"damaged|no tables"):
        open_source(path, catalog.layer("facility"), positions=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox._close()
    with pytest.raises(SourceError, match="mdbtools is not installed") as refused:
        open_source(path, catalog.layer("facility"), positions=False)
    assert "apt-get install mdbtools" in refused.value.remedy
    sandbox._close()


def test_a_table_beside_a_drawing_says_what_is_what(catalog, tmp_path):
    path = drawing(tmp_path / "图.dxf")
    (tmp_path / "图.layers.csv").write_text("layer,block,target,用途\n房屋,,building,住宅\n", encoding="gbk")
    source = open_source(path, catalog.layer("building"), crs="EPSG:4548")
    assert rows(source)[0]["用途"] == "住宅" and [p.name for p in source.parts] == ["图.dxf", "图.layers.csv"]


SWMM = """[OPTIONS]
FLOW_UNITS CMS
LINK_OFFSETS DEPTH
[JUNCTIONS]
J1 28.0 2.5 0 0 0
J2 27.5 2.8
[OUTFALLS]
O1 27.0 FREE NO
[CONDUITS]
C1 J1 J2 60 0.013 0.1 0.2 0
C2 J2 O1 40 0.013 0 0 0
[PUMPS]
P1 J1 O1 * ON
[XSECTIONS]
C1 CIRCULAR 0.6 0 0 0 1
C2 RECT_CLOSED 1.2 2.0 0 0
[COORDINATES]
J1 500000 3542000
J2 500060 3542000
O1 500100 3542000
[VERTICES]
C1 500030 3542010
"""


def test_swmm_model_as_manholes_and_drains(catalog, tmp_path):
    path = tmp_path / "model.inp"
    path.write_text(SWMM)
    frames, findings = swmm.deliveries(catalog, path, crs="EPSG:4548")
    nodes, pipes = frames["sewer_manhole"].set_index("manhole_id"), frames["rain_pipe"].set_index("pipe_id")
    assert (
        nodes.loc["J1", ["invert_m", "ground_m", "feature"]].tolist() == [28.0, 30.5, "manhole"] and nodes.loc["O1", "feature"] == "outfall"
    )
    assert pipes.loc["C1", ["diameter_mm", "invert_from_m", "invert_to_m"]].tolist() == [600.0, 28.1, 27.7]
    assert pipes.loc["C2", "section"] == "2000×1200" and np.isnan(pipes.loc["C2", "diameter_mm"])
    line = pipes.geometry["C1"]
    assert len(line.coords) == 3 and line.coords[0][2] == pytest.approx(28.1) and line.coords[0][0] == pytest.approx(117.0)
    assert findings.counts() == {"SWM01": 1}
    path.write_text(SWMM.replace("C2 J2 O1 40", "C2 J2 X9 40"))
    with pytest.raises(SourceError, match="C2"):
        swmm.deliveries(catalog, path, crs="EPSG:4548")


def test_of_several_files_in_a_zip_the_one_that_is_meant(facilities, layer, tmp_path):
    for name in ("facility", "别的"):
        files.write(facilities.iloc[: 4 if name == "facility" else 2], tmp_path, "gpkg", name)
    path = tmp_path / "交付.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name in ("facility", "别的"):
            packed.write(tmp_path / f"{name}.gpkg", f"数据/{name}.gpkg")
    assert len(rows(open_source(path, layer))) == 4, "the layer's file pattern says which"
    assert len(rows(open_source(path, layer, source_layer="别的"))) == 2
    assert len(rows(open_source(path, layer, source_layer="别的.gpkg/别的"))) == 2
    assert layers_of(path) == ("数据/facility.gpkg", "数据/别的.gpkg")
    with pytest.raises(InputError, match="holds no"):
        open_source(path, layer, source_layer="没有")
    shutil.copy(tmp_path / "别的.gpkg", tmp_path / "facility_2.gpkg")
    with zipfile.ZipFile(path, "a") as packed:
        packed.write(tmp_path / "facility_2.gpkg", "facility.gpkg")
    with pytest.raises(InputError, match="holds 3 files"):
        open_source(path, layer)


def test_names_in_a_chinese_zip(facilities, layer, tmp_path):
    shape = files.write(facilities, tmp_path, "shp", "a")
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for part in tmp_path.glob("a.*"):
            entry = zipfile.ZipInfo("x" + part.suffix)
            packed.writestr(entry, part.read_bytes())
    raw = path.read_bytes()
    for part in (".shp", ".shx", ".dbf", ".prj", ".cpg"):
        raw = raw.replace(b"x" + part.encode(), "学".encode("gbk")[:1] + part.encode())
    assert shape.exists() and len(rows(open_source(path, layer))) == 4


def test_columns_of_one_name_are_told_apart(catalog, tmp_path, facilities):
    path = files.write(facilities, tmp_path, "shp")
    table = path.with_suffix(".dbf")
    raw = table.read_bytes().replace("设施名称".encode("gbk").ljust(11, b"\0"), "设施编号".encode("gbk").ljust(11, b"\0"))
    table.write_bytes(raw)
    source = open_source(path, catalog.layer("facility"))
    assert source.columns[:2] == ("设施编号", "设施编号_2") and rows(source)[0]["设施编号_2"] == "实验小学"
    assert "SRC11" in source.findings.counts()


def test_numbers_of_a_shapefile_that_are_none_stay_as_they_are_written(catalog, tmp_path, facilities):
    path = files.write(facilities, tmp_path, "shp")
    table = path.with_suffix(".dbf")
    raw = table.read_bytes()
    at = raw.index(b"1800.0")
    table.write_bytes(raw[:at] + b"18OO.0" + raw[at + 6 :])
    assert [row["容量"].strip()[:6] for row in rows(open_source(path, catalog.layer("facility")))[:1]] == ["18OO.0"]


def test_batches_whose_columns_differ_in_type_come_together_as_texts():
    tables = [pa.table({"a": [1, 2], "b": ["x", None]}), pa.table({"a": ["?"], "b": ["y"]})]
    assert together(tables).to_pydict() == {"a": ["1", "2", "?"], "b": ["x", None, "y"]}
