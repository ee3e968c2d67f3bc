"""Who is asking: name and password (Basic) or a key (Bearer, X-API-Key), looked up in the database; nobody → anonymous.

Fails closed: credentials that do not hold are an error, never a fall back to anonymous. What held is remembered for a few
seconds, so that a map of forty tiles costs one look-up; a revoked key or a disabled user is therefore out after that time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import threading
from contextvars import ContextVar
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cachetools import TTLCache

from gis.access.roles import ANONYMOUS
from gis.db.connection import reading
from gis.errors import AccessDenied

REMEMBERED_S = 10
"""For how long a look-up is trusted."""
FAILURES_ALLOWED = 10
"""Wrong passwords for one name within LOCKED_S seconds, after which the name is refused unread (GB/T 22239-2019, 8.1.4.1 b)."""
LOCKED_S = 300
LONGEST = 512
"""Characters of a name, password or key; longer ones are nobody's."""

_KEY = """
SELECT u.name, u.role FROM access.key k JOIN access."user" u ON u.name = k.user_name
WHERE k.sha256 = %s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND NOT u.disabled
"""
_USER = 'SELECT name, role, password_hash FROM access."user" WHERE name = %s AND NOT disabled AND password_hash IS NOT NULL'

_hasher = PasswordHasher()
_nobody = _hasher.hash(secrets.token_urlsafe())
"""Verified against for unknown names, so that the time taken does not tell which names exist."""
_salt = secrets.token_bytes(16)
_known: TTLCache[bytes, Identity] = TTLCache(4096, REMEMBERED_S)
_failures: TTLCache[str, int] = TTLCache(4096, LOCKED_S)
_lock = threading.Lock()


@dataclass(frozen=True)
class Identity:
    """Who asks: the user's name (empty: nobody in particular) and his role."""

    user: str
    role: str

    @property
    def is_anonymous(self) -> bool:
        return self.role == ANONYMOUS


NOBODY = Identity("", ANONYMOUS)

caller: ContextVar[Identity] = ContextVar("caller", default=NOBODY)
"""Who asks in this request. Set on every request, the anonymous too: threads are used again."""


def digest(key: str) -> str:
    """What the database keeps of a key: its SHA-256. A key has 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def hashed(password: str) -> str:
    """What the database keeps of a password: argon2id with the parameters of RFC 9106."""
    return _hasher.hash(password)


def forget() -> None:
    """Forget all look-ups (after the settings changed, in tests)."""
    with _lock:
        _known.clear()
        _failures.clear()


def identify(authorization: str | None, api_key: str | None = None) -> Identity:
    """The caller of a request with these two headers (`Authorization`, `X-API-Key`).

    Raises AccessDenied (401) for credentials that do not hold, StoreError when the database cannot be asked.
    """
    if api_key:
        return _remembered("key", api_key, _holder_of_key)
    if not authorization:
        return NOBODY
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return _remembered("key", value, _holder_of_key)
    if scheme.lower() == "basic" and value:
        return _remembered("basic", value, _holder_of_password)
    raise _denied("The Authorization header is not understood")


def _denied(what: str = "The credentials do not hold") -> AccessDenied:
    return AccessDenied(what, remedy="Log in with name and password, or with a key of `onemap key new`", anonymous=True)


def _remembered(kind: str, secret: str, look_up) -> Identity:
    if len(secret) > 4 * LONGEST:
        raise _denied()
    token = hashlib.blake2b(f"{kind} {secret}".encode("utf-8", "surrogateescape"), key=_salt).digest()
    with _lock:
        found = _known.get(token)
    if found is None:
        found = look_up(secret)
        with _lock:
            _known[token] = found
    return found


def _row(query: str, value: str) -> tuple | None:
    with reading("identity") as connection, connection.cursor() as cursor:
        cursor.execute(query, (value,))
        return cursor.fetchone()


def _holder_of_key(key: str) -> Identity:
    found = _row(_KEY, digest(key)) if key.isascii() else None
    if found is None:
        raise _denied("The key does not hold")
    return Identity(*found)


def _holder_of_password(token: str) -> Identity:
    try:
        name, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _denied("The Authorization header is not understood") from None
    if not colon or not name or "\0" in name or len(name) > LONGEST or len(password) > LONGEST:
        raise _denied()
    with _lock:
        if _failures.get(name, 0) >= FAILURES_ALLOWED:
            raise _denied("Too many wrong passwords; the name is locked for some minutes")
    found = _row(_USER, name)
    if not _verified(found[2] if found else _nobody, password) or not found:
        with _lock:
            _failures[name] = _failures.get(name, 0) + 1
        raise _denied()
    return Identity(found[0], found[1])


def _verified(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
