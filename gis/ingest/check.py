"""The checks of a staged delivery, in sets, in the database: each finding is a row of the temporary table `found`."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as pacsv
from psycopg2 import sql

from gis.catalog import checks
from gis.catalog.model import Layer
from gis.ingest.findings import COLUMNS, Findings
from gis.ingest.statements import statement, text


def keep(cursor, findings: Findings) -> None:
    """Adds findings made in Python (reading, mapping) to `found`."""
    frame = findings.frame()
    if not len(frame):
        return
    buffer = io.BytesIO()
    pacsv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), buffer, pacsv.WriteOptions(include_header=False))
    buffer.seek(0)
    cursor.copy_expert(f"COPY found ({', '.join(COLUMNS)}) FROM STDIN (FORMAT csv)", buffer)


def check(cursor, layer: Layer, mode: str = "replace") -> None:
    """Runs all checks of a layer over its stage but those of its references. In mode append a row whose key is in core with
    other values is an error (LOD02)."""
    everything = checks.of(layer)
    in_rows = [c for c in everything if c.kind == "row"]
    if in_rows:
        cursor.execute(_row_checks(layer, in_rows))
        _empty(cursor, layer, in_rows)
    for one in everything:
        if one.kind == "set" and one.code != "REF":
            cursor.execute(_set_check(layer, one))
    if mode == "append":
        cursor.execute(statement("append_conflicts", layer), {"layer": layer.id})


def references(cursor, layer: Layer) -> None:
    """Checks what the staged rows of a layer refer to: in the stage or in core."""
    for one in checks.of(layer):
        if one.code == "REF":
            cursor.execute(_set_check(layer, one))


def _row_checks(layer: Layer, found: Sequence[checks.RowCheck]) -> sql.Composed:
    """One scan for all row checks; only rows with a fault are looked at check by check. The checks' SQL is the catalogue's own."""
    any_bad = sql.SQL(" OR ").join(sql.SQL("({})").format(sql.SQL(c.sql)) for c in found)
    each = sql.SQL(",\n").join(
        sql.SQL("({}, {}, {}, {}, {}, {}, ({}))").format(
            sql.Literal(c.code),
            sql.Literal(c.level),
            sql.Literal(c.field),
            _value(layer, c),
            sql.Literal(f"{c.title.zh} / {c.title.en}"),
            sql.Literal(f"{c.remedy.zh} / {c.remedy.en}"),
            sql.SQL(c.sql),
        )
        for c in found
    )
    return sql.SQL(text("row_checks")).format(
        layer=sql.Literal(layer.id), stage=sql.Identifier("stage", layer.id), any_bad=any_bad, each=each
    )


def _empty(cursor, layer: Layer, in_rows: Sequence[checks.RowCheck]) -> None:
    """Empties the optional fields whose value cannot be believed; the raw value is in the finding."""
    codes = sorted({c.code for c in in_rows if c.empties})
    cursor.execute("SELECT DISTINCT field FROM found WHERE layer = %s AND level = 'warning' AND code = ANY (%s)", (layer.id, codes))
    for (field,) in cursor.fetchall():
        emptied = sql.SQL(text("empty_field")).format(stage=sql.Identifier("stage", layer.id), field=sql.Identifier(field))
        cursor.execute(emptied, {"layer": layer.id, "codes": codes, "field": field})


def _value(layer: Layer, one: checks.RowCheck) -> sql.Composable:
    """The text of the value that a check is about."""
    if one.field == "geom":
        return sql.SQL("left(ST_AsText(s.geom, 9), 200)")
    return sql.SQL("s.{}::text").format(sql.Identifier(one.field)) if one.field in layer.columns else sql.SQL("NULL::text")


def _set_check(layer: Layer, one: checks.RowCheck) -> sql.Composed:
    return sql.SQL(text("set_check")).format(
        layer=sql.Literal(layer.id),
        code=sql.Literal(one.code),
        level=sql.Literal(one.level),
        field=sql.Literal(one.field),
        message=sql.Literal(f"{one.title.zh} / {one.title.en}"),
        remedy=sql.Literal(f"{one.remedy.zh} / {one.remedy.en}"),
        bad=sql.SQL(one.sql),
    )
