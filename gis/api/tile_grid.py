"""Tile grids: where a tile lies, in degrees and in the metres or degrees of its grid (OGC 17-083r4, annex D)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from gis import crs as systems
from gis.errors import InputError, NotFound

EXTENT = 4096
"""Units of a vector tile's side (MVT 2.1)."""
BUFFER = 64
"""Units beyond the side, so that lines and symbols join."""
PIXELS = 512
DEEPEST = 24

RADIUS = 6378137.0
"""Metres of the sphere of Web Mercator: the equatorial radius of WGS 84."""
_HALF = math.pi * RADIUS


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
    def side_degrees(self) -> float:
        """The width of the tile in degrees of longitude."""
        return (self.reach[2] - self.reach[0]) / (1 + 2 * BUFFER / EXTENT)

    @property
    def pixel_degrees(self) -> float:
        """The side of a pixel in degrees of longitude."""
        return self.side_degrees / PIXELS


def _index(text: object, name: str) -> int:
    digits = str(text)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise InputError(f"{digits[:40]!r} is no tile index", where=name, remedy="Tile indices are whole numbers from 0 on")
    return int(digits)


@lru_cache(maxsize=8192)
def tile(matrix_set: str, z: object, y: object, x: object) -> Tile:
    """The tile with these indices (texts as they came): row y counts from the north, column x from the west.

    Raises InputError for indices that are none or lie outside the grid, NotFound for an unknown grid.
    """
    z, y, x = _index(z, "tileMatrix"), _index(y, "tileRow"), _index(x, "tileCol")
    if matrix_set not in GRIDS:
        raise NotFound("no such tile matrix set")
    grid = GRIDS[matrix_set]
    if not grid.first <= z <= DEEPEST:
        raise InputError(f"tileMatrix is a number from {grid.first} to {DEEPEST}", where="tileMatrix")
    columns, rows = grid.size(z)
    if x >= columns or y >= rows:
        raise InputError(f"the tile lies outside the grid ({columns} columns, {rows} rows at {z})", where="tileRow/tileCol")
    return grid.place(z, x, y)


def at(matrix_set: str, z: int, lon: float, lat: float) -> tuple[int, int]:
    """(column, row) of the tile of zoom z that holds a point (degrees), within the grid."""
    grid = GRIDS[matrix_set]
    columns, rows = grid.size(z)
    if grid.srid == systems.WEB_MERCATOR:
        lat = min(max(lat, -_lat(_HALF)), _lat(_HALF))
        down = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    else:
        down = (90.0 - lat) / 180.0
    return min(max(int((lon + 180) / 360 * columns), 0), columns - 1), min(max(int(down * rows), 0), rows - 1)


