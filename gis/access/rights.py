"""Rights: what of a layer a role, a department or a user may see, where the layer file gives it to the role: an area, a condition, columns,
days. They only ever take away.

Rights of the same who on the same layer add up by area (two districts); everything else holds together: conditions, columns, the rights of
a user with those of his department and his role, those on one layer with those on its group and on all. Who has rights on a layer of which
none is in force today sees nothing of it.

Enforced twice: whatever asks by the caller's role meets the columns and layers that are left (`gis.catalog.narrowing`), and the database
itself judges the rows of whoever reads as `onemap_part_<role>` (migration 0531). The condition that `narrowing` adds to a query is for the
index, and a third net.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path

import psycopg2.extras
import shapely
from psycopg2 import sql

from gis.access import generation
from gis.catalog import narrowing
from gis.catalog.model import GROUPS, ROLES, VALID_TIME, Layer
from gis.catalog.narrowing import Part
from gis.catalog.read import catalog
from gis.db import cql2
from gis.db.connection import owner, reading
from gis.errors import InputError, NotFound

ALL = "*"
WHO = ("user", "department", "role")
MOST_VERTICES = 20_000
"""Of an area that is given as a file: it is held against every row."""

_OF = "SELECT id, layer, area IS NOT NULL, filter, columns, in_force FROM access.rights_of(%s, %s, NULL)"


@dataclass(frozen=True)
class Right:
    """One right as it is listed."""

    id: int
    who: str
    name: str
    layer: str
    place: str | None
    filter: str | None
    columns: tuple[str, ...] | None
    first_day: dt.date | None
    last_day: dt.date | None
    in_force: bool
    note: str
    made_by: str
    made_at: dt.datetime

    def as_dict(self) -> dict:
        return {**vars(self), "columns": list(self.columns) if self.columns else None}


# --- who asks ---------------------------------------------------------------------------------------------------------


def role_of(user: str, role: str) -> str:
    """The role of a caller as everything that judges by roles is to see it: the role itself where no right narrows him.

    Raises StoreError where the database cannot be asked.
    """
    role = narrowing.base(role)
    if role in narrowing.NEVER_NARROWED:
        return role
    with reading("identity") as connection, connection.cursor() as cursor:
        cursor.execute(_OF, (role, user))
        found = cursor.fetchall()
    return narrowing.narrowed(role, [(row[0], row[-1]) for row in found], _parts(found).items())


def _parts(found: list[tuple]) -> dict[str, Part]:
    """What rights leave, by what they name. An area narrows unless one of the rights in force is without; `shown` while one is."""
    parts: dict[str, Part] = {}
    for name in dict.fromkeys(row[1] for row in found):
        holding = [row for row in found if row[1] == name and row[-1]]
        part = Part(shown=bool(holding))
        for _, _, by_area, filter_, columns, _ in holding:
            part = part.also(Part(True, frozenset(columns) if columns is not None else None, by_area, (filter_,) if filter_ else ()))
        parts[name] = part
    return parts


def is_part(layer: Layer, role: str) -> bool:
    """Whether the caller may see only some of the layer's rows: then no count, extent or estimate of all of them is told to him."""
    part = layer.part_for(role)
    return part is not None and part.lacks_rows


def narrowed_layers(names, role: str) -> list[str]:
    """Those of these layers that the caller sees in part only (rows or columns)."""
    layers = catalog().layers
    return [name for name in names if name in layers and layers[name].part_for(role) is not None]


def condition(layer: Layer, role: str) -> tuple[sql.Composable, dict] | None:
    """The condition that keeps a query of the layer's view to the rows that the caller may see, with its parameters; None for all.

    `&&` with an area that the planner can look up keeps the query on the spatial index.
    """
    part = layer.part_for(role)
    if part is None:
        return None
    if not part.shown:
        return sql.SQL("false"), {}
    parts, parameters = [], {}
    if part.by_area:
        area = sql.SQL("access.area_of({})").format(sql.Literal(layer.id))
        # coalesce: the planner takes ST_Intersects with what it cannot look into for true of next to no row, and would sort all
        parts.append(sql.SQL("geom && {0} AND coalesce(ST_Intersects(geom, (SELECT {0})), false)").format(area))
    for i, filter_ in enumerate(part.filters):
        composed, values = cql2.where(filter_, layer, set(layer.granted_columns(narrowing.base(role))))
        renamed = {name: f"right{i}_{name}" for name in values}
        parts.append(sql.SQL("({})").format(_renamed(composed, renamed)))
        parameters |= {renamed[name]: value for name, value in values.items()}
    return (sql.SQL(" AND ").join(parts), parameters) if parts else None


def _renamed(composed: sql.Composable, names: dict[str, str]) -> sql.Composable:
    """The same with other names for its parameters: the caller's own filter has some of the same names."""
    if isinstance(composed, sql.Composed):
        return sql.Composed([_renamed(part, names) for part in composed.seq])
    if isinstance(composed, sql.Placeholder):
        return sql.Placeholder(names.get(composed.name, composed.name))
    return composed


# --- how they are kept ------------------------------------------------------------------------------------------------


