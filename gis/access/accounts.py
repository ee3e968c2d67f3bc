"""Users and their keys, as the administrator keeps them. Only digests are stored: a key is shown once, when it is made."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from dataclasses import dataclass

from gis.access.identity import digest, hashed
from gis.access.roles import ANONYMOUS, ROLES
from gis.db.connection import owner
from gis.errors import InputError, NotFound

KEY_PREFIX = "om_"
SHORTEST_PASSWORD = 10
CLASSES_WANTED = 3
"""Of small letters, capitals, digits and others (GB/T 22239-2019, 8.1.4.1 a asks for complexity)."""

_NAME = re.compile(r"^[^\s:\x00-\x1f]{1,64}$")


@dataclass(frozen=True)
class Key:
    """A key as it is listed: never the key itself, only its first characters."""

    id: int
    user: str
    prefix: str
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None

    def as_dict(self) -> dict:
        return {
            "id": self.id,
            "user": self.user,
            "prefix": self.prefix,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "revoked_at": self.revoked_at,
        }


def require_strong(password: str, name: str) -> None:
    """Raises InputError where a password is too short, too plain or the name itself."""
    classes = sum(bool(re.search(kind, password)) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[^a-zA-Z\d]"))
    if len(password) < SHORTEST_PASSWORD or classes < CLASSES_WANTED or name.lower() in password.lower():
        raise InputError(
            "the password is too weak",
            remedy=f"At least {SHORTEST_PASSWORD} characters of {CLASSES_WANTED} kinds (small, capital, digit, other), without the name",
        )


def add_user(name: str, role: str, password: str | None = None) -> None:
    """Make a user, or give an existing one another role or password. Without a password he has keys only.

    Raises InputError for a bad name, an unknown role, a weak password, or a user who is shut out.
    """
    if not _NAME.match(name):
        raise InputError(f"{name[:70]!r} is no user name", remedy="1 to 64 characters without blanks and colons")
    if role not in ROLES or role == ANONYMOUS:
        raise InputError(f"there is no role {role[:40]!r}", remedy="One of " + ", ".join(r for r in ROLES if r != ANONYMOUS))
    if password is not None:
        require_strong(password, name)
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO access."user" AS known (name, role, password_hash) VALUES (%(name)s, %(role)s, %(hash)s) '
            "ON CONFLICT (name) DO UPDATE SET role = EXCLUDED.role, password_hash = coalesce(EXCLUDED.password_hash, known.password_hash) "
            "WHERE NOT known.disabled",
            {"name": name, "role": role, "hash": hashed(password) if password is not None else None},
        )
        if not cursor.rowcount:
            raise InputError(f"{name} is shut out", remedy=f"To let him in again: onemap user enable {name}")


def disable_user(name: str) -> None:
    """Shut a user out; his keys hold no longer, his traces stay. Raises NotFound."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute('UPDATE access."user" SET disabled = true WHERE name = %s', (name,))
        if not cursor.rowcount:
            raise NotFound(f"no user {name!r}", remedy="See `onemap user list`")


def enable_user(name: str) -> None:
    """Let a user in again who was shut out: his password and keys hold as before. Raises NotFound."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute('UPDATE access."user" SET disabled = false WHERE name = %s', (name,))
        if not cursor.rowcount:
            raise NotFound(f"no user {name!r}", remedy="See `onemap user list`")


def users() -> list[dict]:
    """All users: name, role, whether disabled, whether a password is set, how many keys hold."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT u.name, u.role, u.disabled, u.password_hash IS NOT NULL, "
            "(SELECT count(*) FROM access.key k WHERE k.user_name = u.name AND k.revoked_at IS NULL "
            ' AND (k.expires_at IS NULL OR k.expires_at > now())) FROM access."user" u ORDER BY u.name'
        )
        names = ("name", "role", "disabled", "password", "keys")
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def new_key(name: str, *, days: int | None = None) -> str:
    """A new key for a user (256 random bits), valid for so many days or until revoked. Returned once, never stored.

    Raises NotFound where there is no such user, InputError for a lifetime that is none.
    """
    if days is not None and not 1 <= days <= 3650:
        raise InputError("a key lives 1 to 3650 days", where="days")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute('SELECT 1 FROM access."user" WHERE name = %s AND NOT disabled', (name,))
        if not cursor.fetchone():
            raise NotFound(f"no user {name!r}", remedy=f"Make him with `onemap user add {name} --role ROLE`")
        cursor.execute(
            "INSERT INTO access.key (user_name, sha256, prefix, expires_at) VALUES (%s, %s, %s, now() + make_interval(days => %s))",
            (name, digest(key), key[: len(KEY_PREFIX) + 6], days),
        )
    return key


def keys(name: str | None = None) -> list[Key]:
    """The keys of a user, or all of them, newest first."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, user_name, prefix, created_at, expires_at, revoked_at FROM access.key "
            "WHERE %(name)s::text IS NULL OR user_name = %(name)s ORDER BY id DESC",
            {"name": name},
        )
        return [Key(*row) for row in cursor.fetchall()]


def revoke_key(key: str) -> int:
    """Revoke a key, named by its number or its first characters; the number of the key. Raises NotFound, InputError where several fit."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM access.key WHERE revoked_at IS NULL AND (id::text = %(key)s OR prefix = %(key)s OR sha256 = %(digest)s)",
            {"key": key, "digest": digest(key)},
        )
        found = [row[0] for row in cursor.fetchall()]
        if not found:
            raise NotFound("no such key holds", remedy="See `onemap key list`")
        if len(found) > 1:
            raise InputError("several keys begin so", remedy=f"Name one by its number: {', '.join(map(str, found))}")
        cursor.execute("UPDATE access.key SET revoked_at = now() WHERE id = %s", (found[0],))
        return found[0]
