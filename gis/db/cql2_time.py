"""The temporal functions of CQL2 (OGC 21-065r2, table 8) over moments, days and intervals, literal or of columns.

A day is the stretch from its midnight to its last microsecond (UTC) where it meets a moment, and a whole where it meets days. The ends of
an interval belong to it; an open end ('..') is endless. An empty field makes the comparison unknown, except that the two columns of valid
time are endless within an INTERVAL where they are empty: so their descriptions say.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from psycopg2 import sql

from gis.db import cql2_values as values
from gis.errors import InputError

_END_OF_DAY = dt.time(23, 59, 59, 999_999)

FUNCTIONS = {
    "t_after": "{s1} > {e2}",
    "t_before": "{e1} < {s2}",
    "t_contains": "{s1} < {s2} AND {e1} > {e2}",
    "t_disjoint": "{e1} < {s2} OR {s1} > {e2}",
    "t_during": "{s1} > {s2} AND {e1} < {e2}",
    "t_equals": "{s1} = {s2} AND {e1} = {e2}",
    "t_finishedBy": "{s1} < {s2} AND {e1} = {e2}",
    "t_finishes": "{s1} > {s2} AND {e1} = {e2}",
    "t_intersects": "{s1} <= {e2} AND {e1} >= {s2}",
    "t_meets": "{e1} = {s2}",
    "t_metBy": "{s1} = {e2}",
    "t_overlappedBy": "{s1} > {s2} AND {s1} < {e2} AND {e1} > {e2}",
    "t_overlaps": "{s1} < {s2} AND {e1} > {s2} AND {e1} < {e2}",
    "t_startedBy": "{s1} = {s2} AND {e1} > {e2}",
    "t_starts": "{s1} = {s2} AND {e1} < {e2}",
}
"""Each function by the start and end of its two arguments (s1, e1, s2, e2)."""
_EITHER = ("t_after", "t_before", "t_disjoint", "t_equals", "t_intersects")
"""They take moments and intervals; the others relate intervals, a moment may only be what lies within (t_during, t_contains)."""


@dataclass(frozen=True)
class _End:
    """The start or the end of an argument: a column, a literal, or open (both None)."""

    is_start: bool
    column: str | None = None
    literal: values.Moment | None = None
    endless: bool = False
    """An empty field is an open end."""


@dataclass(frozen=True)
class _Argument:
    start: _End
    end: _End
    is_interval: bool


def condition(op: str, left, right, *, column: Callable, kind: Callable, identifier: Callable, bind: Callable) -> sql.Composable:
    """The condition of one function. column: node → name of the column or None; kind: name → `day`, `moment` or another;
    identifier: name → SQL; bind: (value, SQL type) → SQL. Raises InputError."""
    first, second = (_argument(op, node, column, kind) for node in (left, right))
    ends = (first.start, first.end, second.start, second.end)
    _require_shape(op, first, second)
    by_day = all(end.literal is None or not isinstance(end.literal, dt.datetime) for end in ends)
    by_day = by_day and all(end.column is None or kind(end.column) == "day" for end in ends)
    written = _day if by_day else _moment
    named = {name: written(end, kind, identifier, bind) for name, end in zip(("s1", "e1", "s2", "e2"), ends, strict=True)}
    return sql.SQL("({})").format(sql.SQL(FUNCTIONS[op]).format(**named))


def _argument(op: str, node, column: Callable, kind: Callable) -> _Argument:
    name = column(node)
    if name is not None:
        _require_time(op, name, kind)
        return _Argument(_End(True, name), _End(False, name), False)
    match node:
        case {"interval": [first, last]} if column(first) is not None or column(last) is not None:
            return _Argument(_end(op, first, True, column, kind), _end(op, last, False, column, kind), True)
    span = values.span(node)
    return _Argument(_End(True, literal=span.start), _End(False, literal=span.end), span.is_interval)


def _end(op: str, node, is_start: bool, column: Callable, kind: Callable) -> _End:
    name = column(node)
    if name is not None:
        _require_time(op, name, kind)
        return _End(is_start, name, endless=name == ("valid_from" if is_start else "valid_to"))
    return _End(is_start, literal=None if node == ".." else values.moment(node))


def _require_time(op: str, name: str, kind: Callable) -> None:
    if kind(name) not in ("day", "moment"):
        raise InputError(f"{op} compares dates and timestamps", where=name)


def _require_shape(op: str, first: _Argument, second: _Argument) -> None:
    """Raises InputError where a moment stands for an interval."""
    if op in _EITHER:
        return
    if (not second.is_interval and op != "t_contains") or (not first.is_interval and op != "t_during"):
        raise InputError(f"{op} takes an INTERVAL", remedy="INTERVAL('2020-01-01','..'), or INTERVAL(valid_from, valid_to)")


def _day(end: _End, kind: Callable, identifier: Callable, bind: Callable) -> sql.Composable:
    """An end among days."""
    open_ = sql.SQL(f"'{'-' if end.is_start else ''}infinity'::date")
    if end.column is None:
        return open_ if end.literal is None else bind(end.literal, "date")
    found = identifier(end.column)
    return sql.SQL("coalesce({}, {})").format(found, open_) if end.endless else found


def _moment(end: _End, kind: Callable, identifier: Callable, bind: Callable) -> sql.Composable:
    """An end among moments: of a day its first or its last."""
    open_ = sql.SQL(f"'{'-' if end.is_start else ''}infinity'::timestamptz")
    if end.column is None:
        if end.literal is None:
            return open_
        at = end.literal
        if not isinstance(at, dt.datetime):
            at = dt.datetime.combine(at, dt.time() if end.is_start else _END_OF_DAY, dt.UTC)
        return bind(at, "timestamptz")
    found = identifier(end.column)
    if kind(end.column) == "day":
        whole = "{}::timestamp AT TIME ZONE 'UTC'" if end.is_start else "({} + 1)::timestamp AT TIME ZONE 'UTC' - interval '1 microsecond'"
        found = sql.SQL(f"({whole})").format(found)
    return sql.SQL("coalesce({}, {})").format(found, open_) if end.endless else found
