"""What is served beside the OGC API: health, metrics, the layer tree and styles of the map, the map itself, and door plates."""

from __future__ import annotations

import contextlib
import gzip
import re
import threading
from functools import lru_cache
from pathlib import Path

from cachetools import TTLCache
from flask import Blueprint, Response, current_app, request, send_from_directory
from prometheus_client import CONTENT_TYPE_LATEST

from gis.access import audit
from gis.access.identity import caller
from gis.access.roles import ADMIN, visible_catalog
from gis.api import envelope, metrics, pages, raster, schema
from gis.api import health as health_of_the_platform
from gis.api.errors import problem
from gis.api.serialize import json_bytes
from gis.api.visit import here
from gis.catalog import maplibre, qml
from gis.catalog.model import GROUPS, Catalog, Column, Layer
from gis.catalog.narrowing import base
from gis.catalog.read import catalog
from gis.db.store import Store
from gis.errors import InputError, NotFound, StoreError
from gis.settings import ROOT

site = Blueprint("site", __name__)

VIEWER = ROOT / "gis" / "viewer" / "dist"
PLATE_ROLE = "address"
"""Door plates are looked up with this role: a passer-by has none, and the query shows public columns only."""
PLATES_PER_MINUTE = 30
"""Look-ups of one address on the network, against guessing."""
_SQUEEZED = (".js", ".css", ".json", ".geojson", ".svg", ".html", ".map")
SMALLEST_SQUEEZED = 500
"""Bytes after gzip: less fits into one packet anyway."""
_TOKEN = re.compile(r"^[A-Za-z0-9_-]{8,64}$")
_visits: TTLCache[str, int] = TTLCache(10_000, 60)
_lock = threading.Lock()


def _json(value, **headers) -> Response:
    return Response(json_bytes(value), content_type="application/json", headers={"Cache-Control": "private, no-cache"} | headers)


def _base() -> str:
    return current_app.extensions["onemap_api"].base_url


@site.get("/health")
@site.get("/health/ready", endpoint="ready")
def health() -> Response:
    """200 where the platform can answer, 503 where it cannot: with the reasons, and what the administrator does."""
    database, why = health_of_the_platform.state()
    ready = database in ("up", "incomplete")
    body = {"live": True, "ready": ready, "database": database, "reasons": [{"what": one.what, "remedy": one.remedy} for one in why]}
    return Response(
        json_bytes(body),
        200 if ready else 503,
        content_type="application/json",
        headers={"Cache-Control": "no-store"} | ({} if ready else {"Retry-After": "5"}),
    )


@site.get("/health/live")
def live() -> Response:
    """200 while the process answers at all."""
    return Response(json_bytes({"live": True}), content_type="application/json", headers={"Cache-Control": "no-store"})


