"""What the commands say: answers on stdout (a table for people, one JSON document for programs), progress and faults
on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console(stderr=True, highlight=False, soft_wrap=True)
"""For progress and faults."""

paper = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
"""For answers that people read; in a pipe or file nothing is cut off at 80 columns."""


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} does not go into JSON")


def as_json(value: Any) -> bytes:
    """The value as one JSON document in UTF-8, numpy arrays and scalars included; NaN becomes null."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(value, default=_plain, option=options)


def emit(value: Any, json: bool = False, table: Callable[[], Table | str] | Table | str | None = None) -> None:
    """Print the answer: as JSON where asked, else `table` (a rich table, a text, or a function that makes one), else
    name and value."""
    if json:
        sys.stdout.buffer.write(as_json(value) + b"\n")
        sys.stdout.flush()
        return
    shown = table() if callable(table) else table
    if shown is None:
        shown = pairs(value) if isinstance(value, Mapping) else as_json(value).decode()
    if isinstance(shown, str):
        if shown:
            paper.print(shown, markup=False, soft_wrap=True)
    else:
        paper.print(shown)


def pairs(values: Mapping) -> Table:
    """Names and values, one per line."""
    sheet = Table(show_header=False, box=None, pad_edge=False)
    for name, value in values.items():
        sheet.add_row(
            f"[dim]{escape(str(name))}[/]", escape(as_json(value).decode() if isinstance(value, Mapping | list | tuple) else str(value))
        )
    return sheet


def rows(titles: Iterable[str], lines: Iterable[Iterable[Any]], title: str | None = None) -> Table:
    """A table with these column titles."""
    sheet = Table(*titles, title=title, box=None, header_style="bold", pad_edge=False)
    for line in lines:
        sheet.add_row(*("" if value is None else escape(str(value)) for value in line))
    return sheet
