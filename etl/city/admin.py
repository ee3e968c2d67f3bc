"""Administration: communities that tile the county without gap or overlap, towns made of them, grid cells inside them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from scipy.spatial import cKDTree

from etl.city import plan as p
from etl.city.names import COUNTY
from etl.city.parcels import _apart
from etl.city.streets import Graph
from etl.city.terrain import stream

CODE = "999901"
HOUSEHOLDS_PER_COMMUNITY, HOUSEHOLDS_PER_CELL = 2100, 420
DISTRICTS = [
    "城关",
    "东城",
    "西城",
    "城南",
    "城北",
    "新城",
    "开发区",
    "滨河",
    "文峰",
    "凤凰",
    "迎宾",
    "高铁新区",
    "玉泉",
    "金山",
    "长青",
    "南湖",
    "北关",
    "东关",
    "西关",
    "朝阳",
]
QUARTERS = [
    "府前",
    "东门",
    "西门",
    "南门",
    "北门",
    "文庙",
    "钟楼",
    "河滨",
    "新民",
    "建设",
    "解放",
    "光明",
    "育才",
    "胜利",
    "站前",
    "工人新村",
    "向阳",
    "双桥",
    "清水",
    "龙泉",
    "永安",
    "和平",
    "幸福",
    "红星",
    "东方",
    "学府",
    "翠屏",
    "金桂",
    "丹枫",
    "锦绣",
]


@dataclass
class Admin:
    """Towns, communities and grid cells. Geometry in EPSG:4548; shared borders have the same vertices."""

    town_name: np.ndarray
    town_code: np.ndarray
    town_geom: np.ndarray
    name: np.ndarray
    code: np.ndarray
    geom: np.ndarray
    town: np.ndarray
    """Row of the town of each community."""
    cell_code: np.ndarray
    cell_geom: np.ndarray
    cell_community: np.ndarray
    piece_cell: np.ndarray
    pieces: np.ndarray
    settlement_community: np.ndarray

    def cell_of(self, xy: np.ndarray) -> np.ndarray:
        """The grid cell (row) that holds each point (n, 2) EPSG:4548; the nearest for a point on no cell."""
        return self.piece_cell[shapely.STRtree(self.pieces).nearest(shapely.points(xy))]


def _cells_of_land(plan: p.Plan, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Pieces that tile the county, and for each the settlement whose countryside it is, or -1: a block of the county town."""
    urban = (graph.klass <= p.BRANCH) & (graph.place < 0) & (graph.klass != p.EXPRESSWAY)
    kinds = np.array([x.kind[:4] == "road" for x in plan.lines])
    faces = shapely.get_parts(shapely.polygonize(graph.geom[urban & ~kinds[graph.street]]))
    hull = shapely.union_all(faces)
    hull = shapely.union_all([shapely.Polygon(x.exterior) for x in shapely.get_parts(hull)])
    at = np.array([x.at for x in plan.settlements])
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(at), extend_to=plan.ground.county))
    cells = shapely.intersection(cells, plan.ground.county)
    lines = np.r_[
        shapely.boundary(faces), shapely.boundary(shapely.difference(cells, hull)), shapely.boundary(hull), plan.ground.county.exterior
    ]
    pieces = shapely.get_parts(shapely.polygonize(shapely.get_parts(shapely.union_all(lines, grid_size=0.001))))
    inside = shapely.point_on_surface(pieces)
    shapely.prepare(hull)
    owner = cKDTree(at).query(shapely.get_coordinates(inside))[1]
    return pieces, np.where(shapely.contains(hull, inside), -1, owner)


def _cluster(xy: np.ndarray, weight: np.ndarray, k: int, rng) -> np.ndarray:
    """k compact groups of points of similar weight (Lloyd's iteration from well-spread seeds), labels 0..k-1 all used."""
    k = min(k, len(xy))
    seed = xy[_apart(xy, k, rng)]
    label = np.zeros(len(xy), int)
    for _ in range(12):
        label = cKDTree(seed).query(xy)[1]
        total = np.maximum(np.bincount(label, weight, minlength=k), 1e-9)
        mean = np.c_[np.bincount(label, weight * xy[:, 0], minlength=k), np.bincount(label, weight * xy[:, 1], minlength=k)]
        seed = np.where((np.bincount(label, minlength=k) > 0)[:, None], mean / total[:, None], seed)
    return np.unique(label, return_inverse=True)[1].reshape(-1)


