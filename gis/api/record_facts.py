"""What the catalogue tells of the layers beyond their definition: how many features, where, when, how complete, of which version.

Features are counted with the caller's own rights, so that a count says no more than he could count himself; the counts are kept until
the layer changes.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from cachetools import TTLCache
from psycopg2 import sql

from gis.access.identity import Identity
from gis.catalog.model import Layer
from gis.db.connection import fetch
from gis.settings import settings

KEPT_S = 600
"""How long a count is kept where the layer does not change: rights may."""
_counted: TTLCache[tuple, Counted] = TTLCache(20_000, KEPT_S)
_lock = threading.Lock()


@dataclass(frozen=True)
class Counted:
    """The features of a layer that a caller may see: how many, their box (degrees), the days of their lives (None: endless)."""

    n: int
    box: tuple[float, float, float, float] | None
    first: dt.date | None
    last: dt.date | None


@dataclass(frozen=True)
class Facts:
    """What the batches say of a layer; nothing but the version where none was published."""

    created: dt.datetime | None = None
    updated: dt.datetime | None = None
    version: str = "0.0"
    batch: int | None = None
    delivered: dt.datetime | None = None


def facts(identity: Identity, layers: Iterable[str]) -> dict[str, Facts]:
    """The facts of these layers, as far as they were ever published and the caller's role reads them."""
    rows = fetch(identity.role, identity.user, sql.SQL("SELECT * FROM meta.layer_facts(%(layers)s)"), {"layers": list(layers)})
    return {name: Facts(*values) for name, *values in rows}


def counted(identity: Identity, layers: Iterable[Layer], known: dict[str, Facts]) -> dict[str, Counted]:
    """The counts of these layers (no rasters) for the caller; what did not change since it was counted is not counted again."""
    where = (settings().dsn, settings().home)
    keys = {layer.id: (where, identity, layer.id, known.get(layer.id, Facts()).version) for layer in layers if not layer.is_raster}
    with _lock:
        found = {name: _counted[key] for name, key in keys.items() if key in _counted}
    missing = [name for name in keys if name not in found]
    if missing:
        asked = sql.SQL(" UNION ALL ").join(_count(name) for name in missing)
        new = {row[0]: _read(row) for row in fetch(identity.role, identity.user, asked)}
        with _lock:
            _counted.update({keys[name]: value for name, value in new.items() if name in known})
        found |= new
    return found


def _count(layer: str) -> sql.Composable:
    return sql.SQL(
        "(SELECT {}, n, ST_XMin(box), ST_YMin(box), ST_XMax(box), ST_YMax(box), first, last"
        " FROM (SELECT count(*) AS n, ST_Extent(geom) AS box, min(coalesce(valid_from, '-infinity')) AS first,"
        " max(coalesce(valid_to, 'infinity')) AS last FROM {}) AS c)"
    ).format(sql.Literal(layer), sql.Identifier("pub", layer))


def _read(row: tuple) -> Counted:
    box = None if row[2] is None else tuple(round(value, 7) for value in row[2:6])
    first, last = (None if day in (None, dt.date.min, dt.date.max) else day for day in row[6:])
    return Counted(row[1], box, first, last)


def completeness(identity: Identity, layer: Layer) -> dict[str, float]:
    """The share of a layer's features, 0 to 1, that fill each column that the caller sees; empty where it has none."""
    columns = list(layer.columns_for(identity.role))
    filled = sql.SQL(", ").join(sql.SQL("count({})").format(sql.Identifier(name)) for name in columns)
    asked = sql.SQL("SELECT count(*), {} FROM {}").format(filled, sql.Identifier("pub", layer.id))
    ((n, *counts),) = fetch(identity.role, identity.user, asked)
    return {name: round(count / n, 4) for name, count in zip(columns, counts, strict=True)} if n else {}


def findings(identity: Identity, batch: int, layers: Iterable[str]) -> list[dict]:
    """The findings of a delivery in these layers, counted: {layer, code, level, n}."""
    asked = sql.SQL("SELECT layer, code, level, n FROM meta.findings_of(%(batch)s, %(layers)s)")
    rows = fetch(identity.role, identity.user, asked, {"batch": batch, "layers": list(layers)})
    return [dict(zip(("layer", "code", "level", "n"), row, strict=True)) for row in rows]
