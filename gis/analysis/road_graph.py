"""The road graph as arrays: edges with their geometry, nodes, connected parts; and positions *on* edges, not at nodes.

Edges meet only at nodes. Where every road names its nodes (`from_node`, `to_node`), those names alone decide: a bridge
that crosses a street without a common node does not meet it. Where names are missing, roads meet where they share a
vertex (to 1 mm) on the same level, as OpenStreetMap draws them; a mere crossing of lines joins nothing.

All coordinates are in a metric, projected CRS; all lengths in metres.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from gis.analysis.mapped import mapped

SAME_PLACE_M = 0.001
"""Vertices nearer than this are one place where roads name no nodes."""

BOTH, FORWARD, BACKWARD = 0, 1, 2


@dataclass(frozen=True)
class RoadGraph:
    """n nodes, e edges, v vertices. Every field is an array that may be memory-mapped."""

    node_xy: np.ndarray
    """(n, 2) metres."""
    part: np.ndarray
    """(n,) number of the connected part, 0 is the one with the most edge length."""
    edge_from: np.ndarray
    """(e,) node at the first vertex."""
    edge_to: np.ndarray
    """(e,) node at the last vertex."""
    length: np.ndarray
    """(e,) metres along the geometry, in two dimensions."""
    oneway: np.ndarray
    """(e,) BOTH, FORWARD or BACKWARD."""
    road: np.ndarray
    """(e,) row of the road that the edge is a piece of."""
    start: np.ndarray
    """(e + 1,) first vertex of each edge in `vertices`."""
    vertices: np.ndarray
    """(v, 2) metres."""

    @property
    def edges(self) -> int:
        return len(self.length)

    @property
    def in_largest_part(self) -> np.ndarray:
        """(e,) whether the edge lies in the largest connected part."""
        return self.part[self.edge_from] == 0

    def lines(self, which: np.ndarray | slice = slice(None)) -> np.ndarray:
        """The geometries of edges as shapely LineStrings."""
        rows = np.arange(self.edges)[which]
        counts = np.diff(self.start)[rows]
        first = np.repeat(self.start[rows] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        picked = self.vertices[np.arange(counts.sum()) + first] if len(rows) else np.empty((0, 2))
        return shapely.linestrings(picked, indices=np.repeat(np.arange(len(rows)), counts))

    def save(self, folder: Path) -> None:
        """Each array as one .npy file in an existing folder."""
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))

    @classmethod
    def load(cls, folder: Path) -> RoadGraph:
        """The graph of `save`, memory-mapped: processes share its pages."""
        return cls(**{field.name: mapped(folder / f"{field.name}.npy") for field in fields(cls)})


@dataclass(frozen=True)
class Positions:
    """n positions on edges."""

    edge: np.ndarray
    """(n,) edge, -1 where no edge is near enough."""
    offset: np.ndarray
    """(n,) metres from the edge's first vertex along it; NaN where there is no edge."""
    gap: np.ndarray
    """(n,) metres from the point to its position in a straight line; NaN where there is no edge."""

    def __len__(self) -> int:
        return len(self.edge)

    def take(self, which) -> Positions:
        return Positions(self.edge[which], self.offset[which], self.gap[which])


def build(roads: gpd.GeoDataFrame) -> RoadGraph:
    """The graph of roads: LineStrings in a projected CRS, optionally with columns from_node, to_node, level and oneway
    (both, forward, backward or null). Rows without a geometry or of no length are left out; `road` numbers the rows as
    given.
    """
    lines = shapely.force_2d(roads.geometry.to_numpy())
    whole = ~(shapely.is_missing(lines) | shapely.is_empty(lines)) & (shapely.length(lines) > 0)
    rows, lines = np.flatnonzero(whole), lines[whole]
    names = [roads[column].to_numpy(dtype=object)[whole] for column in ("from_node", "to_node") if column in roads]
    if len(names) == 2 and not any(pd.isna(column).any() for column in names):
        edge_from, edge_to = np.split(pd.factorize(np.concatenate(names))[0], 2)
    else:
        lines, edge_from, edge_to, piece_of = _joined_at_vertices(lines, _levels(roads)[whole])
        rows = rows[piece_of]
    return _assembled(lines, edge_from, edge_to, _oneway(roads)[rows], rows)


def _levels(roads: gpd.GeoDataFrame) -> np.ndarray:
    if "level" not in roads:
        return np.zeros(len(roads), dtype=np.int64)
    return pd.to_numeric(roads["level"]).fillna(0).to_numpy().astype(np.int64)


