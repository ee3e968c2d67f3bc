"""A network after edits is the network as if built anew, and a turned valve builds no segments."""

import datetime as dt
import random
import subprocess
import sys
import time

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from gis.analysis import isolation
from gis.analysis.network import decoded, network
from gis.analysis.segments import segments
from gis.catalog.read import catalog
from gis.db import connection
from gis.db.store import Store
from gis.errors import NotFound
from gis.ingest.load import load_frames
from gis.processes import _water_network, pipe_burst

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


def test_a_version_of_turned_valves_links_to_the_files_of_the_last(store_db):
    rows = grid()
    put(rows)
    before = known()
    name = sorted(rows["water_valve"])[3]
    rows["water_valve"][name] |= {"operable": False, "remote": True}
    put({"water_valve": rows["water_valve"]})
    after = known()
    at = after.engine.network.valve(name)
    assert not after.engine.states.usable[at] and after.engine.network.valve_remote[at] and not before.engine.network.valve_remote[at]
    same = [f for f in before.folder.glob("*.npy") if f.samefile(after.folder / f.name)]
    written = {f.name for f in before.folder.glob("*.npy")} - {f.name for f in same}
    assert written and all(n.startswith(("states-", "feed-")) or n == "network-valve_remote.npy" for n in written)


def test_the_tree_of_a_large_network_comes_after_the_answer(store_db, monkeypatch):
    monkeypatch.setattr(_water_network, "_TREE_AT_ONCE", 0)
    rows = grid()
    put(rows)
    known()
    turn(rows["water_valve"], sorted(rows["water_valve"])[5])
    put({"water_valve": rows["water_valve"]})
    first = known()
    for _ in range(100):
        if (first.folder / "tree").exists():
            break
        time.sleep(0.05)
    later = known()
    assert first.version == later.version and later.engine.cutoff is not None
    for segment in range(later.engine.segments.count):
        ours, theirs = (e.burst(np.array([segment])) for e in (first.engine, later.engine))
        assert np.array_equal(ours.close, theirs.close) and np.array_equal(ours.lost, theirs.lost)


def test_what_is_published_late_is_not_overlooked(store_db):
    """A batch recorded before another and published after it: nothing may be believed of the arrays that are there."""
    rows = grid()
    put(rows)
    name = sorted(rows["water_valve"])[0]
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(
            "INSERT INTO meta.batch (kind, operator, status, recorded_at) VALUES ('edit', 'late', 'loading', clock_timestamp())"
            " RETURNING id, recorded_at"
        )
        batch, recorded = cursor.fetchone()
        cursor.execute(
            "INSERT INTO meta.batch_layer (batch, layer, scope, rows_read, rows_loaded, updated)"
            " VALUES (%s, 'water_valve', 'city', 1, 1, 1)",
            (batch,),
        )
    turn(rows["water_valve"], sorted(rows["water_valve"])[1])
    put({"water_valve": rows["water_valve"]})
    assert known().engine.states.open[known().engine.network.valve(name)]
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(
            "UPDATE core.water_valve SET live_status = 'closed', recorded_from = %s, batch = %s WHERE valve_id = %s",
            (recorded, batch, name),
        )
        cursor.execute("UPDATE meta.batch SET status = 'published' WHERE id = %s", (batch,))
    assert not known().engine.states.open[known().engine.network.valve(name)]


_OTHER = """
import sys
from gis.db import connection
from gis.db.store import Store
from gis.errors import NotFound
from gis.processes import pipe_burst
for line in sys.stdin:
    with Store("admin") as store:
        found = pipe_burst.run(store, pipe_burst.parsed(network="city", pipe=line.strip()), lambda *_: None)
    print(found["data_version"], *found["valves"]["close"], flush=True)
"""


def test_two_processes_name_the_same_version_and_answer_alike(store_db):
    rows, chance = grid(), random.Random(4)
    put(rows)
    other = subprocess.Popen([sys.executable, "-c", _OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def theirs(pipe):
        other.stdin.write(pipe + "\n")
        other.stdin.flush()
        return other.stdout.readline().split()

    def ours(pipe):
        with Store("admin") as store:
            found = pipe_burst.run(store, pipe_burst.parsed(network="city", pipe=pipe), lambda *_: None)
        return [found["data_version"], *found["valves"]["close"]]

    try:
        versions = set()
        for turned in (True, False, True):
            if turned:
                turn(rows["water_valve"], chance.choice(sorted(rows["water_valve"])))
            else:
                add_pipe(rows, tuple(sorted(chance.sample(range(SIDE * SIDE), 2))))
            put(rows)
            pipe = chance.choice(sorted(rows["water_pipe"]))
            first, second = (ours(pipe), theirs(pipe)) if chance.random() < 0.5 else reversed((theirs(pipe), ours(pipe)))
            assert first == second and len(first) >= 1
            versions.add(first[0])
        assert len(versions) == 3
    finally:
        other.stdin.close()
        other.wait(20)


def test_a_day_before_the_first_load_is_called_that(store_db):
    put(grid())
    with Store("admin") as store, pytest.raises(NotFound, match="nothing of network 'city' was known on 2001-01-01"):
        _water_network.water(store, "city", dt.date(2001, 1, 1))
    with Store("admin") as store, pytest.raises(NotFound, match="there is no network 'nowhere'"):
        _water_network.water(store, "nowhere", dt.date(2001, 1, 1))
