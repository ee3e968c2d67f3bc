"""What connects in a drawing and what does not: small drawings with a plain answer, properties, and a real town."""

import geopandas as gpd
import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiLineString, Point

from gis.analysis.connectivity import connect, parts_without_source

CRS = "EPSG:4548"


def drawing(pipes, devices=()):
    """Frames from {id: geometry} and [(id, kind, x, y)]."""
    lines = gpd.GeoDataFrame({"pipe_id": list(pipes)}, geometry=list(pipes.values()), crs=CRS)
    points = gpd.GeoDataFrame(
        {"device_id": [d[0] for d in devices], "kind": [d[1] for d in devices]},
        geometry=[Point(d[2:]) for d in devices],
        crs=CRS,
    )
    return lines, points


def codes(network):
    return sorted(zip(network.findings.code, network.findings.id, strict=True))


def test_lines_that_only_cross_are_not_connected():
    network = connect(*drawing({"a": LineString([(0, 0), (10, 0)]), "b": LineString([(5, -5), (5, 5)])}))
    assert network.nodes.part.nunique() == 2
    assert codes(network) == [("NC01", "a")]
    assert network.findings.geometry.iloc[0].equals(Point(5, 0))


def test_an_end_on_a_line_splits_it():
    network = connect(*drawing({"a": LineString([(0, 0), (10, 0)]), "b": LineString([(5, 0), (5, 5)])}))
    assert sorted(network.pipes.pipe_id) == ["a/1", "a/2", "b"]
    assert network.nodes.part.nunique() == 1
    assert sorted(network.nodes.degree) == [1, 1, 1, 3]
    assert codes(network) == [("NC05", "a")]


def test_a_vertex_drawn_in_both_lines_connects_them():
    network = connect(*drawing({"a": LineString([(0, 0), (5, 0), (10, 0)]), "b": LineString([(5, -5), (5, 0), (5, 5)])}))
    assert len(network.pipes) == 4 and network.nodes.part.nunique() == 1


def test_a_gap_is_reported_and_closed_only_when_asked():
    lines = {"a": LineString([(0, 0), (10, 0)]), "b": LineString([(10.2, 0), (20, 0)])}
    assert connect(*drawing(lines)).nodes.part.nunique() == 2
    assert {c for c, _ in codes(connect(*drawing(lines)))} == {"NC02"}
    snapped = connect(*drawing(lines), tolerance=0.3)
    assert snapped.nodes.part.nunique() == 1
    assert "NC12" in set(snapped.findings.code)


def test_a_valve_on_a_line_makes_a_node_and_one_beside_it_does_not():
    network = connect(*drawing({"a": LineString([(0, 0), (10, 0)])}, [("on", "gate", 4, 0), ("off", "gate", 6, 0.4)]))
    assert network.devices.node_id.notna().tolist() == [True, False]
    assert network.nodes.set_index("node_id").geometry[network.devices.node_id[0]].equals(Point(4, 0))
    off = network.findings[network.findings.code == "NC03"].iloc[0]
    assert off.id == "off" and off.distance_m == pytest.approx(0.4)


def test_a_valve_where_two_unconnected_pipes_cross_is_not_guessed():
    lines = {"a": LineString([(0, 0), (10, 0)]), "b": LineString([(5, -5), (5, 5)])}
    network = connect(*drawing(lines, [("v", "gate", 5, 0)]))
    assert network.devices.node_id.isna().all()
    assert "NC09" in set(network.findings.code) and network.nodes.part.nunique() == 2


def test_parts_duplicates_and_nothings_are_named():
    lines = {
        "parts": MultiLineString([[(0, 0), (1, 0)], [(5, 0), (6, 0)]]),
        "joined": MultiLineString([[(0, 9), (1, 8)], [(1, 8), (2, 9)]]),
        "twice": LineString([(2, 9), (1, 8), (0, 9)]),
        "point": LineString([(7, 7), (7, 7)]),
        "none": None,
    }
    network = connect(*drawing(lines))
    assert sorted(network.pipes.pipe_id) == ["joined", "parts#1", "parts#2"]
    assert {("NC06", "parts"), ("NC08", "twice"), ("NC07", "point"), ("NC07", "none")} <= set(codes(network))


def test_parts_without_a_source():
    network = connect(*drawing({"a": LineString([(0, 0), (10, 0)]), "b": LineString([(0, 5), (10, 5)])}))
    source = network.pipes.set_index("pipe_id").from_node["a"]
    dry = parts_without_source(network, np.array([source]))
    assert dry.id.tolist() == ["b"]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 6)] * 4).filter(lambda t: t[:2] != t[2:]), min_size=1, max_size=12, unique=True))
def test_connected_parts_agree_with_shared_points(segments):
    """Oracle: two segments with integer ends share a point that is an end of one of them, or they do not connect."""
    lines = {str(i): LineString([s[:2], s[2:]]) for i, s in enumerate(segments)}
    graph = nx.Graph()
    graph.add_nodes_from(lines)
    for i in lines:
        for j in lines:
            ends = [Point(c) for c in (lines[i].coords[0], lines[i].coords[-1])]
            if i != j and any(lines[j].distance(e) < 1e-9 for e in ends):
                graph.add_edge(i, j)
    network = connect(*drawing(lines))
    got = network.pipes.merge(network.nodes[["node_id", "part"]], left_on="from_node", right_on="node_id")
    got["of"] = got.pipe_id.str.split("[/#]").str[0]
    gone = set(network.findings[network.findings.code == "NC08"].id)
    parts = {frozenset(g) for g in got.groupby("part").of.agg(set)}
    assert parts == {frozenset(set(c) - gone) for c in nx.connected_components(graph)}
    assert network.pipes.length.sum() == pytest.approx(sum(line.length for k, line in lines.items() if k not in gone))
    for end, node in ((0, "from_node"), (-1, "to_node")):
        at = network.nodes.set_index("node_id").geometry.loc[network.pipes[node]]
        assert (shapely.distance(shapely.get_point(network.pipes.geometry.to_numpy(), end), at.to_numpy()) == 0).all()


@pytest.mark.real
def test_forest_city_as_drawn(shared_data):
    """A real town: valves beside the mains, mains in hundreds of parts; the figures were counted in the drawing."""
    folder = shared_data / "utility" / "forestcity_nc"
    mains = gpd.read_file(folder / "waterLines.geojson").to_crs("EPSG:32119")
    valves = gpd.read_file(folder / "valves.geojson").to_crs("EPSG:32119")
    pipes = mains.assign(pipe_id=[f"W{i}" for i in range(len(mains))])[["pipe_id", "geometry"]]
    devices = valves.assign(device_id=valves.id.astype(str), kind=valves.valve)[["device_id", "kind", "geometry"]]
    network = connect(pipes, devices)
    count = network.findings.code.value_counts()
    assert len(pipes) == 1065 and len(devices) == 2557
    assert network.devices.node_id.notna().sum() + count["NC03"] + count.get("NC09", 0) == 2557
    touching = mains.sindex.query(valves.geometry, predicate="dwithin", distance=0.001)[0]
    assert network.devices.node_id.notna().sum() == len(np.unique(touching)) == 26
    assert count["NC06"] == 19 and count["NC01"] > 100
    snapped = connect(pipes, devices, tolerance=0.5)
    assert snapped.devices.node_id.notna().sum() == 1857
    assert snapped.nodes.part.nunique() < network.nodes.part.nunique()
