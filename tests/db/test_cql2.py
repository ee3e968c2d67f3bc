"""CQL2 filters on a real PostGIS: against brute force in Python, and against everything that should not get through."""

import datetime as dt
import operator

import psycopg2.sql
import pytest
from filtered import DAYS, ENDS, LAYER, MOMENTS, NAMES, ROWS, VISIBLE, ids, quoted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gis.db import cql2

# --- against brute force ----------------------------------------------------------------------------------------------
# An expression is (text, precedence, function of a row -> True, False or None). The text has parentheses only where the
# precedence of CQL2 (not, then and, then or) needs them.

OPERATORS = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _compared(column, sign, value, written):
    def test(row):
        return None if row[column] is None else OPERATORS[sign](row[column], value)

    return f"{column} {sign} {written}", 3, test


def _between(low, high):
    return f"a BETWEEN {low} AND {high}", 3, lambda row: None if row["a"] is None else low <= row["a"] <= high


def _among(values):
    text = f"name IN ({', '.join(map(quoted, values))})"
    return text, 3, lambda row: None if row["name"] is None else row["name"] in values


def _starts(prefix):
    return f"name LIKE '{prefix}%'", 3, lambda row: None if row["name"] is None else row["name"].startswith(prefix)


def _no_case(word):
    return (
        f"casei(name) = casei('{word}')",
        3,
        lambda row: None if row["name"] is None else row["name"].lower() == word.lower(),
    )


def _arrays(function, values, turned):
    sets = {
        "a_equals": lambda one, other: one == other,
        "a_contains": lambda one, other: one >= other,
        "a_containedBy": lambda one, other: one <= other,
        "a_overlaps": lambda one, other: bool(one & other),
    }

    def test(row):
        if row["tags"] is None:
            return None
        pair = (set(row["tags"]), set(values))
        return sets[function](*(reversed(pair) if turned else pair))

    written = f"({', '.join(map(quoted, values))})"
    return f"{function}({', '.join([written, 'tags'] if turned else ['tags', written])})", 3, test


EVER, NEVER = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
RELATIONS = {
    "t_after": lambda s, e, first, last: s > last,
    "t_before": lambda s, e, first, last: e < first,
    "t_contains": lambda s, e, first, last: s < first and e > last,
    "t_disjoint": lambda s, e, first, last: e < first or s > last,
    "t_during": lambda s, e, first, last: s > first and e < last,
    "t_equals": lambda s, e, first, last: (s, e) == (first, last),
    "t_finishedBy": lambda s, e, first, last: s < first and e == last,
    "t_finishes": lambda s, e, first, last: s > first and e == last,
    "t_intersects": lambda s, e, first, last: s <= last and e >= first,
    "t_meets": lambda s, e, first, last: e == first,
    "t_metBy": lambda s, e, first, last: s == last,
    "t_overlappedBy": lambda s, e, first, last: first < s < last < e,
    "t_overlaps": lambda s, e, first, last: s < first < e < last,
    "t_startedBy": lambda s, e, first, last: s == first and e > last,
    "t_starts": lambda s, e, first, last: s == first and e < last,
}


def _moment(value, *, is_end):
    """A day's first or last microsecond; nothing is endless."""
    if value is None:
        return NEVER if is_end else EVER
    if isinstance(value, dt.datetime):
        return value
    return dt.datetime.combine(value, dt.time.max if is_end else dt.time(), dt.UTC)


def _temporal(function, first, last):
    """The valid time of a row against an interval, in days; empty means endless in both."""
    if first is not None and last is not None and first > last:
        first, last = last, first
    ends = [".." if one is None else str(one) for one in (first, last)]

    def test(row):
        return RELATIONS[function](
            row["valid_from"] or dt.date.min, row["valid_to"] or dt.date.max, first or dt.date.min, last or dt.date.max
        )  # fmt: skip

    return f"{function}(INTERVAL(valid_from, valid_to), INTERVAL('{ends[0]}', '{ends[1]}'))", 3, test


def _seen(function, first, last):
    """A moment against an interval of days."""

    def test(row):
        at = row["seen"]
        return None if at is None else RELATIONS[function](at, at, _moment(first, is_end=False), _moment(last, is_end=True))

    return f"{function}(seen, INTERVAL('{first}', '{last}'))", 3, test


