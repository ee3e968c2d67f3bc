"""Two loads at once, lost connections, failures midway, large first loads: the old rows stay, the next load is clean."""

import os
import subprocess
import sys
import threading

import geopandas
import pytest
import shapely
from deliveries import content, query

from gis.db import plan
from gis.db.connection import owner
from gis.errors import SourceError, StoreError
from gis.ingest import load as loading
from gis.ingest.load import load_files
from gis.ingest.rollback import rollback

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


@pytest.fixture
def large(tmp_path):
    """A first delivery that is worth a table of its own: the file, and how many rows it has."""
    n = 60_000
    frame = geopandas.GeoDataFrame(
        {"设施编号": [f"S{i}" for i in range(n)], "设施名称": "公园", "设施类型": "公园"},
        geometry=shapely.points([[116.9 + i / n / 10, 32.0] for i in range(n)]),
        crs=4490,
    )
    frame.loc[n - 1, "设施编号"] = "S7"
    frame.loc[n - 2, "设施类型"] = "鬼屋"
    frame.to_file(tmp_path / "a.gpkg", engine="pyogrio")
    return tmp_path / "a.gpkg", n - 2


LEFT = "SELECT count(*) FROM pg_class WHERE relnamespace = 'incoming'::regnamespace"


def test_a_process_killed_at_any_step_publishes_nothing_and_the_next_load_is_clean(catalog, large):
    path, rows = large
    for step in ("reading", "checking", "indexing", "publishing"):
        command = [sys.executable, "-m", "gis.cli.main", "load", "facility", str(path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=os.environ) as process:
            for line in process.stderr:
                if line.startswith(step):
                    process.kill()
                    break
        assert process.returncode == -9, f"it ended before {step}"
        assert query("SELECT count(*) FROM pub.facility") == [(0,)]
    assert load_files(catalog, "facility", [path]).rows_loaded == rows
    assert query("SELECT status, count(*) FROM meta.batch GROUP BY 1 ORDER BY 1") == [("failed", 4), ("published", 1)]
    assert query(LEFT) == [(0,)] and query("SELECT count(*) FROM stage.facility") == [(0,)]


@pytest.mark.parametrize("table", ["stage.facility", "core.facility", "history.facility"])
def test_a_full_disk_is_said_and_leaves_the_old_rows(deliver, facilities, table):
    deliver(facilities)
    before = content("facility")
    query(
        f"""CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END$$;
        CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION public.full(); SELECT 1"""
    )
    with pytest.raises(StoreError, match="disk is full"):
        deliver(facilities.assign(容量=1))
    assert content("facility") == before
    assert query("SELECT status, message FROM meta.batch ORDER BY id DESC LIMIT 1")[0][0] == "failed"
    query(f"DROP TRIGGER full_disk ON {table}; SELECT 1")
    assert deliver(facilities.assign(容量=2)).layers[0].updated == 4


def test_a_large_first_load_is_a_layer_like_any_other(catalog, large, facilities, deliver):
    path, rows = large
    described = """SELECT count(*) FILTER (WHERE obj_description(format('core.%%I', indexname)::regclass) IS NOT NULL),
                          (SELECT relacl::text FROM pg_class WHERE oid = 'core.facility'::regclass),
                          obj_description('core.facility'::regclass),
                          (SELECT count(*) FROM pg_description WHERE objoid = 'core.facility'::regclass)
                   FROM pg_indexes WHERE schemaname = 'core' AND tablename = 'facility'"""
    deliver(facilities.iloc[:1])
    rollback(catalog, 1)
    before, fid = query(described), query("SELECT max(fid) FROM history.facility")[0][0]
    first = load_files(catalog, "facility", [path])
    assert (first.rows_loaded, first.findings["DUP"], first.findings["COD"]) == (rows, 1, 1)
    assert query(described) == before and query(LEFT) == [(0,)]
    assert plan.plan(catalog) == [], "the layer is as its file says"
    assert query("SELECT min(fid) > %s, count(DISTINCT fid), count(DISTINCT recorded_from) FROM core.facility", fid) == [(True, rows, 1)]
    assert query("SELECT bool_and(recorded_from = b.recorded_at) FROM pub.facility f JOIN meta.batch b ON b.id = f.batch") == [(True,)]
    whole = content("facility")
    second = deliver(facilities.assign(设施编号=["N1", "N2", "N3", "N4"]), mode="append")
    assert second.layers[0].inserted == 4
    rollback(catalog, second.batch)
    assert content("facility") == whole
    again = load_files(catalog, "facility", [path]).layers[0]
    assert (again.inserted, again.updated, again.retired, again.unchanged) == (0, 0, 0, rows)
    rollback(catalog, first.batch)
    assert query("SELECT (SELECT count(*) FROM core.facility), (SELECT count(*) FROM history.facility)") == [(0, rows + 5)]


def test_a_large_dry_run_leaves_nothing(catalog, large):
    path, rows = large
    result = load_files(catalog, "facility", [path], dry_run=True, workers=1)
    assert (result.status, result.layers[0].inserted, result.findings["DUP"]) == ("dry_run", rows, 1)
    assert query(LEFT) == [(0,)] and query("SELECT count(*) FROM core.facility") == [(0,)]


def test_a_row_put_into_the_layer_while_it_is_loaded_is_not_lost(catalog, large):
    path, _ = large

    def edit(what, done, total):
        if what.startswith("publishing"):
            query(
                "INSERT INTO core.facility (facility_id, name, kind, geom) SELECT 'E1', '新', 'park', 'SRID=4490;POINT(117 32)' RETURNING 1"
            )

    with pytest.raises(StoreError, match="edited while it was loaded"):
        load_files(catalog, "facility", [path], progress=edit)
    assert query("SELECT facility_id FROM core.facility") == [("E1",)]


def test_a_large_first_load_makes_its_indexes_again(catalog, large):
    path, rows = large
    indexes = """SELECT indexname::text, indexdef, obj_description(format('core.%%I', indexname)::regclass)
                 FROM pg_indexes WHERE schemaname = 'core' AND tablename = 'facility' ORDER BY 1"""
    before = query(indexes)
    assert load_files(catalog, "facility", [path]).rows_loaded == rows
    assert query(indexes) == before and len(before) > 3
    with pytest.raises(StoreError):
        query(
            "INSERT INTO core.facility (facility_id, name, kind, geom)"
            " SELECT facility_id, name, kind, geom FROM core.facility LIMIT 1 RETURNING 1"
        )
