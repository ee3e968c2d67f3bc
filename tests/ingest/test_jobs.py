"""Scheduled loads: the file is judged line by line, a run is a load with a history, the clock forgets nothing and repeats nothing."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import threading
import time

import geopandas
import pytest
from test_command import onemap

from etl import history, jobs, runs
from etl.schedule import Scheduler
from gis.api import metrics
from gis.cli.jobs import fault_of_arguments
from gis.db.connection import owner
from gis.errors import DefinitionError, InputError, NotFound
from gis.settings import ROOT, settings

UTC = dt.UTC


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the file of jobs of this test and reads it."""

    def go(text: str) -> jobs.Jobs:
        path = tmp_path / "jobs.yaml"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setenv("ONEMAP_JOBS", str(path))
        settings.cache_clear()
        return jobs.read(path)

    yield go
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def delivery(facilities, tmp_path):
    path = tmp_path / "facility.gpkg"
    facilities.to_file(path, engine="pyogrio")
    return path


ONE = "jobs:\n  night: {load: facility, source: facility.gpkg, when: '30 2 * * *', settle_s: 0}\n"

# --- the file ---------------------------------------------------------------------------------------------------------


def faults(text, tmp_path, catalog):
    path = tmp_path / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    return [str(fault) for fault in jobs.faults(path, catalog, fault_of_arguments)]


def test_a_sound_file(catalog, tmp_path):
    text = """
timezone: Asia/Shanghai
jobs:
  plates:
    load: doorplates
    source: /srv/deliveries/plates/*.csv.gz
    when: "30 2 * * 1-5"
    crs: EPSG:4490
    encoding: GBK
    report: reports/plates
  network:
    load: epanet
    source: city.inp
    options: {network: city, place: "117.0,32.0", isolation: "TCV,GPV"}
  roads: {load: road, source: [a.gpkg, b.gpkg], pick: all, mode: update, options: {set: {class: branch}, map: {road_id: ID}}}
  height: {load: dem, source: dem.tif}
  whole: {load: city, source: "delivery-*"}
"""
    assert faults(text, tmp_path, catalog) == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("jobs:\n  a:\n    load: facilty\n    source: x.csv\n", 3, "neither a layer nor a kind"),
        ("jobs:\n  a:\n    load: facility\n    source: x.csv\n    when: '61 2 * * *'\n", 5, "names no time"),
        ("jobs:\n  a:\n    load: facility\n    source: x.csv\n    when: '0 0 30 2 *'\n", 5, "names no time"),
        ("jobs:\n  a:\n    load: facility\n    source: x.csv\n    when: 2 o'clock\n", 5, "fields"),
        ("jobs:\n  a:\n    load: facility\n    source: https://example.org/x.csv\n", 4, "no file of this machine"),
        ("jobs:\n  a:\n    load: facility\n    source: /vsicurl/x.csv\n", 4, "no file of this machine"),
        ("jobs:\n  a:\n    load: facility\n    source: []\n", 4, "empty"),
        ("jobs:\n  a:\n    load: facility\n    source: x.csv\n    options:\n      colour: red\n", 5, "No such option"),
        ("jobs:\n  a:\n    load: facility\n    source: x.csv\n    options: {unit: wide}\n", 5, "valid number"),
        ("jobs:\n  a:\n    load: facility\n    source: x.csv\n    options:\n      json: true\n", 6, "no option here"),
        ("timezone: Asia/Nowhere\njobs: {}\n", 1, "time zone"),
        ("jobs:\n  a: {load: city, source: d, mode: append}\n", 2, "without options"),
        ("jobs:\n  a: {load: road, source: d, report: r}\n  b: {load: road, source: e, report: r}\n", 3, "same folder"),
    ],
)
def test_every_fault_is_told_with_its_line(text, line, said, catalog, tmp_path):
    found = faults(text, tmp_path, catalog)
    assert len(found) == 1 and said in found[0] and f"line {line}" in found[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jobs:\n  a:\n    lod: facility\n    source: x\n", "line 3.*Did you mean `load`"),
        ("jobs:\n  a:\n    source: x\n", "`load` is missing.*line 2"),
        ("jobs:\n  Ä b:\n    load: road\n    source: x\n", "line 2"),
        ("jobs:\n  a: {load: road, source: x, mode: upsert}\n", "line 2"),
        ("jobs: [", "not YAML"),
    ],
)
def test_a_file_of_the_wrong_form_is_refused_with_its_line(text, said, catalog, tmp_path):
    with pytest.raises(DefinitionError) as refused:
        faults(text, tmp_path, catalog)
    import re

    assert re.search(said, str(refused.value)) and str(tmp_path) not in str(refused.value)


