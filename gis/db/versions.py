"""Which version of the data a layer is in: asked anew for every answer that may come from a cache, so it has to be cheap.

The database is asked, not told: whatever was committed before the question is in the answer, on whichever machine it was loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from gis.db.connection import fetch_as_login

_NEWEST = sql.SQL(
    "SELECT l.layer, current_database(), coalesce(max(p.newest), 0) || '.' || coalesce(sum(p.batches), 0)"
    " FROM unnest(%(layers)s::text[]) AS l (layer) LEFT JOIN meta.published AS p ON p.layer = l.layer GROUP BY l.layer"
)

Version = tuple[str, str]
"""(database, data version of a layer in it), as `meta.data_version` says it."""

WITH_ROWS = sql.SQL("SELECT current_database(), meta.data_version(ARRAY[%(version_of)s]), rows.* FROM ({rows}) AS rows")
"""A statement and, from the same snapshot, the version of the layer that it reads."""


def newest(layers: Sequence[str]) -> dict[str, Version]:
    """The version of each of these layers, as of now. Raises StoreError."""
    return {layer: (database, version) for layer, database, version in fetch_as_login(_NEWEST, {"layers": list(layers)})}
