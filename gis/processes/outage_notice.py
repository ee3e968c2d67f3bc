"""What an outage notice (停水通知单) says of a work or a burst: why, when, where, who, which valves, what could feed them."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, Field, model_validator

from gis.analysis import outage_area
from gis.catalog.model import Text
from gis.errors import InputError
from gis.processes import Inputs, Process, pipe_burst, works
from gis.processes._customers import customers
from gis.processes._water_answer import affected
from gis.processes._water_network import LAYERS, water
from gis.processes.paper import ASKED, Document, customer_list, facts, notice_sheet, page

_DEFAULT_REASON = {"burst": "供水管道突发故障，需停水抢修", "emergency": "供水管道突发故障，需停水抢修", "planned": "供水设施检修施工"}


Kind = Literal["html", "pdf", "csv", "xlsx"]


class OutageNoticeInputs(Inputs):
    """A work, or where it burst with the times."""

    work: int | None = Field(None, title="作业 Work", description="作业编号 / The number of a work", ge=1, lt=2**63)
    network: str = Field("city", title="管网 Network", description="管网名称 / The network's name", min_length=1, max_length=40)
    pipe: str | None = Field(None, title="管段 Pipe", description="爆管管段 / The burst pipe", max_length=200)
    node: str | None = Field(None, title="节点 Node", description="爆管节点 / The burst junction", max_length=200)
    valve: str | None = Field(None, title="阀门 Valve", description="损坏的阀门 / The burst valve", max_length=200)
    connection: str | None = Field(None, title="入户管 Connection", description="损坏的入户管 / The service line", max_length=200)
    at: tuple[float, float] | None = Field(None, title="位置 Position", description="经度,纬度 / Longitude, latitude")
    stuck: list[str] = Field(default_factory=list, title="关不动 Stuck", description="关不动的阀门 / They do not turn", max_length=1000)
    starts: AwareDatetime | None = Field(None, title="开始 From", description="停水开始；作业自带 / A work has its own")
    ends: AwareDatetime | None = Field(None, title="结束 Until", description="恢复供水；作业自带 / A work has its own")
    reason: str = Field("", title="原因 Reason", description="停水原因 / Why", max_length=1000)
    contact: str = Field("", title="咨询 Contact", description="咨询电话或方式 / Whom to ask", max_length=200)
    number: str = Field("", title="编号 Number", description="通知单编号 / The notice's number", max_length=60)
    document: Kind | None = Field(
        None, title="文件 Document", description="html、pdf 通知单，csv、xlsx 用户表 / The notice, or its customers. " + ASKED
    )

    @model_validator(mode="after")
    def _one_cause(self):
        given = [name for name in pipe_burst.PLACES if getattr(self, name) is not None]
        if len(given) + (self.work is not None) != 1:
            raise ValueError("give exactly one of work, " + ", ".join(pipe_burst.PLACES))
        if self.work is None and (self.starts is None or self.ends is None):
            raise ValueError("give starts and ends")
        if self.starts and self.ends and self.starts >= self.ends:
            raise ValueError("it ends after it starts")
        return self


def run(store, inputs: OutageNoticeInputs, progress=None) -> dict:
    """{number, city, reason, starts, ends, issued, contact, network, element, title, isolated, sources_to_shut, affected, areas,
    doorplates, customers, valves, feeds, drain, works, features, findings, data_version}, and `document` where one is asked for.

    areas: by community, in it compounds with buildings or roads with numbers; customers: one row per service line, priority users first;
    works: numbers of works at the same time that are part of it. Raises as `pipe-burst` and `works` do."""
    about, found = _of_work(store, inputs) if inputs.work is not None else _of_burst(store, inputs)
    dry = found["affected"]
    plates = facts.plates(store, dry["doorplates"])
    valves = facts.valves(store, about["network"], [*found["valves"]["close"], *found["feeds_to_open"]])
    feeds = [valves[v] for v in found["feeds_to_open"]]
    shapes = [*found["features"]["features"], *(_point(v, "valve_feed") for v in feeds)]
    answer = about | {
        "city": store.catalog.city.name.zh, "issued": _local(dt.datetime.now().astimezone()), "contact": inputs.contact,
        "isolated": found["isolated"], "sources_to_shut": found["sources_to_shut"], "affected": dry, "areas": outage_area.areas(plates),
        "doorplates": facts.listed(plates), "customers": customers(store, about["network"], pipes=dry["pipes"], plates=plates,
                                connection=found.get("burst", {}).get("connection") if not dry["pipes"] else None),
        "valves": [valves[v] for v in found["valves"]["close"]], "feeds": feeds, "drain": found.get("drain"),
        "features": {"type": "FeatureCollection", "features": shapes}, "findings": found["findings"], "data_version": found["data_version"],
    }  # fmt: skip
    return answer | ({"document": document(store, answer, inputs.document).by_value()} if inputs.document else {})


def document(store, answer: dict, kind: Kind) -> Document:
    """The notice as HTML or PDF, or its customers as CSV or Excel."""
    name = f"停水通知单-{answer['number']}"
    if kind == "csv":
        return Document(f"停水用户-{answer['number']}.csv", customer_list.as_csv(answer["customers"]))
    if kind == "xlsx":
        return Document(f"停水用户-{answer['number']}.xlsx", customer_list.as_xlsx(answer))
    return page(name, notice_sheet.html(store, answer), kind)


def _of_work(store, inputs: OutageNoticeInputs) -> tuple[dict, dict]:
    """A work with those that last at the same time and act together with it."""
    shown = works.shown(store, inputs.work, features=True)
    row, plan = shown["work"], shown["plan"]
    if plan is None:
        raise InputError(f"work {row['id']} is {row['state']}: there is nothing to announce", remedy="See `onemap works list`")
    starts, ends = (inputs.starts or dt.datetime.fromisoformat(row["starts"])), (inputs.ends or dt.datetime.fromisoformat(row["ends"]))
    dry = dict(plan["affected"])
    for clash in shown["conflicts"]:
        dry = _joined(dry, clash["extra"])
    together = sorted({number for clash in shown["conflicts"] for number in clash["works"]} - {row["id"]})
    number = inputs.number or f"停水〔{starts.astimezone().year}〕第{row['id']:04d}号"
    about = {
        "number": number, "title": row["title"], "network": row["network"], "element": f"{row['element']} {row['element_id']}",
        "reason": inputs.reason or row["reason"] or _DEFAULT_REASON[row["kind"]],
        "starts": _local(starts), "ends": _local(ends), "works": together, "kind": row["kind"],
    }  # fmt: skip
    return about, plan | {name: shown[name] for name in ("features", "findings", "data_version")} | {"affected": dry}


def _of_burst(store, inputs: OutageNoticeInputs) -> tuple[dict, dict]:
    place = {name: getattr(inputs, name) for name in pipe_burst.PLACES if getattr(inputs, name) is not None}
    parameters = place | {"network": inputs.network, "stuck": inputs.stuck, "features": True, "details": True}
    found = pipe_burst.run(store, pipe_burst.parsed(**parameters), lambda share, what: None)
    if found["also_cut"]["pipes"]:
        known = water(store, inputs.network)
        beside = known.engine.segments.of_pipe[[known.engine.network.pipe(p) for p in found["also_cut"]["pipes"]]]
        found["affected"] = _joined(found["affected"], affected(known, np.unique(beside).astype(np.int64))[0])
    named = next(f"{k} {v}" for k, v in found["burst"].items() if k not in ("lon", "lat"))
    number = inputs.number or f"停水〔{inputs.starts.astimezone():%Y}〕抢修{inputs.starts.astimezone():%m%d%H%M}号"
    about = {
        "number": number, "title": "抢修停水", "network": inputs.network, "element": named, "kind": "emergency", "works": [],
        "reason": inputs.reason or _DEFAULT_REASON["burst"], "starts": _local(inputs.starts), "ends": _local(inputs.ends),
    }  # fmt: skip
    return about, found


def _joined(dry: dict, extra: dict) -> dict:
    """Two parts `affected` that have no pipe in common, as one."""
    told = {name: sorted({*dry[name], *extra[name]}) for name in ("pipes", "doorplates", "hydrants")}
    sums = {name: dry[name] + extra[name] for name in ("length_m", "volume_m3", "customers")}
    return dry | told | sums | {"priority": [*dry["priority"], *(p for p in extra["priority"] if p not in dry["priority"])]}


def _point(valve: dict, part: str) -> dict:
    at = {"type": "Point", "coordinates": [valve["lon"], valve["lat"]]} if valve["lon"] is not None else None
    return {"type": "Feature", "geometry": at, "properties": {"layer": "water_valve", "id": valve["id"], "part": part}}


def _local(moment: dt.datetime) -> str:
    return moment.astimezone().isoformat(timespec="minutes")


PROCESS = Process(
    id="outage-notice",
    title=Text(zh="停水通知单", en="Outage notice"),
    description=Text(
        zh="一项作业或一次爆管的停水通知：原因、时间、按社区的停水范围、门牌、用户（重点用户在前）、阀门、可开启的联络阀",
        en="The notice of a work or a burst: why, when, where by community, door-plates, customers (priority users first), valves, feeds",
    ),
    inputs=OutageNoticeInputs,
    run=run,
    layers=(*LAYERS, "address", "building", "road"),
    keywords=("water", "notice", "停水", "通知"),
    example={"work": 1, "contact": "供水热线"},
)
