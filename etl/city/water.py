"""The water network `city`: works, mains along the streets, zones, valves, hydrants, compounds' pipes, service connections."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

from etl.city import parcels as pc
from etl.city import plan as p
from etl.city.admin import _cluster
from etl.city.crosssection import beside
from etl.city.names import people_names, phone_numbers
from etl.city.polylines import Polylines, serial
from etl.city.terrain import stream

OWNER = "青澜县自来水有限公司"
MAIN_MM = np.array([600, 500, 300, 200, 110, 110])
TODAY = np.datetime64("2026-06-30")


@dataclass
class Water:
    """The network as tables: name of layer -> (DataFrame, geometry array in EPSG:4548)."""

    tables: dict = field(default_factory=dict)


@dataclass
class _Net:
    """Pipes and nodes while the network grows. Pipe k runs from node a[k] to b[k]."""

    xy: np.ndarray
    a: np.ndarray
    b: np.ndarray
    lines: Polylines
    edge: np.ndarray
    """Graph edge of a main, -1 elsewhere."""
    start: np.ndarray
    """Measure along its edge's line at which a main's piece begins, and ends."""
    end: np.ndarray
    diameter: np.ndarray
    year: np.ndarray
    kind: np.ndarray
    """0 main, 1 compound pipe, 2 supply from a source."""


def _served(city) -> np.ndarray:
    """Edges with a main: streets of the county town and country roads near it, connected; some lanes have none."""
    g, rng = city.graph, stream(city.seed, "water mains")
    near = np.hypot(*(g.node - city.ground.centre).T) < city.ground.radius * 1.35 + 2600
    ok = near[g.a] & near[g.b] & (g.klass != p.EXPRESSWAY)
    cost = (g.klass + 1.0) ** 2 * 100 + g.length * 0.1
    index = np.flatnonzero(ok)
    n = len(g.node)
    lo, hi = np.minimum(g.a, g.b)[index], np.maximum(g.a, g.b)[index]
    best = index[np.lexsort((cost[index], hi, lo))]
    key = np.minimum(g.a, g.b)[best] * n + np.maximum(g.a, g.b)[best]
    best = best[np.r_[True, key[1:] != key[:-1]]]
    tree = minimum_spanning_tree(coo_matrix((cost[best], (np.minimum(g.a, g.b)[best], np.maximum(g.a, g.b)[best])), (n, n)))
    tree = tree.tocoo()
    in_tree = np.isin(g.a * n + g.b, tree.row * n + tree.col) | np.isin(g.b * n + g.a, tree.row * n + tree.col)
    drop = ~in_tree & (((g.klass >= p.BRANCH) & (rng.random(len(ok)) < 0.08)) | (g.bridge & (g.klass >= p.BRANCH)))
    ok &= ~drop
    _, label = connected_components(coo_matrix((np.ones(ok.sum()), (g.a[ok], g.b[ok])), (n, n)), False)
    main = np.argmax(np.bincount(label[np.r_[g.a[ok], g.b[ok]]]))
    return np.flatnonzero(ok & (label[g.a] == main))


def _zones(city, par, diameter) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Supply zones of the nodes; the mains to be shut on zone borders; the main that feeds the reduced zone; that zone.

    Every zone stays connected to the rest by open mains, except the reduced zone, whose only open feed is its PRV.
    """
    rng = stream(city.seed, "water zones")
    n, a, b = len(par.node), par.a, par.b
    used = np.unique(np.r_[a, b])
    zone = np.full(n, -1)
    inner = used[np.hypot(*(par.node[used] - city.ground.centre).T) < 1.05 * city.ground.radius]
    k = int(np.clip(round(len(inner) / 130), 3, 60))
    zone[inner] = _cluster(par.node[inner], np.ones(len(inner)), k, rng)
    k = int(zone.max()) + 1
    outer = np.setdiff1d(used, inner)
    zone[outer] = zone[inner[cKDTree(par.node[inner]).query(par.node[outer])[1]]]
    centre = np.array([par.node[zone == z].mean(0) for z in range(k)])
    reach = np.hypot(*(centre - city.ground.centre).T)
    low = city.ground.height(centre)
    doors = np.bincount(zone[a][zone[a] != zone[b]], minlength=k) + np.bincount(zone[b][zone[a] != zone[b]], minlength=k)
    order = np.lexsort((low, np.abs(reach - np.median(reach)) > 0.8 * np.median(reach), doors < 3))
    target = int(order[0])
    inside = zone == target
    sub = inside[a] & inside[b]
    _, label = connected_components(coo_matrix((np.ones(sub.sum()), (a[sub], b[sub])), (n, n)), False)
    inside &= label == np.argmax(np.bincount(label[inside]))
    out = ~inside[a] & ~inside[b]
    _, label = connected_components(coo_matrix((np.ones(out.sum()), (a[out], b[out])), (n, n)), False)
    rest = used[~inside[used]]
    big = np.argmax(np.bincount(label[rest]))
    inside[rest[label[rest] != big]] = True
    zone[(zone == target) & ~inside] = (target + 1) % k
    zone[inside] = target
    border = np.flatnonzero(inside[a] != inside[b])
    feed = int(border[np.argmax(diameter[border] * 1e4 + Polylines.lengths(par.lines)[border])])
    shut = set(border.tolist()) - {feed}
    free = np.flatnonzero(inside[a] == inside[b])
    weight = 1 + 1e3 * (zone[a[free]] != zone[b[free]]) - diameter[free] * 1e-4
    lo, hi = np.minimum(a, b)[free], np.maximum(a, b)[free]
    pick = np.lexsort((weight, hi, lo))
    pick = pick[np.r_[True, (lo[pick][1:] != lo[pick][:-1]) | (hi[pick][1:] != hi[pick][:-1])]]
    tree = minimum_spanning_tree(coo_matrix((weight[pick], (lo[pick], hi[pick])), (n, n))).tocoo()
    in_tree = np.isin(lo * n + hi, tree.row * n + tree.col)
    loose = free[(zone[a[free]] != zone[b[free]]) & ~in_tree]
    shut |= set(loose[(rng.random(len(loose)) < 0.7) & (diameter[loose] < 450)].tolist())
    return zone, np.array(sorted(shut), int), feed, target


