"""The command hydraulics: pressures after a closure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.progress import Progress
from rich.table import Table

from gis.cli.analysis import AsOf, day
from gis.cli.output import console, emit, pairs
from gis.cli.places import JOB_TIMEOUT_S, headed, rows, typed
from gis.cli.typed import position
from gis.db.store import Store
from gis.errors import InputError

SHOWN = 15
"""Junctions in the table for people; --json lists more."""
STATES = {"cut_off": "停水 cut off", "fell_below": "降到最低水压以下 fell below", "low": "原已不足 low before", "served": "正常 served",
          "dry": "原已无水 dry before"}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(hydraulics)


def hydraulics(
    network: Annotated[str, typer.Option("--network", help="The network's name. 管网名称")] = "city",
    pipe: Annotated[str | None, typer.Option(help="The burst pipe; its segment is isolated.")] = None,
    node: Annotated[str | None, typer.Option(help="The burst junction.")] = None,
    valve: Annotated[str | None, typer.Option(help="The burst valve.")] = None,
    connection: Annotated[str | None, typer.Option(help="The burst service connection.")] = None,
    at: Annotated[str | None, typer.Option(metavar="LON,LAT", help="A point on the map; the nearest pipe is taken.")] = None,
    work: Annotated[int | None, typer.Option(help="The number of a work; with those at the same time.")] = None,
    close: Annotated[list[str] | None, typer.Option(metavar="VALVE", help="A valve to close; may be repeated.")] = None,
    stuck: Annotated[list[str] | None, typer.Option(help="A valve that does not turn (with a burst); may be repeated.")] = None,
    min_pressure: Annotated[float | None, typer.Option(metavar="M", help="Minimum service pressure, metres of water above ground.")] = None,
    hours: Annotated[float | None, typer.Option(help="How long the patterns of an EPANET file are followed; 0: its first moment.")] = None,
    as_of: AsOf = None,
    litres_per_day: Annotated[float | None, typer.Option(help="What one customer uses a day, litres.")] = None,
    model: Annotated[str, typer.Option(help="auto, file (the EPANET file as loaded) or layers.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Write the pressures to FILE.geojson or .json.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Who keeps water after a closure, and at what pressure. 关阀后水压。"""
    from gis.processes import hydraulics_after_closure as process

    suffix = out.suffix.lower() if out else ""
    if suffix not in ("", ".geojson", ".json"):
        raise InputError(f"--out cannot write {suffix}", remedy="Name it .geojson or .json")
    if out is not None and not out.resolve().parent.is_dir():
        raise InputError(f"there is no folder {out.parent}", where="--out", remedy="Make it first")
    asked = {"min_pressure_m": min_pressure, "hours": hours, "litres_per_day": litres_per_day}
    inputs = typed(process.HydraulicsInputs, {
        "network": network, "pipe": pipe, "node": node, "valve": valve, "connection": connection, "at": position(at), "work": work,
        "as_of": day(as_of), "valves": close or None, "stuck": stuck or [], "model": model, "features": suffix == ".geojson",
    } | {k: v for k, v in asked.items() if v is not None})  # fmt: skip
    with Store("admin", timeout_s=JOB_TIMEOUT_S) as store, Progress(console=console, transient=True) as bar:
        task = bar.add_task("hydraulics", total=1.0)
        answer = process.run(store, inputs, lambda share, what: bar.update(task, completed=share, description=what))
    if out is not None:
        shown = answer.pop("features", None)
        out.write_bytes(orjson.dumps(answer if shown is None else shown | {"answer": answer}))
        console.print(f"written: {out.name}", markup=False)
    emit(answer, json, table=lambda: _table(answer))


def _table(answer: dict) -> Table:
    """The answer for a person at the telephone."""
    served, model = answer["unserved_lps"], answer["model"]
    shown = {
        "关闭 closed": ", ".join(answer["closed"]["valves"]) or "–",
        "停用水源 sources shut": ", ".join(answer["closed"]["sources"]) or "–",
        **{STATES[s]: f"{answer['junctions'][s]} 处 junctions, {answer['customers'][s]} 户 customers" for s in STATES},
        "最低水压 lowest": "–" if answer["lowest_m"] is None else f"{answer['lowest_m']:.1f} m",
        "最低服务水压 minimum": f"{answer['min_pressure_m']:g} m",
        "缺水量 unserved": f"{served['after']:.2f} / {answer['demand_lps']:.2f} L/s（停水 cut off {served['cut_off']:.2f}）",
        "模型 model": f"{model['kind']} {model['name']}: {model['junctions']} junctions, {model['links']} links, {model['hours']:g} h",
        "依据 standard": "–" if answer["standard"] is None else f"{answer['standard']['source']} [{answer['standard']['status']}]",
        "版本 data version": f"{answer['data_version']}, {answer['seconds']:.2f} s",
    }  # fmt: skip
    for finding in answer["findings"]:
        shown[f"注意 {finding['code']}"] = f"{finding['message']} ({finding['n']})"
    sheet = pairs(shown)
    if answer["points"]:
        lines = [(p["node"], p["pipe"], f"{p['before_m']:.1f}", f"{p['after_m']:.1f}", p["customers"]) for p in answer["points"][:SHOWN]]
        return headed(sheet, rows(("节点", "管段", "关前 m", "关后 m", "户数"), lines))
    return sheet
