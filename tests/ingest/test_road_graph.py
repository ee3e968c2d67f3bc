"""The road graph held against readers that know nothing of it: an own reader of the PBF bytes, and networkx."""

from __future__ import annotations

import collections
import subprocess
import sys

import networkx
import numpy as np
import osm_pbf
import pyogrio
import pytest
import shapely

from etl import road_graph
from gis.settings import ROOT

ROADS = set(road_graph.ROAD_CLASSES)
LETS_THROUGH = {"yes", "designated", "permissive", "private", "destination", "customers", "delivery", "official", "unbekannt"}


def expected(nodes: osm_pbf.Nodes, ways: osm_pbf.Ways, *, by_place: bool = False):
    """{piece: (its nodes in order, the tags of its way)}: ways that share a node are split there; by its number, or by its place. Nodes
    that the extract does not hold are passed over, as GDAL does."""
    same = {n: min(at) for at in _at_one_place(nodes) for n in at} if by_place else {}
    open_ = {}
    for number, (refs, tags) in ways.items():
        closed_area = refs[0] == refs[-1] and tags.get("area") == "yes"
        if tags.get("highway") in ROADS and not closed_area and not _closed(tags):
            held = [same.get(n, n) for n in refs if n in nodes]
            if len(held) > 1:
                open_[number] = [n for i, n in enumerate(held) if i == 0 or nodes[n] != nodes[held[i - 1]]], tags
    used = collections.Counter(n for refs, _ in open_.values() for n in refs)
    pieces = {}
    for number, (refs, tags) in open_.items():
        start = along = 0
        for at in range(1, len(refs)):
            if at == len(refs) - 1 or used[refs[at]] > 1:
                pieces[f"w{number}_{along}"] = refs[start : at + 1], tags
                start, along = at, along + 1
    return pieces


def _at_one_place(nodes: osm_pbf.Nodes) -> list[list[int]]:
    places = collections.defaultdict(list)
    for number, place in nodes.items():
        places[place].append(number)
    return [at for at in places.values() if len(at) > 1]


def _closed(tags: dict[str, str]) -> bool:
    return tags.get("access") == "no" and not any(tags.get(mode, "no") != "no" for mode in road_graph.MODES)


def oneway(tags: dict[str, str]) -> str:
    said = tags.get("oneway")
    if said in ("-1", "reverse"):
        return "backward"
    if said in ("yes", "1", "true"):
        return "forward"
    implied = tags["highway"] == "motorway" or tags.get("junction") in ("roundabout", "circular")
    return "forward" if implied and said not in ("no", "0", "false") else "both"


def graph_of_nodes(pieces) -> networkx.MultiGraph:
    graph = networkx.MultiGraph()
    for name, (refs, _) in pieces.items():
        graph.add_edge(refs[0], refs[-1], key=name)
    return graph


def graph_of_roads(roads) -> networkx.MultiGraph:
    graph = networkx.MultiGraph()
    graph.add_edges_from((r.from_node, r.to_node, r.road_id) for r in roads.itertuples())
    return graph


def same_graph(path, pieces, nodes) -> None:
    lines = pyogrio.read_dataframe(path, layer="lines")
    roads, ends = road_graph.road_graph(lines)
    assert set(roads["road_id"]) == set(pieces)
    for road in roads.itertuples():
        refs, tags = pieces[road.road_id]
        drawn = np.rint(shapely.get_coordinates(road.geometry) * 1e7).astype(int).tolist()
        assert [tuple(p) for p in drawn] == [nodes[n] for n in refs], road.road_id
        assert road.oneway == oneway(tags), road.road_id
        assert road.bridge == (tags.get("bridge", "no") != "no") and road.tunnel == (
            tags.get("tunnel", "no") not in ("no", "building_passage")
        )
        assert (road.from_node, road.to_node) == tuple("n{}_{}".format(*nodes[n]) for n in (refs[0], refs[-1]))
    ours, theirs = graph_of_roads(roads), graph_of_nodes(pieces)
    assert sorted(map(len, networkx.connected_components(ours))) == sorted(map(len, networkx.connected_components(theirs)))
    assert sorted(d for _, d in ours.degree()) == sorted(d for _, d in theirs.degree())
    assert set(ends["node_id"]) == set(ours) and (ends["kind"] == "end").sum() == sum(d == 1 for _, d in ours.degree())


@pytest.mark.real
@pytest.mark.parametrize(("name", "pieces", "ways", "doubled"), [("liechtenstein", 7_877, 4_656, 3), ("helsinki", 4_344, 2_302, 1)])
def test_real_extracts(shared_data, name, pieces, ways, doubled):
    path = shared_data / "city" / f"{name}.osm.pbf"
    nodes, read = osm_pbf.read(path)
    wanted = expected(nodes, read, by_place=True)
    # mappers sometimes set a second node where one is: such roads meet in our graph, as they do on the ground
    apart = expected(nodes, read)
    assert (len(wanted), len({p.split("_")[0] for p in wanted}), len(set(wanted) ^ set(apart))) == (pieces, ways, doubled)
    same_graph(path, wanted, nodes)


# --- cases, through a real file ---------------------------------------------------------------------------------------