def _compound_tees(city, par) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each compound: the main's line, the measure of its tee, the compound's aisle row, kept where a main is near."""
    aisles, gates = city.aisles, city.parcels.gate[city.aisles.parcel]
    lines = par.lines.geometry()
    nearest, dist = shapely.STRtree(lines).query_nearest(shapely.points(gates), return_distance=True, all_matches=False)
    order = np.argsort(nearest[0], kind="stable")
    line, dist = nearest[1][order], dist[order]
    at = shapely.line_locate_point(lines[line], shapely.points(gates))
    length = par.lines.lengths()
    ok = np.flatnonzero((dist < 70) & (length[line] > 14))
    line, at = line[ok], np.clip(at[ok], 5.0, length[line[ok]] - 5.0)
    order = np.lexsort((at, line))
    line, at, ok = line[order], at[order], ok[order]
    gap = serial(line)
    for _ in range(4):
        close = np.r_[False, (line[1:] == line[:-1]) & (at[1:] - at[:-1] < 1.0)]
        at[close] += 1.3
        at = np.minimum(at, length[line] - 0.5 - 0.01 * gap)
        order = np.lexsort((at, line))
        line, at, ok = line[order], at[order], ok[order]
    good = np.r_[True, (line[1:] != line[:-1]) | (at[1:] - at[:-1] > 0.2)]
    del aisles
    return line[good], at[good], ok[good], length


def make(city) -> Water:
    """The whole network. `city` brings graph, ground, parcels, buildings, aisles, names, seed (see etl.synthetic_city)."""
    g, rng = city.graph, stream(city.seed, "water")
    edges = _served(city)
    par = beside(g, edges, "water")
    diameter = MAIN_MM[g.klass[edges]].astype(float)
    diameter[(g.place[edges] >= 0) & (g.klass[edges] <= p.BRANCH)] = 160
    years = city.edge_year[edges]
    zone, shut, feed, reduced = _zones(city, par, diameter)
    t_line, t_at, t_aisle, length = _compound_tees(city, par)
    inward = par.b[feed] if zone[par.b[feed]] == reduced else par.a[feed]
    at_end = inward == par.b[feed]
    prv = np.array([length[feed] - 4.2, length[feed] - 3.0] if at_end else [3.0, 4.2])
    clear = ~((t_line == feed) & (t_at > prv[0] - 1) & (t_at < prv[1] + 1))
    t_line, t_at, t_aisle = t_line[clear], t_at[clear], t_aisle[clear]
    cut_line, cut_at = np.r_[t_line, feed, feed], np.r_[t_at, prv]
    pieces, of, start, end = par.lines.cut(cut_line, cut_at)
    net, tee = _pieces(par, pieces, of, start, end, cut_line, cut_at, edges, diameter, years)
    middle = np.flatnonzero((of == feed) & (np.abs(start - prv[0]) < 0.01))[0]
    prv_ends = (int(net.a[middle]), int(net.b[middle])) if at_end else (int(net.b[middle]), int(net.a[middle]))
    keep = np.arange(len(net.a)) != middle
    net = _select(net, keep)
    node_zone = np.r_[zone, zone[par.b[cut_line]]]
    net, node_zone, compound_pipe = _add_compounds(city, net, node_zone, tee[:len(t_line)], t_aisle, g, rng)
    net, node_zone, sources = _add_sources(city, net, node_zone, reduced, len(par.node))
    return _tables(city, net, node_zone, sources, compound_pipe, prv_ends, shut, par, rng)


def _select(net: _Net, keep: np.ndarray) -> _Net:
    which = np.flatnonzero(keep)
    return _Net(net.xy, net.a[keep], net.b[keep], net.lines.take(which), net.edge[keep], net.start[keep], net.end[keep],
                net.diameter[keep], net.year[keep], net.kind[keep])


def _pieces(par, pieces, of, start, end, cut_line, cut_at, edges, diameter, years):
    """Mains cut at their tees, as pipes between nodes; the new node of each cut."""
    base = len(par.node)
    new_node = base + np.arange(len(cut_line))
    order = np.lexsort((cut_at, cut_line))
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    k = serial(of)
    count = np.bincount(of)[of]
    begin = np.searchsorted(cut_line[order], of)
    a = np.where(k == 0, par.a[of], new_node[order][np.clip(begin + k - 1, 0, len(order) - 1)])
    b = np.where(k == count - 1, par.b[of], new_node[order][np.clip(begin + k, 0, len(order) - 1)])
    xy = np.r_[par.node, np.zeros((len(cut_line), 2))]
    inner = k < count - 1
    xy[b[inner]] = pieces.xy[pieces.last[inner]]
    xy[new_node] = np.round(xy[new_node], 3)
    pieces.xy[pieces.first], pieces.xy[pieces.last] = xy[a], xy[b]
    return _Net(xy, a, b, pieces, edges[of], start, end, diameter[of], years[of], np.zeros(len(of), int)), new_node


def _append(net: _Net, xy, a, b, coords: list, diameter, year, kind) -> _Net:
    """More pipes; coords: (k, m, 2) vertex arrays whose ends are their nodes'."""
    flat = np.concatenate(coords)
    of = np.repeat(np.arange(len(coords)), [len(c) for c in coords]) + net.lines.n
    lines = Polylines(np.r_[net.lines.xy, flat], np.r_[net.lines.of, of], net.lines.n + len(coords))
    none = np.full(len(coords), -1)
    return _Net(xy, np.r_[net.a, a], np.r_[net.b, b], lines, np.r_[net.edge, none], np.r_[net.start, none * 0.0],
                np.r_[net.end, none * 0.0], np.r_[net.diameter, diameter], np.r_[net.year, year], np.r_[net.kind, kind])


