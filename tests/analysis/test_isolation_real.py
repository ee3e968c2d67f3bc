"""The engine against the oracle on published networks: EPANET's and Kentucky's (wntr), and PacificCity with its real valves."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wntr
from oracle import Oracle
from test_isolation_random import answer

from etl.epanet import deliveries
from gis.analysis.isolation import Engine
from gis.analysis.network import decoded, network

LIBRARY = Path(wntr.__file__).parent / "library" / "networks"
LAYERS = {"nodes": "water_node", "pipes": "water_pipe", "valves": "water_valve", "sources": "water_source"}
EMPTY_VALVES = pd.DataFrame(
    columns=[
        "valve_id",
        "kind",
        "isolating",
        "node_id",
        "pipe_id",
        "from_node",
        "to_node",
        "flow",
        "normal_status",
        "operable",
    ]
)


def tables(path, **options):
    """The frames of an EPANET file as the engine and the oracle take them."""
    made = deliveries(path, "n", **options)
    return {name: made.get(layer, EMPTY_VALVES) for name, layer in LAYERS.items()}


def valve_layer(folder, name, placement, n, seed):
    """A valve layer of wntr as a CSV file."""
    model = wntr.network.WaterNetworkModel(str(LIBRARY / f"{name}.inp"))
    options = {"seed": seed} if placement == "random" else {}
    layer = wntr.network.generate_valve_layer(model, placement, n, **options)
    path = folder / f"{name}-{placement}.csv"
    layer.to_csv(path)
    return model, layer, path


def assert_agrees(frames, pipes, stuck_share=0.0):
    oracle, engine = Oracle(**frames), Engine.built(*network(**frames))
    net = engine.network
    ids = decoded(net.pipe_id)
    valves = decoded(net.valve_id)
    chance = random.Random(7)
    stuck = [v for v in valves if chance.random() < stuck_share]
    positions = [valves.index(v) for v in stuck]
    cut = 0
    for pipe in chance.sample(ids, min(pipes, len(ids))):
        ours = answer(engine, engine.segments.of_pipe[[ids.index(pipe)]], positions)
        assert ours == oracle.burst("pipe", pipe, stuck), pipe
        cut += bool(ours["close"])
    return cut


@pytest.mark.parametrize("name", ["Net3", "Net6", "ky4", "ky10"])
@pytest.mark.parametrize(("placement", "n"), [("random", 0.5), ("strategic", 1)])
def test_library_networks_agree_with_the_oracle(tmp_path, name, placement, n):
    count = (
        int(n * len(pd.DataFrame(deliveries(LIBRARY / f"{name}.inp", "n")["water_pipe"])))
        if placement == "random"
        else n
    )
    _, _, layer = valve_layer(tmp_path, name, placement, count, 3)
    assert assert_agrees(tables(LIBRARY / f"{name}.inp", valve_layer=layer), 100) > 10


@pytest.mark.parametrize("name", ["Net3", "ky10"])
def test_library_networks_with_stuck_valves_agree_with_the_oracle(tmp_path, name):
    _, _, layer = valve_layer(tmp_path, name, "strategic", 1, 3)
    assert assert_agrees(tables(LIBRARY / f"{name}.inp", valve_layer=layer), 60, stuck_share=0.1) > 10


def test_segments_are_those_of_wntr(tmp_path):
    compared = 0
    for placement, n in (("random", 60), ("strategic", 1)):
        model, layer, path = valve_layer(tmp_path, "Net3", placement, n, 5)
        _, link_segments, _ = wntr.metrics.topographic.valve_segments(model.to_graph(), layer)
        frames = tables(LIBRARY / "Net3.inp", valve_layer=path)
        # wntr knows no closed pipe and no direction: pumps join their ends there, and the closed pipe is open
        frames["valves"] = frames["valves"][frames["valves"]["kind"].eq("gate") & frames["valves"]["valve_id"].isin(
            [f"{a}@{b}" for a, b in zip(layer["link"], layer["node"], strict=True)])]  # fmt: skip
        pumps = {p: model.get_link(p) for p in model.pump_name_list}
        joined = [{"valve_id": p, "kind": "other", "isolating": False, "from_node": k.start_node_name, "to_node": k.end_node_name,
                   "normal_status": "open"} for p, k in pumps.items() if p not in set(layer["link"])]  # fmt: skip
        if any(p in set(layer["link"]) for p in pumps):
            continue
        frames["valves"] = pd.concat([pd.DataFrame(frames["valves"]), pd.DataFrame(joined)], ignore_index=True)
        engine = Engine.built(*network(**frames))
        ids = decoded(engine.network.pipe_id)
        ours = pd.Series(engine.segments.of_pipe, index=ids)
        both = pd.DataFrame({"ours": ours, "wntr": link_segments.loc[ids]})
        assert both.groupby("ours")["wntr"].nunique().eq(1).all()
        assert both.groupby("wntr")["ours"].nunique().eq(1).all()
        compared += 1
    assert compared


@pytest.mark.real
def test_pacific_city_agrees_with_the_oracle(shared_data):
    frames = tables(shared_data / "networks" / "PacificCity.inp", isolation=["TCV"])
    assert assert_agrees(frames, 200) > 100


@pytest.mark.real
def test_bypassed_valves_of_pacific_city_are_known(shared_data):
    engine = Engine.built(*network(**tables(shared_data / "networks" / "PacificCity.inp", isolation=["TCV"])))
    assert len(engine.bypassed(np.arange(engine.segments.count))) == 59  # the known count of this network
