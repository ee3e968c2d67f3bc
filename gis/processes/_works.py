"""The works of a network in the terms of the analysis: what each shuts, what they do together, which valves they hold."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable
from itertools import chain

import numpy as np

from gis.analysis import joint_works
from gis.analysis.isolation import Isolation
from gis.analysis.joint_works import Conflict, Work
from gis.analysis.network import States, decoded, position
from gis.errors import NotFound, NotOnNetwork
from gis.processes import _water_answer as answer
from gis.processes._water_network import LAYERS, Water, water

ALIVE = ["planned", "in_progress"]
EVERY = 10_000
"""Works of one network that are looked at together."""


def one(store, work: int) -> dict:
    """The row of a work. Raises NotFound, AccessDenied."""
    store.require(LAYERS)
    found = store.rows("works", id=work, network=None, states=None, limit=1)
    if not found:
        raise NotFound(f"there is no work {work}", remedy="See `onemap works list`")
    return shown(found[0])


def listed(store, network: str | None, states: list[str] | None, limit: int) -> list[dict]:
    """Works, the newest first."""
    store.require(LAYERS)
    return [shown(row) for row in store.rows("works", id=None, network=network, states=states, limit=limit)]


def shown(row: dict) -> dict:
    """A work as JSON: times as ISO texts with their zone."""
    return {name: _iso(value.timestamp()) if isinstance(value, dt.datetime) else value for name, value in row.items()}


def held(store, network: str, work: int | None = None) -> tuple[dict[int, set[str]], list[dict]]:
    """The valves that works hold shut now, by work; and the rows of one work's valves, released ones too."""
    rows = store.rows("work_valves", network=network, id=work)
    holding: dict[int, set[str]] = {}
    for row in rows:
        if row["released_at"] is None:
            holding.setdefault(row["work"], set()).add(row["valve_id"])
    return holding, [shown(row) for row in rows if row["work"] == work]


def undisturbed(known: Water, holding: dict[int, set[str]]) -> Water:
    """The network as if no work had shut a valve: what each work needs by itself is asked of this one."""
    engine = known.engine
    shut = [engine.network.valve(v) for valves in holding.values() for v in valves if position(engine.network.valve_id, v) >= 0]
    if not shut:
        return known
    opened = engine.states.open.copy()
    opened[[v for v in shut if engine.states.usable[v]]] = True
    return dataclasses.replace(known, engine=engine.with_states(States(opened, engine.states.usable)))


def begun(known: Water, row: dict) -> Work:
    """Where a work begins. Raises NotOnNetwork where its element is no longer there."""
    engine, net = known.engine, known.engine.network
    stuck = tuple(net.valve(v) for v in row["stuck"])
    if row["element"] == "pipe":
        return Work(engine.segments.of_pipe[[net.pipe(row["element_id"])]].astype(np.int64), stuck)
    if row["element"] == "node":
        return Work(engine.segments_at_node(net.node(row["element_id"])), stuck)
    valve = net.valve(row["element_id"])
    return Work(engine.segments_at_valve(valve), stuck, valve)


def network_of(store, row: dict) -> tuple[Water, dict[int, set[str]]]:
    """The undisturbed network of a work, and what works hold."""
    holding, _ = held(store, row["network"])
    return undisturbed(water(store, row["network"]), holding), holding


def planned(known: Water, row: dict) -> tuple[dict, Isolation]:
    """What a work by itself shuts and leaves without water."""
    plan = begun(known, row).plan(known.engine)
    net = known.engine.network
    dry, _ = answer.affected(known, joint_works.affected(plan))
    behind, _ = answer.affected(known, np.union1d(plan.lost, plan.beside))
    return {
        "isolated": plan.isolated, "sources_to_shut": decoded(net.source_id[plan.sources_to_shut]),
        "valves": {name: decoded(net.valve_id[getattr(plan, name)]) for name in ("close", "optional", "already_closed", "stuck")},
        "affected": dry, "unintended": {"pipes": behind["pipes"], "customers": behind["customers"]},
        "feeds_to_open": decoded(net.valve_id[plan.feeds_to_open]),
    }, plan  # fmt: skip


def conflicting(store, known: Water, row: dict) -> tuple[list[dict], list[Conflict]]:
    """The works that have to be seen as one with this one; extra: who loses water only because they last at the same time.

    A work whose element is no longer on the network takes no part."""
    rows, works = [row], [begun(known, row)]
    for other in listed(store, row["network"], ALIVE, EVERY):
        if other["id"] != row["id"] and _overlap(row, other):
            try:
                works.append(begun(known, other))
            except NotOnNetwork:
                continue
            rows.append(other)
    found = [c for c in joint_works.conflicts(known.engine, works, [span(r) for r in rows]) if 0 in c.members]
    return [_told(known, conflict, rows) for conflict in found], found


def _told(known: Water, conflict: Conflict, rows: list[dict]) -> dict:
    joint, net = conflict.joint, known.engine.network
    extra, _ = answer.affected(known, joint.extra)
    dry, _ = answer.affected(known, joint.affected)
    return {
        "works": sorted(rows[i]["id"] for i in conflict.members), "from": _iso(conflict.start), "until": _iso(conflict.end),
        **{name: decoded(net.valve_id[getattr(joint, name)]) for name in ("shut", "shared", "spared")},
        "isolated": joint.plan.isolated, "affected": dry, "extra": extra,
        "feeds_to_open": decoded(net.valve_id[joint.plan.feeds_to_open]),
    }  # fmt: skip


def span(row: dict) -> tuple[float, float]:
    """From when until when a work is in force, seconds: one in progress at least until now."""
    start, end = (dt.datetime.fromisoformat(row[name]).timestamp() for name in ("starts", "ends"))
    if row["state"] == "in_progress":
        now = dt.datetime.now().timestamp()
        start, end = min(start, now), max(end, now + 1)
    return start, end


def _overlap(row: dict, other: dict) -> bool:
    (a, b), (c, d) = span(row), span(other)
    return a < d and c < b


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def features(known: Water, plan: Isolation, extra: Iterable[int] = ()) -> dict:
    """A work on the map; `part` as in the answer of a burst, and `extra` for what only the combination of works cuts off."""
    part = known.engine.segments

    def pipes(segments) -> np.ndarray:
        return np.concatenate([part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]] for s in segments] or [np.zeros(0, np.int64)])

    valves = (("close", True), ("optional", False), ("already_closed", False), ("stuck", False))
    return answer.collection(chain(
        answer.pipe_features(known, pipes(plan.region), "closed"),
        answer.pipe_features(known, pipes(np.union1d(plan.lost, plan.beside)), "cut_off"),
        answer.pipe_features(known, pipes(extra), "extra"),
        *(answer.point_features(known, "valve", getattr(plan, name), f"valve_{name}", ordered=ordered) for name, ordered in valves),
        answer.point_features(known, "source", plan.sources_to_shut, "source"),
    ))  # fmt: skip
