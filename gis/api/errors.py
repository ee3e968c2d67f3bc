"""From a mistake to an HTTP answer: one table, one shape. Nothing that is not one of the platform's own errors shows its text."""

from __future__ import annotations

import logging

import psycopg2.errors
from flask import Response, g, request
from pygeoapi.error import GenericError
from pygeoapi.process.base import JobNotFoundError, UnknownProcessError
from werkzeug.exceptions import HTTPException

from gis.api import pages, wording
from gis.api.serialize import json_bytes
from gis.errors import NotFound, OneMapError, Throttled

log = logging.getLogger("onemap.api")

REALM = "One Map"
RETRY_AFTER_S = 5

CODES = {
    400: "InvalidParameterValue",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "RequestTooLarge",
    415: "UnsupportedMediaType",
    422: "UnprocessableContent",
    429: "TooManyRequests",
    500: "NoApplicableCode",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}
"""OGC exception codes (OGC API Common, 8.10) by HTTP status."""

TITLES = {
    400: "The request is wrong",
    401: "Log in first",
    403: "This is not allowed",
    404: "There is nothing here",
    405: "This cannot be done here",
    406: "This format is not offered",
    409: "This contradicts what is there",
    412: "It was changed since you read it",
    413: "The request is too large",
    415: "This content type is not understood",
    422: "The checks speak against it",
    429: "Too many requests",
    500: "The platform made a mistake",
    501: "This is not offered",
    503: "The platform cannot answer now",
}


CLASSES = {401: "AccessDenied", 403: "AccessDenied", 404: "NotFound", 503: "StoreError"}
"""The platform's class of a mistake (`gis.errors`) that the framework found, by HTTP status."""


def class_of(status: int) -> str:
    """The platform's class for an HTTP status: what a client chooses its own words by."""
    return CLASSES.get(status, "InputError" if status < 500 else "Unexpected")


PROCESSES = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
"""The types of mistakes that OGC API Processes names (OGC 18-062r2, 7.11 to 7.13)."""


class Refused(Exception):
    """A mistake that pygeoapi found where no answer can be written yet: `description` may be shown, unless the status is a fault."""

    def __init__(self, status: int, description: str, code: str):
        super().__init__(description)
        self.status, self.code = status, code


def problem(
    status: int,
    detail: str = "",
    *,
    where: str = "",
    remedy: str = "",
    code: str | None = None,
    error: str | None = None,
    more: dict | None = None,
) -> Response:
    """The answer to a mistake: an OGC exception that is also problem details (RFC 9457), or a page for a browser.

    `error` is the platform's class of the mistake, by which clients say it in their own words; `more`: members that only this mistake has.
    """
    title = TITLES.get(status, TITLES[400 if status < 500 else 500])
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "error": error or class_of(status),
        "what": detail or title,
        "code": code or CODES.get(status, CODES[400 if status < 500 else 500]),
        "detail": detail or title,
        "description": " ".join(filter(None, [detail or title, f"({where})" if where else "", remedy])),
        "requestId": g.get("request_id", ""),
    }
    body |= {name: value for name, value in (("where", where), ("remedy", remedy)) if value} | (more or {})
    language = pages.language_of(request.args.get("lang") or request.accept_languages.best_match(("zh", "en"), "zh"))
    if language == "zh" and request.accept_languages and (said := wording.sentence(body["detail"], language)) != body["detail"]:
        body["said"] = "。".join(filter(None, (said, wording.sentence(remedy, language))))
    if wants_page():
        site = g.get("site") or {"identification": {"title": "One Map"}}
        content = pages.render("exception.html", language, site=site, base_url=g.get("base_url", ""), data=body | {"links": []})
        response = Response(content, status, mimetype="text/html")
    else:
        response = Response(json_bytes(body), status, content_type="application/problem+json")
    if status == 401:
        response.headers["WWW-Authenticate"] = f'Basic realm="{REALM}", charset="UTF-8"'
    if status in (503, 429):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    response.headers["Cache-Control"] = "no-store"
    return response


