"""Features: pages of them, and one."""

from __future__ import annotations

import orjson
from flask import Response, request

from gis.api import reading
from gis.api.routes import transactions
from gis.api.routes.blueprint import definition_of, ogc, response_of, served_api
from gis.api.visit import here
from gis.db import cql2
from gis.errors import InputError


@ogc.route("/collections/<name>/items", methods=["GET", "POST"], provide_automatic_options=False)
def items(name: str) -> Response:
    """A page of features; POST carries a CQL2 JSON filter, or a feature to be created."""
    definition_of(name, "feature")
    if request.method == "POST" and transactions.is_feature():
        return transactions.create(name)
    if request.method == "POST":
        _require_filter()
    return response_of(reading.page(served_api(), here(), name, request.data))


def _require_filter() -> None:
    """The body of a POST is a filter: JSON, UTF-8, and the only filter. Raises InputError."""
    text = request.get_data()
    if len(text) > 4 * cql2.MAX_TEXT:  # bytes of one character: said before megabytes are read as JSON
        raise InputError(f"the filter is longer than {cql2.MAX_TEXT:,} characters", where="body")
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise InputError("the body is no CQL2 JSON object", where="body")
    if "filter" in request.args:
        raise InputError("a filter in the body and one in the URL", where="filter", remedy="Send one of them")


@ogc.get("/collections/<name>/items/<path:item>", provide_automatic_options=False)
def one_item(name: str, item: str) -> Response:
    response = response_of(reading.one(served_api(), here(), name, item))
    return response.make_conditional(request) if "ETag" in response.headers else response
