"""Tracing a network: what water can reach from here, from where it can come, and what hangs together.

In a pressure network nothing depends on the way the water runs today: *up* is every segment from which water can reach the start
along pipes, open valves and devices in their direction (the sources among them), *down* every segment it can reach from there,
*connected* what hangs together through open valves and open devices, whichever way they point. In a gravity network (sewers, storm
drains) every pipe runs from its upper to its lower manhole, and only pipes in that direction count.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order

from gis.analysis.feed import open_edges
from gis.analysis.network import States
from gis.analysis.segments import Segments

DIRECTIONS = ("up", "down", "connected")


def _reached(origin: np.ndarray, target: np.ndarray, count: int, start: np.ndarray, direction: str) -> np.ndarray:
    """The vertices that a search from `start` meets; sorted indices."""
    if direction == "up":
        origin, target = target, origin
    elif direction == "connected":
        origin, target = np.concatenate((origin, target)), np.concatenate((target, origin))
    start = np.unique(start)
    rows, cols = np.concatenate((origin, np.full(len(start), count))), np.concatenate((target, start))
    graph = csr_matrix((np.ones(len(rows)), (rows, cols)), shape=(count + 1, count + 1))
    order = breadth_first_order(graph, count, directed=True, return_predecessors=False)
    return np.sort(order[1:]).astype(np.int64)


def trace(segments: Segments, states: States, start: np.ndarray, direction: str) -> np.ndarray:
    """The segments of a pressure network up, down or connected to some segments, these included; sorted indices."""
    origin, target, _ = open_edges(segments, states)
    return _reached(origin, target, segments.count, start, direction)


def trace_gravity(origin: np.ndarray, target: np.ndarray, count: int, direction: str, *, pipe: int = -1, node: int = -1) -> np.ndarray:
    """The pipes of a gravity network up, down or connected to a pipe (itself included) or to a node; sorted indices.

    origin, target: upper and lower node of each pipe, indices below `count`.
    """
    start = {"up": [origin[pipe]], "down": [target[pipe]], "connected": [origin[pipe], target[pipe]]}[direction] if pipe >= 0 else [node]
    met = np.zeros(count, bool)
    met[_reached(origin, target, count, np.asarray(start), direction)] = True
    hit = {"up": met[target], "down": met[origin], "connected": met[origin]}[direction]
    if pipe >= 0:
        hit = hit.copy()
        hit[pipe] = True
    return np.flatnonzero(hit)
