"""The duty officer's tools in a real browser: burst, stuck valve, closure, trace, notice."""

from __future__ import annotations

import csv
import re

import pytest
from playwright.sync_api import expect
from visiting import middle_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def burst(served_city) -> dict:
    """A pipe whose burst closes two to eight valves and cuts off customers, with the answer and where it lies."""
    found = served_city.get("/collections/water_pipe/items?limit=300&f=json", "water")["features"]
    for feature in found:
        properties = feature["properties"]
        if properties["status"] != "0" or properties["network"] != "city":
            continue
        inputs = {"network": "city", "pipe": properties["pipe_id"], "details": True}
        answer = served_city.execute("pipe-burst", inputs, "water")
        if answer["isolated"] and 2 <= len(answer["valves"]["close"]) <= 8 and answer["affected"]["doorplates"]:
            lon, lat = middle_of(feature["geometry"]["coordinates"])
            return {"pipe": properties["pipe_id"], "lon": lon, "lat": lat, "answer": answer}
    raise AssertionError("no pipe of the city has an ordinary burst")


@pytest.fixture
def answered(visit, burst):
    """A visit at the burst with its answer on show."""

    def start(**more):
        seen = visit(**more).open(burst["lon"], burst["lat"], 18.5).log_in("water")
        seen.page.wait_for_timeout(1500)
        seen.page.click("[data-tool=burst]")
        seen.page.mouse.click(*seen.middle)
        seen.page.wait_for_selector(".verdict, .strip.danger")
        return seen

    return start


def test_click_tells_the_valves_to_close_and_who_loses_water(answered, burst):
    seen = answered()
    page, answer = seen.page, burst["answer"]
    close = answer["valves"]["close"]
    expect(page.locator(".verdict")).to_have_text(f"请关这 {len(close)} 个阀门")
    assert [row.get_attribute("data-valve") for row in page.locator(".valves > [data-valve]").all()] == close
    expect(page.locator("[data-figure=customers] dd")).to_have_text(f"{answer['affected']['customers']:,}")
    expect(page.locator("[data-figure=doorplates] dd")).to_have_text(f"{len(answer['affected']['doorplates']):,}")
    expect(page.locator("[data-figure=pipes] dd")).to_have_text(str(len(answer["affected"]["pipes"])))
    expect(page.locator(".panel .panel-head h2")).to_contain_text(burst["pipe"])
    seen.keep("burst")
    assert not seen.faults


def test_stuck_valve_asks_again_and_can_be_undone(answered, burst, served_city):
    seen = answered()
    page, before = seen.page, burst["answer"]
    valve = before["valves"]["close"][0]
    page.locator(f"[data-valve='{valve}'] .stuck").click()
    page.wait_for_selector(f"[data-stuck='{valve}']")
    after = served_city.execute("pipe-burst", {"pipe": burst["pipe"], "stuck": [valve]}, "water")
    more = after["affected"]["customers"] - before["affected"]["customers"]
    expect(page.locator(".strip.warning")).to_contain_text(valve)
    if more:
        expect(page.locator(".strip.warning")).to_contain_text(f"多停 {more:,} 户")
    fresh = set(after["valves"]["close"]) - set(before["valves"]["close"])
    assert set(after["added"]["valves"]) == fresh
    assert {row.get_attribute("data-valve") for row in page.locator(".valve.fresh").all()} == fresh
    seen.keep("burst-stuck")
    page.click(".undo")
    expect(page.locator(".verdict")).to_have_text(f"请关这 {len(before['valves']['close'])} 个阀门")
    expect(page.locator(f"[data-stuck='{valve}']")).to_have_count(0)


