"""The maps of the burst book as SVG, in millimetres on paper: legible in the light of a torch, and printed in grey."""

from __future__ import annotations

from html import escape

import numpy as np
import shapely

from gis.analysis import sheets
from gis.processes.burst_book import Book, Page, valves_of

WIDTH, HEIGHT, LOW = 186.0, 228.0, 118.0
"""The map on an A4 page, millimetres; LOW where the tables fit beneath it."""
FEW = 2
"""So many segments fit beneath a low map."""
OFF_MM = 2.8
"""A valve is drawn at least so far from the end of its pipe, so that it shows on which arm of a crossing it stands."""
MARGIN_M = 45.0
SCALES = (500, 750, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000, 10_000, 15_000, 20_000, 30_000, 50_000, 100_000)
STYLES = (
    ("#b3261e", ""), ("#0b57d0", "5 1.4"), ("#14682c", ""), ("#7b1fa2", "1.8 1.2"), ("#000000", "7 1.4 1.4 1.4"), ("#a34700", ""),
    ("#00687a", "3 1.2"), ("#8a0f4d", "9 1.6"),
)  # fmt: skip
"""Colour and dashes of a segment: two that meet differ in both, so that grey print still tells them apart."""
_CLASS_M = {"expressway": 30.0, "trunk": 26.0, "secondary": 18.0, "branch": 12.0, "lane": 7.0, "path": 3.0}


class _Paper:
    """From metres to millimetres on the sheet, north up."""

    def __init__(self, box: tuple[float, float, float, float], size: tuple[float, float]):
        west, south, east, north = box
        need = max((east - west + 2 * MARGIN_M) / size[0], (north - south + 2 * MARGIN_M) / size[1]) * 1000
        self.scale = next((s for s in SCALES if s >= need), int(np.ceil(need / 10_000) * 10_000))
        self.size, self.mm = size, 1000 / self.scale
        self.middle = np.array([(west + east) / 2, (south + north) / 2])
        half = np.array(size) / 2 / self.mm
        self.box = shapely.box(*(self.middle - half), *(self.middle + half))

    def place(self, xy: np.ndarray) -> np.ndarray:
        """Positions on the sheet, (n, 2)."""
        return (np.atleast_2d(xy)[:, :2] - self.middle) * (self.mm, -self.mm) + np.array(self.size) / 2

    def path(self, geometry) -> str:
        """A line or outline as SVG path data."""
        parts = []
        for part in shapely.get_parts(geometry):
            rings = [part.exterior, *part.interiors] if part.geom_type == "Polygon" else [part]
            for ring in rings:
                xy = self.place(shapely.get_coordinates(ring))
                parts.append("M" + " ".join(f"{x:.2f},{y:.2f}" for x, y in xy))
        return "".join(parts)


def sheet(book: Book, page: Page) -> tuple[str, int]:
    """One sheet as SVG, and its scale (1 : n)."""
    paper = _Paper(page.box, (WIDTH, LOW if len(page.entries) <= FEW else HEIGHT))
    ground, names = _background(book, paper)
    drawn = [*ground, *_neighbours(book, page, paper)]
    taken: list[np.ndarray] = []
    tints = dict(zip(page.entries, sheets.tints(book.lines[np.array(page.entries) - 1], len(STYLES)), strict=True))
    for number in page.entries:
        colour, dash = STYLES[tints[number]]
        data = paper.path(book.lines[number - 1])
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        drawn.append(f'<path d="{data}" fill="none" stroke="#fff" stroke-width="2.1"/>')
        drawn.append(f'<path d="{data}" fill="none" stroke="{colour}" stroke-width="1.25"{dashes}/>')
    drawn += names
    drawn += _valves(book, page, paper, taken)
    drawn += _sources(book, paper)
    drawn += _segment_numbers(book, page, paper, taken)
    drawn += _frame(paper)
    return _svg(drawn, paper), paper.scale


def _svg(drawn: list[str], paper: _Paper) -> str:
    w, h = paper.size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}mm" height="{h}mm" viewBox="0 0 {w} {h}" stroke-linecap="butt" '
        f'stroke-linejoin="round"><rect width="{w}" height="{h}" fill="#fff"/>{"".join(drawn)}</svg>'
    )


