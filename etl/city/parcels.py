"""Land: blocks lose their streets, are divided into parcels, and each parcel gets a programme (what is built there)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from etl.city import plan as p
from etl.city.polylines import serial
from etl.city.streets import Blocks, Graph, divide
from etl.city.terrain import Ground, stream

PROGRAMMES = (
    "courtyard",
    "shophouse",
    "walkup",
    "slab",
    "tower",
    "office",
    "commerce",
    "factory",
    "storage",
    "public",
    "utility",
    "park",
    "vacant",
    "townhouse",
    "farmhouse",
    "kindergarten",
    "primary_school",
    "middle_school",
    "high_school",
    "hospital",
    "clinic",
    "elderly_care",
    "fire_station",
    "police_station",
    "market",
    "library",
    "sports",
)
(
    COURTYARD,
    SHOPHOUSE,
    WALKUP,
    SLAB,
    TOWER,
    OFFICE,
    COMMERCE,
    FACTORY,
    STORAGE,
    PUBLIC,
    UTILITY,
    PARK,
    VACANT,
    TOWNHOUSE,
    FARMHOUSE,
    KINDERGARTEN,
    PRIMARY,
    MIDDLE,
    HIGH,
    HOSPITAL,
    CLINIC,
    ELDERLY,
    FIRE,
    POLICE,
    MARKET,
    LIBRARY,
    SPORTS,
) = range(len(PROGRAMMES))
LAND_USE = np.array(list("RBRRRBBMWAUGERRAAAAAARAABAA"))
LAND_USE[FIRE], LAND_USE[MARKET], LAND_USE[ELDERLY] = "U", "B", "A"
PARCEL_HA = np.array([0.058, 0.075, 0.75, 2.2, 3.6, 0.7, 0.75, 2.2, 1.6, 0.9, 1.0, 9.0, 5.0, 0.042, 0.034] + [9.0] * 12)
RESIDENTIAL = (WALKUP, SLAB, TOWER)
PEOPLE_PER_HOUSEHOLD = 2.62
"""Average household of the 2020 census, persons."""
MIX = {
    p.OLD: ((COURTYARD, 0.80), (WALKUP, 0.10), (PUBLIC, 0.05), (PARK, 0.05)),
    p.CORE: ((WALKUP, 0.50), (COMMERCE, 0.16), (OFFICE, 0.08), (PUBLIC, 0.07), (SLAB, 0.12), (PARK, 0.07)),
    p.NEW: ((TOWER, 0.40), (SLAB, 0.34), (COMMERCE, 0.08), (PARK, 0.09), (OFFICE, 0.05), (VACANT, 0.04)),
    p.MIXED: ((SLAB, 0.36), (WALKUP, 0.32), (COMMERCE, 0.11), (PARK, 0.07), (OFFICE, 0.06), (STORAGE, 0.04), (VACANT, 0.04)),
    p.INDUSTRY: ((FACTORY, 0.72), (STORAGE, 0.12), (UTILITY, 0.04), (SLAB, 0.06), (PARK, 0.03), (VACANT, 0.03)),
    p.TOWN: ((TOWNHOUSE, 0.86), (WALKUP, 0.07), (PUBLIC, 0.04), (VACANT, 0.03)),
    p.VILLAGE: ((FARMHOUSE, 0.95), (VACANT, 0.05)),
}


@dataclass
class Parcels:
    """Parcels: outline inside the red lines, programme, block, zone, settlement, when built, order of growth."""

    geom: np.ndarray
    programme: np.ndarray
    block: np.ndarray
    zone: np.ndarray
    place: np.ndarray
    rank: np.ndarray
    """Growth: small is early; the town grows along it until it holds all addresses."""
    edge: np.ndarray
    """The street edge its gate opens to."""
    gate: np.ndarray
    """(n, 2) the gate, on the parcel's boundary."""
    year: np.ndarray

    def select(self, keep: np.ndarray) -> Parcels:
        return Parcels(*(getattr(self, f)[keep] for f in self.__dataclass_fields__))


def growth(ground: Ground, plan: p.Plan, xy: np.ndarray) -> np.ndarray:
    """How late a place is built up: about 1 at the edge of the town, with lobes along the valley, not a circle."""
    st = ground.town(xy) - np.array([0.0, plan.old_centre[1] * 0.5])
    theta = np.arctan2(st[:, 1], st[:, 0])
    lobes = 1 + 0.16 * np.cos(2 * theta) + 0.10 * np.sin(3 * theta + ground.phase[3]) + 0.05 * np.sin(7 * theta + ground.phase[4])
    return np.hypot(*st.T) / (ground.radius * lobes)


