"""The maps of the burst book: each segment in its own colour and dashes, valves numbered, those of other sheets in grey."""

from __future__ import annotations

from html import escape

import numpy as np
import shapely

from gis.analysis import sheets
from gis.processes.paper import drawing
from gis.processes.paper.book import Book, Page, valves_of
from gis.processes.paper.drawing import Paper, longest_part, text

WIDTH, HEIGHT, LOW = 186.0, 228.0, 118.0
"""The map on an A4 page, millimetres; LOW where the tables fit beneath it."""
FEW = 2
"""So many segments fit beneath a low map."""
OFF_MM = 2.8
"""A valve is drawn at least so far from the end of its pipe, so that it shows on which arm of a crossing it stands."""
MARGIN_M = 45.0
STYLES = (
    ("#b3261e", ""), ("#0b57d0", "5 1.4"), ("#14682c", ""), ("#7b1fa2", "1.8 1.2"), ("#000000", "7 1.4 1.4 1.4"), ("#a34700", ""),
    ("#00687a", "3 1.2"), ("#8a0f4d", "9 1.6"),
)  # fmt: skip
"""Colour and dashes of a segment: two that meet differ in both, so that grey print still tells them apart."""


def sheet(book: Book, page: Page) -> tuple[str, int]:
    """One sheet as SVG, and its scale (1 : n)."""
    paper = Paper(page.box, (WIDTH, LOW if len(page.entries) <= FEW else HEIGHT), MARGIN_M)
    ground, names = drawing.background(paper, book.ground)
    drawn = [*ground, *_neighbours(book, page, paper)]
    taken: list[np.ndarray] = []
    tints = dict(zip(page.entries, sheets.tints(book.lines[np.array(page.entries) - 1], len(STYLES)), strict=True))
    for number in page.entries:
        colour, dash = STYLES[tints[number]]
        drawn.append(drawing.line(paper, book.line(number), "#fff", 2.1))
        drawn.append(drawing.line(paper, book.line(number), colour, 1.25, dash))
    drawn += names
    drawn += _valves(book, page, paper, taken)
    drawn += _sources(book, paper)
    drawn += _segment_numbers(book, page, paper, taken)
    drawn += drawing.frame(paper)
    return drawing.svg(drawn, paper), paper.scale


def _neighbours(book: Book, page: Page, paper: Paper) -> list[str]:
    """Segments of other sheets, thin and grey, with the sheet where they are found."""
    drawn, told = [], {}
    for number in page.neighbours:
        line = shapely.intersection(book.line(number), paper.box)
        if line.is_empty:
            continue
        drawn.append(drawing.line(paper, line, "#8a949d", 0.6))
        if line.length * paper.mm > 10:
            x, y = paper.place(shapely.get_coordinates(shapely.line_interpolate_point(longest_part(line), 0.5, normalized=True)))[0]
            home = book.sheet_of(number)
            if any(np.hypot(x - a, y - b) < 45 for a, b in told.get(home, ())):
                continue
            told.setdefault(home, []).append((x, y))
            drawn.append(f'<rect x="{x - 5.2:.2f}" y="{y - 1.6:.2f}" width="10.4" height="3.2" fill="#fff"/>')
            drawn.append(text(x, y, f"→图{home}", 2.6, "#59636c"))
    return drawn


def _valves(book: Book, page: Page, paper: Paper, taken: list[np.ndarray]) -> list[str]:
    """Valves with their numbers: open hollow, closed black, unusable crossed; the number in a box with a leader."""
    own = sorted({v for n in page.entries for v in valves_of(book.entries[n])}, key=lambda v: book.valve_number[v])
    own = np.array([v for v in own if np.isfinite(book.valve_xy[v]).all()], np.int64)
    if not len(own):
        return []
    at = paper.place(np.array([_spot(book, int(v), paper) for v in own]))
    inside = paper.inside(at)
    own, at = own[inside], at[inside]
    numbers = drawing.numbered(paper, at, [str(book.valve_number[v]) for v in own], taken)
    return [_symbol(book.valves.iloc[v], x, y) for v, (x, y) in zip(own, at, strict=True)] + numbers


def _spot(book: Book, valve: int, paper: Paper) -> np.ndarray:
    """Where a valve is drawn (metres): in its place, or moved along its pipe until it is clear of the crossing."""
    arm = book.valve_arm.get(valve)
    if arm is None:
        return book.valve_xy[valve]
    real = shapely.line_locate_point(arm, shapely.Point(book.valve_xy[valve]))
    along = max(real, min(OFF_MM / paper.mm, 0.35 * arm.length))
    return shapely.get_coordinates(shapely.line_interpolate_point(arm, along))[0]


