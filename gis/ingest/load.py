"""The load: a delivery of one or several layers, from its sources to `core`, all or nothing.

Stage and findings are written in transactions of their own, so that the findings of a refused delivery survive it; `core` and `history`
change in one. A process that dies leaves the old rows published; the next load marks its batch as failed.
"""

from __future__ import annotations

import datetime as dt
import getpass
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

from gis.db.connection import owner, translated
from gis.errors import InputError, NotFound, OneMapError, StoreError
from gis.ingest import changes, direct, frames, sources
from gis.ingest.changes import Changes
from gis.ingest.cluster import connected
from gis.ingest.delivery import Delivery, LoadResult, Progress, Rejected, silent
from gis.ingest.findings import Findings
from gis.ingest.read import open_source
from gis.ingest.run import Run
from gis.ingest.statements import text

if TYPE_CHECKING:
    import geopandas

__all__ = ["MODES", "Delivery", "LoadResult", "Progress", "Rejected", "load", "load_files", "load_frames", "silent"]

MODES = ("replace", "append", "update")
LAYER_LOCK, BATCH_LOCK = 0x4F4D4C, 0x4F4D42
"""Classes of the advisory locks: one per layer, one per running batch."""
_WAIT_S = 10.0


def load_files(
    catalog,
    layer_id: str,
    paths: Iterable[Path | str],
    *,
    mode: str = "replace",
    crs: str | int | None = None,
    encoding: str | None = None,
    source_layer: str | None = None,
    scope: str | None = None,
    constants: dict[str, object] | None = None,
    names: dict[str, str] | None = None,
    operator: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
    workers: int | None = None,
    cluster: str | None = None,
    operation: str | None = None,
    cut: str | None = None,
    version: str | None = None,
) -> LoadResult:
    """Loads files into one layer. `scope` is the value of the layer's scope column (a network's name) for all rows.

    operation, version: the source columns with the operation of each row and the batch that it was exported with; cut: a batch's number, a
    day or a moment, after which changes by others are conflicts (`gis.ingest.changes`). workers, cluster: see `load`.

    Raises SourceError (unreadable), InputError (no such mode, layer ambiguous), Rejected (findings too grave), StoreError.
    """
    layer = catalog.layer(layer_id)
    if layer.is_raster:
        raise InputError(f"{layer_id} is a raster layer", remedy=f"Use `onemap load raster {layer_id} FILE.tif`")
    constants = dict(constants or {})
    if scope is not None:
        if layer.scope is None:
            raise InputError(f"the layer {layer_id} is not split into scopes", remedy="Leave --network out")
        constants[layer.scope] = scope
    unknown = [name for name in (*constants, *(names or {})) if name not in layer.columns]
    if unknown:
        raise NotFound(f"the layer {layer_id} has no field {unknown[0]!r}", remedy=f"It has: {', '.join(layer.columns)}")
    opened = [open_source(path, layer, encoding=encoding, crs=crs, source_layer=source_layer) for path in paths]
    if not opened:
        raise InputError("no source was named", remedy="Name one or several files")
    delivery = Delivery(layer, opened, constants, dict(names or {}), extent=catalog.city.extent)
    delivery.changes = Changes(operation, _moment(cut), version)
    if operation is not None and mode != "update":
        raise InputError(f"a change set is no delivery for mode {mode}", remedy="Give --mode update")
    return load([delivery], mode=mode, operator=operator, dry_run=dry_run, progress=progress, workers=workers, cluster=cluster)


def _moment(cut: str | None) -> dt.datetime | None:
    if cut is None:
        return None
    with owner() as connection, connection.cursor() as cursor:
        return changes.moment(cursor, cut)


def load_frames(
    catalog,
    layers: dict[str, geopandas.GeoDataFrame],
    *,
    name: str,
    files: Iterable[Path] = (),
    findings: Findings | None = None,
    mode: str = "replace",
    operator: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
    extent: tuple[float, float, float, float] | None = None,
    scope: str | None = None,
) -> LoadResult:
    """Loads frames (layer id → GeoDataFrame with the layer's columns and a CRS) as one delivery named `name`, made from `files`.

    scope: what all rows belong to (a network's name); an empty frame then says that the scope has no such rows any more.
    """
    deliveries = []
    for layer_id, frame in layers.items():
        layer = catalog.layer(layer_id)
        opened = frames.source(frame if len(frame) else frames.empty(layer), layer, name, files)
        scopes = (scope,) if scope is not None and layer.scope else ()
        deliveries.append(Delivery(layer, [opened], {layer.scope: scope} if scopes else {}, extent=extent, scopes=scopes))
    if deliveries and findings is not None:
        deliveries[0].findings = findings
        for delivery in deliveries:
            delivery.judged = True
    return load(deliveries, mode=mode, operator=operator, dry_run=dry_run, progress=progress)


