"""`onemap notice`: the outage notice of a work or a burst as PDF, HTML, and its customers as CSV or Excel. 停水通知单。"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gis.cli.output import console, emit, pairs
from gis.cli.typed import inputs_of, moment, operator, position
from gis.db.store import Store
from gis.errors import InputError

_FORMATS = (".pdf", ".html", ".csv", ".xlsx")


def register(app: typer.Typer) -> None:
    """Adds `onemap notice`."""
    app.command()(notice)


def notice(
    work: Annotated[int | None, typer.Option(help="The number of a work; it has its own times. 作业编号")] = None,
    network: Annotated[str, typer.Option("--network", help="The network's name. 管网名称")] = "city",
    pipe: Annotated[str | None, typer.Option(help="The burst pipe.")] = None,
    node: Annotated[str | None, typer.Option(help="The burst junction.")] = None,
    valve: Annotated[str | None, typer.Option(help="The burst valve.")] = None,
    connection: Annotated[str | None, typer.Option(help="The burst service connection.")] = None,
    at: Annotated[str | None, typer.Option(metavar="LON,LAT", help="A point on the map; the nearest pipe is taken.")] = None,
    stuck: Annotated[list[str] | None, typer.Option(help="A valve that does not turn; may be repeated.")] = None,
    starts: Annotated[str | None, typer.Option("--from", metavar="TIME", help="When water goes off. 停水开始")] = None,
    ends: Annotated[str | None, typer.Option("--until", metavar="TIME", help="When water is back. 恢复供水")] = None,
    reason: Annotated[str, typer.Option(help="Why. 停水原因")] = "",
    contact: Annotated[str, typer.Option(help="Whom to ask: a telephone number. 咨询电话")] = "",
    number: Annotated[str, typer.Option(help="The notice's number. 编号")] = "",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="NOTICE.pdf or .html; customers as .csv or .xlsx.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """The outage notice: where, when, why, who; priority users first. 停水通知单。"""
    from gis.processes import outage_notice

    if out is not None and out.suffix.lower() not in _FORMATS:
        raise InputError(f"--out cannot write {out.suffix or 'a file without ending'}", remedy="Name it " + ", ".join(_FORMATS))
    if out is not None and not out.resolve().parent.is_dir():
        raise InputError(f"there is no folder {out.parent}", where="--out", remedy="Make it first")
    inputs = inputs_of(outage_notice.OutageNoticeInputs, {
        "work": work, "network": network, "pipe": pipe, "node": node, "valve": valve, "connection": connection, "at": position(at),
        "stuck": stuck or [], "starts": moment(starts, "--from") if starts else None, "ends": moment(ends, "--until") if ends else None,
        "reason": reason, "contact": contact, "number": number,
    })  # fmt: skip
    with Store("admin", operator()) as store:
        answer = outage_notice.run(store, inputs)
        made = outage_notice.document(store, answer, out.suffix.lower()[1:]) if out is not None else None
    if made is not None:
        out.write_bytes(made.data)
        console.print(f"written: {out.name}", markup=False)
        answer.pop("features")
    emit(answer, json, table=lambda: pairs(_told(answer)))


def _told(answer: dict) -> dict:
    from gis.processes.paper import notice_sheet

    dry = answer["affected"]
    return {
        "编号 number": answer["number"], "原因 reason": answer["reason"],
        "时间 window": f"{notice_sheet.when(answer['starts'])} – {notice_sheet.when(answer['ends'])}",
        "范围 area": "、".join(f"{a['community']}（{a['plates']}）" for a in answer["areas"]) or "–",
        "停水 affected": f"{dry['customers']} 户 customers, {len(answer['doorplates'])} 门牌 door-plates, {len(dry['pipes'])} 段 pipes",
        "重点 priority": "、".join(f"{c['priority']} {c['connection']}" for c in answer["customers"] if c["priority"] != "none") or "–",
        "关闭 close": "  ".join(f"{i}. {v['id']}" for i, v in enumerate(answer["valves"], 1)) or "–",
        "可开启 feeds": "、".join(v["id"] for v in answer["feeds"]) or "–",
    }  # fmt: skip
