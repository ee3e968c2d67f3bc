"""Who is fed: the segments that water reaches from a source, and which of them lose it when something is taken out.

One search from all sources builds a tree; whatever lies outside the subtrees of the removed segments keeps its path in the tree
and is still fed, so only those subtrees are searched again. That holds for directed devices too, and never asks which way the
water ran before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order

from gis.analysis.network import Network, States, grouped, ranges
from gis.analysis.segments import Segments


@dataclass(frozen=True)
class Feed:
    """The tree of the fed segments for one state of the valves.

    fed: per segment; depth: steps from a source (0 at a source's segment, -1 unfed); parent: the segment it is fed from
    (-1 at a source); place/stop: the subtree of a segment is `order[place:stop]`; inflow: per segment the open edges into it.
    """

    fed: np.ndarray
    depth: np.ndarray
    parent: np.ndarray
    place: np.ndarray
    stop: np.ndarray
    order: np.ndarray
    inflow_at: np.ndarray
    inflow: np.ndarray
    inflow_valve: np.ndarray


def open_edges(segments: Segments, states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The edges along which water can pass, one row per direction: from, to, valve."""
    passes = states.open[segments.edge_valve]
    back = passes & ~segments.edge_directed
    origin = np.concatenate((segments.edge_a[passes], segments.edge_b[back]))
    target = np.concatenate((segments.edge_b[passes], segments.edge_a[back]))
    return origin, target, np.concatenate((segments.edge_valve[passes], segments.edge_valve[back]))


def feed(network: Network, segments: Segments, states: States) -> Feed:
    """The feed of every segment from all sources, with the valves as they are: O(segments + valves)."""
    count = segments.count
    origin, target, valve = open_edges(segments, states)
    starts = np.unique(segments.of_source)
    rows, cols = np.concatenate((origin, np.full(len(starts), count))), np.concatenate((target, starts))
    graph = csr_matrix((np.ones(len(rows)), (rows, cols)), shape=(count + 1, count + 1))
    reached, parent = breadth_first_order(graph, count, directed=True, return_predecessors=True)
    fed = np.zeros(count + 1, bool)
    fed[reached] = True
    depth = depths(parent, reached, count)
    place, stop, order = subtrees(parent, reached, count)
    inflow_at, by_target = grouped(target, count)
    parent = np.where((parent == count) | (parent < 0), -1, parent)[:count].astype(np.int32)
    return Feed(
        fed=fed[:count], depth=np.where(fed, depth - 1, -1)[:count].astype(np.int32), parent=parent,
        place=place[:count], stop=stop[:count], order=order,
        inflow_at=inflow_at, inflow=origin[by_target], inflow_valve=valve[by_target],
    )  # fmt: skip


def depths(parent: np.ndarray, reached: np.ndarray, root: int) -> np.ndarray:
    """Steps from the root for every reached vertex, by pointer doubling: log2(depth) passes."""
    up = np.arange(root + 1)
    up[reached[1:]] = parent[reached[1:]]
    depth = np.zeros(root + 1, np.int64)
    depth[reached[1:]] = 1
    while np.any(up[reached] != root):
        depth += depth[up]
        up = up[up]
    return depth


def subtrees(parent: np.ndarray, reached: np.ndarray, root: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each subtree lies in a walk through the tree: place and stop per vertex, the walk. reached: the vertices from the root,
    parents before their children. A plain loop: SciPy's walk takes the square of the number of children of one vertex."""
    above, along = parent.tolist(), reached.tolist()
    size, place = [0] * (root + 1), [-1] * (root + 1)
    for vertex in reversed(along[1:]):
        size[vertex] += 1
        size[above[vertex]] += size[vertex]
    size[root] += 1
    free = [0] * (root + 1)
    place[root], free[root] = 0, 1
    for vertex in along[1:]:
        up = above[vertex]
        place[vertex] = here = free[up]
        free[up] = here + size[vertex]
        free[vertex] = here + 1
    first = np.array(place, np.int64)
    order = np.empty(len(along), reached.dtype)
    order[first[reached]] = reached
    return first, first + np.array(size, np.int64), order


def lost(feed: Feed, removed: np.ndarray, shut: np.ndarray) -> np.ndarray:
    """The fed segments outside `removed` that no source reaches any more once these segments are out and these valves shut.

    removed: segments; shut: valves (indices). Sorted indices. Cost: the subtrees below what is taken out.
    """
    removed = np.asarray(removed, np.int64)
    start, stop = _spans(feed, removed, shut)
    if not len(start):
        return np.zeros(0, np.int64)
    begins = np.cumsum(stop - start) - (stop - start)
    candidate = feed.order[ranges(start, stop)]
    size = len(candidate)
    gone = np.isin(candidate, removed)
    if gone.all():
        return np.zeros(0, np.int64)
    here = np.flatnonzero(~gone)
    first, last = feed.inflow_at[candidate[here]], feed.inflow_at[candidate[here] + 1]
    entry = ranges(first, last)
    target, origin = np.repeat(here, last - first), feed.inflow[entry]
    usable = feed.fed[origin]
    if len(shut):
        usable &= ~np.isin(feed.inflow_valve[entry], shut)
    target, origin = target[usable], origin[usable]
    place = feed.place[origin]
    span = np.searchsorted(start, place, side="right") - 1
    inside = (span >= 0) & (place < stop[span])
    local = np.where(inside, begins[span] + place - start[span], size)
    clean = (local == size) | ~np.append(gone, False)[local]
    graph = csr_matrix((np.ones(int(clean.sum())), (local[clean], target[clean])), shape=(size + 1, size + 1))
    reached = breadth_first_order(graph, size, directed=True, return_predecessors=False)
    dry = ~gone
    dry[reached[1:]] = False
    return np.sort(candidate[dry]).astype(np.int64)


def _spans(feed: Feed, removed: np.ndarray, shut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The subtrees that hang below the removed segments and behind the shut valves, as disjoint ranges of the order."""
    roots = removed[feed.fed[removed]]
    if len(shut):
        hit = np.flatnonzero(np.isin(feed.inflow_valve, shut))
        behind = np.searchsorted(feed.inflow_at, hit, side="right") - 1
        roots = np.concatenate((roots, behind[feed.parent[behind] == feed.inflow[hit]]))
    roots = np.unique(feed.place[roots])
    stops = feed.stop[feed.order[roots]] if len(roots) else roots
    top = np.ones(len(roots), bool)
    if len(roots) > 1:
        top[1:] = roots[1:] >= np.maximum.accumulate(stops)[:-1]
    return roots[top], stops[top]