def load(
    deliveries: Sequence[Delivery],
    *,
    mode: str = "replace",
    operator: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
    workers: int | None = None,
    cluster: str | None = None,
) -> LoadResult:
    """Loads a delivery of one or several layers as one batch: all of them, or nothing.

    workers: how many threads and connections a large source is read, copied and indexed with (as many as there are cores, at most 4).
    cluster: the address of a Dask scheduler whose workers map and check the rows.

    Rows that an error rejects are kept in `meta.reject`; the rest is loaded unless too many are rejected or a finding is fatal.
    dry_run: everything is done and then undone; batch, findings and rejects stay. Raises Rejected with the findings' counts.
    """
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}", remedy=f"One of {', '.join(MODES)}")
    files = [sources.digest(path) for path in dict.fromkeys(p for d in deliveries for s in d.sources for p in s.parts)]
    with owner() as connection, connection.cursor() as cursor:
        lock(cursor, sorted(d.layer.id for d in deliveries), progress)
        name = ", ".join(dict.fromkeys(s.name for d in deliveries for s in d.sources))
        batch = begin(cursor, name, files, mode, operator, [d.layer.id for d in deliveries])
        connection.commit()
        with _failing(connection, batch), connected(cluster) as far:
            return Run(connection, cursor, batch, deliveries, mode, dry_run, progress, files, workers or default_workers(), far).run()


def default_workers() -> int:
    """A thread per core, at most four: the server works as well."""
    return min(4, os.cpu_count() or 1)


def lock(cursor, layers: list[str], progress: Progress) -> None:
    """One load per layer at a time. Raises StoreError when another one has not finished after ten seconds."""
    until = time.monotonic() + _WAIT_S
    while True:
        cursor.execute(text("lock_layers"), {"layers": layers, "class": LAYER_LOCK})
        busy = [row[0] for row in cursor.fetchall()]
        if not busy:
            return
        if time.monotonic() > until:
            raise StoreError(f"another load of {', '.join(busy)} is running", remedy="Wait until it has finished, then load again")
        progress(f"waiting for another load of {', '.join(busy)}", 0, None)
        time.sleep(1)


def begin(cursor, name: str, files: list[sources.Kept], mode: str, operator: str | None, layers: Sequence[str] = ()) -> int:
    """Opens a batch of these layers (already locked), and clears up after processes that died."""
    cursor.execute(
        "INSERT INTO meta.batch (source, sha256, bytes, operator, mode) VALUES (%s, %s, %s, %s, %s) RETURNING id",
        (name[:500], sources.digest_of(files) if files else None, sum(f.bytes for f in files), operator or _operator(), mode),
    )
    batch = cursor.fetchone()[0]
    cursor.execute("SELECT pg_advisory_lock(%s, %s)", (BATCH_LOCK, batch % 2147483647))
    cursor.execute(text("fail_dead_batches"), {"batch": batch, "class": BATCH_LOCK})
    if cursor.rowcount:
        cursor.execute(text("abandoned_stages"), {"mine": list(layers), "class": LAYER_LOCK})
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("stage", table)))
            direct.drop(cursor, table)
    return batch


def begin_rollback(cursor, of: int, operator: str | None) -> int:
    """Opens the batch that takes batch `of` back."""
    cursor.execute(
        "INSERT INTO meta.batch (kind, source, operator, rollback_of)"
        " SELECT 'rollback', source, %s, id FROM meta.batch WHERE id = %s RETURNING id",
        (operator or _operator(), of),
    )
    return cursor.fetchone()[0]


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


@contextmanager
def _failing(connection, batch: int) -> Iterator[None]:
    """Whatever goes wrong, the batch says so; the failure goes on."""
    try:
        yield
    except Rejected:
        raise
    except BaseException as error:
        named = translated(error) if isinstance(error, psycopg2.Error) else error
        message = str(named) if isinstance(named, OneMapError) else type(named).__name__
        try:
            connection.rollback()
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE meta.batch SET status = 'failed', finished_at = clock_timestamp(), message = %s WHERE id = %s",
                    (message[:1000], batch),
                )
            connection.commit()
        except psycopg2.Error:
            pass  # the connection is gone: the next load marks the batch
        raise
