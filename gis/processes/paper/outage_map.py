"""The map of a burst, a notice or a work on paper: closed and cut-off pipes, valves numbered in closing order, streets and houses."""

from __future__ import annotations

from html import escape

import numpy as np
import shapely

from gis import crs
from gis.processes.paper import drawing
from gis.processes.paper.drawing import Paper

PIPES = {
    "cut_off": ("#ef8f00", "", "受影响停水管段"), "extra": ("#7b1fa2", "3 1.2", "因同期作业叠加停水"),
    "closed": ("#c62828", "", "关断管段"),
}  # fmt: skip
POINTS = {
    "valve_optional": ("#8d6e63", "可选（防倒流）"), "valve_already_closed": ("#455a64", "已关闭"), "valve_stuck": ("#7b1fa2", "关不动"),
    "valve_feed": ("#2e7d32", "可开启联络阀"), "drain": ("#0b57d0", "放水处"), "source": ("#000", "须停的水源"),
    "valve_close": ("#c62828", "关闭阀门（按编号）"),
}  # fmt: skip
WIDTH, LOWEST, HIGHEST = 174.0, 90.0, 140.0
"""The map between the margins of an A4 page, millimetres."""
_MARGIN_M = 60.0


def svg(store, features: dict) -> str:
    """The drawing of an answer's features (GeoJSON, degrees) with its legend; empty where there is nothing to draw."""
    metric = store.catalog.city.working_crs
    shown = [f for f in features["features"] if f["properties"]["part"] in PIPES | POINTS or f["properties"]["part"] == "burst"]
    shown = [f for f in shown if f["geometry"] is not None]
    if not shown:
        return ""
    shapes = crs.project(np.array([shapely.geometry.shape(f["geometry"]) for f in shown], dtype=object), crs.STORED, metric)
    box = tuple(shapely.total_bounds(shapes))
    paper = Paper(box, (WIDTH, float(np.clip(WIDTH * (box[3] - box[1] + 1) / (box[2] - box[0] + 1), LOWEST, HIGHEST))), _MARGIN_M)
    ground, names = drawing.background(paper, drawing.ground(store, paper.box.bounds, 0.0))
    by_part: dict[str, list] = {}
    for feature, shape in zip(shown, shapes, strict=True):
        by_part.setdefault(feature["properties"]["part"], []).append((feature["properties"], shape))
    drawn = [*ground, *_pipes(paper, by_part), *names, *_points(paper, by_part), *_burst(paper, by_part), *drawing.frame(paper)]
    return drawing.svg(drawn, paper, "停水示意图") + _legend(by_part, paper)


def _pipes(paper: Paper, by_part: dict):
    for part, (colour, dash, _) in PIPES.items():
        for width, stroke in ((2.0, "#fff"), (1.2, colour)):
            for _, shape in by_part.get(part, ()):
                yield drawing.line(paper, shape, stroke, width, dash if stroke == colour else "")


def _points(paper: Paper, by_part: dict) -> list[str]:
    """Valves as discs; those to close bear their number in the order of closing."""
    drawn, spots, numbers = [], [], []
    for part, (colour, _) in POINTS.items():
        for properties, shape in by_part.get(part, ()):
            (x, y), order = paper.place(shapely.get_coordinates(shape))[0], properties.get("order")
            drawn.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="1.2" fill="{colour}" stroke="#fff" stroke-width="0.35"/>')
            if order:
                spots.append((x, y))
                numbers.append(str(order))
    return drawn + drawing.numbered(paper, np.array(spots).reshape(-1, 2), numbers, [], [POINTS["valve_close"][0]] * len(numbers))


def _burst(paper: Paper, by_part: dict):
    for _, shape in by_part.get("burst", ()):
        x, y = paper.place(shapely.get_coordinates(shape))[0]
        yield f'<path d="M{x - 2:.2f} {y - 2:.2f}l4 4m0 -4l-4 4" stroke="#000" stroke-width="1" stroke-linecap="round"/>'


def _legend(by_part: dict, paper: Paper) -> str:
    """What the colours that were used mean, and the scale."""
    lines = [f'<i style="background:{c};height:1.4mm;width:6mm"></i>{escape(t)}' for part, (c, _, t) in PIPES.items() if part in by_part]
    round_ = "height:3mm;width:3mm;border-radius:2mm"
    discs = [f'<i style="background:{c};{round_}"></i>{escape(t)}' for part, (c, t) in POINTS.items() if part in by_part]
    cross = ["✕ 爆管处"] if "burst" in by_part else []
    items = [*lines, *discs, *cross, f"1:{paper.scale:,}"]
    return '<p class="legend">' + "".join(f"<span>{item}</span>" for item in items) + "</p>"
