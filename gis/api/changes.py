"""The change feed of a layer: what came, changed and went since a token, for platforms that keep a copy.

A change is found by its recorded time. Loads of a layer follow one another (an advisory lock per layer), so that no change ever appears
behind a token that was already given out.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from dataclasses import dataclass

import orjson
from psycopg2 import sql

from gis.access import audit, rights
from gis.access.identity import caller
from gis.api import boxes, select, temporal
from gis.api import cursor as paging
from gis.api.feature_rows import FeatureRows, feature_rows
from gis.catalog import quote
from gis.catalog.model import Layer
from gis.db.connection import fetch
from gis.errors import InputError

BEGINNING = "-infinity"
_LONGEST = 4000


@dataclass(frozen=True)
class Token:
    """Where a reader stands. `base`: what he knew when he began this round; `at` and `key`: the last change that he was given."""

    layer: str
    base: str
    at: str
    key: tuple[str, ...] = ()

    def text(self) -> str:
        """The token as it travels."""
        return base64.urlsafe_b64encode(orjson.dumps([self.layer, self.base, self.at, *self.key])).decode().rstrip("=")


def token_of(layer: Layer, text: str | None) -> Token:
    """What `since` means: a token, a date or moment (all that was recorded after it), or nothing (from the beginning).

    Raises InputError for a token of another layer or a damaged one.
    """
    if text is None:
        return Token(layer.id, BEGINNING, BEGINNING)
    if text[:4].isdigit():
        moment = temporal.moment(text, "since").isoformat()
        return Token(layer.id, moment, moment)
    try:
        if len(text) > _LONGEST:
            raise ValueError
        name, base, at, *key = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        for moment in (base, at):
            if moment != BEGINNING:
                dt.datetime.fromisoformat(moment)
        if (
            name != layer.id
            or len(key) not in (0, len(layer.key))
            or not all(isinstance(value, str) and "\0" not in value for value in key)
        ):
            raise ValueError
        for column, value in zip(layer.key, key, strict=False):
            select.typed(column, layer.columns[column], value)
    except (ValueError, TypeError, binascii.Error, InputError):
        raise InputError(
            "the token does not belong to this layer", where="since", remedy="Send the token of the last answer, a date, or nothing"
        ) from None
    return Token(layer.id, base, at, tuple(key))


def changes(layer: Layer, since: Token, limit: int) -> dict:
    """The changes behind a token as the caller sees them, oldest first: {collection, changes: [{op, id, at, feature}], token, more}.

    op: insert, update or delete, against what was known at the beginning of the round; one entry per feature, as it is now. A change of
    a column that the caller does not see comes as an update too.
    """
    identity = caller.get()
    names = tuple(layer.columns_for(identity.role))
    rows = feature_rows(layer, names, boxes.target(boxes.systems.CRS84), sort=layer.key)
    statement = select.Statement()
    composed = _statement(layer, names, rows, since, limit, statement)
    found = fetch(identity.role, identity.user, composed, statement.parameters)
    more = len(found) > limit
    del found[limit:]
    audit.record_access(identity, "changes", layer, n=len(found), since=since.at)
    if more:
        token = Token(layer.id, since.base, found[-1][0], tuple(rows.position(found[-1][3:])))
    else:
        token = Token(layer.id, found[-1][0], found[-1][0], tuple(rows.position(found[-1][3:]))) if found else _settled(since)
    return {"collection": layer.id, "changes": [_change(rows, row) for row in found], "token": token.text(), "more": more}


def _settled(since: Token) -> Token:
    return Token(since.layer, since.at, since.at, since.key)


def _change(rows: FeatureRows, row: tuple) -> dict:
    at, gone, known, *values = row
    change = {"op": "delete" if gone else "update" if known else "insert", "id": rows.id(values), "at": at}
    return change if gone else change | {"feature": rows.features([values])[0]}


def _statement(
    layer: Layer, names: tuple[str, ...], rows: FeatureRows, since: Token, limit: int, statement: select.Statement
) -> sql.Composable:
    """Rows (at, gone, known, *what `rows` reads), one more than the limit where there is more."""
    base, at = (statement.bind(value, "timestamptz") for value in (since.base, since.at))
    key = [sql.Identifier(name) for name in layer.key]

    left = rights.condition(layer, caller.get().role)
    seen = left[0] if left else sql.SQL("true")
    statement.parameters.update(left[1] if left else {})

    def behind(moment: str) -> sql.Composable:
        """The row stands behind the token."""
        if not since.key:
            return sql.SQL("{} > {}").format(sql.Identifier(moment), at)
        values = [
            statement.bind(value, paging.SQL_TYPE[layer.columns[name].type]) for name, value in zip(layer.key, since.key, strict=True)
        ]
        compared = sql.SQL(", ")
        return sql.SQL("{0} >= {1} AND ({0}, {2}) > ({1}, {3})").format(
            sql.Identifier(moment), at, compared.join(key), compared.join(values)
        )

    def same(one: str, other: str) -> sql.Composable:
        return sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(one, name), sql.Identifier(other, name)) for name in layer.key
        )

    listed = sql.SQL(", ").join(key)
    return sql.SQL(
        "WITH change AS ("
        "(SELECT recorded_from AS at, false AS gone, {read} FROM {now} WHERE {came} ORDER BY recorded_from, {key} LIMIT {most})"
        " UNION ALL "
        "(SELECT recorded_to, true, {read} FROM (SELECT DISTINCT ON ({key}) recorded_to, {read} FROM {past} WHERE {went}"
        " ORDER BY {key}, recorded_to DESC) AS g WHERE NOT EXISTS (SELECT FROM {now} AS n WHERE {still})"
        " ORDER BY recorded_to, {key} LIMIT {most})"
        ") SELECT to_json(f.at)#>>'{{}}', f.gone,"
        " EXISTS (SELECT FROM {past} AS h WHERE {before} AND h.recorded_from <= {base} AND h.recorded_to > {base}),"
        " {columns} FROM change AS f ORDER BY f.at, {order} LIMIT {most}"
    ).format(
        read=sql.SQL(quote.names((*names, "geom"))),
        now=sql.Identifier("pub", layer.id),
        past=sql.Identifier("pub", f"{layer.id}_history"),
        came=sql.SQL("{} AND {}").format(behind("recorded_from"), seen),
        went=sql.SQL("{} AND {}").format(behind("recorded_to"), seen),
        still=same("n", "g"),
        before=same("h", "f"),
        key=listed,
        order=sql.SQL(", ").join(sql.Identifier("f", name) for name in layer.key),
        base=base,
        most=sql.Literal(limit + 1),
        columns=rows.columns,
    )
