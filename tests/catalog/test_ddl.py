"""The database of a layer: what a role sees is what its file says, on PostGIS."""

from __future__ import annotations

import psycopg2
import pytest

from gis.catalog import ddl, read
from gis.catalog.quote import literal, name
from gis.db.connection import owner


def test_names_and_values_are_quoted():
    assert name("core", "road") == '"core"."road"'
    for bad in ('a"b', "A", "a b", "", "1a", "a;b", "名"):
        with pytest.raises(ValueError):
            name(bad)
    assert literal("O'Brien") == "'O''Brien'"
    assert [literal(v) for v in (None, True, 3, 2.5)] == ["NULL", "true", "3", "2.5"]
    with pytest.raises(ValueError):
        literal("a\0b")


def test_raster_layer_has_no_tables():
    dem = read.catalog().layer("dem")
    assert ddl.statements(dem) == []


@pytest.fixture
def rows(store_db):
    """A parcel and a grid cell in the database."""
    with owner() as link, link.cursor() as cursor:
        for layer_id in ("parcel", "grid_cell", "water_pipe"):
            layer = read.catalog().layer(layer_id)
            columns = [n for n in layer.columns if n in layer.example]
            cursor.execute(
                f"INSERT INTO {name('core', layer_id)} ({', '.join(map(name, columns))}, geom)"
                f" VALUES ({', '.join(['%s'] * len(columns))}, {ddl.stored_geometry(layer, 'ST_GeomFromText(%s, 4490)')})",
                [*(layer.example[n] for n in columns), layer.example["geometry"]],
            )


def ask(role: str, statement: str):
    """The answer of a statement run as a role."""
    with owner() as link, link.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {ddl.role_name(role)}")
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.mark.parametrize(("role", "statement"), [
    ("anonymous", "SELECT owner FROM pub.parcel"),
    ("anonymous", "SELECT * FROM pub.parcel"),
    ("anonymous", "SELECT 1 FROM pub.parcel WHERE owner LIKE '青%'"),
    ("anonymous", "SELECT owner FROM pub.parcel_history"),
    ("water", "SELECT phone FROM pub.grid_cell"),
    ("anonymous", "SELECT pipe_id FROM pub.water_pipe"),
    ("gas", "SELECT pipe_id FROM pub.water_pipe_history"),
    ("anonymous", "SELECT parcel_id FROM core.parcel"),
    ("planner", "SELECT owner FROM core.parcel"),
    ("planner", "SELECT parcel_id FROM stage.parcel"),
    ("water", "DELETE FROM pub.parcel RETURNING 1"),
])  # fmt: skip
def test_refused(rows, role, statement):
    with pytest.raises(Exception) as caught:
        ask(role, statement)
    cause = caught.value if isinstance(caught.value, psycopg2.Error) else caught.value.__cause__
    assert isinstance(cause, psycopg2.errors.InsufficientPrivilege)


@pytest.mark.parametrize(("role", "statement"), [
    ("anonymous", "SELECT parcel_id FROM pub.parcel"),
    ("anonymous", "SELECT parcel_id FROM pub.parcel_history WHERE recorded_to IS NULL"),
    ("planner", "SELECT owner FROM pub.parcel"),
    ("admin", "SELECT owner FROM pub.parcel"),
    ("address", "SELECT phone FROM pub.grid_cell"),
    ("water", "SELECT pipe_id, ST_Z(ST_StartPoint(geom)) FROM pub.water_pipe"),
    ("planner", "SELECT fid, batch, recorded_from FROM pub.water_pipe"),
])  # fmt: skip
def test_seen(rows, role, statement):
    assert len(ask(role, statement)) == 1


def test_every_index_says_its_use_and_every_column_its_title(store_db):
    with owner() as link, link.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('core', 'history') AND NOT i.indisprimary AND obj_description(c.oid, 'pg_class') IS NULL"
        )
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE n.nspname = 'pub' AND c.relkind = 'v' AND a.attnum > 0 AND col_description(c.oid, a.attnum) IS NULL"
        )
        assert cursor.fetchall() == []


def test_views_run_with_the_rights_of_the_reader(store_db):
    with owner() as link, link.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE nspname = 'pub' AND relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)"
        )
        assert cursor.fetchall() == []
