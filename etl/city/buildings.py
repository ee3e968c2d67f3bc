"""Buildings on their parcels: rows facing south in compounds, courts in the old town, sheds, schools with grounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from etl.city import parcels as pc
from etl.city.parcels import Parcels
from etl.city.polylines import serial
from etl.city.terrain import stream

USES = ("residential", "commercial", "office", "school", "hospital", "industrial", "public", "utility", "other")
RES, COM, OFF, SCH, HOS, IND, PUB, UTI, OTH = range(9)

#            width  depth gap-x gap-y  aisle setback floors  use
LAYOUT = {
    pc.SHOPHOUSE: (14, 11, 1.0, 7.0, 0, 0.8, (2, 4), COM),
    pc.WALKUP: (44, 11.5, 7.0, 12.0, 5, 4.0, (5, 6), RES),
    pc.SLAB: (50, 13.0, 10.0, 17.0, 7, 6.5, (6, 11), RES),
    pc.TOWER: (38, 16.5, 14.0, 27.0, 9, 9.0, (13, 26), RES),
    pc.OFFICE: (44, 20.0, 14.0, 20.0, 0, 9.0, (5, 16), OFF),
    pc.COMMERCE: (44, 28.0, 8.0, 11.0, 0, 5.0, (2, 6), COM),
    pc.FACTORY: (64, 30.0, 11.0, 12.0, 0, 9.0, (1, 3), IND),
    pc.STORAGE: (78, 34.0, 14.0, 15.0, 0, 9.0, (1, 1), IND),
    pc.PUBLIC: (46, 15.0, 12.0, 16.0, 0, 8.0, (4, 7), PUB),
    pc.UTILITY: (24, 13.0, 16.0, 16.0, 0, 8.0, (1, 2), UTI),
    pc.TOWNHOUSE: (15, 11.0, 2.0, 6.0, 0, 1.2, (2, 4), RES),
    pc.FARMHOUSE: (11, 9.0, 3.0, 8.0, 0, 1.6, (1, 3), RES),
    pc.KINDERGARTEN: (32, 12.0, 10.0, 22.0, 0, 7.0, (2, 3), SCH),
    pc.PRIMARY: (48, 11.0, 12.0, 20.0, 0, 9.0, (3, 5), SCH),
    pc.MIDDLE: (54, 12.0, 14.0, 22.0, 0, 10.0, (4, 5), SCH),
    pc.HIGH: (60, 13.0, 14.0, 24.0, 0, 12.0, (4, 6), SCH),
    pc.HOSPITAL: (62, 19.0, 16.0, 24.0, 0, 12.0, (5, 14), HOS),
    pc.CLINIC: (28, 13.0, 12.0, 16.0, 0, 6.0, (2, 4), HOS),
    pc.ELDERLY: (40, 13.0, 12.0, 20.0, 0, 7.0, (3, 5), PUB),
    pc.FIRE: (34, 15.0, 14.0, 20.0, 0, 7.0, (2, 4), PUB),
    pc.POLICE: (32, 14.0, 12.0, 18.0, 0, 6.0, (3, 5), PUB),
    pc.MARKET: (50, 30.0, 10.0, 12.0, 0, 7.0, (1, 2), COM),
    pc.LIBRARY: (48, 26.0, 14.0, 20.0, 0, 9.0, (3, 5), PUB),
    pc.SPORTS: (64, 40.0, 20.0, 24.0, 0, 12.0, (1, 3), PUB),
}
GROUNDS = (pc.KINDERGARTEN, pc.PRIMARY, pc.MIDDLE, pc.HIGH)
"""Their southern part stays open: the sports ground."""


@dataclass
class Buildings:
    """Buildings, ordered by parcel, then from north to south and west to east."""

    geom: np.ndarray
    parcel: np.ndarray
    use: np.ndarray
    floors: np.ndarray
    units: np.ndarray
    rooms: np.ndarray
    """Rooms (households) per unit and floor; 0: none of their own."""
    height: np.ndarray
    number: np.ndarray
    """Serial within the parcel from 1 (幢)."""
    spine: np.ndarray
    """(n, 3, 2) way of its service pipes: wall, row lane, compound's aisle; nan where the parcel has no aisle."""

    def select(self, keep: np.ndarray) -> Buildings:
        return Buildings(*(getattr(self, f)[keep] for f in self.__dataclass_fields__))


