"""The way of a crew against networkx, with one-way streets, stops on the same street, and orders by brute force."""

from itertools import pairwise, permutations

import geopandas as gpd
import networkx as nx
import numpy as np
import pytest
import shapely

from gis.analysis import coverage, crew_route, road_graph
from gis.analysis.crew_route import Streets
from gis.analysis.road_graph import Positions


def town(rng, n=7, oneways=0.3):
    """A grid of streets, some one-way, some missing."""
    rows = []
    for x in range(n):
        for y in range(n):
            for a, b in ((x + 1, y), (x, y + 1)):
                if a < n and b < n and rng.random() > 0.1:
                    way = rng.choice(["both", "forward", "backward"], p=[1 - oneways, oneways / 2, oneways / 2])
                    rows.append({"geometry": shapely.LineString([(100 * x, 100 * y), (100 * a, 100 * b)]), "oneway": way,
                                 "from_node": f"{x},{y}", "to_node": f"{a},{b}"})  # fmt: skip
    graph = road_graph.build(gpd.GeoDataFrame(rows, geometry="geometry", crs="EPSG:4548"))
    speed = rng.choice([20.0, 40.0, 60.0, np.nan], graph.edges)
    klass = rng.choice(["branch", "lane", "other"], graph.edges)
    return Streets(graph, coverage.driving(graph), crew_route.edge_seconds(graph, speed, klass))


def somewhere(rng, streets, count):
    edge = rng.integers(0, streets.graph.edges, count)
    offset = streets.graph.length[edge] * rng.choice([0, 0.25, 0.5, 0.5, 1], count)
    return Positions(edge.astype(np.int32), offset, np.zeros(count))


def oracle(streets, places):
    """Seconds between all places, by networkx on a graph with every place put into its street."""
    g, graph = nx.DiGraph(), streets.graph

    def connect(a, b, seconds):
        if not g.has_edge(a, b) or g[a][b]["weight"] > seconds:
            g.add_edge(a, b, weight=seconds)

    for e in range(graph.edges):
        on = sorted((float(places.offset[i]), ("place", i)) for i in range(len(places)) if places.edge[i] == e)
        a, b, length = ("node", int(graph.edge_from[e])), ("node", int(graph.edge_to[e])), float(graph.length[e])
        for (x, p), (y, q) in pairwise([(0.0, a), *on, (length, b)]):
            share = (y - x) / length * float(streets.seconds[e])
            free = y - x < 1e-6  # two names of one place
            if streets.ways.forward[e] or free:
                connect(p, q, share)
            if streets.ways.backward[e] or free:
                connect(q, p, share)
    found = np.full((len(places), len(places)), np.inf)
    for i in range(len(places)):
        for there, seconds in nx.single_source_dijkstra_path_length(g, ("place", i)).items():
            if there[0] == "place":
                found[i, there[1]] = seconds
    return found


def both(depots, stops):
    return Positions(*(np.concatenate([getattr(depots, n), getattr(stops, n)]) for n in ("edge", "offset", "gap")))


@pytest.mark.parametrize("seed", range(25))
def test_times_and_order_agree_with_networkx(seed):
    rng = np.random.default_rng(seed)
    streets = town(rng)
    depots, stops = somewhere(rng, streets, 3), somewhere(rng, streets, 5)
    times = oracle(streets, both(depots, stops))
    found = crew_route.route(streets, depots, stops)
    assert [leg.stop for leg in found.legs] + found.unreached == list(range(5)) or found.unreached
    if not found.unreached:
        assert found.legs[0].seconds == pytest.approx(times[:3, 3].min())
        way = [found.depot, *(3 + leg.stop for leg in found.legs)]
        assert [leg.seconds for leg in found.legs] == pytest.approx([times[a, b] for a, b in pairwise(way)])
        quick = crew_route.route(streets, depots, stops, quickest=True)
        least = min(sum(times[a, b] for a, b in pairwise((d, *order))) for d in range(3) for order in permutations(range(3, 8)))
        assert sum(leg.seconds for leg in quick.legs) == pytest.approx(least)
    for leg in found.legs:
        length = np.hypot(*np.diff(leg.line, axis=0).T).sum() if len(leg.line) else 0
        assert length == pytest.approx(leg.metres, abs=1e-6)


def test_the_line_leads_from_the_depot_to_the_stop():
    roads = gpd.GeoDataFrame(
        {"oneway": ["forward", "forward", "forward"], "from_node": ["a", "b", "c"], "to_node": ["b", "c", "a"]},
        geometry=[shapely.LineString(ends) for ends in ([(0, 0), (100, 0)], [(100, 0), (100, 100)], [(100, 100), (0, 0)])],
        crs="EPSG:4548",
    )
    graph = road_graph.build(roads)
    streets = Streets(graph, coverage.driving(graph), graph.length / 10)
    at = Positions(np.array([0, 0], np.int32), np.array([60.0, 20.0]), np.zeros(2))
    found = crew_route.route(streets, at.take([0]), at.take([1]))
    assert found.legs[0].line.tolist() == [[60, 0], [100, 0], [100, 100], [0, 0], [20, 0]], "round the block: the street is one-way"
    assert found.legs[0].metres == pytest.approx(160 + np.hypot(100, 100))
    assert found.legs[0].seconds == pytest.approx(found.legs[0].metres / 10)


def test_what_cannot_be_reached_is_named():
    lines = [shapely.LineString([(0, 0), (100, 0)]), shapely.LineString([(500, 0), (600, 0)])]
    graph = road_graph.build(gpd.GeoDataFrame(geometry=lines, crs="EPSG:4548"))
    streets = Streets(graph, coverage.driving(graph), graph.length / 10)

    def at(*edges):
        return Positions(np.array(edges, np.int32), np.full(len(edges), 50.0), np.zeros(len(edges)))

    found = crew_route.route(streets, at(0), at(1, 0, -1))
    assert [leg.stop for leg in found.legs] == [1] and found.unreached == [0, 2] and found.legs[0].seconds == 0
    assert crew_route.route(streets, at(0), at(1)).depot == -1
    assert crew_route.route(streets, at(), at(0)).unreached == [0]
    assert crew_route.route(streets, at(0), at()).legs == []


def test_many_stops_are_ordered_well():
    rng = np.random.default_rng(3)
    streets = town(rng, oneways=0)
    depots, stops = somewhere(rng, streets, 1), somewhere(rng, streets, 14)
    quick, given = (crew_route.route(streets, depots, stops, quickest=q) for q in (True, False))
    assert sorted(leg.stop for leg in quick.legs) == sorted(leg.stop for leg in given.legs)
    assert sum(leg.seconds for leg in quick.legs) < 0.6 * sum(leg.seconds for leg in given.legs)


def test_seconds_of_a_street():
    graph = road_graph.build(gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (100, 0)])] * 1, crs="EPSG:4548"))
    assert crew_route.edge_seconds(graph, np.array([36.0]), np.array(["lane"]), pace=1)[0] == pytest.approx(10)
    assert crew_route.edge_seconds(graph, np.array([np.nan]), np.array(["lane"]), pace=0.5)[0] == pytest.approx(36)
