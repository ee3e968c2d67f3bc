"""The red-pen map (红笔图): what was delivered in the layers' colours, and a numbered red mark at every fault that the report lists."""

from __future__ import annotations

import html

import numpy as np
import shapely

from gis.ingest.acceptance import Acceptance

MARKS = 400
"""At most so many marks are drawn: the gravest."""
SHEETS = 6
"""Detail sheets, of the places with the most marks."""
_SIDE = 20_000
_SHEET_M = 300.0
_RED = {"fatal": "#b00020", "error": "#d50000", "warning": "#f57c00", "info": "#1565c0"}


def red_pen(found: Acceptance, marked: list[int]) -> str:
    """The map as SVG with its detail sheets; `marked` are positions in the findings, drawn with their numbers. Empty where nothing has
    a place."""
    places = shapely.bounds(found.findings.geometry.to_numpy()[marked]) if marked else np.zeros((0, 4))
    drawn = {k: g[~shapely.is_missing(g)] for k, g in found.evidence.drawn.items()}
    boxes = [places, *(shapely.bounds(g) for g in drawn.values() if len(g))]
    boxes = np.concatenate(boxes)
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(boxes):
        return ""
    low, high = np.percentile(boxes[:, :2], 1, axis=0), np.percentile(boxes[:, 2:], 99, axis=0)
    if len(places):
        near = ((places[:, :2] > low - 0.05) & (places[:, 2:] < high + 0.05)).all(axis=1)
        if near.any():
            low, high = np.minimum(low, places[near, :2].min(axis=0)), np.maximum(high, places[near, 2:].max(axis=0))
    frame = _Frame(low, high)
    base = "".join(_layer(g, _darker(found.layers[k].style.color if k in found.layers else "#888888"), frame) for k, g in drawn.items())
    bounds = shapely.bounds(found.findings.geometry.to_numpy()[marked]).reshape(-1, 4)
    centre = (bounds[:, :2] + bounds[:, 2:]) / 2
    at = frame.of(centre)
    numbers = found.findings["number"].to_numpy()[marked]
    levels = found.findings["level"].to_numpy()[marked]
    marks = "".join(
        f'<g transform="translate({x:.0f},{y:.0f})"><g class="mark"><circle r="9" fill="none" stroke="{_RED[level]}" stroke-width="3"/>'
        f'<text x="11" y="-7" fill="{_RED[level]}">{n}</text></g></g>'
        for (x, y), n, level in zip(at, numbers, levels, strict=True)
    )
    whole = (
        f'<svg id="redpen" class="map" viewBox="0 0 {frame.width:.0f} {frame.height:.0f}" style="--k:{frame.width / 1100:.3f}">'
        f'<defs><g id="base">{base}</g><g id="marks">{marks}</g></defs>{_used()}{_bar(frame, 0, 0, frame.width, frame.height)}</svg>'
    )
    return whole + _sheets(frame, at, numbers)


class _Frame:
    """From degrees to the units of the drawing: north up, equal scales east and north."""

    def __init__(self, low: np.ndarray, high: np.ndarray):
        middle = (low + high) / 2
        self.metres = np.array([111_320 * np.cos(np.radians(middle[1])), 110_574.0])
        size = np.maximum((high - low) * self.metres, 60.0) * 1.08
        if size[1] > size[0]:
            size[0] = max(size[0], size[1] * 0.9)
        size[1] = max(size[1], size[0] * 0.45)
        self.unit = size[0] / _SIDE
        self.middle, self.width, self.height = middle, _SIDE, size[1] / self.unit

    def of(self, places: np.ndarray) -> np.ndarray:
        """Drawing coordinates (n, 2) of longitudes and latitudes (n, 2)."""
        xy = (places - self.middle) * self.metres / self.unit
        return np.column_stack([self.width / 2 + xy[:, 0], self.height / 2 - xy[:, 1]])


def _layer(geometry: np.ndarray, color: str, frame: _Frame) -> str:
    """One layer as one path: points as dots (those that fall together once), lines and rings as they run."""
    kind = shapely.get_dimensions(geometry)
    parts = []
    dots = np.unique(np.round(frame.of(shapely.get_coordinates(geometry[kind == 0])) / 4) * 4, axis=0).astype(int)
    if len(dots):
        path = "".join(f"M{x} {y}h0" for x, y in dots)
        parts.append(f'<path class="dot" d="{path}" stroke="{html.escape(color)}"/>')
    lines = geometry[kind > 0]
    lines = np.where(shapely.get_dimensions(lines) == 2, shapely.boundary(lines), lines)
    if len(lines):
        xy, of = shapely.get_coordinates(shapely.get_parts(lines), return_index=True)
        xy = np.round(frame.of(xy)).astype(int)
        start = np.r_[True, of[1:] != of[:-1]]
        moved = start | np.r_[True, (xy[1:] != xy[:-1]).any(axis=1)]
        path = "".join(f"{'M' if s else 'L'}{x} {y}" for (x, y), s in zip(xy[moved], start[moved], strict=True))
        parts.append(f'<path class="line" d="{path}" stroke="{html.escape(color)}"/>')
    return "".join(parts)


def _darker(color: str) -> str:
    """The layer's colour, dark enough for a thin line on white paper."""
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{int(v * 0.72):02x}" for v in parts)


def _used() -> str:
    return '<use href="#base"/><use href="#marks"/>'


def _bar(frame: _Frame, x: float, y: float, width: float, height: float) -> str:
    """A scale bar at the lower left and an arrow to the north."""
    wanted = width * frame.unit / 5
    step = 10 ** np.floor(np.log10(wanted))
    length = step * max(m for m in (1, 2, 5) if m * step <= wanted)
    long, pad = length / frame.unit, width * 0.02
    bottom = y + height - pad
    scale = f'<path class="bar" d="M{x + pad:.0f} {bottom:.0f}h{long:.0f}"/>'
    label = f'<g transform="translate({x + pad:.0f},{bottom:.0f})"><g class="mark"><text y="-6" fill="#333">{length:g} m</text></g></g>'
    arrow = '<path d="M0 -14L6 6L0 2L-6 6Z" fill="#333"/><text x="-5" y="20" fill="#333">北</text>'
    north = f'<g transform="translate({x + width - pad:.0f},{y + 2 * pad:.0f})"><g class="mark">{arrow}</g></g>'
    return scale + label + north


def _sheets(frame: _Frame, at: np.ndarray, numbers: np.ndarray) -> str:
    """Details of the squares with the most marks, each at a scale at which its numbers can be read."""
    side = _SHEET_M / frame.unit
    if not len(at) or side > frame.width * 0.7:
        return ""
    cells, of = np.unique(np.floor(at / side).astype(int), axis=0, return_inverse=True)
    counts = np.bincount(of.ravel(), minlength=len(cells))
    made = []
    for cell in np.argsort(-counts, kind="stable")[:SHEETS]:
        x, y = cells[cell] * side
        inside = sorted(numbers[of.ravel() == cell].tolist())
        shown = "、".join(map(str, inside[:12])) + ("…" if len(inside) > 12 else "")
        made.append(
            f'<figure><svg class="map sheet" viewBox="{x - side * 0.1:.0f} {y - side * 0.1:.0f} {side * 1.2:.0f} {side * 1.2:.0f}" '
            f'style="--k:{side * 1.2 / 520:.3f}">{_used()}{_bar(frame, x - side * 0.1, y - side * 0.1, side * 1.2, side * 1.2)}</svg>'
            f"<figcaption>编号 {shown}</figcaption></figure>"
        )
    return f'<div class="sheets">{"".join(made)}</div>'