def _oneway(roads: gpd.GeoDataFrame) -> np.ndarray:
    if "oneway" not in roads:
        return np.zeros(len(roads), dtype=np.int8)
    return roads["oneway"].map({"forward": FORWARD, "backward": BACKWARD}).fillna(BOTH).to_numpy().astype(np.int8)


def _joined_at_vertices(lines: np.ndarray, level: np.ndarray):
    """Lines cut where they share a vertex of the same level with another line, and the nodes of the pieces.

    An end joins what it touches on any level (a ramp); an interior vertex only what is on its own level.
    Returns pieces, from node, to node, and the line that each is a piece of.
    """
    xy, line = shapely.get_coordinates(lines, return_index=True)
    is_end = np.ones(len(xy), dtype=bool)
    is_end[1:-1] = (line[1:-1] != line[:-2]) | (line[1:-1] != line[2:])
    place = np.unique(np.round(xy / SAME_PLACE_M).astype(np.int64), axis=0, return_inverse=True)[1].ravel()
    by_level = np.unique(np.column_stack([place, level[line]]), axis=0, return_inverse=True)[1].ravel()
    uses = np.bincount(by_level)[by_level]
    ended = np.zeros(place.max(initial=-1) + 1, dtype=bool)
    ended[place[is_end]] = True
    cut = is_end | (uses > 1) | (ended[place] & ~is_end)
    node = _nodes_of(place, by_level, is_end)
    stops = np.flatnonzero(cut)
    keep = line[stops[:-1]] == line[stops[1:]]
    first, last = stops[:-1][keep], stops[1:][keep]
    counts = last - first + 1
    picked = np.arange(counts.sum()) + np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    pieces = shapely.linestrings(xy[picked], indices=np.repeat(np.arange(len(first)), counts))
    long = shapely.length(pieces) > 0
    return pieces[long], node[first][long], node[last][long], line[first][long]


def _nodes_of(place: np.ndarray, by_level: np.ndarray, is_end: np.ndarray) -> np.ndarray:
    """(v,) node of each vertex: one per place and level, those of a place made one by any end that lies there."""
    joined = np.zeros(place.max(initial=-1) + 1, dtype=bool)
    joined[place[is_end]] = True
    key = np.where(joined[place], place, by_level + place.max(initial=-1) + 1)
    return np.unique(key, return_inverse=True)[1].ravel()


def _assembled(lines, edge_from, edge_to, oneway, road) -> RoadGraph:
    """Numbers the nodes that edges use, finds their positions and the connected parts."""
    edges = len(lines)
    used, packed = np.unique(np.concatenate([edge_from, edge_to]), return_inverse=True)
    edge_from, edge_to = (half.astype(np.int32) for half in np.split(packed.ravel(), 2))
    node_xy = np.empty((len(used), 2))
    node_xy[edge_to] = shapely.get_coordinates(shapely.get_point(lines, -1)) if edges else np.empty((0, 2))
    node_xy[edge_from] = shapely.get_coordinates(shapely.get_point(lines, 0)) if edges else np.empty((0, 2))
    length = shapely.length(lines)
    start = np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(lines))]).astype(np.int64)
    return RoadGraph(
        node_xy=node_xy,
        part=_parts(len(used), edge_from, edge_to, length),
        edge_from=edge_from,
        edge_to=edge_to,
        length=length,
        oneway=np.asarray(oneway, dtype=np.int8),
        road=np.asarray(road, dtype=np.int32),
        start=start,
        vertices=shapely.get_coordinates(lines),
    )


def _parts(nodes: int, edge_from, edge_to, length) -> np.ndarray:
    """(n,) connected part of each node, numbered by falling length of their edges."""
    if not nodes:
        return np.empty(0, dtype=np.int32)
    adjacency = csr_array((np.ones(len(edge_from)), (edge_from, edge_to)), shape=(nodes, nodes))
    count, label = connected_components(adjacency, directed=False)
    order = np.argsort(-np.bincount(label[edge_from], weights=length, minlength=count), kind="stable")
    rank = np.empty(count, dtype=np.int32)
    rank[order] = np.arange(count)
    return rank[label]


