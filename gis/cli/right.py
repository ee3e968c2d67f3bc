"""`onemap right …`: what of a layer a user, a department or a role may see."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from gis.access import rights
from gis.access.operator import SECURITY, operator
from gis.cli.output import emit, rows
from gis.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

right = typer.Typer(help="Rights that narrow what is seen: area, filter, columns, days. 权限。", no_args_is_help=True)


@right.command("add")
def add_right(
    layer: Annotated[str, typer.Argument(help="A layer, a group with / behind it (pipe/), or * for all.")],
    user: Annotated[str | None, typer.Option(help="For this user.")] = None,
    department: Annotated[str | None, typer.Option(help="For the users of this department.")] = None,
    role: Annotated[str | None, typer.Option(help="For this role.")] = None,
    area: Annotated[str | None, typer.Option(help="A code of an area or grid cell, west,south,east,north, or a GeoJSON file.")] = None,
    filter_: Annotated[str | None, typer.Option("--filter", metavar="CQL2", help="Only rows for which this holds.")] = None,
    columns: Annotated[str | None, typer.Option(help="Only these columns, separated by commas; key and valid time always.")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="DATE", help="From this day on.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DATE", help="Up to and with this day; nothing afterwards.")] = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    json: Json = False,
) -> None:
    """Narrow what one of them sees of a layer. It holds after ten seconds at the latest, on every path."""
    given = [(kind, name) for kind, name in (("user", user), ("department", department), ("role", role)) if name is not None]
    if len(given) != 1:
        raise InputError("a right is for one of --user, --department, --role", remedy="Give exactly one of them")
    kind, name = given[0]
    listed = tuple(dict.fromkeys(part.strip() for part in columns.split(","))) if columns is not None else None
    number = rights.add(
        kind, name, layer, area=area, filter=filter_, columns=listed, first_day=_day(since, "--from"), last_day=_day(until, "--until"),
        note=note, operator=operator(SECURITY).name,
    )  # fmt: skip
    emit({"right": number, kind: name, "layer": layer}, json)


@right.command("list")
def list_rights(
    user: Annotated[str | None, typer.Option(help="What counts for this user: his own, his department's, his role's.")] = None,
    layer: Annotated[str | None, typer.Option(help="Only those that name this layer, group/ or *.")] = None,
    json: Json = False,
) -> None:
    """The rights there are, and whether they hold today."""
    operator(SECURITY)
    found = rights.rights(user=user, layer=layer)
    emit([one.as_dict() for one in found], json, lambda: rows(
        ("right", "for", "layer", "area", "filter", "columns", "from", "until", "holds"),
        ((one.id, f"{one.who} {one.name}", one.layer, one.place, one.filter, ", ".join(one.columns or ()), one.first_day, one.last_day,
          "yes" if one.in_force else "no") for one in found),
    ))  # fmt: skip


@right.command("remove")
def remove_right(right: Annotated[int, typer.Argument(help="Its number.")], json: Json = False) -> None:
    """Remove a right: who had it sees what is left to him without it."""
    emit(rights.remove(right, operator=operator(SECURITY).name), json)


def _day(text: str | None, where: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text is not None else None
    except ValueError:
        raise InputError(f"{text[:40]!r} is no date", where=where, remedy="Give it as YYYY-MM-DD") from None


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(right, name="right")
