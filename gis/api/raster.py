"""Published rasters: their files, cut to an area or drawn as map tiles. Nothing here asks the database."""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform, transform_bounds
from rasterio.windows import Window
from rasterio.windows import from_bounds as window_of

from gis.api.tile_grid import Tile
from gis.errors import NotFound, OutsideExtent, StoreError
from gis.settings import settings

DEGREES = "EPSG:4490"
SIDE = 256
"""Pixels of a tile's side (OGC 17-083r4: WebMercatorQuad)."""
RELIEF = 3.0
"""Times heights are exaggerated in the shading: cities lie in flat country."""
LIGHT = (math.radians(315.0), math.radians(45.0))
"""Azimuth and height of the light: from the north-west, as maps are read."""
RAMP = ((0.0, (104, 158, 112)), (0.2, (163, 196, 130)), (0.45, (232, 222, 165)), (0.7, (205, 168, 120)), (1.0, (240, 236, 230)))
"""Lowland green to bare heights."""


@dataclass(frozen=True)
class Published:
    """A raster file as it is now: `version` changes with every load; bounds in degrees; low and high: 2nd and 98th percentile of band 1."""

    path: Path
    version: str
    bounds: tuple[float, float, float, float]
    low: float
    high: float


def file_of(layer_id: str) -> Path:
    """Where the file of a raster layer lies."""
    return settings().home / "raster" / f"{layer_id}.tif"


def folder_version() -> tuple[str, int]:
    """Changes whenever a raster comes or goes: the folder and its time stamp (0 where there is none yet)."""
    folder = f"{settings().home}/raster"
    try:
        return folder, os.stat(folder).st_mtime_ns
    except OSError:
        return folder, 0


def is_loaded(layer_id: str) -> bool:
    """Whether the layer was ever loaded."""
    return file_of(layer_id).is_file()


def published(layer_id: str) -> Published:
    """What is known of a layer's file. Raises NotFound where it was never loaded, StoreError where it cannot be read."""
    path = file_of(layer_id)
    try:
        stat = path.stat()
    except OSError:
        raise NotFound("the raster was never loaded") from None
    return _published(path, f"{stat.st_mtime_ns:x}-{stat.st_size:x}")


