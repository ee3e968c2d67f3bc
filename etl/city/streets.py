"""Streets as a graph: superblocks are divided into blocks by lesser streets, all lines are joined at true junctions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from etl.city import plan as p
from etl.city.terrain import stream

BLOCK_HA = np.array([0.75, 2.4, 4.6, 3.2, 7.5, 1.0, 0.55])
"""Wanted size of a block by zone (old, core, new, mixed, industry, town, village), hectares."""
MERGE = 9.0
"""Junctions nearer than this are one, metres."""


@dataclass
class Blocks:
    """Land between street middles: outline, zone, the settlement it lies in (-1: county town)."""

    geom: np.ndarray
    zone: np.ndarray
    place: np.ndarray


@dataclass
class Graph:
    """The street graph. Edges are LineStrings between nodes, drawn along their street."""

    node: np.ndarray
    """(V, 2) EPSG:4548."""
    a: np.ndarray
    b: np.ndarray
    geom: np.ndarray
    street: np.ndarray
    klass: np.ndarray
    bridge: np.ndarray
    place: np.ndarray
    side: np.ndarray | None = None
    """+1 where the left of the edge is the north or east side of its street, else -1; the same along a whole street."""

    @property
    def length(self) -> np.ndarray:
        return shapely.length(self.geom)

    @property
    def width(self) -> np.ndarray:
        """Width between red lines, metres; villages' lanes stay narrow, country roads have no pavements."""
        return p.WIDTH[self.klass]

    def sided(self, streets: np.ndarray) -> Graph:
        """With `side`: by the direction of the whole street (LineStrings by street index), so that it never changes in a bend."""
        line = streets[self.street]
        ends = np.stack([shapely.get_coordinates(shapely.get_point(line, k)) for k in (0, -1)])
        chord = ends[1] - ends[0]
        start, end = (shapely.line_locate_point(line, shapely.line_interpolate_point(self.geom, f, normalized=True)) for f in (0.1, 0.9))
        left = np.where(-chord[:, 1] * 0.62 + chord[:, 0] * 0.78 >= 0, 1.0, -1.0)
        self.side = left * np.where(end >= start, 1.0, -1.0)
        return self

    def degree(self) -> np.ndarray:
        return np.bincount(np.r_[self.a, self.b], minlength=len(self.node))

    def matrix(self, weight: np.ndarray):
        n = len(self.node)
        return coo_matrix((np.r_[weight, weight], (np.r_[self.a, self.b], np.r_[self.b, self.a])), (n, n)).tocsr()

    def select(self, keep: np.ndarray) -> Graph:
        """The graph of the edges `keep` (mask), with nodes renumbered."""
        used, ends = np.unique(np.r_[self.a[keep], self.b[keep]], return_inverse=True)
        k = int(keep.sum())
        return Graph(
            self.node[used], ends[:k], ends[k:], self.geom[keep], self.street[keep], self.klass[keep], self.bridge[keep], self.place[keep]
        )


def divide(polys: np.ndarray, target: np.ndarray, slant: np.ndarray, rng, ratio=(0.40, 0.60)):
    """Divide polygons across their long side until each is at most 1.45 × its target area (m²).

    slant: standard deviation of the cut's angle per polygon, radians. Returns parts, the polygon each came from,
    the cut lines, and for each cut the polygon it came from and the area (m²) it cut.
    """
    origin = np.arange(len(polys))
    done_g, done_o, cuts, cut_o, cut_area = [], [], [], [], []
    while len(polys):
        area = shapely.area(polys)
        big = area > 1.45 * target[origin]
        done_g.append(polys[~big])
        done_o.append(origin[~big])
        polys, origin, area = polys[big], origin[big], area[big]
        if not len(polys):
            break
        box = shapely.get_coordinates(shapely.oriented_envelope(polys)).reshape(-1, 5, 2)
        e1, e2 = box[:, 1] - box[:, 0], box[:, 2] - box[:, 1]
        l1, l2 = np.hypot(*e1.T), np.hypot(*e2.T)
        longer = np.where((l1 > l2)[:, None], e1, e2) / np.maximum(np.maximum(l1, l2), 1e-6)[:, None]
        longer *= np.where(longer[:, :1] + 1e-3 * longer[:, 1:] < 0, -1, 1)
        reach, middle = np.maximum(l1, l2), box[:, :4].mean(1)
        share = rng.uniform(*ratio, len(polys)) - 0.5
        at = middle + longer * (share * reach)[:, None]
        turn = np.arctan2(longer[:, 1], longer[:, 0]) + np.pi / 2 + slant[origin] * rng.standard_normal(len(polys))
        d = np.c_[np.cos(turn), np.sin(turn)] * (2 * reach)[:, None]
        line = shapely.linestrings(np.stack([at - d, at + d], 1))
        back = -longer * (3 * reach)[:, None]
        half = shapely.polygons(np.stack([at - d, at + d, at + d + back, at - d + back], 1))
        inside = shapely.intersection(line, polys)
        first = shapely.get_parts(np.r_[shapely.intersection(polys, half), shapely.difference(polys, half)], return_index=True)
        which = first[1] % len(polys)
        ok = (shapely.get_type_id(first[0]) == 3) & (shapely.area(first[0]) > 1.0)
        cut_line, cut_of = shapely.get_parts(inside, return_index=True)
        good = shapely.get_type_id(cut_line) == 1
        cuts.append(cut_line[good])
        cut_o.append(origin[cut_of[good]])
        cut_area.append(area[cut_of[good]])
        polys, origin = first[0][ok], origin[which[ok]]
    return (
        np.concatenate(done_g),
        np.concatenate(done_o),
        np.concatenate(cuts) if cuts else np.array([], object),
        np.concatenate(cut_o) if cuts else np.zeros(0, int),
        np.concatenate(cut_area) if cuts else np.zeros(0),
    )


