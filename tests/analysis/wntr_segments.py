"""Our segments beside WNTR's `valve_segments`, on their common ground.

WNTR knows pairs (link, node) as valves and nothing else: no valve at a junction, no valve that is a link, no parallel valves (it drops
doubles), no direction, no state. So its networks are compared twice:

- `of_graph`: what WNTR itself would say of a network: every link, pump or pipe, is a pipe; nodes and links must fall into the same
  segments.
- `of_loaded`: the network as loaded here, with directed devices, closed pipes and check valves. What isolates here but is no pair there is
  given to WNTR in its own terms: a directed device or valve that is a link of its own is taken out of the graph, a closed pipe gets a valve
  at each end, a check valve one at its end. Nodes and pipes must fall into the same segments.
"""

import warnings

import pandas as pd
import wntr
from published import model, own_types, tables

from etl.inp import read
from gis.analysis.isolation import Engine
from gis.analysis.network import decoded, network

DIRECTED = ("PUMP", "PRV", "PSV")


def of_graph(path, layer):
    """(elements compared, elements in a segment that the other does not have) for every link as a pipe."""
    known = model(path)
    links = [known.get_link(name) for name in known.link_name_list]
    frames = {
        "nodes": pd.DataFrame({"node_id": known.node_name_list}),
        "pipes": pd.DataFrame({"pipe_id": known.link_name_list, "from_node": [k.start_node_name for k in links],
                               "to_node": [k.end_node_name for k in links], "status": "0"}),
        "valves": pd.DataFrame({"valve_id": layer["link"] + "@" + layer["node"], "kind": "gate", "isolating": True,
                                "node_id": layer["node"], "pipe_id": layer["link"]}),
        "sources": pd.DataFrame(columns=["source_id", "node_id"]),
    }  # fmt: skip
    return _compared(Engine.built(*network(**frames)), known.to_graph(), layer)


def of_loaded(path, layer, csv):
    """The same for the network as loaded. layer: link, node, as in the file `csv`; None: the file's own valves."""
    if layer is None:
        loaded, isolating, layer = tables(path, isolation=own_types(path)), own_types(path), pd.DataFrame(columns=["link", "node"])
    else:
        loaded, isolating = tables(path, valve_layer=csv), ()
    graph, more, gone = model(path).to_graph(), [], set()
    for link in read(path).links.values():
        if link.kind in DIRECTED or link.kind in isolating:
            graph.remove_edge(link.start, link.end, link.id)
            gone.add(link.id)
        elif link.kind == "PIPE" and link.status == "CLOSED":
            more += [(link.id, link.start), (link.id, link.end)]
        elif link.kind == "PIPE" and link.status == "CV":
            more.append((link.id, link.end))
    layer = pd.concat([layer, pd.DataFrame(more, columns=["link", "node"])])
    layer = layer[~layer["link"].isin(gone)].drop_duplicates().reset_index(drop=True)
    return _compared(Engine.built(*network(**loaded)), graph, layer)


def _compared(engine, graph, layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes, links, _ = wntr.metrics.topographic.valve_segments(graph, layer.copy())
    ours = pd.concat([
        pd.Series(engine.segments.of_node, index=["N " + i for i in decoded(engine.network.node_id)]),
        pd.Series(engine.segments.of_pipe, index=["P " + i for i in decoded(engine.network.pipe_id)]),
    ])  # fmt: skip
    theirs = pd.concat([nodes.rename(lambda i: "N " + i), links.rename(lambda i: "P " + i)])
    both = pd.DataFrame({"ours": ours, "theirs": theirs}).dropna()
    pairs = both.drop_duplicates()
    astray = pairs["ours"].duplicated(keep=False) | pairs["theirs"].duplicated(keep=False)
    return len(both), int(both["ours"].isin(pairs["ours"][astray]).sum())
