"""Classes of a figure: rising round limits that hold every value, narrow where few stand out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gis.analysis.classes import breaks, classed


@given(values=st.lists(st.integers(0, 10**6), max_size=300), count=st.integers(2, 8))
def test_limits_rise_are_round_and_lie_among_the_values(values, count):
    limits = breaks(np.array(values), count)
    assert limits == sorted(set(limits)) and len(limits) < count
    for limit in limits:
        assert f"{limit:.0e}"[0] in "125" and min(v for v in values if v) < limit <= max(values)
    classes = classed(np.array(values), limits)
    for value, found in zip(values, classes, strict=True):
        assert (found == 0 or limits[found - 1] <= value) and (found == len(limits) or value < limits[found])


def test_few_large_ones_stand_out():
    values = np.concatenate((np.full(885, 3), np.full(80, 40), np.full(15, 300), np.full(20, 5000)))
    found = classed(values, breaks(values, 5))
    assert found[0] == 0 and found[0] < found[890] <= found[970] < found[-1]


def test_nothing_to_class():
    assert breaks(np.zeros(5), 5) == [] and breaks(np.array([7.0, 7.0]), 5) == []
    assert classed(np.array([np.nan, 4.0]), [2.0]).tolist() == [0, 1]
