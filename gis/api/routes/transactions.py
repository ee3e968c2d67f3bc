"""Features that are created, replaced, changed and deleted: OGC API Features part 4."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import quote

import orjson
import pygeoapi.crs
from flask import Response, request

from gis.access.identity import caller
from gis.api import transaction
from gis.api.routes.blueprint import collection_of, definition_of, ogc, provider_of, served_api
from gis.api.serialize import json_bytes
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.errors import InputError

GEOJSON, JSON, MERGE_PATCH = "application/geo+json", "application/json", "application/merge-patch+json"
_PATH = "/collections/<name>/items/<path:item>"


class WrongMediaType(InputError):
    """A body in a form that is not understood."""

    http_status = 415


def is_feature() -> bool:
    """Whether the body of this POST is a feature to be created, and no filter."""
    if request.mimetype == GEOJSON:
        return True
    if request.mimetype != JSON:
        return False
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        return False
    return isinstance(body, dict) and body.get("type") == "Feature"


def create(name: str) -> Response:
    """201 with the address of the new feature."""
    layer = _layer(name)
    done = transaction.create(layer, _given(layer, name, (GEOJSON, JSON)))
    address = f"{served_api().base_url}/collections/{name}/items/{quote(done.id, safe=':')}"
    return _done(done, 201, {"Location": address})


@ogc.put(_PATH, provide_automatic_options=False)
def replace_item(name: str, item: str) -> Response:
    layer = _layer(name)
    return _done(transaction.replace(layer, item, _given(layer, name, (GEOJSON, JSON)), request.headers.get("If-Match")))


@ogc.patch(_PATH, provide_automatic_options=False)
def update_item(name: str, item: str) -> Response:
    layer = _layer(name)
    return _done(transaction.update(layer, item, _given(layer, name, (MERGE_PATCH, GEOJSON, JSON)), request.headers.get("If-Match")))


@ogc.delete(_PATH, provide_automatic_options=False)
def delete_item(name: str, item: str) -> Response:
    return _done(transaction.delete(_layer(name), item, request.headers.get("If-Match")))


@ogc.route("/collections/<name>/items", methods=["OPTIONS"])
@ogc.route(_PATH, methods=["OPTIONS"], endpoint="item_options")
def items_options(name: str, item: str = "") -> Response:
    """What the caller may do. POST stands there for those who may create: that is how QGIS decides whether a layer can be edited; a
    filter in the body of a POST is understood from everybody."""
    collection_of(name)
    layer = catalog().layers[name]
    headers = {"Allow": "GET, HEAD, OPTIONS"}
    if not layer.is_raster and layer.writable_by(caller.get().role):
        headers["Allow"] += ", PUT, PATCH, DELETE" if item else ", POST"
        headers |= {"Accept-Patch": MERGE_PATCH} if item else {"Accept-Post": f"{GEOJSON}, {JSON}"}
    return Response(status=200, headers=headers)


def _layer(name: str) -> Layer:
    """The layer, where the caller may write it. Raises NotFound where it does not exist for him, AccessDenied, InputError."""
    layer = provider_of(name, "feature").layer
    transaction.require_writer(layer)
    if unknown := set(request.args) - {"f", "lang"}:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", where=min(unknown)[:60], remedy="An edit takes none")
    return layer


def _given(layer: Layer, name: str, understood: tuple[str, ...]) -> transaction.Given:
    if request.mimetype not in understood:
        raise WrongMediaType(
            f"a body of type {request.mimetype[:60] or 'nothing'!r} is not understood", where="Content-Type", remedy="Send " + understood[0]
        )
    offered = pygeoapi.crs.get_supported_crs_list(definition_of(name, "feature"))
    return transaction.read(layer, request.get_data(), request.headers.get("Content-Crs"), offered)


def _done(done: transaction.Done, status: int = 200, headers: dict | None = None) -> Response:
    """What became of it: {id, batch, findings}; the warnings say what the platform wonders at."""
    said = {"id": done.id, "batch": done.batch, "findings": [asdict(finding) for finding in done.findings]}
    response = Response(json_bytes(said), status, content_type=JSON, headers=headers)
    if done.version:
        response.headers["ETag"] = transaction.tag(done.version)
    response.headers["Cache-Control"] = "no-store"
    return response