def _add_compounds(city, net, node_zone, tee, aisle, g, rng):
    """From its tee through the gate and along its aisle: one pipe for each compound. Returns pipe row per parcel too."""
    parcel = city.aisles.parcel[aisle]
    ends = np.round(city.aisles.ends[aisle], 3)
    n = len(tee)
    end_node = len(net.xy) + np.arange(n)
    way = np.stack([net.xy[tee], np.round(city.parcels.gate[parcel], 3), ends[:, 0], ends[:, 1]], 1)
    homes = np.bincount(city.buildings.parcel, city.households, minlength=len(city.parcels.geom))[parcel]
    diameter = np.select([homes > 500, homes > 150], [200.0, 160.0], 110.0)
    first = len(net.a)
    xy = np.r_[net.xy, ends[:, 1]]
    net = _append(net, xy, tee, end_node, list(way), diameter, city.parcels.year[parcel], np.full(n, 1))
    pipe = np.full(len(city.parcels.geom), -1)
    pipe[parcel] = first + np.arange(n)
    return net, np.r_[node_zone, node_zone[tee]], pipe


def _add_sources(city, net, node_zone, reduced, n_street):
    """Two works at the ends of the valley and a tank on high ground, each with a supply main of its own."""
    street = np.unique(np.r_[net.a[net.kind == 0], net.b[net.kind == 0]])
    big = np.zeros(len(net.xy))
    np.maximum.at(big, net.a, net.diameter)
    np.maximum.at(big, net.b, net.diameter)
    near = np.hypot(*(net.xy - city.ground.centre).T) < city.ground.radius * 1.25
    pool = street[(big[street] >= 300) & (street < n_street) & near[street] & (node_zone[street] != reduced)]
    st = city.ground.town(net.xy[pool])
    bank = np.abs(st[:, 1] - city.ground.river_line(st[:, 0]))
    west = pool[np.argmin(st[:, 0] + 0.6 * bank)]
    gap = np.hypot(*(net.xy[pool] - net.xy[west]).T)
    tank = pool[np.argmax(city.ground.height(net.xy[pool]) * 40 + 0.15 * gap)]
    south = pool[np.argmax(gap + np.hypot(*(net.xy[pool] - net.xy[tank]).T) - 400 * (st[:, 1] > city.ground.river_line(st[:, 0])))]
    at = np.array(list(dict.fromkeys([int(west), int(south), int(tank)])))
    out = net.xy[at] - city.ground.centre
    aside = np.c_[-out[:, 1], out[:, 0]] / np.hypot(*out.T)[:, None]
    place = np.round(net.xy[at] + out / np.hypot(*out.T)[:, None] * 150 + aside * 46, 3)
    node = len(net.xy) + np.arange(len(at))
    bend = np.round((net.xy[at] + place) / 2 + aside * 12, 3)
    way = list(np.stack([place, bend, net.xy[at]], 1))
    net = _append(net, np.r_[net.xy, place], node, at, way, np.full(len(at), 600.0), np.array([1994, 2011, 2004])[:len(at)],
                  np.full(len(at), 2))
    kinds = ["plant", "plant", "tank"][:len(at)]
    return net, np.r_[node_zone, node_zone[at]], (node, at, kinds)


