"""The way of a crew through the database."""

import json

import geopandas
import pytest
import shapely
from test_works import add, change
from typer.testing import CliRunner

from gis.catalog.read import catalog
from gis.cli.main import application
from gis.cli.typed import inputs_of
from gis.db.connection import owner
from gis.db.store import Store
from gis.errors import AccessDenied, InputError, NotOnNetwork
from gis.ingest.load import load_frames
from gis.processes import crew_route

DEPOT = {"facility_id": "D1", "name": "供水抢修站", "kind": "water_depot", "geometry": shapely.Point(116.998, 32.0001)}


@pytest.fixture
def town(street):
    """The street of two pipes with a road along it, one-way beyond A, and a lane back; and a depot."""
    at = {"W": (116.998, 32.0), "A": (117.001, 32.0), "E": (117.003, 32.0), "N": (117.003, 32.001)}
    roads = {"R1": ("W", "A", "both"), "R2": ("A", "E", "forward"), "R3": ("E", "N", "both"), "R4": ("N", "A", "both")}
    rows = [
        {"road_id": r, "name": "府前街", "class": "branch", "from_node": a, "to_node": b, "oneway": way, "speed_kmh": 36.0, "level": 0,
         "geometry": shapely.LineString([at[a], at[b]])} for r, (a, b, way) in roads.items()
    ]  # fmt: skip
    for layer, features in {"road": rows, "facility": [DEPOT]}.items():
        load_frames(catalog(), {layer: geopandas.GeoDataFrame(features, geometry="geometry", crs="EPSG:4490")}, name=layer)


def crew(role="water", **inputs):
    with Store(role) as store:
        return crew_route.run(store, inputs_of(crew_route.CrewRouteInputs, inputs))


def test_from_the_depot_to_the_valve_of_a_burst(town):
    found = crew(pipe="AB", features=True, minutes_per_valve=5)
    assert found["depot"]["id"] == "D1" and [s["valve"] for s in found["stops"]] == ["VAB"]
    stop = found["stops"][0]
    assert stop["drive_m"] == pytest.approx(283.3, abs=1) and stop["drive_s"] == pytest.approx(283.3 / (36 * 0.7 / 3.6), abs=1)
    assert stop["leave_s"] == stop["arrive_s"] + 300 and found["total_s"] == stop["leave_s"]
    assert stop["address"] == "府前街1号" and 40 < stop["address_m"] < 60
    parts = [f["properties"]["part"] for f in found["features"]["features"]]
    assert parts == ["leg", "stop", "depot"]


def test_the_order_of_closing_and_the_quickest(town):
    given = crew(valves=["VAB", "VSA"])
    assert [s["valve"] for s in given["stops"]] == ["VAB", "VSA"]
    quick = crew(valves=["VAB", "VSA"], order="quickest")
    assert [s["valve"] for s in quick["stops"]] == ["VSA", "VAB"] and quick["drive_s"] < given["drive_s"]
    assert crew(valves=["VSA"], depot=(117.0005, 32.0))["depot"]["name"] is None


def test_one_way_streets_are_kept(town):
    found = crew(valves=["VAB"], depot=(117.002, 32.0))
    assert found["drive_m"] > 300, "round by the lane: the street may not be driven backwards"


def test_remote_valves_need_no_crew_and_what_no_road_reaches_is_named(town):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE core.water_valve SET remote = (valve_id = 'VSA'), batch = batch")
        cursor.execute("UPDATE core.water_valve SET geom = ST_SetSRID(ST_MakePoint(117.1, 32.1, 0), 4490) WHERE valve_id = 'VAB'")
    found = crew(valves=["VSA", "VAB"])
    assert found["remote"] == ["VSA"] and found["unreached"] == ["VAB"] and found["stops"] == [] and found["depot"] is None


def test_a_service_line_is_shut_at_its_house(town):
    (stop,) = crew(connection="c1")["stops"]
    assert stop["valve"] == "k1" and stop["address"] == "府前街1号"
    assert [s["valve"] for s in crew(connection="c1", stuck=["k1"])["stops"]] == ["VAB"]
    assert [s["valve"] for s in crew(work=add(connection="c1"))["stops"]] == ["k1"]


def test_of_several_depots_the_nearest_by_driving_sends_the_crew(town):
    near = DEPOT | {"facility_id": "D2", "name": "东站", "geometry": shapely.Point(117.0029, 32.0002)}
    frame = geopandas.GeoDataFrame([DEPOT, near], geometry="geometry", crs="EPSG:4490")
    load_frames(catalog(), {"facility": frame}, name="two depots")
    assert crew(valves=["VAB"])["depot"]["id"] == "D1", "as the crow flies D2 is nearer, but the street is one-way"
    assert crew(valves=["VAB"], depot=(117.0029, 32.0002))["drive_s"] > crew(valves=["VAB"])["drive_s"]


def test_the_valves_of_a_work(town):
    work = add(pipe="AB")
    assert [s["valve"] for s in crew(work=work)["stops"]] == ["VAB"]
    change("cancel", work=work)
    with pytest.raises(InputError, match="cancelled"):
        crew(work=work)


def test_wrong_requests_are_refused(town):
    for inputs in ({}, {"pipe": "AB", "work": 1}, {"pipe": "AB", "depot": (500, 0)}, {"valves": []}):
        with pytest.raises(InputError):
            crew(**inputs)
    with pytest.raises(NotOnNetwork):
        crew(valves=["V9"])
    with pytest.raises(AccessDenied):
        crew("anonymous", pipe="AB")
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM core.facility")
    with pytest.raises(InputError, match="depot"):
        crew(pipe="AB")


def test_the_command(town, tmp_path):
    file = tmp_path / "way.geojson"
    done = CliRunner().invoke(application(), ["crew", "--pipe", "AB", "--json", "--out", str(file)], catch_exceptions=False)
    assert json.loads(done.stdout)["stops"][0]["valve"] == "VAB" and len(json.loads(file.read_bytes())["features"]) == 3
    told = CliRunner().invoke(application(), ["crew", "--valves", "VAB,VSA", "--depot", "117.0,32.0"], catch_exceptions=False).stdout
    assert "VAB" in told and "VSA" in told
