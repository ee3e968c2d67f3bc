"""Every case that naive code gets wrong, drawn."""

import numpy as np
import pandas as pd
import pytest
from grid import burst, engine, frames

from gis.analysis.consumers import consumers, outage
from gis.analysis.draining import draining
from gis.analysis.isolation import Engine
from gis.analysis.network import States, decoded, network
from gis.analysis.place import pipe_at
from gis.errors import Ambiguous, NotOnNetwork

LOOP = """
Sx---A----B
     x    x
     |    |
     C----D
"""


def test_a_loop_is_fed_from_both_sides():
    found = burst(LOOP, pipe="AB")
    assert found["close"] == ["SA@S"] and found["isolated"]
    assert found["closed"] == ["AB", "SA"] and found["unintended"] == ["AC", "BD", "CD"]


def test_burst_exactly_at_a_valve_takes_both_segments_and_their_borders():
    found = burst("Sx--Ax--Bx--C", valve="AB@A")
    assert found["close"] == ["SA@S"] and found["optional"] == ["BC@B"]
    assert found["closed"] == ["AB", "SA"] and found["unintended"] == ["BC"]
    assert "AB@A" not in found["close"] + found["stuck"]


def test_burst_at_a_junction_takes_every_arm_without_a_valve_on_that_side():
    found = burst(
        """
Sx---Ax---B
     |
     C
""",
        node="A",
    )
    assert found["closed"] == ["AC", "SA"] and found["close"] == ["SA@S"]
    assert found["optional"] == ["AB@A"] and found["unintended"] == ["AB"]


def test_burst_at_a_junction_with_a_valve_between_its_arms_takes_all_arms():
    found = burst("Sx---A---B", node="A", at_junction="A")
    assert found["closed"] == ["AB", "SA"] and found["close"] == ["SA@S"]


def test_a_valve_at_a_junction_stands_between_all_arms():
    drawing = """
Sx---A---B
     |
     C
"""
    found = burst(drawing, pipe="AB", at_junction="A")
    assert found["close"] == ["A"] and found["closed"] == ["AB"] and found["unintended"] == []
    assert found["beside"] == ["AC"]  # closing it shuts the other arms too


def test_normally_closed_border_is_not_proposed_but_named():
    found = burst("Sx---A---oBx---T", pipe="SA", sources="ST")
    assert found["already_closed"] == ["AB@B"] and found["close"] == ["SA@S"]


def test_both_sides_of_a_valve_in_one_segment_isolate_nothing():
    found = burst(
        """
Sx---Ax---B
     |    |
     C----D
""",
        pipe="AB",
    )
    assert found["bypassed"] == ["AB@A"] and found["close"] == ["SA@S"]


def test_check_valve_blocks_one_way_only_and_is_never_closed():
    upstream = burst("Sx---A---cBx---T", pipe="SA", sources="ST")
    assert upstream["close"] == ["SA@S"] and upstream["closed"] == ["AB", "SA"]
    downstream = burst("Sx---A---cBx---T", node="B", sources="ST")
    assert downstream["closed"] == ["AB", "SA"] and downstream["close"] == ["BT@B", "SA@S"] and downstream["isolated"]


def test_pump_feeds_only_in_its_direction():
    drawing = "S---xA->-Bx---C"
    behind = burst(drawing, pipe="SA")
    assert behind["sources_to_shut"] == ["S"] and behind["unintended"] == ["BC"] and behind["optional"] == ["SA@A"]
    beyond = burst(drawing, pipe="BC")
    assert beyond["close"] == ["BC@B"] and beyond["unintended"] == []
    at_node = burst(drawing, node="B")
    assert at_node["close"] == ["SA@A"] and at_node["closed"] == [] and at_node["unintended"] == ["BC"]


def test_a_pump_that_stands_still_passes_nothing():
    found = burst("Sx---A-o>-Bx---T", node="B", sources="ST")
    assert found["close"] == ["BT@B"]


def test_several_sources_and_no_flow_direction_of_before():
    found = burst("Sx---Ax---Bx---Cx---T", pipe="BC", sources="ST")
    assert found["close"] == ["BC@B", "CT@C"] and found["unintended"] == []


def test_a_tank_inside_the_segment_is_a_source_unless_its_own_valve_closes():
    inside = burst("Sx---A---T", pipe="AT", sources="ST")
    assert not inside["isolated"] and inside["sources_to_shut"] == ["T"] and inside["close"] == ["SA@S"]
    behind = burst("Sx---A---xT", pipe="SA", sources="ST")
    assert behind["isolated"] and sorted(behind["close"]) == ["AT@T", "SA@S"]


def test_dead_end_without_a_valve_up_to_the_source_cannot_be_isolated():
    found = burst("S---A---Bx---C", pipe="AB")
    assert not found["isolated"] and found["sources_to_shut"] == ["S"] and found["close"] == []


