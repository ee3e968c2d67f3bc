"""Areas and coordinate systems in requests: `bbox`, `bbox-crs`, `crs`, with the axis order of each authority."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely

from gis import crs as systems
from gis.errors import InputError

_EPSG_URI = "http://www.opengis.net/def/crs/EPSG/0/"
_GEOGRAPHIC_DECIMALS = {True: 9, False: 7}
"""Decimals of a degree: 9 keep 0.1 mm (surveyed layers), 7 keep 1 cm."""
_METRIC_DECIMALS = {True: 4, False: 3}


@dataclass(frozen=True)
class Target:
    """How coordinates go out: `srid` to transform to (None: as stored), axes turned or not, degrees or metres."""

    uri: str
    srid: int | None
    flipped: bool
    geographic: bool

    def decimals(self, surveyed: bool) -> int:
        """Digits behind the point that keep the precision of the layer."""
        return (_GEOGRAPHIC_DECIMALS if self.geographic else _METRIC_DECIMALS)[surveyed]


@dataclass(frozen=True)
class Area:
    """An area to select by: its outline in EPSG:4490, x before y; heights in metres where six numbers were given.

    `box` (west, south, east, north in degrees) contains the outline; the audit records it.
    """

    outline: bytes
    box: tuple[float, float, float, float]
    low: float | None = None
    high: float | None = None

    @property
    def size(self) -> float:
        """Square degrees that the box covers."""
        west, south, east, north = self.box
        return (east - west) * (north - south)


def code_of(uri: str) -> str | int:
    """The CRS meant by an OGC URI, as `gis.crs` names it. Raises InputError for any other text."""
    if uri.rstrip("h") == systems.CRS84:
        return systems.CRS84
    if uri.startswith(_EPSG_URI) and uri[len(_EPSG_URI) :].isdigit() and len(uri) < len(_EPSG_URI) + 7:
        return int(uri[len(_EPSG_URI) :])
    raise InputError(f"unknown coordinate reference system {uri[:80]!r}", where="crs", remedy=f"Write {systems.CRS84} or {_EPSG_URI}4490")


@lru_cache(maxsize=64)
def target(uri: str) -> Target:
    """How coordinates go out in the CRS of this URI. CRS84, EPSG:4326 and EPSG:4490 are the stored numbers relabelled
    (less than a metre apart, no parameters published), in the order of their authority."""
    code = code_of(uri)
    epsg = systems.STORED if code == systems.CRS84 else int(code)
    relabelled = epsg in (systems.STORED, systems.WGS84)
    return Target(uri, None if relabelled else epsg, systems.is_northing_easting(code), systems.is_geographic(code))


def area(numbers: list[float], uri: str | None) -> Area:
    """The area meant by four or six numbers in the order of the CRS's axes (default CRS84: west, south, east, north).

    The edges of a box in another CRS are followed closely (16 points each), not only its corners: a box in a projection is no
    box in degrees. A box with west > east crosses the antimeridian. Raises InputError for NaN and infinity.
    """
    if not all(math.isfinite(number) for number in numbers):
        raise InputError("bbox holds a number that is not finite", where="bbox", remedy="Write west,south,east,north")
    half = len(numbers) // 2
    low, high = (numbers[2], numbers[5]) if half == 3 else (None, None)
    x1, y1, x2, y2 = numbers[0], numbers[1], numbers[half], numbers[half + 1]
    code = code_of(uri) if uri else systems.CRS84
    if systems.is_northing_easting(code):
        x1, y1, x2, y2 = y1, x1, y2, x2
    if y1 > y2 or (x1 > x2 and not systems.is_geographic(code)):
        raise InputError(
            "the lower corner of bbox lies above the upper one",
            where="bbox",
            remedy="Write the lower corner first, in the axis order of the CRS",
        )
    outline = _degrees(x1, y1, x2, y2) if systems.is_geographic(code) else _projected(x1, y1, x2, y2, code)
    bounds = tuple(round(float(v), 7) for v in outline.bounds)
    return Area(shapely.to_wkb(shapely.set_srid(outline, systems.STORED), include_srid=True), bounds, low, high)


def _degrees(x1: float, y1: float, x2: float, y2: float) -> shapely.Geometry:
    def inside(value: float, most: float) -> float:
        return max(-most, min(most, value))

    x1, x2, y1, y2 = inside(x1, 180.0), inside(x2, 180.0), inside(y1, 90.0), inside(y2, 90.0)
    if x1 <= x2:
        return shapely.box(x1, y1, x2, y2)
    return shapely.multipolygons([shapely.box(x1, y1, 180.0, y2), shapely.box(-180.0, y1, x2, y2)])


def _projected(x1: float, y1: float, x2: float, y2: float, code: str | int) -> shapely.Geometry:
    step = np.linspace(0.0, 1.0, 17)[:-1]
    x = np.concatenate([x1 + (x2 - x1) * step, np.full(16, x2), x2 - (x2 - x1) * step, np.full(16, x1)])
    y = np.concatenate([np.full(16, y1), y1 + (y2 - y1) * step, np.full(16, y2), y2 - (y2 - y1) * step])
    lon, lat = systems.transform(x, y, code)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise InputError(
            "bbox lies outside the area of its coordinate reference system",
            where="bbox",
            remedy="Check bbox-crs and the order of its axes (CGCS2000 zones: northing, easting)",
        )
    return shapely.polygons(np.column_stack([lon, lat]))
