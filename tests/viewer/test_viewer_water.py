"""What the engine offers beyond the burst, in a real browser: networks, works, notices, reports, pressures, criticality, the crew."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
from contextlib import closing, contextmanager
from urllib.parse import unquote

import psycopg2
import pytest
from playwright.sync_api import expect
from serving import onemap

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def plan(working_city) -> dict:
    """A burst of two to eight valves that can all be turned, of which one would add customers if it failed: pipe, valve, answer."""
    listed = working_city.get("/collections/water_pipe/items?limit=500&f=json&network=city", "water")["features"]
    for pipe in (f["properties"]["pipe_id"] for f in listed if f["properties"]["status"] == "0"):
        answer = working_city.execute("pipe-burst", {"pipe": pipe, "details": True, "failures": True}, "water")
        worst = max(answer["if_stuck"], key=lambda one: one["customers_added"], default=None)
        usual = answer["isolated"] and 2 <= len(answer["valves"]["close"]) <= 8 and not answer["valves"]["stuck"]
        if usual and worst["customers_added"] and worst["isolated"] and answer["affected"]["customers"]:
            return {"pipe": pipe, "valve": worst["valve"], "worst": worst, "answer": answer}
    raise AssertionError("no burst of the city has a valve whose failure adds customers")


def ids(rows, attribute: str) -> list[str]:
    return [row.get_attribute(attribute) for row in rows.all()]


def in_hours(hours: float) -> str:
    return (dt.datetime.now().astimezone() + dt.timedelta(hours=hours)).isoformat()


def test_one_of_several_networks_is_looked_at(duty):
    seen = duty("map=13/32/117")
    page = seen.page
    expect(page.locator(".network .chosen")).to_have_text("本市")
    page.select_option(".network select", "Net3")
    expect(page.locator(".network .chosen")).to_have_text("Net3")
    seen.until("location.hash.includes('net=Net3')")
    seen.keep("water-net3")
    page.click("[data-tool=more]")
    page.click("[data-tool=quality]")
    page.wait_for_selector(".panel .verdict, .panel .strip")
    asked = [post for url, post in seen.posted if "network-quality" in url]
    assert asked and '"network":"Net3"' in asked[-1]
    page.reload()
    expect(page.locator(".network .chosen")).to_have_text("Net3")


def test_what_each_valve_s_failure_would_add_is_told_before_anything_happens(duty, plan):
    page = duty(f"open=burst/pipe/{plan['pipe']}").page
    row = page.locator(f".valves [data-valve='{plan['valve']}']")
    expect(row.locator(".if-stuck")).to_contain_text(f"多停 {plan['worst']['customers_added']:,} 户")
    expect(page.locator(".if-stuck")).to_have_count(len(plan["answer"]["if_stuck"]))
    page.click("[data-block=drain] summary")
    expect(page.locator("[data-block=drain] li .where").last).to_have_text(plan["answer"]["drain"]["lowest"][-1]["node"])


def test_a_colleague_opens_the_same_burst_with_its_stuck_valve(duty, plan, working_city):
    seen = duty(f"open=burst/pipe/{plan['pipe']}")
    seen.page.locator(f"[data-valve='{plan['valve']}'] .stuck").click()
    seen.page.wait_for_selector(f"[data-stuck='{plan['valve']}']")
    place = seen.page.evaluate("location.hash.slice(1)")
    assert plan["valve"] in unquote(place)
    other = duty(place).page
    expect(other.locator(".strip.warning")).to_contain_text(f"{plan['valve']} 关不上")
    again = working_city.execute("pipe-burst", {"pipe": plan["pipe"], "stuck": [plan["valve"]]}, "water")
    assert ids(other.locator(".valves > [data-valve]"), "data-valve") == again["valves"]["close"]
    stranger = duty(place, role=None).page
    expect(stranger.locator("dialog .reason")).to_contain_text("爆管分析")


def test_a_work_is_entered_from_a_burst_begun_taken_back_and_cancelled(duty, plan, working_city):
    seen = duty(f"open=burst/pipe/{plan['pipe']}")
    page = seen.page
    page.click("[data-step=works]")
    page.fill("[name=title]", "夜间抢修")
    page.fill("[name=ends]", "2020-01-01T00:00")
    page.get_by_role("button", name="登记", exact=True).click()
    expect(page.locator(".form-error")).to_contain_text("晚于")
    page.fill("[name=ends]", (dt.datetime.now() + dt.timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M"))
    page.get_by_role("button", name="登记", exact=True).click()
    expect(page.locator(".work-head .state")).to_have_text("计划")
    work = working_city.execute("works", {"network": "city"}, "water")["works"][0]
    assert work["title"] == "夜间抢修" and work["element_id"] == plan["pipe"] and work["kind"] == "emergency"
    seen.keep("water-work")
    for action, state, live in (("start", "进行中", "closed"), ("undo", "计划", "open"), ("cancel", "已取消", "open")):
        page.click(f"[data-action={action}]")
        page.click("[data-key=sure]")
        expect(page.locator(".work-head .state")).to_have_text(state)
        valve = working_city.get(f"/collections/water_valve/items/city:{plan['answer']['valves']['close'][0]}?f=json", "water")
        assert (valve["properties"]["live_status"] or "open") == live, action
    page.keyboard.press("Escape")
    expect(page.locator(".panel .panel-head h2")).to_contain_text(plan["pipe"])
    page.click("[data-tool=works]")
    page.click("[data-key=works-cancelled]")
    expect(page.locator(f"[data-work='{work['id']}']")).to_contain_text("夜间抢修")
    assert not seen.faults


@pytest.fixture
def clash(working_city, plan):
    """Two works at the same time that have to be seen as one: the second's answer. They are cancelled afterwards."""
    listed = working_city.get("/collections/water_pipe/items?limit=500&f=json&network=city", "water")["features"]
    own = {"network": "city", "kind": "planned", "starts": in_hours(1), "ends": in_hours(6)}
    first = working_city.execute("work-change", {"action": "add", "title": "更换闸阀", "pipe": plan["pipe"], **own}, "water")["work"]["id"]
    entered = [first]
    try:
        for pipe in (f["properties"]["pipe_id"] for f in listed if f["properties"]["status"] == "0"):
            add = {"action": "add", "title": "接口维修", "pipe": pipe, **own}
            found = working_city.execute("work-change", add, "water") if pipe != plan["pipe"] else {"conflicts": []}
            if found["conflicts"]:
                entered.append(found["work"]["id"])
                yield found
                return
            if pipe != plan["pipe"]:
                working_city.execute("work-change", {"action": "cancel", "work": found["work"]["id"]}, "water")
        raise AssertionError("no work of the city has anything to do with another")
    finally:
        for work in entered:
            working_city.execute("work-change", {"action": "cancel", "work": work}, "water")


