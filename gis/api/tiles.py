"""Vector tiles for pygeoapi, made by PostGIS: columns, zooms and generalisation from the layer file, as the caller may see them."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from psycopg2 import sql
from pygeoapi.models.provider.base import TileMatrixSetEnum
from pygeoapi.provider.base_mvt import BaseMVTProvider

from gis.access import audit
from gis.access.identity import Identity, caller
from gis.api import schema, select, tile_grid
from gis.api.provider import layer_of
from gis.api.temporal import Span
from gis.api.tile_cache import cache
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.db.connection import fetch
from gis.errors import NotFound

_VERSION = sql.SQL("SELECT current_database(), meta.data_version(%(layers)s)")
THIN_CELLS = 128
"""Cells per side of a thinned tile: 4 px of 512 (layer file: tiles.thin_below)."""
MIMETYPE = "application/vnd.mapbox-vector-tile"


@dataclass(frozen=True)
class Answer:
    """A tile with its ETag; `body` is None where the caller has it already. n: how many features are in it."""

    body: bytes | None
    etag: str
    n: int


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
        return [scheme.value for scheme in TileMatrixSetEnum if scheme.value.tileMatrixSet in tile_grid.GRIDS]

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
        place = tile_grid.tile(matrix_set, z, y, x)
        tiles = self.layer.tiles
        if not tiles.min_zoom <= place.z <= tiles.max_zoom:
            raise NotFound("tile outside the zooms of the layer")
        identity = caller.get()
        key = (*fetch(identity.role, identity.user, _VERSION, {"layers": [self.layer.id]})[0], self.layer.id, catalog(), identity.role)
        key = (*key, matrix_set, place.z, place.x, place.y, span, as_of)
        etag = etag_of((*key[:3], *key[4:], self.columns, self.layer.tiles.model_dump_json()))
        if known and etag in known:
            return Answer(None, etag, 0)
        kept = cache.get(key)
        if kept is None:
            # a load in between gives this tile newer rows than its key says; the key of the next request is another one
            statement = select.Statement()
            wanted = select.Wanted(self.layer, {name: self.layer.columns[name] for name in self.columns}, span=span, as_of=as_of)
            made = tile_statement(wanted, place, statement)
            body, n = fetch(identity.role, identity.user, made, statement.parameters)[0]
            kept = (bytes(body), n)
            cache.put(key, *kept)
        self._record(identity, place, kept[1])
        return Answer(kept[0], etag, kept[1])

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
            "description": description,
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
                    "propertiesSchema": {"type": "object", "properties": self.get_fields()},
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
            "description": description,
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

    def _label_layer(self, fields: dict) -> list[dict]:
        """The layer of label points, as TileJSON lists it; empty where there is none."""
        layer, tiles = self.layer, self.layer.tiles
        if layer.style.label not in self.columns or not has_label_points(layer, tiles.max_zoom):
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


def tile_statement(wanted: select.Wanted, place: tile_grid.Tile, statement: select.Statement) -> sql.Composable:
    """The statement of one tile: (mvt bytea, number of features). The envelope is a constant in the stored CRS, so that the index
    is used; SRIDs are integers. Below the layer's largest zoom lines and areas are simplified and the tiny ones left out."""
    layer, parts = wanted.layer, []
    coarse = place.z < layer.tiles.max_zoom
    reach = sql.SQL("ST_MakeEnvelope({}, 4490)").format(
        sql.SQL(", ").join(statement.bind(value, "double precision") for value in place.reach)
    )
    parts.append(sql.SQL("geom && {}").format(reach))
    is_point = layer.geometry.startswith("Point")
    if coarse and not is_point and layer.tiles.min_px > 0:
        smallest = statement.bind(layer.tiles.min_px * place.pixel_degrees, "double precision")
        parts.append(sql.SQL("greatest(ST_XMax(geom) - ST_XMin(geom), ST_YMax(geom) - ST_YMin(geom)) >= {}").format(smallest))
    parts.append(select.condition(wanted, statement))
    geometry: sql.Composable = sql.SQL("ST_Force2D(geom)")
    if place.srid == 3857:
        geometry = sql.SQL("ST_Transform(ST_SetSRID({}, 4326), 3857)").format(geometry)
    if coarse and not is_point and layer.tiles.simplify_px > 0:
        geometry = sql.SQL("ST_Simplify({}, {}, true)").format(
            geometry, statement.bind(layer.tiles.simplify_px * place.pixel, "double precision")
        )
    bounds = sql.SQL("ST_MakeBox2D(ST_Point({}), ST_Point({}))").format(
        *(
            sql.SQL(", ").join(statement.bind(value, "double precision") for value in corner)
            for corner in (place.bounds[:2], place.bounds[2:])
        )
    )
    columns = sql.SQL("").join(sql.SQL(", {}").format(_tile_column(layer, name)) for name in wanted.columns)
    where = sql.SQL(" AND ").join(parts)
    return sql.SQL(
        "SELECT coalesce(ST_AsMVT(t, {name}, {extent}, 'geom', 'fid'), ''){labels}, count(*) FROM ("
        "SELECT {thin} fid, {id} AS id{columns}, ST_AsMVTGeom({geometry}, {bounds}, {extent}, {buffer}, true) AS geom"
        " FROM {relation} WHERE {where}{order}) AS t WHERE geom IS NOT NULL"
    ).format(
        name=sql.Literal(layer.id),
        extent=sql.Literal(tile_grid.EXTENT),
        buffer=sql.Literal(tile_grid.BUFFER),
        id=select.feature_id(layer),
        columns=columns,
        geometry=geometry,
        bounds=bounds,
        relation=select.relation(layer, wanted.as_of),
        where=where,
        labels=_label_points(wanted, place, bounds, where, statement),
        **_thinned(layer, place, statement),
    )


