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
from gis.db import cql2_time
from gis.db import cql2_values as values
from gis.errors import InputError

LANGUAGES = ("cql2-text", "cql2-json", "cql-text")
"""What `filter-lang` may say; the last is the name before the standard, which GDAL uses."""
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
    "s_equals": "ST_Equals",
    "s_touches": "ST_Touches",
    "s_crosses": "ST_Crosses",
    "s_overlaps": "ST_Overlaps",
}
_ARRAYS = {
    "a_equals": "({0} @> {1} AND {0} <@ {1})",
    "a_contains": "({0} @> {1})",
    "a_containedBy": "({0} <@ {1})",
    "a_overlaps": "({0} && {1})",
}
"""Lists are compared as sets: neither order nor repetition counts (7.9)."""
_FOLDS = {"casei": "lower({})", "accenti": "regexp_replace(normalize({}, NFD), U&'[\\0300-\\036F]', '', 'g')"}
"""Case, and the marks that stand for themselves once a letter is taken apart (tones of Pinyin, accents)."""
GEOMETRY_NAMES = ("geom", "geometry")
_LITERAL = re.compile(r"('(?:[^']|'')*')")
_CONTROLS = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_ESCAPE = re.compile(r"\\(?:\\|([abtnvfr]))")
_ILIKE = re.compile(r'("(?:[^"]|"")+"|[^\W\d][\w.:]*)\s+(not\s+)?ilike\s*$', re.IGNORECASE)


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
    text = _respelt(text)
    _refuse_deep(text)
    try:
        return cql2_parser.parse_text(text).to_json()
    except (cql2_parser.ParseError, ValueError, TypeError, RecursionError) as error:
        raise InputError("the filter is not CQL2", where=_place(str(error)), remedy=_hint(text)) from None