def without_streets(blocks: Blocks, graph: Graph) -> np.ndarray:
    """Block outlines less the street surfaces that touch them."""
    half = graph.width / 2
    half[np.isin(graph.klass, (p.LANE,)) & (graph.place >= 0)] = 2.6
    surface = shapely.buffer(graph.geom, half, quad_segs=3)
    geom = blocks.geom.copy()
    b, e = shapely.STRtree(surface).query(geom, predicate="intersects")
    turn = serial(b)
    for k in range(int(turn.max()) + 1 if len(turn) else 0):
        now = turn == k
        geom[b[now]] = shapely.difference(geom[b[now]], surface[e[now]])
    return geom


def parcel_out(plan: p.Plan, blocks: Blocks, graph: Graph, addresses: int) -> Parcels:
    """Parcels of all blocks with a programme each and a gate to the nearest street."""
    ground, rng = plan.ground, stream(plan.ground.seed, "parcels")
    land = without_streets(blocks, graph)
    land[~np.isfinite(shapely.area(land))] = shapely.Polygon()
    jitter = 0.035 * rng.standard_normal(len(land))
    rank = np.full(len(land), np.inf)
    full = shapely.area(land) > 150
    rank[full] = growth(ground, plan, shapely.get_coordinates(shapely.centroid(land[full]))) + jitter[full]
    rank[blocks.place >= 0] = -1
    programme = _programmes(rng, blocks.zone, land, rank)
    near = full & (rank < 1.32)
    parts, of = shapely.get_parts(land, return_index=True)
    ok = near[of] & (shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 120)
    parts, of = parts[ok], of[ok]
    target = PARCEL_HA[programme[of]] * 1e4 * rng.uniform(0.8, 1.3, len(of))
    slant = np.where(np.isin(blocks.zone[of], (p.OLD, p.TOWN, p.VILLAGE)), 0.07, 0.0)
    geom, origin, *_ = divide(parts, target, slant, rng, (0.42, 0.58))
    block = of[origin]
    good = shapely.area(geom) > np.where(np.isin(programme[block], (COURTYARD, TOWNHOUSE, FARMHOUSE)), 110, 260)
    geom, block = geom[good], block[good]
    edge, gate, reach = gates(geom, graph)
    result = Parcels(
        geom, programme[block].copy(), block, blocks.zone[block], blocks.place[block], rank[block], edge, gate, np.zeros(len(geom), int)
    )
    _by_street(result, graph, rng)
    result.programme[_thin(geom)] = PARK
    result.year = _years(result, rng)
    keep = (reach < 90) & ~((blocks.zone[block] >= p.TOWN) & (result.programme == PARK))
    return _ordered(result.select(keep), rng)


def _programmes(rng, zone, land, rank) -> np.ndarray:
    draw = rng.random(len(zone))
    out = np.full(len(zone), PARK)
    for z, mix in MIX.items():
        share = np.cumsum([m[1] for m in mix])
        pick = np.minimum(np.searchsorted(share / share[-1], draw), len(mix) - 1)
        out = np.where(zone == z, np.array([m[0] for m in mix])[pick], out)
    small = shapely.area(land) < 2600
    out[small & np.isin(out, (SLAB, TOWER, FACTORY, STORAGE))] = WALKUP
    return out


def _thin(geom: np.ndarray) -> np.ndarray:
    box = shapely.get_coordinates(shapely.oriented_envelope(geom)).reshape(-1, 5, 2)
    a, b = np.hypot(*(box[:, 1] - box[:, 0]).T), np.hypot(*(box[:, 2] - box[:, 1]).T)
    full = shapely.area(geom) / np.maximum(a * b, 1)
    return (np.minimum(a, b) < 7.5) | (full < 0.42)