@lru_cache(maxsize=32)
def _published(path: Path, version: str) -> Published:
    with opened(path) as file:
        bounds = transform_bounds(file.crs, "EPSG:4490", *file.bounds)
        shrunk = max(1, math.ceil(max(file.width, file.height) / 1024))
        values = file.read(1, out_shape=(max(1, file.height // shrunk), max(1, file.width // shrunk)), masked=True).compressed()
    low, high = np.percentile(values, (2, 98)) if len(values) else (0.0, 1.0)
    return Published(path, version, tuple(bounds), float(low), float(max(high, low + 1e-6)))


def opened(path: Path) -> rasterio.DatasetReader:
    """The open file: a GeoTIFF and nothing that only calls itself one. Raises StoreError."""
    try:
        return rasterio.open(path, driver="GTiff")
    except RasterioError as error:
        raise StoreError("the raster cannot be read", remedy="Load it again") from error


# --- an area ----------------------------------------------------------------------------------------------------------


def window(file: rasterio.DatasetReader, box: tuple[float, float, float, float] | None) -> Window:
    """The cells that a box (west, south, east, north in degrees) touches; all without a box. Raises OutsideExtent where it touches none."""
    whole = Window(0, 0, file.width, file.height)
    if box is None:
        return whole
    try:
        west, south, east, north = transform_bounds("EPSG:4490", file.crs, *box, densify_pts=21)
        wanted = window_of(west, south, east, north, file.transform)
        rows, columns = wanted.toranges() if all(map(math.isfinite, (west, south, east, north))) else ((0, 0), (0, 0))
    except (RasterioError, ValueError, OverflowError):
        rows, columns = (0, 0), (0, 0)
    first_row, last_row = max(0, math.floor(rows[0])), min(file.height, math.ceil(rows[1]))
    first_column, last_column = max(0, math.floor(columns[0])), min(file.width, math.ceil(columns[1]))
    if first_row >= last_row or first_column >= last_column:
        raise OutsideExtent("bbox lies outside the raster", where="bbox", remedy="See the extent of the collection")
    return Window(first_column, first_row, last_column - first_column, last_row - first_row)


@dataclass(frozen=True)
class Cut:
    """A part of a raster in as many cells as are wanted: `part` in cells of the file; height and width of the answer."""

    part: Window
    height: int
    width: int

    @property
    def is_native(self) -> bool:
        """Whether the cells are the file's own."""
        return (self.height, self.width) == (self.part.height, self.part.width)

    def transform(self, file: rasterio.DatasetReader) -> Affine:
        """Where the cells lie, in the file's CRS."""
        scale = Affine.scale(self.part.width / self.width, self.part.height / self.height)
        return file.window_transform(self.part) @ scale

    def read(self, file: rasterio.DatasetReader, bands: list[int]) -> np.ma.MaskedArray:
        """The cells (band, row, column), no data masked. Fewer cells are averages of the file's (from its overviews where there are
        some), more are interpolated."""
        shape = (len(bands), self.height, self.width)
        if self.is_native:
            return file.read(bands, window=self.part, masked=True)
        fewer = self.height <= self.part.height and self.width <= self.part.width
        how = Resampling.average if fewer else Resampling.bilinear
        return file.read(bands, window=self.part, out_shape=shape, resampling=how, masked=True)


def geotiff(file: rasterio.DatasetReader, cut: Cut, bands: list[int]) -> bytes:
    """The cells as a GeoTIFF in the raster's own CRS."""
    profile = {
        "driver": "GTiff", "width": cut.width, "height": cut.height, "count": len(bands), "dtype": file.dtypes[bands[0] - 1],
        "crs": file.crs, "transform": cut.transform(file), "nodata": file.nodata, "compress": "deflate",
    }  # fmt: skip
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile) as out:
            cells = cut.read(file, bands)
            out.write(cells.data if cut.is_native or file.nodata is None else cells.filled(file.nodata))
        return memory.read()


def cells_in_degrees(file: rasterio.DatasetReader, box: tuple[float, float, float, float]) -> Window:
    """As many cells as a box of degrees holds where they are about as large as the file's. Raises OutsideExtent where it holds none."""
    bounds = transform_bounds(file.crs, DEGREES, *file.bounds, densify_pts=21)
    west, south, east, north = box
    if west >= bounds[2] or east <= bounds[0] or south >= bounds[3] or north <= bounds[1] or west >= east or south >= north:
        raise OutsideExtent("bbox lies outside the raster", where="bbox", remedy="See the extent of the collection")
    like, _, _ = calculate_default_transform(file.crs, DEGREES, file.width, file.height, *file.bounds)
    return Window(0, 0, max(1, round((east - west) / like.a)), max(1, round((north - south) / -like.e)))


def in_degrees(file: rasterio.DatasetReader, box: tuple[float, float, float, float], width: int, height: int) -> WarpedVRT:
    """The raster seen in degrees: exactly the box (west, south, east, north) in so many cells; beyond the raster there is no data."""
    view = {"crs": DEGREES, "transform": from_bounds(*box, width, height), "width": width, "height": height}
    return WarpedVRT(file, resampling=Resampling.bilinear, nodata=file.nodata, **view)


# --- tiles ------------------------------------------------------------------------------------------------------------


def tile(raster: Published, place: Tile) -> bytes:
    """A PNG of the tile: bands 1 to 3 as red, green, blue, a single band as shaded relief. Empty (b"") where the raster has nothing."""
    west, south, east, north = place.reach
    if west > raster.bounds[2] or east < raster.bounds[0] or south > raster.bounds[3] or north < raster.bounds[1]:
        return b""
    pixel = (place.bounds[2] - place.bounds[0]) / SIDE
    left, bottom, right, top = place.bounds
    wide = (left - pixel, bottom - pixel, right + pixel, top + pixel)  # one pixel more: slopes reach over the edge
    with opened(raster.path) as file:
        side, count = SIDE + 2, file.count
        view = {"crs": f"EPSG:{place.srid}", "transform": from_bounds(*wide, side, side), "width": side, "height": side}
        smooth = Resampling.cubic if count == 1 else Resampling.bilinear
        with WarpedVRT(file, resampling=smooth, **view) as warped:
            cells = warped.read([1, 2, 3] if count >= 3 else [1], masked=True)
            seen = warped.dataset_mask()[1:-1, 1:-1]
    if not seen.any():
        return b""
    colours = _photograph(cells, raster) if count >= 3 else _relief(cells[0], raster, _metres(place, pixel))
    return _png(np.dstack([colours, seen]))


def _metres(place: Tile, pixel: float) -> float:
    """The side of a pixel on the ground at the tile's middle."""
    middle = math.radians((place.reach[1] + place.reach[3]) / 2)
    return pixel * math.cos(middle) if place.srid == 3857 else pixel * 111_320.0


def _photograph(cells: np.ma.MaskedArray, raster: Published) -> np.ndarray:
    values = cells.filled(0)[:, 1:-1, 1:-1]
    if values.dtype != np.uint8:
        values = np.clip((values - raster.low) / (raster.high - raster.low), 0, 1) * 255
    return np.moveaxis(values, 0, 2).astype(np.uint8)


def _relief(cells: np.ma.MaskedArray, raster: Published, metres: float) -> np.ndarray:
    """Heights as colours, lit from the north-west."""
    heights = cells.filled(raster.low).astype(np.float32)
    run = 2 * metres / RELIEF
    east = (heights[1:-1, 2:] - heights[1:-1, :-2]) / run
    north = (heights[:-2, 1:-1] - heights[2:, 1:-1]) / run
    azimuth, up = LIGHT
    lit = (math.sin(up) - math.cos(up) * (math.sin(azimuth) * east + math.cos(azimuth) * north)) / np.sqrt(1 + east**2 + north**2)
    share = np.clip((heights[1:-1, 1:-1] - raster.low) / (raster.high - raster.low), 0, 1)
    at, colours = zip(*RAMP, strict=True)
    ramp = np.dstack([np.interp(share, at, channel) for channel in zip(*colours, strict=True)])
    light = 0.45 + 0.55 * np.clip(lit / math.sin(up), 0, 1.35)
    return np.clip(ramp * light[..., None], 0, 255).astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(out, "PNG", compress_level=6)
    return out.getvalue()
