"""Features: pages of them, and one."""

from __future__ import annotations

import orjson
from flask import Response, request
from werkzeug.datastructures import MultiDict

from gis.api.adapt import itemtypes
from gis.api.routes.blueprint import FORMATS, answered, asked, collection_of, definition_of, ogc, served_api
from gis.errors import InputError


@ogc.route("/collections/<name>/items", methods=["GET", "POST"], provide_automatic_options=False)
def items(name: str) -> Response:
    """A page of features; POST carries a CQL2 JSON filter."""
    definition_of(name, "feature")
    made = asked((*FORMATS, "csv"))
    if request.method == "POST":
        _require_filter()
    _plus_signs(made)
    request.environ["onemap.parsed_features"] = made.format not in (None, "json")
    response = answered(itemtypes.get_collection_items(served_api(), made, name))
    if response.status_code == 200 and made.format in (None, "json"):
        response.headers["Content-Type"] = "application/geo+json"
    return response


@ogc.route("/collections/<name>/items", methods=["OPTIONS"])
@ogc.route("/collections/<name>/items/<path:item>", methods=["OPTIONS"], endpoint="item_options")
def items_options(name: str, item: str = "") -> Response:
    collection_of(name)
    return Response(status=200, headers={"Allow": "GET, HEAD, OPTIONS" + ("" if item else ", POST")})


def _require_filter() -> None:
    """The body of a POST is a filter: JSON, UTF-8, and the only filter. Raises InputError."""
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise InputError("the body is no CQL2 JSON object", where="body")
    if "filter" in request.args:
        raise InputError("a filter in the body and one in the URL", where="filter", remedy="Send one of them")


def _plus_signs(made) -> None:
    """`sortby=+name`: in a query string + means a blank."""
    if "sortby" in request.args:
        arguments = MultiDict(request.args)
        arguments["sortby"] = ",".join("+" + part[1:] if part[:1] == " " else part for part in arguments["sortby"].split(","))
        made._args = arguments


@ogc.get("/collections/<name>/items/<path:item>", provide_automatic_options=False)
def one_item(name: str, item: str) -> Response:
    definition_of(name, "feature")
    unknown = set(request.args) - {"f", "lang", "crs", "as-of"}
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of f, lang, crs, as-of")
    made = asked()
    response = answered(itemtypes.get_collection_item(served_api(), made, name, item))
    if response.status_code == 200 and made.format in (None, "json"):
        response.headers["Content-Type"] = "application/geo+json"
    return response
