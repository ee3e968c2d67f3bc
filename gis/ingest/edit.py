"""One feature edited by hand: checked by what checks a delivery, written as a batch of its own (`meta.edit`), in the caller's transaction
and with his rights.

Values are understood as a delivery's are (units, dates as written in China, codes by their titles), and the same checks speak against
them. One thing is stricter: what a delivery may leave empty, because nobody is there to ask, is an error here.
"""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import psycopg2
import pyarrow as pa
import shapely
from psycopg2 import sql
from psycopg2.extras import Json

from gis import crs
from gis.catalog import checks, quote
from gis.catalog.ddl import SQL_TYPES
from gis.catalog.model import Catalog, Column, Layer
from gis.db.connection import translated
from gis.errors import AccessDenied, Conflict, InputError, StoreError
from gis.ingest import map as mapping
from gis.ingest import values

MOST_VERTICES = 50_000
_LOCK = 0x4F4D4C
"""The class of the lock that a load holds on its layer (`gis.ingest.load`)."""
_WAIT_S = 5.0
_FEWEST_DIGITS = 6
"""QGIS writes coordinates with six decimals, in degrees too."""
_SAME_HEIGHT_M = 0.0006
"""A millimetre is a change."""
_JSON = {
    "text": (str, int, float), "code": (str, int), "int": (int, float, str), "real": (int, float, str), "bool": (bool, str, int),
    "date": (str,), "timestamp": (str,), "texts": (list, str),
}  # fmt: skip
"""What a field's type takes of JSON's types, besides null."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a feature: the code of its check, its level, the field, the value, what to do."""

    code: str
    level: str
    field: str | None
    value: str | None
    message: str
    remedy: str


class Refused(InputError):
    """An edit that a check speaks against; `findings` are all that were made."""

    http_status = 422

    def __init__(self, worst: Finding, findings: list[Finding]):
        super().__init__(f"{worst.code}: {worst.message}", where=worst.field or "", remedy=worst.remedy)
        self.findings = findings
        self.more = {"findings": [asdict(finding) for finding in findings]}


@dataclass(frozen=True)
class Edited:
    """What an edit did: the batch (None where nothing was to be changed), the feature's number, the warnings."""

    batch: int | None
    fid: int
    findings: list[Finding]


def lock(cursor, layer: Layer) -> None:
    """Keeps loads and other edits of the layer away until the transaction ends. Raises StoreError after five seconds."""
    until = time.monotonic() + _WAIT_S
    while True:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (_LOCK, layer.id))
        if cursor.fetchone()[0]:
            return
        if time.monotonic() > until:
            raise StoreError(f"a load of {layer.id} is running", remedy="Wait until it has finished, then send the edit again")
        time.sleep(0.05)


# --- values -----------------------------------------------------------------------------------------------------------


def understood(layer: Layer, given: dict[str, object]) -> tuple[pa.Table, list[Finding]]:
    """A row (one-row columns in the types of the fields) of the values of JSON properties, and findings (TYP01) of those that are none.

    A field without a value takes its default, as in a delivery. Raises InputError for a JSON type that says nothing for the field.
    """
    columns, found = {}, []
    for name, raw in given.items():
        column = layer.columns[name]
        if raw is not None and (not isinstance(raw, _JSON[column.type]) or (isinstance(raw, bool) and bool not in _JSON[column.type])):
            raise InputError(f"{str(raw)[:40]!r} is no value for {name}", where=name, remedy=f"{column.title.en} is of type {column.type}")
        columns[name], is_bad = _cast(raw, column)
        if is_bad:
            found.append(
                Finding("TYP01", "error", name, str(raw)[:200], f"{column.title.zh}的值类型不对 / {column.title.en} is no {column.type}",
                        "改正该值 / Correct the value")
            )  # fmt: skip
    return pa.table(columns), found


