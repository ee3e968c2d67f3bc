"""Sources of every format, in every encoding, and those that are none."""

import gzip
import os
import shutil

import geopandas
import numpy as np
import pytest
import shapely

from gis.errors import InputError, SourceError
from gis.ingest.read import open_source


@pytest.fixture
def layer(catalog):
    return catalog.layer("facility")


def rows(source):
    return [row for batch in source.batches() for row in batch.rows.to_pylist()]


def points(source):
    return [g for batch in source.batches() for g in batch.shapes()]


def codes(source):
    return set(source.findings.counts())


def shapefile(frame, folder, encoding, *, without=()):
    path = folder / "设施.shp"
    frame.to_file(path, encoding=encoding, engine="pyogrio")
    for suffix in without:
        path.with_suffix(suffix).unlink()
    return path


@pytest.mark.parametrize("encoding", ["GBK", "UTF-8"])
@pytest.mark.parametrize("declared", [True, False])
def test_shapefile_in_either_encoding_with_and_without_cpg(facilities, tmp_path, layer, encoding, declared):
    path = shapefile(facilities, tmp_path, encoding, without=() if declared else (".cpg",))
    source = open_source(path, layer)
    names = [row[next(k for k in row if row[k] in set(facilities["设施名称"]))] for row in rows(source)]
    assert names == list(facilities["设施名称"])
    assert codes(source) == (set() if declared else {"SRC03"})
    assert source.encoding == ("GB18030" if encoding == "GBK" else "UTF-8")
    assert [p.x for p in points(source)] == [117.0, 117.01, 117.02, 116.99]


def test_shapefile_that_declares_the_wrong_encoding_is_reported_and_read_right(facilities, tmp_path, layer):
    path = shapefile(facilities, tmp_path, "GBK")
    path.with_suffix(".cpg").write_text("UTF-8")
    source = open_source(path, layer)
    assert codes(source) == {"SRC04"} and "县医院" in rows(source)[1].values()


def test_encoding_that_the_operator_gives_wrong_is_refused(facilities, tmp_path, layer):
    path = shapefile(facilities, tmp_path, "GBK")
    with pytest.raises(SourceError, match="not UTF-8"):
        open_source(path, layer, encoding="UTF-8")
    with pytest.raises(SourceError, match="unknown encoding"):
        open_source(path, layer, encoding="klingon")


def test_shapefile_without_prj_needs_a_crs(facilities, tmp_path, layer):
    path = shapefile(facilities, tmp_path, "UTF-8", without=(".prj",))
    with pytest.raises(SourceError, match="coordinate reference system") as refused:
        open_source(path, layer)
    assert "--crs" in refused.value.remedy and str(tmp_path) not in str(refused.value)
    assert open_source(path, layer, crs="EPSG:4490").crs == "EPSG:4490"


@pytest.mark.parametrize(("suffix", "driver"), [("gpkg", "GPKG"), ("geojson", "GeoJSON")])
def test_geopackage_and_geojson(facilities, tmp_path, layer, suffix, driver):
    path = tmp_path / f"facility.{suffix}"
    facilities.set_crs(4326, allow_override=True).to_file(path, driver=driver, engine="pyogrio")
    source = open_source(path, layer)
    assert [r["设施名称"] for r in rows(source)] == list(facilities["设施名称"]) and points(source)[0].x == 117.0


def test_several_layers_in_one_file_are_listed_not_guessed(facilities, tmp_path, layer):
    path = tmp_path / "all.gpkg"
    for name in ("甲", "乙"):
        facilities.to_file(path, layer=name, driver="GPKG", engine="pyogrio")
    with pytest.raises(InputError, match="2 layers") as asked:
        open_source(path, layer)
    assert "甲" in asked.value.remedy and "乙" in asked.value.remedy
    assert len(rows(open_source(path, layer, source_layer="乙"))) == 4
    with pytest.raises(InputError, match="丙"):
        open_source(path, layer, source_layer="丙")
    facilities.iloc[:1].to_file(path, layer="facility", driver="GPKG", engine="pyogrio")
    assert len(rows(open_source(path, layer))) == 1, "a layer named as the catalogue names it needs no asking"


CSV = '编号,名称,经度,纬度\nS1,实验小学,117.0,32.0\nS2,"县,医院",117.01,３２.０１\nS3,幼儿园,,\nS4,公园,abc,32.0\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_csv_in_every_encoding(tmp_path, layer, encoding):
    path = tmp_path / "facility.csv"
    path.write_bytes(CSV.encode(encoding))
    source = open_source(path, layer)
    assert [r["名称"] for r in rows(source)] == ["实验小学", "县,医院", "幼儿园", "公园"]
    assert [p and (p.x, p.y) for p in points(source)] == [(117.0, 32.0), (117.01, 32.01), None, None]
    (batch,) = source.batches()
    assert batch.broken.tolist() == [False, False, False, True] and batch.broken_texts == ["abc, 32.0"]