def is_closed(row) -> bool:
    """Whether a valve is closed, as last heard."""
    return (row["live_status"] if isinstance(row["live_status"], str) else row["normal_status"]) == "closed"


def _symbol(row, x: float, y: float) -> str:
    fill = "#000" if is_closed(row) else "#fff"
    drawn = f'<circle cx="{x:.2f}" cy="{y:.2f}" r="0.95" fill="{fill}" stroke="#000" stroke-width="0.35"/>'
    if row["operable"] is False or row["accessible"] is False or row["operable"] == 0 or row["accessible"] == 0:
        drawn += f'<path d="M{x - 1.5:.2f},{y - 1.5:.2f}l3,3m0,-3l-3,3" stroke="#000" stroke-width="0.5"/>'
    if row["remote"] is True or row["remote"] == 1:
        drawn += f'<circle cx="{x:.2f}" cy="{y:.2f}" r="1.6" fill="none" stroke="#000" stroke-width="0.25"/>'
    return drawn


def _sources(book: Book, paper: Paper) -> list[str]:
    drawn = []
    for row in book.sources.itertuples():
        if paper.box.contains(shapely.Point(row.x, row.y)):
            x, y = paper.place(np.array([row.x, row.y]))[0]
            drawn.append(f'<rect x="{x - 2:.2f}" y="{y - 2:.2f}" width="4" height="4" fill="#000"/>')
            drawn.append(text(x, y, "源", 3.0, "#fff", bold=True))
            drawn.append(text(x, y + 4, escape(str(row.name)), 2.8, "#000"))
    return drawn


def _segment_numbers(book: Book, page: Page, paper: Paper, taken: list[np.ndarray]) -> list[str]:
    """The number of each segment in a black field beside the middle of its longest pipe."""
    middle = [shapely.line_interpolate_point(longest_part(book.line(n)), 0.5, normalized=True) for n in page.entries]
    at = paper.place(shapely.get_coordinates(middle))
    size = np.array([(3.4 + 2.1 * len(str(n)), 4.6) for n in page.entries])
    spot = sheets.labels(at, size, paper.size, np.array(taken).reshape(-1, 4))
    drawn = [
        f'<path d="M{x:.2f},{y:.2f}L{a:.2f},{b:.2f}" stroke="#000" stroke-width="0.3"/>' for (x, y), (a, b) in zip(at, spot, strict=True)
    ]
    for n, (x, y), (w, h) in zip(page.entries, spot, size, strict=True):
        drawn.append(f'<rect x="{x - w / 2:.2f}" y="{y - h / 2:.2f}" width="{w:.2f}" height="{h}" rx="1" fill="#000"/>')
        drawn.append(text(x, y, f"S{n}", 3.5, "#fff", bold=True))
    return drawn


def overview(book: Book) -> str:
    """The whole network with the frames and numbers of the sheets."""
    boxes = np.array([p.box for p in book.pages])
    whole = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
    paper = Paper(whole, (WIDTH, 150.0), MARGIN_M)
    near = book.lines[shapely.intersects(book.lines, paper.box)]
    drawn = [f'<path d="{paper.path(line)}" fill="none" stroke="#7d8891" stroke-width="0.3"/>' for line in near]
    at = []
    for west, south, east, north in boxes:
        (x0, y1), (x1, y0) = paper.place(np.array([[west, south], [east, north]]))
        drawn.append(
            f'<rect x="{x0:.2f}" y="{y0:.2f}" width="{x1 - x0:.2f}" height="{y1 - y0:.2f}" fill="none" stroke="#000" stroke-width="0.25"/>'
        )
        at.append(((x0 + x1) / 2, (y0 + y1) / 2))
    size = np.array([(2.4 + 2.4 * len(str(p.number)), 5.0) for p in book.pages])
    spot = sheets.labels(np.array(at), size, paper.size, np.zeros((0, 4)), step=0.6)
    for page, (x, y), (w, h) in zip(book.pages, spot, size, strict=True):
        drawn.append(
            f'<rect x="{x - w / 2:.2f}" y="{y - h / 2:.2f}" width="{w:.2f}" height="{h}" fill="#fff" stroke="#000" stroke-width="0.3"/>'
        )
        drawn.append(text(x, y, str(page.number), 4.0, "#000", bold=True))
    return drawing.svg(drawn + _sources(book, paper) + drawing.frame(paper), paper)
