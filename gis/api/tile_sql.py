"""The SQL of vector tiles: all features of a tile, points gathered in cells, lines merged on the pixel grid.

Each function writes one statement that answers (mvt: bytes; n: features in it; rows: that were read). The envelope is a constant in
the stored CRS, so that the index is used; SRIDs are integers. Names come from the layer file, values are bound.
"""

from __future__ import annotations

import math
from functools import lru_cache

from psycopg2 import sql

from gis import crs as systems
from gis.api import select, tile_grid
from gis.catalog.model import Catalog, Layer
from gis.catalog.read import catalog

COUNT = "count"
"""The property of a feature that stands for several: how many."""
NAMED = 5000
"""Points alone in their cell keep their id and label while a tile has no more cells than this."""
BANDS = (50.0, 150.0, 300.0, 600.0, 1200.0)
"""Diameters in mm between which merged lines are told apart: the stops of their width (`gis.catalog.maplibre.DIAMETERS`)."""


def plain(
    wanted: select.Wanted,
    place: tile_grid.Tile,
    statement: select.Statement,
    *,
    bare: bool = False,
    least_px: float = 0.0,
    cell_px: float = 0.0,
    simplify_px: float = 0.0,
    most: int | None = None,
) -> sql.Composable:
    """Lines or areas one by one. bare: without attributes but those that the style tells them apart by; least_px: smaller ones are left
    out; cell_px: of those that begin in the same cell of so many pixels the largest alone; most: it stops behind so many, so that a caller
    who sees more knows that there are too many."""
    layer = wanted.layer
    names = [name for name in wanted.columns if not bare or name in _drawn_by(layer)]
    where = _where(wanted, place.reach, statement)
    if least_px > 0:
        smallest = statement.bind(least_px * place.pixel_degrees, "double precision")
        where = sql.SQL("{} AND greatest(ST_XMax(geom) - ST_XMin(geom), ST_YMax(geom) - ST_YMin(geom)) >= {}").format(where, smallest)
    if cell_px > 0:
        where = _largest(wanted, where, statement.bind(cell_px * place.pixel_degrees, "double precision"))
    bounds = _bounds(place, statement)
    geometry = _projected(sql.SQL("geom"), place)
    if simplify_px > 0:
        tolerance = statement.bind(simplify_px * place.pixel, "double precision")
        geometry = sql.SQL("ST_Simplify({}, {}, true)").format(geometry, tolerance)
    geometry = sql.SQL("ST_AsMVTGeom({}, {}, {extent}, {buffer}, true)").format(geometry, bounds, **_constants(layer))
    return sql.SQL(
        "SELECT coalesce(ST_AsMVT(t, {name}, {extent}, 'geom', 'fid') FILTER (WHERE geom IS NOT NULL), ''){labels} AS mvt,"
        " count(geom) AS n, count(*) AS rows FROM (SELECT fid{id}{columns}, {geometry} AS geom FROM {relation} WHERE {where}{limit}) AS t"
    ).format(
        **_constants(layer),
        id=sql.SQL("") if bare else sql.SQL(", {} AS id").format(select.feature_id(layer)),
        columns=sql.SQL("").join(sql.SQL(", {}").format(_tile_column(layer, name)) for name in names),
        geometry=geometry,
        relation=select.relation(layer, wanted.as_of),
        where=where,
        # OFFSET 0 keeps the planner from computing each geometry once for every use of it
        limit=sql.SQL(" OFFSET 0") if most is None else sql.SQL(" LIMIT {}").format(sql.Literal(most + 1)),
        labels=sql.SQL("") if bare else _label_points(wanted, place, bounds, where, statement),
    )


def points(wanted: select.Wanted, place: tile_grid.Tile, statement: select.Statement, *, bare: bool = False) -> sql.Composable:
    """Points one by one; bare: without attributes but those that the style tells them apart by."""
    west, south, east, north = place.reach
    statement.parameters |= {"layer": wanted.layer.id, "west": west, "south": south, "east": east, "north": north} | _scale(place)
    condition = select.condition(wanted, statement)
    names = tuple(name for name in wanted.columns if not bare or name in _drawn_by(wanted.layer))
    if wanted.as_of is None and condition == _ALL:  # as a map asks: the text is the same for all places
        return _points_of_today(catalog(), wanted.layer.id, names, bare, place.srid)
    return _points(wanted.layer, names, bare, place.srid, select.relation(wanted.layer, wanted.as_of), condition)


_ALL = sql.SQL("TRUE")


@lru_cache(maxsize=512)
def _points_of_today(of: Catalog, layer_id: str, names: tuple[str, ...], bare: bool, srid: int) -> sql.SQL:
    layer = of.layers[layer_id]
    return select.fixed(_points(layer, names, bare, srid, select.relation(layer, None), _ALL))


