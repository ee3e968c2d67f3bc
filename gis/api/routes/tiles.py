"""Tile matrix sets, the tilesets of a collection, and its tiles."""

from __future__ import annotations

from flask import Response, request

from gis.api import temporal
from gis.api.adapt import tiles
from gis.api.routes.blueprint import cache_control, ogc, provider_of, run
from gis.errors import InputError, NotFound


@ogc.get("/TileMatrixSets")
def tile_matrix_sets() -> Response:
    return run(tiles.tilematrixsets, formats=("json", "html"))


@ogc.get("/TileMatrixSets/<name>")
def tile_matrix_set(name: str) -> Response:
    if name not in ("WebMercatorQuad", "WorldCRS84Quad"):
        raise NotFound("no such tile matrix set")
    return run(tiles.tilematrixset, name, formats=("json", "html"))


@ogc.get("/collections/<name>/tiles")
def tilesets(name: str) -> Response:
    provider_of(name, "tile")
    return run(tiles.get_collection_tiles, name, formats=("json", "html"))


@ogc.get("/collections/<name>/tiles/<matrix_set>")
@ogc.get("/collections/<name>/tiles/<matrix_set>/metadata", endpoint="tileset_metadata")
def tileset(name: str, matrix_set: str) -> Response:
    provider_of(name, "tile")
    return run(tiles.get_collection_tiles_metadata, name, matrix_set, formats=("json", "html", "tilejson"), default="json")


@ogc.get("/collections/<name>/tiles/<matrix_set>/<z>/<y>/<x>")
def tile(name: str, matrix_set: str, z: str, y: str, x: str) -> Response:
    """A tile: vectors, or a picture of a raster.

    Says when it changes (ETag), who may keep it, and never that it may be used unasked after a load."""
    provider = provider_of(name, "tile")
    if request.args.get("f") not in (None, *provider.formats):
        raise InputError(f"these tiles are offered as f={provider.formats[0]} only", where="f")
    unknown = set(request.args) - set(provider.takes)
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(provider.takes))
    when, known = request.args.get("datetime"), request.args.get("as-of")
    answer = provider.tile(
        matrix_set,
        z,
        y,
        x,
        span=temporal.span(when) if when is not None else None,
        as_of=temporal.moment(known) if known is not None else None,
        known=request.headers.get("If-None-Match"),
    )
    headers = {"ETag": answer.etag, "Cache-Control": cache_control(provider.layer), "Content-Type": provider.mimetype}
    if answer.body is None:
        return Response(status=304, headers=headers)
    if not answer.body:
        empty = Response(status=204, headers=headers)
        del empty.headers["Content-Type"]
        return empty
    return Response(answer.body, 200, headers)
