"""Change sets (动态更新): rows that say what happens to them, and rows that somebody else changed since the delivery was cut.

A change file has a column of operations (insert, modify, retire). A row's place in the load: retired ones wait in the temporary table
`retiring_<layer>`, the others are staged as always; `change_<layer>` keeps each row's operation and version. Codes:

CHG01 the operation is none of insert, modify, retire    CHG02 a row to be inserted is there already, with other values
CHG03 a row to be modified or retired is not there       CHG04 a row to be retired was retired before (nothing is to be done)
CHG05 the row was changed since the delivery was cut: it is not overwritten
CHG06 a key stands in the change set twice, once to be retired
CHG07 which column was taken for the operation
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from gis.catalog.model import Layer
from gis.errors import InputError, NotFound
from gis.ingest import binary, values, wkb
from gis.ingest.map import Mapping, plain
from gis.ingest.read import Source
from gis.ingest.stage import Place
from gis.ingest.statements import key_text, statement, text

OPERATIONS = {
    "I": ("i", "insert", "add", "new", "a", "新增", "增加", "新建", "1"),
    "U": ("u", "update", "modify", "change", "m", "修改", "变更", "更新", "2"),
    "D": ("d", "delete", "retire", "remove", "删除", "注销", "废弃", "拆除", "3"),
}
"""What deliveries write for insert, modify and retire."""
NAMES = ("operation", "op", "changetype", "操作", "操作类型", "变更类型", "变更标识", "更新类型", "更新状态")
"""Columns that are taken for the operation where nobody names one, in mode update."""
_WORDS = {word: code for code, words in OPERATIONS.items() for word in words}


@dataclass(frozen=True)
class Changes:
    """What the operator says of a change set. operation: the source column that holds the operation. cut: the moment from which changes by
    others are conflicts. version: the source column that holds the batch that each row was exported with."""

    operation: str | None = None
    cut: dt.datetime | None = None
    version: str | None = None

    def of(self, source: Source, how: Mapping, mode: str) -> Changes:
        """The same for one source: names as it writes them, and its operation column where it has one. Raises InputError for a column that
        it does not have."""
        found = {k: _named(source, getattr(self, k)) for k in ("operation", "version")}
        if found["operation"] is None and mode == "update":
            by_plain = {plain(c): c for c in how.unmapped}
            found["operation"] = next((by_plain[plain(n)] for n in NAMES if plain(n) in by_plain), None)
        return Changes(found["operation"], self.cut, found["version"])

    @property
    def columns(self) -> frozenset[str]:
        """The source columns that say it."""
        return frozenset(c for c in (self.operation, self.version) if c is not None)


def _named(source: Source, column: str | None) -> str | None:
    if column is None:
        return None
    found = {plain(c): c for c in source.columns}.get(plain(column))
    if found is None:
        raise InputError(f"{source.name} has no column {column!r}", remedy=f"It has: {', '.join(source.columns)}")
    return found


def operations(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """`I`, `U`, `D` of a column as deliveries write them, null where empty, and a mask of the values that are none of them."""
    column = values.texts(wkb.whole(column))
    distinct = pc.unique(column).to_pylist()
    codes = {word: _WORDS.get(values.fold(word)) for word in distinct if word is not None}
    found = pa.array([None if word is None else codes[word] for word in column.to_pylist()], pa.string())
    return found, (column.is_valid().to_numpy(zero_copy_only=False)) & found.is_null().to_numpy(zero_copy_only=False)


def encoded(numbers: np.ndarray, operation: pa.Array, version: pa.Array) -> memoryview:
    """The rows of `change_<layer>`."""
    return binary.rows([pa.array(numbers, pa.int64()), operation, version])


def moment(cursor, cut: str | None) -> dt.datetime | None:
    """The moment that `--cut` names: a batch's number, a day (its beginning in China) or a moment. Raises InputError, NotFound."""
    if cut is None:
        return None
    if cut.isdigit():
        cursor.execute("SELECT recorded_at FROM meta.batch WHERE id = %s AND status = 'published'", (int(cut),))
        row = cursor.fetchone()
        if row is None:
            raise NotFound(f"no published batch {cut}", remedy="See `onemap batches`")
        return row[0]
    try:
        found = dt.datetime.fromisoformat(cut)
    except ValueError:
        raise InputError(f"{cut!r} is neither a batch nor a day", remedy="Write --cut 2026-05-01, or the number of a batch") from None
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo("Asia/Shanghai"))


