"""The catalogue as a collection of records: `/collections/catalogue` with its items, schema and queryables."""

from __future__ import annotations

import datetime as dt
import re
from urllib.parse import urlencode

from flask import Response, request
from pygeoapi import l10n

from gis.access.identity import caller
from gis.api import coverage, pages, records, schema, temporal
from gis.api.configuration import LARGEST_LIMIT
from gis.api.record_document import document
from gis.api.record_search import Asked, search
from gis.api.routes.blueprint import asked as as_pygeoapi
from gis.api.routes.blueprint import ogc, served_api
from gis.api.serialize import json_bytes
from gis.db import cql2
from gis.errors import InputError, NotFound

TAKES = ("q", "bbox", "bbox-crs", "datetime", "type", "ids", "externalIds", "filter", "filter-lang", "filter-crs", "sortby", "limit",
         "offset", "resultType", "f", "lang")  # fmt: skip
DEFAULT_LIMIT = 10
DEEPEST = 1_000_000
_WORDS, _LONGEST_WORD = 20, 200
_PATH = f"/collections/{records.ID}"
_NONE = "-"
"""The id of no record."""
_ID = re.compile(r"^[A-Za-z0-9._-]{1,80}$")


@ogc.get(f"{_PATH}/items")
def records_found() -> Response:
    """The records that fit, a page of them."""
    unknown = set(request.args) - set(TAKES)
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(TAKES))
    wanted, identity, (form, language) = _asked(), caller.get(), _form()
    hits = request.args.get("resultType") == "hits"
    found, total, more = search(identity, wanted)
    seen, metadata, base = records.seen(identity), _metadata(language), served_api().base_url
    made = [] if hits else [document(one, identity, seen, metadata, base, language) for one in found]
    answer = {
        "type": "FeatureCollection",
        "timeStamp": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **({} if total is None else {"numberMatched": total}),
        "numberReturned": len(made),
        "features": made,
        "links": _links(wanted, base, language, more and not hits),
    }
    if form != "html":
        return _json(answer, "application/geo+json", language)
    answer["features"] = [one | {"properties": _shown(one["properties"])} for one in made]
    return _page("collections/items/index.html", answer | _places(base), language)


@ogc.get(f"{_PATH}/items/<item>")
def record(item: str) -> Response:
    """One record, with what takes a look at the rows: completeness and findings."""
    unknown = set(request.args) - {"f", "lang"}
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of f, lang")
    if not _ID.match(item):
        raise NotFound("no such record")
    identity, (form, language) = caller.get(), _form()
    found, _, _ = search(identity, Asked(ids=[item], limit=1))
    if not found:
        raise NotFound("no such record")
    base = served_api().base_url
    made = document(found[0], identity, records.seen(identity), _metadata(language), base, language, whole=True)
    if form != "html":
        return _json(made, "application/geo+json", language)
    data = made | {"title": made["properties"]["title"], "properties": _shown(made["properties"])} | _places(base)
    return _page("collections/items/item.html", data, language)


@ogc.get(f"{_PATH}/schema")
@ogc.get(f"{_PATH}/queryables", endpoint="record_queryables")
@ogc.get(f"{_PATH}/sortables", endpoint="record_sortables")
def record_schema() -> Response:
    """What a record has, what filters may ask of it, and what it is sorted by."""
    form, language = _form()
    url = f"{served_api().base_url}{request.path}"
    template = request.path.rsplit("/", 1)[-1]
    made = {"schema": schema.schema, "queryables": schema.queryables, "sortables": schema.sortables}[template](
        records.QUERYABLE, records.QUERYABLE.fields, language, url
    )
    if form == "html":
        return _page(f"collections/{template}.html", made | {"links": []} | _places(served_api().base_url), language)
    return _json(made, "application/schema+json", language)


# --- what is asked ----------------------------------------------------------------------------------------------------


def _asked() -> Asked:
    """What the request looks for. Raises InputError for what is not understood."""
    given = request.args
    if given.get("resultType", "results") not in ("results", "hits"):
        raise InputError("resultType is results or hits", where="resultType")
    hits = given.get("resultType") == "hits"
    types = _listed("type")
    if wrong := [one for one in types if one not in records.TYPES]:
        raise InputError(f"there is no type {wrong[0][:40]!r}", where="type", remedy="One of " + ", ".join(records.TYPES))
    words = [" ".join(part.split()) for part in re.split("[,，]", given.get("q", ""))]
    words = [word for word in words if word]
    if len(words) > _WORDS or any(len(word) > _LONGEST_WORD for word in words):
        raise InputError(f"q is at most {_WORDS} texts of {_LONGEST_WORD} characters", where="q")
    return Asked(
        words=words,
        area=coverage.box_of(given.get("bbox"), given.get("bbox-crs"), None),
        span=temporal.span(given["datetime"]) if "datetime" in given else None,
        types=types,
        ids=_ids(),
        filtered=_filter(),
        sort=_sort(),
        limit=0 if hits else _number("limit", DEFAULT_LIMIT, 1, LARGEST_LIMIT),
        offset=_number("offset", 0, 0, DEEPEST),
    )


