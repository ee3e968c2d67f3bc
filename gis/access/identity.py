"""Who is asking: name and password (Basic), a key or session (Bearer, X-API-Key), or a token of the configured issuer; nobody → anonymous.

Fails closed: credentials that do not hold are an error, never a fall back to anonymous. What held is remembered for a few
seconds, so that a map of forty tiles costs one look-up; what the administrator changes (a key revoked, a user disabled) moves
`gis.access.generation` and holds at once in every worker of this server, elsewhere after those seconds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass

from gis.access import generation, limits, lookup, oidc, rights
from gis.access.roles import ANONYMOUS
from gis.errors import AccessDenied

REMEMBERED_S = 10
"""For how long a look-up is trusted where the generation does not move."""
LONGEST = 512
"""Characters of a name, password or key; longer ones are nobody's."""
LONGEST_TOKEN = 8192
"""Characters of a token of the issuer."""
_KEPT = 4096

_salt = secrets.token_bytes(16)
_known: dict[bytes, tuple[Identity, float, int]] = {}
"""What was sent (a digest of it) → who that is, until when (monotonic), in which generation."""
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: the user's name (empty: nobody in particular), his role, his department (empty: none)."""

    user: str
    role: str
    department: str = ""

    @property
    def is_anonymous(self) -> bool:
        return self.role == ANONYMOUS


NOBODY = Identity("", ANONYMOUS)

caller: ContextVar[Identity] = ContextVar("caller", default=NOBODY)
"""Who asks in this request. Set on every request, the anonymous too: threads are used again."""


def forget() -> None:
    """Forget all look-ups of this process (after the settings changed, in tests)."""
    with _lock:
        _known.clear()
    lookup.forget()
    limits.forget()
    oidc.forget()


def identify(authorization: str | None, api_key: str | None = None, address: str = "") -> Identity:
    """The caller of a request with these two headers (`Authorization`, `X-API-Key`) from this address.

    Raises AccessDenied (401 for credentials that do not hold, 403 for a password that must be changed first), Throttled
    after too many wrong ones, StoreError when the database cannot be asked.
    """
    if api_key:
        return _remembered("key", api_key, address)
    if not authorization:
        return NOBODY
    scheme, _, value = authorization.strip().partition(" ")
    kind, value = _KINDS.get(scheme.lower()), value.strip()
    if kind is None or not value:
        raise _denied("The Authorization header is not understood")
    if kind == "key" and oidc.is_token(value):
        kind = "token"
    return _remembered(kind, value, address)


_KINDS = {"bearer": "key", "basic": "basic"}


def _denied(what: str) -> AccessDenied:
    return AccessDenied(what, remedy="Log in with name and password, or with a key of `onemap key new`", anonymous=True)


def _remembered(kind: str, secret: str, address: str) -> Identity:
    if len(secret) > (LONGEST_TOKEN if kind == "token" else 4 * LONGEST):
        raise _denied("The credentials do not hold")
    sent = hashlib.blake2b(f"{kind} {secret}".encode("utf-8", "surrogateescape"), key=_salt, digest_size=16).digest()
    now, at = time.monotonic(), generation.current()
    found = _known.get(sent)
    if found is not None and found[1] > now and found[2] == at:
        return found[0]
    limits.refuse_guesser(address)
    holder = _LOOK_UP[kind](secret, sent, address)
    role = rights.role_of(holder.user, holder.role)
    with _lock:
        if len(_known) >= _KEPT:
            _make_room(now)
        identity = Identity(holder.user, role, holder.department)
        # `at` was read before the look-up: what changes meanwhile makes this entry stale, not true
        _known[sent] = identity, now + min(REMEMBERED_S, holder.left_s), at
    return identity


def _make_room(now: float) -> None:
    for sent in [sent for sent, (_, until, _) in _known.items() if until <= now]:
        del _known[sent]
    if len(_known) >= _KEPT:
        _known.clear()


def _by_key(key: str, sent: bytes, address: str) -> lookup.Holder:
    if not key.isascii():
        raise _denied("The key does not hold")
    return lookup.of_key(key, address)


def _by_token(token: str, sent: bytes, address: str) -> lookup.Holder:
    return lookup.of_claims(oidc.verified(token, address), address)


def _by_password(value: str, sent: bytes, address: str) -> lookup.Holder:
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _denied("The Authorization header is not understood") from None
    if not colon or not name or "\0" in name or len(name) > LONGEST or len(password) > LONGEST:
        raise _denied("The credentials do not hold")
    return lookup.of_password(name, password, sent, address)


_LOOK_UP = {"key": _by_key, "basic": _by_password, "token": _by_token}