def test_works_at_the_same_time_are_seen_as_one(duty, clash):
    seen = duty(f"open=works/{clash['work']['id']}")
    page, conflict = seen.page, clash["conflicts"][0]
    other = next(work for work in conflict["works"] if work != clash["work"]["id"])
    strip = page.locator(".panel .strip.warning", has_text=f"作业 {other} 号")
    expect(strip.locator("[data-extra]")).to_have_attribute("data-extra", str(conflict["extra"]["customers"]))
    for valve in conflict["shared"]:
        expect(strip).to_contain_text(valve)
    seen.keep("water-conflict")
    strip.get_by_role("button", name=f"作业 {other} 号").click()
    expect(page.locator(".panel .panel-head h2")).to_have_text(f"作业 {other} 号")


def test_a_notice_is_seen_as_it_is_printed_and_its_customers_are_kept(duty, plan, tmp_path):
    seen = duty(f"open=burst/pipe/{plan['pipe']}")
    page = seen.page
    page.click("[data-step=notice]")
    page.fill("[name=reason]", "阀门漏水")
    page.fill("[name=contact]", "0999-96390")
    page.get_by_role("button", name="预览").click()
    paper = page.frame_locator("iframe.paper")
    expect(paper.locator("body")).to_contain_text("阀门漏水", timeout=20_000)
    expect(paper.locator("body")).to_contain_text("0999-96390")
    seen.keep("water-notice")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.preview")).to_have_count(0)
    for kind, begins in (("csv", b"\xef\xbb\xbf"), ("xlsx", b"PK")):
        with page.expect_download() as download:
            page.locator(f".panel-body [data-paper={kind}]").click()
        file = tmp_path / kind
        download.value.save_as(file)
        assert file.read_bytes().startswith(begins) and download.value.suggested_filename.endswith(kind)
    assert not seen.faults


