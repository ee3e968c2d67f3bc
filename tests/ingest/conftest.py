"""Small deliveries as a bureau makes them, and the city that they belong to."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
import shapely

from gis.catalog import read
from gis.db.connection import owner
from gis.ingest.load import load_files
from gis.settings import settings


@pytest.fixture
def catalog():
    """The project's own layers and city (extent 116.80 31.82 117.20 32.18)."""
    return read.catalog()


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes the catalogue of another city: `city(extent)`; for real data that lies elsewhere."""

    def make(extent: tuple[float, float, float, float]):
        west, south, east, north = extent
        file = tmp_path / "city.yaml"
        file.write_text(
            (settings().layers / "city.yaml").read_text(encoding="utf-8").split("extent:")[0]
            + f"extent: [{west}, {south}, {east}, {north}]\nworking_crs: EPSG:4548\ncenter: [{(west + east) / 2}, {(south + north) / 2}]\n",
            encoding="utf-8",
        )
        monkeypatch.setenv("ONEMAP_CITY", str(file))
        settings.cache_clear()
        return read.catalog()

    yield make
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def query():
    """`query(sql, *values)`: rows of the test's database, asked as its owner."""

    def ask(text: str, *values) -> list[tuple]:
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute(text, values)
            return cursor.fetchall()

    return ask


@pytest.fixture
def facilities() -> geopandas.GeoDataFrame:
    """Four sound facilities with Chinese column names, EPSG:4490."""
    return geopandas.GeoDataFrame(
        {
            "设施编号": ["S1", "S2", "S3", "S4"],
            "设施名称": ["实验小学", "县医院", "城关幼儿园", "人民公园"],
            "设施类型": ["小学", "医院", "kindergarten", "公园"],
            "容量": [1800, 600, 240, None],
            "地址": ["府前街20号", None, "青澜大道3号", "　"],
            "启用日期": ["1956年9月1日", "19800501", "2001/3/1", None],
        },
        geometry=shapely.points([[117.0, 32.0], [117.01, 32.01], [117.02, 32.0], [116.99, 31.99]]),
        crs=4490,
    )


@pytest.fixture
def deliver(catalog, tmp_path):
    """Writes a frame as GeoPackage and loads it."""

    def go(frame, layer="facility", **options):
        path = tmp_path / "delivery.gpkg"
        path.unlink(missing_ok=True)
        frame.to_file(path, engine="pyogrio")
        return load_files(catalog, layer, [path], **options)

    return go
