"""Faults in a network are found where they are; the ranking of valves is what their failure adds."""

import numpy as np
import pandas as pd
import shapely
from grid import engine, frames
from hypothesis import given, settings
from random_networks import frames as random_frames
from test_atlas import supplied

from gis.analysis.atlas import atlas
from gis.analysis.criticality import failures
from gis.analysis.failures import if_stuck
from gis.analysis.isolation import Engine
from gis.analysis.network import decoded, network
from gis.analysis.network_quality import quality


def checked(built):
    net = built.network
    return quality(built, net.pipe_xy, net.node_xy, net.valve_xy)


def drawn(lines: dict[str, list], sources=("S",), valves=()):
    """A network in metres: pipes named by their end nodes."""
    points = {}
    for name, xy in lines.items():
        points |= {name[0]: xy[0], name[1]: xy[-1]}
    pipes = pd.DataFrame({"pipe_id": list(lines), "from_node": [n[0] for n in lines], "to_node": [n[1] for n in lines], "length_m": 1.0,
                          "diameter_mm": 1.0, "status": "0", "geometry": [shapely.LineString(xy) for xy in lines.values()]})  # fmt: skip
    nodes = pd.DataFrame({"node_id": list(points), "geometry": [shapely.Point(p) for p in points.values()]})
    source = pd.DataFrame({"source_id": list(sources), "node_id": list(sources)})
    columns = ["valve_id", "kind", "isolating", "node_id", "pipe_id", "normal_status"]
    return Engine.built(*network(nodes, pipes, pd.DataFrame(list(valves), columns=columns), source))


def test_a_clean_network_has_no_findings():
    assert not len(checked(drawn({"SA": [(0, 0), (10, 0)], "AB": [(10, 0), (10, 10)], "AC": [(10, 0), (20, 0)]})))


def test_faults_are_found_where_they_are():
    built = drawn({
        "SA": [(0, 0), (10, 0)], "AB": [(10, 0), (20, 0)], "XY": [(15, -5), (15, 5)], "PQ": [(20.2, 0), (30, 0)], "KL": [(12, 0), (18, 0)],
    }, valves=[("dead", "gate", True, "B", "AB", "open")])  # fmt: skip
    found = checked(built)
    by_code = {code: sorted(map(str, rows["id"])) for code, rows in found.groupby("code")}
    assert by_code["NQ02"] == ["KL", "PQ", "XY"] and by_code["NQ03"] == ["dead"]
    assert by_code["NQ07"] and set(by_code["NQ07"]) <= {"AB", "KL", "XY"}
    assert by_code["NQ06"] == ["KL"] and {"P", "B"} <= set(by_code["NQ08"])
    crossing = found[(found["code"] == "NQ07") & (found["id"] == "AB")].iloc[0]
    assert crossing["other"] == "XY" and crossing["geometry"].equals(shapely.Point(15, 0))
    gap = found[(found["code"] == "NQ08") & (found["id"] == "P")].iloc[0]
    assert gap["other"] == "AB" and gap["distance_m"] == 0.2


def test_a_pipe_drawn_twice_and_a_bypassed_valve():
    built = drawn({"SA": [(0, 0), (10, 0)], "AS": [(10, 0), (0, 0)]}, valves=[("v", "gate", True, "A", "SA", "open")])
    codes = checked(built).groupby("code")["id"].agg(list).to_dict()
    assert codes == {"NQ04": ["v"], "NQ05": ["SA"]} or codes == {"NQ04": ["v"], "NQ05": ["AS"]}


def test_an_undrawn_network_is_checked_without_places():
    found = checked(engine("Sx---A---B\nC---D"))
    assert found["code"].tolist() == ["NQ02"] and found["geometry"].isna().all()


@settings(max_examples=150, deadline=None)
@given(random_frames())
def test_the_ranking_of_valves_is_what_their_failure_adds(tables):
    built = Engine.built(*network(**tables)).with_tree()
    people = supplied(built.network, list(range(3, 15)))
    found = failures(built, people, atlas(built, people), np.arange(built.network.n_valves))
    worst = {}
    for segment in np.flatnonzero(built.segments.real).tolist():
        for valve, more in if_stuck(built, people, np.array([segment]), []).items():
            worst[valve] = max(worst.get(valve, (-1, -1)), (more.customers, len(more.pipes)))
    more = zip(found.added_customers.tolist(), found.added_pipes.tolist(), strict=True)
    assert dict(zip(found.valve.tolist(), more, strict=True)) == worst


def test_the_worst_valve_is_the_one_that_keeps_the_works_in_service():
    built = Engine.built(*network(**frames("Sx---Ax---Bx---C"))).with_tree()
    people = supplied(built.network, [5, 7, 11])
    found = failures(built, people, atlas(built, people), np.arange(3))
    assert decoded(built.network.valve_id[found.valve]) == ["AB@A", "BC@B", "SA@S"]
