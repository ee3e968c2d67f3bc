"""The checks of a staged delivery, in sets, in the database: each finding is a row of the temporary table `found`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.csv as pacsv
from psycopg2 import sql

from gis.catalog import checks
from gis.catalog.model import Layer
from gis.ingest import stage
from gis.ingest.findings import COLUMNS, Findings
from gis.ingest.stage import Place
from gis.ingest.statements import statement, text

Places = Mapping[str, Place]
"""Where the rows of each layer of the delivery are staged, by layer id."""


def keep(cursor, findings: Findings) -> None:
    """Adds findings made in Python (reading, mapping) to `found`."""
    if not len(findings):
        return
    frame = findings.frame()
    buffer = io.BytesIO()
    pacsv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), buffer, pacsv.WriteOptions(include_header=False))
    buffer.seek(0)
    cursor.copy_expert(f"COPY found ({', '.join(COLUMNS)}) FROM STDIN (FORMAT csv)", buffer)


def suspects(cursor, layer: Layer) -> None:
    """Runs the checks of single rows over the rows that they may speak against (`gis.catalog.sieve`)."""
    cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(stage.suspects(layer).rows))
    in_rows = [c for c in checks.of(layer) if c.kind == "row"]
    if in_rows and cursor.fetchone()[0]:
        cursor.execute(_row_checks(layer, in_rows))
        _empty(cursor, layer, in_rows)


def together(cursor, layer: Layer, places: Places, mode: str = "replace", *, but: Sequence[str] = ()) -> None:
    """Runs the checks of a layer's rows together, but those of its references and those whose codes `but` names. In mode append a row
    whose key is in core with other values is an error (LOD02)."""
    for one in _set_checks(layer, places):
        if one.code != "REF" and one.code not in but:
            cursor.execute(_set_check(layer, one))
    if mode == "append":
        cursor.execute(statement("append_conflicts", layer, stage=places[layer.id].rows), {"layer": layer.id})


def references(cursor, layer: Layer, places: Places, referred: Mapping[str, Sequence[str] | None] | None = None) -> None:
    """Checks what the staged rows of a layer refer to: staged with them or in core. `referred`: the distinct values of some fields; where
    all of them are there, no row is looked at."""
    for one in _set_checks(layer, places):
        if one.code == "REF" and not _all_there(cursor, layer, one.field, places, (referred or {}).get(one.field)):
            cursor.execute(_set_check(layer, one))


def _set_checks(layer: Layer, places: Places) -> list[checks.RowCheck]:
    return [one for one in checks.of(layer, staged={k: place.text for k, place in places.items()}) if one.kind == "set"]


def _all_there(cursor, layer: Layer, field: str, places: Places, values: Sequence[str] | None) -> bool:
    """Whether every one of these values is in the layer that the field refers to; False where they are not known."""
    if values is None:
        return False
    target, _, column = layer.columns[field].references.partition(".")
    there = [sql.Identifier("core", target), *([places[target].rows] if target in places else [])]
    missing = sql.SQL(" AND ").join(
        sql.SQL("NOT EXISTS (SELECT FROM {} t WHERE t.{} = v)").format(table, sql.Identifier(column)) for table in there
    )
    cursor.execute(sql.SQL("SELECT NOT EXISTS (SELECT FROM unnest(%s::text[]) v WHERE {})").format(missing), (list(values),))
    return cursor.fetchone()[0]


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
    return sql.SQL(text("row_checks")).format(layer=sql.Literal(layer.id), stage=stage.suspects(layer).rows, any_bad=any_bad, each=each)


def _empty(cursor, layer: Layer, in_rows: Sequence[checks.RowCheck]) -> None:
    """Empties the optional fields whose value cannot be believed; the raw value is in the finding."""
    codes = sorted({c.code for c in in_rows if c.empties})
    cursor.execute("SELECT DISTINCT field FROM found WHERE layer = %s AND level = 'warning' AND code = ANY (%s)", (layer.id, codes))
    for (field,) in cursor.fetchall():
        emptied = sql.SQL(text("empty_field")).format(stage=stage.suspects(layer).rows, field=sql.Identifier(field))
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
