"""Which version of the data a layer is in: asked anew for every answer that may come from a cache, so it has to be cheap.

The database is asked, not told: whatever was committed before the question is in the answer, on whichever machine it was loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from psycopg2 import sql

from gis.db.connection import fetch, fetch_as_login
from gis.errors import AccessDenied
from gis.settings import settings

_NEWEST = sql.SQL(
    "SELECT l.layer, current_database(), coalesce(max(p.newest), 0) || '.' || coalesce(sum(p.batches), 0)"
    " FROM unnest(%(layers)s::text[]) AS l (layer) LEFT JOIN meta.published AS p ON p.layer = l.layer GROUP BY l.layer"
)

Version = tuple[str, str]
"""(database, data version of a layer in it), as `meta.data_version` says it."""

_WITH_ROWS = sql.SQL("SELECT current_database(), meta.data_version(ARRAY[%(version_of)s]), rows.* FROM ({rows}) AS rows")


def with_rows(statement: sql.Composable) -> sql.Composable:
    """A statement and before its columns, from the same snapshot, database and version of the layer that the parameter `version_of`
    names."""
    return _fixed(statement.string) if isinstance(statement, sql.SQL) else _WITH_ROWS.format(rows=statement)


@lru_cache(maxsize=512)
def _fixed(statement: str) -> sql.SQL:
    """For statements that are asked again and again."""
    return sql.SQL(_WITH_ROWS.string.replace("{rows}", statement))


_BY_ROLE = sql.SQL("SELECT l.layer, current_database(), meta.data_version(ARRAY[l.layer]) FROM unnest(%(layers)s::text[]) AS l (layer)")
_others: set[str] = set()
"""Serving logins (`ONEMAP_DSN_SERVING`) that are not the platform's own, to which the table is not granted: they take a role."""


def newest(layers: Sequence[str]) -> dict[str, Version]:
    """The version of each of these layers, as of now. Raises StoreError."""
    asked, login = {"layers": list(layers)}, settings().dsn_serving or ""
    if login not in _others:
        try:
            return _of(fetch_as_login(_NEWEST, asked))
        except AccessDenied:
            _others.add(login)
    return _of(fetch("anonymous", "", _BY_ROLE, asked, keep=True))


def _of(rows: list[tuple]) -> dict[str, Version]:
    return {layer: (database, version) for layer, database, version in rows}
