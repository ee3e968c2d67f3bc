"""Coverage on a town whose distances are known: along streets, over bridges that do not meet them, to the right school."""

import geopandas as gpd
import pytest

from gis.db.connection import owner
from gis.db.store import Store
from gis.errors import InputError, NotFound
from gis.processes import service_coverage as process
from gis.settings import settings


def ask(role="anonymous", **parameters) -> dict:
    with Store(role) as store:
        return process.run(store, process.ServiceCoverageInputs(**{"distance": 300, "kind": "小学"} | parameters))


def distances(**parameters) -> dict[str, float]:
    inputs = process.ServiceCoverageInputs(**{"distance": 300, "kind": "primary_school"} | parameters)
    with Store("planner") as store:
        table = process.address_table(store, inputs, process.cover(store, inputs))
    return table.set_index("address_id")


def test_distance_by_street_to_the_nearest_school(town):
    table = distances()
    metres = table["distance_m"].to_dict()
    assert {key: round(metres[key]) for key in ("W1", "W2", "E1", "E4", "N1", "E1-1-301", "I1")} == {
        "W1": 50, "W2": 50, "E1": 250, "E4": 550, "N1": 400, "E1-1-301": 250, "I1": 150,
    }  # fmt: skip
    assert metres["F1"] != metres["F1"], "beyond 300 m of any road nothing can be said, and 0 least of all"
    assert table.loc["W1", "facility_name"] == "府前小学" and table.loc["I1", "facility_id"] == "S2"
    assert not {"OLD", "GONE"} & set(table.index), "what is no longer in service is not counted"
    assert table.loc["W1", "off_road_m"] == pytest.approx(10, abs=0.02)


def test_the_answer_counts_what_is_covered_and_what_cannot_be_reached(town):
    answer = ask()
    assert (answer["facilities"], answer["facilities_off_road"], answer["distance_m"]) == (3, 1, 300)
    assert (answer["addresses"], answer["unreachable"]) == (15, 1)
    assert answer["unreachable_why"]["no_road"] == 1 and answer["unreachable_why"]["not_connected"] == 0
    west, east = answer["communities"]
    assert (west["name"], west["addresses"], west["covered"], west["share"], west["people_covered"]) == ("府西社区", 5, 5, 1.0, 400)
    assert (east["addresses"], east["covered"]) == (10, 4) and east["people_covered"] == 400
    assert answer["covered"] == 9 and answer["share"] == 0.6


def test_an_address_that_no_facility_is_connected_to(town):
    answer = ask(kind="clinic")
    assert answer["unreachable"] == 2 and answer["unreachable_why"]["not_connected"] == 1


def test_filter_picks_facilities_and_joins_with_kind(town):
    assert ask(kind=None, filter="capacity >= 500")["facilities"] == 2
    assert ask(filter="capacity >= 500 OR capacity < 100")["facilities"] == 3
    assert ask(filter={"op": "=", "args": [{"property": "name"}, "岛上小学"]})["facilities"] == 1
    nothing = ask(filter="name = '没有'")
    assert (nothing["facilities"], nothing["covered"], nothing["unreachable"]) == (0, 0, 15)


def test_cars_keep_one_way_streets_on_the_way_to_the_facility(town):
    on_foot, by_car = distances(), distances(mode="drive")
    assert on_foot.loc["E1", "distance_m"] == pytest.approx(250, abs=0.5)
    assert by_car.loc["E1", "distance_m"] != by_car.loc["E1", "distance_m"], "府前街 east of the crossing leads away from the school"
    assert by_car.loc["W1", "distance_m"] == pytest.approx(50, abs=0.5)


def test_service_area_is_cut_at_the_distance(town):
    answer = ask(features=True, filter="name = '府前小学'")
    collection = answer["features"]
    lines = gpd.GeoDataFrame.from_features(collection, crs=4490).to_crs(4548)
    assert lines.length.sum() == pytest.approx(300 + 150 + 3 * 150, abs=0.5)
    assert set(lines["road_name"]) == {"府前街", "五一路"}, "the bridge above 府前街 is not reached from it"


def test_a_new_facility_changes_the_answer(fresh_town):
    first = ask(kind="clinic")
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO meta.batch (status, recorded_at) VALUES ('published', now()) RETURNING id")
        batch = cursor.fetchone()[0]
        cursor.execute("INSERT INTO meta.batch_layer (batch, layer, updated) VALUES (%s, 'facility', 1)", (batch,))
        cursor.execute("UPDATE core.facility SET kind = 'clinic' WHERE facility_id = 'S2'")
    second = ask(kind="clinic")
    assert second["facilities"] == first["facilities"] + 1 and second["data_version"] != first["data_version"]
    assert second["unreachable"] == 1


def test_built_once_and_mapped_afterwards(fresh_town):
    ask()
    folders = [path for path in (settings().home / "roads").iterdir() if path.is_dir()]
    assert len(folders) == 1
    stamp = (folders[0] / "length.npy").stat().st_mtime_ns
    ask(kind="clinic")
    assert (folders[0] / "length.npy").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"kind": "没有的类型"}, InputError),
        ({"facilities": "nosuch"}, NotFound),
        ({"facilities": "dem", "kind": None, "role": "admin"}, InputError),
        ({"filter": "nosuch = 1"}, InputError),
        ({"facilities": "address", "kind": "x"}, InputError),
    ],
)
def test_wrong_questions(town, parameters, error):
    with pytest.raises(error):
        ask(**parameters)


def test_anonymous_learns_nothing_of_hidden_layers(town):
    with pytest.raises(NotFound):
        ask(facilities="hydrant", kind=None)
    with pytest.raises(InputError):
        ask(role="anonymous", facilities="grid_cell", kind=None, filter="officer = '张三'")


def test_without_roads_it_says_so(store_db):
    with pytest.raises(NotFound, match="no roads"):
        ask()


@pytest.mark.parametrize("distance", [0, -1, float("nan"), float("inf"), 1e9, "x"])
def test_a_distance_is_a_positive_number(distance):
    with pytest.raises(ValueError):
        process.ServiceCoverageInputs(distance=distance)
