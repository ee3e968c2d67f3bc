"""`onemap works …`: works that shut valves, from their entry to their end, and what they do to one another."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from gis.cli.output import emit, pairs, rows
from gis.cli.typed import inputs_of, moment, operator, position
from gis.db.store import Store

Network = Annotated[str, typer.Option("--network", help="The network's name. 管网名称")]
Number = Annotated[int, typer.Argument(metavar="ID", help="The number of the work. 作业编号")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

works = typer.Typer(help="Works that shut valves: planned, in progress, finished. 关阀作业。", no_args_is_help=True)

STATES = {"planned": "计划", "in_progress": "进行中", "finished": "完成", "cancelled": "取消"}


class Kind(StrEnum):
    planned = "planned"
    emergency = "emergency"


class State(StrEnum):
    planned = "planned"
    in_progress = "in_progress"
    finished = "finished"
    cancelled = "cancelled"


def register(app: typer.Typer) -> None:
    """Adds `onemap works`."""
    app.add_typer(works, name="works")


@works.command()
def add(
    title: Annotated[str, typer.Option(help="What is done. 作业名称")],
    starts: Annotated[str, typer.Option("--from", metavar="TIME", help="When water goes off: 2026-12-01T08:00. 停水开始")],
    ends: Annotated[str, typer.Option("--until", metavar="TIME", help="When water is back. 恢复供水")],
    network: Network = "city",
    pipe: Annotated[str | None, typer.Option(help="The pipe that is worked on.")] = None,
    node: Annotated[str | None, typer.Option(help="The junction that is worked on.")] = None,
    valve: Annotated[str | None, typer.Option(help="The valve that is worked on.")] = None,
    at: Annotated[str | None, typer.Option(metavar="LON,LAT", help="A point on the map; the nearest pipe is taken.")] = None,
    kind: Annotated[Kind, typer.Option(help="Planned, or an emergency.")] = Kind.planned,
    reason: Annotated[str, typer.Option(help="Why; printed on the notice. 停水原因")] = "",
    stuck: Annotated[list[str] | None, typer.Option(help="A valve that does not turn; may be repeated.")] = None,
    json: Json = False,
) -> None:
    """Enter a work. 登记关阀作业。"""
    _change({
        "action": "add", "title": title, "starts": moment(starts, "--from"), "ends": moment(ends, "--until"), "network": network,
        "pipe": pipe, "node": node, "valve": valve, "at": position(at), "kind": kind.value, "reason": reason, "stuck": stuck or [],
    }, json)  # fmt: skip


@works.command("list")
def list_(
    network: Annotated[str | None, typer.Option("--network", help="Only those of this network.")] = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 100,
    json: Json = False,
) -> None:
    """The works, the newest first. 作业一览。"""
    answer = _asked({"network": network, "state": state and state.value, "limit": limit})
    lines = [
        [w["id"], STATES[w["state"]], w["kind"], w["network"], f"{w['element']} {w['element_id']}", w["starts"], w["ends"], w["title"]]
        for w in answer["works"]
    ]
    emit(answer, json, table=lambda: rows(["编号 id", "状态", "类别", "管网", "位置", "开始 from", "结束 until", "名称"], lines))


@works.command()
def show(work: Number, details: Annotated[bool, typer.Option("--details", help="With the addresses.")] = False, json: Json = False) -> None:
    """What a work shuts and whom it leaves dry, alone and together with others. 作业详情与冲突。"""
    answer = _asked({"work": work, "details": details})
    emit(answer, json, table=lambda: _table(answer))


@works.command()
def start(work: Number, json: Json = False) -> None:
    """Begin a work: its valves are held, and reported shut. 开始作业。"""
    _change({"action": "start", "work": work}, json)


@works.command()
def finish(work: Number, json: Json = False) -> None:
    """End a work: the valves that no other work needs are reported open. 完成作业。"""
    _change({"action": "finish", "work": work}, json)


@works.command()
def cancel(work: Number, json: Json = False) -> None:
    """Give a work up, before or while it goes on. 取消作业。"""
    _change({"action": "cancel", "work": work}, json)


def _asked(parameters: dict) -> dict:
    from gis.processes import works as process

    with Store("admin", operator()) as store:
        return process.run(store, inputs_of(process.WorksInputs, parameters))


def _change(parameters: dict, json: bool) -> None:
    from gis.processes import work_change

    inputs = inputs_of(work_change.WorkChangeInputs, parameters)
    with Store("admin", operator()) as store:
        answer = work_change.run(store, inputs)
    emit(answer, json, table=lambda: _table(answer))


def _table(answer: dict):
    """A work for the one who answers the telephone."""
    work, plan = answer["work"], answer["plan"]
    said = {
        "作业 work": f"{work['id']} {work['title']}（{STATES[work['state']]} {work['state']}，{work['kind']}）",
        "位置 element": f"{work['network']} {work['element']} {work['element_id']}", "时间 window": f"{work['starts']} – {work['ends']}",
    }  # fmt: skip
    if plan:
        dry = plan["affected"]
        said |= {
            "可隔离 isolated": "是 yes" if plan["isolated"] else f"否 no: 须停水源 shut {', '.join(plan['sources_to_shut'])}",
            "关闭 close": "  ".join(f"{i}. {v}" for i, v in enumerate(plan["valves"]["close"], 1)) or "–",
            "停水 affected": f"{len(dry['pipes'])} 段 pipes, {dry['customers']} 户 customers, {len(dry['doorplates'])} 门牌",
            "重点 priority": ", ".join(f"{p['priority']} {p['connection']}" for p in dry["priority"]) or "–",
            "可开启联络阀 feeds": ", ".join(plan["feeds_to_open"]) or "–",
        }  # fmt: skip
    for clash in answer["conflicts"]:
        others = ", ".join(str(w) for w in clash["works"] if w != work["id"])
        said[f"冲突 conflict {others}"] = (
            f"{clash['from']} – {clash['until']}；另停 extra {clash['extra']['customers']} 户, {len(clash['extra']['pipes'])} 段；"
            f"共用阀 shared {', '.join(clash['shared']) or '–'}；可免关 spared {', '.join(clash['spared']) or '–'}"
        )
    for name, key in (("已关 shut now", "closed"), ("已开 opened now", "opened")):
        if answer.get(key):
            said[name] = ", ".join(answer[key])
    if answer["may_open"] or answer["stay_shut"]:
        said["结束时可开启 may open"] = ", ".join(answer["may_open"]) or "–"
        said["仍须关闭 stay shut"] = ", ".join(f"{s['valve']}（{s['works']}）" for s in answer["stay_shut"]) or "–"
    return pairs(said)
