"""WMTS 1.0.0: capabilities and tiles of the rasters, by KVP (`/wmts?`) and RESTful."""

from __future__ import annotations

from flask import Response, request

from gis.api import wmts
from gis.api.routes.blueprint import cache_control, ogc, provider_of, served_api
from gis.api.routes.tile_sets import answered_tile
from gis.errors import InputError, NotFound


@ogc.get("/wmts")
def key_value_pairs() -> Response:
    """GetCapabilities and GetTile."""
    try:
        wanted = wmts.parsed(request.args)
        if wanted is None:
            return _capabilities()
        return _tile(wanted)
    except InputError as error:
        missing = error.what.endswith("is missing")
        return _refused(400, error, "MissingParameterValue" if missing else "InvalidParameterValue")
    except NotFound as error:
        return _refused(404, error, "InvalidParameterValue")


@ogc.get(f"/{wmts.CAPABILITIES}")
def capabilities() -> Response:
    """The capabilities as a document."""
    return _capabilities()


@ogc.get(f"/wmts/{wmts.VERSION}/<layer>/{wmts.STYLE}/<matrix_set>/<z>/<y>/<x>.png", endpoint="wmts_tile")
def tile(layer: str, matrix_set: str, z: str, y: str, x: str) -> Response:
    """A tile as the template of the capabilities names it."""
    try:
        return _tile(wmts.TileRequest(layer, matrix_set, z, y, x))
    except InputError as error:
        return _refused(400, error, "TileOutOfRange" if "outside the grid" in error.what else "InvalidParameterValue")
    except NotFound as error:
        return _refused(404, error, "InvalidParameterValue")


def _capabilities() -> Response:
    return Response(wmts.capabilities(served_api().base_url), content_type=wmts.MEDIA, headers={"Cache-Control": "private, no-cache"})


def _tile(wanted: wmts.TileRequest) -> Response:
    provider = provider_of(wanted.layer, "tile")
    if not provider.layer.is_raster:
        raise NotFound("Collection not found")
    known = request.headers.get("If-None-Match")
    answer = provider.tile(wanted.matrix_set, wanted.z, wanted.y, wanted.x, known=known)
    return answered_tile(answer, provider.mimetype, cache_control(provider.layer))


def _refused(status: int, error: InputError | NotFound, code: str) -> Response:
    return Response(wmts.exception(error.what, error.where, code), status, content_type=wmts.MEDIA)
