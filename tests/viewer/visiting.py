"""A reader who visits the map of a served city with a real browser."""

from __future__ import annotations

import itertools
import json
import time
from contextlib import suppress

from playwright.sync_api import TimeoutError
from serving import City

from gis.settings import ROOT

ARTEFACTS = ROOT / "tests" / "artefacts"


class Visit:
    """A reader at the map in a tab of his own: what he asks of the network and what goes wrong is written down."""

    def __init__(self, browser, city: City, *, width: int = 1280, height: int = 800, key: str = "", **context):
        self.city = city
        self.context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN", **context)
        if key:
            kept = json.dumps(json.dumps({"kind": "key", "key": key}))
            self.context.add_init_script(f"sessionStorage.setItem('onemap.credentials', {kept})")
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.asked: list[str] = []
        self.posted: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("request", lambda request: self.posted.append((request.url, request.post_data)) if request.method == "POST" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)

    def open(self, lon: float | None = None, lat: float | None = None, zoom: float = 18) -> Visit:
        """The map, with a position in the middle of the screen."""
        place = f"#{zoom}/{lat}/{lon}" if lon is not None else ""
        self.page.goto(f"{self.city.url}/map/{place}")
        self.page.wait_for_selector(".layers [data-layer=road]", state="attached")
        return self

    def open_place(self, place: str) -> Visit:
        """The map at an address as a colleague would send it: what stands behind the `#`."""
        self.page.goto(f"{self.city.url}/map/#{place}")
        self.page.wait_for_selector(".layers [data-layer=road]", state="attached")
        return self

    def log_in(self, role: str) -> Visit:
        self.page.click(".login-button")
        self.page.fill("input[name=key]", self.city.keys[role])
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".who")
        return self

    @property
    def middle(self) -> tuple[float, float]:
        box = self.page.locator(".map").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def click_middle(self, until: str) -> None:
        """Click the middle of the map until something shows: tiles come when they come."""
        until_then = time.monotonic() + 90
        while time.monotonic() < until_then:
            self.page.mouse.click(*self.middle)
            # A tool that no longer waits for a click has one and is asking the server.
            waiting = self.page.locator(".banner.prompt").is_visible() or self.page.locator(".working").count() == 0
            with suppress(TimeoutError):
                self.page.wait_for_selector(until, timeout=1500 if waiting else 15_000)
                return
        raise AssertionError(f"no {until} after clicking the middle of the map")

    def until(self, expression: str, seconds: float = 20) -> None:
        """Wait until an expression holds in the page. Asked from outside: the page's policy forbids code made of texts."""
        for _ in range(int(seconds * 5)):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(200)
        raise AssertionError(f"does not become true: {expression}")

    def keep(self, name: str) -> None:
        """A picture of the screen among the artefacts."""
        ARTEFACTS.mkdir(exist_ok=True)
        with suppress(Exception):
            self.page.wait_for_load_state("networkidle", timeout=5000)
        self.page.wait_for_timeout(1200)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png")


def middle_of(line: list) -> tuple[float, float]:
    """The middle of the longest step of a line, as longitude and latitude."""
    a, b = max(itertools.pairwise(line), key=lambda step: (step[0][0] - step[1][0]) ** 2 + (step[0][1] - step[1][1]) ** 2)
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
