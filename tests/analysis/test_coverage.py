"""Network distance against networkx on random multigraphs, with every position put into the graph as a node."""

import itertools

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString

from gis.analysis import coverage, road_graph
from gis.analysis.road_graph import Positions

CRS = "EPSG:4548"


def positions(pairs) -> Positions:
    edge = np.array([edge for edge, _ in pairs], dtype=np.int32)
    offset = np.array([offset for _, offset in pairs], dtype=float)
    return Positions(edge, offset, np.where(edge < 0, np.nan, 0.0))


def street(*lengths, oneway=None) -> road_graph.RoadGraph:
    """Edges in a row along the x axis: nodes 0, 1, 2 …"""
    x = np.concatenate([[0], np.cumsum(lengths)])
    frame = {"from_node": range(len(lengths)), "to_node": range(1, len(lengths) + 1)}
    lines = [LineString([(a, 0), (b, 0)]) for a, b in itertools.pairwise(x)]
    return road_graph.build(gpd.GeoDataFrame(frame | ({"oneway": oneway} if oneway else {}), geometry=lines, crs=CRS))


def ask(graph, facilities, doors, ways=None):
    ways = ways or coverage.walking(graph)
    return coverage.nearest(graph, positions(facilities), positions(doors), ways)


# --- small cases that naive code gets wrong ---------------------------------------------------------------------------


def test_facility_and_door_on_the_same_edge_go_straight():
    found = ask(street(100), [(0, 40)], [(0, 40), (0, 45), (0, 10)])
    assert found.distance.tolist() == [0, 5, 30]


def test_facility_in_the_middle_of_a_long_edge():
    found = ask(street(1000, 10), [(0, 900)], [(1, 5), (0, 0)])
    assert found.distance.tolist() == [105, 900]


def test_the_nearest_of_several_is_named():
    found = ask(street(100, 100, 100), [(2, 50), (0, 10)], [(0, 0), (1, 50), (2, 60)])
    assert found.facility.tolist() == [1, 0, 0]
    assert found.distance.tolist() == [10, 100, 10]


def test_out_of_reach_is_nan_never_zero():
    apart = gpd.GeoDataFrame(geometry=[LineString([(0, 0), (10, 0)]), LineString([(0, 9), (10, 9)])], crs=CRS)
    graph = road_graph.build(apart)
    found = ask(graph, [(0, 5), (-1, np.nan)], [(1, 5), (-1, np.nan), (0, 0)])
    assert np.isnan(found.distance).tolist() == [True, True, False]
    assert found.facility.tolist() == [-1, -1, 0]


def test_no_facility_or_only_a_lost_one():
    graph = street(10)
    assert np.isnan(ask(graph, [], [(0, 5)]).distance).all()
    assert np.isnan(ask(graph, [(-1, np.nan)], [(0, 5)]).distance).all()


def test_the_shorter_of_two_parallel_streets_counts():
    lines = [
        LineString([(0, 0), (100, 0)]),
        LineString([(0, 0), (50, 300), (100, 0)]),
        LineString([(100, 0), (200, 0)]),
    ]
    graph = road_graph.build(gpd.GeoDataFrame({"from_node": [0, 0, 1], "to_node": [1, 1, 2]}, geometry=lines, crs=CRS))
    assert ask(graph, [(2, 100)], [(0, 0)]).distance.tolist() == [200]


def test_a_facility_exactly_at_a_node():
    assert ask(street(100, 50), [(0, 100)], [(1, 0), (1, 50), (0, 0)]).distance.tolist() == [0, 50, 100]


def test_one_way_streets_bind_cars_only():
    graph = street(100, 100, oneway=["forward", "forward"])
    assert ask(graph, [(0, 50)], [(0, 0), (1, 0)]).distance.tolist() == [50, 50]
    cars = coverage.driving(graph)
    away = ask(graph, [(0, 50)], [(0, 0), (1, 0)], cars).distance
    assert np.isnan(away[0]) and away[1] == 50, "from the facility with the traffic"
    there = ask(graph, [(0, 50)], [(0, 0), (1, 0)], cars.turned()).distance
    assert there[0] == 50 and np.isnan(there[1]), "to the facility with the traffic"


def test_closed_edges_are_not_passed():
    graph = street(100, 100)
    ways = coverage.walking(graph, closed=np.array([True, False]))
    assert np.isnan(ask(graph, [(0, 50)], [(1, 0)], ways).distance).all()


# --- the oracle -------------------------------------------------------------------------------------------------------


@st.composite
def cities(draw):
    """A random multigraph with loops, parallel edges and one-ways; facilities and doors on its edges."""
    nodes = draw(st.integers(2, 7))
    xy = np.array([(draw(st.integers(0, 40)) * 10 + i * 0.37, draw(st.integers(0, 40)) * 10 + i * 0.11) for i in range(nodes)])
    ends = draw(st.lists(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), min_size=1, max_size=12))
    lines = []
    for number, (a, b) in enumerate(ends):
        bend = (xy[a] + xy[b]) / 2 + [draw(st.integers(1, 60)), number + 1]
        lines.append(LineString([xy[a], bend, bend + np.array([3, 5]), xy[b]]))
    oneway = draw(st.lists(st.sampled_from(["both", "forward", "backward"]), min_size=len(ends), max_size=len(ends)))
    frame = {"from_node": [a for a, _ in ends], "to_node": [b for _, b in ends], "oneway": oneway}
    graph = road_graph.build(gpd.GeoDataFrame(frame, geometry=lines, crs=CRS))
    place = st.tuples(st.integers(0, len(ends) - 1), st.integers(0, 1000).map(lambda share: share / 1000))
    picked = [[(edge, share * graph.length[edge]) for edge, share in draw(st.lists(place, min_size=low, max_size=6))] for low in (0, 1)]
    return graph, picked[0], picked[1]


