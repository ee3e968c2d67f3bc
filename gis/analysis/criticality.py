"""Which segments and valves matter most: what a burst in each segment cuts off, and what the failure of each valve would add.

The failure of a valve makes one region of the cells on its two sides. What that cuts off is what each of them does, read from the tree,
and what they do only together, which lies near them and is searched for all valves at once. Asked singly are only valves beside
directed devices or between more than two sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order

from gis.analysis.atlas import Atlas, behind_devices, of_segments
from gis.analysis.consumers import Consumers
from gis.analysis.cutoff import cells
from gis.analysis.feed import open_edges, subtrees
from gis.analysis.isolation import Engine
from gis.analysis.network import distinct, grouped, ranges

_TREES = 4
"""More of them tell more vertices from those that are cut off; what they do not tell is searched."""
_AT_ONCE = 100_000
"""Pairs that are looked at together: enough to be fast, few enough to stay below a hundred megabytes."""


@dataclass(frozen=True)
class Failures:
    """Per valve (indices, ascending) the worst case over its sides: a burst on one side while the valve does not turn. pipes,
    customers, priority: all that goes dry then; added_*: how much more than if it turned; from_segment: the side it burst on."""

    valve: np.ndarray
    from_segment: np.ndarray
    pipes: np.ndarray
    customers: np.ndarray
    priority: np.ndarray
    added_pipes: np.ndarray
    added_customers: np.ndarray
    isolated: np.ndarray


def failures(engine: Engine, supplied: Consumers, book: Atlas, valves: np.ndarray) -> Failures:
    """What the failure (N-1) of each of these valves would add to the worst burst beside it. Valves that no burst has to close add
    nothing and are left out. O(valves and their neighbours), and what goes dry for each pair that is asked singly."""
    engine = engine.with_tree()
    each = of_segments(engine, supplied)
    totals = np.column_stack([each[k] for k in ("pipes", "customers", "priority")])
    plain = np.column_stack((book.pipes, book.customers, book.priority))
    owner = np.repeat(np.arange(engine.segments.count), np.diff(book.close_at))
    chosen = np.zeros(engine.network.n_valves, bool)
    chosen[valves] = True
    wanted = chosen[book.close] & engine.segments.real[owner]
    segment, valve = owner[wanted], book.close[wanted].astype(np.int64)
    dry, held = _together(engine, totals, segment, valve)
    for i in np.flatnonzero(dry[:, 0] < 0).tolist():
        region = engine.region(segment[i : i + 1], frozenset((int(valve[i]),)))
        dry[i] = totals[np.concatenate((region, engine.lost(region)))].sum(axis=0)
        held[i] = not engine.segments.source_at[region + 1].sum() - engine.segments.source_at[region].sum()
    table = np.column_stack((valve, segment, dry, (dry - plain[segment])[:, :2], held))
    table = table[np.lexsort((table[:, 1], -table[:, 5], -table[:, 6], table[:, 0]))]
    first = np.ones(len(table), bool)
    first[1:] = table[1:, 0] != table[:-1, 0]
    return Failures(*table[first].T[:7], table[first][:, 7].astype(bool))


def _together(engine: Engine, totals: np.ndarray, segment: np.ndarray, valve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What goes dry (n, 3) with a burst in each segment while the valve beside it does not turn, and whether it can be isolated;
    -1 in the rows that have to be asked singly."""
    part, tree = engine.segments, engine.cutoff
    first, many = part.side_at[valve], part.side_at[valve + 1] - part.side_at[valve]
    beyond = part.side[np.minimum(first + 1, len(part.side) - 1)].astype(np.int64)
    near = part.side[first].astype(np.int64)
    other = np.where(tree.start[near] == tree.start[segment], beyond, near)
    oneway, larger = np.zeros(engine.network.n_valves, bool), np.zeros(part.count, bool)
    oneway[part.edge_valve[part.edge_directed]] = True
    larger[behind_devices(engine, tree)] = True
    known = (many == 2) & ~oneway[valve] & ~larger[segment] & ~larger[other]
    here, there, stop = tree.start[segment], tree.start[other], tree.stop
    below, above = (there <= here) & (here < stop[other]), (here <= there) & (there < stop[segment])
    whole = np.column_stack([tree.sums(column) for column in totals.T])
    dry = np.where(below[:, None], whole[other], whole[segment])
    apart = np.flatnonzero(~below & ~above & known)
    dry[apart] += whole[other[apart]]
    cells_of = _Cells.of(engine, totals)
    for at in range(0, len(apart), _AT_ONCE):
        rows = apart[at : at + _AT_ONCE]
        dry[rows] += cells_of.more(cells_of.cell[segment[rows]], cells_of.cell[other[rows]])
    dry[~known] = -1
    springs = np.concatenate(([0], np.cumsum(np.diff(part.source_at)[tree.order])))
    own = springs[tree.own] - springs[tree.start]
    return dry.astype(np.int64), own[segment] + own[other] == 0


