"""The change feed of a collection."""

from __future__ import annotations

import re

from flask import Response, request

from gis.api import changes
from gis.api.configuration import DEFAULT_LIMIT, LARGEST_LIMIT
from gis.api.routes.blueprint import ogc, provider_of, served_api
from gis.api.serialize import json_bytes
from gis.errors import InputError


@ogc.get("/collections/<name>/changes")
def collection_changes(name: str) -> Response:
    """What came, changed and went since a token; see `gis.api.changes`."""
    layer = provider_of(name, "feature").layer
    unknown = set(request.args) - {"since", "limit", "f"}
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of since, limit, f")
    if request.args.get("f", "json") != "json":
        raise InputError("the change feed is offered as f=json only", where="f")
    since, limit = request.args.get("since"), request.args.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,9}", limit) or not 0 < int(limit) <= LARGEST_LIMIT:
        raise InputError(f"limit is a number from 1 to {LARGEST_LIMIT}", where="limit")
    found = changes.changes(layer, changes.token_of(layer, since), int(limit))
    url = f"{served_api().base_url}/collections/{name}/changes?since={found['token']}&limit={limit}"
    link = {"rel": "next" if found["more"] else "monitor", "type": "application/json", "href": url}
    return Response(json_bytes(found | {"links": [link]}), content_type="application/json", headers={"Cache-Control": "private, no-store"})
