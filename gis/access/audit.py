"""Who saw what: one row for every access to a layer that is not public, for every log-in, refusal and act of administration.

The table only grows; nobody who serves can change or read it, the auditor reads it. Each row is sealed when its transaction
commits: a hash over the row and the seal before it (migration 0520), so that a row that is changed or missing is seen (`verify`).
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from contextvars import ContextVar
from typing import Any

import psycopg2.extras

from gis.access.identity import Identity
from gis.access.operator import AUDIT, Operator, operator
from gis.access.roles import is_restricted
from gis.catalog.model import Layer
from gis.catalog.narrowing import base
from gis.db.connection import writing
from gis.errors import InputError, StoreError
from gis.settings import settings

ROLE = "identity"

origin: ContextVar[dict[str, str]] = ContextVar("origin", default={})  # noqa: B039 (never changed, only replaced)
"""Where the request came from that is being answered: `address` and `request` (its id)."""

_ROWS = """
SET LOCAL synchronous_commit = off;
INSERT INTO access.audit (user_name, role, action, layer, detail, n)
SELECT r.user_name, r.role, r.action, r.layer, r.detail, r.n
FROM jsonb_to_recordset(%s::jsonb) AS r (user_name text, role text, action text, layer text, detail jsonb, n bigint)
"""


# --- writing ----------------------------------------------------------------------------------------------------------


class _Row:
    """One row on its way: written, or why not."""

    __slots__ = ("error", "values", "written")

    def __init__(self, values: dict):
        self.values, self.written = values, False
        self.error: Exception | None = None


class Writer:
    """Writes rows together: whoever comes first writes for all who come while he writes. Nobody goes on before his row is there."""

    def __init__(self):
        self._changed = threading.Condition()
        self._waiting: list[_Row] = []
        self._writing = False

    def write(self, values: dict) -> None:
        """Returns when the row is in the table. Raises StoreError where it cannot be had there within `audit_wait_s`."""
        row, ends = _Row(values), time.monotonic() + settings().audit_wait_s
        with self._changed:
            self._waiting.append(row)
            while self._writing and not row.written and row.error is None:
                if not self._changed.wait(ends - time.monotonic()):
                    if row in self._waiting:
                        self._waiting.remove(row)
                    raise StoreError("The access cannot be recorded, so there is no answer", remedy="Try again in a moment")
            if not (row.written or row.error):
                self._writing = True
                together = list(self._waiting)
                self._waiting.clear()
        if not (row.written or row.error):
            self._write(together)
        if row.error:
            raise row.error

    def _write(self, together: list[_Row]) -> None:
        error: Exception = StoreError("The access cannot be recorded, so there is no answer", remedy="Try again in a moment")
        written = False
        try:
            _insert([row.values for row in together])
            written = True
        except Exception as fault:  # raised again by everybody whose row was among them
            error = fault
        finally:
            with self._changed:
                self._writing = False
                for row in together:
                    row.written, row.error = written, None if written else error
                self._changed.notify_all()


def _insert(rows: list[dict]) -> None:
    with writing(ROLE, timeout_s=settings().audit_wait_s) as connection, connection.cursor() as cursor:
        cursor.execute(_ROWS, (_text(rows),))


def _text(rows: list[dict]) -> str:
    """The rows as JSON that PostgreSQL takes: it knows neither NUL nor halves of characters."""
    text = json.dumps(rows, ensure_ascii=False, default=str)
    if "\\u0000" in text:
        text = json.dumps(_without_nul(rows), ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(one) for key, one in value.items()}
    return [_without_nul(one) for one in value] if isinstance(value, list | tuple) else value


_writer = Writer()


def renew() -> None:
    """In a forked worker: a writer of its own, which waits for nobody of the parent."""
    global _writer
    _writer = Writer()


def record(identity: Identity, action: str, layer: str | None, *, n: int | None = None, **detail) -> None:
    """Write one row: action (`items`, `item`, `tile`, `process` …), the layer, how many features, and details such as the area
    (`bbox` in degrees). Comes before the answer: where it cannot be written, nothing is answered (StoreError).

    The row does not wait for the disk: a crash of the machine may lose the last half second, a crash of a process nothing.
    """
    values = {"user_name": identity.user, "role": base(identity.role), "action": action, "layer": layer, "n": n}
    _writer.write(values | {"detail": origin.get() | detail})


def record_access(identity: Identity, action: str, layer: Layer, *, n: int, **detail) -> None:
    """As `record`, for layers labelled 内部 or 敏感 only; details that are None are left out."""
    if is_restricted(layer):
        record(identity, action, layer.id, n=n, **{name: value for name, value in detail.items() if value is not None})


# --- reading ----------------------------------------------------------------------------------------------------------

_ENTRIES = """
SELECT a.id, a.at, a.user_name AS "user", a.role, a.action, a.layer, a.n, a.detail
FROM access.audit a
WHERE (%(user)s::text IS NULL OR a.user_name = %(user)s)
  AND (%(layer)s::text IS NULL OR a.layer = %(layer)s OR (a.layer IS NULL AND a.detail -> 'layers' ? %(layer)s))
  AND (%(action)s::text IS NULL OR a.action = %(action)s)
  AND (%(since)s::timestamptz IS NULL OR a.at >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR a.at < %(until)s::timestamptz)
  AND (%(before)s::bigint IS NULL OR a.id < %(before)s::bigint)
  AND (%(west)s::float8 IS NULL OR CASE WHEN jsonb_typeof(a.detail -> 'bbox') = 'array' THEN
        (a.detail -> 'bbox' ->> 0)::float8 <= %(east)s::float8 AND (a.detail -> 'bbox' ->> 2)::float8 >= %(west)s::float8
        AND (a.detail -> 'bbox' ->> 1)::float8 <= %(north)s::float8 AND (a.detail -> 'bbox' ->> 3)::float8 >= %(south)s::float8 END)
ORDER BY a.id DESC LIMIT %(limit)s
"""


def entries(
    *,
    user: str | None = None,
    layer: str | None = None,
    action: str | None = None,
    since: dt.date | dt.datetime | None = None,
    until: dt.date | dt.datetime | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    before: int | None = None,
    limit: int = 50,
    who: Operator | None = None,
) -> list[dict]:
    """The newest rows of the audit: {id, at, user, role, action, layer, n, detail}; of one user, layer, action, from a moment on
    (`since`) to another (`until`, not included), whose area touches a box (degrees), older than a row (`before`).

    who: the auditor who reads; without him whoever acts in this process (`gis.access.operator`). Raises AccessDenied.
    """
    if limit < 1:
        raise InputError("limit is at least 1", where="limit")
    west, south, east, north = bbox or (None,) * 4
    asked = {
        "user": user, "layer": layer, "action": action, "since": since, "until": until, "before": before, "limit": limit,
        "west": west, "south": south, "east": east, "north": north,
    }  # fmt: skip
    who = who or operator(AUDIT)
    with who.connection(read=True) as connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(_ENTRIES, asked)
        return [dict(row) for row in cursor.fetchall()]
