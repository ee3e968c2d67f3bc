"""The plan of the town: rivers, zones and the lines of its streets before they are joined into a graph.

A street line is one name from end to end. Town coordinates (s, t) make the plan simple; `Ground.place` bends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import shapely
from shapely import LineString, Point

from etl.city.terrain import Ground, stream

OLD, CORE, NEW, MIXED, INDUSTRY, TOWN, VILLAGE = range(7)
EXPRESSWAY, TRUNK, SECONDARY, BRANCH, LANE, PATH = range(6)
CLASSES = np.array(["expressway", "trunk", "secondary", "branch", "lane", "path"])
WIDTH = np.array([36.0, 40.0, 28.0, 18.0, 7.0, 3.0])
"""Width between the red lines by class, metres (rounded from GB 50220 / CJJ 37 ranges)."""
BANK = 20.0
"""The riverside road's middle lies so far beyond the bank, metres."""


@dataclass
class Line:
    """A street as planned: its line in EPSG:4548, class, and what it is called by."""

    geom: LineString
    klass: int
    kind: str
    place: int = -1
    """The town or village it lies in, -1 in the county town."""
    bridge: bool = False
    street: int = -1


@dataclass
class Settlement:
    """A town seat or village: its middle, its built-up outline and how many households it shall hold."""

    at: np.ndarray
    zone: int
    houses: int
    outline: shapely.Polygon = None
    bearing: float = 0.0


@dataclass
class Plan:
    ground: Ground
    river: shapely.Polygon = None
    canal: shapely.Polygon = None
    corridor: shapely.Polygon = None
    """The river and its embankments up to the riverside roads."""
    old_town: shapely.Polygon = None
    old_centre: tuple[float, float] = (0.0, 0.0)
    lines: list[Line] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    us: np.ndarray = None
    vs: np.ndarray = None

    def zone(self, xy: np.ndarray) -> np.ndarray:
        """Zone of points (n, 2): the old town in its oval, the core round it, industry downstream (east), the newer
        districts across the river and in the north-west, mixed elsewhere."""
        r = self.ground.radius
        st = self.ground.town(xy)
        s, t = st[:, 0] - self.old_centre[0], st[:, 1] - self.old_centre[1]
        zone = np.full(len(xy), MIXED)
        zone[(t > 0.42 * r) | (s < -0.55 * r)] = NEW
        zone[st[:, 1] < self.ground.river_line(st[:, 0])] = NEW
        zone[np.hypot(s / 0.55, t / 0.48) < r] = CORE
        zone[(s > 0.55 * r) & (t < 0.40 * r) & (t > -0.75 * r)] = INDUSTRY
        zone[shapely.contains_xy(self.old_town, xy)] = OLD
        return zone


def _dense(points: np.ndarray, step: float) -> np.ndarray:
    return shapely.get_coordinates(shapely.segmentize(LineString(points), step))


def _world(ground: Ground, st: np.ndarray, wiggle: float = 0.0, phase: float = 0.0) -> LineString:
    """A polyline of town coordinates as a smooth line on the map; `wiggle` metres of gentle sideways play."""
    dense = _dense(st, 20.0)
    if wiggle:
        run = np.r_[0, np.cumsum(np.hypot(*np.diff(dense, axis=0).T))]
        d = np.gradient(dense, axis=0)
        d /= np.hypot(*d.T)[:, None]
        dense = dense + np.c_[-d[:, 1], d[:, 0]] * (wiggle * np.sin(run / 170 + phase))[:, None]
    return LineString(ground.place(dense)).simplify(0.12)


def _positions(rng, lo: float, hi: float, origin: float, spacing: float) -> np.ndarray:
    """Positions of parallel arterials between lo and hi, one at origin, unevenly spaced, wider outwards."""
    out = [origin]
    for sign in (1, -1):
        at = origin
        while True:
            at += sign * spacing * rng.uniform(0.78, 1.22) * (1 + 0.25 * abs(at - origin) / (hi - lo))
            if not lo <= at <= hi:
                break
            out.append(at)
    return np.sort(np.array(out))


def draw(ground: Ground, addresses: int) -> Plan:
    """The plan of the county: waters, arterials, ring road, riverside roads, old town, county roads, settlements."""
    plan = Plan(ground)
    _waters(plan)
    _arterials(plan)
    _settle(plan, addresses)
    _county_roads(plan)
    return plan


