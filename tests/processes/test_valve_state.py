"""Valves that are turned: the next answer counts with it, in every process, the past stays, and who may not cannot."""

import datetime as dt
import json
import subprocess

import prepared
import pytest
from test_burst import burst
from typer.testing import CliRunner

from gis.access.audit import entries
from gis.catalog.read import catalog
from gis.cli.main import application
from gis.cli.typed import inputs_of
from gis.db.connection import writing
from gis.db.store import Store
from gis.db.valve_states import Report, report
from gis.errors import AccessDenied, InputError, NotOnNetwork, SourceError
from gis.ingest.rollback import rollback
from gis.processes import valve_state
from gis.settings import ROOT


def turn(role="water", **inputs):
    with Store(role, "li") as store:
        return valve_state.run(store, inputs_of(valve_state.ValveStateInputs, inputs))


def command(*arguments):
    """The answer of `onemap` in a process of its own."""
    done = subprocess.run([prepared.command(), *arguments, "--json"], capture_output=True, cwd=ROOT, check=True)
    return json.loads(done.stdout)


def test_two_processes_see_a_turned_valve_in_their_next_answer(street):
    assert burst(pipe="SA")["valves"]["optional"] == ["VAB"]
    assert command("valve", "set", "VAB", "--live", "closed", "--reason", "抢修")["changed"]
    assert burst(pipe="SA")["valves"]["already_closed"] == ["VAB"]
    turn(valve="VAB", live="open")
    assert command("burst", "--pipe", "SA")["valves"]["optional"] == ["VAB"]


def test_a_valve_that_cannot_be_reached_or_turned_is_not_proposed(street):
    for what in ("operable", "accessible"):
        turn(valve="VAB", **{what: False})
        found = burst(pipe="AB")["valves"]
        assert found["close"] == ["VSA"] and found["stuck"] == ["VAB"]
        turn(valve="VAB", **{what: True})
    assert burst(pipe="AB")["valves"]["close"] == ["VAB"]


def test_the_state_of_then_is_kept_and_the_edit_can_be_taken_back(street):
    with Store() as store:
        before = dt.datetime.now().astimezone()
    done = turn(valve="VAB", live="closed", reason="检修")
    with Store() as store:
        where = {"valve_id": "VAB"}
        then = store.frame("water_valve", ["live_status"], where=where, as_of=before, geometry=False)
        now = store.frame("water_valve", ["live_status"], where=where, geometry=False)
    assert then["live_status"].isna().all() and list(now["live_status"]) == ["closed"]
    rollback(catalog(), done["batch"])
    assert burst(pipe="SA")["valves"]["optional"] == ["VAB"]


def test_what_changes_nothing_is_no_new_version(street):
    first = turn(valve="VAB", live="closed")
    again = turn(valve="VAB", live="closed")
    assert first["changed"] and not again["changed"] and again["batch"] is None
    assert first["data_version"] == again["data_version"]
    assert turn(valve="VAB", live="unknown")["live_status"] == "unknown"


def test_only_those_who_may_write_valves_do(street):
    for role in ("planner", "anonymous", "gas"):
        with pytest.raises(AccessDenied):
            turn(role, valve="VAB", live="closed")
    with pytest.raises(AccessDenied), writing("planner", "wang") as connection:
        report(connection, "city", [Report("VAB", "closed")], source="", reason="", operator="wang")
    turn(valve="VAB", live="closed", reason="检修")
    row = entries(layer="water_valve")[0]
    assert (row["user"], row["role"], row["action"], row["detail"]["changed"]) == ("li", "water", "edit", ["VAB"])


def test_wrong_reports_are_named_and_change_nothing(street):
    for inputs in ({}, {"live": "ajar"}, {"live": "open", "at": "2999-01-01T00:00:00+08:00"}):
        with pytest.raises(InputError):
            turn(valve="VAB", **inputs)
    with pytest.raises(NotOnNetwork, match="V9"):
        turn(valve="V9", live="closed")
    with Store() as store, pytest.raises(NotOnNetwork):
        valve_state.reported(store, "city", [Report("VAB", "closed"), Report("V9", "closed")], source="", reason="")
    assert burst(pipe="SA")["valves"]["optional"] == ["VAB"]


def test_telemetry_the_newest_state_of_a_valve_counts(street, tmp_path):
    file = tmp_path / "scada.csv"
    run = CliRunner()

    def load(text, encoding="utf-8"):
        file.write_bytes(text.encode(encoding))
        return run.invoke(application(), ["valve", "states", str(file), "--json"])

    lines = "valve_id,status,at\nVAB,关,2026-01-02T08:00\nVAB,open,2026-01-01T08:00\nV9,open,2026-01-01T08:00\n"
    answer = json.loads(load(lines, "gb18030").stdout)
    assert answer["changed"] == ["VAB"] and answer["unknown"] == ["V9"] and answer["rows_read"] == 3
    late = json.loads(load("valve_id,status,at\nVAB,open,2026-01-01T09:00\n").stdout)
    assert late["outdated"] == ["VAB"] and late["changed"] == []
    assert burst(pipe="SA")["valves"]["already_closed"] == ["VAB"]
    for wrong in ("valve_id,at\nVAB,2026-01-01\n", "valve_id,status,at\nVAB,ajar,\n"):
        assert isinstance(load(wrong).exception, SourceError)
