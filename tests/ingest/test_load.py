"""The load against a real PostGIS: all or nothing, repeatable, with history, every row accounted for."""

import hashlib
import time

import geopandas
import pandas as pd
import pytest
import shapely
from deliveries import BELIEVED, content, pipes, query

from gis.errors import InputError, NotFound, StoreError
from gis.ingest import report
from gis.ingest.load import Rejected, load_files, load_frames

pytestmark = pytest.mark.usefixtures("store_db")


def test_a_first_load_says_what_it_read_and_whence(deliver, facilities, tmp_path):
    result = deliver(facilities, operator="surveyor")
    assert (result.rows_read, result.rows_loaded, result.rows_rejected, result.status) == (4, 4, 0, "published")
    assert query(
        "SELECT facility_id, name, kind, capacity, valid_from::text, ST_AsText(geom), ST_SRID(geom), batch FROM core.facility ORDER BY 1"
    )[0] == ("S1", "实验小学", "primary_school", 1800, "1956-09-01", "POINT(117 32)", 4490, result.batch)
    ((kind, source, operator, mode, status, same),) = query(
        "SELECT kind, source, operator, mode, status,"
        " (SELECT bool_and(c.recorded_from = b.recorded_at) FROM core.facility c) FROM meta.batch b"
    )
    assert (kind, source, operator, mode, status, same) == ("load", "delivery.gpkg", "surveyor", "replace", "published", True)
    ((sha, kept),) = query("SELECT b.sha256, s.bytes FROM meta.batch b JOIN meta.source s USING (sha256)")
    path = tmp_path / "home" / "sources" / sha
    assert path.stat().st_size == kept and hashlib.sha256(path.read_bytes()).hexdigest() == sha
    assert query("SELECT count(*) FROM stage.facility") == [(0,)]


def test_the_same_delivery_again_changes_nothing(deliver, facilities):
    deliver(facilities)
    before = content("facility"), query("SELECT facility_id, recorded_from, fid FROM core.facility ORDER BY 1")
    for mode in ("replace", "update", "append"):
        (outcome,) = deliver(facilities, mode=mode).layers
        assert (outcome.inserted, outcome.updated, outcome.retired, outcome.unchanged) == (0, 0, 0, 4), mode
    assert (content("facility"), query("SELECT facility_id, recorded_from, fid FROM core.facility ORDER BY 1")) == before
    assert query("SELECT count(*) FROM history.facility") == [(0,)]


def test_replace_changes_what_differs_and_retires_what_is_missing(deliver, facilities):
    first = deliver(facilities)
    fid = dict(query("SELECT facility_id, fid FROM core.facility"))
    new = facilities.iloc[[0, 1]].copy()
    new.loc[0, "设施名称"] = "第一小学"
    new = pd.concat([new, facilities.iloc[[2]].assign(设施编号="S9")])
    (outcome,) = deliver(new).layers
    assert (outcome.inserted, outcome.updated, outcome.retired, outcome.unchanged) == (1, 1, 2, 1)
    assert query("SELECT facility_id, name, fid FROM core.facility WHERE facility_id <> 'S9' ORDER BY 1") == [
        ("S1", "第一小学", fid["S1"]),
        ("S2", "县医院", fid["S2"]),
    ]
    past = query(
        "SELECT facility_id, name, batch, recorded_to = (SELECT recorded_at FROM meta.batch WHERE id = %s)"
        " FROM history.facility ORDER BY 1",
        outcome_batch(),
    )
    assert past == [("S1", "实验小学", first.batch, True), ("S3", "城关幼儿园", first.batch, True), ("S4", "人民公园", first.batch, True)]


def outcome_batch():
    return query("SELECT max(id) FROM meta.batch")[0][0]


def test_as_of_answers_what_was_believed(deliver, facilities):
    deliver(facilities)
    time.sleep(0.02)
    then = query("SELECT clock_timestamp()")[0][0]
    deliver(facilities.iloc[:2].assign(设施名称="新名"))
    as_of = f"SELECT facility_id, name FROM pub.facility_history WHERE {BELIEVED} ORDER BY 1"
    assert [n for _, n in query(as_of, then, then)] == list(facilities["设施名称"])
    now = query("SELECT clock_timestamp()")[0][0]
    assert query(as_of, now, now) == [("S1", "新名"), ("S2", "新名")]


def test_update_touches_only_what_is_delivered(deliver, facilities):
    deliver(facilities)
    change = facilities.iloc[[1]].assign(容量=700)
    (outcome,) = deliver(change, mode="update").layers
    assert (outcome.inserted, outcome.updated, outcome.retired) == (0, 1, 0)
    assert query("SELECT capacity FROM core.facility ORDER BY facility_id") == [(1800,), (700,), (240,), (None,)]
    moved = facilities.iloc[[1]].assign(容量=700).set_geometry(shapely.points([[117.010000001, 32.01]]), crs=4490)
    assert deliver(moved, mode="update").layers[0].updated == 1, "a tenth of a millimetre is a change"


