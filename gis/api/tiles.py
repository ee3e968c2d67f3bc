"""Vector tiles for pygeoapi, made by PostGIS: columns, zooms and generalisation from the layer file, as the caller may see them."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg2 import sql
from pygeoapi.provider.base_mvt import BaseMVTProvider

from gis.access import audit
from gis.access.identity import Identity, caller
from gis.api import adapt, schema, select, tile_grid, tile_sql, tile_store
from gis.api.provider import layer_of
from gis.api.temporal import Span
from gis.api.tile_cache import cache
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.db.connection import fetch
from gis.errors import NotFound

_VERSION = sql.SQL("SELECT current_database(), meta.data_version(%(layers)s)")
BUDGET = 500_000
"""Bytes of a tile at most, at any zoom."""
CELLS = 128
"""Cells per side of a tile whose points are gathered (layer file: tiles.thin_below): 4 px of 512."""
MOST = 8000
"""Lines and areas that are drawn one by one below the layer's largest zoom: more would not fit into a tile."""
GRID_PX = 2.0
"""The pixel grid (of 512) on which lines are merged."""
AREA_PX = 4.0
"""The cells (pixels of 512) of each of which the largest area alone is drawn, where all are too many."""
MIMETYPE = "application/vnd.mapbox-vector-tile"


@dataclass(frozen=True)
class Answer:
    """A tile with its ETag; `body` is None where the caller has it already. n: how many features are in it; how: in which way it is
    generalised (`Rung.how`), empty where nothing is left out."""

    body: bytes | None
    etag: str
    n: int
    how: str = ""


@dataclass(frozen=True)
class Wish:
    """A tile that is asked for: `key` and `etag` hold all that it depends on."""

    place: tile_grid.Tile
    key: tuple
    etag: str
    span: Span | None
    as_of: dt.datetime | None
    budget: int


