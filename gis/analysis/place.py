"""Which pipe or junction a point on the map means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely

from gis.analysis.isolation import Engine
from gis.analysis.network import decoded
from gis.errors import Ambiguous, NotOnNetwork

SAME_M = 0.05
"""Pipes whose distances differ by less are equally near: coordinates typed with seven decimals are exact to a centimetre."""

_DEGREE_M = 110_500.0
"""Metres per degree of latitude, rounded down so that the search window is never too small."""

Metres = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def pipe_at(engine: Engine, lon: float, lat: float, tolerance_m: float, metres: Metres) -> tuple[str, int, float]:
    """What a point means: ("pipe", index, distance in metres), or ("node", …) where the pipes meet that are equally near.

    metres: degrees (lon, lat arrays) to a projected CRS in metres. Raises NotOnNetwork when no pipe lies within the tolerance, and
    Ambiguous when pipes of different segments are equally near without meeting there: the wrong valves could be closed.
    """
    pipes = _candidates(engine, lon, lat, tolerance_m)
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


def _candidates(engine: Engine, lon: float, lat: float, tolerance_m: float) -> np.ndarray:
    """The pipes whose bounding box comes within the tolerance; indices."""
    net = engine.network
    size = np.diff(net.pipe_xy_at)
    drawn = np.flatnonzero(size > 1)
    if not len(drawn):
        return drawn
    dy = tolerance_m / _DEGREE_M
    dx = dy / max(np.cos(np.radians(lat)), 0.01)
    first = net.pipe_xy_at[drawn]
    near = np.ones(len(drawn), bool)
    for axis, (value, reach) in enumerate(((lon, dx), (lat, dy))):
        along = net.pipe_xy[:, axis]
        near &= np.minimum.reduceat(along, first) <= value + reach
        near &= np.maximum.reduceat(along, first) >= value - reach
    return drawn[near]


def _shared_node(engine: Engine, pipes: np.ndarray) -> int:
    """The one junction at which all these pipes end, or -1."""
    net = engine.network
    common = set.intersection(*({int(net.pipe_from[p]), int(net.pipe_to[p])} for p in pipes))
    return common.pop() if len(common) == 1 else -1
