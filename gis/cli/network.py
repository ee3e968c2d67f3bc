"""Commands on a whole water network: `network check`, `criticality`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from gis.cli.output import emit
from gis.cli.typed import inputs_of
from gis.db.store import Store
from gis.errors import InputError

Network = Annotated[str, typer.Option("--network", help="The network's name. 管网名称")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

network_app = typer.Typer(help="A water network as a whole. 管网。", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds `onemap network …` and `onemap criticality`."""
    app.add_typer(network_app, name="network")
    app.command()(criticality)


@network_app.callback()
def _group() -> None:
    """A water network as a whole. 管网。"""


@network_app.command()
def check(
    network: Network = "city",
    gap: Annotated[float, typer.Option(metavar="M", help="Ends nearer than this to another pipe, metres. 端点缝隙")] = 0.5,
    out: Annotated[Path | None, typer.Option(help="Write the findings with their places to FILE.geojson or .gpkg.")] = None,
    json: Json = False,
) -> None:
    """What in a network's data would make an isolation wrong. 管网数据质量检查。"""
    from gis.processes import network_quality

    suffix = _suffix(out, (".geojson", ".gpkg"))
    with Store("admin") as store:
        inputs = inputs_of(network_quality.QualityInputs, {"network": network, "features": bool(out), "gap_m": gap})
        answer = network_quality.run(store, inputs, _silent)
        if suffix == ".gpkg":
            found, _ = network_quality.findings(store, network, gap)
            found.to_file(out, layer="finding", driver="GPKG")
    features = answer.pop("features", None)
    if suffix == ".geojson":
        out.write_bytes(orjson.dumps(features, option=orjson.OPT_SERIALIZE_NUMPY))
    emit(answer, json, table=lambda: _counts(answer))


def criticality(
    network: Network = "city",
    out: Annotated[Path | None, typer.Option(help="Write to FILE.geojson (map), .csv or .parquet (valves in FILE-valves).")] = None,
    top: Annotated[int, typer.Option(help="How many segments and valves are named.", min=1)] = 20,
    json: Json = False,
) -> None:
    """Which segments and valves matter most: customers cut off, priority users, N-1. 关键性排序。"""
    from gis.processes import network_criticality as process

    suffix = _suffix(out, (".geojson", ".csv", ".parquet"))
    inputs = inputs_of(process.CriticalityInputs, {"network": network, "top": top, "features": suffix == ".geojson"})
    with Store("admin") as store:
        answer = process.run(store, inputs, _silent)
        if suffix in (".csv", ".parquet"):
            known = process.water(store, network)
            for table, path in ((process.segment_ranking(known), out), (process.valve_ranking(known), out.with_stem(f"{out.stem}-valves"))):
                rows = table.drop(columns=[c for c in ("segment", "valve") if c in table])
                rows.to_csv(path, index=False) if suffix == ".csv" else rows.to_parquet(path, index=False)
    features = answer.pop("features", None)
    if suffix == ".geojson":
        out.write_bytes(orjson.dumps(features, option=orjson.OPT_SERIALIZE_NUMPY))
    emit(answer, json, table=lambda: _rankings(answer))


def _suffix(out: Path | None, known: tuple[str, ...]) -> str:
    """The kind of file wanted. Raises InputError."""
    if out is None:
        return ""
    if out.suffix.lower() not in known:
        raise InputError(f"--out cannot write {out.suffix or 'a file without a suffix'}", remedy=f"Name it {', '.join(known)}")
    if not out.resolve().parent.is_dir():
        raise InputError(f"there is no folder {out.parent}", where="--out", remedy="Make it first")
    return out.suffix.lower()


def _silent(share: float, what: str) -> None:
    """Seconds at most: nothing to report on the way."""


def _counts(answer: dict) -> Table:
    sheet = Table("code", "级别 level", "数量 n", "含义 meaning", box=None)
    for code, n in answer["counts"].items():
        meaning = answer["meanings"][code]
        sheet.add_row(code, meaning["level"], str(n), f"{meaning['zh']} {meaning['en']}".strip())
    return sheet


def _rankings(answer: dict) -> Table:
    sheet = Table("", "区段 segment", "停水户 customers", "重点 priority", "可隔离 isolated", "阀门 valve", "失效增加户 added", box=None)
    for i in range(max(len(answer["segments"]), len(answer["valves"]))):
        left = answer["segments"][i] if i < len(answer["segments"]) else None
        right = answer["valves"][i] if i < len(answer["valves"]) else None
        cells = [left[k] for k in ("segment_id", "affected_customers", "priority_users", "isolated")] if left else [""] * 4
        more = [right[k] for k in ("valve_id", "customers_added")] if right else [""] * 2
        sheet.add_row(str(i + 1), *map(str, cells + more))
    return sheet
