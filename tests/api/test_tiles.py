"""Vector tiles: what is in them, when they change, who may keep them."""

from __future__ import annotations

import gzip
import math

import pytest
from api_rows import put

from gis.catalog.read import catalog
from gis.db.connection import owner

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
    about = anyone.get("/collections/road/tiles/WebMercatorQuad?f=tilejson").json
    assert about["tiles"] == ["http://localhost/collections/road/tiles/WebMercatorQuad/{z}/{y}/{x}?f=mvt"]
    assert about["vector_layers"][0]["id"] == "road" and about["minzoom"] == catalog().layers["road"].tiles.min_zoom
    listed = anyone.get("/collections/road/tiles").json
    assert {one["tileMatrixSetURI"].rsplit("/", 1)[-1] for one in listed["tilesets"]} == {"WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad"}


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
