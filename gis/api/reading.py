"""Pages of features, single features and tiles: the answers that are asked for most, made without a web framework.

Flask's routes (gis/api/routes) and the front (gis/api/front.py) give the same answers because both call these functions. What is not
allowed for the caller raises NotFound here, for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from pygeoapi.crs import get_supported_crs_list

from gis.access.identity import caller
from gis.access.roles import ANONYMOUS, is_restricted
from gis.api import boxes, history, items, pages, temporal, tiles, transaction
from gis.api.adapt import itemtypes, load_plugin
from gis.api.asked import Asked, is_for_json
from gis.api.serialize import json_bytes
from gis.api.visit import Visit
from gis.catalog.read import catalog
from gis.errors import InputError, NotFound

FORMATS = ("json", "html", "jsonld")
_OF_ONE = ("f", "lang", "crs", "as-of", "history")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before its envelope: status, headers, body."""

    status: int
    headers: dict[str, str]
    body: bytes


def collection_of(api, name: str) -> dict:
    """The resource of a collection that exists for the caller. Raises NotFound."""
    resource = api.config["resources"].get(name)
    if resource is None or resource["type"] != "collection":
        raise NotFound("Collection not found")
    return resource


def definition_of(api, name: str, kind: str) -> dict:
    """How the collection's provider of this kind is defined. Raises NotFound where it has none."""
    return _definition(collection_of(api, name), kind)


def _definition(resource: dict, kind: str) -> dict:
    for definition in resource["providers"]:
        if definition["type"] == kind:
            return definition
    raise NotFound("Collection not found")


def provider_of(api, name: str, kind: str):
    """The provider of a collection. Raises NotFound where it has none of this kind."""
    return load_plugin("provider", definition_of(api, name, kind))


def asked(api, visit: Visit, formats: tuple[str, ...] = FORMATS, default: str | None = None, data: bytes = b"") -> Asked:
    """The request as pygeoapi wants it. Raises InputError for a format that is not offered here."""
    made = Asked(visit, api.locales, data)
    if made.format not in (None, *formats):
        if visit.args.get("f"):
            raise InputError(f"format {made.format[:40]!r} is not offered here", where="f", remedy="One of " + ", ".join(formats))
        made._format = None
    made._format = made.format or default
    return made


def _answer(result: tuple, *, is_json: bool) -> Answer:
    """pygeoapi's (headers, status, content). Content-Length is the server's business."""
    headers, status, content = result
    kept = {name: str(value) for name, value in headers.items() if name not in ("X-Powered-By", "Content-Length")}
    if is_json and int(status) == 200:
        kept["Content-Type"] = "application/geo+json"
    return Answer(int(status), kept, content.encode() if isinstance(content, str) else content)


def page(api, visit: Visit, name: str, data: bytes = b"") -> Answer:
    """A page of the features of a collection; `data`: a CQL2 JSON filter. Raises the platform's errors."""
    resource = collection_of(api, name)
    definition = _definition(resource, "feature")
    made = asked(api, visit, (*FORMATS, "csv"), data=data)
    if made.format is None and not is_for_json(visit):
        made._format = "csv"
    if "sortby" in made.params:  # `sortby=+name`: in a query string + means a blank
        by = ["+" + part[1:] if part[:1] == " " else part for part in made.params["sortby"].split(",")]
        made._args = made.params | {"sortby": ",".join(by)}
    is_json = made.format in (None, "json")
    visit.looked_into, visit.data = not is_json, data
    written = items.page(api, resource, definition, made, name) if is_json else None
    if written is not None:
        return Answer(200, *written)
    return _answer(itemtypes.get_collection_items(api, made, name), is_json=is_json)


def one(api, visit: Visit, name: str, item: str) -> Answer:
    """One feature. Raises the platform's errors, ProviderItemNotFoundError."""
    resource = collection_of(api, name)
    definition = _definition(resource, "feature")
    unknown = visit.args.keys() - _OF_ONE
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(_OF_ONE))
    if history.is_asked(visit.args.get("history")):
        return _history(api, visit, name, item)
    made = asked(api, visit)
    is_json = made.format in (None, "json")
    visit.looked_into = not is_json
    written = items.one(api, resource, definition, made, name, item) if is_json else None
    if written is not None:
        answer = Answer(200, *written)
    else:
        answer = _answer(itemtypes.get_collection_item(api, made, name, item), is_json=is_json)
    if is_json and answer.status == 200 and "as-of" not in visit.args:
        answer.headers["ETag"] = transaction.tag(visit.version_of_feature, visit.args.get("crs", ""))
    return answer


def _history(api, visit: Visit, name: str, item: str) -> Answer:
    """The versions of one feature. Raises InputError, NotFound."""
    definition, uri = definition_of(api, name, "feature"), visit.args.get("crs", boxes.systems.CRS84)
    if "as-of" in visit.args:
        raise InputError("as-of asks for one version, history for all", where="history", remedy="Send one of them")
    made = asked(api, visit, ("json", "html"))
    if uri not in get_supported_crs_list(definition):
        raise InputError(f"CRS {uri[:80]!r} is not offered by this collection", where="crs", remedy="See its list of crs")
    provider = provider_of(api, name, "feature")
    found = history.versions(provider.layer, provider.columns, item, boxes.target(uri))
    address = f"{api.base_url}/collections/{name}"
    found["links"] = [
        {"rel": "self", "type": "application/geo+json", "href": f"{api.base_url}{visit.path}?history=true"},
        {"rel": "collection", "type": "application/json", "href": address},
    ]
    if made.format == "html":
        return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, _history_page(api, made.locale, name, item, found))
    return Answer(200, {"Content-Type": "application/geo+json", "Content-Crs": f"<{uri}>"}, json_bytes(found))


def _history_page(api, locale, name: str, item: str, found: dict) -> bytes:
    read = orjson.loads(json_bytes(found))["features"]  # rows come as written JSON
    data = {"id": item, "collection": name, "steps": history.steps(read), "links": found["links"]}
    return pages.render("collections/items/history.html", locale, site=api.config["metadata"], base_url=api.base_url, data=data).encode()


def tile(api, visit: Visit, name: str, matrix_set: str, z: str, y: str, x: str) -> Answer:
    """A tile: vectors, or a picture of a raster.

    Says when it changes (ETag), who may keep it, and never that it may be used unasked after a load. Raises the platform's errors."""
    layer = catalog().layers.get(name)
    provider = provider_of(api, name, "tile") if layer is None or layer.is_raster else tiles.provider(name)
    args = visit.args
    if args.get("f") not in (None, *provider.formats):
        raise InputError(f"these tiles are offered as f={provider.formats[0]} only", where="f")
    unknown = args.keys() - set(provider.takes)
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(provider.takes))
    when, known = args.get("datetime"), args.get("as-of")
    made = provider.tile(
        matrix_set,
        z,
        y,
        x,
        span=temporal.span(when) if when is not None else None,
        as_of=temporal.moment(known) if known is not None else None,
        known=visit.header("IF_NONE_MATCH"),
    )
    headers = {"ETag": made.etag, "Cache-Control": cache_control(provider.layer)}
    if made.how:
        headers["X-Generalised"] = made.how
    if made.body is None:
        return Answer(304, headers, b"")
    if not made.body:
        return Answer(204, headers, b"")
    return Answer(200, headers | {"Content-Type": provider.mimetype}, made.body)


def cache_control(layer) -> str:
    """Kept by anyone only where anyone may see it; always asked again, so that a load shows at once."""
    public = caller.get().role == ANONYMOUS and not is_restricted(layer)
    return f"{'public' if public else 'private'}, no-cache"