def test_append_refuses_a_key_with_other_values(deliver, facilities):
    deliver(facilities.iloc[:2])
    result = deliver(facilities.assign(容量=[1800, 9, 240, None]), mode="append")
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (4, 3, 1) and result.findings["LOD02"] == 1
    assert query("SELECT capacity FROM core.facility WHERE facility_id = 'S2'") == [(600,)]


def test_rejected_rows_are_kept_whole_and_the_rest_is_loaded(deliver, facilities):
    frame = pd.concat([facilities] * 3, ignore_index=True)
    frame["设施编号"] = [f"S{i}" for i in range(12)]
    frame["容量"] = frame["容量"].astype(object)
    frame.loc[0, "设施类型"] = "鬼屋"
    frame.loc[1, "设施名称"] = "长" * 10_000
    frame.loc[2, "设施编号"] = "S5"
    frame.loc[3, "启用日期"] = "2024年13月5日"
    frame.loc[4, "设施名称"] = None
    frame.loc[6, "容量"] = "很多"
    result = deliver(frame)
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (12, 8, 4)
    assert result.findings == {"COD": 1, "DUP": 1, "LEN": 1, "NUL": 1, "TYP01": 2} | {
        k: v for k, v in result.findings.items() if k == "FAC01"
    }
    rejected = query("SELECT src_row, codes, record->>'name', record->>'kind', ST_AsText(geom) FROM meta.reject ORDER BY src_row")
    assert [(r[0], r[1]) for r in rejected] == [(1, ["COD"]), (2, ["LEN"]), (5, ["NUL"]), (6, ["DUP"])]
    assert rejected[0][3] == "鬼屋" and len(rejected[1][2]) == 10_000 and rejected[0][4] == "POINT(117 32)"
    found = query("SELECT src_row, code, level, key, field, value FROM meta.finding WHERE code IN ('TYP01', 'COD') ORDER BY src_row")
    assert found == [
        (1, "COD", "error", "S0", "kind", "鬼屋"),
        (4, "TYP01", "warning", "S3", "valid_from", "2024年13月5日"),
        (7, "TYP01", "warning", "S6", "capacity", "很多"),
    ]
    assert query("SELECT rows_read, rows_loaded, rows_rejected FROM meta.batch_layer") == [(12, 8, 4)]


def test_a_rejected_key_keeps_its_old_row(deliver, facilities):
    deliver(facilities)
    result = deliver(facilities.assign(设施类型=["鬼屋", "医院", "幼儿园", "公园"]))
    assert result.findings["LOD01"] == 1 and result.layers[0].retired == 0
    assert query("SELECT kind FROM core.facility WHERE facility_id = 'S1'") == [("primary_school",)]


def test_too_many_rejected_rows_refuse_the_batch_and_its_findings_stay(deliver, facilities):
    deliver(facilities)
    before = content("facility")
    with pytest.raises(Rejected) as refused:
        deliver(facilities.assign(设施类型="鬼屋"))
    assert refused.value.exit_code == 4 and refused.value.findings["COD"] == 4
    batch = refused.value.result.batch
    assert query("SELECT status FROM meta.batch WHERE id = %s", batch) == [("rejected",)]
    assert query("SELECT count(*) FROM meta.reject WHERE batch = %s", batch) == [(4,)]
    assert query("SELECT rows_read, rows_loaded, rows_rejected FROM meta.batch_layer WHERE batch = %s", batch) == [(4, 0, 4)]
    assert content("facility") == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda f: f.iloc[:0], "SRC01"),
        (lambda f: f.drop(columns="设施编号"), "MAP02"),
        (lambda f: f.set_geometry(shapely.points([[9.5, 47.1]] * 4), crs=4490), "CRS02"),
        (lambda f: f.set_geometry(shapely.points([[32.0, 117.0]] * 4), crs=4490), "CRS02"),
    ],
)
def test_what_is_fatal_refuses_the_delivery(deliver, facilities, change, code):
    with pytest.raises(Rejected) as refused:
        deliver(change(facilities))
    assert refused.value.findings[code] == 1 and query("SELECT count(*) FROM core.facility") == [(0,)]


def test_a_crs_that_cannot_be_true_comes_with_the_likely_truth(deliver, facilities):
    with pytest.raises(Rejected):
        deliver(facilities.to_crs(4548).set_crs(4549, allow_override=True))
    assert query("SELECT value FROM meta.finding WHERE code = 'CRS02'") == [("EPSG:4548",)]