def test_csv_compressed_and_with_other_separators(tmp_path, layer):
    path = tmp_path / "facility.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode("gbk")))
    assert len(rows(open_source(path, layer))) == 4
    tabs = tmp_path / "facility.txt"
    tabs.write_text("编号\t名称\tlon\tlat\nS1\t小学\t117\t32\n", encoding="utf-8")
    assert rows(open_source(tabs, layer)) == [{"编号": "S1", "名称": "小学"}]


def test_csv_with_wkt(tmp_path, catalog):
    path = tmp_path / "road.csv"
    path.write_text('road_id,class,WKT\nR1,支路,"LINESTRING (117 32, 117.01 32)"\nR2,支路,LINE NONSENSE\n', encoding="utf-8")
    source = open_source(path, catalog.layer("road"))
    assert [g and g.wkt for g in points(source)] == ["LINESTRING (117 32, 117.01 32)", None]


def test_a_line_with_a_column_too_many_is_a_finding_and_shifts_nothing(tmp_path, layer):
    path = tmp_path / "facility.csv"
    lines = [f"S{i},设施{i},117.0,32.0" for i in range(1, 8)]
    lines[2] = "S3,设施,3,117.0,32.0"
    lines[5] = "S6,设施6"
    path.write_text("\n".join(["编号,名称,lon,lat", *lines]), encoding="utf-8")
    source = open_source(path, layer)
    (batch,) = source.batches()
    assert batch.numbers.tolist() == [1, 2, 4, 5, 7] and batch.rows.column("编号").to_pylist() == ["S1", "S2", "S4", "S5", "S7"]
    found = source.findings.frame().query("code == 'SRC02'")
    assert found["src_row"].tolist() == [3, 6] and found["value"].tolist() == [lines[2], lines[5]]


def test_csv_without_coordinates_or_header_says_what_it_has(tmp_path, layer):
    path = tmp_path / "facility.csv"
    path.write_text("编号,名称\nS1,小学\n", encoding="utf-8")
    with pytest.raises(SourceError, match="编号, 名称"):
        open_source(path, layer)
    path.write_text("lon,lat,lon\n1,2,3\n", encoding="utf-8")
    with pytest.raises(SourceError, match="several columns named lon"):
        open_source(path, layer)


def test_projected_csv_without_a_crs_is_refused(tmp_path, layer):
    path = tmp_path / "facility.csv"
    path.write_text("编号,名称,X,Y\nS1,小学,3541000,500000\n", encoding="utf-8")
    with pytest.raises(SourceError, match="coordinate reference system"):
        open_source(path, layer)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.shp", b"not a shapefile"),
        ("a.gpkg", b"SQLite format 3\0" + b"\0" * 100),
        ("a.gpkg", b"PK\x03\x04"),
        ("a.geojson", b'{"type": "FeatureCollection", "features": [{'),
        ("a.geojson", b"<OGRVRTDataSource/>"),
        ("a.geojson", b'{"type": "gdal_streamed_alg", "command_line": "gdal vector read /etc/passwd"}'),
        ("a.gpkg", b"<OGRVRTDataSource><OGRVRTLayer/></OGRVRTDataSource>"),
        ("a.csv", b""),
        ("a.csv", b"<OGRVRTDataSource/>"),
        ("a.csv", b"lon,lat,n\n\xff\xff\xff,\x80\x80,\xfe\xfe\n"),
        ("a.csv.gz", b"\x1f\x8bgarbage"),
        ("a.exe", b"MZ"),
        ("a.vrt", b"<OGRVRTDataSource/>"),
        ("a", b"x"),
        ("a.json", b'{"type": "Topology", "objects": {}}'),
    ],
)
def test_what_cannot_be_read_is_a_source_error_without_paths(tmp_path, layer, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError) as refused:
        rows(open_source(path, layer))
    assert str(tmp_path) not in str(refused.value) and refused.value.remedy and refused.value.exit_code == 3


@pytest.mark.parametrize("name", ["/vsicurl/http://localhost/a.geojson", "/vsizip/a.zip/b.shp", "nowhere.gpkg", "."])
def test_no_file_systems_of_gdal_and_no_folders(layer, name):
    with pytest.raises(SourceError):
        open_source(name, layer)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_file_without_permission(facilities, tmp_path, layer):
    path = tmp_path / "a.geojson"
    facilities.to_file(path, driver="GeoJSON")
    path.chmod(0)
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source(path, layer)


@pytest.mark.parametrize("cut", [".dbf", ".shp", ".shx"])
def test_a_shapefile_cut_off_is_refused(facilities, tmp_path, layer, cut):
    path = shapefile(facilities, tmp_path, "UTF-8")
    part = path.with_suffix(cut)
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(SourceError, match="incomplete"):
        open_source(path, layer)


