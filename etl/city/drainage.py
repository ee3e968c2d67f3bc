"""Sewers and storm drains: trees that fall by gravity to the treatment works and to the outfalls at the river."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from etl.city import plan as p
from etl.city.crosssection import Parallel, beside
from etl.city.polylines import Polylines, serial
from etl.city.terrain import stream
from etl.city.water_net import dates

OWNER = "青澜县排水管理所"
SPACING, START, COVER, LIFT_AT = 38.0, 12.0, 1.1, 7.2
"""Manholes at most so far apart (m); a street's own sewer begins so far from the junction it does not drain to (m);
least cover (m); deeper than this a pumping station lifts the sewage (m)."""
SIZES = {
    "sewage": ((350, 300), (1800, 400), (6000, 500), (16000, 600), (45000, 800), (120000, 1000), (np.inf, 1400)),
    "storm": ((160, 400), (600, 600), (1600, 800), (4000, 1000), (9000, 1200), (20000, 1600), (np.inf, 2000)),
}
"""Up to this length of sewers above (m): diameter (mm)."""
LEAST_SLOPE = {300: 3.0, 400: 2.0, 500: 1.6, 600: 1.3, 800: 1.0, 1000: 0.8, 1200: 0.7, 1400: 0.6, 1600: 0.6, 2000: 0.5}
"""Least slope by diameter, per mille (order of GB 50014-2021 5.2.10)."""


@dataclass
class _Forest:
    """Pieces from manhole `a` down to manhole `b`, and the manholes' positions; every manhole has at most one way out."""

    xy: np.ndarray
    a: np.ndarray
    b: np.ndarray
    lines: Polylines
    edge: np.ndarray


def _tree(graph, edges, ground, roots) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each node from the nearest root along ways that fall, and the node each drains to (-1 at roots)."""
    n = len(graph.node)
    h = ground.height(graph.node)
    a, b, length = graph.a[edges], graph.b[edges], graph.length[edges]
    u, v, w = np.r_[a, b], np.r_[b, a], np.r_[length, length]
    cost = w + 260 * np.maximum(h[u] - h[v], 0) + 12 * (np.r_[graph.klass[edges], graph.klass[edges]] >= p.LANE)
    order = np.lexsort((cost, v, u))
    first = np.r_[True, (u[order][1:] != u[order][:-1]) | (v[order][1:] != v[order][:-1])]
    pick = order[first]
    dist, before, _ = dijkstra(
        coo_matrix((cost[pick], (u[pick], v[pick])), (n, n)).tocsr(), indices=roots, min_only=True, return_predecessors=True
    )
    return dist, before


def _grow(par: Parallel, graph, edges, dist, before) -> _Forest:
    """Lines turned to their flow, streets off the tree begun a little beyond their upper junction, all cut at manholes."""
    a, b = par.a, par.b
    down_ab, down_ba = before[a] == b, before[b] == a
    length = graph.length[edges]
    lo, hi = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((length, ~(down_ab | down_ba), hi, lo))
    twin = np.zeros(len(a), bool)
    twin[order[1:]] = (lo[order][1:] == lo[order][:-1]) & (hi[order][1:] == hi[order][:-1])
    on_tree = (down_ab | down_ba) & ~twin
    turn = np.where(on_tree, down_ba, dist[a] < dist[b])
    keep = np.isfinite(dist[a]) & (on_tree | (par.lines.lengths() > START + 22))
    which = np.flatnonzero(keep)
    shape = par.lines.take(which).geometry()
    turn, on_tree = turn[which], on_tree[which]
    shape = np.where(turn, shapely.reverse(shape), shape)
    start, end = np.where(turn, b[which], a[which]), np.where(turn, a[which], b[which])
    lines = Polylines.of_geometry(shape)
    loose = np.flatnonzero(~on_tree)
    span = lines.lengths()
    count = np.where(on_tree, np.ceil(span / SPACING), np.ceil((span - START) / SPACING)).astype(int)
    line = np.repeat(np.arange(lines.n), count - 1)
    k = serial(line) + 1
    origin = np.where(on_tree, 0.0, START)
    at = origin[line] + (span - origin)[line] * k / count[line]
    cut_line, cut_at = np.r_[line, loose], np.r_[at, np.full(len(loose), START)]
    order = np.lexsort((cut_at, cut_line))
    pieces, of, _, _ = lines.cut(cut_line, cut_at)
    base = len(par.node)
    number = np.bincount(of)[of]
    k = serial(of)
    begin = np.searchsorted(cut_line[order], of)
    new = base + np.arange(len(cut_line))
    pa = np.where(k == 0, start[of], new[np.clip(begin + k - 1, 0, max(len(new) - 1, 0))])
    pb = np.where(k == number - 1, end[of], new[np.clip(begin + k, 0, max(len(new) - 1, 0))])
    keep = ~((k == 0) & ~on_tree[of])
    inner = k < number - 1
    xy = np.r_[par.node, np.zeros((len(new), 2))]
    xy[pb[inner]] = np.round(pieces.xy[pieces.last[inner]], 3)
    pieces = pieces.take(np.flatnonzero(keep))
    pa, pb = pa[keep], pb[keep]
    pieces.xy[pieces.first], pieces.xy[pieces.last] = xy[pa], xy[pb]
    return _Forest(xy, pa, pb, pieces, par.edge[which][of[keep]])


def _levels(forest: _Forest, ground: np.ndarray, system: str, outfall: np.ndarray):
    """Diameters, inverts at both ends of each piece, the manholes' bottoms, and where a pumping station lifts."""
    n, m = len(forest.xy), len(forest.a)
    length = np.maximum(forest.lines.lengths(), 0.1)
    out = np.full(n, -1)
    out[forest.a] = np.arange(m)
    order = _downstream_order(forest.a, forest.b, n)
    above = np.zeros(n)
    size, frm, to = np.zeros(m), np.zeros(m), np.zeros(m)
    low = np.full(n, np.inf)
    lift = np.zeros(n, bool)
    b, sizes = forest.b, SIZES[system]
    cover = np.where(np.isin(np.arange(n), outfall), -9.0, COVER)
    for v in order:
        k = out[v]
        if k < 0:
            continue
        d = b[k]
        above[d] += above[v] + length[k]
        diameter = next(mm for limit, mm in sizes if above[v] + length[k] <= limit)
        need = COVER + diameter / 1000
        inv = min(low[v], ground[v] - need)
        if system == "sewage" and ground[v] - inv > LIFT_AT and np.isfinite(low[v]):
            inv, lift[v] = ground[v] - need - 0.6, True
        size[k], frm[k] = diameter, inv
        to[k] = min(inv - LEAST_SLOPE[diameter] / 1000 * length[k] - 0.002, ground[d] - cover[d] - diameter / 1000)
        low[d] = min(low[d], to[k])
        if not lift[v]:
            low[v] = inv
    return size, np.round(frm, 3), np.round(to, 3), np.round(low, 3), lift, length


