"""The SQL of features: which rows of a layer, in which order, written as which JSON. Names come from the layer file, values are bound."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass, field
from functools import lru_cache

from psycopg2 import sql

from gis import crs as systems
from gis.access import rights
from gis.access.identity import caller
from gis.api import cursor as paging
from gis.api.boxes import Area, Target
from gis.api.temporal import Span
from gis.catalog import quote
from gis.catalog.model import Column, Layer
from gis.errors import InputError

GREATEST_INT = 2**63 - 1


class Statement:
    """An SQL statement in the making: hands out placeholders and keeps what is bound to them."""

    def __init__(self) -> None:
        self.parameters: dict[str, object] = {}

    def bind(self, value: object, sql_type: str) -> sql.Composable:
        """The placeholder of a value, cast to a type of PostgreSQL."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return sql.SQL(f"%({name})s::{sql_type}")


def fixed(composed: sql.Composable) -> sql.SQL:
    """A part of statements that never changes, written out once: identifiers are the layer files' own plain names."""
    if isinstance(composed, sql.Composed):
        return sql.SQL("".join(fixed(part).string for part in composed.seq))
    if isinstance(composed, sql.Identifier):
        return sql.SQL(quote.name(*composed.strings))
    if isinstance(composed, sql.Literal) and isinstance(composed.wrapped, int):
        return sql.SQL(str(composed.wrapped))
    if isinstance(composed, sql.SQL):
        return composed
    raise TypeError(f"{type(composed).__name__} is not fixed")


@lru_cache(maxsize=512)
def _read(names: tuple[str, ...]) -> sql.SQL:
    """The columns that a role may read: the grants are per column, `*` would be refused."""
    return sql.SQL(quote.names((*names, "geom")))


@dataclass
class Wanted:
    """Which features a caller wants. `equal`: (column, text as it came) pairs; `filtered`: a CQL2 condition with its parameters."""

    layer: Layer
    columns: dict[str, Column]
    """The columns that the caller sees."""
    area: Area | None = None
    span: Span | None = None
    as_of: dt.datetime | None = None
    equal: list[tuple[str, str]] = field(default_factory=list)
    filtered: tuple[sql.Composable, dict] | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether anything is asked for but all features of today."""
        return bool(self.area or self.is_filtered)

    @property
    def is_filtered(self) -> bool:
        """Whether anything is asked for but all features of today in an area."""
        return bool(self.span or self.as_of or self.equal or self.filtered)


def typed(name: str, column: Column, text: str) -> object:
    """The value that a query parameter means for a column of this type. Raises InputError (`?diameter_mm=abc`)."""
    try:
        if column.type == "int":
            if re.fullmatch(r"[+-]?[0-9]{1,19}", text) and abs(int(text)) <= GREATEST_INT:
                return int(text)
        elif column.type == "real":
            if math.isfinite(value := float(text)) and "_" not in text:
                return value
        elif column.type == "bool":
            if text.lower() in ("true", "false"):
                return text.lower() == "true"
        elif column.type == "date":
            if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                return dt.date.fromisoformat(text)
        elif column.type == "timestamp":
            value = dt.datetime.fromisoformat(text.replace(" ", "+"))
            return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        elif "\0" not in text:
            return text
    except (ValueError, OverflowError):
        pass
    kinds = {
        "int": "a whole number",
        "real": "a number",
        "bool": "true or false",
        "date": "a date like 2024-05-01",
        "timestamp": "a time like 2024-05-01T12:00:00Z",
    }
    raise InputError(f"{text[:60]!r} is not {kinds.get(column.type, 'a text')}", where=name)


def relation(layer: Layer, as_of: dt.datetime | None) -> sql.Composable:
    """The view to read: today's belief, or all beliefs with the times between which they were held."""
    return sql.Identifier("pub", view_of(layer, as_of))


def view_of(layer: Layer, as_of: dt.datetime | None) -> str:
    """The name of `relation` in its schema."""
    return layer.id if as_of is None else f"{layer.id}_history"


