"""What sensors observed, for a caller: which sensors there are at a place, their series, and the values of a time, found by the key.

Sensors come from their layer with the caller's own rights; only their series are read, so that a value exists for whom its sensor exists.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from cachetools import TTLCache
from psycopg2 import sql

from gis.access import audit
from gis.access.identity import Identity
from gis.api import temporal
from gis.api.select import Statement
from gis.catalog.model import Layer
from gis.catalog.observed import QUALITIES, QUANTITIES
from gis.db.connection import fetch
from gis.errors import InputError
from gis.settings import settings

MOST_VALUES = 100_000
"""Values of one answer."""
MOST_SENSORS = 1_000
STEPS = {"hour": "hour", "day": "day"}
_extents: TTLCache[tuple, tuple[dt.datetime, dt.datetime] | None] = TTLCache(1_000, 60)
_lock = threading.Lock()
SUMMARIES = {"mean": "avg", "min": "min", "max": "max", "sum": "sum", "count": "count"}


@dataclass(frozen=True)
class Period:
    """Moments from `first` (inclusive) up to `after` (exclusive); None is endless on that side."""

    first: dt.datetime | None = None
    after: dt.datetime | None = None


@dataclass(frozen=True)
class Place:
    """Where sensors are looked for: an outline (EWKB, EPSG:4490) and, around the point that it then is, a distance in metres."""

    outline: bytes
    metres: float | None = None


@dataclass(frozen=True)
class Sensor:
    """A sensor that the caller sees; `series`: quantity → number."""

    id: str
    name: str | None
    kind: str | None
    lon: float
    lat: float
    series: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """Which values: of which time (None: all), of which quantities (None: all); the latest only; summarised by a step."""

    period: Period = Period()
    quantities: frozenset[str] | None = None
    latest: bool = False
    step: str | None = None
    summary: str = "mean"


Values = dict[int, list[tuple[dt.datetime, float, int | None]]]
"""Series → (moment, value, flag) in order; summaries have no flag."""


def period(text: str | None) -> Period:
    """The moments meant by `datetime`: an instant, a partial date (the whole day, month or year in the city's time), or an interval with
    `..` or nothing for an open end; both ends belong to it. Raises InputError."""
    if text is None:
        return Period()
    ends = text.strip().split("/")
    if len(ends) > 2 or (len(ends) == 1 and ends[0] in ("", "..")):
        temporal.span(text)
        raise InputError(f"{text[:60]!r} is no moment or interval", where="datetime")
    first = None if ends[0] in ("", "..") else _beginning(ends[0])
    after = None if ends[-1] in ("", "..") else _end(ends[-1])
    if first and after and first >= after:
        raise InputError(f"the interval {text[:60]!r} ends before it begins", where="datetime", remedy="Write the earlier moment first")
    return Period(first, after)


def _beginning(text: str) -> dt.datetime | None:
    if ":" in text:
        return temporal.moment(text, "datetime")
    day = temporal.span(text).first
    return None if day is None else dt.datetime.combine(day, dt.time(), temporal.CITY_TIME)


def _end(text: str) -> dt.datetime | None:
    """Just behind what the text means."""
    if ":" in text:
        moment = temporal.moment(text, "datetime")
        return moment + dt.timedelta(microseconds=1) if moment.replace(tzinfo=None) < dt.datetime.max else None
    day = temporal.span(text).after
    return None if day is None else dt.datetime.combine(day, dt.time(), temporal.CITY_TIME)


def sensors(
    identity: Identity, layer: Layer, *, ids: Iterable[str] | None = None, place: Place | None = None, srid: int = 4490,
    limit: int = MOST_SENSORS, offset: int = 0, quantities: frozenset[str] | None = None,
) -> list[Sensor]:  # fmt: skip
    """The sensors that the caller sees and that observed something, in the order of their ids, at most `limit` of them.

    srid: the system in metres in which distances are measured.
    """
    statement = Statement()
    seen = layer.columns_for(identity.role)
    conditions = [sql.SQL("r.parameter = ANY ({})").format(statement.bind(sorted(quantities), "text[]"))] if quantities else []
    if ids is not None:
        conditions.append(sql.SQL("s.sensor_id = ANY ({})").format(statement.bind(list(ids), "text[]")))
    if place is not None:
        conditions.append(_within(place, srid, statement))
    asked = sql.SQL(
        "SELECT s.sensor_id, {name}, {kind}, ST_X(s.geom), ST_Y(s.geom), array_agg(r.parameter ORDER BY r.parameter),"
        " array_agg(r.series ORDER BY r.parameter) FROM pub.sensor s JOIN pub.observation_series r ON r.sensor_id = s.sensor_id"
        " WHERE {where} GROUP BY 1, 2, 3, 4, 5 ORDER BY 1 LIMIT {limit} OFFSET {offset}"
    ).format(
        name=sql.SQL("s.name") if "name" in seen else sql.SQL("NULL::text"),
        kind=sql.SQL("s.kind") if "kind" in seen else sql.SQL("NULL::text"),
        where=sql.SQL(" AND ").join([sql.SQL("true"), *conditions]),
        limit=statement.bind(limit, "bigint"),
        offset=statement.bind(offset, "bigint"),
    )
    rows = fetch(identity.role, identity.user, asked, statement.parameters)
    return [Sensor(*row[:5], dict(zip(row[5], row[6], strict=True))) for row in rows]


def _within(place: Place, srid: int, statement: Statement) -> sql.Composable:
    outline = statement.bind(place.outline, "geometry")
    if place.metres is None:
        return sql.SQL("ST_Intersects(s.geom, {})").format(outline)
    metres = statement.bind(place.metres, "float8")
    # a degree of longitude is at least 55 km below 60° of latitude
    near = sql.SQL("s.geom && ST_Expand({}, {} / 55000.0)").format(outline, metres)
    exact = sql.SQL("ST_DWithin(ST_Transform(s.geom, {0}), ST_Transform({1}, {0}), {2})").format(sql.Literal(srid), outline, metres)
    return sql.SQL("{} AND {}").format(near, exact)


def observed(identity: Identity, layer: Layer, found: list[Sensor], asked: Asked, **detail) -> Values:
    """The values of these sensors. The access is recorded. Raises InputError where there are more than an answer holds."""
    wanted = [number for one in found for name, number in one.series.items() if asked.quantities is None or name in asked.quantities]
    rows = fetch(identity.role, identity.user, *statement_of(wanted, asked)) if wanted else []
    if len(rows) > MOST_VALUES:
        raise InputError(
            f"there are more than {MOST_VALUES} values", where="datetime",
            remedy="Ask for a shorter time, fewer sensors or parameters, or for means: aggregate=hour or aggregate=day",
        )  # fmt: skip
    if len(found) <= 20:
        detail["sensors"] = [one.id for one in found]
    audit.record_access(identity, "observations", layer, n=len(rows), **detail)
    values: Values = {}
    for series, at, value, flag in rows:
        values.setdefault(series, []).append((at, value, flag))
    return values


def extent(identity: Identity) -> tuple[dt.datetime, dt.datetime] | None:
    """The first and the last moment at which sensors that the caller sees observed something, a minute old at most; None where none did."""
    key = (settings().dsn, settings().home, identity)
    with _lock:
        if key in _extents:
            return _extents[key]
    asked = sql.SQL(
        "SELECT min(f.at), max(l.at) FROM pub.observation_series AS w JOIN pub.sensor USING (sensor_id)"
        " CROSS JOIN LATERAL (SELECT at FROM pub.observation WHERE series = w.series ORDER BY at LIMIT 1) AS f"
        " CROSS JOIN LATERAL (SELECT at FROM pub.observation WHERE series = w.series ORDER BY at DESC LIMIT 1) AS l"
    )
    ((first, last),) = fetch(identity.role, identity.user, asked, {})
    found = None if first is None else (first, last)
    with _lock:
        _extents[key] = found
    return found


def beginnings(identity: Identity, found: list[Sensor]) -> dict[int, dt.datetime]:
    """Series → the first moment at which something was observed."""
    series = [number for one in found for number in one.series.values()]
    asked = sql.SQL(
        "SELECT w.series, o.at FROM unnest(%(series)s::int[]) AS w(series)"
        " CROSS JOIN LATERAL (SELECT at FROM pub.observation WHERE series = w.series ORDER BY at LIMIT 1) AS o"
    )
    return dict(fetch(identity.role, identity.user, asked, {"series": series})) if series else {}


def statement_of(series: list[int], asked: Asked) -> tuple[sql.Composable, dict]:
    """The statement that reads values by the key (series, at), one row more than an answer holds, and its parameters."""
    statement = Statement()
    listed = statement.bind(series, "int[]")
    conditions = [sql.SQL("o.series = w.series")]
    if asked.period.first is not None:
        conditions.append(sql.SQL("o.at >= {}").format(statement.bind(asked.period.first, "timestamptz")))
    if asked.period.after is not None:
        conditions.append(sql.SQL("o.at < {}").format(statement.bind(asked.period.after, "timestamptz")))
    where, most = sql.SQL(" AND ").join(conditions), statement.bind(MOST_VALUES + 1, "bigint")
    if asked.step is not None:
        composed = sql.SQL(
            "SELECT w.series, v.* FROM unnest({listed}) AS w(series) CROSS JOIN LATERAL ("
            "SELECT date_trunc({step}, o.at, 'Asia/Shanghai') AS at, {summary}(o.value)::float8, NULL::smallint FROM pub.observation o"
            " WHERE {where} AND o.quality < 3 GROUP BY 1 ORDER BY 1 LIMIT {most}) AS v ORDER BY w.series, v.at LIMIT {most}"
        )
        return composed.format(
            listed=listed, step=sql.Literal(STEPS[asked.step]), summary=sql.SQL(SUMMARIES[asked.summary]), where=where, most=most
        ), statement.parameters
    last = sql.SQL("DESC LIMIT 1") if asked.latest else sql.SQL("LIMIT {}").format(most)
    composed = sql.SQL(
        # bounded before they are put in order: where there are too many, none is needed
        "SELECT * FROM (SELECT w.series, v.* FROM unnest({listed}) AS w(series) CROSS JOIN LATERAL (SELECT o.at, o.value, o.quality"
        " FROM pub.observation o WHERE {where} ORDER BY o.at {last}) AS v LIMIT {most}) AS found ORDER BY series, at"
    )
    return composed.format(listed=listed, where=where, last=last, most=most), statement.parameters


def known_quantities(text: str | None) -> frozenset[str] | None:
    """The quantities that `parameter-name` lists; None for all. Raises InputError for one that is not known."""
    if text is None:
        return None
    asked = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in asked if name not in QUANTITIES]
    if unknown or not asked:
        wrong = (unknown or [""])[0][:40]
        raise InputError(f"there is no parameter {wrong!r}", where="parameter-name", remedy="One of " + ", ".join(QUANTITIES))
    return frozenset(asked)


def flag_name(flag: int | None) -> str | None:
    """good, suspect, estimated or bad; None for summaries."""
    return None if flag is None else QUALITIES[flag][0]