def _downstream_order(a, b, n) -> list[int]:
    """Manholes so that each comes after all that drain to it."""
    waiting = np.bincount(b, minlength=n)
    below = np.full(n, -1)
    below[a] = b
    ready = [int(v) for v in np.flatnonzero((waiting == 0) & (below >= 0))]
    order = []
    while ready:
        v = ready.pop()
        order.append(v)
        d = int(below[v])
        if d >= 0:
            waiting[d] -= 1
            if waiting[d] == 0:
                ready.append(d)
    return order


def make(city) -> dict:
    """Layers sewer_manhole, sewer_pipe, rain_pipe: name -> (DataFrame, geometry array in EPSG:4548)."""
    g = city.graph
    urban = (g.place < 0) & (g.klass != p.EXPRESSWAY) & ~g.bridge & ~city.country[g.street]
    mid = shapely.line_interpolate_point(g.geom, 0.5, normalized=True)
    old_lane = shapely.contains(city.plan.old_town, mid) & (g.klass >= p.LANE)
    sewage, manholes = _system(city, np.flatnonzero(urban), "sewage", old_lane)
    storm, more = _system(city, np.flatnonzero(urban & ~old_lane), "storm", old_lane)
    return {
        "sewer_manhole": (pd.concat([manholes[0], more[0]], ignore_index=True), np.r_[manholes[1], more[1]]),
        "sewer_pipe": sewage,
        "rain_pipe": storm,
    }


def _roots(city, edges, system) -> np.ndarray:
    """Sewage: in each part that no bridge divides, the node lowest and farthest down the valley. Storm water: nodes of the
    riverside roads, about every 350 m, and the lowest node of a part that does not reach them."""
    g = city.graph
    n = len(g.node)
    _, label = connected_components(coo_matrix((np.ones(len(edges)), (g.a[edges], g.b[edges])), (n, n)), False)
    used = np.unique(np.r_[g.a[edges], g.b[edges]])
    st = city.ground.town(g.node[used])
    score = city.ground.height(g.node[used]) * 60 - st[:, 0]
    roots, parts = [], np.unique(label[used])
    bank = np.abs(np.abs(st[:, 1] - city.ground.river_line(st[:, 0])) - city.ground.river_width(st[:, 0]) / 2 - p.BANK) < 14
    for part in parts:
        own = np.flatnonzero(label[used] == part)
        shore = own[bank[own]]
        if system == "storm" and len(shore):
            cell = np.floor(st[shore, 0] / 350)
            roots += [int(used[shore[np.flatnonzero(cell == c)[0]]]) for c in np.unique(cell)]
        elif len(own) > 3:
            roots.append(int(used[own[np.argmin(score[own])]]))
    return np.array(sorted(set(roots)))


