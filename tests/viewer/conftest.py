"""A real browser that looks at the served city."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import serving
import wntr
from serving import City
from visiting import Visit

NET3 = Path(wntr.__file__).parent / "library" / "networks" / "Net3.inp"

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""MapLibre needs WebGL; SwiftShader is WebGL without a graphics card. The others keep the browser itself from calling out."""


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """The system's Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need the package playwright: ./run setup")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, served_city: City) -> Iterator:
    """Makes visits: `visit(width=390, height=844)`; all tabs are closed after the test."""
    made: list[Visit] = []

    def start(**more) -> Visit:
        made.append(Visit(browser, served_city, **more))
        return made[-1]

    yield start
    for one in made:
        one.context.close()


@pytest.fixture(scope="session")
def working_city(loaded_city, built_viewer, tmp_path_factory) -> Iterator[City]:
    """A served city in which works are entered and valves reported, with a worker for jobs and a second network over the same ground."""
    with serving.city("working_city", loaded_city, tmp_path_factory.mktemp("working") / "home", jobs=True) as one:
        serving.onemap("load", "epanet", str(NET3), "--network", "Net3", "--place", "117.0,32.0", env=one.env)
        yield one


@pytest.fixture
def duty(browser, working_city: City) -> Iterator:
    """A duty officer's visits: `duty("open=works", width=390)` opens the map there, logged in; role None: a visitor."""
    made: list[Visit] = []

    def start(place: str = "", role: str | None = "water", **more) -> Visit:
        made.append(Visit(browser, working_city, key=working_city.keys[role] if role else "", **more))
        return made[-1].open_place(place)

    yield start
    for one in made:
        one.context.close()