def divide_county(plan: p.Plan, graph: Graph, home_xy: np.ndarray, homes: np.ndarray, places: list[str]) -> Admin:
    """Communities, towns and grid cells of the county. home_xy (n, 2), homes (n,): where the households are."""
    rng = stream(plan.ground.seed, "admin")
    pieces, owner = _cells_of_land(plan, graph)
    weight = np.bincount(shapely.STRtree(pieces).nearest(shapely.points(home_xy)), homes, minlength=len(pieces))
    mid = shapely.get_coordinates(shapely.point_on_surface(pieces))
    urban = np.flatnonzero(owner < 0)
    n_urban = max(3, round(float(weight[urban].sum()) / HOUSEHOLDS_PER_COMMUNITY))
    label = np.full(len(pieces), -1)
    label[urban] = _cluster(mid[urban], weight[urban] + 15, n_urban, rng)
    n_urban = int(label.max()) + 1
    rural = np.unique(owner[owner >= 0])
    label[owner >= 0] = n_urban + np.searchsorted(rural, owner[owner >= 0])
    centre = np.array([mid[label == k].mean(0) for k in range(n_urban)])
    town, town_name, town_code = _towns(plan, centre, rural, weight, label, n_urban, places, rng)
    geom = _dissolve(pieces, label, n_urban + len(rural))
    order, code = _codes(geom, town, town_code)
    back = np.argsort(order)
    geom, town, label = geom[order], town[order], back[label]
    head = _apart_names(n_urban, rng)
    raw = np.array(
        [f"{x}社区" for x in head]
        + [
            f"{places[k]}社区" if plan.settlements[k].zone == p.TOWN else f"{places[k]}村" if places[k][-1] != "村" else places[k]
            for k in rural
        ],
        object,
    )
    settled = np.full(len(plan.settlements), -1)
    settled[rural] = back[n_urban + np.arange(len(rural))]
    cell_code, cell_geom, cell_community, piece_cell = _grid(pieces, label, weight, mid, code, rng)
    return Admin(
        town_name,
        town_code,
        _dissolve(geom, town, len(town_name)),
        raw[order],
        code,
        geom,
        town,
        cell_code,
        cell_geom,
        cell_community,
        piece_cell,
        pieces,
        settled,
    )


def _towns(plan, centre, rural, weight, label, n_urban, places, rng):
    load = np.bincount(label[label >= 0], weight[label >= 0], minlength=n_urban)[:n_urban]
    k = int(np.clip(round(load.sum() / 30000), 2, 20))
    district = _cluster(centre, load + 1, k, rng)
    k = int(district.max()) + 1
    seat = [i for i in rural if plan.settlements[i].zone == p.TOWN]
    tree = cKDTree(np.array([plan.settlements[i].at for i in seat]))
    nearest = tree.query(np.array([plan.settlements[i].at for i in rural]))[1]
    name = [f"{x}街道" for x in DISTRICTS[:k]]
    codes, towns, villages = [f"{CODE}{i + 1:03d}" for i in range(k)], 0, 0
    for j, i in enumerate(seat):
        small = j % 4 == 3
        towns, villages = towns + (not small), villages + small
        name.append(places[i] + ("乡" if small else "镇"))
        codes.append(f"{CODE}{(200 + villages - 1) if small else (100 + towns - 1):03d}")
    return np.r_[district, k + nearest], np.array(name, object), np.array(codes, object)


def _apart_names(n: int, rng) -> list[str]:
    more = [a + b for a in "东西南北新上下前后大" for b in QUARTERS]
    pool = QUARTERS + [more[k] for k in rng.permutation(len(more))]
    pool += [x + str(k) for k in range(2, 9) for x in pool[:200]] if n > len(pool) else []
    return pool[:n]


def _dissolve(pieces: np.ndarray, label: np.ndarray, n: int) -> np.ndarray:
    """The union of the pieces of each label, exact along shared borders, as MultiPolygons."""
    order = np.argsort(label, kind="stable")
    cuts = np.searchsorted(label[order], np.arange(n + 1))
    flat = []
    for a, b in pairwise(cuts):
        u = shapely.coverage_union_all(pieces[order[a:b]])
        flat.append(shapely.multipolygons(shapely.get_parts(u)))
    return np.array(flat, object)


def _reading(xy: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Order within groups from north to south in rows, west to east in a row."""
    n = np.bincount(groups)[groups]
    top = np.full(groups.max() + 1, -np.inf)
    low = np.full(groups.max() + 1, np.inf)
    np.maximum.at(top, groups, xy[:, 1])
    np.minimum.at(low, groups, xy[:, 1])
    rows = np.maximum(1, np.round(np.sqrt(n)))
    row = np.floor((top[groups] - xy[:, 1]) / np.maximum(top[groups] - low[groups], 1) * rows * 0.999)
    return np.lexsort((xy[:, 0], row, groups))


def _codes(geom: np.ndarray, town: np.ndarray, town_code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    xy = shapely.get_coordinates(shapely.point_on_surface(geom))
    order = _reading(xy, town)
    t = town[order]
    k = np.arange(len(t)) - np.searchsorted(t, t) + 1
    return order, np.array([f"{town_code[a]}{b:03d}" for a, b in zip(t, k, strict=True)], object)


def _grid(pieces, label, weight, mid, code, rng):
    cell = np.zeros(len(pieces), int)
    community, total = [], 0
    for c in range(len(code)):
        own = np.flatnonzero(label == c)
        k = int(np.clip(np.ceil(weight[own].sum() / HOUSEHOLDS_PER_CELL), 1, min(999, len(own))))
        part = _cluster(mid[own], weight[own] + 3, k, rng)
        cell[own] = total + part
        community += [c] * (int(part.max()) + 1)
        total += int(part.max()) + 1
    community = np.array(community)
    geom = _dissolve(pieces, cell, total)
    xy = shapely.get_coordinates(shapely.point_on_surface(geom))
    order = _reading(xy, community)
    community, geom = community[order], geom[order]
    k = np.arange(total) - np.searchsorted(community, community) + 1
    codes = np.array([f"{code[c]}{i:03d}" for c, i in zip(community, k, strict=True)], object)
    return codes, geom, community, np.argsort(order)[cell]


__all__ = ["CODE", "COUNTY", "Admin", "divide_county"]
