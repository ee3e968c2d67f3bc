"""Who holds a key, a session, a password or a token: asked of the database, with lock-out, expiry and the trace of every log-in.

Lock-out stands in the database, so it holds in every worker and after a restart. Names that do not exist are locked as
those that do: what a guesser sees does not tell which is which.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import threading
import time
from dataclasses import dataclass

import psycopg2.extras

from gis.access import generation, limits, passwords
from gis.db.connection import reading, writing
from gis.errors import AccessDenied
from gis.settings import settings

FAILURES_ALLOWED = 10
"""Wrong passwords for one name within LOCKED_S seconds, after which the name is refused unread (GB/T 22239-2019, 8.1.4.1 b)."""
LOCKED_S = 300
VERIFIED_S = 600
"""For how long this process need not compute again that a password fits the hash in the database."""
ROLE = "identity"
"""The database role that may look up who holds what, and nothing else."""
_KEPT = 4096
_NAME = re.compile(r"^[^\s:\x00-\x1f]{1,64}$")

_verified: dict[bytes, tuple[str, float]] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who it is, and for how many seconds from now that may be believed at most."""

    user: str
    role: str
    department: str = ""
    left_s: float = float("inf")


def forget() -> None:
    """Forget which passwords were verified (in tests)."""
    with _lock:
        _verified.clear()


def digest(key: str) -> str:
    """What the database keeps of a key: its SHA-256. A key has 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


# --- keys and sessions ------------------------------------------------------------------------------------------------

_KEY = """
WITH found AS (
  SELECT k.id, u.name, u.role, u.department, extract(epoch FROM least(k.expires_at, u.expires_at) - now())::float8 AS left_s, k.last_used_at
  FROM access.key k JOIN access."user" u ON u.name = k.user_name
  WHERE k.sha256 = %(digest)s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND NOT u.disabled
    AND (u.expires_at IS NULL OR u.expires_at > now())
    AND (k.kind = 'key' OR k.last_used_at > now() - make_interval(secs => %(idle)s))
), used AS (
  UPDATE access.key k SET last_used_at = now(), last_used_from = %(address)s FROM found
  WHERE k.id = found.id AND (found.last_used_at IS NULL OR found.last_used_at < now() - interval '1 minute')
)
SELECT name, role, department, left_s FROM found
"""


def of_key(key: str, address: str) -> Holder:
    """The holder of a key or session. Raises AccessDenied (401); a wrong one leaves a row in the audit."""
    given = {"digest": digest(key), "idle": settings().session_idle_minutes * 60, "address": address[:64]}
    with writing(ROLE) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(_KEY, given)
        found = cursor.fetchone()
        if found is None:
            _trace(cursor, "", "", "login refused", {"by": "key", "prefix": key[:9] if key.startswith("o") else "", "address": address})
    if found is None:
        limits.failed(address)
        raise AccessDenied("The key does not hold", remedy="Ask for a new key (`onemap key new`), or log in again", anonymous=True)
    return Holder(*found[:3], left_s=found[3] if found[3] is not None else float("inf"))


# --- passwords --------------------------------------------------------------------------------------------------------

_USER = """
SELECT u.name, u.role, u.department, u.password_hash, u.password_set_at, u.must_change,
       u.disabled OR coalesce(u.expires_at <= now(), false) AS shut, extract(epoch FROM u.expires_at - now())::float8,
       coalesce(f.n >= %(allowed)s AND f.since > now() - make_interval(secs => %(locked)s), false) AS locked, now()
FROM (SELECT 1) one
LEFT JOIN access."user" u ON u.name = %(name)s AND u.password_hash IS NOT NULL
LEFT JOIN access.failure f ON f.name = %(digest)s
"""
_FAILED = """
INSERT INTO access.failure AS f (name, n) VALUES (%(digest)s, 1)
ON CONFLICT (name) DO UPDATE SET
  n = CASE WHEN f.since > now() - make_interval(secs => %(locked)s) THEN f.n + 1 ELSE 1 END,
  since = CASE WHEN f.since > now() - make_interval(secs => %(locked)s) AND f.n + 1 < %(allowed)s THEN f.since ELSE now() END
RETURNING n
"""
_OLD_FAILURES = "DELETE FROM access.failure WHERE since < now() - make_interval(secs => %(locked)s) AND name <> %(digest)s"
_LOGGED_IN = """
UPDATE access."user" SET login_before_at = last_login_at, login_before_from = last_login_from,
  last_login_at = now(), last_login_from = %(address)s
