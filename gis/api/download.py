"""`/collections/{layer}/download`: a layer, or what the parameters of its items leave of it, as a file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from flask import Blueprint, Response, current_app, request
from pygeoapi.crs import get_supported_crs_list

from gis.access.identity import caller
from gis.access.roles import marked
from gis.api import boxes, coverage, layer_file, select, temporal, watch
from gis.api.layer_file import ENCODINGS, FORMATS, Order
from gis.api.provider import FeatureProvider
from gis.db import cql2
from gis.errors import InputError, NotFound

download = Blueprint("download", __name__)

TAKES = ("f", "bbox", "bbox-crs", "crs", "datetime", "as-of", "filter", "filter-lang", "filter-crs", "properties", "encoding", "names")
"""What is understood besides the layer's own properties."""
_CHUNK = 1 << 20


@download.get("/collections/<name>/download")
def file_of(name: str) -> Response:
    """The file, named after the layer. What it holds is what the caller may see and what the parameters ask for."""
    definition = _definition(name)
    provider = FeatureProvider(definition)
    order = _order(provider, get_supported_crs_list(definition))
    folder = layer_file.new_folder()
    try:
        made = layer_file.write(order, caller.get(), folder, _is_waited_for)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    headers = {
        "Content-Disposition": f'attachment; filename="{marked(provider.layer, made.path.name)}"',
        "Content-Length": str(made.path.stat().st_size),
        "Cache-Control": "private, no-store",
        "OGC-NumberReturned": str(made.n),
    }
    if made.changed:
        headers["OneMap-Texts-Changed"] = str(made.changed)
    response = Response(_content(made.path, folder), headers=headers, content_type=FORMATS[order.format].media, direct_passthrough=True)
    # for answers whose body is never read: HEAD, a caller who left
    response.call_on_close(lambda: shutil.rmtree(folder, ignore_errors=True))
    return response


def _is_waited_for() -> bool:
    """Whether the caller is still there, as far as the server tells."""
    sock = request.environ.get("gunicorn.socket")
    return sock is None or not watch.has_hung_up(sock)


def _content(path: Path, folder: Path) -> Iterator[bytes]:
    """The file, piece by piece; it goes with its last one."""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _definition(name: str) -> dict:
    """How a collection's features are provided, where it exists for the caller. Raises NotFound."""
    resource = current_app.extensions["onemap_api"].config["resources"].get(name)
    definitions = [d for d in resource["providers"] if d["type"] == "feature"] if resource and resource["type"] == "collection" else []
    if not definitions:
        raise NotFound("Collection not found")
    return definitions[0]


def _order(provider: FeatureProvider, offered: list[str]) -> Order:
    """What the request asks for. Raises InputError for what is not understood."""
    given, columns = request.args, provider.columns
    unknown = set(given) - set(TAKES) - set(columns)
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join((*TAKES, *columns)))
    uri = given.get("crs", boxes.systems.CRS84)
    if uri not in offered:
        raise InputError(f"CRS {uri[:80]!r} is not offered by this collection", where="crs", remedy="See the collection's list of crs")
    format_ = layer_file.format_of(given.get("f", "gpkg"))
    encoding, called = given.get("encoding", "UTF-8"), given.get("names", "id")
    if encoding not in ENCODINGS:
        raise InputError(f"encoding {encoding[:40]!r} is not offered", where="encoding", remedy="One of " + ", ".join(ENCODINGS))
    if called not in ("id", "title"):
        raise InputError("names is id or title", where="names")
    wanted = select.Wanted(
        provider.layer,
        columns,
        area=coverage.box_of(given.get("bbox"), given.get("bbox-crs"), None),
        span=temporal.span(given["datetime"]) if "datetime" in given else None,
        as_of=temporal.moment(given["as-of"]) if "as-of" in given else None,
        equal=[(name, value) for name, value in given.items() if name in columns],
        filtered=_filter(provider),
    )
    return Order(wanted, _names(provider, given.get("properties")), boxes.target(uri), format_, encoding, called == "title")


def _filter(provider: FeatureProvider):
    given = request.args
    if given.get("filter-lang", "cql2-text") not in cql2.LANGUAGES:
        raise InputError("filter-lang is one of cql2-text, cql2-json", where="filter-lang")
    if "filter" not in given:
        return None
    return cql2.where(given["filter"], provider.layer, set(provider.columns), filter_crs=given.get("filter-crs", "CRS84"))


def _names(provider: FeatureProvider, listed: str | None) -> tuple[str, ...]:
    if listed is None:
        return tuple(provider.columns)
    asked = listed.split(",")
    unknown = [name for name in asked if name not in provider.columns]
    if unknown:
        raise InputError(f"unknown property {unknown[0][:60]!r}", where="properties", remedy="One of " + ", ".join(provider.columns))
    return tuple(name for name in provider.columns if name in asked)