def _depths(net: _Net, rng) -> tuple[np.ndarray, np.ndarray]:
    """Cover to the pipe's top at each node and each pipe's z along its vertices is ground less depth."""
    size = np.zeros(len(net.xy))
    np.maximum.at(size, net.a, net.diameter)
    np.maximum.at(size, net.b, net.diameter)
    return np.round(0.85 + 0.0007 * size + 0.25 * rng.random(len(size)), 2), size


def heights(ground, lines: Polylines, a, b, depth) -> np.ndarray:
    """z of the top along pipes: ground less the depth, which runs evenly from one end's to the other's; (M,) metres."""
    run, length = lines.measures(), np.maximum(lines.lengths(), 1e-9)
    f = run / length[lines.of]
    d = depth[a][lines.of] * (1 - f) + depth[b][lines.of] * f
    return np.round(np.round(ground.height(lines.xy), 3) - d, 3)


def material_of(diameter, year, rng) -> np.ndarray:
    """Materials as they were in fashion: grey iron until 1990, ductile iron and steel after, polyethylene for small pipes from 2002."""
    draw = rng.random(len(diameter))
    return np.select([(year < 1990), (diameter >= 500) & (draw < 0.35), (diameter <= 200) & (year >= 2002), draw < 0.04],
                     ["ZT", "G", "PE", "PVC"], "QM").astype(object)


def dates(year, rng) -> pd.Series:
    """A day in each year, as dates."""
    day = (np.asarray(year) - 1970).astype("datetime64[Y]").astype("datetime64[D]") + rng.integers(20, 340, len(year))
    return pd.Series(pd.to_datetime(day))


