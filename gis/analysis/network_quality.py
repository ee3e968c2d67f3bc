"""The data quality of a network: what in it would make an isolation wrong, as findings with geometry.

The data are shown as they are; nothing is mended. Positions in metres (a projected CRS), as the caller gives them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from gis.analysis.isolation import Engine
from gis.analysis.network import FINDINGS, decoded

GAP_M = 0.5
"""An end nearer than this to a pipe that it does not belong to was probably meant to touch it."""

TOUCH_M = 0.001
"""Survey precision: what is nearer than 1 mm touches."""
OVERLAP_M = 0.05
"""Pipes that lie on one another for less than this merely touch; twins are those that do so for all but this."""

MEANINGS = {
    "NQ01": ("warning", "部分管网与其余部分不相连，但有自己的水源", "a part that hangs together with no other; it has a source of its own"),
    "NQ02": ("error", "没有水源的管段：任何水源都到不了", "pipes that hang together with no source"),
    "NQ03": ("warning", "阀门一侧没有任何管段：关闭它隔断不了任何管段", "a dead valve: on one of its sides there is nothing"),
    "NQ04": ("warning", "阀门两侧属于同一区段：关了也隔断不了", "a valve with both sides in one segment: closing it isolates nothing"),
    "NQ05": ("error", "重复的管段：形状与另一管段相同", "a pipe drawn like another"),
    "NQ06": ("warning", "与另一管段部分重叠", "a pipe that lies partly on another"),
    "NQ07": ("info", "两管段相交而没有节点：按不相连处理", "two pipes cross without a node: they are not connected"),
    "NQ08": ("warning", "端点靠近（或落在）另一管段但不与之相连", "an end beside or on a pipe with which it is not connected"),
} | {code: ("warning", "", message) for code, message in FINDINGS.items()}  # fmt: skip
"""Level, Chinese and English meaning of each code."""

COLUMNS = ["code", "level", "layer", "id", "other", "n", "distance_m", "geometry"]


def quality(
    engine: Engine, pipe_xy: np.ndarray, node_xy: np.ndarray, valve_xy: np.ndarray, gap_m: float = GAP_M
) -> pd.DataFrame:  # fmt: skip
    """The findings of a network (COLUMNS; geometry as shapely objects or None). pipe_xy, node_xy, valve_xy: the positions of the
    network's vertices, nodes and valves in metres; gap_m: an end nearer than this to a pipe was probably meant to touch it."""
    net = engine.network
    lines, drawn = _lines(net.pipe_xy_at, pipe_xy)
    shape = np.full(net.n_pipes, None, dtype=object)
    shape[drawn] = lines
    points = np.full(net.n_nodes, None, dtype=object)
    placed = np.isfinite(node_xy).all(axis=1)
    points[placed] = shapely.points(node_xy[placed])
    spots = np.full(net.n_valves, None, dtype=object)
    known = np.isfinite(valve_xy).all(axis=1)
    spots[known] = shapely.points(valve_xy[known])
    rows = [*_assumed(engine, shape), *_parts(engine, shape), *_idle_valves(engine, spots)]
    if len(lines):
        rows += [*_same_place(engine, shape, drawn), *_loose_ends(engine, shape, drawn, points, gap_m)]
    found = pd.DataFrame(rows, columns=[c for c in COLUMNS if c != "level"])
    found.insert(1, "level", [MEANINGS[code][0] for code in found["code"]])
    return found


