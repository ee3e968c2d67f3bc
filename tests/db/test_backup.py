"""A backup that was never restored is none: it is restored into another cluster and compared."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import room
from rasterio.transform import from_bounds

from etl import raster
from gis.catalog import read
from gis.cli import db as commands
from gis.db import backup as backups
from gis.db import cluster, connection, migrations, plan
from gis.db.store import Store
from gis.errors import InputError, SourceError, StoreError
from gis.ingest import report
from gis.ingest.rollback import rollback
from gis.settings import settings


@pytest.fixture
def homes(monkeypatch: pytest.MonkeyPatch):
    """A function that makes a cluster in a new home and turns the settings to it."""
    made: list[Path] = []

    def turn_to(home: Path) -> None:
        monkeypatch.setenv("ONEMAP_HOME", str(home))
        connection.close_pool()
        settings.cache_clear()

    def new() -> Path:
        home = room.new_home("onemap-home-")
        made.append(home)
        turn_to(home)
        cluster.start()
        return home

    for name in ("ONEMAP_DSN", "ONEMAP_DSN_SERVING"):
        monkeypatch.delenv(name, raising=False)
    yield new
    for home in made:
        turn_to(home)
        cluster.remove()
        shutil.rmtree(home)
    monkeypatch.undo()
    connection.close_pool()
    settings.cache_clear()


def _add_place(key: str, name: str) -> None:
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core.place_name (name_id, name, kind, geom) VALUES (%s, %s, 'road', ST_Point(117, 32, 4490))", (key, name)
        )


def _places() -> list[str]:
    with Store("anonymous") as store:
        return store.frame("place_name")["name"].tolist()


def test_a_backup_comes_back_in_another_cluster_with_rows_rights_and_sources(homes, tmp_path: Path):
    home = homes()
    migrations.migrate()
    plan.apply(read.catalog())
    _add_place("1", "府前街")
    (home / "sources").mkdir()
    (home / "sources" / "abc").write_bytes(b"delivered")
    (home / "sources" / "def.1.partial").write_bytes(b"half")
    (tmp_path / "backup").mkdir(mode=0o755)
    made = backups.backup(tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700, "a dump holds what no role sees together"
    assert made["rows"] > 1 and made["files"] == 1
    with pytest.raises(InputError, match="not empty"):
        backups.backup(tmp_path / "backup")

    elsewhere = homes()
    restored = backups.restore(tmp_path / "backup")
    assert restored["rows"] == made["rows"]
    assert _places() == ["府前街"]
    assert (elsewhere / "sources" / "abc").read_bytes() == b"delivered"
    assert plan.plan(read.catalog()) == []
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(
            "SELECT has_database_privilege('onemap_login', current_database(), 'CONNECT'), datacl::text"
            " FROM pg_database WHERE datname = current_database()"
        )
        may, rights = cursor.fetchone()
    assert may and "{=" not in rights and ",=" not in rights  # nothing for PUBLIC
    _add_place("2", "人民路")
    backups.restore(tmp_path / "backup")
    assert _places() == ["府前街"]


def _dem(path: Path, height: float) -> Path:
    with rasterio.open(path, "w", driver="GTiff", width=64, height=64, count=1, dtype="float32", crs="EPSG:4490", nodata=-9999.0,
                       transform=from_bounds(116.8, 31.82, 117.2, 32.18, 64, 64)) as file:  # fmt: skip
        file.write(np.full((1, 64, 64), height, "float32"))
    return path


def _height() -> float | None:
    link = settings().home / "raster" / "dem.tif"
    if not link.exists():
        return None
    with rasterio.open(link) as file:
        return float(file.read(1).max())


def test_rasters_come_back_with_the_batch_that_is_believed_and_can_be_rolled_back_there(homes, tmp_path: Path, capsys):
    home = homes()
    migrations.migrate()
    catalog = read.catalog()
    plan.apply(catalog)
    raster.load(catalog, "dem", _dem(tmp_path / "1.tif", 1.0))
    batch = raster.load(catalog, "dem", _dem(tmp_path / "2.tif", 2.0)).batch
    assert backups.backup(tmp_path / "backup")["files"] == 4  # two sources, two rasters
    raster.load(catalog, "dem", _dem(tmp_path / "3.tif", 3.0))

    for name in ("raster", "sources"):
        shutil.rmtree(home / name)
    commands.restore(tmp_path / "backup", yes=True)
    assert _height() == 2.0
    rollback(catalog, batch)
    assert _height() == 1.0
    raster.load(catalog, "dem", _dem(tmp_path / "4.tif", 4.0))
    commands.restore(tmp_path / "backup", yes=True)
    assert _height() == 2.0
    kept = next((tmp_path / "backup" / "raster" / "dem").glob("*.tif"))
    whole = kept.read_bytes()
    kept.write_bytes(bytes(len(whole)))
    (settings().home / "raster" / "dem" / kept.name).unlink()
    with pytest.raises(StoreError, match="damaged"):
        backups.restore(tmp_path / "backup")
    kept.unlink()
    with pytest.raises(SourceError, match="lacks 1"):
        backups.restore(tmp_path / "backup")
    assert [batch["status"] for batch in report.batches()] == ["published", "published"], "the database is as it was"


def test_a_damaged_or_incomplete_backup_is_refused_before_anything_is_touched(homes, tmp_path: Path):
    homes()
    migrations.migrate()
    plan.apply(read.catalog())
    backups.backup(tmp_path / "backup")
    _add_place("1", "府前街")
    dump = tmp_path / "backup" / "database.dump"
    dump.write_bytes(dump.read_bytes()[:-100])
    with pytest.raises(SourceError, match="damaged"):
        backups.restore(tmp_path / "backup")
    with pytest.raises(SourceError, match="no complete backup"):
        backups.restore(tmp_path)
    ledger = tmp_path / "backup" / "backup.json"
    dump.write_bytes(b"")
    said = json.loads(ledger.read_text())
    ledger.write_text(json.dumps(said | {"sha256": hashlib.sha256(b"").hexdigest(), "migrations": [*said["migrations"], "9999_tomorrow"]}))
    with pytest.raises(SourceError, match="newer version"):
        backups.restore(tmp_path / "backup")
    assert _places() == ["府前街"]