def _tables(city, net, node_zone, sources, compound_pipe, prv_ends, shut, par, rng) -> Water:
    out = Water()
    n = len(net.a)
    used = np.unique(np.r_[net.a, net.b])
    ids = np.full(len(net.xy), "", object)
    ids[used] = [f"JS{k + 1:06d}" for k in range(len(used))]
    pipe_id = np.array([f"JSG{k + 1:06d}" for k in range(n)], object)
    depth, _ = _depths(net, rng)
    z = heights(city.ground, net.lines, net.a, net.b, depth)
    ground = np.round(city.ground.height(net.xy), 3)
    zone_name = np.array([f"DMA{k + 1:02d}" for k in range(int(node_zone.max()) + 1)], object)
    road = np.where(net.edge >= 0, city.edge_name[net.edge], "")
    tees = compound_pipe[compound_pipe >= 0]
    first_edge = city.parcels.edge[np.flatnonzero(compound_pipe >= 0)]
    road[tees] = city.edge_name[first_edge]
    lengths = net.lines.lengths()
    laid = dates(net.year, rng)
    klass = np.where(net.kind == 2, "SS", "JP")
    on_bridge = (net.edge >= 0) & city.graph.bridge[net.edge]
    pipes = pd.DataFrame({
        "network": "city", "pipe_id": pipe_id, "from_node": ids[net.a], "to_node": ids[net.b], "subtype": klass.astype(object),
        "diameter_mm": net.diameter, "material": material_of(net.diameter, net.year, rng), "length_m": np.round(lengths, 2),
        "depth_from_m": depth[net.a], "depth_to_m": depth[net.b], "embedding": np.where(on_bridge, "GM", "ZM").astype(object),
        "status": "0", "pressure_mpa": np.round(0.24 + 0.16 * rng.random(n), 3), "owner": OWNER, "road_name": road,
        "zone": zone_name[node_zone[net.b]],
        "roughness": np.where(net.year < 1990, 95.0, np.where(net.year < 2005, 115.0, 135.0)), "valid_from": laid,
        "valid_to": pd.Series(pd.NaT, index=range(n), dtype="datetime64[us]"),
    })
    geom = net.lines.geometry(z)
    con = _connections(city, net, pipe_id, z, compound_pipe, rng)
    valves = _valves(city, net, ids, pipe_id, ground, depth, sources, prv_ends, shut, par, road, rng)
    hydrants = _hydrants(city, net, pipe_id, z, road, rng)
    demand = np.zeros(len(net.xy))
    np.add.at(demand, net.b[con[2]], con[0]["customers"].to_numpy() * 0.0042)
    degree = np.bincount(np.r_[net.a, net.b], minlength=len(net.xy))
    feature = np.select([degree == 1, degree == 2, degree == 3], ["cap", "line_point", "tee"], "cross").astype(object)
    feature[list(prv_ends)] = "valve_chamber"
    feature[sources[0]] = "outlet"
    since = np.full(len(net.xy), 3000)
    np.minimum.at(since, net.a, net.year)
    np.minimum.at(since, net.b, net.year)
    nodes = pd.DataFrame({
        "network": "city", "node_id": ids[used], "feature": feature[used], "ground_m": ground[used], "depth_m": depth[used],
        "base_demand_lps": np.round(demand[used], 3), "zone": zone_name[node_zone[used]], "valid_from": dates(since[used], rng) -
        pd.Timedelta(days=400),
    })
    at = np.round(np.c_[net.xy, ground - depth], 3)
    out.tables["water_node"] = (nodes, shapely.points(at[used]))
    out.tables["water_pipe"] = (pipes, geom)
    out.tables["water_valve"] = valves
    node, _, kinds = sources
    names = ["青澜县第一水厂", "青澜县第二水厂", "北山高位水池"]
    out.tables["water_source"] = (pd.DataFrame({
        "network": "city", "source_id": [f"SY{k + 1}" for k in range(len(node))], "node_id": ids[node], "kind": kinds,
        "name": [names[0], names[2] if kinds[1] == "tank" else names[1], names[2]][:len(node)],
        "priority": np.arange(1, len(node) + 1), "head_m": np.round(ground[node] + 34, 1),
        "capacity_m3": [20000.0, 12000.0, 5000.0][:len(node)], "valid_from": dates(np.array([1994, 2011, 2004])[:len(node)], rng),
    }), shapely.points(at[node]))
    out.tables["hydrant"] = hydrants
    out.tables["water_connection"] = con[:2]
    _retired_and_planned(city, out, net, ids, used, depth, rng)
    return out