some_days = st.sampled_from([*DAYS[:-1], *ENDS, dt.date(2020, 3, 1)])
leaves = st.one_of(
    st.builds(_arrays, st.sampled_from(list(cql2._ARRAYS)), st.lists(st.sampled_from("xyüz"), min_size=1, max_size=3), st.booleans()),
    st.builds(_temporal, st.sampled_from(list(RELATIONS)), some_days, some_days),
    st.builds(
        _seen,
        st.sampled_from(["t_after", "t_before", "t_disjoint", "t_during", "t_intersects"]),
        st.just(DAYS[0]),
        st.sampled_from(DAYS[:-1]),
    ),
    st.builds(lambda s, v: _compared("a", s, v, str(v)), st.sampled_from(list(OPERATORS)), st.integers(-1, 3)),
    st.builds(lambda s, v: _compared("b", s, v, repr(v)), st.sampled_from(list(OPERATORS)), st.sampled_from([-0.5, 1.0, 2.6])),
    st.builds(lambda s, v: _compared("name", s, v, quoted(v)), st.sampled_from(["=", "<>"]), st.sampled_from(NAMES[:-1])),
    st.builds(
        lambda s, v: _compared("valid_from", s, v, f"DATE('{v}')"),
        st.sampled_from(list(OPERATORS)),
        st.sampled_from(DAYS[:-1]),
    ),
    st.builds(lambda v: _compared("flag", "=", v, str(v).lower()), st.booleans()),
    st.builds(_between, st.integers(-1, 2), st.integers(0, 3)),
    st.builds(_among, st.lists(st.sampled_from(NAMES[:-1]), min_size=1, max_size=3)),
    st.builds(_starts, st.sampled_from(["府前街", "a", "O"])),
    st.builds(_no_case, st.sampled_from(["abc", "ABC"])),
    st.just(("name IS NULL", 3, lambda row: row["name"] is None)),
    st.just(("flag", 3, lambda row: row["flag"])),
)


def _wrapped(part, precedence):
    return part[0] if part[1] >= precedence else f"({part[0]})"


def _not(part):
    return f"NOT {_wrapped(part, 3)}", 2, lambda row: None if part[2](row) is None else not part[2](row)


def _and(parts):
    def test(row):
        found = [part[2](row) for part in parts]
        return False if False in found else None if None in found else True

    return " AND ".join(_wrapped(part, 2) for part in parts), 1, test


def _or(parts):
    def test(row):
        found = [part[2](row) for part in parts]
        return True if True in found else None if None in found else False

    return " OR ".join(_wrapped(part, 1) for part in parts), 0, test


def _deeper(parts):
    several = st.lists(parts, min_size=2, max_size=3)
    return st.one_of(st.builds(_not, parts), st.builds(_and, several), st.builds(_or, several))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.recursive(leaves, _deeper, max_leaves=8))
def test_any_filter_gives_the_rows_of_brute_force(table, expression):
    text, _, test = expression
    assert ids(table, text) == {row["id"] for row in ROWS if test(row)}, text


def test_or_binds_weaker_than_and(table):
    everything = ids(table, "a = 1 OR a = 2 AND b = 1.0")
    assert everything == ids(table, "a = 1 OR (a = 2 AND b = 1.0)") != ids(table, "(a = 1 OR a = 2) AND b = 1.0")


def test_case_and_marks_are_folded_where_asked(table):
    def found(text):
        return ids(table, text)

    assert found("casei(name) IN (casei('aBc'), casei('o''brien'))") == {
        row["id"] for row in ROWS if row["name"] in ("abc", "ABC", "O'Brien")
    }
    assert found("casei(name) LIKE casei('%BR%')") == {row["id"] for row in ROWS if row["name"] == "O'Brien"}
    assert found("accenti(name) = accenti('ábč')") == found("name = 'abc'") and found(
        "accenti(casei(name)) LIKE accenti(casei('ÁB%'))"
    ) == found("casei(name) = 'abc'")


def test_properties_and_values_stand_on_either_side(table):
    """Property-property comparisons (OGC 21-065r2, 7.6)."""
    everybody = {row["id"] for row in ROWS}
    for text in ("1 = 1", "'x' LIKE '_'", "DATE('2020-01-01') < DATE('2020-01-02')", "TRUE = TRUE", "casei('A') = casei('a')",
                 "2 IN (1, 2)", "A_EQUALS(('a','b'),('b','a'))", "S_WITHIN(POINT(1 1), BBOX(0,0,2,2))", "S_INTERSECTS(geom, geom)",
                 "geometry IS NOT NULL", "T_AFTER(TIMESTAMP('2020-01-01T12:00:00Z'), DATE('2019-12-31'))"):  # fmt: skip
        assert ids(table, text) == everybody and not ids(table, f"NOT ({text})"), text
    both = [row for row in ROWS if row["a"] is not None and row["b"] is not None]
    assert ids(table, "a > b") == ids(table, "b < a") == {row["id"] for row in both if row["a"] > row["b"]}
    assert ids(table, "1 < a") == ids(table, "a > 1")
    assert ids(table, "b BETWEEN a AND 5") == {row["id"] for row in both if row["a"] <= row["b"] <= 5}
    assert ids(table, "T_BEFORE(DATE('2020-01-01'), valid_from)") == ids(table, "valid_from > DATE('2020-01-01')")
    assert ids(table, "S_CONTAINS(BBOX(117.02,31,117.1,33), geom)") == ids(table, "S_WITHIN(geom, BBOX(117.02,31,117.1,33))")


