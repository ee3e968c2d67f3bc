"""The burst book: every segment on paper, or the volume of an area, for nights without a computer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field

from gis.catalog.model import Text
from gis.errors import InputError
from gis.processes import Inputs, Process, Progress
from gis.processes._water_network import LAYERS
from gis.processes.paper import ASKED, Document, book_pages, nothing_outside
from gis.processes.paper.book import Book, By, book

MOST_SHEETS = 60
"""Sheets in one volume, and in one answer: what can be carried, and what is laid out in memory at a time."""


class BurstBookInputs(Inputs):
    """Which sheets: of one or several areas, or the first ones."""

    network: str = Field("city", title="管网 Network", description="管网名称 / The network's name", min_length=1, max_length=40)
    by: By = Field("grid", title="按 By", description="grid 按网格、zone 按供水分区 / Sheets by grid cell, or by supply zone")
    areas: list[str] = Field(
        default_factory=list, max_length=200, title="分区 Areas",
        description="只印这些网格（可给编码开头：社区、街道）或供水分区 / Only these cells (or what their codes begin with), or zones",
    )  # fmt: skip
    limit: int | None = Field(None, title="图幅数 Sheets", description="最多几幅 / At most so many sheets", ge=1, le=MOST_SHEETS)


def run(store, inputs: BurstBookInputs, progress: Progress) -> dict:
    """{network, by, sheets, segments, pages, valves, data_version, seconds, document}. Raises NotFound, AccessDenied, InputError where
    more than MOST_SHEETS sheets are asked for."""
    begun = time.perf_counter()
    made = book(store, inputs.network, inputs.by, progress, inputs.limit, inputs.areas)
    if len(made.pages) > MOST_SHEETS:
        raise InputError(f"the book has {len(made.pages)} sheets: {MOST_SHEETS} are made at a time",
                         where="areas", remedy="Name areas, or make it with the command `onemap burst-book`")  # fmt: skip
    with TemporaryDirectory(prefix="burst-book-") as folder:
        file = Path(folder) / "book.pdf"
        pages = write(made, file, progress)
        document = Document(f"爆管应急手册-{inputs.network}-{made.version}.pdf", file.read_bytes())
    return about(made, pages) | {"seconds": round(time.perf_counter() - begun, 1), "document": document.by_value()}


def about(made: Book, pages: int) -> dict:
    """A book in numbers."""
    return {
        "network": made.network, "by": made.by, "sheets": len(made.pages), "segments": len(made.entries), "pages": pages,
        "valves": int((made.valve_number > 0).sum()), "data_version": made.version,
    }  # fmt: skip


def volumes(made: Book, most: int) -> Iterator[Book]:
    """A book cut into volumes of at most so many sheets, each with its own cover and indexes; numbers stay those of the whole."""
    for start in range(0, len(made.pages), most):
        pages = made.pages[start : start + most]
        yield replace(made, pages=pages, entries={n: made.entries[n] for page in pages for n in page.entries})


def write(made: Book, out: Path, progress: Progress) -> int:
    """A book, or a volume of one, as PDF, whole or not at all; the number of its pages."""
    from weasyprint import HTML
    from weasyprint.text.fonts import FontConfiguration

    fonts = FontConfiguration()
    parts = [(book_pages.cover, ()), *((book_pages.sheet, (page,)) for page in made.pages), (book_pages.indexes, ())]
    documents = []
    for done, (html, which) in enumerate(parts):
        progress(0.3 + 0.6 * done / len(parts), f"sheets {done}/{len(made.pages)}")
        documents.append(HTML(string=html(made, *which), url_fetcher=nothing_outside).render(font_config=fonts))
    pages = [page for document in documents for page in document.pages]
    progress(0.92, "writing")
    draft = out.with_name(out.name + ".part")
    documents[0].copy(pages).write_pdf(draft)
    draft.replace(out)
    return len(pages)


PROCESS = Process(
    id="burst-book",
    title=Text(zh="爆管应急手册", en="Burst book"),
    description=Text(
        zh="一个或几个网格、供水分区的爆管应急手册（PDF）：图、每个区段按序关哪些阀、停水户数、门牌；适合作为后台任务运行",
        en="The burst book of some grid cells or zones as PDF: map, valves in closing order per segment, customers, door-plates; best as a "
        "job. " + ASKED,
    ),
    inputs=BurstBookInputs,
    run=run,
    layers=(*LAYERS, "building"),
    counted=("segments", "valves"),
    keywords=("water", "burst book", "爆管", "手册"),
    example={"network": "city", "by": "grid", "limit": 2},
)
