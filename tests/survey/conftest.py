"""A survey of the sample city, clean and with planted faults, made once; and a little survey that a test writes itself."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from etl import pipe_survey_sample
from gis.catalog import read

ADDRESSES, SEED = 500, 5


@pytest.fixture(scope="session")
def clean(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    pipe_survey_sample.make(folder, addresses=ADDRESSES, seed=SEED)
    return folder


@pytest.fixture(scope="session")
def faulty(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    pipe_survey_sample.make(folder, addresses=ADDRESSES, seed=SEED, defects=True)
    return folder


@pytest.fixture
def catalog():
    return read.catalog()


@pytest.fixture
def write(tmp_path):
    """Writes tables {name: [rows]} as CSV into a folder; the header is the first row."""

    def go(folder: str = "survey", encoding: str = "gbk", **tables: list[tuple]) -> Path:
        made = tmp_path / folder
        made.mkdir()
        for name, (header, *rows) in tables.items():
            pd.DataFrame(rows, columns=header).to_csv(made / f"{name}.csv", index=False, encoding=encoding)
        return made

    return go


E0, N0 = 500_000.0, 3_541_500.0
"""A point in the middle of the city in EPSG:4548: easting, northing."""
POINT = ("物探点号", "特征", "附属物", "X", "Y", "地面高程")
LINE = ("S_Exp", "E_Exp", "S_Deep", "E_Deep", "PSize", "Material", "EmBed")


@pytest.fixture
def points():
    """Rows of a point table with ground level 30 m: (number, feature, appurtenance, metres east, metres north)."""
    return lambda *rows: [POINT, *((n, f, a, N0 + north, E0 + east, 30.0) for n, f, a, east, north in rows)]


@pytest.fixture
def lines():
    """Rows of a line table: (start, end, depth at start, depth at end, diameter)."""
    return lambda *rows: [LINE, *((a, b, d, e, size, "PE", "直埋") for a, b, d, e, size in rows)]


@pytest.fixture
def valve(write, points, lines):
    """A main from a basin (J1) to a stub (J2) with a valve near V, delivered in one of its forms: as a point of the main, split (both sides
    of the valve surveyed), or as a line of its own."""

    def go(form: str) -> Path:
        ends = [("J1", None, "水池", 0, 0), ("J2", "预留口", None, 70, 0)]
        inner = {
            "point": [("V", None, "阀门", 50, 0)],
            "split": [("V", None, "阀门", 50, 0), ("V2", None, "阀门", 50.6, 0)],
            "link": [("V", "直线点", None, 50, 0), ("V2", "直线点", None, 53, 0)],
        }[form]
        stops = ["J1", *(row[0] for row in inner), "J2"]
        table = lines(*((a, b, 1.0, 1.0, 200) for a, b in pairwise(stops)))
        if form == "link":
            table = [(*table[0], "Type"), *((*row, "阀门" if row[0] == "V" else "配水") for row in table[1:])]
        return write(form, JS_POINT=points(*ends, *inner), JS_LINE=table)

    return go
