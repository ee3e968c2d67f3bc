"""Letters for map clients: the glyphs of the machine's own Chinese font as distance fields, 256 at a time, made when they are first asked
for and kept in the home. Nothing is fetched, and no font lies in the project.

The message is MapLibre's (`glyphs.proto`: stacks = 1; name = 1, range = 2, glyphs = 3; id = 1, bitmap = 2, width = 3, height = 4, left = 5,
top = 6, advance = 7): letters of 24 pixels, 3 pixels of border, distances up to 8 pixels, the outline at three quarters.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTCollection, TTFont
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

from gis.errors import InputError, NotFound
from gis.settings import settings

SIZE, BORDER, RADIUS, CUTOFF = 24, 3, 8, 0.25
FINER = 4
"""Letters are drawn so many times larger, and measured there."""
TOP = 27
"""Pixels from the top of the line to the baseline, as clients place the letters."""
LAST = 65_535
FAMILIES = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei")


@lru_cache(maxsize=1)
def font_file() -> tuple[str, int]:
    """(path, number within a collection) of the machine's Chinese font. Raises NotFound where it has none."""
    for family in (*FAMILIES, ":lang=zh"):
        try:
            found = subprocess.run(["fc-match", "-f", "%{file}\n%{index}\n%{lang}", family], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            break
        path, index, languages = (*found.stdout.split("\n"), "", "")[:3]
        if path.endswith((".ttc", ".ttf", ".otf")) and "zh-cn" in languages.split("|"):
            return path, int(index or 0) & 0xFFFF
    raise NotFound("this machine has no Chinese font", remedy="Install one (fonts-noto-cjk); see `onemap doctor`")


def glyphs(first: int, last: int, stack: str) -> bytes:
    """The letters with these code points, under the name of the fonts that were asked for. Raises InputError for another range than
    0-255, 256-511 …, NotFound without a font."""
    if first % 256 or last != first + 255 or last > LAST:
        raise InputError(f"{first}-{last} is no range of letters", where="range", remedy="Ranges are 0-255, 256-511 and so on")
    path, index = font_file()
    kept = settings().home / "glyphs" / f"{Path(path).stem}-{index}-{os.stat(path).st_mtime_ns:x}" / f"{first}.bin"
    try:
        drawn = kept.read_bytes()
    except OSError:
        drawn = b"".join(_field(3, letter) for letter in _letters(path, index, first, last))
        _keep(kept, drawn)
    return _field(1, _field(1, stack.encode()) + _field(2, f"{first}-{last}".encode()) + drawn)


def _keep(place: Path, drawn: bytes) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as out:
            out.write(drawn)
        os.replace(out.name, place)
    except OSError:
        return  # they are drawn again the next time


def _letters(path: str, index: int, first: int, last: int) -> list[bytes]:
    points = _code_points(path, index)
    font = ImageFont.truetype(path, SIZE * FINER, index=index)
    return [_letter(font, point) for point in range(first, last + 1) if point in points]


@lru_cache(maxsize=1)
def _code_points(path: str, index: int) -> frozenset[int]:
    font = TTCollection(path, lazy=True).fonts[index] if path.endswith(".ttc") else TTFont(path, lazy=True)
    return frozenset(font.getBestCmap())


def _letter(font: ImageFont.FreeTypeFont, point: int) -> bytes:
    """One glyph message."""
    letter = chr(point)
    advance = round(font.getlength(letter) / FINER)
    left, top, right, bottom = font.getbbox(letter, anchor="ls")
    head = _number(1, point)
    if right <= left or bottom <= top:
        return head + _number(3, 0) + _number(4, 0) + _number(5, 0) + _number(6, 0) + _number(7, advance)
    # whole pixels of the small letter around the large one
    west, north = left // FINER, top // FINER
    width, height = -(-right // FINER) - west, -(-bottom // FINER) - north
    side = BORDER * FINER
    page = Image.new("L", (width * FINER + 2 * side, height * FINER + 2 * side), 0)
    ImageDraw.Draw(page).text((side - west * FINER, side - north * FINER), letter, fill=255, font=font, anchor="ls")
    ink = np.asarray(page) >= 128
    distance = distance_transform_edt(~ink) - distance_transform_edt(ink)
    small = distance.reshape(height + 2 * BORDER, FINER, width + 2 * BORDER, FINER).mean(axis=(1, 3)) / FINER
    field = np.clip(np.rint(255 * (1 - CUTOFF - small / RADIUS)), 0, 255).astype(np.uint8)
    placed = _number(5, _zigzag(west)) + _number(6, _zigzag(-north - TOP)) + _number(7, advance)
    return head + _field(2, field.tobytes()) + _number(3, width) + _number(4, height) + placed


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
