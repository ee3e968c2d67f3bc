"""A page of features and one feature as GeoJSON: the answers that are asked for most, written without pygeoapi's functions.

It answers questions that are right. Whatever it does not take for right it leaves to pygeoapi's own functions, which say what is wrong
with it; so mistakes are answered in one place. tests/api/test_items.py holds both answers beside each other for a wide range of questions
(docs/decisions/0211).
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import msgspec
from pygeoapi import l10n
from pygeoapi.api import FORMAT_TYPES

from gis.access.identity import caller
from gis.api import boxes, listing
from gis.api.adapt import itemtypes
from gis.api.asked import Asked
from gis.api.feature_rows import LinkedFeature
from gis.api.listing import LAST_PAGE, Filter, Listing
from gis.api.visit import quoted
from gis.catalog.model import Column, Layer
from gis.catalog.pygeoapi import FEATURES
from gis.catalog.read import catalog

MEDIA = "application/geo+json"
_STANDARD = frozenset(
    (
        "bbox", "bbox-crs", "crs", "f", "lang", "limit", "offset", "resulttype", "datetime", "sortby", "properties", "skipGeometry", "q",
        "filter", "filter-lang", "filter-crs",
    )
)  # fmt: skip
"""Parameters that mean the same for all collections; all others are the layer's own."""
_LANGUAGES = (None, "cql-json", "cql-text", "cql2-text", "cql2-json")
_DEEPEST_DIGITS = 9
_encode = msgspec.json.Encoder().encode


class _NotPlain(Exception):
    """The question is not right, or not one that is answered here."""


def page(api, resource: dict, definition: dict, made: Asked, name: str) -> tuple[dict[str, str], bytes] | None:
    """Headers and body of the page that answers a question for JSON; None where the question is left to pygeoapi. Raises the platform's
    errors."""
    try:
        asked = _listing(api, resource, definition, made, name)
    except _NotPlain:
        return None
    found = listing.found(asked)
    answer = found.collection(found.rows.written(found.values) if found.rows else [])
    answer["links"] = [link for link in answer["links"] if link is not LAST_PAGE] + _links(api, resource, made, name)
    answer["timeStamp"] = dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return _headers(definition, made), _encode(answer)


def one(api, resource: dict, definition: dict, made: Asked, name: str, item: str) -> tuple[dict[str, str], bytes] | None:
    """Headers and body of one feature, as `page`; None where there is no such feature, too."""
    try:
        layer, columns = _seen(definition, name)
        target = _target(made.params.get("crs"), definition)
    except _NotPlain:
        return None
    found = listing.one(layer, columns, item, target)
    if found is None:
        return None
    rows, values = found
    feature = rows.written([values])[0]
    linked = LinkedFeature(feature.id, feature.geometry, feature.properties, _links_of_one(api, resource, made, name, item))
    return _headers(definition, made), _encode(linked)


def _headers(definition: dict, made: Asked) -> dict[str, str]:
    headers = {"Content-Type": MEDIA, "Content-Language": l10n.locale2str(made.locale)}
    itemtypes.set_content_crs_header(headers, definition, made.params.get("crs"))
    return headers


# --- reading the question ---------------------------------------------------------------------------------------------


def _listing(api, resource: dict, definition: dict, made: Asked, name: str) -> Listing:
    """The question as read from its parameters. Raises _NotPlain, InputError."""
    given = made.params
    layer, columns = _seen(definition, name)
    if given.get("filter-lang") not in _LANGUAGES:
        raise _NotPlain
    return Listing(
        layer,
        columns,
        _limit(given.get("limit"), api.limits, tuple(resource.get("limits", {}).items())),
        _offset(given.get("offset")),
        result_type=given.get("resulttype") or "results",
        datetime=given.get("datetime"),
        q=given.get("q") or None,
        others=[(key, value) for key, value in given.items() if key not in _STANDARD],
        sort_by=_order(given.get("sortby"), columns),
        chosen=_chosen(given.get("properties"), columns),
        geometry=not itemtypes.str2bool(given.get("skipGeometry", "")),
        filter=_filter(given, made.data),
        target=_target(given.get("crs"), definition),
        area=_area(given.get("bbox"), given.get("bbox-crs"), definition),  # the last: it raises
    )


def _seen(definition: dict, name: str) -> tuple[Layer, dict[str, Column]]:
    """The layer and the columns that the caller sees. Raises _NotPlain."""
    layer, role = catalog().layers.get(name), caller.get().role
    if definition["name"] != FEATURES or layer is None or not layer.readable_by(role):
        raise _NotPlain
    return layer, layer.columns_for(role)


