"""The list of water networks."""

from __future__ import annotations

import pytest

from gis.db.store import Store
from gis.errors import AccessDenied
from gis.processes import processes

PROCESS = processes()["water-networks"]


def test_networks_are_told_with_size_and_place(street):
    with Store("water") as store:
        found, again = (PROCESS.run(store, PROCESS.inputs()) for _ in range(2))
        pipes = store.frame("water_pipe", ["network"], geometry=True)
        assert found == again and found["data_version"] == store.version(["water_pipe"])
    assert {row["id"] for row in found["networks"]} == set(pipes["network"]) != set()
    for row in found["networks"]:
        own = pipes[pipes["network"] == row["id"]]
        assert row["pipes"] == len(own) and row["bbox"] == pytest.approx(own.total_bounds.tolist(), abs=1e-6)


def test_visitor_is_not_told_of_networks(street):
    with Store("anonymous") as store, pytest.raises(AccessDenied):
        PROCESS.run(store, PROCESS.inputs())