def _respelt(text: str) -> str:
    """The text as the parser reads it: control characters within literals that are written as \\t and the like, and \\' for a quote
    (/req/cql2-text/escaping); ILIKE, which GDAL writes, as LIKE of both in one case."""
    parts = _LITERAL.split(text)
    if len(parts) == 1:
        return text
    if "\\'" in text and "'" in parts[-1]:  # a literal does not end where it seems to: \' stands for a quote
        parts = _LITERAL.split(re.sub(r"(?<!\\)\\'", "''", text))
    for i in range(0, len(parts) - 1, 2):
        parts[i + 1] = _ESCAPE.sub(lambda found: _CONTROLS.get(found[1], found[0]), parts[i + 1])
        if found := _ILIKE.search(parts[i]):
            parts[i] = f"{parts[i][: found.start()]}CASEI({found[1]}) {found[2] or ''}LIKE "
            parts[i + 1] = f"CASEI({parts[i + 1]})"
    return "".join(parts)


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
        """The type of the column that a node holds, bare or within casei or accenti; None where it holds none."""
        if isinstance(node, dict) and node.get("op") in _FOLDS:
            return self.type_of(_exactly(node["op"], node.get("args"), 1)[0])
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
        if op in cql2_time.FUNCTIONS:
            return self.temporal(op, *_exactly(op, args, 2))
        if op in _ARRAYS:
            return self.arrays(op, *_exactly(op, args, 2))
        if op == "between":
            return sql.SQL("({} BETWEEN {} AND {})").format(*self.sides(_exactly(op, args, 3)))
        special = {"in": (self.among, 2), "like": (self.like, 2), "isNull": (self.is_null, 1)}
        if op in special:
            write, count = special[op]
            return write(*_exactly(op, args, count))
        raise InputError(f"operator {op[:40]!r} is not understood", remedy="See the conformance classes of this server")

    def sides(self, nodes: list) -> list[sql.Composable]:
        """Values that are compared with each other, all of one kind: that of the first property among them, or of the first value."""
        types = [found for node in nodes if (found := self.type_of(node))] or [_type_of_value(nodes[0])]
        sides = [self.side(node, types[0]) for node in nodes]
        if {side.kind for side in sides} == {"day", "moment"}:
            sides = [side.at_midnight() for side in sides]
        kinds = {side.kind for side in sides}
        if len(kinds) > 1 or "list" in kinds:
            raise InputError(f"a {types[0]} property cannot be compared so", where=" / ".join(map(_shown, nodes)))
        return [side.sql for side in sides]

    def side(self, node, wanted: str) -> _Side:
        """A value; `wanted` is the type of the column that it is compared with."""
        if isinstance(node, dict) and (fold := node.get("op")) in _FOLDS:
            inner = self.side(_exactly(fold, node.get("args"), 1)[0], wanted)
            if inner.kind != "text":
                raise InputError(f"{fold} takes a text")
            return _Side(sql.SQL(_FOLDS[fold]).format(inner.sql), "text")
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
        text = _unfolded(pattern)
        if not isinstance(text, str) or (self.type_of(node) or _type_of_value(node)) not in ("text", "code"):
            raise InputError("LIKE compares a text property with a 'pattern'", where=_shown(node))
        if (len(text) - len(text.rstrip("\\"))) % 2:
            raise InputError("a LIKE pattern ends with a single backslash", remedy="Double it")
        return sql.SQL("({} LIKE {})").format(*self.sides([node, pattern]))

    def is_null(self, node) -> sql.Composable:
        if self.is_geometry(node) and not self.layer.is_raster:
            return sql.SQL("({} IS NULL)").format(self.identifier("geom"))
        name = self.column(node)
        if name is None:
            raise InputError("IS NULL asks about a property", where=_shown(node))
        return sql.SQL("({} IS NULL)").format(self.identifier(name))

    def spatial(self, op: str, left, right) -> sql.Composable:
        """Always with && so that the index serves under row security too (&& is not leak-proof inside the function)."""
        if self.layer.is_raster:
            raise InputError(f"{op} compares the geometry of the layer with a given one", remedy=f"{op}(geom, POINT(117 32))")
        one, other = self.shape(op, left), self.shape(op, right)
        test = sql.SQL("({one} && {other} AND {function}({one}, {other}))").format(one=one, other=other, function=sql.SQL(_SPATIAL[op]))
        return sql.SQL("(NOT {})").format(test) if op == "s_disjoint" else test

    def shape(self, op: str, node) -> sql.Composable:
        """The geometry of the layer, or a given one. Raises InputError for anything else."""
        if self.is_geometry(node):
            return self.identifier("geom")
        if self.column(node) is not None:
            raise InputError(f"{op} compares the geometry of the layer with a given one", remedy=f"{op}(geom, POINT(117 32))")
        return self.bind(values.ewkb_hex(values.of_one_kind(op, values.geometry(node, self.filter_crs))), "geometry")

    def is_geometry(self, node) -> bool:
        return isinstance(node, dict) and len(node) == 1 and node.get("property") in GEOMETRY_NAMES

    def temporal(self, op: str, left, right) -> sql.Composable:
        return cql2_time.condition(
            op,
            left,
            right,
            column=self.column,
            kind=lambda name: _KIND[self.visible[name].type],
            identifier=self.identifier,
            bind=self.bind,
        )

    def arrays(self, op: str, left, right) -> sql.Composable:
        """A list of texts against another, as sets."""
        return sql.SQL(_ARRAYS[op]).format(*(self.list_of(op, node) for node in (left, right)))

    def list_of(self, op: str, node) -> sql.Composable:
        if (name := self.column(node)) is not None:
            if _KIND[self.visible[name].type] != "list":
                raise InputError(f"property {name!r} is no list", where=op, remedy="Compare it with = or IN")
            return self.identifier(name)
        if not isinstance(node, list) or len(node) > MAX_LIST or not all(isinstance(one, str) for one in node):
            raise InputError(f"{op} takes a list of at most {MAX_LIST:,} texts", where=_shown(node), remedy="('a', 'b')")
        return self.bind([_clean(one) for one in node], "text[]")


def _unfolded(node):
    """What stands within casei and accenti."""
    while isinstance(node, dict) and node.get("op") in _FOLDS:
        node = _exactly(node["op"], node.get("args"), 1)[0]
    return node


def _type_of_value(node) -> str:
    """The type of a column that a literal could stand in. Raises InputError for what is no plain value."""
    match _unfolded(node):
        case bool():
            return "bool"
        case int() | float():
            return "real"
        case str():
            return "text"
        case {"date": _}:
            return "date"
        case {"timestamp": _}:
            return "timestamp"
    raise InputError("a comparison needs a property or a plain value", where=_shown(node))


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
