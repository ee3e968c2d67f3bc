"""Tokens of an identity provider: signed JWTs (RFC 7519) of the one configured issuer, checked here without asking it.

Taken is a token that is signed by a key of the issuer with one of the listed algorithms, names this platform as its audience,
has not expired, and whose roles mean exactly one of ours; everything else is refused (RFC 8725). Keys come from a file or from
the issuer's own host, never from what a token says (`jku`, `jwk`, `x5u` are not looked at). Key and algorithm must fit:
algorithms are an allow-list of asymmetric ones, so no public key is ever used as a secret.
"""

from __future__ import annotations

import binascii
import json
import logging
import math
import re
import threading
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from gis.access import lookup
from gis.access.roles import ANONYMOUS, ROLES
from gis.errors import AccessDenied, DefinitionError, StoreError
from gis.settings import settings

log = logging.getLogger("onemap.access")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""What may be configured: signatures with a private key (RFC 7518, 3.1; RFC 8037). No HMAC, no `none`."""
LEEWAY_S = 30
"""How far the issuer's clock may be off."""
LONGEST_LIFE_S = 24 * 3600
"""A token that lives longer is not one."""
KEYS_LIVE_S = 3600
"""After so long the keys are fetched again, so that one that the issuer took back is not believed for ever."""
FETCHED_AGAIN_S = 60
"""An unknown key is looked for at the issuer at most so often."""
FETCH_TIMEOUT_S = 5
LARGEST_KEYS = 1 << 20
_WEB = ("http://", "https://")
NAME_PREFIX = "oidc:"
"""Before the issuer's user name. No local name holds a colon, so nobody becomes a local user."""

_NAME = re.compile(r"^[^\s\x00-\x1f\x7f]{1,200}$")
_lock = threading.Lock()
_keys: tuple[str, KeySet, float] | None = None
"""Where from, the keys, and until when (monotonic) they are believed."""
_asked = float("-inf")
"""When the issuer was last asked (monotonic)."""


def require_settings() -> None:
    """Raises DefinitionError where tokens would be taken by settings that contradict themselves or say too little."""
    if settings().oidc_issuer is None:
        return
    allowed_algorithms()
    if not settings().oidc_audience:
        raise DefinitionError(
            "ONEMAP_OIDC_AUDIENCE is missing", remedy="This platform's name at the issuer: tokens for others are not for it"
        )
    unknown = set(settings().oidc_roles.values()) - (set(ROLES) - {ANONYMOUS})
    if not settings().oidc_roles or unknown:
        raise DefinitionError(
            "ONEMAP_OIDC_ROLES leads to no role", remedy='Such as {"water-department": "water"}; roles: ' + ", ".join(ROLES)
        )
    keys, issuer = settings().oidc_keys or settings().oidc_issuer, settings().oidc_issuer
    if keys.startswith(_WEB) and urlsplit(keys)[:2] != urlsplit(issuer)[:2]:
        raise DefinitionError(
            "ONEMAP_OIDC_KEYS is on another host than the issuer", remedy="A file, or an address of the issuer's own host"
        )
    if settings().oidc_keys is None and not issuer.startswith(_WEB):
        raise DefinitionError("ONEMAP_OIDC_ISSUER is no address", remedy="Name a file of its keys in ONEMAP_OIDC_KEYS")


class _Refused(Exception):
    """Why a token is not taken: for the audit, not for who sent it."""


def is_token(value: str) -> bool:
    """Whether a bearer's value is to be read as a token of the issuer: three parts, while one is configured. Keys hold no dots."""
    return value.count(".") == 2 and settings().oidc_issuer is not None


def forget() -> None:
    """Forget the issuer's keys (after the settings changed, in tests)."""
    global _keys, _asked
    with _lock:
        _keys, _asked = None, float("-inf")


