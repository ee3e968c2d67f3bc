"""`onemap works …`: works that shut valves, from their entry to their end, and what they do to one another."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gis.cli.output import console, emit, pairs, rows
from gis.cli.typed import inputs_of, moment, operator, position
from gis.db.store import Store
from gis.errors import InputError

Network = Annotated[str, typer.Option("--network", help="The network's name. 管网名称")]
Number = Annotated[int, typer.Argument(metavar="ID", help="The number of the work. 作业编号")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

works = typer.Typer(help="Works that shut valves: planned, in progress, finished. 关阀作业。", no_args_is_help=True)

KINDS = {"planned": "计划", "emergency": "抢修"}
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


_PIPE = Annotated[str | None, typer.Option(help="The pipe that is worked on.")]
_NODE = Annotated[str | None, typer.Option(help="The junction that is worked on.")]
_VALVE = Annotated[str | None, typer.Option(help="The valve that is worked on.")]
_CONNECTION = Annotated[str | None, typer.Option(help="The service connection that is worked on.")]
_AT = Annotated[str | None, typer.Option(metavar="LON,LAT", help="A point on the map; the nearest pipe is taken.")]
_STUCK = Annotated[list[str] | None, typer.Option(help="A valve that does not turn; may be repeated.")]
_REASON = Annotated[str, typer.Option(help="Why; printed on the notice. 停水原因")]
_NOTE = Annotated[str, typer.Option(help="Why this is done, for the history. 说明")]
_AS_OF = Annotated[str | None, typer.Option("--as-of", metavar="TIME", help="As known at this moment. 当时")]


@works.command()
def add(
    title: Annotated[str, typer.Option(help="What is done. 作业名称")],
    starts: Annotated[str, typer.Option("--from", metavar="TIME", help="When water goes off: 2026-12-01T08:00. 停水开始")],
    ends: Annotated[str, typer.Option("--until", metavar="TIME", help="When water is back. 恢复供水")],
    network: Network = "city", pipe: _PIPE = None, node: _NODE = None, valve: _VALVE = None, connection: _CONNECTION = None, at: _AT = None,
    kind: Annotated[Kind, typer.Option(help="Planned, or an emergency.")] = Kind.planned,
    reason: _REASON = "", stuck: _STUCK = None, json: Json = False,
) -> None:  # fmt: skip
    """Enter a work. 登记关阀作业。"""
    _change({
        "action": "add", "title": title, "starts": moment(starts, "--from"), "ends": moment(ends, "--until"), "network": network,
        "pipe": pipe, "node": node, "valve": valve, "connection": connection, "at": position(at), "kind": kind.value, "reason": reason,
        "stuck": stuck or [],
    }, json)  # fmt: skip


@works.command()
def emergency(
    network: Network = "city", pipe: _PIPE = None, node: _NODE = None, valve: _VALVE = None, connection: _CONNECTION = None, at: _AT = None,
    stuck: _STUCK = None, title: Annotated[str | None, typer.Option(help="What is done; default 抢修 and the element.")] = None,
    hours: Annotated[float, typer.Option(help="How long it will take. 预计小时数")] = 8.0, reason: _REASON = "",
    notice: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the outage notice to FILE.pdf or .html at once.")] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Enter a burst as a work and begin it at once: its valves are held and reported shut. 立即抢修。"""
    if notice is not None and (notice.suffix.lower() not in (".pdf", ".html") or not notice.resolve().parent.is_dir()):
        raise InputError(f"--notice cannot write {notice.name}", remedy="Name it FILE.pdf or FILE.html, in a folder that is there")
    answer = _changed({
        "action": "emergency", "network": network, "pipe": pipe, "node": node, "valve": valve, "connection": connection,
        "at": position(at), "stuck": stuck or [], "title": title, "hours": hours, "reason": reason,
    })  # fmt: skip
    if notice is not None:
        _announce(answer["work"]["id"], notice)
    emit(answer, json, table=lambda: _table(answer))


@works.command("list")
def list_(
    network: Annotated[str | None, typer.Option("--network", help="Only those of this network.")] = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    starts: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Only those in force after this time.")] = None,
    ends: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only those in force before this time.")] = None,
    as_of: _AS_OF = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 100,
    json: Json = False,
) -> None:
    """The works, the newest first. 作业一览。"""
    answer = _asked({"network": network, "state": state and state.value, "limit": limit, "after": _time(starts, "--from"),
                     "before": _time(ends, "--until"), "as_of": _time(as_of, "--as-of")})  # fmt: skip
    lines = [
        [w["id"], STATES[w["state"]] + ("（超时）" if w["overdue"] else ""), KINDS[w["kind"]], w["network"],
         f"{w['element']} {w['element_id']}", w["starts"], w["ends"], w["title"]]
        for w in answer["works"]
    ]  # fmt: skip
    emit(answer, json, table=lambda: rows(["编号 id", "状态", "类别", "管网", "位置", "开始 from", "结束 until", "名称"], lines))


