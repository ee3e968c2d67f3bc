"""Vector tiles for pygeoapi, made by PostGIS: columns, zooms and generalisation from the layer file, as the caller may see them."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time
from dataclasses import dataclass

from cachetools import LRUCache
from pygeoapi.provider.base_mvt import BaseMVTProvider

from gis.access import audit
from gis.access.identity import Identity, caller
from gis.api import adapt, schema, select, tile_grid, tile_sql, tile_store
from gis.api.provider import layer_of
from gis.api.temporal import Span
from gis.api.tile_cache import cache
from gis.api.tile_ladder import BUDGET, drawn, is_whole
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.db.versions import Version, newest
from gis.errors import NotFound

EDITION = 2
"""Of the way tiles are drawn: one more whenever the same rows give other tiles, so that none of an older program's is found."""
MIMETYPE = "application/vnd.mapbox-vector-tile"


@dataclass(frozen=True)
class Answer:
    """A tile with its ETag; `body` is None where the caller has it already. n: how many features are in it; how: in which way it is
    generalised (`Rung.how`), empty where nothing is left out."""

    body: bytes | None
    etag: str
    n: int
    how: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """A tile that is asked for: where, for which times, in how many bytes; `at`: all of that, for whom, as a key."""

    place: tile_grid.Tile
    at: tuple
    span: Span | None
    as_of: dt.datetime | None
    budget: int

    @property
    def is_now(self) -> bool:
        """Whether it is asked for as a map does: no other time than today."""
        return self.span is None and self.as_of is None


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
        seen = self.layer.columns_for(caller.get().role)
        self.columns = tuple(name for name in tiles.columns if name in seen)
        said = self.layer.model_dump_json(include={"id", "geometry", "key", "scope", "fields", "tiles", "style"})
        self._mark = etag_of((EDITION, self.columns, said))
        """What a program of this edition and the layer file make of the tiles that this role gets."""
        self._seen: Version | None = None
        """The version that was found last."""

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
        # one question for version and tile where it is probably not kept; others may lie in a file of a version that is new here
        if is_whole(self.layer, wish.place.z) and not known and self._seen is not None and not self._is_kept(wish, self._seen):
            return self.grant(wish)
        return self.grant(wish, newest([self.layer.id])[self.layer.id], known=known)

    def wish(self, matrix_set, z, y, x, span: Span | None = None, as_of: dt.datetime | None = None, budget: int = BUDGET) -> Wish:
        """What is asked for; its body is to have at most `budget` bytes. Raises as `tile`."""
        place = tile_grid.tile(matrix_set, z, y, x)
        if not self.layer.tiles.min_zoom <= place.z <= self.layer.tiles.max_zoom:
            raise NotFound("tile outside the zooms of the layer")
        return Wish(place, (caller.get().role, matrix_set, place.z, place.x, place.y, span, as_of, budget), span, as_of, budget)

    def etag(self, wish: Wish, version: Version) -> str:
        """The ETag of a tile drawn from this version."""
        return etag_of((version, self._mark, wish.at))

    def grant(self, wish: Wish, version: Version | None = None, *, known: str | None = None, audited: bool = True) -> Answer:
        """The tile that was wished for: from the cache where the layer's version is told and it is kept, without a body where its ETag is
        `known`; else drawn, together with the version that it is then of. Entered in the audit where it holds anything, unless the caller
        does that for many at once."""
        kept = None
        if version is not None:
            self._seen = version
            if known and (etag := self.etag(wish, version)) in known:
                return Answer(None, etag, 0)
            kept = self._kept(wish, version)
        if kept is None:
            kept = self._drawn(wish)
        body, n, how, etag = kept
        if audited:
            self._record(caller.get(), wish.place, n)
        return Answer(body, etag, n, how)

    def _key(self, wish: Wish, version: Version) -> tuple:
        return version, self._mark, wish.at

    def _stored(self, wish: Wish) -> bool:
        """Whether tiles like this may lie in a file, if they take long."""
        return wish.is_now and wish.place.z < self.layer.tiles.max_zoom

    def _is_kept(self, wish: Wish, version: Version) -> bool:
        if self._key(wish, version) in cache:
            return True
        return self._stored(wish) and tile_store.has(version, self.layer.id, self.etag(wish, version))

    def _kept(self, wish: Wish, version: Version) -> tuple[bytes, int, str, str] | None:
        """(tile, number of features, how it is generalised, ETag) from memory or a file."""
        key = self._key(wish, version)
        found = cache.get(key)
        if found is None and self._stored(wish):
            etag = self.etag(wish, version)
            stored = tile_store.get(version, self.layer.id, etag)
            if stored is not None:
                found = (*stored, etag)
                cache.put(key, *found)
        return found

    def _drawn(self, wish: Wish) -> tuple[bytes, int, str, str]:
        columns = {name: self.layer.columns[name] for name in self.columns}
        begun = time.perf_counter()
        made = drawn(caller.get(), select.Wanted(self.layer, columns, span=wish.span, as_of=wish.as_of), wish.place, wish.budget)
        self._seen = made.version
        found = (made.body, made.n, made.how, self.etag(wish, made.version))
        cache.put(self._key(wish, made.version), *found)
        if self._stored(wish) and time.perf_counter() - begun > tile_store.SLOW_S:
            tile_store.put(made.version, self.layer.id, found[3], *found[:3])
        return found

    def _record(self, identity: Identity, place: tile_grid.Tile, n: int) -> None:
        if n:
            audit.record_access(
                identity, "tile", self.layer, n=n, bbox=[round(v, 6) for v in place.reach], tile=f"{place.z}/{place.y}/{place.x}"
            )

    def get_default_metadata(self, dataset, server_url, layer, tileset, title, description, keywords=None, **_) -> dict:
        """OGC tileset metadata (OGC 17-083r4, 7.3)."""
        scheme = self._scheme(tileset)
        zooms = self.layer.tiles
        url = f"{server_url}/collections/{dataset}/tiles/{tileset}"
        return {
            "title": title,
            "description": " ".join(filter(None, (description, self.generalisation))),
            "dataType": "vector",
            "crs": scheme.crs,
            "tileMatrixSetURI": scheme.tileMatrixSetURI,
            **tile_grid.extent(tileset, catalog().city.extent, zooms.min_zoom, zooms.max_zoom),
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


_providers: LRUCache[tuple, TileProvider] = LRUCache(512)
_making = threading.Lock()


def provider(layer_id: str) -> TileProvider:
    """The tiles of a vector layer as the caller's role sees them, made once for each role. Raises NotFound where he may not see it."""
    layer, role = catalog().layers.get(layer_id), caller.get().role
    if layer is None or layer.is_raster or not layer.readable_by(role):  # asked each time: a right may have ended
        raise NotFound("Collection not found")
    key = catalog(), layer_id, role
    with _making:
        found = _providers.get(key)
    if found is None:
        found = TileProvider({"name": "tile", "type": "tile", "data": f"pub.{layer_id}"})
        with _making:
            _providers[key] = found
    return found


def etag_of(key: tuple) -> str:
    """The ETag of a tile: everything that it depends on (data version, role, place, time, what the layer file says about tiles)."""
    return f'"{hashlib.blake2b(repr(key).encode(), digest_size=12).hexdigest()}"'


def _tilejson_type(layer: Layer, name: str) -> str:
    return {"int": "Number", "real": "Number", "bool": "Boolean"}.get(layer.columns[name].type, "String")
