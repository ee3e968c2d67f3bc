"""How far it is, along the streets, from every address to the nearest facility, and who lives beyond a limit.

A position is on an edge, not at a node. The distance between two positions is the length of the shortest path along
edges between them; the straight bit from a door to its street is no part of it (`Positions.gap` tells it). Walking
ignores one-way streets; driving honours them. What cannot be reached has distance NaN, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from shapely.ops import substring

from gis.analysis.road_graph import BACKWARD, FORWARD, Positions, RoadGraph

AT_NODE_M = 1e-6
"""A position this near to an end of its edge is at the node: no one-way rule lies between them."""


@dataclass(frozen=True)
class Ways:
    """Which edges may be passed: (e,) masks for going from an edge's first to its last vertex, and back."""

    forward: np.ndarray
    backward: np.ndarray

    def turned(self) -> Ways:
        """The same ways run in the opposite sense."""
        return Ways(self.backward, self.forward)


def walking(graph: RoadGraph, closed: np.ndarray | None = None) -> Ways:
    """Every edge both ways, except those `closed` (e,) mask."""
    open_ = np.ones(graph.edges, dtype=bool) if closed is None else ~closed
    return Ways(open_, open_)


def driving(graph: RoadGraph, closed: np.ndarray | None = None) -> Ways:
    """One-way streets in their direction only, except those `closed` (e,) mask."""
    open_ = walking(graph, closed).forward
    return Ways(open_ & (graph.oneway != BACKWARD), open_ & (graph.oneway != FORWARD))


@dataclass(frozen=True)
class Reach:
    """What `spread` found from the facilities."""

    distance: np.ndarray
    """(n,) metres from each node to the nearest facility (or back); inf where none can be reached."""
    facility: np.ndarray
    """(n,) that facility, -1 where there is none."""


def spread(graph: RoadGraph, facilities: Positions, ways: Ways, limit: float = np.inf) -> Reach:
    """The nearest facility of every node, *going from the facilities*: one Dijkstra run for all of them.

    Each facility is a node of its own, joined to the ends of its edge by the rest of that edge. For distances *to* the
    facilities pass `ways.turned()`. Facilities on no edge (-1) reach nothing.
    """
    nodes, placed = len(graph.node_xy), np.flatnonzero(facilities.edge >= 0)
    if not len(placed) or not nodes:
        return Reach(np.full(nodes, np.inf), np.full(nodes, -1))
    edge, offset = facilities.edge[placed], facilities.offset[placed]
    own = nodes + np.arange(len(placed))
    ahead = ways.forward[edge] | (graph.length[edge] - offset <= AT_NODE_M)
    back = ways.backward[edge] | (offset <= AT_NODE_M)
    tail = [graph.edge_from[ways.forward], graph.edge_to[ways.backward], own[ahead], own[back]]
    head = [
        graph.edge_to[ways.forward],
        graph.edge_from[ways.backward],
        graph.edge_to[edge[ahead]],
        graph.edge_from[edge[back]],
    ]
    metres = [
        graph.length[ways.forward],
        graph.length[ways.backward],
        (graph.length[edge] - offset)[ahead],
        offset[back],
    ]
    matrix = _shortest_of_parallel(*map(np.concatenate, (tail, head, metres)), nodes + len(placed))
    distance, _, source = dijkstra(matrix, directed=True, indices=own, min_only=True, return_predecessors=True, limit=limit)
    source = np.where(np.isfinite(distance), source, nodes)[:nodes]
    facility = np.where(np.isfinite(distance[:nodes]), placed[np.clip(source - nodes, 0, len(placed) - 1)], -1)
    return Reach(distance[:nodes], facility)


def _shortest_of_parallel(tail, head, metres, size: int) -> csr_array:
    """The matrix of a multigraph: of edges between the same two nodes the shortest counts (scipy would add them up).

    A length of exactly 0 stays an edge, because the matrix stores it explicitly.
    """
    order = np.lexsort((metres, head, tail))
    tail, head, metres = tail[order], head[order], metres[order]
    first = np.ones(len(tail), dtype=bool)
    first[1:] = (tail[1:] != tail[:-1]) | (head[1:] != head[:-1])
    starts = np.concatenate([[0], np.cumsum(np.bincount(tail[first], minlength=size))])
    return csr_array((metres[first], head[first], starts), shape=(size, size))


@dataclass(frozen=True)
class Nearest:
    """For n positions: the nearest facility and how far it is."""

    distance: np.ndarray
    """(n,) metres along the streets; NaN where no facility can be reached."""
    facility: np.ndarray
    """(n,) that facility, -1 where none can be reached."""


def nearest(graph: RoadGraph, facilities: Positions, positions: Positions, ways: Ways, *, reach: Reach | None = None) -> Nearest:
    """The nearest facility of every position, going from the facilities (see `spread`).

    Three ways lead to a position: over the first node of its edge, over the last, or straight along the edge from a
    facility on the same edge. `reach`: the result of `spread` where it is known already.
    """
    reach = reach or spread(graph, facilities, ways)
    on = np.flatnonzero(positions.edge >= 0)
    edge, offset = positions.edge[on], positions.offset[on]
    tail, head = graph.edge_from[edge], graph.edge_to[edge]
    by_tail = np.where(ways.forward[edge] | (offset <= AT_NODE_M), reach.distance[tail] + offset, np.inf)
    rest = graph.length[edge] - offset
    by_head = np.where(ways.backward[edge] | (rest <= AT_NODE_M), reach.distance[head] + rest, np.inf)
    ahead, ahead_of = _along_edge(graph, facilities, edge, offset, ways.forward, before=True)
    back, back_of = _along_edge(graph, facilities, edge, offset, ways.backward, before=False)
    metres = np.stack([by_tail, by_head, ahead, back])
    owner = np.stack([reach.facility[tail], reach.facility[head], ahead_of, back_of])
    best = metres.argmin(axis=0), np.arange(len(on))
    distance, facility = np.full(len(positions), np.nan), np.full(len(positions), -1)
    found = np.isfinite(metres[best])
    distance[on[found]], facility[on[found]] = metres[best][found], owner[best][found]
    return Nearest(distance, facility)


