"""Rights: what is left of a layer, asked of the database itself, which judges the rows whoever asks and however."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from psycopg2 import sql

from gis.access import accounts, rights
from gis.api import process as served
from gis.catalog import ddl, narrowing
from gis.catalog.model import Access
from gis.catalog.read import catalog
from gis.catalog.validate import faults
from gis.db.connection import fetch, owner, reading, writing
from gis.db.store import Store
from gis.errors import AccessDenied, InputError, NotFound

WEST, EAST, MIDDLE = "116.9,31.9,117.0,32.1", "117.0,31.9,117.1,32.1", "116.95,31.9,117.05,32.1"
TODAY = dt.date.today()
DAY = dt.timedelta(days=1)
_ROW = """
INSERT INTO {} (network, pipe_id, from_node, to_node, status, owner, recorded_from{}, geom)
VALUES ('city', %s, 'a', 'b', '0', %s, now() - interval '2 days'{}, ST_GeomFromText(%s, 4490))
"""


def put(name: str, lon: float, owner_: str = "城投", *, gone: bool = False) -> None:
    """A pipe of some metres at a longitude, as it is believed today, or (gone) as it was until yesterday."""
    place = f"LINESTRING Z ({lon} 32 1, {lon + 0.0005} 32 1)"
    more = (sql.SQL(", recorded_to"), sql.SQL(", now() - interval '1 day'")) if gone else (sql.SQL(""), sql.SQL(""))
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(_ROW).format(sql.Identifier("history" if gone else "core", "water_pipe"), *more), (name, owner_, place))


@pytest.fixture
def pipes(store_db) -> None:
    """Pipes in the west and in the east, one of each was there before; users of two departments."""
    put("west", 116.95)
    put("east", 117.05)
    put("middle", 117.0 - 0.0001)
    put("west before", 116.96, gone=True)
    put("east before", 117.06, gone=True)
    for name, department in (("zhang", "东城所"), ("li", "西城所"), ("wang", "")):
        accounts.add_user(name, "water", department=department)


def seen(user: str, relation: str = "water_pipe", where: str = "true") -> set[str]:
    """The pipes that a user sees, whatever the query says beyond that."""
    role = rights.role_of(user, "water")
    statement = sql.SQL("SELECT pipe_id FROM {} WHERE " + where).format(sql.Identifier("pub", relation))
    return {row[0] for row in fetch(role, user, statement)}


def test_an_area_is_all_that_its_user_sees(pipes):
    rights.add("user", "zhang", "water_pipe", area=WEST, operator="security")
    assert seen("zhang") == {"west", "middle"}, "what touches the area is seen whole"
    assert seen("zhang", "water_pipe_history") == {"west", "middle", "west before"}
    assert seen("zhang", where="pipe_id = 'east'") == set()
    for other in ("li", "wang"):
        assert seen(other) == {"west", "east", "middle"}
    assert rights.role_of("li", "water") == "water", "who has no right is asked for nothing more"
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_name, action, layer, detail->>'area' FROM access.audit WHERE action LIKE 'right%'")
        assert cursor.fetchall() == [("security", "right made", "water_pipe", WEST)]


def test_areas_add_up_and_everything_else_holds_together(pipes):
    first = rights.add("user", "zhang", "water_pipe", area=WEST)
    rights.add("user", "zhang", "water_pipe", area=EAST)
    assert seen("zhang") == {"west", "east", "middle"}
    rights.add("department", "东城所", "pipe/", area=MIDDLE)
    assert seen("zhang") == {"middle", "east", "west"}, "both lie in the middle, too"
    rights.add("role", "water", "*", area="117.04,31.9,117.1,32.1")
    assert seen("zhang") == {"east"} and seen("li") == {"east"}, "a right of the role is everybody's of that role"
    assert {one.who for one in rights.rights(user="zhang")} == {"user", "department", "role"}
    assert [one.who for one in rights.rights(user="wang")] == ["role"]
    rights.remove(first)
    assert seen("zhang") == {"east"}


def test_days_and_what_is_not_in_force(pipes):
    until = rights.add("user", "zhang", "water_pipe", area=WEST, last_day=TODAY)
    assert seen("zhang") == {"west", "middle"}
    rights.remove(until)
    for days in ({"last_day": TODAY - DAY}, {"first_day": TODAY + DAY}):
        number = rights.add("user", "zhang", "water_pipe", **days)
        assert seen("zhang") == set() and seen("zhang", "water_pipe_history") == set()
        role = rights.role_of("zhang", "water")
        assert not catalog().layer("water_pipe").readable_by(role), "the layer is not there for him"
        assert catalog().layer("water_node").readable_by(role)
        rights.remove(number)
    assert seen("zhang") == {"west", "east", "middle"}


def test_a_condition_holds_in_the_database_too(pipes):
    put("foreign", 116.97, "外单位")
    number = rights.add("user", "zhang", "water_pipe", area=WEST, filter="owner = '城投' AND NOT pipe_id LIKE 'mid%'")
    assert seen("zhang") == {"west"} and seen("zhang", "water_pipe_history") == {"west", "west before"}
    layer = catalog().layer("water_pipe")
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT access.protect('water_pipe', 'pipe')")  # as a load does that makes the table anew
    assert seen("zhang") == {"west"}
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute('UPDATE access."right" SET filter = NULL, condition = NULL')
        cursor.execute("SELECT access.protect('water_pipe', 'pipe')")
        cursor.execute("""UPDATE access."right" SET filter = 'owner IS NULL', condition = 'owner IS NULL'""")
    assert seen("zhang") == set(), "a condition that the policy does not know lets nothing through"
    rights.remove(number)
    assert seen("zhang") == {"west", "east", "middle", "foreign"}
    assert rights.condition(layer, rights.role_of("zhang", "water")) is None


def test_columns_are_what_every_right_leaves(pipes):
    rights.add("user", "zhang", "water_pipe", columns=("diameter_mm", "owner"))
    rights.add("department", "东城所", "water_pipe", columns=("diameter_mm", "material"))
    layer, role = catalog().layer("water_pipe"), rights.role_of("zhang", "water")
    assert set(layer.columns_for(role)) == {"network", "pipe_id", "diameter_mm", "valid_from", "valid_to"}
    assert not rights.is_part(layer, role), "all rows are his"


def test_who_sees_a_part_changes_nothing(pipes):
    rights.add("user", "zhang", "water_pipe", area=WEST)
    role = rights.role_of("zhang", "water")
    assert not any(layer.writable_by(role) for layer in catalog().layers.values())
    assert catalog().layer("water_pipe").writable_by(rights.role_of("li", "water"))
    for statement in (
        "DELETE FROM core.water_pipe",
        "SELECT * FROM meta.edit('water_pipe','delete',1,'x','city','{}',NULL,'[]','[]','[]')",
    ):
        with pytest.raises(AccessDenied), writing(role, "zhang") as connection, connection.cursor() as cursor:
            cursor.execute(statement)


def test_nothing_is_analysed_from_a_part(pipes):
    rights.add("user", "zhang", "water_pipe", area=WEST)
    role = rights.role_of("zhang", "water")
    with Store(role, "zhang") as store, pytest.raises(AccessDenied, match="the whole of water_pipe"):
        store.require(["water_node", "water_pipe"])
    with Store(role, "zhang") as store:
        assert set(store.frame("water_pipe", ["pipe_id"])["pipe_id"]) == {"west", "middle"}
    burst = served.found("pipe-burst", role)
    with pytest.raises(AccessDenied, match="the whole of"):
        served.require_whole(burst, served.Identity("zhang", role), {})


def test_a_digest_that_nobody_knows_shows_nothing(pipes):
    for layer in catalog().layers.values():
        assert not layer.readable_by("water~0000000000000000") and not layer.columns_for("water~0000000000000000")
    with pytest.raises(AccessDenied), reading("nobody~0000000000000000"):
        pass


def test_pictures_are_whole_or_not_there(pipes):
    rights.add("user", "zhang", "*", area=WEST)
    role = rights.role_of("zhang", "water")
    assert not catalog().layer("dem").readable_by(role) and catalog().layer("road").readable_by(role)
    rights.add("user", "li", "*", last_day=TODAY)
    assert catalog().layer("dem").readable_by(rights.role_of("li", "water")), "days alone cut nothing"


def test_rasters_and_nobody_are_not_narrowed(pipes):
    assert rights.role_of("", "anonymous") == "anonymous"
    for role in narrowing.NEVER_NARROWED - {"identity"}:
        with pytest.raises(InputError, match="narrow no role"):
            rights.add("role", role, "*", area=WEST)


def test_the_index_is_used_by_who_sees_a_part(pipes):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core.water_pipe (network, pipe_id, from_node, to_node, status, geom)"
            " SELECT 'city', 'P' || i, 'a', 'b', '0', ST_SetSRID(ST_MakeLine(ST_MakePoint(x, y, 1), ST_MakePoint(x + 0.0005, y, 1)), 4490)"
            " FROM (SELECT i, 116.8 + 0.4 * random() AS x, 31.82 + 0.36 * random() AS y FROM generate_series(1, 20000) i) p"
        )
        cursor.execute("ANALYZE core.water_pipe")
    rights.add("user", "zhang", "water_pipe", area=WEST)
    place = "ST_MakeEnvelope(116.95, 31.95, 116.96, 31.96, 4490)"
    box = f"geom && {place} AND ST_Intersects(geom, {place})"
    layer = catalog().layer("water_pipe")
    for user in ("zhang", "li"):
        role = rights.role_of(user, "water")
        asked = sql.SQL("EXPLAIN SELECT pipe_id FROM pub.water_pipe WHERE ") + sql.SQL(box)
        left = rights.condition(layer, role)
        lines = [row[0] for row in fetch(role, user, asked + sql.SQL(" AND ") + left[0] if left else asked, left[1] if left else None)]
        assert any("Index" in line and "water_pipe_geom_idx" in line for line in lines), (user, lines)
        assert any("InitPlan" in line for line in lines) == (user == "zhang"), "the policy is for those whom it narrows alone"


def test_what_a_right_cannot_say(pipes, tmp_path):
    for message, who, name, layer, given in (
        ("narrows nothing", "user", "zhang", "water_pipe", {}),
        ("no user 'chang'", "user", "chang", "water_pipe", {"area": WEST}),
        ("no department", "department", "南城所", "water_pipe", {"area": WEST}),
        ("no layer 'water_pip'", "user", "zhang", "water_pip", {"area": WEST}),
        ("no group", "user", "zhang", "pipes/", {"area": WEST}),
        ("one layer", "user", "zhang", "pipe/", {"filter": "owner = 'x'"}),
        ("is a raster", "user", "zhang", "dem", {"area": WEST}),
        ("no column", "user", "zhang", "water_pipe", {"columns": ("nonsense",)}),
        ("always seen", "user", "zhang", "water_pipe", {"columns": ("pipe_id",)}),
        ("last day", "user", "zhang", "water_pipe", {"first_day": TODAY, "last_day": TODAY - DAY}),
        ("four numbers", "user", "zhang", "water_pipe", {"area": "a,b,c,d"}),
        ("box is none", "user", "zhang", "water_pipe", {"area": "117,32,116,33"}),
        ("no GeoJSON", "user", "zhang", "water_pipe", {"area": str(tmp_path / "nothing.geojson")}),
        ("customer_name", "user", "zhang", "water_connection", {"filter": "customer_name = 'x'"}),
        ("nonsense", "user", "zhang", "water_pipe", {"filter": "nonsense = 'x'"}),
    ):
        with pytest.raises(InputError, match=message):
            rights.add(who, name, layer, **given)
    with pytest.raises(NotFound, match="no administrative area"):
        rights.add("user", "zhang", "water_pipe", area="999999")
    with pytest.raises(NotFound, match="no right 4711"):
        rights.remove(4711)
    assert rights.rights() == []


def test_areas_by_code_and_by_file(pipes, tmp_path):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core.admin_area (code, name, level, geom)"
            " VALUES ('99990101', '东城', 'county', ST_Multi(ST_MakeEnvelope(117, 31.9, 117.1, 32.1, 4490)))"
        )
    number = rights.add("user", "zhang", "water_pipe", area="99990101", note="施工单位")
    assert seen("zhang") == {"east", "middle"} and rights.rights()[0].as_dict()["place"] == "99990101"
    rights.remove(number)
    ring = [[116.94, 31.9], [116.96, 31.9], [116.96, 32.1], [116.94, 32.1], [116.94, 31.9]]
    file = tmp_path / "site.geojson"
    for document in (
        {"type": "Polygon", "coordinates": [ring]},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}]},
    ):
        file.write_text(json.dumps(document))
        number = rights.add("user", "zhang", "water_pipe", area=str(file))
        assert seen("zhang") == {"west"}
        rights.remove(number)
    for bad in (
        {"type": "Point", "coordinates": [117, 32]},
        {"type": "Polygon", "coordinates": [[[9e5, 1], [9e5, 2], [9e6, 2], [9e5, 1]]]},
        [],
    ):
        file.write_text(json.dumps(bad))
        with pytest.raises(InputError):
            rights.add("user", "zhang", "water_pipe", area=str(file))


def test_a_sensitive_layer_is_never_given_to_everybody():
    layer = catalog().layer("road")
    open_to_all = layer.model_copy(update={"access": Access(label="敏感", read=("anonymous",))})
    assert [fault.what for fault in faults(open_to_all, catalog().layers)] == ["a layer labelled 敏感 is never given to anonymous"]
    assert not list(faults(layer.model_copy(update={"access": Access(label="敏感", read=("water",))}), catalog().layers))


def test_a_table_made_anew_is_protected_again(pipes):
    """As a first delivery does: its table takes the place of core's, and the grants are written for it."""
    rights.add("user", "zhang", "water_pipe", area=WEST)
    layer = catalog().layer("water_pipe")
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE core.other (LIKE core.water_pipe INCLUDING ALL); INSERT INTO core.other SELECT * FROM core.water_pipe")
        cursor.execute(
            "DROP VIEW pub.water_pipe_history, pub.water_pipe; DROP TABLE core.water_pipe; ALTER TABLE core.other RENAME TO water_pipe"
        )
        for statement in (*ddl.views(layer), *ddl.grants(layer)):
            cursor.execute(statement)
    assert seen("zhang") == {"west", "middle"} and seen("li") == {"west", "east", "middle"}
