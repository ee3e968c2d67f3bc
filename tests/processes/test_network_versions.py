"""A network after edits is the network as if built anew, and a turned valve builds no segments."""

import random

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from gis.analysis import isolation
from gis.analysis.network import decoded, network
from gis.analysis.segments import segments
from gis.catalog.read import catalog
from gis.db.store import Store
from gis.ingest.load import load_frames
from gis.processes import _water_network

SIDE = 4


def spot(n):
    return shapely.Point(117.0 + 0.001 * (n % SIDE), 32.0 + 0.001 * (n // SIDE), 30.0)


def grid() -> dict[str, dict[str, dict]]:
    """Streets of SIDE by SIDE crossings as rows by id, a valve on every other pipe."""
    pairs = [(n, n + 1) for n in range(SIDE * SIDE) if n % SIDE < SIDE - 1] + [(n, n + SIDE) for n in range(SIDE * (SIDE - 1))]
    nodes = {f"n{n}": {"node_id": f"n{n}", "geometry": spot(n)} for n in range(SIDE * SIDE)}
    rows = {"water_node": nodes, "water_pipe": {}, "water_valve": {}}
    for i, pair in enumerate(pairs):
        add_pipe(rows, pair)
        if i % 2:
            add_valve(rows, f"p{pair[0]}-{pair[1]}", pair[0])
    rows["water_source"] = {"s": {"source_id": "s", "node_id": "n0", "kind": "plant", "geometry": spot(0)}}
    return rows


def add_pipe(rows, pair):
    name = f"p{pair[0]}-{pair[1]}"
    rows["water_pipe"][name] = {"pipe_id": name, "from_node": f"n{pair[0]}", "to_node": f"n{pair[1]}", "diameter_mm": 100.0, "status": "0",
                                "length_m": 90.0, "geometry": shapely.LineString([spot(pair[0]), spot(pair[1])])}  # fmt: skip


def add_valve(rows, pipe, node):
    rows["water_valve"][f"{pipe}@{node}"] = {
        "valve_id": f"{pipe}@{node}", "kind": "gate", "isolating": True, "node_id": f"n{node}", "pipe_id": pipe, "normal_status": "open",
        "live_status": None, "operable": True, "accessible": True, "geometry": spot(node),
    }  # fmt: skip


def edit(rows, chance):
    """One random edit: a pipe or valve more or less, or a valve turned."""
    pipes, valves = rows["water_pipe"], rows["water_valve"]
    what = chance.choice(["add pipe", "delete pipe", "add valve", "remove valve", "turn"])
    if what == "add pipe":
        a, b = sorted(chance.sample(range(SIDE * SIDE), 2))
        add_pipe(rows, (a, b))
    elif what == "delete pipe":
        gone = chance.choice(sorted(pipes))
        del pipes[gone]
        rows["water_valve"] = {k: v for k, v in valves.items() if v["pipe_id"] != gone}
    elif what == "add valve":
        pipe = chance.choice(sorted(pipes))
        add_valve(rows, pipe, int(pipes[pipe]["to_node"][1:]))
    elif what == "remove valve":
        del valves[chance.choice(sorted(valves))]
    else:
        turn(valves, chance.choice(sorted(valves)))


def turn(valves, name):
    valves[name] = valves[name] | {"live_status": "open" if valves[name]["live_status"] == "closed" else "closed"}


def put(rows):
    lists = {layer: [{"network": "city"} | row for row in named.values()] for layer, named in rows.items()}
    frames = {layer: geopandas.GeoDataFrame(made, geometry="geometry", crs=4490) for layer, made in lists.items()}
    load_frames(catalog(), frames, name="edit")


def known():
    with Store("admin") as store:
        return _water_network.water(store, "city")


def partition(net, part):
    groups = pd.Series(decoded(net.pipe_id)).groupby(part.of_pipe).agg(frozenset)
    return set(groups)


@pytest.mark.parametrize("seed", [1, 2])
def test_after_random_edits_the_partition_is_that_of_a_full_build(store_db, seed):
    rows, chance, versions = grid(), random.Random(seed), set()
    for _ in range(6):
        put(rows)
        water = known()
        versions.add(water.version)
        frames = [pd.DataFrame(list(rows[k].values())) for k in ("water_node", "water_pipe", "water_valve", "water_source")]
        net, states = network(*frames)
        assert partition(water.engine.network, water.engine.segments) == partition(net, segments(net))
        assert water.engine.network.valve_id.tolist() == net.valve_id.tolist()
        assert np.array_equal(water.engine.states.open, states.open)
        fresh = isolation.Engine.built(net, states)
        for pipe in range(0, net.n_pipes, 5):
            ours, theirs = (e.burst(e.segments.of_pipe[[pipe]]) for e in (water.engine, fresh))
            assert decoded(net.valve_id[ours.close]) == decoded(net.valve_id[theirs.close])
        edit(rows, chance)
    assert len(versions) > 1


def test_a_turned_valve_builds_no_segments(store_db, monkeypatch):
    rows = grid()
    put(rows)
    before = known()
    monkeypatch.setattr(_water_network, "network", lambda *_: pytest.fail("the network was built again"))
    name = sorted(rows["water_valve"])[3]
    turn(rows["water_valve"], name)
    put({"water_valve": rows["water_valve"]})
    after = known()
    assert after.version != before.version
    assert np.flatnonzero(after.engine.states.open != before.engine.states.open).tolist() == [after.engine.network.valve(name)]
    assert after.engine.cutoff is not None and np.array_equal(after.engine.segments.of_pipe, before.engine.segments.of_pipe)
