"""`onemap layers …`: the layer catalogue: what there is, how it differs from the database, what is rendered from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from gis.catalog import checks, pages, pygeoapi, read
from gis.catalog.model import GROUPS, Catalog, Layer
from gis.cli.output import console, emit
from gis.db import plan as plans
from gis.errors import DefinitionError
from gis.processes import processes
from gis.settings import ROOT

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
layers = typer.Typer(help="The layer catalogue. 图层目录。", no_args_is_help=True)


@layers.command("list")
def list_(json: Json = False) -> None:
    """All layers by group."""
    found = [_summary(layer) for layer in read.catalog().layers.values()]
    table = Table("图层 layer", "名称", "Title", "几何 geometry", "密级", "读取 read by")
    for row in found:
        readers = "所有人" if "anonymous" in row["read"] else " ".join(row["read"])
        table.add_row(row["id"], row["title"]["zh"], row["title"]["en"], row["geometry"], row["label"], readers)
    emit({"layers": found}, json, table=table)


@layers.command()
def show(layer_id: Annotated[str, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """One layer: its fields, checks, access, as its file says."""
    catalog = read.catalog()
    layer = catalog.layer(layer_id)
    emit(layer.model_dump(mode="json"), json, table=lambda: _sheet(layer, catalog))


@layers.command()
def plan(json: Json = False) -> None:
    """What differs between the layer files and the database."""
    _report(plans.plan(read.catalog()), json, "the database is as the layer files say")


@layers.command()
def apply(json: Json = False) -> None:
    """Do what only adds or replaces; what would destroy needs a numbered migration."""
    _report(plans.apply(read.catalog()), json, "nothing to do")


@layers.command()
def render(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say what differs from the files.")] = False,
    to: Annotated[Path, typer.Option(help="The folder to write to.")] = ROOT,
    json: Json = False,
) -> None:
    """Write pygeoapi-config.yml and docs/layers/*.md from the layer files."""
    wanted = rendered()
    stale = sorted(name for name, text in wanted.items() if _text(to / name) != text)
    orphans = sorted(f"docs/layers/{path.name}" for path in (to / "docs/layers").glob("*.md") if f"docs/layers/{path.name}" not in wanted)
    if check and (stale or orphans):
        raise DefinitionError(
            "what is rendered from the layer files is not what is there", where=", ".join(stale + orphans),
            remedy="Run `onemap layers render` and commit the result",
        )  # fmt: skip
    for name in () if check else stale:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_text(wanted[name], encoding="utf-8")
    for name in () if check else orphans:
        (to / name).unlink()
    emit({"written": [] if check else stale, "removed": [] if check else orphans, "files": len(wanted)}, json,
         table="\n".join(stale + orphans) if stale + orphans else f"{len(wanted)} files are as the layer files say")  # fmt: skip


def rendered() -> dict[str, str]:
    """Everything that is rendered, by its path in the project."""
    catalog = read.catalog()
    return {"pygeoapi-config.yml": pygeoapi.render(catalog, processes())} | {
        f"docs/layers/{name}": text for name, text in pages.render(catalog).items()
    }


def _sheet(layer: Layer, catalog: Catalog) -> Group:
    """A layer for people: titles, fields, checks."""
    fields = Table("字段 field", "名称", "Title", "类型 type", "单位", "取值 values", "谁可见 seen by", box=None, header_style="bold")
    for n, column in layer.columns.items():
        seen = " ".join(layer.access.columns[n]) if n in layer.access.columns else ""
        must = f"{n} *" if column.required else n
        fields.add_row(must, column.title.zh, column.title.en, column.type, column.unit or "", pages.values(column), seen)
    found = Table("代码 code", "级别 level", "问题", "Fault", box=None, header_style="bold")
    for check in checks.own(layer, catalog):
        found.add_row(check.code, check.level, check.title.zh, check.title.en)
    everybody = "anonymous" in layer.access.read
    head = [
        f"{layer.title.zh} {layer.title.en} ({layer.id}, {layer.geometry})", layer.description.zh, layer.description.en,
        f"主键 key: {', '.join(layer.key) or '—'}    密级 label: {layer.access.label}",
        f"读取 read: {'所有人 everybody' if everybody else ' '.join(layer.access.read)}    写入 write: {' '.join(layer.access.write)}", "",
    ]  # fmt: skip
    return Group(*(escape(line) for line in head), *([fields, "", found] if layer.columns else []))


def _summary(layer: Layer) -> dict:
    return {
        "id": layer.id, "group": {"id": layer.group, **GROUPS[layer.group].model_dump()}, "title": layer.title.model_dump(),
        "geometry": layer.geometry, "label": layer.access.label, "read": list(layer.access.read), "write": list(layer.access.write),
    }  # fmt: skip


def _report(changes: list[plans.Change], json: bool, none: str) -> None:
    for change in changes:
        console.print(f"{change.kind}  {change.text}", markup=False)
    emit({"changes": [change.as_dict() for change in changes]}, json, table="" if changes else none)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def register(app: typer.Typer) -> None:
    """Add `layers` to the command."""
    app.add_typer(layers, name="layers")
