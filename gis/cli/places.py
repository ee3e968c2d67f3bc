"""Commands on places: geocode, reverse, coverage."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import geopandas as gpd
import typer
from pydantic import BaseModel, ValidationError
from rich.console import Group
from rich.progress import Progress
from rich.table import Table

from gis.cli.output import console, emit, rows
from gis.db.store import Store
from gis.errors import InputError, SourceError
from gis.ingest import encoding

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ADDRESS_COLUMNS = ("地址", "标准地址", "地址全称", "详细地址", "address", "full_text", "text", "ADDRESS", "FULL_ADDR")
"""Names of the column that holds the address in a file; without one of them the first column is taken."""
ANSWER_COLUMNS = ("lon", "lat", "score", "level", "ambiguous", "matched", "address_id", "plate_id", "note")
JOB_TIMEOUT_S = 600


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(geocode)
    app.command(context_settings={"ignore_unknown_options": True})(reverse)
    app.command()(coverage)


def geocode(
    text: Annotated[str | None, typer.Argument(help="An address or the name of a place, as typed.")] = None,
    file: Annotated[Path | None, typer.Option(help="A CSV with one address per row (UTF-8 or GBK).")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the CSV with positions goes (UTF-8 with BOM).")] = None,
    limit: Annotated[int, typer.Option(help="At most so many answers.")] = 10,
    json: Json = False,
) -> None:
    """From an address to its position; ambiguous ones are listed, not guessed. 地址查询。"""
    from gis.processes import geocode as process

    if (text is None) == (file is None):
        raise InputError("give either a text or --file", remedy="onemap geocode 府前街81号")
    if file is not None:
        if out is None:
            raise InputError("--file needs --out", remedy="onemap geocode --file IN.csv --out OUT.csv")
        emit(_geocode_file(file, out), json)
        return
    inputs = typed(process.GeocodeInputs, {"text": text, "limit": limit})
    with Store("admin") as store:
        answer = process.run(store, inputs)
    emit(answer, json, table=lambda: _geocode_table(answer))


def _geocode_table(answer: dict) -> Table | Group | str:
    if not answer["results"]:
        return f"无匹配 nothing fits: {answer['query']}"
    lines = (
        (row["full_text"], f"{row['lon']:.6f}", f"{row['lat']:.6f}", f"{row['score']:.2f}", row["level"], row["address_id"])
        for row in answer["results"]
    )
    title = "有歧义，请选择 ambiguous: which one is meant?" if answer["ambiguous"] else None
    return headed(title, rows(("地址", "经度", "纬度", "得分", "级别", "编号"), lines))


def _geocode_file(file: Path, out: Path) -> dict:
    """Answers every row of a CSV; what the file had stays, ANSWER_COLUMNS are added."""
    from gis.processes import geocode as process

    header, body = read_csv(file)
    column = next((header.index(name) for name in ADDRESS_COLUMNS if name in header), 0)
    texts = [row[column] if column < len(row) else "" for row in body]
    counts = {"rows": len(body), "found": 0, "ambiguous": 0, "not_found": 0, "faulty": 0}
    with Store("admin", timeout_s=JOB_TIMEOUT_S) as store, _writer(out) as (table, bar):
        store.require(process.PROCESS.layers)
        task = bar.add_task("geocode", total=len(body))
        table.writerow([*header, *ANSWER_COLUMNS])
        for row, answer in zip(body, process.find_all(store, texts), strict=True):
            table.writerow([*row, *[""] * (len(header) - len(row)), *_cells(answer, counts)])
            bar.advance(task)
    return counts | {"out": out.name}


def _cells(answer: dict, counts: dict[str, int]) -> list:
    best = next(iter(answer["results"]), None)
    state = "faulty" if "error" in answer else "not_found" if best is None else "ambiguous" if answer["ambiguous"] else "found"
    counts[state] += 1
    if best is None:
        return [*[""] * (len(ANSWER_COLUMNS) - 1), answer.get("error", "无匹配 nothing fits")]
    note = ""
    if answer["ambiguous"]:
        tied = [row["full_text"] for row in answer["results"] if row.get("ambiguous")]
        note = f"有歧义 {len(tied)}: " + "; ".join(tied[:5])
    return [best["lon"], best["lat"], best["score"], best["level"], int(answer["ambiguous"]), best["full_text"], best["address_id"],
            best["plate_id"], note]  # fmt: skip


def read_csv(file: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV in UTF-8 or GB18030, separated by comma, semicolon or tab."""
    if not file.is_file():
        raise SourceError(f"no file {file.name}", remedy="Check the path")
    text = file.read_bytes().decode(encoding.of_text(file), "replace").removeprefix("\ufeff")
    lines = text.splitlines()
    if not lines:
        raise SourceError(f"{file.name} is empty")
    separator = max(",;\t", key=lines[0].count)
    header, *body = csv.reader(lines, delimiter=separator)
    return header, body


