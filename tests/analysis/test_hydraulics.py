"""Pressures after a closure: by hand on a tiny network, and against EPANET run directly on published ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wntr

from gis.analysis import hydraulic_model, hydraulics
from gis.analysis.consumers import consumers
from gis.analysis.hydraulic_model import Attributes, Closure
from gis.analysis.network import network
from gis.errors import SourceError

LIBRARY = Path(wntr.__file__).parent / "library" / "networks"
MINIMUM = 14.0


def hazen_williams(flow_lps, length_m, diameter_mm, c):
    """Head loss, metres: 10.667 C^-1.852 d^-4.871 L q^1.852 (SI)."""
    return 10.667 * c**-1.852 * (diameter_mm / 1000) ** -4.871 * length_m * (flow_lps / 1000) ** 1.852


def line_of_three(head=50.0, demand=(5.0, 10.0)):
    """Source — A — B, 1000 m of 200 mm and 500 m of 150 mm, A at 10 m, B at 15 m."""
    return hydraulics.Tables(
        pd.DataFrame({"node_id": ["S", "A", "B"], "elevation_m": [0.0, 10.0, 15.0], "demand_lps": [0.0, *demand]}),
        pd.DataFrame({
            "pipe_id": ["in", "SA", "AB"], "from_node": ["R", "S", "A"], "to_node": ["S", "A", "B"], "length_m": [0.0, 1000.0, 500.0],
            "diameter_mm": [2000.0, 200.0, 150.0], "roughness": [150.0, 130.0, 110.0],
        }),
        pd.DataFrame(columns=["device_id", "kind", "from_node", "to_node", "diameter_mm", "setting_m"]),
        pd.DataFrame({"node_id": ["R"], "head_m": [head]}),
    )  # fmt: skip


def test_pressures_by_hand():
    found = hydraulics.solved(hydraulics.model(line_of_three()), MINIMUM)
    at_a = 50 - hazen_williams(15, 1000, 200, 130)
    at_b = at_a - hazen_williams(10, 500, 150, 110)
    assert found["pressure_m"]["A"] == pytest.approx(at_a - 10, abs=0.01)
    assert found["pressure_m"]["B"] == pytest.approx(at_b - 15, abs=0.01)
    assert found["delivered_lps"]["B"] == pytest.approx(10, abs=1e-3)


def test_below_the_minimum_a_customer_gets_less_and_none_is_negative():
    found = hydraulics.solved(hydraulics.model(line_of_three(head=20.0)), MINIMUM)
    for node in ("A", "B"):
        pressure, wanted = found["pressure_m"][node], found["demand_lps"][node]
        assert 0 <= pressure < MINIMUM
        assert found["delivered_lps"][node] == pytest.approx(wanted * np.sqrt(pressure / MINIMUM), rel=0.01)


def test_a_part_without_source_is_taken_out_and_has_no_pressure():
    made = hydraulics.model(line_of_three())
    before = hydraulics.solved(made, MINIMUM)
    assert hydraulics.cut(made, ["AB"]) == {"B"}
    after = hydraulics.solved(made, MINIMUM)
    used = pd.DataFrame({"before": ["A", "B"], "after": ["A", "B"], "demand_lps": [5.0, 10.0], "customers": [7, 9]})
    table = hydraulics.compared(used, before, after, MINIMUM)
    assert table["state"].tolist() == ["served", "cut_off"]
    assert np.isnan(table["after_m"][1]) and table["after_m"][0] > table["before_m"][0]
    found = hydraulics.summary(table)
    assert found["customers"] == {"cut_off": 9, "fell_below": 0, "low": 0, "served": 7, "dry": 0}
    assert found["unserved_lps"] == {"before": 0.0, "after": 10.0, "cut_off": 10.0}


def test_nothing_left_is_an_answer_too():
    made = hydraulics.model(line_of_three())
    assert hydraulics.cut(made, ["in"]) == {"S", "A", "B"}
    assert not len(hydraulics.solved(made, MINIMUM))


def direct(path, closed, hours):
    """EPANET on the same file with these links closed, nothing else changed but the demand model."""
    made = wntr.network.WaterNetworkModel(str(path))
    for name, control in list(made.controls()):
        if {item.name for item in control.requires()} & set(closed):
            made.remove_control(name)
    for name in closed:
        made.get_link(name).initial_status = wntr.network.LinkStatus.Closed
    options = made.options
    options.hydraulic.demand_model, options.hydraulic.minimum_pressure, options.hydraulic.required_pressure = "PDD", 0.0, MINIMUM
    options.time.duration, options.time.report_timestep = min(options.time.duration, hours * 3600), options.time.hydraulic_timestep
    return wntr.sim.EpanetSimulator(made).run_sim(file_prefix=str(closed[0])).node["pressure"].min()


@pytest.mark.parametrize(("name", "closed"), [
    ("Net3", ["111", "112"]), ("Net3", ["20", "40"]), ("Net3", ["330", "335", "229"]), ("ky4", ["P-10", "P-200"]),
    ("ky4", ["P-300", "P-640"]),
])  # fmt: skip
def test_pressures_are_those_of_epanet(name, closed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = LIBRARY / f"{name}.inp"
    made = hydraulics.loaded(path)
    gone = hydraulics.cut(made, closed)
    ours = hydraulics.solved(made, MINIMUM, hours=6)
    theirs = direct(path, closed, 6)[ours.index]
    assert len(ours) + len(gone) == wntr.network.WaterNetworkModel(str(path)).num_junctions
    assert (ours["pressure_m"] - theirs).abs().max() < 1e-3


def test_demands_are_those_delivered_where_pressure_suffices():
    """Base demands by their patterns, as EPANET delivers them."""
    found = hydraulics.solved(hydraulics.loaded(LIBRARY / "Net3.inp"), 1.0, hours=24)
    enough = found["pressure_m"] > 5
    assert enough.sum() > 80
    assert (found["demand_lps"] - found["delivered_lps"])[enough].abs().max() < 0.01


def test_a_file_that_cannot_be_modelled_is_refused(tmp_path):
    path = tmp_path / "bad.inp"
    path.write_text("[JUNCTIONS]\nA 1 x y\n[PIPES]\nP A B one 2 3\n")
    with pytest.raises(SourceError):
        hydraulics.loaded(path)


def ring():
    """S —P0— A —P1— B —P2— C —P3— A, a valve at each end of P1 (at A, B) and a junction valve at C; 30 customers in the middle of P1."""
    nodes = pd.DataFrame({"node_id": list("SABC"), "base_demand_lps": 0.0})
    pipes = pd.DataFrame({
        "pipe_id": ["P0", "P1", "P2", "P3"], "from_node": ["S", "A", "B", "C"], "to_node": ["A", "B", "C", "A"], "length_m": 100.0,
        "diameter_mm": 100.0, "status": "0",
    })  # fmt: skip
    valves = pd.DataFrame({
        "valve_id": ["P1@A", "P1@B", "C!"], "kind": "gate", "isolating": True, "node_id": ["A", "B", "C"], "pipe_id": ["P1", "P1", None],
        "from_node": None, "to_node": None, "flow": None, "normal_status": "open", "live_status": None, "operable": True,
        "accessible": True, "remote": False, "diameter_mm": 100.0,
    })  # fmt: skip
    net, _ = network(nodes, pipes, valves, pd.DataFrame({"source_id": ["W"], "node_id": ["S"]}))
    houses = pd.DataFrame({
        "connection_id": ["H1", "H2"], "pipe_id": ["P1", "P1"], "building_id": None, "customers": [10, 20], "priority": None,
        "curb_valve": None, "curb_status": None, "curb_operable": None,
    })  # fmt: skip
    plates, hydrants = pd.DataFrame(columns=["plate_id", "building_id"]), pd.DataFrame(columns=["hydrant_id", "pipe_id", "node_id"])
    supplied = consumers(net, houses, plates, hydrants)
    known = Attributes(np.zeros(4), np.full(4, 120.0), np.full(3, "gate", object), np.full(3, np.nan), np.array([40.0]))
    return net, known, hydraulic_model.points(net, supplied, np.array([0.25, 0.75]), 0.1)


@pytest.mark.parametrize(("valves", "states"), [
    (["P1@A"], ["served", "served"]), (["P1@A", "P1@B"], ["cut_off", "cut_off"]), (["C!"], ["served", "served"]),
    (["P1@A", "C!"], ["cut_off", "cut_off"]),
])  # fmt: skip
def test_a_closed_valve_leaves_the_end_of_its_pipe_hanging(valves, states):
    """Customers near a closed valve get their water from the pipe's other end."""
    net, known, used = ring()
    solutions = {}
    for side, closed in (("before", []), ("after", [net.valve(v) for v in valves])):
        tables, used[side] = hydraulic_model.tables(net, known, used, Closure(np.array(closed, np.int64)))
        made = hydraulics.model(tables)
        hydraulics.cut(made)
        solutions[side] = hydraulics.solved(made, MINIMUM)
    table = hydraulics.compared(used, solutions["before"], solutions["after"], MINIMUM)
    assert table["state"].tolist() == states
    assert table["customers"].tolist() == [10, 20] and table["demand_lps"].tolist() == pytest.approx([1.0, 2.0])
    if states[0] == "served":
        assert (table["after_m"] <= table["before_m"]).all() and (table["after_m"] < table["before_m"] - 0.01).any()
