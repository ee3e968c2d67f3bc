"""A page of features: what is asked of a layer, judged, and the rows that answer it, as the caller may see them.

Both who write pages ask here: the JSON that most ask for (gis/api/items.py), and pygeoapi for pages and tables (gis/api/provider.py).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache

from cachetools import TTLCache
from psycopg2 import sql

from gis.access import audit, rights
from gis.access.identity import Identity, caller
from gis.api import boxes, select, temporal
from gis.api import cursor as paging
from gis.api.feature_rows import FeatureRows, feature_rows
from gis.api.serialize import LAST_PAGE
from gis.api.visit import current, here, quoted
from gis.catalog.model import Column, Layer
from gis.db import cql2
from gis.db import cql2_values as values
from gis.db.connection import fetch
from gis.errors import InputError
from gis.settings import settings

DEEPEST_OFFSET = 100_000
"""Rows that `offset` may skip; the next links have no such bound."""

FEW = 1000
"""Rows for which it pays to try whether an area holds no more: what is saved is a plan, what may be lost is to read them."""

_EXTRA = ("as-of", "cursor", "resultType")
_ESTIMATE = """
SELECT c.reltuples::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'core' AND c.relname = %(layer)s
"""
_sizes: TTLCache[tuple[str, str], int] = TTLCache(256, 5)
"""About how many rows a table has: asked again after five seconds, an estimate is no older than its statistics anyway."""
_densities: TTLCache[tuple[str, str], float] = TTLCache(256, 60)
"""Rows for each square degree at least, in the last area of a layer that held more than a page: larger areas are not tried for few."""
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Filter:
    """A CQL2 filter as it came: text or JSON, and the CRS of its coordinates. Who knows the columns judges it."""

    text: str
    crs: str = "CRS84"


@dataclass(slots=True)
class Listing:
    """What is asked of a layer, as read from the parameters: what is still text here is judged by `found`.

    others: the parameters that are no part of the standard, columns and the platform's own. chosen: the properties that are asked for,
    empty for all.
    """

    layer: Layer
    columns: dict[str, Column]
    """The columns that the caller sees."""
    limit: int
    offset: int = 0
    result_type: str = "results"
    area: boxes.Area | None = None
    datetime: str | None = None
    q: str | None = None
    others: list[tuple[str, str]] = field(default_factory=list)
    sort_by: tuple[tuple[str, bool], ...] = ()
    chosen: list[str] = field(default_factory=list)
    geometry: bool = True
    filter: Filter | None = None
    target: boxes.Target | None = None


@dataclass(slots=True)
class Found:
    """The answer to a listing: its rows, how they become features, and what stands beside them in the feature collection (links: to the
    next page only)."""

    rows: FeatureRows | None
    values: list[tuple]
    beside: dict

    def collection(self, features: list) -> dict:
        """The feature collection with these features, made of the rows."""
        return {"type": "FeatureCollection", "features": features} | self.beside


def found(asked: Listing) -> Found:
    """The rows of a listing. Raises the platform's errors; nothing that was asked is ignored."""
    extra = _extra(asked)
    if (skipped := _skips()) not in (None, "true", "false"):
        raise InputError(f"{skipped[:40]!r} is neither true nor false", where="skipGeometry", remedy="Write skipGeometry=true")
    if asked.q is not None:
        raise InputError("q is not understood here", where="q", remedy="Use filter, or a column as parameter")
    layer, columns = asked.layer, asked.columns
    wanted = select.Wanted(
        layer,
        columns,
        area=asked.area,
        span=temporal.span(asked.datetime) if asked.datetime is not None else None,
        as_of=temporal.moment(extra["as-of"]) if "as-of" in extra else None,
        equal=[(name, value) for name, value in asked.others if name in columns],
        filtered=_filter(asked),
    )
    kind = extra.get("resultType") or asked.result_type
    if kind == "hits":
        return _hits(wanted)
    if kind != "results":
        raise InputError("resultType is hits or results", where="resultType")
    if asked.offset > DEEPEST_OFFSET:
        raise InputError(f"offset is larger than {DEEPEST_OFFSET}", where="offset", remedy="Follow the next links: they have no such bound")
    target = asked.target or boxes.target(boxes.systems.CRS84)
    names = tuple(columns) if not asked.chosen else tuple(name for name in columns if name in asked.chosen)
    sort = ordered(layer, asked.sort_by)
    rows = feature_rows(layer, names, target, geometry=asked.geometry, sort=sort.names)
    return _page(wanted, sort, rows, asked.limit, asked.offset, extra.get("cursor"))


