"""What the failure of a valve adds: the second closure (二次关阀), known before the crew is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gis.analysis.consumers import Consumers, outage
from gis.analysis.isolation import Engine, Isolation


@dataclass(frozen=True)
class Added:
    """What one answer has more than another: valves to close, pipes without water (indices, sorted) and customers."""

    valves: np.ndarray
    pipes: np.ndarray
    customers: int
    isolated: bool


def added(engine: Engine, supplied: Consumers, before: Isolation, after: Isolation) -> Added:
    """What `after` closes and cuts off beyond `before`; `isolated` is that of `after`."""
    old, new = (outage(engine, supplied, np.sort(np.concatenate((f.region, f.lost)))) for f in (before, after))
    valves = after.close[~np.isin(after.close, before.close)]
    return Added(valves, np.setdiff1d(new.pipes, old.pipes), new.customers - old.customers, after.isolated)


def if_stuck(engine: Engine, supplied: Consumers, start: np.ndarray, stuck: list[int], burst_valve: int = -1) -> dict[int, Added]:
    """For each valve to close of a burst in these segments, in closing order: what its failure alone would add."""
    plan = engine.burst(start, stuck, burst_valve)
    return {int(v): added(engine, supplied, plan, engine.burst(start, [*stuck, int(v)], burst_valve)) for v in plan.close}
