"""Processes at once and as jobs, over the real queue."""

from __future__ import annotations

import threading

import pytest
from pydantic import Field
from real_server import wait_for

from gis import processes
from gis.api.worker import Worker, purge
from gis.catalog.model import Text
from gis.db.connection import owner
from gis.errors import InputError


class Wanted(processes.Inputs):
    """Inputs of the process below."""

    network: str = Field(title="管网", description="Name of the network", max_length=40)
    times: int = Field(1, ge=1, le=100, title="次数")
    fail: str = ""


def count_pipes(store, inputs: Wanted, progress) -> dict:
    """How many pipes a network has; fails as asked."""
    for i in range(inputs.times):
        progress(i / inputs.times, f"round {i}")
        n = len(store.frame("water_pipe", ["pipe_id"], where={"network": inputs.network}, geometry=False))
    if inputs.fail == "named":
        raise InputError("the network is wrong", where="network", remedy="Name another")
    if inputs.fail == "bare":
        raise RuntimeError("secret path /etc/passwd")
    return {"pipes": n, "network": inputs.network}


@pytest.fixture
def counting(monkeypatch):
    """A process that reads water pipes, registered like any other."""
    process = processes.Process(
        id="count-pipes",
        title=Text(zh="数管段", en="Count pipes"),
        description=Text(zh="数一数", en="Counts"),
        inputs=Wanted,
        run=count_pipes,
        layers=("water_pipe",),
        example={"network": "city"},
    )
    monkeypatch.setitem(processes.processes(), process.id, process)
    return process


@pytest.fixture
def app(counting, app):
    from gis.api.app import create_app

    return create_app()


RUN = "/processes/count-pipes/execution"


def started(client, **inputs) -> str:
    answer = client.post(RUN, json={"inputs": {"network": "city"} | inputs}, headers={"Prefer": "respond-async"})
    assert answer.status_code == 201 and answer.headers["Preference-Applied"] == "respond-async", answer.text
    assert answer.headers["Location"].endswith(f"/jobs/{answer.json['jobID']}")
    return answer.json["jobID"]


def test_a_process_is_described_from_its_definition(water):
    about = water.get("/processes/count-pipes?lang=zh").json
    assert (
        about["title"] == "数管段" and about["inputs"]["network"]["minOccurs"] == 1 and about["inputs"]["times"]["schema"]["maximum"] == 100
    )
    assert {"sync-execute", "async-execute"} <= set(about["jobControlOptions"])
    assert water.get("/processes/count-pipes?lang=en").json["title"] == "Count pipes"
    assert water.get("/processes/count-pipes?f=html").status_code == 200
    assert "/processes/count-pipes/execution" in water.get("/openapi").json["paths"]


def test_it_answers_at_once(water, as_role):
    answer = water.post(RUN, json={"inputs": {"network": "city"}})
    assert answer.status_code == 200 and answer.json == {"pipes": 1, "network": "city"} and "Location" not in answer.headers
    assert water.post(RUN, json={"inputs": {"network": "city"}, "response": "document"}).json == {"result": answer.json}
    assert as_role("gas").post(RUN, json={"inputs": {"network": "city"}}).status_code == 404
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_name, action, detail ->> 'process' FROM access.audit WHERE action = 'process'")
        assert cursor.fetchall() == [("test-water", "process", "count-pipes")] * 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"inputs":[]}',
        b'{"inputs":{}}',
        b'{"inputs":{"network":1}}',
        b'{"inputs":{"network":"city","times":0}}',
        b'{"inputs":{"network":"city","other":1}}',
        b'{"inputs":{"network":"city"},"subscriber":{"successUri":"http://127.0.0.1/"}}',
        b'{"inputs":{"network":"city"},"response":"x"}',
        b'{"inputs":{"network":"city","fail":"named"}}',
        b"\xff",
    ],
)
def test_wrong_inputs_are_400(water, body):
    answer = water.post(RUN, data=body, content_type="application/json")
    assert answer.status_code == 400 and answer.json["detail"]


def test_an_unexpected_fault_says_nothing_of_itself(water):
    answer = water.post(RUN, json={"inputs": {"network": "city", "fail": "bare"}})
    assert answer.status_code == 500 and "passwd" not in answer.text and answer.json["requestId"]