def test_a_box_over_the_antimeridian(table):
    around = ids(table, "S_INTERSECTS(geom, BBOX(117.1,-90,117.05,90))")
    assert around == {row["id"] for row in ROWS if row["lon"] >= 117.1 or row["lon"] <= 117.05}
    assert ids(table, "S_INTERSECTS(geom, BBOX(-90,117.1,90,117.05))", filter_crs="EPSG:4490") == around


def test_what_other_programs_write_is_understood(table):
    """Escapes of the standard (8.3.2), ILIKE and days without a time as GDAL sends them."""
    brien = {row["id"] for row in ROWS if row["name"] == "O'Brien"}
    assert ids(table, r"name = 'O\'Brien'") == ids(table, "name ILIKE 'o''br%'") == brien
    assert ids(table, r"name = 'O\'Brien' AND a = 1") == ids(table, "name = 'O''Brien' AND a = 1") != set()
    assert ids(table, "(\"name\" NOT ILIKE 'AB_') AND (a = 1)") == ids(table, "NOT casei(name) LIKE casei('AB_') AND a = 1")
    assert not ids(table, "name = 'x ILIKE ''y'''")
    assert ids(table, r"name LIKE '50\%\_%'") == {row["id"] for row in ROWS if row["name"] == "50%_a"}
    assert ids(table, "valid_from >= '2020-01-01T'") == ids(table, "valid_from >= DATE('2020-01-01')")
    with table.cursor() as cursor:
        cursor.execute("SAVEPOINT before")
        cursor.execute("INSERT INTO thing (id, name) VALUES (1000, %s)", ("a\tb\x07",))
        assert ids(table, r"name = 'a\tb\a'") == ids(table, "name LIKE '_\t__'") == {1000}
        cursor.execute("ROLLBACK TO before")


def test_json_means_the_same_as_text(table):
    tree = {
        "op": "or",
        "args": [{"op": "=", "args": [{"property": "a"}, 1]}, {"op": "isNull", "args": [{"property": "name"}]}],
    }
    assert ids(table, tree) == ids(table, "a = 1 OR name IS NULL")
    assert ids(table, '{"op": "between", "args": [{"property": "a"}, 1, 2]}') == ids(table, "a BETWEEN 1 AND 2")


def test_chinese_titles_are_names_in_double_quotes(table):
    assert ids(table, '"名称" = \'府前街\' AND "甲" > 0') == ids(table, "name = '府前街' AND a > 0")


def test_alias_qualifies_every_column(table):
    condition, params = cql2.where("a = 1 AND s_intersects(geom, BBOX(116,31,118,33))", LAYER, VISIBLE, alias="t")
    with table.cursor() as cursor:
        cursor.execute(psycopg2.sql.SQL("SELECT count(*) FROM thing t, thing u WHERE {} AND u.id = t.id").format(condition), params)
        assert cursor.fetchone()[0] == len(ids(table, "a = 1"))


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("t_after(seen, DATE('2019-12-31'))", lambda row: row["seen"] is not None),
        ("t_after(seen, DATE('2020-01-01'))", lambda row: False),
        ("t_before(seen, TIMESTAMP('2020-01-01T12:00:00Z'))", lambda row: row["seen"] == MOMENTS[0]),
        ("t_intersects(seen, DATE('2020-01-01'))", lambda row: row["seen"] is not None),
        ("t_intersects(valid_from, INTERVAL('2020-01-01','..'))", lambda row: row["valid_from"] in DAYS[1:3]),
        ("t_during(valid_from, INTERVAL('2019-12-31','2020-06-01'))", lambda row: row["valid_from"] == DAYS[1]),
        ("t_disjoint(valid_from, INTERVAL('2020-01-01','2020-06-01'))", lambda row: row["valid_from"] == DAYS[0]),
        ("NOT t_after(valid_from, INTERVAL('2020-01-01','..'))", lambda row: row["valid_from"] is not None),
        ("t_after(DATE('2020-01-02'), valid_from)", lambda row: row["valid_from"] in DAYS[:2]),
        ("t_equals(valid_from, DATE('2020-01-01'))", lambda row: row["valid_from"] == DAYS[1]),
        ("valid_from >= '2020-01-01'", lambda row: row["valid_from"] in DAYS[1:3]),
        ("valid_from < TIMESTAMP('2020-01-01T00:00:01Z')", lambda row: row["valid_from"] in DAYS[:2]),
        ("seen = TIMESTAMP('2020-01-01T12:00:00Z')", lambda row: row["seen"] == MOMENTS[1]),
        ("seen = valid_from", lambda row: row["seen"] == MOMENTS[0] and row["valid_from"] == DAYS[1]),
    ],
)
def test_time_whatever_the_time_zone_of_the_session(table, text, test):
    assert ids(table, text) == {row["id"] for row in ROWS if test(row)}