def lay_out(plan: p.Plan) -> Blocks:
    """Blocks of the county town and of all settlements; the streets that divide them are added to the plan's lines."""
    rng = stream(plan.ground.seed, "blocks")
    arterial = np.array([x.geom for x in plan.lines if x.kind[:4] not in ("road", "expr")])
    noded = shapely.union_all(arterial, grid_size=0.01)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))
    mid = shapely.get_coordinates(shapely.point_on_surface(faces))
    wet = shapely.area(shapely.intersection(faces, plan.corridor)) > 0.35 * shapely.area(faces)
    faces, mid = faces[~wet], mid[~wet]
    zone = plan.zone(mid)
    place = np.full(len(faces), -1)
    outlines = np.array([x.outline for x in plan.settlements], object)
    faces, zone = np.r_[faces, outlines], np.r_[zone, [x.zone for x in plan.settlements]].astype(int)
    place = np.r_[place, np.arange(len(outlines))]
    slant = np.array([0.16, 0.05, 0.02, 0.04, 0.01, 0.09, 0.12])[zone]
    scale = rng.uniform(0.75, 1.35, len(zone))
    geom, of, cuts, cut_of, area = divide(faces, BLOCK_HA[zone] * 1e4 * scale, slant, rng)
    big = np.where(np.isin(zone[cut_of], (p.NEW, p.MIXED, p.INDUSTRY)), p.BRANCH, p.LANE)
    klass = np.where(area > 9e4, p.BRANCH, big)
    klass[np.isin(zone[cut_of], (p.OLD, p.VILLAGE))] = p.LANE
    main = (zone[cut_of] >= p.TOWN) & (area > 0.98 * shapely.area(faces)[cut_of])
    klass[main] = p.BRANCH
    for line, c, o, m in zip(cuts, klass, cut_of, main, strict=True):
        if line.length > 18:
            kind = "village" if zone[o] >= p.TOWN else "lane" if c == p.LANE else "cut"
            plan.lines.append(p.Line(line, int(c), "village_main" if m else kind, int(place[o])))
    return Blocks(geom, zone[of], place[of])


def join(plan: p.Plan) -> Graph:
    """All street lines joined at true junctions: noded, junctions within 9 m made one, stubs and doubles removed.

    Bridges are edges of their own from bank to bank. Every edge knows its street (index into plan.lines).
    """
    wet = shapely.union_all([plan.river.buffer(8)] + ([plan.canal.buffer(5)] if plan.canal is not None else []))
    src, origin, bridge = [], [], []
    for k, line in enumerate(plan.lines):
        whole = [(line.geom, False)]
        if line.geom.intersects(wet):
            whole = [(line.geom.difference(wet), False), (line.geom.intersection(wet), True)]
        for geom, over in whole:
            for part in shapely.get_parts(geom):
                if part.length > 0.5:
                    src.append(part)
                    origin.append(k)
                    bridge.append(over)
    src, origin, bridge = np.array(src), np.array(origin), np.array(bridge)
    edges = shapely.get_parts(shapely.union_all(src, grid_size=0.01))
    klass = np.array([x.klass for x in plan.lines])
    mid = shapely.line_interpolate_point(edges, 0.5, normalized=True)
    e, s = shapely.STRtree(src).query(mid, predicate="dwithin", distance=0.05)
    order = np.lexsort((s, klass[origin[s]], e))
    e, s = e[order], s[order]
    first = np.r_[True, e[1:] != e[:-1]]
    edges, s = edges[e[first]], s[first]
    return _tidy(edges, origin[s], klass[origin[s]], bridge[s], np.array([plan.lines[k].place for k in origin[s]]))


