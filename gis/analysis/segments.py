"""Segments: what is left in one piece when every isolation valve, open or closed, and every directed device is taken out.

Linear in the network and without a loop over pipes: each pipe end that nothing stands at is contracted, and SciPy labels the
connected components. Between the segments stand the *edges*: isolation valves and directed devices, each under its own id, so
that parallel valves stay apart. A valve at a junction stands between all arms of that junction: it has one edge from each arm to
the junction itself. The states of the valves play no part here: a valve that is turned changes nothing in this table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gis.analysis.network import AS_LINK, AT_JUNCTION, AT_PIPE_END, Network, distinct, grouped, offsets


@dataclass(frozen=True)
class Segments:
    """The partition and what bounds it. Compressed tables come in pairs: `x_at` (offsets per row) and `x` (entries).

    of_node, of_pipe, of_source: segment of each element. edge_*: from segment a to segment b, the valve on it (ascending),
    whether water passes from a to b only.
    half: per segment its edges. side: per valve the segments on its sides. `real`: the segment has a pipe or a free junction;
    the others are the stubs between two devices in a row and the bodies of valves at junctions.
    """

    of_node: np.ndarray
    of_pipe: np.ndarray
    of_source: np.ndarray
    edge_a: np.ndarray
    edge_b: np.ndarray
    edge_valve: np.ndarray
    edge_directed: np.ndarray
    half_at: np.ndarray
    half: np.ndarray
    side_at: np.ndarray
    side: np.ndarray
    pipe_at: np.ndarray
    pipe: np.ndarray
    node_at: np.ndarray
    node: np.ndarray
    source_at: np.ndarray
    source: np.ndarray
    real: np.ndarray
    bypassed: np.ndarray

    @property
    def count(self) -> int:
        return len(self.real)


@dataclass
class _Drawing:
    """The network on its way to segments: vertices 0..n-1 are the nodes, more are added; edges are between vertices."""

    size: int
    edges: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]

    def vertices(self, wanted: np.ndarray) -> np.ndarray:
        """A new vertex for each True of `wanted`, -1 elsewhere."""
        made = np.where(wanted, self.size + np.cumsum(wanted) - 1, -1).astype(np.int64)
        self.size += int(wanted.sum())
        return made

    def edge(self, a, b, valve, directed) -> None:
        self.edges.append((np.asarray(a), np.asarray(b), np.asarray(valve), np.broadcast_to(directed, np.shape(valve))))


def segments(network: Network) -> Segments:
    """The segments of a network: O(pipes + valves)."""
    count, label, anchor, drawing, source_vertex = components(network)
    a, b, valve, directed = (np.concatenate([e[k] for e in drawing.edges]) for k in range(4))
    by_valve = grouped(valve, network.n_valves)[1]  # so that the edges of a valve are found by binary search
    a, b, valve, directed = a[by_valve], b[by_valve], valve[by_valve], directed[by_valve]
    a, b = label[a], label[b]
    of_node, of_pipe = label[: network.n_nodes], label[anchor]
    center = np.zeros(network.n_nodes, bool)
    center[network.valve_node[_junction_valves(network)]] = True
    real = np.zeros(count, bool)
    real[of_pipe] = True
    real[of_node[~center]] = True
    kept = a != b
    side_valve, side = _sides(network, a, b, valve, center, of_node)
    side_at = offsets(side_valve, network.n_valves)
    standing = np.zeros(network.n_valves, bool)
    standing[valve] = True
    bypassed = np.flatnonzero(standing & (np.diff(side_at) < 2))
    a, b, valve, directed = (
        a[kept].astype(np.int32),
        b[kept].astype(np.int32),
        valve[kept].astype(np.int32),
        directed[kept],
    )
    half_at, half = grouped(np.concatenate((a, b)), count)
    of_source = label[source_vertex]
    tables = {}
    for name, members in (("pipe", of_pipe), ("node", of_node), ("source", of_source)):
        tables[f"{name}_at"], tables[name] = grouped(members, count)
    return Segments(
        of_node=of_node, of_pipe=of_pipe, of_source=of_source, edge_a=a, edge_b=b, edge_valve=valve, edge_directed=directed,
        half_at=half_at, half=(half % max(len(a), 1)).astype(np.int32), side_at=side_at, side=side, real=real,
        bypassed=bypassed.astype(np.int32), **tables,
    )  # fmt: skip


def _junction_valves(network: Network) -> np.ndarray:
    return (network.valve_place == AT_JUNCTION) & network.valve_isolating & ~network.valve_directed


@dataclass(frozen=True)
class Labels:
    """The pieces of the network: their number, the piece of each vertex (nodes, then loose pipe ends), per span (pipes, then plain
    links) the vertices at its start and end, per end (start and end of each span in turn) whether something stands there, and the
    spans cut at both ends (`alone`): each is a piece of its own, numbered after the others in order."""

    count: int
    of_vertex: np.ndarray
    start: np.ndarray
    end: np.ndarray
    cut: np.ndarray
    alone: np.ndarray

    @property
    def of_span(self) -> np.ndarray:
        """The piece of each span."""
        found = self.of_vertex.take(self.start)
        turned = np.flatnonzero((_both(self.cut) & 1) != 0)
        found[turned] = self.of_vertex.take(self.end.take(turned))
        found[self.alone] = self.count - len(self.alone) + np.arange(len(self.alone), dtype=found.dtype)
        return found


def _both(cut: np.ndarray) -> np.ndarray:
    """The two flags of each span as one number: 1 at its start, 256 at its end; one pass instead of two over every other byte."""
    return cut.view("<u2")


def labels(network: Network) -> Labels:
    """The segments as labels, nothing else: every pipe end at which nothing stands is contracted, and SciPy labels what hangs
    together. This is what a bare SciPy call on the contracted arrays does, for all placements of valves."""
    cutting = network.valve_isolating | network.valve_directed
    plain = np.flatnonzero((network.valve_place == AS_LINK) & ~cutting)
    start, end = network.pipe_from, network.pipe_to
    if len(plain):
        start, end = np.concatenate((start, network.valve_node[plain])), np.concatenate((end, network.valve_to[plain]))
    size = network.n_nodes
    if len(start) and min(start.min(), end.min()) < 0:
        start, end, size = _loose_ends(start, end, size)
    cut = np.zeros(2 * len(start), np.uint8)
    cut[network.valve_end[(network.valve_place == AT_PIPE_END) & cutting]] = 1
    junction = _junction_valves(network)
    if junction.any():
        center = np.zeros(size, bool)
        center[network.valve_node[junction]] = True
        cut[0::2] |= center[start]
        cut[1::2] |= center[end]
    both = _both(cut)
    through = np.flatnonzero(both == 0)
    one, other = start.take(through), end.take(through)
    # from the lower vertex to the higher: SciPy walks such a matrix and its transpose with fewer jumps through memory
    lower, higher = np.minimum(one, other), np.maximum(one, other, out=other)
    pairs = coo_matrix((np.ones(len(through), np.int8), (lower, higher)), shape=(size, size))
    pairs.has_canonical_format = True  # the same pair twice is as good as once: nothing to add up
    count, of_vertex = connected_components(pairs.tocsr(), directed=False)
    alone = np.flatnonzero(both == _BOTH_CUT)
    return Labels(count + len(alone), of_vertex, start, end, cut, alone)


_BOTH_CUT = 0x0101


def _loose_ends(start: np.ndarray, end: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The ends of the spans with a vertex of its own for each end that names none, and how many vertices there are then."""
    ends = np.column_stack((start, end))
    loose = ends < 0
    ends[loose] = size + np.arange(loose.sum())
    return ends[:, 0].copy(), ends[:, 1].copy(), size + int(loose.sum())