def _points(
    layer: Layer, names: tuple[str, ...], bare: bool, srid: int, relation: sql.Composable, condition: sql.Composable
) -> sql.Composed:
    x, y = sql.SQL("ST_X(geom)"), sql.SQL("ST_Y(geom)")
    return sql.SQL(
        "SELECT coalesce(ST_AsMVT(t, %(layer)s::text, {extent}, 'geom', 'fid'), '') AS mvt, count(*) AS n, count(*) AS rows FROM ("
        "SELECT fid{id}{columns}, {point} AS geom FROM {relation} WHERE geom && ST_MakeEnvelope({box}, 4490) AND {reached} AND {condition}"
        " OFFSET 0) AS t"
    ).format(
        extent=sql.Literal(tile_grid.EXTENT),
        id=sql.SQL("") if bare else sql.SQL(", {} AS id").format(select.feature_id(layer)),
        columns=sql.SQL("").join(sql.SQL(", {}").format(_tile_column(layer, name)) for name in names),
        point=_point(x, y, srid),
        relation=relation,
        box=sql.SQL(", ").join(_real(name) for name in ("west", "south", "east", "north")),
        reached=_reached(x, y),
        condition=condition,
    )


def _largest(wanted: select.Wanted, where: sql.Composable, cell: sql.Composable) -> sql.Composable:
    """The condition, narrowed to the largest feature (by its box, then by its number) of each cell."""
    extent = "(ST_XMax(geom) - ST_XMin(geom)) * (ST_YMax(geom) - ST_YMin(geom))"
    chosen = sql.SQL(
        "{where} AND fid IN (SELECT DISTINCT ON (floor(ST_XMin(geom) / {cell}), floor(ST_YMin(geom) / {cell})) fid FROM {relation}"
        " WHERE {where} ORDER BY floor(ST_XMin(geom) / {cell}), floor(ST_YMin(geom) / {cell}), " + extent + " DESC, fid)"
    )
    return chosen.format(where=where, cell=cell, relation=select.relation(wanted.layer, wanted.as_of))


def in_cells(
    wanted: select.Wanted, place: tile_grid.Tile, statement: select.Statement, *, cells: int, named: bool = True
) -> sql.Composable:
    """Points, one per cell: where the points of the cell are on average, with their lowest fid and their `count`. A point alone in its
    cell is itself, with id, class and label where `named` and there are not too many.

    `cells` to a side. Cells are the same for all tiles of a zoom and those of the next zoom lie within them.
    """
    layer = wanted.layer
    cell = place.side_degrees / cells
    # whole cells: one that is cut by the edge of the tile counts the same on both sides of it
    west, south = (math.floor(v / cell) * cell for v in place.reach[:2])
    east, north = (math.ceil(v / cell) * cell for v in place.reach[2:])
    names = [name for name in wanted.columns if named and name in (*_drawn_by(layer), layer.style.label)]
    alone = [("id", sql.SQL("min({})").format(select.feature_id(layer)))] if named else []
    alone += [(name, _of_one(layer, name)) for name in names]
    cells_of = sql.SQL(
        "SELECT min(fid) AS fid, count(*) AS n, avg(ST_X(geom)) AS x, avg(ST_Y(geom)) AS y{alone}"
        " FROM {relation} WHERE {where} GROUP BY floor(ST_X(geom) / {size}), floor(ST_Y(geom) / {size})"
    ).format(
        alone=sql.SQL("").join(sql.SQL(", {} AS {}").format(value, sql.Identifier(f"one_{name}")) for name, value in alone),
        relation=select.relation(layer, wanted.as_of),
        where=_where(wanted, (west, south, east, north), statement),
        size=statement.bind(cell, "double precision"),
    )
    x, y = sql.Identifier("x"), sql.Identifier("y")
    reach = dict(zip(("west", "south", "east", "north"), place.reach, strict=True))
    statement.parameters |= reach | _scale(place)
    return sql.SQL(
        "{before}SELECT coalesce(ST_AsMVT(t, {name}, {extent}, 'geom', 'fid'), '') AS mvt, count(*) AS n, count(*) AS rows FROM ("
        "SELECT fid, nullif(n, 1) AS {count}{columns}, {point} AS geom FROM {cells} WHERE {reached} ORDER BY fid OFFSET 0) AS t"
    ).format(
        **_constants(layer),
        # with names the cells are counted before they are drawn, and kept for that: a fifth of the time of the whole
        before=_counted_cells(cells_of) if named else sql.SQL(""),
        cells=sql.SQL("cells") if named else sql.SQL("({}) AS cells").format(cells_of),
        columns=sql.SQL("").join(
            sql.SQL(", CASE WHEN n = 1 AND (SELECT named FROM few) THEN {} END AS {}").format(
                sql.Identifier(f"one_{name}"), sql.Identifier(name)
            )
            for name, _ in alone
        ),
        count=sql.Identifier(COUNT),
        point=_point(x, y, place.srid),
        reached=_reached(x, y),
    )


