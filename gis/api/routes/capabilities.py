"""What there is: landing page, OpenAPI, conformance, collections with their schemas, queryables and sortables."""

from __future__ import annotations

import orjson
from flask import Response, request

from gis.api import pages, records, schema, tile_sets
from gis.api.adapt import core
from gis.api.routes.blueprint import answered, asked, collection_of, ogc, provider_of, run, served_api
from gis.api.serialize import json_bytes
from gis.errors import InputError


def _require_known() -> None:
    """A parameter that means nothing here is a mistake (Features part 1, 7.6; a page's own forms say f=html). Raises InputError."""
    if request.args.get("f") != "html" and (unknown := request.args.keys() - {"f", "lang"}):
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of f, lang")


@ogc.get("/")
def landing() -> Response:
    _require_known()
    response = run(core.landing_page)
    if response.mimetype == "application/json":
        document = orjson.loads(response.get_data())
        base = served_api().base_url
        for link in document["links"]:
            if link["rel"] == "about":  # pygeoapi says it is a page
                link["href"] = f"{base}/?f=html"
        language = pages.language_of(response.headers.get("Content-Language"))
        document["links"] += [*tile_sets.links(base), records.discovered(base, language)]
        response.set_data(json_bytes(document))
    return response


@ogc.get("/openapi")
def openapi() -> Response:
    made = asked(("json", "html"))
    if made.format != "html":
        return answered(core.openapi_(served_api(), made))
    api = served_api()
    site = api.config["metadata"]
    content = pages.render("openapi.html", made.locale, site=site, base_url=api.base_url, document=api.openapi, data={"links": []})
    return Response(content, mimetype="text/html")


@ogc.get("/conformance")
def conformance() -> Response:
    _require_known()
    return run(core.conformance)


@ogc.get("/collections")
def collections() -> Response:
    _require_known()
    return run(core.describe_collections)


@ogc.get("/collections/<name>")
def collection(name: str) -> Response:
    collection_of(name)
    _require_known()
    response = run(core.describe_collections, name)
    if name == records.ID and response.mimetype == "application/json" and records.CATALOG_MEDIA in request.accept_mimetypes.values():
        response.headers["Content-Type"] = records.CATALOG_MEDIA
    return response


def _described(name: str, describe, template: str) -> Response:
    """Schema, queryables or sortables: pygeoapi's carry no titles, units or geometry types."""
    provider = provider_of(name, "feature")
    _require_known()
    made = asked(("json", "html"))
    language = pages.language_of(made.locale)
    api = served_api()
    url = f"{api.base_url}/collections/{name}"
    document = describe(provider.layer, provider.columns, language, f"{url}/{template}")
    if made.format == "html":
        data = document | {"links": [], "dataset_path": url}
        page = pages.render(f"collections/{template}.html", language, site=api.config["metadata"], base_url=api.base_url, data=data)
        return Response(page, mimetype="text/html")
    return Response(json_bytes(document), content_type="application/schema+json", headers={"Content-Language": language})


@ogc.get("/collections/<name>/schema")
def collection_schema(name: str) -> Response:
    return _described(name, schema.schema, "schema")


@ogc.get("/collections/<name>/queryables")
def collection_queryables(name: str) -> Response:
    return _described(name, schema.queryables, "queryables")


@ogc.get("/collections/<name>/sortables")
def collection_sortables(name: str) -> Response:
    return _described(name, schema.sortables, "sortables")
