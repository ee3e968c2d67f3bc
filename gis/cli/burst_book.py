"""The command burst-book: the printed book for nights without a computer."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from gis.cli.output import console, emit
from gis.cli.places import JOB_TIMEOUT_S
from gis.db.store import Store
from gis.errors import InputError


class By(StrEnum):
    grid = "grid"
    zone = "zone"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="burst-book")(burst_book)


def burst_book(
    out: Annotated[Path, typer.Option(metavar="BOOK.pdf", help="The PDF to write; of a large book the volumes BOOK-1.pdf, BOOK-2.pdf …")],
    network: Annotated[str, typer.Option("--network", help="The network's name. 管网名称")] = "city",
    by: Annotated[By, typer.Option(help="Sheets by grid cell, or by supply zone.")] = By.grid,
    area: Annotated[list[str] | None, typer.Option(help="Only this cell (or what begins so), or this zone; may be repeated.")] = None,
    volume: Annotated[int, typer.Option(min=1, help="Sheets in one volume.")] = 60,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many sheets, to look at.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Every segment on paper: map, valves in closing order, who loses water. 爆管应急手册。"""
    from gis.processes import burst_book as process

    if out.suffix.lower() != ".pdf":
        raise InputError(f"--out cannot write {out.suffix or 'this'}", remedy="Name it BOOK.pdf")
    if not out.resolve().parent.is_dir():
        raise InputError(f"there is no folder {out.parent}", where="--out", remedy="Make it first")
    begun = time.perf_counter()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("book", total=1.0)

        def progress(share: float, what: str) -> None:
            bar.update(task, completed=share, description=what)

        with Store("admin", timeout_s=JOB_TIMEOUT_S) as store:
            made = process.book(store, network, by.value, progress, limit, area or [])
        parts = list(process.volumes(made, volume))
        files = [out] if len(parts) == 1 else [out.with_stem(f"{out.stem}-{i}") for i in range(1, len(parts) + 1)]
        pages = sum(process.write(part, file, progress) for part, file in zip(parts, files, strict=True))
    emit(process.about(made, pages) | {"out": [file.name for file in files], "seconds": round(time.perf_counter() - begun, 1)}, json)