@works.command()
def show(
    work: Number, details: Annotated[bool, typer.Option("--details", help="With addresses, and who loses water by a combination.")] = False,
    as_of: _AS_OF = None, json: Json = False,
) -> None:  # fmt: skip
    """What a work shuts and whom it leaves dry, alone and together with others; its history. 作业详情、冲突与历史。"""
    answer = _asked({"work": work, "details": details, "as_of": _time(as_of, "--as-of")})
    emit(answer, json, table=lambda: _table(answer))


@works.command()
def change(
    work: Number, title: Annotated[str | None, typer.Option(help="Another title.")] = None,
    reason: Annotated[str | None, typer.Option(help="Another reason. 停水原因")] = None,
    starts: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Another beginning.")] = None,
    ends: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Another end. 改期、延时")] = None,
    stuck: Annotated[list[str] | None, typer.Option(help="All valves that do not turn; in progress the others are shut. 二次关阀")] = None,
    none_stuck: Annotated[bool, typer.Option("--none-stuck", help="All valves turn after all.")] = False,
    note: _NOTE = "", json: Json = False,
) -> None:  # fmt: skip
    """Change a work: its times, title, reason, or the valves that turned out not to turn. 改期、延时、二次关阀。"""
    _change({
        "action": "change", "work": work, "title": title, "reason": reason, "starts": _time(starts, "--from"),
        "ends": _time(ends, "--until"), "stuck": [] if none_stuck else stuck, "note": note,
    }, json)  # fmt: skip


@works.command()
def start(work: Number, note: _NOTE = "", json: Json = False) -> None:
    """Begin a work: its valves are held, and reported shut. 开始作业。"""
    _change({"action": "start", "work": work, "note": note}, json)


@works.command()
def finish(work: Number, note: _NOTE = "", json: Json = False) -> None:
    """End a work: the valves that no other work needs are reported open. 完成作业。"""
    _change({"action": "finish", "work": work, "note": note}, json)


@works.command()
def cancel(work: Number, note: _NOTE = "", json: Json = False) -> None:
    """Give a work up, before or while it goes on. 取消作业。"""
    _change({"action": "cancel", "work": work, "note": note}, json)


@works.command()
def undo(work: Number, note: _NOTE = "", json: Json = False) -> None:
    """Take back the last step of a work, and what it did to the valves. 撤回上一步。"""
    _change({"action": "undo", "work": work, "note": note}, json)


def _asked(parameters: dict) -> dict:
    from gis.processes import works as process

    with Store("admin", operator()) as store:
        return process.run(store, inputs_of(process.WorksInputs, parameters))


def _changed(parameters: dict) -> dict:
    from gis.processes import work_change

    inputs = inputs_of(work_change.WorkChangeInputs, parameters)
    with Store("admin", operator()) as store:
        return work_change.run(store, inputs)


def _change(parameters: dict, json: bool) -> None:
    answer = _changed(parameters)
    emit(answer, json, table=lambda: _table(answer))


def _announce(work: int, out: Path) -> None:
    """The outage notice of a work as a file."""
    from gis.processes import outage_notice

    with Store("admin", operator()) as store:
        told = outage_notice.run(store, outage_notice.OutageNoticeInputs(work=work))
        out.write_bytes(outage_notice.document(store, told, out.suffix.lower()[1:]).data)
    console.print(f"written: {out.name}", markup=False)


def _time(text: str | None, option: str):
    return moment(text, option) if text else None


def _table(answer: dict):
    """A work for the one who answers the telephone."""
    work, plan = answer["work"], answer["plan"]
    late = " 超时 overdue" if work["overdue"] else ""
    said = {
        "作业 work": f"{work['id']} {work['title']}（{STATES[work['state']]} {work['state']}{late}，{KINDS[work['kind']]}）",
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
    for clash in answer["conflicts"]:
        for c in clash["extra"].get("customer_list", ()):
            said[f"另停用户 {c['connection']}"] = f"{c['customers']} 户 {c['name'] or ''} {c['address'] or ''} {c['phone'] or ''}".strip()
    for name, key in (("已关 shut now", "closed"), ("已开 opened now", "opened")):
        if answer.get(key):
            said[name] = ", ".join(answer[key])
    if answer["may_open"] or answer["stay_shut"]:
        said["结束时可开启 may open"] = ", ".join(answer["may_open"]) or "–"
        said["仍须关闭 stay shut"] = ", ".join(f"{s['valve']}（{s['works']}）" for s in answer["stay_shut"]) or "–"
    for finding in answer["findings"]:
        said[f"注意 {finding['code']}"] = f"{finding['message_zh']} {finding['message']} ({finding['n']}: {', '.join(finding['ids'][:5])})"
    for event in answer["events"]:
        said[f"历史 history {event['id']}"] = f"{event['at']} {_event(event)}"
    return pairs(said)


def _event(event: dict) -> str:
    """One line of the history: who did what."""
    step = STATES[event["becomes"]] if event["was"] != event["becomes"] else ""
    fields = "；".join(f"{name}: {was} → {now}" for name, (was, now) in (event["changed"] or {}).items())
    back = "撤回 undone" if event["undoes"] else ""
    return " ".join(part for part in (back, step, fields, event["note"], f"({event['operator'] or '–'})") if part)
