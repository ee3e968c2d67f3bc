"""Tiles of layers too dense to be drawn whole: never above the limit, and whole where they say so. Oracle: shapely over all rows."""

from __future__ import annotations

import itertools
import math

import pytest
import shapely
from psycopg2 import sql
from test_tiles import TILE, decoded, fields

from gis.api import select, tile_grid, tile_ladder, tile_sql, tiles
from gis.catalog.read import catalog
from gis.db.connection import owner

ROWS = 60_000
_POINTS = """
INSERT INTO core.address (address_id, full_text, number, status, stage, level, batch, recorded_from, geom)
SELECT 'DA' || i, '青澜县城关镇府前街' || i || '号幸福小区' || i %% 90 || '幢', i || '号', 'official', 'current', 'gate', 1, now(),
       ST_SetSRID(ST_Point(117 + 0.02 * ((i * 0.61803398875) %% 1), 32 + 0.02 * ((i * 0.75487766625) %% 1)), 4490)
FROM generate_series(1, %(n)s) AS i
"""
_LINES = """
INSERT INTO core.water_pipe (network, pipe_id, from_node, to_node, diameter_mm, material, subtype, status, batch, recorded_from, geom)
SELECT 'city', 'DP' || i, 'N' || i, 'N' || i + 1, CASE WHEN r %% 10 = 0 THEN 600 ELSE 100 END, 'QM', 'JP', '0', 1, now(),
       ST_SetSRID(ST_MakeLine(ST_MakePoint(117 + c * 8e-5, 32 + r * 8e-5, 30), ST_MakePoint(117 + (c + 1) * 8e-5, 32 + r * 8e-5, 30)), 4490)
FROM (SELECT i, i / 250 AS r, i %% 250 AS c FROM generate_series(1, %(n)s) AS i) AS grid
"""
_AREAS = """
INSERT INTO core.building (building_id, name, use, floors, batch, recorded_from, geom)
SELECT 'DB' || i, '幸福小区' || i || '幢', 'residential', 6, 1, now(),
       ST_SetSRID(ST_Multi(ST_MakeEnvelope(x, y, x + 5e-5, y + 3e-5 + (i %% 7) * 5e-6)), 4490)
FROM (SELECT i, 117 + i %% 250 * 8e-5 AS x, 32 + i / 250 * 8e-5 AS y FROM generate_series(1, %(n)s) AS i) AS grid
"""


@pytest.fixture
def dense(app, as_role):
    """The application over layers with sixty thousand rows within two kilometres; the administrator asks."""
    with owner() as connection, connection.cursor() as cursor:
        for statement in (_POINTS, _LINES, _AREAS):
            cursor.execute(statement, {"n": ROWS})
        cursor.execute("INSERT INTO meta.batch (status, recorded_at) VALUES ('published', now()) RETURNING id")
        batch = cursor.fetchone()[0]
        for layer in ("address", "water_pipe", "building"):
            cursor.execute(
                "INSERT INTO meta.batch_layer (batch, layer, rows_read, rows_loaded, inserted) VALUES (%s, %s, 1, 1, 1)", (batch, layer)
            )
        cursor.execute("ANALYZE core.address; ANALYZE core.water_pipe; ANALYZE core.building")
    return as_role("admin")


def counts(body: bytes, layer: str) -> list[int]:
    """How many features each feature of a table stands for (MVT 2.1, 4.4: keys and values by number)."""
    for _, table in fields(body):
        parts = list(fields(table))
        if next(value for number, value in parts if number == 1).decode() != layer:
            continue
        keys = [value.decode() for number, value in parts if number == 3]
        values = [dict(fields(value)) for number, value in parts if number == 4]
        found = []
        for feature in (dict(fields(value)) for number, value in parts if number == 2):
            tags = list(_packed(feature.get(2, b"")))
            said = {keys[k]: values[v] for k, v in zip(tags[::2], tags[1::2], strict=True)}
            found.append(next(iter(said["count"].values())) if "count" in said else 1)
        return found
    return []


def _packed(data: bytes):
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


