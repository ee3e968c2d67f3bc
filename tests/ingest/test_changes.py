"""Change sets: what is inserted, modified and retired by key, what others changed meanwhile, and what hangs on what is retired."""

import json

import geopandas
import pandas as pd
import pytest
import shapely
from deliveries import content, pipes, query

from gis.errors import InputError, NotFound
from gis.ingest.load import Rejected, load_frames
from gis.ingest.rollback import rollback

pytestmark = pytest.mark.usefixtures("store_db")


@pytest.fixture
def change(facilities):
    """A change set: S1 stays, S2 is modified, S3 retired, S9 new."""
    rows = facilities.assign(操作=["修改", "U", "注销", "新增"])
    rows["容量"] = [1800, 700, None, 50]
    rows.loc[3, "设施编号"] = "S9"
    rows.loc[2, ["设施名称", "设施类型", "地址"]] = None  # of a row to be retired only the key counts
    return rows


def counts(result):
    (o,) = result.layers
    return o.inserted, o.updated, o.retired, o.unchanged, o.conflicts


def test_a_change_set_inserts_modifies_and_retires(deliver, facilities, change, catalog):
    deliver(facilities)
    before = content("facility")
    dry = deliver(change, mode="update", dry_run=True)
    assert counts(dry) == (1, 1, 1, 1, 0) and content("facility") == before
    result = deliver(change, mode="update")
    assert counts(result) == (1, 1, 1, 1, 0) and (result.rows_read, result.rows_rejected) == (4, 0)
    assert query("SELECT facility_id, capacity FROM core.facility ORDER BY 1") == [("S1", 1800), ("S2", 700), ("S4", None), ("S9", 50)]
    assert query("SELECT facility_id FROM history.facility ORDER BY 1") == [("S2",), ("S3",)], "only what differs goes to history"
    again = deliver(change, mode="update")
    assert counts(again) == (0, 0, 0, 4, 0) and again.findings["CHG04"] == 1
    rollback(catalog, result.batch)
    assert content("facility") == before


def test_a_full_delivery_puts_only_its_differences_into_history(deliver, facilities):
    deliver(facilities)
    result = deliver(facilities.assign(容量=[1800, 600, 241, None]))
    assert counts(result) == (0, 1, 0, 3, 0) and query("SELECT facility_id FROM history.facility") == [("S3",)]


def test_operations_that_do_not_fit_reject_their_rows(deliver, facilities, change):
    deliver(facilities)
    rows = pd.concat([change] * 3, ignore_index=True)
    rows["设施编号"] = [f"N{i}" for i in range(12)]
    rows["设施名称"], rows["设施类型"] = "新", "公园"
    rows["操作"] = "I"
    rows.loc[0, ["设施编号", "操作"]] = ["S1", "新增"]
    rows.loc[1, "操作"] = "U"
    rows.loc[2, "操作"] = "D"
    rows.loc[3, "操作"] = "升级"
    rows.loc[4, ["设施编号", "操作"]] = ["S4", "D"]
    rows.loc[5, "设施编号"] = "S4"
    result = deliver(rows, mode="update")
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (12, 6, 6)
    assert {k: n for k, n in result.findings.items() if k.startswith("CHG")} == {"CHG01": 1, "CHG02": 2, "CHG03": 2, "CHG06": 1, "CHG07": 1}
    assert query("SELECT src_row, codes FROM meta.reject ORDER BY 1") == [
        (1, ["CHG02"]), (2, ["CHG03"]), (3, ["CHG03"]), (4, ["CHG01"]), (5, ["CHG06"]), (6, ["CHG02"]),
    ]  # fmt: skip


def test_the_operations_column_has_any_name(deliver, facilities, change):
    deliver(facilities)
    result = deliver(change.rename(columns={"操作": "干什么"}), mode="update", operation="干什么")
    assert counts(result) == (1, 1, 1, 1, 0) and "MAP01" not in result.findings
    with pytest.raises(InputError, match="no column 'what'"):
        deliver(change, mode="update", operation="what")
    with pytest.raises(InputError, match="mode replace"):
        deliver(change, operation="操作")


def test_what_an_update_does_not_speak_of_stays(deliver, facilities):
    deliver(facilities)
    result = deliver(facilities.iloc[[1]][["设施编号", "容量", "geometry"]].assign(容量=601), mode="update")
    assert counts(result) == (0, 1, 0, 0, 0) and result.rows_rejected == 0
    assert query("SELECT name, kind, capacity FROM core.facility WHERE facility_id = 'S2'") == [("县医院", "hospital", 601)]
    with pytest.raises(Rejected):
        deliver(facilities.iloc[[1]][["设施编号", "容量", "geometry"]].assign(设施编号="S8"), mode="update")