def add(
    who: str,
    name: str,
    layer: str,
    *,
    area: str | None = None,
    filter: str | None = None,
    columns: tuple[str, ...] | None = None,
    first_day: dt.date | None = None,
    last_day: dt.date | None = None,
    note: str = "",
    operator: str = "",
) -> int:
    """Make a right; its number. `layer`: a layer, a group with / behind it, or *. `area`: a code of an administrative area, a community or
    a grid cell, a box west,south,east,north in degrees, or a GeoJSON file (CRS84). `filter`: CQL2 over unrestricted columns.

    Goes into the audit. Raises InputError for what is wrong with any of it, NotFound for a code that is not there.
    """
    if all(one is None for one in (area, filter, columns, first_day, last_day)):
        raise InputError("a right that narrows nothing", remedy="Give an area, a filter, columns or days")
    if first_day and last_day and first_day > last_day:
        raise InputError("the last day comes before the first", where="until")
    named = _layers_of(layer)
    _require_rows(layer, named, area, filter, columns)
    with owner() as connection, connection.cursor() as cursor:
        _require_who(cursor, who, name)
        outline = _area(cursor, area) if area is not None else None
        written = _written(cursor, named[0], filter) if filter is not None else None
        cursor.execute(
            'INSERT INTO access."right" (who, name, layer, area, place, filter, condition, columns, first_day, last_day, note, made_by)'
            " VALUES (%s, %s, %s, ST_Multi(ST_GeomFromWKB(%s, 4490)), %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            (who, name, layer, outline, area[:200] if area else None, filter, written, list(columns) if columns else None,
             first_day, last_day, note, operator),
        )  # fmt: skip
        number = cursor.fetchone()[0]
        if filter is not None:
            cursor.execute("SELECT access.protect(%s, %s)", (named[0].id, named[0].group))
        detail = {"right": number, "who": who, "name": name, "area": area, "filter": filter, "columns": columns,
                  "from": first_day and first_day.isoformat(), "until": last_day and last_day.isoformat()}  # fmt: skip
        _recorded(cursor, operator, "right made", layer, detail)
    generation.advance()
    return number


def remove(number: int, *, operator: str = "") -> dict:
    """Remove a right; what it was. Who had it sees what is left to him without it. Goes into the audit. Raises NotFound."""
    with owner() as connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute('DELETE FROM access."right" WHERE id = %s RETURNING who, name, layer, place, condition', (number,))
        row = cursor.fetchone()
        if row is None:
            raise NotFound(f"no right {number}", remedy="See `onemap right list`")
        found = catalog().layers.get(row["layer"])
        if row.pop("condition") is not None and found is not None:
            cursor.execute("SELECT access.protect(%s, %s)", (found.id, found.group))
        _recorded(cursor, operator, "right removed", row["layer"], {"right": number, **row})
    generation.advance()
    return {"right": number, **row}


