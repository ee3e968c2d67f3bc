"""Maps on paper as SVG, in millimetres, north up: legible in the light of a torch, and printed in grey. The ground under them (streets,
waters, houses), numbers that do not cover one another, the frame with north and a bar of scale."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import geopandas as gpd
import numpy as np
import shapely

from gis import crs
from gis.analysis import sheets

SCALES = (500, 750, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000, 10_000, 15_000, 20_000, 30_000, 50_000, 100_000)
_CLASS_M = {"expressway": 30.0, "trunk": 26.0, "secondary": 18.0, "branch": 12.0, "lane": 7.0, "path": 3.0}
_MOST_BUILDINGS = 6000
"""More houses than this on one sheet are a grey mass that says nothing."""


@dataclass(frozen=True)
class Ground:
    """What lies around a network, in metres: streets (name, class), waters, houses."""

    roads: gpd.GeoDataFrame
    waters: gpd.GeoDataFrame
    houses: gpd.GeoDataFrame


def ground(store, box: tuple[float, float, float, float], margin_m: float = 300.0, *, houses: bool = True) -> Ground:
    """The ground around a box (metres of the working CRS), of the layers that the caller may read."""
    metric = store.catalog.city.working_crs
    wide = crs.project(np.array([shapely.box(*box).buffer(margin_m)]), metric, crs.STORED)[0].bounds
    empty = gpd.GeoDataFrame({"name": [], "class": []}, geometry=[])

    def layer(name: str, columns: list[str]) -> gpd.GeoDataFrame:
        return store.frame(name, columns, bbox=wide, crs=metric) if store.can_read(name) else empty

    built = layer("building", ["fid"]) if houses else empty
    return Ground(layer("road", ["name", "class"]), layer("water_body", ["name"]), built if len(built) <= _MOST_BUILDINGS else empty)


class Paper:
    """From metres to millimetres on a sheet of a size, at the largest of the usual scales at which a box fits with a margin."""

    def __init__(self, box: tuple[float, float, float, float], size: tuple[float, float], margin_m: float):
        west, south, east, north = box
        need = max((east - west + 2 * margin_m) / size[0], (north - south + 2 * margin_m) / size[1]) * 1000
        self.scale = next((s for s in SCALES if s >= need), int(np.ceil(need / 10_000) * 10_000))
        self.size, self.mm = size, 1000 / self.scale
        self.middle = np.array([(west + east) / 2, (south + north) / 2])
        half = np.array(size) / 2 / self.mm
        self.box = shapely.box(*(self.middle - half), *(self.middle + half))

    def place(self, xy: np.ndarray) -> np.ndarray:
        """Positions on the sheet, (n, 2)."""
        return (np.atleast_2d(xy)[:, :2] - self.middle) * (self.mm, -self.mm) + np.array(self.size) / 2

    def inside(self, at: np.ndarray) -> np.ndarray:
        """Which places on the sheet lie in its frame, (n,)."""
        return (at > 0).all(axis=1) & (at < np.array(self.size)).all(axis=1)

    def path(self, geometry) -> str:
        """A line or outline as SVG path data."""
        parts = []
        for part in shapely.get_parts(geometry):
            rings = [part.exterior, *part.interiors] if part.geom_type == "Polygon" else [part]
            for ring in rings:
                xy = self.place(shapely.get_coordinates(ring))
                parts.append("M" + " ".join(f"{x:.2f},{y:.2f}" for x, y in xy))
        return "".join(parts)


def svg(drawn: list[str], paper: Paper, label: str = "") -> str:
    """The sheet; `label` is what it shows, for those who cannot see it."""
    w, h = paper.size
    named = f' role="img" aria-label="{escape(label)}"' if label else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}mm" height="{h}mm" viewBox="0 0 {w} {h}" stroke-linecap="butt" '
        f'stroke-linejoin="round"{named}><rect width="{w}" height="{h}" fill="#fff"/>{"".join(drawn)}</svg>'
    )


def line(paper: Paper, geometry, colour: str, width: float, dash: str = "") -> str:
    """A line of a colour and width (mm), dashed where asked."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{paper.path(geometry)}" fill="none" stroke="{colour}" stroke-width="{width:.2f}"{dashes}/>'


def text(x: float, y: float, words: str, size: float, colour: str, *, bold: bool = False, rotate: float = 0.0) -> str:
    """Words (escaped already) around a place."""
    turned = f' transform="rotate({rotate:.1f} {x:.2f} {y:.2f})"' if rotate else ""
    weight = ' font-weight="bold"' if bold else ""
    place = f'x="{x:.2f}" y="{y + size * 0.36:.2f}" font-size="{size}"'
    return f'<text {place} text-anchor="middle" fill="{colour}"{weight}{turned}>{words}</text>'