def test_a_valve_is_reported_after_a_question_and_the_report_is_undone(duty, plan, working_city):
    valve = plan["valve"]
    place = working_city.get(f"/collections/water_valve/items/city:{valve}?f=json", "water")["geometry"]["coordinates"]
    seen = duty(f"map=20/{place[1]}/{place[0]}")
    page = seen.page
    seen.click_middle(".attributes, .choices")
    if page.locator(".choices").count():
        page.locator(".choices button", has_text="给水阀门").first.click()
    page.click("[data-action=report]")
    reported = page.locator(".panel .panel-head h2").inner_text().split()[-1]
    page.click("[data-key=operable-no]")
    page.fill("[name=reason]", "井盖被埋")
    page.click("[data-key=report]")
    expect(page.locator(".strip.warning")).to_contain_text("转不动")

    def operable() -> bool:
        return working_city.get(f"/collections/water_valve/items/city:{reported}?f=json", "water")["properties"]["operable"]

    assert operable(), "nothing happens before the answer to the question"
    page.click("[data-key=sure]")
    page.wait_for_selector("[data-key=undo]")
    assert not operable()
    seen.keep("water-valve")
    page.click("[data-key=undo]")
    expect(page.locator("[data-key=undo]")).to_have_count(0)
    assert operable()


@contextmanager
def jobs_begin_late(city):
    """The worker takes four seconds to take a job."""
    with closing(psycopg2.connect(city.env["ONEMAP_DSN"])) as link, link.cursor() as cursor:
        link.autocommit = True
        cursor.execute(
            "CREATE FUNCTION meta.begin_late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(4); RETURN NEW; END';"
            "CREATE TRIGGER late BEFORE UPDATE ON meta.job FOR EACH ROW WHEN (OLD.status = 'accepted' AND NEW.status = 'running')"
            " EXECUTE FUNCTION meta.begin_late()"
        )
        try:
            yield
        finally:
            cursor.execute("DROP TRIGGER late ON meta.job; DROP FUNCTION meta.begin_late")


def test_pressures_are_a_job_with_a_legend_that_can_be_given_up(duty, plan, working_city):
    seen = duty(f"open=burst/pipe/{plan['pipe']}")
    page = seen.page
    page.click("[data-step=gauge]")
    expect(page.locator(".job progress")).to_be_visible()
    page.wait_for_selector("[data-figure=lowest]", timeout=60_000)
    job = working_city.get("/jobs?limit=1&f=json", "water")["jobs"][0]
    answer = working_city.get(f"/jobs/{job['jobID']}/results?f=json", "water")
    for state, name in (("served", "水压足够"), ("fell_below", "降到最低水压以下")):
        if answer["junctions"][state]:
            expect(page.locator(".legend li", has_text=name)).to_contain_text(f"{answer['junctions'][state]:,} 处")
    seen.keep("water-pressure")
    page.fill("[name=minimum]", "30")
    with jobs_begin_late(working_city):  # a small city's is done before a hand can move
        page.get_by_role("button", name="重新计算").click()
        page.click("[data-key=give-up]")
    expect(page.locator(".panel .strip.info")).to_contain_text("已停止")
    for _ in range(50):
        job = working_city.get("/jobs?limit=1&f=json", "water")["jobs"][0]
        if job["status"] not in ("accepted", "running"):
            break
        page.wait_for_timeout(200)
    assert job["parameters"]["min_pressure_m"] == 30 and job["status"] in ("dismissed", "successful")


def test_criticality_is_drawn_with_the_legend_of_its_answer_and_ranked(duty, working_city):
    seen = duty("map=14/32/117&open=criticality/customers")
    page = seen.page
    page.wait_for_selector("[data-ranked]")
    answer = working_city.execute("criticality-map", {"network": "city"}, "water")
    for part, layer in answer["layers"].items():
        expect(page.locator(f"[data-legend={part}] .legend li")).to_have_count(len(layer["classes"]))
    ranks = {(p := f["properties"])["rank"]: p for f in answer["features"]["features"] if f["properties"]["part"] == "segment"}
    assert ids(page.locator("[data-ranked]"), "data-ranked")[:3] == [f"segment/{ranks[rank]['segment_id']}" for rank in (1, 2, 3)]
    seen.keep("water-criticality")
    page.click("[data-key=part-valve]")
    page.locator("[data-ranked] button").first.click()
    expect(page.locator("[data-ranked].highlighted")).to_have_count(1)
    seen.until("Number(location.hash.match(/map=([^/]*)/)[1]) > 16")
    page.click("[data-key=by-priority]")
    seen.until("location.hash.includes('criticality/priority')")