WHERE name = %(name)s
"""


@dataclass(frozen=True, slots=True)
class _User:
    name: str | None
    role: str
    department: str
    password_hash: str | None
    password_set_at: dt.datetime | None
    must_change: bool
    shut: bool
    left_s: float | None
    locked: bool
    now: dt.datetime


def of_password(name: str, password: str, sent: bytes, address: str, *, to_change: bool = False) -> Holder:
    """The holder of a name and password; `sent` identifies the pair, so that it is computed once in a while only;
    nothing sent (b"") is never taken as known.

    Raises AccessDenied: 401 where they do not hold or the name is locked, 403 where the password has to be changed first
    (not with to_change); Throttled for a guesser.
    """
    given = {"name": name, "digest": digest(name), "allowed": FAILURES_ALLOWED, "locked": LOCKED_S, "address": address[:64]}
    with reading(ROLE) as connection, connection.cursor() as cursor:
        cursor.execute(_USER, given)
        user = _User(*cursor.fetchone())
    if not (_is_verified(sent, user.password_hash) and not user.shut):
        if user.locked:
            limits.failed(address)
            raise AccessDenied("Too many wrong passwords; the name is locked for some minutes", anonymous=True)
        holds = passwords.verified(user.password_hash, password) and not user.shut
        _settle(user, given, holds)
        if not holds:
            limits.failed(address)
            raise AccessDenied("The credentials do not hold", remedy="Log in with name and password, or with a key", anonymous=True)
        if sent:
            _keep(sent, user.password_hash)
    ends = passwords.expires_at(user.password_set_at)
    if not to_change and (user.must_change or (ends is not None and ends <= user.now)):
        raise AccessDenied("The password must be changed first", remedy="Change it at /account/password, or by `onemap user password`")
    left = [s for s in (user.left_s, (ends - user.now).total_seconds() if ends else None) if s is not None]
    return Holder(user.name, user.role, user.department, min(left, default=float("inf")))


def _keep(sent: bytes, password_hash: str) -> None:
    with _lock:
        if len(_verified) >= _KEPT:
            _verified.clear()
        _verified[sent] = password_hash, time.monotonic() + VERIFIED_S


def _is_verified(sent: bytes, password_hash: str | None) -> bool:
    known = _verified.get(sent)
    return known is not None and known[0] == password_hash and known[1] > time.monotonic()


def _settle(user: _User, given: dict, holds: bool) -> None:
    """What a tried password leaves: the count of failures, the last log-in, and a row in the audit."""
    with writing(ROLE) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        named = given["name"] if user.name or _NAME.match(given["name"]) else ""
        if holds:
            cursor.execute("DELETE FROM access.failure WHERE name = %(digest)s", given)
            cursor.execute(_LOGGED_IN, given)
            _trace(cursor, named, user.role, "login", {"by": "password", "address": given["address"]})
            return
        cursor.execute(_OLD_FAILURES, given)
        cursor.execute(_FAILED, given)
        (n,) = cursor.fetchone()
        detail = {"by": "password", "address": given["address"], "failures": n} | ({"shut": True} if user.shut else {})
        _trace(cursor, named, user.role or "", "login refused", detail)
        if n == FAILURES_ALLOWED:
            _trace(cursor, named, user.role or "", "locked", {"address": given["address"], "seconds": LOCKED_S})


# --- tokens of the issuer ---------------------------------------------------------------------------------------------

_FEDERATED = """
INSERT INTO access.federated AS f (name, role, department, last_login_at, last_login_from)
VALUES (%(name)s, %(role)s, %(department)s, now(), %(address)s)
ON CONFLICT (name) DO UPDATE SET role = EXCLUDED.role, department = EXCLUDED.department,
  last_login_at = EXCLUDED.last_login_at, last_login_from = EXCLUDED.last_login_from
