"""Rows for the tests of filters, in a temporary table."""

from __future__ import annotations

import datetime as dt
import itertools

import psycopg2.sql

from gis.catalog.model import Column, Layer, Text
from gis.db import cql2


def titled(zh: str) -> Text:
    return Text(zh=zh, en=zh)


LAYER = Layer(
    id="thing", group="base", title=titled("物"), description=titled("物"), geometry="Point", key=("id",),
    fields={
        "id": Column(type="int", title=titled("编号")),
        "a": Column(type="int", title=titled("甲")),
        "b": Column(type="real", title=titled("乙")),
        "name": Column(type="text", title=titled("名称")),
        "flag": Column(type="bool", title=titled("标志")),
        "seen": Column(type="timestamp", title=titled("时刻")),
        "tags": Column(type="texts", title=titled("标签")),
        "secret": Column(type="text", title=titled("密")),
    },
)  # fmt: skip
VISIBLE = set(LAYER.columns) - {"secret"}

NAMES = ["府前街", "府前街81号", "O'Brien", "50%_a", "", "abc", "ABC", None]
TAGS = [["x"], ["y", "x"], [], ["ü", "x", "x"], None]
ENDS = [None, dt.date(2020, 1, 1), dt.date(2020, 12, 31)]
DAYS = [dt.date(2019, 12, 31), dt.date(2020, 1, 1), dt.date(2020, 6, 1), None]
MOMENTS = [dt.datetime(2020, 1, 1, hour, tzinfo=dt.UTC) for hour in (0, 12, 23)] + [None]
ROWS = [
    dict(id=i, a=a, b=b, name=NAMES[i % 8], flag=[True, False, None][i % 3], seen=MOMENTS[i % 4],
         valid_from=DAYS[i % 4], valid_to=ENDS[i % 3], tags=TAGS[i % 5], secret="hush", lon=117 + i / 100, lat=32 + (i % 5) / 100)
    for i, (a, b) in enumerate(itertools.product([None, 0, 1, 2], [None, -0.5, 1.0, 2.5, 7.0]))
]  # fmt: skip


def ids(conn, text, **options) -> set[int]:
    condition, params = cql2.where(text, LAYER, VISIBLE, **options)
    with conn.cursor() as cursor:
        cursor.execute(psycopg2.sql.SQL("SELECT id FROM thing WHERE {}").format(condition), params)
        return {row[0] for row in cursor}


def quoted(text: str) -> str:
    """A text as CQL2 writes it."""
    return "'" + text.replace("'", "''") + "'"
