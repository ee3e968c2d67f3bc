"""What the collection of the sensors says of itself as environmental data: the queries, the parameters, the forms of the answers.

Source: OGC API - Environmental Data Retrieval 1.1 (OGC 19-086r6), clauses 8.2 (collection) and A.
"""

from __future__ import annotations

from functools import lru_cache

from pyproj import CRS

from gis.access.identity import caller
from gis.api import observations
from gis.api.coverage_json import moment, parameter
from gis.catalog.observed import QUANTITIES

QUERIES = ("locations", "position", "area", "radius", "cube", "items")
WITHIN_UNITS = ("m", "km")
FORMS = ("CoverageJSON", "GeoJSON", "CSV")
CONFORMANCE = tuple(
    f"http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/{name}"
    for name in ("core", "collections", "json", "geojson", "edr-geojson", "covjson", "queries", "locations", "position", "area", "radius",
                 "cube", "items", "oas30")
)  # fmt: skip
_TITLES = {
    "locations": ("测站", "Locations"), "position": ("某处的测站", "Sensors at a position"), "area": ("范围内的测站", "Sensors in an area"),
    "radius": ("半径内的测站", "Sensors around a position"), "cube": ("矩形内的测站", "Sensors in a box"),
    "items": ("测站要素", "Sensors as features"),
}  # fmt: skip


def describe(collection: dict, base: str, language: str) -> dict:
    """The description of the collection with its queries and parameters. `base`: where the API lives."""
    url = f"{base}/collections/{collection['id']}"
    observed = observations.extent(caller.get())
    ends = [[moment(at) for at in observed]] if observed else [[None, None]]
    temporal = {"interval": ends, "trs": "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"}
    links = {name: _query(name, url, language) for name in QUERIES}
    return collection | {
        "extent": collection["extent"] | {"temporal": temporal},
        "data_queries": {name: {"link": link} for name, link in links.items()},
        "parameter_names": {name: _parameter(name, language) for name in QUANTITIES},
        "output_formats": list(FORMS),
        "within_units": list(WITHIN_UNITS),
        "crs_details": _crs_details(),
        "links": [*collection["links"], *({k: v for k, v in link.items() if k != "variables"} for link in links.values())],
    }


@lru_cache(maxsize=1)
def _crs_details() -> list[dict]:
    """The one CRS of observations, which are not transformed."""
    return [{"crs": "CRS84", "wkt": CRS.from_authority("OGC", "CRS84").to_wkt()}]


def _query(name: str, url: str, language: str) -> dict:
    variables = {"title": name, "description": _TITLES[name][language != "zh"], "query_type": name}
    variables["output_formats"] = ["GeoJSON"] if name == "items" else list(FORMS)
    variables |= {"default_output_format": variables["output_formats"][0]}
    if name == "radius":
        variables["within_units"] = list(WITHIN_UNITS)
    if name != "items":
        variables["crs_details"] = _crs_details()
    return {"rel": "data" if name != "items" else "items", "href": f"{url}/{name}", "title": _TITLES[name][language != "zh"],
            "type": "application/geo+json" if name in ("items", "locations") else "application/prs.coverage+json", "hreflang": language,
            "variables": variables}  # fmt: skip


def _parameter(name: str, language: str) -> dict:
    """A parameter as the collection lists it: its texts in one language."""
    made = parameter(name)
    label, symbol = made["observedProperty"]["label"][language], made["unit"]["symbol"]
    unit = {"label": made["unit"]["label"][language], "symbol": symbol}
    return {"type": "Parameter", "description": label, "unit": unit, "observedProperty": {"id": name, "label": label}}
