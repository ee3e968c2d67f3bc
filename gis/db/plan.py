"""The layer files against the database: what differs, and what of it may be done without asking.

What only adds (tables, columns, indexes) or replaces (views, comments, grants) is applied; what would destroy is
refused, because
a numbered migration has to say what becomes of the rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import psycopg2.extensions
from psycopg2 import sql

from gis.catalog import ddl, quote
from gis.catalog.model import Catalog, Layer
from gis.db.connection import owner
from gis.errors import StoreError

SQL_TYPES = {
    "text": "text", "code": "text", "int": "bigint", "real": "double precision", "bool": "boolean", "date": "date",
    "timestamp": "timestamp with time zone", "texts": "text[]",
}  # fmt: skip
"""Types of fields as PostgreSQL prints them."""

PARTS = ("views", "indexes", "comments", "grants")
"""What is replaced as a whole when its text in the definition changes, in the order of applying."""

LOCK = 0x4F4E454C41


@dataclass(frozen=True)
class Change:
    """One difference. `sql`: the statements that remove it; empty where it destroys."""

    kind: Literal["adds", "replaces", "destroys"]
    layer: str
    text: str
    sql: tuple[str, ...] = ()

    def as_dict(self) -> dict:
        return {"kind": self.kind, "layer": self.layer, "text": self.text}


@dataclass(frozen=True)
class _Table:
    """A table as the database has it: columns with their types, the required ones, its key."""

    columns: dict[str, str]
    required: frozenset[str]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...]
    """Schema and name of the indexes on it and its history that are not its key's."""


# --- what differs -----------------------------------------------------------------------------------------------------


def plan(catalog: Catalog) -> list[Change]:
    """Every difference between the layer files and the database, in the order in which they are removed."""
    with owner() as connection:
        return _plan(connection, catalog)


def apply(catalog: Catalog) -> list[Change]:
    """Do what adds and replaces, in one transaction; the changes made.

    Raises StoreError, with nothing done, where a change would destroy.
    """
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        changes = _plan(connection, catalog)
        refused = [change for change in changes if change.kind == "destroys"]
        if refused:
            raise StoreError(
                "The layer files no longer fit the database: " + "; ".join(change.text for change in refused),
                remedy="Nothing was changed. Write a numbered migration that says what becomes of the rows",
            )
        for change in changes:
            for statement in change.sql:
                cursor.execute(statement)
        _remember(cursor, catalog)
        return changes


def _plan(connection: psycopg2.extensions.connection, catalog: Catalog) -> list[Change]:
    layers = {name: layer for name, layer in catalog.layers.items() if not layer.is_raster}
    tables, digests = _tables(connection), _digests(connection)
    changes: list[Change] = []
    for layer in layers.values():
        table = tables.get(("core", layer.id))
        if table is None:
            changes.append(Change("adds", layer.id, f"{layer.id}: new layer", _all_statements(layer)))
            continue
        differences = list(_columns(connection, layer, table)) + list(_key(layer, table))
        changes += differences
        changes += _parts(layer, table, digests, force=bool(differences))
    for schema, name in tables:
        if schema == "core" and name not in layers:
            changes.append(Change("destroys", name, f"{name}: the table has no layer file any more"))
    return changes


def _all_statements(layer: Layer) -> tuple[str, ...]:
    return tuple(ddl.statements(layer))


def _statements(layer: Layer, part: str) -> list[str]:
    visitors = {"views": ddl.views, "indexes": ddl.indexes, "comments": ddl.comments, "grants": ddl.grants}
    return visitors[part](layer)


def _columns(connection: psycopg2.extensions.connection, layer: Layer, table: _Table) -> Iterable[Change]:
    wanted = {name: SQL_TYPES[column.type] for name, column in layer.columns.items()}
    wanted["geom"] = f"geometry({layer.geometry},4490)"
    for name, kind in wanted.items():
        have = table.columns.get(name)
        if have is None:
            yield _added(connection, layer, name, kind)
        elif have.lower() != kind.lower():
            yield Change("destroys", layer.id, f"{layer.id}.{name}: {have} in the database, {kind} in the layer file")
    for name in table.columns:
        if name not in wanted and name not in SYSTEM_COLUMNS:
            yield Change("destroys", layer.id, f"{layer.id}.{name}: the column is no longer in the layer file")
    yield from _requirements(connection, layer, table)


def _requirements(connection: psycopg2.extensions.connection, layer: Layer, table: _Table) -> Iterable[Change]:
    """Columns that became required, or are no longer."""
    for name, column in layer.columns.items():
        if name not in table.columns or name in layer.key or column.required == (name in table.required):
            continue
        alter = f"ALTER TABLE {{}} ALTER COLUMN {{}} {'SET' if column.required else 'DROP'} NOT NULL"
        statement = _sql(alter, ("core", layer.id), name)
        if not column.required:
            yield Change("replaces", layer.id, f"{layer.id}.{name}: no longer required", (statement,))
        elif _has_rows(connection, layer.id, without=name):
            yield Change("destroys", layer.id, f"{layer.id}.{name}: now required, but rows have no value for it")
        else:
            yield Change("adds", layer.id, f"{layer.id}.{name}: now required", (statement,))


