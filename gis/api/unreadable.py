"""The answer to what is no request that can be read: the same problem document, headers, figures and line in the log as every mistake.

gunicorn's parser finds such requests before there is anything that the application could be asked with, so this is written here.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from gunicorn import SERVER, util
from gunicorn.http import errors as http

from gis.api import envelope
from gis.api.errors import CODES, TITLES, class_of
from gis.api.serialize import json_bytes
from gis.api.visit import Visit

log = logging.getLogger("onemap.server")

ROUTE = "unreadable"
"""Under which they stand in the figures and in the log."""

_STATUS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (http.InvalidResponseHeader, 500, "", ""),
    (http.InvalidResponseHeaderName, 500, "", ""),
    (http.ConfigurationProblem, 500, "", ""),
    (http.LimitRequestLine, 414, "the address is too long", "Send the filter as the body of a POST"),
    (http.LimitRequestHeaders, 431, "the headers are too many or too long", "Send fewer and shorter ones: 60 of 8190 bytes"),
    (http.ExpectationFailed, 417, "the only expectation understood is 100-continue", ""),
    (http.UnsupportedTransferCoding, 400, "the transfer coding is not understood", "Send the body as it is, or in chunks"),
    (http.InvalidRequestLine, 400, "the request line is not understood", "Percent-encode what is no UTF-8 in the address (RFC 3986)"),
    (http.InvalidRequestMethod, 400, "the method is not understood", ""),
    (http.InvalidHTTPVersion, 400, "this version of HTTP is not understood", "Ask by HTTP/1.1"),
    (http.InvalidHeaderName, 400, "the name of a header is not understood", "Letters, digits and hyphens"),
    (http.ParseException, 400, "the headers are not understood", ""),
    (http.InvalidChunkSize, 400, "the body is not understood", ""),
    (http.ChunkMissingTerminator, 400, "the body is not understood", ""),
)
"""What gunicorn finds → status, what is said, what to do. What a caller sent is not repeated to him, nor to the log."""


def answer(fault: BaseException, address: str) -> bytes:
    """The whole answer, after which the connection is closed. What is no fault of the caller's is a 500 and stands in the log."""
    status, what, remedy = next((tuple(rest) for kind, *rest in _STATUS if isinstance(fault, kind)), (500, "", ""))
    if status == 500:
        log.error("a request could not be answered", exc_info=fault)
    visit = Visit({"REQUEST_METHOD": "-", "wsgi.url_scheme": "http", "REMOTE_ADDR": address})
    envelope.receive(visit)
    title = TITLES.get(status, TITLES[500 if status >= 500 else 400])
    body = json_bytes(
        {
            "type": "about:blank",
            "title": title,
            "status": status,
            "error": class_of(status),
            "what": what or title,
            "code": CODES.get(status, CODES[500 if status >= 500 else 400]),
            "detail": what or title,
            "description": " ".join(filter(None, [what or title, remedy])),
            "requestId": visit.id,
        }
        | ({"remedy": remedy} if remedy else {})
    )
    headers = {"Content-Type": "application/problem+json", "Content-Length": str(len(body))}
    envelope.protect(visit, headers)
    envelope.account(visit, ROUTE, status)
    first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: {SERVER}\r\nDate: {util.http_date()}\r\nConnection: close\r\n"
    return (first + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode("latin-1") + body
