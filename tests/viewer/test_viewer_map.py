"""The map in a real browser on a real server: what a visitor sees, finds and reads."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from PIL import Image, ImageStat
from playwright.sync_api import expect
from serving import PASSWORD, onemap
from visiting import middle_of

pytestmark = pytest.mark.browser


def test_map_opens_in_chinese_and_asks_nobody_else(visit, served_city):
    seen = visit().open()
    page = seen.page
    expect(page).to_have_title("青澜县 · 一张图")
    expect(page.locator("[data-group=base] .group-title")).to_have_text("基础地理")
    expect(page.locator("[data-layer=building] .layer-title")).to_have_text("房屋建筑")
    seen.keep("map-visitor")
    host = urlsplit(served_city.url).netloc
    assert {urlsplit(url).netloc for url in seen.asked if url.startswith("http")} == {host}
    tiles = [url for url in seen.asked if "/tiles/" in url]
    together = [url for url in tiles if "collections=" in url]
    assert any("road" in url for url in together) and len(tiles) < 40, "shown layers come together"
    assert not seen.faults
    colours = Image.open(io.BytesIO(page.locator(".map").screenshot())).convert("RGB").quantize(64).getcolors()
    assert len(colours) > 20, "the map is drawn, and not one empty colour"


def test_visitor_has_no_pipes(visit):
    page = visit().open().page
    expect(page.locator("[data-group=pipe]")).to_have_count(0)
    expect(page.locator("[data-tool=burst]")).to_be_visible()


def test_english_is_remembered(visit):
    page = visit().open().page
    page.click(".language")
    expect(page.locator("[data-layer=building] .layer-title")).to_have_text("Buildings")
    page.reload()
    expect(page.locator("[data-layer=building] .layer-title")).to_have_text("Buildings")
    expect(page).to_have_title("Qinglan County · One Map")


def test_layers_are_switched_one_by_one_and_by_group(visit):
    page = visit().open().page
    group, road = page.locator("[data-group=base] > summary input"), page.locator("[data-layer=road] input")
    road.uncheck()
    assert group.evaluate("box => box.indeterminate")
    group.check()
    expect(road).to_be_checked()
    group.uncheck()
    page.reload()
    expect(page.locator("[data-layer=road] input")).not_to_be_checked()


def address_of(served_city) -> dict:
    """An address of the city: its text and position."""
    feature = served_city.get("/collections/address/items?limit=1&f=json")["features"][0]
    return feature["properties"] | {"lon": feature["geometry"]["coordinates"][0], "lat": feature["geometry"]["coordinates"][1]}


def test_search_goes_to_the_address(visit, served_city):
    wanted = address_of(served_city)
    seen = visit().open()
    page = seen.page
    page.keyboard.press("/")
    page.keyboard.type(wanted["full_text"], delay=5)
    expect(page.locator(".results [role=option]").first).to_contain_text(wanted["full_text"])
    page.keyboard.press("Enter")
    expect(page.locator(".maplibregl-marker")).to_have_count(1)
    seen.until(
        f"(([z, y, x]) => z >= 17 && Math.abs(x - {wanted['lon']}) < 0.003 && Math.abs(y - {wanted['lat']}) < 0.003)"
        "(location.hash.match(/map=([^&]*)/)[1].split('/').map(Number))"
    )


def test_search_that_finds_nothing_says_so(visit):
    page = visit().open().page
    page.fill(".search input", "火星第三大道九千号")
    expect(page.locator(".results .note")).to_contain_text("没有找到")


def test_attributes_have_chinese_titles_units_and_code_titles(visit, served_city):
    feature = served_city.get("/collections/water_pipe/items?limit=1&f=json", "water")["features"][0]
    lon, lat = middle_of(feature["geometry"]["coordinates"])
    seen = visit().open(lon, lat, 19).log_in("water")
    page = seen.page
    seen.click_middle(".attributes, .choices")
    if page.locator(".choices").count():
        page.locator(".choices button", has_text="给水管线").first.click()
    expect(page.locator(".panel .panel-head h2")).to_have_text("给水管线")
    row = page.locator("tr[data-field=diameter_mm]")
    expect(row).to_contain_text("管径")
    expect(row.locator("td")).to_have_text(f"{feature['properties']['diameter_mm']:g} mm")
    expect(page.locator("tr[data-field=status] td")).to_have_text("在用")
    page.click("[data-action=history]")
    expect(page.locator(".history ol > li").first).to_contain_text("现在")
    expect(page.locator(".history ol > li").last).to_contain_text("首次入库")
    seen.keep("map-attributes")


def test_markup_in_attributes_stays_text(visit, served_city, tmp_path):
    hostile = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'
    at = [117.11, 32.09]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": at},
        "properties": {"facility_id": "X-hostile", "name": hostile, "kind": "park", "address": hostile},
    }
    source = tmp_path / "facility.geojson"
    source.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    onemap("load", "facility", str(source), "--mode", "append", "--json", env=served_city.env)
    seen = visit().open(*at, 19)
    seen.click_middle(".attributes, .choices")
    page = seen.page
    if page.locator(".choices").count():
        page.locator(".choices button", has_text="img").first.click()
    expect(page.locator("tr[data-field=name] td")).to_have_text(hostile)
    assert page.evaluate("window.hit") is None
    assert page.locator(".panel img").count() == 0


def test_another_day_is_asked_of_the_tiles(visit):
    seen = visit().open()
    seen.page.locator(".date input").evaluate("box => { box.value = '1990-01-01'; box.dispatchEvent(new Event('change')) }")
    expect(seen.page.locator(".banner")).to_contain_text("1990-01-01")
    seen.page.wait_for_timeout(1500)
    assert any("datetime=1990-01-01" in url for url in seen.asked)
    seen.page.click(".banner button")
    expect(seen.page.locator(".banner")).to_be_hidden()


def test_wrong_key_is_told_and_not_kept(visit):
    page = visit().open().page
    page.click(".login-button")
    page.fill("input[name=key]", "om_wrong")
    page.keyboard.press("Enter")
    expect(page.locator(".form-error")).to_contain_text("登录不成功")
    assert page.evaluate("sessionStorage.length") == 0


def _log_in(page, name: str) -> None:
    page.click(".login-button")
    page.get_by_role("tab", name="用户名和密码").click()
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")


def test_name_and_password_log_in_and_out(visit, served_city):
    page = visit().open().page
    _log_in(page, "water-officer")
    expect(page.locator(".who .role")).to_have_text("供水")
    expect(page.locator("[data-layer=water_pipe]")).to_be_visible()
    kept = json.loads(page.evaluate("sessionStorage.getItem('onemap.credentials')"))
    assert kept["session"] and PASSWORD not in json.dumps(kept), "a session takes the place of the password"
    page.reload()
    expect(page.locator(".who .role")).to_have_text("供水")
    page.click(".who summary")
    page.get_by_role("button", name="退出登录").click()
    expect(page.locator("[data-layer=water_pipe]")).to_have_count(0)
    assert page.evaluate("sessionStorage.length") == 0
    asked = urllib.request.Request(f"{served_city.url}/account", headers={"X-API-Key": kept["key"]})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(asked, timeout=10)


def test_a_due_password_leads_to_its_page_and_a_session_that_ended_is_told(visit, served_city):
    onemap("user", "add", "newcomer", "--role", "water", "--must-change", "--password-stdin", env=served_city.env, stdin=PASSWORD)
    seen = visit().open()
    page = seen.page
    _log_in(page, "newcomer")
    expect(page.locator(".form-error")).to_contain_text("须先修改")
    with page.context.expect_page() as opened:
        page.click(".form-error a")
    form = opened.value
    expect(form.locator("input[name=user]")).to_have_value("newcomer")
    form.fill("input[name=old]", PASSWORD)
    form.fill("input[name=new]", "short")
    form.locator("form").evaluate("form => form.noValidate = true")
    form.click("main button")
    expect(form.locator(".fault")).to_contain_text("密码")
    form.fill("input[name=old]", PASSWORD)
    form.fill("input[name=new]", "Green-hill-2026x")
    form.click("main button")
    expect(form.locator(".lead")).to_contain_text("密码已修改")
    page.fill("input[name=password]", "Green-hill-2026x")
    page.keyboard.press("Enter")
    expect(page.locator(".who .role")).to_have_text("供水")
    key = json.loads(page.evaluate("sessionStorage.getItem('onemap.credentials')"))["key"]
    ended = urllib.request.Request(f"{served_city.url}/account/session", headers={"X-API-Key": key}, method="DELETE")
    urllib.request.urlopen(ended, timeout=10).close()
    page.evaluate("location.hash = 'map=14/32.05/117.05'")
    expect(page.locator("dialog .reason")).to_contain_text("登录已失效")
    page.keyboard.press("Escape")
    expect(page.locator("[data-layer=water_pipe]")).to_have_count(0)


def test_night_is_dark_and_remembered(visit):
    seen = visit().open()
    seen.page.click(".night")
    seen.keep("map-night")
    shot = Image.open(io.BytesIO(seen.page.locator(".map").screenshot())).convert("L")
    assert ImageStat.Stat(shot).mean[0] < 110
    seen.page.reload()
    assert seen.page.evaluate("document.documentElement.dataset.theme") == "night"