def _tidy(edges, street, klass, bridge, place) -> Graph:
    xy, of = shapely.get_coordinates(edges, return_index=True)
    first = np.searchsorted(of, np.arange(len(edges)))
    last = np.searchsorted(of, np.arange(len(edges)), side="right") - 1
    points, inv = np.unique(np.round(np.r_[xy[first], xy[last]], 3), axis=0, return_inverse=True)
    inv = inv.reshape(-1)
    pairs = cKDTree(points).query_pairs(MERGE, output_type="ndarray")
    n = len(points)
    _, label = connected_components(coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (n, n)), False)
    weight = np.bincount(inv, minlength=n).astype(float) ** 2
    total = np.bincount(label, weight)
    node = np.c_[np.bincount(label, weight * points[:, 0]), np.bincount(label, weight * points[:, 1])] / total[:, None]
    a, b = label[inv[: len(edges)]], label[inv[len(edges) :]]
    xy[first], xy[last] = node[a], node[b]
    keep = np.ones(len(xy), bool)
    inner = np.ones(len(xy), bool)
    inner[first] = inner[last] = False
    near = (np.hypot(*(xy - xy[first][of]).T) < MERGE) | (np.hypot(*(xy - xy[last][of]).T) < MERGE)
    keep[inner & near] = False
    geom = shapely.linestrings(xy[keep], indices=of[keep])
    length = shapely.length(geom)
    lo, hi = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((length, klass, hi, lo))
    double = np.zeros(len(a), bool)
    same = (lo[order][1:] == lo[order][:-1]) & (hi[order][1:] == hi[order][:-1])
    middle = shapely.get_coordinates(shapely.line_interpolate_point(geom, 0.5, normalized=True))[order]
    double[order[1:]] = same & (np.hypot(*(middle[1:] - middle[:-1]).T) < 25)
    ok = (a != b) & ~double
    graph = Graph(node, a, b, geom, street, klass, bridge, place).select(ok)
    for _ in range(3):
        deg = graph.degree()
        stub = ((deg[graph.a] == 1) | (deg[graph.b] == 1)) & (graph.length < 24)
        graph = graph.select(~stub)
    return graph


def develop(graph: Graph, wanted: np.ndarray) -> Graph:
    """The edges `wanted` (mask) plus the shortest links that make them one connected graph."""
    n = len(graph.node)
    sub = coo_matrix((np.ones(wanted.sum()), (graph.a[wanted], graph.b[wanted])), (n, n))
    _, label = connected_components(sub, False)
    used = np.zeros(n, bool)
    used[graph.a[wanted]] = used[graph.b[wanted]] = True
    big = np.argmax(np.bincount(label[used]))
    cost = np.where(wanted, 1e-3, graph.length * np.where(graph.klass == p.EXPRESSWAY, 9, 1))
    dist, before, _ = dijkstra(graph.matrix(cost), indices=np.flatnonzero(used & (label == big)), min_only=True, return_predecessors=True)
    edge_of = {(int(x), int(y)): k for k, (x, y) in enumerate(zip(graph.a, graph.b, strict=True))}
    keep = wanted.copy()
    islands = np.unique(label[used & (label != big)])
    for island in islands:
        members = np.flatnonzero(used & (label == island))
        at = int(members[np.argmin(dist[members])])
        while (np.isfinite(dist[at]) and before[at] >= 0 and label[at] != big) or before[at] >= 0:
            prev = int(before[at])
            k = edge_of.get((prev, at), edge_of.get((at, prev)))
            keep[k] = True
            at = prev
    result = graph.select(keep)
    _, label = connected_components(result.matrix(np.ones(len(result.a))), False)
    main = label == np.argmax(np.bincount(label))
    return merge_chains(result.select(main[result.a]))


def merge_chains(graph: Graph) -> Graph:
    """Edges that meet where nothing branches off become one, unless street, class or bridge change there."""
    deg = graph.degree()
    ends = [[] for _ in graph.node]
    for k, (x, y) in enumerate(zip(graph.a.tolist(), graph.b.tolist(), strict=True)):
        ends[x].append(k)
        ends[y].append(k)
    a, b = graph.a.copy(), graph.b.copy()
    xy = list(map(shapely.get_coordinates, graph.geom))
    alive = np.ones(len(a), bool)
    for v in np.flatnonzero(deg == 2):
        k, m = ends[v]
        same = graph.street[k] == graph.street[m] and graph.bridge[k] == graph.bridge[m]
        if k == m or not same:
            continue
        far = a[m] + b[m] - v
        if far in (a[k], b[k]):
            continue
        head = xy[k] if b[k] == v else xy[k][::-1]
        tail = xy[m] if a[m] == v else xy[m][::-1]
        a[k], b[k] = (a[k] if b[k] == v else b[k]), far
        xy[k] = np.r_[head, tail[1:]]
        alive[m] = False
        ends[far][ends[far].index(m)] = k
    graph.a, graph.b, graph.geom = a, b, np.array([shapely.LineString(c) for c in xy])
    return graph.select(alive)
