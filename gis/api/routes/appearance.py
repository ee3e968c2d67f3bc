"""What styles are drawn with: letters and signs. They hold no data, but the signs are those of the layers that the caller may see."""

from __future__ import annotations

import re

from flask import Response, request

from gis.access.identity import caller
from gis.access.roles import visible_catalog
from gis.api import glyphs, sprites
from gis.api.routes.blueprint import ogc
from gis.api.serialize import json_bytes
from gis.catalog.model import Catalog
from gis.catalog.read import catalog
from gis.errors import InputError

_RANGE = re.compile(r"^([0-9]{1,5})-([0-9]{1,5})$")
_STACK = re.compile(r"^[\w ,.-]{1,200}$")
_KEPT = {"Cache-Control": "public, max-age=86400"}


@ogc.get("/fonts/<stack>/<letters>.pbf")
def letters(stack: str, letters: str) -> Response:
    """256 letters as distance fields. Whatever fonts are named, the machine's own Chinese font answers."""
    found = _RANGE.match(letters)
    if found is None or not _STACK.match(stack):
        raise InputError(f"{letters[:40]!r} is no range of letters", where="range", remedy="Ranges are 0-255, 256-511 and so on")
    body = glyphs.glyphs(int(found[1]), int(found[2]), stack)
    return Response(body, content_type="application/x-protobuf", headers=_KEPT)


@ogc.get("/sprites/onemap.json", defaults={"ratio": 1}, endpoint="sprite_index")
@ogc.get("/sprites/onemap@2x.json", defaults={"ratio": 2}, endpoint="sprite_index_2x")
def sprite_index(ratio: int) -> Response:
    """Where each sign is within the picture."""
    return _unless_known(Response(json_bytes(sprites.sprite(_seen(), ratio)[1]), content_type="application/json"))


@ogc.get("/sprites/onemap.png", defaults={"ratio": 1}, endpoint="sprite")
@ogc.get("/sprites/onemap@2x.png", defaults={"ratio": 2}, endpoint="sprite_2x")
def sprite(ratio: int) -> Response:
    """The signs in one picture."""
    return _unless_known(Response(sprites.sprite(_seen(), ratio)[0], content_type="image/png"))


def _unless_known(response: Response) -> Response:
    """The answer, or 304 where the caller has it: the signs change with the layers that he may see, and seldom else."""
    response.add_etag(weak=True)  # weak: compressed or not, it says the same
    return response.make_conditional(request)


def _seen() -> Catalog:
    return visible_catalog(catalog(), caller.get().role)