def _cast(raw, column: Column) -> tuple[pa.Array, bool]:
    """One value as its field's type, and whether it is none."""
    if isinstance(raw, list):
        parts = [str(part) for part in raw if part is not None]
        return pa.array([parts or None], pa.list_(pa.string())), any(isinstance(part, (list, dict)) for part in raw)
    if raw is None and column.default is not None:
        raw = str(column.default)
    try:
        one = pa.array([raw], pa.string()) if raw is None else pa.array([raw])
    except (OverflowError, pa.ArrowInvalid):
        return pa.nulls(1), True
    cast, bad = values.cast(one, column)
    return cast, bool(bad[0])


def row(table: pa.Table) -> dict[str, object]:
    """The values of a one-row table as Python's."""
    return {name: table.column(name)[0].as_py() for name in table.column_names}


def stored_geometry(
    layer: Layer,
    shape: shapely.Geometry | None,
    table: pa.Table,
    system: str | int,
    *,
    known: shapely.Geometry | None = None,
    digits: int = 9,
) -> shapely.Geometry | None:
    """A geometry as it came (coordinates in `system`, x before y) as the layer stores it: EPSG:4490, single or multi, with or without Z;
    heights from the fields where it has none. `known`: the stored geometry that it takes the place of; digits: those behind the point that
    the server gives out in this system.

    A vertex that came as the server gave it out, or rounded (QGIS writes six decimals), is the stored one: an edit moves only what was
    moved. Raises InputError for too
    many vertices and for coordinates that are no numbers.
    """
    if shape is None or shape.is_empty:
        return None
    coordinates = shapely.get_coordinates(shape, include_z=shape.has_z)
    if len(coordinates) > MOST_VERTICES:
        raise InputError(f"the geometry has more than {MOST_VERTICES:,} vertices", where="geometry", remedy="Divide the feature")
    if not np.isfinite(coordinates).all():
        raise InputError("a coordinate is no number, or infinite", where="geometry", remedy="Correct the coordinates")
    placed = crs.project([shape], system)[0]
    if known is not None:
        placed = _settled(shape, placed, known, system, digits)
    return mapping.promoted(mapping.with_heights(np.array([placed], object), layer, table), layer.geometry)[0]


def _settled(shape: shapely.Geometry, placed: shapely.Geometry, known: shapely.Geometry, system: str | int, most: int) -> shapely.Geometry:
    """The placed geometry with the stored vertices where the given ones are these, rounded to the digits that were given, or that the
    server gives out (`most`)."""
    there = shapely.get_coordinates(crs.project([known], crs.STORED, system)[0])
    old, given = shapely.get_coordinates(known, include_z=True), shapely.get_coordinates(shape)
    has_heights = placed.has_z
    if known.has_z:
        placed = shapely.force_3d(placed)
    now = shapely.get_coordinates(placed, include_z=True)
    nearest = shapely.STRtree(shapely.points(there))
    at = nearest.nearest(shapely.points(given))
    for n, i in enumerate(at):
        digits = min(max(_digits(given[n]), _FEWEST_DIGITS if crs.is_geographic(system) else most), most)
        if np.abs(given[n] - there[i]).max() <= 0.5000001 * 10.0**-digits:
            keeps_height = known.has_z and not (has_heights and abs(now[n, 2] - old[i, 2]) > _SAME_HEIGHT_M)
            now[n] = (*old[i, :2], old[i, 2] if keeps_height else now[n, 2])
    return shapely.set_coordinates(placed, now if placed.has_z else now[:, :2])


def _digits(position: np.ndarray) -> int:
    """How many digits behind the point a position was written with."""
    return max(len(repr(value).partition(".")[2]) for value in position.tolist())


# --- checks -----------------------------------------------------------------------------------------------------------


