"""Records found by text, area, time, type and filter: one statement over what is defined and what was delivered, with the caller's role."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field

import psycopg2.extras
from psycopg2 import sql

from gis.access.identity import Identity
from gis.api import records
from gis.api.boxes import Area
from gis.api.record_facts import Counted, Facts, counted, facts
from gis.api.select import Statement
from gis.api.temporal import CITY_TIME, Span
from gis.catalog.model import Layer
from gis.db.connection import fetch

DELIVERY = re.compile(r"^batch\.([0-9]{1,18})$")
COUNTED = 1000
"""So many deliveries are counted where no filter makes the platform look at all of them."""
_ALSO = {"sensor": "observation"}
"""Layers that bring another kind of delivery with them: who reads the sensors sees that their observations were loaded."""
_WORDS = "批次 入库批次 交付 数据资源 batch delivery"
"""What a search by text finds all deliveries by."""


@dataclass
class Asked:
    """What a caller looks for. `words`: any of them; `sort`: (column, downwards); `filtered`: a CQL2 condition with its parameters."""

    words: list[str] = field(default_factory=list)
    area: Area | None = None
    span: Span | None = None
    types: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    filtered: tuple[sql.Composable, dict] | None = None
    sort: list[tuple[str, bool]] = field(default_factory=list)
    limit: int = 10
    offset: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether the newest deliveries that fit are the ones wanted, so that the others need not be looked at."""
        return self.area is None and self.filtered is None and not self.sort and self.limit > 0


@dataclass(frozen=True)
class Found:
    """A record as it was found: what it is made of, or the delivery; its box, the ends of its time."""

    id: str
    defined: records.Defined | None
    delivery: dict | None
    layers: tuple[str, ...]
    created: dt.datetime | None
    updated: dt.datetime | None
    box: tuple[float, float, float, float] | None
    begin: str | None
    end: str | None
    facts: Facts | None = None
    counted: Counted | None = None


def search(identity: Identity, asked: Asked) -> tuple[list[Found], int | None, bool]:
    """(the page, how many match where that is known, whether more follow)."""
    seen = records.seen(identity)
    layers = list(seen.layers.values())
    known = facts(identity, seen.layers)
    counts = counted(identity, layers, known)
    defined = {one.id: one for one in records.defined(identity)}
    rows = _rows(defined.values(), known, counts, seen.city.extent)
    statement = Statement()
    composed = _statement(asked, rows, layers, statement)
    parameters = statement.parameters | (asked.filtered[1] if asked.filtered else {})
    raw = fetch(identity.role, identity.user, composed, parameters)
    total = None if asked.is_plain and raw[0][1] >= _most(asked) else raw[0][0]
    page = [row[2:] for row in raw if row[2] is not None]
    return [_found(row, defined, known, counts) for row in page[: asked.limit]], total, len(page) > asked.limit


def _rows(defined, known: dict[str, Facts], counts: dict[str, Counted], extent) -> list[dict]:
    """The defined records as the statement reads them."""
    made = []
    for place, one in enumerate(defined):
        fact = known.get(one.layer.id, Facts()) if one.layer else Facts()
        count = counts.get(one.layer.id) if one.layer else None
        box = count.box if count else extent
        # a service has no time of its own
        begin, end = (count.first, count.last) if count else (None, None)
        made.append({
            "place": place, "id": one.id, "type": one.type, "title": f"{one.title.zh}\n{one.title.en}",
            "description": f"{one.description.zh}\n{one.description.en}", "keywords": "\n".join(f"{k.zh}\n{k.en}" for k in one.keywords),
            "words": one.words, "layer": one.layer.id if one.layer else None, "label": one.layer.access.label if one.layer else None,
            "created": fact.created, "updated": fact.updated,
            "west": box and box[0], "south": box and box[1], "east": box and box[2], "north": box and box[3],
            "timed": bool(count and count.n), "first": begin, "after": end,
        })  # fmt: skip
    return made


_DEFINED = """
SELECT place::bigint AS place, id, type, title, description, keywords, words, layer, label, created, updated,
       CASE WHEN west IS NOT NULL THEN ST_MakeEnvelope(west, south, east, north, 4490) END AS geom, timed,
       first AS begin_day, after AS after_day, NULL::jsonb AS delivery, ARRAY[layer] AS layers
FROM jsonb_to_recordset({rows}) AS d(place int, id text, type text, title text, description text, keywords text, words text, layer text,
     label text, created timestamptz, updated timestamptz, west float8, south float8, east float8, north float8, timed boolean, first date,
     after date)
"""
_DELIVERED = """
SELECT 1000000000 - b.id, 'batch.' || b.id, 'batch', '入库批次 ' || b.id || coalesce(E'\\nDelivery ' || b.id || ' ' || b.source, ''),
       coalesce(b.source, ''), array_to_string(b.layers, E'\\n'), NULL, b.layers[1], NULL, b.recorded_at, b.recorded_at,
       (SELECT ST_Envelope(ST_Collect(ST_MakeEnvelope(r.west, r.south, r.east, r.north, 4490)))
        FROM jsonb_to_recordset({rows}) AS r(type text, layer text, west float8, south float8, east float8, north float8)
        WHERE r.type = 'dataset' AND r.layer = ANY (b.layers) AND r.west IS NOT NULL),
       true, (b.recorded_at AT TIME ZONE 'Asia/Shanghai')::date, (b.recorded_at AT TIME ZONE 'Asia/Shanghai')::date + 1, to_jsonb(b),
       b.layers
FROM meta.deliveries({layers}, {patterns}, {named}, {since}, {until}, {numbers}, {most}) AS b
"""


