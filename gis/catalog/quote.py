"""Names and values of layer files as SQL text, for statements that cannot take parameters (DDL) and are shown as text."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def name(*parts: str) -> str:
    """A quoted name, `"schema"."table"`. Raises ValueError for what is no plain name: layer files let no other through."""
    for part in parts:
        if not _NAME.fullmatch(part):
            raise ValueError(f"not a plain SQL name: {part!r}")
    return ".".join(f'"{part}"' for part in parts)


def names(columns) -> str:
    """Quoted names, separated by commas."""
    return ", ".join(name(column) for column in columns)


def literal(value: str | int | float | bool | None) -> str:
    """A value as a literal (with `standard_conforming_strings`, the default of PostgreSQL)."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if "\0" in value:
        raise ValueError("a text with a zero byte")
    return "'" + value.replace("'", "''") + "'"