def _along_edge(graph, facilities, edge, offset, allowed, *, before: bool) -> tuple[np.ndarray, np.ndarray]:
    """The next facility on the same edge, before (else after) each offset: metres to it and its number; inf, -1."""
    none = np.full(len(edge), np.inf), np.full(len(edge), -1)
    placed = np.flatnonzero(facilities.edge >= 0)
    if not len(placed):
        return none
    placed = placed[np.lexsort((facilities.offset[placed], facilities.edge[placed]))]
    origin = np.concatenate([[0], np.cumsum(graph.length + 1)])
    stations = origin[facilities.edge[placed]] + facilities.offset[placed]
    at = np.searchsorted(stations, origin[edge] + offset, side="right" if before else "left") - before
    inside = (at >= 0) & (at < len(placed))
    other = placed[np.clip(at, 0, len(placed) - 1)]
    metres = np.abs(offset - facilities.offset[other])
    same = inside & (facilities.edge[other] == edge) & (allowed[edge] | (metres <= AT_NODE_M))
    return np.where(same, metres, np.inf), np.where(same, other, -1)


def service_area(graph: RoadGraph, facilities: Positions, ways: Ways, limit: float, crs) -> gpd.GeoDataFrame:
    """The street lines within `limit` metres of a facility, going from the facilities; edges are cut at the limit.

    Columns: edge, road (row of the road), from_m, to_m (metres along the edge), whole (the entire edge), geometry.
    """
    reach = spread(graph, facilities, ways, limit)
    stretches = _stretches(graph, facilities, ways, reach, limit)
    lines = graph.lines(stretches["edge"].to_numpy())
    cut = np.flatnonzero(~stretches["whole"].to_numpy())
    spans = stretches[["from_m", "to_m"]].to_numpy()
    for row in cut:
        lines[row] = substring(lines[row], *spans[row])
    stretches["road"] = graph.road[stretches["edge"].to_numpy()]
    return gpd.GeoDataFrame(stretches, geometry=lines, crs=crs)


def _stretches(graph, facilities, ways, reach, limit) -> pd.DataFrame:
    """The reached stretches of edges, overlapping ones merged: edge, from_m, to_m, whole."""
    tail_left, head_left = limit - reach.distance[graph.edge_from], limit - reach.distance[graph.edge_to]
    by_tail, by_head = np.flatnonzero(ways.forward & (tail_left >= 0)), np.flatnonzero(ways.backward & (head_left >= 0))
    placed = np.flatnonzero(facilities.edge >= 0)
    edge, offset = facilities.edge[placed], facilities.offset[placed]
    ends = np.concatenate([by_tail, by_head, edge])
    low = [np.zeros(len(by_tail)), graph.length[by_head] - head_left[by_head], offset - limit * ways.backward[edge]]
    high = [tail_left[by_tail], graph.length[by_head], offset + limit * ways.forward[edge]]
    parts = pd.DataFrame({"edge": ends, "from_m": np.concatenate(low), "to_m": np.concatenate(high)})
    parts["from_m"] = parts["from_m"].clip(lower=0)
    parts["to_m"] = np.minimum(parts["to_m"], graph.length[parts["edge"]])
    parts = parts.sort_values(["edge", "from_m"], ignore_index=True)
    farthest = parts.groupby("edge")["to_m"].cummax()
    fresh = (parts["edge"] != parts["edge"].shift()) | (parts["from_m"] > farthest.shift())
    merged = parts.groupby(fresh.cumsum()).agg(edge=("edge", "first"), from_m=("from_m", "min"), to_m=("to_m", "max"))
    merged = merged[merged["to_m"] > merged["from_m"]].reset_index(drop=True)
    merged["whole"] = (merged["from_m"] <= 0) & (merged["to_m"] >= graph.length[merged["edge"]])
    return merged


def covered_share(distance: np.ndarray, limit: float, area: np.ndarray, people: pd.Series | None = None) -> pd.DataFrame:
    """Per area (its code in `area`, (n,), None or empty for none): addresses, covered (distance ≤ limit), share.

    people: inhabitants by area code; they are taken as spread evenly over the area's addresses, which gives people and
    people_covered (rounded; NaN where the area has no figure). Index: the area code, sorted; an area without address is
    absent.
    """
    known = pd.Series(area).fillna("").to_numpy(dtype=object)
    frame = pd.DataFrame({"area": known, "covered": np.asarray(distance) <= limit})
    table = frame.groupby("area", sort=True)["covered"].agg(addresses="size", covered="sum")
    table["share"] = table["covered"] / table["addresses"]
    table["people"] = np.nan if people is None else people.reindex(table.index).astype(float)
    table["people_covered"] = (table["people"] * table["share"]).round()
    return table
