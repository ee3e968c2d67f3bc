"""Observations (监测数据): values that sensors observed, from tables, on the careful road: each finding has a code, rejected rows are
kept, a delivery is a batch, can be repeated and taken back.

OBS01 no such sensor              OBS02 the time cannot be read       OBS03 the value is no number
OBS04 what was observed is not told or not known      OBS05 the unit is not known for it
OBS06 the time is to come or before 1970              OBS07 a later row of the delivery says otherwise
OBS08 the row says what another one says (loaded once)                OBS09 the value is not plausible (loaded as suspect)
OBS10 the quality flag is not known

Values are stored in one unit per quantity (`gis.catalog.observed`). The same value again changes nothing; another value for the same
moment corrects it, and the old one stays in the history.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import psycopg2.extras
import pyarrow as pa
import pyarrow.csv as pacsv

from gis.catalog.observed import DELIVERED, ID, OF_KIND, QUALITIES, QUANTITIES
from gis.db.connection import owner
from gis.errors import InputError, NotFound, SourceError
from gis.ingest import check, sources, values
from gis.ingest.delivery import LoadResult, Rejected, silent
from gis.ingest.findings import Findings
from gis.ingest.load import begin, begin_rollback, lock
from gis.ingest.publish import Outcome
from gis.ingest.read import Batch, Source, open_source
from gis.ingest.statements import text

REJECTED_MOST = 0.5
"""The share of rejected rows above which a delivery is refused."""

_FINDINGS = (
    ("OBS01", "error", "sensor_id", "没有这个设备 / there is no such sensor", "先装入设备 / Load the sensor first, or correct its id"),
    ("OBS02", "error", "at", "时间无法识别 / the time cannot be read", "写成 2024-05-01 08:00 / Write it so"),
    ("OBS03", "error", "value", "数值不是数 / the value is no number", "填写数值 / Give a number"),
    ("OBS04", "error", "parameter", "监测项不明 / what was observed is not known", "，".join(QUANTITIES)),
    ("OBS05", "error", "unit", "单位不明 / the unit is not known for this quantity", "改用常用单位 / Use a usual unit"),
    ("OBS06", "error", "at", "时间在将来或早于1970年 / the time is to come or before 1970", "改正时间 / Correct the time"),
    ("OBS07", "error", "value", "同一时刻另有不同的值，以后者为准 / a later row says otherwise", "只交一个值 / Deliver one"),
    ("OBS08", "info", "value", "重复记录 / the row says what another one says", ""),
    ("OBS09", "warning", "value", "数值不合理，标为可疑 / the value is not plausible and is marked suspect", "检查设备 / Check the sensor"),
    ("OBS10", "error", "quality", "质量标识不明 / the quality flag is not known", "、".join(name for name, _, _ in QUALITIES)),
)


def load(
    paths: Iterable[Path | str], *, encoding: str | None = None, source_layer: str | None = None, operator: str | None = None,
    dry_run: bool = False, progress=silent,
) -> LoadResult:  # fmt: skip
    """Loads tables of observations as one batch, all or nothing. Columns: sensor, time, value, and where there are any parameter, unit,
    quality, under the names of `gis.catalog.observed.DELIVERED`. Without a unit the sensor's own is meant, without an offset Beijing time.

    dry_run: everything is done and then undone; findings and rejects stay. Raises SourceError (unreadable, no such columns), Rejected
    (most rows are faulty), InputError (no file), StoreError.
    """
    begun = time.monotonic()
    opened = [open_source(path, DELIVERED, encoding=encoding, source_layer=source_layer, positions=False) for path in paths]
    if not opened:
        raise InputError("no file was named", remedy="onemap load observation FILE.csv")
    columns = [_columns(source) for source in opened]
    files = [sources.digest(path) for source in opened for path in source.parts]
    with owner() as connection, connection.cursor() as cursor:
        lock(cursor, [ID], progress)
        batch = begin(cursor, ", ".join(source.name for source in opened), files, "update", operator)
        connection.commit()
        read, findings = _staged(cursor, opened, columns, progress)
        progress("checking observations", 0, read)
        _judge(cursor)
        outcome = _judged(cursor, batch, read, findings)
        reason = _refusal(outcome)
        if reason:
            _close(cursor, batch, "rejected", reason, Outcome(ID, None, outcome.rows_read, 0, outcome.rows_read))
            connection.commit()
            raise Rejected(reason, _result(cursor, batch, "rejected", outcome, begun))
        connection.commit()
        progress("publishing observations", 0, read)
        _publish(cursor, batch, outcome)
        if dry_run:
            connection.rollback()
            _close(cursor, batch, "dry_run", None, outcome)
        else:
            _keep(cursor, files)
            cursor.execute(text("batch_layers"), {"batch": batch} | vars(outcome))
        connection.commit()
        if outcome.inserted > 10_000 and not dry_run:
            cursor.execute("ANALYZE observed.value")
            connection.commit()
        return _result(cursor, batch, "dry_run" if dry_run else "published", outcome, begun)


def _columns(source: Source) -> dict[str, str]:
    """field → column of the source. Raises SourceError where what is needed is not there."""
    plain = {values.plain(name): name for name in source.columns}
    found = {}
    for name, column in DELIVERED.fields.items():
        for called in (*DELIVERED.source_names(name), column.title.zh, column.title.en):
            if values.plain(called) in plain:
                found[name] = plain[values.plain(called)]
                break
    missing = [column.title.zh for name, column in DELIVERED.fields.items() if column.required and name not in found]
    if missing:
        raise SourceError(
            f"{source.name} has no column {', '.join(missing)}; it has {', '.join(source.columns)}"[:1000],
            remedy="Name the columns 设备编号, 监测时间, 数值 (and 监测项, 单位, 质量)",
        )
    return found


def _staged(cursor, opened: list[Source], columns: list[dict[str, str]], progress) -> tuple[int, Findings]:
    """The rows of all sources in the temporary table `observed`; how many there are, and what was found while reading."""
    cursor.execute(text("found"))
    cursor.execute(text("observation_stage"))
    findings, read = Findings(), 0
    for source, named in zip(opened, columns, strict=True):
        rows = 0
        for one in source.batches():
            cursor.copy_expert("COPY observed FROM STDIN (FORMAT csv)", _encoded(one, named, read))
            rows += len(one.numbers)
            progress(f"reading {source.name}", read + rows, source.count)
        findings.take(source.findings, before=read)
        read += rows + source.findings.rows("SRC02")
    cursor.execute("ANALYZE observed")
    return read, findings


def _encoded(one: Batch, named: dict[str, str], before: int) -> io.BytesIO:
    """A batch as COPY reads it, in the order of the table's columns."""
    nothing = pa.nulls(len(one.numbers), pa.string())

    def column(name: str) -> pa.Array:
        if name not in named:
            return nothing
        found = one.rows.column(named[name])
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    def plain(name: str) -> pa.Array:
        return values.texts(column(name)) if name in named else nothing

    at, no_time = moments(column("at"))
    value, no_number = values.numbers(column("value"))
    raw = [pa.array(np.where(bad, plain(name).to_numpy(zero_copy_only=False), None), pa.string())
           for name, bad in (("at", no_time), ("value", no_number))]  # fmt: skip
    table = pa.table(
        [pa.array(np.asarray(one.numbers, np.int64) + before), plain("sensor_id"), plain("parameter"), at, value, plain("unit"),
         plain("quality"), *raw],
        names=["src_row", "sensor_id", "parameter", "at", "value", "unit", "quality", "at_text", "value_text"],
    )  # fmt: skip
    buffer = io.BytesIO()
    pacsv.write_csv(table, buffer, pacsv.WriteOptions(include_header=False))
    buffer.seek(0)
    return buffer


