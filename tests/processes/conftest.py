"""A town small enough to know every distance by heart, loaded as any delivery."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import street as street_of_two
from serving import database, settings_for

from gis.catalog import read
from gis.db import connection
from gis.ingest.load import load_frames
from gis.settings import settings

EAST, NORTH = 500_000.0, 3_542_000.0
"""The crossing of 府前街 (west to east) and 五一路 (south to north), metres in EPSG:4548, near 117.0 E 32.0 N."""
WEST_SIDE, EAST_SIDE = "999901100001", "999901100002"
PREFIX = "示例省示例市青澜县"


def placed(frame: pd.DataFrame, shapes) -> gpd.GeoDataFrame:
    """Shapes in metres around the crossing, as EPSG:4490."""
    moved = shapely.transform(np.array(shapes, dtype=object), lambda xy: xy + np.array([EAST, NORTH]))
    return gpd.GeoDataFrame(frame, geometry=moved, crs="EPSG:4548").to_crs(4490)


def streets() -> gpd.GeoDataFrame:
    ends = {
        "R1": ("府前街", [(-500, 0), (0, 0)], "A", "X"), "R2": ("府前街", [(0, 0), (500, 0)], "X", "B"),
        "R3": ("五一路", [(0, -500), (0, 0)], "C", "X"), "R4": ("五一路", [(0, 0), (0, 500)], "X", "D"),
        "R5": ("孤岛路", [(2000, 2000), (2300, 2000)], "E", "F"),
        "R6": ("高架", [(-300, -300), (-300, 300)], "G", "H"),
    }  # fmt: skip
    frame = pd.DataFrame({
        "road_id": list(ends), "name": [row[0] for row in ends.values()], "class": "branch", "oneway": "both",
        "level": [0, 0, 0, 0, 0, 1], "bridge": [False] * 5 + [True],
    })  # fmt: skip
    frame.loc[frame["road_id"] == "R2", "oneway"] = "forward"
    return placed(frame, [shapely.LineString(row[1]) for row in ends.values()])


def addresses() -> gpd.GeoDataFrame:
    rows = [
        *((f"W{i}", "城关镇", "府前街", f"{2 * i}号", None, None, None, "gate", WEST_SIDE, (-100 * i, 10)) for i in range(1, 5)),
        *((f"E{i}", "城关镇", "府前街", f"{2 * i + 1}号", None, None, None, "gate", EAST_SIDE, (100 * i, 10)) for i in range(1, 5)),
        ("E1-1", "城关镇", "府前街", "3号", "府前小区", "1幢", None, "building", EAST_SIDE, (100, 30)),
        ("E1-1-301", "城关镇", "府前街", "3号", "府前小区", "1幢", "301室", "room", EAST_SIDE, (100, 30)),
        ("N1", "城关镇", "五一路", "12-3号", None, None, None, "gate", EAST_SIDE, (5, 250)),
        ("I1", "东湖镇", "孤岛路", "1号", None, None, None, "gate", EAST_SIDE, (2100, 2005)),
        ("F1", "东湖镇", "田野路", "1号", None, None, None, "gate", EAST_SIDE, (1500, 1500)),
        ("P1", "城关镇", "人民路", "1号", None, None, None, "gate", WEST_SIDE, (-400, 20)),
        ("P2", "东湖镇", "人民路", "1号", None, None, None, "gate", EAST_SIDE, (480, 20)),
        ("OLD", "城关镇", "府前街", "99号", None, None, None, "gate", WEST_SIDE, (-450, 5)),
        ("GONE", "城关镇", "府前街", "97号", None, None, None, "gate", WEST_SIDE, (-450, 5)),
    ]  # fmt: skip
    names = ["address_id", "town", "road", "number", "compound", "building_no", "room", "level", "community_code", "at"]
    frame = pd.DataFrame(rows, columns=names)
    tail = frame[["compound", "building_no", "room"]].fillna("").agg("".join, axis=1)
    frame["full_text"] = PREFIX + frame["town"] + frame["road"] + frame["number"] + tail
    frame = frame.assign(province="示例省", city="示例市", county="青澜县", status="official", stage="current")
    frame.loc[frame["address_id"] == "OLD", "stage"] = "retired"
    frame["valid_to"] = None
    frame.loc[frame["address_id"].isin(["OLD", "GONE"]), "valid_to"] = "2020-01-01"
    frame["name"] = None
    frame.loc[frame["address_id"] == "E4", "name"] = "青澜县人民医院"
    return placed(frame.drop(columns="at"), [shapely.Point(at) for at in frame["at"]])


def facilities() -> gpd.GeoDataFrame:
    frame = pd.DataFrame({
        "facility_id": ["S1", "S2", "C1", "OFF"], "name": ["府前小学", "岛上小学", "卫生所", "远处小学"],
        "kind": ["primary_school", "primary_school", "clinic", "primary_school"], "capacity": [900, 90, 10, 500],
    })  # fmt: skip
    return placed(frame, [shapely.Point(at) for at in ((-150, -20), (2250, 2010), (300, 20), (-5000, 5000))])


def areas() -> dict[str, gpd.GeoDataFrame]:
    west, east = shapely.box(-3000, -3000, 0, 3000), shapely.box(0, -3000, 3000, 3000)
    community = pd.DataFrame({"code": [WEST_SIDE, EAST_SIDE], "name": ["府西社区", "府东社区"], "population": [400, 1000]})
    grid = pd.DataFrame({
        "grid_code": [WEST_SIDE + "001", EAST_SIDE + "001"], "community_code": [WEST_SIDE, EAST_SIDE], "name": ["西一格", "东一格"],
    })  # fmt: skip
    many = [shapely.MultiPolygon([west]), shapely.MultiPolygon([east])]
    return {"community": placed(community, many), "grid_cell": placed(grid, many)}


def place_names() -> gpd.GeoDataFrame:
    frame = pd.DataFrame({
        "name_id": ["D1", "D2"], "name": ["府前街", "青澜公园"], "kind": ["road", "park"], "aliases": [["老衙门街"], ["人民公园"]],
    })  # fmt: skip
    return placed(frame, [shapely.Point(0, 0), shapely.Point(200, 200)])


def load(catalog) -> None:
    layers = areas() | {"road": streets(), "address": addresses(), "facility": facilities(), "place_name": place_names()}
    for layer, frame in layers.items():
        load_frames(catalog, {layer: frame}, name=f"town {layer}", mode="replace")


@contextmanager
def _filled(name: str, template: str, home: Path, fill: Callable[[], object]) -> Iterator[dict[str, str]]:
    """The settings of a database of this name with what `fill` loads into it; nobody is connected."""
    with database(name, template):
        found = settings_for(name, home)
        with pytest.MonkeyPatch.context() as environment:
            _turn_to(found, environment)
            fill()
        _forget_settings()
        yield found


@pytest.fixture(scope="session")
def town_settings(template, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The settings of one database with the town in it, for all tests that only read it."""
    with _filled("town", template, tmp_path_factory.mktemp("town"), lambda: load(read.catalog())) as found:
        yield found


