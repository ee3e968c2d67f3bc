"""Pressures after a closure from the loaded network to the answer: EPANET files as loaded, the layers, the command, the rights."""

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
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(sql.SQL("UPDATE core.water_valve SET live_status = 'closed' WHERE valve_id = '111@111'"))
        cursor.execute("INSERT INTO meta.batch (source, status, recorded_at) VALUES ('states', 'published', now()) RETURNING id")
        row = (cursor.fetchone()[0], "water_valve", "net3")
        cursor.execute("INSERT INTO meta.batch_layer (batch, layer, scope, updated) VALUES (%s, %s, %s, 1)", row)
    changed = ask(valves=["112@111"], hours=0)
    assert changed["model"]["kind"] == "file" and changed["model"]["links"] == as_loaded["model"]["links"] - 1
    assert ask(valves=["111@111"], hours=0)["closed"]["already_closed"] == ["111@111"]


def test_a_network_changed_since_is_solved_from_its_layers(net3):
    frames = deliveries(NET3, "net3")
    frames["water_pipe"] = frames["water_pipe"].iloc[:-1]
    load_frames(catalog(), {"water_pipe": frames["water_pipe"]}, name="changed", scope="net3")
    answer = ask(valves=["111@111"])
    assert answer["model"]["kind"] == "layers" and "no EPANET file" in answer["model"]["why"]
    assert {f["code"] for f in answer["findings"]} >= {"HY06"}
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
    with pytest.raises(ValueError, match="either pipe or valves"):
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