def _statement(asked: Asked, rows: list[dict], layers: list[Layer], statement: Statement) -> sql.Composable:
    given = statement.bind(psycopg2.extras.Json(rows, dumps=_dumps), "jsonb")
    union = sql.SQL(_DEFINED).format(rows=given)
    if not asked.types or "batch" in asked.types:
        union += sql.SQL(" UNION ALL ") + _delivered(asked, rows, layers, given, statement)
    conditions = _conditions(asked, statement)
    where = sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")
    order = [sql.SQL("r.{} {} NULLS LAST").format(sql.Identifier(name), sql.SQL("DESC" if down else "ASC")) for name, down in asked.sort]
    page = sql.SQL(
        "WITH record AS ({union}), hit AS (SELECT * FROM record AS r WHERE {where})"
        " SELECT (SELECT count(*) FROM hit), (SELECT count(delivery) FROM hit), p.id, p.delivery, p.layers, p.created, p.updated,"
        " ST_XMin(p.geom), ST_YMin(p.geom), ST_XMax(p.geom), ST_YMax(p.geom), p.timed, p.begin_day, p.after_day"
        " FROM (SELECT 1) AS one LEFT JOIN (SELECT r.*, row_number() OVER (ORDER BY {order}) AS at FROM hit AS r"
        " ORDER BY at LIMIT {limit} OFFSET {offset}) AS p ON true ORDER BY p.at"
    )
    return page.format(
        union=union, where=where, order=sql.SQL(", ").join([*order, sql.SQL("r.place")]),
        limit=statement.bind(asked.limit + 1 if asked.limit else 0, "bigint"), offset=statement.bind(asked.offset, "bigint"),
    )  # fmt: skip


def _delivered(asked: Asked, rows: list[dict], layers: list[Layer], given: sql.Composable, statement: Statement) -> sql.Composable:
    seen = [layer.id for layer in layers]
    seen += [other for name, other in _ALSO.items() if name in seen]
    words, named = asked.words, None
    if any(word.lower() in _WORDS for word in words):
        words = []
    if words:
        named = [row["layer"] for row in rows if row["type"] == "dataset" and any(word.lower() in row["words"].lower() for word in words)]
    numbers = [int(match[1]) for text in asked.ids if (match := DELIVERY.match(text))] if asked.ids else None
    span = asked.span
    return sql.SQL(_DELIVERED).format(
        rows=given,
        layers=statement.bind(seen, "text[]"),
        patterns=statement.bind([_pattern(word) for word in words] or None, "text[]"),
        named=statement.bind(named, "text[]"),
        since=statement.bind(_midnight(span.first) if span else None, "timestamptz"),
        until=statement.bind(_midnight(span.after) if span else None, "timestamptz"),
        numbers=statement.bind(numbers, "bigint[]"),
        most=statement.bind(_most(asked) if asked.is_plain else None, "bigint"),
    )


def _conditions(asked: Asked, statement: Statement) -> list[sql.Composable]:
    found: list[sql.Composable] = []
    if asked.words:
        patterns = statement.bind([_pattern(word) for word in asked.words], "text[]")
        found.append(sql.SQL("(r.words IS NULL OR r.words ILIKE ANY ({}))").format(patterns))
    if asked.area is not None:
        found.append(sql.SQL("ST_Intersects(r.geom, {})").format(statement.bind(asked.area.outline, "geometry")))
    if asked.span is not None:
        first, after = statement.bind(asked.span.first, "date"), statement.bind(asked.span.after, "date")
        found.append(
            sql.SQL("r.timed AND coalesce(r.begin_day < {after}, true) AND coalesce(r.after_day > {first}, true)").format(
                first=first, after=after
            )
        )
    if asked.types:
        found.append(sql.SQL("r.type = ANY ({})").format(statement.bind(asked.types, "text[]")))
    if asked.ids:
        found.append(sql.SQL("r.id = ANY ({})").format(statement.bind(asked.ids, "text[]")))
    if asked.filtered:
        found.append(asked.filtered[0])
    return found


def _most(asked: Asked) -> int:
    """How many deliveries are looked at where the newest will do."""
    return max(COUNTED, asked.offset + asked.limit + 1)


def _pattern(word: str) -> str:
    """A text that stands anywhere in another, as LIKE writes it."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", word) + "%"


def _midnight(day: dt.date | None) -> dt.datetime | None:
    return None if day is None else dt.datetime.combine(day, dt.time(), CITY_TIME)


def _dumps(value: object) -> str:
    from gis.api.serialize import json_bytes

    return json_bytes(value).decode()


def _found(row: tuple, defined: dict[str, records.Defined], known: dict[str, Facts], counts: dict[str, Counted]) -> Found:
    id_, delivery, layers, created, updated, *box, timed, begin, after = row
    one = defined.get(id_)
    layer = one.layer.id if one and one.layer else None
    last = None if after is None else (after - dt.timedelta(days=1)).isoformat()
    return Found(
        id_, one, delivery, tuple(name for name in layers if name), created, updated, None if box[0] is None else tuple(box),
        begin.isoformat() if timed and begin else None, last if timed else None, known.get(layer), counts.get(layer),
    )  # fmt: skip
