"""The sieve before the checks: every row that the SQL of a check speaks against is among its suspects, and sound rows are not."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
import shapely
from deliveries import query
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gis.catalog import checks, predicate, read
from gis.catalog.condition import Node, parsed
from gis.catalog.quote import name
from gis.catalog.sieve import Sieve
from gis.db.connection import owner
from gis.ingest import stage, wkb
from gis.ingest.map import Mapped
from gis.standards import codes

CATALOG = read.catalog()
TYPES = {
    "text": pa.string(), "code": pa.string(), "int": pa.int64(), "real": pa.float64(), "bool": pa.bool_(), "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"), "texts": pa.list_(pa.string()),
}  # fmt: skip
LAYERS = ("address", "door_plate", "building", "water_pipe", "water_valve", "sewer_pipe", "place_name", "parcel")


def value_of(column):
    """Values of a column as the mapping leaves them: of its type, in and out of its range, list, form and length."""
    short = st.text(st.sampled_from("1幢8号A栋０ＡN"), max_size=6)
    near = [v for v in (column.min, column.max) if v is not None]
    kinds = {
        "text": st.one_of(short, st.just("长" * (column.max_length + 1)), st.just("a" * column.max_length), st.just("999901100001")),
        "code": st.one_of(st.sampled_from(codes(column.codes).codes), short) if column.codes else short,
        "int": st.one_of(st.integers(-5, 300), *(st.sampled_from([int(v) - 1, int(v), int(v) + 1]) for v in near)),
        "real": st.one_of(
            st.floats(-1e6, 1e6).map(lambda v: v if abs(v) >= 1e-100 else 0.0),
            st.sampled_from([0.0, 2.2, 6.6, 0.05]),
            *(st.sampled_from([v, np.nextafter(v, 1e9) if v else 1e-100]) for v in near),
        ),
        "bool": st.booleans(),
        "date": st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)),
        "timestamp": st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1)).map(lambda d: d.replace(tzinfo=dt.UTC)),
        "texts": st.lists(st.one_of(short, st.just("长" * (column.max_length + 1))), max_size=2),
    }
    return st.one_of(st.none(), kinds[column.type])


def geometries(layer):
    x, y = st.sampled_from([117.0, 116.8, 117.2, 117.2000001, 32.0, 9.5]), st.sampled_from([32.0, 31.82, 32.18, 32.1800001, 117.0])
    corner = st.tuples(x, y)
    z = layer.geometry.endswith("Z")
    point = corner.map(lambda p: shapely.Point(*p, 1.0) if z else shapely.Point(p))
    line = st.lists(corner, min_size=2, max_size=4).map(lambda c: shapely.LineString([(*p, 1.0) if z else p for p in c]))
    area = st.lists(corner, min_size=3, max_size=5).map(lambda c: shapely.MultiPolygon([shapely.Polygon(c)]))
    good = st.just(shapely.from_wkt(layer.example["geometry"]))
    return st.one_of(st.none(), good, point, line, area)


def rows_of(layer):
    fields = {n: st.one_of(st.just(_good(layer, n)), value_of(c)) for n, c in layer.columns.items()}
    return st.lists(st.tuples(st.fixed_dictionaries(fields), geometries(layer)), min_size=1, max_size=12)


def _good(layer, column):
    value = layer.example.get(column)
    return dt.date.fromisoformat(value) if isinstance(value, str) and layer.columns[column].type == "date" else value


def batch_of(layer, rows):
    table = pa.table({n: pa.array([r[n] for r, _ in rows], TYPES[c.type]) for n, c in layer.columns.items()})
    return Mapped(table, np.arange(1, len(rows) + 1), wkb.of(np.array([g for _, g in rows], dtype=object)))


def sifted(layer, batch):
    sieve = Sieve(layer, CATALOG)
    found = sieve.suspects({n: wkb.whole(batch.rows.column(n)) for n in layer.columns}, len(batch.numbers))
    points = wkb.coordinates(batch.geometry) if layer.dimension == 0 else None
    return found | (sieve.misplaced(batch.shapes()) if points is None else sieve.misplaced_points(*points[:2]))


@pytest.fixture
def cursor(template):
    """The stages of the empty template; each example rolls back."""
    with owner(database=template) as connection, connection.cursor() as cursor:
        yield cursor
        connection.rollback()


@pytest.mark.parametrize("layer_id", LAYERS)
def test_no_check_speaks_against_a_row_that_passed_the_sieve(cursor, layer_id):
    layer = CATALOG.layer(layer_id)
    bad = " OR ".join(f"({c.sql})" for c in checks.of(layer, CATALOG) if c.kind == "row")

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows_of(layer))
    def compare(rows):
        batch = batch_of(layer, rows)
        cursor.execute("SAVEPOINT example")
        stage.await_suspects(cursor, layer)
        stage.copy(cursor, layer, stage.suspects(layer), stage.encoded(layer, batch, stage.suspects(layer)))
        stage.understand_suspects(cursor, layer)
        cursor.execute(f"SELECT src_row FROM {name('pg_temp', f'suspects_{layer.id}')} s WHERE {bad}")
        judged = {row[0] for row in cursor.fetchall()}
        cursor.execute("ROLLBACK TO SAVEPOINT example")
        assert judged <= set(batch.numbers[sifted(layer, batch)].tolist())

    compare()


@pytest.mark.parametrize("layer", CATALOG.vectors, ids=lambda layer: layer.id)
def test_a_sound_row_is_no_suspect(layer):
    row = {n: _good(layer, n) for n in layer.columns}
    row |= {n: c.default for n, c in layer.columns.items() if row[n] is None and c.default is not None}
    batch = batch_of(layer, [(row, shapely.from_wkt(layer.example["geometry"]))])
    if any(node == "unknown" for c in checks.of(layer, CATALOG) if c.kind == "row" for node in _kinds(parsed(c.sql))):
        return
    assert not sifted(layer, batch).any()


def _kinds(node):
    yield node.kind
    for part in node.parts:
        if isinstance(part, Node):
            yield from _kinds(part)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("s.a IS NULL", [False, False, True]),
        ("s.a NOT IN ('x', 'y')", [False, True, False]),
        ("NOT (s.n > 1 AND s.a = 'x')", [True, True, False]),
        ("s.n <= 1 AND NOT coalesce((s.a IS NULL), false)", [True, False, False]),
        ("strpos(s.a, s.b) = 1", [True, True, False]),
        ("strpos(s.a, s.b) > 0", [True, True, False]),
        ("NOT (strpos(s.b, s.a) > 0)", [False, True, False]),
        ("s.a ~ '^z?$'", [False, True, False]),
        ("s.a ~ '\\d'", [True, True, True]),
        ("s.n * 2.2 > 3", [True, True, True]),
        ("sqrt(s.n) > 1 OR s.a = 'x'", [True, True, True]),
    ],
)
def test_what_is_not_understood_may_be_true(condition, found):
    columns = {"a": pa.array(["x", "z", None]), "b": pa.array(["x", "", "x"]), "n": pa.array([1, 2, None], pa.int64())}
    assert predicate.Rows(columns, 3).may_be(parsed(condition)).tolist() == found


def test_what_comes_back_from_the_database_is_what_was_copied(store_db):
    layer = CATALOG.layer("place_name")
    row = {n: _good(layer, n) for n in layer.columns} | {"aliases": ["甲", 'a"b\\', "", "x,y"], "valid_to": None}
    batch = batch_of(layer, [(row, shapely.Point(117.123456789, 32)), ({n: None for n in row}, None)])
    with owner() as connection, connection.cursor() as cursor:
        stage.copy(cursor, layer, stage.of(layer), stage.encoded(layer, batch, stage.of(layer)))
    listed = ", ".join(name(n) for n in layer.columns)
    stored = query(f"SELECT {listed}, ST_AsEWKT(geom) FROM stage.place_name ORDER BY src_row")
    assert stored == [(*row.values(), "SRID=4490;POINT(117.123456789 32)"), (None,) * (len(row) + 1)]