@lru_cache(maxsize=1024)
def _limit(text: str | None, of_server: tuple, of_collection: tuple) -> int:
    try:
        return itemtypes.evaluate_limit(text, dict(of_server), dict(of_collection))
    except ValueError:
        raise _NotPlain from None


def _offset(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _DEEPEST_DIGITS):
        raise _NotPlain
    return int(text)


def _order(text: str | None, columns: dict) -> tuple[tuple[str, bool], ...]:
    if text is None:
        return ()
    order = tuple((part[1:] if part[:1] in ("+", "-") else part, part[:1] == "-") for part in text.split(","))
    if not all(name in columns for name, _ in order):
        raise _NotPlain
    return order


def _chosen(text: str | None, columns: dict) -> list[str]:
    chosen = [] if text is None else text.split(",")
    if not all(name in columns for name in chosen):
        raise _NotPlain
    return chosen


def _filter(given: dict[str, str], posted: bytes) -> Filter | None:
    text, system = given.get("filter"), given.get("filter-crs", boxes.systems.CRS84)
    if text is None and posted:
        try:
            text = posted.decode()
        except UnicodeDecodeError:
            raise _NotPlain from None
    return None if text is None else Filter(text, system)


def _target(uri: str | None, definition: dict) -> boxes.Target:
    try:
        return itemtypes.create_crs_transform_spec(definition, uri) if uri is not None else boxes.target(boxes.systems.CRS84)
    except ValueError:
        raise _NotPlain from None


def _area(text: str | None, uri: str | None, definition: dict) -> boxes.Area | None:
    if text is None:
        if uri is not None:
            raise _NotPlain
        return None
    if uri is not None and uri not in itemtypes.get_supported_crs_list(definition):
        raise _NotPlain
    try:
        numbers = itemtypes.validate_bbox(text)
    except ValueError:
        raise _NotPlain from None
    return boxes.area(numbers, uri)


# --- what stands beside the features ----------------------------------------------------------------------------------


def _links(api, resource: dict, made: Asked, name: str) -> list[dict]:
    """The same page in the other formats, and the collection."""
    query = "".join(f"&{quoted(key, '')}={quoted(value, ',')}" for key, value in made.params.items() if key not in ("f", "offset"))
    address = f"{api.base_url}/collections/{name}"
    links = [link | {"href": f"{address}/items?f={format_}{query}"} for format_, link in _formats(made.locale)]
    return [
        *links,
        {"type": FORMAT_TYPES["json"], "title": l10n.translate(resource["title"], made.locale), "rel": "collection", "href": address},
    ]


@lru_cache(maxsize=16)
def _formats(locale) -> tuple[tuple[str, dict], ...]:
    """The formats of a page, as links without their address: (what f is, link)."""
    own = _own_formats(locale, "This document as GeoJSON")
    tables = itemtypes.get_dataset_formatters({"providers": [{"type": "feature", "default": True}]})
    return (
        *own,
        *((one.name, {"type": one.mimetype, "rel": "alternate", "title": f"This document as {key}"}) for key, one in tables.items()),
    )


@lru_cache(maxsize=16)
def _own_formats(locale, of_json: str) -> tuple[tuple[str, dict], ...]:
    titles = {"json": of_json, "jsonld": "This document as RDF (JSON-LD)", "html": "This document as HTML"}
    media = FORMAT_TYPES | {"json": MEDIA}
    return tuple(
        (format_, {"type": media[format_], "rel": "self" if format_ == "json" else "alternate", "title": l10n.translate(title, locale)})
        for format_, title in titles.items()
    )


def _links_of_one(api, resource: dict, made: Asked, name: str, item: str) -> list[dict]:
    address = f"{api.base_url}/collections/{name}"
    return [
        *(link | {"href": f"{api.base_url}?f={format_}"} for format_, link in _formats_of_root(made.locale)),
        *(link | {"href": f"{address}/items/{item}?f={format_}"} for format_, link in _own_formats(made.locale, "This document as JSON")),
        {"rel": "collection", "type": FORMAT_TYPES["json"], "title": l10n.translate(resource["title"], made.locale), "href": address},
    ]


@lru_cache(maxsize=16)
def _formats_of_root(locale) -> tuple[tuple[str, dict], ...]:
    titles = {"json": "The landing page of this server as JSON", "html": "The landing page of this server as HTML"}
    return tuple(
        (format_, {"type": FORMAT_TYPES[format_], "rel": "root", "title": l10n.translate(title, locale)})
        for format_, title in titles.items()
    )