def _listed(name: str) -> list[str]:
    if name not in request.args:
        return []
    found = request.args[name].split(",")
    if len(found) > 1000 or any(len(one) > 80 for one in found):
        raise InputError(f"{name} is at most 1000 short texts, separated by commas", where=name)
    return found


def _ids() -> list[str]:
    """The ids of the records wanted, by `ids` and by `externalIds` (of the scheme, of any, or all of the scheme); empty for all."""
    ids, externals = _listed("ids"), _listed("externalIds")
    if not externals or records.SCHEME in externals:
        return ids
    wanted = {one.removeprefix(f"{records.SCHEME}:") for one in externals}
    named = [one.id for one in records.defined(caller.get()) if records.external_of(one) in wanted]
    named += [f"batch.{one}" for one in wanted if one.isascii() and one.isdecimal()]
    return [one for one in named if not ids or one in ids] or [_NONE]


def _filter():
    given = request.args
    if given.get("filter-lang", "cql2-text") not in cql2.LANGUAGES:
        raise InputError("filter-lang is one of cql2-text, cql2-json", where="filter-lang")
    if "filter" not in given:
        return None
    crs = given.get("filter-crs", "CRS84")
    return cql2.where(given["filter"], records.QUERYABLE, set(records.QUERYABLE.fields), filter_crs=crs, alias="r")


def _sort() -> list[tuple[str, bool]]:
    found = []
    for part in filter(None, request.args.get("sortby", "").split(",")):
        name, down = part.lstrip("+- "), part.startswith("-")
        if name not in records.QUERYABLE.fields:
            raise InputError(f"unknown property {name[:60]!r}", where="sortby", remedy="One of " + ", ".join(records.QUERYABLE.fields))
        found.append((name, down))
    return found


def _number(name: str, default: int, least: int, most: int) -> int:
    text = request.args.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text):
        raise InputError(f"{name} is a whole number from {least} on", where=name)
    return min(int(text), most)


# --- how it is answered -----------------------------------------------------------------------------------------------


def _form() -> tuple[str, str]:
    made = as_pygeoapi(("json", "html"))
    return made.format or "json", pages.language_of(made.locale)


def _metadata(language: str) -> dict:
    return l10n.translate_struct(served_api().config["metadata"], l10n.str2locale(language))


def _json(value: dict, kind: str, language: str) -> Response:
    return Response(json_bytes(value), content_type=kind, headers={"Cache-Control": "private, no-cache", "Content-Language": language})


def _page(template: str, data: dict, language: str) -> Response:
    api = served_api()
    made = pages.render(template, language, site=api.config["metadata"], base_url=api.base_url, data=data)
    return Response(made, mimetype="text/html", headers={"Cache-Control": "private, no-cache"})


def _places(base: str) -> dict:
    return {"items_path": f"{base}{_PATH}/items", "dataset_path": f"{base}{_PATH}"}


def _shown(properties: dict) -> dict:
    """The properties that are read on a page."""
    names = ("title", "type", "description", "label", "count", "rows", "updated", "version", "completeness", "findings", "operator")
    return {name: properties.get(name) for name in names if name in properties or name in names[:4]}


def _links(wanted: Asked, base: str, language: str, more: bool) -> list[dict]:
    path = f"{base}{_PATH}"
    given = {name: value for name, value in request.args.items() if name != "offset"}

    def step(rel: str, offset: int) -> dict:
        return {"rel": rel, "type": "application/geo+json", "href": f"{path}/items?{urlencode(given | {'offset': offset})}", "title": rel}

    title = records.TITLE.zh if language == "zh" else records.TITLE.en
    found = [{"rel": "self", "type": "application/geo+json", "href": f"{path}/items?{urlencode(request.args.to_dict())}", "title": title}]
    as_page = urlencode(request.args.to_dict() | {"f": "html"})
    found.append({"rel": "alternate", "type": "text/html", "href": f"{path}/items?{as_page}", "title": title})
    found.append({"rel": "collection", "type": "application/json", "href": path, "title": title})
    found.append(records.profile("ogc-record"))
    if wanted.offset:
        found.append(step("prev", max(wanted.offset - wanted.limit, 0)))
    return [*found, step("next", wanted.offset + wanted.limit)] if more else found