def test_the_shipped_file_is_sound(catalog):
    path = ROOT / "layers" / "jobs.yaml"
    assert jobs.faults(path, catalog, fault_of_arguments) == []


def test_times_are_those_of_the_citys_clock(write):
    found = write("timezone: Asia/Shanghai\n" + ONE)
    due = found.next_time(found.job("night"), dt.datetime(2026, 3, 1, 19, 0, tzinfo=UTC))
    assert due.astimezone(UTC) == dt.datetime(2026, 3, 2, 18, 30, tzinfo=UTC)


def test_which_files_a_run_takes(write, catalog, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n, name in enumerate(("facility.csv", "设施-1.gpkg", "设施-2.gpkg", "readme.txt")):
        (folder / name).write_text(name)
        os.utime(folder / name, (n, n))

    def names(**given):
        found = write("jobs: " + json.dumps({"a": {"load": "facility"} | given}))
        return [p.name for p in found.files(found.job("a"), catalog)]

    assert names(source="in") == ["设施-2.gpkg"], "the newest that the layer file expects"
    assert names(source="in", pick="all") == ["facility.csv", "设施-1.gpkg", "设施-2.gpkg"]
    assert names(source="in/*.gpkg") == ["设施-2.gpkg"] and names(source=str(folder / "facility.csv")) == ["facility.csv"]
    assert names(source="*/readme.txt") == ["readme.txt"] and names(source=".", load="city") == [tmp_path.name]


# --- a run ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("store_db")
def test_a_run_loads_and_an_unchanged_source_is_left_alone(write, delivery, facilities, catalog, query):
    found = write(ONE)
    _, first = runs.run(found, "night", catalog)
    assert (first.status, first.exit_code, first.counts()["inserted"]) == ("done", 0, 4)
    _, second = runs.run(found, "night", catalog)
    assert second.status == "unchanged" and f"batch {first.batches[0]}" in second.message and second.batches == []
    _, forced = runs.run(found, "night", catalog, force=True)
    counts = forced.counts()
    assert forced.status == "done" and (counts["inserted"], counts["updated"], counts["retired"], counts["unchanged"]) == (0, 0, 0, 4)
    facilities.iloc[:3].to_file(delivery, engine="pyogrio")
    _, third = runs.run(found, "night", catalog)
    assert third.status == "done" and third.counts()["retired"] == 1
    _, rehearsed = runs.run(found, "night", catalog, dry_run=True)
    assert rehearsed.status == "dry_run"
    told = history.runs(found, "night")
    assert [run["status"] for run in told] == ["dry_run", "done", "done", "unchanged", "done"]
    assert told[1]["batches"] == third.batches and told[1]["source"] == "facility.gpkg" and told[1]["finished_at"] > told[1]["started_at"]
    assert query("SELECT count(*) FROM meta.batch WHERE status = 'published'") == [(3,)]


@pytest.mark.usefixtures("store_db")
def test_a_refused_delivery_stays_refused_until_another_comes(write, delivery, facilities, catalog):
    found = write(ONE)
    facilities.assign(设施类型="不明").to_file(delivery, engine="pyogrio")
    for _ in range(2):
        _, outcome = runs.run(found, "night", catalog)
        assert (outcome.status, outcome.exit_code) == ("rejected", 4) and "refused" in outcome.message
    first, second = reversed(history.runs(found, "night"))
    assert first["rows_rejected"] == first["rows_read"] == 4 and first["error"]["code"] == "Rejected"
    assert second["message"].startswith("the source is unchanged since it was refused") and second["batches"] == []
    facilities.to_file(delivery, engine="pyogrio")
    assert runs.run(found, "night", catalog)[1].status == "done"
    assert not history.jobs(found)[0]["failing"]


@pytest.mark.usefixtures("store_db")
def test_what_is_not_there_or_is_damaged_is_a_failed_run_with_its_reason(write, delivery, catalog):
    found = write(ONE)
    delivery.write_bytes(delivery.read_bytes()[:5000])
    _, damaged = runs.run(found, "night", catalog)
    assert (damaged.status, damaged.exit_code) == ("rejected", 3) and "facility.gpkg" in damaged.message
    delivery.unlink()
    _, gone = runs.run(found, "night", catalog)
    assert (gone.status, gone.exit_code) == ("failed", 3) and "nothing is there" in gone.message
    assert [run["status"] for run in history.runs(found, "night")] == ["failed", "rejected"]
    with pytest.raises(NotFound, match="no job"):
        runs.run(found, "day", catalog)


@pytest.mark.usefixtures("store_db")
def test_a_job_runs_once_at_a_time_and_a_killed_run_is_called_interrupted(write, delivery, catalog):
    found = write(ONE)
    with owner(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext('night'))", (runs.JOB_LOCK,))
        cursor.execute("INSERT INTO meta.job_run (job, trigger) VALUES ('night', 'schedule')")
        with pytest.raises(InputError, match="runs already"):
            runs.run(found, "night", catalog)
    assert runs.run(found, "night", catalog)[1].status == "done"
    assert [run["status"] for run in history.runs(found, "night")] == ["done", "interrupted"]


@pytest.mark.usefixtures("store_db")
def test_a_load_that_dies_or_takes_too_long_is_a_failed_run(write, delivery, catalog, monkeypatch):
    found = write(ONE)
    killed = [sys.executable, "-c", "import os, signal, sys; print('half way', file=sys.stderr); os.kill(os.getpid(), signal.SIGKILL)"]
    monkeypatch.setattr(runs, "_bound_to_us", lambda _: killed)
    _, outcome = runs.run(found, "night", catalog)
    assert (outcome.status, outcome.exit_code) == ("failed", 1) and "signal 9" in outcome.message and "half way" in outcome.message
    monkeypatch.setattr(runs, "_bound_to_us", lambda _: [sys.executable, "-c", "import time; time.sleep(60)"])
    slow = found.model_copy(update={"jobs": {"night": found.job("night").model_copy(update={"longest_minutes": 1 / 60})}})
    _, outcome = runs.run(slow, "night", catalog)
    assert outcome.status == "failed" and "longer than it may" in outcome.message
    monkeypatch.undo()


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock():
    """`tick(now)` of one scheduler; answers the jobs that ran."""
    scheduler = Scheduler(threading.Event(), "test")

    def tick(*moment) -> list[str]:
        with owner(autocommit=True) as connection, connection.cursor() as cursor:
            return scheduler.tick(cursor, dt.datetime(*moment, tzinfo=UTC))

    return tick


@pytest.mark.usefixtures("store_db")
def test_a_missed_time_is_made_up_for_once(write, delivery, clock, query):
    write("timezone: UTC\n" + ONE)
    assert clock(2026, 3, 1, 12, 0) == [] and query("SELECT next_at FROM meta.scheduled_job")[0][0].day == 2
    assert clock(2026, 3, 2, 2, 29) == [] and clock(2026, 3, 2, 2, 30) == ["night"] and clock(2026, 3, 2, 2, 31) == []
    # five days off: one run, then the next night
    assert clock(2026, 3, 7, 9, 0) == ["night"] and clock(2026, 3, 7, 9, 1) == []
    assert query("SELECT next_at AT TIME ZONE 'UTC' FROM meta.scheduled_job") == [(dt.datetime(2026, 3, 8, 2, 30),)]
    assert query("SELECT due_at AT TIME ZONE 'UTC', status FROM meta.job_run ORDER BY id") == [
        (dt.datetime(2026, 3, 2, 2, 30), "done"), (dt.datetime(2026, 3, 3, 2, 30), "unchanged")]  # fmt: skip


@pytest.mark.usefixtures("store_db")
def test_other_times_disabled_jobs_and_a_broken_file(write, delivery, clock, query):
    write("timezone: UTC\n" + ONE)
    clock(2026, 3, 1, 12, 0)
    path = settings().jobs_file
    path.write_text("timezone: UTC\n" + ONE.replace("30 2", "0 13"))
    os.utime(path, (1, 1))
    assert clock(2026, 3, 1, 12, 1) == [] and clock(2026, 3, 1, 13, 0) == ["night"]
    path.write_text("jobs: [")
    os.utime(path, (2, 2))
    assert clock(2026, 3, 2, 13, 0) == ["night"], "the last good file stays"
    path.write_text("timezone: UTC\n" + ONE.replace("settle_s: 0", "enabled: false"))
    os.utime(path, (3, 3))
    assert clock(2026, 3, 3, 13, 0) == [] and query("SELECT * FROM meta.scheduled_job") == []


@pytest.mark.usefixtures("store_db")
def test_a_file_that_is_still_being_written_is_waited_for(write, delivery, clock, query):
    write("timezone: UTC\n" + ONE.replace("settle_s: 0", "settle_s: 60"))
    clock(2026, 3, 1, 12, 0)
    assert clock(2026, 3, 2, 2, 30) == [] and "facility.gpkg was written" in query("SELECT note FROM meta.scheduled_job")[0][0]
    os.utime(delivery, (time.time() - 61,) * 2)
    assert clock(2026, 3, 2, 2, 31) == ["night"] and query("SELECT note FROM meta.scheduled_job") == [(None,)]


@pytest.mark.usefixtures("store_db")
def test_a_run_that_takes_the_worker_down_is_repeated_thrice_and_then_given_up(write, delivery, clock, query):
    write("timezone: UTC\n" + ONE)
    clock(2026, 3, 1, 12, 0)
    died = "INSERT INTO meta.job_run (job, trigger, due_at, status)"
    died += " VALUES ('night', 'schedule', '2026-03-02 02:30Z', 'interrupted') RETURNING 1"
    query(died), query(died)
    assert clock(2026, 3, 2, 3, 0) == ["night"] and query("SELECT status FROM meta.job_run ORDER BY id DESC LIMIT 1") == [("done",)]
    died = died.replace("-02 ", "-03 ")
    for _ in range(3):
        query(died)
    assert clock(2026, 3, 3, 3, 0) == ["night"]
    assert query("SELECT status, message FROM meta.job_run ORDER BY id DESC LIMIT 1") == [
        ("failed", "given up: it was interrupted too often")
    ]


@pytest.mark.usefixtures("store_db")
def test_the_worker_keeps_the_times_survives_a_kill_and_yields_to_another(write, delivery, query):
    found = write("timezone: UTC\n" + ONE)
    query("INSERT INTO meta.scheduled_job (job, times, next_at) VALUES ('night', '30 2 * * * UTC', now() - interval '3 days') RETURNING 1")
    command = [sys.executable, "-m", "gis.cli.main", "worker"]
    one, two = (subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2))
    try:
        _until(lambda: history.runs(found, "night") and history.runs(found, "night")[0]["status"] == "done")
        time.sleep(1)
        assert len(history.runs(found, "night")) == 1 and history.scheduler()["alive"], "two workers, one run"
        keeper = one if history.scheduler()["worker"].endswith(f":{one.pid}") else two
        keeper.send_signal(signal.SIGKILL)
        query("UPDATE meta.scheduled_job SET next_at = now() RETURNING 1")
        _until(lambda: len(history.runs(found, "night")) == 2)
        assert history.runs(found, "night")[0]["status"] in ("running", "unchanged")
    finally:
        for process in (one, two):
            process.terminate()
        assert {process.wait(30) for process in (one, two)} == {0, -signal.SIGKILL}


