"""What surrounds every answer, whichever part of the server gives it: who asks, the headers that protect, compression, figures, log.

Both ways to an answer use these functions: the short one (gis/api/front.py) and Flask's (gis/api/app.py).
"""

from __future__ import annotations

import gzip
import logging
import re
import threading
import time
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache, partial

from cachetools import TTLCache
from werkzeug.http import parse_accept_header

from gis.access import address, audit, limits, oidc
from gis.access.identity import NOBODY, Identity, caller, identify
from gis.access.roles import is_restricted
from gis.api import cors, logs, metrics, tile_cache
from gis.api.visit import Visit
from gis.catalog.narrowing import base
from gis.catalog.read import catalog
from gis.errors import OneMapError
from gis.settings import settings

log = logging.getLogger("onemap.api")

SMALLEST_GZIPPED = 1024
GZIP_LEVEL = 1
"""Level 1 takes a third of the time of level 6 and leaves GeoJSON 20 % larger."""
TILE = "application/vnd.mapbox-vector-tile"
_GZIPPED = (
    "application/json",
    "application/javascript",
    "application/prs.coverage+json",
    "application/geo+json",
    "application/problem+json",
    "application/schema+json",
    "application/ld+json",
    "application/vnd.oai.openapi+json",
    TILE,
    "text/",
    "application/xml",
    "image/svg+xml",
)
VARIES = "Accept, Accept-Encoding, Accept-Language, Authorization, X-API-Key"
FILE_VARIES = "Accept-Encoding"
"""Files: nothing in the request but the encoding changes what they are, so that a browser keeps them through a log-in."""

_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
_MAP_POLICY = (
    "default-src 'self'; script-src 'self'; worker-src 'self' blob:; child-src blob:; img-src 'self' data: blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'self'"
)


def require_settings() -> None:
    """Refuses to start with settings of access that contradict themselves. Raises DefinitionError."""
    cors.headers(None)
    address.networks(settings().trusted_proxies)
    oidc.require_settings()


def receive(visit: Visit) -> None:
    """A request has come: it is counted, and nobody in particular asks until `admit` knows better."""
    metrics.AT_ONCE.inc()
    visit.counted = True
    caller.set(NOBODY)
    audit.origin.set({"address": visit.address, "request": visit.id})


def admit(visit: Visit) -> None:
    """Who asks is looked up, and what no path and no limit has to bear is refused. Raises AccessDenied, Throttled, InputError."""
    who = identify(visit.header("AUTHORIZATION"), visit.header("X_API_KEY"), visit.address)
    caller.set(who)
    visit.ticket = limits.enter(who, visit.address, heavy=_HEAVY.search(visit.path) is not None)
    visit.require_wellformed()


_HEAVY = re.compile(r"^/collections/[^/]+/(download|coverage)$|^/processes/[^/]+/execution$")
"""Paths that make a file, cut a coverage or run a process."""


def dismiss(visit: Visit) -> None:
    """The answer has been given: the request counts no more among those of its caller at the same time."""
    ticket, visit.ticket = visit.ticket, -1
    limits.leave(ticket)


_LAYER = re.compile(r"^/(?:collections|styles)/([A-Za-z0-9_]+)")
_refused: TTLCache[tuple[str, str], bool] = TTLCache(4096, 60)
_refusing = threading.Lock()
_beside: ThreadPoolExecutor | None = None


def begin_worker() -> None:
    """In a process that serves: refusals go into the audit beside the answers. One that waited for the audit would tell by its time what
    is hidden from what never was. What waits is written before the process ends."""
    global _beside
    _beside = ThreadPoolExecutor(1, "refusals")


