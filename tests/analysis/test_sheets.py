"""Map sheets: every line on one sheet, none too large, numbers that do not cover each other."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gis.analysis import sheets


def streets(n, seed=0, extent=4000.0):
    random = np.random.default_rng(seed)
    at = random.uniform(0, extent, (n, 2))
    return np.array([shapely.LineString([p, p + random.uniform(-150, 150, 2) + 1]) for p in at], dtype=object)


def test_a_line_belongs_to_the_area_that_holds_most_of_it():
    areas = np.array([shapely.box(0, 0, 100, 100), shapely.box(100, 0, 200, 100)])
    lines = np.array([
        shapely.LineString([(10, 10), (50, 10)]), shapely.LineString([(80, 10), (180, 10)]), shapely.LineString([(300, 10), (320, 10)]),
        shapely.MultiLineString([[(10, 5), (90, 5)], [(110, 5), (120, 5)]]),
    ])  # fmt: skip
    assert sheets.homes(lines, areas).tolist() == [0, 1, 1, 0]
    assert sheets.homes(lines, np.array([])).tolist() == [-1] * 4


@given(n=st.integers(1, 120), seed=st.integers(0, 5), most=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_every_line_is_on_one_sheet_and_none_is_too_large(n, seed, most):
    lines = streets(n, seed)
    home = np.arange(n) % 3 - 1
    cut = sheets.sheets(shapely.bounds(lines), home, 900.0, most)
    members = np.concatenate([s.members for s in cut]) if cut else np.zeros(0, int)
    assert sorted(members) == np.flatnonzero(home >= 0).tolist()
    for sheet in cut:
        low, high = shapely.bounds(lines[sheet.members])[:, :2].min(axis=0), shapely.bounds(lines[sheet.members])[:, 2:].max(axis=0)
        assert len(sheet.members) == 1 or (len(sheet.members) <= most and (high - low).max() <= 900)
        assert 1 <= sheet.part <= sheet.parts and (home[sheet.members] == sheet.area).all()


def test_numbers_at_a_crossing_do_not_cover_each_other_or_the_valves():
    anchors = np.array([[50.0, 50.0], [50.5, 50.0], [50.0, 50.6], [49.5, 49.8], [0.5, 0.5]])
    symbols = np.hstack((anchors - 0.3, anchors + 0.3))
    size = np.full((5, 2), (4.0, 3.5))
    spot = sheets.labels(anchors, size, (100.0, 100.0), symbols)
    boxes = [shapely.box(*(c - s / 2 + 1e-6), *(c + s / 2 - 1e-6)) for c, s in zip(spot, size, strict=True)]
    for i, box in enumerate(boxes):
        assert shapely.box(0, 0, 100, 100).contains(box)
        assert not any(box.intersects(other) for other in boxes[i + 1 :])
        assert not any(box.intersects(shapely.box(*symbol)) for symbol in symbols)
    assert np.hypot(*(spot - anchors).T).max() < 25


@pytest.mark.parametrize("count", [2, 8])
def test_lines_that_meet_differ(count):
    cross = np.array([shapely.LineString([(0, 0), (100 * np.cos(a), 100 * np.sin(a))]) for a in np.linspace(0, 5, count)])
    assert len(set(sheets.tints(cross, count))) == count
