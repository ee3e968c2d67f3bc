"""A work that shuts valves is entered, begun, changed, finished or cancelled, and the last step taken back; its valves go with it."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from gis.catalog.model import Text
from gis.db.connection import writing
from gis.errors import InputError, NotFound
from gis.processes import Inputs, Process, _work_steps, _works, pipe_burst
from gis.processes._water_network import LAYERS
from gis.processes.valve_state import require_writer
from gis.processes.works import shown

_NEXT = {
    "start": ("in_progress", ["planned"]),
    "finish": ("finished", ["in_progress"]),
    "cancel": ("cancelled", ["planned", "in_progress"]),
}
_LONGEST = dt.timedelta(days=366)
_NEW = ("add", "emergency")
_FIELDS = ("title", "reason", "starts", "ends", "stuck")


class WorkChangeInputs(Inputs):
    """`add` takes the place (one of pipe, node, valve, connection, at), title and times; `emergency` the place and for how many hours; the
    others take `work`, and `change` what changes."""

    action: Literal["add", "emergency", "change", "start", "finish", "cancel", "undo"] = Field(
        title="动作 Action",
        description="add 登记、emergency 立即抢修（登记并开始）、change 修改、start 开始、finish 完成、cancel 取消、undo 撤回上一步 / "
        "Enter, enter and begin at once, change, begin, finish, cancel, or take back the last step",
    )
    work: int | None = Field(None, title="作业 Work", description="作业编号 / The number of the work", ge=1, lt=2**63)
    kind: Literal["planned", "emergency"] = Field("planned", title="类别 Kind", description="planned 计划、emergency 抢修")
    title: str | None = Field(None, title="名称 Title", description="作业名称 / What is done", max_length=200)
    reason: str | None = Field(None, title="原因 Reason", description="停水原因，印在通知单上 / Printed on the notice", max_length=1000)
    note: str = Field("", title="说明 Note", description="为何改动，记入历史 / Why it is changed, for the history", max_length=1000)
    network: str = Field("city", title="管网 Network", description="管网名称 / The network's name", min_length=1, max_length=40)
    pipe: str | None = Field(None, title="管段 Pipe", description="管段编号 / The id of the pipe", max_length=200)
    node: str | None = Field(None, title="节点 Node", description="节点编号 / The id of the junction", max_length=200)
    valve: str | None = Field(None, title="阀门 Valve", description="所修阀门编号 / The id of the valve that is worked on", max_length=200)
    connection: str | None = Field(None, title="入户管 Connection", description="入户管编号 / The id of the service line", max_length=200)
    at: tuple[float, float] | None = Field(None, title="位置 Position", description="经度,纬度；取最近水管 / Longitude, latitude")
    stuck: list[str] | None = Field(None, title="关不动 Stuck", description="关不动的阀门 / They do not turn", max_length=1000)
    starts: AwareDatetime | None = Field(None, title="开始 From", description="停水开始（含时区）/ When water goes off, with zone")
    ends: AwareDatetime | None = Field(None, title="结束 Until", description="恢复供水（含时区）/ When water is back, with zone")
    hours: float = Field(8.0, title="小时 Hours", description="抢修预计用时 / How long an emergency will take", gt=0, le=720)

    @model_validator(mode="after")
    def _complete(self):
        if self.action not in _NEW:
            if self.work is None:
                raise ValueError("give the number of the work")
            if self.action == "change" and all(getattr(self, name) is None for name in _FIELDS):
                raise ValueError("give what changes: " + ", ".join(_FIELDS))
            if self.title is not None and not self.title.strip():
                raise ValueError("the title is empty")
            return self
        if sum(getattr(self, place) is not None for place in pipe_burst.PLACES) != 1:
            raise ValueError("give exactly one of " + ", ".join(pipe_burst.PLACES))
        if self.action == "add":
            if not (self.title or "").strip() or self.starts is None or self.ends is None:
                raise ValueError("give title, starts and ends")
            _require_times(self.starts, self.ends)
        return self


def _require_times(starts: dt.datetime, ends: dt.datetime) -> None:
    if not dt.timedelta(0) < ends - starts <= _LONGEST:
        raise ValueError("it ends after it starts, and within a year")


def run(store, inputs: WorkChangeInputs, progress=None) -> dict:
    """The work as `works` shows it, with `opened` (valves that this opened) and `closed`.

    start, emergency: the valves that the work needs by itself are held and reported shut. change: times, title, reason; and valves found
    stuck, after which a work in progress holds what it needs now. finish and cancel: what it holds is released, and what no other work
    holds is reported open. undo: the last step but the entry is taken back, its valves too. Raises NotFound, NotOnNetwork, InputError (not
    in a state for this), AccessDenied."""
    require_writer(store)
    step = {"add": _add, "emergency": _add, "change": _change, "undo": _undo}.get(inputs.action, _move)
    network = inputs.network if inputs.action in _NEW else _works.one(store, inputs.work)["network"]
    with writing(store.role, store.user) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", ("works of " + network,))
        work, turned = step(store, connection, cursor, inputs)
    return shown(store, work) | {"closed": [], "opened": []} | turned


def _add(store, connection, cursor, inputs: WorkChangeInputs) -> tuple[int, dict]:
    """Enters a work, and begins an emergency; a position becomes the pipe or junction that is there."""
    place = {name: getattr(inputs, name) for name in pipe_burst.PLACES if getattr(inputs, name) is not None}
    stuck = inputs.stuck or []
    named = pipe_burst.run(store, pipe_burst.parsed(network=inputs.network, stuck=stuck, **place), lambda share, what: None)["burst"]
    element = next(name for name in ("connection", "pipe", "node", "valve") if name in named)
    now, urgent = dt.datetime.now().astimezone(), inputs.action == "emergency"
    starts = inputs.starts or now
    row = {
        "network": inputs.network, "element": element, "element_id": named[element], "stuck": stuck,
        "title": (inputs.title or "").strip() or f"抢修 {named[element]}", "reason": inputs.reason or "",
    }  # fmt: skip
    cursor.execute(
        "INSERT INTO works.work (kind, title, reason, network, element, element_id, stuck, during, operator, note)"
        " VALUES (%(kind)s, %(title)s, %(reason)s, %(network)s, %(element)s, %(element_id)s, %(stuck)s, tstzrange(%(a)s, %(b)s), %(by)s,"
        " %(note)s) RETURNING id",
        row | {"kind": "emergency" if urgent else inputs.kind, "a": starts, "b": inputs.ends or starts + dt.timedelta(hours=inputs.hours),
               "by": store.user, "note": inputs.note},
    )  # fmt: skip
    row["id"] = cursor.fetchone()[0]
    if not urgent:
        return row["id"], {}
    _set(cursor, row["id"], {"state": "in_progress", "operator": store.user})
    return row["id"], _work_steps.begin(store, connection, cursor, row)


def _move(store, connection, cursor, inputs: WorkChangeInputs) -> tuple[int, dict]:
    """Into the next state."""
    row = _locked(store, cursor, inputs.work)
    becomes, allowed = _NEXT[inputs.action]
    _require_state(row, allowed, inputs.action)
    _set(cursor, row["id"], {"state": becomes, "operator": store.user, "note": inputs.note})
    step = _work_steps.begin if inputs.action == "start" else _work_steps.release
    return row["id"], step(store, connection, cursor, row)


def _change(store, connection, cursor, inputs: WorkChangeInputs) -> tuple[int, dict]:
    """Other times, another title or reason, other valves that do not turn."""
    row = _locked(store, cursor, inputs.work)
    _require_state(row, _works.ALIVE, "change")
    new = {name: getattr(inputs, name) for name in _FIELDS if getattr(inputs, name) is not None}
    fields = row | new
    try:
        _require_times(fields["starts"], fields["ends"])
    except ValueError as error:
        raise InputError(str(error), where="ends", remedy="Give other times") from None
    _set(cursor, row["id"], _columns(fields) | {"operator": store.user, "note": inputs.note})
    if row["state"] == "in_progress" and set(fields["stuck"]) != set(row["stuck"]):
        return row["id"], _work_steps.adjust(store, connection, cursor, fields, row["stuck"])
    return row["id"], {}


def _undo(store, connection, cursor, inputs: WorkChangeInputs) -> tuple[int, dict]:
    """The last step back."""
    row = _locked(store, cursor, inputs.work)
    event, was, becomes, changed, at = _work_steps.last(cursor, row["id"])
    old = {name: values[0] for name, values in (changed or {}).items()}
    fields = row | old
    _set(cursor, row["id"], _columns(fields) | {"state": was, "undoes": event, "operator": store.user, "note": inputs.note})
    if (was, becomes) == ("planned", "in_progress"):
        return row["id"], _work_steps.release(store, connection, cursor, row)
    if was == "in_progress" and becomes != was:
        return row["id"], _work_steps.again(store, connection, cursor, row, at)
    if was == becomes == "in_progress" and "stuck" in old:
        return row["id"], _work_steps.adjust(store, connection, cursor, fields, row["stuck"])
    return row["id"], {}


def _locked(store, cursor, work: int) -> dict:
    """The row of a work as it is now, kept from others until the end of the transaction."""
    cursor.execute(
        "SELECT id, network, element, element_id, title, reason, stuck, lower(during), upper(during), state FROM works.work"
        " WHERE id = %s FOR UPDATE",
        (work,),
    )
    found = cursor.fetchone()
    if found is None:
        raise NotFound(f"there is no work {work}", remedy="See `onemap works list`")
    names = ("id", "network", "element", "element_id", "title", "reason", "stuck", "starts", "ends", "state")
    return dict(zip(names, found, strict=True))


def _columns(fields: dict) -> dict:
    """The fields of a work as columns of its table."""
    return {name: fields[name] for name in ("title", "reason", "stuck")} | {"starts": fields["starts"], "ends": fields["ends"]}


def _set(cursor, work: int, values: dict) -> None:
    """Changes a row; what is not given stays. `undoes` is none unless this takes a step back."""
    cursor.execute(
        "UPDATE works.work SET state = coalesce(%(state)s, state), title = coalesce(%(title)s, title),"
        " reason = coalesce(%(reason)s, reason), stuck = coalesce(%(stuck)s::text[], stuck),"
        " during = tstzrange(coalesce(%(starts)s, lower(during)), coalesce(%(ends)s, upper(during))), undoes = %(undoes)s,"
        " operator = %(operator)s, note = %(note)s, changed_at = clock_timestamp() WHERE id = %(id)s",
        dict.fromkeys(("state", *_FIELDS, "undoes")) | {"note": ""} | values | {"id": work},
    )


def _require_state(row: dict, allowed: list[str], action: str) -> None:
    if row["state"] not in allowed:
        wanted = " or ".join(allowed)
        raise InputError(f"work {row['id']} is {row['state']}: {action} is for works that are {wanted}", remedy="See `onemap works show`")


PROCESS = Process(
    id="work-change",
    title=Text(zh="关阀作业登记", en="Change of a work"),
    description=Text(
        zh="登记、修改、开始、完成、取消一项关阀作业，或撤回上一步；开始时登记阀门关闭，结束时开启不再有作业需要的阀门；"
        "emergency 登记并立即开始抢修",
        en="Enters, changes, begins, finishes or cancels a work that shuts valves, or takes its last step back; its valves are reported "
        "shut at its start, and at its end those are reported open that no other work needs; emergency enters it and begins at once",
    ),
    inputs=WorkChangeInputs,
    run=run,
    layers=(*LAYERS, "building"),
    writes=("water_valve",),
    keywords=("water", "works", "关阀", "停水"),
    example={"action": "start", "work": 1},
)