def note_refusal(visit: Visit, status: int) -> None:
    """A row in the audit for a user who asks for a restricted layer that does not exist for him: once a minute for a user and a layer.

    What nobody in particular tries stands in the log: everybody could fill the audit with it.
    """
    match, who = _LAYER.match(visit.path) if status in (403, 404) else None, caller.get()
    layer = catalog().layers.get(match[1]) if match and not who.is_anonymous else None
    if layer is None or not is_restricted(layer) or layer.readable_by(who.role):
        return
    with _refusing:
        if (who.user, layer.id) in _refused:
            return
        _refused[who.user, layer.id] = True
    noted = partial(copy_context().run, _record_refusal, who, layer.id, visit.path[:200])
    if _beside:
        _beside.submit(noted)
    else:
        noted()


def _record_refusal(who: Identity, layer: str, path: str) -> None:
    try:
        audit.record(who, "refused", layer, path=path)
    except OneMapError as error:  # it is refused all the same
        log.warning("a refusal is not in the audit: %s", error.what)


def protect(visit: Visit, headers: MutableMapping[str, str], *, is_page: bool = False, is_file: bool = False) -> None:
    """Add the headers that every answer has."""
    headers["X-Request-Id"] = visit.id
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "SAMEORIGIN"
    headers.setdefault("Referrer-Policy", "same-origin")
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "geolocation=(self), camera=(), microphone=()"
    headers.setdefault("Cache-Control", "private, no-cache")
    varies = FILE_VARIES if is_file else VARIES
    headers["Vary"] = f"{headers['Vary']}, {varies}" if "Vary" in headers else varies
    for name, value in cors.headers(visit.header("ORIGIN")).items():
        headers[name] = f"{headers[name]}, {value}" if name == "Vary" else value
    if (settings().public_url or visit.environ["wsgi.url_scheme"]).startswith("https"):  # never by plain HTTP (RFC 6797, 7.2)
        headers["Strict-Transport-Security"] = "max-age=31536000"
    if is_page:
        if headers.get("Content-Type") == "text/html":
            headers["Content-Type"] = "text/html; charset=utf-8"  # pygeoapi leaves it to the page itself, which not every client reads
        headers["Content-Security-Policy"] = _MAP_POLICY if visit.path.startswith("/map") else _PAGE_POLICY


def is_compressed(visit: Visit, status: int, headers: MutableMapping[str, str]) -> bool:
    """Whether an answer goes out compressed, if it is not too small."""
    return (
        status in (200, 404, 400)
        and "Content-Encoding" not in headers
        and headers.get("Content-Type", "").startswith(_GZIPPED)
        and _takes_gzip(visit.header("ACCEPT_ENCODING") or "")
    )


def compressed(body: bytes, headers: MutableMapping[str, str]) -> bytes:
    """The body as it goes out, with its header; small ones stay as they are."""
    if len(body) < SMALLEST_GZIPPED:
        return body
    headers["Content-Encoding"] = "gzip"
    etag = headers.get("ETag")
    if etag is None or headers.get("Content-Type") != TILE:
        return gzip.compress(body, GZIP_LEVEL, mtime=0)
    return tile_cache.packed(etag, body, lambda: gzip.compress(body, GZIP_LEVEL, mtime=0))


@lru_cache(maxsize=256)
def _takes_gzip(accepted: str) -> bool:
    return bool(parse_accept_header(accepted)["gzip"])


def account(visit: Visit, route: str | None, status: int) -> None:
    """The figures and the line in the log of an answer; `route`: the pattern of its path, None where there is none."""
    seconds = time.perf_counter() - visit.started
    counter, histogram = _series(route or "unknown", visit.method if route else "-", status)
    counter.inc()
    histogram.observe(seconds)
    if visit.counted:
        visit.counted = False
        metrics.AT_ONCE.dec()
    logs.of_request(visit.id, visit.method, route or "unknown", status, seconds, base(caller.get().role))


@lru_cache(maxsize=1024)
def _series(route: str, method: str, status: int) -> tuple:
    """The counter and the histogram of these labels: looking them up anew costs more than counting."""
    return metrics.REQUESTS.labels(route, method, str(status)), metrics.SECONDS.labels(route)
