"""`onemap crew`: where a crew drives to close the valves of a burst or a work. 抢修路线。"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer

from gis.cli.output import console, emit, rows
from gis.cli.typed import inputs_of, operator, position
from gis.db.store import Store
from gis.errors import InputError


class Order(StrEnum):
    closing = "closing"
    quickest = "quickest"


def register(app: typer.Typer) -> None:
    """Adds `onemap crew`."""
    app.command()(crew)


def crew(
    network: Annotated[str, typer.Option("--network", help="The network's name. 管网名称")] = "city",
    pipe: Annotated[str | None, typer.Option(help="The burst pipe.")] = None,
    node: Annotated[str | None, typer.Option(help="The burst junction.")] = None,
    valve: Annotated[str | None, typer.Option(help="The burst valve.")] = None,
    connection: Annotated[str | None, typer.Option(help="The burst service connection.")] = None,
    at: Annotated[str | None, typer.Option(metavar="LON,LAT", help="A point on the map; the nearest pipe is taken.")] = None,
    work: Annotated[int | None, typer.Option(help="The number of a work.")] = None,
    valves: Annotated[str | None, typer.Option(metavar="V1,V2,…", help="These valves, in this order.")] = None,
    stuck: Annotated[list[str] | None, typer.Option(help="A valve that does not turn; may be repeated.")] = None,
    depot: Annotated[str | None, typer.Option(metavar="LON,LAT", help="Where the crew starts; default the nearest depot. 出发点")] = None,
    order: Annotated[Order, typer.Option(help="In closing order, or with the least driving.")] = Order.closing,
    minutes: Annotated[float, typer.Option("--minutes-per-valve", help="Minutes at each valve.")] = 10.0,
    out: Annotated[Path | None, typer.Option(metavar="FILE.geojson", help="Write the way for a map.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """From the nearest depot over the valves, along the streets, with times and addresses. 抢修路线。"""
    from gis.processes import crew_route

    if out is not None and (out.suffix.lower() != ".geojson" or not out.resolve().parent.is_dir()):
        raise InputError(f"--out cannot write {out.name}", remedy="Name it FILE.geojson, in a folder that is there")
    inputs = inputs_of(crew_route.CrewRouteInputs, {
        "network": network, "pipe": pipe, "node": node, "valve": valve, "connection": connection, "at": position(at), "work": work,
        "stuck": stuck or [],
        "valves": [v.strip() for v in valves.split(",") if v.strip()] if valves else None, "depot": position(depot, "--depot"),
        "order": order.value, "minutes_per_valve": minutes, "features": out is not None,
    })  # fmt: skip
    with Store("admin", operator()) as store:
        answer = crew_route.run(store, inputs)
    if out is not None:
        out.write_bytes(orjson.dumps(answer.pop("features")))
        console.print(f"written: {out.name}", markup=False)
    emit(answer, json, table=lambda: _table(answer))


def _table(answer: dict):
    """The way for the one who sends the crew."""
    depot = answer["depot"] or {}
    name = depot.get("name") or (f"{depot['lon']},{depot['lat']}" if depot else "–")
    lines = [
        [s["order"], s["valve"], f"{s['drive_m']:,.0f} m", *(_clock(s[k]) for k in ("drive_s", "arrive_s", "leave_s")), s["address"] or "–"]
        for s in answer["stops"]
    ]
    kept = {"远控 remote": answer["remote"], "到不了 unreached": answer["unreached"]}
    left = "".join(f"；{title} {', '.join(valves)}" for title, valves in kept.items() if valves)
    title = f"{name}：{answer['drive_m']:,.0f} m，行车 {_clock(answer['drive_s'])}，共 {_clock(answer['total_s'])}{left}"
    return rows(["序", "阀门 valve", "行驶 drive", "用时", "到达 arrive", "离开 leave", "附近地址 address"], lines, title=title)


def _clock(seconds: float) -> str:
    """Hours, minutes, seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
