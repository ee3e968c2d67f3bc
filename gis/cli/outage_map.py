"""The map on paper: closed and cut-off pipes, valves numbered in closing order, streets and houses around them, as one SVG, north up."""

from __future__ import annotations

from html import escape
from itertools import chain, pairwise
from math import atan2, cos, degrees, hypot, radians

PIPES = {"cut_off": ("#ef8f00", "受影响停水管段"), "extra": ("#7b1fa2", "因同期作业叠加停水"), "closed": ("#c62828", "关断管段")}
VALVES = {
    "valve_optional": ("#8d6e63", "可选（防倒流）"), "valve_already_closed": ("#455a64", "已关闭"), "valve_stuck": ("#7b1fa2", "关不动"),
    "valve_feed": ("#2e7d32", "可开启联络阀"), "valve_close": ("#c62828", "关闭阀门（按编号）"),
}  # fmt: skip
_ROADS = {"expressway": 13, "trunk": 12, "secondary": 10, "branch": 7, "lane": 4, "path": 2}
_WIDTH = 1000.0
_FRAME = 50.0
_STEPS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


class _Paper:
    """Degrees to the units of the drawing."""

    def __init__(self, every: list):
        xs, ys = [p[0] for p in every], [p[1] for p in every]
        self.squeeze = cos(radians((min(ys) + max(ys)) / 2))
        wide, high = max((max(xs) - min(xs)) * self.squeeze, 1e-4), max(max(ys) - min(ys), 1e-4)
        self.scale = (_WIDTH - 2 * _FRAME) / max(wide, high / 0.85)
        self.west, self.north = min(xs) - ((_WIDTH - 2 * _FRAME) / self.scale - wide) / 2 / self.squeeze, max(ys)
        self.height = max(high * self.scale, 0.5 * _WIDTH) + 2 * _FRAME
        self.north += (self.height - 2 * _FRAME - high * self.scale) / 2 / self.scale

    def at(self, point) -> tuple[float, float]:
        return _FRAME + (point[0] - self.west) * self.squeeze * self.scale, _FRAME + (self.north - point[1]) * self.scale

    def path(self, line) -> str:
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in map(self.at, line))


def svg(features: dict) -> str:
    """The drawing of an answer's features (GeoJSON, degrees); empty where there is nothing to draw. Needs nothing from outside."""
    shapes = features["features"]
    framing = [f for f in shapes if f["properties"]["part"] not in ("road", "building")]
    every = [xy for f in framing for line in _lines(f["geometry"]) for xy in line]
    if not every:
        return ""
    paper = _Paper([xy[:2] for xy in every])
    by_part: dict[str, list[dict]] = {}
    for f in shapes:
        by_part.setdefault(f["properties"]["part"], []).append(f)
    drawn = [*_ground(paper, by_part), *_pipes(paper, by_part), *_points(paper, by_part), *_scale(paper)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {paper.height:.0f}" preserveAspectRatio="xMidYMid meet" '
        f'role="img" aria-label="停水示意图"><rect width="100%" height="100%" fill="#f1f0ea"/>{"".join(drawn)}</svg>{_legend(by_part)}'
    )


def _lines(geometry: dict) -> list:
    """The coordinate lists of a geometry."""
    kind, coordinates = geometry["type"], geometry.get("coordinates")
    if kind == "Point":
        return [[coordinates]] if coordinates and coordinates[0] is not None else []
    if kind == "LineString":
        return [coordinates]
    if kind in ("MultiLineString", "Polygon"):
        return list(coordinates)
    if kind == "MultiPolygon":
        return list(chain.from_iterable(coordinates))
    return [line for part in geometry.get("geometries", ()) for line in _lines(part)]