def limits(matrix_set: str, z: int, box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """First and last column, first and last row of the tiles of zoom z that meet a box (west, south, east, north in degrees)."""
    (first_column, first_row), (last_column, last_row) = at(matrix_set, z, box[0], box[3]), at(matrix_set, z, box[2], box[1])
    return first_column, last_column, first_row, last_row


def extent(matrix_set: str, box: tuple[float, float, float, float], first: int, last: int) -> dict:
    """What the metadata of a tileset says of where its tiles lie (OGC 20-057, 8.4; 17-083r4, 6.2): the box, in metres where the grid is
    in metres (GDAL takes it so), and the rows and columns of the zooms from `first` to `last` that meet it."""
    west, south, east, north = box
    crs = f"{_OGC}/crs/OGC/1.3/CRS84"
    if GRIDS[matrix_set].srid == systems.WEB_MERCATOR:
        crs = GRIDS[matrix_set].crs
        (west, east), (south, north) = systems.transform([west, east], [south, north], systems.WGS84, systems.WEB_MERCATOR)
    found = []
    for z in range(max(first, GRIDS[matrix_set].first), last + 1):
        first_column, last_column, first_row, last_row = limits(matrix_set, z, box)
        found.append({"tileMatrix": str(z), "minTileRow": first_row, "maxTileRow": last_row, "minTileCol": first_column,
                      "maxTileCol": last_column})  # fmt: skip
    corners = {"lowerLeft": [float(west), float(south)], "upperRight": [float(east), float(north)]}
    return {"boundingBox": corners | {"crs": crs}, "tileMatrixSetLimits": found}


def _web_mercator(z: int, x: int, y: int) -> Tile:
    side = 2 * _HALF / 2**z
    west, north = -_HALF + x * side, _HALF - y * side
    bounds = (west, north - side, west + side, north)
    margin = side * BUFFER / EXTENT
    reach = (_lon(west - margin), _lat(north - side - margin), _lon(west + side + margin), _lat(north + margin))
    return Tile(z, x, y, systems.WEB_MERCATOR, bounds, reach)


def _degrees(z: int, x: int, y: int, rows: int) -> Tile:
    side = 180.0 / rows
    west, north = -180.0 + x * side, 90.0 - y * side
    margin = side * BUFFER / EXTENT
    reach = (west - margin, north - side - margin, west + side + margin, north + margin)
    return Tile(z, x, y, systems.STORED, (west, north - side, west + side, north), reach)


def _lon(x: float) -> float:
    return math.degrees(x / RADIUS)


def _lat(y: float) -> float:
    return math.degrees(2 * math.atan(math.exp(y / RADIUS)) - math.pi / 2)


@dataclass(frozen=True)
class Grid:
    """A tile matrix set as the platform offers it: zooms from `first` on; `across`: columns of the zoom that has one row."""

    id: str
    title: str
    crs: str
    srid: int
    axes: tuple[str, str]
    first: int
    across: int
    origin: tuple[float, float]
    """The north-west corner, in the order of the axes."""
    cell: float
    """The side of a pixel of the first zoom (256 to a tile), in units of the CRS."""
    scale_set: str | None = None
    uri: str | None = None
    """The name that the OGC gave it; None where it is in no registry."""

    def size(self, z: int) -> tuple[int, int]:
        """Columns and rows at a zoom."""
        rows = 2 ** (z - self.first)
        return rows * self.across, rows

    def place(self, z: int, x: int, y: int) -> Tile:
        """The tile with these indices."""
        return _web_mercator(z, x, y) if self.srid == systems.WEB_MERCATOR else _degrees(z, x, y, self.size(z)[1])

    def matrices(self) -> list[dict]:
        """The tile matrices (OGC 17-083r4, 7.1.5): pixels of 0.28 mm, tiles of 256 pixels."""
        metres = 1.0 if self.srid == systems.WEB_MERCATOR else _HALF / 180.0
        found = []
        for z in range(self.first, DEEPEST + 1):
            (columns, rows), cell = self.size(z), self.cell / 2 ** (z - self.first)
            found.append({
                "id": str(z), "scaleDenominator": cell * metres / 0.00028, "cellSize": cell, "cornerOfOrigin": "topLeft",
                "pointOfOrigin": list(self.origin), "tileWidth": 256, "tileHeight": 256, "matrixWidth": columns, "matrixHeight": rows,
            })  # fmt: skip
        return found

    def definition(self, base_url: str) -> dict:
        """The tile matrix set as a document (OGC 17-083r4, 7.1)."""
        return {
            "id": self.id, "title": self.title, "uri": self.uri or f"{base_url}/TileMatrixSets/{self.id}", "crs": self.crs,
            "orderedAxes": list(self.axes), **({"wellKnownScaleSet": self.scale_set} if self.scale_set else {}),
            "tileMatrices": self.matrices(),
        }  # fmt: skip


_OGC = "http://www.opengis.net/def"
GRIDS: dict[str, Grid] = {
    grid.id: grid
    for grid in (
        Grid(
            "WebMercatorQuad", "Google Maps Compatible for the World", f"{_OGC}/crs/EPSG/0/3857", systems.WEB_MERCATOR, ("X", "Y"), 0, 1,
            (-_HALF, _HALF), 2 * _HALF / 256, f"{_OGC}/wkss/OGC/1.0/GoogleMapsCompatible", f"{_OGC}/tilematrixset/OGC/1.0/WebMercatorQuad",
        ),
        Grid(
            "WorldCRS84Quad", "CRS84 for the World", f"{_OGC}/crs/OGC/1.3/CRS84", systems.STORED, ("Lon", "Lat"), 0, 2, (-180.0, 90.0),
            180 / 256, f"{_OGC}/wkss/OGC/1.0/GoogleCRS84Quad", f"{_OGC}/tilematrixset/OGC/1.0/WorldCRS84Quad",
        ),
        Grid(
            "CGCS2000Quad", "CGCS2000 经纬度分级瓦片（天地图 c 矩阵集） · CGCS2000 for the World (GB/T 35634-2017)",
            f"{_OGC}/crs/EPSG/0/4490", systems.STORED, ("Lat", "Lon"), 1, 2, (90.0, -180.0), 180 / 256,
        ),
    )
}  # fmt: skip
"""The grids by name. CGCS2000Quad is the national one: its levels begin at 1 (two tiles, one row) and its scale denominators count
pixels of 0.28 mm as the OGC does; GB/T 35634-2017 lists the same cells with 96 dots per inch (1:295 829 355 at level 1)."""
