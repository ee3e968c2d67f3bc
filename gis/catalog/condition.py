"""The SQL conditions of checks, read: what they ask of which columns. What is not understood is a node of its own."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(
    r"""\s*(?:(?P<exists>EXISTS\ \(SELECT\ FROM\ unnest\(s\."(?P<list>\w+)"\)\ t\ WHERE\ char_length\(t\)\ >\ (?P<most>\d+)\))
    |(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    |(?P<column>s\."(?:\w+)"|s\.\w+)|(?P<name>[A-Za-z_]\w*)|(?P<symbol>::|<=|>=|<>|!=|!~\*|!~|~\*|\|\||[-+*/<>=~(),\[\]&@]+?))""",
    re.VERBOSE,
)

_PLAIN_REGEX = re.compile(r"^(?:\\[.\-+*?()\[\]{}|^$/]|[^\\])*$")
"""A pattern that PostgreSQL and RE2 read alike: no classes by letter, no look-around, no back references."""

COMPARISONS = ("=", "<>", "!=", "<=", "<", ">=", ">")


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


FUNCTIONS = frozenset(("abs", "left", "strpos", "char_length", "length"))
"""Functions that are understood (`gis.catalog.predicate` computes them)."""


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
        for sign in COMPARISONS:
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
        if name not in ("coalesce", *FUNCTIONS) or not self.word("("):
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
