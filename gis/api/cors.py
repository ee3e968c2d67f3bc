"""Whether pages of other origins may ask (Fetch, CORS protocol): off unless `ONEMAP_CORS_ORIGINS` lists them.

A browser never sends credentials of its own accord (Access-Control-Allow-Credentials is not answered): a page of a listed origin
sends the key or password that its user gave it. With `*` every page may ask for what anybody may see, and no key is let through.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gis.errors import AccessDenied, DefinitionError
from gis.settings import settings

if TYPE_CHECKING:
    from gis.api.visit import Visit

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS = "Content-Type, Accept, Accept-Language, If-Match, If-None-Match, Prefer, X-Request-Id, Content-Crs"
CREDENTIALS = "Authorization, X-API-Key"
EXPOSED = "Link, Location, ETag, Content-Crs, Content-Disposition, OGC-NumberReturned, OGC-NumberMatched, Retry-After, X-Request-Id"
LIVES_S = "600"
_ORIGIN = re.compile(r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$|^https?://\[[0-9A-Fa-f:.]+\](:\d{1,5})?$")


def headers(origin: str | None) -> dict[str, str]:
    """What an answer to a page of this origin has besides; nothing where it may not ask. `Vary` says that it differs by origin."""
    listed = _listed(settings().cors_origins)
    if not listed:
        return {}
    if "*" in listed:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
    if origin not in listed:
        return {"Vary": "Origin"}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED, "Vary": "Origin"}


def preflight(method: str, origin: str | None, asked: str | None) -> dict[str, str] | None:
    """The headers of the answer (204) to a browser that asks beforehand whether a page may ask; None where this is no such question.

    It is answered without looking who asks and what is there: the same for every path.
    """
    if method != "OPTIONS" or not origin or not asked:
        return None
    found = headers(origin)
    if "Access-Control-Allow-Origin" not in found:
        return None
    allowed = HEADERS if found["Access-Control-Allow-Origin"] == "*" else f"{HEADERS}, {CREDENTIALS}"
    return found | {"Access-Control-Allow-Methods": METHODS, "Access-Control-Allow-Headers": allowed, "Access-Control-Max-Age": LIVES_S}


def require_own(visit: Visit) -> None:
    """Refuses what a page of another site makes a browser send: a browser that was once asked for a name and password sends them with every
    request to this server, whoever made it send one, and a form needs no leave to post. So whatever changes or starts something and comes
    with such credentials comes from a page of this server, of a listed origin, or from no page. Keys are sent by nobody unasked.

    Source: Fetch, `Origin`; W3C Fetch Metadata, `Sec-Fetch-Site`, which a page cannot set. Raises AccessDenied.
    """
    origin, site = visit.header("ORIGIN"), visit.header("SEC_FETCH_SITE")
    if visit.method in _READING or not (origin or site) or not (visit.header("AUTHORIZATION") or "").lower().startswith("basic"):
        return
    if site in ("same-origin", "none") or origin in _listed(settings().cors_origins):
        return
    own = {urlsplit(address).netloc for address in (settings().public_url, visit.found_at) if address}
    if site is None and urlsplit(origin or "").netloc in own:
        return
    raise AccessDenied(
        "A page of another site sent this", remedy="Its origin is listed in ONEMAP_CORS_ORIGINS, or it sends a key instead of a password"
    )


_READING = ("GET", "HEAD", "OPTIONS")


@lru_cache
def _listed(text: str) -> frozenset[str]:
    """The origins of the setting. Raises DefinitionError for what is none."""
    found = frozenset(part.strip() for part in text.split(",") if part.strip())
    if wrong := [one for one in found if one != "*" and not _ORIGIN.match(one)]:
        raise DefinitionError(
            f"ONEMAP_CORS_ORIGINS: {wrong[0][:80]!r} is no origin", remedy="Such as https://desk.example.org, without a path"
        )
    return found