def condition(wanted: Wanted, statement: Statement) -> sql.Composable:
    """The WHERE condition of what is wanted (TRUE where all is)."""
    parts: list[sql.Composable] = []
    if left := rights.condition(wanted.layer, caller.get().role):
        parts.append(left[0])
        statement.parameters.update(left[1])
    if wanted.area:
        parts += _within(wanted.area, wanted.layer, statement)
    if wanted.span:
        parts += _in_service(wanted.span, statement)
    if wanted.as_of:
        known = statement.bind(wanted.as_of, "timestamptz")
        parts.append(sql.SQL("recorded_from <= {0} AND (recorded_to IS NULL OR recorded_to > {0})").format(known))
    for name, text in wanted.equal:
        column = wanted.columns[name]
        value = statement.bind(typed(name, column, text), paging.SQL_TYPE["text" if column.type == "texts" else column.type])
        parts.append(sql.SQL("{} = ANY({})" if column.type == "texts" else "{1} = {0}").format(value, sql.Identifier(name)))
    if wanted.filtered:
        filter_sql, parameters = wanted.filtered
        statement.parameters.update(parameters)
        parts.append(filter_sql)
    return sql.SQL(" AND ").join(parts) if parts else _ALL


_ALL = sql.SQL("TRUE")
_WITHIN = sql.SQL("geom && %(outline)s::geometry AND ST_Intersects(geom, %(outline)s::geometry)")


def _within(area: Area, layer: Layer, statement: Statement) -> list[sql.Composable]:
    """`&&` finds by the index and stays index-backed under row security; ST_Intersects is exact (boxes of the index are float4)."""
    statement.parameters["outline"] = area.outline.hex()
    parts = [_WITHIN]
    if area.low is not None and layer.geometry.endswith("Z"):
        parts.append(
            sql.SQL("ST_ZMax(geom) >= {} AND ST_ZMin(geom) <= {}").format(
                statement.bind(area.low, "double precision"), statement.bind(area.high, "double precision")
            )
        )
    return parts


def _in_service(span: Span, statement: Statement) -> list[sql.Composable]:
    """Valid time is half-open: [valid_from, valid_to) meets [first, after)."""
    parts = []
    if span.after is not None:
        parts.append(sql.SQL("(valid_from IS NULL OR valid_from < {})").format(statement.bind(span.after, "date")))
    if span.first is not None:
        parts.append(sql.SQL("(valid_to IS NULL OR valid_to > {})").format(statement.bind(span.first, "date")))
    return parts


