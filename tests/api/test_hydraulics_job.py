"""A job from the first request to the answer: hydraulics of a loaded EPANET file, queued over HTTP, run by a worker, watched, dismissed."""

import threading
import time
from pathlib import Path

import pytest
import wntr

from etl.epanet import deliveries
from gis.api.worker import Worker
from gis.catalog.read import catalog
from gis.ingest.load import load_frames

NET3 = Path(wntr.__file__).parent / "library" / "networks" / "Net3.inp"
PATH = "/processes/hydraulics-after-closure/execution"
LATER = {"Prefer": "respond-async"}


@pytest.fixture
def net3(app):
    load_frames(catalog(), deliveries(NET3, "net3"), name="Net3.inp", files=[NET3], scope="net3")


def job_of(caller, **inputs):
    made = caller.post(PATH, json={"inputs": {"network": "net3"} | inputs}, headers=LATER)
    assert made.status_code == 201, made.text
    return made.headers["Location"].removeprefix("http://localhost")


def watched(caller, worker, job, until):
    """Runs the job in a thread as the worker process does, and looks at it until something is seen; what was seen."""
    thread = threading.Thread(target=worker.run_one)
    thread.start()
    seen = []
    try:
        while thread.is_alive():
            seen.append(caller.get(job).json)
            if until(seen[-1]):
                break
            time.sleep(0.05)
    finally:
        done = seen[-1] if seen else None
    return thread, done


def test_a_hydraulics_job_runs_to_its_answer(net3, water, planner):
    job = job_of(water, valves=["10"], hours=12, min_pressure_m=20)
    assert water.get(job).json["status"] == "accepted" and planner.get(job).status_code == 404, "a job is its owner's"
    assert Worker("w").run_one()
    state = water.get(job).json
    assert state["status"] == "successful" and state["progress"] == 100
    answer = water.get(f"{job}/results?f=json")
    assert answer.status_code == 200, answer.text
    at_once = water.post(PATH, json={"inputs": {"network": "net3", "valves": ["10"], "hours": 12, "min_pressure_m": 20}}).json
    result = answer.json
    for name in ("junctions", "customers", "points", "model", "closed", "findings"):
        assert result[name] == at_once[name]
    assert result["model"]["kind"] == "file" and result["model"]["hours"] == 12


def test_its_progress_is_seen_and_it_is_dismissed_between_two_time_steps(net3, water, monkeypatch):
    from gis.analysis import hydraulics

    step = hydraulics._solve

    def slowly(toolkit, duration, progress):
        def told(share):
            time.sleep(0.08)
            progress(share)

        step(toolkit, duration, told)

    monkeypatch.setattr(hydraulics, "_solve", slowly)  # Net3 is solved in a blink; a town's network takes minutes
    job = job_of(water, valves=["10"], hours=168)
    thread, seen = watched(water, Worker("w"), job, lambda state: 15 < state["progress"] < 95)
    assert seen["status"] == "running" and seen["message"] in ("before", "after")
    assert water.delete(job).status_code == 200
    thread.join(timeout=30)
    assert not thread.is_alive(), "a dismissed job ends between two steps"
    state = water.get(job).json
    assert state["status"] == "dismissed" and water.get(f"{job}/results?f=json").status_code >= 400


def test_a_job_that_cannot_be_solved_says_why(net3, water):
    job = job_of(water, valves=["nowhere"])
    assert Worker("w").run_one()
    state = water.get(job).json
    assert state["status"] == "failed" and "nowhere" in state["message"]
