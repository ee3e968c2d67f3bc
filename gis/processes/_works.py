"""The works of a network in the terms of the analysis: what each shuts, what they do together, which valves they hold."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from gis.analysis import joint_works
from gis.analysis.isolation import Isolation
from gis.analysis.joint_works import Conflict, Work
from gis.analysis.network import States, decoded, position
from gis.errors import NotFound, NotOnNetwork
from gis.processes import _burst_plan, pipe_burst
from gis.processes import _water_answer as answer
from gis.processes._water_network import LAYERS, Water, water

ALIVE = ["planned", "in_progress"]
EVERY = 10_000
"""Works of one network that are looked at together."""

FINDINGS = {
    "WK01": ("the place of this work is no longer on the network: what it shuts is not known",
             "作业位置已不在管网上：无法计算要关的阀门"),
    "WK02": ("works at the same time whose place is no longer on the network: they are not united with this one",
             "同期作业的位置已不在管网上：没有参加叠加计算"),
    "WK03": ("valves said not to turn that are no longer on the network: left out", "登记为关不动的阀门已不在管网上：未计入"),
    "WK04": ("curb stops: the work holds them, their state is in no layer of valves", "入户阀：由作业记住已关，不登记到阀门图层"),
    "WK05": ("valves that the work holds and that are no longer on the network: nothing is reported of them",
             "作业持有的阀门已不在管网上：没有登记其状态"),
}  # fmt: skip
"""What an answer about works has to say beside the network's own findings, in English and Chinese."""


@dataclass(frozen=True)
class Begun:
    """Where a work begins: in the terms of the analysis, or `start` at a service connection whose curb stop will do; and the valves
    that it names as stuck and the network does not have."""

    work: Work | None
    start: pipe_burst.Start | None
    unknown: list[str]

    @property
    def behind_curb_stop(self) -> bool:
        return self.work is None


def one(store, work: int, moment: dt.datetime | None = None) -> dict:
    """The row of a work, as it was known at a moment. Raises NotFound, AccessDenied."""
    found = listed(store, work=work, limit=1, moment=moment)
    if not found:
        raise NotFound(f"there is no work {work}" + (" at that time" if moment else ""), remedy="See `onemap works list`")
    return found[0]


def listed(
    store, network: str | None = None, states: list[str] | None = None, limit: int = EVERY, *, work: int | None = None,
    after: dt.datetime | None = None, before: dt.datetime | None = None, moment: dt.datetime | None = None,
) -> list[dict]:  # fmt: skip
    """Works, the newest first; after, before: only those in force within that time; moment: as they were known then."""
    store.require(LAYERS)
    rows = store.rows("works", id=work, network=network, states=states, limit=limit, after=after, before=before, moment=moment)
    now = (moment or dt.datetime.now()).timestamp()
    return [shown(row) | {"overdue": row["state"] == "in_progress" and row["ends"].timestamp() < now} for row in rows]


def shown(row: dict) -> dict:
    """A work as JSON: times as ISO texts with their zone."""
    return {name: _iso(value.timestamp()) if isinstance(value, dt.datetime) else value for name, value in row.items()}


def held(store, network: str, work: int | None = None, moment: dt.datetime | None = None) -> tuple[dict[int, set[str]], list[dict]]:
    """The valves that works hold shut, by work; and the rows of one work's valves, released ones too."""
    rows = store.rows("work_valves", network=network, id=work, moment=moment)
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


def begun(known: Water, row: dict) -> Begun:
    """Where a work begins. Raises NotOnNetwork where its element is no longer there."""
    engine, net = known.engine, known.engine.network
    start = None
    if row["element"] == "connection":
        start = pipe_burst.connection_start(known, row["element_id"], row["stuck"])
        if start.curb and not start.curb.get("stuck"):
            return Begun(None, start, [])
    tried = {v for part in start.curb.values() for v in part} if start else set()
    named = [v for v in row["stuck"] if v not in tried]
    stuck = tuple(net.valve(v) for v in named if position(net.valve_id, v) >= 0)
    unknown = [v for v in named if position(net.valve_id, v) < 0]
    if start is not None:
        return Begun(Work(start.segments, stuck), start, unknown)
    if row["element"] == "pipe":
        return Begun(Work(engine.segments.of_pipe[[net.pipe(row["element_id"])]].astype(np.int64), stuck), None, unknown)
    if row["element"] == "node":
        return Begun(Work(engine.segments_at_node(net.node(row["element_id"])), stuck), None, unknown)
    valve = net.valve(row["element_id"])
    return Begun(Work(engine.segments_at_valve(valve), stuck, valve), None, unknown)


