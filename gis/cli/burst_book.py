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
    out: Annotated[Path, typer.Option(metavar="BOOK.pdf", help="The PDF to write.")],
    network: Annotated[str, typer.Option("--network", help="The network's name. 管网名称")] = "city",
    by: Annotated[By, typer.Option(help="Sheets by grid cell, or by supply zone.")] = By.grid,
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
            made = process.book(store, network, by.value, progress, limit)
        pages = write(made, out, progress)
    emit({
        "network": network, "by": by.value, "sheets": len(made.pages), "segments": len(made.entries), "pages": pages,
        "valves": int((made.valve_number > 0).sum()), "data_version": made.version, "out": out.name,
        "seconds": round(time.perf_counter() - begun, 1),
    }, json)  # fmt: skip


def write(book, out: Path, progress) -> int:
    """The book as PDF, whole or not at all; the number of its pages. Sheet by sheet, so that a large book needs little memory at a time."""
    from weasyprint import HTML
    from weasyprint.text.fonts import FontConfiguration

    from gis.cli import burst_book_page as page

    def nothing_outside(url: str, *_, **__):
        raise ValueError("the book fetches nothing")

    fonts = FontConfiguration()
    parts = [(page.cover, ())] + [(page.sheet, (one,)) for one in book.pages] + [(page.indexes, ())]
    documents = []
    for i, (render, arguments) in enumerate(parts):
        progress(0.35 + 0.5 * i / len(parts), f"sheets {i}/{len(parts)}")
        documents.append(HTML(string=render(book, *arguments), url_fetcher=nothing_outside).render(font_config=fonts))
    pages = [p for document in documents for p in document.pages]
    progress(0.88, "writing")
    draft = out.with_name(out.name + ".part")
    documents[0].copy(pages).write_pdf(draft)
    draft.replace(out)
    return len(pages)