def _lines(at: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    drawn = np.flatnonzero(np.diff(at) > 1)
    kept = np.repeat(np.diff(at) > 1, np.diff(at))
    return shapely.linestrings(xy[kept], indices=np.repeat(np.arange(len(drawn)), np.diff(at)[drawn])), drawn


def _assumed(engine: Engine, shape: np.ndarray) -> Iterable[tuple]:
    """What the network assumes where its data are silent."""
    net = engine.network
    where = dict(zip(decoded(net.pipe_id), range(net.n_pipes), strict=True)) if len(net.finding_id) else {}
    layer = {"NW02": "water_node", "NW03": "water_valve", "NW04": "water_valve", "NW05": "water_valve", "NW07": "water_source"}
    for code, item in zip(decoded(net.finding_code), decoded(net.finding_id), strict=True):
        kind = layer.get(code, "water_pipe")
        at = shape[where[item]] if kind == "water_pipe" and item in where else None
        yield code, kind, item, None, 1, None, at


def _parts(engine: Engine, shape: np.ndarray) -> Iterable[tuple]:
    """NQ01, NQ02: one finding per part of the network that hangs together through valves and devices of any state."""
    net, part = engine.network, engine.segments
    graph = csr_matrix((np.ones(len(part.edge_a)), (part.edge_a, part.edge_b)), shape=(part.count, part.count))
    of_pipe = connected_components(graph, directed=False)[1][part.of_pipe]
    if not len(of_pipe):
        return
    size = np.bincount(of_pipe)
    fed = np.zeros(len(size), bool)
    fed[of_pipe[engine.with_source[part.of_pipe]]] = True
    main = int(np.where(fed, size, -1).argmax()) if fed.any() else -1
    order = np.argsort(of_pipe, kind="stable")
    for members in np.split(order, np.cumsum(size)[:-1]):
        here = int(of_pipe[members[0]]) if len(members) else main
        if here != main:
            drawn = [s for s in shape[members] if s is not None]
            code = "NQ01" if fed[here] else "NQ02"
            place = shapely.multilinestrings(drawn) if drawn else None
            yield code, "water_pipe", net.pipe_id[members[0]].decode(), None, len(members), None, place


def _idle_valves(engine: Engine, spots: np.ndarray) -> Iterable[tuple]:
    """NQ03, NQ04: isolation valves whose closing isolates no pipe."""
    net, part = engine.network, engine.segments
    names = decoded(net.valve_id)
    empty = (np.diff(part.pipe_at) == 0) & (np.diff(part.source_at) == 0) & part.real
    empty &= np.diff(part.half_at) < 2  # a crossing with a valve on every arm has no pipe either, and rightly so
    owner = np.repeat(np.arange(net.n_valves), np.diff(part.side_at))
    dead = np.unique(owner[empty[part.side]])
    for code, valves in (("NQ03", dead), ("NQ04", part.bypassed)):
        for v in valves[net.valve_isolating[valves]].tolist():
            yield code, "water_valve", names[v], None, 1, None, spots[v]


def _same_place(engine: Engine, shape: np.ndarray, drawn: np.ndarray) -> Iterable[tuple]:
    """NQ05, NQ06, NQ07: pipes that equal, overlap or cross others."""
    net = engine.network
    names, lines = net.pipe_id, shape[drawn]
    tree = shapely.STRtree(lines)
    a, b = tree.query(lines, predicate="dwithin", distance=TOUCH_M)
    a, b = a[a < b], b[a < b]
    along, meet = _on_one_another(lines, a, b)
    shared = shapely.length(meet)
    longer = np.maximum(shapely.length(lines[a[along]]), shapely.length(lines[b[along]]))
    for row, over, metres, twin in zip(along.tolist(), meet, shared.tolist(), (longer - shared < OVERLAP_M).tolist(), strict=True):
        first, second = (names[drawn[i]].decode() for i in (a[row], b[row]))
        yield "NQ05" if twin else "NQ06", "water_pipe", second, first, 1, round(metres, 3), over
    ends = np.sort(np.column_stack((net.pipe_from, net.pipe_to)), axis=1)[drawn]
    joined = (ends[a][:, :, None] == ends[b][:, None, :]).any(axis=(1, 2))
    joined[along] = True
    apart = np.flatnonzero(~joined)
    for row in apart[shapely.crosses(lines[a[apart]], lines[b[apart]])].tolist():
        first, second = (names[drawn[i]].decode() for i in (a[row], b[row]))
        place = shapely.get_geometry(shapely.intersection(lines[a[row]], lines[b[row]]), 0)
        yield "NQ07", "water_pipe", first, second, 1, None, place


def _on_one_another(lines: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of lines that lie on one another for a while (rows of a and b), and where.

    To the millimetre: projected coordinates are never exactly in line. Where two lines begin and cease to lie on one another one of
    them has a vertex; only pairs with such vertices some way apart are laid over each other, because that is slow."""
    low, high = np.full((len(a), 2), np.inf), np.full((len(a), 2), -np.inf)
    for one, other in ((a, b), (b, a)):
        xy, row = shapely.get_coordinates(lines[one], return_index=True)
        near = shapely.dwithin(shapely.points(xy), lines[other[row]], TOUCH_M)
        np.minimum.at(low, row[near], xy[near])
        np.maximum.at(high, row[near], xy[near])
    apart = np.flatnonzero((high - low).max(axis=1, initial=-np.inf) > OVERLAP_M / 2)
    meet = shapely.intersection(lines[a[apart]], lines[b[apart]], grid_size=TOUCH_M)
    along = shapely.length(meet) > OVERLAP_M
    return apart[along], meet[along]


def _loose_ends(engine: Engine, shape: np.ndarray, drawn: np.ndarray, points: np.ndarray, gap_m: float) -> Iterable[tuple]:
    """NQ08: nodes that lie on or beside a pipe of which they are no end, and with which they share no other pipe."""
    net = engine.network
    used = np.unique(np.concatenate((net.pipe_from, net.pipe_to)))
    used = used[(used >= 0)]
    used = used[~shapely.is_missing(points[used])]
    tree = shapely.STRtree(shape[drawn])
    node, line = tree.query(points[used], predicate="dwithin", distance=gap_m)
    node, pipe = used[node], drawn[line]
    ends = np.column_stack((net.pipe_from, net.pipe_to))
    pairs = np.unique(np.sort(ends, axis=1), axis=0)
    key = pairs[:, 0].astype(np.int64) * (net.n_nodes + 1) + pairs[:, 1]
    apart = (ends[pipe] != node[:, None]).all(axis=1)
    for side in (0, 1):  # the neighbour along a short pipe lies beside its neighbour's pipes by nature
        two = np.sort(np.column_stack((node, ends[pipe, side])), axis=1).astype(np.int64)
        apart &= ~np.isin(two[:, 0] * (net.n_nodes + 1) + two[:, 1], key)
    node, pipe = node[apart], pipe[apart]
    far = shapely.distance(points[node], shape[pipe])
    for n, p, d in zip(node.tolist(), pipe.tolist(), far.tolist(), strict=True):
        yield "NQ08", "water_node", net.node_id[n].decode(), net.pipe_id[p].decode(), 1, round(d, 4), points[n]
