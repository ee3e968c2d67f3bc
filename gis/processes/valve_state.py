"""What is reported about a valve: open or closed, whether it turns, whether it can be reached. It counts in the next answer."""

from __future__ import annotations

import pandas
from pydantic import AwareDatetime, Field, model_validator

from gis.catalog.model import Text
from gis.db import valve_states
from gis.db.connection import writing
from gis.db.valve_states import Live, Report
from gis.errors import AccessDenied
from gis.processes import Inputs, Process


class ValveStateInputs(Inputs):
    """A valve and what is known of it now; what is not given stays as it is."""

    valve: str = Field(title="阀门 Valve", description="阀门编号 / The id of the valve", min_length=1, max_length=200)
    network: str = Field("city", title="管网 Network", description="管网名称 / The network's name", min_length=1, max_length=40)
    live: Live | None = Field(
        None, title="实时状态 Live state",
        description="open 开、closed 关、unknown 不明（按常态计）/ open, closed, or unknown: then its normal state counts",
    )  # fmt: skip
    operable: bool | None = Field(None, title="可操作 Operable", description="能否转动 / Whether it turns")
    accessible: bool | None = Field(None, title="可到达 Accessible", description="能否到达 / Whether it can be reached")
    reason: str = Field("", title="原因 Reason", description="为何改变 / Why it changed", max_length=500)
    at: AwareDatetime | None = Field(None, title="时间 At", description="何时如此，默认现在 / Since when it is so; default now")

    @model_validator(mode="after")
    def _says_something(self):
        if self.live is None and self.operable is None and self.accessible is None:
            raise ValueError("give live, operable or accessible")
        return self


def run(store, inputs: ValveStateInputs, progress=None) -> dict:
    """{network, valve, batch, changed, outdated, live_status, normal_status, operable, accessible, data_version}; batch is null where
    nothing changed. Raises NotOnNetwork, AccessDenied (only roles that may write the layer of the valves), StoreError."""
    said = Report(inputs.valve, inputs.live, inputs.operable, inputs.accessible, inputs.at)
    done = reported(store, inputs.network, [said], source="valve-state", reason=inputs.reason)
    columns = ["live_status", "normal_status", "operable", "accessible"]
    row = store.frame("water_valve", columns, where={"network": inputs.network, "valve_id": inputs.valve}, geometry=False).iloc[0]
    live = "unknown" if pandas.isna(row["live_status"]) else row["live_status"]
    return {
        "network": inputs.network, "valve": inputs.valve, "batch": done.batch,
        "changed": bool(done.changed), "outdated": bool(done.outdated),
        "live_status": live, "normal_status": row["normal_status"], "operable": bool(row["operable"]),
        "accessible": bool(row["accessible"]), "data_version": store.version(["water_valve"], inputs.network),
    }  # fmt: skip


def reported(store, network: str, reports: list[Report], *, source: str, reason: str, strict: bool = True) -> valve_states.Reported:
    """Believes reports with the rights of the store's caller. Raises AccessDenied, NotOnNetwork, InputError, StoreError."""
    require_writer(store)
    with writing(store.role, store.user) as connection:
        return valve_states.report(connection, network, reports, source=source, reason=reason, operator=store.user, strict=strict)


def require_writer(store) -> None:
    """Raises AccessDenied unless the caller may change valves."""
    store.require(["water_valve"])
    if not store.catalog.layers["water_valve"].writable_by(store.role):
        raise AccessDenied("Your role may not change valves", remedy="Ask the water utility's duty officer or the administrator")


PROCESS = Process(
    id="valve-state",
    title=Text(zh="阀门状态", en="State of a valve"),
    description=Text(
        zh="登记阀门的开关、能否转动、能否到达；留有历史与审计，下一次爆管分析即按新状态计算",
        en="Report a valve as open or closed, turning or not, reachable or not; kept with history and audit, it counts in the next answer",
    ),
    inputs=ValveStateInputs,
    run=run,
    layers=("water_valve",),
    writes=("water_valve",),
    keywords=("water", "valve", "阀门"),
    example={"network": "city", "valve": "FM000001", "live": "closed", "reason": "抢修"},
)
