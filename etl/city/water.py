"""The water network `city`: works, mains along the streets, zones, valves, hydrants, compounds' pipes, service connections."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

from etl.city import plan as p
from etl.city import water_devices as devices
from etl.city.admin import _cluster
from etl.city.crosssection import beside
from etl.city.polylines import Polylines, serial
from etl.city.terrain import stream
from etl.city.water_net import OWNER, Net, dates, heights, material_of

MAIN_MM = np.array([600, 500, 300, 200, 110, 110])


@dataclass
class Water:
    """The network as tables: name of layer -> (DataFrame, geometry array in EPSG:4548)."""

    tables: dict = field(default_factory=dict)


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
    gates = city.parcels.gate[city.aisles.parcel]
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
        close = np.r_[False, (line[1:] == line[:-1]) & (at[1:] - at[:-1] < 1.0)][: len(line)]
        at[close] += 1.3
        at = np.minimum(at, length[line] - 0.5 - 0.01 * gap)
        order = np.lexsort((at, line))
        line, at, ok = line[order], at[order], ok[order]
    good = np.r_[True, (line[1:] != line[:-1]) | (at[1:] - at[:-1] > 0.2)][: len(line)]
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
    net, node_zone, compound_pipe = _add_compounds(city, net, node_zone, tee[: len(t_line)], t_aisle, g, rng)
    net, node_zone, sources = _add_sources(city, net, node_zone, reduced, len(par.node))
    return _tables(city, net, node_zone, sources, compound_pipe, prv_ends, shut, par, rng)


def _select(net: Net, keep: np.ndarray) -> Net:
    which = np.flatnonzero(keep)
    return Net(
        net.xy,
        net.a[keep],
        net.b[keep],
        net.lines.take(which),
        net.edge[keep],
        net.start[keep],
        net.end[keep],
        net.diameter[keep],
        net.year[keep],
        net.kind[keep],
    )


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
    return Net(xy, a, b, pieces, edges[of], start, end, diameter[of], years[of], np.zeros(len(of), int)), new_node


def _append(net: Net, xy, a, b, coords: list, diameter, year, kind) -> Net:
    """More pipes; coords: (k, m, 2) vertex arrays whose ends are their nodes'."""
    flat = np.concatenate([np.empty((0, 2)), *coords])  # a hamlet has no compound to append
    of = np.repeat(np.arange(len(coords)), np.array([len(c) for c in coords], int)) + net.lines.n
    lines = Polylines(np.r_[net.lines.xy, flat], np.r_[net.lines.of, of], net.lines.n + len(coords))
    none = np.full(len(coords), -1)
    return Net(
        xy,
        np.r_[net.a, a],
        np.r_[net.b, b],
        lines,
        np.r_[net.edge, none],
        np.r_[net.start, none * 0.0],
        np.r_[net.end, none * 0.0],
        np.r_[net.diameter, diameter],
        np.r_[net.year, year],
        np.r_[net.kind, kind],
    )


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
    net = _append(
        net, np.r_[net.xy, place], node, at, way, np.full(len(at), 600.0), np.array([1994, 2011, 2004])[: len(at)], np.full(len(at), 2)
    )
    kinds = ["plant", "plant", "tank"][: len(at)]
    return net, np.r_[node_zone, node_zone[at]], (node, at, kinds)


def _depths(net: Net, rng) -> tuple[np.ndarray, np.ndarray]:
    """Cover to the pipe's top at each node and each pipe's z along its vertices is ground less depth."""
    size = np.zeros(len(net.xy))
    np.maximum.at(size, net.a, net.diameter)
    np.maximum.at(size, net.b, net.diameter)
    return np.round(0.85 + 0.0007 * size + 0.25 * rng.random(len(size)), 2), size


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
    pipes = pd.DataFrame(
        {
            "network": "city",
            "pipe_id": pipe_id,
            "from_node": ids[net.a],
            "to_node": ids[net.b],
            "subtype": klass.astype(object),
            "diameter_mm": net.diameter,
            "material": material_of(net.diameter, net.year, rng),
            "length_m": np.round(lengths, 2),
            "depth_from_m": depth[net.a],
            "depth_to_m": depth[net.b],
            "embedding": np.where(on_bridge, "GM", "ZM").astype(object),
            "status": "0",
            "pressure_mpa": np.round(0.24 + 0.16 * rng.random(n), 3),
            "owner": OWNER,
            "road_name": road,
            "zone": zone_name[node_zone[net.b]],
            "roughness": np.where(net.year < 1990, 95.0, np.where(net.year < 2005, 115.0, 135.0)),
            "valid_from": laid,
            "valid_to": pd.Series(pd.NaT, index=range(n), dtype="datetime64[us]"),
        }
    )
    geom = net.lines.geometry(z)
    con = devices.connections(city, net, pipe_id, z, compound_pipe, rng)
    valves = devices.valves(city, net, ids, pipe_id, ground, depth, sources, prv_ends, shut, par, road, rng)
    hydrants = devices.hydrants(city, net, pipe_id, z, road, rng)
    demand = np.zeros(len(net.xy))
    np.add.at(demand, net.b[con[2]], con[0]["customers"].to_numpy() * 0.0042)
    degree = np.bincount(np.r_[net.a, net.b], minlength=len(net.xy))
    feature = np.select([degree == 1, degree == 2, degree == 3], ["cap", "line_point", "tee"], "cross").astype(object)
    feature[list(prv_ends)] = "valve_chamber"
    feature[sources[0]] = "outlet"
    since = np.full(len(net.xy), 3000)
    np.minimum.at(since, net.a, net.year)
    np.minimum.at(since, net.b, net.year)
    nodes = pd.DataFrame(
        {
            "network": "city",
            "node_id": ids[used],
            "feature": feature[used],
            "ground_m": ground[used],
            "depth_m": depth[used],
            "base_demand_lps": np.round(demand[used], 3),
            "zone": zone_name[node_zone[used]],
            "valid_from": dates(since[used], rng) - pd.Timedelta(days=400),
        }
    )
    at = np.round(np.c_[net.xy, ground - depth], 3)
    out.tables["water_node"] = (nodes, shapely.points(at[used]))
    out.tables["water_pipe"] = (pipes, geom)
    out.tables["water_valve"] = valves
    node, _, kinds = sources
    names = ["青澜县第一水厂", "青澜县第二水厂", "北山高位水池"]
    out.tables["water_source"] = (
        pd.DataFrame(
            {
                "network": "city",
                "source_id": [f"SY{k + 1}" for k in range(len(node))],
                "node_id": ids[node],
                "kind": kinds,
                "name": [names[0], names[2] if kinds[1] == "tank" else names[1], names[2]][: len(node)],
                "priority": np.arange(1, len(node) + 1),
                "head_m": np.round(ground[node] + 34, 1),
                "capacity_m3": [20000.0, 12000.0, 5000.0][: len(node)],
                "valid_from": dates(np.array([1994, 2011, 2004])[: len(node)], rng),
            }
        ),
        shapely.points(at[node]),
    )
    out.tables["hydrant"] = hydrants
    out.tables["water_connection"] = con[:2]
    devices.retired_and_planned(city, out, net, ids, used, depth, rng)
    return out
