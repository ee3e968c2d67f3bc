"""Time in requests: `datetime` (valid time: when it was in service) and `as-of` (recorded time: when it was known)."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from gis.errors import InputError

CITY_TIME = dt.timezone(dt.timedelta(hours=8))
"""China Standard Time (GB/T 7408): whole China keeps one civil time."""

_PARTIAL = re.compile(
    r"^(?P<year>\d{4})(-(?P<month>\d{2})(-(?P<day>\d{2})"
    r"([Tt ]((?P<time>\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?)?)?)?)?$",
    re.ASCII,
)
"""GDAL writes a day as `2024-05-01T`, without a time."""
_LEAP = re.compile(r"([Tt ]\d{2}:59):60(?:\.\d{1,9})?")
_PLUS = re.compile(r"([Tt]\d{2}:\d{2}[:.\d]*) (?=\d{2}:?\d{2})")
"""A + that nobody escaped is a blank when it arrives."""
_DAY = dt.timedelta(days=1)
_FARTHEST = dt.timedelta(hours=14)
"""From UTC (Kiribati)."""


@dataclass(frozen=True)
class Span:
    """Days from `first` (inclusive) up to `after` (exclusive); None is endless on that side."""

    first: dt.date | None
    after: dt.date | None


def _wrong(text: str, name: str) -> InputError:
    return InputError(
        f"{text[:60]!r} is no date or interval",
        where=name,
        remedy="Write 2024, 2024-05, 2024-05-01, 2024-05-01T12:00:00Z or an interval 2024-01-01/2024-06-30, ../2024 or 2024/..",
    )


def _next_month(year: int, month: int) -> dt.date | None:
    if month == 12:
        return dt.date(year + 1, 1, 1) if year < dt.MAXYEAR else None
    return dt.date(year, month + 1, 1)


def _days(text: str, name: str) -> Span:
    """The days that a full or partial date covers. Year 0000 (sent by QGIS for "since ever") is endless."""
    match = _PARTIAL.match(text)
    if not match:
        raise _wrong(text, name)
    year, month, day = (int(match[part]) if match[part] else None for part in ("year", "month", "day"))
    try:
        if match["time"]:
            _instant(text if year else "0004" + text[4:])
        if year == 0:
            dt.date(4, month or 1, day or 1)
            return Span(None, None)
        if month is None:
            return Span(dt.date(year, 1, 1), dt.date(year + 1, 1, 1) if year < dt.MAXYEAR else None)
        if day is None:
            return Span(dt.date(year, month, 1), _next_month(year, month))
        first = dt.date(year, month, day)
        return Span(first, first + _DAY if first < dt.date.max else None)
    except ValueError:
        raise _wrong(text, name) from None


def _instant(text: str) -> dt.datetime:
    """The instant of a text with a time; without a zone in the city's time. A leap second is the last before the next minute (RFC 3339,
    5.6; 5.7). Raises ValueError."""
    given = dt.datetime.fromisoformat(_LEAP.sub(r"\1:59.999999", text.upper()))
    if abs(given.utcoffset() or _FARTHEST) > _FARTHEST:
        raise ValueError("no place on earth has this offset")
    return given if given.tzinfo else given.replace(tzinfo=CITY_TIME)


def _is_turned(first: str, last: str) -> bool:
    """Whether both ends say a time of day, and the last one is the earlier."""
    if not all(":" in end and not end.startswith("0000") for end in (first, last)):
        return False
    return _instant(first) > _instant(last)


def span(text: str, name: str = "datetime") -> Span:
    """The days meant by an OGC API `datetime` (Features part 1, 7.15.4; RFC 3339 5.6): an instant, a partial date or an interval
    whose ends may be `..` or empty. Both ends of an interval belong to it. A time of day is cut to its day as written: valid time
    is kept in whole civil days. Raises InputError for anything else, a thirteenth month and an end before its beginning included.
    """
    text = _PLUS.sub(r"\1+", text.strip())
    if "/" not in text:
        if text in ("", ".."):
            raise _wrong(text, name)
        return _days(text, name)
    ends = text.split("/")
    if len(ends) != 2:
        raise _wrong(text, name)
    first = None if ends[0] in ("", "..") else _days(ends[0], name).first
    after = None if ends[1] in ("", "..") else _days(ends[1], name).after
    if (first and after and first >= after) or _is_turned(*ends):
        raise InputError(f"the interval {text[:60]!r} ends before it begins", where=name, remedy="Write the earlier date first")
    return Span(first, after)


def moment(text: str, name: str = "as-of") -> dt.datetime:
    """The instant meant by `as-of`: an RFC 3339 date-time, or a (partial) date, which means the end of that day, month or year
    in the city's time: all that was recorded by then. Without a zone the city's time is meant. Raises InputError."""
    text = _PLUS.sub(r"\1+", text.strip())
    match = _PARTIAL.match(text)
    if not match or "/" in text:
        raise _wrong(text, name)
    if match["time"]:
        try:
            return _instant(text)
        except ValueError:
            raise _wrong(text, name) from None
    after = _days(text, name).after
    if after is None:
        raise _wrong(text, name)
    return dt.datetime.combine(after, dt.time(), CITY_TIME) - dt.timedelta(microseconds=1)
