"""Passwords: how strong they must be, what is kept of them, when they are too old (GB/T 22239-2019, 8.1.4.1 a)."""

from __future__ import annotations

import datetime as dt
import re
import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gis.errors import InputError
from gis.settings import settings

SHORTEST, LONGEST = 10, 512
CLASSES_WANTED = 3
"""Of small letters, capitals, digits and others."""
FEWEST_CHARACTERS = 5
"""Different ones: Aa1Aa1Aa1Aa1 is three kinds and no password."""
MOST_BESIDE = 5
"""Letters and digits beside a common password that leave it one: a year, a number."""
AT_ONCE = 4
"""Passwords verified at the same time in one process: each takes 64 MB (RFC 9106, 4)."""
COMMON = frozenset((
    "password", "passwort", "passw0rd", "p@ssw0rd", "p@ssword", "qwerty", "qwertyuiop", "asdfgh", "asdfghjkl", "zxcvbn", "zxcvbnm",
    "1qaz2wsx", "qazwsx", "q1w2e3r4", "admin", "administrator", "root", "letmein", "welcome", "iloveyou", "abc123", "abcd1234",
    "a1b2c3d4", "123456", "1234567", "12345678", "123456789", "1234567890", "111111", "000000", "666666", "888888", "123123",
    "654321", "5201314", "woaini", "onemap", "postgres", "changeme", "default", "guest", "test1234", "gaolin", "huawei",
))  # fmt: skip
"""Passwords that everybody tries, in small letters; the start of lists that are public."""
_KINDS = tuple(re.compile(kind) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[^a-zA-Z\d]"))

_hasher = PasswordHasher()
_nobody = _hasher.hash(secrets.token_urlsafe())
"""Verified against for unknown names, so that the time taken does not tell which names exist."""
_working = threading.BoundedSemaphore(AT_ONCE)


def _names(name: str, small: str) -> bool:
    """Whether a name, forwards or backwards, is in a password; two letters are in every other word."""
    name = name.lower()
    return len(name.encode()) > 2 and (name in small or name[::-1] in small)


def require_strong(password: str, name: str) -> None:
    """Raises InputError where a password is too short, too plain, one of the common ones, or holds the name."""
    small = password.lower()
    plain = re.sub(r"[^a-z\d@]", "", small)
    # a common password with a year or a mark behind it is a common password
    common = any(word in plain and len(plain) - len(word) <= MOST_BESIDE for word in COMMON)
    faults = [
        fault
        for fault, found in (
            (f"it has fewer than {SHORTEST} characters", len(password) < SHORTEST),
            (f"it has more than {LONGEST} characters", len(password) > LONGEST),
            (
                f"it has fewer than {CLASSES_WANTED} kinds of them",
                sum(bool(kind.search(password)) for kind in _KINDS) < CLASSES_WANTED,
            ),
            (f"it has fewer than {FEWEST_CHARACTERS} different characters", len(set(small)) < FEWEST_CHARACTERS),
            ("the name is in it", _names(name, small)),
            ("everybody tries it", common),
            ("it holds characters that cannot be typed", any(ord(c) < 32 for c in password)),
        )
        if found
    ]
    if faults:
        raise InputError(
            f"the password is too weak: {faults[0]}",
            where="password",
            remedy=f"At least {SHORTEST} characters of {CLASSES_WANTED} kinds (small, capital, digit, other), without the name",
        )


def require_different(new: str, old: str) -> None:
    """Raises InputError where a new password is the old one, or the old one with something added."""
    if new == old or (old and old.lower() in new.lower()):
        raise InputError("the new password is the old one", where="new", remedy="Think of another")


def hashed(password: str) -> str:
    """What the database keeps of a password: argon2id with the parameters of RFC 9106."""
    with _working:
        return _hasher.hash(password)


def verified(password_hash: str | None, password: str) -> bool:
    """Whether it is this password; for nobody's (None) it takes as long and is never so."""
    with _working:
        try:
            return _hasher.verify(password_hash or _nobody, password) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


def made() -> str:
    """A password nobody has thought of: 96 random bits."""
    while True:
        password = f"{secrets.token_urlsafe(12)}-7a"
        if sum(bool(kind.search(password)) for kind in _KINDS) >= CLASSES_WANTED:
            return password


def expires_at(set_at: dt.datetime | None) -> dt.datetime | None:
    """When a password set then must be changed; None: never."""
    days = settings().password_days
    return set_at + dt.timedelta(days=days) if set_at and days else None
