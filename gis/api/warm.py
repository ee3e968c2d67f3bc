"""What a caller would otherwise wait for is done before there is one: once in the parent of the web processes, and in each of them.

The first page of a layer costs a quarter of a second of Python (statements, schemas, coordinate systems, templates), which every process
paid after each start and reload; a new connection's first statement costs 20 to 50 ms of PostgreSQL's (PostGIS is loaded, tables are looked
up). Nothing here is needed: where the database is away the server starts all the same, and the first callers wait as they did.
"""

from __future__ import annotations

import logging
import threading
import time

import psycopg2
from psycopg2 import sql

from gis.access.roles import ANONYMOUS
from gis.api import pages, reading, tile_grid
from gis.api.visit import Visit, current
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.db import connection
from gis.errors import OneMapError
from gis.settings import settings

log = logging.getLogger("onemap.server")

CONNECTIONS = 4
"""That a new process opens: enough for a handful of callers. All that it may have would, at a reload, be there twice."""
PATIENCE_S = 3
"""How long a start may take longer for it."""

_FUNCTIONS = """
SELECT ST_AsMVT(q, 'q'), ST_AsGeoJSON(ST_Point(117, 32)) FROM (
    SELECT ST_AsMVTGeom(ST_Transform(ST_SetSRID(ST_Point(117, 32), 4490), 3857), ST_TileEnvelope(10, 844, 415)) AS geom
) AS q
"""
_THERE = "SELECT name FROM unnest(%s) AS name WHERE to_regclass('pub.' || quote_ident(name)) IS NOT NULL"


def parent(api) -> None:
    """In the parent, before it forks: what Python keeps of layers and pages is there, and shared by all processes. As nobody in particular,
    and neither counted nor logged. Where the database is away only the pages are ready."""
    for language in pages.LANGUAGES:
        environment = pages._environment(language)
        for name in environment.list_templates():
            environment.get_template(name)
    until = time.monotonic() + PATIENCE_S
    try:
        with connection.translating():
            psycopg2.connect(**connection.serving_parameters() | {"connect_timeout": 2}).close()
        for layer in _public():
            _ask(api, layer)
            if time.monotonic() > until:
                break
    except Exception as error:  # whatever it is, those who ask come upon it and are told
        log.info("the first callers will wait a little: %s", getattr(error, "what", type(error).__name__))
    finally:
        current.set(None)
        connection.close_pool()


def _public() -> list[Layer]:
    return [layer for layer in catalog().vectors if layer.readable_by(ANONYMOUS)]


def _ask(api, layer: Layer) -> None:
    """A page and a tile of a layer, past who asks, figures and log."""
    asked = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/collections/{layer.id}/items", "QUERY_STRING": "f=json&limit=1"}
    visit = Visit(asked | {"wsgi.url_scheme": "http", "HTTP_HOST": "127.0.0.1"})
    current.set(visit)
    visit.base_url = api.base_url
    reading.page(api, visit, layer.id)
    zoom = layer.tiles.max_zoom
    x, y = tile_grid.at("WebMercatorQuad", zoom, *catalog().city.center)
    visit.query, visit._args = b"", None
    reading.tile(api, visit, layer.id, "WebMercatorQuad", str(zoom), str(y), str(x))


def process() -> None:
    """In a new process, before it takes callers: its first connections are open, and know the tables."""
    count = min(CONNECTIONS, settings().pool_size, settings().threads)
    together = threading.Barrier(count)
    threads = [threading.Thread(target=_open, args=(together,), name="warm", daemon=True) for _ in range(count)]
    until = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _open(together: threading.Barrier) -> None:
    """One connection: it is kept until all have theirs, so that each has another one."""
    try:
        with connection.reading(ANONYMOUS, timeout_s=PATIENCE_S) as link:
            together.wait(PATIENCE_S)
            with link.cursor() as cursor:
                cursor.execute(_FUNCTIONS)
                cursor.execute(_THERE, ([layer.id for layer in _public()],))
                for (name,) in cursor.fetchall():
                    cursor.execute(sql.SQL("SELECT FROM pub.{} LIMIT 0").format(sql.Identifier(name)))
    except (OneMapError, threading.BrokenBarrierError) as error:
        together.abort()
        log.info("the connections are not open yet: %s", getattr(error, "what", "not all of them"))