def test_coordinates_that_are_none_are_findings_not_rows(deliver, facilities, catalog, tmp_path):
    path = tmp_path / "facility.csv"
    lines = ["设施编号,设施名称,设施类型,lon,lat"] + [f"S{i},小学{i},小学,117.0,32.0" for i in range(12)]
    for i, where in ((1, "NaN,32.0"), (2, "117.0,inf"), (3, "32.0,117.0"), (4, ","), (5, "117.0,0")):
        lines[i] = f"S{i - 1},小学,小学,{where}"
    path.write_text("\n".join(lines), encoding="utf-8")
    result = load_files(catalog, "facility", [path])
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (12, 7, 5)
    assert {k: v for k, v in result.findings.items() if k[:3] in ("GEO", "TYP")} == {"GEO01": 3, "GEO04": 1, "GEO07": 1, "TYP02": 2}


def test_mixed_geometry_types_load_what_fits(catalog, facilities, tmp_path):
    path = tmp_path / "facility.geojson"
    geometry = [*facilities.geometry[:3], shapely.LineString([(117, 32), (117.01, 32)])]
    facilities.set_geometry(geometry, crs=4326).to_file(path, driver="GeoJSON")
    result = load_files(catalog, "facility", [path])
    assert (result.rows_loaded, result.rows_rejected, result.findings["GEO02"]) == (3, 1, 1)


def test_a_broken_line_of_a_table_counts_as_read_and_rejected(catalog, tmp_path):
    path = tmp_path / "facility.csv"
    path.write_text("设施编号,设施名称,设施类型,lon,lat\nS1,甲,公园,117,32\nS2,乙,公园,117,32,多\nS3,丙,公园,117,32\n", encoding="utf-8")
    result = load_files(catalog, "facility", [path])
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (3, 2, 1)
    assert query("SELECT src_row, codes, record FROM meta.reject") == [(2, ["SRC02"], {"line": "S2,乙,公园,117,32,多"})]


def test_survey_tables_with_x_as_northing(catalog, tmp_path, facilities):
    path = tmp_path / "facility.csv"
    projected = facilities.to_crs(4548)
    pd.DataFrame(
        {"设施编号": facilities["设施编号"], "设施名称": "甲", "设施类型": "公园", "X": projected.geometry.y, "Y": projected.geometry.x}
    ).to_csv(path, index=False)
    result = load_files(catalog, "facility", [path], crs="EPSG:4548")
    assert result.rows_loaded == 4 and result.findings["CRS03"] == 1
    assert query(
        "SELECT round(ST_X(geom)::numeric, 8)::float, round(ST_Y(geom)::numeric, 8)::float FROM core.facility WHERE facility_id = 'S2'"
    ) == [(117.01, 32.01)]


def test_several_files_are_one_delivery(catalog, facilities, tmp_path):
    for i, part in enumerate((facilities.iloc[:2], facilities.iloc[1:])):
        part.to_file(tmp_path / f"{i}.gpkg", engine="pyogrio")
    result = load_files(catalog, "facility", [tmp_path / "0.gpkg", tmp_path / "1.gpkg"])
    assert (result.rows_read, result.rows_loaded, result.findings["DUP"]) == (5, 4, 1)
    assert query("SELECT src_row FROM meta.reject") == [(3,)]


def test_dry_run_counts_and_changes_nothing(deliver, facilities):
    deliver(facilities)
    before = content("facility")
    result = deliver(facilities.iloc[:3].assign(容量=1), dry_run=True)
    assert result.status == "dry_run" and (result.layers[0].updated, result.layers[0].retired) == (3, 1)
    assert content("facility") == before and query("SELECT count(*) FROM history.facility") == [(0,)]
    assert query("SELECT status, recorded_at FROM meta.batch ORDER BY id DESC LIMIT 1") == [("dry_run", None)]


def test_layers_of_one_delivery_refer_to_each_other_and_scopes_are_apart(catalog):
    for network in ("city", "Net3"):
        result = load_frames(catalog, pipes(network), name=network)
        assert "REF" not in result.findings and {o.scope for o in result.layers} == {network}
    load_frames(catalog, pipes("Net3", 2), name="Net3")
    assert query("SELECT network, count(*) FROM core.water_pipe GROUP BY 1 ORDER BY 1") == [("Net3", 2), ("city", 3)]
    assert query("SELECT geom FROM core.water_pipe WHERE ST_NDims(geom) <> 3") == []


def test_all_layers_or_none(catalog):
    frames = pipes("city")
    frames["water_pipe"] = frames["water_pipe"].assign(from_node=None)
    with pytest.raises(Rejected):
        load_frames(catalog, frames, name="city")
    assert query("SELECT (SELECT count(*) FROM core.water_node), (SELECT count(*) FROM core.water_pipe)") == [(0, 0)]


