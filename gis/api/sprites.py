"""The signs of the map as one picture (a sprite), drawn from the layer files: the pictograms of `style.icon`, and a disc with its character
for every class of points that has one. Nothing is taken from anyone's icon set.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from gis.api.glyphs import font_file
from gis.catalog.model import Catalog
from gis.errors import NotFound

SIDE = 24
"""Pixels of a sign at ratio 1."""
COLUMNS = 8
FINER = 4
INK = "#3c362e"
PAPER = "#ffffff"


@lru_cache(maxsize=8)
def sprite(catalog: Catalog, ratio: int) -> tuple[bytes, dict]:
    """(PNG, index) of the signs of a catalogue, at 1 or 2 pixels per pixel; the index is {name: {x, y, width, height, pixelRatio}}."""
    signs = _signs(catalog)
    rows = -(-len(signs) // COLUMNS)
    side = SIDE * ratio
    page = Image.new("RGBA", (COLUMNS * side, rows * side), (0, 0, 0, 0))
    index = {}
    for i, (name, draw) in enumerate(sorted(signs.items())):
        x, y = i % COLUMNS * side, i // COLUMNS * side
        one = Image.new("RGBA", (SIDE * ratio * FINER,) * 2, (0, 0, 0, 0))
        draw(ImageDraw.Draw(one), SIDE * ratio * FINER)
        page.paste(one.resize((side, side), Image.Resampling.LANCZOS), (x, y))
        index[name] = {"x": x, "y": y, "width": side, "height": side, "pixelRatio": ratio}
    out = io.BytesIO()
    page.save(out, "PNG", optimize=True)
    return out.getvalue(), index


def _signs(catalog: Catalog) -> dict[str, Callable[[ImageDraw.ImageDraw, int], None]]:
    """What draws each sign: pictograms by name; `layer` and `layer:class` for discs with a character."""
    signs: dict[str, Callable[[ImageDraw.ImageDraw, int], None]] = dict(PICTOGRAMS)
    for layer in catalog.layers.values():
        style = layer.style
        if layer.dimension != 0:
            continue
        if style.symbol:
            signs[layer.id] = _disc(style.color, style.symbol)
        for case in style.cases:
            if case.symbol or style.symbol:
                signs[f"{layer.id}:{case.value}"] = _disc(case.color, case.symbol or style.symbol)
    return signs


def _disc(color: str, character: str) -> Callable[[ImageDraw.ImageDraw, int], None]:
    def draw(pen: ImageDraw.ImageDraw, side: int) -> None:
        edge = side * 0.06
        pen.ellipse((edge, edge, side - edge, side - edge), fill=color, outline=PAPER, width=round(edge))
        try:
            path, index = font_file()
        except NotFound:
            return  # a machine without a Chinese font has discs without characters
        pen.text((side / 2, side / 2), character, fill=PAPER, font=ImageFont.truetype(path, round(side * 0.56), index=index), anchor="mm")

    return draw


def _valve(pen: ImageDraw.ImageDraw, side: int) -> None:
    """Two triangles meeting at their points: the sign of a valve on every plan (CJJ 61-2017, appendix B)."""
    low, high, near, far = side * 0.25, side * 0.75, side * 0.12, side * 0.88
    middle = side / 2
    for x in (near, far):
        pen.polygon([(x, low), (x, high), (middle, middle)], fill=PAPER, outline=INK, width=round(side * 0.06))


def _manhole(pen: ImageDraw.ImageDraw, side: int) -> None:
    """A cover: a ring with a cross in it."""
    low, high, middle, width = side * 0.15, side * 0.85, side / 2, round(side * 0.07)
    pen.ellipse((low, low, high, high), fill=PAPER, outline=INK, width=width)
    reach = side * 0.24
    pen.line((middle - reach, middle - reach, middle + reach, middle + reach), fill=INK, width=width)
    pen.line((middle - reach, middle + reach, middle + reach, middle - reach), fill=INK, width=width)


def _hydrant(pen: ImageDraw.ImageDraw, side: int) -> None:
    """A red disc on a foot."""
    red, middle = "#d84315", side / 2
    pen.rectangle((side * 0.44, side * 0.55, side * 0.56, side * 0.88), fill=red)
    pen.rectangle((side * 0.3, side * 0.82, side * 0.7, side * 0.9), fill=red)
    pen.ellipse((middle - side * 0.26, side * 0.1, middle + side * 0.26, side * 0.62), fill=red, outline=PAPER, width=round(side * 0.05))


def _source(pen: ImageDraw.ImageDraw, side: int) -> None:
    """A basin with water in it."""
    blue = "#1565c0"
    pen.polygon([(side * 0.12, side * 0.3), (side * 0.88, side * 0.3), (side * 0.74, side * 0.82), (side * 0.26, side * 0.82)], fill=blue)
    pen.line((side * 0.2, side * 0.46, side * 0.8, side * 0.46), fill=PAPER, width=round(side * 0.07))


def _sensor(pen: ImageDraw.ImageDraw, side: int) -> None:
    """A point that sends."""
    middle, width = side / 2, round(side * 0.07)
    pen.ellipse((middle - side * 0.1, middle - side * 0.1, middle + side * 0.1, middle + side * 0.1), fill=INK)
    for reach in (0.24, 0.38):
        box = (middle - side * reach, middle - side * reach, middle + side * reach, middle + side * reach)
        pen.arc(box, 315, 45, fill=INK, width=width)
        pen.arc(box, 135, 225, fill=INK, width=width)


PICTOGRAMS: dict[str, Callable[[ImageDraw.ImageDraw, int], None]] = {
    "valve": _valve, "manhole": _manhole, "hydrant": _hydrant, "source": _source, "sensor": _sensor,
}  # fmt: skip
"""The signs that `style.icon` may name."""