def extract(tmp_path, ways: dict[int, tuple[str, dict[str, str]]]):
    """An extract drawn on a grid: ways as texts of letters (a node each; capitals lie where the small letter does, but are other nodes)."""
    letters = {c: i + 1 for i, c in enumerate("abcdefghijklmnopqrstuvwxyz")}
    nodes = {n: (95_000_000 + (n % 5) * 10_000, 471_000_000 + (n // 5) * 10_000) for n in letters.values()}
    drawn = {number: ([letters[c] for c in text], {"highway": "residential"} | tags) for number, (text, tags) in ways.items()}
    path = osm_pbf.write(tmp_path / "case.osm.pbf", nodes, drawn)
    same_graph(path, expected(nodes, drawn), nodes)
    roads, _ = road_graph.road_graph(pyogrio.read_dataframe(path, layer="lines"))
    return graph_of_roads(roads), roads.set_index("road_id")


def test_roads_that_cross_without_a_shared_node_are_not_connected(tmp_path):
    graph, roads = extract(
        tmp_path, {1: ("fh", {}), 2: ("bl", {"bridge": "yes", "layer": "1"}), 3: ("ag", {"tunnel": "yes", "layer": "-1"})}
    )
    assert len(list(networkx.connected_components(graph))) == 3
    assert roads["level"].to_dict() == {"w1_0": 0, "w2_0": 1, "w3_0": -1}


def test_a_bridge_is_connected_at_its_ends_only(tmp_path):
    graph, roads = extract(tmp_path, {1: ("fgh", {}), 2: ("bc", {}), 3: ("cm", {"bridge": "yes", "layer": "1"}), 4: ("mn", {})})
    over, under = (networkx.node_connected_component(graph, roads.loc[name, "from_node"]) for name in ("w3_0", "w1_0"))
    assert not over & under and len(over) == 4


def test_directions(tmp_path):
    tags = {1: {"oneway": "yes"}, 2: {"oneway": "-1"}, 3: {"oneway": "no", "junction": "roundabout"}, 4: {"highway": "motorway"},
            5: {"highway": "motorway", "oneway": "no"}, 6: {"oneway": "reversible"}, 7: {}, 8: {"oneway": "reverse"}}  # fmt: skip
    _, roads = extract(tmp_path, {n: (pair, tags[n]) for n, pair in enumerate(("ab", "cd", "ef", "gh", "ij", "kl", "mn", "op"), 1)})
    assert roads["oneway"].tolist() == ["forward", "backward", "both", "forward", "both", "both", "both", "backward"]


def test_a_roundabout_is_one_way_all_round_and_entered_where_it_is_shared(tmp_path):
    graph, roads = extract(tmp_path, {1: ("abgfa", {"junction": "roundabout"}), 2: ("bc", {}), 3: ("fk", {})})
    ring = roads[roads.index.str.startswith("w1")]
    assert len(ring) == 3 and set(ring["oneway"]) == {"forward"} and networkx.is_connected(graph)


def test_who_may_use_it(tmp_path):
    _, roads = extract(tmp_path, {1: ("ab", {"access": "no"}), 2: ("bc", {"access": "no", "foot": "yes"}), 3: ("cd", {"access": "private"}),
                                  4: ("de", {"access": "no", "foot": "no", "bus": "designated"}), 5: ("ef", {"highway": "construction"}),
                                  6: ("fg", {"access": "no", "vehicle": "no"})})  # fmt: skip
    assert roads.index.tolist() == ["w2_0", "w3_0", "w4_0"]


# --- large ------------------------------------------------------------------------------------------------------------

PEAK = """
import resource, sys
from pathlib import Path
from etl import basemap
from gis.catalog import read
from gis.ingest.findings import Findings
import tempfile
with tempfile.TemporaryDirectory() as folder:
    made = basemap._areas(read.catalog(), Path(sys.argv[1]), Path(folder), Findings(), lambda *_: None)["building"]
    streamed = sum(len(batch.numbers) for batch in made.batches())
    print(made.count, streamed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def town(path, buildings: int):
    """An extract of that many buildings of four corners."""
    nodes, ways = {}, {}
    for n in range(buildings):
        x, y = 950_000_000 // 10 + (n % 1000) * 2000, 470_000_000 + (n // 1000) * 2000
        corners = [n * 4 + k + 1 for k in range(4)]
        nodes.update(zip(corners, ((x, y), (x + 900, y), (x + 900, y + 900), (x, y + 900)), strict=True))
        ways[n + 1] = (
            [*corners, corners[0]],
            {"building": "house", "name": f"幸福里{n}号楼", "addr:street": "幸福路", "addr:housenumber": str(n)},
        )
    return osm_pbf.write(path, nodes, ways)


def test_the_memory_does_not_grow_with_the_extract(tmp_path):
    peaks = []
    for buildings in (20_000, 80_000):
        path = town(tmp_path / f"{buildings}.osm.pbf", buildings)
        said = subprocess.run([sys.executable, "-c", PEAK, str(path)], cwd=ROOT, capture_output=True, text=True)
        counted, streamed, peak = map(int, said.stdout.split())
        assert counted == streamed == buildings, said.stderr
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 60, f"{peaks} MB: four times the buildings"
