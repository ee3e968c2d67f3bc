"""Tiles of a set of layers in one file (PMTiles version 3), for machines that are not in the network: the tiles that a role is served."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from gis.access import audit, rights
from gis.access.identity import Identity, caller
from gis.access.roles import is_restricted
from gis.api import select, tile_grid, tile_sets, tile_sql, tiles
from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.db.connection import fetch
from gis.db.versions import newest
from gis.errors import InputError, NotFound
from gis.settings import settings

GRID = "WebMercatorQuad"
MOST_AT_ONCE = 8
Progress = Callable[[str, int, int | None], None]


@contextmanager
def as_caller(role: str, user: str) -> Iterator[Identity]:
    """Within it whatever asks who asks is told this role."""
    identity = Identity(user, rights.role_of(user, role))
    token = caller.set(identity)
    try:
        yield identity
    finally:
        caller.reset(token)


def layers_for(role: str, names: list[str]) -> tuple[Layer, ...]:
    """The vector layers with these names, groups among them, as the role sees them. Raises InputError for those that it may not see:
    a file that leaves a layer out in silence is taken for the whole."""
    known = tile_sets.groups()
    seen = {layer.id: layer for _, layers in known.values() for layer in layers}
    wanted: dict[str, Layer] = {}
    for name in names:
        if name in known and name not in seen:
            wanted |= {layer.id: layer for layer in known[name][1]}
        elif name in seen:
            wanted[name] = seen[name]
        elif name in catalog().layers and catalog().layers[name].is_raster:
            raise InputError(f"{name} is a raster: its file is its tiles", where="layers", remedy="Copy the GeoTIFF")
        elif name in catalog().layers:
            raise InputError(f"the role {role} may not see {name}", where="layers", remedy="Say by --role for whom the file is")
        else:
            raise NotFound(f"no layer or group {name!r}", remedy="See `onemap layers list`")
    return tuple(wanted.values())


def places(layers: tuple[Layer, ...], first: int, last: int) -> list[tuple[int, int, int]]:
    """(z, x, y) of all tiles within the city and the zooms of the layers, in the order of the archive."""
    found = []
    for z in range(max(first, min(layer.tiles.min_zoom for layer in layers)), min(last, max(la.tiles.max_zoom for la in layers)) + 1):
        west, east, north, south = tile_grid.limits(GRID, z, catalog().city.extent)
        found += [(z, x, y) for x in range(west, east + 1) for y in range(north, south + 1)]
    return sorted(found, key=lambda place: zxy_to_tileid(*place))


def export(
    out: Path, names: list[str], *, role: str, user: str = "", first: int = 0, last: int = 16, progress: Progress = lambda *_: None
) -> dict:
    """Write the archive and say what is in it: {layers, tiles, bytes, generalised, role}. The same data give the same bytes.

    It stands under its name only when it is whole. Restricted layers are entered in the audit, once each. Raises InputError, NotFound.
    """
    with as_caller(role, user) as identity:
        layers = layers_for(role, names)
        if not layers:
            raise InputError("no layers are named", where="layers")
        wanted = places(layers, first, last)
        with tempfile.NamedTemporaryFile(dir=out.parent, delete=False) as file:
            try:
                counted = _written(Writer(file), layers, wanted, role, progress)
                file.flush()
                os.chmod(file.name, 0o600 if any(map(is_restricted, layers)) else 0o644)
                os.replace(file.name, out)
            except BaseException:
                os.unlink(file.name)
                raise
        for layer in layers:
            audit.record_access(identity, "tile export", layer, n=counted["tiles"], file=out.name, zooms=f"{first}-{last}")
    return {"layers": [layer.id for layer in layers], **counted, "bytes": out.stat().st_size, "role": role}


class Ground:
    """Where there is anything of a layer, as the caller sees it: asked of the index at a few zooms, so that the many tiles of a county in
    which a layer has nothing are not drawn one by one."""

    ASKED_AT = (11, 13, 15)

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, int], bool] = {}

    def holds(self, layer: Layer, z: int, x: int, y: int) -> bool:
        """Whether there may be something of the layer in a tile; the buffer of a tile lies within that of each tile above it."""
        for above in self.ASKED_AT:
            if above > z:
                break
            place = (layer.id, above, x >> (z - above), y >> (z - above))
            if place not in self._known:
                self._known[place] = self._asked(layer, *place[1:])
            if not self._known[place]:
                return False
        return True

    def _asked(self, layer: Layer, z: int, x: int, y: int) -> bool:
        statement, who = select.Statement(), caller.get()
        query = tile_sql.anything(select.Wanted(layer, {}), tile_grid.tile(GRID, z, y, x), statement)
        return fetch(who.role, who.user, query, statement.parameters)[0][0]


def _drawn(layers: tuple[Layer, ...], ground: Ground, z: int, x: int, y: int) -> tuple[bytes, str]:
    """A tile as it stands in the archive, and how it is generalised; b"" where there is nothing."""
    inside = tuple(la for la in layers if la.tiles.min_zoom <= z <= la.tiles.max_zoom and ground.holds(la, z, x, y))
    if not inside:
        return b"", ""
    answer = tile_sets.tile(inside, GRID, z, y, x, audited=False)
    return gzip.compress(answer.body, 9, mtime=0) if answer.body else b"", answer.how


def _in_order(layers: tuple[Layer, ...], wanted: list[tuple[int, int, int]]) -> Iterator[tuple[tuple[int, int, int], bytes, str]]:
    """(place, tile, how) of all that are wanted, in their order; as many at a time as there are processors, each with a connection."""
    ground, at_once = Ground(), max(1, min(os.cpu_count() or 1, settings().pool_size, MOST_AT_ONCE))
    with ThreadPoolExecutor(at_once, thread_name_prefix="tiles") as threads:
        waiting: deque = deque()
        for place in wanted:
            waiting.append((place, threads.submit(copy_context().run, _drawn, layers, ground, *place)))
            if len(waiting) > 8 * at_once:
                done, future = waiting.popleft()
                yield done, *future.result()
        for done, future in waiting:
            yield done, *future.result()


def _written(writer: Writer, layers: tuple[Layer, ...], wanted: list[tuple[int, int, int]], role: str, progress: Progress) -> dict:
    tiles, generalised, zooms = 0, 0, []
    for i, (place, body, how) in enumerate(_in_order(layers, wanted)):
        if body:
            writer.write_tile(zxy_to_tileid(*place), body)
            tiles, generalised = tiles + 1, generalised + bool(how)
            zooms.append(place[0])
        progress("tiles", i + 1, len(wanted))
    if not tiles:
        raise InputError("there is nothing in these layers at these zooms", where="layers")
    described = tile_sets.tilejson(layers, GRID, f"{catalog().city.name.zh}一张图", "tiles", "")
    metadata = {
        "name": described["name"], "format": "pbf", "type": "overlay", "vector_layers": described["vector_layers"],
        "attribution": f"{catalog().city.name.zh} One Map", "onemap:role": role, "onemap:labels": {la.id: la.access.label for la in layers},
        "onemap:generalised": "below the largest zoom of a layer; features that stand for several have a `count`",
    }  # fmt: skip
    west, south, east, north = (round(value * 1e7) for value in catalog().city.extent)
    lon, lat = (round(value * 1e7) for value in catalog().city.center)
    writer.finalize(
        {
            "tile_type": TileType.MVT, "tile_compression": Compression.GZIP, "min_lon_e7": west, "min_lat_e7": south, "max_lon_e7": east,
            "max_lat_e7": north, "center_zoom": min(zooms), "center_lon_e7": lon, "center_lat_e7": lat,
        },
        metadata,
    )  # fmt: skip
    return {"tiles": tiles, "generalised": generalised}


def prepare(names: list[str], *, role: str, user: str = "", last: int = 13, progress: Progress = lambda *_: None) -> int:
    """Make the coarse tiles of the layers, so that nobody waits for them after a load; how many there are. Those that take long are
    kept (`gis.api.tile_store`)."""
    with as_caller(role, user):
        layers = layers_for(role, names)
        work = [(layer, place) for layer in layers for place in places((layer,), 0, last)]
        for i, (layer, (z, x, y)) in enumerate(work):
            one = tiles.provider(layer.id)
            one.grant(one.wish(GRID, z, y, x), newest([layer.id])[layer.id], audited=False)
            progress("tiles", i + 1, len(work))
    return len(work)
