"""Features that are created, replaced, changed and deleted: OGC API Features part 4."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import wraps
from urllib.parse import quote

import orjson
import pygeoapi.crs
from flask import Response, request

from gis.access.identity import caller
from gis.api import errors, transaction
from gis.api.routes.blueprint import collection_of, definition_of, ogc, provider_of, served_api
from gis.api.serialize import json_bytes
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.errors import InputError, OneMapError

GEOJSON, JSON, MERGE_PATCH = "application/geo+json", "application/json", "application/merge-patch+json"
_PATH = "/collections/<name>/items/<path:item>"


class WrongMediaType(InputError):
    """A body in a form that is not understood."""

    http_status = 415


def _preferring(edit: Callable[..., Response]) -> Callable[..., Response]:
    """What the header Prefer asks of edits (RFC 7240): `handling=strict` refuses what a warning speaks against too; the answer says where
    that was applied."""

    @wraps(edit)
    def edited(*arguments, **named) -> Response:
        try:
            return edit(*arguments, **named)
        except OneMapError as error:
            response = errors.answer(error)
            if _prefers("handling=strict") and 400 <= response.status_code < 500:
                response.headers["Preference-Applied"] = "handling=strict"
            return response

    return edited


def _prefers(what: str) -> bool:
    return what in re.split(r"[\s,;]+", ",".join(request.headers.getlist("Prefer")).lower())


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


@_preferring
def create(name: str) -> Response:
    """201 with the address of the new feature."""
    layer = _layer(name)
    done = transaction.create(layer, _given(layer, name, (GEOJSON, JSON)))
    address = f"{served_api().base_url}/collections/{name}/items/{quote(done.id, safe=':')}"
    return _done(name, done, 201, {"Location": address})


@ogc.put(_PATH, provide_automatic_options=False)
@_preferring
def replace_item(name: str, item: str) -> Response:
    layer = _layer(name)
    return _done(name, transaction.replace(layer, item, _given(layer, name, (GEOJSON, JSON)), _unless()))


@ogc.patch(_PATH, provide_automatic_options=False)
@_preferring
def update_item(name: str, item: str) -> Response:
    layer = _layer(name)
    return _done(name, transaction.update(layer, item, _given(layer, name, (MERGE_PATCH, GEOJSON, JSON)), _unless()))


@ogc.delete(_PATH, provide_automatic_options=False)
@_preferring
def delete_item(name: str, item: str) -> Response:
    return _done(name, transaction.delete(_layer(name), item, _unless()))


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


def _unless() -> transaction.Unless:
    return transaction.Unless(request.headers.get("If-Match"), request.headers.get("If-None-Match"))


def _layer(name: str) -> Layer:
    """The layer, where the caller may write it. Raises NotFound where it does not exist for him, AccessDenied, InputError."""
    layer = provider_of(name, "feature").layer
    transaction.require_writer(layer)
    if unknown := set(request.args) - {"f", "lang"}:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", where=min(unknown)[:60], remedy="An edit takes none")
    return layer


def _given(layer: Layer, name: str, understood: tuple[str, ...]) -> transaction.Given:
    if not request.mimetype:
        raise InputError("the request does not say what its body is", where="Content-Type", remedy="Send " + understood[0])
    if request.mimetype not in understood:
        raise WrongMediaType(
            f"a body of type {request.mimetype[:60]!r} is not understood", where="Content-Type", remedy="Send " + understood[0]
        )
    offered = pygeoapi.crs.get_supported_crs_list(definition_of(name, "feature"))
    given = transaction.read(layer, request.get_data(), request.headers.get("Content-Crs"), offered)
    return replace(given, strict=_prefers("handling=strict"))


def _done(name: str, done: transaction.Done, status: int = 200, headers: dict | None = None) -> Response:
    """What became of it: {id, batch, findings}, findings being what the platform wonders at; the feature, where the caller prefers it."""
    if done.version and _prefers("return=representation"):
        feature = provider_of(name, "feature").get(done.id)
        response = Response(json_bytes(feature), status, content_type=GEOJSON, headers=headers)
        response.headers["Preference-Applied"] = "return=representation"
    else:
        said = {"id": done.id, "batch": done.batch, "findings": [asdict(finding) for finding in done.findings]}
        response = Response(json_bytes(said), status, content_type=JSON, headers=headers)
    if done.version:
        response.headers["ETag"] = transaction.tag(done.version)
    response.headers["Cache-Control"] = "no-store"
    return response
