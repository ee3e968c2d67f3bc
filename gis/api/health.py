"""Whether the platform can answer, and if not, why and what to do: without a word that would help an intruder."""

from __future__ import annotations

from dataclasses import dataclass

from gis.access.roles import ANONYMOUS
from gis.catalog.read import catalog
from gis.db import migrations
from gis.db.connection import reading
from gis.errors import AccessDenied, OneMapError, StoreError

PATIENCE_S = 2
"""How long the database may take to say anything."""

_VIEWS = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'pub' AND c.relname = ANY(%s)"


@dataclass(frozen=True)
class Reason:
    """What is not as it should be, and what the administrator does."""

    what: str
    remedy: str


def state() -> tuple[str, list[Reason]]:
    """The database: `up`, `incomplete` (every layer answers but those that are not in it yet), `behind` (older than the program) or
    `down`; and why."""
    try:
        if _is_behind():
            return "behind", [Reason("The database is older than the program", "Run `onemap db start`, then `onemap layers apply`")]
        if lacking := _lacking():
            return "incomplete", [Reason(f"{lacking} layers are not in the database yet", "Run `onemap layers apply`")]
        return "up", []
    except StoreError as error:
        return "down", [Reason(error.what, error.remedy)]
    except OneMapError:
        return "down", [Reason("The database does not let the platform in", "Run `onemap db start`")]


def _is_behind() -> bool:
    """Whether migrations of this program are missing in the database. Raises StoreError where it does not answer."""
    wanted = {migration.number for migration in migrations.migrations()}
    try:
        with reading("identity", timeout_s=PATIENCE_S) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT number FROM meta.migration")
            return bool(wanted - {row[0] for row in cursor.fetchall()})
    except AccessDenied:  # the right to read them came with a migration
        return True


def _lacking() -> int:
    """How many layers have a file and no table."""
    wanted = [layer.id for layer in catalog().vectors]
    with reading(ANONYMOUS, timeout_s=PATIENCE_S) as connection, connection.cursor() as cursor:
        cursor.execute(_VIEWS, (wanted,))
        return len(wanted) - cursor.fetchone()[0]
