"""Tile matrix sets, the tilesets of a collection, and its tiles."""

from __future__ import annotations

from flask import Response

from gis.api import reading, tile_grid
from gis.api.adapt import tiles
from gis.api.routes.blueprint import asked, ogc, provider_of, response_of, run, served_api
from gis.api.serialize import json_bytes
from gis.api.visit import here
from gis.errors import NotFound


@ogc.get("/TileMatrixSets")
def tile_matrix_sets() -> Response:
    response = run(tiles.tilematrixsets, formats=("json", "html"))
    response.set_data(response.data.replace(b"/tileMatrixSets", b"/TileMatrixSets"))  # pygeoapi's own links lead nowhere
    return response


@ogc.get("/TileMatrixSets/<name>")
def tile_matrix_set(name: str) -> Response:
    """A tile matrix set (OGC 17-083r4)."""
    if name not in tile_grid.GRIDS:
        raise NotFound("no such tile matrix set")
    if asked(("json", "html")).format != "html":
        return Response(json_bytes(tile_grid.GRIDS[name].definition(served_api().base_url)), content_type="application/json")
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
    """A tile: vectors, or a picture of a raster (gis/api/reading.py)."""
    return response_of(reading.tile(served_api(), here(), name, matrix_set, z, y, x))
