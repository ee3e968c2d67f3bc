"""The platform's own tables: applied once, in order, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gis.db import migrations
from gis.db.connection import owner
from gis.errors import DefinitionError, StoreError


def _tables() -> set[str]:
    with owner() as link, link.cursor() as cursor:
        cursor.execute("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('meta', 'access', 'public')")
        return {name for (name,) in cursor.fetchall()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real migrations in a folder to which the test adds its own."""
    for migration in migrations.migrations():
        (tmp_path / f"{migration.name}.sql").write_text(migration.sql, encoding="utf-8")
    real = migrations.migrations
    monkeypatch.setattr(migrations, "migrations", lambda: real(tmp_path))
    return tmp_path


def test_a_second_run_changes_nothing(store_db: str):
    assert migrations.migrate() == []
    assert {"meta.batch", "meta.finding", "meta.reject", "meta.source", "access.user", "access.key", "access.audit"} <= _tables()


def test_a_new_file_is_applied_once(store_db: str, folder: Path):
    (folder / "9001_more.sql").write_text("CREATE TABLE meta.more (n int)")
    assert migrations.migrate() == ["9001_more"]
    assert migrations.migrate() == []


def test_a_failing_migration_leaves_nothing_and_keeps_those_before_it(store_db: str, folder: Path):
    (folder / "9001_good.sql").write_text("CREATE TABLE meta.good (n int)")
    (folder / "9002_bad.sql").write_text("CREATE TABLE meta.half (n int); SELECT 1 / 0")
    with pytest.raises(StoreError, match="9002_bad failed: division by zero"):
        migrations.migrate()
    assert "meta.good" in _tables() and "meta.half" not in _tables()
    assert [migration.name for migration in migrations.pending()] == ["9002_bad"]


def test_a_migration_changed_after_it_was_applied_is_an_error(store_db: str, folder: Path):
    path = next(folder.glob("0003_*"))
    path.write_text(path.read_text() + "\n-- a late thought")
    with pytest.raises(StoreError, match="was changed"):
        migrations.migrate()


@pytest.mark.parametrize("name", ["0001_twice.sql", "42_short.sql", "0042-dash.sql"])
def test_a_number_twice_or_a_wrong_name_is_an_error(folder: Path, name: str):
    (folder / name).write_text("SELECT 1")
    with pytest.raises(DefinitionError, match=r"number 0001|NNNN"):
        migrations.migrations()
