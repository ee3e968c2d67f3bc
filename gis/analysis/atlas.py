"""The burst atlas: the answer for every segment of a network at once, in arrays.

A burst whose region is its own cell (itself and what valves that do not turn hold to it) is answered from the tree of what is cut
off: sums over subtrees, and for each border valve whether a side is fed outside the subtree. Only where water comes in through a
directed device is the region larger; those segments, the downstream sides of pumps, reducers and check valves, are asked singly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gis.analysis.consumers import Consumers, outage
from gis.analysis.cutoff import Cutoff
from gis.analysis.isolation import Engine
from gis.analysis.network import offsets, ranges


@dataclass(frozen=True)
class Atlas:
    """Per segment, in indices: the valves to close in order (`close[close_at[s]:close_at[s + 1]]`), whether the burst can be isolated,
    what goes dry in all (pipes, metres, customers, priority connections) and what of it is cut off behind the region."""

    close_at: np.ndarray
    close: np.ndarray
    isolated: np.ndarray
    pipes: np.ndarray
    length_m: np.ndarray
    customers: np.ndarray
    priority: np.ndarray
    behind_pipes: np.ndarray
    behind_customers: np.ndarray


_SUMS = ("pipes", "length_m", "customers", "priority")


def atlas(engine: Engine, supplied: Consumers) -> Atlas:
    """The answers of all segments: O(segments + valves) but for those behind directed devices."""
    engine = engine.with_tree()
    part, tree = engine.segments, engine.cutoff
    each = of_segments(engine, supplied)
    dry = {name: tree.sums(each[name]) for name in _SUMS}
    inside = {name: _own(tree, each[name]) for name in _SUMS}
    isolated = _own(tree, np.diff(part.source_at)) == 0
    owner, valve = _to_close(engine, tree)
    alone = behind_devices(engine, tree)
    owner, valve = _singly(engine, supplied, alone, owner, valve, isolated, dry, inside)
    behind = {f"behind_{name}": dry[name] - inside[name] for name in ("pipes", "customers")}
    return Atlas(offsets(owner, part.count), valve, isolated, *(dry[name] for name in _SUMS), **behind)


def of_segments(engine: Engine, supplied: Consumers) -> dict[str, np.ndarray]:
    """Per segment its pipes, metres, customers and priority connections."""
    net, part = engine.network, engine.segments
    of_connection = part.of_pipe[supplied.connection_pipe]
    if supplied.n_connections:
        customers = np.bincount(of_connection, weights=supplied.connection_customers, minlength=part.count)
    else:
        customers = np.bincount(part.of_node[net.node_demand > 0], minlength=part.count)
    urgent = ~np.isin(supplied.connection_priority, (b"none", b""))
    return {
        "pipes": np.diff(part.pipe_at),
        "length_m": np.bincount(part.of_pipe, weights=net.pipe_length, minlength=part.count),
        "customers": np.rint(customers).astype(np.int64),
        "priority": np.bincount(of_connection[urgent], minlength=part.count),
    }


def _own(tree: Cutoff, values: np.ndarray) -> np.ndarray:
    """Per segment the sum of some values over its cell."""
    total = np.concatenate(([0], np.cumsum(values[tree.order])))
    return total[tree.own] - total[tree.start]


def behind_devices(engine: Engine, tree: Cutoff) -> np.ndarray:
    """The segments whose region is larger than their cell: into which, or into whose cell, a directed device lets water."""
    at, origin = engine.leaks
    target = np.repeat(np.arange(engine.segments.count), np.diff(at))
    more = target[tree.start[target] != tree.start[origin]]
    hit = np.zeros(engine.segments.count + 1, bool)
    hit[tree.start[more]] = True
    return np.flatnonzero(hit[tree.start])


def _to_close(engine: Engine, tree: Cutoff) -> tuple[np.ndarray, np.ndarray]:
    """(segment, valve) pairs sorted by segment and closing order, for regions that are one cell."""
    net, part, states = engine.network, engine.segments, engine.states
    count = np.diff(part.side_at)
    able = states.open & states.usable & net.valve_isolating
    valve = np.repeat(np.arange(net.n_valves), np.where(able, count * count, 0))
    first = part.side_at[:-1][able]
    mine = np.repeat(ranges(first, first + count[able]), np.repeat(count[able], count[able]))
    other = ranges(np.repeat(first, count[able]), np.repeat(first + count[able], count[able]))
    here, there = part.side[mine], part.side[other]
    beyond = (tree.start[there] < tree.start[here]) | (tree.start[there] >= tree.stop[here])
    kept = beyond & engine.feed.fed[there] & ~_only_out(engine, valve, here)
    here, there, valve = here[kept], there[kept], valve[kept]
    cell = tree.start[here].astype(np.int64)
    rank = np.lexsort((engine.feed.depth[there], valve, cell))
    cell, valve, depth = cell[rank], valve[rank], engine.feed.depth[there][rank]
    new = np.ones(len(cell), bool)
    new[1:] = (cell[1:] != cell[:-1]) | (valve[1:] != valve[:-1])
    cell, valve, depth = cell[new], valve[new], depth[new]
    order = np.lexsort((valve, depth, -net.valve_diameter[valve], ~net.valve_remote[valve], cell))
    cell, valve = cell[order], valve[order]
    first, last = np.searchsorted(cell, tree.start, side="left"), np.searchsorted(cell, tree.start, side="right")
    return np.repeat(np.arange(part.count), last - first), valve[ranges(first, last)]


def _only_out(engine: Engine, valve: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Of (valve, segment) pairs, whether the valve is a closable device that lets water only out of that segment."""
    part = engine.segments
    tail = np.full(engine.network.n_valves, -1, np.int64)
    tail[part.edge_valve[part.edge_directed]] = part.edge_a[part.edge_directed]
    return tail[valve] == inside


def _singly(engine, supplied, alone, owner, valve, isolated, dry, inside) -> tuple[np.ndarray, np.ndarray]:
    """The segments behind directed devices, one burst per cell, written into the tables; the pairs anew."""
    if not len(alone):
        return owner, valve
    tree, rows = engine.cutoff, []
    for members in np.split(alone[np.argsort(tree.start[alone], kind="stable")], _cuts(tree.start[alone])):
        found = engine.burst(members[:1])
        isolated[members] = found.isolated
        for table, segments in ((dry, np.concatenate((found.region, found.lost))), (inside, found.region)):
            out = outage(engine, supplied, np.sort(segments))
            table["pipes"][members], table["length_m"][members] = len(out.pipes), out.length_m
            table["customers"][members], table["priority"][members] = out.customers, len(out.priority)
        rows.append((np.repeat(members, len(found.close)), np.tile(found.close, len(members))))
    single = np.zeros(engine.segments.count, bool)
    single[alone] = True
    kept = ~single[owner]
    owner = np.concatenate((owner[kept], *(r[0] for r in rows)))
    valve = np.concatenate((valve[kept], *(r[1] for r in rows)))
    order = np.argsort(owner, kind="stable")
    return owner[order], valve[order]


def _cuts(groups: np.ndarray) -> np.ndarray:
    """Where sorted groups begin anew."""
    groups = np.sort(groups)
    return np.flatnonzero(groups[1:] != groups[:-1]) + 1