def test_a_job_goes_from_accepted_to_successful(water):
    job = started(water, times=3)
    assert water.get(f"/jobs/{job}").json["status"] == "accepted" and water.get(f"/jobs/{job}/results").status_code == 404
    assert Worker("w").run_one() and not Worker("w").run_one()
    state = water.get(f"/jobs/{job}").json
    assert (state["status"], state["progress"], state["processID"]) == ("successful", 100, "count-pipes")
    assert water.get(f"/jobs/{job}/results").json == {"pipes": 1, "network": "city"}
    for language, title in (("zh", "任务结果（JSON）"), ("en", "Result of the job as JSON")):
        assert title in {link["title"] for link in water.get(f"/jobs/{job}?lang={language}").json["links"]}
        assert title in water.get(f"/jobs/{job}?f=html&lang={language}").text
    assert [one["jobID"] for one in water.get("/jobs").json["jobs"]] == [job]
    assert water.get(f"/jobs/{job}?f=html").status_code == 200


def test_the_list_of_jobs_and_the_mistakes_are_as_the_standard_has_them(water):
    """OGC 18-062r2, 7.11 to 7.13 and 11.2 (class job-list)."""
    first, second = started(water), started(water, times=2)
    assert Worker("w").run_one()

    def listed(query):
        return [one["jobID"] for one in water.get(f"/jobs?{query}").json["jobs"]]

    assert listed("") == listed("type=process") == listed("processID=count-pipes,other") == [second, first]
    assert listed("status=successful") == listed("minDuration=0") == [first] and listed("status=accepted,running") == [second]
    assert not listed("processID=geocode") and not listed("type=other") and not listed("minDuration=3600")
    assert not listed("datetime=../2020") and listed("datetime=2020/..") == [second, first]
    assert listed("limit=1&offset=1") == [first]
    for wrong in ("status=x", "minDuration=x", "datetime=x", "nothing=1"):
        assert water.get(f"/jobs?{wrong}").status_code == 400, wrong
    page = water.get("/jobs").json
    assert all(None not in one.values() for one in page["jobs"]) and "Results of" not in water.get("/jobs").text
    nobody = "00000000-0000-0000-0000-000000000000"
    kinds = {
        f"/jobs/{nobody}": "no-such-job",
        f"/jobs/{nobody}/results": "no-such-job",
        f"/jobs/{second}/results": "result-not-ready",
        "/processes/nothing": "no-such-process",
    }
    for path, kind in kinds.items():
        answer = water.get(path)
        assert (answer.status_code, answer.json["type"].rsplit("/", 1)[-1]) == (404, kind)
    assert water.delete(f"/jobs/{nobody}").json["type"].endswith("/no-such-job")
    qualified = {"inputs": {"network": {"value": "city", "mediaType": "text/plain"}}}
    assert water.post(RUN, json=qualified | {"outputs": {"result": {"transmissionMode": "value"}}}).json["pipes"] == 1
    refused = water.post(RUN, json=qualified | {"outputs": {"other": {}}})
    assert refused.status_code == 400 and refused.json["type"].endswith("/no-such-output")
    assert water.post(RUN, json=qualified | {"outputs": {"result": {"transmissionMode": "reference"}}}).status_code == 400


def test_a_job_belongs_to_its_owner(water, as_role):
    job = started(water)
    for role in ("planner", "gas", "anonymous"):
        other = as_role(role)
        for path in (f"/jobs/{job}", f"/jobs/{job}/results"):
            assert other.get(path).status_code == 404
        assert other.delete(f"/jobs/{job}").status_code == 404 and other.get("/jobs").json["jobs"] == []
    assert as_role("admin").get(f"/jobs/{job}").json["status"] == "accepted"


def test_faults_of_a_job_are_told_or_kept(water):
    named, bare = started(water, fail="named"), started(water, fail="bare")
    worker = Worker("w")
    assert worker.run_one() and worker.run_one()
    told = water.get(f"/jobs/{named}").json
    assert told["status"] == "failed" and "the network is wrong" in told["message"]
    assert water.get(f"/jobs/{named}/results").status_code == 400
    kept = water.get(f"/jobs/{bare}")
    assert kept.json["status"] == "failed" and "passwd" not in kept.text + water.get(f"/jobs/{bare}/results").text


def test_a_waiting_job_can_be_dismissed(water):
    job = started(water)
    assert water.delete(f"/jobs/{job}").json["status"] == "dismissed"
    assert water.get(f"/jobs/{job}").json["status"] == "dismissed" and not Worker("w").run_one()


def test_a_running_job_can_be_dismissed(water, counting, monkeypatch):
    begun, told = threading.Event(), threading.Event()

    def slow(store, inputs, progress) -> dict:
        begun.set()
        assert told.wait(20)
        for _ in range(200):
            progress(0.5, "half")
            threading.Event().wait(0.1)
        return {}

    monkeypatch.setitem(processes.processes(), counting.id, processes.Process(**(vars(counting) | {"run": slow})))
    job = started(water)
    thread = threading.Thread(target=Worker("w").run_one)
    thread.start()
    assert begun.wait(20) and water.get(f"/jobs/{job}").json["status"] == "running"
    assert water.delete(f"/jobs/{job}").status_code == 200
    told.set()
    thread.join(30)
    assert water.get(f"/jobs/{job}").json["status"] == "dismissed"


