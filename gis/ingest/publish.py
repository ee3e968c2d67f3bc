"""From the stage into `core`, what was believed before into `history`: one transaction for all layers of a delivery."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from psycopg2 import sql

from gis.catalog.model import Layer
from gis.ingest import changes
from gis.ingest.statements import key_text, statement, text


@dataclass
class Outcome:
    """What one delivery did to one layer (and scope, where the layer has one)."""

    layer: str
    scope: str | None
    rows_read: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    inserted: int = 0
    updated: int = 0
    retired: int = 0
    unchanged: int = 0
    conflicts: int = 0
    """Rows that were not overwritten because somebody had changed them since the delivery was cut."""


def publish(
    cursor, layer: Layer, *, batch: int, mode: str, recorded_at: dt.datetime, scopes: list[str], cut: dt.datetime | None = None
) -> dict[str, int]:
    """Brings one layer's core to what its stage says, within the caller's transaction; the counts {new, changed, gone, same, kept}.

    Rejected rows are not in the stage but in the temporary table `aside_<layer>`. mode replace: rows of the delivered scopes that the
    delivery does not have are retired, but not those that changed after `cut`; append and update: only those are retired that a change
    set names. Rows that do not differ are not touched. What is retired stands in the temporary table `retired_<layer>` until the end.
    """
    bound = {"batch": batch, "recorded_at": recorded_at, "scopes": scopes, "layer": layer.id}
    if _is_empty(cursor, layer):
        return {"new": _first(cursor, layer, bound)}
    replacing = mode == "replace"
    scoped = sql.SQL("{} = ANY (%(scopes)s)").format(sql.Identifier(layer.scope)) if layer.scope else sql.SQL("true")
    cursor.execute(
        statement("diff", layer, join=sql.SQL("FULL" if replacing else "LEFT"), in_scope=scoped if replacing else sql.SQL("true")), bound
    )
    cursor.execute("ANALYZE diff")
    if replacing:
        cursor.execute(statement("keep_rejected_keys", layer, key=key_text(layer, "c")), bound)
        if cut is not None:
            changes.keep_changed_since(cursor, layer, batch, cut)
    before = changes.retire(cursor, layer)
    cursor.execute(text("counts"))
    counts = dict(cursor.fetchall())
    counts["same"] = counts.get("same", 0) + before
    if counts.get("gone"):
        cursor.execute(statement("retired_rows", layer, retired=sql.Identifier("pg_temp", f"retired_{layer.id}")))
    superseded = [what for what in ("changed", "gone") if counts.get(what)]
    if superseded:
        cursor.execute(statement("history_from_core", layer), bound | {"what": superseded})
    for what, name in (("gone", "delete_gone"), ("changed", "update_changed"), ("new", "insert_new")):
        if counts.get(what):
            cursor.execute(statement(name, layer), bound)
    cursor.execute("DROP TABLE diff")
    return counts


def _is_empty(cursor, layer: Layer) -> bool:
    cursor.execute(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(sql.Identifier("core", layer.id)))
    return cursor.fetchone()[0]


def _first(cursor, layer: Layer, bound: dict) -> int:
    """Fills an empty core."""
    cursor.execute(statement("insert_all", layer), bound)
    return cursor.rowcount
