"""What a planner does at his desk, as one question to `desktop.py`: who he is, what he opens, filters, draws and changes."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from serving import PASSWORD, City

from gis.catalog import qml, read

MARKER = "==== answer ===="
SERVICE_ROLE = "qgis_reader"
DATABASE_PASSWORD = "Qinglan-2026-desktop"
FIELD_TYPES = {"int": "integer", "real": "double", "date": "date", "bool": "bool"}
BOX = (116.993, 31.993, 117.007, 32.003)
"""In the middle of the town, where there are pipes."""
GRIDS = {"WebMercatorQuad": "EPSG:3857", "WorldCRS84Quad": "OGC:CRS84", "CGCS2000Quad": "EPSG:4490"}
PIPES = {"layer": "water_pipe", "key": ["network", "pipe_id"]}
FILTERS: dict[str, tuple[str, str, str]] = {
    "equal": ("\"material\" = 'QM'", "material = 'QM'", "(material = 'QM')"),
    "unequal": ("\"material\" <> 'QM'", "material <> 'QM'", "(material <> 'QM')"),
    "like": ("\"road_name\" LIKE '%东%'", "road_name LIKE '%东%'", "(\"road_name\" LIKE '%东%')"),
    "ilike": ("\"pipe_id\" ILIKE '%jsg00000%'", "pipe_id ILIKE '%jsg00000%'", "(CASEI(\"pipe_id\") LIKE CASEI('%jsg00000%'))"),
    "in": ("\"material\" IN ('PE','G')", "material IN ('PE', 'G')", "material IN ('PE','G')"),
    "between": ('"diameter_mm" BETWEEN 100 AND 300', "diameter_mm BETWEEN 100 AND 300", '"diameter_mm" BETWEEN 100 AND 300'),
    "precedence": (
        '"material" = \'QM\' OR "material" = \'PE\' AND "diameter_mm" > 300',
        "material = 'QM' OR material = 'PE' AND diameter_mm > 300",
        "((material = 'QM') OR ((material = 'PE') AND (\"diameter_mm\" > 300)))",
    ),
    "not": ("NOT (\"material\" = 'QM')", "NOT (material = 'QM')", "(NOT ((material = 'QM')))"),
    "null": ('"valid_to" IS NULL', "valid_to IS NULL", '("valid_to" IS NULL)'),
    "date": ('"valid_from" >= make_date(2000,1,1)', "valid_from >= DATE '2000-01-01'", "(\"valid_from\" >= DATE('2000-01-01'))"),
    "moment": (
        '"valid_from" >= make_datetime(2000,1,1,0,0,0)',
        "valid_from >= DATE '2000-01-01'",
        "(\"valid_from\" >= TIMESTAMP('2000-01-01T00:00:00.000Z'))",
    ),
}
"""By name: the filter as a planner writes it, the same for PostgreSQL, and what QGIS 3.40 makes of it for the server."""


def question(city: City, written: dict[str, bytes], services: str, rows) -> dict:
    basic = {"method": "Basic"}
    lon, lat = rows("SELECT ST_X(geom), ST_Y(geom) FROM core.facility ORDER BY facility_id LIMIT 1")[0]
    return {
        "marker": MARKER, "url": city.url, "authcfg": "onemap1", "services": services, "restricted": "water_pipe",
        "credentials": [
            basic | {"id": "onemap1", "values": {"username": "water-officer", "password": PASSWORD}},
            basic | {"id": "onemap2", "values": {"username": SERVICE_ROLE, "password": DATABASE_PASSWORD}},
            {"method": "APIHeader", "id": "onemap3", "values": {"X-API-Key": city.keys["water"]}},
            basic | {"id": "onemap4", "values": {"username": "address-officer", "password": PASSWORD}},
            basic | {"id": "onemap9", "values": {"username": "stranger", "password": "Guessed-2026-wrong"}},
        ],
        "logins": ["onemap1", "onemap3", "onemap9", None],
        "project": packed(written["api"]), "postgis": packed(written["postgis"]),
        "positions": [PIPES | {"crs": name} for name in ("EPSG:4490", "EPSG:4548", "OGC:CRS84")],
        "large": {"layer": "address", "key": ["address_id"]},
        "filters": [PIPES | {"name": name, "expression": texts[0]} for name, texts in FILTERS.items()]
        + [PIPES | {"name": "box", "bbox": BOX, "more": "restrictToRequestBBOX='1' srsname='EPSG:4490'"}],
        "times": [PIPES | {"day": day} for day in ("1985-06-01", "2010-06-01")],
        "pictures": [
            {"name": "tiles", "layers": ["onemap_tiles_water_pipe"], "box": BOX},
            {"name": "api", "layers": ["onemap_layer_water_pipe"], "box": BOX},
            {"name": "then", "layers": ["onemap_layer_water_pipe"], "box": BOX, "day": "1985-06-01"},
            {"name": "raster", "layers": ["onemap_layer_dem"], "box": BOX},
            *({"name": grid, "source": wmts(city.url, grid, crs), "box": BOX} for grid, crs in GRIDS.items()),
            {"name": "whole", "box": BOX, "size": [900, 640]},
        ],
        "database_picture": {"name": "postgis", "layers": ["onemap_layer_water_pipe"], "box": BOX},
        "styles": [
            {
                "layer": layer.id, "geometry": layer.geometry, "qml": qml.style(layer),
                "fields": {name: FIELD_TYPES.get(column.type, "string") for name, column in layer.columns.items()},
            }
            for layer in read.catalog().vectors
        ],
        "edits": [
            {
                "layer": "facility", "key": "facility_id", "id": f"QGIS-{number}", "authcfg": "onemap4", "crs": crs, "wkt": point,
                "values": {"facility_id": f"QGIS-{number}", "name": "测试诊所", "kind": "clinic", "valid_from": "2020-01-01"},
                "changed": ["name", "改了名的诊所"], "moved": moved,
            }
            for number, (crs, point, moved) in enumerate(places(rows, lon, lat))
        ],
        "surveyed": surveyed(rows),
    }  # fmt: skip


def surveyed(rows) -> dict:
    """A pipe beside another, to the millimetre, in the city's working CRS."""
    network, start, end, x, y = rows(
        "SELECT network, from_node, to_node, ST_X(p), ST_Y(p) FROM (SELECT *, ST_Transform(ST_StartPoint(geom), 4548) p "
        "FROM core.water_pipe ORDER BY pipe_id LIMIT 1) t"
    )[0]
    x, y = round(x, 3) + 0.007, round(y, 3) + 0.003
    values = {"network": network, "pipe_id": "QGIS-1", "from_node": start, "to_node": end, "diameter_mm": 300, "status": "0"}
    return {
        "layer": "water_pipe", "key": "pipe_id", "id": "QGIS-1", "authcfg": "onemap1", "crs": "EPSG:4548", "values": values,
        "wkt": f"LINESTRING Z({x:.3f} {y:.3f} 21.623, {x + 80:.3f} {y:.3f} 21.456)", "changed": ["material", "PE"],
        "moved": f"LINESTRING Z({x + 1:.3f} {y:.3f} 21.624, {x + 80:.3f} {y:.3f} 21.456)", "place": [x, y, 21.623],
    }  # fmt: skip


def wmts(url: str, grid: str, crs: str) -> str:
    """The heights as a WMTS layer of QGIS."""
    capabilities = f"{url}/wmts?service%3DWMTS%26request%3DGetCapabilities"
    return f"authcfg=onemap1&crs={crs}&format=image/png&layers=dem&styles=default&tileMatrixSet={grid}&url={capabilities}"


def places(rows, lon: float, lat: float) -> Iterator[tuple[str, str, str]]:
    """Two points near a place in each CRS, x first, as a map draws them."""
    for srid in (4490, 4548):
        statement = "SELECT ST_AsText(ST_Transform(ST_SetSRID(ST_MakePoint(%s, %s), 4490), %s), 9)"
        first, second = (rows(statement, lon + shift, lat + shift, srid)[0][0] for shift in (0.0001, 0.0003))
        yield f"EPSG:{srid}", first, second


def packed(content: bytes) -> str:
    return base64.b64encode(content).decode()
