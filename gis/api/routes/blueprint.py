"""What all paths of the OGC API share: the request as pygeoapi wants it, the collections and providers that exist for the caller."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request
from pygeoapi.plugin import load_plugin

from gis.access.identity import caller
from gis.access.roles import ANONYMOUS, is_restricted
from gis.api.adapt import core
from gis.errors import InputError, NotFound

ogc = Blueprint("ogc", __name__)

FORMATS = ("json", "html", "jsonld")


def served_api():
    return current_app.extensions["onemap_api"]


def asked(formats: tuple[str, ...] = FORMATS, default: str | None = None) -> core.APIRequest:
    """The request as pygeoapi wants it. Raises InputError for a format that is not offered here."""
    api = served_api()
    made = core.APIRequest.from_flask(request, api.locales)
    if made.format not in (None, *formats):
        if request.args.get("f"):
            raise InputError(f"format {made.format[:40]!r} is not offered here", where="f", remedy="One of " + ", ".join(formats))
        made._format = None
    made._format = made.format or default
    return made


def answered(result: tuple) -> Response:
    headers, status, content = result
    response = Response(content, int(status))
    for name, value in headers.items():
        if name not in ("X-Powered-By", "Content-Length"):
            response.headers[name] = value
    return response


def run(function, *arguments, formats: tuple[str, ...] = FORMATS, default: str | None = None) -> Response:
    return answered(function(served_api(), asked(formats, default), *arguments))


def collection_of(name: str) -> dict:
    """The resource of a collection that exists for the caller. Raises NotFound."""
    resource = served_api().config["resources"].get(name)
    if resource is None or resource["type"] != "collection":
        raise NotFound("Collection not found")
    return resource


def provider_of(name: str, kind: str):
    """The provider of a collection. Raises NotFound where it has none of this kind."""
    return load_plugin("provider", definition_of(name, kind))


def definition_of(name: str, kind: str) -> dict:
    """How the collection's provider of this kind is defined. Raises NotFound where it has none."""
    definitions = [d for d in collection_of(name)["providers"] if d["type"] == kind]
    if not definitions:
        raise NotFound("Collection not found")
    return definitions[0]


def cache_control(layer) -> str:
    """Kept by anyone only where anyone may see it; always asked again, so that a load shows at once."""
    public = caller.get().role == ANONYMOUS and not is_restricted(layer)
    return f"{'public' if public else 'private'}, no-cache"
