"""Coarse tiles made before anybody asks for them: as soon as a layer has changed, the worker draws those of its tiles that take long,
one after the other, for every role that may see the layer.

From the smallest zoom on, and only below tiles that took long: a quarter of a quick tile is quick. Roles that see the same columns are
drawn for once. It never takes more than a tenth of the time, so that a layer that is edited all day does not keep the database busy.
"""

from __future__ import annotations

import logging
import select as system
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg2
from psycopg2 import sql

from gis.access.roles import ROLES
from gis.api import select, tile_grid, tile_store, tiles
from gis.api.tile_archive import GRID, as_caller
from gis.catalog.model import Layer
from gis.catalog.narrowing import base
from gis.catalog.read import catalog
from gis.db.connection import fetch, owner
from gis.db.versions import Version, newest
from gis.errors import OneMapError, StoreError
from gis.settings import settings

log = logging.getLogger("onemap.tiles")

CHANNEL = "onemap_published"
LOCK = 0x4F4D54494C45
"""Advisory lock of the one that prepares."""
QUIET_S = 10.0
"""A layer is left alone until nothing was published of it for so long: loads and edits come in rows."""
REST = 9.0
"""After so many seconds of work a layer is not taken up again for so many times as long."""
LOOK_S = 60.0
"""How often all layers are looked at, also where no notice came."""


@dataclass
class Course:
    """Where a layer stands: the version seen last and since when, the one that is prepared, not before when it is taken up again."""

    seen: Version | None = None
    since: float = 0.0
    done: Version | None = None
    not_before: float = 0.0


class Superseded(Exception):
    """What is being prepared is asked for no more: the layer has changed again, or the worker ends."""


@dataclass
class Preparer:
    """Prepares until `stop` is set."""

    stop: threading.Event
    quiet_s: float = QUIET_S
    courses: dict[str, Course] = field(default_factory=dict)

    def run(self) -> None:
        """Until stopped: waits for the lock, then prepares what has changed. A database that is away is waited for."""
        while not self.stop.is_set() and settings().prepared_zoom >= 0:
            try:
                with owner(autocommit=True) as connection, connection.cursor() as cursor:
                    while not self.stop.is_set() and not _locked(cursor):
                        self.stop.wait(5.0)
                    cursor.execute(f"LISTEN {CHANNEL}")
                    while not self.stop.is_set():
                        self._wait(connection, self.tick())
            except (StoreError, psycopg2.Error) as error:
                log.warning("the tiles wait for the database: %s", getattr(error, "what", type(error).__name__))
                self.stop.wait(5.0)

    def _wait(self, connection, seconds: float) -> None:
        """So long, or until something is published."""
        until = time.monotonic() + seconds
        while not self.stop.is_set() and (left := until - time.monotonic()) > 0:
            if system.select([connection], [], [], min(left, 1.0))[0]:
                connection.poll()
                connection.notifies.clear()
                return

    def tick(self) -> float:
        """Prepares the layers that have changed and are quiet; in how many seconds it is worth while to look again. Raises StoreError."""
        layers, left = catalog().vectors, LOOK_S
        versions = newest([layer.id for layer in layers])
        for layer in layers:
            course, now = self.courses.setdefault(layer.id, Course()), time.monotonic()
            if course.seen != versions[layer.id]:
                course.since = now if course.seen else now - self.quiet_s
                course.seen = versions[layer.id]
            if course.seen == course.done:
                continue
            ready_in = max(course.since + self.quiet_s, course.not_before) - now
            if ready_in <= 0 and not self.stop.is_set():
                self._prepare(layer, course)
            left = min(left, max(ready_in, 0.1))
        return left

    def _prepare(self, layer: Layer, course: Course) -> None:
        version, begun, made = course.seen, time.monotonic(), 0
        try:
            for made in self._made(layer, version):  # noqa: B007 (the last one is what was made in all)
                pass
        except Superseded:
            log.info("tiles of %s: changed again after %d", layer.id, made)
            return
        except OneMapError as error:
            newest([layer.id])  # raises where it is the database that is away
            log.warning("tiles of %s: %s", layer.id, error.what)  # drawn, or refused, when they are asked for
        took = time.monotonic() - begun
        course.done, course.not_before = version, time.monotonic() + REST * took
        if made:
            log.info("tiles of %s: %d that take long lie ready after %.1f s", layer.id, made, took)

    def _made(self, layer: Layer, version: Version) -> Iterator[int]:
        """Draws the tiles that take long for all who see the layer; how many files there are by now, again and again."""
        files = 0
        for roles in _alike(layer):
            waiting = deque(_first(layer))
            while waiting:
                z, x, y = waiting.popleft()
                if self.stop.is_set() or newest([layer.id])[layer.id] != version:
                    raise Superseded
                begun = time.monotonic()
                if _draw(layer.id, version, (z, y, x), roles):
                    files += len(roles)
                    waiting.extend(_quarters(layer, z, x, y))
                yield files
                self.stop.wait(min(time.monotonic() - begun, 5.0))  # others want an answer now


