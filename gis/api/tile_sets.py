"""Tiles of several layers at once: of a group of layers ("all water"), or of those that `collections` names.

A tile of several layers is the tiles of each, one after the other (MVT 2.1, 4.1: layers are repeated fields), so each comes from its own
cache entry, in its own version, and is entered in the audit by itself. Layers that the caller may not see are not in it, without a word.
"""

from __future__ import annotations

import datetime as dt

from gis.access.identity import caller
from gis.access.roles import visible_catalog
from gis.api import tile_grid
from gis.api.temporal import Span
from gis.api.tile_ladder import BUDGET
from gis.api.tiles import MIMETYPE, Answer, etag_of, provider
from gis.catalog.model import GROUPS, Layer, Text
from gis.catalog.read import catalog
from gis.db.versions import newest
from gis.errors import InputError, NotFound

NAMES: dict[str, Text] = {
    "water": Text(zh="给水", en="Water supply"),
    "drainage": Text(zh="排水", en="Drainage"),
    "gas": Text(zh="燃气", en="Gas"),
    "heat": Text(zh="热力", en="District heating"),
    "power": Text(zh="电力", en="Power"),
    "telecom": Text(zh="通信", en="Telecommunications"),
}
"""Titles of the groups that layer files name in `tiles.group`; one without a title here is called by its name."""
EVERYTHING = Text(zh="全部图层", en="All layers")


def links(base_url: str) -> list[dict]:
    """Where the landing page leads to: the tiles of the whole map, the groups, and the rasters by WMTS."""
    return [
        {
            "rel": "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector", "type": "application/json", "title": "Vector tiles of the map",
            "href": f"{base_url}/tiles?f=json",
        },
        {"rel": "related", "type": "application/json", "title": "Groups of layers", "href": f"{base_url}/groups?f=json"},
        {
            "rel": "service-meta", "type": "application/xml", "title": "WMTS 1.0.0",
            "href": f"{base_url}/wmts/1.0.0/WMTSCapabilities.xml",
        },
    ]  # fmt: skip


def groups() -> dict[str, tuple[Text, tuple[Layer, ...]]]:
    """The groups that exist for the caller, by name: title and vector layers. The folders of the layer files, and their `tiles.group`."""
    found: dict[str, list[Layer]] = {}
    for layer in visible_catalog(catalog(), caller.get().role).layers.values():
        for name in dict.fromkeys((layer.group, layer.tiles.group)):
            if name and not layer.is_raster:
                found.setdefault(name, []).append(layer)
    titles = GROUPS | NAMES
    order = [*GROUPS, *sorted(found.keys() - GROUPS.keys())]
    return {name: (titles.get(name, Text(zh=name, en=name)), tuple(found[name])) for name in order if name in found}


def layers_of(group: str | None, collections: str | None) -> tuple[Layer, ...]:
    """The vector layers that a caller means and may see: of a group (None: all), those named in `collections`. Raises NotFound where
    none is left, InputError for names that are none."""
    known = groups()
    if group is not None and group not in known:
        raise NotFound("no such group of layers")
    layers = known[group][1] if group is not None else tuple({la.id: la for _, of in known.values() for la in of}.values())
    if collections is not None:
        names = collections.split(",")
        if not all(name.isidentifier() for name in names):
            raise InputError(f"{collections[:60]!r} is no list of collections", where="collections", remedy="Write road,building")
        layers = tuple(layer for layer in layers if layer.id in names)
    if not layers:
        raise NotFound("no such layers")
    return layers