# --- space ------------------------------------------------------------------------------------------------------------

BOX = "POLYGON((117.005 31.995, 117.055 31.995, 117.055 32.025, 117.005 32.025, 117.005 31.995))"


def in_box(row):
    return 117.005 < row["lon"] < 117.055 and 31.995 < row["lat"] < 32.025


@pytest.mark.parametrize("text", [f"s_intersects(geom, {BOX})", f"s_within(geometry, {BOX})", f"s_contains({BOX}, geom)"])
def test_inside_an_area(table, text):
    assert ids(table, text) == {row["id"] for row in ROWS if in_box(row)}


def test_disjoint_and_bbox(table):
    assert ids(table, f"s_disjoint(geom, {BOX})") == {row["id"] for row in ROWS if not in_box(row)}
    assert ids(table, "s_intersects(geom, BBOX(117.005,31.995,117.055,32.025))") == ids(table, f"s_intersects(geom, {BOX})")


def test_every_spatial_function(table):
    """Against shapely, over points, with lines and areas that pass through, touch and hold them."""
    import shapely

    functions = {
        "s_contains": shapely.contains, "s_crosses": shapely.crosses, "s_disjoint": shapely.disjoint, "s_equals": shapely.equals,
        "s_intersects": shapely.intersects, "s_overlaps": shapely.overlaps, "s_touches": shapely.touches, "s_within": shapely.within,
    }  # fmt: skip
    points = {row["id"]: shapely.Point(row["lon"], row["lat"]) for row in ROWS}
    shapes = [
        "POINT(117.01 32.01)", "MULTIPOINT((117.01 32.01), (117.02 32.02))", "LINESTRING(117.01 32.01, 117.02 32.02)",
        "MULTILINESTRING((117.01 32.01, 117.02 32.02), (117 32, 117.1 32))",
        "POLYGON((117.01 32.01, 117.05 32.01, 117.05 32.04, 117.01 32.01))",
        "MULTIPOLYGON(((117.01 32.01, 117.05 32.01, 117.05 32.04, 117.01 32.01)))",
        "GEOMETRYCOLLECTION(POINT(117.01 32.01), POINT(117.02 32.02))",
    ]  # fmt: skip
    for name, function in functions.items():
        for shape in shapes:
            other = shapely.union_all(shapely.from_wkt(shape)) if shape.startswith("GEOMETRYC") else shapely.from_wkt(shape)
            assert ids(table, f"{name}(geom, {shape})") == {i for i, point in points.items() if function(point, other)}, (name, shape)
            assert ids(table, f"{name}({shape}, geom)") == {i for i, point in points.items() if function(other, point)}, (name, shape)


def test_filter_crs_has_the_axes_of_its_authority(table):
    turned = "POLYGON((31.995 117.005, 31.995 117.055, 32.025 117.055, 32.025 117.005, 31.995 117.005))"
    for name in ("EPSG:4490", "http://www.opengis.net/def/crs/EPSG/0/4326"):
        assert ids(table, f"s_intersects(geom, {turned})", filter_crs=name) == ids(table, f"s_intersects(geom, {BOX})")
    northing_easting = "POLYGON((3541000 500500, 3541000 505000, 3545000 505000, 3545000 500500, 3541000 500500))"
    assert ids(table, f"s_intersects(geom, {northing_easting})", filter_crs="EPSG:4548") == {
        row["id"] for row in ROWS if 117.0053 < row["lon"] < 117.0529 and 31.99 < row["lat"] < 32.028
    }


def test_the_index_serves_every_spatial_operator(table):
    with table.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE many AS SELECT ST_SetSRID(ST_MakePoint(i % 100, i / 1000.0), 4490) AS geom"
                       " FROM generate_series(1, 20000) i")  # fmt: skip
        cursor.execute("CREATE INDEX ON many USING gist (geom)")
        cursor.execute("ANALYZE many")
        for text in ("s_intersects(geom, BBOX(1,1,2,2))", "s_within(geom, BBOX(1,1,2,2))"):
            condition, params = cql2.where(text, LAYER, VISIBLE)
            cursor.execute(psycopg2.sql.SQL("EXPLAIN SELECT * FROM many WHERE {}").format(condition), params)
            assert "many_geom_idx" in " ".join(row[0] for row in cursor)
