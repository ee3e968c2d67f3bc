"""The paths of the OGC API: each leads to a function of pygeoapi, or to ours where pygeoapi's own is wrong.

What is not listed (STAC, EDR, maps, the admin API) is not there.
"""

from __future__ import annotations

import re

import orjson
from flask import Blueprint, Response, current_app, request
from pygeoapi.plugin import load_plugin
from werkzeug.datastructures import MultiDict

from gis.access.identity import caller
from gis.access.roles import ANONYMOUS, is_restricted
from gis.api import adapt, changes, jobs, pages, schema, temporal
from gis.api import coverage as coverages
from gis.api import process as served
from gis.api.configuration import DEFAULT_LIMIT, LARGEST_LIMIT
from gis.api.serialize import json_bytes
from gis.errors import InputError, NotFound

core, itemtypes, processes, tiles = adapt.core, adapt.itemtypes, adapt.processes, adapt.tiles
ogc = Blueprint("ogc", __name__)

FORMATS = ("json", "html", "jsonld")


def _api():
    return current_app.extensions["onemap_api"]


def _request(formats: tuple[str, ...] = FORMATS, default: str | None = None) -> core.APIRequest:
    """The request as pygeoapi wants it. Raises InputError for a format that is not offered here."""
    api = _api()
    made = core.APIRequest.from_flask(request, api.locales)
    if made.format not in (None, *formats):
        if request.args.get("f"):
            raise InputError(f"format {made.format[:40]!r} is not offered here", where="f", remedy="One of " + ", ".join(formats))
        made._format = None
    made._format = made.format or default
    return made


def _answer(result: tuple) -> Response:
    headers, status, content = result
    response = Response(content, int(status))
    for name, value in headers.items():
        if name not in ("X-Powered-By", "Content-Length"):
            response.headers[name] = value
    return response


def _run(function, *arguments, formats: tuple[str, ...] = FORMATS, default: str | None = None) -> Response:
    return _answer(function(_api(), _request(formats, default), *arguments))


def _collection(name: str) -> dict:
    """The resource of a collection that exists for the caller. Raises NotFound."""
    resource = _api().config["resources"].get(name)
    if resource is None or resource["type"] != "collection":
        raise NotFound("Collection not found")
    return resource


def _provider(name: str, kind: str):
    """The provider of a collection. Raises NotFound where it has none of this kind."""
    return load_plugin("provider", _definition(name, kind))


def _definition(name: str, kind: str) -> dict:
    """How the collection's provider of this kind is defined. Raises NotFound where it has none."""
    definitions = [d for d in _collection(name)["providers"] if d["type"] == kind]
    if not definitions:
        raise NotFound("Collection not found")
    return definitions[0]


@ogc.get("/")
def landing() -> Response:
    return _run(core.landing_page)


@ogc.get("/openapi")
def openapi() -> Response:
    made = _request(("json", "html"))
    if made.format != "html":
        return _answer(core.openapi_(_api(), made))
    content = pages.render(
        "openapi.html", made.locale, site=_api().config["metadata"], base_url=_api().base_url, document=_api().openapi, data={"links": []}
    )
    return Response(content, mimetype="text/html")


@ogc.get("/conformance")
def conformance() -> Response:
    return _run(core.conformance)


@ogc.get("/TileMatrixSets")
def tile_matrix_sets() -> Response:
    return _run(tiles.tilematrixsets, formats=("json", "html"))


@ogc.get("/TileMatrixSets/<name>")
def tile_matrix_set(name: str) -> Response:
    if name not in ("WebMercatorQuad", "WorldCRS84Quad"):
        raise NotFound("no such tile matrix set")
    return _run(tiles.tilematrixset, name, formats=("json", "html"))


@ogc.get("/collections")
def collections() -> Response:
    return _run(core.describe_collections)


@ogc.get("/collections/<name>")
def collection(name: str) -> Response:
    _collection(name)
    return _run(core.describe_collections, name)


def _described(name: str, describe, template: str) -> Response:
    """Schema or queryables: pygeoapi's carry no titles, units or geometry types."""
    provider = _provider(name, "feature")
    made = _request(("json", "html"))
    language = pages.language_of(made.locale)
    url = f"{_api().base_url}/collections/{name}/{template}"
    document = describe(provider.layer, provider.columns, language, url)
    if made.format == "html":
        data = document | {"links": [], "dataset_path": f"{_api().base_url}/collections/{name}"}
        return Response(
            pages.render(f"collections/{template}.html", language, site=_api().config["metadata"], base_url=_api().base_url, data=data),
            mimetype="text/html",
        )
    return Response(json_bytes(document), content_type="application/schema+json", headers={"Content-Language": language})


@ogc.get("/collections/<name>/schema")
def collection_schema(name: str) -> Response:
    return _described(name, schema.schema, "schema")


@ogc.get("/collections/<name>/queryables")
def collection_queryables(name: str) -> Response:
    return _described(name, schema.queryables, "queryables")