def _waters(plan: Plan) -> None:
    g, reach = plan.ground, 27000.0

    def band(beyond: float):
        return shapely.Polygon(np.r_[g.river_side(1, beyond, reach), g.river_side(-1, beyond, reach)[::-1]]).buffer(0)

    plan.river, plan.corridor = band(0.0), band(BANK)
    r = g.radius
    ry, rx = np.clip(0.23 * r, 190, 800), np.clip(0.30 * r, 250, 1150)
    t0 = float(g.river_line(np.zeros(1))[0] + g.river_width(np.zeros(1))[0] / 2 + BANK)
    plan.old_centre = (0.0, t0 + 0.82 * ry)
    a = np.linspace(0, 2 * np.pi, 73)[:-1]
    wall = 1 + 0.05 * np.sin(3 * a + g.phase[1]) + 0.03 * np.sin(5 * a + g.phase[2])
    oval = np.c_[rx * np.cos(a) * wall, plan.old_centre[1] + ry * np.sin(a) * wall]
    plan.old_town = shapely.Polygon(g.place(oval)).difference(plan.corridor.buffer(2)).buffer(0)
    if plan.old_town.geom_type != "Polygon":
        plan.old_town = max(plan.old_town.geoms, key=lambda p: p.area)


def _arterials(plan: Plan) -> None:
    g, rng = plan.ground, stream(plan.ground.seed, "arterials")
    r = g.radius
    reach, spacing = 1.28 * r, np.clip(0.46 * r, 380, 820)
    oc = plan.old_centre[1]
    us, vs = _positions(rng, -reach, reach, 0.0, spacing), _positions(rng, -reach, reach, oc, spacing)
    plan.us, plan.vs = us, vs

    def nearest(values, want):
        return float(values[np.argmin(np.abs(values - want))])

    ring_e, ring_w = nearest(us[us > 0.2 * r], 0.66 * r), nearest(us[us < -0.2 * r], -0.66 * r)
    ring_n, ring_s = nearest(vs[vs > oc + 0.2 * r], oc + 0.62 * r), nearest(vs[vs < oc - 0.2 * r], oc - 0.72 * r)
    corner = 0.36 * min(ring_e - ring_w, ring_n - ring_s) / 2 + 60
    _ring(plan, ring_w, ring_s, ring_e, ring_n, corner)
    bridged = {0.0, ring_e, ring_w} | set(us[::2].tolist() if r > 2500 else [])
    for u in us:
        skip = (ring_s + corner, ring_n - corner) if u in (ring_e, ring_w) else None
        klass = TRUNK if u == 0 or (abs(u) > 1.6 * abs(ring_e) and rng.random() < 0.3) else SECONDARY
        for lo, hi in _pieces(-reach, reach, skip):
            st = np.array([[u, lo], [u, hi]])
            _cut_in(plan, _world(g, st), klass, "axis" if u == 0 else "ns", u in bridged)
    for v in vs:
        skip = (ring_w + corner, ring_e - corner) if v in (ring_n, ring_s) else None
        klass = TRUNK if v == oc or rng.random() < 0.25 else SECONDARY
        for lo, hi in _pieces(-reach, reach, skip):
            _cut_in(plan, _world(g, np.array([[lo, v], [hi, v]])), klass, "main" if v == oc else "ew", False)
    _between(plan, rng)
    for side, kind in ((1, "bank_n"), (-1, "bank_s")):
        bank = LineString(g.river_side(side, BANK, 1.15 * r, 20.0)).simplify(0.15)
        plan.lines.append(Line(bank, SECONDARY, kind))
    _old_town_streets(plan)


def _pieces(lo: float, hi: float, skip) -> list[tuple[float, float]]:
    return [(lo, hi)] if skip is None else [(lo, skip[0]), (skip[1], hi)]


def _ring(plan: Plan, w, s, e, n, c) -> None:
    """The ring road: a rounded rectangle on four arterials, named by its four sides, cut in mid-corner."""
    arc = np.linspace(0, np.pi / 2, 19)

    def turn(cx, cy, from_angle):
        return np.c_[cx + c * np.cos(from_angle + arc), cy + c * np.sin(from_angle + arc)]

    ne, nw = turn(e - c, n - c, 0), turn(w + c, n - c, np.pi / 2)
    sw, se = turn(w + c, s + c, np.pi), turn(e - c, s + c, 1.5 * np.pi)
    sides = {
        "ring_e": np.r_[se[9:], ne[:10]],
        "ring_n": np.r_[ne[9:], nw[:10]],
        "ring_w": np.r_[nw[9:], sw[:10]],
        "ring_s": np.r_[sw[9:], se[:10]],
    }
    for kind, st in sides.items():
        _cut_in(plan, _world(plan.ground, st), TRUNK, kind, kind in ("ring_e", "ring_w"))