def rights(*, user: str | None = None, layer: str | None = None) -> list[Right]:
    """All rights in the order in which they were made; those that count for one user (his own, his department's, his role's), or that name
    one layer."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.who, r.name, r.layer, r.place, r.filter, r.columns, r.first_day, r.last_day,"
            " coalesce(r.first_day <= current_date, true) AND coalesce(r.last_day >= current_date, true), r.note, r.made_by, r.made_at"
            ' FROM access."right" r LEFT JOIN access."user" u ON u.name = %(user)s WHERE (%(layer)s::text IS NULL OR r.layer = %(layer)s)'
            " AND (%(user)s::text IS NULL OR (r.who, r.name) IN (('user', %(user)s), ('department', u.department), ('role', u.role)))"
            " ORDER BY r.id",
            {"user": user, "layer": layer},
        )
        return [Right(*row[:6], tuple(row[6]) if row[6] else None, *row[7:]) for row in cursor.fetchall()]


def _recorded(cursor, operator: str, action: str, layer: str, detail: dict) -> None:
    role = "owner" if operator.startswith("os:") else "security"
    said = psycopg2.extras.Json({name: value for name, value in detail.items() if value is not None})
    cursor.execute(
        "INSERT INTO access.audit (user_name, role, action, layer, detail) VALUES (%s, %s, %s, %s, %s)",
        (operator, role, action, layer, said),
    )


def _layers_of(name: str) -> list[Layer]:
    """The layers that a right names. Raises InputError with what there is."""
    if name == ALL:
        return list(catalog().layers.values())
    if name.endswith("/"):
        if name[:-1] not in GROUPS:
            raise InputError(f"there is no group {name[:-1][:40]!r}", where="layer", remedy="One of " + ", ".join(f"{g}/" for g in GROUPS))
        return [layer for layer in catalog().layers.values() if layer.group == name[:-1]]
    try:
        return [catalog().layer(name)]
    except NotFound as error:
        raise InputError(error.what, where="layer", remedy=error.remedy) from None


def _require_rows(name: str, named: list[Layer], area: str | None, filter: str | None, columns: tuple[str, ...] | None) -> None:
    """Conditions and columns are those of one layer; a picture has neither, and is not cut to an area."""
    if (filter is not None or columns is not None) and (name == ALL or name.endswith("/")):
        raise InputError("a filter and columns are those of one layer", where="layer", remedy="Name the layer")
    if len(named) == 1 and named[0].is_raster and (area, filter, columns) != (None, None, None):
        raise InputError(f"{name} is a raster: it is not cut", remedy="Narrow it by days only, or take it from the role in its layer file")
    if columns is not None:
        unknown = [column for column in columns if column not in named[0].columns]
        if unknown or not columns:
            raise InputError(
                f"{name} has no column {(unknown or [''])[0][:60]!r}", where="columns", remedy="It has " + ", ".join(named[0].columns)
            )
        if not set(columns) - set(named[0].key) - set(VALID_TIME):
            raise InputError("the key and the valid time are always seen", where="columns", remedy="Name columns beside them")


def _require_who(cursor, who: str, name: str) -> None:
    """Who is named must be there: a right for a name that was mistyped would narrow nobody."""
    if who not in WHO:
        raise InputError(f"{who[:20]!r} is not one of {', '.join(WHO)}")
    if who == "role":
        may = [role for role in ROLES if role not in narrowing.NEVER_NARROWED]
        if name not in may:
            raise InputError(f"rights narrow no role {name[:40]!r}", where="role", remedy="One of " + ", ".join(may))
        return
    column = "name" if who == "user" else "department"
    cursor.execute(
        sql.SQL(
            'SELECT EXISTS (SELECT FROM access."user" WHERE {0} = %(name)s UNION ALL SELECT FROM access.federated WHERE {0} = %(name)s)'
        ).format(sql.Identifier(column)),
        {"name": name},
    )
    if not cursor.fetchone()[0]:
        remedy = (
            "See `onemap user list`" if who == "user" else "A department is there when a user belongs to it: onemap user add --department"
        )
        raise InputError(f"there is no {who} {name[:60]!r}", where=who, remedy=remedy)


def _written(cursor, layer: Layer, filter: str) -> str:
    """The filter as SQL over the layer's table, its values written into it as the database quotes them: for the policy. Only columns that
    nobody is refused, so that what is shown tells nothing of one that is not."""
    open_columns = {name for name in layer.columns if name not in layer.access.columns}
    composed, values = cql2.where(filter, layer, open_columns)
    written = cursor.mogrify(composed, values).decode()
    cursor.execute(
        sql.SQL("EXPLAIN SELECT 1 FROM {} WHERE {}").format(sql.Identifier("core", layer.id), sql.SQL(written.replace("%", "%%"))), {}
    )
    return written


# --- areas ------------------------------------------------------------------------------------------------------------

_CODE = """
SELECT ST_AsBinary(ST_Force2D(geom)) FROM (
  SELECT geom, 1 AS place FROM core.admin_area WHERE code = %(code)s UNION ALL
  SELECT geom, 2 FROM core.community WHERE code = %(code)s UNION ALL
  SELECT geom, 3 FROM core.grid_cell WHERE grid_code = %(code)s) a ORDER BY place LIMIT 1
"""


def _area(cursor, text: str) -> bytes:
    """The polygon (WKB, degrees) that a text names. Raises InputError, NotFound."""
    box = text.split(",")
    if len(box) == 4:
        return shapely.to_wkb(_sound(_box(box)))
    if text.lower().endswith((".geojson", ".json")):
        return shapely.to_wkb(_sound(_of_file(Path(text))))
    cursor.execute(_CODE, {"code": text})
    row = cursor.fetchone()
    if row is None:
        raise NotFound(
            f"no administrative area, community or grid cell {text[:60]!r}",
            where="area",
            remedy="Give a code that is in the layers, a box west,south,east,north, or a .geojson file",
        )
    return bytes(row[0])


def _box(texts: list[str]) -> shapely.Geometry:
    try:
        west, south, east, north = (float(text) for text in texts)
    except ValueError:
        raise InputError("a box is four numbers", where="area", remedy="Write west,south,east,north in degrees") from None
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise InputError("the box is none", where="area", remedy="Write west,south,east,north in degrees")
    return shapely.box(west, south, east, north)


def _of_file(path: Path) -> shapely.Geometry:
    """The union of the polygons of a GeoJSON file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        features = document["features"] if document.get("type") == "FeatureCollection" else [document]
        shapes = [shapely.from_geojson(json.dumps(one.get("geometry", one))) for one in features]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, shapely.errors.GEOSException):
        raise InputError("the file of the area is no GeoJSON", where=path.name, remedy="Give a polygon in degrees (CRS84)") from None
    return shapely.union_all(shapes)


def _sound(shape: shapely.Geometry) -> shapely.Geometry:
    """The area, in degrees and of a size that can be held against every row. Raises InputError."""
    if shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty or not shape.is_valid:
        raise InputError("the area is no sound polygon", where="area", remedy="Give polygons that do not cross themselves")
    west, south, east, north = shape.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise InputError("the area is not in degrees", where="area", remedy="Give longitude and latitude (CRS84)")
    if shapely.get_num_coordinates(shape) > MOST_VERTICES:
        raise InputError(f"the area has more than {MOST_VERTICES} vertices", where="area", remedy="Simplify it")
    return shapely.force_2d(shape)