@pytest.mark.parametrize("by", ["batch", "day", "version"])
def test_what_others_changed_since_the_cut_is_not_overwritten(deliver, facilities, by):
    first = deliver(facilities)
    deliver(facilities.iloc[[1]].assign(容量=650), mode="update")
    mine = facilities.assign(容量=[1801, 700, 240, None], 版本=str(first.batch))
    moment = query("SELECT recorded_at FROM meta.batch WHERE id = %s", first.batch)[0][0]
    how = {"batch": {"cut": str(first.batch)}, "day": {"cut": moment.isoformat()}, "version": {"version": "版本"}}[by]
    result = deliver(mine, mode="update", **how)
    assert counts(result) == (0, 1, 0, 2, 1) and result.rows_rejected == 1
    assert query("SELECT capacity FROM core.facility WHERE facility_id IN ('S1', 'S2') ORDER BY facility_id") == [(1801,), (650,)]
    ((field, value),) = query("SELECT field, value FROM meta.finding WHERE code = 'CHG05' AND batch = %s", result.batch)
    assert field == "capacity" and json.loads(value) == {"capacity": [700, 650]}


def test_a_full_delivery_does_not_retire_what_came_after_its_cut(deliver, facilities):
    first = deliver(facilities.iloc[:3])
    deliver(facilities.iloc[[3]], mode="append")
    result = deliver(facilities.iloc[:2], cut=str(first.batch))
    assert counts(result)[2] == 1 and result.findings["CHG05"] == 1
    assert query("SELECT facility_id FROM core.facility ORDER BY 1") == [("S1",), ("S2",), ("S4",)]
    with pytest.raises(NotFound):
        deliver(facilities, cut="999")
    with pytest.raises(InputError):
        deliver(facilities, cut="yesterday")


def test_a_node_that_pipes_need_is_not_retired_alone(catalog):
    load_frames(catalog, pipes("city", 3), name="city")
    before = content("water_node"), content("water_pipe")
    with pytest.raises(Rejected) as refused:
        load_frames(catalog, {"water_node": pipes("city", 3)["water_node"].iloc[:3]}, name="nodes only")
    assert refused.value.findings["LOD03"] == 1 and (content("water_node"), content("water_pipe")) == before
    batch = refused.value.result.batch
    ((layer, key, field, value, kind),) = query(
        "SELECT layer, key, field, value, GeometryType(geom) FROM meta.finding WHERE batch = %s AND code = 'LOD03'", batch
    )
    assert (layer, key, field, value, kind) == ("water_pipe", "city:P2", "to_node", "N3", "LINESTRING")


def test_of_many_that_need_what_is_retired_the_first_are_named_and_the_others_counted(catalog):
    n = 1_500
    city = pipes("city", n)
    city = {k: v.set_geometry(shapely.transform(v.geometry.values, lambda p: [117, 32] + (p - [117, 32]) / 50)) for k, v in city.items()}
    load_frames(catalog, {k: v.set_crs(4490, allow_override=True) for k, v in city.items()}, name="city")
    with pytest.raises(Rejected) as refused:
        load_frames(catalog, {"water_node": city["water_node"].iloc[:1].set_crs(4490, allow_override=True)}, name="one node")
    rows = query(
        "SELECT field, count(key), sum(value::int) FILTER (WHERE key IS NULL) FROM meta.finding"
        " WHERE batch = %s AND code = 'LOD03' GROUP BY field",
        refused.value.result.batch,
    )
    assert sorted(rows) == [("from_node", 1000, n - 1 - 1000), ("to_node", 1000, n - 1000)]
    assert query("SELECT count(*) FROM core.water_node") == [(n + 1,)]


def test_what_can_do_without_is_told_and_stays(catalog):
    building = geopandas.GeoDataFrame(
        {"building_id": ["B1", "B2"], "use": "residential"}, geometry=[shapely.box(117, 32, 117.001, 32.001)] * 2, crs=4490
    )
    address = geopandas.GeoDataFrame(
        {"address_id": ["A1"], "full_text": "府前街1号", "level": "gate", "building_id": "B2"},
        geometry=[shapely.Point(117, 32)],
        crs=4490,
    )
    load_frames(catalog, {"building": building, "address": address}, name="city")
    result = load_frames(catalog, {"building": building.iloc[:1]}, name="buildings")
    assert result.findings == {"LOD03": 1} and result.layers[0].retired == 1
    assert query("SELECT key FROM meta.finding WHERE batch = %s", result.batch) == [("A1",)]
