"""Every case that naive code gets wrong has a test of its own name; this page says which, and fails where one is gone."""

import ast

import geopandas as gpd
import pandas as pd
import pytest
from grid import burst, frames
from shapely.geometry import LineString, Point

from gis.analysis.connectivity import connect
from gis.analysis.isolation import Engine
from gis.analysis.network import decoded, network
from gis.settings import ROOT

CASES = {
    "burst exactly at a valve: both segments and their borders": [
        "analysis/test_isolation_cases.py::test_burst_exactly_at_a_valve_takes_both_segments_and_their_borders"],
    "burst at a junction: every incident segment without a valve on that side": [
        "analysis/test_isolation_cases.py::test_burst_at_a_junction_takes_every_arm_without_a_valve_on_that_side",
        "analysis/test_isolation_cases.py::test_burst_at_a_junction_with_a_valve_between_its_arms_takes_all_arms"],
    "burst on a service connection: the curb stop before the main": [
        "processes/test_burst.py::test_a_service_connection_is_shut_at_its_curb_stop_before_the_main",
        "processes/test_works.py::test_a_service_line_is_shut_at_its_curb_stop_or_on_the_main"],
    "normally closed border valve: not proposed, still a border": [
        "analysis/test_isolation_cases.py::test_normally_closed_border_is_not_proposed_but_named"],
    "both sides of a valve in one segment (bypass): isolates nothing, is flagged": [
        "analysis/test_isolation_cases.py::test_both_sides_of_a_valve_in_one_segment_isolate_nothing",
        "analysis/test_isolation_real.py::test_bypassed_valves_of_pacific_city_are_known"],
    "check valve: blocks one way only, never to close": [
        "analysis/test_isolation_cases.py::test_check_valve_blocks_one_way_only_and_is_never_closed"],
    "PRV or pump as the only feed: feeds in its own direction only": [
        "analysis/test_isolation_cases.py::test_pump_feeds_only_in_its_direction",
        "analysis/test_case_table.py::test_every_directed_device_feeds_one_way_only"],
    "loops, several sources: never the flow of before the burst": [
        "analysis/test_isolation_cases.py::test_a_loop_is_fed_from_both_sides",
        "analysis/test_isolation_cases.py::test_several_sources_and_no_flow_direction_of_before"],
    "tank inside the segment: a source unless its own valve closes": [
        "analysis/test_isolation_cases.py::test_a_tank_inside_the_segment_is_a_source_unless_its_own_valve_closes"],
    "dead end with no valve up to the source: cannot isolate": [
        "analysis/test_isolation_cases.py::test_dead_end_without_a_valve_up_to_the_source_cannot_be_isolated",
        "processes/test_odd_networks.py::test_a_burst_at_a_source_cannot_be_isolated_without_it"],
    "valve as a point on the line, as a split line, as an EPANET link: one canonical form": [
        "analysis/test_isolation_cases.py::test_a_valve_is_the_same_as_a_point_a_pipe_end_or_a_link",
        "analysis/test_epanet.py::test_every_part_has_its_canonical_form",
        "analysis/test_case_table.py::test_a_valve_drawn_in_three_ways_gives_one_answer"],
    "crossing lines that share no point: not connected": [
        "analysis/test_isolation_cases.py::test_crossing_lines_that_share_no_point_do_not_connect",
        "analysis/test_connectivity.py::test_lines_that_only_cross_are_not_connected"],
    "concurrent works: joint closure, a shared valve stays shut until the last": [
        "analysis/test_joint_works.py::test_two_works_that_cut_off_what_lies_between_them",
        "processes/test_works.py::test_a_shared_valve_stays_shut_until_the_last_work_has_ended",
        "processes/test_works_random.py::test_works_at_random_are_those_of_the_machine"],
    "abandoned pipe (废弃): out of the topology": [
        "analysis/test_isolation_cases.py::test_abandoned_pipe_is_out_of_the_topology"],
    "parallel valves: all of them": [
        "analysis/test_isolation_cases.py::test_parallel_valves_must_all_be_closed",
        "processes/test_odd_networks.py::test_what_is_odd_is_said"],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_case_has_its_test(case):
    for named in CASES[case]:
        file, name = named.split("::")
        tree = ast.parse((ROOT / "tests" / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, named


@pytest.mark.parametrize("kind", ["check", "prv", "psv", "pump"])
@pytest.mark.parametrize("isolating", [False, True])
def test_every_directed_device_feeds_one_way_only(kind, isolating):
    """From S through a valve, then through the device to B. Flagged as closable a device is closed itself, but a check valve never is."""

    def ask(pipe):
        tables = frames("Sx---A->-B---C")
        device = tables["valves"]["valve_id"] == "AB"
        tables["valves"].loc[device, ["kind", "isolating"]] = [kind, isolating]
        built = Engine.built(*network(**tables))
        found = built.burst(built.segments.of_pipe[[built.network.pipe(pipe)]])
        return decoded(built.network.valve_id[found.close]), len(found.lost)

    closable = isolating and kind != "check"
    assert ask("BC") == (["AB"] if closable else ["SA@S"], 0), "water comes through the device"
    close, lost = ask("SA")
    assert close == ["SA@S"] and lost > 0, "nothing comes back through it, and what it fed is cut off"


def test_a_valve_drawn_in_three_ways_gives_one_answer():
    """A point on an undivided line, a line divided at the valve, and a link of its own: the same pipes, close and cut-off."""
    valve = gpd.GeoDataFrame({"device_id": ["v"], "kind": ["gate"]}, geometry=[Point(60, 0)], crs="EPSG:4548")
    answers = []
    for lines in ({"m": [(0, 0), (100, 0)]}, {"m/1": [(0, 0), (60, 0)], "m/2": [(60, 0), (100, 0)]}):
        pipes = gpd.GeoDataFrame({"pipe_id": list(lines)}, geometry=[LineString(xy) for xy in lines.values()], crs="EPSG:4548")
        drawn = connect(pipes, valve)
        source = drawn.nodes.set_index("node_id").geometry.x.idxmin()
        built = Engine.built(*network(
            pd.DataFrame(drawn.nodes[["node_id"]]), pd.DataFrame(drawn.pipes.drop(columns="geometry")).assign(status="0", diameter_mm=1.0),
            pd.DataFrame({"valve_id": ["v"], "kind": "gate", "isolating": True, "node_id": drawn.devices["node_id"]}),
            pd.DataFrame({"source_id": ["s"], "node_id": [source]}),
        ))  # fmt: skip
        found = built.burst(built.segments.of_pipe[[built.network.pipe("m/2")]])
        answers.append((decoded(built.network.pipe_id), decoded(built.network.valve_id[found.close]), found.isolated))
    assert answers[0] == answers[1] == (["m/1", "m/2"], ["v"], True)
    as_link = burst("S---A-#-B---C", pipe="BC")
    assert (as_link["close"], as_link["closed"], as_link["isolated"]) == (["AB"], ["BC"], True)