def judged(
    cursor,
    catalog: Catalog,
    layer: Layer,
    given: dict[str, object],
    geometry: shapely.Geometry | None,
    role: str,
    *,
    but: Container[str] = (),
    known: Mapping[str, object] | None = None,
) -> list[Finding]:
    """What the checks of the layer say of a row: those of single rows, then whether what it refers to is there for this role. but: fields
    that were found wrong before; known: the values that it had, what they refer to is not asked again. A check over a column that the role
    does not see says nothing: it has no value here and keeps its own."""
    hidden = [f"s.{quote.name(name)}" for name in layer.columns.keys() - layer.columns_for(role).keys()]
    rows = [
        replace(check, level="error") if check.empties else check
        for check in checks.of(layer, catalog)
        if check.kind == "row" and not any(name in check.sql for name in hidden)
    ]
    cursor.execute(_row_checks(layer, rows), _bound(layer, given) | {"geom": _ewkb(geometry)})
    found = [finding for line in cursor.fetchall() if (finding := Finding(*line)).field not in but]
    wrong = {finding.field for finding in found}
    for name, column in layer.columns.items():
        is_new = not known or given.get(name) != known.get(name)
        if column.references and given.get(name) is not None and is_new and name not in wrong:
            found += _reference(cursor, catalog, layer, name, given, role)
    return found


def _bound(layer: Layer, given: dict[str, object]) -> dict[str, object]:
    return {f"v_{name}": given.get(name) for name in layer.columns}


def _ewkb(geometry: shapely.Geometry | None) -> str | None:
    return None if geometry is None else shapely.to_wkb(shapely.set_srid(geometry, crs.STORED), hex=True, include_srid=True)


def _row_checks(layer: Layer, rows: list[checks.RowCheck]) -> sql.Composable:
    """One statement that runs every check of single rows over the bound values; the checks' SQL is the catalogue's own."""
    typed = sql.SQL(", ").join(
        sql.SQL("{}::" + SQL_TYPES[column.type] + " AS {}").format(sql.Placeholder(f"v_{name}"), sql.Identifier(name))
        for name, column in layer.columns.items()
    )
    each = sql.SQL(", ").join(
        sql.SQL("({}, {}, {}, {}, {}, {}, ({}))").format(
            sql.Literal(check.code), sql.Literal(check.level), sql.Literal(check.field),
            sql.SQL("s.{}::text").format(sql.Identifier(check.field)) if check.field in layer.columns else sql.SQL("NULL::text"),
            _text(f"{check.title.zh} / {check.title.en}"), _text(f"{check.remedy.zh} / {check.remedy.en}"),
            sql.SQL(check.sql.replace("%", "%%")),
        )
        for check in rows
    )  # fmt: skip
    return sql.SQL(
        "SELECT c.code, c.level, c.field, left(c.value, 200), c.message, c.remedy FROM (SELECT {typed}, %(geom)s::geometry AS geom) s"
        " CROSS JOIN LATERAL (VALUES {each}) AS c (code, level, field, value, message, remedy, bad) WHERE c.bad"
    ).format(typed=typed, each=each)


def _text(text: str) -> sql.Literal:
    """A text in a statement that has parameters as well."""
    return sql.Literal(text.replace("%", "%%"))


def _reference(cursor, catalog: Catalog, layer: Layer, name: str, given: dict[str, object], role: str) -> list[Finding]:
    """What a field refers to must exist for whoever edits."""
    column = layer.columns[name]
    target_id, _, target_column = column.references.partition(".")
    target = catalog.layer(target_id)
    if target_column in target.columns_for(role):
        same = {target_column: given[name]}
        if target.scope and target.scope in layer.columns:
            same[target.scope] = given.get(target.scope)
        if target_id == layer.id and all(given.get(k) == v for k, v in same.items()):
            return []
        wanted = sql.SQL(" AND ").join(sql.SQL("{} = {}").format(sql.Identifier(k), sql.Placeholder(k)) for k in same)
        cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(sql.Identifier("pub", target_id), wanted), same)
        if cursor.fetchone()[0]:
            return []
    return [
        Finding("REF", "error" if column.required else "warning", name, str(given[name])[:200],
                f"{column.title.zh}在“{target.title.zh}”中不存在 / {column.title.en} is not in {target.title.en}",
                f"先录入“{target.title.zh}”，或改正{column.title.zh} / Enter {target.title.en} first, or correct it")
    ]  # fmt: skip


