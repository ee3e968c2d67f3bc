"""Works and states of valves over HTTP: who may see, who may change."""

from gis.access.audit import entries

TIMES = {"starts": "2026-12-01T08:00:00+08:00", "ends": "2026-12-01T12:00:00+08:00"}


def test_a_valve_is_reported_by_those_who_may(water, planner, anyone):
    path = "/processes/valve-state/execution"
    said = {"inputs": {"valve": "F1", "live": "closed", "reason": "检修"}}
    for caller, status in ((anyone, 404), (planner, 404)):
        assert caller.post(path, json=said).status_code == status, "what a caller may not do does not exist for him"
    answer = water.post(path, json=said)
    assert answer.status_code == 200 and answer.json["changed"] and answer.json["live_status"] == "closed", answer.text
    row = next(e for e in entries(layer="water_valve") if e["action"] == "edit")
    assert row["user"] == "test-water" and row["detail"]["changed"] == ["F1"]
    wrong = water.post(path, json={"inputs": {"valve": "F1"}})
    assert wrong.status_code == 400
    assert water.post(path, json={"inputs": {"valve": "nothing", "live": "open"}}).status_code == 400


def test_works_are_read_by_planners_and_changed_by_the_water_utility(water, planner, anyone):
    change, show = "/processes/work-change/execution", "/processes/works/execution"
    made = water.post(change, json={"inputs": {"action": "add", "title": "检修", "pipe": "JS1-JS2"} | TIMES})
    assert made.status_code == 200, made.text
    work = made.json["work"]["id"]
    assert planner.post(show, json={"inputs": {"work": work}}).json["work"]["title"] == "检修"
    assert planner.post(change, json={"inputs": {"action": "start", "work": work}}).status_code == 404
    assert anyone.post(show, json={"inputs": {}}).status_code == 404
    assert water.post(change, json={"inputs": {"action": "start", "work": work}}).json["work"]["state"] == "in_progress"
    assert water.post(change, json={"inputs": {"action": "start", "work": work}}).status_code == 400
