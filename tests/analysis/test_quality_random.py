"""The findings of a network's quality, and how it is drained, against brute force on small random drawings in whole metres."""

from itertools import combinations
from math import hypot

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
from agreement import NO_PLATES, NOBODY
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle

from gis.analysis.consumers import consumers
from gis.analysis.draining import draining
from gis.analysis.isolation import Engine
from gis.analysis.network import decoded, network
from gis.analysis.network_quality import GAP_M, quality

COLUMNS = ["valve_id", "kind", "isolating", "node_id", "pipe_id", "from_node", "to_node", "flow", "normal_status", "operable"]


@st.composite
def drawings(draw):
    """Points on a grid of 10 m, some of them two nodes at one place or 20 cm aside; straight pipes between them, valves at their ends."""
    at = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.0, 0.0, 0.0, 0.2])), min_size=3, max_size=9))
    place = {f"n{i}": (10.0 * x + aside, 10.0 * y) for i, (x, y, aside) in enumerate(at)}
    pairs = draw(st.lists(st.tuples(st.sampled_from(sorted(place)), st.sampled_from(sorted(place))), min_size=1, max_size=10))
    pairs = [(a, b) for a, b in pairs if hypot(place[a][0] - place[b][0], place[a][1] - place[b][1]) > 1]
    pipes = {f"p{i}": pair for i, pair in enumerate(pairs)}
    ends = [(p, n) for p, pair in pipes.items() for n in pair]
    chosen = draw(st.lists(st.sampled_from(ends), max_size=5, unique=True)) if ends else []
    valves = [{"valve_id": f"{p}@{n}", "kind": "gate", "isolating": True, "pipe_id": p, "node_id": n} for p, n in chosen]
    sources = draw(st.lists(st.sampled_from(sorted(place)), max_size=3, unique=True))
    lines = {p: shapely.LineString([place[a], place[b]]) for p, (a, b) in pipes.items()}
    tables = {
        "nodes": pd.DataFrame({"node_id": list(place), "geometry": [shapely.Point(xy) for xy in place.values()]}),
        "pipes": pd.DataFrame({
            "pipe_id": list(pipes), "from_node": [a for a, _ in pipes.values()], "to_node": [b for _, b in pipes.values()],
            "length_m": 10.0, "diameter_mm": 100.0, "status": "0", "geometry": list(lines.values()),
        }),
        "valves": pd.DataFrame(valves, columns=COLUMNS),
        "sources": pd.DataFrame({"source_id": sources, "node_id": sources}, dtype=object),
    }  # fmt: skip
    return tables, place, pipes


