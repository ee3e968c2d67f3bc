"""What `datetime`, `as-of`, `bbox` and `crs` mean, without a database."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
import shapely

from gis.api import boxes, cursor, temporal, tile_grid
from gis.errors import InputError, NotFound

EPSG = "http://www.opengis.net/def/crs/EPSG/0/{}"
D = dt.date


@pytest.mark.parametrize(
    "text, first, after",
    [
        ("2020", D(2020, 1, 1), D(2021, 1, 1)),
        ("2020-12", D(2020, 12, 1), D(2021, 1, 1)),
        ("2020-02", D(2020, 2, 1), D(2020, 3, 1)),
        ("2020-01-31", D(2020, 1, 31), D(2020, 2, 1)),
        ("2020-01-31T23:59:59Z", D(2020, 1, 31), D(2020, 2, 1)),
        ("2020-01-01/2020-06-30", D(2020, 1, 1), D(2020, 7, 1)),
        ("../2020", None, D(2021, 1, 1)),
        ("2020-05/..", D(2020, 5, 1), None),
        ("/2020-05-01", None, D(2020, 5, 2)),
        ("2020-05-01/", D(2020, 5, 1), None),
        ("../..", None, None),
        ("0000-01-01T00:00:00Z/2020-01-01T00:00:00Z", None, D(2020, 1, 2)),
        ("9999", D(9999, 1, 1), None),
        ("2016-12-31T23:59:60Z", D(2016, 12, 31), D(2017, 1, 1)),
        ("2020-01-31T23:00:00 08:00/2020-02-01T23:00:00 08:00", D(2020, 1, 31), D(2020, 2, 2)),
        ("2020-01-31T10:00:00Z/2020-01-31T18:00:00+08:00", D(2020, 1, 31), D(2020, 2, 1)),
        ("2020-01-31T/..", D(2020, 1, 31), None),
    ],
)
def test_datetime_covers_whole_days(text, first, after):
    assert temporal.span(text) == temporal.Span(first, after)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "2020-13",
        "2020-00",
        "2020-02-30",
        "20200101",
        "2020-1-1",
        "yesterday",
        "2021/2020",
        "2020/2021/2022",
        "2020-01-01T25:00:00Z",
        "2020-01-01T00:00:00+99",
        "2020-01-01T00:00:00+99:00",
        "2020-01-01T12:30:60Z",
        "2020-01-01T10:00:00Z/2020-01-01T09:00:00Z",
        "2020-01-01T10:00:00Z/2020-01-01T17:00:00+08:00",
        "２０２０",
        "2020-01-01;DROP",
        "-2020",
        "0000-13",
    ],
)
def test_a_datetime_that_is_none_is_refused(text):
    with pytest.raises(InputError):
        temporal.span(text)


def test_as_of_a_day_means_its_end_in_the_city():
    assert temporal.moment("2024-05-01") == dt.datetime(2024, 5, 1, 15, 59, 59, 999999, tzinfo=dt.UTC)
    assert temporal.moment("2024-05-01T12:00:00Z") == dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    assert temporal.moment("2024-05-01T20:00:00") == dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    assert (
        temporal.moment("2024-05-01T20:00:00 08:00") == temporal.moment("2024-05-01T20:00:00+08:00") == temporal.moment("2024-05-01T12:00Z")
    )
    assert temporal.moment("2016-12-31T23:59:60Z") == dt.datetime(2016, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)
    for wrong in ("2024-13", "2024/2025", "now", ""):
        with pytest.raises(InputError):
            temporal.moment(wrong)


def test_axes_are_those_of_the_authority():
    flipped = {code: boxes.target(EPSG.format(code)).flipped for code in (4490, 4326, 3857, *range(4547, 4555))}
    assert flipped == {4490: True, 4326: True, 3857: False} | dict.fromkeys(range(4547, 4555), True)
    assert not boxes.target(boxes.systems.CRS84).flipped


def test_a_box_in_a_zone_contains_what_lies_on_its_edges():
    """A corner-to-corner transformation would lose the middle of the northern edge: it bends northwards in degrees."""
    area = boxes.area([3541000.0, 420000.0, 3545000.0, 580000.0], EPSG.format(4548))
    outline = shapely.from_wkb(area.outline)
    lon, lat = boxes.systems.transform(np.array([500000.0]), np.array([3544990.0]), 4548)
    assert outline.covers(shapely.Point(lon[0], lat[0]))
    corners = boxes.systems.transform(np.array([420000.0, 580000.0]), np.array([3545000.0, 3545000.0]), 4548)
    assert lat[0] > max(corners[1]), "the edge bends"


def test_boxes_in_geographic_systems_are_the_same_box():
    plain = boxes.area([116.9, 31.9, 117.1, 32.1], None)
    assert plain == boxes.area([31.9, 116.9, 32.1, 117.1], EPSG.format(4490)) == boxes.area([31.9, 116.9, 32.1, 117.1], EPSG.format(4326))
    assert plain.box == (116.9, 31.9, 117.1, 32.1)
    across = shapely.from_wkb(boxes.area([170.0, -10.0, -170.0, 10.0], None).outline)
    assert across.area == pytest.approx(400.0)
    for wrong in ([float("nan"), 0, 1, 1], [0, 0, float("inf"), 1], [0, 5, 1, 4]):
        with pytest.raises(InputError):
            boxes.area(wrong, None)


def test_a_cursor_is_bound_to_its_order():
    by_name = cursor.Sort("road", (("name", False), ("road_id", False)), frozenset({"road_id"}))
    by_id = cursor.Sort("road", (("road_id", False),), frozenset({"road_id"}))
    text = cursor.encode(by_name, ["青澜大道", "R1"])
    assert cursor.decode(by_name, text) == ["青澜大道", "R1"]
    assert cursor.decode(by_name, cursor.encode(by_name, [None, "R1"])) == [None, "R1"]
    for sort, wrong in (
        (by_id, text),
        (by_name, "x"),
        (by_name, text[:-3]),
        (by_name, "e30"),
        (by_name, "9" * 9000),
        (by_name, cursor.encode(by_name, ["a", None])),
        (by_name, cursor.encode(by_name, ["a"])),
    ):
        with pytest.raises(InputError):
            cursor.decode(sort, wrong)


def test_a_tile_lies_where_the_grid_says():
    tile = tile_grid.tile("WebMercatorQuad", "1", "0", "1")
    assert tile.bounds == pytest.approx((0, 0, 20037508.342789244, 20037508.342789244))
    assert tile.reach[1] < 0 < tile.reach[3] and tile.reach[3] > 85
    west, south, _, _ = tile_grid.tile("WorldCRS84Quad", "0", "0", "1").bounds
    assert (west, south) == (0.0, -90.0)
    for z, y, x in (
        ("-1", "0", "0"),
        ("1.5", "0", "0"),
        ("1", "2", "0"),
        ("1", "0", "2"),
        ("30", "0", "0"),
        ("²", "0", "0"),
        ("1", "a", "0"),
    ):
        with pytest.raises(InputError):
            tile_grid.tile("WebMercatorQuad", z, y, x)
    with pytest.raises(NotFound):
        tile_grid.tile("EuropeanETRS89", "1", "0", "0")
