"""The platform's own tables: numbered SQL files, each applied once, in order, in one transaction."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg2.extensions

from gis.db import cluster
from gis.db.connection import LOGIN, owner
from gis.errors import DefinitionError, OneMapError, StoreError
from gis.settings import settings

FOLDER = Path(__file__).parent / "sql" / "migrations"
LOCK = 0x4F4E454D4150  # "ONEMAP": one migration of a database at a time

_LEDGER = """
CREATE SCHEMA IF NOT EXISTS meta;
CREATE TABLE IF NOT EXISTS meta.migration (
  number int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp())
"""


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """All migrations in order. Raises DefinitionError where two share a number or a name is not NNNN_words.sql."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_[a-z0-9_]+", path.stem)
        if not match:
            raise DefinitionError("A migration is named NNNN_what_it_does.sql", where=path.name)
        number = int(match[1])
        if number in found:
            raise DefinitionError(f"Two migrations share the number {number:04}", where=path.name, remedy="Give one the next free number")
        found[number] = Migration(number, path.stem, path.read_text(encoding="utf-8"))
    return [found[number] for number in sorted(found)]


def applied(connection: psycopg2.extensions.connection) -> dict[int, str]:
    """number -> sha256 of what this database has; empty for a fresh one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('meta.migration') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return {}
        cursor.execute("SELECT number, sha256 FROM meta.migration")
        return dict(cursor.fetchall())


def pending() -> list[Migration]:
    """Migrations that the database does not have. Raises StoreError where an applied one was changed afterwards."""
    with owner() as connection:
        return _pending(applied(connection))


def _pending(have: dict[int, str]) -> list[Migration]:
    todo = []
    for migration in migrations():
        if migration.number not in have:
            todo.append(migration)
        elif have[migration.number] != migration.sha256:
            raise StoreError(
                f"Migration {migration.name} was changed after it had been applied",
                remedy="Put the file back as it was and write a new one (an empty database: `onemap db reset`)",
            )
    return todo


def migrate() -> list[str]:
    """Bring the database to the newest migration; the names of those applied. Safe to repeat, and for two at once."""
    done = []
    with owner(autocommit=True) as lock, lock.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        _require_privileges(lock)
        cursor.execute(_LEDGER)
        for migration in _pending(applied(lock)):
            _apply(migration)
            done.append(migration.name)
        _give_login_its_password(lock)
    return done


def _apply(migration: Migration) -> None:
    try:
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute(migration.sql)
            cursor.execute(
                "INSERT INTO meta.migration (number, name, sha256) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.sha256),
            )
    except OneMapError as error:
        cause = error.__cause__
        said = cause.diag.message_primary if isinstance(cause, psycopg2.Error) and cause.diag else error.what
        raise StoreError(f"Migration {migration.name} failed: {said}", remedy="Nothing of it was applied; see the log") from error


def _require_privileges(connection: psycopg2.extensions.connection) -> None:
    """On a server of someone else's the owner must be able to make extensions and roles: say so before half is done."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT r.rolsuper, r.rolcreaterole, current_setting('server_version_num')::int,
                      ARRAY(SELECT name FROM pg_available_extensions WHERE name IN ('postgis', 'pg_trgm',
                      'btree_gist')),
                      ARRAY(SELECT extname::text FROM pg_extension)
               FROM pg_roles r WHERE rolname = current_user"""
        )
        superuser, may_make_roles, version, available, installed = cursor.fetchone()
    if version < 150000:
        raise StoreError("The server is older than PostgreSQL 15", remedy="Use PostgreSQL 15 or newer with PostGIS 3.3 or newer")
    for extension in ("postgis", "pg_trgm", "btree_gist"):
        if extension in installed:
            continue
        if extension not in available:
            raise StoreError(
                f"The extension {extension} is not installed on the database server",
                remedy="Install the package postgresql-postgis there",
            )
        if not superuser and extension == "postgis":
            raise StoreError(
                "The role of ONEMAP_DSN may not make the extension postgis",
                remedy="Let a superuser run CREATE EXTENSION postgis in this database",
            )
    if not (superuser or may_make_roles):
        raise StoreError("The role of ONEMAP_DSN may not make roles", remedy="Let a superuser run ALTER ROLE … CREATEROLE for it")


def _give_login_its_password(connection: psycopg2.extensions.connection) -> None:
    """The serving login's password comes from the home; the server sees only its verifier."""
    if settings().dsn_serving:
        return
    verifier = psycopg2.extensions.encrypt_password(cluster.secret(LOGIN), LOGIN, scope=connection, algorithm="scram-sha-256")
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {LOGIN} PASSWORD %s", (verifier,))