def _background(book: Book, paper: _Paper) -> tuple[list[str], list[str]]:
    """Waters and streets in light grey; and the names of the streets, each once where it is longest."""
    drawn = []
    for shape in shapely.intersection(book.waters.geometry.to_numpy(), paper.box):
        if not shape.is_empty:
            drawn.append(f'<path d="{paper.path(shape)}" fill="#e4e9ee" stroke="#b8c2cb" stroke-width="0.15"/>')
    shapes = book.roads.geometry.to_numpy()
    near = np.flatnonzero(shapely.intersects(shapes, paper.box)) if len(shapes) else np.zeros(0, int)
    cut = shapely.intersection(shapely.force_2d(shapes[near]), paper.box)
    kinds, names = book.roads["class"].to_numpy(object)[near] if len(near) else [], []
    width = [max(_CLASS_M.get(kind, 8.0) * paper.mm, 0.5) for kind in kinds]
    for colour, extra in (("#c9ced4", 0.25), ("#f1f2f4", 0.0)):
        for shape, w in zip(cut, width, strict=True):
            drawn.append(
                f'<path d="{paper.path(shape)}" fill="none" stroke="{colour}" stroke-width="{w + extra:.2f}" stroke-linecap="round"/>'
            )
    longest: dict[str, object] = {}
    for shape, name in zip(cut, book.roads["name"].to_numpy(object)[near] if len(near) else [], strict=True):
        if isinstance(name, str) and (name not in longest or shape.length > longest[name].length):
            longest[name] = shape
    names = [_street_name(paper, name, shape) for name, shape in longest.items() if shape.length * paper.mm > 12]
    return drawn, names


def _street_name(paper: _Paper, name: str, shape) -> str:
    line = max(shapely.get_parts(shape), key=lambda p: p.length)
    a, m, b = paper.place(shapely.get_coordinates([line.interpolate(f, normalized=True) for f in (0.4, 0.5, 0.6)]))
    angle = np.degrees(np.arctan2(b[1] - a[1], b[0] - a[0]))
    angle = angle - 180 * np.sign(angle) if abs(angle) > 90 else angle
    turn = np.radians(angle)
    x, y = m + 2.9 * np.array([np.sin(turn), -np.cos(turn)])
    halo = _text(x, y, escape(name), 3.4, "#fff", rotate=angle).replace("<text ", '<text stroke="#fff" stroke-width="0.9" ')
    return halo + _text(x, y, escape(name), 3.4, "#444d55", rotate=angle)


def _text(x: float, y: float, text: str, size: float, colour: str, *, bold: bool = False, rotate: float = 0.0) -> str:
    turned = f' transform="rotate({rotate:.1f} {x:.2f} {y:.2f})"' if rotate else ""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.2f}" y="{y + size * 0.36:.2f}" font-size="{size}" text-anchor="middle" fill="{colour}"{weight}{turned}>{text}</text>'
    )


def _neighbours(book: Book, page: Page, paper: _Paper) -> list[str]:
    """Segments of other sheets, thin and grey, with the sheet where they are found."""
    drawn, told = [], {}
    for number in page.neighbours:
        line = shapely.intersection(book.lines[number - 1], paper.box)
        if line.is_empty:
            continue
        drawn.append(f'<path d="{paper.path(line)}" fill="none" stroke="#8a949d" stroke-width="0.6"/>')
        if line.length * paper.mm > 10:
            x, y = paper.place(shapely.get_coordinates(shapely.line_interpolate_point(_longest(line), 0.5, normalized=True)))[0]
            home = book.home[number]
            if any(np.hypot(x - a, y - b) < 45 for a, b in told.get(home, ())):
                continue
            told.setdefault(home, []).append((x, y))
            drawn.append(f'<rect x="{x - 5.2:.2f}" y="{y - 1.6:.2f}" width="10.4" height="3.2" fill="#fff"/>')
            drawn.append(_text(x, y, f"→图{home}", 2.6, "#59636c"))
    return drawn


def _longest(geometry):
    return max(shapely.get_parts(geometry), key=lambda part: part.length)


