"""Two loads at once, lost connections, failures midway, large first loads: the old rows stay, the next load is clean."""

import threading

import geopandas
import pytest
import shapely
from deliveries import content, query

from gis.db.connection import owner
from gis.errors import SourceError, StoreError
from gis.ingest import load as loading
from gis.ingest.load import load_files

pytestmark = pytest.mark.usefixtures("store_db")


def test_two_loads_of_one_layer_at_once(deliver, facilities, monkeypatch):
    monkeypatch.setattr(loading, "_WAIT_S", 0.5)
    with owner() as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext('facility'))", (loading.LAYER_LOCK,))
        said = []
        with pytest.raises(StoreError, match="another load of facility is running"):
            deliver(facilities, progress=lambda what, done, total: said.append(what))
    assert said[0].startswith("waiting") and query("SELECT count(*) FROM meta.batch") == [(0,)]
    assert deliver(facilities).rows_loaded == 4


def test_a_second_load_waits_for_the_first(catalog, facilities, tmp_path):
    path = tmp_path / "a.gpkg"
    facilities.to_file(path, engine="pyogrio")
    results = []
    threads = [threading.Thread(target=lambda: results.append(load_files(catalog, "facility", [path]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(r.layers[0].inserted for r in results) == [0, 0, 4]


def kill_the_load(when):
    """A progress function under which the load's own connection to the database is cut when it reaches a step."""

    def progress(what, done, total):
        if what.startswith(when):
            query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")

    return progress


@pytest.mark.parametrize("step", ["reading", "checking", "publishing"])
def test_a_lost_connection_leaves_the_old_rows_and_the_next_load_is_clean(deliver, facilities, step):
    deliver(facilities)
    before = content("facility")
    with pytest.raises(StoreError):
        deliver(facilities.assign(容量=1), progress=kill_the_load(step))
    assert content("facility") == before
    assert query("SELECT status FROM meta.batch ORDER BY id DESC LIMIT 1") == [("loading",)]
    assert deliver(facilities.assign(容量=2)).layers[0].updated == 4
    assert query("SELECT status, message IS NOT NULL FROM meta.batch ORDER BY id") == [
        ("published", False),
        ("failed", True),
        ("published", False),
    ]


def test_a_failure_midway_marks_the_batch(deliver, facilities):
    def stop(what, done, total):
        if what.startswith("publishing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(facilities, progress=stop)
    assert query("SELECT status FROM meta.batch") == [("failed",)] and query("SELECT count(*) FROM core.facility") == [(0,)]


def test_a_source_that_ends_in_the_middle_loads_nothing(catalog, facilities, tmp_path):
    path = tmp_path / "facility.csv"
    good = "设施编号,设施名称,设施类型,lon,lat\n" + "".join(f"S{i},公园{i},公园,117,32\n" for i in range(600_000))
    path.write_bytes(good.encode() + b"S,\xff\xfe\xff,\n")
    with pytest.raises(SourceError):
        load_files(catalog, "facility", [path])
    assert query("SELECT count(*) FROM core.facility") == [(0,)]


def test_a_large_first_load_makes_its_indexes_again(catalog, tmp_path):
    n = 60_000
    frame = geopandas.GeoDataFrame(
        {"设施编号": [f"S{i}" for i in range(n)], "设施名称": "公园", "设施类型": "公园"},
        geometry=shapely.points([[116.9 + i / n / 10, 32.0] for i in range(n)]),
        crs=4490,
    )
    indexes = """SELECT indexname::text, indexdef, obj_description(format('core.%%I', indexname)::regclass)
                 FROM pg_indexes WHERE schemaname = 'core' AND tablename = 'facility' ORDER BY 1"""
    before = query(indexes)
    frame.to_file(tmp_path / "a.gpkg", engine="pyogrio")
    assert load_files(catalog, "facility", [tmp_path / "a.gpkg"]).rows_loaded == n
    assert query(indexes) == before and len(before) > 3
    with pytest.raises(StoreError):
        query(
            "INSERT INTO core.facility (facility_id, name, kind, geom)"
            " SELECT facility_id, name, kind, geom FROM core.facility LIMIT 1 RETURNING 1"
        )