@site.get("/metrics")
def figures() -> Response:
    """Figures for Prometheus: of the web processes for everybody (paths are patterns: no layer, user or address is named); of the queue,
    the scheduled loads and the layers for administrators alone, for their names say what there is."""
    visit = here()
    if visit.header("AUTHORIZATION") or visit.header("X_API_KEY"):
        with contextlib.suppress(StoreError):  # figures are wanted most while the database is away
            envelope.admit(visit)
    whole = caller.get().role == ADMIN
    return Response(metrics.exposition(whole=whole), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


@site.get("/catalog")
def layer_tree() -> Response:
    """The layer tree for the viewer, for the caller's role."""
    identity = caller.get()
    seen = _shown(identity.role)
    city = seen.city
    groups = [
        {"id": group, "title": title.model_dump(), "layers": [_entry(layer) for layer in seen.layers.values() if layer.group == group]}
        for group, title in GROUPS.items()
    ]
    return _json(
        {
            "city": {"code": city.code, "name": city.name.model_dump(), "center": city.center, "zoom": city.zoom, "extent": city.extent},
            "user": {"name": identity.user, "role": base(identity.role)},
            "groups": [group for group in groups if group["layers"]],
        }
    )


def _shown(role: str) -> Catalog:
    """The catalogue as this role sees it, without rasters that were never loaded."""
    seen = visible_catalog(catalog(), role)
    layers = {name: layer for name, layer in seen.layers.items() if not layer.is_raster or raster.is_loaded(name)}
    return seen.model_copy(update={"layers": layers})


def _entry(layer: Layer) -> dict:
    return {
        "id": layer.id,
        "title": layer.title.model_dump(),
        "description": layer.description.model_dump(),
        "geometry": layer.geometry,
        "style": layer.style.model_dump(),
        "label": layer.access.label,
        "tiles": {"min_zoom": maplibre.first_zoom(layer), "max_zoom": layer.tiles.max_zoom},
        "visible": layer.style.visible,
        "fields": [_field(name, column) for name, column in layer.columns.items()],
    }


def _field(name: str, column: Column) -> dict:
    field = {"name": name, "title": column.title.model_dump(), "unit": column.unit, "type": column.type}
    if column.codes:
        english = dict(schema.codes(column.codes, "en"))
        field["codes"] = [{"code": code, "title": {"zh": zh, "en": english[code]}} for code, zh in schema.codes(column.codes, "zh")]
    return field


@site.get("/styles/<name>")
def style(name: str) -> Response:
    """A layer's style (MapLibre, or QML for QGIS by f=qml); `onemap` is the style of the whole map, for the caller's role."""
    wanted = request.args.get("f", "mbs")
    if wanted not in ("mbs", "json", "qml"):
        raise InputError(f"format {wanted[:40]!r} is not offered here", where="f", remedy="One of mbs, qml")
    seen = _shown(caller.get().role)
    if name == "onemap" and wanted != "qml":
        return _json(maplibre.map_style(seen, _base() + "/"))
    layer = seen.layers.get(name)
    if layer is None or (layer.is_raster and wanted == "qml"):
        raise NotFound("no such style")
    if wanted == "qml":
        return Response(
            qml.style(layer),
            content_type="application/xml; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{layer.id}.qml"', "Cache-Control": "private, no-cache"},
        )
    return _json(maplibre.layer_style(layer, _base() + "/", seen.city))


@site.get("/map")
@site.get("/map/")
@site.get("/map/<path:name>", endpoint="map_file")
def viewer(name: str = "index.html") -> Response:
    """The web map: files of the viewer's build."""
    if request.path == "/map":
        return Response(status=301, headers={"Location": f"{_base()}/map/"})
    if not (VIEWER / "index.html").is_file():
        return Response(
            pages.render("map_missing.html", _language(), site=_site(), base_url=_base(), data={"links": []}), 503, mimetype="text/html"
        )
    response = _file(VIEWER, name)
    hashed = name.startswith("assets/")
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
    return response


def _file(folder: Path, name: str) -> Response:
    """A file of a build, squeezed as small as gzip can where the caller takes that: once, not for every visitor."""
    response = send_from_directory(folder, name)
    if response.status_code == 200 and request.accept_encodings["gzip"] and name.endswith(_SQUEEZED) and "Range" not in request.headers:
        path = folder / name
        body = _squeezed(path, path.stat().st_mtime_ns)
        if len(body) > SMALLEST_SQUEEZED:
            response.direct_passthrough = False
            response.set_data(body)
            response.headers["Content-Encoding"] = "gzip"
            response.set_etag(response.get_etag()[0], weak=True)
    return response


@lru_cache(maxsize=64)
def _squeezed(path: Path, changed: int) -> bytes:
    return gzip.compress(path.read_bytes(), 9, mtime=0)


@site.get("/static/<path:name>")
def static_file(name: str) -> Response:
    """Style sheet and icon of the pages."""
    response = _file(pages.STATIC, name)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@site.get("/favicon.ico")
def icon() -> Response:
    return static_file("icon.svg")


@site.get("/d/<token>")
def door_plate(token: str) -> Response:
    """The page behind a door plate's QR code (一户一码): address, station, community. Unknown and retired tokens are 404 alike."""
    if _too_many(request.remote_addr or ""):
        return problem(429, "Too many door plates in a minute", remedy="Wait a minute")
    rows = []
    if _TOKEN.match(token):
        with Store(PLATE_ROLE, "door-plate page") as store:
            rows = store.rows("door_plate_page", token=token)
    if not rows:
        raise NotFound("no such door plate")
    audit.record_access(caller.get(), "door plate", catalog().layer("door_plate"), n=1, code=rows[0]["code"])
    if request.args.get("f") == "json":
        return _json(rows[0], **{"Referrer-Policy": "no-referrer"})
    content = pages.render("door_plate.html", _language(), site=_site(), base_url=_base(), data=rows[0] | {"links": []})
    return Response(content, mimetype="text/html", headers={"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"})


def _too_many(address: str) -> bool:
    with _lock:
        _visits[address] = _visits.get(address, 0) + 1
        return _visits[address] > PLATES_PER_MINUTE


def _language() -> str:
    return pages.language_of(request.args.get("lang") or request.accept_languages.best_match(pages.LANGUAGES, "zh"))


def _site() -> dict:
    return current_app.extensions["onemap_api"].tpl_config["metadata"]
