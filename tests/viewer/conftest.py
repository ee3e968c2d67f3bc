"""A real browser that looks at the served city."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from serving import City
from visiting import Visit

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
