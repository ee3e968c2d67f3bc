"""Who saw what: one row for every access to a layer that is not public. The table only grows; nobody who serves can change it."""

from __future__ import annotations

import datetime as dt

import psycopg2.extras

from gis.access.identity import Identity
from gis.access.roles import is_restricted
from gis.catalog.model import Layer
from gis.db.connection import owner, writing

_ROW = "INSERT INTO access.audit (user_name, role, action, layer, detail, n) VALUES (%s, %s, %s, %s, %s, %s)"


def record(identity: Identity, action: str, layer: str | None, *, n: int | None = None, **detail) -> None:
    """Write one row: action (`items`, `item`, `tile`, `process` …), the layer, how many features, and details such as the area
    (`bbox` in degrees). Comes before the answer: where it cannot be written, nothing is answered (StoreError).

    The row does not wait for the disk: a crash of the machine may lose the last half second, a crash of a process nothing.
    """
    with writing(identity.role, identity.user) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(_ROW, (identity.user, identity.role, action, layer, psycopg2.extras.Json(detail), n))


def record_access(identity: Identity, action: str, layer: Layer, *, n: int, **detail) -> None:
    """As `record`, for layers labelled 内部 or 敏感 only; details that are None are left out."""
    if is_restricted(layer):
        record(identity, action, layer.id, n=n, **{name: value for name, value in detail.items() if value is not None})


_ENTRIES = """
SELECT id, at, user_name AS "user", role, action, layer, n, detail FROM access.audit
WHERE (%(user)s::text IS NULL OR user_name = %(user)s) AND (%(layer)s::text IS NULL OR layer = %(layer)s)
  AND (%(since)s::date IS NULL OR at >= %(since)s::date)
ORDER BY id DESC LIMIT %(limit)s
"""


def entries(*, user: str | None = None, layer: str | None = None, since: dt.date | None = None, limit: int = 50) -> list[dict]:
    """The newest rows of the audit, of one user, one layer, from one day on: {id, at, user, role, action, layer, n, detail}."""
    with owner() as connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(_ENTRIES, {"user": user, "layer": layer, "since": since, "limit": limit})
        return [dict(row) for row in cursor.fetchall()]
