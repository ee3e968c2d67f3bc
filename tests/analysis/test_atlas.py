"""The atlas in arrays against the bursts one by one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import LIBRARY, tables, valved
from random_networks import frames

from gis.analysis.atlas import atlas
from gis.analysis.consumers import consumers, outage
from gis.analysis.isolation import Engine
from gis.analysis.network import network

NO_PLATES = pd.DataFrame(columns=["plate_id", "building_id"])
NO_HYDRANTS = pd.DataFrame(columns=["hydrant_id", "pipe_id", "node_id"])


def supplied(net, customers=()):
    """Connections with these customers on the first pipes; every third a hospital."""
    n = min(len(customers), net.n_pipes)
    rows = pd.DataFrame({
        "connection_id": [f"c{i}" for i in range(n)], "pipe_id": [p.decode() for p in net.pipe_id[:n].tolist()],
        "building_id": "b", "customers": list(customers[:n]), "priority": ["hospital" if i % 3 == 0 else "none" for i in range(n)],
    })  # fmt: skip
    return consumers(net, rows, NO_PLATES, NO_HYDRANTS)


def assert_same(engine, people):
    book = atlas(engine, people)
    for s in range(engine.segments.count):
        if not engine.segments.real[s]:
            continue
        found = engine.burst(np.array([s]))
        dry = outage(engine, people, np.sort(np.concatenate((found.region, found.lost))))
        behind = outage(engine, people, found.lost)
        assert book.close[book.close_at[s] : book.close_at[s + 1]].tolist() == found.close.tolist(), s
        assert (book.isolated[s], book.pipes[s], book.customers[s]) == (found.isolated, len(dry.pipes), dry.customers), s
        assert book.priority[s] == len(dry.priority)
        assert (book.behind_pipes[s], book.behind_customers[s]) == (len(behind.pipes), behind.customers)
        assert book.length_m[s] == pytest.approx(dry.length_m, abs=1e-6)


@settings(max_examples=400, deadline=None)
@given(frames(), st.lists(st.integers(0, 50), max_size=12))
def test_the_atlas_is_every_burst(tables, customers):
    engine = Engine.built(*network(**tables))
    assert_same(engine, supplied(engine.network, customers))


@pytest.mark.parametrize("name", ["Net3", "ky4"])
def test_the_atlas_of_published_networks_is_every_burst(tmp_path, name):
    engine = Engine.built(*network(**valved(LIBRARY / f"{name}.inp", "random", tmp_path)))
    assert_same(engine, supplied(engine.network, list(range(50))))


@pytest.mark.real
def test_the_atlas_of_pacific_city_is_every_burst(shared_data):
    engine = Engine.built(*network(**tables(shared_data / "networks" / "PacificCity.inp", isolation=["TCV"])))
    assert_same(engine, supplied(engine.network))
