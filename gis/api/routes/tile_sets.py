"""Tiles of several layers: of the whole map (`/tiles`, OGC API Tiles' dataset tilesets) and of a group (`/groups/<group>/tiles`)."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, request

from gis.access.identity import caller
from gis.access.roles import ANONYMOUS, is_restricted
from gis.api import pages, temporal, tile_grid, tile_sets
from gis.api.routes.blueprint import as_document, asked, ogc, served_api
from gis.catalog.model import Layer, Text
from gis.errors import InputError

_TAKES = ("f", "lang", "collections", "datetime", "as-of")


def _known_only(*names: str) -> None:
    if unknown := set(request.args) - set(names):
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(names))


def _path(group: str | None) -> str:
    return f"groups/{group}/tiles" if group else "tiles"


def _title(group: str | None) -> str:
    title: Text = tile_sets.groups()[group][0] if group else tile_sets.EVERYTHING
    return getattr(title, _language())


def _language() -> str:
    return pages.language_of(asked(("json", "tilejson", "html")).locale)


@ogc.get("/groups")
def groups() -> Response:
    """The groups of layers that exist for the caller."""
    _known_only("f", "lang")
    made, base = asked(("json", "html")), served_api().base_url
    language = pages.language_of(made.locale)
    listed = [
        {
            "id": name, "title": getattr(title, language), "collections": [layer.id for layer in layers],
            "links": [{"rel": "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector", "type": "application/json",
                       "href": f"{base}/groups/{name}/tiles"}],
        }
        for name, (title, layers) in tile_sets.groups().items()
    ]  # fmt: skip
    document = {"groups": listed, "links": [{"rel": "self", "type": "application/json", "href": f"{base}/groups"}]}
    return as_document(document, "图层组" if language == "zh" else "Groups of layers", made)


@ogc.get("/tiles", endpoint="dataset_tilesets")
@ogc.get("/groups/<group>/tiles", endpoint="group_tilesets")
def tilesets(group: str | None = None) -> Response:
    """The tilesets of the whole map, or of a group: one per grid."""
    _known_only("f", "lang", "collections")
    made = asked(("json", "html"))
    collections = request.args.get("collections")
    tile_sets.layers_of(group, collections)
    base, path = served_api().base_url, _path(group)
    query = "&" + urlencode({"collections": collections}, safe=",") if collections else ""
    listed = [
        {
            "title": _title(group), "dataType": "vector", "crs": grid.crs, "tileMatrixSetURI": grid.definition(base)["uri"],
            "links": [
                {"rel": "self", "type": "application/json", "href": f"{base}/{path}/{name}?f=json{query}"},
                {"rel": "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme", "type": "application/json",
                 "href": f"{base}/TileMatrixSets/{name}?f=json"},
            ],
        }
        for name, grid in tile_grid.GRIDS.items()
    ]  # fmt: skip
    document = {"tilesets": listed, "links": [{"rel": "self", "type": "application/json", "href": f"{base}/{path}"}]}
    return as_document(document, _title(group), made)


@ogc.get("/tiles/<matrix_set>", endpoint="dataset_tileset")
@ogc.get("/groups/<group>/tiles/<matrix_set>", endpoint="group_tileset")
def tileset(matrix_set: str, group: str | None = None) -> Response:
    """The metadata of a tileset; TileJSON by f=tilejson."""
    _known_only("f", "lang", "collections")
    made, collections = asked(("json", "tilejson", "html"), "json"), request.args.get("collections")
    layers = tile_sets.layers_of(group, collections)
    place = _path(group) + ("?" + urlencode({"collections": collections}, safe=",") if collections else "")
    describe = tile_sets.tilejson if made.format == "tilejson" else tile_sets.metadata
    return as_document(describe(layers, matrix_set, _title(group), place, served_api().base_url, _language()), _title(group), made)


@ogc.get("/tiles/<matrix_set>/<z>/<y>/<x>", endpoint="dataset_tile")
@ogc.get("/groups/<group>/tiles/<matrix_set>/<z>/<y>/<x>", endpoint="group_tile")
def tile(matrix_set: str, z: str, y: str, x: str, group: str | None = None) -> Response:
    """A vector tile with a table per layer. What it says of itself is as for the tile of one layer."""
    _known_only(*_TAKES)
    if request.args.get("f") not in (None, "mvt", "pbf"):
        raise InputError("these tiles are offered as f=mvt only", where="f")
    layers = tile_sets.layers_of(group, request.args.get("collections"))
    when, known = request.args.get("datetime"), request.args.get("as-of")
    answer = tile_sets.tile(
        layers,
        matrix_set,
        z,
        y,
        x,
        span=temporal.span(when) if when is not None else None,
        as_of=temporal.moment(known) if known is not None else None,
        known=request.headers.get("If-None-Match"),
    )
    return answered_tile(answer, tile_sets.MIMETYPE, _kept_by(layers))


def answered_tile(answer: tile_sets.Answer, mimetype: str, cache_control: str) -> Response:
    """The response of a tile: 200, 204 where nothing is in it, 304 where the caller has it."""
    headers = {"ETag": answer.etag, "Cache-Control": cache_control}
    if answer.body is None:
        return Response(status=304, headers=headers)
    if answer.how:
        headers["X-Generalised"] = answer.how
    response = Response(answer.body, 200 if answer.body else 204, headers, content_type=mimetype)
    if not answer.body:
        del response.headers["Content-Type"]
    return response


def _kept_by(layers: tuple[Layer, ...]) -> str:
    public = caller.get().role == ANONYMOUS and not any(is_restricted(layer) for layer in layers)
    return f"{'public' if public else 'private'}, no-cache"