def _counted_cells(cells: sql.Composable) -> sql.Composable:
    """The cells, and whether they are few enough for texts: asked by a subquery of its own, which no plan repeats for every cell."""
    return sql.SQL("WITH cells AS MATERIALIZED ({}), few AS MATERIALIZED (SELECT count(*) <= {} AS named FROM cells) ").format(
        cells, sql.Literal(NAMED)
    )


def merged(wanted: select.Wanted, place: tile_grid.Tile, statement: select.Statement, *, grid_px: float) -> sql.Composable:
    """Lines drawn onto a grid of `grid_px` pixels of a 512-pixel tile: what falls on the same stretch of it is one, the widest; all
    stretches of a class are one feature with the `count` of the lines in it. Joints stay joints, so nothing comes apart."""
    layer = wanted.layer
    grid = place.pixel * grid_px
    labelled = layer.style.label if place.z >= layer.style.label_min_zoom else None
    classes = [name for name in wanted.columns if name in _drawn_by(layer) or (name == labelled and name != "diameter_mm")]
    wide = "diameter_mm" in wanted.columns
    west, south = (statement.bind(value, "double precision") for value in place.bounds[:2])
    snapped = sql.SQL("ST_Normalize(ST_SnapToGrid({}, {}, {}, {step}, {step}))").format(
        _projected(sql.SQL("geom"), place), west, south, step=statement.bind(grid, "double precision")
    )
    listed = sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier(name)) for name in classes)
    groups = [sql.Identifier(name) for name in classes]
    if wide:
        groups.append(sql.SQL("width_bucket(width, ARRAY[{}]::double precision[])").format(sql.SQL(", ").join(map(sql.Literal, BANDS))))
    return sql.SQL(
        # OFFSET 0: without it a line is projected and snapped twice, to be judged and to be grouped
        "WITH snapped AS (SELECT {snapped} AS geom{columns}{width} FROM {relation} WHERE {where} OFFSET 0),"
        " stretches AS (SELECT geom{listed}, count(*) AS n{widest} FROM snapped WHERE geom IS NOT NULL GROUP BY geom{listed}),"
        " merged AS (SELECT ST_LineMerge(ST_Collect(geom)) AS geom{listed}, sum(n)::bigint AS n{wide} FROM stretches{groups})"
        " SELECT coalesce(ST_AsMVT(t, {name}, {extent}, 'geom') FILTER (WHERE geom IS NOT NULL), '') AS mvt,"
        " count(geom) AS n, count(*) AS rows FROM ("
        "SELECT n AS {count}{listed}{diameter}, ST_AsMVTGeom(ST_Simplify(geom, 0), {bounds}, {extent}, {buffer}, true) AS geom"
        " FROM merged ORDER BY n DESC{listed} OFFSET 0) AS t"
    ).format(
        **_constants(layer),
        snapped=snapped,
        columns=sql.SQL("").join(sql.SQL(", {}").format(_tile_column(layer, name)) for name in classes),
        width=sql.SQL(", diameter_mm AS width" if wide else ""),
        widest=sql.SQL(", max(width) AS width" if wide else ""),
        wide=sql.SQL(", max(width) AS width" if wide else ""),
        diameter=sql.SQL(", width AS diameter_mm" if wide else ""),
        groups=sql.SQL(" GROUP BY {}").format(sql.SQL(", ").join(groups)) if groups else sql.SQL(""),
        relation=select.relation(layer, wanted.as_of),
        where=_where(wanted, place.reach, statement),
        listed=listed,
        count=sql.Identifier(COUNT),
        bounds=_bounds(place, statement),
    )


def anything(wanted: select.Wanted, place: tile_grid.Tile, statement: select.Statement) -> sql.Composable:
    """Whether there is a row at all whose box meets the tile or its buffer."""
    relation, where = select.relation(wanted.layer, wanted.as_of), _where(wanted, place.reach, statement)
    return sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(relation, where)


def has_label_points(layer: Layer, z: int) -> bool:
    """Whether a tile of this zoom carries the layer `<layer>_label`: one point for the text of each area. Written into the areas
    themselves a text would come again in every tile that they reach into."""
    return layer.dimension == 2 and bool(layer.style.label) and z >= min(layer.style.label_min_zoom, layer.tiles.max_zoom)


def _drawn_by(layer: Layer) -> tuple[str, ...]:
    """The columns without which the style cannot draw a feature, and the network that the map shows one at a time."""
    return tuple(name for name in dict.fromkeys((layer.scope, layer.style.by, "status" if layer.dimension == 1 else None)) if name)