def test_a_silent_server_is_told_and_asked_again(duty):
    seen = duty("map=14/32/117")
    page = seen.page
    page.route(re.compile("/processes/"), lambda route: route.abort())
    page.click("[data-tool=works]")
    expect(page.locator(".panel .strip.danger")).to_contain_text("连不上服务器")
    page.unroute_all()
    page.click("[data-key=again]")
    expect(page.locator(".panel .strip.danger")).to_have_count(0)
    expect(page.locator(".panel")).to_contain_text("作业")


def test_the_crew_s_way_leads_over_the_valves_in_their_order(duty, plan, working_city):
    seen = duty(f"open=burst/pipe/{plan['pipe']}")
    page = seen.page
    page.click("[data-step=route]")
    page.wait_for_selector("[data-figure=total]")
    wanted = {"network": "city", "valves": plan["answer"]["valves"]["close"]}
    answer = working_city.execute("crew-route", wanted, "water")
    assert ids(page.locator("[data-stop]"), "data-stop") == [stop["valve"] for stop in answer["stops"]]
    expect(page.locator("[data-stop]").first).to_contain_text(answer["stops"][0]["address"])
    seen.keep("water-crew")
    page.click("[data-key=order-quickest]")
    quickest = working_city.execute("crew-route", wanted | {"order": "quickest"}, "water")
    expect(page.locator("[data-stop]").first).to_have_attribute("data-stop", quickest["stops"][0]["valve"])
    page.click("[data-key=back]")
    expect(page.locator(".verdict")).to_be_visible()


def test_findings_of_a_network_are_listed_with_their_remedy_and_shown(duty, working_city):
    seen = duty("open=quality&net=city")
    page = seen.page
    answer = working_city.execute("network-quality", {"network": "city"}, "water")
    expect(page.locator(".panel .verdict")).to_have_text(f"{answer['findings']:,} 处数据问题")
    assert sorted(ids(page.locator("[data-code]"), "data-code")) == sorted(answer["counts"])
    code = next(iter(answer["counts"]))
    block = page.locator(f"[data-code={code}]")
    if not block.evaluate("details => details.open"):
        block.locator("summary").click()
    expect(block.locator(".remedy")).to_contain_text(answer["meanings"][code]["remedy"]["zh"])
    block.locator("[data-finding] button:not([disabled])").first.click()
    expect(page.locator(".highlighted")).to_have_count(1)
    seen.keep("water-quality")


def test_who_may_only_read_is_offered_nothing_that_changes(duty, plan, working_city):
    onemap("user", "add", "planner-reader", "--role", "planner", "--password-stdin", env=working_city.env, stdin="Qinglan-2026-plan\n")
    working_city.keys["planner"] = json.loads(onemap("key", "new", "planner-reader", "--json", env=working_city.env))["key"]
    page = duty(f"open=burst/pipe/{plan['pipe']}", role="planner").page
    page.wait_for_selector(".verdict")
    expect(page.locator("[data-step=gauge]")).to_be_visible()
    expect(page.locator("[data-step=works]")).to_have_count(0)


def test_phone_has_every_tool_within_reach(duty):
    seen = duty("map=14/32/117", width=390, height=844, has_touch=True)
    page = seen.page
    page.click("[data-tool=more]")
    tools = ids(page.locator(".more [data-tool]:not(summary)"), "data-tool")
    assert {"closure", "trace", "criticality", "quality"} <= set(tools)
    boxes = [row.bounding_box() for row in page.locator(".tools [data-tool]").all()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844 for box in boxes)
    for a, b in itertools.combinations(boxes, 2):
        apart = a["x"] + a["width"] <= b["x"] + 1 or b["x"] + b["width"] <= a["x"] + 1 or a["y"] + a["height"] <= b["y"] + 1
        assert apart or b["y"] + b["height"] <= a["y"] + 1
    assert page.evaluate("document.documentElement.scrollWidth") == 390