def cross(o, a, b):
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def aside(point, a, b):
    """Metres from a point to a straight pipe."""
    (ax, ay), (bx, by) = a, b
    along = ((point[0] - ax) * (bx - ax) + (point[1] - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
    along = min(1.0, max(0.0, along))
    return hypot(point[0] - ax - along * (bx - ax), point[1] - ay - along * (by - ay))


def overlap(p, q):
    """Metres that two straight pipes have in common."""
    (a, b), (c, d) = p, q
    if abs(cross(a, b, c)) > 1e-9 or abs(cross(a, b, d)) > 1e-9:
        return 0.0
    axis = 0 if abs(b[0] - a[0]) > abs(b[1] - a[1]) else 1
    low, high = max(min(a[axis], b[axis]), min(c[axis], d[axis])), min(max(a[axis], b[axis]), max(c[axis], d[axis]))
    return max(high - low, 0.0) * hypot(b[0] - a[0], b[1] - a[1]) / abs(b[axis] - a[axis])


def crossing(p, q):
    """Whether two straight pipes cross between their ends."""
    (a, b), (c, d) = p, q
    return cross(a, b, c) * cross(a, b, d) < -1e-6 and cross(c, d, a) * cross(c, d, b) < -1e-6


def expected_pairs(place, pipes):
    """NQ05, NQ06, NQ07 as unordered pairs of pipes."""
    found = {"NQ05": set(), "NQ06": set(), "NQ07": set()}
    for p, q in combinations(pipes, 2):
        one, other = ([place[n] for n in pipes[x]] for x in (p, q))
        if overlap(one, other) > 0.05:
            found["NQ05" if {*one} == {*other} else "NQ06"].add(frozenset((p, q)))
        elif crossing(one, other) and not {*pipes[p]} & {*pipes[q]}:
            found["NQ07"].add(frozenset((p, q)))
    return found


def expected_ends(place, pipes):
    """NQ08: nodes of a pipe beside another that neither ends there nor is one pipe away from it."""
    used = {n for pair in pipes.values() for n in pair}
    neighbours = {frozenset(pair) for pair in pipes.values()}
    return {
        (n, p) for n in used for p, (a, b) in pipes.items()
        if n not in (a, b) and aside(place[n], place[a], place[b]) <= GAP_M and not {frozenset((n, a)), frozenset((n, b))} & neighbours
    }  # fmt: skip


def parts(pipes, sources):
    """The sets of pipes that hang together, with a source and without."""
    graph = nx.Graph(list(pipes.values()))
    nodes = list(nx.connected_components(graph))
    named = [(frozenset(p for p, pair in pipes.items() if pair[0] in part), bool(part & sources)) for part in nodes]
    return [part for part, fed in named if fed], [part for part, fed in named if not fed]


def idle(oracle):
    """NQ03 and NQ04: valves with nothing on one side, and with the same piece on both."""
    dead, bypassed = set(), set()
    filled = {oracle.piece_of[p] for p in (*oracle.pipe.values(), *oracle.source.values())}
    for valve, sides in oracle.sides.items():
        pieces = {oracle.piece_of[s] for s in sides}
        if len(pieces) == 1:
            bypassed.add(valve)
        leads = {p: {v for place in p for v in oracle.beside[place]} for p in pieces}
        if any(p not in filled and leads[p] == {valve} for p in pieces):
            dead.add(valve)
    return dead, bypassed


@settings(max_examples=150, deadline=None)
@given(drawings())
def test_every_finding_of_a_drawing_is_that_of_brute_force(drawn):
    tables, place, pipes = drawn
    engine = Engine.built(*network(**tables))
    net = engine.network
    found = quality(engine, net.pipe_xy, net.node_xy, net.valve_xy)
    by_code = {code: rows for code, rows in found.groupby("code")}
    none = found.iloc[:0]
    for code, pairs in expected_pairs(place, pipes).items():
        rows = by_code.get(code, none)
        assert sorted(map(sorted, zip(rows["id"], rows["other"], strict=True))) == sorted(map(sorted, pairs)), code
    rows = by_code.get("NQ08", none)
    assert set(zip(rows["id"], rows["other"], strict=True)) == expected_ends(place, pipes) and len(rows) == len(expected_ends(place, pipes))
    fed, dry = parts(pipes, set(tables["sources"]["node_id"]))
    rows = by_code.get("NQ02", none)
    assert sorted(rows["n"]) == sorted(map(len, dry)) and {next(p for p in dry if i in p) for i in rows["id"]} == set(dry)
    rows = by_code.get("NQ01", none)
    assert sorted(rows["n"]) == sorted(map(len, fed))[:-1] and all(any(i in p for p in fed) for i in rows["id"])
    dead, bypassed = idle(Oracle(**tables))
    assert set(by_code.get("NQ03", none)["id"]) == dead and set(by_code.get("NQ04", none)["id"]) == bypassed
    for _, row in found[found["code"].isin(["NQ01", "NQ02"])].iterrows():
        part = next(p for p in (*fed, *dry) if row["id"] in p)
        assert row["geometry"].length == pytest.approx(sum(aside_of(place, pipes[p]) for p in part))


def aside_of(place, pair):
    (a, b), (c, d) = place[pair[0]], place[pair[1]]
    return hypot(a - c, b - d)


@settings(max_examples=100, deadline=None)
@given(drawings(), st.data())
def test_draining_is_that_of_brute_force(drawn, data):
    """The water is what stands in the closed pipes; the lowest points are the nodes to which every closed pipe runs down."""
    tables, _, pipes = drawn
    if not pipes:
        return
    names = list(tables["nodes"]["node_id"])
    level = {n: data.draw(st.sampled_from([None, 1.0, 2.0, 2.0, 3.0, 5.0])) for n in names}
    tables["nodes"]["ground_m"] = [np.nan if level[n] is None else level[n] + 1.5 for n in names]
    tables["nodes"]["depth_m"] = 1.5
    tables["pipes"]["diameter_mm"] = [data.draw(st.sampled_from([100.0, 300.0])) for _ in pipes]
    engine = Engine.built(*network(**tables))
    hydrants = pd.DataFrame({"hydrant_id": [f"h-{p}" for p in pipes], "pipe_id": list(pipes), "node_id": None})
    people = consumers(engine.network, NOBODY["connections"], NO_PLATES, hydrants)
    burst = data.draw(st.sampled_from(sorted(pipes)))
    region = engine.region(engine.segments.of_pipe[[engine.network.pipe(burst)]])
    found = draining(engine, people, region)
    oracle = Oracle(**tables)
    closed = {p for p, place in oracle.pipe.items() if place in oracle.piece_of[oracle.pipe[burst]]}
    size = dict(zip(tables["pipes"]["pipe_id"], tables["pipes"]["diameter_mm"], strict=True))
    assert found.volume_m3 == pytest.approx(sum(np.pi / 4 * (size[p] / 1000) ** 2 * 10.0 for p in closed))
    beside = {}
    for a, b in (pipes[p] for p in closed):
        beside.setdefault(a, set()).add(b)
        beside.setdefault(b, set()).add(a)
    low = {n for n, others in beside.items() if level[n] is not None and all(level[o] is None or level[o] >= level[n] for o in others)}
    assert set(decoded(engine.network.node_id[found.lowest])) == low
    assert found.lowest_m.tolist() == pytest.approx(sorted(level[n] for n in low))
    ends = {p: [level[n] for n in pipes[p] if level[n] is not None] for p in closed}
    assert set(decoded(people.hydrant_id[found.hydrants])) == {f"h-{p}" for p in closed}
    known = found.hydrants_m[np.isfinite(found.hydrants_m)]
    assert known.tolist() == pytest.approx(sorted(min(e) for e in ends.values() if e))
