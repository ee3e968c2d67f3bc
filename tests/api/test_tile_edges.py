"""Tiles as somebody else's reader finds them (GDAL's MVT driver): in their place, with their numbers, on every zoom and at every edge."""

from __future__ import annotations

import math
from pathlib import Path

import pyogrio
import pytest
import shapely
from api_rows import put
from test_tiles import TILE, place

from gis.api import tile_grid
from gis.catalog.read import catalog
from gis.db.connection import owner

RADIUS = 6378137.0


def read(folder: Path, body: bytes, z: int, y: int, x: int, layer: str):
    """The features of a tile's layer as GDAL reads them: coordinates in metres of Web Mercator, the number as `mvt_id`."""
    file = folder / f"{z}-{x}-{y}.pbf"
    file.write_bytes(body)
    return pyogrio.read_dataframe(file, layer=layer, X=str(x), Y=str(y), Z=str(z))


def metres(lon: float, lat: float) -> tuple[float, float]:
    return math.radians(lon) * RADIUS, math.asinh(math.tan(math.radians(lat))) * RADIUS


def test_gdal_finds_every_feature_in_its_place_under_its_number(water, anyone, tmp_path):
    spots = {f"E{i}": (117.0005 + i * 3e-4, 32.0 + i * 2e-4) for i in range(12)}
    put("address", *({"address_id": name, "geometry": f"POINT({lon} {lat})"} for name, (lon, lat) in spots.items()))
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT address_id, fid FROM core.address")
        numbers = dict(cursor.fetchall())
    layer = catalog().layers["address"]
    for z in range(layer.tiles.min_zoom, layer.tiles.max_zoom + 1):
        found: dict[int, tuple[float, float]] = {}
        tiles = {place(z, *spot)[1:] for spot in spots.values()}
        for y, x in tiles:
            answer = anyone.get(TILE.format("address", z, y, x))
            assert answer.status_code == 200
            rows = read(tmp_path, answer.data, z, y, x, "address")
            alone = rows["count"].isna() if "count" in rows else [True] * len(rows)
            for number, shape in zip(rows["mvt_id"][alone].astype(int), rows.geometry[alone], strict=True):
                found.setdefault(number, (shape.x, shape.y))
        unit = 2 * math.pi * RADIUS / 2**z / tile_grid.EXTENT
        known = {numbers[name]: metres(*spot) for name, spot in spots.items()}
        for number, (x, y) in found.items():
            if number in known:
                assert math.dist((x, y), known[number]) <= unit, (z, number)
        if z >= layer.tiles.thin_below:
            assert known.keys() <= found.keys(), f"zoom {z}: every feature under its permanent number"
    for name in ("road", "water_pipe", "building"):
        of = catalog().layers[name]
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT fid, ST_AsBinary(ST_Force2D(ST_Transform(ST_SetSRID(geom, 4326), 3857))) FROM core.{name} LIMIT 1")
            number, shape = cursor.fetchone()
        stored = shapely.from_wkb(bytes(shape))
        inside = stored.representative_point()
        for z in (of.tiles.max_zoom - 1, of.tiles.max_zoom):
            lon, lat = math.degrees(inside.x / RADIUS), math.degrees(math.atan(math.sinh(inside.y / RADIUS)))
            _, y, x = place(z, lon, lat)
            rows = read(tmp_path, water.get(TILE.format(name, z, y, x)).data, z, y, x, name)
            assert number in set(rows["mvt_id"].astype(int))
            tile = shapely.box(*tile_grid.tile("WebMercatorQuad", str(z), str(y), str(x)).bounds)
            shown = rows.geometry[rows["mvt_id"].astype(int) == number].union_all().intersection(tile)
            assert shown.hausdorff_distance(stored.intersection(tile)) < 2 * math.pi * RADIUS / 2**z / 256, (name, z)


@pytest.mark.parametrize("grid", list(tile_grid.GRIDS))
def test_the_edges_of_the_world_are_tiles_too(anyone, grid):
    """From the first zoom of a layer to its last, in the corners of the grid and beside the antimeridian: nothing is there, and says so."""
    layer = catalog().layers["road"].tiles
    for z in range(layer.min_zoom, layer.max_zoom + 1):
        columns, rows = tile_grid.GRIDS[grid].size(z)
        for x, y in ((0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1), (0, rows // 2), (columns - 1, rows // 2)):
            answer = anyone.get(f"/collections/road/tiles/{grid}/{z}/{y}/{x}")
            assert answer.status_code == 204 and not answer.data, (grid, z, y, x)
        for x, y in ((columns, 0), (0, rows)):
            assert anyone.get(f"/collections/road/tiles/{grid}/{z}/{y}/{x}").status_code == 400
    for group in ("base", "address"):
        assert anyone.get(f"/groups/{group}/tiles/{grid}/14/0/0").status_code == 204


def test_the_national_grid_holds_the_same_at_the_same_place(anyone, tmp_path):
    """One feature, drawn in degrees: GDAL reads the units of the tile, its corner and cell come from GB/T 35634."""
    lon, lat = 117.0123, 32.0077
    put("address", {"address_id": "N1", "geometry": f"POINT({lon} {lat})"})
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT fid FROM core.address WHERE address_id = 'N1'")
        number = cursor.fetchone()[0]
    for z in (16, 17):
        side = 360 / 2**z  # level 1 has two tiles of 180 degrees
        x, y = int((lon + 180) / side), int((90 - lat) / side)
        answer = anyone.get(f"/collections/address/tiles/CGCS2000Quad/{z}/{y}/{x}")
        file = tmp_path / f"n{z}.pbf"
        file.write_bytes(answer.data)
        rows = pyogrio.read_dataframe(file, layer="address")
        point = rows.geometry[rows["mvt_id"].astype(int) == number].iloc[0]
        # without a place GDAL counts the units of the tile upwards
        assert abs(-180 + (x + point.x / 4096) * side - lon) <= side / 4096
        assert abs(90 - (y + 1 - point.y / 4096) * side - lat) <= side / 4096


def test_other_times_are_other_tiles(anyone):
    """`datetime` and `as-of` with a kept tile of today in between: each has an ETag of its own and none is taken for another."""
    path = TILE.format("road", *place(15))
    today, then, before = (anyone.get(path + query) for query in ("", "?datetime=2011-01-01", "?as-of=2000-01-01"))
    assert today.status_code == then.status_code == 200 and before.status_code == 204
    assert len({today.headers["ETag"], then.headers["ETag"], before.headers["ETag"]}) == 3
    assert anyone.get(path, headers={"If-None-Match": then.headers["ETag"]}).status_code == 200
    for wrong in ("datetime=yesterday", "datetime=2011-13-01", "as-of=x", "datetime=", "bbox=1,2,3,4"):
        assert anyone.get(f"{path}?{wrong}").status_code == 400, wrong
