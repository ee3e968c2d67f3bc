"""Tables of text (CSV) that a spreadsheet opens: UTF-8, and nothing in them that it would compute."""

from __future__ import annotations

import re

from pygeoapi.formatter.csv_ import CSVFormatter

FORMULA = r"^(?:[=@\t\r]|[+\-].*[(|!=])"
"""What a spreadsheet computes, or hands to another program (OWASP, CSV Injection). A basement (-1层) or a telephone (+86 10) is none."""

_formula = re.compile(FORMULA, re.DOTALL)


def harmless(value: object) -> object:
    """A value of a table: before a text that a spreadsheet would compute stands an apostrophe."""
    return f"'{value}" if isinstance(value, str) and _formula.match(value) else value


class Table(CSVFormatter):
    """pygeoapi's CSV of features."""

    def _add_feature(self, writer, feature: dict, is_point: bool) -> None:
        told = {name: harmless(value) for name, value in feature["properties"].items()}
        super()._add_feature(writer, feature | {"properties": told}, is_point)
