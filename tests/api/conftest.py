"""The API over a fresh database that holds the good row of every layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from api_rows import Caller, put
from rights_matrix import matrix  # noqa: F401 (fixture)
from serving import database, settings_for

from gis.access import accounts, identity
from gis.api import site
from gis.api.app import create_app
from gis.api.tile_cache import cache
from gis.catalog.read import catalog
from gis.db.connection import close_pool
from gis.settings import settings


@pytest.fixture
def unthrottled(store_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit of requests per second: for tests that ask thousands."""
    monkeypatch.setenv("ONEMAP_RATE_PER_S", "0")
    monkeypatch.setenv("ONEMAP_RATE_PER_S_ANONYMOUS", "0")
    settings.cache_clear()


@pytest.fixture(scope="session")
def filled(template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database with one good row per layer."""
    home = tmp_path_factory.mktemp("filled") / "home"
    with database("filled", template) as name:
        with pytest.MonkeyPatch.context() as environment:
            for setting, value in settings_for(name, home).items():
                environment.setenv(setting, value)
            _forget()
            for layer in catalog().vectors:
                put(layer.id, {})
        _forget()
        yield name


def _forget() -> None:
    close_pool()
    settings.cache_clear()


@pytest.fixture
def original(request: pytest.FixtureRequest, template: str) -> str:
    """For tests of the application the database with the rows."""
    return request.getfixturevalue("filled") if "app" in request.fixturenames else template


@pytest.fixture
def app(store_db: str):
    """The application over a database with one good row per layer."""
    identity.forget()
    cache.clear()
    site._visits.clear()
    return create_app()


@pytest.fixture
def anyone(app) -> Caller:
    """Nobody in particular."""
    return Caller(app.test_client(), {})


@pytest.fixture
def as_role(app) -> Iterator[Callable[[str], Caller]]:
    """A function: role -> a client with a key of a user of that role."""
    made: dict[str, Caller] = {}

    def client(role: str) -> Caller:
        if role == "anonymous":
            return Caller(app.test_client(), {})
        if role not in made:
            accounts.add_user(f"test-{role}", role)
            made[role] = Caller(app.test_client(), {"X-API-Key": accounts.new_key(f"test-{role}")})
        return made[role]

    yield client


@pytest.fixture
def water(as_role) -> Caller:
    return as_role("water")


@pytest.fixture
def planner(as_role) -> Caller:
    return as_role("planner")
