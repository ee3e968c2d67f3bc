"""Keyset paging: where a page ended, as a text that the next link carries. A page after 500,000 rows costs what the first one does."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import cached_property

import orjson
from psycopg2 import sql

from gis.catalog.ddl import SQL_TYPES as SQL_TYPE
from gis.catalog.model import Column
from gis.errors import InputError

_LONGEST = 8000


@dataclass(frozen=True)
class Sort:
    """The order of a listing: (column, descending) from the most significant on; always ends with the key, so it is total."""

    layer: str
    by: tuple[tuple[str, bool], ...]
    required: frozenset[str]
    """Columns that are never null: the key's."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns, from the most significant on."""
        return tuple(name for name, _ in self.by)

    @cached_property
    def is_by_required(self) -> bool:
        """Whether it goes upwards by columns that are never null: an order that the key's index has."""
        return all(name in self.required and not descending for name, descending in self.by)

    @cached_property
    def fingerprint(self) -> str:
        """What binds a cursor to its order: a cursor of another one is refused."""
        return hashlib.sha256(orjson.dumps([self.layer, self.by])).hexdigest()[:12]

    def order_by(self, *of: str) -> sql.Composable:
        """ORDER BY list (`of` a relation); nulls as PostgreSQL keeps them in its indexes (last ascending, first descending)."""
        return sql.SQL(", ").join(
            sql.SQL("{} DESC" if descending else "{}").format(sql.Identifier(*of, name)) for name, descending in self.by
        )


def encode(sort: Sort, position: list[str | None]) -> str:
    """The cursor behind a row that stands at `position` in this order."""
    return base64.urlsafe_b64encode(orjson.dumps([sort.fingerprint, position])).decode().rstrip("=")


def decode(sort: Sort, cursor: str) -> list[str | None]:
    """The position that a cursor names. Raises InputError where it is damaged or was made for another order."""
    refused = InputError(
        "the cursor does not belong to this listing", where="cursor", remedy="Follow the next link as it is, or start again without cursor"
    )
    if len(cursor) > _LONGEST:
        raise refused
    try:
        fingerprint, position = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, TypeError):
        raise refused from None
    texts = isinstance(position, list) and all(value is None or isinstance(value, str) for value in position)
    if fingerprint != sort.fingerprint or not texts or len(position) != len(sort.by):
        raise refused
    if any(value is None and name in sort.required for value, (name, _) in zip(position, sort.by, strict=True)):
        raise refused
    return position


def behind(sort: Sort, position: list[str | None], columns: dict[str, Column], bind) -> sql.Composable:
    """The condition "stands behind this position"; `bind(value, type)` gives the placeholder of a value.

    All ascending and never null (the usual case, by key): one row comparison, which the primary key answers. Else spelled out.
    """

    def placeholder(name: str, value: str) -> sql.Composable:
        return bind(value, SQL_TYPE[columns[name].type])

    if sort.is_by_required:
        names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in sort.by)
        values = [placeholder(name, value) for (name, _), value in zip(sort.by, position, strict=True)]
        return sql.SQL("({}) > ({})").format(names, sql.SQL(", ").join(values))
    alternatives = []
    for i, (by, value) in enumerate(zip(sort.by, position, strict=True)):
        further = _further(by, value, sort.required, placeholder)
        if further is not None:
            same = [_same(name, at, placeholder) for (name, _), at in zip(sort.by[:i], position[:i], strict=True)]
            alternatives.append(sql.SQL("({})").format(sql.SQL(" AND ").join([*same, further])))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(alternatives)) if alternatives else sql.SQL("false")


def _same(name: str, value: str | None, placeholder) -> sql.Composable:
    """One column stands exactly at the value."""
    if value is None:
        return sql.SQL("{} IS NULL").format(sql.Identifier(name))
    return sql.SQL("{} = {}").format(sql.Identifier(name), placeholder(name, value))


def _further(by: tuple[str, bool], value: str | None, required: frozenset[str], placeholder) -> sql.Composable | None:
    """One column stands behind the value, None where nothing can: nulls are last ascending, first descending."""
    name, descending = by
    column = sql.Identifier(name)
    if value is None:
        return sql.SQL("{} IS NOT NULL").format(column) if descending else None
    if descending:
        return sql.SQL("{} < {}").format(column, placeholder(name, value))
    further = sql.SQL("{} > {}").format(column, placeholder(name, value))
    return further if name in required else sql.SQL("({} OR {} IS NULL)").format(further, column)