_MOMENT = re.compile(
    r"^([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?"
    r"(?:[ T]*([0-9]{1,2})[:：时]([0-9]{1,2})分?(?:[:：]?([0-9]{1,2})(?:[.,]([0-9]{1,9}))?秒?)?)?\s*(Z|[+-][0-9]{2}:?[0-9]{2})?$"
)
_BEIJING = dt.timezone(dt.timedelta(hours=8))


def moments(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """(moments, whether the text is none), of texts such as 2024-05-01 08:00, 2024/5/1 8:00:30, 2024-05-01T00:00:00Z; a day alone is its
    beginning. Each different text is read once: all sensors of a system report at the same times."""
    if pa.types.is_timestamp(column.type):
        return values.timestamps(column)
    coded = values.texts(column).dictionary_encode()
    read = [_moment(written) for written in coded.dictionary.to_pylist()]
    at = pa.array(read, pa.timestamp("us", "UTC")).take(coded.indices)
    return at, np.asarray(at.is_null()) & np.asarray(coded.indices.is_valid())


def _moment(written: str) -> dt.datetime | None:
    found = _MOMENT.match(written.upper())
    if not found:
        return None
    *parts, fraction, zone = found.groups()
    try:
        local = dt.datetime(*(int(part or 0) for part in parts), int((fraction or "0")[:6].ljust(6, "0")), _BEIJING)
        return local if zone is None else local.replace(tzinfo=dt.datetime.fromisoformat(f"2000-01-01T00:00{zone}").tzinfo)
    except ValueError:
        return None


def _judge(cursor) -> None:
    """The rows with what they mean and what is wrong with them, in the temporary table `judged`."""
    cursor.execute("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off")
    cursor.execute(text("observation_described"), _vocabulary())
    latest = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    cursor.execute("ANALYZE described")
    cursor.execute(text("observation_judge"), {"latest": latest})
    cursor.execute("ANALYZE judged (series, code)")
    cursor.execute(text("observation_repeated"))


def _vocabulary() -> dict:
    """What names, units, flags and ranges mean, as the judging statement reads it."""
    names = [{"name": called.lower(), "id": id_} for id_, q in QUANTITIES.items() for called in {id_, q.title.zh, q.title.en, *q.names}]
    names = list({one["name"]: one for one in names}.values())
    units = {(id_, unit.lower()): way for id_, q in QUANTITIES.items() for unit, way in q.units.items()}
    flags = {called.lower(): i for i, (id_, title, others) in enumerate(QUALITIES) for called in (id_, title.zh, *others)}
    return {
        "names": psycopg2.extras.Json(names),
        "kinds": psycopg2.extras.Json([{"kind": kind, "quantity": id_} for kind, id_ in OF_KIND.items()]),
        "units": psycopg2.extras.Json([{"quantity": q, "unit": u, "factor": f, "shift": s} for (q, u), (f, s) in units.items()]),
        "flags": psycopg2.extras.Json([{"name": name, "place": place} for name, place in flags.items()]),
        "ranges": psycopg2.extras.Json([{"quantity": id_, "low": q.low, "high": q.high} for id_, q in QUANTITIES.items()]),
    }


def _judged(cursor, batch: int, read: int, findings: Findings) -> Outcome:
    """Keeps findings and rejects; how many rows there are of each kind."""
    check.keep(cursor, findings)
    cursor.execute(text("keep_file_findings"), {"batch": batch, "layer": ID})
    codes = [dict(zip(("code", "level", "field", "message", "remedy"), one, strict=True)) for one in _FINDINGS]
    cursor.execute(text("observation_findings"), {"batch": batch, "codes": psycopg2.extras.Json(codes)})
    cursor.execute(text("observation_rejects"), {"batch": batch})
    cursor.execute("SELECT count(*) FILTER (WHERE code IS NULL OR code = 'OBS08') FROM judged")
    loaded = cursor.fetchone()[0]
    return Outcome(ID, None, read, loaded, read - loaded)


def _refusal(outcome: Outcome) -> str | None:
    if outcome.rows_read == 0:
        return "refused: the source holds no rows (SRC01)"
    if outcome.rows_rejected > REJECTED_MOST * outcome.rows_read:
        return f"refused: {outcome.rows_rejected} of {outcome.rows_read} rows are faulty; at most {REJECTED_MOST:.0%} may be"
    return None


def _publish(cursor, batch: int, outcome: Outcome) -> None:
    bound = {"batch": batch}
    cursor.execute("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off")
    cursor.execute(text("record_batch"), bound)
    cursor.execute(text("observation_series"))
    cursor.execute(text("observation_incoming"))
    cursor.execute("ANALYZE incoming")
    cursor.execute(text("observation_correct"), bound)
    outcome.updated = cursor.rowcount
    cursor.execute(text("observation_insert"), bound)
    outcome.inserted = cursor.rowcount
    outcome.unchanged = outcome.rows_loaded - outcome.inserted - outcome.updated


def _close(cursor, batch: int, status: str, message: str | None, outcome: Outcome) -> None:
    cursor.execute(
        "UPDATE meta.batch SET status = %s, finished_at = clock_timestamp(), message = %s WHERE id = %s", (status, message, batch)
    )
    cursor.execute(text("batch_layers"), {"batch": batch} | vars(outcome))


def _keep(cursor, files: list[sources.Kept]) -> None:
    for file in sources.keep(files):
        cursor.execute(
            "INSERT INTO meta.source (sha256, name, bytes) VALUES (%s, %s, %s) ON CONFLICT (sha256) DO NOTHING",
            (file.sha256, file.name, file.bytes),
        )


def _result(cursor, batch: int, status: str, outcome: Outcome, begun: float) -> LoadResult:
    cursor.execute("SELECT code, count(*) FROM meta.finding WHERE batch = %s GROUP BY code ORDER BY code", (batch,))
    counts = (outcome.rows_read, outcome.rows_loaded, outcome.rows_rejected)
    return LoadResult(batch, *counts, dict(cursor.fetchall()), time.monotonic() - begun, status, [outcome])


# --- back again -------------------------------------------------------------------------------------------------------


def is_delivery(batch: int) -> bool:
    """Whether a batch is a delivery of observations (or its rollback)."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM meta.batch_layer WHERE batch = %s AND layer = %s)", (batch, ID))
        return cursor.fetchone()[0]


def rollback(batch: int, *, operator: str | None = None, progress=silent) -> LoadResult:
    """Takes a delivery of observations back, as a batch of its own: its values go to history, those that it corrected are believed again.

    Raises NotFound, InputError (not published, already taken back, corrected by later deliveries, which are named), StoreError.
    """
    begun = time.monotonic()
    with owner() as connection, connection.cursor() as cursor:
        lock(cursor, [ID], progress)
        cursor.execute("SELECT kind, status, rolled_back_by FROM meta.batch WHERE id = %s FOR UPDATE", (batch,))
        row = cursor.fetchone()
        if row is None:
            raise NotFound(f"no batch {batch}", remedy="See `onemap batches`")
        if row[0] != "load" or row[1] != "published" or row[2] is not None:
            raise InputError(f"batch {batch} cannot be taken back: it is {'taken back already' if row[2] else f'{row[0]}, {row[1]}'}")
        cursor.execute(text("observation_blockers"), {"of": batch})
        if later := [str(found[0]) for found in cursor.fetchall()]:
            remedy = f"Take them back first, the latest ({later[-1]}) before the others"
            raise InputError(f"later batches corrected its values: {', '.join(later)}", remedy=remedy)
        undo = begin_rollback(cursor, batch, operator)
        cursor.execute(text("record_batch"), {"batch": undo})
        cursor.execute(text("observation_take_back"), {"of": batch, "undo": undo})
        gone = cursor.rowcount
        cursor.execute(text("observation_restore"), {"of": batch})
        back = cursor.rowcount
        outcome = Outcome(ID, None, back, back, 0, inserted=back, retired=gone)
        cursor.execute(text("batch_layers"), {"batch": undo} | vars(outcome))
        cursor.execute("UPDATE meta.batch SET rolled_back_by = %s WHERE id = %s", (undo, batch))
        connection.commit()
        return _result(cursor, undo, "published", outcome, begun)