def gates(geom: np.ndarray, graph: Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The street each parcel opens to, its gate, and the distance to the nearest street. Of the streets that it fronts houses
    and shops take the greatest; large yards a secondary street rather than a main road."""
    usable = np.flatnonzero((graph.klass != p.EXPRESSWAY) & ~graph.bridge)
    lines = graph.geom[usable]
    tree, half = shapely.STRtree(lines), graph.width[usable] / 2
    pair, dist = tree.query_nearest(geom, return_distance=True, all_matches=False)
    order = np.argsort(pair[0], kind="stable")
    edge, dist = usable[pair[1][order]], dist[order]
    k, e = tree.query(geom, predicate="dwithin", distance=26.0)
    front = shapely.distance(geom[k], lines[e]) - half[e] < 3.5
    k, e = k[front], e[front]
    large = shapely.area(geom[k]) > 2600
    klass = graph.klass[usable[e]]
    rank = np.where(large, np.array([9, 2, 0, 1, 3, 4])[klass], klass)
    order = np.lexsort((e, rank, k))
    first = order[np.r_[True, k[order][1:] != k[order][:-1]]] if len(order) else order
    edge[k[first]] = usable[e[first]]
    line = graph.geom[edge]
    at = shapely.line_interpolate_point(line, shapely.line_locate_point(line, shapely.point_on_surface(geom)))
    gate = shapely.get_coordinates(shapely.shortest_line(geom, at)).reshape(-1, 2, 2)[:, 0]
    return edge, gate, dist


def _by_street(x: Parcels, graph: Graph, rng) -> None:
    """Shops stand on the busier streets of the old town and on main streets of towns."""
    busy = graph.klass[x.edge] <= p.SECONDARY
    x.programme[(x.programme == COURTYARD) & busy] = SHOPHOUSE
    x.programme[(x.programme == WALKUP) & busy & (shapely.area(x.geom) < 3500) & (rng.random(len(busy)) < 0.3)] = COMMERCE


def _years(x: Parcels, rng) -> np.ndarray:
    base = np.select(
        [x.programme == COURTYARD, x.programme == WALKUP, x.programme == SLAB, x.programme == TOWER], [1958, 1986, 2002, 2012], 1996
    )
    grow = np.where(x.zone >= p.TOWN, 4, 12 * np.clip(x.rank, 0, 1.2))
    return np.clip(base + grow + rng.integers(-8, 9, len(base)), 1930, 2024).astype(int)


def _ordered(x: Parcels, rng) -> Parcels:
    order = np.lexsort((rng.random(len(x.block)), x.block, x.rank))
    return x.select(order)


def place_facilities(x: Parcels, addresses: int, seed: int) -> None:
    """Give schools, hospitals and the like their parcels: as many as the people need, well apart, in fitting sizes.

    Numbers after GB 50180-2018 orders of size (one kindergarten to 6,000 people, a primary school to 16,000 …).
    """
    rng = stream(seed, "facilities")
    people = addresses * 0.85 * PEOPLE_PER_HOUSEHOLD
    town = (x.place < 0) & (x.rank < 0.9)
    area, xy = shapely.area(x.geom), shapely.get_coordinates(shapely.centroid(x.geom))
    homes = np.isin(x.programme, (WALKUP, SLAB, TOWER, OFFICE, COMMERCE, PUBLIC))
    wanted = (
        (HOSPITAL, people / 55000, 1.2, 5.0),
        (HIGH, people / 60000, 2.0, 6.0),
        (MIDDLE, people / 26000, 1.5, 4.2),
        (PRIMARY, people / 15000, 0.9, 3.0),
        (SPORTS, people / 60000, 0.8, 4.0),
        (ELDERLY, people / 20000, 0.35, 1.3),
        (KINDERGARTEN, people / 6500, 0.3, 0.95),
        (MARKET, people / 14000, 0.3, 1.2),
        (LIBRARY, people / 80000, 0.4, 2.0),
        (CLINIC, people / 9000, 0.25, 0.9),
        (POLICE, people / 20000, 0.25, 0.9),
        (FIRE, people / 45000, 0.3, 1.3),
        (UTILITY, people / 60000, 0.3, 2.5),
        (PUBLIC, people / 18000, 0.4, 2.5),
    )
    for kind, number, low, high in wanted:
        number = max(1, round(number))
        fit = np.flatnonzero(town & homes & (area > low * 1e4) & (area < high * 1e4))
        if len(fit) < number:
            fit = np.flatnonzero(town & homes & (area > low * 0.4e4) & (area < high * 1.6e4))
        for k in _apart(xy[fit], number, rng):
            x.programme[fit[k]] = kind
            homes[fit[k]] = False
    for seat in np.unique(x.place[(x.zone == p.TOWN)]):
        own = np.flatnonzero((x.place == seat) & (x.programme == TOWNHOUSE))
        own = own[np.argsort(-area[own], kind="stable")][:7]
        for kind, k in zip((PRIMARY, PUBLIC, CLINIC, MARKET, POLICE, ELDERLY, KINDERGARTEN), own, strict=False):
            x.programme[k] = kind


def _apart(xy: np.ndarray, number: int, rng) -> list[int]:
    """Indices of `number` points far from one another (farthest-point sampling from a random start)."""
    if not len(xy):
        return []
    chosen = [int(rng.integers(len(xy)))]
    gap = np.hypot(*(xy - xy[chosen[0]]).T)
    while len(chosen) < min(number, len(xy)):
        chosen.append(int(np.argmax(gap * rng.uniform(0.55, 1.0, len(xy)))))
        gap = np.minimum(gap, np.hypot(*(xy - xy[chosen[-1]]).T))
    return chosen
