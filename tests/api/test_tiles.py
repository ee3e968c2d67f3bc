"""Vector tiles: what is in them, when they change, who may keep them."""

from __future__ import annotations

import gzip
import math

import morecantile
import pytest
from api_rows import put
from psycopg2 import sql

from gis.api import tile_grid, tile_sql, tile_store, tiles
from gis.api.tile_cache import cache
from gis.catalog.read import catalog
from gis.db import versions
from gis.db.connection import fetch_as_login, owner
from gis.errors import AccessDenied
from gis.settings import settings

TILE = "/collections/{}/tiles/WebMercatorQuad/{}/{}/{}"


def place(z: int, lon: float = 117.0005, lat: float = 32.0) -> tuple[int, int, int]:
    n = 2**z
    return z, int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * n), int((lon + 180) / 360 * n)


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data: bytes):
    """(number, value) of a protobuf message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 2:
            size, at = varint(data, at)
            yield tag >> 3, data[at : at + size]
            at += size
        elif tag & 7 == 0:
            value, at = varint(data, at)
            yield tag >> 3, value
        else:
            size = 8 if tag & 7 == 1 else 4
            yield tag >> 3, data[at : at + size]
            at += size


def decoded(data: bytes) -> dict:
    """{layer name: {"ids": [feature ids], "keys": {names}, "types": [geometry types]}} of a tile (MVT 2.1)."""
    layers = {}
    for number, layer in fields(data):
        assert number == 3
        parts = list(fields(layer))
        features = [dict(fields(value)) for n, value in parts if n == 2]
        layers[next(v for n, v in parts if n == 1).decode()] = {
            "ids": [feature.get(1) for feature in features],
            "keys": {v.decode() for n, v in parts if n == 3},
            "types": [feature.get(3) for feature in features],
            "texts": b"".join(v for n, v in parts if n == 4),
        }
    return layers


def test_a_tile_holds_what_the_layer_file_says(water):
    for layer_id in ("water_pipe", "road", "address"):
        layer = catalog().layers[layer_id]
        answer = water.get(TILE.format(layer_id, *place(layer.tiles.max_zoom)))
        assert answer.status_code == 200 and answer.content_type == "application/vnd.mapbox-vector-tile"
        tile = decoded(answer.data)[layer_id]
        assert tile["keys"] <= {"id", *layer.tiles.columns} and "id" in tile["keys"]
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT fid FROM core.{layer_id}")
            assert tile["ids"] == [cursor.fetchone()[0]], "the feature's permanent number"
        assert ":".join(str(layer.example[name]) for name in layer.key).encode() in tile["texts"]


def test_a_tile_changes_with_the_data_and_only_then(anyone):
    path = TILE.format("road", *place(15))
    first = anyone.get(path)
    etag = first.headers["ETag"]
    again = anyone.get(path, headers={"If-None-Match": etag})
    assert again.status_code == 304 and not again.data and again.headers["ETag"] == etag
    assert anyone.get(path).data == first.data
    put("road", {"road_id": "R2"})
    third = anyone.get(path, headers={"If-None-Match": etag})
    assert third.status_code == 200 and len(decoded(third.data)["road"]["ids"]) == 2, "never stale after a load"


def test_who_may_keep_a_tile(anyone, water):
    public, known, pipes = (c.get(TILE.format(name, *place(15))) for c, name in ((anyone, "road"), (water, "road"), (water, "water_pipe")))
    assert public.headers["Cache-Control"] == "public, no-cache"
    assert known.headers["Cache-Control"] == pipes.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in public.headers["Vary"] and "X-API-Key" in public.headers["Vary"]


def test_an_empty_tile_is_204_and_one_beyond_the_zooms_404(anyone):
    empty = anyone.get(TILE.format("road", 15, 1, 1))
    assert empty.status_code == 204 and not empty.data and "Content-Type" not in empty.headers and empty.headers["ETag"]
    zooms = catalog().layers["road"].tiles
    for z in (zooms.min_zoom - 1, zooms.max_zoom + 1):
        assert anyone.get(TILE.format("road", *place(z))).status_code == 404


def test_time_in_tiles(anyone):
    path = TILE.format("road", *place(15))
    assert anyone.get(f"{path}?datetime=2009").status_code == 204
    assert anyone.get(f"{path}?datetime=2011-01-01").status_code == 200
    assert anyone.get(f"{path}?as-of=2000-01-01").status_code == 204
    assert anyone.get(f"{path}?f=mvt&datetime=../2030").status_code == 200


def test_far_out_tiles_are_generalised(anyone):
    layer = catalog().layers["address"]
    z = layer.tiles.min_zoom
    assert layer.tiles.thin_below and z < layer.tiles.thin_below
    put("address", *({"address_id": f"B{i}", "geometry": f"POINT({117 + i * 1e-7} 32.0)"} for i in range(200)))
    near = anyone.get(TILE.format("address", *place(layer.tiles.max_zoom, 117.0)))
    far = anyone.get(TILE.format("address", *place(z, 117.0)))
    assert len(decoded(near.data)["address"]["ids"]) >= 200 and len(decoded(far.data)["address"]["ids"]) <= 3
    put("building", {"building_id": "tiny", "geometry": "POLYGON((117 32, 117.00001 32, 117.00001 32.00001, 117 32))"})
    z = catalog().layers["building"].tiles.min_zoom
    assert anyone.get(TILE.format("building", *place(z))).status_code in (200, 204)


@pytest.mark.parametrize("grid, z, y, x", [("WorldCRS84Quad", 14, 5279, 27033)])
def test_the_other_grid(anyone, grid, z, y, x):
    found = [anyone.get(f"/collections/road/tiles/{grid}/{z}/{row}/{x}").status_code for row in (y - 1, y, y + 1)]
    assert 200 in found and set(found) <= {200, 204}


def test_tiles_are_compressed_and_described(anyone):
    for i in range(60):
        put("road", {"road_id": f"Q{i}", "name": f"路{i}"})
    squeezed = anyone.get(TILE.format("road", *place(15)), headers={"Accept-Encoding": "gzip"})
    assert squeezed.headers["Content-Encoding"] == "gzip" and len(decoded(gzip.decompress(squeezed.data))["road"]["ids"]) == 61
    put("road", {"road_id": "Q99"})
    again = anyone.get(TILE.format("road", *place(15)), headers={"Accept-Encoding": "gzip"})
    assert len(decoded(gzip.decompress(again.data))["road"]["ids"]) == 62, "the compressed one is of the same version"
    about = anyone.get("/collections/road/tiles/WebMercatorQuad?f=tilejson").json
    assert about["tiles"] == ["http://localhost/collections/road/tiles/WebMercatorQuad/{z}/{y}/{x}?f=mvt"]
    assert about["vector_layers"][0]["id"] == "road" and about["minzoom"] == catalog().layers["road"].tiles.min_zoom
    listed = anyone.get("/collections/road/tiles").json
    assert {one["tileMatrixSetURI"].rsplit("/", 1)[-1] for one in listed["tilesets"]} == {
        "WebMercatorQuad",
        "WorldCRS84Quad",
        "CGCS2000Quad",
    }


def test_an_area_over_many_tiles_has_its_text_in_one(anyone):
    """The town of the good row covers dozens of tiles at zoom 14; its name is a point in exactly one of them."""
    _, y, x = place(14)
    written, drawn = [], 0
    for row in range(y - 4, y + 5):
        for column in range(x - 4, x + 5):
            layers = decoded(anyone.get(TILE.format("admin_area", 14, row, column)).data)
            drawn += "admin_area" in layers
            written += layers.get("admin_area_label", {"ids": []})["ids"]
    assert drawn > 20 and len(written) == 1
    coarse = decoded(anyone.get(TILE.format("admin_area", *place(9))).data)
    assert "admin_area" in coarse and "admin_area_label" not in coarse, "no texts before their zoom"
    tables = anyone.get("/collections/admin_area/tiles/WebMercatorQuad?f=tilejson").json["vector_layers"]
    assert [table["id"] for table in tables] == ["admin_area", "admin_area_label"]
    named = [one for one in anyone.get("/styles/onemap").json["layers"] if one["id"] == "admin_area-label"]
    assert named[0]["source-layer"] == "admin_area_label" and named[0]["source"] == "admin_area"


# --- the national grid, many layers, dense layers ------------------------------------------------------------------------


def test_the_national_grid_is_defined_by_its_standard(anyone):
    """GB/T 35634-2017: level 1 has two tiles of 180 degrees; latitude comes first in EPSG:4490; scales for pixels of 0.28 mm."""
    grid = anyone.get("/TileMatrixSets/CGCS2000Quad").json
    assert grid["crs"].endswith("/EPSG/0/4490") and grid["orderedAxes"] == ["Lat", "Lon"]
    first = grid["tileMatrices"][0]
    assert (first["id"], first["matrixWidth"], first["matrixHeight"], first["pointOfOrigin"]) == ("1", 2, 1, [90, -180])
    assert first["cellSize"] == 0.703125 and first["scaleDenominator"] == pytest.approx(279541132.0143589)
    assert first["scaleDenominator"] * 0.00028 * 96 / 0.0254 == pytest.approx(295829355.45), "the standard counts 96 dots to the inch"
    listed = {one["id"] for one in anyone.get("/TileMatrixSets").json["tileMatrixSets"]}
    assert listed == {"WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad"}
    for name in ("WebMercatorQuad", "WorldCRS84Quad"):
        ours, theirs = anyone.get(f"/TileMatrixSets/{name}").json, morecantile.tms.get(name)
        for matrix, known in zip(ours["tileMatrices"], theirs.tileMatrices, strict=False):
            assert matrix["scaleDenominator"] == pytest.approx(known.scaleDenominator)
            assert (matrix["matrixWidth"], matrix["matrixHeight"]) == (known.matrixWidth, known.matrixHeight)


def test_a_tile_of_the_national_grid_is_that_of_the_other_one_level_up(anyone):
    for z in (13, 14, 15):
        x, y = tile_grid.at("CGCS2000Quad", z + 1, 117.0005, 32.0)
        assert (x, y) == tile_grid.at("WorldCRS84Quad", z, 117.0005, 32.0)
        national = anyone.get(
            f"/collections/road/tiles/CGCS2000Quad/{z + 1}/{y}/{x}"
            if z < 15
            else f"/collections/road/tiles/CGCS2000Quad/{z}/{y // 2}/{x // 2}"
        )
        assert national.status_code == 200 and decoded(national.data)["road"]["ids"]
    assert anyone.get("/collections/road/tiles/CGCS2000Quad?f=tilejson").json["tiles"][0].count("CGCS2000Quad") == 1


def test_indices_that_are_none_are_the_callers_mistake(anyone):
    for grid in ("WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad"):
        for where in ("30/1/1", "-1/0/0", "14/-1/0", "14/0/1.5", "14/a/0", "14/99999999/0", "14/0/99999999999999999999", "1e1/1/1"):
            for path in (f"/collections/road/tiles/{grid}/{where}", f"/tiles/{grid}/{where}", f"/groups/base/tiles/{grid}/{where}"):
                answer = anyone.get(path)
                assert answer.status_code == 400 and answer.json["what"], path
    assert anyone.get("/collections/road/tiles/CGCS2000Quad/0/0/0").status_code == 400, "its levels begin at 1"
    assert anyone.get("/collections/road/tiles/Nowhere/14/0/0").status_code == 404


def test_a_group_is_one_tile_of_the_layers_that_one_may_see(water, anyone, as_role):
    _, y, x = place(16)
    answer = water.get(f"/groups/water/tiles/WebMercatorQuad/16/{y}/{x}")
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "private, no-cache"
    together = decoded(answer.data)
    assert set(together) >= {"water_pipe", "water_valve", "hydrant", "water_connection"} and "gas_pipe" not in together
    alone = decoded(water.get(TILE.format("water_pipe", 16, y, x)).data)["water_pipe"]
    assert together["water_pipe"] == alone
    again = water.get(f"/groups/water/tiles/WebMercatorQuad/16/{y}/{x}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    put("hydrant", {"hydrant_id": "H9"})
    changed = water.get(f"/groups/water/tiles/WebMercatorQuad/16/{y}/{x}", headers={"If-None-Match": answer.headers["ETag"]})
    assert changed.status_code == 200 and len(decoded(changed.data)["hydrant"]["ids"]) == 2, "never stale after a load"
    for path in ("/groups/water/tiles", "/groups/water/tiles/WebMercatorQuad", f"/groups/water/tiles/WebMercatorQuad/16/{y}/{x}"):
        assert anyone.get(path).status_code == as_role("gas").get(path).status_code == 404, path
    seen, hidden = ({group["id"] for group in one.get("/groups").json["groups"]} for one in (water, anyone))
    assert {"water", "pipe"} <= seen and not hidden & {"water", "pipe", "gas"} and "gas" not in seen


def test_the_whole_map_is_a_dataset_of_tiles(water, anyone):
    _, y, x = place(15)
    path = f"/tiles/WebMercatorQuad/15/{y}/{x}"
    named = decoded(water.get(f"{path}?collections=road,water_pipe,nothing").data)
    assert set(named) == {"road", "water_pipe"}
    assert set(decoded(anyone.get(f"{path}?collections=road,water_pipe").data)) == {"road"}, "hidden layers are absent without a word"
    assert anyone.get(f"{path}?collections=water_pipe").status_code == 404
    assert anyone.get(f"{path}?collections=a%20b").status_code == 400 and anyone.get(f"{path}?layers=road").status_code == 400
    assert anyone.get(f"{path}?collections=road&datetime=2009").status_code == 204
    everything = set(decoded(anyone.get(path).data))
    assert "road" in everything and not {name for name in everything if name.startswith("water_p")}
    about = anyone.get("/tiles/CGCS2000Quad?f=tilejson&collections=road,water_pipe").json
    assert [one["id"] for one in about["vector_layers"]] == ["road"]
    assert about["tiles"] == ["http://localhost/tiles/CGCS2000Quad/{z}/{y}/{x}?f=mvt&collections=road,water_pipe"]
    listed = anyone.get("/tiles").json["tilesets"]
    assert len(listed) == 3 and listed[2]["crs"].endswith("4490")
    titles = {lang: [one["title"] for one in anyone.get(f"/tiles/WebMercatorQuad?lang={lang}").json["layers"]] for lang in ("zh", "en")}
    assert all(map(str.isascii, titles["en"])) and not any(map(str.isascii, titles["zh"]))
    for about in (anyone.get("/tiles/WebMercatorQuad").json, anyone.get("/collections/road/tiles/WebMercatorQuad").json):
        limits = {one["tileMatrix"]: one for one in about["tileMatrixSetLimits"]}
        box = about["boundingBox"]
        assert box["crs"] == about["crs"] and box["lowerLeft"][0] > 1e7, "in metres, as its grid is"
        at = limits["15"]
        assert at["minTileRow"] <= y <= at["maxTileRow"] and at["minTileCol"] <= x <= at["maxTileCol"]
    assert anyone.get("/tiles/WorldCRS84Quad").json["layers"] and anyone.get("/tiles/Nowhere").status_code == 404
    led = {link["href"] for link in anyone.get("/?f=json").json["links"]}
    assert {"http://localhost/tiles?f=json", "http://localhost/groups?f=json"} <= led
    assert "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/dataset-tilesets" in anyone.get("/conformance?f=json").json["conformsTo"]
    document = anyone.get("/openapi").json["paths"]
    assert "/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}" in document


def test_slow_tiles_are_kept_for_all_processes_and_never_stale(water, anyone, monkeypatch):
    monkeypatch.setattr(tile_store, "SLOW_S", 0.0)
    path = TILE.format("water_pipe", *place(12))
    first = water.get(path)
    kept = list((settings().home / "tiles").rglob("water_pipe/*/*"))
    assert len(kept) == 1 and kept[0].stat().st_mode & 0o077 == 0, "the platform's user alone reads it"
    cache.clear()
    made = []
    monkeypatch.setattr(tiles, "drawn", lambda *asked: made.append(asked))
    assert water.get(path).data == first.data and not made, "another process finds it"
    monkeypatch.undo()
    monkeypatch.setattr(tile_store, "SLOW_S", 0.0)
    assert anyone.get(path).status_code == 404
    put("water_pipe", {"pipe_id": "P2"})
    second = water.get(path)
    assert len(decoded(second.data)["water_pipe"]["ids"]) == 2 and second.headers["ETag"] != first.headers["ETag"]
    assert not kept[0].exists() and len(list((settings().home / "tiles").rglob("water_pipe/*/*"))) == 1, "the old ones are gone"


# --- points by arithmetic, versions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "grid, z", [("WebMercatorQuad", 1), ("WebMercatorQuad", 10), ("WebMercatorQuad", 24), ("WorldCRS84Quad", 14), ("CGCS2000Quad", 15)]
)
def test_points_lie_where_postgis_draws_them(pg, grid, z):
    """What is computed for a point is what PROJ, ST_Transform and ST_AsMVTGeom make of it, to the unit; at the deepest zoom a unit is
    0.6 mm, so that a difference of any size would show there. Oracle: PostGIS."""
    spots = [(117.0005, 32.0), (-58.38, -34.6), (179.9999, 84.9), (0.0001, -0.0001)]
    found = 0
    for lon, lat in spots:
        x, y = tile_grid.at(grid, z, lon, lat)
        where = tile_grid.tile(grid, str(z), str(y), str(x))
        scale = tile_sql._scale(where) | dict(zip(("west", "south", "east", "north"), where.reach, strict=True))
        own, reached = tile_sql._point(sql.SQL("x"), sql.SQL("y"), where.srid), tile_sql._reached(sql.SQL("x"), sql.SQL("y"))
        west, south, east, north = where.reach
        projected = "ST_Transform(ST_SetSRID(ST_Point(x, y), 4326), 3857)" if where.srid == 3857 else "ST_Point(x, y)"
        spread = (
            "SELECT i, greatest(least(%(w)s + (%(e)s - %(w)s) * ((i * 0.61803398875) %% 1.2 - 0.1), 180), -180) AS x, "
            "greatest(least(%(s)s + (%(n)s - %(s)s) * ((i * 0.75487766625) %% 1.2 - 0.1), 90), -90) AS y FROM generate_series(1, 400) AS i"
        )
        box = "ST_MakeBox2D(ST_Point(%(l)s, %(b)s), ST_Point(%(r)s, %(t)s))"
        query = sql.SQL(
            f"SELECT i, {{reached}}, ST_AsText({{own}}), ST_AsText(ST_AsMVTGeom({projected}, {box}, 4096, 64, true)) FROM ({spread}) AS p"
        ).format(own=own, reached=reached)
        corners = dict(zip("lbrt", where.bounds, strict=True)) | {"w": west, "s": south, "e": east, "n": north}
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute(query, scale | corners)
            for i, within, ours, theirs in cursor.fetchall():
                if within:
                    assert ours == theirs, (grid, z, lon, i)
                    found += 1
                elif theirs is not None:
                    column, row = (float(number) for number in theirs[6:-1].split())
                    assert not (-64 < column < 4160 and -64 < row < 4160), "only what lies beyond the buffer is left out"
    assert found > 600


def test_the_version_is_that_of_the_last_load_committed(app):
    """What the serving login reads by itself is what the database's own function says, and nothing else is open to it."""
    before = versions.newest(["road", "water_pipe"])
    put("road", {"road_id": "R7"})
    after = versions.newest(["road", "water_pipe", "nothing"])
    assert after["road"] != before["road"] and after["water_pipe"] == before["water_pipe"] and after["nothing"][1] == "0.0"
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), meta.data_version(ARRAY['road'])")
        assert cursor.fetchone() == after["road"]
    for closed in ("SELECT 1 FROM meta.batch", "SELECT 1 FROM core.road", "SELECT 1 FROM pub.road", "UPDATE meta.published SET newest = 0"):
        with pytest.raises(AccessDenied):
            fetch_as_login(sql.SQL(closed), {})


def test_a_login_of_another_name_takes_a_role_for_the_question(app, monkeypatch):
    monkeypatch.setattr(versions, "_others", set())
    own = versions.newest(["road", "nothing"])
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("REVOKE SELECT ON meta.published FROM onemap_login")
    assert versions.newest(["road", "nothing"]) == own and len(versions._others) == 1
    put("road", {"road_id": "R6"})
    assert versions.newest(["road"])["road"] != own["road"]


def test_a_tile_is_drawn_in_the_version_that_it_says(anyone, monkeypatch):
    """A load between the question for the version and the drawing: the ETag is that of the rows that are in the tile."""
    path = TILE.format("road", *place(15))
    assert anyone.get(path).status_code == 200
    ask = tiles.newest

    def loaded_meanwhile(layers):
        found = ask(layers)
        put("road", {"road_id": "R8"})
        return found

    monkeypatch.setattr(tiles, "newest", loaded_meanwhile)
    cache.clear()
    answer = anyone.get(path, headers={"If-None-Match": '"another"'})
    monkeypatch.undo()
    assert len(decoded(answer.data)["road"]["ids"]) == 2
    again = anyone.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304, "nothing was loaded since"
