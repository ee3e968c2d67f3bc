"""What closing valves cuts off, through the database."""

import pytest

from gis.db.store import Store
from gis.errors import NotOnNetwork
from gis.processes import valve_closure


def close(*valves, **inputs):
    with Store("water") as store:
        return valve_closure.run(store, valve_closure.ClosureInputs(valves=list(valves), **inputs), lambda share, what: None)


def test_closing_the_only_valve_cuts_off_what_lies_behind(street):
    found = close("VAB", features=True, details=True)
    assert found["cuts_off"] and found["affected"]["pipes"] == ["AB"] and found["affected"]["customers"] == 24
    assert found["doorplate_list"] == [{"id": "m1", "address": "府前街1号", "community": None}]
    assert {f["properties"]["part"] for f in found["features"]["features"]} == {"cut_off", "hydrant", "valve_close"}
    assert close("VSA")["affected"]["pipes"] == ["AB", "SA"]


def test_a_closed_valve_cuts_off_nothing_more(street):
    street(valve_state="closed")
    found = close("VAB")
    assert not found["cuts_off"] and found["already_closed"] == ["VAB"] and found["closed"] == []


def test_an_unknown_valve_is_named(street):
    with pytest.raises(NotOnNetwork, match="V9"):
        close("VAB", "V9")
