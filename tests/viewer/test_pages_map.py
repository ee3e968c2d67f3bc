"""The pages of collections and features in a real browser: their small map is drawn, asks nobody else, and leads to the feature."""

from __future__ import annotations

import io
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
PATHS = (
    "/",
    "/collections",
    "/collections/road",
    "/collections/road/items?limit=20",
    "/processes/geocode",
    "/openapi",
    "/collections/road/schema",
)


def map_of(page):
    """The document of the map, drawn."""
    frame = page.frame(name="map")
    frame.wait_for_selector("body.ready", timeout=40_000)
    return frame


@pytest.mark.parametrize(("width", "language", "scheme"), [(1280, "zh", "light"), (390, "en", "dark")])
def test_pages_fit_and_show_the_layer(visit, served_city, width, language, scheme):
    seen = visit(width=width, height=844, color_scheme=scheme)
    page = seen.page
    for path in PATHS:
        page.goto(f"{served_city.url}{path}{'&' if '?' in path else '?'}f=html&lang={language}")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (
            f"{path} is wider than {width}"
        )
        if page.frame(name="map"):
            map_of(page)
            colours = Image.open(io.BytesIO(page.locator("iframe.map").screenshot())).convert("RGB").quantize(64).getcolors()
            assert len(colours) > 8, f"{path}: the map is drawn, and not one empty colour"
    assert {urlsplit(url).netloc for url in seen.asked if url.startswith("http")} == {urlsplit(served_city.url).netloc}
    assert not seen.faults, "neither a fault nor a refusal of the page's policy"


def test_a_click_on_the_map_leads_to_the_feature(visit, served_city):
    page = visit().page
    page.goto(f"{served_city.url}/collections/facility/items?limit=1&f=html&lang=zh")
    number = page.locator("tbody th a").inner_text()
    map_of(page)
    box = page.locator("iframe.map").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # a point alone lies in the middle
    expect(page.locator("h1")).to_contain_text(number)
    expect(page.locator("table.facts")).to_contain_text("名称")
    map_of(page)
