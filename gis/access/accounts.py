"""Users and their keys, as the security administrator keeps them. Only digests are stored: a key is shown once, when it is made.

Every act stands in the audit, in the same transaction, under the name of who acted; it holds at once in all workers.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from dataclasses import asdict, dataclass

from gis.access import generation, passwords
from gis.access.lookup import FAILURES_ALLOWED, LOCKED_S, digest
from gis.access.operator import SECURITY, Operator, acting, trace
from gis.access.passwords import hashed, require_strong
from gis.access.roles import ANONYMOUS, ROLES
from gis.errors import InputError, NotFound
from gis.settings import settings

KEY_PREFIX = "om_"
PREFIX_LENGTH = len(KEY_PREFIX) + 6
LONGEST_DEPARTMENT = 100

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
    last_used_at: dt.datetime | None = None
    last_used_from: str | None = None

    def as_dict(self) -> dict:
        return asdict(self)


# --- users ------------------------------------------------------------------------------------------------------------

_CHANGE = """
UPDATE access."user" SET role = %(role)s, department = coalesce(%(department)s, department), expires_at = coalesce(%(expires)s, expires_at)
WHERE name = %(name)s AND NOT disabled
"""
_PASSWORD = """
UPDATE access."user" SET password_hash = %(hash)s, password_set_at = CASE WHEN %(hash)s::text IS NOT NULL THEN now() END,
  must_change = %(must_change)s WHERE name = %(name)s
"""


def add_user(
    name: str,
    role: str,
    password: str | None = None,
    *,
    department: str | None = None,
    expires: dt.date | None = None,
    must_change: bool = False,
) -> None:
    """Make a user, or give an existing one another role, department, last day or password. Without a password he has keys only.

    must_change: the password opens nothing until he has changed it himself.
    Raises InputError for a bad name, an unknown role, a weak password, or a user who is shut out.
    """
    if not _NAME.match(name):
        raise InputError(f"{name[:70]!r} is no user name", remedy="1 to 64 characters without blanks and colons")
    _require_role(role)
    if department is not None and (len(department) > LONGEST_DEPARTMENT or not department.isprintable()):
        raise InputError("the department's name is too long, or cannot be printed", where="department")
    if password is not None:
        require_strong(password, name)
    given = {
        "name": name, "role": role, "department": department, "expires": expires, "must_change": must_change,
        "hash": hashed(password) if password is not None else None,
    }  # fmt: skip
    with acting(SECURITY) as (who, cursor):
        cursor.execute('SELECT role FROM access."user" WHERE name = %s', (name,))
        before = cursor.fetchone()
        if before is None:
            cursor.execute(
                'INSERT INTO access."user" (name, role, department, expires_at) '
                "VALUES (%(name)s, %(role)s, coalesce(%(department)s, ''), %(expires)s)",
                given,
            )
        else:
            _refuse_oneself(who, name)
            cursor.execute(_CHANGE, given)
            if not cursor.rowcount:
                raise InputError(f"{name} is shut out", remedy=f"To let him in again: onemap user enable {name}")
        if password is not None:
            cursor.execute(_PASSWORD, given)
            _end_sessions(cursor, name)
        trace(
            cursor, who, "user changed" if before else "user added", of=name, role=role, before=before[0] if before else None,
            department=department, expires=expires.isoformat() if expires else None, password=password is not None or None,
        )  # fmt: skip
    generation.advance()


def _require_role(role: str) -> None:
    if role not in ROLES or role == ANONYMOUS:
        raise InputError(f"there is no role {role[:40]!r}", remedy="One of " + ", ".join(r for r in ROLES if r != ANONYMOUS))


def _refuse_oneself(who: Operator, name: str) -> None:
    """No administrator gives himself another role or password by his own duty."""
    if who.name == name:
        raise InputError(
            "nobody changes his own account here", remedy="Another security administrator does; one's password: /account/password"
        )


def _require_found(cursor, name: str) -> None:
    if not cursor.rowcount:
        raise NotFound(f"no user {name[:70]!r}", remedy="See `onemap user list`")


def set_password(name: str, password: str | None, *, must_change: bool = True) -> None:
    """Give a user another password (None: none, keys only). Ends his sessions and a lock. Raises NotFound, InputError."""
    if password is not None:
        require_strong(password, name)
    given = {"name": name, "hash": hashed(password) if password is not None else None, "must_change": must_change and password is not None}
    with acting(SECURITY) as (who, cursor):
        _refuse_oneself(who, name)
        cursor.execute(_PASSWORD, given)
        _require_found(cursor, name)
        _end_sessions(cursor, name)
        cursor.execute("DELETE FROM access.failure WHERE name = %s", (digest(name),))
        trace(cursor, who, "password set" if password is not None else "password taken", of=name)
    generation.advance()


def _end_sessions(cursor, name: str) -> None:
    cursor.execute("UPDATE access.key SET revoked_at = now() WHERE user_name = %s AND kind = 'session' AND revoked_at IS NULL", (name,))


def disable_user(name: str) -> None:
    """Shut a user out, one of the identity provider's too; his keys hold no longer, his traces stay. Raises NotFound."""
    _shut(name, True)


