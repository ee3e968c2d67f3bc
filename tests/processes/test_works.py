"""Works through the database: their states, the valves they hold, what two of them do together, who may."""

import datetime as dt
import json

import geopandas
import pytest
import shapely
from test_burst import burst, street  # noqa: F401
from typer.testing import CliRunner

from gis.access.audit import entries
from gis.catalog.read import catalog
from gis.cli.main import application
from gis.cli.typed import inputs_of
from gis.db.connection import owner, writing
from gis.db.store import Store
from gis.errors import AccessDenied, InputError, NotFound, NotOnNetwork, StoreError
from gis.ingest.load import load_frames
from gis.processes import work_change, works

NOON = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)


def change(action, role="water", **inputs):
    with Store(role, "li") as store:
        return work_change.run(store, inputs_of(work_change.WorkChangeInputs, {"action": action} | inputs))


def add(hours=(0, 4), **inputs):
    starts, ends = (NOON + dt.timedelta(hours=h) for h in hours)
    return change("add", **({"title": "检修", "starts": starts, "ends": ends} | inputs))["work"]["id"]


def show(work, **inputs):
    with Store("planner") as store:
        return works.run(store, inputs_of(works.WorksInputs, {"work": work} | inputs))


@pytest.fixture
def ring(store_db):
    """S-A feeds B and C, which both feed D; the customers are between them."""
    at = {"S": (117.0, 32.0), "A": (117.001, 32.0), "B": (117.002, 32.0), "C": (117.001, 32.001), "D": (117.002, 32.001)}
    base = {"network": "city"}

    def valve(pipe, node):
        return base | {"valve_id": f"{pipe}@{node}", "kind": "gate", "isolating": True, "node_id": node, "pipe_id": pipe,
                       "normal_status": "open", "operable": True, "accessible": True, "geometry": shapely.Point(*at[node], 30)}  # fmt: skip

    house = shapely.LineString([(117.0015, 32.001, 30), (117.0015, 32.0012, 30)])
    layers = {
        "water_node": [base | {"node_id": n, "geometry": shapely.Point(*xy, 30)} for n, xy in at.items()],
        "water_pipe": [base | {"pipe_id": p, "from_node": p[0], "to_node": p[1], "diameter_mm": 100.0, "status": "0",
                               "geometry": shapely.LineString([(*at[n], 30) for n in p])} for p in ("SA", "AB", "AC", "BD", "CD")],
        "water_valve": [valve(p, n) for p in ("AB", "AC") for n in p],
        "water_source": [base | {"source_id": "S", "node_id": "S", "kind": "plant", "geometry": shapely.Point(*at["S"], 30)}],
        "water_connection": [base | {"connection_id": "h", "pipe_id": "CD", "fraction": 0.5, "customers": 9, "priority": "hospital",
                                     "geometry": house}],
    }  # fmt: skip
    frames = {layer: geopandas.GeoDataFrame(rows, geometry="geometry", crs="EPSG:4490") for layer, rows in layers.items()}
    load_frames(catalog(), frames, name="ring")


def test_two_works_at_the_same_time_are_seen_as_one(ring):
    first, second, later = add(pipe="AB"), add(pipe="AC", hours=(3, 6)), add(pipe="AC", hours=(4, 5))
    found = show(first, features=True)
    assert found["plan"]["valves"]["close"] == ["AB@A", "AB@B"] and found["plan"]["affected"]["customers"] == 0
    (clash,) = found["conflicts"]
    assert clash["works"] == [first, second] and clash["extra"]["pipes"] == ["BD", "CD"] and clash["extra"]["customers"] == 9
    assert [p["priority"] for p in clash["extra"]["priority"]] == ["hospital"]
    assert clash["from"].startswith(show(second)["work"]["starts"][:16]) and set(clash["spared"]) == {"AB@B", "AC@C"}
    assert {f["properties"]["part"] for f in found["features"]["features"]} == {"closed", "extra", "valve_close"}
    assert [c["works"] for c in show(later)["conflicts"]] == [[second, later]], "they share their valves"
    change("cancel", work=second)
    assert show(first)["conflicts"] == []


