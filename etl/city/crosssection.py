"""Where each utility lies in a street's cross-section, and its network parallel to the street graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from etl.city.polylines import Polylines
from etl.city.streets import Graph

PLACE = {
    "telecom": -0.86,
    "water": -0.60,
    "sewage": -0.25,
    "storm": 0.10,
    "heat_supply": 0.34,
    "heat_return": 0.42,
    "gas": 0.63,
    "power": 0.86,
    "lighting": 0.95,
}
"""Distance from the street's middle as a share of half its width; + is the north or east side. Power and telecommunication
lie at the red lines, gravity mains near the middle (order of GB 50289-2016 4.1.4 and 4.1.5)."""


@dataclass
class Parallel:
    """A network beside the streets: `lines` follow the chosen edges; `node` (V, 2) is where each graph node's point lies."""

    lines: Polylines
    node: np.ndarray
    a: np.ndarray
    b: np.ndarray
    edge: np.ndarray
    """The graph edge of each line."""


def beside(graph: Graph, edges: np.ndarray, utility: str) -> Parallel:
    """The lines of a utility along `edges` (indices). Lines end exactly at the node points; where streets cross, a node's
    point is where the parallels meet (least squares over its arms)."""
    lines = Polylines.of_geometry(graph.geom[edges])
    a, b = graph.a[edges], graph.b[edges]
    first, last = lines.first, lines.last
    normal = lines.normals()
    side = graph.side[edges]
    d = PLACE[utility] * np.maximum(graph.width[edges] / 2, 3.0)
    unit = normal / np.hypot(*normal.T)[:, None]
    n, arm = np.r_[a, b], np.r_[unit[first], unit[last]] * np.r_[side, side][:, None]
    want = np.r_[d, d]
    size = len(graph.node)
    xx = np.bincount(n, arm[:, 0] ** 2, size) + 0.03
    yy = np.bincount(n, arm[:, 1] ** 2, size) + 0.03
    xy = np.bincount(n, arm[:, 0] * arm[:, 1], size)
    rx, ry = np.bincount(n, arm[:, 0] * want, size), np.bincount(n, arm[:, 1] * want, size)
    det = xx * yy - xy * xy
    shift = np.c_[(yy * rx - xy * ry) / det, (xx * ry - xy * rx) / det]
    limit = np.zeros(size)
    np.maximum.at(limit, n, np.abs(want) * 1.7)
    long = np.hypot(*shift.T)
    shift *= np.minimum(1, limit / np.maximum(long, 1e-9))[:, None]
    node = np.round(graph.node + shift, 3)
    moved = np.round(lines.xy + normal * (side * d)[lines.of][:, None], 3)
    moved[first], moved[last] = node[a], node[b]
    run = lines.measures()
    reach = np.hypot(*shift.T) + 2.5
    inner = (run > reach[a][lines.of]) & (run < lines.lengths()[lines.of] - reach[b][lines.of])
    inner[first] = inner[last] = True
    return Parallel(Polylines(moved[inner], lines.of[inner], lines.n), node, a, b, np.asarray(edges))