def enable_user(name: str) -> None:
    """Let a user in again who was shut out: his password and keys hold as before. Raises NotFound."""
    _shut(name, False)


def _shut(name: str, shut: bool) -> None:
    with acting(SECURITY) as (who, cursor):
        _refuse_oneself(who, name)
        cursor.execute('UPDATE access."user" SET disabled = %s WHERE name = %s', (shut, name))
        if not cursor.rowcount:
            cursor.execute("UPDATE access.federated SET disabled = %s WHERE name = %s", (shut, name))
        _require_found(cursor, name)
        trace(cursor, who, "user disabled" if shut else "user enabled", of=name)
    generation.advance()


def expire_user(name: str, day: dt.date | None) -> None:
    """The day from which an account does not hold; None: none. Raises NotFound."""
    with acting(SECURITY) as (who, cursor):
        _refuse_oneself(who, name)
        cursor.execute('UPDATE access."user" SET expires_at = %s WHERE name = %s', (day, name))
        _require_found(cursor, name)
        trace(cursor, who, "user expires", of=name, on=day.isoformat() if day else None)
    generation.advance()


def unlock_user(name: str) -> bool:
    """Forget the wrong passwords typed for a name; whether there were any."""
    with acting(SECURITY) as (who, cursor):
        cursor.execute("DELETE FROM access.failure WHERE name = %s", (digest(name),))
        found = bool(cursor.rowcount)
        trace(cursor, who, "user unlocked", of=name)
        return found


_USERS = """
SELECT u.name, u.role, u.department, u.disabled, u.password_set_at IS NOT NULL AS password,
       (SELECT count(*) FROM access.key k WHERE k.user_name = u.name AND k.kind = 'key' AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > now())) AS keys,
       u.must_change, u.password_set_at, u.expires_at, u.last_login_at, u.last_login_from
FROM access."user" u ORDER BY u.name
"""
_FEDERATED = """
SELECT name, role, department, disabled, false, 0, false, NULL::timestamptz, NULL::timestamptz, last_login_at, last_login_from
FROM access.federated ORDER BY name
"""


def users() -> list[dict]:
    """All users, those of the identity provider behind the local ones: name, role, department, whether disabled, whether a
    password is set, how many keys hold, whether locked, when the password or the account ends, the last log-in."""
    with acting(SECURITY) as (_, cursor):
        cursor.execute(
            "SELECT name FROM access.failure WHERE n >= %s AND since > now() - make_interval(secs => %s)", (FAILURES_ALLOWED, LOCKED_S)
        )
        locked = {row[0] for row in cursor.fetchall()}
        cursor.execute(_USERS)
        found = cursor.fetchall()
        cursor.execute(_FEDERATED)
        found += cursor.fetchall()
    names = ("name", "role", "department", "disabled", "password", "keys")
    listed = []
    for *first, must_change, set_at, expires, last_at, last_from in found:
        listed.append(
            dict(zip(names, first, strict=True))
            | {
                "locked": digest(first[0]) in locked, "must_change": must_change, "password_expires_at": passwords.expires_at(set_at),
                "expires_at": expires, "last_login_at": last_at, "last_login_from": last_from,
            }
        )  # fmt: skip
    return listed


# --- keys -------------------------------------------------------------------------------------------------------------


def new_key(name: str, *, days: int | None = None) -> str:
    """A new key for a user (256 random bits), valid for so many days (default and most: the settings). Returned once, never stored.

    Raises NotFound where there is no such user, InputError for a lifetime that is none.
    """
    longest = settings().key_days_longest
    lives = min(settings().key_days, longest) if days is None else days
    if not 1 <= lives <= longest:
        raise InputError(f"a key lives 1 to {longest} days", where="days", remedy="The most is ONEMAP_KEY_DAYS_LONGEST")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    with acting(SECURITY) as (who, cursor):
        cursor.execute('SELECT 1 FROM access."user" WHERE name = %s AND NOT disabled', (name,))
        if not cursor.fetchone():
            raise NotFound(f"no user {name[:70]!r}", remedy="Make him with `onemap user add NAME --role ROLE`")
        cursor.execute(
            "INSERT INTO access.key (user_name, sha256, prefix, expires_at) VALUES (%s, %s, %s, now() + make_interval(days => %s))"
            " RETURNING id",
            (name, digest(key), key[:PREFIX_LENGTH], lives),
        )
        trace(cursor, who, "key made", of=name, key=cursor.fetchone()[0], days=lives)
    return key