def verified(token: str, address: str = "") -> lookup.Holder:
    """Who a token names, with his role and department here, and how long that holds.

    Raises AccessDenied (401) for every token that is not to be taken, StoreError where the issuer's keys cannot be had,
    DefinitionError where the settings contradict themselves.
    """
    try:
        return _holder(_claims(token))
    except _Refused as why:
        lookup.refused_token(address, str(why))
        raise AccessDenied("The token does not hold", remedy="Log in again at the identity provider", anonymous=True) from None


# --- what a token must be ---------------------------------------------------------------------------------------------


def _claims(token: str) -> dict:
    header = _header(token)
    algorithms = allowed_algorithms()
    if header.get("alg") not in algorithms:
        raise _Refused("algorithm")
    if "crit" in header or str(header.get("typ", "JWT")).lower().removeprefix("application/") not in ("jwt", "at+jwt"):
        raise _Refused("header")
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise _Refused("key id")
    try:
        claims = jwt.decode(token, _fitting(kid, header["alg"]), registry=JWSRegistry(algorithms=list(algorithms))).claims
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise _Refused("signature") from None
    _check(claims)
    return claims


def _header(token: str) -> dict:
    """The header, which nobody has vouched for yet."""
    try:
        part = token.encode("ascii").split(b".")[0]
        header = json.loads(binascii.a2b_base64(part.translate(_FROM_URL) + b"=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        raise _Refused("header") from None
    if not isinstance(header, dict):
        raise _Refused("header")
    return header


_FROM_URL = bytes.maketrans(b"-_", b"+/")


def _check(claims: dict) -> None:
    """Issuer, audience and times (RFC 7519, 4.1). Times are numbers; exp and iat must be there."""
    now = time.time()
    if claims.get("iss") != settings().oidc_issuer:
        raise _Refused("issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not settings().oidc_audience or settings().oidc_audience not in audiences:
        raise _Refused("audience")
    times = {name: claims.get(name) for name in ("exp", "iat", "nbf")}
    if not all(_is_time(at) for name, at in times.items() if at is not None or name != "nbf"):
        raise _Refused("times")
    if times["exp"] <= now - LEEWAY_S:
        raise _Refused("expired")
    if times["iat"] > now + LEEWAY_S or (times["nbf"] or 0) > now + LEEWAY_S:
        raise _Refused("not yet valid")
    if times["exp"] - times["iat"] > LONGEST_LIFE_S:
        raise _Refused("lives too long")


def _is_time(at: object) -> bool:
    return isinstance(at, int | float) and not isinstance(at, bool) and math.isfinite(at)


def allowed_algorithms() -> tuple[str, ...]:
    """The signatures taken. Raises DefinitionError for one that is none with a private key."""
    listed = tuple(part.strip() for part in settings().oidc_algorithms.split(",") if part.strip())
    if not listed or set(listed) - set(ALGORITHMS):
        raise DefinitionError("ONEMAP_OIDC_ALGORITHMS lists what is no signature with a private key", remedy="Of " + ", ".join(ALGORITHMS))
    return listed


# --- whom it names ----------------------------------------------------------------------------------------------------


def _holder(claims: dict) -> lookup.Holder:
    name = claims.get(settings().oidc_user_claim)
    if not isinstance(name, str) or not _NAME.match(name):
        raise _Refused("user")
    roles = {role for role in (settings().oidc_roles.get(one) for one in _listed(claims)) if role}
    # one of two would be a guess, and no two duties may meet in one person
    if len(roles) != 1:
        raise _Refused("no role" if not roles else "several roles")
    (role,) = roles
    if role not in ROLES or role == ANONYMOUS:
        raise DefinitionError(f"ONEMAP_OIDC_ROLES leads to {role[:40]!r}, which is no role", remedy="One of " + ", ".join(ROLES))
    department = claims.get(settings().oidc_department_claim) if settings().oidc_department_claim else ""
    if not isinstance(department, str) or len(department) > 100:
        raise _Refused("department")
    return lookup.Holder(NAME_PREFIX + name, role, department, claims["exp"] + LEEWAY_S - time.time())


def _listed(claims: dict) -> list[str]:
    """The roles or groups in the token: a list, or words in one text (as `scope` has them)."""
    found = claims
    for part in [settings().oidc_role_claim] if settings().oidc_role_claim in claims else settings().oidc_role_claim.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    listed = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return [one for one in listed if isinstance(one, str)]


# --- the issuer's keys ------------------------------------------------------------------------------------------------


def _fitting(kid: str | None, algorithm: str):
    """The one key of the issuer that the token names, of the kind of its algorithm; without a name the only one of that kind."""
    for fetch_again in (False, True):
        fits = [key for key in _issuer_keys(again=fetch_again).keys if _fits(key, kid, algorithm)]
        if len(fits) == 1:
            return fits[0]
    raise _Refused("key")


def _fits(key, kid: str | None, algorithm: str) -> bool:
    described = key.as_dict(private=False)
    if kid is not None and described.get("kid") != kid:
        return False
    if described.get("use", "sig") != "sig" or described.get("alg", algorithm) != algorithm:
        return False
    kind = {"R": "RSA", "P": "RSA"}.get(algorithm[0]) or ("EC" if algorithm.startswith("ES") else "OKP")
    return described.get("kty") == kind


def _issuer_keys(*, again: bool) -> KeySet:
    """The keys, remembered; asked for again where they are old, or (at most once a minute) where one is missing."""
    global _asked
    place = settings().oidc_keys or settings().oidc_issuer or ""
    with _lock:
        now = time.monotonic()
        known = _keys if _keys is not None and _keys[0] == place else None
        if known is None or known[2] <= now:
            if now - _asked < (FETCHED_AGAIN_S if known else FETCH_TIMEOUT_S):
                return _or_unknown(known)
            _asked = now
            return _fetch(place)
        if not again or now - _asked < FETCHED_AGAIN_S:
            return known[1]
        _asked = now
    try:  # outside the lock: a token that names a key nobody knows makes nobody else wait
        return _fetch(place)
    except StoreError:
        return known[1]


def _or_unknown(known: tuple[str, KeySet, float] | None) -> KeySet:
    if known is None:
        raise StoreError("The identity provider's keys cannot be had", remedy="Try again in a moment")
    return known[1]


def _fetch(place: str) -> KeySet:
    global _keys
    try:
        found = _read(place)
    except (OSError, HTTPException, ValueError, JoseError, TypeError, KeyError, AttributeError, RecursionError) as error:
        log.error("the identity provider's keys cannot be had: %s", error)
        raise StoreError("The identity provider's keys cannot be had", remedy="See ONEMAP_OIDC_KEYS and the log") from None
    _keys = place, found, time.monotonic() + KEYS_LIVE_S
    return found


def _read(place: str) -> KeySet:
    if not place.startswith(_WEB):
        text = Path(place).read_bytes()
    else:
        if settings().oidc_keys is None:
            place = str(json.loads(_fetched(f"{place.rstrip('/')}/.well-known/openid-configuration"))["jwks_uri"])
        text = _fetched(place)
    listed = json.loads(text)["keys"]
    # a secret in the issuer's public document would let everybody sign
    return KeySet.import_key_set({"keys": [key for key in listed if key.get("kty") in ("RSA", "EC", "OKP")]})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def _fetched(address: str) -> bytes:
    """A document of the issuer's own host, by its own scheme; nothing leads elsewhere, no proxy of the environment is asked."""
    own, asked = urlsplit(settings().oidc_issuer or ""), urlsplit(address)
    if (own.scheme, own.netloc) != (asked.scheme, asked.netloc):
        raise ValueError("the keys are not on the issuer's own host")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    with opener.open(address, timeout=FETCH_TIMEOUT_S) as answer:
        text = answer.read(LARGEST_KEYS + 1)
    if len(text) > LARGEST_KEYS:
        raise ValueError("the keys are too large")
    return text
