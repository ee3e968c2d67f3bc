"""Values as bureaus write them."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gis.catalog.read import catalog
from gis.ingest import values
from gis.standards import codes


def cast(function, given_, *more):
    result, bad = function(pa.array(given_), *more)
    return result.to_pylist(), bad.tolist()


@pytest.mark.parametrize(
    ("text", "unit", "wanted"),
    [
        ("300", "mm", 300),
        ("DN300", "mm", 300),
        ("φ300", "mm", 300),
        ("0.3m", "mm", 300),
        ("３００", "mm", 300),
        ("30cm", "mm", 300),
        ("1,234.5", None, 1234.5),
        ("1，234，567", None, 1234567),
        ("-1.5e3", None, -1500),
        ("400kPa", "MPa", 0.4),
        ("10千伏", "kV", 10),
        ("60公里/小时", "km/h", 60),
        ("3‰", "[‰]", 3),
        ("18 层", None, 18),
        ("无", "mm", None),
        ("—", "mm", None),
        ("<Null>", "m", None),
        ("12.5米", "m", 12.5),
        ("36㎡", "m2", 36),
    ],
)
def test_numbers_with_units_commas_and_wide_digits(text, unit, wanted):
    assert cast(values.numbers, [text, None], unit) == ([wanted, None], [False, False])


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("三百", "mm"),
        ("300x200", "mm"),
        ("12kg", "m"),
        ("DN300", "m"),
        ("1,23", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("12 m", None),
    ],
)
def test_what_is_no_number_is_said_not_guessed(text, unit):
    assert cast(values.numbers, [text], unit) == ([None], [True])


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=64)), max_size=30))
def test_every_number_survives_being_written(numbers):
    texts = pa.array([None if n is None else repr(n) for n in numbers], pa.string())
    result, bad = values.numbers(texts)
    assert result.to_pylist() == numbers and not bad.any()


@given(st.integers(-(2**62), 2**62))
def test_every_whole_number_of_an_integer_column_survives(n):
    assert cast(values.integers, [n, None]) == ([n, None], [False, False])


def test_integers_refuse_fractions_and_take_whole_floats():
    assert cast(values.integers, [3.0, 3.7, None]) == ([3, None, None], [False, True, False])
    assert cast(values.integers, ["3", "3.0", "3.5", "六"]) == ([3, 3, None, None], [False, False, True, True])


@given(st.dates(dt.date(1000, 1, 1), dt.date(9999, 12, 31)))
def test_every_day_is_read_in_each_form_it_is_written_in(day):
    y, m, d = day.year, day.month, day.day
    forms = [
        f"{y}-{m:02}-{d:02}",
        f"{y}/{m}/{d}",
        f"{y}.{m}.{d}",
        f"{y}{m:02}{d:02}",
        f"{y}年{m}月{d}日",
        f"{y}年{m}月{d}日 08:30",
        f"{y}-{m:02}-{d:02}T00:00:00Z",
    ]
    assert cast(values.dates, forms) == ([day] * len(forms), [False] * len(forms))


def test_a_thirteenth_month_and_its_like_are_bad():
    bad = ["2024-13-05", "20241305", "2024年13月5日", "2023-02-29", "5/3/2024", "昨天", "2024-00-10"]
    assert cast(values.dates, bad) == ([None] * len(bad), [True] * len(bad))


def test_unknown_days_are_empty_and_months_begin_on_the_first():
    assert cast(values.dates, ["", "不详", "0000-00-00", "1998", "1998年", "2024年3月", "202403", None])[0] == [
        None,
        None,
        None,
        dt.date(1998, 1, 1),
        dt.date(1998, 1, 1),
        dt.date(2024, 3, 1),
        dt.date(2024, 3, 1),
        None,
    ]


def test_texts_are_trimmed_and_empty_is_null():
    assert values.texts(pa.array(["　人民路 ", "", "  ", "a\0b", None])).to_pylist() == ["人民路", None, None, "ab", None]
    assert values.texts(pa.array([3.0, 3.5, None, float("nan")])).to_pylist() == ["3", "3.5", None, None]
    assert values.texts(pa.array([7, None])).to_pylist() == ["7", None]


def test_codes_by_title_and_unknown_ones_stay_as_written():
    assert cast(values.coded, ["住宅", "RESIDENTIAL", "医院", "鬼屋", None], codes("onemap.building_use")) == (
        ["residential", "residential", "hospital", "鬼屋", None],
        [False] * 5,
    )


def test_booleans():
    assert cast(values.booleans, ["是", "否", "1", "ｙ", "", "也许"]) == ([True, False, True, True, None, None], [False] * 5 + [True])


def test_moments_without_an_offset_are_beijing_time():
    got = cast(values.timestamps, ["2024-03-05 08:00:00", "2024-03-05T00:00:00Z", "2024年3月5日", "never"])
    utc = dt.UTC
    assert [v and v.astimezone(utc) for v in got[0]] == [
        dt.datetime(2024, 3, 5, tzinfo=utc),
        dt.datetime(2024, 3, 5, tzinfo=utc),
        dt.datetime(2024, 3, 4, 16, tzinfo=utc),
        None,
    ]
    assert got[1] == [False, False, False, True]


def test_lists_of_texts():
    assert cast(values.lists, ["甲、乙;丙", '["a", "b"]', "", None]) == ([["甲", "乙", "丙"], ["a", "b"], None, None], [False] * 4)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=20))
def test_no_text_makes_a_cast_fail(texts):
    column = pa.array(texts, pa.string())
    for function in (values.numbers, values.integers, values.booleans, values.dates, values.timestamps, values.lists):
        result, bad = function(column)
        assert len(result) == len(texts) and bad.dtype == np.bool_
        assert all(v is None for v, wrong in zip(result.to_pylist(), bad, strict=True) if wrong)


def test_a_measure_next_to_nothing_is_nothing_and_one_beyond_all_measure_is_bad():
    """The rule of a parcel's area multiplies: a product that vanishes would stop the whole load."""
    area = catalog().layer("parcel").columns["area_m2"]
    found, bad = values.cast(pa.array([5e-324, -1e-101, 1e-100, 12.5, None, 1e101, -1e300]), area)
    assert found.to_pylist() == [0.0, 0.0, 1e-100, 12.5, None, None, None]
    assert bad.tolist() == [False, False, False, False, False, True, True]