def waiting_statements() -> int:
    with owner() as link, link.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("ended_by", ["owner", "worker"])
def test_the_statement_of_a_job_that_has_to_end_is_ended(water, ended_by):
    """A job deep in a statement hears nothing: who dismisses it, or stops the worker, does not wait for that."""
    job, worker = started(water), Worker("w")
    with owner() as link, link.cursor() as cursor:
        cursor.execute("LOCK TABLE core.water_pipe IN ACCESS EXCLUSIVE MODE")
        thread = threading.Thread(target=worker.run_one)
        thread.start()
        wait_for(lambda: waiting_statements() == 1, 10)
        if ended_by == "owner":
            assert water.delete(f"/jobs/{job}").status_code == 200
        else:
            worker.stop.set()
        thread.join(10)
        assert not thread.is_alive() and waiting_statements() == 0
    left = {"owner": "dismissed", "worker": "accepted"}[ended_by]
    assert water.get(f"/jobs/{job}").json["status"] == left
    if ended_by == "worker":
        assert Worker("next").run_one() and water.get(f"/jobs/{job}").json["status"] == "successful"


def test_answers_are_kept_for_their_time_and_only_so_large(water, monkeypatch):
    small = started(water)
    assert Worker("w").run_one() and purge() == 0
    monkeypatch.setattr("gis.api.worker.LARGEST_RESULT", 10)
    large = started(water)
    assert Worker("w").run_one()
    told = water.get(f"/jobs/{large}").json
    assert told["status"] == "failed" and "larger than" in told["message"]
    with owner() as link, link.cursor() as cursor:
        cursor.execute("UPDATE meta.job SET finished_at = now() - interval '31 days' WHERE id = %s", (small,))
    waits = started(water)
    assert purge() == 1 and water.get(f"/jobs/{small}").status_code == 404 and water.get(f"/jobs/{waits}").status_code == 200


def test_a_job_of_a_dead_worker_is_taken_again(water):
    job = started(water)
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE meta.job SET status = 'running', worker = 'dead', attempts = 1, updated_at = now() - interval '10 minutes'")
    assert Worker("alive").run_one() and water.get(f"/jobs/{job}").json["status"] == "successful"
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE meta.job SET status = 'running', worker = 'dead', attempts = 3, updated_at = now() - interval '10 minutes'")
    assert not Worker("alive").run_one() and water.get(f"/jobs/{job}").json["status"] == "failed"


def test_two_workers_take_two_jobs(water):
    jobs = {started(water), started(water)}
    threads = [threading.Thread(target=Worker(f"w{i}").run_one) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {water.get(f"/jobs/{job}").json["status"] for job in jobs} == {"successful"}


def test_nobody_queues_without_bound(water):
    for _ in range(20):
        started(water)
    answer = water.post(RUN, json={"inputs": {"network": "city"}}, headers={"Prefer": "respond-async"})
    assert answer.status_code == 429 and "wait already" in answer.json["detail"] and int(answer.headers["Retry-After"]) >= 10


def test_jobs_of_nobody_are_few_and_followed_by_their_id_only(anyone):
    body = {"inputs": {"text": "府前街81号"}}
    asked = [anyone.post("/processes/geocode/execution", json=body, headers={"Prefer": "respond-async"}) for _ in range(6)]
    assert [answer.status_code for answer in asked] == [201] * 5 + [429] and "without a name" in asked[5].json["what"]
    job = asked[0].json["jobID"]
    assert anyone.get("/jobs").json["jobs"] == [] and anyone.get(f"/jobs/{job}").status_code == 200
    assert anyone.delete(f"/jobs/{job}").status_code == 200
    assert anyone.post("/processes/geocode/execution", json=body, headers={"Prefer": "respond-async"}).status_code == 201


def test_nobody_in_particular_follows_no_job_of_a_user(anyone, water):
    job = started(water)
    for path in (f"/jobs/{job}", f"/jobs/{job}/results"):
        assert anyone.get(path).status_code == 404
    assert anyone.delete(f"/jobs/{job}").status_code == 404 and water.get(f"/jobs/{job}").json["status"] == "accepted"


def test_a_trace_exists_for_whoever_may_read_one_of_its_networks(as_role):
    for role, sees in (("anonymous", False), ("address", False), ("water", True), ("drainage", True)):
        caller = as_role(role)
        listed = {process["id"] for process in caller.get("/processes?limit=100").json["processes"]}
        assert ("trace" in listed) == sees, role
        assert (caller.get("/processes/trace").status_code == 200) == sees
        assert ("/processes/trace/execution" in caller.get("/openapi").json["paths"]) == sees
