"""Works that shut valves: which there are, and of one of them what it shuts, whom it leaves dry, alone and together with others."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np
from pydantic import Field

from gis.analysis.joint_works import may_open
from gis.catalog.model import Text
from gis.processes import Inputs, Process, _works
from gis.processes import _water_answer as answer
from gis.processes._water_network import LAYERS, water

State = Literal["planned", "in_progress", "finished", "cancelled"]


class WorksInputs(Inputs):
    """One work, or the works of a network in a state."""

    work: int | None = Field(None, title="作业 Work", description="作业编号；不填则列出 / Its number; none lists them", ge=1, lt=2**63)
    network: str | None = Field(None, title="管网 Network", description="只列该管网 / Only those of this network", max_length=40)
    state: State | None = Field(None, title="状态 State", description="只列该状态 / Only those in this state")
    limit: int = Field(100, title="条数 Limit", description="最多列出多少 / At most so many", ge=1, le=1000)
    features: bool = Field(False, title="要素 Features", description="同时返回地图要素 / Add a GeoJSON FeatureCollection for the map")
    details: bool = Field(False, title="明细 Details", description="同时返回门牌地址 / Add the addresses of the door-plates")


def run(store, inputs: WorksInputs, progress=None) -> dict:
    """Without `work` {works: [...]}; with it {work, events, held, may_open, stay_shut, plan, conflicts, data_version, seconds}.

    plan: valves, affected … of this work by itself; conflicts: works at the same time that have to be seen as one with it, `extra` what
    only the combination leaves dry; may_open: valves that may be opened when this work ends, stay_shut: those that other works still
    need. Raises NotFound, AccessDenied."""
    if inputs.work is None:
        return {"works": _works.listed(store, inputs.network, [inputs.state] if inputs.state else None, inputs.limit)}
    return shown(store, inputs.work, features=inputs.features, details=inputs.details)


def shown(store, work: int, *, features: bool = False, details: bool = False) -> dict:
    """One work with its plan and its conflicts."""
    begun = time.perf_counter()
    row = _works.one(store, work)
    holding, valves = _works.held(store, row["network"], work)
    result = {"work": row, "events": [_works.shown(e) for e in store.rows("work_events", id=work)], "held": valves}
    opened, still = may_open(holding, work)
    result |= {"may_open": sorted(opened), "stay_shut": [{"valve": v, "works": still[v]} for v in sorted(still)]}
    known = _works.undisturbed(water(store, row["network"]), holding)
    result["data_version"] = known.version
    if row["state"] not in _works.ALIVE:
        return result | {"plan": None, "conflicts": [], "seconds": round(time.perf_counter() - begun, 6)}
    result["plan"], plan = _works.planned(known, row)
    result["conflicts"], found = _works.conflicting(store, known, row)
    if details:
        wanted = set(result["plan"]["affected"]["doorplates"]).union(*(c["extra"]["doorplates"] for c in result["conflicts"]))
        result["doorplate_list"] = answer.doorplate_list(store, sorted(wanted))
    if features:
        extra = [c.joint.extra for c in found]
        result["features"] = _works.features(known, plan, np.unique(np.concatenate(extra)) if extra else ())
    return result | {"seconds": round(time.perf_counter() - begun, 6)}


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
    layers=LAYERS,
    keywords=("water", "works", "关阀", "停水"),
    example={"network": "city", "state": "planned"},
)