def _between(plan: Plan, rng) -> None:
    """Secondary streets between the arterials, from one cross street to another, so that not all run through."""
    g = plan.ground
    for own, cross, upright in ((plan.us, plan.vs, True), (plan.vs, plan.us, False)):
        for a, b in pairwise(own):
            if b - a < 260 or rng.random() < 0.18:
                continue
            at, begin = a + (b - a) * rng.uniform(0.40, 0.60), 0
            while begin < len(cross) - 1:
                end = min(len(cross) - 1, begin + int(rng.integers(1, 5)))
                if rng.random() < 0.74:
                    lo, hi = cross[begin] - 1.5, cross[end] + 1.5
                    st = np.array([[at, lo], [at, hi]] if upright else [[lo, at], [hi, at]])
                    line = _world(g, st, rng.uniform(2, 9), rng.uniform(0, 6))
                    _cut_in(plan, line, BRANCH if rng.random() < 0.6 else SECONDARY, "ns" if upright else "ew", False)
                begin = end + int(rng.random() < 0.4)


def _cut_in(plan: Plan, line: LineString, klass: int, kind: str, bridged: bool) -> None:
    """Add a line, stopped at the old town's wall street and, unless it has a bridge, at the riverside roads."""
    if kind not in ("axis", "main"):
        line = line.difference(plan.old_town.buffer(-1.5))
    if not bridged:
        line = line.difference(plan.corridor.buffer(-1.5))
    for part in shapely.get_parts(line):
        if part.length > 60:
            plan.lines.append(Line(part, klass, kind))


def _old_town_streets(plan: Plan) -> None:
    """The street on the old wall, named by its sides; its south is the riverside road."""
    g, c = plan.ground, plan.old_centre[1]
    ring = shapely.segmentize(plan.old_town.exterior, 15.0)
    xy = shapely.get_coordinates(ring)[:-1]
    st = g.town(xy)
    angle = np.degrees(np.arctan2(st[:, 1] - c, st[:, 0])) % 360
    names = np.select(
        [(angle >= 50) & (angle < 130), (angle >= 130) & (angle < 235), (angle >= 235) & (angle < 305)],
        ["wall_n", "wall_w", "wall_s"],
        "wall_e",
    )
    near = shapely.dwithin(plan.corridor, shapely.points(xy), 9.0)
    start = int(np.flatnonzero(names != np.roll(names, 1))[0])
    order = np.roll(np.arange(len(xy)), -start)
    for block in np.split(order, np.flatnonzero(names[order][1:] != names[order][:-1]) + 1):
        ends = np.r_[block, (block[-1] + 1) % len(xy)]
        keep = ends[~near[ends]]
        if len(keep) > 3:
            line = _to_bank(xy[keep], plan.corridor)
            plan.lines.append(Line(LineString(line).simplify(0.3), SECONDARY, str(names[block[0]])))


def _to_bank(xy: np.ndarray, corridor) -> np.ndarray:
    """The line with its ends led on to the riverside road where that is near."""
    for at in (0, -1):
        end = Point(xy[at])
        if 0.5 < corridor.distance(end) < 45:
            foot = np.array(shapely.shortest_line(end, corridor).coords[1])
            foot += (foot - xy[at]) / np.hypot(*(foot - xy[at])) * 1.0
            xy = np.r_[[foot], xy] if at == 0 else np.r_[xy, [foot]]
    return xy


