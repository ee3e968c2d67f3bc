"""One small city for all its tests, made once: clean, and with planted faults."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest

from etl import synthetic_city

ADDRESSES, SEED = 2000, 7


class Files:
    """A folder of source files; `files(layer)` reads one in the working CRS, codes and ids as text."""

    def __init__(self, folder: Path, summary: dict):
        self.folder, self.summary, self._read = folder, summary, {}

    def __call__(self, layer: str) -> gpd.GeoDataFrame:
        if layer not in self._read:
            path = self.folder / self.summary["files"][layer]
            if path.suffix == ".csv":
                sheet = pd.read_csv(path, dtype={"所在节点": str, "所在管段": str})
                self._read[layer] = gpd.GeoDataFrame(sheet, geometry=gpd.points_from_xy(sheet["经度"], sheet["纬度"]), crs=4490).to_crs(
                    4548
                )
            else:
                encoding = "GBK" if path.suffix == ".shp" else None
                self._read[layer] = pyogrio.read_dataframe(path, encoding=encoding).to_crs(4548)
        return self._read[layer]


@pytest.fixture(scope="session")
def city(tmp_path_factory) -> Files:
    folder = tmp_path_factory.mktemp("city")
    return Files(folder, synthetic_city.make(ADDRESSES, SEED, folder))


@pytest.fixture(scope="session")
def faulty_city(tmp_path_factory) -> Files:
    folder = tmp_path_factory.mktemp("faulty")
    return Files(folder, synthetic_city.make(ADDRESSES, SEED, folder, defects=True))