def one(layer: Layer, columns: dict[str, Column], identifier: str, target: boxes.Target) -> tuple[FeatureRows, tuple] | None:
    """The row of the feature with this id (key values joined by ':') and how it becomes a feature; None where there is none."""
    visit, identity = current.get(), caller.get()
    as_of = visit.args.get("as-of") if visit else None
    known = temporal.moment(as_of) if as_of is not None and "\0" not in identifier else None
    statement, rows = select.Statement(), feature_rows(layer, tuple(columns), target)
    composed = None if "\0" in identifier else select.one(layer, columns, identifier, known, rows.with_version, statement)
    values = fetch(identity.role, identity.user, composed, statement.parameters, keep=True) if composed is not None else None
    if not values:
        return None
    audit.record_access(identity, "item", layer, n=1, id=identifier[:200])
    if visit:
        visit.version_of_feature = values[0][-1]
    return rows, values[0]


def _extra(asked: Listing) -> dict[str, str]:
    """The platform's own parameters among those that the standard does not know. What nobody knows is refused: a filter
    that is silently dropped answers with too much."""
    extra = {}
    for name, value in asked.others:
        if name in _EXTRA:
            extra[name] = value
        elif name not in asked.columns:
            raise InputError(f"unknown parameter {name[:60]!r}", remedy=f"Properties: {', '.join(asked.columns)}")
    return extra


def _filter(asked: Listing) -> tuple[sql.Composable, dict] | None:
    if asked.filter is None:
        return None
    values.require_system(asked.filter.crs)
    return cql2.where(asked.filter.text, asked.layer, set(asked.columns), filter_crs=asked.filter.crs)


def _hits(wanted: select.Wanted) -> Found:
    statement = select.Statement()
    composed = select.count(wanted, statement)
    identity = caller.get()
    matched = fetch(identity.role, identity.user, composed, statement.parameters)[0][0]
    _record("hits", matched, wanted)
    return Found(None, [], {"numberMatched": matched, "numberReturned": 0, "links": [LAST_PAGE]})


def _page(wanted: select.Wanted, sort: paging.Sort, rows: FeatureRows, limit: int, offset: int, cursor_text: str | None) -> Found:
    after = paging.decode(sort, cursor_text) if cursor_text else None
    if after is not None:
        for (name, _), value in zip(sort.by, after, strict=True):
            _require_typed(name, wanted.columns[name], value)
    identity = caller.get()
    values = _few(wanted, sort, rows, limit) if after is None and not offset else None
    if values is None:
        statement = select.Statement()
        composed = select.page(wanted, sort, rows.columns, statement, limit=limit, offset=offset, after=after)
        # a page of all by its key has one best plan; of an area or a filter the values decide
        plain = not wanted.is_narrowed and sort.is_by_required and not offset
        values = fetch(identity.role, identity.user, composed, statement.parameters, keep=plain)
    more = len(values) > limit
    estimate = _estimate(identity, wanted) if more and after is None else None
    del values[limit:]
    _record("items", len(values), wanted)
    beside = {
        "numberReturned": len(values),
        "links": [_next_link(paging.encode(sort, rows.position(values[-1]))) if more else LAST_PAGE],
    }
    if not more and after is None and offset == 0:
        beside["numberMatched"] = len(values)
    elif estimate is not None:
        beside["numberMatchedEstimate"] = max(estimate, offset + len(values) + 1)
    return Found(rows, values, beside)


def _few(wanted: select.Wanted, sort: paging.Sort, rows: FeatureRows, limit: int) -> list[tuple] | None:
    """All rows in an area, where they are no more than a page holds: found by the spatial index with a statement that is kept planned. None
    where they are more, so that another plan may be better for a page of them; that is for PostgreSQL to say."""
    identity = caller.get()
    if wanted.area is None or limit > FEW or wanted.is_filtered or rights.is_part(wanted.layer, identity.role):
        return None
    key = (settings().dsn, wanted.layer.id)
    with _lock:
        density = _densities.get(key, 0.0)
    if density * wanted.area.size > limit:  # seldom worth trying
        return None
    statement = select.Statement()
    composed = select.few(wanted, sort, rows.columns, statement, limit=limit)
    values = fetch(identity.role, identity.user, composed, statement.parameters, keep=True, by_index=True)
    if len(values) <= limit:
        return values
    with _lock:
        _densities[key] = len(values) / max(wanted.area.size, 1e-12)
    return None