def test_nothing_refers_to_a_row_that_was_rejected(catalog):
    frames = pipes("city", 6)
    frames["water_node"].loc[6, "geometry"] = shapely.Point(9.5, 47.1)
    result = load_frames(catalog, {k: frames[k] for k in ("water_pipe", "water_node")}, name="city")
    assert {o.layer: (o.rows_read, o.rows_rejected) for o in result.layers} == {"water_node": (7, 1), "water_pipe": (6, 1)}
    assert (result.findings["GEO04"], result.findings["REF"]) == (1, 1)
    assert query("SELECT layer, src_row, codes FROM meta.reject ORDER BY 1") == [("water_node", 7, ["GEO04"]), ("water_pipe", 6, ["REF"])]


def test_nothing_refers_to_a_row_that_the_same_delivery_retires(catalog):
    first = load_frames(catalog, pipes("city", 6), name="city")
    frames = pipes("city", 6)
    frames["water_node"] = frames["water_node"].iloc[:6]
    frames["water_pipe"] = frames["water_pipe"].assign(diameter_mm=400.0)
    result = load_frames(catalog, frames, name="city")
    node, pipe = result.layers
    assert (node.retired, node.rows_rejected, pipe.rows_rejected, pipe.updated) == (1, 0, 1, 5) and result.findings["REF"] == 1
    assert query("SELECT pipe_id, diameter_mm, batch FROM core.water_pipe ORDER BY 1")[4:] == [
        ("P4", 400.0, result.batch),
        ("P5", 300.0, first.batch),
    ]


def test_what_a_network_has_no_more_is_retired_where_it_says_so(catalog):
    frames = pipes("Net3")
    load_frames(catalog, frames, name="Net3", scope="Net3")
    load_frames(catalog, pipes("city"), name="city", scope="city")
    result = load_frames(catalog, frames | {"water_pipe": frames["water_pipe"].iloc[:0]}, name="Net3", scope="Net3")
    assert [(o.layer, o.scope, o.retired) for o in result.layers] == [("water_node", "Net3", 0), ("water_pipe", "Net3", 3)]
    assert query("SELECT DISTINCT network FROM core.water_pipe") == [("city",)]


def test_the_callers_mistakes(catalog, facilities, deliver, tmp_path):
    with pytest.raises(NotFound, match="no layer 'facilty'"):
        load_files(catalog, "facilty", ["x.gpkg"])
    with pytest.raises(InputError, match="raster"):
        load_files(catalog, "dem", ["x.tif"])
    with pytest.raises(InputError, match="unknown mode"):
        deliver(facilities, mode="upsert")
    with pytest.raises(InputError, match="not split into scopes"):
        deliver(facilities, scope="city")
    with pytest.raises(NotFound, match="no field 'colour'"):
        deliver(facilities, constants={"colour": "red"})
    with pytest.raises(InputError, match="no source"):
        load_files(catalog, "facility", [])
    assert query("SELECT count(*) FROM meta.batch") == [(0,)]


def test_database_down(catalog, facilities, tmp_path, monkeypatch):
    from gis.settings import settings

    facilities.to_file(tmp_path / "a.gpkg", engine="pyogrio")
    monkeypatch.setenv("ONEMAP_DSN", "host=127.0.0.1 port=1 dbname=none user=none password=secret")
    settings.cache_clear()
    with pytest.raises(StoreError) as down:
        load_files(catalog, "facility", [tmp_path / "a.gpkg"])
    assert "secret" not in str(down.value) and down.value.exit_code == 1


def test_the_report_opens_in_a_spreadsheet_and_on_a_map(deliver, facilities, tmp_path):
    with pytest.raises(Rejected) as refused:
        deliver(facilities.assign(设施类型="=HYPERLINK()"))
    files = report.write(refused.value.result.batch, tmp_path / "report")
    assert [f.name for f in files] == ["findings.csv", "findings.geojson", "findings.gpkg"]
    raw = files[0].read_bytes()
    sheet = pd.read_csv(files[0])
    assert raw.startswith(b"\xef\xbb\xbf") and list(sheet["代码"].head(4)) == ["COD"] * 4 and sheet["值"][0] == "'=HYPERLINK()"
    places = geopandas.read_file(files[2])
    assert len(places) >= 4 and places.crs.to_epsg() == 4490 and places.geometry[0].x == 117.0


def test_a_source_above_the_limit_is_loaded_but_not_kept(deliver, facilities, monkeypatch):
    from gis.settings import settings

    monkeypatch.setenv("ONEMAP_SOURCES_MAX_BYTES", "10")
    settings.cache_clear()
    assert deliver(facilities).rows_loaded == 4 and query("SELECT count(*) FROM meta.source") == [(0,)]
