"""Tile grids: where a tile lies, in degrees and in the metres or degrees of its grid (OGC 17-083r4, annex D)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gis import crs as systems
from gis.errors import InputError, NotFound

EXTENT = 4096
"""Units of a vector tile's side (MVT 2.1)."""
BUFFER = 64
"""Units beyond the side, so that lines and symbols join."""
PIXELS = 512
DEEPEST = 24

_HALF = math.pi * 6378137.0


@dataclass(frozen=True)
class Tile:
    """One tile: its bounds in the grid's CRS and (with the buffer) in degrees; west, south, east, north."""

    z: int
    x: int
    y: int
    srid: int
    bounds: tuple[float, float, float, float]
    reach: tuple[float, float, float, float]

    @property
    def pixel(self) -> float:
        """The side of a pixel of a 512-pixel tile, in units of the grid's CRS."""
        return (self.bounds[2] - self.bounds[0]) / PIXELS

    @property
    def pixel_degrees(self) -> float:
        """The same in degrees of longitude."""
        return (self.reach[2] - self.reach[0]) / (1 + 2 * BUFFER / EXTENT) / PIXELS


def _index(text: object, name: str) -> int:
    digits = str(text)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise InputError(f"{digits[:40]!r} is no tile index", where=name, remedy="Tile indices are whole numbers from 0 on")
    return int(digits)


def tile(matrix_set: str, z: object, y: object, x: object) -> Tile:
    """The tile with these indices (texts as they came): row y counts from the north, column x from the west.

    Raises InputError for indices that are none or lie outside the grid, NotFound for an unknown grid.
    """
    z, y, x = _index(z, "tileMatrix"), _index(y, "tileRow"), _index(x, "tileCol")
    if matrix_set not in GRIDS:
        raise NotFound("no such tile matrix set")
    if z > DEEPEST:
        raise InputError(f"tileMatrix is larger than {DEEPEST}", where="tileMatrix")
    columns = 2**z * (2 if matrix_set == "WorldCRS84Quad" else 1)
    if x >= columns or y >= 2**z:
        raise InputError(f"the tile lies outside the grid ({columns} columns, {2**z} rows at {z})", where="tileRow/tileCol")
    return GRIDS[matrix_set](z, x, y)


def _web_mercator(z: int, x: int, y: int) -> Tile:
    side = 2 * _HALF / 2**z
    west, north = -_HALF + x * side, _HALF - y * side
    bounds = (west, north - side, west + side, north)
    margin = side * BUFFER / EXTENT
    reach = (_lon(west - margin), _lat(north - side - margin), _lon(west + side + margin), _lat(north + margin))
    return Tile(z, x, y, systems.WEB_MERCATOR, bounds, reach)


def _world_crs84(z: int, x: int, y: int) -> Tile:
    side = 180.0 / 2**z
    west, north = -180.0 + x * side, 90.0 - y * side
    margin = side * BUFFER / EXTENT
    reach = (west - margin, north - side - margin, west + side + margin, north + margin)
    return Tile(z, x, y, systems.STORED, (west, north - side, west + side, north), reach)


def _lon(x: float) -> float:
    return math.degrees(x / 6378137.0)


def _lat(y: float) -> float:
    return math.degrees(2 * math.atan(math.exp(y / 6378137.0)) - math.pi / 2)


GRIDS = {"WebMercatorQuad": _web_mercator, "WorldCRS84Quad": _world_crs84}