def span_segment(network: Network, link: int) -> int:
    """The segment in which a plain link (index of its valve) lies; where a valve stands at a junction at its end, that is not the
    junction's. O(pipes): labelled anew, because only a burst at such a link asks."""
    plain = np.flatnonzero((network.valve_place == AS_LINK) & ~(network.valve_isolating | network.valve_directed))
    return int(labels(network).of_span[network.n_pipes + np.searchsorted(plain, link)])


def components(network: Network) -> tuple[int, np.ndarray, np.ndarray, _Drawing, np.ndarray]:
    """The number of segments, the label of each vertex, the vertex that stands for each pipe, the drawing, the sources' vertices.

    The vertices after those of the labels are, in this order, the spans that are pieces of their own and the gaps between two
    devices: each a piece for itself, since nothing is joined to it."""
    found = labels(network)
    size = len(found.of_vertex)
    drawing = _Drawing(size + len(found.alone), [])
    anchor = np.where(_both(found.cut) & 1, found.end, found.start).astype(np.int64)
    anchor[found.alone] = size + np.arange(len(found.alone))
    center = np.zeros(size, bool)
    center[network.valve_node[_junction_valves(network)]] = True
    _end_edges(network, drawing, found, anchor, center)
    cutting = network.valve_isolating | network.valve_directed
    _link_edges(network, drawing, np.flatnonzero((network.valve_place == AS_LINK) & cutting), center)
    source_vertex = _source_edges(network, drawing, center)
    base = found.count - len(found.alone)
    label = np.concatenate((found.of_vertex, base + np.arange(drawing.size - size, dtype=np.int32)))
    return base + drawing.size - size, label, anchor[: network.n_pipes], drawing, source_vertex


