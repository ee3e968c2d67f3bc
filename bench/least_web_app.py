"""The least web app: Starlette hands on what PostgreSQL wrote. No links, no roles, no checks: the limit that no API can pass.

`uvicorn bench.least_web_app:app` with the database in BENCH_DSN, the columns of its table in BENCH_COLUMNS and, where it is
another than that of the addresses, its name in BENCH_TABLE (which then gives tiles only).
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

COLUMNS = tuple(os.environ["BENCH_COLUMNS"].split(","))
TABLE = os.environ.get("BENCH_TABLE", "address84")
_FEATURE = (
    "json_build_object('type', 'Feature', 'id', address_id, 'geometry', ST_AsGeoJSON(geom, 7, 0)::json, 'properties', "
    f"json_build_object({', '.join(f"'{name}', {name}" for name in COLUMNS)}))"
)


def _page(rows: str) -> str:
    features = f"coalesce(json_agg({_FEATURE}), '[]')"
    return f"SELECT json_build_object('type', 'FeatureCollection', 'features', {features})::text FROM ({rows}) AS t"


PAGE = _page("SELECT * FROM address84 ORDER BY address_id LIMIT $1 OFFSET $2")
BOX = _page("SELECT * FROM address84 WHERE geom && ST_MakeEnvelope($1, $2, $3, $4, 4326) LIMIT $5")
ROAD = _page("SELECT * FROM address84 WHERE road = $1 LIMIT $2")
ITEM = f"SELECT {_FEATURE}::text FROM address84 WHERE address_id = $1"
TILE = (
    f"SELECT ST_AsMVT(t, '{TABLE}') FROM (SELECT {', '.join(COLUMNS)}, ST_AsMVTGeom(ST_Transform(geom, 3857), "
    f"ST_TileEnvelope($1, $2, $3)) AS geom FROM {TABLE} WHERE geom && ST_Transform(ST_TileEnvelope($1, $2, $3), 4326)) AS t"
)


async def items(request: Request) -> Response:
    asked, pool = request.query_params, request.app.state.pool
    limit = int(asked.get("limit", 10))
    if "bbox" in asked:
        text = await pool.fetchval(BOX, *map(float, asked["bbox"].split(",")), limit)
    elif "road" in asked:
        text = await pool.fetchval(ROAD, asked["road"], limit)
    else:
        text = await pool.fetchval(PAGE, limit, int(asked.get("offset", 0)))
    return Response(text, media_type="application/geo+json")


async def item(request: Request) -> Response:
    return Response(await request.app.state.pool.fetchval(ITEM, request.path_params["id"]), media_type="application/geo+json")


async def tile(request: Request) -> Response:
    z, y, x = (request.path_params[name] for name in ("z", "y", "x"))
    return Response(await request.app.state.pool.fetchval(TILE, z, x, y), media_type="application/vnd.mapbox-vector-tile")


@asynccontextmanager
async def _life(app: Starlette):
    app.state.pool = await asyncpg.create_pool(os.environ["BENCH_DSN"], min_size=4, max_size=4)
    yield
    await app.state.pool.close()


app = Starlette(routes=[Route("/items", items), Route("/items/{id}", item), Route("/tiles/{z:int}/{y:int}/{x:int}", tile)], lifespan=_life)
