"""Observations of the sensors by OGC API - Environmental Data Retrieval: locations, position, area, radius, cube."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
from dataclasses import replace
from urllib.parse import quote, urlencode

import shapely
from flask import Response, request

from gis.access import audit
from gis.access.identity import Identity, caller
from gis.api import coverage, coverage_json, observations, pages
from gis.api.observations import MOST_SENSORS, STEPS, SUMMARIES, Asked, Place, Sensor, Values
from gis.api.routes.blueprint import ogc, provider_of, served_api
from gis.api.serialize import json_bytes
from gis.api.table import harmless
from gis.catalog.model import Layer
from gis.catalog.observed import QUANTITIES, SENSORS
from gis.catalog.read import catalog
from gis.errors import InputError, NotFound

VALUES_TAKE = ("datetime", "parameter-name", "f", "lang", "crs", "latest", "aggregate", "summary", "quality")
FORMS = {"covjson": "covjson", "CoverageJSON": "covjson", "json": "covjson", "geojson": "geojson", "GeoJSON": "geojson", "csv": "csv",
         "CSV": "csv"}  # fmt: skip
POSITION_M = 50.0
"""How far a sensor may stand from a position that is asked for."""
FARTHEST_M = 100_000.0
LONGEST_WKT = 100_000
LONGEST_TABLE = 500
"""Values that a page shows, the newest."""
_HEIGHT = re.compile(r" ?Z$")
_CRS = ("CRS84", "OGC:CRS84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84")
_UNITS = {"m": 1.0, "km": 1000.0}
_HEADERS = {"Cache-Control": "private, no-cache"}


@ogc.get("/collections/<name>/locations")
def locations(name: str) -> Response:
    """The sensors that observed something, each with its parameters and their latest values."""
    layer = _sensors(name)
    _require(("bbox", "bbox-crs", "datetime", "parameter-name", "limit", "offset", "f", "lang", "crs"))
    if request.args.get("f", "geojson") not in ("geojson", "GeoJSON", "json", "html"):
        raise InputError("locations are offered as GeoJSON only", where="f")
    area = coverage.box_of(request.args.get("bbox"), request.args.get("bbox-crs"), None)
    limit, offset = _number("limit", 100, 1, MOST_SENSORS), _number("offset", 0, 0, 10_000_000)
    wanted, identity = _asked(), caller.get()
    found = observations.sensors(
        identity, layer, place=Place(area.outline) if area else None, limit=limit + 1, offset=offset, quantities=wanted.quantities
    )
    more, found = len(found) > limit, found[:limit]
    latest = observations.observed(
        identity, layer, found, Asked(wanted.period, wanted.quantities, latest=True), bbox=area and area.box, latest=True
    )
    begun = observations.beginnings(identity, found)
    base = f"{served_api().base_url}/collections/{name}/locations"
    answer = {
        "type": "FeatureCollection",
        "features": [_location(one, latest, begun, base) for one in found],
        "numberReturned": len(found),
        "parameters": _parameters({q for one in found for q in one.series}),
        "links": [{"rel": "self", "type": "application/geo+json", "href": base}],
    }
    if more:
        query = urlencode(request.args.to_dict() | {"limit": limit, "offset": offset + limit}, safe=",:/")
        answer["links"].append({"rel": "next", "type": "application/geo+json", "href": f"{base}?{query}"})
    if request.args.get("f") == "html":
        return _page("locations", name, answer)
    return Response(json_bytes(answer), content_type="application/geo+json", headers=_HEADERS)


def _page(template: str, name: str, answer: dict) -> Response:
    api, language = served_api(), pages.language_of(request.args.get("lang") or request.accept_languages.best_match(pages.LANGUAGES, "zh"))
    data = answer | {"collection": name, "quantities": QUANTITIES, "links": answer.get("links", [])}
    content = pages.render(f"collections/{template}.html", language, site=api.config["metadata"], base_url=api.base_url, data=data)
    return Response(content, mimetype="text/html", headers=_HEADERS)


@ogc.get("/collections/<name>/locations/<path:location>")
def location(name: str, location: str) -> Response:
    """The values of one sensor."""
    layer = _sensors(name)
    _require(VALUES_TAKE)
    found = observations.sensors(caller.get(), layer, ids=[_plain(location)])
    if not found:
        raise NotFound("no such location")
    if request.args.get("f") == "html":
        wanted = _asked()
        shown = wanted if wanted.latest or wanted.step else replace(wanted, step="day")
        values = _observed(caller.get(), layer, found, shown, None)
        newest = _features(found, values, "")["features"][-LONGEST_TABLE:]
        return _page("location", name, {"sensor": found[0], "features": newest, "step": shown.step})
    return _answer(layer, found, single=True)


@ogc.get("/collections/<name>/position")
def position(name: str) -> Response:
    """The values of the sensors that stand at a position, or at one of several (within 50 m of it)."""
    layer = _sensors(name)
    _require(("coords", *VALUES_TAKE))
    return _answer_at(layer, Place(_outline("POINT", "MULTIPOINT"), POSITION_M))


@ogc.get("/collections/<name>/radius")
def radius(name: str) -> Response:
    """The values of the sensors within a distance of a position."""
    layer = _sensors(name)
    _require(("coords", "within", "within-units", *VALUES_TAKE))
    unit = request.args.get("within-units", "")
    if unit not in _UNITS:
        raise InputError("within-units is m or km", where="within-units")
    metres = _distance("within") * _UNITS[unit]
    if not 0 < metres <= FARTHEST_M:
        raise InputError("within is a distance of up to 100 km", where="within")
    return _answer_at(layer, Place(_outline("POINT"), metres))


@ogc.get("/collections/<name>/area")
def area(name: str) -> Response:
    """The values of the sensors in a polygon."""
    layer = _sensors(name)
    _require(("coords", *VALUES_TAKE))
    return _answer_at(layer, Place(_outline("POLYGON", "MULTIPOLYGON")))


@ogc.get("/collections/<name>/cube")
def cube(name: str) -> Response:
    """The values of the sensors in a box."""
    layer = _sensors(name)
    _require(("bbox", "bbox-crs", *VALUES_TAKE))
    box = coverage.box_of(request.args.get("bbox"), request.args.get("bbox-crs"), None)
    if box is None:
        raise InputError("bbox is missing", where="bbox", remedy="Write bbox=west,south,east,north")
    return _answer_at(layer, Place(box.outline))


# --- what is asked ----------------------------------------------------------------------------------------------------


def _sensors(name: str) -> Layer:
    """The layer of the sensors, where it exists for the caller. Raises NotFound, for every other collection too."""
    if name != SENSORS:
        raise NotFound("no such collection of observations")
    return provider_of(name, "feature").layer


def _require(takes: tuple[str, ...]) -> None:
    unknown = set(request.args) - set(takes)
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(takes))
    if request.args.get("crs", _CRS[0]) not in _CRS:
        raise InputError("observations are offered in CRS84 only", where="crs", remedy="Leave crs out")


def _asked() -> Asked:
    """Which values the request wants. Raises InputError."""
    given = request.args
    for name, known in (("latest", ("true", "false")), ("quality", ("true", "false")), ("aggregate", STEPS), ("summary", SUMMARIES)):
        if name in given and given[name] not in known:
            raise InputError(f"{name} is one of {', '.join(known)}", where=name)
    latest, step = given.get("latest") == "true", given.get("aggregate")
    if latest and step:
        raise InputError("latest and aggregate exclude each other", where="latest")
    if "summary" in given and step is None:
        raise InputError("summary goes with aggregate", where="summary", remedy="Add aggregate=hour or aggregate=day")
    names = observations.known_quantities(given.get("parameter-name"))
    return Asked(observations.period(given.get("datetime")), names, latest, step, given.get("summary", "mean"))


def _plain(text: str) -> str:
    if len(text) > 200:
        raise NotFound("no such location")
    return text


def _number(name: str, default: int, least: int, most: int) -> int:
    text = request.args.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text):
        raise InputError(f"{name} is a whole number from {least} on", where=name)
    return min(int(text), most)


def _distance(name: str) -> float:
    try:
        value = float(request.args.get(name, ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} is a number", where=name)
    return value


def _outline(*kinds: str) -> bytes:
    """The WKT of `coords` in CRS84, longitude first; a height plays no part.

    Raises InputError for another kind of geometry, an invalid one, one off the earth."""
    text = request.args.get("coords", "").strip()
    example = "POINT(117.0 32.0)" if "POINT" in kinds else "POLYGON((116.9 31.9,117.1 31.9,117.1 32.1,116.9 31.9))"
    remedy = f"Write coords={example}"
    if not text or len(text) > LONGEST_WKT or _HEIGHT.sub("", text.split("(")[0].strip().upper()) not in kinds:
        raise InputError(f"coords is no {' or '.join(kinds)}", where="coords", remedy=remedy)
    try:
        shape = shapely.from_wkt(text)
    except shapely.errors.GEOSException:
        raise InputError("coords cannot be read", where="coords", remedy=remedy) from None
    west, south, east, north = shape.bounds if shape is not None and not shape.is_empty else (math.nan,) * 4
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise InputError("coords does not lie on the earth", where="coords", remedy="Longitude comes first, in degrees")
    if not shape.is_valid:
        raise InputError("coords is not valid: its boundary crosses itself", where="coords")
    return shapely.to_wkb(shapely.set_srid(shapely.force_2d(shape), 4490), include_srid=True)


# --- how it is answered -----------------------------------------------------------------------------------------------


def _answer_at(layer: Layer, place: Place) -> Response:
    wanted, identity = _asked(), caller.get()
    found = observations.sensors(
        identity, layer, place=place, srid=catalog().city.srid, limit=MOST_SENSORS + 1, quantities=wanted.quantities
    )
    if len(found) > MOST_SENSORS:
        raise InputError(f"there are more than {MOST_SENSORS} sensors", where="coords", remedy="Ask for a smaller area")
    return _answer(layer, found, place=place)


def _answer(layer: Layer, found: list[Sensor], *, single: bool = False, place: Place | None = None) -> Response:
    """The values of these sensors in the form asked for; 204 where there are none (OGC 19-086r6, 8.3)."""
    wanted, given, identity = _asked(), request.args, caller.get()
    form = FORMS.get(given.get("f") or _negotiated())
    if form is None:
        raise InputError(f"format {given['f'][:40]!r} is not offered here", where="f", remedy="One of covjson, geojson, csv")
    values = _observed(identity, layer, found, wanted, place)
    with_values = [one for one in found if any(number in values for number in one.series.values())]
    if not with_values:
        nothing = Response(status=204, headers=_HEADERS)
        del nothing.headers["Content-Type"]
        return nothing
    if form == "csv":
        return Response(_csv(with_values, values), content_type="text/csv; charset=utf-8", headers=_HEADERS)
    if form == "geojson":
        base = f"{served_api().base_url}/collections/{layer.id}/locations"
        return Response(json_bytes(_features(with_values, values, base)), content_type="application/geo+json", headers=_HEADERS)
    quality = given.get("quality") == "true"
    if single:
        made = coverage_json.coverage(with_values[0], values, quality=quality)
    else:
        made = coverage_json.collection(with_values, values, quality=quality)
    return Response(json_bytes(made), content_type=coverage_json.MEDIA, headers=_HEADERS)


def _negotiated() -> str:
    """The form that the caller accepts most, CoverageJSON where he says nothing."""
    media = request.accept_mimetypes.best_match((coverage_json.MEDIA, "application/json", "application/geo+json", "text/csv"))
    return {"application/geo+json": "geojson", "text/csv": "csv"}.get(media, "covjson")


def _observed(identity: Identity, layer: Layer, found: list[Sensor], wanted: Asked, place: Place | None) -> Values:
    box = [round(value, 7) for value in shapely.from_wkb(place.outline).bounds] if place else None
    if not found:
        audit.record_access(identity, "observations", layer, n=0, bbox=box)
        return {}
    return observations.observed(
        identity, layer, found, wanted, bbox=box, within=place and place.metres, datetime=request.args.get("datetime")
    )


def _parameters(names: set[str]) -> list[dict]:
    """What was observed, as EDR GeoJSON lists it."""
    return [{"id": name} | coverage_json.parameter(name) for name in sorted(names)]


def _location(one: Sensor, latest: Values, begun: dict[int, dt.datetime], base: str) -> dict:
    now = {}
    for name, number in one.series.items():
        for at, value, flag in latest.get(number, ()):
            told = {"value": value, "unit": QUANTITIES[name].unit, "at": coverage_json.moment(at)}
            now[name] = told | {"quality": observations.flag_name(flag)}
    ends = [at for number in one.series.values() for at, _, _ in latest.get(number, ())]
    period = [coverage_json.moment(min(begun[number] for number in one.series.values() if number in begun)),
              coverage_json.moment(max(ends))] if ends else ["..", ".."]  # fmt: skip
    properties = {"label": one.name or one.id, "name": one.name, "kind": one.kind, "parameter-name": list(one.series),
                  "datetime": "/".join(period),
                  "edrqueryendpoint": f"{base}/{quote(one.id)}", "latest": now}  # fmt: skip
    return {"type": "Feature", "id": one.id, "geometry": _point(one), "properties": properties}


def _point(one: Sensor) -> dict:
    return {"type": "Point", "coordinates": [one.lon, one.lat]}


def _features(found: list[Sensor], values: Values, base: str) -> dict:
    """A feature per value, as EDR GeoJSON has it. `base`: where the locations are."""
    features = [
        {
            "type": "Feature",
            "id": f"{one.id}:{name}:{coverage_json.moment(at)}",
            "geometry": _point(one),
            "properties": {
                "label": one.name or one.id, "location": one.id, "edrqueryendpoint": f"{base}/{quote(one.id)}",
                "datetime": coverage_json.moment(at), "parameter-name": [name],
                name: value, "unit": QUANTITIES[name].unit, "quality": observations.flag_name(flag),
            },
        }
        for one in found for name, number in one.series.items() for at, value, flag in values.get(number, ())
    ]  # fmt: skip
    parameters = _parameters({name for one in found for name in one.series})
    return {"type": "FeatureCollection", "features": features, "parameters": parameters, "numberReturned": len(features)}


def _csv(found: list[Sensor], values: Values) -> bytes:
    """A row per value; UTF-8 with a mark, which spreadsheets need."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("location", "lon", "lat", "parameter", "datetime", "value", "unit", "quality"))
    for one in found:
        for name, number in one.series.items():
            unit = QUANTITIES[name].unit
            writer.writerows(
                (harmless(one.id), one.lon, one.lat, name, coverage_json.moment(at), value, unit, observations.flag_name(flag) or "")
                for at, value, flag in values.get(number, ())
            )
    return b"\xef\xbb\xbf" + text.getvalue().encode()