@dataclass
class Aisles:
    """The lane through each compound: parcel, and its two ends (n, 2, 2), the first nearer the gate."""

    parcel: np.ndarray
    ends: np.ndarray


def frames(geom: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Local frame of each polygon: middle (n, 2), east-ish unit axis (n, 2), width along it, depth across it (metres)."""
    box = shapely.get_coordinates(shapely.oriented_envelope(geom)).reshape(-1, 5, 2)
    e1, e2 = box[:, 1] - box[:, 0], box[:, 2] - box[:, 1]
    l1, l2 = np.hypot(*e1.T), np.hypot(*e2.T)
    flat = np.abs(e1[:, 0]) / np.maximum(l1, 1e-6) >= np.abs(e2[:, 0]) / np.maximum(l2, 1e-6)
    axis = np.where(flat[:, None], e1 / np.maximum(l1, 1e-6)[:, None], e2 / np.maximum(l2, 1e-6)[:, None])
    axis *= np.where(axis[:, :1] < 0, -1, 1)
    return box[:, :4].mean(1), axis, np.where(flat, l1, l2), np.where(flat, l2, l1)


def _boxes(middle, axis, x, y, w, d) -> np.ndarray:
    """Rectangles w × d with their middle at local (x, y)."""
    north = np.c_[-axis[:, 1], axis[:, 0]]
    c = middle + axis * x[:, None] + north * y[:, None]
    a, b = axis * (w / 2)[:, None], north * (d / 2)[:, None]
    return shapely.polygons(np.stack([c - a - b, c + a - b, c + a + b, c - a + b], 1))


def build(x: Parcels, seed: int) -> tuple[Buildings, Aisles]:
    """All buildings of all parcels, and the aisles of compounds."""
    rng = stream(seed, "buildings")
    court, rows = _courts(x, rng), _rows(x, rng)
    geom, parcel, use, floors, width, spine = (np.concatenate([a, b]) for a, b in zip(court, rows[:6], strict=True))
    ok = shapely.area(geom) > 24
    order = np.flatnonzero(ok)
    c = shapely.get_coordinates(shapely.centroid(geom))
    _, axis, *_ = frames(x.geom)
    south = -(c * np.c_[-axis[:, 1], axis[:, 0]][parcel]).sum(1)
    west = (c * axis[parcel]).sum(1)
    order = order[np.lexsort((west[order], np.round(south[order] / 9), parcel[order]))]
    geom, parcel, use, floors, width, spine = (v[order] for v in (geom, parcel, use, floors, width, spine))
    units, rooms = _households(x.programme[parcel], width, floors, rng)
    storey = np.select([use == RES, use == IND], [2.95, 7.5], 3.8)
    return Buildings(
        geom, parcel, use, floors, units, rooms, np.round(floors * storey + rng.uniform(0.4, 2.4, len(use)), 1), serial(parcel) + 1, spine
    ), rows[6]


def _households(programme, width, floors, rng) -> tuple[np.ndarray, np.ndarray]:
    n = len(programme)
    slab = np.isin(programme, (pc.WALKUP, pc.SLAB))
    units = np.where(slab, np.clip(np.round(width / 17.0), 1, 5), 1).astype(int)
    units[programme == pc.TOWER] = np.where(width[programme == pc.TOWER] > 30, 2, 1)
    rooms = np.where(slab, 2, 0)
    rooms = np.where(programme == pc.TOWER, 3 + (rng.random(n) < 0.4), rooms)
    office = (programme == pc.OFFICE) & (rng.random(n) < 0.6)
    return units, np.where(office, np.clip((width / 9).astype(int), 2, 6), rooms).astype(int)


def _courts(x: Parcels, rng):
    """Old-town houses: most round a court (合院), the others two rows with a yard between."""
    which = np.flatnonzero(x.programme == pc.COURTYARD)
    inner = shapely.buffer(shapely.simplify(x.geom[which], 0.8), -1.0, join_style="mitre")
    good = shapely.area(inner) > 60
    which, inner = which[good], inner[good]
    middle, axis, w, d = frames(inner)
    style = rng.random(len(which))
    cw, cd = w * rng.uniform(0.34, 0.5, len(w)), d * rng.uniform(0.30, 0.44, len(w))
    shift = np.where(style < 0.45, 0.0, np.where(style < 0.72, -0.5, 0.0)) * (d - cd)
    cw = np.where(style > 0.72, w * 2, cw)
    court = _boxes(middle, axis, np.zeros(len(w)), shift, cw, cd + np.where((style >= 0.45) & (style < 0.72), 4, 0))
    geom, of = shapely.get_parts(shapely.difference(inner, court), return_index=True)
    good = (shapely.area(geom) > 26) & (shapely.get_type_id(geom) == 3)
    geom, of = geom[good], of[good]
    n = len(geom)
    return (geom, which[of], np.full(n, RES), rng.integers(1, 3, n), np.sqrt(shapely.area(geom)), np.full((n, 3, 2), np.nan))


def _rows(x: Parcels, rng):
    """Buildings in rows along the parcel's east-west axis, kept where they fit inside its setback."""
    which = np.flatnonzero(np.isin(x.programme, list(LAYOUT)))
    table = np.array([LAYOUT.get(k, (0,) * 8)[:6] for k in range(len(pc.PROGRAMMES))], float)
    low = np.array([LAYOUT.get(k, (0, 0, 0, 0, 0, 0, (1, 1)))[6] for k in range(len(pc.PROGRAMMES))])
    use = np.array([LAYOUT.get(k, (0,) * 7 + (OTH,))[7] for k in range(len(pc.PROGRAMMES))])
    pr = x.programme[which]
    w, d, gx, gy, aisle, setback = table[pr].T
    n = len(which)
    w, d = w * rng.uniform(0.86, 1.16, n), d * rng.uniform(0.93, 1.08, n)
    floors = rng.integers(low[pr, 0], low[pr, 1] + 1)
    inner = shapely.buffer(x.geom[which], -setback, join_style="mitre")
    good = shapely.area(inner) > 45
    which, pr, w, d, gx, gy, aisle, floors, inner = (v[good] for v in (which, pr, w, d, gx, gy, aisle, floors, inner))
    middle, axis, iw, idp = frames(inner)
    w, d = np.minimum(w, iw * 0.97), np.minimum(d, idp * 0.97)
    nx = np.maximum(1, ((iw - aisle + gx) / (w + gx)).astype(int))
    ny = np.maximum(1, ((idp + gy) / (d + gy)).astype(int))
    single = np.isin(pr, (pc.FARMHOUSE, pc.TOWNHOUSE, pc.SHOPHOUSE))
    nx, ny = np.where(single, np.minimum(nx, 1 + (pr == pc.SHOPHOUSE)), nx), np.where(single, 1, ny)
    w = np.where((pr == pc.TOWNHOUSE) | (pr == pc.SHOPHOUSE), iw * 0.94 / nx, w)
    school = np.isin(pr, GROUNDS)
    ny = np.where(school & (ny > 1), np.maximum(1, (ny * 0.6).astype(int)), ny)
    k = np.repeat(np.arange(len(which)), nx * ny)
    s = serial(k)
    col, row = s % nx[k], s // nx[k]
    px = np.where(nx > 1, np.minimum((iw - aisle - w) / np.maximum(nx - 1, 1), (w + gx) * 1.25), 0)
    py = np.where(ny > 1, np.minimum((idp * np.where(school, 0.6, 1) - d) / np.maximum(ny - 1, 1), (d + gy) * 1.35), 0)
    left = nx // 2
    lx = (col - (nx[k] - 1) / 2) * px[k] + np.where((nx[k] > 1) & (aisle[k] > 0), np.where(col < left[k], -1, 1) * aisle[k] / 2, 0)
    top = np.where(school, idp / 2 - d / 2 - 1, (ny - 1) / 2 * py)
    ly = top[k] - row * py[k]
    lx = lx + np.where(single[k], 0, rng.uniform(-0.6, 0.6, len(k)))
    bw, bd = w[k].copy(), d[k].copy()
    geom = _boxes(middle[k], axis[k], lx, ly, bw, bd)
    shapely.prepare(inner)
    fit = shapely.contains(inner[k], geom)
    for shrink, slide, pull in ((0.72, 0.12, 1), (0.72, -0.12, 1), (0.5, 0.22, 1), (0.5, -0.22, 1), (0.85, 0, 0.86), (0.7, 0, 0.7)):
        again = np.flatnonzero(~fit)
        nw, nd = w[k[again]] * shrink, bd[again] * min(1, pull + 0.06)
        nx_, ny_ = (lx[again] + slide * w[k[again]]) * pull, ly[again] * pull
        moved = _boxes(middle[k[again]], axis[k[again]], nx_, ny_, nw, nd)
        ok = shapely.contains(inner[k[again]], moved) & (nw > 7)
        at = again[ok]
        geom[at], bw[at], bd[at], lx[at], ly[at], fit[at] = moved[ok], nw[ok], nd[ok], nx_[ok], ny_[ok], True
    empty = np.bincount(k, fit, minlength=len(which)) == 0
    spare = np.flatnonzero(empty & (shapely.get_type_id(inner) == 3) & (shapely.area(inner) < 2500))
    large = np.flatnonzero(empty & (shapely.area(inner) >= 2500))
    block = shapely.intersection(
        inner[large],
        _boxes(middle[large], axis[large], np.zeros(len(large)), np.zeros(len(large)), iw[large] * 0.55, np.minimum(idp[large] * 0.4, 24)),
    )
    solid = (shapely.get_type_id(block) == 3) & (shapely.area(block) > 120)
    inner[large[solid]] = block[solid]
    spare = np.r_[spare, large[solid]]
    spine_x = np.where(nx > 1, ((left - 0.5) - (nx - 1) / 2) * px, -(w / 2 + 3))
    spine = _ways(middle, axis, k, lx, ly, bd, spine_x)
    spine[~np.isin(pr[k], pc.RESIDENTIAL)] = np.nan
    vary = np.where(np.isin(pr[k], (pc.TOWER, pc.FARMHOUSE, pc.SHOPHOUSE)), rng.integers(-1, 2, len(k)), 0)
    fl = np.maximum(1, floors[k] + vary)
    ns = len(spare)
    out = (
        np.r_[geom[fit], shapely.simplify(inner[spare], 0.5)],
        np.r_[which[k[fit]], which[spare]],
        np.r_[use[pr[k[fit]]], use[pr[spare]]],
        np.r_[fl[fit], np.minimum(floors[spare], 6)],
        np.r_[bw[fit], np.sqrt(shapely.area(inner[spare]))],
        np.r_[spine[fit], np.full((ns, 3, 2), np.nan)],
    )
    homes = np.isin(pr, pc.RESIDENTIAL) & ~empty & (ny * nx > 1)
    return (*out, _aisles(x, which, middle, axis, idp, spine_x, homes))


def _ways(middle, axis, k, lx, ly, d, spine_x) -> np.ndarray:
    north = np.c_[-axis[:, 1], axis[:, 0]]

    def at(px, py):
        return middle[k] + axis[k] * px[:, None] + north[k] * py[:, None]

    lane = ly + d / 2 + 2.5
    return np.stack([at(lx, ly + d / 2), at(lx, lane), at(spine_x[k], lane)], 1)


def _aisles(x, which, middle, axis, depth, spine_x, homes) -> Aisles:
    north = np.c_[-axis[:, 1], axis[:, 0]]
    c = middle + axis * spine_x[:, None]
    a, b = c - north * (depth / 2)[:, None], c + north * (depth / 2)[:, None]
    gate = x.gate[which]
    turn = np.hypot(*(a - gate).T) > np.hypot(*(b - gate).T)
    ends = np.stack([np.where(turn[:, None], b, a), np.where(turn[:, None], a, b)], 1)
    return Aisles(which[homes], ends[homes])