def oracle(graph, facilities, doors, drive: bool) -> list[float]:
    """Split every edge at every position; then plain Dijkstra from all facilities."""
    net = nx.MultiDiGraph()
    for edge in range(graph.edges):
        stops = [(0.0, ("node", graph.edge_from[edge])), (graph.length[edge], ("node", graph.edge_to[edge]))]
        stops += [(offset, ("facility", i)) for i, (on, offset) in enumerate(facilities) if on == edge]
        stops += [(offset, ("door", i)) for i, (on, offset) in enumerate(doors) if on == edge]
        middle = sorted(stops[2:], key=lambda stop: stop[0])
        stops = [stops[0], *middle, stops[1]]
        for (a, first), (b, second) in itertools.pairwise(stops):
            if not drive or graph.oneway[edge] != road_graph.BACKWARD:
                net.add_edge(first, second, weight=b - a)
            if not drive or graph.oneway[edge] != road_graph.FORWARD:
                net.add_edge(second, first, weight=b - a)
        # positions at exactly the same place are one place
        for (a, first), (b, second) in itertools.pairwise(stops):
            if a == b:
                net.add_edge(first, second, weight=0)
                net.add_edge(second, first, weight=0)
    sources = [("facility", i) for i in range(len(facilities))]
    found = nx.multi_source_dijkstra_path_length(net, sources) if sources else {}
    return [found.get(("door", i), np.nan) for i in range(len(doors))]


@settings(max_examples=300, deadline=None)
@given(cities(), st.booleans())
def test_distances_equal_those_of_networkx(city, drive):
    graph, facilities, doors = city
    ways = coverage.driving(graph) if drive else coverage.walking(graph)
    found = ask(graph, facilities, doors, ways)
    np.testing.assert_allclose(found.distance, oracle(graph, facilities, doors, drive), atol=1e-6, rtol=0)
    assert ((found.facility >= 0) == np.isfinite(found.distance)).all()
    for door, facility in enumerate(found.facility):
        if facility >= 0:
            alone = oracle(graph, [facilities[facility]], [doors[door]], drive)
            assert alone[0] == pytest.approx(found.distance[door], abs=1e-6), "the named facility is that far away"


@settings(max_examples=100, deadline=None)
@given(cities(), st.floats(1, 400), st.booleans())
def test_service_area_holds_exactly_what_is_within_the_limit(city, limit, drive):
    graph, facilities, doors = city
    ways = coverage.driving(graph) if drive else coverage.walking(graph)
    area = coverage.service_area(graph, positions(facilities), ways, limit, CRS)
    assert area.geometry.length.to_numpy() == pytest.approx((area["to_m"] - area["from_m"]).to_numpy(), abs=1e-6)
    for (edge, offset), metres in zip(doors, oracle(graph, facilities, doors, drive), strict=True):
        mine = area[area["edge"] == edge]
        inside = ((mine["from_m"] <= offset + 1e-6) & (mine["to_m"] >= offset - 1e-6)).any()
        if metres < limit - 1e-5:
            at_end = offset == 0 or offset == graph.length[edge]
            assert inside or at_end, "a door at a junction is reached though no stretch of its own edge is"
        elif not metres <= limit + 1e-5:
            assert not ((mine["from_m"] + 1e-6 < offset) & (mine["to_m"] - 1e-6 > offset)).any()


def test_service_area_cuts_edges_at_the_limit():
    area = coverage.service_area(street(1000, 1000), positions([(0, 900)]), coverage.walking(street(1000, 1000)), 300, CRS)
    assert area[["edge", "from_m", "to_m", "whole"]].to_numpy().tolist() == [[0, 600, 1000, False], [1, 0, 200, False]]
    assert [line.wkt for line in area.geometry] == ["LINESTRING (600 0, 1000 0)", "LINESTRING (1000 0, 1200 0)"]
    assert shapely.length(area.geometry.to_numpy()).sum() == 600


# --- shares -----------------------------------------------------------------------------------------------------------


def test_covered_share_counts_the_unreachable_as_not_covered():
    table = coverage.covered_share(
        np.array([100, 500, 500.1, np.nan, 3]),
        500,
        np.array(["a", "a", "b", "b", None], dtype=object),
        pd.Series({"a": 7}),
    )
    assert table.loc["a", ["addresses", "covered", "share", "people", "people_covered"]].tolist() == [2, 2, 1, 7, 7]
    assert table.loc["b", ["addresses", "covered", "share"]].tolist() == [2, 0, 0]
    assert np.isnan(table.loc["b", "people"])
    assert table.loc["", "addresses"] == 1


def test_covered_share_of_nothing():
    assert coverage.covered_share(np.array([]), 500, np.array([], dtype=object)).empty