def test_a_valve_is_the_same_as_a_point_a_pipe_end_or_a_link():
    assert burst("Sx---A----B", pipe="AB")["close"] == ["SA@S"]
    assert burst("S-#-X---A----B", pipe="AB")["close"] == ["SX"]
    assert burst("S----X----A", pipe="XA", at_junction="X")["close"] == ["X"]


def test_parallel_valves_must_all_be_closed():
    tables = frames("Sx---A")
    twin = tables["valves"].iloc[[0]].assign(valve_id="twin")
    built = Engine.built(*network(**(tables | {"valves": pd.concat([tables["valves"], twin], ignore_index=True)})))
    found = built.burst(built.segments.of_pipe[[0]])
    assert sorted(decoded(built.network.valve_id[found.close])) == ["SA@S", "twin"]


def test_crossing_lines_that_share_no_point_do_not_connect():
    found = burst(
        """
Sx---A
T---xB
""",
        pipe="SA", sources="ST",
    )  # fmt: skip
    assert found["closed"] == ["SA"] and found["close"] == ["SA@S"]


def test_abandoned_pipe_is_out_of_the_topology():
    tables = frames(LOOP)
    tables["pipes"].loc[tables["pipes"]["pipe_id"] == "CD", "status"] = "1"
    built = Engine.built(*network(**tables))
    assert "CD" not in decoded(built.network.pipe_id)
    found = built.burst(built.segments.of_pipe[[built.network.pipe("BD")]])
    assert decoded(built.network.valve_id[found.close]) == ["BD@B"]
    with pytest.raises(NotOnNetwork, match="abandoned"):
        built.network.pipe("CD")


def test_a_stuck_valve_widens_the_closed_part():
    line = "Sx---Ax---Bx---C"
    assert burst(line, pipe="BC")["close"] == ["BC@B"]
    again = burst(line, pipe="BC", stuck=("BC@B",))
    assert again["close"] == ["AB@A"] and again["closed"] == ["AB", "BC"] and again["stuck"] == ["BC@B"]
    assert burst("Sx---A!---B", pipe="AB")["close"] == ["SA@S"]


def test_optional_valves_only_stop_drain_back():
    found = burst("Sx---Ax---B", pipe="SA")
    assert found["close"] == ["SA@S"] and found["optional"] == ["AB@A"]


def test_feeds_to_open_lie_between_the_dry_part_and_a_fed_one():
    found = burst("Sx---Ax---Bo---Cx---T", pipe="SA", sources="ST")
    assert found["unintended"] == ["AB"] and found["feeds_to_open"] == ["BC@B"]
    assert burst("Sx---Ax---Bo---Cx---T", pipe="AB", sources="ST")["feeds_to_open"] == []


def test_a_closed_tie_with_a_valve_at_each_end_is_offered_where_it_is_fed():
    found = burst("Sx---Ax---Bo--oCx---T", pipe="SA", sources="ST")
    assert found["feeds_to_open"] == ["BC@C"]


def test_turning_a_valve_changes_the_answer_without_new_segments():
    built = engine("Sx---Ax---Bo---Cx---T", sources="ST")
    net = built.network
    turned = built.states.open.copy()
    turned[net.valve("BC@B")] = True
    after = built.with_states(States(turned, built.states.usable))
    assert after.segments is built.segments
    found = after.burst(after.segments.of_pipe[[net.pipe("SA")]])
    assert decoded(net.valve_id[found.close]) == ["SA@S", "AB@A"] and len(found.lost) == 0


def test_remote_and_large_valves_are_closed_first():
    tables = frames("Sx---Ax---Bx---Cx---T", sources="ST")
    tables["valves"]["diameter_mm"] = [100.0, 300.0, 300.0, 300.0]
    tables["valves"]["remote"] = [False, False, False, True]
    tables["valves"].loc[2, "normal_status"] = "open"
    built = Engine.built(*network(**tables))
    stuck = [built.network.valve("AB@A"), built.network.valve("BC@B")]
    found = built.burst(built.segments.of_pipe[[built.network.pipe("AB")]], stuck)
    assert decoded(built.network.valve_id[found.close]) == ["CT@C", "SA@S"]


def test_what_the_data_do_not_say_is_a_finding():
    tables = frames("Sx---A---B")
    tables["valves"] = pd.concat([tables["valves"], pd.DataFrame([
        {"valve_id": "lost", "kind": "gate", "isolating": True, "pipe_id": "AB", "node_id": "S"},
        {"valve_id": "turnless", "kind": "check", "isolating": False, "pipe_id": "AB", "node_id": "A"},
    ])], ignore_index=True)  # fmt: skip
    tables["pipes"].loc[1, "diameter_mm"] = None
    tables["pipes"].loc[1, "to_node"] = "Z"
    net, _ = network(**tables)
    found = dict(zip(decoded(net.finding_code), decoded(net.finding_id), strict=True))
    assert found == {"NW02": "Z", "NW03": "lost", "NW04": "turnless", "NW06": "AB"}