def network_of(store, row: dict, moment: dt.datetime | None = None) -> tuple[Water, dict[int, set[str]]]:
    """The undisturbed network of a work, and what works hold; both as known at a moment."""
    holding, _ = held(store, row["network"], moment=moment)
    return undisturbed(water(store, row["network"], moment), holding), holding


def planned(known: Water, row: dict) -> tuple[dict, Isolation | None, list[dict]]:
    """What a work by itself shuts and leaves without water, and the findings that this rests on."""
    start = begun(known, row)
    notes = [finding("WK03", start.unknown)] if start.unknown else []
    if start.behind_curb_stop:
        told, _ = pipe_burst.behind_curb_stop(known, start.start)
        curb = [v for part in told["valves"].values() for v in part]
        parts = ("isolated", "sources_to_shut", "valves", "affected", "unintended", "feeds_to_open")
        return {name: told[name] for name in parts} | {"drain": None}, None, [*notes, finding("WK04", curb)]
    plan, net = start.work.plan(known.engine), known.engine.network
    dry, _ = answer.affected(known, joint_works.affected(plan))
    behind, _ = answer.affected(known, np.union1d(plan.lost, plan.beside))
    valves = {name: decoded(net.valve_id[getattr(plan, name)]) for name in ("close", "optional", "already_closed", "stuck")}
    if start.start is not None:
        valves["stuck"] = [*start.start.curb.get("stuck", []), *valves["stuck"]]
    return {
        "isolated": plan.isolated, "sources_to_shut": decoded(net.source_id[plan.sources_to_shut]), "valves": valves,
        "affected": dry, "unintended": {"pipes": behind["pipes"], "customers": behind["customers"]},
        "feeds_to_open": decoded(net.valve_id[plan.feeds_to_open]), "drain": _burst_plan.drain(known, plan.region),
    }, plan, notes + answer.findings(known, plan.region)  # fmt: skip


def conflicting(store, known: Water, row: dict, moment: dt.datetime | None = None) -> tuple[list[dict], list[Conflict], list[dict]]:
    """The works that have to be seen as one with this one; extra: who loses water only because they last at the same time; and the
    findings. A work whose element is no longer on the network takes no part and is named; one that a curb stop isolates shuts no main."""
    own = begun(known, row)
    rows, works, gone = [row], [own.work], []
    for other in listed(store, row["network"], ALIVE, moment=moment):
        if other["id"] != row["id"] and _overlap(row, other):
            try:
                start = begun(known, other)
            except NotOnNetwork:
                gone.append(other["id"])
                continue
            if not start.behind_curb_stop:
                works.append(start.work)
                rows.append(other)
    notes = [finding("WK02", gone)] if gone else []
    if own.behind_curb_stop:
        return [], [], notes
    found = [c for c in joint_works.conflicts(known.engine, works, [span(r) for r in rows]) if 0 in c.members]
    return [_told(known, conflict, rows) for conflict in found], found, notes


def finding(code: str, concerned: Iterable) -> dict:
    """A finding of this page as every answer carries them."""
    message, chinese = FINDINGS[code]
    ids = [str(one) for one in concerned]
    return {"code": code, "message": message, "message_zh": chinese, "n": len(ids), "ids": ids[:20]}


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


def features(known: Water, row: dict, plan: Isolation | None, extra: Iterable[int] = ()) -> dict:
    """A work on the map; `part` as in the answer of a burst, and `extra` for what only the combination of works cuts off."""
    part, supplied = known.engine.segments, known.consumers
    if plan is None:
        at = supplied.connection_xy[supplied.connection(row["element_id"])]
        place = {"type": "Point", "coordinates": np.round(at, 9).tolist()} if np.isfinite(at).all() else None
        named = {"layer": "water_connection", "id": row["element_id"], "part": "burst"}
        return answer.collection([{"type": "Feature", "geometry": place, "properties": named}])

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
