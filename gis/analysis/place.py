"""Which pipe or junction a point on the map means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely

from gis.analysis.isolation import Engine
from gis.analysis.network import Network, decoded, ranges
from gis.errors import Ambiguous, NotOnNetwork

SAME_M = 0.05
"""Pipes whose distances differ by less are equally near: coordinates typed with seven decimals are exact to a centimetre."""

_DEGREE_M = 110_500.0
"""Metres per degree of latitude, rounded down so that the search window is never too small."""

_BLOCK = 64
"""Boxes under one common box."""

Metres = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def pipe_at(
    engine: Engine, lon: float, lat: float, tolerance_m: float, metres: Metres, index: Boxes | None = None
) -> tuple[str, int, float]:
    """What a point means: ("pipe", index, distance in metres), or ("node", …) where the pipes meet that are equally near.

    metres: degrees (lon, lat arrays) to a projected CRS in metres. Raises NotOnNetwork when no pipe lies within the tolerance, and
    Ambiguous when pipes of different segments are equally near without meeting there: the wrong valves could be closed.
    """
    pipes = _candidates(engine, index or boxes(engine.network), lon, lat, tolerance_m)
    net = engine.network
    x, y = metres(np.array([lon]), np.array([lat]))
    point = shapely.Point(x[0], y[0])
    lines = [shapely.LineString(np.column_stack(metres(*net.line(p).T))) for p in pipes]
    distance = shapely.distance(np.array(lines, dtype=object), point) if lines else np.zeros(0)
    if not len(distance) or distance.min() > tolerance_m:
        raise NotOnNetwork(
            f"no pipe lies within {tolerance_m:g} m of {lon:.6f}, {lat:.6f}",
            remedy="Point closer to a pipe, or give its id",
        )
    best = int(distance.argmin())
    near = pipes[distance <= distance[best] + SAME_M]
    if len(near) == 1 or len(np.unique(engine.segments.of_pipe[near])) == 1:
        return "pipe", int(pipes[best]), float(distance[best])
    shared = _shared_node(engine, near)
    if shared >= 0:
        return "node", shared, float(distance[best])
    names = ", ".join(decoded(net.pipe_id[near[:8]]))
    raise Ambiguous(
        f"the pipes {names} are equally near to {lon:.6f}, {lat:.6f} and lie in different segments",
        remedy="Give the id of the pipe",
    )


def _candidates(engine: Engine, index: Boxes, lon: float, lat: float, tolerance_m: float) -> np.ndarray:
    """The pipes whose bounding box comes within the tolerance; sorted indices."""
    dy = tolerance_m / _DEGREE_M
    dx = dy / max(np.cos(np.radians(lat)), 0.01)
    window = np.array([lon - dx, lat - dy, lon + dx, lat + dy])
    block = np.flatnonzero(_meets(index.block, window))
    rows = ranges(block * _BLOCK, np.minimum((block + 1) * _BLOCK, len(index.order)))
    return np.sort(index.order[rows[_meets(index.box[rows], window)]])


@dataclass(frozen=True)
class Boxes:
    """The bounding boxes of the drawn pipes (west, south, east, north, degrees), neighbours beside each other: `order` names the
    pipe of each box; `block` holds the box around every 64 of them. Plain arrays, to be mapped from files."""

    order: np.ndarray
    box: np.ndarray
    block: np.ndarray


def boxes(network: Network) -> Boxes:
    """The boxes of a network, in the order of a Z-shaped curve through its extent: O(pipes · log pipes)."""
    drawn = np.flatnonzero(np.diff(network.pipe_xy_at) > 1)
    if not len(drawn):
        return Boxes(drawn, np.zeros((0, 4)), np.zeros((0, 4)))
    first = network.pipe_xy_at[drawn]  # rows without vertices take no room: each range ends where the next drawn one begins
    key, box = np.zeros(len(drawn), np.uint64), np.empty((len(drawn), 4))
    for axis in (0, 1):
        along = np.ascontiguousarray(network.pipe_xy[:, axis])
        low, high = np.minimum.reduceat(along, first), np.maximum.reduceat(along, first)
        box[:, axis], box[:, 2 + axis] = low, high
        west, span = low.min(), max(high.max() - low.min(), 1e-12)
        key |= _spread_bits((((low + high) / 2 - west) / span * 0xFFFF).astype(np.uint64)) << np.uint64(axis)
    key <<= np.uint64(32)
    key |= np.arange(len(drawn), dtype=np.uint64)  # ties by index; a sort of plain numbers is several times as fast as one of places
    order = (np.sort(key) & np.uint64(0xFFFFFFFF)).astype(np.int64)
    box = box[order]
    starts = np.arange(0, len(box), _BLOCK)
    around = np.hstack((np.minimum.reduceat(box[:, :2], starts), np.maximum.reduceat(box[:, 2:], starts)))
    return Boxes(drawn[order], box, around)


def _spread_bits(values: np.ndarray) -> np.ndarray:
    """16 bits with a gap after each: half of a Z-order key."""
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        values = (values | (values << np.uint64(shift))) & np.uint64(mask)
    return values


def _meets(box: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Which boxes touch a window."""
    return (box[:, 0] <= window[2]) & (box[:, 1] <= window[3]) & (box[:, 2] >= window[0]) & (box[:, 3] >= window[1])


def _shared_node(engine: Engine, pipes: np.ndarray) -> int:
    """The one junction at which all these pipes end, or -1."""
    net = engine.network
    common = set.intersection(*({int(net.pipe_from[p]), int(net.pipe_to[p])} for p in pipes))
    return common.pop() if len(common) == 1 else -1
