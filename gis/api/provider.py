"""Features for pygeoapi, straight from PostGIS: one statement per page, GeoJSON written by the database, as the caller may see it."""

from __future__ import annotations

import threading
from urllib.parse import urlencode

from cachetools import TTLCache
from psycopg2 import sql
from pygeoapi.provider.base import BaseProvider, ProviderItemNotFoundError

from gis.access import audit, rights
from gis.access.identity import Identity, caller
from gis.api import boxes, schema, select, temporal
from gis.api import cursor as paging
from gis.api.feature_rows import FeatureRows, feature_rows
from gis.api.serialize import LAST_PAGE
from gis.api.visit import current, here
from gis.catalog.model import Column, Layer
from gis.catalog.read import catalog
from gis.db import cql2
from gis.db import cql2_values as values
from gis.db.connection import fetch
from gis.errors import InputError, NotFound
from gis.settings import settings

DEEPEST_OFFSET = 100_000
"""Rows that `offset` may skip; the next links have no such bound."""

_EXTRA = ("as-of", "cursor", "resultType")
_ESTIMATE = """
SELECT c.reltuples::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'core' AND c.relname = %(layer)s
"""
_sizes: TTLCache[tuple[str, str], int] = TTLCache(256, 5)
"""About how many rows a table has: asked again after five seconds, an estimate is no older than its statistics anyway."""
_lock = threading.Lock()


def layer_of(provider_def: dict) -> Layer:
    """The layer that a provider definition of pygeoapi-config.yml stands for."""
    data = provider_def["data"]
    name = data["layer"] if isinstance(data, dict) else str(data)
    return catalog().layer(name.rsplit("/", 1)[-1].removesuffix(".tif").rsplit(".", 1)[-1])


