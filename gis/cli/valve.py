"""`onemap valve …`: what is reported about valves: one by hand, many from telemetry."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gis.cli.output import emit, pairs
from gis.cli.typed import inputs_of, moment, operator
from gis.db.store import Store
from gis.db.valve_states import Report
from gis.errors import SourceError
from gis.standards import codes

Network = Annotated[str, typer.Option("--network", help="The network's name. 管网名称")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in the history and the audit. 原因")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

valve = typer.Typer(help="States of valves: one by hand, many from telemetry. 阀门状态。", no_args_is_help=True)


class Live(StrEnum):
    open = "open"
    closed = "closed"
    unknown = "unknown"


class YesNo(StrEnum):
    yes = "yes"
    no = "no"


def register(app: typer.Typer) -> None:
    """Adds `onemap valve`."""
    app.add_typer(valve, name="valve")


@valve.command("set")
def set_(
    valve_id: Annotated[str, typer.Argument(metavar="VALVE", help="The valve's id.")],
    network: Network = "city",
    live: Annotated[Live | None, typer.Option(help="Open or closed now; unknown: its normal state counts.")] = None,
    operable: Annotated[YesNo | None, typer.Option(help="Whether it turns.")] = None,
    accessible: Annotated[YesNo | None, typer.Option(help="Whether it can be reached.")] = None,
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Report the state of one valve; the next burst answer counts with it. 登记阀门状态。"""
    from gis.processes import valve_state

    inputs = inputs_of(valve_state.ValveStateInputs, {
        "valve": valve_id, "network": network, "live": live and live.value, "operable": operable and operable == "yes",
        "accessible": accessible and accessible == "yes", "reason": reason,
    })  # fmt: skip
    with Store("admin", operator()) as store:
        answer = valve_state.run(store, inputs)
    emit(answer, json, table=lambda: pairs(answer))


@valve.command()
def states(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Columns valve_id, status, at (ISO 8601; without zone: local time).")],
    network: Network = "city",
    reason: Reason = "遥测",
    json: Json = False,
) -> None:
    """Report the states of many valves from telemetry; of one valve the newest line counts. 批量登记。"""
    from gis.processes.valve_state import reported

    reports = list(_read(file))
    with Store("admin", operator()) as store:
        done = reported(store, network, reports, source=file.name, reason=reason, strict=False)
        version = store.version(["water_valve"], network)
    answer = {"network": network, "rows_read": len(reports)} | vars(done) | {"data_version": version}
    counted = {name: len(value) if isinstance(value, list) else value for name, value in answer.items()}
    emit(answer, json, table=lambda: pairs(counted | ({"unknown": ", ".join(done.unknown[:20])} if done.unknown else {})))


def _read(file: Path) -> Iterator[Report]:
    """The reports of a telemetry file (UTF-8 or GB18030). Raises SourceError that names the line."""
    try:
        raw = file.read_bytes()
    except OSError:
        raise SourceError(f"{file.name} cannot be read", remedy="Check its name and rights") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", errors="replace")
    rows = csv.DictReader(text.splitlines())
    missing = [name for name in ("valve_id", "status", "at") if name not in (rows.fieldnames or ())]
    if missing:
        raise SourceError(f"{file.name} has no column {missing[0]}", remedy="Its first line names valve_id,status,at")
    for number, row in enumerate(rows, 2):
        yield Report((row["valve_id"] or "").strip(), _state(row["status"], number), at=_moment(row["at"], number))


def _state(text: str | None, line: int) -> str:
    said = (text or "").strip()
    if said.lower() in ("", "unknown", "不明", "未知"):
        return "unknown"
    code = codes("onemap.valve_status").code_of(said.lower())
    if code is None:
        raise SourceError(f"{said[:40]!r} is no state of a valve", where=f"line {line}", remedy="open, closed or unknown (开, 关, 不明)")
    return code


def _moment(text: str | None, line: int) -> dt.datetime | None:
    if not (text or "").strip():
        return None
    return moment(text.strip(), f"line {line}")