def _ground(paper: _Paper, by_part: dict):
    """Houses, then streets, then their names along their longest piece, each name once."""
    for f in by_part.get("building", ()):
        rings = "Z".join(paper.path(ring) for ring in _lines(f["geometry"]))
        yield f'<path d="{rings}Z" fill="#e4e3dd" stroke="#cfcdc4" stroke-width="1"/>'
    names: dict[str, tuple[float, tuple, tuple]] = {}
    roads = sorted(by_part.get("road", ()), key=lambda f: _ROADS.get(f["properties"]["class"], 5))
    for casing in (True, False):
        for f in roads:
            width = _ROADS.get(f["properties"]["class"], 5)
            for line in _lines(f["geometry"]):
                color, wide = ("#d5d3ca", width + 2.5) if casing else ("#ffffff", width)
                yield f'<path d="{paper.path(line)}" fill="none" stroke="{color}" stroke-width="{wide}" stroke-linecap="round"/>'
                if casing and f["properties"]["name"]:
                    _remember(names, f["properties"]["name"], [paper.at(p) for p in line])
    for name, (length, a, b) in names.items():
        if length > 18 * len(name):
            angle = degrees(atan2(b[1] - a[1], b[0] - a[0]))
            angle = angle - 180 if angle > 90 else angle + 180 if angle <= -90 else angle
            x, y = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
            yield (
                f'<text x="{x:.0f}" y="{y:.0f}" transform="rotate({angle:.0f} {x:.0f} {y:.0f})" font-size="16" fill="#6b6a63" '
                f'text-anchor="middle" dy="-10">{escape(name)}</text>'
            )


def _remember(names: dict, name: str, line: list) -> None:
    """The longest straight piece of each street."""
    for a, b in pairwise(line):
        length = hypot(b[0] - a[0], b[1] - a[1])
        if length > names.get(name, (0,))[0]:
            names[name] = (length, a, b)


def _pipes(paper: _Paper, by_part: dict):
    for part, (color, _) in PIPES.items():
        for f in by_part.get(part, ()):
            for line in _lines(f["geometry"]):
                yield f'<path d="{paper.path(line)}" fill="none" stroke="{color}" stroke-width="5.5" stroke-linecap="round"/>'


def _points(paper: _Paper, by_part: dict):
    """The burst as a cross, valves as discs; those to close bear their number in the order of closing."""
    for part, (color, _) in VALVES.items():
        for f in by_part.get(part, ()):
            for ((x, y),) in ([paper.at(p) for p in line] for line in _lines(f["geometry"])):
                order = f["properties"].get("order")
                radius = 15 if order else 10
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}" stroke="#fff" stroke-width="2.5"/>'
                if order:
                    text = f'<text x="{x:.1f}" y="{y + 6.5:.1f}" font-size="18" font-weight="bold" fill="#fff" text-anchor="middle">'
                    yield f"{text}{order}</text>"
    for f in by_part.get("burst", ()):
        x, y = paper.at(f["geometry"]["coordinates"])
        yield f'<path d="M{x - 12:.1f} {y - 12:.1f}l24 24m0 -24l-24 24" stroke="#000" stroke-width="6" stroke-linecap="round"/>'


def _scale(paper: _Paper):
    """A bar of a round length, and north."""
    metres = 111_320 / paper.scale  # of one unit of the drawing
    step = max((s for s in _STEPS if s / metres <= 260), default=_STEPS[0])
    length, y = step / metres, paper.height - 14
    yield f'<path d="M20 {y - 8:.0f}v8h{length:.1f}v-8" fill="none" stroke="#333" stroke-width="2.5"/>'
    yield f'<text x="{26 + length:.0f}" y="{y:.0f}" font-size="17" fill="#333">{step} m</text>'
    yield '<path d="M970 62l-13 -6l13 -40l13 40z" fill="#333"/>'
    yield '<text x="970" y="84" font-size="18" text-anchor="middle" fill="#333">北</text>'


def _legend(by_part: dict) -> str:
    """What the colours that were used mean."""
    lines = [f'<i style="background:{color};height:1.4mm;width:6mm"></i>{text}' for part, (color, text) in PIPES.items() if part in by_part]
    discs = [
        f'<i style="background:{color};height:3mm;width:3mm;border-radius:2mm"></i>{text}'
        for part, (color, text) in VALVES.items()
        if part in by_part
    ]
    return '<p class="legend">' + "".join(f"<span>{item}</span>" for item in lines + discs) + "</p>"