@pytest.mark.parametrize("missing", [".dbf", ".shx"])
def test_a_shapefile_without_its_parts_is_refused(facilities, tmp_path, layer, missing):
    path = shapefile(facilities, tmp_path, "UTF-8", without=(missing,))
    with pytest.raises(SourceError, match="came without"):
        open_source(path, layer)


def test_a_shapefile_whose_parts_belong_to_different_deliveries_is_refused(facilities, tmp_path, layer):
    path = shapefile(facilities, tmp_path, "UTF-8")
    (tmp_path / "other").mkdir()
    other = shapefile(facilities.iloc[:2], tmp_path / "other", "UTF-8")
    shutil.copy(other.with_suffix(".dbf"), path.with_suffix(".dbf"))
    with pytest.raises(SourceError, match="4 shapes, 2 attribute rows"):
        open_source(path, layer)


def test_beijing_54_is_refused_with_the_reason(facilities, tmp_path, layer):
    path = shapefile(facilities, tmp_path, "UTF-8")
    with pytest.raises(SourceError, match="Beijing 1954"):
        open_source(path, layer, crs="EPSG:2436")


def test_offset_systems_are_converted_and_flagged(facilities, tmp_path, layer):
    path = tmp_path / "a.geojson"
    facilities.set_crs(4326, allow_override=True).to_file(path, driver="GeoJSON")
    assert codes(open_source(path, layer, crs="GCJ-02")) == {"CRS04"}


def test_batches_number_rows_through_a_large_file(tmp_path, layer):
    n = 150_000
    frame = geopandas.GeoDataFrame(
        {"名称": np.arange(n).astype(str)}, geometry=shapely.points(np.full(n, 117.0), np.linspace(31.9, 32.1, n)), crs=4490
    )
    path = tmp_path / "a.gpkg"
    frame.to_file(path, engine="pyogrio")
    batches = list(open_source(path, layer).batches())
    assert len(batches) > 1 and np.concatenate([b.numbers for b in batches]).tolist() == list(range(1, n + 1))


def test_texts_cut_off_in_the_middle_of_a_character_lose_only_that_character(tmp_path, layer):
    """A dBase field is at most 254 bytes wide; GDAL and others cut names and texts wherever that falls."""
    long = "青" * 200
    frame = geopandas.GeoDataFrame({"很长的中文字段名": [long, "短"]}, geometry=shapely.points([[117.0, 32.0], [117.0, 32.0]]), crs=4490)
    for encoding in ("UTF-8", "GBK"):
        path = tmp_path / f"{encoding}.shp"
        frame.to_file(path, encoding=encoding, engine="pyogrio")
        source = open_source(path, layer)
        first, second = (next(iter(row.values())) for row in rows(source))
        assert len(first) > 80 and set(first) == {"青"} and second == "短"
        assert "很长的中文字段名".startswith(source.columns[0]) and len(source.columns[0]) >= 3


def test_deleted_rows_of_a_shapefile_are_no_loss(facilities, tmp_path, layer):
    path = shapefile(facilities, tmp_path, "UTF-8")
    table = path.with_suffix(".dbf")
    raw = bytearray(table.read_bytes())
    start, width = int.from_bytes(raw[8:10], "little"), int.from_bytes(raw[10:12], "little")
    raw[start + width] = ord("*")
    table.write_bytes(raw)
    source = open_source(path, layer)
    assert source.count == 3 and [p.x for p in points(source)] == [117.0, 117.02, 116.99]


def test_a_stale_count_of_a_geopackage_is_no_loss(facilities, tmp_path, layer):
    import sqlite3

    path = tmp_path / "a.gpkg"
    facilities.to_file(path, engine="pyogrio")
    with sqlite3.connect(path) as file:
        file.execute("UPDATE gpkg_ogr_contents SET feature_count = 99")
    file.close()
    assert len(rows(open_source(path, layer))) == 4


@pytest.mark.parametrize("has_schema", [True, False], ids=["with its schema", "without"])
def test_gml_keeps_the_zeros_of_a_number_and_nothing_is_written_beside_it(facilities, tmp_path, layer, has_schema):
    facilities["设施编号"] = [f"00{i}" for i in range(len(facilities))]
    facilities.to_file(tmp_path / "a.gml", driver="GML", engine="pyogrio", FORMAT="GML3")
    if not has_schema:
        (tmp_path / "a.xsd").unlink()
    before = sorted(path.name for path in tmp_path.iterdir())
    source = open_source(tmp_path / "a.gml", layer)
    numbers = [value for batch in source.batches() for value in batch.rows.column("设施编号").to_pylist()]
    assert numbers == facilities["设施编号"].tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
