"""Which features of a layer a filter picks, for the role of a store."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from psycopg2 import sql

from gis.db import cql2
from gis.db.connection import translating
from gis.errors import InputError, NotFound

if TYPE_CHECKING:
    from gis.db.store import Store


def fids(store: Store, layer_id: str, filter: str | dict | None = None, *, day: dt.date | None = None) -> list[int]:
    """The numbers (`fid`), in order, of the features that a CQL2 filter picks among those in service on a day.

    Raises NotFound for a layer that does not exist for the store's role, InputError for a filter not understood.
    """
    if not store.can_read(layer_id):
        raise NotFound(f"no layer {layer_id[:60]!r}", remedy="See `onemap layers list`")
    layer = store.catalog.layers[layer_id]
    if layer.is_raster:
        raise InputError(f"{layer_id} is a raster; it has no features")
    conditions, params = [], {}
    if filter is not None:
        condition, params = cql2.where(filter, layer, set(layer.columns_for(store.role)))
        conditions.append(condition)
    if day is not None:
        params["day"] = day
        in_service = "(valid_from IS NULL OR valid_from <= %(day)s) AND (valid_to IS NULL OR valid_to > %(day)s)"
        conditions.append(sql.SQL(in_service))
    query = sql.SQL("SELECT fid FROM {} WHERE {} ORDER BY fid").format(
        sql.Identifier("pub", layer_id), sql.SQL(" AND ").join([sql.SQL("TRUE"), *conditions])
    )
    with translating(), store.connection.cursor() as cursor:
        cursor.execute(query, params)
        return [row[0] for row in cursor]
