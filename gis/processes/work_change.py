"""A work that shuts valves is entered, begun, finished or cancelled; its valves are shut and opened with it."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from gis.analysis.joint_works import may_open
from gis.catalog.model import Text
from gis.db import valve_states
from gis.db.connection import writing
from gis.db.valve_states import Report
from gis.errors import InputError, NotFound
from gis.processes import Inputs, Process, _works, pipe_burst
from gis.processes._water_network import LAYERS, water
from gis.processes.valve_state import require_writer
from gis.processes.works import shown

_NEXT = {
    "start": ("in_progress", ["planned"]),
    "finish": ("finished", ["in_progress"]),
    "cancel": ("cancelled", ["planned", "in_progress"]),
}
_LONGEST = dt.timedelta(days=366)


class WorkChangeInputs(Inputs):
    """`add` takes the element (one of pipe, node, valve, at), title and times; the others take `work`."""

    action: Literal["add", "start", "finish", "cancel"] = Field(
        title="动作 Action", description="add 登记、start 开始、finish 完成、cancel 取消 / Enter, begin, finish or cancel"
    )
    work: int | None = Field(None, title="作业 Work", description="作业编号 / The number of the work", ge=1, lt=2**63)
    kind: Literal["planned", "emergency"] = Field("planned", title="类别 Kind", description="planned 计划、emergency 抢修")
    title: str = Field("", title="名称 Title", description="作业名称 / What is done", max_length=200)
    reason: str = Field("", title="原因 Reason", description="停水原因，印在通知单上 / Why; printed on the notice", max_length=1000)
    network: str = Field("city", title="管网 Network", description="管网名称 / The network's name", min_length=1, max_length=40)
    pipe: str | None = Field(None, title="管段 Pipe", description="管段编号 / The id of the pipe", max_length=200)
    node: str | None = Field(None, title="节点 Node", description="节点编号 / The id of the junction", max_length=200)
    valve: str | None = Field(None, title="阀门 Valve", description="所修阀门编号 / The id of the valve that is worked on", max_length=200)
    at: tuple[float, float] | None = Field(None, title="位置 Position", description="经度,纬度；取最近水管 / Longitude, latitude")
    stuck: list[str] = Field(default_factory=list, title="关不动 Stuck", description="关不动的阀门 / They do not turn", max_length=1000)
    starts: AwareDatetime | None = Field(None, title="开始 From", description="停水开始（含时区）/ When water goes off, with zone")
    ends: AwareDatetime | None = Field(None, title="结束 Until", description="恢复供水（含时区）/ When water is back, with zone")

    @model_validator(mode="after")
    def _complete(self):
        if self.action != "add":
            if self.work is None:
                raise ValueError("give the number of the work")
            return self
        if sum(place is not None for place in (self.pipe, self.node, self.valve, self.at)) != 1:
            raise ValueError("give exactly one of pipe, node, valve, at")
        if not self.title.strip() or self.starts is None or self.ends is None:
            raise ValueError("give title, starts and ends")
        if not dt.timedelta(0) < self.ends - self.starts <= _LONGEST:
            raise ValueError("it ends after it starts, and within a year")
        return self


def run(store, inputs: WorkChangeInputs, progress=None) -> dict:
    """The work as `works` shows it, with `opened` (valves that this opened) and `closed`.

    start: the valves that the work needs by itself are held and reported shut. finish and cancel: what it holds is released, and what no
    other work holds is reported open. Raises NotFound, NotOnNetwork, InputError (not in a state for this), AccessDenied."""
    require_writer(store)
    if inputs.action == "add":
        return shown(store, _added(store, inputs))
    row = _works.one(store, inputs.work)
    becomes, allowed = _NEXT[inputs.action]
    with writing(store.role, store.user) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", ("works of " + row["network"],))
        _require_state(cursor, row["id"], allowed, inputs.action)
        changed = "UPDATE works.work SET state = %s, operator = %s, changed_at = clock_timestamp() WHERE id = %s"
        cursor.execute(changed, (becomes, store.user, row["id"]))
        step = _begin if inputs.action == "start" else _release
        turned = step(store, connection, cursor, row)
    done = {"closed": [], "opened": []} | turned
    return shown(store, row["id"]) | done


def _added(store, inputs: WorkChangeInputs) -> int:
    """Enters a work; a position becomes the pipe or junction that is there."""
    place = {name: getattr(inputs, name) for name in ("pipe", "node", "valve", "at") if getattr(inputs, name) is not None}
    named = pipe_burst.run(store, pipe_burst.parsed(network=inputs.network, stuck=inputs.stuck, **place), lambda share, what: None)["burst"]
    element = next(name for name in ("pipe", "node", "valve") if name in named)
    with writing(store.role, store.user) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO works.work (kind, title, reason, network, element, element_id, stuck, during, operator)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, tstzrange(%s, %s), %s) RETURNING id",
            (inputs.kind, inputs.title.strip(), inputs.reason, inputs.network, element, named[element], inputs.stuck, inputs.starts,
             inputs.ends, store.user),
        )  # fmt: skip
        return cursor.fetchone()[0]


def _require_state(cursor, work: int, allowed: list[str], action: str) -> None:
    cursor.execute("SELECT state FROM works.work WHERE id = %s FOR UPDATE", (work,))
    found = cursor.fetchone()
    if found is None:
        raise NotFound(f"there is no work {work}", remedy="See `onemap works list`")
    if found[0] not in allowed:
        wanted = " or ".join(allowed)
        raise InputError(f"work {work} is {found[0]}: {action} is for works that are {wanted}", remedy="See `onemap works show`")


def _begin(store, connection, cursor, row: dict) -> dict:
    """Holds the valves that the work needs, and shuts those that are open."""
    known, _ = _works.network_of(store, row)
    plan, _ = _works.planned(known, row)
    needed = plan["valves"]["close"]
    for place, valve in enumerate(needed, 1):
        cursor.execute("INSERT INTO works.work_valve (work, valve_id, position) VALUES (%s, %s, %s)", (row["id"], valve, place))
    now = water(store, row["network"]).engine
    shut = [v for v in needed if now.states.open[now.network.valve(v)]]
    _report(store, connection, row, shut, "closed")
    return {"closed": shut, "shut_already": sorted(set(needed) - set(shut))}


def _release(store, connection, cursor, row: dict) -> dict:
    """Releases what the work holds, and opens what nobody else holds."""
    cursor.execute(
        "SELECT v.work, v.valve_id FROM works.work_valve v JOIN works.work w ON w.id = v.work"
        " WHERE w.network = %s AND v.released_at IS NULL", (row["network"],),
    )  # fmt: skip
    holding: dict[int, set[str]] = {}
    for work, valve in cursor.fetchall():
        holding.setdefault(work, set()).add(valve)
    opened, still = may_open(holding, row["id"])
    released = "UPDATE works.work_valve SET released_at = greatest(clock_timestamp(), closed_at) WHERE work = %s AND released_at IS NULL"
    cursor.execute(released, (row["id"],))
    _report(store, connection, row, sorted(opened), "open")
    return {"opened": sorted(opened), "left_shut": sorted(still)}


def _report(store, connection, row: dict, valves: list[str], live: str) -> None:
    if valves:
        reports = [Report(v, live) for v in valves]
        valve_states.report(
            connection, row["network"], reports, source=f"work {row['id']}", reason=row["title"], operator=store.user, strict=False
        )


PROCESS = Process(
    id="work-change",
    title=Text(zh="关阀作业登记", en="Change of a work"),
    description=Text(
        zh="登记、开始、完成、取消一项关阀作业；开始时登记阀门关闭，结束时开启不再有作业需要的阀门",
        en="Enters, begins, finishes or cancels a work that shuts valves; its valves are reported shut at its start, and at its end those "
        "are reported open that no other work needs",
    ),
    inputs=WorkChangeInputs,
    run=run,
    layers=LAYERS,
    writes=("water_valve",),
    keywords=("water", "works", "关阀", "停水"),
    example={"action": "start", "work": 1},
)
