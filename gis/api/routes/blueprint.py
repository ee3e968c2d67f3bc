"""What all paths of the OGC API share: the request as pygeoapi wants it, the collections and providers that exist for the caller."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, current_app, request

from gis.api import pages, reading
from gis.api.reading import FORMATS, Answer, cache_control
from gis.api.serialize import json_bytes
from gis.api.visit import here

__all__ = [
    "FORMATS",
    "answered",
    "as_document",
    "asked",
    "cache_control",
    "collection_of",
    "definition_of",
    "ogc",
    "provider_of",
    "response_of",
    "run",
    "served_api",
]

ogc = Blueprint("ogc", __name__)


def served_api():
    return current_app.extensions["onemap_api"]


def asked(formats: tuple[str, ...] = FORMATS, default: str | None = None) -> reading.Asked:
    """The request as pygeoapi wants it. Raises InputError for a format that is not offered here."""
    return reading.asked(served_api(), here(), formats, default, request.data)


def answered(result: tuple) -> Response:
    headers, status, content = result
    response = Response(content, int(status))
    for name, value in headers.items():
        if name not in ("X-Powered-By", "Content-Length"):
            response.headers[name] = value
    return response


def response_of(answer: Answer) -> Response:
    """An answer as Flask sends it."""
    response = Response(answer.body, answer.status, answer.headers)
    if "Content-Type" not in answer.headers:
        del response.headers["Content-Type"]
    return response


def run(function, *arguments, formats: tuple[str, ...] = FORMATS, default: str | None = None) -> Response:
    response = answered(function(served_api(), asked(formats, default), *arguments))
    if "jsonld" not in formats and response.mimetype == "application/json" and b"f=jsonld" in response.data:
        document = orjson.loads(response.data)  # pygeoapi links to linked data everywhere
        document["links"] = [link for link in document["links"] if not link["href"].endswith("f=jsonld")]
        response.set_data(json_bytes(document))
    return response


def collection_of(name: str) -> dict:
    """The resource of a collection that exists for the caller. Raises NotFound."""
    return reading.collection_of(served_api(), name)


def provider_of(name: str, kind: str):
    """The provider of a collection. Raises NotFound where it has none of this kind."""
    return reading.provider_of(served_api(), name, kind)


def definition_of(name: str, kind: str) -> dict:
    """How the collection's provider of this kind is defined. Raises NotFound where it has none."""
    return reading.definition_of(served_api(), name, kind)


def as_document(document: dict, title: str, made) -> Response:
    """A document that has no page of its own: as JSON, or for a browser on a page that shows whatever is in it."""
    language = pages.language_of(made.locale)
    if made.format == "html":
        api = served_api()
        content = pages.render("document.html", language, site=api.config["metadata"], base_url=api.base_url, title=title, data=document)
        return Response(content, mimetype="text/html")
    return Response(
        json_bytes(document), content_type="application/json", headers={"Cache-Control": "private, no-cache", "Content-Language": language}
    )
