"""The way of a crew over valves: from the nearest depot along the streets, in the order of closing or in the quickest one.

Positions lie on edges, not at nodes; one-way streets are kept. Times are in seconds, lengths in metres, coordinates in the graph's CRS.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from shapely.ops import substring

from gis.analysis.coverage import AT_NODE_M, Ways
from gis.analysis.road_graph import Positions, RoadGraph

EXACT = 8
"""Up to so many stops the quickest order is found by trying all of them; beyond, by improving step by step."""
SPEEDS_KMH = {"expressway": 80.0, "trunk": 60.0, "secondary": 50.0, "branch": 40.0, "lane": 20.0, "path": 10.0}
"""Taken where a road names no limit, by class (onemap.road_class)."""
PACE = 0.7
"""The share of the limit that is driven in a town, with junctions and lights."""


@dataclass(frozen=True)
class Leg:
    """From one place to the next: the stop that it leads to, and the way there."""

    stop: int
    seconds: float
    metres: float
    line: np.ndarray


@dataclass(frozen=True)
class Route:
    """A depot (index; -1 where none reaches the first stop), the legs in order, and the stops that cannot be reached."""

    depot: int
    legs: list[Leg]
    unreached: list[int]


@dataclass(frozen=True)
class Streets:
    """A graph to drive on: the ways that are open, and the seconds that each edge takes."""

    graph: RoadGraph
    ways: Ways
    seconds: np.ndarray


def edge_seconds(graph: RoadGraph, speed_kmh: np.ndarray, klass: np.ndarray, pace: float = PACE) -> np.ndarray:
    """(e,) seconds to drive along each edge. speed_kmh: its limit, NaN where unknown: then by its class."""
    usual = np.array([SPEEDS_KMH.get(str(k), 30.0) for k in klass])
    limit = np.where(np.isfinite(speed_kmh) & (speed_kmh > 0), speed_kmh, usual)
    return graph.length / (limit * pace / 3.6)


def route(streets: Streets, depots: Positions, stops: Positions, quickest: bool = False) -> Route:
    """From a depot over all stops. In the given order the depot nearest to the first stop counts (by time); `quickest`: the depot and
    the order with the least driving. A stop on no edge, or that cannot be reached from the place before, is left out and named."""
    places = Positions(*(np.concatenate([getattr(depots, n), getattr(stops, n)]) for n in ("edge", "offset", "gap")))
    split = _Split(streets, places)
    times = split.times()
    first = len(depots)
    on = [first + i for i in range(len(stops)) if stops.edge[i] >= 0]
    reachable = [i for i in on if np.isfinite(times[:first, i]).any()]
    if not reachable or not first:
        return Route(-1, [], list(range(len(stops))))
    if quickest:
        depot, order = min((_quickest(times, depot, reachable) for depot in range(first)), key=lambda found: _cost(times, *found))
    else:
        depot, order = int(np.argmin(times[:first, reachable[0]])), reachable
    legs, here, missed = [], depot, set(range(len(stops))) - {i - first for i in reachable}
    for there in order:
        if not np.isfinite(times[here, there]):
            missed.add(there - first)
            continue
        metres, line = split.way(here, there)
        legs.append(Leg(there - first, float(times[here, there]), metres, line))
        here = there
    return Route(depot if legs else -1, legs, sorted(missed))


def _quickest(times: np.ndarray, depot: int, stops: list[int]) -> tuple[int, list[int]]:
    """The order of the stops with the least time from a depot: all orders of few, else nearest first, improved by moving stops."""
    if len(stops) <= EXACT:
        return depot, list(min(permutations(stops), key=lambda order: _cost(times, depot, order)))
    order, left = [], set(stops)
    while left:
        here = order[-1] if order else depot
        order.append(min(sorted(left), key=lambda there: times[here, there]))
        left.remove(order[-1])
    best, better = _cost(times, depot, order), True
    while better:
        better = False
        for candidate in _neighbours(order):
            cost = _cost(times, depot, candidate)
            if cost < best - 1e-9:
                order, best, better = candidate, cost, True
                break
    return depot, order


def _neighbours(order: list[int]):
    """The orders with one stop moved elsewhere, or one stretch turned round."""
    for i in range(len(order)):
        rest = order[:i] + order[i + 1 :]
        yield from ([*rest[:j], order[i], *rest[j:]] for j in range(len(rest) + 1) if j != i)
        yield from (order[:i] + order[i:j][::-1] + order[j:] for j in range(i + 2, len(order) + 1))


def _cost(times: np.ndarray, depot: int, order) -> float:
    """Seconds over all stops; a leg that cannot be driven costs more than any that can."""
    legs = np.array([times[a, b] for a, b in pairwise([depot, *order])])
    return float(np.where(np.isfinite(legs), legs, 1e9).sum())


class _Split:
    """The graph with every place as a node: an edge with places on it becomes a chain of pieces."""

    def __init__(self, streets: Streets, places: Positions):
        self.graph, nodes = streets.graph, len(streets.graph.node_xy)
        self.node = self._nodes(places, nodes)
        bare = np.ones(self.graph.edges, bool)
        own = np.flatnonzero(self.node >= nodes)
        bare[places.edge[own]] = False
        edge = np.flatnonzero(bare)
        pieces = [(self.graph.edge_from[edge], self.graph.edge_to[edge], edge, np.zeros(len(edge)), self.graph.length[edge])]
        for e in np.unique(places.edge[own]):
            on = own[places.edge[own] == e]
            on = on[np.argsort(places.offset[on], kind="stable")]
            chain = np.concatenate([[self.graph.edge_from[e]], self.node[on], [self.graph.edge_to[e]]])
            offset = np.concatenate([[0.0], places.offset[on], [self.graph.length[e]]])
            pieces.append((chain[:-1], chain[1:], np.full(len(chain) - 1, e), offset[:-1], offset[1:]))
        a, b, edge, low, high = (np.concatenate(part) for part in zip(*pieces, strict=True))
        same = high - low <= AT_NODE_M  # two places at one spot: no one-way rule lies between them
        go, come = streets.ways.forward[edge] | same, streets.ways.backward[edge] | same
        self.tail, self.head = np.concatenate([a[go], b[come]]), np.concatenate([b[go], a[come]])
        self.edge = np.concatenate([edge[go], edge[come]])
        self.start, self.stop = np.concatenate([low[go], high[come]]), np.concatenate([high[go], low[come]])
        length = np.maximum(self.graph.length[self.edge], 1e-9)
        self.cost = streets.seconds[self.edge] * np.abs(self.stop - self.start) / length
        self.size = nodes + len(places)
        self._keep_quickest_of_parallel()

    def _nodes(self, places: Positions, nodes: int) -> np.ndarray:
        """The node of each place: that of the street where it lies at one, else one of its own; a place on no edge has one of its own
        that nothing leads to."""
        node = nodes + np.arange(len(places))
        at = np.flatnonzero(places.edge >= 0)
        edge = places.edge[at]
        end = self.graph.length[edge] - places.offset[at] <= AT_NODE_M
        begin = places.offset[at] <= AT_NODE_M
        node[at] = np.where(begin, self.graph.edge_from[edge], np.where(end, self.graph.edge_to[edge], node[at]))
        node[places.edge < 0] = -1
        return node

    def _keep_quickest_of_parallel(self) -> None:
        order = np.lexsort((self.cost, self.head, self.tail))
        first = np.ones(len(order), bool)
        first[1:] = (np.diff(self.tail[order]) != 0) | (np.diff(self.head[order]) != 0)
        for name in ("tail", "head", "edge", "start", "stop", "cost"):
            setattr(self, name, getattr(self, name)[order][first])

    def times(self) -> np.ndarray:
        """(p, p) seconds between the places; inf where there is no way."""
        matrix = csr_array((self.cost, (self.tail, self.head)), shape=(self.size, self.size))
        placed = np.flatnonzero(self.node >= 0)
        found = np.full((len(self.node), len(self.node)), np.inf)
        self.before = {}
        if len(placed):
            distance, before = dijkstra(matrix, indices=self.node[placed], return_predecessors=True)
            found[np.ix_(placed, placed)] = distance[:, self.node[placed]]
            self.before = dict(zip(placed.tolist(), before, strict=True))
        return found

    def way(self, here: int, there: int) -> tuple[float, np.ndarray]:
        """Metres and vertices of the quickest way between two places; call after `times`."""
        chain = [int(self.node[there])]
        while chain[-1] != self.node[here]:
            chain.append(int(self.before[here][chain[-1]]))
        key = self.tail.astype(np.int64) * self.size + self.head
        arcs = [int(np.searchsorted(key, a * self.size + b)) for b, a in pairwise(chain)][::-1]
        metres = float(np.abs(self.stop[arcs] - self.start[arcs]).sum()) if arcs else 0.0
        lines = self.graph.lines(self.edge[arcs]) if arcs else []
        parts = [shapely.get_coordinates(substring(line, self.start[i], self.stop[i])) for line, i in zip(lines, arcs, strict=True)]
        return metres, _joined(parts)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """One line of several that follow one another; none: no vertices."""
    if not parts:
        return np.zeros((0, 2))
    every = np.concatenate(parts)
    fresh = np.ones(len(every), bool)
    fresh[1:] = np.abs(np.diff(every, axis=0)).max(axis=1) > 1e-9
    return every[fresh]