def tile(
    layers: tuple[Layer, ...],
    matrix_set,
    z,
    y,
    x,
    *,
    span: Span | None = None,
    as_of: dt.datetime | None = None,
    known: str | None = None,
    audited: bool = True,
) -> Answer:
    """The tile of all these layers, those outside their zooms left out; `how` joins how each is generalised. Together they have no more
    bytes than one may have: the larger ones are generalised further.

    Raises InputError for impossible indices, NotFound where no layer has this zoom.
    """
    place = tile_grid.tile(matrix_set, z, y, x)
    inside = [layer for layer in layers if layer.tiles.min_zoom <= place.z <= layer.tiles.max_zoom]
    if not inside:
        raise NotFound("tile outside the zooms of the layers")
    providers = [provider(layer.id) for layer in inside]
    wishes = [one.wish(matrix_set, z, y, x, span, as_of) for one in providers]
    versions = newest([layer.id for layer in inside])
    found = [versions[layer.id] for layer in inside]
    etag = etag_of(tuple(one.etag(wish, version) for one, wish, version in zip(providers, wishes, found, strict=True)))
    if known and etag in known:
        return Answer(None, etag, 0)
    answers = [one.grant(wish, version, audited=audited) for one, wish, version in zip(providers, wishes, found, strict=True)]
    etag = etag_of(tuple(answer.etag for answer in answers))  # a load in between makes some of them newer
    share = share_of([len(answer.body or b"") for answer in answers])
    for i, answer in enumerate(answers):
        if share is not None and len(answer.body or b"") > share:
            answers[i] = providers[i].grant(providers[i].wish(matrix_set, z, y, x, span, as_of, share), found[i], audited=audited)
    hows = dict.fromkeys(answer.how for answer in answers if answer.how)
    return Answer(b"".join(answer.body or b"" for answer in answers), etag, sum(answer.n for answer in answers), ", ".join(hows))


def share_of(sizes: list[int], budget: int = BUDGET) -> int | None:
    """How many bytes each may have so that all fit into the budget: small ones leave theirs to the others. None where all fit."""
    if sum(sizes) <= budget:
        return None
    left = budget
    for i, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - i)
        if size > share:
            return share
        left -= size
    return None


def metadata(layers: tuple[Layer, ...], matrix_set: str, title: str, place: str, server_url: str, language: str = "zh") -> dict:
    """OGC tileset metadata (OGC 17-083r4, 7.3) of several layers; `place`: the path of the tilesets, with its query."""
    path, _, query = place.partition("?")
    query = f"&{query}" if query else ""
    grid = _grid(matrix_set)
    zooms = [layer.tiles for layer in layers]
    described = [
        provider(layer.id).get_default_metadata(layer.id, server_url, layer.id, matrix_set, getattr(layer.title, language), "")
        for layer in layers
    ]
    url = f"{server_url}/{path}/{matrix_set}"
    return {
        "title": title,
        "dataType": "vector",
        "crs": grid.crs,
        "tileMatrixSetURI": grid.definition(server_url)["uri"],
        **tile_grid.extent(
            matrix_set, catalog().city.extent, min(one.min_zoom for one in zooms), max(one.max_zoom for one in zooms)
        ),
        "layers": [layer for one in described for layer in one["layers"]],
        "links": [
            {"rel": "self", "type": "application/json", "href": f"{url}?f=json{query}"},
            {"rel": "alternate", "type": "application/json", "title": "TileJSON", "href": f"{url}?f=tilejson{query}"},
            {
                "rel": "item", "type": MIMETYPE, "templated": True,
                "href": f"{url}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}?f=mvt{query}",
            },
            {
                "rel": "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme", "type": "application/json",
                "href": f"{server_url}/TileMatrixSets/{matrix_set}?f=json",
            },
        ],
    }  # fmt: skip


def tilejson(layers: tuple[Layer, ...], matrix_set: str, title: str, place: str, server_url: str, language: str = "zh") -> dict:
    """TileJSON 3.0 of several layers."""
    path, _, query = place.partition("?")
    _grid(matrix_set)
    city = catalog().city
    described = [
        provider(layer.id).get_vendor_metadata(layer.id, server_url, layer.id, matrix_set, getattr(layer.title, language), "")
        for layer in layers
    ]
    first, last = min(one["minzoom"] for one in described), max(one["maxzoom"] for one in described)
    return {
        "tilejson": "3.0.0",
        "name": title,
        "version": "1.0.0",
        "scheme": "xyz",
        "tiles": [f"{server_url}/{path}/{matrix_set}/{{z}}/{{y}}/{{x}}?f=mvt{'&' + query if query else ''}"],
        "minzoom": first,
        "maxzoom": last,
        "bounds": list(city.extent),
        "center": [*city.center, first],
        "vector_layers": [layer for one in described for layer in one["vector_layers"]],
    }


def _grid(matrix_set: str) -> tile_grid.Grid:
    if matrix_set not in tile_grid.GRIDS:
        raise NotFound("no such tile matrix set")
    return tile_grid.GRIDS[matrix_set]
