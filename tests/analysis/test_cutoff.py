"""The dominator tree: against networkx on random graphs, and against the search on random networks."""

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import frames

from gis.analysis.cutoff import cutoff, dominators
from gis.analysis.feed import lost
from gis.analysis.isolation import Engine
from gis.analysis.network import network

EDGES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda e: e[0] != e[1]), max_size=30)
STARTS = st.lists(st.integers(0, 11), min_size=1, max_size=3, unique=True)


def reference(edges, starts):
    graph = nx.DiGraph([*edges, *((12, s) for s in starts)])
    found = np.full(13, -1)
    for vertex, above in nx.immediate_dominators(graph, 12).items():
        found[vertex] = -1 if vertex == 12 else above
    return found


def ours(edges, starts):
    pairs = np.array([*edges, *((12, s) for s in starts)])
    return dominators(pairs[:, 0], pairs[:, 1], 12)


@settings(max_examples=400, deadline=None)
@given(EDGES, STARTS)
def test_dominators_of_directed_graphs_are_those_of_networkx(edges, starts):
    assert np.array_equal(ours(edges, starts), reference(edges, starts))


@settings(max_examples=400, deadline=None)
@given(frames(), st.data())
def test_the_tree_answers_as_the_search_does(tables, data):
    net, states = network(**tables)
    plain = Engine.built(net, states)
    tree = cutoff(net, plain.segments, states)
    assert sorted(tree.order.tolist()) == list(range(plain.segments.count))
    for segment in range(plain.segments.count):
        region = plain.region(np.array([segment]))
        known = tree.lost(region)
        if known is not None:
            assert known.tolist() == lost(plain.feed, region, np.zeros(0, np.int64)).tolist()
    several = np.array(sorted(data.draw(st.sets(st.integers(0, plain.segments.count - 1), min_size=1, max_size=4))))
    region = plain.region(several)
    known = tree.lost(region)
    if known is not None:
        assert known.tolist() == lost(plain.feed, region, np.zeros(0, np.int64)).tolist()