def test_doorplates_are_listed_and_saved(answered, burst, tmp_path):
    page = answered().page
    plates = burst["answer"]["doorplate_list"]
    page.click("[data-block=doorplates] summary")
    known = sorted({plate["community"] for plate in plates})
    assert page.locator(".plates h4").count() == len(known) > 0
    with page.expect_download() as download:
        page.get_by_role("button", name="下载名单").click()
    file = tmp_path / "plates.csv"
    download.value.save_as(file)
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(file.read_text("utf-8-sig").splitlines()))
    assert rows[0] == ["社区", "编号", "地址"]
    assert sorted(row[0::2] for row in rows[1:]) == sorted([plate["community"], plate["address"]] for plate in plates)


def test_notice_is_printed_with_every_valve(answered, burst):
    seen = answered()
    page = seen.page
    page.evaluate("() => { window.print = () => { window.printed = true } }")
    page.get_by_role("button", name="打印关阀单").click()
    seen.until("window.printed === true")
    page.emulate_media(media="print")
    notice = page.locator("#notice")
    expect(notice.locator("h1")).to_contain_text("爆管关阀单")
    assert [row.inner_text() for row in notice.locator(".notice-valves td:nth-child(2)").all()] == burst["answer"]["valves"]["close"]
    assert notice.locator("img").evaluate("image => image.naturalWidth") > 500
    page.set_viewport_size({"width": 794, "height": 1123})
    seen.keep("burst-notice")


def test_visitor_is_asked_to_log_in_first(visit, served_city):
    page = visit().open().page
    page.click("[data-tool=burst]")
    expect(page.locator("dialog .reason")).to_contain_text("爆管分析")
    page.fill("input[name=key]", served_city.keys["water"])
    page.keyboard.press("Enter")
    expect(page.locator(".banner")).to_contain_text("点一下爆管的水管")
    expect(page.locator("[data-tool=burst]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(page.locator(".banner")).to_be_hidden()


def test_role_without_pipes_is_told(visit):
    seen = visit().open().log_in("address")
    seen.page.click("[data-tool=burst]")
    expect(seen.page.locator("dialog .reason")).to_contain_text("地名地址")


def test_click_beside_the_network_is_told(visit):
    seen = visit().open(116.83, 31.84, 17).log_in("water")
    seen.page.click("[data-tool=burst]")
    seen.page.mouse.click(*seen.middle)
    expect(seen.page.locator(".strip.danger")).to_contain_text("这里没有水管")


def test_silent_server_is_told(visit, burst):
    seen = visit().open(burst["lon"], burst["lat"], 18.5).log_in("water")
    seen.page.route(re.compile("/processes/"), lambda route: route.abort())
    seen.page.click("[data-tool=burst]")
    seen.page.mouse.click(*seen.middle)
    expect(seen.page.locator(".strip.danger")).to_contain_text("连不上服务器")


def test_closing_the_valves_of_a_burst_cuts_off_its_customers(visit, burst, served_city):
    valves = burst["answer"]["valves"]["close"]
    known = [served_city.get(f"/collections/water_valve/items/city:{valve}?f=json", "water") for valve in valves]
    seen = visit().open(*known[0]["geometry"]["coordinates"][:2], 19.5).log_in("water")
    page = seen.page
    page.click("[data-tool=closure]")
    seen.click_middle(".panel [data-valve]")
    page.get_by_role("button", name="看看会停哪里").click()
    expect(page.locator(".panel .verdict, .panel .strip.good")).to_be_visible()
    seen.keep("closure")


def test_trace_finds_the_source(visit, burst):
    seen = visit().open(burst["lon"], burst["lat"], 18.5).log_in("water")
    page = seen.page
    page.click("[data-tool=trace]")
    seen.click_middle(".panel [data-figure=pipes]")
    expect(page.locator(".panel .ids")).to_be_visible()
    seen.keep("trace")


def test_phone_shows_the_answer_as_a_sheet(answered):
    seen = answered(width=390, height=844, has_touch=True)
    sheet = seen.page.locator(".panel").bounding_box()
    assert sheet["width"] == 390
    assert 844 * 0.3 < sheet["height"] < 844 * 0.6
    assert sheet["y"] + sheet["height"] == pytest.approx(844, abs=1)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    seen.keep("burst-phone")
