"""CQL2 filters that must not get through, and hostile texts that stay texts."""

import pytest
from filtered import LAYER, VISIBLE, ids, quoted

from gis.db import cql2
from gis.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "a", "a =", "a == 1", "a = 1; DROP TABLE thing", "a = 1 -- x", "a = 1 UNION SELECT 1", "1 = 'x'",
        "'x' = 1", "1 LIKE 'x'", "'x' LIKE name", "pg_sleep(5) = 1", "pg_sleep(5)", "a + 1 = 2",
        "lower(name) = 'x'", "a = 2 ^ 2", "a = --1",
        "nosuch = 1", "secret = 'hush'", "\"密\" = 'hush'", "secret IS NULL", "t_after(secret, DATE('2020-01-01'))",
        "casei(secret) = 'x'", "name IN (secret)", "a = secret", "geom = 1", "a = 'x'", "name = 1", "flag = 1",
        "tags = 'x'", "name = NULL", "a = 1e400", "a = 99999999999999999999", "valid_from = DATE('2024-13-01')",
        "valid_from = DATE('2024-02-30')", "valid_from = '2024'", "seen > '2020-01-01T00:00:00'",
        "t_during(valid_from, DATE('2020-01-01'))", "t_during(valid_from, INTERVAL('2021-01-01','2020-01-01'))",
        "t_after(name, DATE('2020-01-01'))", "name LIKE 'x\\'", "a LIKE 'x'", "s_intersects(geom, POINT(500 1))",
        "s_intersects(geom, POLYGON EMPTY)", "s_intersects(geom, name)", "s_intersects(geom, POINT(90 180))",
        "s_intersects(geom, POLYGON((0 0, 1 1, 0 1, 1 0, 0 0)))", "s_intersects(name, POINT(1 1))",
        "s_dwithin(geom, POINT(1 1), 5)", "s_intersects(geom, BBOX(1,3,2,2))", "s_intersects(geom, BBOX(170,1,-190,2))",
        "s_within(geom, GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(2 2, 3 3)))", "t_overlaps(valid_from, INTERVAL('2020-01-01','..'))",
        "t_meets(INTERVAL(name, '..'), INTERVAL('2020-01-01','..'))",
        "a_contains(name, ('x'))", "a_contains(tags, (1))", "tags = ('x')",
        "a IN ()", "name = 'a\0b'", "(" * 5000 + "a = 1" + ")" * 5000, "NOT " * 5000 + "a = 1",
        "a = " + "-" * 5000 + "1", "x" * 70_000, "a IN (" + ",".join(["1"] * 1001) + ")",
        " AND ".join(["a = 1"] * 3000), "accenti(a) = 'x'",
    ],
)  # fmt: skip
def test_refused_with_a_reason(text):
    with pytest.raises(InputError) as error:
        cql2.where(text, LAYER, VISIBLE)
    assert str(error.value)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        {},
        {"op": "="},
        {"op": "=", "args": 1},
        {"op": "=", "args": [{"property": "a"}]},
        {"op": ["and"], "args": []},
        {"op": "=", "args": [{"property": ["a"]}, 1]},
        {"op": "=", "args": [{"property": "a"}, {"op": "x"}]},
        {"op": "=", "args": [{"property": "a", "x": 1}, 1]},
        {"op": "and", "args": [True]},
        {"op": "in", "args": [{"property": "a"}, "x"]},
        {"op": "s_intersects", "args": [{"property": "geom"}, {"type": "Point", "coordinates": ["x", 1]}]},
        {"op": "s_intersects", "args": [{"property": "geom"}, {"type": "Point"}]},
        {"op": "s_intersects", "args": [{"property": "geom"}, {"bbox": [1, 2, 3, float("nan")]}]},
        {"op": "=", "args": [{"property": "a"}, {"date": 5}]},
        {"op": "=", "args": [{"property": "name"}, "\ud800"]},
        {"op": "like", "args": [{"property": "name"}, {"op": "casei", "args": []}]},
        {"op": "=", "args": [{"op": "casei"}, 1]},
        {"op": "=", "args": [{"property": "a"}, 1], "extra": 1},
    ],
)
def test_strange_json_is_refused(tree):
    with pytest.raises(InputError):
        cql2.where(tree, LAYER, VISIBLE)


@pytest.mark.parametrize("crs", ["EPSG:999999", "x", "EPSG:4548); DROP", "urn:ogc:def:crs:EPSG::4490", ""])
def test_unknown_filter_crs_is_refused(crs):
    with pytest.raises(InputError):
        cql2.where("s_intersects(geom, POINT(1 1))", LAYER, VISIBLE, filter_crs=crs)


NASTY = [
    "' OR 1=1 --",
    "'; DROP TABLE thing; --",
    "%s",
    "%(cql0)s",
    "\\",
    "\\'",
    "{}",
    "$$",
    "\u02bc",
    "x' || pg_sleep(5) || '",
    "%",
    '"',
    "$1",
]


@pytest.mark.parametrize("text", NASTY)
def test_hostile_texts_stay_texts(table, text):
    with table.cursor() as cursor:
        cursor.execute("SAVEPOINT before")
        cursor.execute("INSERT INTO thing (id, name) VALUES (1000, %s)", (text,))
        assert ids(table, f"name = {quoted(text)}") == {1000}
        assert ids(table, f"name IN ({quoted(text)})") == {1000}
        cursor.execute("ROLLBACK TO before")


@pytest.mark.parametrize("name", NASTY)
def test_hostile_names_are_unknown_properties(name):
    with pytest.raises(InputError, match="no property"):
        cql2.where({"op": "=", "args": [{"property": name}, 1]}, LAYER, VISIBLE)
