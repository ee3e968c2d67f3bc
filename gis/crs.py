"""Coordinate reference systems: the only home of EPSG codes, CGCS2000 zones, axis order, GCJ-02 and BD-09.

Everywhere in the platform x is longitude or easting and y is latitude or northing (`always_xy`); only what an authority defines
otherwise is turned on the way in and out. Stored is EPSG:4490 (CGCS2000 geographic).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyproj
import shapely

from gis.errors import InputError, SourceError

STORED = 4490
"""CGCS2000 geographic: what every layer is stored in."""
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
"""Longitude, latitude; EPSG:4490 is served under this name (they differ by less than a metre)."""
WGS84 = 4326
WEB_MERCATOR = 3857
"""The projection of vector tiles."""

_FIRST_6_ZONED, _FIRST_6_PLAIN, _FIRST_3_ZONED, _FIRST_3_PLAIN = 4491, 4502, 4513, 4534
_OLDER_DATUMS = {"Beijing 1954": "beijing54", "New Beijing": "beijing54", "Xian 1980": "xian80"}
_DATUM_NAMES = {"beijing54": "Beijing 1954", "xian80": "Xian 1980"}

# Krasovsky 1940 as the public GCJ-02 formula uses it.
_A, _EE = 6378245.0, 0.00669342162296594323
_BD = np.pi * 3000.0 / 180.0


@dataclass(frozen=True)
class Zone:
    """A CGCS2000 Gauss–Krüger zone: its EPSG code, width (3 or 6 degrees), number, central meridian in degrees,
    and whether its eastings carry the zone number in front (39 500 000 instead of 500 000)."""

    epsg: int
    width: int
    number: int
    meridian: int
    prefixed: bool


def zones() -> dict[int, Zone]:
    """All CGCS2000 Gauss–Krüger zones by EPSG code: 4491–4501 and 4502–4512 (6°), 4513–4533 and 4534–4554 (3°); the first
    of each pair of series carries the zone number in the easting (EPSG registry; GB/T 18314)."""
    return dict(_zones())


@lru_cache
def _zones() -> tuple[tuple[int, Zone], ...]:
    found = []
    for i in range(11):
        for first, prefixed in ((_FIRST_6_ZONED, True), (_FIRST_6_PLAIN, False)):
            found.append((first + i, Zone(first + i, 6, 13 + i, 75 + 6 * i, prefixed)))
    for i in range(21):
        for first, prefixed in ((_FIRST_3_ZONED, True), (_FIRST_3_PLAIN, False)):
            found.append((first + i, Zone(first + i, 3, 25 + i, 75 + 3 * i, prefixed)))
    return tuple(sorted(found))


def zone_at(lon: float, *, width: int = 3, prefixed: bool = False) -> Zone:
    """The CGCS2000 zone whose central meridian is nearest to a longitude (degrees). Raises InputError outside 73.5–136.5 E."""
    fitting = [z for _, z in _zones() if z.width == width and z.prefixed == prefixed]
    best = min(fitting, key=lambda z: abs(z.meridian - lon))
    if abs(best.meridian - lon) > width / 2:
        raise InputError(f"no CGCS2000 {width}-degree zone at longitude {lon}", remedy="The zones cover 75 E to 135 E")
    return best


@lru_cache(maxsize=256)
def crs(name: str | int) -> pyproj.CRS:
    """The CRS of a name: an EPSG number, `EPSG:4548`, `CGCS2000`, `WGS84`, `CRS84`, WKT or a PROJ string.

    Raises InputError when PROJ does not know it.
    """
    text = str(name).strip()
    known = {"CGCS2000": STORED, "WGS84": WGS84, "WGS 84": WGS84, "CRS84": "OGC:CRS84", CRS84: "OGC:CRS84"}
    wanted = known.get(text, known.get(text.upper(), text))
    if isinstance(wanted, str) and wanted.isdigit():
        wanted = int(wanted)
    try:
        return pyproj.CRS.from_user_input(wanted)
    except pyproj.exceptions.CRSError:
        raise InputError(f"unknown coordinate reference system {text[:60]!r}", remedy="Give an EPSG code, for example EPSG:4548") from None


def chinese_offset(name: str | int | None) -> str | None:
    """`gcj02` or `bd09` where a name means one of the two offset systems, which no EPSG code has; else None."""
    key = str(name or "").upper().replace("-", "").replace("_", "").replace(" ", "").replace(":", "")
    return {"GCJ02": "gcj02", "BD09": "bd09", "BD09LL": "bd09"}.get(key)


@lru_cache(maxsize=256)
def epsg(name: str | int) -> int | None:
    """The EPSG code of a CRS, or None where it has none."""
    found = crs(name).to_epsg(min_confidence=70)
    return STORED if found is None and crs(name) == crs("OGC:CRS84") else found


@lru_cache(maxsize=256)
def is_northing_easting(name: str | int) -> bool:
    """Whether the authority puts latitude or northing first (EPSG:4490, 4326, 4502–4554 do; 3857, CRS84 and Chinese zones
    written as ESRI WKT do not)."""
    axes = crs(name).axis_info
    return bool(axes) and axes[0].direction in ("north", "south") and len(axes) > 1


@lru_cache(maxsize=256)
def is_geographic(name: str | int) -> bool:
    """Whether the coordinates are degrees."""
    return crs(name).is_geographic


@dataclass(frozen=True)
class Shift:
    """How an older datum becomes CGCS2000, as the bureau that measured both gives it: seven parameters (dx, dy, dz in metres, rx, ry, rz in
    seconds of arc, scale in ppm; position-vector rotations, as PROJ's +towgs84), or the path of an NTv2 grid."""

    seven: tuple[float, ...] = ()
    grid: str = ""


def older_datum(name: str | int) -> str | None:
    """`beijing54` or `xian80` where a CRS rests on one of the two older datums and says no way to CGCS2000 itself; else None."""
    if chinese_offset(name) or crs(name).is_bound:
        return None
    geodetic = crs(name).geodetic_crs
    datum = (geodetic.datum.name if geodetic is not None and geodetic.datum else "").replace("_", " ").removeprefix("D ")
    return next((key for start, key in _OLDER_DATUMS.items() if datum.startswith(start)), None)


def known_datum(name: str | int, shifts: Mapping[str, Shift] | None = None) -> str:
    """The CRS by which its coordinates become CGCS2000: itself, or for Beijing 54 and Xi'an 80 itself bound to the parameters that the
    user has given
    (`shifts`: by `older_datum`).

    No public parameters lead from those two to CGCS2000 at survey accuracy: without the user's own they are refused. Raises
    SourceError with the reason.
    """
    older = older_datum(name)
    if older is None:
        return str(name)
    shift = (shifts or {}).get(older)
    if shift is None:
        raise SourceError(
            f"the source is in {crs(name).name}, datum {_DATUM_NAMES[older]}",
            remedy="Give the local parameters (seven, or a grid) under `datums` in the city file, or transform it to CGCS2000: "
            "without them it would be off by tens of metres",
        )
    if shift.grid and not Path(shift.grid).is_file():
        raise SourceError(
            f"the grid {Path(shift.grid).name} for {_DATUM_NAMES[older]} is not there", remedy="Correct `datums` in the city file"
        )
    way = f"+nadgrids={shift.grid}" if shift.grid else f"+towgs84={','.join(f'{v:.10g}' for v in shift.seven)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a PROJ string names no datum is what is wanted here
        plain = crs(name).to_proj4().replace(" +type=crs", "").replace(" +no_defs", "")
    return f"{plain} {way} +no_defs +type=crs"


def require_known_datum(name: str | int) -> None:
    """Refuses Beijing 54 and Xi'an 80 where no parameters can be given; see `known_datum`. Raises SourceError."""
    known_datum(name)


@lru_cache(maxsize=256)
def transformer(source: str | int, target: str | int = STORED) -> pyproj.Transformer:
    """The transformation between two CRSs, x before y on both sides. Parameters that lead from an older datum to CGCS2000 are PROJ's
    to WGS 84 (taken as
    one, see `project`)."""
    if crs(source).is_bound or crs(target).is_bound:
        source, target = (WGS84 if not crs(c).is_bound and epsg(c) == STORED else c for c in (source, target))
    return pyproj.Transformer.from_crs(crs(source), crs(target), always_xy=True)


def transform(x, y, source: str | int, target: str | int = STORED) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (arrays, x before y) from one CRS, GCJ-02 or BD-09 to another CRS. NaN stays NaN, what PROJ cannot
    transform becomes inf."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    offset = chinese_offset(source)
    if offset:
        x, y = (gcj02_to_wgs84 if offset == "gcj02" else bd09_to_wgs84)(x, y)
        source = STORED
    if crs(source) == crs(target) or {epsg(source), epsg(target)} == {STORED, WGS84}:
        return x, y
    return transformer(source, target).transform(x, y)


def project(geometries, source: str | int, target: str | int = STORED) -> np.ndarray:
    """Geometries (array of shapely objects, None allowed) from one CRS to another; Z is kept as it is.

    Shape (n,) in and out. CGCS2000 and WGS 84 are taken as one (they differ by less than a metre, and no parameters exist).
    """
    geometries = np.asarray(geometries, dtype=object)
    if not chinese_offset(source) and (crs(source) == crs(target) or {epsg(source), epsg(target)} <= {STORED, WGS84}):
        return geometries

    def moved(points: np.ndarray) -> np.ndarray:
        points = points.copy()
        points[:, 0], points[:, 1] = transform(points[:, 0], points[:, 1], source, target)
        return points

    has_z = shapely.has_z(geometries)
    if has_z.all() or not has_z.any():
        return shapely.transform(geometries, moved, include_z=bool(has_z.any()))
    result = geometries.copy()
    result[has_z] = shapely.transform(geometries[has_z], moved, include_z=True)
    result[~has_z] = shapely.transform(geometries[~has_z], moved)
    return result


def local(lon: float, lat: float, *, x0: float = 0.0, y0: float = 0.0, unit_m: float = 1.0) -> str:
    """A CRS for drawings in local coordinates: the local point (x0, y0), in its own unit of `unit_m` metres, lies at
    (lon, lat) degrees. A transverse Mercator around that point on the CGCS2000 ellipsoid; y points north."""
    return (
        f"+proj=tmerc +lat_0={lat:.10f} +lon_0={lon:.10f} +k=1 +x_0={x0 * unit_m:.4f} +y_0={y0 * unit_m:.4f}"
        f" +ellps=GRS80 +to_meter={unit_m:.10g} +no_defs +type=crs"
    )


def inside(x, y, extent: tuple[float, float, float, float], margin: float = 0.0) -> np.ndarray:
    """Which positions (degrees) lie inside an extent (west, south, east, north) widened by `margin` of its size."""
    west, south, east, north = extent
    dx, dy = (east - west) * margin, (north - south) * margin
    x, y = np.asarray(x, float), np.asarray(y, float)
    return (x >= west - dx) & (x <= east + dx) & (y >= south - dy) & (y <= north + dy)


def likely_truth(x, y, declared: str | int, extent: tuple[float, float, float, float]) -> str | None:
    """What raw coordinates that miss the city's extent (degrees, EPSG:4490) more likely are: `swapped axes`, or the CGCS2000
    zone or geographic system in which at least nine tenths of them fall inside it. None when the declared CRS fits as well as any.

    Arrays x, y as they stand in the source, x before y.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)

    def share(easting, northing, source) -> float:
        lon, lat = transform(easting, northing, source)
        return float(np.mean(inside(lon, lat, extent, 0.1))) if len(lon) else 0.0

    if share(x, y, declared) >= 0.5:
        return None
    if share(y, x, declared) >= 0.9:
        return "swapped axes"
    meridian = (extent[0] + extent[2]) / 2
    near = sorted((z for _, z in _zones()), key=lambda z: (abs(z.meridian - meridian), z.width))[:16]
    for candidate in (STORED, *(z.epsg for z in near)):
        if share(x, y, candidate) >= 0.9:
            return f"EPSG:{candidate}"
        if share(y, x, candidate) >= 0.9:
            return f"EPSG:{candidate} with swapped axes"
    return None


def _in_china(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    return (lon >= 72.004) & (lon <= 137.8347) & (lat >= 0.8293) & (lat <= 55.8271)


def _offset(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The displacement of the public GCJ-02 formula, in degrees; zero outside China."""
    x, y = lon - 105.0, lat - 35.0
    common = (20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)) * 2.0 / 3.0
    root = np.sqrt(np.abs(x))
    dlat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + common
    dlat += (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    dlat += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    dlon = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + common
    dlon += (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    dlon += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    radians = np.radians(lat)
    magic = 1.0 - _EE * np.sin(radians) ** 2
    dlat = dlat * 180.0 / ((_A * (1.0 - _EE)) / (magic * np.sqrt(magic)) * np.pi)
    dlon = dlon * 180.0 / (_A / np.sqrt(magic) * np.cos(radians) * np.pi)
    within = _in_china(lon, lat)
    return np.where(within, dlon, 0.0), np.where(within, dlat, 0.0)


def wgs84_to_gcj02(lon, lat) -> tuple[np.ndarray, np.ndarray]:
    """WGS 84 to GCJ-02 by the public formula; degrees, arrays of any shape. Outside China nothing moves."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    dlon, dlat = _offset(lon, lat)
    return lon + dlon, lat + dlat


def _inverse(forward, lon, lat) -> tuple[np.ndarray, np.ndarray]:
    """The fixed-point inverse of a displacement. Each step shrinks the error about a thousandfold: four leave < 0.1 mm."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    guess_lon, guess_lat = lon.copy(), lat.copy()
    for _ in range(6):
        there_lon, there_lat = forward(guess_lon, guess_lat)
        guess_lon, guess_lat = guess_lon - (there_lon - lon), guess_lat - (there_lat - lat)
    return guess_lon, guess_lat


def gcj02_to_wgs84(lon, lat) -> tuple[np.ndarray, np.ndarray]:
    """GCJ-02 to WGS 84, iterated until the public formula returns the input within 0.1 mm; degrees. Never survey grade."""
    return _inverse(wgs84_to_gcj02, lon, lat)


def gcj02_to_bd09(lon, lat) -> tuple[np.ndarray, np.ndarray]:
    """GCJ-02 to BD-09 by the public formula; degrees."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006


def bd09_to_wgs84(lon, lat) -> tuple[np.ndarray, np.ndarray]:
    """BD-09 to WGS 84 through GCJ-02, iterated to 0.1 mm of the public formulas; degrees. Never survey grade."""
    return gcj02_to_wgs84(*_inverse(gcj02_to_bd09, lon, lat))


def wgs84_to_bd09(lon, lat) -> tuple[np.ndarray, np.ndarray]:
    """WGS 84 to BD-09 through GCJ-02; degrees."""
    return gcj02_to_bd09(*wgs84_to_gcj02(lon, lat))