Neighbours = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A compressed table: offsets per vertex, entries, the neighbour of each entry."""


@dataclass(frozen=True)
class _Cells:
    """The cells with what tells quickly whether two of them together cut off more than each alone: the cell of each segment, totals
    per cell, where the subtree of each begins and ends in the tree of what is cut off and in some search trees, and the neighbours
    to and from which water passes."""

    cell: np.ndarray
    totals: np.ndarray
    dominated: tuple[np.ndarray, np.ndarray]
    trees: list[tuple[np.ndarray, np.ndarray]]
    out: Neighbours
    into: Neighbours

    @classmethod
    def of(cls, engine: Engine, totals: np.ndarray) -> _Cells:
        part, tree = engine.segments, engine.cutoff
        count, cell = cells(engine.network, part, engine.states)
        cell = cell.astype(np.int64)
        origin, target, _ = open_edges(part, engine.states)
        origin, target = cell[origin], cell[target]
        kept = origin != target
        origin, target = origin[kept], target[kept]
        begins, ends = np.zeros(count, np.int64), np.zeros(count, np.int64)
        begins[cell], ends[cell] = tree.start, tree.stop
        sums = np.column_stack([np.bincount(cell, weights=column, minlength=count) for column in totals.T])
        roots = np.flatnonzero(np.bincount(cell[part.of_source], minlength=count))
        trees = _search_trees(origin, target, roots, count)
        return cls(cell, sums, (begins, ends), trees, (*grouped(origin, count), target), (*grouped(target, count), origin))

    def more(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Per pair of cells, of which neither cuts off the other, the totals that they cut off together beyond what each does alone.

        That begins at a neighbour of theirs, and each that belongs to it gets water only from the pair, from what the pair cuts off or
        from others that belong to it: so the neighbours are gathered outwards, except those that a search tree reaches past both,
        until those first met are known to be fed or nothing is left to gather."""
        count = len(self.totals)
        found, fed, first = np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, bool)
        pair, vertex = _spread(self.out, one, other)
        while True:
            new = distinct((pair * count + vertex)[~self._told(one, other, pair, vertex)])
            new = new[~_among(found, new)]
            if not len(new):
                break
            pair, vertex = np.divmod(new, count)
            row, feeder = _spread(self.into, vertex)
            sure = np.bincount(row[self._passed(feeder, one[pair[row]], other[pair[row]])], minlength=len(new)) > 0
            order = np.argsort(np.concatenate((found, new)), kind="stable")
            first = np.concatenate((first, np.full(len(new), not len(found))))[order]
            fed, fresh = np.concatenate((fed, sure))[order], (np.arange(len(order)) >= len(found))[order]
            found = np.concatenate((found, new))[order]
            self._feed(found, fed)
            unsettled = np.zeros(len(one), bool)
            unsettled[found[first & ~fed] // count] = True
            kept = unsettled[found // count]
            found, fed, first, fresh = found[kept], fed[kept], first[kept], fresh[kept]
            pair, vertex = np.divmod(found[fresh & ~fed], count)
            at, vertex = _spread(self.out, vertex)
            pair = pair[at]
        pair, vertex = np.divmod(found[~fed], count)
        sums = [np.bincount(pair, weights=t[vertex], minlength=len(one)) for t in self.totals.T]
        return np.rint(np.column_stack(sums)).astype(np.int64)

    def _feed(self, found: np.ndarray, fed: np.ndarray) -> None:
        """Of those gathered (pair · count + vertex, sorted) also those fed that get water from another that is."""
        pair, vertex = np.divmod(found, len(self.totals))
        row, feeder = _spread(self.into, vertex)
        feeding = pair[row] * len(self.totals) + feeder
        there = _among(found, feeding)
        row, feeder = row[there], np.searchsorted(found, feeding[there])
        while len(reached := row[fed[feeder] & ~fed[row]]):
            fed[reached] = True

    def _told(self, one: np.ndarray, other: np.ndarray, pair: np.ndarray, vertex: np.ndarray) -> np.ndarray:
        """Of vertices near pairs, which are cut off by one of the pair alone (or are of it), and which are fed past both."""
        return (_within(*self.dominated, vertex, one[pair]) | _within(*self.dominated, vertex, other[pair])
                | self._passed(vertex, one[pair], other[pair]))  # fmt: skip

    def _passed(self, vertex: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Whether some search tree reaches each vertex past both others."""
        good = np.zeros(len(vertex), bool)
        for begins, ends in self.trees:
            good |= (begins[vertex] >= 0) & ~_within(begins, ends, vertex, one) & ~_within(begins, ends, vertex, other)
        return good


def _search_trees(origin: np.ndarray, target: np.ndarray, roots: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Some search trees from all sources that differ in which way they take where several are equally long: where the subtree of each
    vertex begins and ends in each."""
    rows, cols = np.concatenate((origin, np.full(len(roots), count))), np.concatenate((target, roots))
    chance, found = np.random.default_rng(1), []
    for _ in range(_TREES):
        name = np.append(chance.permutation(count), count)
        graph = csr_matrix((np.ones(len(rows), np.int8), (name[rows], name[cols])), shape=(count + 1, count + 1))
        reached, parent = breadth_first_order(graph, count, directed=True, return_predecessors=True)
        place, last, _ = subtrees(parent, reached, count)
        found.append((place[name], last[name]))
    return found


def _spread(table: Neighbours, *starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of vertices by a compressed table (offsets, entries, neighbour of each entry), and which row each belongs to."""
    at, entry, neighbour = table
    found = [(np.repeat(np.arange(len(s)), at[s + 1] - at[s]), neighbour[entry[ranges(at[s], at[s + 1])]]) for s in starts]
    return tuple(np.concatenate(columns) for columns in zip(*found, strict=True))


def _among(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which values are in a sorted table."""
    if not len(table):
        return np.zeros(len(values), bool)
    return table[np.minimum(np.searchsorted(table, values), len(table) - 1)] == values


def _within(begins: np.ndarray, ends: np.ndarray, vertex: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Whether each vertex lies in the subtree of another, itself included."""
    return (begins[top] <= begins[vertex]) & (begins[vertex] < ends[top])