def test_customers_doorplates_and_hydrants_of_the_dry_part():
    built = engine("Sx---Ax---B")
    connections = pd.DataFrame({
        "connection_id": ["c1", "c2", "c3"], "pipe_id": ["SA", "AB", "gone"], "building_id": ["b1", "b2", "b3"], "customers": [3, 40, 1],
        "priority": ["none", "hospital", "none"],
    })  # fmt: skip
    plates = pd.DataFrame({"plate_id": ["m2", "m1", "m3"], "building_id": ["b2", "b2", "b1"]})
    hydrants = pd.DataFrame({"hydrant_id": ["h1", "h2"], "pipe_id": ["SA", None], "node_id": [None, "B"]})
    supplied = consumers(built.network, connections, plates, hydrants)
    assert decoded(supplied.unattached) == ["c3"]
    dry = outage(built, supplied, built.segments.of_pipe[[built.network.pipe("AB")]])
    assert dry.customers == 40 and decoded(dry.plates) == ["m1", "m2"] and decoded(supplied.hydrant_id[dry.hydrants]) == ["h2"]
    assert dry.length_m == 100.0 and dry.volume_m3 == pytest.approx(np.pi / 4 * 0.2**2 * 100)


def test_without_connections_the_junctions_with_demand_count():
    built = engine("Sx---Ax---B")
    none = consumers(built.network, pd.DataFrame(columns=["connection_id", "pipe_id", "building_id", "customers"]),
                     pd.DataFrame(columns=["plate_id", "building_id"]),
                     pd.DataFrame(columns=["hydrant_id", "pipe_id", "node_id"]))  # fmt: skip
    assert outage(built, none, built.segments.of_pipe[[built.network.pipe("AB")]]).customers == 1


def test_a_closed_part_is_drained_at_its_lowest_points():
    tables = frames("Sx---A---B---Cx---D")
    tables["nodes"]["ground_m"], tables["nodes"]["depth_m"] = [30.0, 20.0, 25.0, 18.0, None], 1.0
    built = Engine.built(*network(**tables))
    none = pd.DataFrame(columns=["connection_id", "pipe_id", "building_id", "customers"])
    hydrants = pd.DataFrame({"hydrant_id": ["h1", "h2", "h3"], "pipe_id": ["AB", "BC", "CD"]})
    supplied = consumers(built.network, none, pd.DataFrame(columns=["plate_id", "building_id"]), hydrants)
    found = draining(built, supplied, built.segments.of_pipe[[built.network.pipe("AB")]])
    assert decoded(built.network.node_id[found.lowest]) == ["C", "A"] and found.lowest_m.tolist() == [17.0, 19.0]
    assert decoded(supplied.hydrant_id[found.hydrants]) == ["h2", "h1"] and found.hydrants_m.tolist() == [17.0, 19.0]
    assert found.volume_m3 == pytest.approx(np.pi / 4 * 0.2**2 * 300)


def test_a_point_means_the_nearest_pipe_or_the_junction_where_equals_meet():
    import shapely

    tables = frames("Sx---Ax---B")
    tables["pipes"]["geometry"] = [shapely.LineString([(0, 0), (100, 0)]), shapely.LineString([(100, 0), (200, 0)])]
    built = Engine.built(*network(**tables))

    def flat(x, y):
        return x, y

    near = {"tolerance_m": 30.0, "metres": flat}
    assert pipe_at(built, 50.0, 3.0 / 110_500, **near)[:2] == ("pipe", built.network.pipe("SA"))
    assert pipe_at(built, 100.0, 0.0, **near)[:2] == ("node", built.network.node("A"))
    with pytest.raises(NotOnNetwork):
        pipe_at(built, 150.0, 40.0, **near)


def test_a_point_between_pipes_of_different_segments_is_ambiguous():
    import shapely

    tables = frames("""
Sx---A
Tx---B
""", sources="ST")  # fmt: skip
    tables["pipes"]["geometry"] = [
        shapely.LineString([(0, 1e-5), (9, 1e-5)]),
        shapely.LineString([(0, -1e-5), (9, -1e-5)]),
    ]
    tables["pipes"] = tables["pipes"].loc[tables["pipes"]["pipe_id"].isin(["SA", "TB"])]
    built = Engine.built(*network(**tables))
    with pytest.raises(Ambiguous, match="SA, TB"):
        pipe_at(built, 4.0, 0.0, 30.0, lambda x, y: (x, y))
