"""The engine beside the oracle: the same question put to both, and where they differ."""

import math

import numpy as np
import pandas as pd
from oracle import Oracle

from gis.analysis.consumers import consumers, outage
from gis.analysis.isolation import Engine
from gis.analysis.network import decoded, network

NO_PLATES = pd.DataFrame(columns=["plate_id", "building_id"])
NOBODY = {
    "connections": pd.DataFrame(columns=["connection_id", "pipe_id", "building_id", "customers", "priority"]),
    "hydrants": pd.DataFrame(columns=["hydrant_id", "pipe_id", "node_id"]),
}


class Pair:
    """One network in the engine (with and without the tree of what each segment cuts off) and in the oracle."""

    def __init__(self, tables, people=NOBODY):
        self.oracle = Oracle(**tables, **people)
        plain = Engine.built(*network(**tables))
        self.engines = (plain, plain.with_tree())
        self.net, self.part = plain.network, plain.segments
        self.people = consumers(self.net, people["connections"], NO_PLATES, people["hydrants"])
        self.pipe_ids, self.node_ids, self.valve_ids = (decoded(i) for i in (self.net.pipe_id, self.net.node_id, self.net.valve_id))
        self.place = {v: i for i, v in enumerate(self.valve_ids)}
        self._known = {}

    def ours(self, engine, start, stuck=(), burst_valve=-1):
        """The engine's answer as sets of ids; a start that was asked before is not asked again."""
        key = (id(engine), tuple(np.sort(start).tolist()), tuple(stuck), burst_valve)
        if key not in self._known:
            self._known[key] = answer(engine, start, [self.place[v] for v in stuck], burst_valve, self.people)
        return self._known[key]

    def pipes(self, stuck=(), chosen=None):
        """(what was asked, the fields that differ) for a burst in every pipe, or in the chosen ones, and both engines."""
        for i, name in enumerate(self.pipe_ids):
            if chosen is not None and name not in chosen:
                continue
            expected = self.oracle.burst("pipe", name, stuck)
            for engine in self.engines:
                yield f"pipe {name}", differing(self.ours(engine, self.part.of_pipe[[i]], stuck), expected)

    def nodes(self, stuck=()):
        for i, name in enumerate(self.node_ids):
            expected = self.oracle.burst("node", name, stuck)
            for engine in self.engines:
                yield f"node {name}", differing(self.ours(engine, engine.segments_at_node(i), stuck), expected)

    def valves(self, stuck=()):
        for i, name in enumerate(self.valve_ids):
            expected = self.oracle.burst("valve", name, stuck)
            for engine in self.engines:
                yield f"valve {name}", differing(self.ours(engine, engine.segments_at_valve(i), stuck, i), expected)

    def partition(self):
        """Whether both have the same segments."""
        groups = {}
        for pipe, segment in zip(self.pipe_ids, self.part.of_pipe.tolist(), strict=True):
            groups.setdefault(segment, set()).add(pipe)
        return {frozenset(g) for g in groups.values()} == self.oracle.partition()


def differing(ours, expected):
    """The fields in which two answers differ, as (ours, expected)."""
    return {k: (ours[k], expected[k]) for k in expected if not same(ours[k], expected[k])}


def same(ours, expected):
    """Equal; metres but for the order in which they were added."""
    return math.isclose(ours, expected, rel_tol=1e-9, abs_tol=1e-6) if isinstance(expected, float) else ours == expected


def answer(engine, start, stuck=(), burst_valve=-1, people=None):
    """The engine's answer as sets of ids, like the oracle's; who is served only where `people` are given."""
    net, part = engine.network, engine.segments
    found = engine.burst(start, stuck, burst_valve)
    inside = {p for s in found.region for p in part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]}
    dry = {p for s in found.lost for p in part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]}
    valves = ("close", "optional", "already_closed", "feeds_to_open")
    named = {k: set(decoded(net.valve_id[getattr(found, k)])) for k in valves}
    named |= {
        "sources_to_shut": set(decoded(net.source_id[found.sources_to_shut])), "isolated": found.isolated,
        "affected": set(decoded(net.pipe_id[sorted(inside | dry)])), "unintended": set(decoded(net.pipe_id[sorted(dry)])),
    }  # fmt: skip
    if people is None:
        return named
    out = outage(engine, people, np.sort(np.concatenate((found.region, found.lost))))
    hydrants = set(decoded(people.hydrant_id[out.hydrants]))
    return named | {"customers": out.customers, "hydrants": hydrants, "length_m": float(out.length_m)}