def begin(cursor, layer: Layer) -> None:
    """Makes the tables of a change set."""
    cursor.execute(statement("change_tables", layer, change=_change(layer), retiring=retiring(layer)))


def retiring(layer: Layer) -> sql.Identifier:
    """Where the rows wait that are to be retired."""
    return sql.Identifier("pg_temp", f"retiring_{layer.id}")


def _change(layer: Layer) -> sql.Identifier:
    return sql.Identifier("pg_temp", f"change_{layer.id}")


def copy(cursor, layer: Layer, body: memoryview) -> None:
    """Puts operations and versions into their table."""
    cursor.copy_expert(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(_change(layer)), binary.Copy(body))


def part(cursor, layer: Layer, place: Place) -> None:
    """Rows that are to be retired leave the others."""
    cursor.execute(statement("change_part", layer, change=_change(layer), retiring=retiring(layer), stage=place.rows))


def complete(cursor, layer: Layer, before: int, last: int, silent: Iterable[str], *places: sql.Composable) -> None:
    """What an update does not speak of stays as it is: in the rows after `before` up to `last` fields that no source column fills take
    their values from core."""
    missing = sorted(silent)
    fields = sql.SQL(", ").join(map(sql.Identifier, missing))
    kept = sql.SQL(", ").join(sql.Identifier("c", n) for n in missing)
    for rows in places:
        cursor.execute(statement("change_complete", layer, stage=rows, fields=fields, kept=kept), {"before": before, "last": last})


def check(cursor, layer: Layer, place: Place, cut: dt.datetime | None) -> None:
    """Finds what does not fit what is there: inserts of known keys, changes of unknown ones, and conflicts."""
    bound = {"layer": layer.id, "cut": cut}
    more = {"change": _change(layer), "retiring": retiring(layer), "stage": place.rows, "there": key_text(layer, "c")}
    cursor.execute(statement("change_operations", layer, **more), bound)
    cursor.execute(statement("change_conflicts", layer, **more), bound)


def retire(cursor, layer: Layer) -> int:
    """Adds the rows to be retired to the temporary table `diff`; answers how many had been retired before."""
    cursor.execute(statement("change_retire", layer, retiring=retiring(layer)))
    there = cursor.rowcount
    cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(retiring(layer)))
    return cursor.fetchone()[0] - there


def keep_changed_since(cursor, layer: Layer, batch: int, cut: dt.datetime) -> None:
    """A row that a full delivery lacks and that was changed since it was cut stays; that is a finding of the batch."""
    cursor.execute(statement("change_keep", layer, key=key_text(layer, "c")), {"batch": batch, "layer": layer.id, "cut": cut})


@dataclass(frozen=True)
class Neighbours:
    """Rows (key, value, position) that refer to what is retired, a thousand at most: those of which that was not known and those of which
    it was (their new row was rejected); how many there are of either."""

    strange: list[tuple]
    told: list[tuple]
    strange_count: int = 0
    told_count: int = 0


def neighbours(cursor, layer: Layer, field: str, target: Layer, told: Collection[str] = ()) -> Neighbours:
    """The rows of a layer that refer to rows that this batch has just retired (`retired_<target>`); told: the keys that are known."""
    _, _, column = layer.columns[field].references.partition(".")
    pairs = {column: field}
    if target.scope and target.scope in layer.columns:
        pairs[target.scope] = target.scope
    same = [sql.SQL("t.{} = l.{}").format(sql.Identifier(theirs), sql.Identifier(mine)) for theirs, mine in pairs.items()]
    cursor.execute(
        sql.SQL(text("neighbours")).format(
            layer=sql.Identifier("core", layer.id), retired=sql.Identifier("pg_temp", f"retired_{target.id}"),
            target=sql.Identifier("core", target.id), same=sql.SQL(" AND ").join(same), key=key_text(layer, "l"),
            field=sql.Identifier(field), referred=sql.SQL(", ").join(map(sql.Identifier, pairs)),
        ),
        {"told": list(told)},
    )  # fmt: skip
    found = cursor.fetchall()
    total, strangers = found[0][4:] if found else (0, 0)
    parts = ([row[:3] for row in found if row[3] is known] for known in (False, True))
    return Neighbours(*parts, strangers, total - strangers)
