"""A real PostGIS for the tests: one throw-away cluster per run, one template database, a fresh copy of it for each
test that asks."""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import room
from serving import built_viewer, database, loaded_city, served_city, settings_for  # noqa: F401 (fixtures)

from gis.catalog import read
from gis.db import cluster, connection, migrations, plan
from gis.settings import ROOT, settings

_numbers = itertools.count(1)

DEAREST = (
    "test_docs.py", "api/test_endurance.py", "viewer/test_viewer_water.py", "viewer/test_viewer_map.py", "api/test_corpora.py",
    "api/test_roles.py", "viewer/test_viewer_burst.py", "qgis/test_qgis.py", "city/test_notebooks.py", "api/test_any_question.py",
    "processes/test_burst_book.py", "ingest/test_job_commands.py", "ingest/test_cluster.py", "city/test_city_load.py",
    "analysis/test_isolation_random.py", "api/test_dense_tiles.py", "processes/test_burst.py", "ingest/test_command.py",
)  # fmt: skip
"""The files that take longest, longest first (`./run test` says at its end which do)."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole-corpora", action="store_true", help="ask every parameter of every path with every text (an hour)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The dearest files first: what comes last is short, and no process waits long for the others."""
    places = {ROOT / "tests" / name: place for place, name in enumerate(DEAREST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which files took longest, of a run of minutes."""
    seconds: Counter[str] = Counter()
    for report in itertools.chain(*terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            seconds[report.nodeid.split("::")[0]] += report.duration
    if seconds.total() > 300:
        terminalreporter.section("longest files")
        for name, taken in seconds.most_common(25):
            terminalreporter.write_line(f"{taken:7.1f} s  {name}")


def _forget_settings() -> None:
    connection.close_pool()
    settings.cache_clear()


@pytest.fixture(scope="session")
def pg() -> Iterator[Path]:
    """The home of a running cluster of its own; it is deleted with everything in it when the tests end."""
    home = room.new_home("onemap-test-")
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("ONEMAP_")]:
            environment.delenv(name)
        environment.setenv("ONEMAP_HOME", str(home))
        _forget_settings()
        cluster.start()
        _hurry()
        yield home
        environment.delenv("ONEMAP_DSN", raising=False)
        environment.setenv("ONEMAP_HOME", str(home))
        _forget_settings()
        cluster.remove()
        shutil.rmtree(home)
    _forget_settings()


def _hurry() -> None:
    """A cluster that nobody will miss need not wait for the disk, nor look through a large cache whenever a table goes."""
    chosen = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "128MB", "max_wal_size": "256MB"}
    with connection.owner(autocommit=True) as link, link.cursor() as cursor:
        for name, value in chosen.items():
            cursor.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    connection.close_pool()
    cluster.stop()
    cluster.start()


@pytest.fixture(scope="session")
def template(pg: Path) -> str:
    """The name of a database with all migrations and all layers, and no rows."""
    migrations.migrate()
    plan.apply(read.catalog())
    connection.close_pool()
    return cluster.DATABASE


@pytest.fixture
def original(template: str) -> str:
    """The name of the database that a test gets a copy of; a folder of tests may have another."""
    return template


@pytest.fixture
def store_db(original: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A fresh copy of the template with a home of its own; the settings (and the environment of commands run by the
    test) point to it.

    Yields the owner's DSN.
    """
    with _copy(original, tmp_path / "home", monkeypatch) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def module_db(template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, once for all tests of a file: what one of them changes the others must not ask."""
    home = tmp_path_factory.mktemp("module") / "home"
    with pytest.MonkeyPatch.context() as environment, _copy(template, home, environment) as dsn:
        yield dsn


@contextmanager
def _copy(template: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with database(f"test_{next(_numbers)}", template) as name:
        for setting, value in settings_for(name, home).items():
            monkeypatch.setenv(setting, value)
        _forget_settings()
        yield os.environ["ONEMAP_DSN"]
        monkeypatch.undo()
        _forget_settings()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; tests that need it are skipped where it is missing."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data (../shared/data) is not beside the project")
    return folder