"""
_SEEN = "SELECT disabled, role, department, last_login_at > now() - interval '10 minutes' FROM access.federated WHERE name = %(name)s"


def of_claims(claims: Holder, address: str) -> Holder:
    """Who a verified token names, if the security administrator has not shut him out. Each ten minutes leave a log-in in the audit."""
    given = {"name": claims.user, "role": claims.role, "department": claims.department, "address": address[:64]}
    with writing(ROLE) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(_SEEN, given)
        seen = cursor.fetchone()
        disabled = bool(seen and seen[0])
        if disabled:
            _trace(cursor, claims.user, claims.role, "login refused", {"by": "token", "address": given["address"], "shut": True})
        elif seen is None or seen[1:] != (claims.role, claims.department, True):
            cursor.execute(_FEDERATED, given)
            _trace(cursor, claims.user, claims.role, "login", {"by": "token", "address": given["address"]})
    if disabled:
        raise AccessDenied("The user of this token is shut out", remedy="Ask the security administrator", anonymous=True)
    return claims


def refused_token(address: str, why: str) -> None:
    """A token that did not hold leaves a row in the audit, without what stands in it: nobody has vouched for that."""
    limits.failed(address)
    with writing(ROLE) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        _trace(cursor, "", "", "login refused", {"by": "token", "address": address[:64], "why": why})


def _trace(cursor, user: str, role: str, action: str, detail: dict) -> None:
    cursor.execute(
        "INSERT INTO access.audit (user_name, role, action, detail) VALUES (%s, %s, %s, %s)",
        (user, role or "", action, psycopg2.extras.Json({name: value for name, value in detail.items() if value != ""})),
    )


# --- one's own password and sessions ----------------------------------------------------------------------------------


def change_password(name: str, old: str, new: str, address: str) -> None:
    """A user changes his own password: the old one must hold, the new one be strong and another. Ends his sessions.

    Raises AccessDenied, InputError.
    """
    limits.refuse_guesser(address)
    holder = of_password(name, old, b"", address, to_change=True)
    limits.failed(address)  # no other limit stands before this path, and each time takes the work of a log-in
    passwords.require_different(new, old)
    passwords.require_strong(new, holder.user)
    with writing(ROLE) as connection, connection.cursor() as cursor:
        cursor.execute(
            'UPDATE access."user" SET password_hash = %s, password_set_at = now(), must_change = false WHERE name = %s',
            (passwords.hashed(new), holder.user),
        )
        cursor.execute(
            "UPDATE access.key SET revoked_at = now() WHERE user_name = %s AND kind = 'session' AND revoked_at IS NULL", (holder.user,)
        )
        _trace(cursor, holder.user, holder.role, "password changed", {"by": "himself", "address": address[:64]})
    generation.advance()


SESSION_PREFIX = "os_"
_SESSION = """
INSERT INTO access.key (user_name, sha256, prefix, kind, expires_at, last_used_at, last_used_from)
VALUES (%(name)s, %(digest)s, %(prefix)s, 'session', now() + make_interval(secs => %(lives)s), now(), %(address)s)
RETURNING expires_at, (SELECT u.role FROM access."user" u WHERE u.name = user_name)
"""


def begin_session(name: str, key: str, address: str) -> dt.datetime:
    """Keep a new session of a user (its digest); when it ends at the latest. Those that are long over go."""
    given = {"name": name, "digest": digest(key), "prefix": key[:9], "lives": settings().session_hours * 3600, "address": address[:64]}
    with writing(ROLE) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT access.forget_sessions()")
        cursor.execute(_SESSION, given)
        ends, role = cursor.fetchone()
        _trace(cursor, name, role, "session begun", {"prefix": given["prefix"], "address": given["address"]})
        return ends


def end_session(key: str, address: str = "") -> bool:
    """Whether there was such a session; it holds no longer."""
    with writing(ROLE) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE access.key SET revoked_at = now() WHERE sha256 = %s AND kind = 'session' AND revoked_at IS NULL"
            ' RETURNING user_name, (SELECT u.role FROM access."user" u WHERE u.name = user_name)',
            (digest(key),),
        )
        ended = cursor.fetchone()
        if ended:
            _trace(cursor, *ended, "session ended", {"prefix": key[:9], "address": address[:64]})
    if ended:
        generation.advance()
    return bool(ended)


_ABOUT = """
SELECT name, role, department, password_set_at, expires_at, login_before_at, login_before_from FROM access."user" WHERE name = %s
"""


def about(name: str) -> dict | None:
    """What a local user may know of his account: role, department, when the password ends, the log-in before this one."""
    with reading(ROLE) as connection, connection.cursor() as cursor:
        cursor.execute(_ABOUT, (name,))
        found = cursor.fetchone()
    if found is None:
        return None
    user, role, department, set_at, ends, before_at, before_from = found
    return {
        "user": user, "role": role, "department": department, "password_expires_at": passwords.expires_at(set_at), "expires_at": ends,
        "last_login_at": before_at, "last_login_from": before_from,
    }  # fmt: skip