def rotate_key(which: str, *, grace_hours: float = 24) -> str:
    """A new key for the holder of a key, with the same lifetime from now; the old one holds for some hours more.

    Raises NotFound, InputError.
    """
    if not 0 <= grace_hours <= 24 * 30:
        raise InputError("the old key may hold 0 to 720 hours more", where="grace")
    with acting(SECURITY) as (who, cursor):
        number = _key_number(cursor, which)
        cursor.execute(
            "SELECT user_name, coalesce(round(extract(epoch FROM expires_at - created_at) / 86400)::int, %s) FROM access.key WHERE id = %s",
            (settings().key_days, number),
        )
        name, days = cursor.fetchone()
    key = new_key(name, days=max(1, min(days, settings().key_days_longest)))
    with acting(SECURITY) as (who, cursor):
        cursor.execute(
            "UPDATE access.key SET expires_at = least(expires_at, now() + make_interval(secs => %s)) WHERE id = %s",
            (grace_hours * 3600, number),
        )
        trace(cursor, who, "key replaced", of=name, key=number, hours=grace_hours)
    generation.advance()
    return key


def keys(name: str | None = None) -> list[Key]:
    """The keys of a user, or all of them, newest first."""
    with acting(SECURITY) as (_, cursor):
        cursor.execute(
            "SELECT id, user_name, prefix, created_at, expires_at, revoked_at, last_used_at, last_used_from FROM access.key "
            "WHERE kind = 'key' AND (%(name)s::text IS NULL OR user_name = %(name)s) ORDER BY id DESC",
            {"name": name},
        )
        return [Key(*row) for row in cursor.fetchall()]


def revoke_key(key: str) -> int:
    """Revoke a key, named by its number, its first characters or itself; the number of the key. Raises NotFound, InputError."""
    with acting(SECURITY) as (who, cursor):
        number = _key_number(cursor, key)
        cursor.execute("UPDATE access.key SET revoked_at = now() WHERE id = %s RETURNING user_name", (number,))
        trace(cursor, who, "key revoked", of=cursor.fetchone()[0], key=number)
    generation.advance()
    return number


def expire_key(key: str, days: int) -> int:
    """Let a key end in so many days; its number. Raises NotFound, InputError."""
    if not 1 <= days <= settings().key_days_longest:
        raise InputError(f"a key lives 1 to {settings().key_days_longest} days", where="days")
    with acting(SECURITY) as (who, cursor):
        number = _key_number(cursor, key)
        cursor.execute("UPDATE access.key SET expires_at = now() + make_interval(days => %s) WHERE id = %s", (days, number))
        trace(cursor, who, "key expires", key=number, days=days)
    generation.advance()
    return number


def _key_number(cursor, key: str) -> int:
    prefix = key[:PREFIX_LENGTH] if key.startswith(KEY_PREFIX) else None
    cursor.execute(
        "SELECT id FROM access.key WHERE kind = 'key' AND revoked_at IS NULL AND (id::text = %(key)s OR prefix = %(prefix)s)",
        {"key": key, "prefix": prefix},
    )
    found = [row[0] for row in cursor.fetchall()]
    if not found:
        raise NotFound("no such key holds", remedy="See `onemap key list`")
    if len(found) > 1:
        raise InputError("several keys begin so", remedy=f"Name one by its number: {', '.join(map(str, found))}")
    return found[0]


# --- limits -----------------------------------------------------------------------------------------------------------

_ALLOW = """
INSERT INTO access.allowance AS a (subject, rate_per_s, at_once, heavy_at_once, file_rows)
VALUES (%(subject)s, %(rate_per_s)s, %(at_once)s, %(heavy_at_once)s, %(file_rows)s)
ON CONFLICT (subject) DO UPDATE SET rate_per_s = EXCLUDED.rate_per_s, at_once = EXCLUDED.at_once,
  heavy_at_once = EXCLUDED.heavy_at_once, file_rows = EXCLUDED.file_rows
"""


def allow(subject: str, **most: float | int | None) -> None:
    """What a role (`role:water`) or user (`user:li`) may do at most: rate_per_s, at_once, heavy_at_once, file_rows; None: as usual.

    With nothing given, the exception is taken back. Raises InputError.
    """
    kind, _, name = subject.partition(":")
    if kind not in ("role", "user") or not name or (kind == "role" and name not in ROLES):
        raise InputError(f"{subject[:70]!r} is neither a role nor a user", remedy="role:NAME or user:NAME")
    if any(value is not None and value < 0 for value in most.values()):
        raise InputError("a limit is not negative", remedy="0 means: no limit")
    given = dict.fromkeys(("rate_per_s", "at_once", "heavy_at_once", "file_rows")) | most
    with acting(SECURITY) as (who, cursor):
        if all(value is None for value in given.values()):
            cursor.execute("DELETE FROM access.allowance WHERE subject = %s", (subject,))
        else:
            cursor.execute(_ALLOW, given | {"subject": subject})
        trace(cursor, who, "limits set", of=subject, **given)
    generation.advance()


def allowances() -> list[dict]:
    """The exceptions from the usual limits."""
    with acting(SECURITY) as (_, cursor):
        cursor.execute("SELECT subject, rate_per_s, at_once, heavy_at_once, file_rows FROM access.allowance ORDER BY subject")
        names = ("subject", "rate_per_s", "at_once", "heavy_at_once", "file_rows")
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
