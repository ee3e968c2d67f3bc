"""CQL2 (OGC 21-065r2) to an SQL condition: a whitelist over the columns of a layer that the caller may see.

The text is parsed by the package `cql2`; what it allows is narrowed here: every operator is listed, every property
must be a visible column, every literal is bound, never written into the SQL. What is not understood is refused.
Null follows SQL: a comparison with an empty field is unknown, and a row for which the filter is unknown is left out.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass

import cql2 as cql2_parser
import orjson
from psycopg2 import sql

from gis.catalog.model import Layer
from gis.db import cql2_values as values
from gis.errors import InputError

MAX_TEXT = 65_536
MAX_DEPTH = 32
MAX_NODES = 2_000
MAX_LIST = 1_000
EXACT_INTEGER = 2**53

_KIND = {
    "text": "text", "code": "text", "int": "number", "real": "number",
    "bool": "bool", "date": "day", "timestamp": "moment", "texts": "list",
}  # fmt: skip
_CAST = {"text": "text", "number": "double precision", "bool": "boolean", "day": "date", "moment": "timestamptz"}
_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
_SPATIAL = {
    "s_intersects": "ST_Intersects",
    "s_within": "ST_Within",
    "s_contains": "ST_Contains",
    "s_disjoint": "ST_Intersects",
}
_SPATIAL_TURNED = {"s_within": "s_contains", "s_contains": "s_within"}
_TEMPORAL = ("t_after", "t_before", "t_during", "t_intersects", "t_disjoint", "t_equals")
_TEMPORAL_TURNED = {"t_after": "t_before", "t_before": "t_after"}
GEOMETRY_NAMES = ("geom", "geometry")


def where(
    text_or_json: str | dict, layer: Layer, columns: set[str], *, filter_crs: str = "CRS84", alias: str | None = None
) -> tuple[sql.Composable, dict]:
    """The condition of a CQL2 filter on a layer, and the parameters to bind (named cql0, cql1, …).

    text_or_json: CQL2 text, CQL2 JSON as text or as an object. columns: the columns the caller may see; a column
    outside it is answered like one that does not exist. A property may also be named by its
    Chinese title, in double quotes.
    filter_crs: CRS84, EPSG:n or its URI, axes as its authority orders them. alias: the table's alias in the query.
    Raises InputError for everything that is not understood, too deep or too large.
    """
    tree = parsed(text_or_json)
    writer = _Writer(layer, columns, filter_crs, alias)
    return writer.condition(tree, 0), writer.params


def parsed(text_or_json: str | dict) -> dict | bool:
    """The filter as CQL2 JSON. Raises InputError with the place where the text cannot be read."""
    if isinstance(text_or_json, (dict, bool)):
        return text_or_json
    if not isinstance(text_or_json, str):
        raise InputError("a filter is a CQL2 text or object")
    text = text_or_json.strip()
    if not text:
        raise InputError("the filter is empty")
    if len(text) > MAX_TEXT:
        raise InputError(f"the filter is longer than {MAX_TEXT:,} characters")
    if "\0" in text:
        raise InputError("the filter holds a NUL character")
    if text.startswith("{"):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            raise InputError("the filter is not JSON") from None
    _refuse_deep(text)
    try:
        return cql2_parser.parse_text(text).to_json()
    except (cql2_parser.ParseError, ValueError, TypeError, RecursionError) as error:
        raise InputError("the filter is not CQL2", where=_place(str(error)), remedy=_hint(text)) from None


def _refuse_deep(text: str) -> None:
    """The parser recurses on the machine stack, so depth is measured before it sees the text."""
    bare = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", "_", text)
    depth = deepest = 0
    for char in bare:
        depth += (char == "(") - (char == ")")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH or len(re.findall(r"\bnot\b", bare, re.IGNORECASE)) > MAX_NODES:
        raise InputError(f"the filter is nested deeper than {MAX_DEPTH}")
    if re.search(r"\^|-\s*-|(\bnot\s+){8}", bare, re.IGNORECASE):
        raise InputError("the filter holds arithmetic or a chain of NOT, which are not understood here")


def _place(message: str) -> str:
    found = re.search(r"-->\s*(\d+):(\d+)", message)
    return f"line {found[1]}, character {found[2]}" if found else ""


def _hint(text: str) -> str:
    if "==" in text or "!=" in text:
        return "CQL2 writes = and <>"
    return "Texts stand in 'single quotes', a quote within doubled; names other than a-z in \"double quotes\""


@dataclass(frozen=True)
class _Side:
    """One side of a comparison: its SQL, and its kind (text, number, bool, day, moment, list)."""

    sql: sql.Composable
    kind: str

    def at_midnight(self) -> _Side:
        """A day as the moment that begins it in UTC, so that the session's time zone plays no part."""
        if self.kind != "day":
            return self
        return _Side(sql.SQL("({}::timestamp AT TIME ZONE 'UTC')").format(self.sql), "moment")


