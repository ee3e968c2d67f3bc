"""The literals of CQL2 (OGC 21-065r2) as values to bind: geometries in EPSG:4490 and moments, checked first."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass

import orjson
import shapely

from gis import crs
from gis.errors import InputError

MAX_VERTICES = 10_000
_COLLECTION = 7
"""GeometryCollection, as shapely numbers the types."""

Moment = dt.date | dt.datetime


@dataclass(frozen=True)
class Span:
    """A stretch of time: from `start` to `end` inclusive; None is open. A single date or moment has start == end."""

    start: Moment | None
    end: Moment | None
    is_interval: bool


def _parsed_date(text) -> dt.date:
    if not (isinstance(text, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text)):
        raise InputError(f"not a date: {str(text)[:40]!r}", remedy="Write DATE('2024-05-31')")
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"no such day: {text!r}", remedy="Write DATE('2024-05-31')") from None


def _parsed_timestamp(text) -> dt.datetime:
    if not (isinstance(text, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z", text)):
        remedy = "Write TIMESTAMP('2024-05-31T08:00:00Z'), in UTC with the Z"
        raise InputError(f"not a timestamp: {str(text)[:40]!r}", remedy=remedy)
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"no such moment: {text!r}", remedy="Write TIMESTAMP('2024-05-31T08:00:00Z')") from None


def moment(value) -> Moment:
    """A date or a UTC moment from {date}, {timestamp} or an ISO text. Raises InputError where there is no such day."""
    match value:
        case {"date": text}:
            return _parsed_date(text)
        case {"timestamp": text}:
            return _parsed_timestamp(text)
        case str() as text:
            text = text.removesuffix("T")  # so GDAL writes a day
            return _parsed_timestamp(text) if "T" in text else _parsed_date(text)
    raise InputError("a date or timestamp is wanted here", remedy="Write DATE('2024-05-31')")


def span(value) -> Span:
    """What a temporal operator compares with: a moment, or an interval whose open ends are '..'."""
    match value:
        case {"interval": [first, last]}:
            start, end = (None if part == ".." else moment(part) for part in (first, last))
            if start is not None and end is not None and _midnight(start) > _midnight(end):
                raise InputError("an interval ends before it starts", where=f"{start} … {end}")
            return Span(start, end, True)
        case {"interval": _}:
            raise InputError("an interval has a start and an end", remedy="INTERVAL('2020-01-01','..')")
    single = moment(value)
    return Span(single, single, False)


def _midnight(value: Moment) -> dt.datetime:
    return value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time(), dt.UTC)


def require_system(filter_crs: str) -> str | None:
    """The CRS that `filter-crs` names, None for CRS84. Raises InputError, whether the filter has coordinates or not (part 3, 7.4)."""
    name = re.sub(r"^https?://www\.opengis\.net/def/crs/EPSG/[0-9.]+/", "EPSG:", filter_crs)
    if name.rstrip("/").endswith("OGC/1.3/CRS84") or name in ("CRS84", "OGC:CRS84"):
        return None
    if not re.fullmatch(r"EPSG:[0-9]{4,6}", name):
        remedy = "Use http://www.opengis.net/def/crs/EPSG/0/4490 or CRS84"
        raise InputError(f"unknown filter-crs {filter_crs[:80]!r}", where="filter-crs", remedy=remedy)
    crs.crs(name)
    return name


def _to_stored(geometry: shapely.Geometry, filter_crs: str) -> shapely.Geometry:
    """From `filter_crs`, axes as its authority orders them, to longitude and latitude of EPSG:4490."""
    name = require_system(filter_crs)
    if name is None:
        return geometry
    if crs.is_northing_easting(name):
        geometry = shapely.transform(geometry, lambda xy: xy[:, ::-1])
    return crs.project([geometry], name)[0]


def _numbers(values, count: tuple[int, ...]) -> list[float]:
    if not isinstance(values, list) or len(values) not in count:
        raise InputError(f"a bbox has {' or '.join(map(str, count))} numbers")
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) for value in values):
        raise InputError("a bbox holds finite numbers only")
    return [float(value) for value in values]


def _bbox(values, name: str | None) -> shapely.Geometry:
    """The box in the CRS of this name (None: CRS84), axes as they came. A box of degrees whose west lies east of its east crosses the
    antimeridian; the edges of one in metres are followed closely, as those of `bbox` are."""
    numbers = _numbers(values, (4, 6))
    low, high = numbers[:2], numbers[len(numbers) // 2 :][:2]
    lon = 1 if name is not None and crs.is_northing_easting(name) else 0
    crosses = low[lon] > high[lon] and (name is None or crs.is_geographic(name))
    if low[1 - lon] > high[1 - lon] or (low[lon] > high[lon] and not crosses):
        raise InputError("a bbox is west, south, east, north", where=str(values)[:80])
    if crosses:
        ends = [[*low], [*high]]
        ends[0][lon], ends[1][lon] = -180.0, 180.0
        return shapely.multipolygons([shapely.box(*low, *ends[1]), shapely.box(*ends[0], *high)])
    box = shapely.box(*low, *high)
    longest = max(high[0] - low[0], high[1] - low[1])
    return box if name is None or crs.is_geographic(name) or not longest else shapely.segmentize(box, longest / 16)


def _geojson(value: dict) -> shapely.Geometry:
    try:
        return shapely.from_geojson(orjson.dumps({key: value[key] for key in value if key in _GEOJSON_KEYS}))
    except (shapely.errors.GEOSException, TypeError, ValueError, orjson.JSONEncodeError):
        raise InputError("a filter geometry cannot be read", where=str(value.get("type"))[:40]) from None


_GEOJSON_KEYS = ("type", "coordinates", "geometries")


def geometry(value, filter_crs: str = "CRS84") -> shapely.Geometry:
    """A literal geometry (GeoJSON object or {bbox}) in longitude and latitude of EPSG:4490, two-dimensional.

    Raises InputError for what cannot be read, is empty, invalid, outside the earth, or has too many vertices.
    """
    match value:
        case {"bbox": numbers}:
            found = _bbox(numbers, require_system(filter_crs))
        case {"type": str()}:
            found = _geojson(value)
        case _:
            raise InputError("a geometry is wanted here", remedy="Write it as WKT, for example POINT(117.01 32.02)")
    if found is None or shapely.is_empty(found):
        raise InputError("a filter geometry is empty")
    if shapely.get_num_coordinates(found) > MAX_VERTICES:
        raise InputError(f"a filter geometry has more than {MAX_VERTICES:,} vertices", remedy="Simplify it")
    found = _to_stored(shapely.force_2d(found), filter_crs)
    west, south, east, north = shapely.bounds(found)
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        remedy = "Coordinates are longitude, latitude unless filter-crs says otherwise"
        raise InputError("a filter geometry lies outside the earth", where=f"{west:g} {south:g}", remedy=remedy)
    if not shapely.is_valid(found):
        raise InputError("a filter geometry is invalid", where=shapely.is_valid_reason(found)[:80])
    return found


def of_one_kind(op: str, found: shapely.Geometry) -> shapely.Geometry:
    """The geometry for a function that relates what it compares part by part: a collection becomes points, lines or areas alone.

    Raises InputError where it holds several of them; s_intersects and s_disjoint take any collection.
    """
    if shapely.get_type_id(found) != _COLLECTION or op in ("s_intersects", "s_disjoint"):
        return found
    united = shapely.union_all(found)
    if shapely.get_type_id(united) == _COLLECTION:
        raise InputError(f"{op} takes points, lines or areas, not several of them together", remedy="Join several conditions with OR")
    return united


def ewkb_hex(found: shapely.Geometry) -> str:
    """The geometry as hexadecimal EWKB with the stored SRID, to be bound and cast to geometry."""
    return shapely.to_wkb(shapely.set_srid(found, crs.STORED), hex=True, include_srid=True)