def _valves(city, net, ids, pipe_id, ground, depth, sources, prv_ends, shut, par, road, rng):
    """Valves on junction arms: mostly N−1 of N arms, some all, some forgotten; zone borders shut; check valves at the works."""
    n = len(net.a)
    arm_pipe, arm_node = np.r_[np.arange(n), np.arange(n)], np.r_[net.a, net.b]
    degree = np.bincount(arm_node, minlength=len(net.xy))
    kind = net.kind[arm_pipe]
    order = np.lexsort((rng.random(2 * n), -net.diameter[arm_pipe], arm_node))
    place = np.empty(2 * n, int)
    place[order] = serial(arm_node[order])
    every = rng.random(len(net.xy)) < 0.28
    want = (degree[arm_node] >= 3) & (kind == 0) & ((place > 0) | every[arm_node]) & (rng.random(2 * n) > 0.13)
    tee = degree[arm_node] >= 3
    want = np.where((kind == 0) & (arm_node >= len(par.node)), tee & (rng.random(2 * n) < 0.16), want)
    want = np.where((kind == 1) & (np.r_[np.ones(n, bool), np.zeros(n, bool)]), rng.random(2 * n) < 0.96, want)
    want = np.where(kind == 2, True, want)
    border = np.isin(net.edge, par.edge[shut])[arm_pipe] & (kind == 0) & (arm_node == np.r_[par.a, [-2]][
        np.searchsorted(par.edge, net.edge[arm_pipe].clip(0)).clip(0, len(par.a))])
    want |= border
    pick = np.flatnonzero(want)
    pipe, node = arm_pipe[pick], arm_node[pick]
    length = net.lines.lengths()[pipe]
    off = np.minimum(1.4 + net.diameter[pipe] / 1000, length * 0.3)
    xy, _ = net.lines.at(pipe, np.where(pick < n, off, length - off))
    draw = rng.random((len(pick), 4))
    table = pd.DataFrame({
        "network": "city", "kind": np.where(net.diameter[pipe] >= 400, "butterfly", "gate").astype(object), "isolating": True,
        "node_id": ids[node], "pipe_id": pipe_id[pipe], "from_node": None, "to_node": None, "flow": "both",
        "normal_status": np.where(border[pick], "closed", "open").astype(object),
        "operable": border[pick] | (draw[:, 0] > 0.035), "accessible": draw[:, 1] > 0.02,
        "remote": (net.diameter[pipe] >= 500) & (draw[:, 2] < 0.4), "diameter_mm": net.diameter[pipe],
        "turns": (net.diameter[pipe] / 10 * 1.1 + 3).astype(int), "road_name": road[pipe],
        "year": np.maximum(net.year[pipe], 1990),
    })
    at_source = np.flatnonzero(net.kind == 2)[:2]
    checks = pd.DataFrame({
        "network": "city", "kind": "check", "isolating": False, "node_id": ids[net.b[at_source]], "pipe_id": pipe_id[at_source],
        "from_node": None, "to_node": None, "flow": "to_node", "normal_status": "open", "operable": True, "accessible": True,
        "remote": False, "diameter_mm": net.diameter[at_source], "turns": 0, "road_name": "", "year": 2004,
    })
    c_len = net.lines.lengths()[at_source]
    prv = pd.DataFrame({
        "network": "city", "kind": ["prv"], "isolating": False, "node_id": None, "pipe_id": None, "from_node": ids[prv_ends[0]],
        "to_node": ids[prv_ends[1]], "flow": "both", "normal_status": "open", "operable": True, "accessible": True,
        "remote": True, "diameter_mm": 200.0, "turns": 0, "road_name": "", "year": 2016,
    })
    xy = np.r_[xy, net.lines.at(at_source, c_len - 4.0)[0], [net.xy[list(prv_ends)].mean(0)]]
    all_rows = pd.concat([table, checks, prv], ignore_index=True)
    all_rows.insert(1, "valve_id", [f"FM{k + 1:06d}" for k in range(len(all_rows))])
    all_rows["live_status"] = all_rows["normal_status"]
    all_rows["address"] = np.where(all_rows["road_name"] != "", all_rows["road_name"] + "阀门井", None)
    all_rows["valid_from"] = dates(all_rows.pop("year").to_numpy(), rng)
    z = city.ground.height(xy) - 1.0
    return all_rows, shapely.points(np.round(np.c_[xy, z], 3))


def _hydrants(city, net, pipe_id, z, road, rng):
    """A public hydrant about every 110 m of main in streets (GB 50974-2014 7.2.5: not more than 120 m)."""
    mains = np.flatnonzero((net.kind == 0) & (net.diameter >= 100))
    length = net.lines.lengths()
    run = np.cumsum(length[mains])
    count = np.floor(run / 108).astype(int) - np.floor((run - length[mains]) / 108).astype(int)
    pipe = np.repeat(mains, count)
    mark = (np.repeat(np.floor((run - length[mains]) / 108), count) + serial(pipe) + 1) * 108
    at = mark - np.repeat(run - length[mains], count)
    fraction = np.clip(at / length[pipe], 0.02, 0.98)
    xy, d = net.lines.at(pipe, fraction * length[pipe])
    xy = xy + np.c_[d[:, 1], -d[:, 0]] * np.where(rng.random(len(pipe)) < 0.5, 1.4, -1.4)[:, None]
    ground = city.ground.height(xy)
    draw = rng.random((len(pipe), 2))
    table = pd.DataFrame({
        "network": "city", "hydrant_id": [f"XH{k + 1:05d}" for k in range(len(pipe))], "pipe_id": pipe_id[pipe],
        "fraction": np.round(fraction, 4), "diameter_mm": np.where(net.diameter[pipe] >= 150, 100.0, 65.0),
        "kind": np.where(draw[:, 0] < 0.75, "aboveground", "underground").astype(object), "road_name": road[pipe],
        "operable": draw[:, 1] > 0.02, "valid_from": dates(np.maximum(net.year[pipe], 1988), rng),
    })
    return table, shapely.points(np.round(np.c_[xy, ground], 3))