def _settle(plan: Plan, addresses: int) -> None:
    """Town seats on a wide circle and villages scattered over the county, clear of the river and of one another."""
    g, rng = plan.ground, stream(plan.ground.seed, "settlements")
    towns, villages = 8 + int(addresses >= 200_000) * 2, int(np.clip(addresses / 700, 12, 320))
    town_size, village_size = np.clip(0.06 * addresses / towns, 30, 1500), np.clip(0.10 * addresses / villages, 16, 220)
    inner = g.county.buffer(-1300)
    taken: list[np.ndarray] = []

    def fits(at, gap):
        clear = inner.contains(Point(at)) and plan.corridor.distance(Point(at)) > 380
        return clear and all(np.hypot(*(at - o)) > gap for o in taken)

    for k in range(towns):
        for _ in range(200):
            angle = 2 * np.pi * (k + rng.uniform(-0.3, 0.3)) / towns + 0.3
            at = g.centre + rng.uniform(max(1.6 * g.radius, 5200), 16500) * np.array([np.cos(angle), np.sin(angle)])
            if fits(at, 4200):
                taken.append(at)
                plan.settlements.append(Settlement(at, TOWN, int(town_size * rng.uniform(0.7, 1.5))))
                break
    gap, tries = max(900.0, 15500 / np.sqrt(villages)), 0
    lo, hi = np.array(inner.bounds[:2]), np.array(inner.bounds[2:])
    while sum(x.zone == VILLAGE for x in plan.settlements) < villages and tries < 30000:
        tries += 1
        at = rng.uniform(lo, hi)
        if tries % 400 == 0:
            gap *= 0.93
        if np.hypot(*(at - g.centre)) > 1.5 * g.radius + 300 and fits(at, gap):
            taken.append(at)
            size = int(village_size * np.clip(rng.lognormal(-0.1, 0.45), 0.4, 2.5))
            plan.settlements.append(Settlement(at, VILLAGE, max(8, size)))
    for x in plan.settlements:
        area = x.houses * (470 if x.zone == VILLAGE else 330) + 5000
        x.bearing = float(rng.uniform(-0.5, 0.5) + (np.pi / 2 if rng.random() < 0.3 else 0))
        a, ratio = np.linspace(0, 2 * np.pi, 25)[:-1], rng.uniform(1.2, 1.9)
        ring = np.c_[np.cos(a) * np.sqrt(ratio), np.sin(a) / np.sqrt(ratio)] * np.sqrt(area / np.pi)
        ring *= (1 + 0.12 * rng.standard_normal(24))[:, None]
        c, s = np.cos(x.bearing), np.sin(x.bearing)
        x.outline = shapely.Polygon(ring @ np.array([[c, s], [-s, c]]) + x.at).buffer(12).buffer(-6)


def _county_roads(plan: Plan) -> None:
    """The national and provincial roads through the county town, then each town and village joined to the nearest road."""
    g, rng = plan.ground, stream(plan.ground.seed, "county roads")
    r, oc = g.radius, plan.old_centre[1]
    inside = g.county.buffer(-20)
    far = {
        "road_n": [[0, 1.28 * r], [400, 30000]],
        "road_s": [[0, -1.28 * r], [-300, -30000]],
        "road_e": [[1.28 * r, oc], [30000, oc + 500]],
        "road_w": [[-1.28 * r, oc], [-30000, oc + 900]],
    }
    roads = []
    for kind, st in far.items():
        line = _world(g, np.array(st, float), 60, 0.0).intersection(inside)
        roads += [Line(p, TRUNK if kind in ("road_n", "road_s") else SECONDARY, kind) for p in shapely.get_parts(line)]
    bypass_st = np.c_[np.linspace(-30000, 30000, 400), 1.32 * r + 900 * np.sin(np.linspace(-5, 5, 400)) + 700]
    for part in shapely.get_parts(_world(g, bypass_st).intersection(inside)):
        plan.lines.append(Line(part, EXPRESSWAY, "expressway"))
    net = [x.geom for x in roads] + [x.geom for x in plan.lines if x.kind in ("axis", "main") or x.kind[:4] == "ring"]
    order = np.argsort([np.hypot(*(x.at - g.centre)) + (0 if x.zone == TOWN else 1e6) for x in plan.settlements])
    for k in order:
        x = plan.settlements[k]
        tree = shapely.STRtree(net)
        to = net[int(tree.nearest(Point(x.at)))]
        foot = to.interpolate(to.project(Point(x.at)))
        geom = _wander(rng, x.at, np.array(foot.coords[0]))
        roads.append(Line(geom, SECONDARY if x.zone == TOWN else BRANCH, "road_t" if x.zone == TOWN else "road_v", int(k)))
        net.append(geom)
    towns = [x.at for x in plan.settlements if x.zone == TOWN]
    for a, b in zip(towns, towns[1:] + towns[:1], strict=True):
        if np.hypot(*(a - b)) < 15000 and rng.random() < 0.7:
            roads.append(Line(_wander(rng, a, b), SECONDARY, "road_t"))
    plan.lines += roads


def _wander(rng, a: np.ndarray, b: np.ndarray) -> LineString:
    """A country road from a to b: one gentle bow and a few lesser bends; it meets b exactly (1 m beyond)."""
    size = np.hypot(*(b - a))
    d = (b - a) / max(size, 1)
    f = np.linspace(0, 1, max(4, int(size / 25)))
    side = np.sin(np.pi * f) * size * rng.uniform(-0.10, 0.10)
    side += np.sin(np.pi * f) * np.sin(2 * np.pi * f * max(1, size / 1500) + rng.uniform(0, 6)) * min(size / 30, 45)
    line = a + d * (f * (size + 1.0))[:, None] + np.array([-d[1], d[0]]) * side[:, None]
    return LineString(line).simplify(0.4)