class _writer:
    """A CSV being written in UTF-8 with BOM (as spreadsheets want it) and a bar of progress on stderr; whole or not at all."""

    def __init__(self, out: Path):
        self.out, self.draft = out, out.with_name(out.name + ".part")

    def __enter__(self):
        if not self.out.parent.is_dir():
            raise InputError(f"the folder of {self.out.name} does not exist", where="--out")
        self.file = self.draft.open("w", encoding="utf-8-sig", newline="")
        self.bar = Progress(console=console, transient=True)
        self.bar.start()
        return csv.writer(self.file), self.bar

    def __exit__(self, kind, error, trace):
        self.bar.stop()
        self.file.close()
        if kind is None:
            self.draft.replace(self.out)
        else:
            self.draft.unlink(missing_ok=True)


def reverse(
    lon: Annotated[float, typer.Argument(help="Longitude, degrees.")],
    lat: Annotated[float, typer.Argument(help="Latitude, degrees.")],
    limit: Annotated[int, typer.Option(help="At most so many addresses.")] = 5,
    json: Json = False,
) -> None:
    """The nearest addresses, road, community and grid cell of a position. 坐标查地址。"""
    from gis.processes import reverse_geocode as process

    inputs = typed(process.ReverseGeocodeInputs, {"lon": lon, "lat": lat, "limit": limit})
    with Store("admin") as store:
        answer = process.run(store, inputs)
    emit(answer, json, table=lambda: _reverse_table(answer))


def _reverse_table(answer: dict) -> Table | Group:
    named = " · ".join(
        f"{title} {answer[part].get('name') or ''} {answer[part].get('grid_code', '')}".strip()
        for part, title in (("road", "道路"), ("community", "社区"), ("grid", "网格"))
        if answer[part]
    )
    lines = ((row["full_text"], f"{row['distance_m']:.1f} m", row["level"], row["address_id"]) for row in answer["addresses"])
    return headed(named, rows(("地址", "距离", "级别", "编号"), lines))


def coverage(
    distance: Annotated[float, typer.Option(help="Metres along the streets.")],
    facilities: Annotated[str, typer.Option(help="The layer of facilities.")] = "facility",
    filter: Annotated[str | None, typer.Option(metavar="CQL2", help="A condition that picks facilities.")] = None,
    kind: Annotated[str | None, typer.Option(help="A kind of facility, by code or title: primary_school, 小学.")] = None,
    mode: Annotated[str, typer.Option(help="walk, or drive (one-way streets as signed).")] = "walk",
    out: Annotated[Path | None, typer.Option(help="Every address with its distance: FILE.gpkg, .csv or .geojson.")] = None,
    json: Json = False,
) -> None:
    """Who lives farther by street than a distance from the nearest facility. 公共服务覆盖。"""
    from gis.processes import service_coverage as process

    suffix = out.suffix.lower() if out else ".csv"
    if suffix not in (".gpkg", ".csv", ".geojson"):
        raise InputError(f"--out cannot write {suffix}", remedy="Name it .gpkg, .csv or .geojson")
    inputs = typed(process.ServiceCoverageInputs, {
        "facilities": facilities, "distance": distance, "filter": filter, "kind": kind, "mode": mode,
    })  # fmt: skip
    with Store("admin", timeout_s=JOB_TIMEOUT_S) as store, Progress(console=console, transient=True) as bar:
        task = bar.add_task("coverage", total=1.0)
        answer, found = process.answered(store, inputs, lambda share, what: bar.update(task, completed=share, description=what))
        if out:
            _write_addresses(process.address_table(store, inputs, found), out)
    emit(answer, json, table=lambda: _coverage_table(answer))


def _write_addresses(table: gpd.GeoDataFrame, out: Path) -> None:
    if not out.parent.is_dir():
        raise InputError(f"the folder of {out.name} does not exist", where="--out")
    suffix = out.suffix.lower()
    if suffix == ".csv":
        plain = table.drop(columns="geometry").assign(lon=table.geometry.x.round(7), lat=table.geometry.y.round(7))
        plain.to_csv(out, index=False, encoding="utf-8-sig")
    elif suffix == ".geojson":
        table.set_crs("OGC:CRS84", allow_override=True).to_file(out, driver="GeoJSON", COORDINATE_PRECISION=7)
    else:
        table.to_file(out, layer="coverage", driver="GPKG")


def _coverage_table(answer: dict) -> Table | Group:
    lines = (
        (
            row["name"] or row["code"] or "(无社区)",
            row["addresses"],
            row["covered"],
            f"{row['share']:.1%}",
            row["people"],
            row["people_covered"],
        )
        for row in answer["communities"]
    )
    share = "–" if answer["share"] is None else f"{answer['share']:.1%}"
    title = (
        f"{answer['facilities']} 处设施，{answer['distance_m']:g} m：地址 {answer['covered']:,} / {answer['addresses']:,}（{share}），"
        f"不可达 {answer['unreachable']:,}"
    )
    return headed(title, rows(("社区", "地址", "覆盖", "覆盖率", "人口", "覆盖人口"), lines))


def headed(title: str | None, table: Table) -> Table | Group:
    """A table under a line of text of any length."""
    return Group(title, table) if title else table


def typed(kind: type[BaseModel], parameters: dict):
    """The typed parameters. Raises InputError that names the first one that does not fit."""
    try:
        return kind(**parameters)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(first["msg"].removeprefix("Value error, "), where=where, remedy="See --help") from None
