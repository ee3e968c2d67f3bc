"""The language of check rules: an SQL condition over the columns of one row, and nothing else.

A rule is tokenised, not parsed: names are columns, keywords or functions of the lists below; whatever could leave the row
(a sub-query, a second statement, a comment) does not exist in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_KEYWORDS = """
and or not is null in between case when then else end true false distinct from any all date cast as
double precision numeric integer bigint text boolean geography
"""
_FUNCTIONS = """
coalesce nullif greatest least abs round floor ceil sqrt power mod sign length char_length left right substr upper lower
strpos btrim replace starts_with cardinality array_length st_length st_3dlength st_area st_perimeter st_x st_y st_z st_zmin
st_zmax st_npoints st_numgeometries st_isclosed st_isvalid st_isempty st_startpoint st_endpoint st_dimension in any all cast
"""
KEYWORDS = frozenset(_KEYWORDS.split())
FUNCTIONS = frozenset(_FUNCTIONS.split())
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<symbol>::|<=|>=|<>|!=|!~\*|!~|~\*|\|\||[-+*/<>=~(),\[\]])|(?P<space>\s+)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Rule:
    """A rule taken apart: the columns that it names, and its SQL with each column qualified by an alias."""

    columns: tuple[str, ...]
    sql: str


class RuleError(ValueError):
    """What is wrong with a rule, and the name it is about (None where it is about a character)."""

    def __init__(self, what: str, name: str | None = None):
        self.name = name
        super().__init__(what)


def parse(rule: str, columns: frozenset[str] | set[str], alias: str = "s") -> Rule:
    """A rule over these columns (and `geom`) as SQL over the alias. Raises RuleError for anything else that it names."""
    found: list[str] = []
    parts: list[str] = []
    position, depth = 0, 0
    while position < len(rule):
        match = _TOKEN.match(rule, position)
        if match is None or "%" in match.group():
            raise RuleError(f"{(match.group() if match else rule[position])!r} has no place in a rule")
        if match.lastgroup == "symbol" and rule[position : position + 2] in ("--", "/*", "*/"):
            raise RuleError("a comment has no place in a rule")
        text, position = match.group(), match.end()
        if match.lastgroup == "name":
            text = _name(text, rule[position:].lstrip()[:1] == "(", columns, found, alias, after_cast=parts[-1:] == ["::"])
        depth += (text == "(") - (text == ")")
        if depth < 0:
            raise RuleError("a closing bracket without an opening one")
        parts.append(text)
    if depth or not found:
        raise RuleError("a bracket is not closed" if depth else "the rule names no column")
    return Rule(tuple(dict.fromkeys(found)), "".join(parts))


def _name(name: str, called: bool, columns: frozenset[str] | set[str], found: list[str], alias: str, after_cast: bool) -> str:
    lower = name.lower()
    if called and lower in FUNCTIONS:
        return name
    if not called and not after_cast and (name in columns or name == "geom"):
        found.append(name)
        return f'{alias}."{name}"'
    if lower in KEYWORDS:
        return name
    raise RuleError(f"unknown {'function' if called else 'column'} `{name}` in the rule", name)
