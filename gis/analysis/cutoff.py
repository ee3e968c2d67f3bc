"""What one segment taken out cuts off, known beforehand for every segment: the dominator tree of the segments from all sources.

A segment dominates another when every way of water to the other leads through it; what a burst cuts off behind its segment is
exactly the subtree below, with directed devices and without. The tree comes from semidominators (Lengauer and Tarjan 1979, in the
variant SEMI-NCA of Georgiadis 2005). Segments that open valves which do not turn hold together are one *cell*: they are taken out
together, so they stand in the tree as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, depth_first_order

from gis.analysis.feed import depths, open_edges, subtrees
from gis.analysis.network import Network, States, grouped
from gis.analysis.segments import Segments


@dataclass(frozen=True)
class Cutoff:
    """Per segment s: `order[start[s]:own[s]]` are the segments of its cell, `order[own[s]:stop[s]]` those cut off when the cell is
    taken out. Segments without water stand behind all others and cut nothing off."""

    order: np.ndarray
    start: np.ndarray
    own: np.ndarray
    stop: np.ndarray

    def lost(self, region: np.ndarray) -> np.ndarray | None:
        """The segments cut off when these (sorted) are taken out; None where the tree alone cannot say: several cells, of which
        none is in front of all others."""
        begins = self.start[region]
        top = region[begins.argmin()]
        if begins.max() >= self.stop[top]:
            return None
        inside = self.order[self.own[top] : self.stop[top]]
        if len(region) == self.own[top] - self.start[top]:
            return np.sort(inside).astype(np.int64)
        below = self.order[self.start[top] : self.stop[top]]
        return np.setdiff1d(below, region).astype(np.int64)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Per segment the sum of some values (one per segment) over its cell and all that it cuts off."""
        total = np.concatenate(([0], np.cumsum(values[self.order])))
        return total[self.stop] - total[self.start]


def cells(network: Network, segments: Segments, states: States) -> tuple[int, np.ndarray]:
    """How many cells there are, and the cell of each segment."""
    valve = segments.edge_valve
    jammed = states.open[valve] & ~segments.edge_directed & ~(network.valve_isolating[valve] & states.usable[valve])
    a, b = segments.edge_a[jammed], segments.edge_b[jammed]
    graph = csr_matrix((np.ones(len(a)), (a, b)), shape=(segments.count, segments.count))
    return connected_components(graph, directed=False)


def cutoff(network: Network, segments: Segments, states: States) -> Cutoff:
    """The tree for one state of the valves: O(valves · log segments)."""
    count, cell = cells(network, segments, states)
    origin, target, _ = open_edges(segments, states)
    roots = np.unique(cell[segments.of_source])
    rows, cols = np.concatenate((cell[origin], np.full(len(roots), count))), np.concatenate((cell[target], roots))
    return _laid_out(dominators(rows, cols, count), cell, count)


def dominators(origin: np.ndarray, target: np.ndarray, root: int) -> np.ndarray:
    """The immediate dominator of each of the vertices 0..root in a directed graph searched from `root`; -1 at the root and where
    the search does not come."""
    graph = csr_matrix((np.ones(len(origin)), (origin, target)), shape=(root + 1, root + 1))
    reached, parent = depth_first_order(graph, root, directed=True, return_predecessors=True)
    found = np.full(root + 1, -1, np.int64)
    if len(reached) == 1:
        return found
    place = np.full(root + 1, -1, np.int64)
    place[reached] = np.arange(len(reached))
    kept = place[origin] >= 0
    origin, target = place[origin[kept]], place[target[kept]]
    up = np.zeros(len(reached), np.int64)
    up[1:] = place[parent[reached[1:]]]
    above = _by_semidominators(up, origin, target)
    found[reached[1:]] = reached[above[1:]]
    return found


def _by_semidominators(up: np.ndarray, origin: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Dominators of a directed graph, vertices in depth-first order with parents `up`: semidominators from the last vertex to the
    first, then each dominator is the nearest one above that is no later than the semidominator."""
    at, order = grouped(target, len(up))
    into, at = origin[order].tolist(), at.tolist()
    parent, semi = up.tolist(), list(range(len(up)))
    link, least = parent.copy(), semi.copy()
    for w in range(len(parent) - 1, 0, -1):
        earliest = w
        for v in into[at[w] : at[w + 1]]:
            through = v if v <= w else _least_on_way(v, w, link, least)
            if through < earliest:
                earliest = through
        semi[w] = least[w] = earliest
    for w in range(1, len(parent)):
        above = parent[w]
        while above > semi[w]:
            above = parent[above]  # already the dominator there
        parent[w] = above
    return np.array(parent)


def _least_on_way(vertex: int, last: int, link: list[int], least: list[int]) -> int:
    """The least semidominator on the way from a vertex up to the first one not later than `last`; the way is shortened for the next."""
    way = []
    while link[vertex] > last:
        way.append(vertex)
        vertex = link[vertex]
    found, top = least[vertex], link[vertex]
    for vertex in reversed(way):
        if least[vertex] < found:
            found = least[vertex]
        else:
            least[vertex] = found
        link[vertex] = top
    return found


def _laid_out(parent: np.ndarray, cell: np.ndarray, count: int) -> Cutoff:
    """The segments in the order of a walk through the tree of their cells, what has no water last."""
    parent = parent.copy()
    dry = np.flatnonzero(parent[:count] < 0)
    fed = np.flatnonzero(parent[:count] >= 0)
    depth = depths(parent, np.concatenate(([count], fed)), count)
    reached = np.concatenate(([count], fed[np.argsort(depth[fed], kind="stable")]))
    _, stop, walked = subtrees(parent, reached, count)
    rank = np.empty(count + 1, np.int64)
    rank[walked] = np.arange(len(walked))
    rank[dry] = len(walked) + np.arange(len(dry))
    order = grouped(rank[cell], count + 1)[1]
    size = np.bincount(rank[cell], minlength=count + 1)
    before = np.concatenate(([0], np.cumsum(size)))
    here = rank[cell]
    end = np.where(parent[cell] >= 0, stop[cell], here + 1)
    kind = np.int32
    return Cutoff(order.astype(kind), before[here].astype(kind), before[here + 1].astype(kind), before[end].astype(kind))
