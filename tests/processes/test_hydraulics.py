"""Pressures after a closure from the loaded network to the answer: EPANET files as loaded, the layers, the command, the rights."""

import datetime as dt
import json
from pathlib import Path

import pytest
import wntr
from psycopg2 import sql
from typer.testing import CliRunner

from etl.epanet import deliveries
from gis.catalog.read import catalog
from gis.cli.main import application
from gis.db import connection
from gis.db.store import Store
from gis.errors import AccessDenied, NotFound, NotOnNetwork
from gis.ingest.load import load_frames
from gis.processes import hydraulics_after_closure as process
from gis.processes import valve_state, work_change

NET3 = Path(wntr.__file__).parent / "library" / "networks" / "Net3.inp"
STATES = {"cut_off", "fell_below", "low", "served", "dry"}


@pytest.fixture
def net3(store_db, tmp_path):
    """Net3 with valves around a part of the town, loaded with its files."""
    layer = tmp_path / "valves.csv"
    layer.write_text("link,node\n111,111\n112,111\n114,115\n20,20\n")
    load_frames(catalog(), deliveries(NET3, "net3", valve_layer=layer), name="Net3.inp", files=[NET3, layer], scope="net3")
    return store_db


def ask(role="water", **question):
    with Store(role) as store:
        return process.run(store, process.HydraulicsInputs(network="net3", **question), lambda share, what: None)


def epanet(closed, hours):
    """The lowest pressures of EPANET itself with these links closed."""
    made = wntr.network.WaterNetworkModel(str(NET3))
    for link in closed:
        made.get_link(link).initial_status = wntr.network.LinkStatus.Closed
    made.options.hydraulic.demand_model, made.options.hydraulic.required_pressure = "PDD", 60.0
    made.options.time.duration = hours * 3600
    return wntr.sim.EpanetSimulator(made).run_sim().node["pressure"].min()


