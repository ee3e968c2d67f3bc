"""The web application: pygeoapi's API on Flask, and around every request who asks, how long it takes and what goes wrong."""

from __future__ import annotations

import gzip
import logging
import re
import secrets
import time
from urllib.parse import unquote_to_bytes

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from gis.access.identity import NOBODY, caller, identify
from gis.api import errors, metrics
from gis.api.configuration import configuration
from gis.api.download import download
from gis.api.routes import ogc
from gis.api.served import ServedAPI
from gis.api.site import site
from gis.errors import InputError

log = logging.getLogger("onemap.api")

LARGEST_BODY = 10 * 2**20
LONGEST_QUERY = 16_384
SMALLEST_GZIPPED = 1024
GZIP_LEVEL = 1
"""Level 1 takes a third of the time of level 6 and leaves GeoJSON 20 % larger."""
_GZIPPED = (
    "application/json",
    "application/javascript",
    "application/prs.coverage+json",
    "application/geo+json",
    "application/problem+json",
    "application/schema+json",
    "application/ld+json",
    "application/vnd.oai.openapi+json",
    "application/vnd.mapbox-vector-tile",
    "text/",
    "application/xml",
    "image/svg+xml",
)
_OPEN = ("site.live", "site.map_file", "site.viewer", "site.static_file", "site.icon", "site.figures", "site.health", "site.ready")
"""The same for everybody: nobody has to be looked up, so they answer while the database is away."""

_VARIES = "Accept, Accept-Encoding, Accept-Language, Authorization, X-API-Key"
_STATIC = ("site.map_file", "site.viewer", "site.static_file", "site.icon")
"""Files: nothing in the request but the encoding changes what they are, so that a browser keeps them through a log-in."""

_PAGE_POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
_MAP_POLICY = (
    "default-src 'self'; script-src 'self'; worker-src 'self' blob:; child-src blob:; img-src 'self' data: blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'self'"
)
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")


def create_app() -> Flask:
    """The application for the settings in force. Raises DefinitionError where a layer file is wrong."""
    app = Flask("onemap", static_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    api = ServedAPI(configuration())
    app.extensions["onemap_api"] = api
    app.register_blueprint(ogc)
    app.register_blueprint(download)
    app.register_blueprint(site)
    app.before_request(_begin)
    app.after_request(_finish)
    app.register_error_handler(Exception, errors.answer)
    return app


def _begin() -> Response | None:
    """Before anything else: a request id, who asks, and what no path has to bear."""
    g.started = time.perf_counter()
    metrics.AT_ONCE.inc()
    g.counted = True
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(8)
    api = _api()
    g.site, g.base_url = api.tpl_config["metadata"], api.base_url
    request.environ["onemap.base_url"] = api.base_url
    caller.set(NOBODY)
    if request.endpoint not in _OPEN:
        caller.set(identify(request.headers.get("Authorization"), request.headers.get("X-API-Key")))
    _refuse_malformed()
    return None


def _api() -> ServedAPI:
    return current_app.extensions["onemap_api"]


def _refuse_malformed() -> None:
    """Parameters given twice (one of them would be dropped in silence), texts that are none, endless queries."""
    if len(request.query_string) > LONGEST_QUERY:
        raise InputError(f"the query is longer than {LONGEST_QUERY} bytes", remedy="Send the filter as the body of a POST")
    if (request.content_length or 0) > LARGEST_BODY:
        raise RequestEntityTooLarge
    for name, values in request.args.lists():
        if len(values) > 1:
            raise InputError(f"parameter {name[:60]!r} is given {len(values)} times", remedy="Give it once")
    if not _is_text(request.query_string):
        raise InputError("the query is not UTF-8 text")
    if "\0" in request.path or "\ufffd" in request.path:
        raise InputError("the path is not UTF-8 text")


def _is_text(quoted: bytes) -> bool:
    """Whether percent-encoded bytes are UTF-8 without NUL: the framework leaves what is not as it stands."""
    try:
        return "\0" not in unquote_to_bytes(quoted).decode()
    except UnicodeDecodeError:
        return False


def _finish(response: Response) -> Response:
    """After everything: headers that protect, compression, one line in the log, the figures."""
    headers = response.headers
    headers["X-Request-Id"] = g.get("request_id", "")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "SAMEORIGIN"
    headers.setdefault("Referrer-Policy", "same-origin")
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "geolocation=(self), camera=(), microphone=()"
    headers.setdefault("Cache-Control", "private, no-cache")
    headers.add("Vary", "Accept-Encoding" if request.endpoint in _STATIC else _VARIES)
    if response.mimetype == "text/html":
        headers["Content-Security-Policy"] = _MAP_POLICY if request.path.startswith("/map") else _PAGE_POLICY
    _compress(response)
    _count(response)
    return response


def _compress(response: Response) -> None:
    if (
        response.status_code not in (200, 404, 400)
        or not request.accept_encodings["gzip"]
        or "Content-Encoding" in response.headers
        or not response.content_type
        or not response.content_type.startswith(_GZIPPED)
    ):
        return
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) >= SMALLEST_GZIPPED:
        response.set_data(gzip.compress(body, GZIP_LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"


def _count(response: Response) -> None:
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    route = request.url_rule.rule if request.url_rule else "unknown"
    metrics.REQUESTS.labels(route, request.method if request.url_rule else "-", str(response.status_code)).inc()
    metrics.SECONDS.labels(route).observe(seconds)
    if g.pop("counted", False):
        metrics.AT_ONCE.dec()
    identity = caller.get()
    log.info(
        "%s %s %s %d %.1f ms user=%s role=%s",
        g.get("request_id"),
        request.method,
        request.path,
        response.status_code,
        seconds * 1000,
        identity.user or "-",
        identity.role,
    )
