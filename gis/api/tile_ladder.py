"""How a tile is drawn: the first of a fixed row of ways that fits into the bytes that it may have (docs/decisions/0180)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg2 import sql

from gis.access.identity import Identity
from gis.api import select, tile_grid, tile_sql
from gis.catalog.model import Layer
from gis.db import versions
from gis.db.connection import fetch

BUDGET = 500_000
"""Bytes of a tile at most, at any zoom."""
CELLS = 128
"""Cells per side of a tile whose points are gathered (layer file: tiles.thin_below): 4 px of 512."""
MOST = 8000
"""Lines and areas that are drawn one by one below the layer's largest zoom: more would not fit into a tile."""
GRID_PX = 2.0
"""The pixel grid (of 512) on which lines are merged."""
AREA_PX = 4.0
"""The cells (pixels of 512) of each of which the largest area alone is drawn, where all are too many."""


@dataclass(frozen=True)
class Rung:
    """One way to draw a tile, of those that follow each other from the whole to the least. `how` names it; `size`: pixels or cells,
    which the next rung doubles or halves; `most`: more features than that are another rung's business."""

    how: str
    size: float = 0.0
    most: int | None = None


def is_whole(layer: Layer, z: int) -> bool:
    """Whether tiles of this zoom hold everything where it fits."""
    return z >= (layer.tiles.thin_below or 0) if layer.dimension == 0 else z >= layer.tiles.max_zoom


def rungs(layer: Layer, z: int) -> Iterator[Rung]:
    """The ways to draw a tile of this zoom, each smaller than the one before; there is always one that fits.

    At the layer's largest zoom (points: from `thin_below` on) first everything, then everything without attributes; below it and after
    that points are gathered in ever larger cells, lines merged on an ever coarser grid, of areas the largest of ever larger cells drawn.
    """
    tiles = layer.tiles
    if is_whole(layer, z):
        yield Rung("")
        yield Rung("bare")
    elif layer.dimension:
        yield Rung("simplified", tiles.min_px if layer.dimension == 2 else 0.0, MOST)
    if layer.dimension == 0:
        yield from (Rung("gathered", CELLS >> i) for i in range(CELLS.bit_length()))
        return
    how, first = ("merged", GRID_PX) if layer.dimension == 1 else ("largest areas", AREA_PX)
    yield from (Rung(how, first * 2**i) for i in range(int(math.log2(4 * tile_grid.PIXELS / first)) + 1))


def statement_of(rung: Rung, wanted: select.Wanted, place: tile_grid.Tile, statement: select.Statement, *, named: bool) -> sql.Composable:
    """The statement of one rung. named: points keep their attributes where they are alone."""
    simplify = wanted.layer.tiles.simplify_px
    if rung.how == "gathered":
        return tile_sql.in_cells(wanted, place, statement, cells=int(rung.size), named=named)
    if rung.how == "merged":
        return tile_sql.merged(wanted, place, statement, grid_px=rung.size)
    if rung.how == "largest areas":
        return tile_sql.plain(wanted, place, statement, bare=True, cell_px=rung.size, simplify_px=simplify)
    if rung.how == "simplified":
        return tile_sql.plain(wanted, place, statement, least_px=rung.size, simplify_px=simplify, most=rung.most)
    one_by_one = tile_sql.plain if wanted.layer.dimension else tile_sql.points
    return one_by_one(wanted, place, statement, bare=rung.how == "bare")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A tile: its bytes, how many features are in it, how it is generalised (`Rung.how`, empty where nothing is left out), and the version
    of the layer that it was drawn from."""

    body: bytes
    n: int
    how: str
    version: versions.Version


_crowded: set[tuple[str, int]] = set()
"""Layers and zooms whose last tile had too many cells for texts: the next one is drawn without at once, and again where that was wrong."""


def drawn(identity: Identity, wanted: select.Wanted, place: tile_grid.Tile, budget: int = BUDGET) -> Drawn:
    """The first rung that fits into the budget."""
    ways, of = rungs(wanted.layer, place.z), (wanted.layer.id, place.z)
    rung, too_heavy = next(ways), False
    named = of not in _crowded
    while True:
        statement = select.Statement()
        query = versions.with_rows(statement_of(rung, wanted, place, statement, named=named))
        statement.parameters["version_of"] = wanted.layer.id
        # what is drawn one by one is found by the index, whatever the place; all else is planned for it
        kept = rung.how in ("", "bare")
        database, version, body, n, rows = fetch(identity.role, identity.user, query, statement.parameters, keep=kept)[0]
        many = rung.most is not None and rows > rung.most
        if rung.how == "gathered":
            few = n <= tile_sql.NAMED
            (_crowded.discard if few else _crowded.add)(of)
            if few and not named and not too_heavy:
                named = True
                continue
        if len(body) <= budget and not many:
            return Drawn(bytes(body), n, rung.how if n else "", (database, version))
        if rung.how == "gathered" and named and few:
            named, too_heavy = False, True  # the texts of points that are alone weigh more than the points
            continue
        # each rung halves a side: a tile four times too large needs two of them
        before, skipped = rung.how, max(0, math.ceil(math.log(len(body) / budget, 4)) - 1)
        rung = next(ways)
        for _ in range(skipped if rung.how == before else 0):
            rung = next(ways, rung)