def feature_id(layer: Layer) -> sql.Composable:
    """The id of a feature: the values of its key joined by ':'."""
    return sql.SQL(" || ':' || ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in layer.key)


def coordinates(target: Target) -> sql.Composable:
    """The geometry in the CRS that goes out, axes as its authority orders them."""
    geometry: sql.Composable = sql.SQL("geom")
    if target.srid is not None:
        # CGCS2000 and WGS 84 are one here; PROJ must not look for a way between them.
        stored = "ST_SetSRID(geom, 4326)" if target.srid == systems.WEB_MERCATOR else "geom"
        geometry = sql.SQL(f"ST_Transform({stored}, {int(target.srid)})")
    return sql.SQL("ST_FlipCoordinates({})").format(geometry) if target.flipped else geometry


def geojson(layer: Layer, target: Target, *, geometry: bool = True) -> sql.Composable:
    """The geometry of a row as GeoJSON text; digits keep the layer's precision; no crs member (RFC 7946, 4)."""
    if not geometry or layer.is_raster:
        return sql.SQL("NULL::text")
    digits = target.decimals(layer.survey)
    return sql.SQL("ST_AsGeoJSON({}, {}, 0)").format(coordinates(target), sql.Literal(digits))


def page(
    wanted: Wanted,
    sort: paging.Sort,
    columns: sql.SQL,
    statement: Statement,
    *,
    limit: int,
    offset: int = 0,
    after: list | None = None,
) -> sql.Composable:
    """The statement of one page: rows of `columns` (a select list over `f`), one row more than the limit where there is more."""
    where = condition(wanted, statement)
    if after is not None:
        where = sql.SQL("{} AND {}").format(where, paging.behind(sort, after, wanted.columns, statement.bind))
    head, tail = _around(columns.string, tuple(wanted.columns), view_of(wanted.layer, wanted.as_of), sort, limit, offset)
    return sql.Composed([head, where, tail])


@lru_cache(maxsize=512)
def _around(columns: str, names: tuple[str, ...], view: str, sort: paging.Sort, limit: int, offset: int) -> tuple[sql.SQL, sql.SQL]:
    """What stands before and behind the condition of a page: the same for all of its kind."""
    head = sql.SQL("SELECT {} FROM (SELECT {} FROM {} WHERE ").format(sql.SQL(columns), _read(names), sql.Identifier("pub", view))
    tail = sql.SQL(" ORDER BY {} LIMIT {} OFFSET {}) AS f ORDER BY {}").format(
        sort.order_by(), sql.Literal(limit + 1), sql.Literal(offset), sort.order_by("f")
    )
    return fixed(head), fixed(tail)


def few(wanted: Wanted, sort: paging.Sort, columns: sql.SQL, statement: Statement, *, limit: int) -> sql.Composable:
    """The statement of all rows that are wanted, if they are no more than `limit`; of one row more than that, whichever they are, where
    there are more. It is the same for all limits."""
    most = statement.bind(limit + 1, "bigint")
    return sql.SQL("SELECT {} FROM (SELECT {} FROM {} WHERE {} LIMIT {}) AS f ORDER BY {}").format(
        columns, _read(tuple(wanted.columns)), relation(wanted.layer, wanted.as_of), condition(wanted, statement), most, sort.order_by("f")
    )


def count(wanted: Wanted, statement: Statement) -> sql.Composable:
    """The statement that counts exactly what is wanted."""
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(relation(wanted.layer, wanted.as_of), condition(wanted, statement))


def rows(wanted: Wanted, statement: Statement) -> sql.Composable:
    """The bare rows of what is wanted: for the planner's estimate of how many there are."""
    return sql.SQL("SELECT 1 FROM {} WHERE {}").format(relation(wanted.layer, wanted.as_of), condition(wanted, statement))


def one(
    layer: Layer, seen: dict[str, Column], identifier: str, as_of: dt.datetime | None, columns: sql.Composable, statement: Statement
) -> sql.Composable | None:
    """The statement of the feature with this id, `columns` a select list over `f`, in which `fid` and `batch` are found too; None where
    no key can be read from the id."""
    named = is_named(layer, seen, identifier, statement)
    if named is None:
        return None
    wanted = Wanted(layer, seen, as_of=as_of)
    return sql.SQL("SELECT {} FROM (SELECT {}, fid, batch FROM {} WHERE ({}) AND {} LIMIT 1) AS f").format(
        columns, _read(tuple(seen)), relation(layer, as_of), named, condition(wanted, statement)
    )


def is_named(layer: Layer, seen: dict[str, Column], identifier: str, statement: Statement) -> sql.Composable | None:
    """The condition that a row has this id; None where no key can be read from it. A key value may itself hold a ':', so every way to
    cut the id is asked for (there is seldom more than one)."""
    ways = []
    for values in cuts(identifier, len(layer.key)):
        try:
            known = [typed(name, seen[name], value) for name, value in zip(layer.key, values, strict=True)]
        except InputError:
            continue
        ways.append(
            sql.SQL("({})").format(
                sql.SQL(" AND ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), statement.bind(value, paging.SQL_TYPE[seen[name].type]))
                    for name, value in zip(layer.key, known, strict=True)
                )
            )
        )
    return sql.SQL(" OR ").join(ways) if ways else None


def cuts(identifier: str, parts: int) -> list[list[str]]:
    """All ways to cut an id at its colons into so many parts, at most 64."""
    pieces = identifier.split(":")
    if parts == 1:
        return [[identifier]]
    if len(pieces) < parts or len(pieces) > 64:
        return []
    found = []
    for first in range(1, len(pieces) - parts + 2):
        head = ":".join(pieces[:first])
        found += [[head, *rest] for rest in cuts(":".join(pieces[first:]), parts - 1)]
    return found[:64]