def _system(city, edges, system, old_lane):
    g, rng = city.graph, stream(city.seed, f"drainage {system}")
    par = beside(g, edges, system)
    roots = _roots(city, edges, system)
    dist, before = _tree(g, edges, city.ground, roots)
    forest = _grow(par, g, edges, dist, before)
    outfall = np.zeros(0, int)
    if system == "storm":
        forest, outfall = _outfalls(city, forest, roots)
    ground = np.round(city.ground.height(forest.xy), 3)
    size, frm, to, low, lift, length = _levels(forest, ground, system, outfall)
    ground[outfall] = np.round(np.maximum(ground[outfall], low[outfall] + 0.6), 3)
    used = np.unique(np.r_[forest.a, forest.b])
    head = "WS" if system == "sewage" else "YS"
    ids = np.full(len(forest.xy), "", object)
    ids[used] = [f"{head}{k + 1:06d}" for k in range(len(used))]
    combined = old_lane[forest.edge] & (system == "sewage")
    mixed = np.zeros(len(forest.xy), bool)
    mixed[forest.a[combined]] = mixed[forest.b[combined]] = True
    year = np.maximum(city.edge_year[forest.edge], 1962)
    run = forest.lines.measures() / np.maximum(forest.lines.lengths(), 1e-9)[forest.lines.of]
    z = np.round(frm[forest.lines.of] * (1 - run) + to[forest.lines.of] * run, 3)
    name = np.where(forest.edge >= 0, city.edge_name[forest.edge], "")
    subtype = np.where(combined, "HS", "WS" if system == "sewage" else "YS").astype(object)
    box = size >= 1600
    pipe = pd.DataFrame(
        {
            "pipe_id": [f"{head}G{k + 1:06d}" for k in range(len(size))],
            "from_node": ids[forest.a],
            "to_node": ids[forest.b],
            "subtype": subtype,
            "diameter_mm": size,
            "section": np.where(
                box, np.char.add(np.char.add(size.astype(int).astype(str), "×"), (size * 0.75).astype(int).astype(str)).astype(object), None
            ),
            "material": np.select([box, (size <= 500) & (year >= 2004)], ["ZS", "PVC"], "T").astype(object),
            "invert_from_m": frm,
            "invert_to_m": to,
            "depth_from_m": np.round(ground[forest.a] - frm, 3),
            "depth_to_m": np.round(ground[forest.b] - to, 3),
            "slope_permille": np.round((frm - to) / length * 1000, 2),
            "embedding": np.where(box, "GG", "ZM").astype(object),
            "status": "0",
            "road_name": name,
            "owner": OWNER,
            "valid_from": dates(year, rng),
        }
    )
    since = np.full(len(forest.xy), 3000)
    np.minimum.at(since, forest.a, year)
    np.minimum.at(since, forest.b, year)
    feature = np.full(len(forest.xy), "sewage_manhole" if system == "sewage" else "storm_manhole", object)
    feature[lift] = "pump_station"
    if system == "sewage":
        feature[roots] = "treatment_plant"
    feature[outfall] = "outfall"
    label = np.full(len(forest.xy), "", object)
    label[forest.b], label[forest.a] = name, name
    covers = np.array(["ductile_iron", "composite", "cast_iron", "concrete"], object)
    hole = pd.DataFrame(
        {
            "manhole_id": ids[used],
            "system": np.where(mixed[used], "combined", system).astype(object),
            "feature": feature[used],
            "ground_m": ground[used],
            "invert_m": low[used],
            "depth_m": np.round(ground[used] - low[used], 3),
            "cover": covers[rng.choice(4, len(used), p=[0.55, 0.2, 0.17, 0.08])],
            "road_name": label[used],
            "valid_from": dates(since[used], rng),
        }
    )
    points = shapely.points(np.c_[forest.xy[used], low[used]])
    return (pipe, forest.lines.geometry(z)), (hole, points)


def _outfalls(city, forest: _Forest, roots) -> tuple[_Forest, np.ndarray]:
    """A last pipe from each riverside root to the river's edge."""
    live = roots[np.isin(roots, forest.b)]
    line = shapely.get_coordinates(shapely.shortest_line(shapely.points(forest.xy[live]), city.plan.river)).reshape(-1, 2, 2)
    near = np.hypot(*(line[:, 1] - line[:, 0]).T)
    ok = (near > 2) & (near < 60)
    live, end = live[ok], np.round(line[ok, 1], 3)
    node = len(forest.xy) + np.arange(len(live))
    flat = np.stack([forest.xy[live], end], 1).reshape(-1, 2)
    of = np.r_[forest.lines.of, forest.lines.n + np.repeat(np.arange(len(live)), 2)]
    last = np.full(len(forest.xy), 0)
    last[forest.b] = forest.edge
    lines = Polylines(np.r_[forest.lines.xy, flat], of, forest.lines.n + len(live))
    return _Forest(np.r_[forest.xy, end], np.r_[forest.a, live], np.r_[forest.b, node], lines, np.r_[forest.edge, last[live]]), node
