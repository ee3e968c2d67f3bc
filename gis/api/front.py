"""The short way to the answers that are asked for most: pages of features, one feature, tiles; in front of Flask.

The answers, who asks, the checks, the headers, the figures and the log are those of Flask's routes, because they are the same functions
(`gis.api.reading`, `gis.api.envelope`); left out is what a web framework does around them, two thirds of a request's time
(docs/decisions/0171). What is no plain question (another method, a body, a page, a path that is not known here) goes on to Flask, and
so does what went wrong: how a mistake is answered stands in one place (`gis.api.errors`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

from werkzeug.http import HTTP_STATUS_CODES

from gis.access import audit
from gis.api import envelope, proxy, reading
from gis.api.asked import is_for_json
from gis.api.visit import Visit, current
from gis.catalog.read import catalog
from gis.errors import InputError

_PATH = re.compile(r"/collections/([A-Za-z0-9_]+)/(?:items(?:/([^/]+))?|tiles/([^/]+)/([^/]+)/([^/]+)/([^/]+))", re.ASCII)
_CONDITIONS = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_RANGE")
_STATUS = {code: f"{code} {name.upper()}" for code, name in HTTP_STATUS_CODES.items()}

PAGE = "/collections/<name>/items"
ONE = "/collections/<name>/items/<path:item>"
TILE = "/collections/<name>/tiles/<matrix_set>/<z>/<y>/<x>"
"""The routes as the figures name them: Flask's patterns."""


class Front:
    """WSGI: answers plain questions itself, hands all others to the application behind it."""

    def __init__(self, behind: Callable, api):
        self._behind = behind
        self._api = api

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        proxy.believe(environ)
        visit = Visit(environ)
        token = current.set(visit)
        try:
            envelope.receive(visit)
            visit.base_url = self._api.base_url
            plain = _plain(visit)
            if plain is not None:
                answered = self._answered(visit, *plain)
                if answered is not None:
                    status, headers, body = answered
                    start_response(_STATUS[status], list(headers.items()))
                    return (body,)
            return self._behind(environ, start_response)
        finally:
            if not visit.streams:
                envelope.dismiss(visit)
            audit.origin.set({})
            current.reset(token)

    def _answered(self, visit: Visit, route: str, question: Callable) -> tuple[int, dict[str, str], bytes] | None:
        """Status, headers and body; None where something went wrong, which is kept in the visit."""
        try:
            envelope.admit(visit)
            answer = question(self._api, visit)
        except Exception as error:  # raised again in Flask, where the table of errors stands
            visit.refused = error
            return None
        headers, body = answer.headers, answer.body
        envelope.protect(visit, headers)
        if envelope.is_compressed(visit, answer.status, headers):
            body = envelope.compressed(body, headers)
        if answer.status not in (204, 304):
            headers["Content-Length"] = str(len(body))
        envelope.account(visit, route, answer.status)
        return answer.status, headers, body


def _plain(visit: Visit) -> tuple[str, Callable] | None:
    """The route and the function that answers (api, visit), where this is a plain question."""
    if visit.method != "GET" or visit.has_body:
        return None
    match = _PATH.fullmatch(visit.path)
    if match is None or match[1] not in catalog().layers:
        return None
    name, item, *place = match.groups()
    if place[0] is not None:
        return TILE, partial(reading.tile, name=name, matrix_set=place[0], z=place[1], y=place[2], x=place[3])
    if any(condition in visit.environ for condition in _CONDITIONS):
        return None
    try:
        if not is_for_json(visit):
            return None
    except InputError:  # a malformed query: Flask comes upon it again
        return None
    return (PAGE, partial(reading.page, name=name)) if item is None else (ONE, partial(reading.one, name=name, item=item))