def require_good(findings: list[Finding], *, strict: bool = False) -> list[Finding]:
    """The warnings, where there is nothing worse; strict: where there is no warning either. Raises Refused."""
    grave = ("error", "fatal", "warning") if strict else ("error", "fatal")
    if worst := next((finding for level in ("fatal", "error", "warning") for finding in findings if finding.level == level in grave), None):
        raise Refused(worst, findings)
    return findings


# --- writing ----------------------------------------------------------------------------------------------------------


def write(
    cursor, catalog: Catalog, layer: Layer, operation: str, identifier: str, *,
    fid: int | None = None, given: dict[str, object] | None = None, geometry: shapely.Geometry | None = None,
    scope: str | None = None, findings: list[Finding] = (),
) -> Edited:  # fmt: skip
    """Inserts, updates or deletes one feature, as a batch of kind edit whose operator is the transaction's user.

    given: the columns to set; geometry None keeps it. Raises Conflict where the id is taken or others need the feature, AccessDenied where
    the role may not write the layer, StoreError.
    """
    needed, optional = referrers(catalog, layer) if operation == "delete" else ([], [])
    try:
        cursor.execute(
            "SELECT * FROM meta.edit(%s, %s, %s, %s, %s, %s, %s::geometry, %s, %s, %s)",
            (layer.id, operation, fid, identifier[:500], scope, Json(_as_json(given or {})), _ewkb(geometry),
             Json([asdict(finding) for finding in findings]), Json(needed), Json(optional)),
        )  # fmt: skip
    except psycopg2.errors.UniqueViolation:
        raise taken(identifier) from None
    except psycopg2.errors.NotNullViolation:
        raise AccessDenied("the layer asks for a value that you may not see", remedy="Ask the administrator") from None
    except psycopg2.Error as error:
        raise translated(error) from error
    batch, number, _, referring = cursor.fetchone()
    if operation == "delete" and batch is None:
        raise Conflict(
            f"other features refer to {identifier[:80]}", where=", ".join(_visible(cursor, referring)), remedy="Change or delete them first"
        )
    return Edited(batch, number, [*findings, *_left_behind(cursor, referring or [])])


def taken(identifier: str) -> Conflict:
    """The mistake of creating what is there."""
    return Conflict(f"there is a feature {identifier[:80]!r} already", where="id", remedy="Replace it with PUT, or give another id")


def _visible(cursor, referring: list[str]) -> list[str]:
    """Of fields (`layer.field`) those that the transaction's role may know of."""
    cursor.execute(
        "SELECT r FROM unnest(%s::text[]) r"
        " WHERE has_column_privilege(format('pub.%%I', split_part(r, '.', 1)), split_part(r, '.', 2), 'SELECT')",
        (referring,),
    )
    return [name for (name,) in cursor.fetchall()]


def _left_behind(cursor, referring: list[str]) -> list[Finding]:
    return [
        Finding("LOD03", "warning", name, None, f"{name} 仍引用该要素 / features of {name} still refer to it", "改正引用 / Correct them")
        for name in (_visible(cursor, referring) if referring else [])
    ]


def _as_json(given: dict[str, object]) -> dict[str, object]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in given.items()}


def referrers(catalog: Catalog, layer: Layer) -> tuple[list[dict], list[dict]]:
    """The fields of all layers that refer to this one, as `meta.edit` takes them: those that must, those that may."""
    needed, optional = [], []
    for other in catalog.vectors:
        for name, column in other.columns.items():
            target, _, target_column = (column.references or "").partition(".")
            if target == layer.id:
                scope = layer.scope if layer.scope and layer.scope in other.columns else None
                (needed if column.required else optional).append(
                    {"layer": other.id, "field": name, "column": target_column, "scope": scope}
                )
    return needed, optional
