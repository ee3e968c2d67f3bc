"""`onemap load`, `rollback`, `batches` as programs and people call them."""

import json
import os
import signal
import subprocess
import sys

import prepared
import pytest
import wntr

from gis.settings import ROOT

pytestmark = pytest.mark.usefixtures("store_db")


def onemap(*words, timeout=120):
    done = subprocess.run(
        [prepared.command(), *map(str, words)],
        capture_output=True,
        timeout=timeout,
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def delivery(facilities, tmp_path):
    path = tmp_path / "facility.gpkg"
    facilities.to_file(path, engine="pyogrio")
    return path


def test_one_json_document_on_stdout_and_progress_on_stderr(delivery):
    code, out, err = onemap("load", "facility", delivery, "--json")
    answer = json.loads(out)
    assert code == 0 and set(answer) >= {"batch", "rows_read", "rows_loaded", "rows_rejected", "findings", "seconds"}
    assert (answer["rows_read"], answer["rows_loaded"], answer["rows_rejected"]) == (4, 4, 0)
    assert "reading facility" in err and "\x1b" not in err
    code, out, _ = onemap("batches", "--json")
    assert code == 0 and json.loads(out)[0]["status"] == "published"
    code, out, _ = onemap("rollback", answer["batch"], "--json")
    assert code == 0 and json.loads(out)["layers"][0]["retired"] == 4


def test_people_get_a_table(delivery):
    code, out, _ = onemap("load", "facility", delivery, "--dry-run")
    assert code == 0 and "dry_run" in out and "facility" in out


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (("facilty", "DELIVERY"), 2, "NotFound"),
        (("facility", "nowhere.gpkg"), 3, "SourceError"),
        (("facility", "DELIVERY", "--crs", "EPSG:1"), 2, "InputError"),
        (("facility", "DELIVERY", "--crs", "EPSG:4549"), 4, "Rejected"),
        (("facility", "DELIVERY", "--mode", "upsert"), 2, "InputError"),
        (("facility", "DELIVERY", "--set", "kind"), 2, "InputError"),
        (("facility", "DELIVERY", "--place", "32,117"), 2, "InputError"),
        (("facility", "DELIVERY", "--network", "city"), 2, "InputError"),
        (("epanet", "DELIVERY"), 2, "InputError"),
        (("osm", "DELIVERY"), 3, "SourceError"),
        (("raster", "dem", "DELIVERY"), 3, "SourceError"),
        (("facility", "DELIVERY", "--encoding", "klingon"), 0, None),
    ],
)
def test_exit_codes_and_json_of_faults(delivery, words, code, kind):
    got, out, err = onemap("load", *(delivery if w == "DELIVERY" else w for w in words), "--json")
    answer = json.loads(out)
    assert (got, answer.get("error", {}).get("code")) == (code, kind), out + err
    if kind:
        assert answer["error"]["what"] and str(delivery.parent) not in out


def test_a_refused_delivery_leaves_its_report(delivery, tmp_path, query):
    code, out, _ = onemap("load", "facility", delivery, "--set", "kind=鬼屋", "--report", tmp_path / "report", "--json")
    error = json.loads(out)["error"]
    assert code == 4 and error["findings"]["COD"] == 4 and error["result"]["rows_rejected"] == 4
    assert (tmp_path / "report" / "findings.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert query("SELECT status FROM meta.batch") == [("rejected",)]


def test_an_epanet_network(tmp_path):
    path = os.path.join(os.path.dirname(wntr.__file__), "library", "networks", "Net3.inp")
    code, out, err = onemap("load", "epanet", path, "--network", "Net3", "--json")
    answer = json.loads(out)
    assert code == 0, err
    assert {o["layer"]: (o["rows_loaded"], o["scope"]) for o in answer["layers"]} == {
        "water_node": (97, "Net3"),
        "water_pipe": (117, "Net3"),
        "water_valve": (4, "Net3"),
        "water_source": (5, "Net3"),
    }
    again = json.loads(onemap("load", "epanet", path, "--network", "Net3", "--json")[1])
    assert all((o["inserted"], o["updated"], o["retired"]) == (0, 0, 0) for o in again["layers"])


KILLED = """
import os, signal, sys
from gis.catalog import read
from gis.ingest.load import load_files
def progress(what, done, total):
    if what.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
load_files(read.catalog(), "facility", [sys.argv[1]], constants={"capacity": 7}, progress=progress)
"""


@pytest.mark.parametrize("step", ["reading", "checking", "publishing"])
def test_a_load_that_is_killed_leaves_the_old_rows_and_the_next_is_clean(delivery, query, step):
    assert onemap("load", "facility", delivery)[0] == 0
    before = query("SELECT facility_id, capacity, batch, recorded_from FROM core.facility ORDER BY 1")
    done = subprocess.run([sys.executable, "-c", KILLED, delivery, step], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert query("SELECT facility_id, capacity, batch, recorded_from FROM core.facility ORDER BY 1") == before
    code, out, err = onemap("load", "facility", delivery, "--json")
    assert code == 0 and json.loads(out)["layers"][0]["unchanged"] == 4, err
    assert [s for (s,) in query("SELECT status FROM meta.batch ORDER BY id")] == ["published", "failed", "published"]
