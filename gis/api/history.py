"""One feature through time: every version that the platform believed, newest first, from when until when, and which batch made it so."""

from __future__ import annotations

import datetime as dt

from psycopg2 import sql

from gis.access import audit
from gis.access.identity import Identity, caller
from gis.api import boxes, select
from gis.api.feature_rows import feature_rows
from gis.catalog import quote
from gis.catalog.model import Column, Layer
from gis.db.connection import fetch
from gis.errors import InputError, NotFound

MOST = 1000
"""Versions that are told; a feature that was changed more often is asked for with as-of."""

_BATCHES = sql.SQL("SELECT recorded_at, batch, kind, source, operator FROM meta.batches_at({}, {})")


def is_asked(value: str | None) -> bool:
    """What the parameter `history` means. Raises InputError for anything but true and false."""
    if value in (None, "false"):
        return False
    if value == "true":
        return True
    raise InputError(f"{value[:40]!r} is neither true nor false", where="history", remedy="Write history=true")


def versions(layer: Layer, columns: dict[str, Column], identifier: str, target: boxes.Target) -> dict:
    """The versions of the feature with this id as a feature collection: each a feature with `recorded` {from, to, by, superseded_by}; to is
    null for what is believed now. by, superseded_by: {batch, kind}, with source and operator for whom they are. A feature that was
    deleted has versions too. Raises NotFound where there never was one."""
    identity = caller.get()
    rows = feature_rows(layer, tuple(columns), target)
    statement = select.Statement()
    named = None if "\0" in identifier else select.is_named(layer, columns, identifier, statement)
    found = []
    if named is not None:
        composed = sql.SQL(
            "SELECT {read}, f.recorded_from, f.recorded_to FROM (SELECT {names}, recorded_from, recorded_to FROM {past}"
            " WHERE ({named}) AND {seen} ORDER BY recorded_from DESC LIMIT {most}) AS f ORDER BY f.recorded_from DESC"
        ).format(
            read=rows.columns,
            names=sql.SQL(quote.names((*columns, "geom"))),
            past=sql.Identifier("pub", f"{layer.id}_history"),
            named=named,
            seen=select.condition(select.Wanted(layer, columns), statement),
            most=sql.Literal(MOST),
        )
        found = fetch(identity.role, identity.user, composed, statement.parameters)
    if not found:
        raise NotFound("No such feature")
    audit.record_access(identity, "history", layer, n=len(found), id=identifier[:200])
    batches = _batches(identity, layer, {at for row in found for at in row[-2:] if at is not None})
    features = [
        feature | {"recorded": _recorded(*row[-2:], batches)} for feature, row in zip(rows.features(found), found, strict=True)
    ]  # fmt: skip
    return {"type": "FeatureCollection", "features": features, "numberMatched": len(features), "numberReturned": len(features)}


def steps(features: list[dict]) -> list[dict]:
    """Versions of a feature, newest first, each with what it changed of the one before: {recorded, first, moved, changes: [(name, before,
    after)]}; `first` for the oldest that is known, which changes nothing."""
    told = []
    for after, before in zip(features, [*features[1:], None], strict=True):
        step = {"recorded": after["recorded"], "first": before is None, "moved": False, "changes": []}
        if before is not None:
            was, now = before["properties"], after["properties"]
            step["moved"] = before["geometry"] != after["geometry"]
            step["changes"] = [(name, was.get(name), value) for name, value in now.items() if was.get(name) != value]
        told.append(step)
    return told


def _batches(identity: Identity, layer: Layer, moments: set[dt.datetime]) -> dict[dt.datetime, dict]:
    statement = select.Statement()
    asked = _BATCHES.format(sql.Literal(layer.id), statement.bind(sorted(moments), "timestamptz[]"))
    told = fetch(identity.role, identity.user, asked, statement.parameters)
    return {
        at: {"batch": batch, "kind": kind} | {name: said for name, said in (("source", source), ("operator", operator)) if said is not None}
        for at, batch, kind, source, operator in told
    }


def _recorded(first: dt.datetime, last: dt.datetime | None, batches: dict[dt.datetime, dict]) -> dict:
    return {"from": _written(first), "to": _written(last), "by": batches.get(first), "superseded_by": batches.get(last)}


def _written(at: dt.datetime | None) -> str | None:
    return None if at is None else at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
