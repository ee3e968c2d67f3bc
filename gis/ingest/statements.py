"""The named SQL files of the road in (`gis/db/sql/ingest`), with a layer's tables and columns put in as identifiers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from psycopg2 import sql

import gis.db
from gis.catalog.model import Layer

_FOLDER = Path(gis.db.__file__).parent / "sql" / "ingest"


@lru_cache
def text(name: str) -> str:
    """The text of `gis/db/sql/ingest/<name>.sql`."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def statement(name: str, layer: Layer, **extra: sql.Composable) -> sql.Composed:
    """A named statement for one layer. Known in it: {core}, {history}, {stage} (or where else `extra` says that its rows are staged),
    {suspects}, {rejected}, {aside}; {columns} (the layer's own, in order);
    {staged_columns}, {core_columns} (the same with `s.` and `c.`); {all_columns} (with geom, fid, batch, recorded_from); {key} (text
    of a staged row's key); {own_key} (its columns); {same_key} (of `s` and `c`)."""
    names = list(layer.columns)
    known = {
        "core": sql.Identifier("core", layer.id),
        "history": sql.Identifier("history", layer.id),
        "stage": sql.Identifier("stage", layer.id),
        "suspects": sql.Identifier("pg_temp", f"suspects_{layer.id}"),
        "rejected": sql.Identifier(f"rejected_{layer.id}"),
        "aside": sql.Identifier(f"aside_{layer.id}"),
        "columns": _listed(names),
        "staged_columns": _listed(names, "s"),
        "core_columns": _listed(names, "c"),
        "all_columns": _listed([*names, "geom", "fid", "batch", "recorded_from"]),
        "key": key_text(layer, "s"),
        "own_key": _listed(list(layer.key), "s"),
        "same_key": sql.SQL(" AND ").join(sql.SQL("{} = {}").format(sql.Identifier("s", k), sql.Identifier("c", k)) for k in layer.key),
    }
    return sql.SQL(text(name)).format(**(known | extra))


def key_text(layer: Layer, alias: str) -> sql.Composed:
    """The feature id of a row: its key's values joined by `:`."""
    return sql.SQL("nullif(concat_ws(':', {}), '')").format(sql.SQL(", ").join(sql.Identifier(alias, k) for k in layer.key))


def _listed(names: list[str], alias: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, n) if alias else sql.Identifier(n) for n in names)