def has_label_points(layer: Layer, z: int) -> bool:
    """Whether a tile of this zoom carries the layer `<layer>_label`: one point for the text of each area. Written into the areas
    themselves a text would come again in every tile that they reach into."""
    return layer.dimension == 2 and bool(layer.style.label) and z >= min(layer.style.label_min_zoom, layer.tiles.max_zoom)


def _label_points(wanted: select.Wanted, place: tile_grid.Tile, bounds: sql.Composable, where: sql.Composable, statement) -> sql.Composable:
    """The points of the areas whose point lies in this very tile (west and north edge in, east and south edge out), as `|| mvt`."""
    layer = wanted.layer
    if not has_label_points(layer, place.z) or layer.style.label not in wanted.columns:
        return sql.SQL("")
    point: sql.Composable = sql.SQL("ST_Force2D(ST_PointOnSurface(geom))")
    if place.srid == 3857:
        point = sql.SQL("ST_Transform(ST_SetSRID({}, 4326), 3857)").format(point)
    names = [name for name in dict.fromkeys((layer.style.label, layer.style.by)) if name in wanted.columns]
    west, south, east, north = (statement.bind(value, "double precision") for value in place.bounds)
    return sql.SQL(
        " || (SELECT coalesce(ST_AsMVT(l, {name}, {extent}, 'geom', 'fid'), '') FROM ("
        "SELECT fid, id{names}, ST_AsMVTGeom(point, {bounds}, {extent}, 0, true) AS geom FROM ("
        "SELECT fid, {id} AS id{columns}, {point} AS point FROM {relation} WHERE {where}) AS p "
        "WHERE ST_X(point) >= {west} AND ST_X(point) < {east} AND ST_Y(point) > {south} AND ST_Y(point) <= {north}) AS l "
        "WHERE geom IS NOT NULL)"
    ).format(
        name=sql.Literal(f"{layer.id}_label"),
        extent=sql.Literal(tile_grid.EXTENT),
        names=sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier(name)) for name in names),
        columns=sql.SQL("").join(sql.SQL(", {}").format(_tile_column(layer, name)) for name in names),
        bounds=bounds,
        id=select.feature_id(layer),
        point=point,
        relation=select.relation(layer, wanted.as_of),
        where=where,
        west=west,
        south=south,
        east=east,
        north=north,
    )


def _tile_column(layer: Layer, name: str) -> sql.Composable:
    """A column as a tile can hold it: dates, times and lists as text."""
    column = sql.Identifier(name)
    kind = layer.columns[name].type
    if kind == "texts":
        return sql.SQL("array_to_string({}, '、') AS {}").format(column, column)
    return sql.SQL("{}::text AS {}").format(column, column) if kind in ("date", "timestamp") else column


def _thinned(layer: Layer, place: tile_grid.Tile, statement: select.Statement) -> dict[str, sql.Composable]:
    """Points far out: at most one per cell of 4 px, always the one with the lowest fid, so that a tile is the same every time."""
    if not (layer.geometry.startswith("Point") and layer.tiles.thin_below and place.z < layer.tiles.thin_below):
        return {"thin": sql.SQL(""), "order": sql.SQL("")}
    west, south, east, north = place.reach
    cell = sql.SQL("floor((ST_X(geom) - {}) / {}), floor((ST_Y(geom) - {}) / {})").format(
        *(statement.bind(value, "double precision") for value in (west, (east - west) / THIN_CELLS, south, (north - south) / THIN_CELLS))
    )
    return {"thin": sql.SQL("DISTINCT ON ({})").format(cell), "order": sql.SQL(" ORDER BY {}, fid").format(cell)}
