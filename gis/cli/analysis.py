"""Commands on the water network: burst, close, trace."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from gis.cli.output import console, emit
from gis.cli.typed import inputs_of, position
from gis.db.store import Store
from gis.errors import InputError

Network = Annotated[str, typer.Option("--network", help="The network's name. 管网名称")]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="The network and states of that day, as known at its end.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Details = Annotated[bool, typer.Option("--details", help="With the addresses of the door-plates.")]


class Direction(StrEnum):
    up = "up"
    down = "down"
    connected = "connected"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(burst)
    app.command()(close)
    app.command()(trace)


def burst(
    network: Network = "city",
    pipe: Annotated[str | None, typer.Option(help="The burst pipe.")] = None,
    node: Annotated[str | None, typer.Option(help="The burst junction.")] = None,
    valve: Annotated[str | None, typer.Option(help="The burst valve.")] = None,
    connection: Annotated[str | None, typer.Option(help="The burst service connection.")] = None,
    at: Annotated[str | None, typer.Option(metavar="LON,LAT", help="A point on the map; the nearest pipe is taken.")] = None,
    stuck: Annotated[list[str] | None, typer.Option(help="A valve that does not turn; may be repeated. 二次关阀")] = None,
    as_of: AsOf = None,
    details: Details = False,
    failures: Annotated[bool, typer.Option("--failures", help="With what the failure of each valve would add (N-1).")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every pipe, one row each, into --out ATLAS.parquet.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the answer to FILE.geojson, .html or .pdf (or the atlas to .parquet).")] = None,
    json: Json = False,
) -> None:
    """Which valves to close after a burst, in order, and who loses water. 爆管分析。"""
    from gis.processes import pipe_burst

    if every:
        if any((pipe, node, valve, connection, at, stuck, as_of, details, failures)):
            raise InputError("--all asks for every pipe, each by itself, today", where="--all", remedy="Give only --network and --out")
        _atlas(network, out, json)
        return
    suffix = out.suffix.lower() if out else ""
    if suffix not in ("", ".geojson", ".html", ".pdf"):
        raise InputError(f"--out cannot write {suffix}", remedy="Name it .geojson, .html or .pdf")
    inputs = inputs_of(pipe_burst.BurstInputs, {
        "network": network, "pipe": pipe, "node": node, "valve": valve, "connection": connection, "at": position(at),
        "stuck": stuck or [], "as_of": day(as_of), "features": bool(out), "details": details or suffix in (".html", ".pdf"),
        "failures": failures,
    })  # fmt: skip
    with Store("admin") as store:
        answer = pipe_burst.run(store, inputs, _silent)
        if out:
            _write(store, answer, out)
            answer.pop("features")
    emit(answer, json, table=lambda: _burst_table(answer))


def close(
    valves: Annotated[list[str], typer.Argument(help="The valves to close together.")],
    network: Network = "city", as_of: AsOf = None, details: Details = False, json: Json = False,
) -> None:  # fmt: skip
    """What closing these valves cuts off. 关阀分析。"""
    from gis.processes import valve_closure

    inputs = inputs_of(valve_closure.ClosureInputs, {"network": network, "valves": valves, "as_of": day(as_of), "details": details})
    with Store("admin") as store:
        answer = valve_closure.run(store, inputs, _silent)
    emit(answer, json, table=lambda: _closure_table(answer))


def trace(
    start: Annotated[str, typer.Option("--from", help="The id of a pipe, node or valve.")],
    direction: Annotated[Direction, typer.Option(help="up: from where it comes; down: where it goes; connected: all that hangs together.")],
    network: Annotated[str, typer.Option("--network", help="A water network's name, or sewer or rain.")] = "city",
    kind: Annotated[str | None, typer.Option(help="What --from names (pipe, node, valve), where an id is used twice.")] = None,
    as_of: AsOf = None, json: Json = False,
) -> None:  # fmt: skip
    """What lies up, down or connected. 上下游追踪。"""
    from gis.processes import trace as process

    inputs = inputs_of(
        process.TraceInputs,
        {"network": network, "from": start, "kind": kind, "direction": direction.value, "as_of": day(as_of)},
    )
    with Store("admin") as store:
        answer = process.run(store, inputs, _silent)
    emit(answer, json, table=lambda: _pairs({
        "管段 pipes": f"{answer['n']}  {_some(answer['pipes'])}", "长度 length": f"{answer['length_m']:,.0f} m",
        "水源 sources": _some(answer.get("sources", [])), "版本 data version": answer["data_version"],
    }))  # fmt: skip


def _silent(share: float, what: str) -> None:
    """Answers come at once: nothing to report on the way."""


def day(text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text[:40]!r} is no date", where="--as-of", remedy="Give it as YYYY-MM-DD") from None


def _some(ids: list[str], most: int = 12) -> str:
    return ", ".join(ids[:most]) + (f" … ({len(ids)})" if len(ids) > most else "")


def _pairs(values: dict) -> Table:
    sheet = Table(show_header=False, box=None, pad_edge=False)
    for name, value in values.items():
        sheet.add_row(f"[dim]{name}[/]", str(value))
    return sheet


def _burst_table(answer: dict) -> Table:
    """The answer for a person at the telephone."""
    valves, dry = answer["valves"], answer["affected"]
    element = ", ".join(f"{k} {v}" for k, v in answer["burst"].items() if k not in ("lon", "lat"))
    isolated = "是 yes" if answer["isolated"] else f"[bold red]否 no: 须停水源 shut {_some(answer['sources_to_shut'])}[/]"
    shown = {
        "爆管 burst": element, "可隔离 isolated": isolated,
        "关闭 close": "  ".join(f"{i}. {v}" for i, v in enumerate(valves["close"], 1)) or "–",
        "可选 optional": _some(valves["optional"]) or "–", "已关 already closed": _some(valves["already_closed"]) or "–",
        "关不动 stuck": _some(valves["stuck"]) or "–",
        "停水 affected": f"{len(dry['pipes'])} 段 pipes, {dry['length_m']:,.0f} m, {dry['volume_m3']:,.1f} m³",
        "用户 customers": f"{dry['customers']} ({len(dry['doorplates'])} 门牌 door-plates)",
        "重点 priority": _some([f"{p['priority']} {p['connection']}" for p in dry["priority"]]) or "–",
        "消火栓 hydrants": _some(dry["hydrants"]) or "–",
        "意外停水 unintended": f"{len(answer['unintended']['pipes'])} 段 pipes, {answer['unintended']['customers']} 户 customers",
        "可开启 feeds to open": _some(answer["feeds_to_open"]) or "–",
        "版本 data version": f"{answer['data_version']}, {answer['as_of']}, {answer['seconds'] * 1000:.1f} ms",
    }  # fmt: skip
    if answer["also_cut"]["pipes"]:
        shown["同时断水 also cut"] = f"{_some(answer['also_cut']['pipes'])}; {answer['also_cut']['customers']} 户 customers"
    if "added" in answer:
        shown["二次关阀 added"] = _added(answer["added"]["valves"], answer["added"]["pipes"], answer["added"]["customers"])
    for row in answer.get("if_stuck", []):
        shown[f"若关不动 if {row['valve']} is stuck"] = _added(row["close_added"], row["pipes_added"], row["customers_added"])
    for finding in answer["findings"]:
        shown[f"注意 {finding['code']}"] = f"{finding['message']} ({finding['n']}: {_some(finding['ids'], 5)})"
    return _pairs(shown)


def _added(valves: list[str], pipes: list[str], customers: int) -> str:
    return f"+{_some(valves) or '–'}; +{len(pipes)} 段 pipes, +{customers} 户 customers"


def _closure_table(answer: dict) -> Table:
    dry = answer["affected"]
    return _pairs({
        "有影响 cuts off": "是 yes" if answer["cuts_off"] else "否 no", "关闭 closed": _some(answer["closed"]) or "–",
        "已关 already closed": _some(answer["already_closed"]) or "–", "关不动 stuck": _some(answer["stuck"]) or "–",
        "停水 affected": f"{len(dry['pipes'])} 段 pipes, {dry['length_m']:,.0f} m", "用户 customers": dry["customers"],
        "可开启 feeds to open": _some(answer["feeds_to_open"]) or "–",
    })  # fmt: skip


def _write(store, answer: dict, out: Path) -> None:
    """The answer as a file: GeoJSON (the answer without the map under `answer`), HTML or PDF."""
    if not out.resolve().parent.is_dir():
        raise InputError(f"there is no folder {out.parent}", where="--out", remedy="Make it first")
    if out.suffix.lower() == ".geojson":
        rest = {k: v for k, v in answer.items() if k != "features"}
        out.write_bytes(orjson.dumps(answer["features"] | {"answer": rest}))
    else:
        from gis.processes import pipe_burst

        out.write_bytes(pipe_burst.document(store, answer, out.suffix.lower()[1:]).data)
    console.print(f"written: {out.name}", markup=False)


def _atlas(network: str, out: Path | None, json: bool) -> None:
    """One row per pipe; all segments are answered at once."""
    from pyarrow import parquet

    from gis.processes._water_network import water
    from gis.processes.atlas import atlas

    if out is None or out.suffix.lower() != ".parquet":
        raise InputError("the atlas is written to a Parquet file", where="--out", remedy="Give --out ATLAS.parquet")
    if not out.resolve().parent.is_dir():
        raise InputError(f"there is no folder {out.parent}", where="--out", remedy="Make it first")
    with Store("admin") as store:
        known = water(store, network)
    with console.status("atlas"):
        table, seconds = atlas(known)
    parquet.write_table(table, out)
    summary = {"network": network, "pipes": len(table), "data_version": known.version, "seconds": round(seconds, 3)}
    emit(summary, json)