@ogc.route("/collections/<name>/items", methods=["GET", "POST"], provide_automatic_options=False)
def items(name: str) -> Response:
    """A page of features; POST carries a CQL2 JSON filter."""
    _definition(name, "feature")
    made = _request((*FORMATS, "csv"))
    if request.method == "POST":
        _require_filter()
    _plus_signs(made)
    request.environ["onemap.parsed_features"] = made.format not in (None, "json")
    response = _answer(itemtypes.get_collection_items(_api(), made, name))
    if response.status_code == 200 and made.format in (None, "json"):
        response.headers["Content-Type"] = "application/geo+json"
    return response


@ogc.route("/collections/<name>/items", methods=["OPTIONS"])
@ogc.route("/collections/<name>/items/<path:item>", methods=["OPTIONS"], endpoint="item_options")
def items_options(name: str, item: str = "") -> Response:
    _collection(name)
    return Response(status=200, headers={"Allow": "GET, HEAD, OPTIONS" + ("" if item else ", POST")})


def _require_filter() -> None:
    """The body of a POST is a filter: JSON, UTF-8, and the only filter. Raises InputError."""
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise InputError("the body is no CQL2 JSON object", where="body")
    if "filter" in request.args:
        raise InputError("a filter in the body and one in the URL", where="filter", remedy="Send one of them")


def _plus_signs(made) -> None:
    """`sortby=+name`: in a query string + means a blank."""
    if "sortby" in request.args:
        arguments = MultiDict(request.args)
        arguments["sortby"] = ",".join("+" + part[1:] if part[:1] == " " else part for part in arguments["sortby"].split(","))
        made._args = arguments


@ogc.get("/collections/<name>/items/<path:item>", provide_automatic_options=False)
def one_item(name: str, item: str) -> Response:
    _definition(name, "feature")
    unknown = set(request.args) - {"f", "lang", "crs", "as-of"}
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of f, lang, crs, as-of")
    made = _request()
    response = _answer(itemtypes.get_collection_item(_api(), made, name, item))
    if response.status_code == 200 and made.format in (None, "json"):
        response.headers["Content-Type"] = "application/geo+json"
    return response


@ogc.get("/collections/<name>/changes")
def collection_changes(name: str) -> Response:
    """What came, changed and went since a token; see `gis.api.changes`."""
    layer = _provider(name, "feature").layer
    unknown = set(request.args) - {"since", "limit", "f"}
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of since, limit, f")
    if request.args.get("f", "json") != "json":
        raise InputError("the change feed is offered as f=json only", where="f")
    since, limit = request.args.get("since"), request.args.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,9}", limit) or not 0 < int(limit) <= LARGEST_LIMIT:
        raise InputError(f"limit is a number from 1 to {LARGEST_LIMIT}", where="limit")
    found = changes.changes(layer, changes.token_of(layer, since), int(limit))
    url = f"{_api().base_url}/collections/{name}/changes?since={found['token']}&limit={limit}"
    link = {"rel": "next" if found["more"] else "monitor", "type": "application/json", "href": url}
    return Response(json_bytes(found | {"links": [link]}), content_type="application/json", headers={"Cache-Control": "private, no-store"})


@ogc.get("/collections/<name>/tiles")
def tilesets(name: str) -> Response:
    _provider(name, "tile")
    return _run(tiles.get_collection_tiles, name, formats=("json", "html"))


@ogc.get("/collections/<name>/tiles/<matrix_set>")
@ogc.get("/collections/<name>/tiles/<matrix_set>/metadata", endpoint="tileset_metadata")
def tileset(name: str, matrix_set: str) -> Response:
    _provider(name, "tile")
    return _run(tiles.get_collection_tiles_metadata, name, matrix_set, formats=("json", "html", "tilejson"), default="json")


@ogc.get("/collections/<name>/tiles/<matrix_set>/<z>/<y>/<x>")
def tile(name: str, matrix_set: str, z: str, y: str, x: str) -> Response:
    """A tile: vectors, or a picture of a raster.

    Says when it changes (ETag), who may keep it, and never that it may be used unasked after a load."""
    provider = _provider(name, "tile")
    if request.args.get("f") not in (None, *provider.formats):
        raise InputError(f"these tiles are offered as f={provider.formats[0]} only", where="f")
    unknown = set(request.args) - set(provider.takes)
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(provider.takes))
    when, known = request.args.get("datetime"), request.args.get("as-of")
    answer = provider.tile(
        matrix_set,
        z,
        y,
        x,
        span=temporal.span(when) if when is not None else None,
        as_of=temporal.moment(known) if known is not None else None,
        known=request.headers.get("If-None-Match"),
    )
    headers = {"ETag": answer.etag, "Cache-Control": cache_control(provider.layer), "Content-Type": provider.mimetype}
    if answer.body is None:
        return Response(status=304, headers=headers)
    if not answer.body:
        empty = Response(status=204, headers=headers)
        del empty.headers["Content-Type"]
        return empty
    return Response(answer.body, 200, headers)


