"""The SQL conditions of checks, asked of Arrow columns: which rows may be bad.

The SQL of a check (`gis.catalog.checks`) stays the only judge. This is the sieve before it: it reads the same SQL and answers a
superset of the rows for which the SQL is TRUE, a million rows a second; only those few are then shown to the database. What it
does not understand may be true of every row, so a new check is slow at first, never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gis.catalog.condition import Node, Unknown

_MOST_BYTES = 1 << 26
"""Of a column of texts brought to one width."""


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
