"""Gas, district heating, power and telecommunication along the streets, each at its place in the cross-section."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from etl.city import plan as p
from etl.city.crosssection import beside
from etl.city.polylines import Polylines, serial, spaced
from etl.city.terrain import stream
from etl.city.water_net import dates, heights


class _Laid:
    """A utility's lines cut into survey sections, with node ids, depths, levels."""

    def __init__(self, city, edges, utility, head, cover, step, rng, lines: Polylines | None = None):
        g = city.graph
        par = beside(g, edges, utility)
        line, at = spaced(par.lines.lengths(), step)
        pieces, of, _, _ = par.lines.cut(line, at)
        k, count = serial(of), np.bincount(of)[of]
        begin = np.searchsorted(line, of)
        new = len(par.node) + np.arange(len(line))
        pad = np.r_[new, -1]
        self.a = np.where(k == 0, par.a[of], pad[np.clip(begin + k - 1, 0, len(line))])
        self.b = np.where(k == count - 1, par.b[of], pad[np.clip(begin + k, 0, len(line))])
        self.xy = np.r_[par.node, np.zeros((len(line), 2))]
        inner = k < count - 1
        self.xy[self.b[inner]] = np.round(pieces.xy[pieces.last[inner]], 3)
        pieces.xy[pieces.first], pieces.xy[pieces.last] = self.xy[self.a], self.xy[self.b]
        self.lines, self.edge = pieces, par.edge[of]
        self.ids = np.array([f"{head}{k + 1:06d}" for k in range(len(self.xy))], object)
        self.depth = np.round(cover + 0.3 * rng.random(len(self.xy)), 2)
        self.z = heights(city.ground, pieces, self.a, self.b, self.depth)
        self.year = np.maximum(city.edge_year[self.edge], 1992)
        self.geom = pieces.geometry(self.z)
        self.common = {
            "from_node": self.ids[self.a],
            "to_node": self.ids[self.b],
            "depth_from_m": self.depth[self.a],
            "depth_to_m": self.depth[self.b],
            "road_name": city.edge_name[self.edge],
            "valid_from": dates(self.year, rng),
        }

    def __len__(self) -> int:
        return len(self.a)


def _town_edges(city, most: int) -> np.ndarray:
    """Streets of the county town of class `most` or greater that hang together."""
    g = city.graph
    ok = (g.place < 0) & (g.klass <= most) & (g.klass != p.EXPRESSWAY) & ~city.country[g.street]
    n = len(g.node)
    _, label = connected_components(coo_matrix((np.ones(ok.sum()), (g.a[ok], g.b[ok])), (n, n)), False)
    big = np.argmax(np.bincount(label[np.r_[g.a[ok], g.b[ok]]]))
    return np.flatnonzero(ok & (label[g.a] == big))


def _status(n: int, rng) -> np.ndarray:
    return np.where(rng.random(n) < 0.985, "0", "1").astype(object)


def gas(city) -> dict:
    """Medium pressure A ring of the greater streets, medium B in branches, low pressure in lanes; valves on junction arms."""
    g, rng = city.graph, stream(city.seed, "gas")
    x = _Laid(city, _town_edges(city, p.LANE), "gas", "RQ", 0.95, 70, rng)
    klass, n = g.klass[x.edge], len(x)
    big, mid = klass <= p.TRUNK, klass <= p.BRANCH
    pressure = np.where(big, "medium_a", np.where(mid, "medium_b", "low")).astype(object)
    diameter = np.where(big, 315.0, np.where(klass == p.SECONDARY, 200.0, np.where(mid, 160.0, 90.0)))
    ids = np.array([f"RQG{k + 1:06d}" for k in range(n)], object)
    table = pd.DataFrame(
        {
            "pipe_id": ids,
            "subtype": "TR",
            "pressure_class": pressure,
            "pressure_mpa": np.where(big, 0.35, np.where(mid, 0.15, 0.005)),
            "diameter_mm": diameter,
            "material": np.where(big & (rng.random(n) < 0.6), "G", "PE").astype(object),
            "embedding": "ZM",
            "status": _status(n, rng),
            "owner": "青澜县燃气有限公司",
            **x.common,
        }
    )
    arm_node, arm_pipe = np.r_[x.a, x.b], np.r_[np.arange(n), np.arange(n)]
    degree = np.bincount(arm_node, minlength=len(x.xy))
    pick = np.flatnonzero((degree[arm_node] >= 3) & (klass[arm_pipe] <= p.BRANCH) & (rng.random(2 * n) < 0.55))
    pipe, node = arm_pipe[pick], arm_node[pick]
    length = x.lines.lengths()[pipe]
    xy, _ = x.lines.at(pipe, np.where(pick < n, np.minimum(2, length / 3), length - np.minimum(2, length / 3)))
    valves = pd.DataFrame(
        {
            "valve_id": [f"RF{k + 1:05d}" for k in range(len(pick))],
            "node_id": x.ids[node],
            "pipe_id": ids[pipe],
            "kind": np.where(diameter[pipe] > 200, "gate", "ball").astype(object),
            "normal_status": "open",
            "operable": rng.random(len(pick)) > 0.02,
            "diameter_mm": diameter[pipe],
            "road_name": x.common["road_name"][pipe],
            "valid_from": dates(x.year[pipe], rng),
        }
    )
    z = np.round(city.ground.height(xy) - 1.0, 3)
    return {"gas_pipe": (table, x.geom), "gas_valve": (valves, shapely.points(np.c_[np.round(xy, 3), z]))}


