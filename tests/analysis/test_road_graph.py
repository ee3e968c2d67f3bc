"""The road graph: what meets, what does not, and positions on edges."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString

from gis.analysis import road_graph

CRS = "EPSG:4548"


def roads(lines, **columns) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=lines, crs=CRS)


CROSS = [LineString([(0, 0), (100, 0)]), LineString([(50, -50), (50, 50)])]


def test_lines_that_only_cross_do_not_meet():
    graph = road_graph.build(roads(CROSS))
    assert graph.edges == 2 and graph.part.max() == 1


def test_lines_meet_where_they_share_a_vertex():
    shared = [LineString([(0, 0), (50, 0), (100, 0)]), LineString([(50, -50), (50, 0), (50, 50)])]
    graph = road_graph.build(roads(shared))
    assert graph.edges == 4 and graph.part.max() == 0 and len(graph.node_xy) == 5
    assert graph.road.tolist() == [0, 0, 1, 1]
    bridge = road_graph.build(roads(shared, level=[0, 1]))
    assert bridge.edges == 2 and bridge.part.max() == 1, "a bridge drawn with a vertex above the street is not joined to it"


def test_an_end_on_a_vertex_joins_even_from_another_level():
    ramp = [LineString([(0, 0), (50, 0), (100, 0)]), LineString([(50, 0), (50, 50)])]
    assert road_graph.build(roads(ramp, level=[1, None])).part.max() == 0


def test_named_nodes_decide_alone():
    shared = [LineString([(0, 0), (50, 0), (100, 0)]), LineString([(50, -50), (50, 0), (50, 50)])]
    graph = road_graph.build(roads(shared, from_node=["a", "c"], to_node=["b", "d"]))
    assert graph.edges == 2 and graph.part.max() == 1
    ends = [LineString([(0, 0), (50, 0)]), LineString([(50, 0), (100, 0)])]
    apart = road_graph.build(roads(ends, from_node=["a", "c"], to_node=["b", "d"]))
    assert apart.part.max() == 1, "ends at one place with different nodes lie above each other"


def test_the_largest_part_is_number_0_and_empty_lines_drop():
    lines = [
        LineString([(0, 0), (10, 0)]),
        None,
        LineString(),
        LineString([(500, 0), (900, 0)]),
        LineString([(5, 5), (5, 5)]),
    ]
    graph = road_graph.build(roads(lines))
    assert graph.edges == 2 and graph.road.tolist() == [0, 3]
    assert graph.in_largest_part.tolist() == [False, True]


def test_no_roads_at_all():
    graph = road_graph.build(roads([]))
    assert graph.edges == 0
    assert road_graph.snap(graph, [[0, 0]], 100).edge.tolist() == [-1]


def test_saved_and_loaded_is_the_same(tmp_path):
    graph = road_graph.build(roads(CROSS, oneway=["forward", "both"]))
    graph.save(tmp_path)
    again = road_graph.RoadGraph.load(tmp_path)
    assert not again.length.flags.owndata and not again.length.flags.writeable, "mapped, not read"
    assert shapely.equals(again.lines(), graph.lines()).all()
    assert again.oneway.tolist() == [road_graph.FORWARD, road_graph.BOTH]


def test_too_far_is_nowhere_not_zero():
    graph = road_graph.build(roads(CROSS))
    found = road_graph.snap(graph, [[10, 30], [10, 31], [np.nan, 0], [10, 1e7]], 30)
    assert found.edge.tolist() == [0, -1, -1, -1]
    assert found.gap[0] == 30 and found.offset[0] == 10 and np.isnan(found.offset[1:]).all()


def test_only_edges_of_the_largest_part():
    graph = road_graph.build(roads([LineString([(0, 0), (10, 0)]), LineString([(0, 20), (500, 20)])]))
    assert road_graph.snap(graph, [[5, 1]], 50, among=graph.in_largest_part).gap.tolist() == [19]


points = st.tuples(st.floats(-500, 500), st.floats(-500, 500))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(points, min_size=2, max_size=5), min_size=1, max_size=12),
    st.lists(points, min_size=1, max_size=10),
)
def test_snapping_finds_the_nearest_edge(lines, doors):
    graph = road_graph.build(roads([LineString(line) for line in lines]))
    found = road_graph.snap(graph, doors, 1e6)
    geometry = graph.lines()
    for i, door in enumerate(doors):
        if graph.edges == 0:
            assert found.edge[i] == -1
            continue
        nearest = shapely.distance(geometry, shapely.Point(door)).min()
        assert found.gap[i] == pytest.approx(nearest, abs=1e-6)
        foot = shapely.line_interpolate_point(geometry[found.edge[i]], found.offset[i])
        assert shapely.distance(foot, shapely.Point(door)) == pytest.approx(nearest, abs=1e-6)