class FeatureProvider(BaseProvider):
    """One layer as the caller of this request sees it. Made anew for every request, so it keeps nothing."""

    def __init__(self, provider_def: dict):
        super().__init__(provider_def | {"include_extra_query_parameters": True, "count": False, "editable": False})
        self.layer = layer_of(provider_def)
        identity = caller.get()
        if not self.layer.readable_by(identity.role):
            raise NotFound("Collection not found")
        self.columns = self.layer.columns_for(identity.role)
        self.id_field = self.layer.key[0] if len(self.layer.key) == 1 else "id"
        self.time_field = "valid_from"
        self.get_fields()

    def get_fields(self) -> dict:
        """The columns that the caller sees: {name: {type, format}}."""
        if not self._fields:
            self._fields = {name: schema.bare(column) for name, column in self.columns.items()}
        return self._fields

    def query(
        self,
        offset=0,
        limit=10,
        resulttype="results",
        bbox=None,
        datetime_=None,
        properties=(),
        sortby=(),
        select_properties=(),
        skip_geometry=False,
        q=None,
        language=None,
        filterq=None,
        crs_transform_spec=None,
        **_,
    ) -> dict:
        """A page of features as a GeoJSON feature collection; parameters as pygeoapi passes them.

        `features` is a list of ready-made texts (orjson.Fragment). Raises the platform's errors; nothing is ignored.
        """
        extra = self._extra(properties)
        if (skipped := _skips()) not in (None, "true", "false"):
            raise InputError(f"{skipped[:40]!r} is neither true nor false", where="skipGeometry", remedy="Write skipGeometry=true")
        if q is not None:
            raise InputError("q is not understood here", where="q", remedy="Use filter, or a column as parameter")
        wanted = select.Wanted(
            self.layer,
            self.columns,
            area=bbox or None,
            span=temporal.span(datetime_) if datetime_ is not None else None,
            as_of=temporal.moment(extra["as-of"]) if "as-of" in extra else None,
            equal=[(name, value) for name, value in properties if name in self.columns],
            filtered=self._filter(filterq),
        )
        if (extra.get("resultType") or resulttype) == "hits":
            return self._hits(wanted)
        if (extra.get("resultType") or resulttype) != "results":
            raise InputError("resultType is hits or results", where="resultType")
        if offset > DEEPEST_OFFSET:
            raise InputError(
                f"offset is larger than {DEEPEST_OFFSET}", where="offset", remedy="Follow the next links: they have no such bound"
            )
        target = crs_transform_spec or boxes.target(boxes.systems.CRS84)
        names = tuple(name for name in self.columns if not select_properties or name in select_properties)
        sort = ordered(self.layer, tuple((by["property"], by["order"] == "-") for by in sortby))
        rows = feature_rows(self.layer, names, target, geometry=not skip_geometry, sort=tuple(name for name, _ in sort.by))
        return self._page(wanted, sort, rows, limit, offset, extra.get("cursor"))

    def _extra(self, properties) -> dict[str, str]:
        """The platform's own parameters among those that pygeoapi does not know. What nobody knows is refused: a filter
        that is silently dropped answers with too much."""
        extra = {}
        for name, value in properties:
            if name in _EXTRA:
                extra[name] = value
            elif name not in self.columns:
                raise InputError(f"unknown parameter {name[:60]!r}", remedy=f"Properties: {', '.join(self.columns)}")
        return extra

    def _filter(self, filterq) -> tuple[sql.Composable, dict] | None:
        if filterq is None:
            return None
        values.require_system(filterq.crs)
        return cql2.where(filterq.text, self.layer, set(self.columns), filter_crs=filterq.crs)

    def _hits(self, wanted: select.Wanted) -> dict:
        statement = select.Statement()
        composed = select.count(wanted, statement)
        identity = caller.get()
        matched = fetch(identity.role, identity.user, composed, statement.parameters)[0][0]
        self._record("hits", matched, wanted)
        return {"type": "FeatureCollection", "features": [], "numberMatched": matched, "numberReturned": 0, "links": [LAST_PAGE]}

    def _page(self, wanted, sort: paging.Sort, rows: FeatureRows, limit: int, offset: int, cursor_text: str | None) -> dict:
        after = paging.decode(sort, cursor_text) if cursor_text else None
        if after is not None:
            for (name, _), value in zip(sort.by, after, strict=True):
                _require_typed(name, self.columns[name], value)
        statement = select.Statement()
        composed = select.page(wanted, sort, rows.columns, statement, limit=limit, offset=offset, after=after)
        identity = caller.get()
        # a page of all by its key has one best plan; of an area or a filter the values decide
        plain = not wanted.is_narrowed and all(name in sort.required and not descending for name, descending in sort.by) and not offset
        found = fetch(identity.role, identity.user, composed, statement.parameters, keep=plain)
        more = len(found) > limit
        estimate = _estimate(identity, wanted) if more and after is None else None
        del found[limit:]
        self._record("items", len(found), wanted)
        answer = {
            "type": "FeatureCollection",
            "features": rows.features(found, _is_looked_into()),
            "numberReturned": len(found),
            "links": [_next_link(paging.encode(sort, rows.position(found[-1]))) if more else LAST_PAGE],
        }
        if not more and after is None and offset == 0:
            answer["numberMatched"] = len(found)
        elif estimate is not None:
            answer["numberMatchedEstimate"] = max(estimate, offset + len(found) + 1)
        return answer

    def get(self, identifier, language=None, crs_transform_spec=None, **_) -> dict:
        """The feature with this id (key values joined by ':'), by one statement. Raises ProviderItemNotFoundError."""
        visit = current.get()
        as_of = visit.args.get("as-of") if visit else None
        target = crs_transform_spec or boxes.target(boxes.systems.CRS84)
        statement = select.Statement()
        rows = feature_rows(self.layer, tuple(self.columns), target)
        composed = None
        if "\0" not in identifier:
            composed = select.one(
                self.layer,
                self.columns,
                identifier,
                temporal.moment(as_of) if as_of is not None else None,
                sql.SQL("{}, f.fid || '.' || coalesce(f.batch, 0)").format(rows.columns),
                statement,
            )
        identity = caller.get()
        found = fetch(identity.role, identity.user, composed, statement.parameters, keep=True) if composed is not None else None
        if not found:
            raise ProviderItemNotFoundError(user_msg="No such feature")
        audit.record_access(identity, "item", self.layer, n=1, id=identifier[:200])
        if visit:
            visit.version_of_feature = found[0][-1]
        return rows.features(found, parsed=_is_looked_into())[0]

    def _record(self, action: str, n: int, wanted: select.Wanted) -> None:
        audit.record_access(
            caller.get(),
            action,
            self.layer,
            n=n,
            bbox=wanted.area and wanted.area.box,
            as_of=wanted.as_of and wanted.as_of.isoformat(),
            query=_query(),
        )

    def __repr__(self) -> str:
        return f"<FeatureProvider> {self.layer.id}"


def ordered(layer: Layer, sortby: tuple[tuple[str, bool], ...]) -> paging.Sort:
    """The total order of a listing: what the caller asked for, then the key. Raises InputError for a column named twice."""
    if len({name for name, _ in sortby}) != len(sortby):
        raise InputError("a property is named twice", where="sortby")
    rest = tuple((name, False) for name in layer.key if name not in {by for by, _ in sortby})
    return paging.Sort(layer.id, (*sortby, *rest), frozenset(layer.key))


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


def _is_looked_into() -> bool:
    """Whether a page or a formatter has to look into the features."""
    visit = current.get()
    return visit is not None and visit.looked_into


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


def _next_link(cursor_text: str) -> dict:
    """The link to the next page: this request's parameters with another cursor. A filter that was posted goes into the link."""
    visit = here()
    kept = [(name, value) for name, value in visit.args.items() if name not in ("cursor", "offset")]
    if visit.data:
        kept += [("filter", visit.data.decode()), ("filter-lang", "cql2-json")]
    query = urlencode([*kept, ("cursor", cursor_text)], safe=",:/")
    return {
        "rel": "next",
        "type": "application/geo+json",
        "title": "Items (next)",
        "href": f"{visit.base_url}{visit.path}?{query}",
    }


def _query() -> str | None:
    """What was asked, for the audit, at most 500 characters."""
    visit = current.get()
    return visit.query[:500].decode("latin-1") if visit and visit.query else None
