"""Street graphs in GraphML: two directed edges are one road, lists have a first value, entities are refused."""

import networkx
import pytest

from etl import basemap, street_graph
from gis.errors import SourceError

HEAD = """<?xml version='1.0' encoding='utf-8'?><graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="x" for="node" attr.name="x" attr.type="string"/><key id="y" for="node" attr.name="y" attr.type="string"/>
<key id="h" for="edge" attr.name="highway" attr.type="string"/><key id="n" for="edge" attr.name="name" attr.type="string"/>
<key id="g" for="edge" attr.name="geometry" attr.type="string"/><key id="o" for="edge" attr.name="osmid" attr.type="string"/>
<graph edgedefault="directed">"""


def graph(tmp_path, *edges):
    """a, b, c, d on a line; edges as (from, to, tags)."""
    nodes = "".join(f'<node id="{n}"><data key="x">{117 + i / 100}</data><data key="y">32</data></node>' for i, n in enumerate("abcd"))
    drawn = "".join(
        f'<edge source="{a}" target="{b}">' + "".join(f'<data key="{k}">{v}</data>' for k, v in tags.items()) + "</edge>"
        for a, b, tags in edges
    )
    path = tmp_path / "streets.graphml"
    path.write_text(f"{HEAD}{nodes}{drawn}</graph></graphml>", encoding="utf-8")
    return path


def test_an_edge_and_its_reverse_are_one_road(tmp_path):
    path = graph(tmp_path, ("a", "b", {"h": "residential", "o": "1"}), ("b", "a", {"h": "residential", "o": "1"}),
                 ("b", "c", {"h": "['primary', 'trunk']", "o": "[2, 3]", "n": "['深南大道', '滨河路']"}), ("c", "d", {"h": "raceway"}),
                 ("a", "b", {"h": "service", "o": "4", "g": "LINESTRING (117 32, 117.005 32.001, 117.01 32)"}))  # fmt: skip
    nodes, edges, _ = street_graph.read(path)
    roads, _ = street_graph.streets(nodes, edges)
    assert roads[["road_id", "oneway", "class"]].values.tolist() == [
        ["w1_a_b", "both", "branch"], ["w2_b_c", "forward", "trunk"], ["w4_a_b", "forward", "lane"]]  # fmt: skip
    assert roads["name"].tolist()[1] == "深南大道"


@pytest.mark.parametrize(
    "content", ['<!DOCTYPE g [<!ENTITY a "b">]><graphml>&a;</graphml>', "<graphml><node id='a'/></graphml>", "<graphml>", ""]
)
def test_what_is_none(content, tmp_path, catalog):
    path = tmp_path / "a.graphml"
    path.write_text(content)
    with pytest.raises(SourceError, match="no street graph"):
        basemap.load(catalog, path)


@pytest.mark.real
@pytest.mark.usefixtures("store_db")
def test_the_streets_of_futian(shared_data, city, query):
    catalog, path = city((113.9, 22.45, 114.15, 22.65)), shared_data / "city" / "futian_osm_graph.graphml"
    result = basemap.load(catalog, path)
    written = networkx.read_graphml(path)
    assert (written.number_of_nodes(), written.number_of_edges()) == (1_751, 4_009)
    assert {o.layer: (o.rows_read, o.rows_rejected) for o in result.layers} == {"road_node": (1_731, 0), "road": (2_552, 0)}
    assert result.findings == {"OSM03": 1} and ("深南大道",) in query("SELECT DISTINCT name FROM core.road")
    # 45 edges are closed to everybody, 4 are drawn twice
    open_ = {(a, b, d.get("geometry")) for a, b, d in written.edges(data=True) if d.get("access") != "no"}
    assert len(open_) == 4_009 - 45 - 4
    ours, theirs = networkx.MultiDiGraph(), networkx.MultiDiGraph([(a, b) for a, b, _ in open_])
    for start, end, oneway in query("SELECT substr(from_node, 2), substr(to_node, 2), oneway FROM core.road"):
        ours.add_edges_from([(start, end), (end, start)] if oneway == "both" else [(start, end)])
    assert sorted(ours.edges()) == sorted(theirs.edges()), "every direction of every street, and no other"
    again = basemap.load(catalog, path)
    assert all((o.inserted, o.updated, o.retired) == (0, 0, 0) for o in again.layers)
