"""Isolation of a burst: which valves to close, what loses water, what else is cut off behind it, what could feed it.

Definitions: the region R of a burst is its segment and every segment from which water can reach it through directed devices
or through open valves that cannot be closed, and so on backwards. Border valves stand between R and the rest. To close are
those whose other side is still fed when R is taken out; the other open ones are optional (they only stop drain-back).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from gis.analysis.cutoff import Cutoff, cutoff
from gis.analysis.feed import Feed, feed, lost
from gis.analysis.network import AS_LINK, Network, States, grouped, ranges
from gis.analysis.segments import Segments, segments, span_segment

_INSIDE, _LOST = 1, 2


@dataclass(frozen=True)
class Isolation:
    """The answer in indices. region, lost: segments in R, and fed segments outside R that no source reaches without R; beside:
    further segments that go dry because a valve to close stands between more than two arms of a junction.
    close is in the order of closing; the other valves and the sources are sorted."""

    region: np.ndarray
    lost: np.ndarray
    beside: np.ndarray
    close: np.ndarray
    optional: np.ndarray
    already_closed: np.ndarray
    stuck: np.ndarray
    sources_to_shut: np.ndarray
    feeds_to_open: np.ndarray

    @property
    def isolated(self) -> bool:
        return len(self.sources_to_shut) == 0


@dataclass(frozen=True)
class Closure:
    """What closing some valves does, in indices: fed segments that lose water, valves that were closed already, valves that
    cannot be closed, and closed valves that could feed the dry part."""

    lost: np.ndarray
    already_closed: np.ndarray
    stuck: np.ndarray
    feeds_to_open: np.ndarray


def _leaks(network: Network, part: Segments, states: States) -> tuple[np.ndarray, np.ndarray]:
    """Per segment the segments from which water reaches it through open devices and valves that cannot be closed."""
    valve = part.edge_valve
    edges = np.flatnonzero(states.open[valve] & ~(network.valve_isolating[valve] & states.usable[valve]))
    back = edges[~part.edge_directed[edges]]
    target = np.concatenate((part.edge_b[edges], part.edge_a[back]))
    origin = np.concatenate((part.edge_a[edges], part.edge_b[back]))
    at, order = grouped(target, part.count)
    return at, origin[order]


@dataclass(frozen=True)
class Engine:
    """A network ready to answer: its topology, the states of its valves and the feed that follows from them.

    standing: the closed isolation valves and their sides, as pairs. leaks: per segment (offsets, entries) the segments from which
    water comes in through what cannot be closed: directed devices and open valves that do not turn.
    `with_states` answers for other states of the valves without building the segments again.
    """

    network: Network
    segments: Segments
    states: States
    feed: Feed
    standing: tuple[np.ndarray, np.ndarray] = field(repr=False)
    leaks: tuple[np.ndarray, np.ndarray] = field(repr=False)
    cutoff: Cutoff | None = field(default=None, repr=False)

    @classmethod
    def built(
        cls, network: Network, states: States, partition: Segments | None = None, supply: Feed | None = None, tree: Cutoff | None = None
    ) -> Engine:
        """The engine of a network; `partition`, `supply` and `tree` when they are known already. Without the tree the answers are the
        same, and those near a source take longer."""
        partition = partition or segments(network)
        supply = supply or feed(network, partition, states)
        closed = np.flatnonzero(~states.open & network.valve_isolating)
        rows = ranges(partition.side_at[closed], partition.side_at[closed + 1])
        owner = np.repeat(closed, partition.side_at[closed + 1] - partition.side_at[closed])
        return cls(network, partition, states, supply, (owner, partition.side[rows]), _leaks(network, partition, states), tree)

    def with_states(self, states: States) -> Engine:
        """The same network with its valves in other states."""
        return Engine.built(self.network, states, self.segments)

    def with_tree(self) -> Engine:
        """The same engine with the tree of what each segment cuts off."""
        return self if self.cutoff is not None else replace(self, cutoff=cutoff(self.network, self.segments, self.states))

    def segments_at_node(self, node: int) -> np.ndarray:
        """The segments that touch a junction: its own, and where a valve stands at it those of all its arms."""
        own = int(self.segments.of_node[node])
        if self.segments.real[own]:
            return np.array([own])
        edges = self._edges(own)
        return np.unique(np.concatenate(([own], self.segments.edge_a[edges], self.segments.edge_b[edges]))).astype(np.int64)

    def segments_at_valve(self, valve: int) -> np.ndarray:
        """The segments on the sides of a valve or device; of one that joins its ends, the segment it lies in."""
        sides = self.segments.side[self.segments.side_at[valve] : self.segments.side_at[valve + 1]]
        if len(sides):
            return sides.astype(np.int64)
        end = int(self.network.valve_end[valve])
        if end >= 0:
            return self.segments.of_pipe[[end // 2]].astype(np.int64)
        if self.network.valve_place[valve] == AS_LINK:
            return np.array([span_segment(self.network, valve)], np.int64)
        return self.segments_at_node(int(self.network.valve_node[valve]))

    def burst(self, start: np.ndarray, stuck: np.ndarray = (), burst_valve: int = -1) -> Isolation:
        """The isolation of a burst in these segments; `stuck`: valves (indices) that cannot be turned beside those known to be
        unusable; `burst_valve`: the valve that itself has burst, which is none of the answer's valves."""
        stuck = frozenset(int(v) for v in stuck)
        region = self.region(start, stuck, burst_valve)
        dry = self.lost(region)
        mark = np.zeros(self.segments.count, np.int8)
        mark[region], mark[dry] = _INSIDE, _LOST
        close, optional, closed, jammed = self._border(region, mark, stuck, burst_valve)
        sources = np.sort(self.segments.source[ranges(self.segments.source_at[region], self.segments.source_at[region + 1])])
        feeds = self._feeds(mark, stuck, dry, np.array([burst_valve]))
        beside = self._beside(region, dry, close)
        return Isolation(region, dry, beside, self._closing_order(close, mark), optional, closed, jammed, sources, feeds)

    def lost(self, region: np.ndarray) -> np.ndarray:
        """The segments outside a region (sorted) that lose all water when it is taken out; sorted."""
        known = self.cutoff.lost(region) if self.cutoff is not None and len(region) else None
        return lost(self.feed, region, np.zeros(0, np.int64)) if known is None else known

    def region(self, start: np.ndarray, stuck: frozenset[int] = frozenset(), burst_valve: int = -1) -> np.ndarray:
        """R: the segments from which water still reaches the burst when every usable valve around them is closed; sorted."""
        jammed: dict[int, list[int]] = {}
        for a, b, directed in self._edges_that_jam(stuck | {burst_valve} - {-1}):
            jammed.setdefault(b, []).append(a)
            if not directed:
                jammed.setdefault(a, []).append(b)
        origin_at, origin = self.leaks
        inside = {int(s) for s in start}
        queue = list(inside)
        while queue:
            here = queue.pop()
            for there in (*origin[origin_at[here] : origin_at[here + 1]].tolist(), *jammed.get(here, ())):
                if there not in inside:
                    inside.add(there)
                    queue.append(there)
        return np.array(sorted(inside), np.int64)

    def _edges_that_jam(self, stuck: frozenset[int]) -> Iterable[tuple[int, int, bool]]:
        """The open edges (from, to, one way only) of valves that do not turn."""
        valves = np.array([v for v in stuck if self.states.open[v]], np.int64)
        if not len(valves):
            return ()
        part = self.segments
        edges = ranges(np.searchsorted(part.edge_valve, valves), np.searchsorted(part.edge_valve, valves, side="right"))
        return zip(part.edge_a[edges].tolist(), part.edge_b[edges].tolist(), part.edge_directed[edges].tolist(), strict=True)

    def close(self, valves: np.ndarray) -> Closure:
        """What closing these valves (indices) cuts off. Valves that are closed or cannot be turned stay as they are."""
        valves = np.unique(np.asarray(valves, np.int64))
        is_open, usable = self.states.open[valves], self.states.usable[valves] & self.network.valve_isolating[valves]
        shut = valves[is_open & usable]
        dry = lost(self.feed, np.zeros(0, np.int64), shut)
        mark = np.zeros(self.segments.count, np.int8)
        mark[dry] = _LOST
        feeds = self._feeds(mark, frozenset(), dry, valves)
        return Closure(dry, valves[~is_open], valves[is_open & ~usable], feeds)

    @cached_property
    def with_source(self) -> np.ndarray:
        """Per segment, whether it hangs together with a source at all, whatever the valves' states: where it does not, the data
        do not know what feeds it."""
        part = self.segments
        graph = csr_matrix((np.ones(len(part.edge_a)), (part.edge_a, part.edge_b)), shape=(part.count, part.count))
        group = connected_components(graph, directed=False)[1]
        return np.isin(group, group[part.of_source])

    def bypassed(self, region: np.ndarray) -> np.ndarray:
        """The isolation valves in these segments that close nothing, because both their sides are in one segment; sorted."""
        valves = self.segments.bypassed
        if not len(valves):
            return valves
        own = self.segments.side[self.segments.side_at[valves]]
        return valves[np.isin(own, region) & self.network.valve_isolating[valves]]

    def segment_name(self, segment: int) -> str:
        """The id of a segment: its first pipe, or where it has none `@` and its first junction. It changes only with its content."""
        part = self.segments
        if part.pipe_at[segment] < part.pipe_at[segment + 1]:
            return self.network.pipe_id[part.pipe[part.pipe_at[segment]]].decode()
        return "@" + self.network.node_id[part.node[part.node_at[segment]]].decode()

    def _edges(self, segment: int) -> np.ndarray:
        return self.segments.half[self.segments.half_at[segment] : self.segments.half_at[segment + 1]]

    def _border(self, region: np.ndarray, mark: np.ndarray, stuck: frozenset[int], burst_valve: int) -> tuple[np.ndarray, ...]:
        """The valves with a side in R, sorted into to close, optional, already closed, and open but impossible to close."""
        part, states = self.segments, self.states
        edges = part.half[ranges(part.half_at[region], part.half_at[region + 1])]
        valves = np.unique(part.edge_valve[edges]).astype(np.int64)
        valves = valves[self.network.valve_isolating[valves] & (valves != burst_valve)]
        usable = states.usable[valves] & ~np.isin(valves, list(stuck))
        size = part.side_at[valves + 1] - part.side_at[valves]
        side = part.side[ranges(part.side_at[valves], part.side_at[valves + 1])]
        owner = np.repeat(np.arange(len(valves)), size)
        border = np.bincount(owner[mark[side] != _INSIDE], minlength=len(valves)) > 0
        supplied = self.feed.fed[side] & (mark[side] == 0)
        threat = np.bincount(owner[supplied], minlength=len(valves)) > 0
        threat &= ~self._leads_out(edges, mark, valves)
        is_open = states.open[valves]
        jammed = valves[is_open & ~usable]
        good = border & is_open & usable
        return valves[good & threat], valves[good & ~threat], valves[border & ~is_open], jammed

    def _leads_out(self, edges: np.ndarray, mark: np.ndarray, valves: np.ndarray) -> np.ndarray:
        """Which valves are closable devices that let water only out of R, never in: closing them is optional."""
        part = self.segments
        out = edges[part.edge_directed[edges] & (mark[part.edge_a[edges]] == _INSIDE)]
        return np.isin(valves, part.edge_valve[out])

    def _beside(self, region: np.ndarray, dry: np.ndarray, close: np.ndarray) -> np.ndarray:
        """The segments that the valves to close cut off although R is not between them and the source; only a valve at a
        junction with three or more arms does that."""
        size = self.segments.side_at[close + 1] - self.segments.side_at[close]
        wide = close[size > 2]
        return np.setdiff1d(lost(self.feed, region, wide), dry) if len(wide) else dry[:0]

    def _feeds(self, mark: np.ndarray, stuck: frozenset[int], dry: np.ndarray, but: np.ndarray) -> np.ndarray:
        """The closed valves that can be opened between a fed segment and one outside R that this has cut off, or one that was
        dry before and from which closed valves lead on to what was cut off; sorted."""
        owner, side = self.standing
        able = self.states.usable[owner] & ~np.isin(owner, [*stuck, *but])
        owner, side = owner[able], side[able]
        if not len(dry) or not len(owner):
            return owner[:0]
        fed = self.feed.fed[side] & (mark[side] == 0)
        concerned = mark[side] == _LOST
        never = ~self.feed.fed[side] & (mark[side] == 0)
        while True:
            reached = np.isin(owner, owner[concerned]) & never & ~concerned
            if not reached.any():
                break
            concerned |= np.isin(side, side[reached]) & never
        return np.intersect1d(owner[fed], owner[concerned])

    def _closing_order(self, valves: np.ndarray, mark: np.ndarray) -> np.ndarray:
        """Remote valves first (no crew has to get there), then the largest, then the nearest to a source, then by id."""
        if len(valves) < 2:
            return valves
        part = self.segments
        size = part.side_at[valves + 1] - part.side_at[valves]
        side = part.side[ranges(part.side_at[valves], part.side_at[valves + 1])]
        depth = np.where(self.feed.fed[side] & (mark[side] == 0), self.feed.depth[side], np.iinfo(np.int32).max)
        nearest = np.minimum.reduceat(depth, np.cumsum(size) - size)
        network = self.network
        return valves[np.lexsort((valves, nearest, -network.valve_diameter[valves], ~network.valve_remote[valves]))]