PRIORITY = {pc.HOSPITAL: "hospital", pc.CLINIC: "hospital", pc.ELDERLY: "elderly_care", pc.FIRE: "fire", pc.FACTORY: "industry",
            pc.KINDERGARTEN: "school", pc.PRIMARY: "school", pc.MIDDLE: "school", pc.HIGH: "school"}


def _connections(city, net, pipe_id, z, compound_pipe, rng):
    """A service line for every building with customers: along the row's lane to the compound's aisle, or straight to the main."""
    b, x = city.buildings, city.parcels
    has = np.isin(x.programme, (pc.PARK, pc.VACANT), invert=True)[b.parcel]
    single = np.isin(x.programme, (pc.COURTYARD, pc.FARMHOUSE, pc.TOWNHOUSE, pc.SHOPHOUSE))[b.parcel] & (b.number > 1)
    pool = np.flatnonzero(has & ~single)
    inner = (compound_pipe[b.parcel[pool]] >= 0) & np.isfinite(b.spine[pool, 0, 0])
    mains = np.flatnonzero(net.kind == 0)
    lines = net.lines.geometry()
    rows = pool[~inner]
    near, dist = shapely.STRtree(lines[mains]).query_nearest(b.geom[rows], max_distance=130, return_distance=True, all_matches=False)
    order = np.argsort(near[0], kind="stable")
    direct, main = rows[near[0][order]], mains[near[1][order]]
    del dist
    walls = shapely.get_coordinates(shapely.shortest_line(lines[main], b.geom[direct])).reshape(-1, 2, 2)
    apart = np.hypot(*(walls[:, 1] - walls[:, 0]).T) > 0.3
    direct, main, walls = direct[apart], main[apart], walls[apart]
    way_pipe = compound_pipe[b.parcel[pool[inner]]]
    spine = b.spine[pool[inner]]
    foot = shapely.line_locate_point(lines[way_pipe], shapely.points(spine[:, 2]))
    foot_xy, _ = net.lines.at(way_pipe, foot)
    ways = np.concatenate([np.stack([foot_xy, spine[:, 1], spine[:, 0]], 1).reshape(-1, 2), walls.reshape(-1, 2)])
    of = np.r_[np.repeat(np.arange(len(way_pipe)), 3), len(way_pipe) + np.repeat(np.arange(len(main)), 2)]
    building, pipe = np.r_[pool[inner], direct], np.r_[way_pipe, main]
    length = net.lines.lengths()[pipe]
    at = np.r_[foot, shapely.line_locate_point(lines[main], shapely.points(walls[:, 0]))]
    top = city.ground.height(ways) - 0.8
    geom = shapely.linestrings(np.round(np.c_[ways, top], 3), indices=of)
    programme = x.programme[b.parcel[building]]
    priority = np.array([PRIORITY.get(k, "none") for k in range(len(pc.PROGRAMMES))], object)[programme]
    hospitals = np.flatnonzero(programme == pc.HOSPITAL)
    priority[hospitals[::2]] = "dialysis"
    customers = np.maximum(city.households[building], 1)
    n = len(building)
    curb = rng.random(n) < 0.86
    ids = np.array([f"JH{k + 1:06d}" for k in range(n)], object)
    table = pd.DataFrame({
        "network": "city", "connection_id": ids, "pipe_id": pipe_id[pipe], "fraction": np.round(np.clip(at / length, 0, 1), 5),
        "building_id": city.building_id[building], "customers": customers, "priority": priority,
        "diameter_mm": np.select([customers > 60, customers > 20, customers > 4], [100.0, 80.0, 50.0], 25.0),
        "material": np.where(net.year[pipe] < 1998, "G", "PE").astype(object),
        "curb_valve": np.where(curb, ids + "V", None), "curb_status": np.where(curb, "open", None),
        "curb_operable": pd.array(np.where(curb, rng.random(n) > 0.05, None), "boolean"),
        "customer_name": np.where(customers > 1, np.where(city.yard_name[b.parcel[building]] != "",
                                                         city.yard_name[b.parcel[building]] + "物业", people_names(n, rng)),
                                  people_names(n, rng)),
        "phone": phone_numbers(n, rng), "valid_from": dates(x.year[b.parcel[building]], rng),
    })
    return table, geom, pipe


