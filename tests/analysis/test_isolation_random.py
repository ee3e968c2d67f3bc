"""The engine against the oracle on small random networks with every kind of valve, device, state and burst."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle

from gis.analysis.isolation import Engine
from gis.analysis.network import decoded, network
from gis.analysis.trace import trace

KINDS = ["gate", "gate", "gate", "butterfly", "check", "prv", "pump", "psv", "fcv"]


@st.composite
def frames(draw):
    """A random network: 2–9 nodes, up to 12 pipes, up to 10 valves of all placements, 0–3 sources."""
    n = draw(st.integers(2, 9))
    node = st.integers(0, n - 1)
    pair = st.tuples(node, node).filter(lambda p: p[0] != p[1])
    pipes = [
        {
            "pipe_id": f"p{i}",
            "from_node": f"n{a}",
            "to_node": f"n{b}",
            "length_m": 10.0 + i,
            "diameter_mm": 100.0,
            "status": s,
        }
        for i, ((a, b), s) in enumerate(
            draw(st.lists(st.tuples(pair, st.sampled_from("00000001")), min_size=1, max_size=12))
        )
    ]
    placements = st.one_of(
        st.tuples(st.just("end"), st.integers(0, len(pipes) - 1), st.booleans()),
        st.tuples(st.just("link"), pair), st.tuples(st.just("junction"), node),
    )  # fmt: skip
    valves = []
    for i in range(draw(st.integers(0, 10))):
        valves.append(_valve(draw, f"v{i}", draw(placements), pipes))
    columns = ["valve_id", "kind", "isolating", "node_id", "pipe_id", "from_node", "to_node", "flow", "normal_status",
               "live_status", "operable", "accessible"]  # fmt: skip
    sources = draw(st.lists(node, max_size=3, unique=True))
    return {
        "nodes": pd.DataFrame({"node_id": [f"n{i}" for i in range(n)]}),
        "pipes": pd.DataFrame(pipes), "valves": pd.DataFrame(valves, columns=columns),
        "sources": pd.DataFrame({"source_id": [f"s{s}" for s in sources], "node_id": [f"n{s}" for s in sources]}, dtype=object),
    }  # fmt: skip


def _valve(draw, valve_id, placement, pipes):
    kind = draw(st.sampled_from(KINDS))
    row = {
        "valve_id": valve_id, "kind": kind, "isolating": kind in ("gate", "butterfly") or draw(st.integers(0, 3)) == 0,
        "normal_status": draw(st.sampled_from(["open", "open", "open", "closed"])),
        "live_status": draw(st.sampled_from([None, None, None, "open", "closed"])),
        "operable": draw(st.integers(0, 5)) > 0, "accessible": draw(st.integers(0, 7)) > 0,
    }  # fmt: skip
    if placement[0] == "end":
        pipe = pipes[placement[1]]
        row |= {"pipe_id": pipe["pipe_id"], "node_id": pipe["to_node" if placement[2] else "from_node"]}
        row["flow"] = draw(st.sampled_from(["to_node", "to_pipe"]))
    elif placement[0] == "link":
        row |= {"from_node": f"n{placement[1][0]}", "to_node": f"n{placement[1][1]}"}
    else:
        row |= {"node_id": f"n{placement[1]}", "kind": "gate", "isolating": True}
    return row


def answer(engine, start, stuck=(), burst_valve=-1):
    """The engine's answer as sets of ids, like the oracle's."""
    net, part = engine.network, engine.segments
    found = engine.burst(start, stuck, burst_valve)
    inside = {p for s in found.region for p in part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]}
    dry = {p for s in found.lost for p in part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]}
    names = {
        k: set(decoded(net.valve_id[getattr(found, k)]))
        for k in ("close", "optional", "already_closed", "feeds_to_open")
    }
    return names | {
        "sources_to_shut": set(decoded(net.source_id[found.sources_to_shut])), "isolated": found.isolated,
        "affected": set(decoded(net.pipe_id[sorted(inside | dry)])), "unintended": set(decoded(net.pipe_id[sorted(dry)])),
    }  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(frames(), st.data())
def test_bursts_agree_with_the_oracle(tables, data):
    oracle, engine = Oracle(**tables), Engine.built(*network(**tables))
    quick = engine.with_tree()
    net, part = engine.network, engine.segments
    groups = {}
    for pipe, segment in zip(decoded(net.pipe_id), part.of_pipe.tolist(), strict=True):
        groups.setdefault(segment, set()).add(pipe)
    assert {frozenset(g) for g in groups.values()} == oracle.partition()
    valves = decoded(net.valve_id)
    stuck = data.draw(st.lists(st.sampled_from(valves), max_size=2, unique=True)) if valves else []
    positions = [valves.index(v) for v in stuck]
    for i, pipe in enumerate(decoded(net.pipe_id)):
        expected = oracle.burst("pipe", pipe, stuck)
        assert answer(engine, part.of_pipe[[i]], positions) == expected, pipe
        assert answer(quick, part.of_pipe[[i]], positions) == expected, pipe
    for i, node in enumerate(decoded(net.node_id)):
        assert answer(engine, engine.segments_at_node(i), positions) == oracle.burst("node", node, stuck), node
    for i, valve in enumerate(valves):
        if (net.valve_isolating | net.valve_directed)[i]:
            assert answer(engine, engine.segments_at_valve(i), positions, i) == oracle.burst("valve", valve, stuck), (
                valve
            )


@settings(max_examples=200, deadline=None)
@given(frames(), st.data())
def test_closures_and_traces_agree_with_the_oracle(tables, data):
    oracle, engine = Oracle(**tables), Engine.built(*network(**tables))
    net, part = engine.network, engine.segments
    valves = decoded(net.valve_id)
    closed = data.draw(st.lists(st.sampled_from(valves), max_size=4, unique=True)) if valves else []
    found = engine.close([valves.index(v) for v in closed]) if closed else None
    if found is not None:
        dry = {decoded(net.pipe_id)[p] for s in found.lost for p in part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]}
        assert dry == oracle.close(closed)
    for i, pipe in enumerate(decoded(net.pipe_id)):
        for direction in ("up", "down", "connected"):
            reached = trace(part, engine.states, part.of_pipe[[i]], direction)
            names = {decoded(net.pipe_id)[p] for s in reached for p in part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]}
            assert names == oracle.trace({("pipe", pipe)}, direction), (pipe, direction)


@settings(max_examples=100, deadline=None)
@given(frames(), st.data())
def test_turning_a_valve_needs_no_new_partition(tables, data):
    engine = Engine.built(*network(**tables))
    if not engine.network.n_valves:
        return
    turned = data.draw(st.lists(st.booleans(), min_size=engine.network.n_valves, max_size=engine.network.n_valves))
    states = type(engine.states)(open=engine.states.open ^ turned, usable=engine.states.usable)
    valves = tables["valves"].sort_values("valve_id").reset_index(drop=True)
    ids = decoded(engine.network.valve_id)
    new = dict(zip(ids, states.open.tolist(), strict=True))
    valves["live_status"] = ["open" if new.get(v, True) else "closed" for v in valves["valve_id"]]
    again = Engine.built(*network(**(tables | {"valves": valves})))
    quick = engine.with_states(states)
    for segment in range(quick.segments.count):
        assert answer(quick, [segment]) == answer(again, [segment])


if __name__ == "__main__":
    pytest.main([__file__])
