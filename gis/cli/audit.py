"""`onemap audit …`: who saw what and how much of it, and whether the audit is whole."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from gis.access import audit as trail
from gis.access import chain, ledger
from gis.catalog.read import catalog
from gis.cli.output import console, emit, rows
from gis.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
User = Annotated[str | None, typer.Option(help="Only this user.")]
Layer = Annotated[str | None, typer.Option(help="Only this layer.")]
Since = Annotated[str | None, typer.Option(metavar="DATE", help="Only from this day on.")]

audit = typer.Typer(help="Who saw what. 审计。", invoke_without_command=True)


@audit.callback()
def newest(
    context: typer.Context,
    user: User = None,
    layer: Layer = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """Who saw what; without a subcommand as `onemap audit list`. 审计。"""
    if context.invoked_subcommand is None:
        list_entries(user=user, layer=layer, action=None, since=since, until=None, bbox=None, limit=limit, json=json)


@audit.command("list")
def list_entries(
    user: User = None,
    layer: Layer = None,
    action: Annotated[str | None, typer.Option(help="Only this: items, tile, download, login, 'login refused', 'user added' …")] = None,
    since: Since = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Only before this day.")] = None,
    bbox: Annotated[str | None, typer.Option(metavar="W,S,E,N", help="Only what touches this box, in degrees.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """The newest rows: who read which layer that is not public, when, how much and where; log-ins and acts of administration."""
    found = trail.entries(
        user=user, layer=layer, action=action, since=_day(since, "--since"), until=_day(until, "--until"), bbox=_box(bbox), limit=limit
    )
    emit(found, json, lambda: rows(
        ("at", "user", "role", "action", "layer", "n", "from"),
        ((f"{one['at']:%Y-%m-%d %H:%M:%S}", *(one[name] for name in ("user", "role", "action", "layer", "n")), one["detail"].get("address"))
         for one in found),
    ))  # fmt: skip


def _day(text: str | None, where: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"{text[:40]!r} is no date", where=where, remedy="Give it as YYYY-MM-DD") from None


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    try:
        box = tuple(float(part) for part in text.split(",")) if text else None
    except ValueError:
        box = ()
    if box is not None and len(box) != 4:
        raise InputError("a box is four numbers", where="--bbox", remedy="West, south, east, north in degrees")
    return box


@audit.command()
def areas(
    user: User = None,
    layer: Layer = None,
    since: Since = None,
    limit_km2: Annotated[
        float | None, typer.Option("--above", min=0, metavar="KM2", help="Warn above this; default: ONEMAP_AREA_LIMIT_KM2.")
    ] = None,
    json: Json = False,
) -> None:
    """What area of which layer went to whom, in square kilometres; warns where a sensitive layer is beyond the limit."""
    found = ledger.areas(catalog(), user=user, layer=layer, since=_day(since, "--since"), limit_km2=limit_km2)
    names = ("user", "layer", "label", "area_km2", "placed_km2", "accesses", "features", "features_without_area", "over")
    emit(found, json, lambda: rows(names, ((one[name] for name in names) for one in found)))
    for one in (one for one in found if one["over"]):
        console.print(f"[yellow]{one['user'] or 'nobody'} has had {one['area_km2']:g} km² of {one['layer']}[/]")


@audit.command()
def verify(
    head: Annotated[str | None, typer.Option(metavar="NUMBER:HASH", help="What an earlier check told.")] = None,
    archive: Annotated[list[Path] | None, typer.Option(help="A file of `onemap audit archive`; may be given several times.")] = None,
    json: Json = False,
) -> None:
    """Whether every row is there and as it was written; tells the head of the chain. Exit code 4 where it is not."""
    found = chain.verify(head=head, archives=tuple(archive or ()))
    emit(found, json)
    if not found["whole"]:
        console.print("[bold red]The audit is not whole[/]: compare with the backups, and ask who had the database's owner")
        raise typer.Exit(4)


@audit.command("archive")
def archive_rows(
    file: Annotated[Path, typer.Argument(help="The file to write: JSON lines, gzip.")],
    before: Annotated[str, typer.Option(metavar="DATE", help="Rows older than this day.")],
    json: Json = False,
) -> None:
    """Move old rows into a file; the chain goes on behind them."""
    emit(chain.archive(_day(before, "--before"), file), json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(audit, name="audit")