def background(paper: Paper, around: Ground) -> tuple[list[str], list[str]]:
    """Waters, houses and streets in light grey; and the names of the streets, each once where it is longest."""
    drawn = []
    for frame, style in ((around.waters, ("#e4e9ee", "#b8c2cb")), (around.houses, ("#f0eeea", "#d5d2cb"))):
        for shape in _cut(frame, paper)[0]:
            drawn.append(f'<path d="{paper.path(shape)}" fill="{style[0]}" stroke="{style[1]}" stroke-width="0.15"/>')
    shapes, near = _cut(around.roads, paper)
    kinds, named = (around.roads[c].to_numpy(object)[near] for c in ("class", "name"))
    width = [max(_CLASS_M.get(kind, 8.0) * paper.mm, 0.5) for kind in kinds]
    for colour, extra in (("#c9ced4", 0.25), ("#f1f2f4", 0.0)):
        for shape, w in zip(shapes, width, strict=True):
            drawn.append(line(paper, shape, colour, w + extra).replace("/>", ' stroke-linecap="round"/>'))
    longest: dict[str, object] = {}
    for shape, name in zip(shapes, named, strict=True):
        if isinstance(name, str) and (name not in longest or shape.length > longest[name].length):
            longest[name] = shape
    return drawn, [_street_name(paper, name, shape) for name, shape in longest.items() if shape.length * paper.mm > 4 + 3.4 * len(name)]


def _cut(frame: gpd.GeoDataFrame, paper: Paper) -> tuple[np.ndarray, np.ndarray]:
    """What of a layer lies on the sheet, and its rows."""
    shapes = frame.geometry.to_numpy()
    near = np.flatnonzero(shapely.intersects(shapes, paper.box)) if len(shapes) else np.zeros(0, int)
    cut = shapely.clip_by_rect(shapely.force_2d(shapes[near]), *paper.box.bounds) if len(near) else np.zeros(0, object)
    there = ~shapely.is_empty(cut)
    return cut[there], near[there]


def longest_part(geometry):
    """The longest piece of a line."""
    return max(shapely.get_parts(geometry), key=lambda part: part.length)


def _street_name(paper: Paper, name: str, shape) -> str:
    part = longest_part(shape)
    a, m, b = paper.place(shapely.get_coordinates([part.interpolate(f, normalized=True) for f in (0.4, 0.5, 0.6)]))
    angle = np.degrees(np.arctan2(b[1] - a[1], b[0] - a[0]))
    angle = angle - 180 * np.sign(angle) if abs(angle) > 90 else angle
    turn = np.radians(angle)
    x, y = m + 2.9 * np.array([np.sin(turn), -np.cos(turn)])
    halo = text(x, y, escape(name), 3.4, "#fff", rotate=angle).replace("<text ", '<text stroke="#fff" stroke-width="0.9" ')
    return halo + text(x, y, escape(name), 3.4, "#444d55", rotate=angle)


def numbered(paper: Paper, at: np.ndarray, texts: list[str], taken: list[np.ndarray], colours: list[str] | None = None) -> list[str]:
    """Numbers in boxes with a leader to their places on the sheet, clear of one another and of what is `taken` (boxes; grows)."""
    if not len(at):
        return []
    size = np.array([(1.2 + 1.75 * len(t), 3.5) for t in texts]).reshape(-1, 2)
    symbols = np.hstack((at - 1.0, at + 1.0))
    spot = sheets.labels(at, size, paper.size, np.array([*taken, *symbols]).reshape(-1, 4))
    taken += [*symbols, *np.hstack((spot - size / 2, spot + size / 2))]
    drawn = []
    for (x, y), (a, b) in zip(at, spot, strict=True):
        drawn.append(f'<path d="M{x:.2f},{y:.2f}L{a:.2f},{b:.2f}" stroke="#000" stroke-width="0.15"/>')
    for words, colour, (x, y), (w, h) in zip(texts, colours or ["#000"] * len(texts), spot, size, strict=True):
        drawn.append(
            f'<rect x="{x - w / 2:.2f}" y="{y - h / 2:.2f}" width="{w:.2f}" height="{h}" fill="#fff" stroke="{colour}" stroke-width="0.2"/>'
        )
        drawn.append(text(x, y, words, 3.0, colour, bold=True))
    return drawn


def frame(paper: Paper) -> list[str]:
    """The frame, north and a bar of scale."""
    w, h = paper.size
    bar = next((m for m in (5000, 2000, 1000, 500, 200, 100, 50, 20) if m * paper.mm <= 45), 10)
    x, y = 4.0, h - 4.0
    return [
        f'<rect x="0.2" y="0.2" width="{w - 0.4}" height="{h - 0.4}" fill="none" stroke="#000" stroke-width="0.4"/>',
        f'<rect x="1.5" y="{h - 10}" width="{bar * paper.mm + 20:.1f}" height="8.5" fill="#fff"/>',
        f'<path d="M{x},{y - 2}v2h{bar * paper.mm:.2f}v-2" fill="none" stroke="#000" stroke-width="0.5"/>',
        f'<text x="{x + bar * paper.mm + 1.5:.2f}" y="{y}" font-size="3.2">{bar} m</text>',
        f'<path d="M{w - 7},{13}l2.4,-8l2.4,8l-2.4,-2z" fill="#000"/>', text(w - 4.6, 16, "北", 3.4, "#000", bold=True),
    ]  # fmt: skip