def _locked(cursor) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
    return cursor.fetchone()[0]


def _alike(layer: Layer) -> list[list[str]]:
    """The roles that see the layer, those together that see the same of it: no right narrows them, their columns are the same."""
    found: dict[tuple, list[str]] = {}
    for role in ROLES:
        if layer.readable_by(role):
            with as_caller(role, "") as identity:
                if layer.readable_by(identity.role):
                    seen = "" if identity.role == base(identity.role) else identity.role
                    found.setdefault((seen, tuple(layer.columns_for(identity.role))), []).append(role)
    return list(found.values())


def _first(layer: Layer) -> list[tuple[int, int, int]]:
    """The tiles of the layer's smallest zoom within the city."""
    z = layer.tiles.min_zoom
    return _within(z, *tile_grid.limits(GRID, z, catalog().city.extent)) if _is_prepared(layer, z) else []


def _quarters(layer: Layer, z: int, x: int, y: int) -> list[tuple[int, int, int]]:
    """The tiles of the next zoom in this one, within the city."""
    if not _is_prepared(layer, z + 1):
        return []
    west, east, north, south = tile_grid.limits(GRID, z + 1, catalog().city.extent)
    return _within(z + 1, max(west, 2 * x), min(east, 2 * x + 1), max(north, 2 * y), min(south, 2 * y + 1))


def _within(z: int, west: int, east: int, north: int, south: int) -> list[tuple[int, int, int]]:
    return [(z, x, y) for x in range(west, east + 1) for y in range(north, south + 1)]


def _is_prepared(layer: Layer, z: int) -> bool:
    """Whether tiles of this zoom are kept in files."""
    return z <= settings().prepared_zoom and z < layer.tiles.max_zoom


def _draw(layer_id: str, version: Version, place: tuple[int, int, int], roles: list[str]) -> bool:
    """Draw a tile as the first of the roles and keep it for all of them; whether it takes long."""
    first, *others = roles
    with as_caller(first, ""):
        one = tiles.provider(layer_id)
        wish, begun = one.wish(GRID, *place), time.perf_counter()
        answer = one.grant(wish, version, audited=False)
        slow = time.perf_counter() - begun > tile_store.SLOW_S or tile_store.has(version, layer_id, one.etag(wish, version))
        if not slow or answer.etag != one.etag(wish, version):
            return slow
    for role in others:
        with as_caller(role, "") as identity:
            one = tiles.provider(layer_id)
            etag = one.etag(one.wish(GRID, *place), version)
            if not tile_store.has(version, layer_id, etag):
                _require(identity.role, one)
                tile_store.put(version, layer_id, etag, answer.body, answer.n, answer.how)
    return True


def _require(role: str, provider: tiles.TileProvider) -> None:
    """Raises AccessDenied where the database does not let the role read what is in the tile: it has the last word, as ever."""
    names = (*provider.layer.key, *provider.columns, "fid", "geom")
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in dict.fromkeys(names))
    fetch(role, "", sql.SQL("SELECT {} FROM {} LIMIT 0").format(columns, select.relation(provider.layer, None)))