def test_the_file_as_loaded_is_the_model(net3, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = ask(valves=["111@111", "112@111"], hours=6, min_pressure_m=60)
    assert answer["model"]["kind"] == "file" and answer["model"]["name"] == "Net3.inp" and answer["model"]["hours"] == 6
    assert answer["closed"]["valves"] == ["111@111", "112@111"] and answer["standard"] is None
    theirs = epanet(["111", "112"], 6)
    assert answer["points"] and set(answer["junctions"]) == STATES
    for point in answer["points"]:
        assert point["after_m"] == pytest.approx(theirs[point["node"]], abs=2e-3)
        assert point["after_m"] < 60 and point["before_m"] > point["after_m"]
    assert sum(answer["junctions"].values()) == sum(answer["customers"].values()) == 59


def test_valves_closed_since_are_closed_before_and_after(net3):
    as_loaded = ask(valves=["112@111"], hours=0)
    with Store("water") as store:
        valve_state.run(store, valve_state.ValveStateInputs(network="net3", valve="111@111", live="closed"))
    changed = ask(valves=["112@111"], hours=0)
    assert changed["model"]["kind"] == "file" and changed["model"]["links"] == as_loaded["model"]["links"] - 1
    assert ask(valves=["111@111"], hours=0)["closed"]["already_closed"] == ["111@111"]


def test_a_network_changed_since_is_solved_from_its_layers(net3):
    frames = deliveries(NET3, "net3")
    frames["water_pipe"] = frames["water_pipe"].iloc[:-1]
    load_frames(catalog(), {"water_pipe": frames["water_pipe"]}, name="changed", scope="net3")
    answer = ask(valves=["111@111"])
    assert answer["model"]["kind"] == "layers" and "no EPANET file" in answer["model"]["why"]
    assert not {f["code"] for f in answer["findings"]} & {"HY05", "HY06"}, "the layers know the curves of the file"
    with pytest.raises(NotFound):
        ask(valves=["111@111"], model="file")


def test_a_burst_closes_its_segment(net3):
    answer = ask(pipe="111", hours=0, features=True)
    assert "111" in answer["closed"]["pipes"]
    parts = {f["properties"]["part"] for f in answer["features"]["features"]}
    assert "closed" in parts and parts & STATES
    json.dumps(answer)


def test_mistakes_are_named(net3):
    with pytest.raises(NotOnNetwork):
        ask(valves=["nowhere"])
    with pytest.raises(AccessDenied):
        ask(role="anonymous", valves=["111@111"])
    with pytest.raises(ValueError, match="exactly one of"):
        process.HydraulicsInputs(network="net3")


def test_the_command(net3, tmp_path):
    out = tmp_path / "pressure.geojson"
    arguments = ["hydraulics", "--network", "net3", "--close", "111@111", "--hours", "0"]
    done = CliRunner().invoke(application("hydraulics"), [*arguments, "--json", "--out", str(out)])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["model"]["kind"] == "file" and answer["min_pressure_m"] == 14 and answer["standard"]["status"] == "R"
    assert json.loads(out.read_text())["type"] == "FeatureCollection"
    assert "Net3.inp" in CliRunner().invoke(application("hydraulics"), arguments).stdout


REGULATED = """[JUNCTIONS]
A 10 2
B 10 3
C 12 4
D 12 1
E 15 2
[RESERVOIRS]
R 100
W 20
[PIPES]
RA R A 500 200 130 0 Open
BC B C 300 150 120 0 Open
DE D E 200 150 120 0 Open
CD C D 400 100 110 0 Open
XE X E 100 150 120 0 Open
[PUMPS]
P W X HEAD 1
Q W Y POWER 3
[VALVES]
V A B 200 PRV 35 0
[CURVES]
1 20 30
[OPTIONS]
Units LPS
Headloss H-W
[TIMES]
Duration 0
[COORDINATES]
A 0 0
B 10 0
C 300 0
D 700 0
E 900 0
R -500 0
W 1000 100
X 1000 0
Y 1000 50
[END]
""".replace("E 15 2\n", "E 15 2\nX 15 0\nY 15 5\n")


def pressures(answer):
    return {f["properties"]["id"]: f["properties"]["before_m"] for f in answer["features"]["features"] if "before_m" in f["properties"]}


@pytest.fixture
def load_file(store_db, tmp_path):
    def load(text, name="net3"):
        path = text if isinstance(text, Path) else tmp_path / "regulated.inp"
        if path is not text:
            path.write_text(text)
        load_frames(catalog(), deliveries(path, name), name=path.name, files=[path], scope=name)

    return load


@pytest.mark.parametrize("text", [REGULATED, NET3.with_name("Net1.inp")], ids=["a PRV and two pumps", "Net1"])
def test_the_layers_give_what_epanet_gives_with_the_settings_and_curves_of_the_file(load_file, text):
    """Loaded from an EPANET file, the layers alone know what regulates it: the same pressures as the file at its first moment."""
    load_file(text)
    valve = "V" if text is REGULATED else "9"
    by_file, by_layers = (ask(valves=[valve], hours=0, model=model, features=True) for model in ("file", "layers"))
    assert by_layers["model"]["kind"] == "layers" and not {"HY05", "HY06"} & {f["code"] for f in by_layers["findings"]}
    theirs, ours = pressures(by_file), pressures(by_layers)
    assert len(theirs) > 4 and ours.keys() >= theirs.keys()
    assert [ours[node] for node in theirs] == pytest.approx([theirs[node] for node in theirs], abs=0.05)


def test_a_pump_against_a_closed_end_is_named(load_file):
    load_file(REGULATED.replace("Y 15 5\n", "Y 15 0.0001\n"))
    found = {f["code"]: f["ids"] for f in ask(valves=["V"], hours=0)["findings"]}
    assert found["HY07"] == ["Q"]
    assert {f["code"]: f["ids"] for f in ask(valves=["V"], hours=0, model="layers")["findings"]}["HY07"] == ["Q"]


def test_a_network_of_the_past_is_solved_as_it_was(load_file):
    load_file(REGULATED)
    with connection.owner() as link, link.cursor() as cursor:
        for layer in ("water_node", "water_pipe", "water_valve", "water_source"):
            statement = "UPDATE core.{} SET valid_from = '2020-01-01', recorded_from = '2020-01-01'"
            cursor.execute(sql.SQL(statement).format(sql.Identifier(layer)))
        cursor.execute("UPDATE meta.batch SET recorded_at = '2020-01-01'")
    frames = deliveries(NET3, "net3")
    load_frames(catalog(), frames, name="another", scope="net3")
    day = dt.date.today() - dt.timedelta(days=1)
    answer = ask(valves=["V"], as_of=day, hours=0)
    assert answer["as_of"] == day.isoformat() and answer["model"]["kind"] == "file" and answer["model"]["name"] == "regulated.inp"
    layers = ask(valves=["V"], as_of=day, model="layers")
    assert layers["model"]["kind"] == "layers" and layers["junctions"]["served"] > 0, layers
    with pytest.raises(NotOnNetwork):
        ask(valves=["V"], hours=0)


def test_every_place_of_a_burst_and_a_work_is_solved(net3):
    assert ask(node="111", hours=0)["burst"] == {"node": "111"} and ask(valve="111@111", hours=0)["closed"]["pipes"]
    starts = dt.datetime.now().astimezone()
    with Store("water", "li") as store:
        asked = {"network": "net3", "title": "检修", "starts": starts, "ends": starts + dt.timedelta(hours=2)}
        first, second = (
            work_change.run(store, work_change.WorkChangeInputs(action="add", pipe=pipe, **asked))["work"]["id"] for pipe in ("111", "112")
        )
    alone = ask(pipe="111", hours=0)
    both = ask(work=first, hours=0)
    assert both["burst"] == {"work": first, "pipe": "111", "together": [second]}
    assert set(both["closed"]["pipes"]) >= set(alone["closed"]["pipes"])
    with pytest.raises(ValueError, match="exactly one"):
        process.HydraulicsInputs(network="net3", work=first, pipe="111")
