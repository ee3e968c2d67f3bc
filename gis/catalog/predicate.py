"""The SQL conditions of checks, asked of Arrow columns: which rows may be bad.

The SQL of a check (`gis.catalog.checks`) stays the only judge. This is the sieve before it: it reads the same SQL and answers a
superset of the rows for which the SQL is TRUE, a million rows a second; only those few are then shown to the database. What it
does not understand may be true of every row, so a new check is slow at first, never wrong.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_TOKEN = re.compile(
    r"""\s*(?:(?P<exists>EXISTS\ \(SELECT\ FROM\ unnest\(s\."(?P<list>\w+)"\)\ t\ WHERE\ char_length\(t\)\ >\ (?P<most>\d+)\))
    |(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    |(?P<column>s\."(?:\w+)"|s\.\w+)|(?P<name>[A-Za-z_]\w*)|(?P<symbol>::|<=|>=|<>|!=|!~\*|!~|~\*|\|\||[-+*/<>=~(),\[\]&@]+?))""",
    re.VERBOSE,
)
_PLAIN_REGEX = re.compile(r"^(?:\\[.\-+*?()\[\]{}|^$/]|[^\\])*$")
"""A pattern that PostgreSQL and RE2 read alike: no classes by letter, no look-around, no back references."""

_MOST_BYTES = 1 << 26
"""Of a column of texts brought to one width."""


class Unknown(Exception):
    """A part of a condition that this module does not evaluate."""


@dataclass(frozen=True)
class Node:
    """A part of a condition: an operator or `column`, `value`, `unknown`, with its parts."""

    kind: str
    parts: tuple = ()


UNKNOWN = Node("unknown")
"""What may be true of every row."""


def literal(value: str | int | float | bool | dt.date) -> Node:
    """A value as a node; its type is part of it, so that 1, 1.0 and true are three."""
    return Node("value", (value, type(value).__name__))


def columns(node: Node) -> frozenset[str]:
    """The columns that a condition names."""
    if node.kind == "column":
        return frozenset(node.parts)
    return frozenset().union(*(columns(part) for part in node.parts if isinstance(part, Node)))


class Rows:
    """The columns of some rows, with what was already computed of them."""

    def __init__(self, columns: Mapping[str, pa.Array], n: int):
        self.columns, self.n = columns, n
        self._known: dict[Node, pa.Array | pa.Scalar] = {}

    def may_be(self, condition: Node, truth: bool = True) -> np.ndarray:
        """The rows (n,) for which a condition can be TRUE (or FALSE); a NULL is neither."""
        match condition:
            case Node("not", (inner,)):
                return self.may_be(inner, not truth)
            case Node("and" | "or" as kind, (left, right)):
                first = self.may_be(left, truth)
                if (kind == "and") == truth:
                    return first & self.may_be(right, truth) if first.any() else first
                return first | self.may_be(right, truth)
            case Node("coalesce", (inner, _)):
                return self.may_be(inner, True) if truth else self.may_be(inner, False) | ~self.may_be(inner, True)
        try:
            found = self._value(condition)
        except (Unknown, pa.ArrowException):
            return np.ones(self.n, bool)
        if isinstance(found, pa.Scalar):
            return np.full(self.n, found.as_py() is truth)
        wanted = found if truth else pc.invert(found)
        return pc.fill_null(wanted, False).to_numpy(zero_copy_only=False)

    def _value(self, node: Node) -> pa.Array | pa.Scalar:
        if node not in self._known:
            self._known[node] = self._computed(node)
        return self._known[node]

    def _computed(self, node: Node) -> pa.Array | pa.Scalar:
        match node:
            case Node("column", (name,)):
                if name not in self.columns:
                    raise Unknown(name)
                return self.columns[name]
            case Node("value", (value, _)):
                return pa.scalar(value)
            case Node("is null", (inner,)):
                return pc.is_null(self._value(inner))
            case Node("in", (inner, *values)):
                return _in(self._value(inner), values)
            case Node("matches", (inner, Node("value", (pattern, _)))):
                return pc.match_substring_regex(self._value(inner), f"(?s){pattern}")
            case Node("longer", (inner, most)):
                return _longer(self._value(inner), most)
            case Node("and" | "or" | "not" | "coalesce"):
                raise Unknown(node.kind)
            case Node(">", (Node("strpos", (text, part)), Node("value", (0, _)))):
                return _holds(self._value(text), self._value(part))
            case Node(kind, parts) if kind in _COMPARISONS:
                return _compared(kind, *(self._value(part) for part in parts))
            case Node(kind, parts) if kind in _FUNCTIONS:
                return _FUNCTIONS[kind](*(self._value(part) for part in parts))
        raise Unknown(node.kind)


# --- values -----------------------------------------------------------------------------------------------------------


def _in(column: pa.Array, values: list[Node]) -> pa.Array:
    """Whether the value is one of some texts; null for null. Each distinct value is looked up once."""
    if not pa.types.is_string(column.type) or not all(isinstance(v.parts[0], str) for v in values):
        raise Unknown("in")
    found = pc.is_in(column, value_set=pa.array([v.parts[0] for v in values]))
    return pc.if_else(column.is_valid(), found, pa.scalar(None, pa.bool_()))


def _longer(column: pa.Array, most: int) -> pa.Array:
    """Whether a text (or one of a list of texts) has more characters; bytes are counted first, which are never fewer."""
    if pa.types.is_list(column.type):
        parents = pc.list_parent_indices(column).filter(_longer(column.flatten(), most)).to_numpy()
        found = np.zeros(len(column), bool)
        found[parents] = True
        return pa.array(found)
    length = pc.binary_length(column)
    widest = pc.max(length).as_py()
    return pc.greater(length if widest is None or widest <= most else pc.utf8_length(column), most)


_COMPARISONS: dict[str, Callable] = {
    "=": pc.equal, "<>": pc.not_equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip


def _compared(sign: str, left: pa.Array | pa.Scalar, right: pa.Array | pa.Scalar) -> pa.Array:
    """Texts by equality only (their order is the collation's), dates and numbers by value. NaN, which the database counts as larger
    than every number, never comes out of the mapping."""
    left, right = _same(left, right), _same(right, left)
    is_text = pa.types.is_string(left.type)
    if is_text != pa.types.is_string(right.type) or (is_text and sign not in ("=", "<>", "!=")):
        raise Unknown(sign)
    for one, other in ((left, right), (right, left)):
        if pa.types.is_integer(one.type) and pa.types.is_floating(other.type) and isinstance(other, pa.Scalar):
            raise Unknown("an exact decimal")
    return _COMPARISONS[sign](left, right)


def _same(one: pa.Array | pa.Scalar, other: pa.Array | pa.Scalar) -> pa.Array | pa.Scalar:
    """A quoted literal takes the type of what it is compared with."""
    if isinstance(one, pa.Scalar) and pa.types.is_string(one.type) and pa.types.is_floating(other.type):
        return pa.scalar(float(one.as_py()))
    return one


def _arithmetic(compute: Callable) -> Callable:
    def computed(left, right):
        kinds = (left.type, right.type)
        if not all(pa.types.is_integer(k) or pa.types.is_floating(k) for k in kinds):
            raise Unknown("arithmetic")
        decimal = [isinstance(v, pa.Scalar) and pa.types.is_floating(v.type) for v in (left, right)]
        if any(decimal) and any(pa.types.is_integer(k) for k in kinds):
            raise Unknown("an exact decimal")
        return compute(left, right)

    return computed


def _starts(text, length):
    if not isinstance(length, pa.Scalar) or not isinstance(length.as_py(), int) or length.as_py() < 0:
        raise Unknown("left")
    return pc.utf8_slice_codeunits(text, 0, length.as_py())


def _position(text, part):
    """1 where the text starts with the part, 2 where it holds it further on, 0 where not: enough for `> 0` and `= 1`."""
    if isinstance(text, pa.Scalar) or isinstance(part, pa.Scalar):
        raise Unknown("strpos")
    both = zip(text.to_pylist(), part.to_pylist(), strict=True)
    return pa.array([None if t is None or p is None else ((p in t) and (1 if t.startswith(p) else 2)) or 0 for t, p in both], pa.int64())


def _holds(text, part):
    """Whether the text holds the part; null where one of them is. In bytes: no character of UTF-8 begins within another."""
    if not all(isinstance(column, pa.Array) and pa.types.is_string(column.type) for column in (text, part)):
        raise Unknown("strpos")
    known = pc.and_(text.is_valid(), part.is_valid())
    found = np.strings.find(_fixed(pc.fill_null(text, "")), _fixed(pc.fill_null(part, ""))) >= 0
    return pc.if_else(known, pa.array(found), pa.scalar(None, pa.bool_()))


def _fixed(column: pa.Array) -> np.ndarray:
    """Texts (n,) without NUL as bytes of one width."""
    width = max(1, pc.max(pc.binary_length(column)).as_py() or 0)
    if width * len(column) > _MOST_BYTES:
        raise Unknown("too long")
    padded = pc.ascii_rpad(column, width, "\0")
    start = padded.offset * width
    return np.frombuffer(padded.buffers()[2] or b"", f"S{width}", len(column), start if len(column) else 0)


_FUNCTIONS: dict[str, Callable] = {
    "+": _arithmetic(pc.add), "-": _arithmetic(pc.subtract), "*": _arithmetic(pc.multiply), "abs": pc.abs,
    "left": _starts, "strpos": _position, "char_length": lambda text: pc.cast(pc.utf8_length(text), pa.int64()),
    "length": lambda text: pc.cast(pc.utf8_length(text), pa.int64()), "coalesce of": pc.coalesce,
}  # fmt: skip


# --- the condition as a tree ------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def parsed(sql: str) -> Node:
    """A condition as a tree; parts that are not understood are `UNKNOWN`."""
    try:
        reading = _Reading(_tokens(sql))
        tree = reading.disjunction()
        return tree if reading.at == len(reading.tokens) else UNKNOWN
    except Unknown:
        return UNKNOWN


def _tokens(sql: str) -> list[tuple[str, str]]:
    found, position, sql = [], 0, sql.strip()
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        if match is None:
            raise Unknown(sql[position : position + 10])
        kind = "exists" if match.group("exists") else match.lastgroup
        found.append((kind, match.group("list") + " " + match.group("most") if kind == "exists" else match.group().strip()))
        position = match.end()
    return found


class _Reading:
    """A descent through the tokens, loosest operator first."""

    def __init__(self, tokens: list[tuple[str, str]]):
        self.tokens, self.at = tokens, 0

    def word(self, *wanted: str) -> bool:
        """Takes the next tokens where they are these words or signs."""
        texts = [text.lower() if kind in ("name", "symbol") else None for kind, text in self.tokens[self.at : self.at + len(wanted)]]
        if texts == list(wanted):
            self.at += len(wanted)
            return True
        return False

    def require(self, wanted: str) -> None:
        if not self.word(wanted):
            raise Unknown(wanted)

    def disjunction(self) -> Node:
        left = self.conjunction()
        while self.word("or"):
            left = Node("or", (left, self.conjunction()))
        return left

    def conjunction(self) -> Node:
        left = self.negation()
        while self.word("and"):
            left = Node("and", (left, self.negation()))
        return left

    def negation(self) -> Node:
        if self.word("not"):
            return Node("not", (self.negation(),))
        begun = self.at
        try:
            return self.comparison()
        except Unknown:
            self.at = begun
            self._skip()
            return UNKNOWN

    def _skip(self) -> None:
        """Past a comparison that is not understood: to the next AND, OR, comma or bracket at this depth."""
        depth = 0
        while self.at < len(self.tokens):
            kind, text = self.tokens[self.at]
            if kind == "name" and text.lower() in ("case", "between"):
                raise Unknown(text)
            if depth == 0 and (text in (")", ",") or (kind == "name" and text.lower() in ("and", "or"))):
                return
            depth += (text == "(") - (text == ")")
            self.at += 1

    def comparison(self) -> Node:
        left = self.sum()
        if self.word("is", "null"):
            return Node("is null", (left,))
        if self.word("is", "not", "null"):
            return Node("not", (Node("is null", (left,)),))
        negated = self.word("not")
        if self.word("in"):
            self.require("(")
            values = [self.sum()]
            while self.word(","):
                values.append(self.sum())
            self.require(")")
            if any(v.kind != "value" for v in values):
                raise Unknown("in")
            found = Node("in", (left, *values))
            return Node("not", (found,)) if negated else found
        if negated:
            raise Unknown("not")
        for sign in ("~", "!~"):
            if self.word(sign):
                return self._pattern(left, sign == "!~")
        for sign in _COMPARISONS:
            if self.word(sign):
                return _simplified(sign, left, self.sum())
        return left

    def _pattern(self, left: Node, negated: bool) -> Node:
        right = self.primary()
        if right.kind != "value" or not isinstance(right.parts[0], str) or not _PLAIN_REGEX.match(right.parts[0]) or "(?" in right.parts[0]:
            raise Unknown("pattern")
        found = Node("matches", (left, right))
        return Node("not", (found,)) if negated else found

    def sum(self) -> Node:
        left = self.product()
        while True:
            if self.word("+"):
                left = Node("+", (left, self.product()))
            elif self.word("-"):
                left = Node("-", (left, self.product()))
            else:
                return left

    def product(self) -> Node:
        left = self.primary()
        while self.word("*"):
            left = Node("*", (left, self.primary()))
        if self.at < len(self.tokens) and self.tokens[self.at][1] in ("/", "||"):
            raise Unknown(self.tokens[self.at][1])
        return left

    def primary(self) -> Node:
        if self.at >= len(self.tokens):
            raise Unknown("end")
        kind, text = self.tokens[self.at]
        self.at += 1
        match kind:
            case "exists":
                column, most = text.split()
                return Node("longer", (Node("column", (column,)), int(most)))
            case "number":
                found = literal(float(text) if "." in text or "e" in text.lower() else int(text))
            case "text":
                found = literal(text[1:-1].replace("''", "'"))
            case "column":
                found = Node("column", (text[2:].strip('"'),))
            case "name":
                found = self._named(text.lower())
            case "symbol" if text == "(":
                found = self.disjunction()
                self.require(")")
            case "symbol" if text == "-" and self.tokens[self.at][0] == "number":
                return literal(-self.primary().parts[0])
            case _:
                raise Unknown(text)
        return self._cast(found)

    def _cast(self, found: Node) -> Node:
        if not self.word("::"):
            return found
        if self.word("date") and found.kind == "value":
            return literal(dt.date.fromisoformat(found.parts[0]))
        raise Unknown("cast")

    def _named(self, name: str) -> Node:
        if name in ("true", "false"):
            return literal(name == "true")
        if name not in ("coalesce", *_FUNCTIONS) or not self.word("("):
            raise Unknown(name)
        parts = [self.disjunction()]
        while self.word(","):
            parts.append(self.disjunction())
        self.require(")")
        if name == "coalesce":
            return Node("coalesce" if len(parts) == 2 and parts[1] == literal(False) else "coalesce of", tuple(parts))
        return Node(name, tuple(parts))


def _simplified(sign: str, left: Node, right: Node) -> Node:
    """`char_length(x) > n` as one question, which counting bytes nearly always answers."""
    if sign == ">" and left.kind == "char_length" and right.kind == "value":
        return Node("longer", (left.parts[0], right.parts[0]))
    return Node(sign, (left, right))
