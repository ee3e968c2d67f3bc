"""OSM ways become a road graph: split where nodes are shared, and nowhere else."""

import geopandas
import pandas as pd
import shapely

from etl import basemap


def ways(*drawn):
    """(id, tags, points …) → a `lines` layer as GDAL gives it."""
    rows = []
    for osm_id, tags, *points in drawn:
        others = ",".join(f'"{k}"=>"{v}"' for k, v in tags.items() if k not in ("highway", "name"))
        rows.append(
            {
                "osm_id": osm_id,
                "name": tags.get("name"),
                "highway": tags.get("highway"),
                "other_tags": others or None,
                "geometry": shapely.LineString(points),
            }
        )
    return geopandas.GeoDataFrame(rows, crs=4326)


ROAD = {"highway": "residential"}


def pieces(roads):
    return {r.road_id: [tuple(p) for p in shapely.get_coordinates(r.geometry).tolist()] for r in roads.itertuples()}


def test_a_road_is_split_where_another_ends_on_one_of_its_nodes():
    roads, nodes = basemap.road_graph(ways(("1", ROAD, (0, 0), (1, 0), (2, 0)), ("2", ROAD, (1, 0), (1, 1))))
    assert pieces(roads) == {"w1_0": [(0, 0), (1, 0)], "w1_1": [(1, 0), (2, 0)], "w2_0": [(1, 0), (1, 1)]}
    assert dict(zip(nodes["node_id"], nodes["kind"], strict=True)) == {
        "n0_0": "end",
        "n10000000_0": "junction",
        "n20000000_0": "end",
        "n10000000_10000000": "end",
    }
    assert roads["from_node"].tolist() == ["n0_0", "n10000000_0", "n10000000_0"]


def test_crossing_lines_without_a_shared_node_stay_apart():
    bridge = ROAD | {"bridge": "yes", "layer": "1"}
    roads, _ = basemap.road_graph(ways(("1", ROAD, (0, 0), (2, 0)), ("2", bridge, (1, -1), (1, 1))))
    assert len(roads) == 2 and len(set(roads["from_node"]) | set(roads["to_node"])) == 4
    assert roads[["bridge", "tunnel", "level"]].values.tolist() == [[False, False, 0], [True, False, 1]]


def test_loops_and_ways_that_touch_themselves():
    ring = ("1", ROAD | {"junction": "roundabout"}, (0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    roads, _ = basemap.road_graph(ways(ring, ("2", ROAD, (1, 1), (2, 2))))
    assert pieces(roads)["w1_0"] == [(0, 0), (1, 0), (1, 1)] and pieces(roads)["w1_1"] == [(1, 1), (0, 1), (0, 0)]
    assert roads["oneway"].tolist() == ["forward", "forward", "both"]
    eight, _ = basemap.road_graph(ways(("1", ROAD, (0, 0), (2, 2), (2, 0), (1, 1), (0, 2), (2, 2), (3, 3))))
    assert sum(len(p) - 1 for p in pieces(eight).values()) == 6 and len(eight) == 3


def test_a_node_given_twice_in_a_row_makes_no_empty_piece():
    roads, _ = basemap.road_graph(ways(("1", ROAD, (0, 0), (1, 0), (1, 0), (2, 0))))
    assert pieces(roads) == {"w1_0": [(0, 0), (1, 0), (2, 0)]}


def test_tags_become_the_fields_of_roads():
    roads, _ = basemap.road_graph(
        ways(
            ("1", {"highway": "motorway", "maxspeed": "120", "lanes": "3"}, (0, 0), (1, 0)),
            ("2", {"highway": "service", "oneway": "-1"}, (5, 0), (6, 0)),
            ("3", {"highway": "primary", "oneway": "yes", "maxspeed": "none", "width": "12.5 m"}, (7, 0), (8, 0)),
            ("4", {"highway": "footway", "tunnel": "yes"}, (9, 0), (9, 1)),
            ("5", {"highway": "proposed"}, (20, 0), (21, 0)),
            ("6", {"name": "river"}, (30, 0), (31, 0)),
        )
    )
    assert roads["road_id"].tolist() == ["w1_0", "w2_0", "w3_0", "w4_0"]
    assert roads["class"].tolist() == ["expressway", "lane", "trunk", "path"] and roads["oneway"].tolist() == [
        "forward",
        "backward",
        "forward",
        "both",
    ]
    assert roads["speed_kmh"].tolist()[0] == 120 and pd.isna(roads["speed_kmh"][2]) and roads["width_m"].tolist()[2] == 12.5
    assert roads["level"].tolist() == [0, 0, 0, -1] and roads["lanes"].tolist()[0] == 3


def test_no_roads_at_all():
    roads, nodes = basemap.road_graph(ways(("6", {"name": "river"}, (30, 0), (31, 0))))
    assert len(roads) == 0 and len(nodes) == 0