@pytest.fixture
def town(town_settings, monkeypatch):
    """The town, to be read only."""
    _turn_to(town_settings, monkeypatch)
    yield read.catalog()
    monkeypatch.undo()
    _forget_settings()


@pytest.fixture(scope="session")
def loaded_town(template, tmp_path_factory) -> Iterator[str]:
    """The name of a database with the town in it, to be copied."""
    with _filled("loaded_town", template, tmp_path_factory.mktemp("town"), lambda: load(read.catalog())):
        yield "loaded_town"


@pytest.fixture(scope="session")
def loaded_street(template, tmp_path_factory) -> Iterator[str]:
    """The name of a database with the street in it, to be copied."""
    with _filled("loaded_street", template, tmp_path_factory.mktemp("street"), street_of_two.put):
        yield "loaded_street"


@pytest.fixture
def original(request: pytest.FixtureRequest, template: str) -> str:
    """What a test gets a copy of: the town or the street where it asks for one."""
    wanted = {"fresh_town": "loaded_town", "street": "loaded_street"}
    return next((request.getfixturevalue(loaded) for name, loaded in wanted.items() if name in request.fixturenames), template)


@pytest.fixture
def fresh_town(store_db):
    """A town of its own for a test that changes it."""
    return read.catalog()


@pytest.fixture
def street(store_db) -> Callable:
    """Two pipes behind a valve each, with connections, curb stops, door-plates and a hydrant; called, it loads them changed."""
    return street_of_two.put


def _turn_to(found: dict[str, str], environment: pytest.MonkeyPatch) -> None:
    for variable, value in found.items():
        environment.setenv(variable, value)
    _forget_settings()


def _forget_settings() -> None:
    connection.close_pool()
    settings.cache_clear()