class _Writer:
    """Writes the condition and collects the parameters; knows what the caller may see."""

    def __init__(self, layer: Layer, columns: set[str], filter_crs: str, alias: str | None):
        self.layer, self.filter_crs, self.alias = layer, filter_crs, alias
        self.visible = {name: column for name, column in layer.columns.items() if name in columns}
        titles = [column.title.zh for column in self.visible.values()]
        self.by_title = {c.title.zh: name for name, c in self.visible.items() if titles.count(c.title.zh) == 1}
        self.params: dict[str, object] = {}
        self.nodes = 0

    def bind(self, value, kind: str) -> sql.Composable:
        name = f"cql{len(self.params)}"
        self.params[name] = value
        return sql.SQL("{}::" + kind).format(sql.Placeholder(name))

    def identifier(self, name: str) -> sql.Composable:
        return sql.Identifier(self.alias, name) if self.alias else sql.Identifier(name)

    def column(self, node) -> str | None:
        """The column that {property} names, None for any other node. Raises InputError where there is no such."""
        if not isinstance(node, dict) or "property" not in node:
            return None
        name = node["property"]
        if not isinstance(name, str) or len(node) != 1:
            raise InputError("a property is named by a text")
        found = name if name in self.visible else self.by_title.get(name)
        if found is None:
            known = ", ".join(self.visible)
            raise InputError(f"layer {self.layer.id} has no property {name[:60]!r}", remedy=f"It has {known}"[:600])
        return found

    def type_of(self, node) -> str | None:
        """The type of the column that a node holds, bare or within casei; None where it holds none."""
        if isinstance(node, dict) and node.get("op") == "casei":
            return self.type_of(_exactly("casei", node.get("args"), 1)[0])
        name = self.column(node)
        return None if name is None else self.visible[name].type

    def condition(self, node, depth: int) -> sql.Composable:
        """A Boolean expression."""
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise InputError(f"the filter is nested deeper than {MAX_DEPTH} or has more than {MAX_NODES:,} parts")
        if isinstance(node, bool):
            return sql.SQL("TRUE" if node else "FALSE")
        if (name := self.column(node)) is not None:
            if self.visible[name].type != "bool":
                raise InputError(f"property {name!r} alone is no condition", remedy="Compare it with something")
            return self.identifier(name)
        if not isinstance(node, dict) or set(node) != {"op", "args"} or not isinstance(node["args"], list):
            raise InputError("a condition is wanted here", where=_shown(node))
        return self.operation(str(node["op"]), node["args"], depth)

    def operation(self, op: str, args: list, depth: int) -> sql.Composable:
        if op in ("and", "or"):
            if len(args) < 2:
                raise InputError(f"{op} joins two conditions or more")
            parts = [self.condition(arg, depth + 1) for arg in args]
            return sql.SQL("({})").format(sql.SQL(f" {op.upper()} ").join(parts))
        if op == "not":
            return sql.SQL("(NOT {})").format(self.condition(_exactly(op, args, 1)[0], depth + 1))
        if op in _COMPARISONS:
            return sql.SQL(f"({{}} {op} {{}})").format(*self.sides(_exactly(op, args, 2)))
        if op in _SPATIAL:
            return self.spatial(op, *_exactly(op, args, 2))
        if op in _TEMPORAL:
            return self.temporal(op, *_exactly(op, args, 2))
        if op == "between":
            return sql.SQL("({} BETWEEN {} AND {})").format(*self.sides(_exactly(op, args, 3)))
        special = {"in": (self.among, 2), "like": (self.like, 2), "isNull": (self.is_null, 1)}
        if op in special:
            write, count = special[op]
            return write(*_exactly(op, args, count))
        raise InputError(f"operator {op[:40]!r} is not understood", remedy="See the conformance classes of this server")

    def sides(self, nodes: list) -> list[sql.Composable]:
        """Values that are compared with each other, all of one kind, at least one of them a property."""
        types = [found for node in nodes if (found := self.type_of(node))]
        if not types:
            raise InputError("a comparison needs a property", where=_shown(nodes[0]))
        sides = [self.side(node, types[0]) for node in nodes]
        if {side.kind for side in sides} == {"day", "moment"}:
            sides = [side.at_midnight() for side in sides]
        kinds = {side.kind for side in sides}
        if len(kinds) > 1 or "list" in kinds:
            raise InputError(f"a {types[0]} property cannot be compared so", where=" / ".join(map(_shown, nodes)))
        return [side.sql for side in sides]

    def side(self, node, wanted: str) -> _Side:
        """A value; `wanted` is the type of the column that it is compared with."""
        if isinstance(node, dict) and node.get("op") == "casei":
            inner = self.side(_exactly("casei", node.get("args"), 1)[0], wanted)
            if inner.kind != "text":
                raise InputError("casei takes a text")
            return _Side(sql.SQL("lower({})").format(inner.sql), "text")
        if (name := self.column(node)) is not None:
            return _Side(self.identifier(name), _KIND[self.visible[name].type])
        if node is None:
            raise InputError("nothing equals null", remedy="Write: name IS NULL")
        if isinstance(node, bool):
            return _Side(self.bind(node, "boolean"), "bool")
        if isinstance(node, (int, float)):
            return _Side(self.number(node, wanted), "number")
        if isinstance(node, str) and _KIND[wanted] not in ("day", "moment"):
            return _Side(self.bind(_clean(node), "text"), "text")
        if isinstance(node, str) or (isinstance(node, dict) and set(node) in ({"date"}, {"timestamp"})):
            value = values.moment(node)
            kind = "moment" if isinstance(value, dt.datetime) else "day"
            return _Side(self.bind(value, _CAST[kind]), kind)
        raise InputError("a property or a plain value is wanted here", where=_shown(node))

    def number(self, value: float, wanted: str) -> sql.Composable:
        if not math.isfinite(value) or (wanted == "int" and abs(value) >= EXACT_INTEGER):
            raise InputError("a number is too large", where=f"{value:g}")
        if wanted == "int" and float(value).is_integer():
            return self.bind(int(value), "bigint")
        return self.bind(float(value), "double precision")

    def among(self, node, items) -> sql.Composable:
        if not isinstance(items, list) or not 1 <= len(items) <= MAX_LIST:
            raise InputError(f"IN takes a list of 1 to {MAX_LIST:,} values")
        first, *rest = self.sides([node, *items])
        return sql.SQL("({} IN ({}))").format(first, sql.SQL(", ").join(rest))

    def like(self, node, pattern) -> sql.Composable:
        folded = isinstance(pattern, dict) and pattern.get("op") == "casei"
        text = _exactly("casei", pattern.get("args"), 1)[0] if folded else pattern
        if not isinstance(text, str) or self.type_of(node) not in ("text", "code"):
            raise InputError("LIKE compares a text property with a 'pattern'", where=_shown(node))
        if (len(text) - len(text.rstrip("\\"))) % 2:
            raise InputError("a LIKE pattern ends with a single backslash", remedy="Double it")
        return sql.SQL("({} LIKE {})").format(*self.sides([node, pattern]))

    def is_null(self, node) -> sql.Composable:
        name = self.column(node)
        if name is None:
            raise InputError("IS NULL asks about a property", where=_shown(node))
        return sql.SQL("({} IS NULL)").format(self.identifier(name))

    def spatial(self, op: str, left, right) -> sql.Composable:
        """Always with && so that the index serves under row security too (&& is not leak-proof inside the function)."""
        if self.is_geometry(right):
            op, left, right = _SPATIAL_TURNED.get(op, op), right, left
        if self.layer.is_raster or not self.is_geometry(left):
            raise InputError(
                f"{op} compares the geometry of the layer with a given one", remedy=f"{op}(geom, POINT(117 32))"
            )
        literal = self.bind(values.ewkb_hex(values.geometry(right, self.filter_crs)), "geometry")
        geom = self.identifier("geom")
        test = sql.SQL("({geom} && {literal} AND {function}({geom}, {literal}))").format(
            geom=geom, literal=literal, function=sql.SQL(_SPATIAL[op])
        )
        return sql.SQL("(NOT {})").format(test) if op == "s_disjoint" else test

    def is_geometry(self, node) -> bool:
        return isinstance(node, dict) and len(node) == 1 and node.get("property") in GEOMETRY_NAMES

    def temporal(self, op: str, left, right) -> sql.Composable:
        """A date or timestamp column against a moment or an interval; a day lasts from midnight to midnight (UTC)."""
        if self.column(right) is not None:
            if op == "t_during":
                raise InputError("t_during takes a property first, then an INTERVAL")
            op, left, right = _TEMPORAL_TURNED.get(op, op), right, left
        name = self.column(left)
        kind = None if name is None else _KIND[self.visible[name].type]
        if kind not in ("day", "moment"):
            raise InputError(f"{op} compares a date or timestamp property with a moment", where=_shown(left))
        span = values.span(right)
        if span.is_interval == (op == "t_equals") and op in ("t_equals", "t_during"):
            raise InputError(f"{op} takes {'a moment' if op == 't_equals' else 'an INTERVAL'}")
        return self.in_span(op, self.identifier(name), *_bounds(span, kind), _CAST[kind])

    def in_span(self, op: str, column, start, end, closed: bool, cast: str) -> sql.Composable:
        """`start`: the first day or moment; `end`: the last (closed) or the next midnight; None is open.

        An open end compares the column with itself, so that an empty field stays unknown.
        """
        never, ever = (sql.SQL(f"({{0}} {sign} {{0}})").format(column) for sign in ("<>", "="))
        after = never if end is None else self.than(column, ">" if closed else ">=", end, cast)
        before = never if start is None else self.than(column, "<", start, cast)
        if op in ("t_after", "t_before"):
            return after if op == "t_after" else before
        if op == "t_disjoint":
            return sql.SQL("({} OR {})").format(after, before)
        strict = op == "t_during"
        early = ever if start is None else self.than(column, ">" if strict else ">=", start, cast)
        late = ever if end is None else self.than(column, "<" if strict or not closed else "<=", end, cast)
        return sql.SQL("({} AND {})").format(early, late)

    def than(self, column, op: str, value, cast: str) -> sql.Composable:
        return sql.SQL(f"({{}} {op} {{}})").format(column, self.bind(value, cast))


def _bounds(span: values.Span, kind: str):
    """First value, and last value with whether it is included, as days or as moments of UTC like the column."""
    if kind == "day":
        start, end = (value.date() if isinstance(value, dt.datetime) else value for value in (span.start, span.end))
        return start, end, True
    start, end, closed = span.start, span.end, True
    if start is not None and not isinstance(start, dt.datetime):
        start = dt.datetime.combine(start, dt.time(), dt.UTC)
    if end is not None and not isinstance(end, dt.datetime):
        end, closed = dt.datetime.combine(end, dt.time(), dt.UTC) + dt.timedelta(days=1), False
    return start, end, closed


def _exactly(op: str, args, count: int) -> list:
    if not isinstance(args, list) or len(args) != count:
        raise InputError(f"{op} takes {count} argument{'s' if count > 1 else ''}")
    return args


def _clean(text: str) -> str:
    """A text that PostgreSQL can hold."""
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise InputError("a text holds a character that is none")
    return text


def _shown(node) -> str:
    return str(node)[:60]