def found_by_pygeoapi(status: int, description: str, code: str) -> Response:
    """The answer to a mistake that pygeoapi found; the text of a fault of its own is not shown."""
    if status >= 500:
        log.error("pygeoapi: %s", description)
        return problem(status)
    log.debug("pygeoapi: %s %s", status, description)
    where, remedy = next((said for begins, said in _REMEDIES.items() if description.startswith(begins)), ("", ""))
    return problem(status, description[:500], code=code, where=where, remedy=remedy)


_REMEDIES = {
    "unknown properties": ("properties", "Name columns of the layer; /schema lists them"),
    "bad sortby": ("sortby", "Name columns of the layer, separated by commas; /sortables lists them"),
    "limit value": ("limit", "Write a whole number from 1 on"),
    "offset value": ("offset", "Write a whole number from 0 on"),
    "bbox-crs specified": ("bbox-crs", "Send it with bbox"),
    "bbox ": ("bbox", "Write west,south,east,north"),
    "miny should": ("bbox", "Write the lower corner first, in the axis order of the CRS"),
    "CRS ": ("crs", "Write a URI from the collection's list of crs"),
    "Invalid filter language": ("filter-lang", "One of cql2-text, cql2-json"),
}
"""Where a mistake that pygeoapi found lies and what to do, by the beginning of what it says."""


def wants_page() -> bool:
    """Whether the caller is a browser that was not told another format."""
    wanted = request.args.get("f")
    if wanted:
        return wanted == "html"
    best = request.accept_mimetypes.best_match(("application/json", "text/html"), "application/json")
    return best == "text/html" and request.accept_mimetypes["text/html"] > request.accept_mimetypes["application/json"]


def answer(error: Exception) -> Response:
    """The one table: the platform's errors by their class, the framework's by their status, all others 500 without a word."""
    if isinstance(error, OneMapError):
        return _named(error)
    if isinstance(error, HTTPException):
        if error.code and error.code < 400:
            return error.get_response()
        return problem(error.code or 500, TITLES.get(error.code or 500, ""))
    if isinstance(error, Refused):
        return found_by_pygeoapi(error.status, str(error), error.code)
    if isinstance(error, (JobNotFoundError, UnknownProcessError)):
        kind = "no-such-job" if isinstance(error, JobNotFoundError) else "no-such-process"
        return problem(404, "No such job or process", more={"type": PROCESSES + kind})
    if isinstance(error, GenericError) and int(error.http_status_code) < 500 and error.user_msg:
        return problem(int(error.http_status_code), error.message, code=error.ogc_exception_code)
    if type(error).__module__ == "gunicorn.http.errors" or isinstance(error, ConnectionResetError):
        return problem(400, "The body did not come as it was announced", where="body")
    # a path may hold an id or a token: the pattern of it is enough
    route = request.url_rule.rule if request.url_rule else "no route"
    log.error("unexpected %s on %s", type(error).__name__, route, exc_info=error, extra={"request_id": g.get("request_id")})
    return problem(500, "Unexpected fault; the log of the platform knows more under the request id")


def _named(error: OneMapError) -> Response:
    status = error.http_status
    if status >= 500:
        if isinstance(error.__cause__, psycopg2.errors.QueryCanceled):  # its time was over, or its caller left: asked, not broken
            log.warning("%s", error.what, extra={"request_id": g.get("request_id")})
        else:
            log.error("%s: %s", type(error).__name__, error.what, exc_info=error.__cause__, extra={"request_id": g.get("request_id")})
    if status == 500:
        return problem(500, "Unexpected fault; the log of the platform knows more under the request id")
    if isinstance(error, NotFound):
        # The remedy may name what is near, and so what is hidden.
        return problem(404, "There is no such thing here", more=error.more)
    answered = problem(status, error.what, where=error.where, remedy=error.remedy, error=type(error).__name__, more=error.more)
    if isinstance(error, Throttled):
        answered.headers["Retry-After"] = str(error.retry_after_s)
    return answered