def heat(city) -> dict:
    """Supply and return from the heat works through the northern and newer districts: a tree along the greater streets."""
    g, rng = city.graph, stream(city.seed, "heat")
    st = city.ground.town(g.node)
    north = st[:, 1] > city.plan.old_centre[1] + 0.05 * city.ground.radius
    edges = _town_edges(city, p.SECONDARY)
    edges = edges[north[g.a[edges]] & north[g.b[edges]] & ~g.bridge[edges]]
    n = len(g.node)
    a, b, length = g.a[edges], g.b[edges], g.length[edges]
    lo, hi = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((length, hi, lo))
    first = np.r_[True, (lo[order][1:] != lo[order][:-1]) | (hi[order][1:] != hi[order][:-1])]
    order = order[first]
    matrix = coo_matrix((length[order], (lo[order], hi[order])), (n, n)).tocsr()
    root = int(np.argmax(np.where(np.isin(np.arange(n), np.r_[a, b]), st[:, 0] + st[:, 1], -np.inf)))
    dist, before = dijkstra(matrix, directed=False, indices=root, return_predecessors=True)
    tree = (before[a[order]] == b[order]) | (before[b[order]] == a[order])
    edges = edges[order[tree]]
    far = np.maximum(dist[g.a[edges]], dist[g.b[edges]])
    size = np.select([far < 0.3 * far.max(), far < 0.65 * far.max()], [500.0, 350.0], 250.0)
    size_of = np.zeros(len(g.a))
    size_of[edges] = size
    tables, shapes = [], []
    for circuit, head in (("supply", "RG"), ("return", "RH")):
        x = _Laid(city, np.sort(edges), f"heat_{circuit}", head, 1.25, 70, rng)
        diameter = size_of[x.edge]
        tables.append(
            pd.DataFrame(
                {
                    "pipe_id": [f"{head}G{k + 1:05d}" for k in range(len(x))],
                    "subtype": "RS",
                    "circuit": circuit,
                    "diameter_mm": diameter,
                    "insulated_mm": diameter + 160,
                    "material": "G",
                    "embedding": "ZM",
                    "status": "0",
                    "owner": "青澜县热力有限公司",
                    **x.common,
                }
            )
        )
        shapes.append(x.geom)
    return {"heat_pipe": (pd.concat(tables, ignore_index=True), np.concatenate(shapes))}


def power(city) -> dict:
    """10 kV ducts, 110 kV trench along the ring, street lighting along the greater streets."""
    g, rng = city.graph, stream(city.seed, "power")
    out, shapes = [], []
    for subtype, utility, most, head in (("GD", "power", p.BRANCH, "DL"), ("LD", "lighting", p.SECONDARY, "LD")):
        x = _Laid(city, _town_edges(city, most), utility, head, 0.75 if subtype == "GD" else 0.55, 60, rng)
        n, klass = len(x), g.klass[x.edge]
        high = (klass <= p.TRUNK) & (subtype == "GD")
        ducts = np.where(high, 18, np.where(klass <= p.SECONDARY, 12, 6)) if subtype == "GD" else np.ones(n, int)
        used = np.minimum(ducts, (ducts * rng.uniform(0.3, 0.95, n)).astype(int) + 1)
        out.append(
            pd.DataFrame(
                {
                    "line_id": [f"{head}G{k + 1:06d}" for k in range(n)],
                    "subtype": subtype,
                    "voltage_kv": np.where(high, 110.0, 10.0) if subtype == "GD" else 0.4,
                    "cables": used,
                    "section": np.where(high, "1200×1000", np.where(ducts >= 12, "800×600", "500×400")).astype(object)
                    if subtype == "GD"
                    else None,
                    "ducts": ducts,
                    "used_ducts": used,
                    "material": "TZ" if subtype == "GD" else "PVC",
                    "embedding": np.where(high, "GG", "GK").astype(object) if subtype == "GD" else "GM",
                    "status": _status(n, rng),
                    "owner": "青澜县供电公司" if subtype == "GD" else "青澜县路灯管理所",
                    **x.common,
                }
            )
        )
        shapes.append(x.geom)
    return {"power_line": (pd.concat(out, ignore_index=True), np.concatenate(shapes))}


def telecom(city) -> dict:
    """Shared ducts of three operators."""
    g, rng = city.graph, stream(city.seed, "telecom")
    x = _Laid(city, _town_edges(city, p.BRANCH), "telecom", "TX", 0.8, 60, rng)
    n = len(x)
    ducts = np.where(g.klass[x.edge] <= p.SECONDARY, 12, 6)
    used = np.minimum(ducts, (ducts * rng.uniform(0.2, 0.95, n)).astype(int) + 1)
    operators = np.array(["中国电信", "中国移动", "中国联通", "青澜广电"], object)
    kind = rng.choice(4, n, p=[0.45, 0.3, 0.17, 0.08])
    return {
        "telecom_line": (
            pd.DataFrame(
                {
                    "line_id": [f"TXG{k + 1:06d}" for k in range(n)],
                    "subtype": np.where(kind == 3, "DS", "XX").astype(object),
                    "operator": operators[kind],
                    "cables": used,
                    "section": np.where(ducts > 6, "600×400", "400×300").astype(object),
                    "ducts": ducts,
                    "used_ducts": used,
                    "material": "PVC",
                    "embedding": "GK",
                    "status": _status(n, rng),
                    "owner": operators[kind],
                    **x.common,
                }
            ),
            x.geom,
        )
    }