def _record(action: str, n: int, wanted: select.Wanted) -> None:
    audit.record_access(
        caller.get(),
        action,
        wanted.layer,
        n=n,
        bbox=wanted.area and wanted.area.box,
        as_of=wanted.as_of and wanted.as_of.isoformat(),
        query=_query(),
    )


def ordered(layer: Layer, by: tuple[tuple[str, bool], ...]) -> paging.Sort:
    """The total order of a listing: what the caller asked for, then the key. Raises InputError for a column named twice, and for a list."""
    if lists := [name for name, _ in by if layer.columns[name].type == "texts"]:
        raise InputError(f"{lists[0]!r} is a list, which has no order", where="sortby", remedy=f"See /collections/{layer.id}/sortables")
    return _ordered(layer.id, layer.key, by)


@lru_cache(maxsize=512)
def _ordered(layer: str, key: tuple[str, ...], by: tuple[tuple[str, bool], ...]) -> paging.Sort:
    if len({name for name, _ in by}) != len(by):
        raise InputError("a property is named twice", where="sortby")
    rest = tuple((name, False) for name in key if name not in {given for given, _ in by})
    return paging.Sort(layer, (*by, *rest), frozenset(key))


def _require_typed(name: str, column: Column, value: str | None) -> None:
    """A forged cursor must fail here, not in the database. Texts as PostgreSQL writes its own values."""
    if value is None or column.type in ("text", "code", "texts"):
        if value is not None and "\0" in value:
            raise InputError("the cursor does not belong to this listing", where="cursor")
        return
    plain = {"bool": value}.get(column.type, value)
    if column.type == "real" and value in ("NaN", "Infinity", "-Infinity"):
        return
    select.typed(name, column, plain.replace("+00", "+00:00") if column.type == "timestamp" and value.endswith("+00") else plain)


def _skips() -> str | None:
    """What the caller says of the geometry (pygeoapi takes anything that is not true for false)."""
    visit = current.get()
    said = visit.args.get("skipGeometry") if visit else None
    return said and said.lower()


def _estimate(identity: Identity, wanted: select.Wanted) -> int | None:
    """About how many features are wanted: the table's size, or the planner's opinion; None where it has none."""
    if rights.is_part(wanted.layer, identity.role):
        return None  # the table's size and the planner's statistics are of all rows, also of those that he does not see
    if not wanted.is_narrowed:
        key = (settings().dsn, wanted.layer.id)
        with _lock:
            known = _sizes.get(key)
        if known is None:
            found = fetch(identity.role, identity.user, sql.SQL(_ESTIMATE), {"layer": wanted.layer.id})
            known = found[0][0] if found else 0
            with _lock:
                _sizes[key] = known
        return known if known > 0 else None
    statement = select.Statement()
    explained = sql.SQL("EXPLAIN (FORMAT JSON) {}").format(select.rows(wanted, statement))
    return int(fetch(identity.role, identity.user, explained, statement.parameters)[0][0][0]["Plan"]["Plan Rows"])


_PLAIN = ",:/"
"""What is read as it is in a link's parameters."""


def _next_link(cursor_text: str) -> dict:
    """The link to the next page: this request's parameters with another cursor. A filter that was posted goes into the link."""
    visit = here()
    kept = [(name, value) for name, value in visit.args.items() if name not in ("cursor", "offset")]
    if visit.data:
        kept += [("filter", visit.data.decode()), ("filter-lang", "cql2-json")]
    query = "".join(f"{quoted(name, _PLAIN, plus=True)}={quoted(value, _PLAIN, plus=True)}&" for name, value in kept)
    return {
        "rel": "next",
        "type": "application/geo+json",
        "title": "Items (next)",
        "href": f"{visit.base_url}{visit.path}?{query}cursor={cursor_text}",
    }


def _query() -> str | None:
    """What was asked, for the audit, at most 500 characters."""
    visit = current.get()
    return visit.query[:500].decode("latin-1") if visit and visit.query else None