class TileProvider(BaseMVTProvider):
    """The tiles of one layer as the caller of this request sees them."""

    mimetype = MIMETYPE
    formats = ("mvt", "pbf")
    """What `f` may ask for."""
    takes = ("f", "datetime", "as-of", "lang")
    """The parameters that are understood."""

    def __init__(self, provider_def: dict):
        self.layer = layer_of(provider_def)
        if not self.layer.readable_by(caller.get().role):
            raise NotFound("Collection not found")
        tiles = self.layer.tiles
        options = {"zoom": {"min": tiles.min_zoom, "max": tiles.max_zoom}, "schemes": list(tile_grid.GRIDS)}
        super().__init__(provider_def | {"options": options, "format": {"name": self.formats[0], "mimetype": self.mimetype}})
        self.columns = tuple(name for name in tiles.columns if name in self.layer.columns_for(caller.get().role))

    def get_layer(self) -> str:
        """The name of the layer within the tile: the layer's id."""
        return self.layer.id

    def get_fields(self) -> dict:
        return {name: schema.bare(self.layer.columns[name]) for name in self.columns}

    def get_tiling_schemes(self) -> list:
        """The grids offered, as pygeoapi describes them."""
        return [scheme.value for scheme in adapt.tiles.TileMatrixSetEnum]

    def get_tiles_service(self, baseurl=None, servicepath=None, dirpath=None, tile_type=None) -> dict:
        """The links of the tileset list."""
        place = "{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}"
        self._service_url = servicepath or f"{baseurl}/collections/{self.layer.id}/tiles/{place}?f={self.formats[0]}"
        return self.get_tms_links()

    def get_tiles(self, layer=None, tileset=None, z=None, y=None, x=None, format_=None) -> bytes | None:
        """A tile as pygeoapi asks for it; None where it is empty."""
        return self.tile(tileset, z, y, x).body or None

    def tile(self, matrix_set, z, y, x, *, span: Span | None = None, as_of: dt.datetime | None = None, known: str | None = None) -> Answer:
        """The tile, from the cache where the data version has not moved; without a body where its ETag is `known`.

        Raises InputError for impossible indices, NotFound outside the layer's zooms. An empty tile is b"".
        """
        wish = self.wish(matrix_set, z, y, x, span, as_of)
        return Answer(None, wish.etag, 0) if known and wish.etag in known else self.grant(wish)

    def wish(self, matrix_set, z, y, x, span: Span | None = None, as_of: dt.datetime | None = None, budget: int = BUDGET) -> Wish:
        """What is asked for, with all that the tile depends on; its body is to have at most `budget` bytes. Raises as `tile`."""
        place = tile_grid.tile(matrix_set, z, y, x)
        tiles, style = self.layer.tiles, self.layer.style
        if not tiles.min_zoom <= place.z <= tiles.max_zoom:
            raise NotFound("tile outside the zooms of the layer")
        identity = caller.get()
        database, version = fetch(identity.role, identity.user, _VERSION, {"layers": [self.layer.id]}, keep=True)[0]
        at = (identity.role, matrix_set, place.z, place.x, place.y, span, as_of, budget)
        etag = etag_of((database, version, self.layer.id, *at, self.columns, tiles.model_dump_json(), style.label, style.by))
        return Wish(place, (database, version, self.layer.id, catalog(), *at), etag, span, as_of, budget)

    def grant(self, wish: Wish, *, audited: bool = True) -> Answer:
        """The tile that was wished for; entered in the audit where it holds anything, unless the caller does that for many at once."""
        identity, kept = caller.get(), cache.get(wish.key)
        if kept is None:
            # a load in between gives this tile newer rows than its key says; the key of the next request is another one
            kept = self._made(wish, identity)
            cache.put(wish.key, *kept)
        if audited:
            self._record(identity, wish.place, kept[1])
        return Answer(kept[0], wish.etag, *kept[1:])

    def _made(self, wish: Wish, identity: Identity) -> tuple[bytes, int, str]:
        columns = {name: self.layer.columns[name] for name in self.columns}
        wanted = select.Wanted(self.layer, columns, span=wish.span, as_of=wish.as_of)
        if wish.span or wish.as_of or wish.place.z >= self.layer.tiles.max_zoom:
            return made(identity, wanted, wish.place, wish.budget)
        store, name = tile_store.folder(wish.key[0], self.layer.id, wish.key[1]), wish.etag.strip('"')
        kept = tile_store.get(store, name)
        if kept is None:
            begun = time.perf_counter()
            kept = made(identity, wanted, wish.place, wish.budget)
            if time.perf_counter() - begun > tile_store.SLOW_S:
                tile_store.put(store, name, *kept)
        return kept

    def _record(self, identity: Identity, place: tile_grid.Tile, n: int) -> None:
        if n:
            audit.record_access(
                identity, "tile", self.layer, n=n, bbox=[round(v, 6) for v in place.reach], tile=f"{place.z}/{place.y}/{place.x}"
            )

    def get_default_metadata(self, dataset, server_url, layer, tileset, title, description, keywords=None, **_) -> dict:
        """OGC tileset metadata (OGC 17-083r4, 7.3)."""
        scheme = self._scheme(tileset)
        west, south, east, north = catalog().city.extent
        url = f"{server_url}/collections/{dataset}/tiles/{tileset}"
        return {
            "title": title,
            "description": " ".join(filter(None, (description, self.generalisation))),
            "dataType": "vector",
            "crs": scheme.crs,
            "tileMatrixSetURI": scheme.tileMatrixSetURI,
            "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
            "layers": [
                {
                    "id": layer,
                    "title": title,
                    "dataType": "vector",
                    "geometryDimension": self._dimension(),
                    "minTileMatrix": str(self.layer.tiles.min_zoom),
                    "maxTileMatrix": str(self.layer.tiles.max_zoom),
                    "propertiesSchema": {"type": "object", "properties": self.get_fields() | self._counted()},
                }
            ],
            "links": [
                {"rel": "self", "type": "application/json", "href": f"{url}?f=json"},
                {"rel": "alternate", "type": "application/json", "title": "TileJSON", "href": f"{url}?f=tilejson"},
                {
                    "rel": "item",
                    "type": self.mimetype,
                    "templated": True,
                    "href": f"{url}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}?f={self.formats[0]}",
                },
                {
                    "rel": "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme",
                    "type": "application/json",
                    "href": f"{server_url}/TileMatrixSets/{tileset}?f=json",
                },
            ],
        }

    get_html_metadata = get_default_metadata

    def get_vendor_metadata(self, dataset, server_url, layer, tileset, title, description, keywords=None, **_) -> dict:
        """TileJSON 3.0."""
        self._scheme(tileset)
        fields = {"id": "String"} | {name: _tilejson_type(self.layer, name) for name in self.columns}
        city, tiles = catalog().city, self.layer.tiles
        return {
            "tilejson": "3.0.0",
            "name": title,
            "description": " ".join(filter(None, (description, self.generalisation))),
            "version": "1.0.0",
            "scheme": "xyz",
            "tiles": [f"{server_url}/collections/{dataset}/tiles/{tileset}/{{z}}/{{y}}/{{x}}?f={self.formats[0]}"],
            "minzoom": tiles.min_zoom,
            "maxzoom": tiles.max_zoom,
            "bounds": list(city.extent),
            "center": [*city.center, tiles.min_zoom],
            "vector_layers": [
                {"id": layer, "description": description, "minzoom": tiles.min_zoom, "maxzoom": tiles.max_zoom, "fields": fields},
                *self._label_layer(fields),
            ],
        }

    @property
    def generalisation(self) -> str:
        """What is left out of which tiles, in words."""
        if self.layer.is_raster:
            return ""
        tiles, kind = self.layer.tiles, self.layer.dimension
        below = (tiles.thin_below or tiles.min_zoom) if kind == 0 else tiles.max_zoom
        how = (
            "points are gathered in cells, with the count of those in it",
            "lines are simplified, and merged with their count where there are many",
            "areas are simplified, the smallest left out, and where there are many all but the largest of a cell",
        )[kind or 0]
        said = f"Below zoom {below} {how}. " if below > tiles.min_zoom else ""
        return f"{said}A tile that would be larger than {BUDGET // 1000} kB is generalised further; its X-Generalised says how."

    def _counted(self) -> dict:
        """The property of features that stand for several."""
        if self.layer.dimension == 2:
            return {}
        return {tile_sql.COUNT: {"type": "integer", "title": "how many features this one stands for"}}

    def _label_layer(self, fields: dict) -> list[dict]:
        """The layer of label points, as TileJSON lists it; empty where there is none."""
        layer, tiles = self.layer, self.layer.tiles
        if layer.style.label not in self.columns or not tile_sql.has_label_points(layer, tiles.max_zoom):
            return []
        kept = {name: fields[name] for name in ("id", layer.style.label, layer.style.by) if name in fields}
        first = min(max(layer.style.label_min_zoom, tiles.min_zoom), tiles.max_zoom)
        return [{"id": f"{layer.id}_label", "minzoom": first, "maxzoom": tiles.max_zoom, "fields": kept}]

    def _scheme(self, tileset: str):
        for scheme in self.get_tiling_schemes():
            if scheme.tileMatrixSet == tileset:
                return scheme
        raise NotFound("no such tile matrix set")

    def _dimension(self) -> int | None:
        return self.layer.dimension

    def __repr__(self) -> str:
        return f"<TileProvider> {self.layer.id}"