def no_tile_is_above_the_limit_at_any_zoom(dense):
    for name in ("address", "water_pipe", "building"):
        layer, hows = catalog().layers[name], set()
        for z in range(layer.tiles.min_zoom, layer.tiles.max_zoom + 1):
            x, y = tile_grid.at("WebMercatorQuad", z, 117.008, 32.008)
            answer = dense.get(TILE.format(name, z, y, x))
            assert answer.status_code == 200 and 0 < len(answer.data) <= tiles.BUDGET, (name, z)
            hows.add(answer.headers.get("X-Generalised", ""))
            assert dense.get(TILE.format(name, z, y, x)).data == answer.data, "the same every time"
        assert hows & {"", "bare"} and len(hows) > 1, f"{name}: {hows}"
    x, y = tile_grid.at("WebMercatorQuad", 14, 117.008, 32.008)
    together = dense.get(f"/tiles/WebMercatorQuad/14/{y}/{x}?collections=address,water_pipe,building")
    assert len(together.data) <= tiles.BUDGET and {"address", "water_pipe", "building"} <= set(decoded(together.data))
    about = dense.get("/collections/address/tiles/WebMercatorQuad?f=tilejson").json
    assert "count" in about["description"] and "500 kB" in about["description"]


def points_are_gathered_and_counted_to_the_last(dense):
    """A tile that holds all points stands for every one of them."""
    for z in (10, 12):
        x, y = tile_grid.at("WebMercatorQuad", z, 117.01, 32.01)
        answer = dense.get(TILE.format("address", z, y, x))
        assert answer.headers["X-Generalised"] == "gathered"
        place = tile_grid.tile("WebMercatorQuad", z, y, x)
        west, south, east, north = place.reach
        assert west < 116.999 and east > 117.021 and south < 31.999 and north > 32.021, "the dense part lies within"
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM core.address")
            assert sum(counts(answer.data, "address")) == cursor.fetchone()[0] >= ROWS
            # with few rows expected the planner would count all cells again for each of them
            layer, statement = catalog().layers["address"], select.Statement()
            wanted = select.Wanted(layer, {"number": layer.columns["number"]})
            query = tile_sql.in_cells(wanted, place, statement, cells=tile_ladder.CELLS)
            cursor.execute(sql.SQL("EXPLAIN ") + query, statement.parameters)
            assert not [line for (line,) in cursor.fetchall() if "Nested Loop" in line]


def lines_are_merged_and_counted(dense):
    x, y = tile_grid.at("WebMercatorQuad", 12, 117.01, 32.01)
    answer = dense.get(TILE.format("water_pipe", 12, y, x))
    assert answer.headers["X-Generalised"] == "merged" and decoded(answer.data)["water_pipe"]["keys"] >= {"count", "diameter_mm", "network"}
    assert 0 < sum(counts(answer.data, "water_pipe")) <= ROWS + 1
    assert len(counts(answer.data, "water_pipe")) <= 6, "one feature for each class"


def from_zoom_16_on_nothing_is_lost(dense):
    with owner() as connection, connection.cursor() as cursor:
        for name in ("address", "water_pipe", "building"):
            cursor.execute(f"SELECT fid, ST_AsBinary(ST_Force2D(geom)) FROM core.{name}")
            numbers, shapes = zip(*((fid, bytes(shape)) for fid, shape in cursor.fetchall()), strict=True)
            tree, z = shapely.STRtree(shapely.from_wkb(shapes)), 16
            x, y = tile_grid.at("WebMercatorQuad", z, 117.008, 32.008)
            for column, row in itertools.product((x, x + 1), (y,)):
                answer = dense.get(TILE.format(name, z, row, column))
                assert answer.headers.get("X-Generalised") in (None, "bare"), "attributes at most"
                inside = shapely.box(*_degrees(tile_grid.tile("WebMercatorQuad", z, row, column).bounds))
                wanted = {numbers[i] for i in tree.query(inside, predicate="intersects")}
                found = set(decoded(answer.data)[name]["ids"])
                assert wanted and wanted <= found, f"{name}: {len(wanted - found)} of {len(wanted)} are missing"


def _degrees(bounds: tuple[float, ...]) -> tuple[float, ...]:
    west, south, east, north = bounds
    radius = 6378137.0
    return tuple(
        math.degrees(value / radius) if i % 2 == 0 else math.degrees(2 * math.atan(math.exp(value / radius)) - math.pi / 2)
        for i, value in enumerate((west, south, east, north))
    )


def test_dense_layers(dense):
    """One database for all four questions: it holds 180,000 rows."""
    no_tile_is_above_the_limit_at_any_zoom(dense)
    points_are_gathered_and_counted_to_the_last(dense)
    lines_are_merged_and_counted(dense)
    from_zoom_16_on_nothing_is_lost(dense)
