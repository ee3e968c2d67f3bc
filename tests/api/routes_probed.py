"""Every route of the application, and how the matrix of rights asks it. Who adds a route says here how what it must not show is looked for.

A path with `{layer}` is asked for every layer (`{item}`, `{gone}`: planted rows; `{tile}`: the tile of the western row; `{near}`: a name
that is nearly the layer's), with and without what exists; one without is asked once per caller. `Same`: the answer is the same for
everybody, and why.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Same:
    why: str


@dataclass(frozen=True)
class Elsewhere:
    """Proved by a test of its own in tests/api/test_roles.py."""

    test: str


STATIC = Same("a file of the build, without data")

GET: dict[str, tuple[str, ...] | Same | Elsewhere] = {
    "/": ("/", "/?f=html", "/?f=jsonld"),
    "/conformance": ("/conformance",),
    "/openapi": ("/openapi", "/openapi?f=html"),
    "/catalog": ("/catalog",),
    "/collections": ("/collections", "/collections?f=html", "/collections?f=jsonld"),
    "/collections/<name>": ("/collections/{layer}", "/collections/{layer}?f=html", "/collections/{near}"),
    "/collections/<name>/schema": ("/collections/{layer}/schema",),
    "/collections/<name>/queryables": ("/collections/{layer}/queryables", "/collections/{layer}/queryables?f=html"),
    "/collections/<name>/sortables": ("/collections/{layer}/sortables", "/collections/{layer}/sortables?f=html"),
    "/collections/<name>/items": (
        "/collections/{layer}/items",
        "/collections/{layer}/items?limit=1",
        "/collections/{layer}/items?resultType=hits",
        "/collections/{layer}/items?bbox=116,31,118,33",
        "/collections/{layer}/items?as-of={before}",
        "/collections/{layer}/items?f=html",
        "/collections/{layer}/items?f=csv",
        "/collections/{layer}/items?f=jsonld",
    ),
    "/collections/<name>/items/<path:item>": (
        "/collections/{layer}/items/{item}",
        "/collections/{layer}/items/{item}?f=html",
        "/collections/{layer}/items/{gone}?as-of={before}",
        "/collections/{layer}/items/{item}?history=true",
        "/collections/{layer}/items/{gone}?history=true",
    ),
    "/collections/<name>/changes": ("/collections/{layer}/changes",),
    "/collections/<name>/download": ("/collections/{layer}/download?f=csv", "/collections/{layer}/download?f=csv&as-of={before}"),
    "/collections/<name>/coverage": ("/collections/{layer}/coverage",),
    "/collections/<name>/tiles": ("/collections/{layer}/tiles",),
    "/collections/<name>/tiles/<matrix_set>": (
        "/collections/{layer}/tiles/WebMercatorQuad",
        "/collections/{layer}/tiles/WebMercatorQuad?f=tilejson",
    ),
    "/collections/<name>/tiles/<matrix_set>/metadata": ("/collections/{layer}/tiles/WebMercatorQuad/metadata",),
    "/collections/<name>/tiles/<matrix_set>/<z>/<y>/<x>": (
        "/collections/{layer}/tiles/WebMercatorQuad/{tile}",
        "/collections/{layer}/tiles/WebMercatorQuad/{eastern}",
    ),
    "/collections/<name>/locations": ("/collections/{layer}/locations",),
    "/collections/<name>/locations/<path:location>": ("/collections/{layer}/locations/{item}",),
    "/collections/<name>/position": ("/collections/{layer}/position?coords=POINT(116.94 32)",),
    "/collections/<name>/radius": ("/collections/{layer}/radius?coords=POINT(117 32)&within=50&within-units=km",),
    "/collections/<name>/area": ("/collections/{layer}/area?coords=POLYGON((116 31,118 31,118 33,116 33,116 31))",),
    "/collections/<name>/cube": ("/collections/{layer}/cube?bbox=116,31,118,33",),
    "/styles/<name>": ("/styles/{layer}", "/styles/{layer}?f=qml", "/styles/onemap"),
    "/sprites/onemap.json": Elsewhere("test_signs_are_those_of_the_layers_that_are_seen"),
    "/sprites/onemap.png": Elsewhere("test_signs_are_those_of_the_layers_that_are_seen"),
    "/sprites/onemap@2x.json": Elsewhere("test_signs_are_those_of_the_layers_that_are_seen"),
    "/sprites/onemap@2x.png": Elsewhere("test_signs_are_those_of_the_layers_that_are_seen"),
    "/groups": ("/groups",),
    "/groups/<group>/tiles": ("/groups/{group}/tiles",),
    "/groups/<group>/tiles/<matrix_set>": ("/groups/{group}/tiles/WebMercatorQuad", "/groups/{group}/tiles/WebMercatorQuad?f=tilejson"),
    "/groups/<group>/tiles/<matrix_set>/<z>/<y>/<x>": ("/groups/{group}/tiles/WebMercatorQuad/{tile}",),
    "/tiles": ("/tiles", "/tiles?collections={layer}"),
    "/tiles/<matrix_set>": ("/tiles/WebMercatorQuad", "/tiles/WebMercatorQuad?f=tilejson&collections={layer}"),
    "/tiles/<matrix_set>/<z>/<y>/<x>": ("/tiles/WebMercatorQuad/{tile}?collections={layer}",),
    "/wmts": (
        "/wmts?service=WMTS&request=GetCapabilities",
        "/wmts?service=WMTS&version=1.0.0&request=GetTile&layer={layer}&style=default&format=image/png&tilematrixset=WebMercatorQuad"
        "&tilematrix={z}&tilerow={y}&tilecol={x}",
    ),
    "/wmts/1.0.0/WMTSCapabilities.xml": ("/wmts/1.0.0/WMTSCapabilities.xml",),
    "/wmts/1.0.0/<layer>/default/<matrix_set>/<z>/<y>/<x>.png": ("/wmts/1.0.0/{layer}/default/WebMercatorQuad/{tile}.png",),
    "/TileMatrixSets": Same("the grids"),
    "/TileMatrixSets/<name>": Same("the grids"),
    "/collections/catalogue/items": (
        "/collections/catalogue/items?limit=1000",
        "/collections/catalogue/items?limit=1000&type=batch",
        "/collections/catalogue/items?q={layer}",
        "/collections/catalogue/items?limit=100&f=html",
    ),
    "/collections/catalogue/items/<item>": ("/collections/catalogue/items/{layer}", "/collections/catalogue/items/style.{layer}"),
    "/collections/catalogue/schema": Same("what a record has"),
    "/collections/catalogue/queryables": Same("what a record has"),
    "/collections/catalogue/sortables": Same("what a record has"),
    "/processes": ("/processes", "/processes?f=html"),
    "/processes/<name>": Elsewhere("test_processes_exist_for_those_who_may_read_their_layers"),
    "/jobs": ("/jobs", "/jobs?f=html"),
    "/jobs/<job_id>": Elsewhere("test_jobs_are_their_owners"),
    "/jobs/<job_id>/results": Elsewhere("test_jobs_are_their_owners"),
    "/account": Same("who one is oneself"),
    "/account/password": Same("an empty form"),
    "/audit": Elsewhere("test_the_audit_is_the_auditors"),
    "/audit/areas": Elsewhere("test_the_audit_is_the_auditors"),
    "/qgis/city.qgz": ("/qgis/city.qgz",),
    "/d/<token>": Elsewhere("test_a_door_plates_page_says_what_the_plate_says"),
    "/metrics": ("/metrics",),
    "/health": Same("whether the platform answers"),
    "/health/live": Same("whether the platform answers"),
    "/health/ready": Same("whether the platform answers"),
    "/map": STATIC,
    "/map/": STATIC,
    "/map/<path:name>": STATIC,
    "/static/<path:name>": STATIC,
    "/favicon.ico": STATIC,
    "/fonts/<stack>/<letters>.pbf": STATIC,
}
"""By the rule of the route."""

CHANGE: dict[tuple[str, str], tuple[tuple[str, dict | None], ...] | Same | Elsewhere] = {
    ("POST", "/collections/<name>/items"): (
        ("/collections/{layer}/items", {"op": "isNull", "args": [{"property": "valid_to"}]}),
        ("/collections/{layer}/items", {"type": "Feature", "geometry": None, "properties": {}}),
    ),
    ("PUT", "/collections/<name>/items/<path:item>"): (
        ("/collections/{layer}/items/{item}", {"type": "Feature", "geometry": None, "properties": {}}),
    ),
    ("PATCH", "/collections/<name>/items/<path:item>"): (
        ("/collections/{layer}/items/{item}", {"type": "Feature", "properties": {"valid_to": "2020-01-01"}}),
    ),
    ("DELETE", "/collections/<name>/items/<path:item>"): (("/collections/{layer}/items/{item}", None),),
    ("POST", "/processes/<name>/execution"): Elsewhere("test_processes_exist_for_those_who_may_read_their_layers"),
    ("POST", "/account/password"): Same("one's own password; tests/access"),
    ("POST", "/account/session"): Same("one's own session; tests/access"),
    ("DELETE", "/account/session"): Same("one's own session; tests/access"),
    ("DELETE", "/jobs/<job_id>"): Elsewhere("test_jobs_are_their_owners"),
}
"""What other methods do, by method and rule: paths and bodies."""
