"""Random networks with every kind of valve, device, state and fault, for hypothesis and, larger, for a seeded generator."""

import random

import pandas as pd
from hypothesis import strategies as st

KINDS = ["gate", "gate", "gate", "butterfly", "check", "prv", "pump", "psv", "fcv"]
VALVE_COLUMNS = ["valve_id", "kind", "isolating", "node_id", "pipe_id", "from_node", "to_node", "flow", "normal_status", "live_status",
                 "operable", "accessible"]  # fmt: skip


class Drawn:
    """The choices of hypothesis, so that it can shrink what fails."""

    def __init__(self, draw):
        self._draw = draw

    def number(self, least, most):
        return self._draw(st.integers(least, most))

    def one_of(self, values):
        return self._draw(st.sampled_from(values))

    def size(self, least, most):
        return self.number(least, most)


class Seeded:
    """The same choices from a seed: as many networks as wanted, of any size."""

    def __init__(self, seed, scale=1):
        self._random, self._scale = random.Random(seed), scale

    def number(self, least, most):
        return self._random.randint(least, most)

    def one_of(self, values):
        return self._random.choice(values)

    def size(self, least, most):
        return self._random.randint(least * self._scale, most * self._scale)


def _pipes(choose, nodes, faulty):
    rows = []
    for i in range(choose.size(1, 12)):
        a = choose.number(0, nodes - 1)
        b = choose.number(0, nodes - 1) if faulty else (a + choose.number(1, nodes - 1)) % nodes
        row = {"pipe_id": f"p{i}", "from_node": f"n{a}", "to_node": f"n{b}", "length_m": 10.0 + i, "diameter_mm": 100.0}
        row["status"] = choose.one_of("00000001")
        if faulty and choose.number(0, 9) == 0:
            row["to_node"] = choose.one_of([None, "unknown"])
        if faulty and choose.number(0, 9) == 0:
            row["length_m"] = choose.one_of([0.0, None])
        rows.append(row)
    return rows


def _valve(choose, valve_id, nodes, pipes, faulty):
    kind = choose.one_of(KINDS)
    row = dict.fromkeys(VALVE_COLUMNS) | {
        "valve_id": valve_id, "kind": kind, "isolating": kind in ("gate", "butterfly") or choose.number(0, 3) == 0,
        "normal_status": choose.one_of(["open", "open", "open", "closed"]),
        "live_status": choose.one_of([None, None, None, "open", "closed"]),
        "operable": choose.number(0, 5) > 0, "accessible": choose.number(0, 7) > 0,
    }  # fmt: skip
    place = choose.one_of(["end", "link", "junction"])
    if place == "end":
        pipe = choose.one_of(pipes)
        row |= {"pipe_id": pipe["pipe_id"], "node_id": choose.one_of([pipe["from_node"], pipe["to_node"]])}
        row["flow"] = choose.one_of(["to_node", "to_pipe", None] if faulty else ["to_node", "to_pipe"])
        if faulty and choose.number(0, 9) == 0:
            row["node_id"] = f"n{choose.number(0, nodes - 1)}"
    elif place == "link":
        a = choose.number(0, nodes - 1)
        row |= {"from_node": f"n{a}", "to_node": f"n{(a + choose.number(0 if faulty else 1, nodes - 1)) % nodes}"}
    else:
        row["node_id"] = f"n{choose.number(0, nodes - 1)}"
        if not faulty:
            row |= {"kind": "gate", "isolating": True}
    return row


def made(choose, faulty=False):
    """The frames of a network: 2–9 nodes, up to 12 pipes, up to 10 valves of all placements, 0–3 sources (times the scale of a seeded
    choice). faulty: with pipes that end nowhere or where they begin, valves that are placed wrongly, devices without a direction."""
    nodes = choose.size(2, 9)
    pipes = _pipes(choose, nodes, faulty)
    valves = [_valve(choose, f"v{i}", nodes, pipes, faulty) for i in range(choose.size(0, 10))]
    sources = {choose.number(0, nodes - 1) for _ in range(choose.number(0, 3))}
    named = [f"n{s}" for s in sorted(sources)] + (["nowhere"] if faulty and choose.number(0, 9) == 0 else [])
    demand = [choose.one_of([0.0, 0.0, 1.5]) for _ in range(nodes)]
    return {
        "nodes": pd.DataFrame({"node_id": [f"n{i}" for i in range(nodes)], "base_demand_lps": demand}),
        "pipes": pd.DataFrame(pipes), "valves": pd.DataFrame(valves, columns=VALVE_COLUMNS),
        "sources": pd.DataFrame({"source_id": [f"s-{n}" for n in named], "node_id": named}, dtype=object),
    }  # fmt: skip


def people_of(choose, tables):
    """Connections and hydrants of such a network; some networks have none, some connections hang on a pipe that is not there."""
    pipes, nodes = [*tables["pipes"]["pipe_id"], "gone"], [*tables["nodes"]["node_id"]]
    connections = [
        {"connection_id": f"c{i}", "pipe_id": choose.one_of(pipes), "building_id": f"b{i % 3}", "customers": choose.number(0, 40),
         "priority": choose.one_of(["none", "none", "hospital"])} for i in range(choose.one_of([0, 0, 3, 6]))
    ]  # fmt: skip
    hydrants = [
        {"hydrant_id": f"h{i}", "pipe_id": choose.one_of([None, *pipes]), "node_id": choose.one_of([None, *nodes])}
        for i in range(choose.number(0, 4))
    ]
    return {
        "connections": pd.DataFrame(connections, columns=["connection_id", "pipe_id", "building_id", "customers", "priority"]),
        "hydrants": pd.DataFrame(hydrants, columns=["hydrant_id", "pipe_id", "node_id"]),
    }


@st.composite
def frames(draw, faulty=False):
    """A random network as hypothesis draws it."""
    return made(Drawn(draw), faulty)


@st.composite
def supplied(draw, faulty=False):
    """A random network with its connections and hydrants."""
    choose = Drawn(draw)
    tables = made(choose, faulty)
    return tables, people_of(choose, tables)
