"""Which version of the data a layer is in: asked anew for every answer that may come from a cache, so it has to be cheap.

The database is asked, not told: whatever was committed before the question is in the answer, on whichever machine it was loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from psycopg2 import sql

from gis.db.connection import fetch_as_login

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


def newest(layers: Sequence[str]) -> dict[str, Version]:
    """The version of each of these layers, as of now. Raises StoreError."""
    return {layer: (database, version) for layer, database, version in fetch_as_login(_NEWEST, {"layers": list(layers)})}
