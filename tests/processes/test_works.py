"""Works through the database: their states, the valves they hold, what two of them do together, who may."""

import datetime as dt
import json

import geopandas
import pytest
import shapely
from test_burst import burst
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


def test_a_work_shuts_its_valves_and_opens_them_again(street):
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


def test_a_shared_valve_stays_shut_until_the_last_work_has_ended(street):
    one, two = add(pipe="SA"), add(pipe="AB", stuck=["VAB"])
    change("start", work=one)
    assert change("start", work=two)["closed"] == [], "it is shut already, and held twice"
    assert show(one)["may_open"] == [] and show(one)["stay_shut"] == [{"valve": "VSA", "works": [two]}]
    assert change("finish", work=one)["opened"] == []
    assert show(two)["may_open"] == ["VSA"]
    assert change("cancel", work=two)["opened"] == ["VSA"]


def test_states_follow_one_another_only_as_they_may(street):
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


def vanish(pipe):
    """A pipe is gone from the network, as a later delivery would have it."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM core.water_pipe WHERE pipe_id = %s", (pipe,))
        cursor.execute("INSERT INTO meta.batch (source, status, recorded_at) VALUES ('gone', 'published', clock_timestamp()) RETURNING id")
        batch = cursor.fetchone()
        cursor.execute("INSERT INTO meta.batch_layer (batch, layer, scope, retired) VALUES (%s, 'water_pipe', 'city', 1)", batch)


def codes(answer):
    return {f["code"]: f["ids"] for f in answer["findings"]}


def test_a_place_on_the_map_becomes_its_pipe_and_a_failed_start_leaves_no_trace(ring):
    work = add(at=(117.0015, 32.0))
    assert show(work)["work"]["element_id"] == "AB"
    vanish("AB")
    with pytest.raises(NotOnNetwork):
        change("start", work=work)
    with Store("water") as store:
        assert works.run(store, works.WorksInputs(state="planned"))["works"][0]["id"] == work


def test_what_has_vanished_since_is_named_and_can_still_be_ended(ring):
    first, second = add(pipe="AB"), add(pipe="AC", stuck=["AC@A"])
    change("start", work=first)
    vanish("AB")
    gone = show(first)
    assert gone["plan"] is None and codes(gone)["WK01"] == ["AB"] and codes(gone)["WK05"] == ["AB@A", "AB@B"]
    left = show(second)
    assert left["conflicts"] == [] and codes(left)["WK02"] == [str(first)], "nothing is left out silently"
    assert change("cancel", work=first)["work"]["state"] == "cancelled"
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE works.work SET stuck = '{AC@A,NO}' WHERE id = %s", (second,))
    assert codes(show(second))["WK03"] == ["NO"]


def test_a_burst_becomes_a_work_in_one_step(street):
    begun = change("emergency", pipe="AB", hours=3)
    work = begun["work"]
    assert work["state"] == "in_progress" and work["kind"] == "emergency" and work["title"] == "抢修 AB" and begun["closed"] == ["VAB"]
    ends, starts = (dt.datetime.fromisoformat(work[k]) for k in ("ends", "starts"))
    assert ends - starts == dt.timedelta(hours=3) and not work["overdue"]
    assert burst(pipe="SA")["valves"]["already_closed"] == ["VAB"]
    with pytest.raises(NotOnNetwork):
        change("emergency", pipe="ZZ")
    with pytest.raises(InputError):
        change("emergency", pipe="AB", node="A")


def test_a_service_line_is_shut_at_its_curb_stop_or_on_the_main(street):
    work, main = add(connection="c1"), add(pipe="AB")
    alone = show(work, features=True)
    assert alone["plan"]["valves"]["close"] == ["k1"] and alone["plan"]["affected"]["customers"] == 24
    assert codes(alone)["WK04"] == ["k1"] and alone["conflicts"] == [] and show(main)["conflicts"] == [], "the main stays in service"
    begun = change("start", work=work)
    assert begun["closed"] == [] and begun["may_open"] == ["k1"]
    changed = change("change", work=work, stuck=["k1"])
    assert changed["closed"] == ["VAB"] and changed["plan"]["valves"]["stuck"] == ["k1"], "where the curb stop fails, the main is shut"
    assert change("finish", work=work)["opened"] == ["VAB"]


def test_a_valve_that_does_not_turn_is_found_while_the_work_lasts(street):
    work = change("emergency", pipe="AB")["work"]["id"]
    changed = change("change", work=work, stuck=["VAB"], note="阀杆断裂")
    assert changed["closed"] == ["VSA"] and changed["may_open"] == ["VSA"]
    assert [v["valve_id"] for v in changed["held"] if v["released_at"] is None] == ["VSA"]
    assert burst(pipe="SA")["valves"]["stuck"] == ["VAB"], "what is known of the valve counts for everyone"
    event = changed["events"][-1]
    assert event["changed"] == {"stuck": [[], ["VAB"]]} and event["note"] == "阀杆断裂" and event["operator"] == "li"
    back = change("undo", work=work)
    assert back["work"]["stuck"] == [] and back["opened"] == ["VSA"] and back["closed"] == ["VAB"]
    assert burst(pipe="SA")["valves"]["stuck"] == []


def test_times_change_and_every_change_is_kept(street):
    work = add(pipe="AB", reason="老化")
    before = dt.datetime.now(dt.UTC)
    later = change("change", work=work, ends=NOON + dt.timedelta(hours=9), title="换阀")
    assert dt.datetime.fromisoformat(later["work"]["ends"]) == NOON + dt.timedelta(hours=9)
    assert set(later["events"][-1]["changed"]) == {"ends", "title"}
    then = show(work, as_of=before)
    assert then["work"]["title"] == "检修" and dt.datetime.fromisoformat(then["work"]["ends"]) == NOON + dt.timedelta(hours=4)
    change("start", work=work)
    assert show(work, as_of=before)["work"]["state"] == "planned" and show(work, as_of=before)["held"] == []
    assert show(work, as_of=before)["work"]["stuck"] == []
    with pytest.raises(NotFound, match="at that time"):
        show(work, as_of=before - dt.timedelta(days=1))
    with Store("planner") as store:

        def within(after, before):
            return [w["id"] for w in works.run(store, works.WorksInputs(after=NOON + after, before=NOON + before))["works"]]

        hour = dt.timedelta(hours=1)
        assert within(8 * hour, 20 * hour) == [work] and within(9 * hour, 20 * hour) == [] and within(-9 * hour, 0 * hour) == []
    for wrong in ({"ends": NOON - dt.timedelta(days=1)}, {"title": " "}, {}):
        with pytest.raises(InputError):
            change("change", work=work, **wrong)


def test_the_last_step_is_taken_back_with_its_valves(street):
    work = add(pipe="AB")
    with pytest.raises(InputError, match="no step"):
        change("undo", work=work)
    change("start", work=work)
    change("finish", work=work)
    assert burst(pipe="SA")["valves"]["already_closed"] == []
    again = change("undo", work=work, note="误点完成")
    assert again["work"]["state"] == "in_progress" and again["closed"] == ["VAB"] and again["may_open"] == ["VAB"]
    assert burst(pipe="SA")["valves"]["already_closed"] == ["VAB"]
    back = change("undo", work=work)
    assert back["work"]["state"] == "planned" and back["opened"] == ["VAB"] and back["may_open"] == []
    assert [(e["was"], e["becomes"], bool(e["undoes"])) for e in back["events"][2:]] == [
        ("in_progress", "finished", False), ("finished", "in_progress", True), ("in_progress", "planned", True),
    ]  # fmt: skip
    change("start", work=work)
    change("cancel", work=work)
    assert change("undo", work=work)["work"]["state"] == "in_progress"
    with pytest.raises(StoreError, match="contradict"), owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE works.work SET state = 'planned', undoes = 1")


def test_who_loses_water_by_a_combination_is_named(ring):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE core.water_connection SET customer_name = '人民医院'")
    first, _ = add(pipe="AB"), add(pipe="AC")
    with Store("water") as store:
        (clash,) = works.run(store, works.WorksInputs(work=first, details=True))["conflicts"]
    assert [(c["connection"], c["name"], c["customers"]) for c in clash["extra"]["customer_list"]] == [("h", "人民医院", 9)]


def test_who_may_read_and_who_may_write(street):
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


def test_wrong_works_are_refused(street):
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


def test_the_command(street, tmp_path):
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
    sheet = tmp_path / "notice.pdf"
    urgent = str(onemap("emergency", "--pipe", "AB", "--hours", "2", "--notice", str(sheet))["work"]["id"])
    assert sheet.read_bytes().startswith(b"%PDF-")
    assert onemap("change", urgent, "--stuck", "VAB", "--note", "锈死")["closed"] == ["VSA"]
    assert onemap("undo", urgent)["opened"] == ["VSA"] and onemap("cancel", urgent, "--note", "误报")["opened"] == ["VAB"]
    told = run.invoke(application(), ["works", "show", urgent]).stdout
    assert "锈死" in told and "撤回" in told
    with pytest.raises(InputError):
        run.invoke(application(), ["works", "emergency", "--pipe", "AB", "--notice", "x.txt"], catch_exceptions=False)