def cache_control(layer) -> str:
    """Kept by anyone only where anyone may see it; always asked again, so that a load shows at once."""
    public = caller.get().role == ANONYMOUS and not is_restricted(layer)
    return f"{'public' if public else 'private'}, no-cache"


_COVERAGE_TAKES = ("f", "lang", "bbox", "bbox-crs", "subset", "properties")


@ogc.get("/collections/<name>/coverage")
def coverage(name: str) -> Response:
    """The cells of a raster, or of the part in an area: a GeoTIFF, or CoverageJSON by f=json; a browser is led to the collection."""
    provider = _provider(name, "coverage")
    unknown = set(request.args) - set(_COVERAGE_TAKES)
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(_COVERAGE_TAKES))
    wanted = request.args.get("f") or ("json" if request.accept_mimetypes.best == coverages.COVERAGE_JSON else "GTiff")
    if wanted == "html":
        return Response(status=303, headers={"Location": f"{_api().base_url}/collections/{name}?f=html"})
    if wanted not in ("json", "GTiff"):
        raise InputError(f"format {wanted[:40]!r} is not offered here", where="f", remedy="One of GTiff, json")
    asked = (request.args.get(parameter) for parameter in ("bbox", "bbox-crs", "subset"))
    cells = provider.cut(coverages.box_of(*asked), provider.bands(request.args.get("properties")), wanted == "json")
    headers = {"Cache-Control": cache_control(provider.layer)}
    if wanted == "json":
        return Response(json_bytes(cells), content_type=coverages.COVERAGE_JSON, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{name}.tif"'
    return Response(cells, content_type=coverages.TIFF, headers=headers)


@ogc.get("/processes")
def process_list() -> Response:
    return _run(processes.describe_processes, formats=("json", "html"))


@ogc.get("/processes/<name>")
def process_description(name: str) -> Response:
    served.found(name, caller.get().role)
    return _run(processes.describe_processes, name, formats=("json", "html"))


@ogc.post("/processes/<name>/execution")
def execute(name: str) -> Response:
    """Run a process now, or queue it (`Prefer: respond-async`). pygeoapi's own tells the text of any exception to the caller."""
    identity = caller.get()
    process = served.found(name, identity.role)
    try:
        body = orjson.loads(request.get_data() or b"{}")
    except orjson.JSONDecodeError:
        raise InputError("the body is not JSON", where="body") from None
    if not isinstance(body, dict):
        raise InputError("the body is no object", where="body", remedy='Send {"inputs": {…}}')
    if body.get("subscriber"):
        raise InputError("callbacks are not made", where="subscriber", remedy="Ask for the job's state instead")
    if body.get("response", "raw") not in ("raw", "document"):
        raise InputError("response is raw or document", where="response")
    inputs = served.checked(process, body.get("inputs", {}))
    if "respond-async" in request.headers.get("Prefer", ""):
        return _queued(process.id, inputs, identity)
    answer = served.run(process, inputs, identity)
    document = {served.OUTPUT: answer} if body.get("response") == "document" else answer
    return Response(json_bytes(document), content_type="application/json", headers={"Cache-Control": "private, no-store"})


def _queued(process_id: str, inputs, identity) -> Response:
    job_id = jobs.submit(process_id, inputs.model_dump(mode="json", exclude_unset=True), identity)
    url = f"{_api().base_url}/jobs/{job_id}"
    status = {
        "jobID": job_id,
        "processID": process_id,
        "type": "process",
        "status": "accepted",
        "links": [{"rel": "monitor", "type": "application/json", "href": url}],
    }
    return Response(
        json_bytes(status), 201, content_type="application/json", headers={"Location": url, "Preference-Applied": "respond-async"}
    )


@ogc.get("/jobs")
def job_list() -> Response:
    return _run(processes.get_jobs, formats=("json", "html"))


@ogc.get("/jobs/<job_id>")
def job(job_id: str) -> Response:
    return _run(processes.get_jobs, job_id, formats=("json", "html"))


@ogc.delete("/jobs/<job_id>")
def dismiss(job_id: str) -> Response:
    response = _run(processes.delete_job, job_id, formats=("json", "html"))
    if response.status_code == 200:  # pygeoapi sends no headers at all
        response.headers["Content-Type"] = "application/json"
    return response


@ogc.get("/jobs/<job_id>/results")
def job_result(job_id: str) -> Response:
    """The answer of a finished job, as JSON (pygeoapi's own answers a page where no format is asked for)."""
    manager = _api().manager
    found = manager.get_job(job_id)
    if found["status"] in ("accepted", "running"):
        raise NotFound("the result is not ready")
    if found["status"] == "failed":
        error = found["error"] or {}
        raise InputError(error.get("what", "the job failed"), where=error.get("where", ""), remedy=error.get("remedy", ""))
    if found["status"] == "dismissed":
        raise NotFound("the job was dismissed")
    return Response(json_bytes(manager.get_job_result(job_id)[1]), content_type="application/json")
