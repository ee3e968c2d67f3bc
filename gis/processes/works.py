"""Works that shut valves: which there are, and of one of them what it shuts, whom it leaves dry, alone and together with others."""

from __future__ import annotations

import datetime as dt
import time
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, Field, model_validator

from gis.analysis.joint_works import may_open
from gis.analysis.network import position
from gis.catalog.model import Text
from gis.errors import NotOnNetwork
from gis.processes import Inputs, Process, _works
from gis.processes import _water_answer as answer
from gis.processes._customers import customers
from gis.processes._water_network import LAYERS, Water, water

State = Literal["planned", "in_progress", "finished", "cancelled"]


class WorksInputs(Inputs):
    """One work, or the works of a network in a state, in force within a time, as they were known at a moment."""

    work: int | None = Field(None, title="作业 Work", description="作业编号；不填则列出 / Its number; none lists them", ge=1, lt=2**63)
    network: str | None = Field(None, title="管网 Network", description="只列该管网 / Only those of this network", max_length=40)
    state: State | None = Field(None, title="状态 State", description="只列该状态 / Only those in this state")
    after: AwareDatetime | None = Field(None, title="此后 After", description="此时之后仍停水的 / In force after this time")
    before: AwareDatetime | None = Field(None, title="此前 Before", description="此时之前已停水的 / In force before this time")
    as_of: AwareDatetime | None = Field(
        None, title="当时 As of", description="按当时所知的作业、管网和阀门状态 / The works, network and states as known at this moment"
    )
    limit: int = Field(100, title="条数 Limit", description="最多列出多少 / At most so many", ge=1, le=1000)
    features: bool = Field(False, title="要素 Features", description="同时返回地图要素 / Add a GeoJSON FeatureCollection for the map")
    details: bool = Field(
        False, title="明细 Details", description="返回门牌地址、因叠加而停水的用户 / Add door-plates, and who is dry only by a combination"
    )

    @model_validator(mode="after")
    def _known_time(self):
        if self.as_of is not None and self.as_of > dt.datetime.now().astimezone() + dt.timedelta(minutes=5):
            raise ValueError("as_of lies in the future")
        return self


def run(store, inputs: WorksInputs, progress=None) -> dict:
    """Without `work` {works: [...]}; with it {work, events, held, may_open, stay_shut, plan, conflicts, findings, data_version, seconds}.

    plan: valves, affected, drain … of this work by itself, null where it has ended or its place is gone; conflicts: works at the same time
    that have to be seen as one with it, `extra` what only the combination leaves dry; may_open: valves that may be opened when this work
    ends, stay_shut: those that other works still need; findings: what is left out or assumed. Raises NotFound, AccessDenied."""
    if inputs.work is None:
        states = [inputs.state] if inputs.state else None
        when = {"after": inputs.after, "before": inputs.before, "moment": inputs.as_of}
        return {"works": _works.listed(store, inputs.network, states, inputs.limit, **when)}
    return shown(store, inputs.work, features=inputs.features, details=inputs.details, moment=inputs.as_of)


def shown(store, work: int, *, features: bool = False, details: bool = False, moment: dt.datetime | None = None) -> dict:
    """One work with its plan and its conflicts, as known at a moment."""
    begun = time.perf_counter()
    row = _works.one(store, work, moment)
    holding, valves = _works.held(store, row["network"], work, moment)
    opened, still = may_open(holding, work)
    known = _works.undisturbed(water(store, row["network"], moment), holding)
    result = {
        "work": row, "events": [_works.shown(e) for e in store.rows("work_events", id=work, moment=moment)], "held": valves,
        "may_open": sorted(opened), "stay_shut": [{"valve": v, "works": still[v]} for v in sorted(still)], "plan": None, "conflicts": [],
        "findings": _vanished(known, row, holding.get(work, ())), "data_version": known.version,
    }  # fmt: skip
    if row["state"] in _works.ALIVE:
        try:
            result |= _alive(store, known, row, result["findings"], features=features, details=details, moment=moment)
        except NotOnNetwork:
            result["findings"] = [*result["findings"], _works.finding("WK01", [row["element_id"]])]
    return result | {"seconds": round(time.perf_counter() - begun, 6)}


def _alive(store, known: Water, row: dict, noted: list[dict], *, features: bool, details: bool, moment) -> dict:
    """What a work that has not ended shuts, alone and together. Raises NotOnNetwork."""
    told, plan, found = _works.planned(known, row)
    conflicts, joint, left_out = _works.conflicting(store, known, row, moment)
    result = {"plan": told, "conflicts": conflicts, "findings": [*noted, *found, *left_out]}
    if details:
        wanted = set(told["affected"]["doorplates"]).union(*(c["extra"]["doorplates"] for c in conflicts))
        result["doorplate_list"] = answer.doorplate_list(store, sorted(wanted))
        for clash in conflicts:
            clash["extra"]["customer_list"] = customers(store, row["network"], pipes=clash["extra"]["pipes"])
    if features:
        extra = [c.joint.extra for c in joint]
        result["features"] = _works.features(known, row, plan, np.unique(np.concatenate(extra)) if extra else ())
    return result


def _vanished(known: Water, row: dict, holding) -> list[dict]:
    """Valves that a work holds and the network no longer has."""
    if row["element"] == "connection":
        return []
    gone = sorted(v for v in holding if position(known.engine.network.valve_id, v) < 0)
    return [_works.finding("WK05", gone)] if gone else []


PROCESS = Process(
    id="works",
    title=Text(zh="关阀作业", en="Works that shut valves"),
    description=Text(
        zh="列出关阀作业；查看一项作业要关的阀门、停水范围、与同期作业的冲突（只因叠加才停水的用户）、结束时可开启的阀门",
        en="Lists the works that shut valves; of one: its valves, who is without water, the conflicts with works at the same time (who "
        "loses water only by the combination), and which valves may be opened when it ends",
    ),
    inputs=WorksInputs,
    run=run,
    layers=(*LAYERS, "building"),
    keywords=("water", "works", "关阀", "停水"),
    example={"network": "city", "state": "planned"},
)