def etag_of(key: tuple) -> str:
    """The ETag of a tile: everything that it depends on (data version, role, place, time, what the layer file says about tiles)."""
    return f'"{hashlib.blake2b(repr(key).encode(), digest_size=12).hexdigest()}"'


def _tilejson_type(layer: Layer, name: str) -> str:
    return {"int": "Number", "real": "Number", "bool": "Boolean"}.get(layer.columns[name].type, "String")


@dataclass(frozen=True)
class Rung:
    """One way to draw a tile, of those that follow each other from the whole to the least. `how` names it; `size`: pixels or cells,
    which the next rung doubles or halves; `most`: more features than that are another rung's business."""

    how: str
    size: float = 0.0
    most: int | None = None


def rungs(layer: Layer, z: int) -> Iterator[Rung]:
    """The ways to draw a tile of this zoom, each smaller than the one before; there is always one that fits.

    At the layer's largest zoom (points: from `thin_below` on) first everything, then everything without attributes; below it and after
    that points are gathered in ever larger cells, lines merged on an ever coarser grid, of areas the largest of ever larger cells drawn.
    """
    tiles = layer.tiles
    if z >= (tiles.thin_below or 0) if layer.dimension == 0 else z >= tiles.max_zoom:
        yield Rung("")
        yield Rung("bare")
    elif layer.dimension:
        yield Rung("simplified", tiles.min_px if layer.dimension == 2 else 0.0, MOST)
    if layer.dimension == 0:
        yield from (Rung("gathered", CELLS >> i) for i in range(CELLS.bit_length()))
        return
    how, first = ("merged", GRID_PX) if layer.dimension == 1 else ("largest areas", AREA_PX)
    yield from (Rung(how, first * 2**i) for i in range(int(math.log2(4 * tile_grid.PIXELS / first)) + 1))


def statement_of(rung: Rung, wanted: select.Wanted, place: tile_grid.Tile, statement: select.Statement, *, named: bool) -> sql.Composable:
    """The statement of one rung. named: points keep their attributes where they are alone."""
    simplify = wanted.layer.tiles.simplify_px
    if rung.how == "gathered":
        return tile_sql.in_cells(wanted, place, statement, cells=int(rung.size), named=named)
    if rung.how == "merged":
        return tile_sql.merged(wanted, place, statement, grid_px=rung.size)
    if rung.how == "largest areas":
        return tile_sql.plain(wanted, place, statement, bare=True, cell_px=rung.size, simplify_px=simplify)
    if rung.how == "simplified":
        return tile_sql.plain(wanted, place, statement, least_px=rung.size, simplify_px=simplify, most=rung.most)
    return tile_sql.plain(wanted, place, statement, bare=rung.how == "bare")


def made(identity: Identity, wanted: select.Wanted, place: tile_grid.Tile, budget: int = BUDGET) -> tuple[bytes, int, str]:
    """(tile, number of features, how it is generalised): the first rung that fits into the budget."""
    ways = rungs(wanted.layer, place.z)
    rung, named = next(ways), True
    while True:
        statement = select.Statement()
        query = statement_of(rung, wanted, place, statement, named=named)
        body, n, rows = fetch(identity.role, identity.user, query, statement.parameters)[0]
        many = rung.most is not None and rows > rung.most
        if len(body) <= budget and not many:
            return bytes(body), n, rung.how if n else ""
        if rung.how == "gathered" and named and n <= tile_sql.NAMED:
            named = False  # the texts of points that are alone weigh more than the points
            continue
        # each rung halves a side: a tile four times too large needs two of them
        before, skipped = rung.how, max(0, math.ceil(math.log(len(body) / budget, 4)) - 1)
        rung = next(ways)
        for _ in range(skipped if rung.how == before else 0):
            rung = next(ways, rung)
