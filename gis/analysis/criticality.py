"""Which segments and valves matter most: what a burst in each segment cuts off, and what the failure of each valve would add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gis.analysis.atlas import Atlas, of_segments
from gis.analysis.consumers import Consumers
from gis.analysis.isolation import Engine


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
    nothing and are left out. O(what goes dry) per valve and side."""
    each = of_segments(engine, supplied)
    totals = np.column_stack([each[k] for k in ("pipes", "customers", "priority")])
    plain = np.column_stack((book.pipes, book.customers, book.priority))
    owner = np.repeat(np.arange(engine.segments.count), np.diff(book.close_at))
    wanted = np.isin(book.close, valves) & engine.segments.real[owner]
    rows = []
    for segment, valve in zip(owner[wanted].tolist(), book.close[wanted].tolist(), strict=True):
        region = engine.region(np.array([segment]), frozenset((valve,)))
        dry = totals[np.concatenate((region, engine.lost(region)))].sum(axis=0)
        held = not engine.segments.source_at[region + 1].sum() - engine.segments.source_at[region].sum()
        rows.append((valve, segment, *dry, *(dry - plain[segment])[:2], held))
    table = np.array(rows, np.int64).reshape(-1, 8)
    order = np.lexsort((table[:, 1], -table[:, 5], -table[:, 6], table[:, 0]))
    table = table[order]
    first = np.ones(len(table), bool)
    first[1:] = table[1:, 0] != table[:-1, 0]
    return Failures(*table[first].T[:7], table[first][:, 7].astype(bool))
