"""Works that shut valves at the same time: what they do only together, and which valves may be opened when one of them ends.

Each work by itself is an isolation (`Engine.burst`). Works whose times overlap are united where they share a valve, meet in what they
leave without water, or cut off something between them: then the union of their starts is isolated anew, with every valve shut that any
of them shuts. A work holds the valves that it needs *by itself*; so when another one ends, what remains is still isolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations

import numpy as np

from gis.analysis.feed import lost
from gis.analysis.isolation import Engine, Isolation

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Work:
    """Where one work begins: segments, valves known not to turn, and the valve that is itself worked on (indices; -1 none)."""

    start: np.ndarray
    stuck: tuple[int, ...] = ()
    valve: int = -1

    def plan(self, engine: Engine, jammed: frozenset[int] = frozenset()) -> Isolation:
        """This work by itself; `jammed`: further valves that do not turn."""
        return engine.burst(self.start, sorted(jammed.union(self.stuck) - {self.valve}), self.valve)


@dataclass(frozen=True)
class Joint:
    """Works in force together, in indices. region: segments that are shut off; dry: what else has no water; extra: the part of both
    that no work alone leaves without water. shut: all valves that are shut; shared: those that more than one work needs; spared: those
    that are not needed as long as all the works last. All sorted."""

    region: np.ndarray
    dry: np.ndarray
    extra: np.ndarray
    shut: np.ndarray
    shared: np.ndarray
    spared: np.ndarray
    plan: Isolation = field(repr=False)

    @property
    def affected(self) -> np.ndarray:
        """All segments without water."""
        return np.union1d(self.region, self.dry)


@dataclass(frozen=True)
class Conflict:
    """Works (positions, ascending) that have to be seen as one from `start` until `end`."""

    members: tuple[int, ...]
    start: float
    end: float
    joint: Joint


def affected(plan: Isolation) -> np.ndarray:
    """All segments that one work leaves without water, sorted."""
    return _union(plan.region, plan.lost, plan.beside)


def together(engine: Engine, works: Sequence[Work]) -> Joint:
    """These works all in force at once. A valve that one of them finds jammed, or works on, does not turn for the others either."""
    jammed = frozenset(v for work in works for v in (*work.stuck, work.valve)) - {-1}
    alone = _union(*(affected(work.plan(engine)) for work in works))
    plans = [work.plan(engine, jammed) for work in works]
    shut, uses = np.unique(np.concatenate([plan.close for plan in plans]), return_counts=True)
    plan = engine.burst(_union(*(work.start for work in works)), sorted(jammed))
    dry = np.setdiff1d(lost(engine.feed, plan.region, shut), plan.region)
    extra = np.setdiff1d(np.union1d(plan.region, dry), alone)
    return Joint(plan.region, dry, extra, shut, shut[uses > 1], np.setdiff1d(shut, plan.close), plan)


def conflicts(engine: Engine, works: Sequence[Work], times: Sequence[tuple[float, float]]) -> list[Conflict]:
    """The groups of works that interact while their times (from, until; half open) overlap."""
    found: dict[tuple[int, ...], Conflict] = {}
    for active in simultaneous(times):
        for members in _groups(engine, works, active):
            start, end = max(times[i][0] for i in members), min(times[i][1] for i in members)
            found[members] = Conflict(members, start, end, together(engine, [works[i] for i in members]))
    return [found[members] for members in sorted(found)]


def simultaneous(times: Sequence[tuple[float, float]]) -> list[tuple[int, ...]]:
    """The largest sets of works (at least two, positions ascending) that are in force at one moment; an end is no longer in force."""
    sets = {frozenset(i for i, (start, end) in enumerate(times) if start <= moment < end) for moment, _ in times}
    largest = [one for one in sets if len(one) > 1 and not any(one < other for other in sets)]
    return sorted(tuple(sorted(one)) for one in largest)


def _groups(engine: Engine, works: Sequence[Work], active: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Which of the works that are active at once interact, as groups of two or more."""
    plans = {i: works[i].plan(engine) for i in active}
    dry = {i: affected(plans[i]) for i in active}
    group = {i: {i} for i in active}
    for i, j in combinations(active, 2):
        if np.intersect1d(plans[i].close, plans[j].close).size or np.intersect1d(dry[i], dry[j]).size:
            _unite(group, (i, j))
    between = together(engine, [works[i] for i in active]).extra
    if len(between):
        needs = {i: np.setdiff1d(between, _without(engine, works, active, i)) for i in active}
        for segment in between:
            concerned = tuple(i for i in active if segment in needs[i])
            _unite(group, concerned if len(concerned) > 1 else active)  # dry whichever one is left out: all have a part in it
    return sorted({tuple(sorted(members)) for members in group.values() if len(members) > 1})


def _without(engine: Engine, works: Sequence[Work], active: tuple[int, ...], left_out: int) -> np.ndarray:
    """What the other works leave without water."""
    return together(engine, [works[i] for i in active if i != left_out]).affected


def _unite(group: dict[int, set[int]], members: tuple[int, ...]) -> None:
    whole = set().union(*(group[i] for i in members))
    for i in whole:
        group[i] = whole


def _union(*parts: np.ndarray) -> np.ndarray:
    return reduce(np.union1d, parts, _NONE).astype(np.int64)


def may_open(held: Mapping[int, set[str]], ending: int) -> tuple[set[str], dict[str, list[int]]]:
    """When a work ends: of the valves that it holds, those that nobody else holds, and for each of the others the works that still do.

    held: the valves that each work in force holds shut."""
    mine = held.get(ending, set())
    still = {valve: sorted(work for work, valves in held.items() if work != ending and valve in valves) for valve in mine}
    return {valve for valve, works in still.items() if not works}, {valve: works for valve, works in still.items() if works}