def _end_edges(network: Network, drawing: _Drawing, found: Labels, anchor: np.ndarray, center: np.ndarray) -> None:
    """The devices at pipe ends, in a row from the pipe to the junction: isolation valves, directed devices, valve at the junction.

    Several isolation valves at one end are parallel, each under its id; so are several directed devices. Only the ends at which
    something stands are looked at: `site` says which of them each end is.
    """
    sites = np.flatnonzero(found.cut)
    site = np.full(found.cut.size, -1, np.int32)
    site[sites] = np.arange(len(sites))
    span = sites // 2
    inner, outer = anchor[span], np.where(sites % 2, found.end[span], found.start[span]).astype(np.int64)
    here = (network.valve_place == AT_PIPE_END) & (network.valve_isolating | network.valve_directed)
    valves, devices = np.flatnonzero(here & ~network.valve_directed), np.flatnonzero(here & network.valve_directed)
    valve_at, device_at = site[network.valve_end[valves]], site[network.valve_end[devices]]
    valve_here, device_here, arm_here = np.zeros(len(sites), bool), np.zeros(len(sites), bool), center[outer]
    valve_here[valve_at], device_here[device_at] = True, True
    after_valve = drawing.vertices(valve_here & (device_here | arm_here))
    after_device = drawing.vertices(device_here & arm_here)
    beyond_valve = np.where(after_valve >= 0, after_valve, outer)
    before_device = np.where(valve_here, beyond_valve, inner)
    beyond_device = np.where(after_device >= 0, after_device, outer)
    drawing.edge(inner[valve_at], beyond_valve[valve_at], valves, False)
    inward = network.valve_inward[devices]
    near, far = before_device[device_at], beyond_device[device_at]
    drawing.edge(np.where(inward, far, near), np.where(inward, near, far), devices, True)
    innermost = np.where(device_here, beyond_device, before_device)
    _arm_edges(network, drawing, outer[arm_here], innermost[arm_here])


def _arm_edges(network: Network, drawing: _Drawing, node: np.ndarray, vertex: np.ndarray) -> None:
    """One edge from each arm (vertex) of a junction (node) to the junction, for every valve that stands there."""
    valves = np.flatnonzero(_junction_valves(network))
    order = valves[np.argsort(network.valve_node[valves], kind="stable")]
    first = np.searchsorted(network.valve_node[order], node, side="left")
    many = np.searchsorted(network.valve_node[order], node, side="right") - first
    arm = np.repeat(np.arange(len(node)), many)
    nth = np.arange(len(arm)) - np.repeat(np.cumsum(many) - many, many)
    drawing.edge(vertex[arm], node[arm], order[first[arm] + nth], False)


def _link_edges(network: Network, drawing: _Drawing, links: np.ndarray, center: np.ndarray) -> None:
    """Isolation valves and directed devices that are links: from start to end, through a stub where a valve stands at the junction."""
    ends = []
    for node in (network.valve_node[links].astype(np.int64), network.valve_to[links].astype(np.int64)):
        stub = drawing.vertices(center[node])
        _arm_edges(network, drawing, node[stub >= 0], stub[stub >= 0])
        ends.append(np.where(stub >= 0, stub, node))
    drawing.edge(ends[0], ends[1], links, network.valve_directed[links])


def _source_edges(network: Network, drawing: _Drawing, center: np.ndarray) -> np.ndarray:
    """The vertex of each source; a source at a junction with a valve is one more arm of it."""
    node = network.source_node.astype(np.int64)
    stub = drawing.vertices(center[node])
    _arm_edges(network, drawing, node[stub >= 0], stub[stub >= 0])
    return np.where(stub >= 0, stub, node)


def _sides(network, a, b, valve, center, of_node) -> tuple[np.ndarray, np.ndarray]:
    """(valve, segment) pairs, each once, sorted: the arms of a valve at a junction, both sides of any other."""
    two_sided = ~_junction_valves(network)[valve] if len(valve) else np.zeros(0, bool)
    pair_valve = np.concatenate((valve, valve[two_sided])).astype(np.int64)
    pair_side = np.concatenate((a, b[two_sided])).astype(np.int64)
    size = max(int(pair_side.max(initial=0)) + 1, 1)
    pairs = distinct(pair_valve * size + pair_side)
    return pairs // size, (pairs % size).astype(np.int32)