@dataclass(frozen=True)
class _Pieces:
    """Straight pieces of edges, none longer than PIECE_M: start and end (p, 2), edge (p,), offset of the start (p,)."""

    start: np.ndarray
    end: np.ndarray
    edge: np.ndarray
    offset: np.ndarray

    def nearest(self, xy: np.ndarray, piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(…,) metres from points to pieces, and metres from each piece's start to the foot; xy (…, 2), piece (…,)."""
        start, along = self.start[piece], self.end[piece] - self.start[piece]
        size = np.hypot(along[..., 0], along[..., 1])
        foot = np.clip(((xy - start) * along).sum(axis=-1) / np.where(size > 0, size, 1), 0, size)
        away = start + along * (foot / np.where(size > 0, size, 1))[..., None] - xy
        return np.hypot(away[..., 0], away[..., 1]), foot


PIECE_M = 25.0


def _pieces(graph: RoadGraph, edges: np.ndarray) -> _Pieces:
    counts = np.diff(graph.start)
    edge_of = np.repeat(np.arange(graph.edges), counts)
    inner = np.flatnonzero(edge_of[:-1] == edge_of[1:])
    inner = inner[edges[edge_of[inner]]]
    a, b = graph.vertices[inner], graph.vertices[inner + 1]
    size = np.hypot(*(b - a).T)
    before = np.cumsum(size) - size
    heads = np.flatnonzero(np.diff(edge_of[inner], prepend=-1))
    before -= np.repeat(before[heads], np.diff(np.append(heads, len(inner))))
    parts = np.maximum(np.ceil(size / PIECE_M), 1).astype(np.int64)
    segment = np.repeat(np.arange(len(inner)), parts)
    number = np.arange(len(segment)) - np.repeat(np.cumsum(parts) - parts, parts)
    low, high = number / parts[segment], (number + 1) / parts[segment]
    along = (b - a)[segment]
    return _Pieces(
        start=a[segment] + along * low[:, None],
        end=a[segment] + along * high[:, None],
        edge=edge_of[inner][segment],
        offset=before[segment] + size[segment] * low,
    )


def snap(graph: RoadGraph, xy: np.ndarray, max_distance: float, *, among: np.ndarray | None = None) -> Positions:
    """The nearest position on an edge for each point.

    xy: (n, 2) metres in the graph's CRS; max_distance: metres beyond which a point is on no road (edge -1), never "0 m
    away". among: (e,) mask of the edges that may be used, for example those of the largest part.
    """
    xy = np.asarray(xy, dtype=float).reshape(-1, 2)
    edge = np.full(len(xy), -1, dtype=np.int32)
    offset, gap = np.full(len(xy), np.nan), np.full(len(xy), np.nan)
    todo = np.flatnonzero(np.isfinite(xy).all(axis=1))
    pieces = _pieces(graph, np.ones(graph.edges, dtype=bool) if among is None else among)
    if not len(todo) or not len(pieces.edge):
        return Positions(edge, offset, gap)
    tree = cKDTree((pieces.start + pieces.end) / 2)
    for count in (6, 32, 256, 4096, len(pieces.edge)):
        todo = _snap_round(graph, pieces, tree, min(count, len(pieces.edge)), xy, todo, max_distance, edge, offset, gap)
        if not len(todo):
            break
    return Positions(edge, offset, gap)


def _snap_round(graph, pieces, tree, count, xy, todo, max_distance, edge, offset, gap) -> np.ndarray:
    """Decides the points that the `count` nearest piece middles decide beyond doubt; returns those left open.

    A piece at distance d has its middle within d + PIECE_M / 2: once the farthest middle looked at lies beyond that, no
    piece unseen can be nearer.
    """
    chunk = max(1, 4_000_000 // count)
    left = []
    for rows in np.array_split(todo, -(-len(todo) // chunk)):
        reach, piece = tree.query(xy[rows], k=np.arange(1, count + 1), workers=-1)
        distance, foot = pieces.nearest(xy[rows][:, None, :], piece)
        best = distance.argmin(axis=1)
        pick = np.arange(len(rows)), best
        sure = (reach[:, -1] >= np.minimum(distance[pick], max_distance) + PIECE_M / 2) | (count == len(pieces.edge))
        near = sure & (distance[pick] <= max_distance)
        rows_near, chosen = rows[near], piece[pick][near]
        edge[rows_near] = pieces.edge[chosen]
        gap[rows_near] = distance[pick][near]
        offset[rows_near] = np.minimum(pieces.offset[chosen] + foot[pick][near], graph.length[pieces.edge[chosen]])
        left.append(rows[~sure])
    return np.concatenate(left)