def _until(true, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.2)


# --- what people and programs see -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("store_db")
def test_the_commands(write, delivery, facilities, tmp_path):
    write(ONE.replace("settle_s: 0", "settle_s: 0, report: reports") + "  lost: {load: road, source: nothing.gpkg}\n")
    code, out, _ = onemap("jobs", "check", "--json")
    assert code == 0 and {job["job"]: job["found"] for job in json.loads(out)["jobs"]} == {"night": "facility.gpkg", "lost": None}
    code, out, _ = onemap("jobs", "run", "night", "--json")
    answer = json.loads(out)
    assert code == 0 and answer["rows_read"] == answer["rows_loaded"] + answer["rows_rejected"] == 4 and len(answer["batches"]) == 1
    assert (tmp_path / "reports" / "findings.csv").exists()
    assert onemap("jobs", "run", "night", "--dry-run")[0] == 0
    code, out, _ = onemap("jobs", "run", "lost", "--json")
    assert code == 3 and json.loads(out)["error"]["code"] == "SourceError" and json.loads(out)["error"]["run"]["status"] == "failed"
    code, out, _ = onemap("jobs", "list", "--json")
    listed = {job["job"]: job for job in json.loads(out)["jobs"]}
    assert code == 0 and listed["night"]["batches"] == answer["batches"] and listed["night"]["next"] and listed["lost"]["failing"]
    code, out, _ = onemap("jobs", "list", "--failing")
    assert code == 1 and "lost" in out and "night" not in out
    code, out, _ = onemap("jobs", "list", "night", "--limit", "1")
    assert code == 0 and "dry_run" in out
    assert onemap("jobs", "list", "nobody")[0] == 2
    exposed = metrics.exposition().decode()
    assert 'onemap_job_last_failed{job="lost"} 1.0' in exposed and 'onemap_job_last_failed{job="night"} 0.0' in exposed
    assert 'onemap_job_last_rows_loaded{job="night"} 4.0' in exposed and "onemap_database_up 1.0" in exposed
    (tmp_path / "jobs.yaml").write_text("jobs:\n  a:\n    load: facilty\n    source: x\n")
    code, out, _ = onemap("jobs", "check", "--json")
    assert code == 2 and json.loads(out)["error"]["faults"][0]["where"].endswith("line 3, key jobs.a.load")


def test_figures_without_a_database(monkeypatch):
    monkeypatch.setenv("ONEMAP_DSN", "host=127.0.0.1 port=9 dbname=none")
    settings.cache_clear()
    assert "onemap_database_up 0.0" in metrics.exposition().decode()
    monkeypatch.undo()
    settings.cache_clear()


def test_a_shapefile_is_the_same_only_with_all_its_parts(write, tmp_path, facilities, catalog):
    geopandas.GeoDataFrame({"n": [1]}, geometry=facilities.geometry[:1], crs=4490).to_file(tmp_path / "a.shp", engine="pyogrio")
    found = write("jobs:\n  a: {load: facility, source: a.shp}\n")
    job = found.job("a")
    files = found.files(job, catalog)
    before = jobs.digest(job, files)
    assert jobs.digest(job, files) == before
    (tmp_path / "a.dbf").write_bytes((tmp_path / "a.dbf").read_bytes().replace(b"1", b"2"))
    assert jobs.digest(job, files) != before
    assert jobs.digest(job.model_copy(update={"mode": "append"}), files) != jobs.digest(job, files)
