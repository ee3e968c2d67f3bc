"""Taking a batch back: what it put into `core` goes to history, what it superseded is believed again; nothing published is forgotten."""

from __future__ import annotations

import time

from gis.catalog.model import Catalog, Layer
from gis.db.connection import owner
from gis.errors import InputError, NotFound
from gis.ingest import rasters
from gis.ingest.load import LoadResult, begin_rollback, lock, silent
from gis.ingest.publish import Outcome
from gis.ingest.statements import statement, text


def rollback(catalog: Catalog, batch: int, *, operator: str | None = None, progress=silent) -> LoadResult:
    """Undoes a published batch as a batch of its own, in one transaction over all its layers.

    Raises NotFound (no such batch), InputError (not published, itself a rollback, already taken back, or changed by later batches,
    which are named), StoreError.
    """
    begun = time.monotonic()
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT layer, scope FROM meta.batch_layer WHERE batch = %s ORDER BY layer, scope", (batch,))
        touched = cursor.fetchall()
        layers = [catalog.layer(name) for name in dict.fromkeys(name for name, _ in touched)]
        lock(cursor, sorted(layer.id for layer in layers), progress)
        superseded_at = _require_undoable(cursor, batch, layers)
        undo = begin_rollback(cursor, batch, operator)
        cursor.execute(text("record_batch"), {"batch": undo})
        bound = {"of": batch, "recorded_at": cursor.fetchone()[0], "superseded_at": superseded_at}
        outcomes = []
        for layer in layers:
            progress(f"taking back {layer.id}", 0, None)
            if layer.is_raster:
                retired, back = rasters.take_back(cursor, layer.id, batch)
                outcomes.append(Outcome(layer.id, None, back, back, 0, inserted=back, retired=retired))
                continue
            cursor.execute(statement("rollback_to_history", layer), bound)
            retired = cursor.rowcount
            cursor.execute(statement("rollback_to_core", layer), bound)
            back = cursor.rowcount
            scope = next(scope for name, scope in touched if name == layer.id)
            outcomes.append(Outcome(layer.id, scope, back, back, 0, inserted=back, retired=retired))
        for outcome in outcomes:
            cursor.execute(text("batch_layers"), {"batch": undo} | vars(outcome))
        cursor.execute("UPDATE meta.batch SET rolled_back_by = %s WHERE id = %s", (undo, batch))
        rows = sum(o.inserted for o in outcomes)
        connection.commit()
        rasters.settle(cursor, [layer.id for layer in layers if layer.is_raster])
    return LoadResult(undo, rows, rows, 0, {}, time.monotonic() - begun, "published", outcomes)


def _require_undoable(cursor, batch: int, layers: list[Layer]):
    """The moment of a batch that can be taken back; else the reason why not. Later batches stand in the way of an edit only where they
    touched its features."""
    cursor.execute("SELECT kind, status, rolled_back_by, recorded_at FROM meta.batch WHERE id = %s FOR UPDATE", (batch,))
    row = cursor.fetchone()
    if row is None:
        raise NotFound(f"no batch {batch}", remedy="See `onemap batches`")
    kind, status, rolled_back_by, recorded_at = row
    if kind == "rollback":
        raise InputError(f"batch {batch} is itself a rollback", remedy="Load the delivery again")
    if rolled_back_by is not None:
        raise InputError(f"batch {batch} was already taken back by batch {rolled_back_by}", remedy="Nothing is to be done")
    if status != "published":
        raise InputError(f"batch {batch} was never published (it is {status})", remedy="Nothing is to be done")
    cursor.execute(text("rollback_blockers"), {"batch": batch})
    later = [str(number) for number, at in cursor.fetchall() if kind != "edit" or _touched(cursor, layers, recorded_at, at)]
    if later:
        raise InputError(
            f"later batches changed the same rows: {', '.join(later)}",
            remedy=f"Take them back first, the latest ({later[-1]}) before the others",
        )
    return recorded_at


def _touched(cursor, layers: list[Layer], at, later) -> bool:
    """Whether the batch of the moment `later` touched a feature that the batch of the moment `at` touched."""
    for layer in layers:
        cursor.execute(statement("rollback_touched", layer), {"at": at, "later": later})
        if cursor.fetchone()[0]:
            return True
    return False