def _retired_and_planned(city, out: Water, net, ids, used, depth, rng) -> None:
    """Old mains left in the ground beside their successors (废弃), and a few extensions that are still planned (空管)."""
    pipes, geom = out.tables["water_pipe"]
    nodes, points = out.tables["water_node"]
    mains = np.flatnonzero((net.kind == 0) & (net.year > 1990) & (net.lines.lengths() > 45))
    old = np.sort(rng.choice(mains, max(3, len(mains) // 70), replace=False))
    leaf = np.flatnonzero((np.bincount(np.r_[net.a, net.b], minlength=len(net.xy)) == 1))
    leaf = leaf[np.isin(leaf, net.b[net.kind == 0])][:max(3, len(leaf) // 60)]
    lines = net.lines.take(old)
    side = lines.normals() * 0.9
    shifted = np.round(lines.xy + side, 3)
    shifted = Polylines(shifted, lines.of, lines.n)
    far = np.round(net.xy[leaf] + np.array([38.0, 17.0]), 3)
    plan_xy = np.stack([net.xy[leaf], far], 1).reshape(-1, 2)
    new_xy = np.r_[shifted.xy[shifted.first], shifted.xy[shifted.last], far]
    n_old, n_plan = len(old), len(leaf)
    node_ids = np.array([f"JS{len(used) + k + 1:06d}" for k in range(len(new_xy))], object)
    ground = np.round(city.ground.height(new_xy), 3)
    all_xy = np.r_[shifted.xy, plan_xy]
    g_all = city.ground.height(all_xy)
    z = np.round(g_all - 1.2, 3)
    lines_all = Polylines(all_xy, np.r_[shifted.of, n_old + np.repeat(np.arange(n_plan), 2)], n_old + n_plan)
    end_z = np.round(ground - 1.2, 3)
    z[lines_all.first[:n_old]], z[lines_all.last[:n_old]] = end_z[:n_old], end_z[n_old:2 * n_old]
    z[lines_all.first[n_old:]] = np.round(np.round(city.ground.height(net.xy[leaf]), 3) - depth[leaf], 3)
    z[lines_all.last[n_old:]] = end_z[2 * n_old:]
    year_old = np.r_[net.year[old] - 22, np.full(n_plan, 2027)]
    extra = pd.DataFrame({
        "network": "city", "pipe_id": [f"JSG{len(pipes) + k + 1:06d}" for k in range(n_old + n_plan)],
        "from_node": np.r_[node_ids[:n_old], ids[leaf]], "to_node": np.r_[node_ids[n_old:2 * n_old], node_ids[2 * n_old:]],
        "subtype": "JP", "diameter_mm": np.r_[np.maximum(net.diameter[old] * 0.5, 75), np.full(n_plan, 160.0)],
        "material": np.r_[np.full(n_old, "ZT"), np.full(n_plan, "PE")].astype(object), "length_m": np.round(lines_all.lengths(), 2),
        "depth_from_m": 1.2, "depth_to_m": 1.2, "embedding": "ZM",
        "status": np.r_[np.full(n_old, "1"), np.full(n_plan, "2")].astype(object), "pressure_mpa": 0.0, "owner": OWNER,
        "road_name": np.r_[pipes["road_name"].to_numpy()[old], np.full(n_plan, "")], "zone": "", "roughness": 80.0,
        "valid_from": dates(year_old, rng), "valid_to": pd.Series(pd.NaT, index=range(n_old + n_plan), dtype="datetime64[us]"),
    })
    extra.loc[:n_old - 1, "valid_to"] = dates(net.year[old] + 1, rng)[:n_old]
    extra.loc[n_old:, ["depth_from_m"]] = depth[leaf]
    more = pd.DataFrame({
        "network": "city", "node_id": node_ids, "feature": np.r_[np.full(2 * n_old, "cap"), np.full(n_plan, "stub")].astype(object),
        "ground_m": ground, "depth_m": 1.2, "base_demand_lps": 0.0, "zone": "",
        "valid_from": pd.concat([extra["valid_from"][:n_old], extra["valid_from"][:n_old], extra["valid_from"][n_old:]],
                                ignore_index=True),
    })
    out.tables["water_pipe"] = (pd.concat([pipes, extra], ignore_index=True), np.r_[geom, lines_all.geometry(z)])
    out.tables["water_node"] = (pd.concat([nodes, more], ignore_index=True),
                                np.r_[points, shapely.points(np.c_[new_xy, end_z])])