def test_a_work_shuts_its_valves_and_opens_them_again(street):  # noqa: F811
    work = add(pipe="AB")
    begun = change("start", work=work)
    assert begun["closed"] == ["VAB"] and begun["may_open"] == ["VAB"]
    assert burst(pipe="SA")["valves"]["already_closed"] == ["VAB"]
    assert show(work)["plan"]["valves"]["close"] == ["VAB"], "what the work needs does not change because it has begun"
    ended = change("finish", work=work)
    assert ended["opened"] == ["VAB"] and ended["plan"] is None and ended["held"][0]["released_at"]
    assert burst(pipe="SA")["valves"]["optional"] == ["VAB"]
    assert [(e["was"], e["becomes"], e["operator"]) for e in ended["events"]] == [
        (None, "planned", "li"), ("planned", "in_progress", "li"), ("in_progress", "finished", "li"),
    ]  # fmt: skip


def test_a_shared_valve_stays_shut_until_the_last_work_has_ended(street):  # noqa: F811
    one, two = add(pipe="SA"), add(pipe="AB", stuck=["VAB"])
    change("start", work=one)
    assert change("start", work=two)["closed"] == [], "it is shut already, and held twice"
    assert show(one)["may_open"] == [] and show(one)["stay_shut"] == [{"valve": "VSA", "works": [two]}]
    assert change("finish", work=one)["opened"] == []
    assert show(two)["may_open"] == ["VSA"]
    assert change("cancel", work=two)["opened"] == ["VSA"]


def test_states_follow_one_another_only_as_they_may(street):  # noqa: F811
    work = add(pipe="AB")
    with pytest.raises(InputError, match="planned"):
        change("finish", work=work)
    change("start", work=work)
    with pytest.raises(InputError, match="in_progress"):
        change("start", work=work)
    change("cancel", work=work)
    with pytest.raises(InputError):
        change("start", work=work)
    with pytest.raises(StoreError, match="contradict"), owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE works.work SET state = 'planned'")
    assert show(work)["work"]["state"] == "cancelled"


def test_a_place_on_the_map_becomes_its_pipe_and_a_failed_start_leaves_no_trace(street):  # noqa: F811
    work = add(at=(117.0015, 32.0))
    assert show(work)["work"]["element_id"] == "AB"
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE works.work SET element_id = 'gone' WHERE id = %s", (work,))
    with pytest.raises(NotOnNetwork):
        change("start", work=work)
    with Store("water") as store:
        assert works.run(store, works.WorksInputs(state="planned"))["works"][0]["id"] == work


def test_who_may_read_and_who_may_write(street):  # noqa: F811
    work = add(pipe="AB")
    for role in ("planner", "anonymous", "drainage"):
        with pytest.raises(AccessDenied):
            change("start", role=role, work=work)
    with pytest.raises(AccessDenied), Store("gas") as store:
        works.run(store, works.WorksInputs())
    with pytest.raises(AccessDenied), writing("planner") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE works.work SET state = 'cancelled'")
    change("start", work=work)
    assert entries(layer="water_valve")[0]["detail"]["source"] == f"work {work}"


def test_wrong_works_are_refused(street):  # noqa: F811
    later, before = NOON + dt.timedelta(hours=1), NOON - dt.timedelta(hours=1)
    for inputs in ({}, {"pipe": "AB", "node": "A"}, {"pipe": "AB", "title": " "}, {"pipe": "AB", "ends": before}):
        with pytest.raises(InputError):
            change("add", **({"title": "x", "starts": NOON, "ends": later} | inputs))
    with pytest.raises(NotOnNetwork):
        add(pipe="ZZ")
    with pytest.raises(NotFound):
        change("start", work=99)
    with pytest.raises(InputError):
        change("start")


def test_the_command(street):  # noqa: F811
    run = CliRunner()

    def onemap(*arguments):
        done = run.invoke(application(), ["works", *arguments, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    made = onemap("add", "--title", "换阀", "--pipe", "AB", "--from", "2026-12-01T08:00", "--until", "2026-12-01T12:00", "--reason", "老化")
    number = str(made["work"]["id"])
    assert [w["title"] for w in onemap("list", "--state", "planned")["works"]] == ["换阀"]
    assert onemap("start", number)["closed"] == ["VAB"] and onemap("finish", number)["opened"] == ["VAB"]
    assert onemap("show", number)["work"]["state"] == "finished"
    assert "换阀" in run.invoke(application(), ["works", "list"]).stdout