def _valves(book: Book, page: Page, paper: _Paper, taken: list[np.ndarray]) -> list[str]:
    """Valves with their numbers: open hollow, closed black, unusable crossed; the number in a box with a leader."""
    own = sorted({v for n in page.entries for v in valves_of(book.entries[n - 1])}, key=lambda v: book.valve_number[v])
    own = np.array([v for v in own if np.isfinite(book.valve_xy[v]).all()], np.int64)
    if not len(own):
        return []
    at = paper.place(np.array([_spot(book, v, paper) for v in own]))
    inside = (at > 0).all(axis=1) & (at < np.array(paper.size)).all(axis=1)
    own, at = own[inside], at[inside]
    texts = [str(book.valve_number[v]) for v in own]
    size = np.array([(1.2 + 1.75 * len(t), 3.5) for t in texts]).reshape(-1, 2)
    symbols = np.hstack((at - 1.0, at + 1.0))
    spot = sheets.labels(at, size, paper.size, symbols)
    taken += [*symbols, *np.hstack((spot - size / 2, spot + size / 2))]
    drawn = [
        f'<path d="M{x:.2f},{y:.2f}L{a:.2f},{b:.2f}" stroke="#000" stroke-width="0.15"/>' for (x, y), (a, b) in zip(at, spot, strict=True)
    ]
    for v, (x, y) in zip(own, at, strict=True):
        drawn.append(_symbol(book.valves.iloc[v], x, y))
    for text, (x, y), (w, h) in zip(texts, spot, size, strict=True):
        drawn.append(
            f'<rect x="{x - w / 2:.2f}" y="{y - h / 2:.2f}" width="{w:.2f}" height="{h}" fill="#fff" stroke="#000" stroke-width="0.2"/>'
        )
        drawn.append(_text(x, y, text, 3.0, "#000", bold=True))
    return drawn


def _spot(book: Book, valve: int, paper: _Paper) -> np.ndarray:
    """Where a valve is drawn (metres): in its place, or moved along its pipe until it is clear of the crossing."""
    arm = book.valve_arm[valve]
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


def _sources(book: Book, paper: _Paper) -> list[str]:
    drawn = []
    for row in book.sources.itertuples():
        if paper.box.contains(shapely.Point(row.x, row.y)):
            x, y = paper.place(np.array([row.x, row.y]))[0]
            drawn.append(f'<rect x="{x - 2:.2f}" y="{y - 2:.2f}" width="4" height="4" fill="#000"/>')
            drawn.append(_text(x, y, "源", 3.0, "#fff", bold=True))
            drawn.append(_text(x, y + 4, escape(str(row.name)), 2.8, "#000"))
    return drawn


def _segment_numbers(book: Book, page: Page, paper: _Paper, taken: list[np.ndarray]) -> list[str]:
    """The number of each segment in a black field beside the middle of its longest pipe."""
    middle = [shapely.line_interpolate_point(_longest(book.lines[n - 1]), 0.5, normalized=True) for n in page.entries]
    at = paper.place(shapely.get_coordinates(middle))
    size = np.array([(3.4 + 2.1 * len(str(n)), 4.6) for n in page.entries])
    spot = sheets.labels(at, size, paper.size, np.array(taken).reshape(-1, 4))
    drawn = [
        f'<path d="M{x:.2f},{y:.2f}L{a:.2f},{b:.2f}" stroke="#000" stroke-width="0.3"/>' for (x, y), (a, b) in zip(at, spot, strict=True)
    ]
    for n, (x, y), (w, h) in zip(page.entries, spot, size, strict=True):
        drawn.append(f'<rect x="{x - w / 2:.2f}" y="{y - h / 2:.2f}" width="{w:.2f}" height="{h}" rx="1" fill="#000"/>')
        drawn.append(_text(x, y, f"S{n}", 3.5, "#fff", bold=True))
    return drawn


def _frame(paper: _Paper) -> list[str]:
    """The frame, north and a bar of scale."""
    w, h = paper.size
    bar = next(m for m in (1000, 500, 200, 100, 50, 20, 10) if m * paper.mm <= 45)
    x, y = 4.0, h - 4.0
    return [
        f'<rect x="0.2" y="0.2" width="{w - 0.4}" height="{h - 0.4}" fill="none" stroke="#000" stroke-width="0.4"/>',
        f'<rect x="1.5" y="{h - 10}" width="{bar * paper.mm + 20:.1f}" height="8.5" fill="#fff"/>',
        f'<path d="M{x},{y - 2}v2h{bar * paper.mm:.2f}v-2" fill="none" stroke="#000" stroke-width="0.5"/>',
        f'<text x="{x + bar * paper.mm + 1.5:.2f}" y="{y}" font-size="3.2">{bar} m</text>',
        f'<path d="M{w - 7},{13}l2.4,-8l2.4,8l-2.4,-2z" fill="#000"/>', _text(w - 4.6, 16, "北", 3.4, "#000", bold=True),
    ]  # fmt: skip


def overview(book: Book) -> str:
    """The whole network with the frames and numbers of the sheets."""
    boxes = np.array([p.box for p in book.pages])
    whole = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
    paper = _Paper(whole, (WIDTH, 150.0))
    drawn = [f'<path d="{paper.path(line)}" fill="none" stroke="#7d8891" stroke-width="0.3"/>' for line in book.lines]
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
        drawn.append(_text(x, y, str(page.number), 4.0, "#000", bold=True))
    return _svg(drawn + _sources(book, paper) + _frame(paper), paper)