def _constants(layer: Layer) -> dict[str, sql.Composable]:
    extent, buffer = sql.Literal(tile_grid.EXTENT), sql.Literal(tile_grid.BUFFER)
    return {"name": sql.Literal(layer.id), "extent": extent, "buffer": buffer}


def _numbers(values, statement: select.Statement) -> sql.Composable:
    return sql.SQL(", ").join(statement.bind(value, "double precision") for value in values)


def _where(wanted: select.Wanted, reach: tuple[float, ...], statement: select.Statement) -> sql.Composable:
    envelope = sql.SQL("ST_MakeEnvelope({}, 4490)").format(_numbers(reach, statement))
    return sql.SQL("geom && {} AND {}").format(envelope, select.condition(wanted, statement))


def _bounds(place: tile_grid.Tile, statement: select.Statement) -> sql.Composable:
    corners = (_numbers(corner, statement) for corner in (place.bounds[:2], place.bounds[2:]))
    return sql.SQL("ST_MakeBox2D(ST_Point({}), ST_Point({}))").format(*corners)


def _projected(geometry: sql.Composable, place: tile_grid.Tile) -> sql.Composable:
    """A stored geometry in the grid's CRS, flat. CGCS2000 and WGS 84 are one here."""
    flat = sql.SQL("ST_Force2D({})").format(geometry)
    return sql.SQL("ST_Transform(ST_SetSRID({}, 4326), 3857)").format(flat) if place.srid == 3857 else flat


def _real(name: str) -> sql.SQL:
    """A number of the tile: of its reach, or of `_scale`."""
    return sql.SQL(f"%({name})s::double precision")


def _scale(place: tile_grid.Tile) -> dict[str, float]:
    """How degrees become units of the tile (`_point`)."""
    is_mercator = place.srid == systems.WEB_MERCATOR
    per = tile_grid.EXTENT / (place.bounds[2] - place.bounds[0])
    down = (tile_grid.RADIUS if is_mercator else 1.0) * per
    return {
        "across": down * (math.radians(1) if is_mercator else 1.0),
        "left": place.bounds[0] * per,
        "top": place.bounds[3] * per,
        "down": down,
    }


def _point(x: sql.Composable, y: sql.Composable, srid: int) -> sql.Composable:
    """A point with this longitude and latitude in whole units of the tile, as ST_AsMVTGeom gives it: it is what PROJ and the three
    functions around it come to for one point (EPSG method 1024: R λ, R asinh tan φ), in a quarter of the time."""
    if srid == systems.WEB_MERCATOR:
        y = sql.SQL("asinh(tan(radians({})))").format(y)
    return sql.SQL("ST_Point(round({x} * {across} - {left}), round({top} - {y} * {down}))").format(
        x=x, y=y, across=_real("across"), left=_real("left"), top=_real("top"), down=_real("down")
    )


def _reached(x: sql.Composable, y: sql.Composable) -> sql.Composable:
    """Whether a point lies within the tile and its buffer: what the index finds may lie a little beyond (its boxes are float4)."""
    return sql.SQL("{x} BETWEEN {west} AND {east} AND {y} BETWEEN {south} AND {north}").format(
        x=x, y=y, **{name: _real(name) for name in ("west", "east", "south", "north")}
    )


def _label_points(wanted: select.Wanted, place: tile_grid.Tile, bounds: sql.Composable, where: sql.Composable, statement) -> sql.Composable:
    """The points of the areas whose point lies in this very tile (west and north edge in, east and south edge out), as `|| mvt`."""
    layer = wanted.layer
    if not has_label_points(layer, place.z) or layer.style.label not in wanted.columns:
        return sql.SQL("")
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
        point=_projected(sql.SQL("ST_PointOnSurface(geom)"), place),
        relation=select.relation(layer, wanted.as_of),
        where=where,
        west=west,
        south=south,
        east=east,
        north=north,
    )


def _tile_column(layer: Layer, name: str) -> sql.Composable:
    """A column as a tile can hold it: dates, times and lists as text."""
    value, column = _value(layer, name), sql.Identifier(name)
    return column if value is None else sql.SQL("{} AS {}").format(value, column)


def _value(layer: Layer, name: str) -> sql.Composable | None:
    column, kind = sql.Identifier(name), layer.columns[name].type
    if kind == "texts":
        return sql.SQL("array_to_string({}, '、')").format(column)
    return sql.SQL("{}::text").format(column) if kind in ("date", "timestamp") else None


def _of_one(layer: Layer, name: str) -> sql.Composable:
    """The value of the only row of a group, as an aggregate."""
    aggregate = "bool_and" if layer.columns[name].type == "bool" else "min"
    return sql.SQL(aggregate + "({})").format(_value(layer, name) or sql.Identifier(name))