def _added(connection: psycopg2.extensions.connection, layer: Layer, name: str, kind: str) -> Change:
    column = layer.columns.get(name)
    if column and column.required and column.default is None and _has_rows(connection, layer.id):
        return Change(
            "destroys",
            layer.id,
            f"{layer.id}.{name}: new and required, but the rows that are there have no value for it",
        )
    statements = []
    for schema in ("core", "history", "stage"):
        text = _sql("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} ", (schema, layer.id), name) + kind
        if column and schema != "stage" and column.default is not None:
            text += " DEFAULT " + quote.literal(column.default)
        if column and schema == "core" and column.required:
            text += " NOT NULL"
        statements.append(text)
    return Change("adds", layer.id, f"{layer.id}.{name}: new column", tuple(statements))


def _sql(template: str, *names: str | tuple[str, ...]) -> str:
    """The statement with its names quoted."""
    return template.format(*(quote.name(*part) if isinstance(part, tuple) else quote.name(part) for part in names))


def _key(layer: Layer, table: _Table) -> Iterable[Change]:
    if table.key != layer.key:
        have, want = ", ".join(table.key), ", ".join(layer.key)
        yield Change("destroys", layer.id, f"{layer.id}: the key is ({have}) in the database, ({want}) in the layer file")


def _parts(layer: Layer, table: _Table, digests: dict[tuple[str, str], str], *, force: bool) -> Iterable[Change]:
    """Views, indexes, comments, grants whose text changed.

    New columns are seen through new views, and a view made anew needs its comments and grants again.
    """
    changed = {part for part in PARTS if force or digests.get((layer.id, part)) != _digest(layer, part)}
    if "views" in changed:
        changed |= {"comments", "grants"}
    if "indexes" in changed:
        changed.add("comments")
    before = {
        "views": [_sql("DROP VIEW IF EXISTS {}", ("pub", view)) for view in (layer.id, f"{layer.id}_history")],
        "indexes": [_sql("DROP INDEX IF EXISTS {}", index) for index in table.indexes if _is_ours(layer, *index)],
    }
    for part in PARTS:
        if part in changed:
            statements = (*before.get(part, ()), *_statements(layer, part))
            yield Change("replaces", layer.id, f"{layer.id}: {part}", statements)


def _is_ours(layer: Layer, _schema: str, index: str) -> bool:
    """Whether an index is of the definition's making; the administrator's own stay."""
    return index.startswith(f"{layer.id}_") and index.endswith("_idx")


# --- what the database has --------------------------------------------------------------------------------------------

SYSTEM_COLUMNS = frozenset({"fid", "batch", "recorded_from", "geom"})

_TABLES = """
SELECT n.nspname, c.relname,
       array_agg(a.attname::text ORDER BY a.attnum),
       array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum),
       array_agg(a.attname::text) FILTER (WHERE a.attnotnull),
       (SELECT array_agg(k.attname::text ORDER BY array_position(i.indkey::int2[], k.attnum))
        FROM pg_index i JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = ANY (i.indkey)
        WHERE i.indrelid = c.oid AND i.indisprimary),
       (SELECT json_agg(ARRAY[x.schemaname, x.indexname] ORDER BY x.schemaname, x.indexname)
        FROM pg_indexes x
        WHERE x.schemaname IN ('core', 'history') AND x.tablename = c.relname
          AND NOT EXISTS (SELECT FROM pg_constraint t
                          WHERE t.conindid = (quote_ident(x.schemaname) || '.' || quote_ident(x.indexname))::regclass))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = 'core' AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
GROUP BY n.nspname, c.relname, c.oid
"""


def _tables(connection: psycopg2.extensions.connection) -> dict[tuple[str, str], _Table]:
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        return {
            (schema, name): _Table(
                dict(zip(columns, types, strict=True)),
                frozenset(required or ()),
                tuple(key or ()),
                tuple(map(tuple, indexes or ())),
            )
            for schema, name, columns, types, required, key, indexes in cursor.fetchall()
        }


def _has_rows(connection: psycopg2.extensions.connection, layer: str, without: str | None = None) -> bool:
    """Whether the layer has rows; those without a value in this column where one is named."""
    text = "SELECT EXISTS (SELECT FROM {}" + (" WHERE {} IS NULL)" if without else ")")
    names = [sql.Identifier("core", layer)] + ([sql.Identifier(without)] if without else [])
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(text).format(*names))
        return cursor.fetchone()[0]


def _digests(connection: psycopg2.extensions.connection) -> dict[tuple[str, str], str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('meta.layer') IS NOT NULL")
        if not cursor.fetchone()[0]:
            raise StoreError("The database is not set up for the platform", remedy="Run `onemap db start`")
        cursor.execute(
            """SELECT layer, part, sha256 FROM meta.layer
               WHERE part <> 'views' OR to_regclass('pub.' || quote_ident(layer)) IS NOT NULL"""
        )
        return {(layer, part): digest for layer, part, digest in cursor.fetchall()}


def _digest(layer: Layer, part: str) -> str:
    return hashlib.sha256("\n;\n".join(_statements(layer, part)).encode()).hexdigest()


def _remember(cursor: psycopg2.extensions.cursor, catalog: Catalog) -> None:
    for layer in catalog.layers.values():
        if not layer.is_raster:
            for part in PARTS:
                cursor.execute(
                    """INSERT INTO meta.layer (layer, part, sha256) VALUES (%s, %s, %s)
                       ON CONFLICT (layer, part) DO UPDATE SET sha256 = excluded.sha256, applied_at = clock_timestamp()
                       WHERE meta.layer.sha256 <> excluded.sha256""",
                    (layer.id, part, _digest(layer, part)),
                )
