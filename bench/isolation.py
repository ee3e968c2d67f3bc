"""Isolation measured: segments, the build from PostGIS, single bursts, the atlas and the rankings, beside their peers in the same run.

`./run bench isolation [--size N]`: EPANET's Net6, PacificCity where its file is beside the project, synthetic street networks from
10,000 to N pipes (default 100000; the figures asked for are those of `--size 1000000`), and unless `--no-database` is said the build
from PostGIS, what an edit costs, a second worker's memory, one burst over HTTP, and the peers inside the database. One JSON line per
figure: ours, the limit, each peer, the ratios; all of one run, what is compared taken in turns.

Peers that are not part of the platform are measured where they are installed, and named under `not_installed` where they are not:
igraph (`.venv/bin/pip install igraph`), pgRouting (Debian package `postgresql-15-pgrouting`, of the server's version). A peer that
does not finish in 120 s, or is left out because it could not at that size, is null. A run takes about four minutes, about eight at a
million.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bench.streets import streets
from gis.analysis.atlas import atlas
from gis.analysis.consumers import Consumers, consumers
from gis.analysis.criticality import failures
from gis.analysis.cutoff import cutoff
from gis.analysis.feed import feed
from gis.analysis.isolation import Engine
from gis.analysis.network import AS_LINK, AT_PIPE_END, Network, network
from gis.analysis.segments import labels, segments
from gis.settings import ROOT

PEER_LIMIT_S = 120
_WNTR_PIPES = 10_000
"""Above this WNTR takes minutes."""


def median_s(work, times: int = 5) -> float:
    """The median time of some calls, seconds."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


def contracted(net: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The arrays of a bare call: which pipes are cut at their start and end, and the pairs of nodes that hang together."""
    cut = np.zeros(2 * net.n_pipes, bool)
    cut[net.valve_end[net.valve_place == AT_PIPE_END]] = True
    through = ~cut[0::2] & ~cut[1::2]
    plain = (net.valve_place == AS_LINK) & ~net.valve_isolating & ~net.valve_directed
    pairs = [np.concatenate((a[through], b[plain])) for a, b in ((net.pipe_from, net.valve_node), (net.pipe_to, net.valve_to))]
    return cut[0::2], cut[1::2], *pairs


def bare(net: Network, arrays: tuple) -> np.ndarray:
    """The bare SciPy call on contracted arrays, for valves at pipe ends and as links: nothing but labels of nodes."""
    _, _, i, j = arrays
    graph = coo_matrix((np.ones(len(i), np.int8), (i, j)), shape=(net.n_nodes, net.n_nodes)).tocsr()
    return connected_components(graph, directed=False)[1]


def ready(net: Network, arrays: tuple):
    """The matrix of the bare call, ready: what is then left is SciPy's connected_components and nothing else."""
    _, _, i, j = arrays
    return coo_matrix((np.ones(len(i)), (i, j)), shape=(net.n_nodes, net.n_nodes)).tocsr()


def contraction(net: Network) -> np.ndarray:
    """The bare call with what it needs before (contraction) and after (labels of pipes)."""
    arrays = contracted(net)
    label = bare(net, arrays)
    found = np.where(~arrays[0], label[net.pipe_from], np.where(~arrays[1], label[net.pipe_to], -1))
    alone = found < 0
    found[alone] = label.max(initial=-1) + 1 + np.arange(alone.sum())
    return found


def in_turns(*work, times: int = 9) -> list[float]:
    """The median times of several calls, seconds, each taken in turn with the others: the machine is the same for all."""
    taken = [[] for _ in work]
    for _ in range(times):
        for each, ask in zip(taken, work, strict=True):
            begun = time.perf_counter()
            ask()
            each.append(time.perf_counter() - begun)
    return [float(np.median(each)) for each in taken]


def is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def networkx_s(net: Network) -> float:
    """networkx' connected components on the contracted arrays (without building the graph)."""
    import networkx as nx

    _, _, i, j = contracted(net)
    graph = nx.Graph(zip(i.tolist(), j.tolist(), strict=True))
    graph.add_nodes_from(range(net.n_nodes))
    return median_s(lambda: sum(1 for _ in nx.connected_components(graph)), 1)


def igraph_s(net: Network) -> float:
    """igraph's connected components on the contracted arrays, built and labelled."""
    import igraph

    _, _, i, j = contracted(net)
    pairs = np.column_stack((i, j))
    return median_s(lambda: igraph.Graph(n=net.n_nodes, edges=pairs).connected_components().membership, 1)


def wntr_s(graph, layer) -> float | None:
    """WNTR's valve_segments on a graph and a valve layer, seconds; None where it does not finish."""
    import wntr

    def stop(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(PEER_LIMIT_S)
    begun = time.perf_counter()
    try:
        wntr.metrics.topographic.valve_segments(graph, layer)
        return time.perf_counter() - begun
    except TimeoutError:
        return None
    finally:
        signal.alarm(0)


def wntr_streets_s(tables: dict[str, pd.DataFrame]) -> float | None:
    """WNTR's valve_segments on the tables of a street network."""
    import networkx as nx

    graph, pipes, valves = nx.MultiDiGraph(), tables["pipes"], tables["valves"]
    graph.add_edges_from(zip(pipes["from_node"], pipes["to_node"], pipes["pipe_id"], strict=True))
    return wntr_s(graph, valves[["pipe_id", "node_id"]].set_axis(["link", "node"], axis=1))


def figure(**values) -> None:
    print(json.dumps({"bench": "isolation"} | {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}), flush=True)


def ratio(ours: float, peer: float | None) -> float | None:
    """How many times as long we take; below 1 we are faster."""
    return None if peer is None else ours / peer


def measure(name: str, tables: dict[str, pd.DataFrame], peer=None) -> dict[str, float]:
    """The figures of one network; `peer` measures WNTR on it. The seconds that grow with its size."""
    begun = time.perf_counter()
    net, states = network(**tables)
    made = {"frames to arrays": time.perf_counter() - begun}
    partition = segments(net)
    size = {"network": name, "pipes": net.n_pipes, "valves": net.n_valves, "segments": partition.count}
    peer_s = peer() if peer else None
    call = _labelled(size, net, peer_s)
    made["segments with tables"] = median_s(lambda: segments(net), 3)
    made["feed"] = median_s(lambda: feed(net, partition, states), 3)
    made["tree"] = median_s(lambda: cutoff(net, partition, states), 3)
    for what, seconds in made.items():
        figure(**size, figure=what, ours_s=seconds, wntr_s=peer_s, to_wntr=ratio(seconds, peer_s))
    engine, people = Engine.built(net, states, partition).with_tree(), nobody(net)
    _one_burst(size, engine, call)
    made["atlas"] = median_s(lambda: atlas(engine, people), 3)
    figure(**size, figure="atlas of all pipes", ours_s=made["atlas"], limit_s=20.0, per_pipe_us=made["atlas"] / net.n_pipes * 1e6)
    book = atlas(engine, people)
    made["ranking of all valves (N-1)"] = median_s(lambda: failures(engine, people, book, np.arange(net.n_valves)), 1)
    figure(**size, figure="ranking of all valves (N-1)", ours_s=made["ranking of all valves (N-1)"])
    return made


def _labelled(size: dict, net: Network, peer_s: float | None) -> float:
    """The labels (one per node and pipe) beside the bare call in both its meanings; the seconds of the call from arrays."""
    arrays = contracted(net)
    matrix = ready(net, arrays)
    work = (lambda: labels(net).of_span, lambda: bare(net, arrays), lambda: connected_components(matrix, directed=False),
            lambda: contraction(net))  # fmt: skip
    label, call, strict, whole = in_turns(*work)
    figure(**size, figure="segments (a label per pipe)", ours_s=label, limit="SciPy: connected components of the contracted arrays",
           limit_s=call, to_limit=label / call, limit_ratio=1.5, only_connected_components_s=strict,
           to_only_connected_components=label / strict, with_contraction_and_labels_of_pipes_s=whole,
           to_with_contraction_and_labels_of_pipes=label / whole)  # fmt: skip
    small, missing = net.n_pipes <= 300_000, [p for p in ("networkx", "igraph") if not is_installed(p)]
    nx_s = networkx_s(net) if small and "networkx" not in missing else None
    ig_s = igraph_s(net) if "igraph" not in missing else None
    figure(
        **size,
        figure="segments beside the peers",
        ours_s=label,
        wntr_s=peer_s,
        to_wntr=ratio(label, peer_s),
        networkx_s=nx_s,
        to_networkx=ratio(label, nx_s),
        igraph_s=ig_s,
        to_igraph=ratio(label, ig_s),
        not_installed=missing,
    )
    return call


def nobody(net: Network) -> Consumers:
    """No connections: customers are then the junctions with a demand."""
    columns = {"connections": ("connection_id", "pipe_id"), "plates": ("plate_id", "building_id"), "hydrants": ("hydrant_id", "pipe_id")}
    return consumers(net, **{k: pa.table({c: pa.array([], pa.string()) for c in v}) for k, v in columns.items()})


def _one_burst(size: dict, engine: Engine, linear_s: float) -> None:
    """A thousand bursts: all of each, and beyond a microsecond per pipe and segment of the answer."""
    part, taken, beyond = engine.segments, [], []
    for pipe in np.random.default_rng(7).integers(0, engine.network.n_pipes, 1000):
        begun = time.perf_counter()
        found = engine.burst(part.of_pipe[[pipe]])
        taken.append(time.perf_counter() - begun)
        dry = np.concatenate((found.region, found.lost))
        beyond.append(taken[-1] - 1e-6 * (len(dry) + int(np.diff(part.pipe_at)[dry].sum())))
    values = {"median_ms": np.median(taken), "p99_ms": np.percentile(taken, 99), "p99_beyond_size_ms": np.percentile(beyond, 99)}
    figure(
        **size,
        figure="one burst",
        **{k: float(v) * 1e3 for k, v in values.items()},
        linear_pass_ms=linear_s * 1e3,
        median_to_linear_pass=float(np.median(taken)) / linear_s,
    )


def epanet(path: Path, isolation: tuple[str, ...], share: float) -> None:
    """An EPANET network: with its own valves where `isolation` names them, else with random ones on a share of its pipes."""
    import wntr

    from etl.epanet import deliveries

    layers = {"nodes": "water_node", "pipes": "water_pipe", "valves": "water_valve", "sources": "water_source"}
    made = deliveries(path, path.stem, isolation=isolation)
    tables = {k: pd.DataFrame(made[v]) for k, v in layers.items() if v in made}
    model = wntr.network.WaterNetworkModel(str(path))
    if isolation:
        links = [(n, v.start_node_name) for n, v in model.valves() if v.valve_type in isolation]
        layer = pd.DataFrame(links, columns=["link", "node"])
    else:
        layer = wntr.network.generate_valve_layer(model, "random", int(share * model.num_pipes), seed=1)
        pipes = set(model.pipe_name_list)
        layer = layer[layer["link"].isin(pipes)].reset_index(drop=True)
        extra = pd.DataFrame({"valve_id": layer["link"] + "@" + layer["node"], "kind": "gate", "isolating": True, "node_id": layer["node"],
                              "pipe_id": layer["link"], "normal_status": "open", "operable": True})  # fmt: skip
        tables["valves"] = pd.concat([tables["valves"], extra], ignore_index=True).drop_duplicates("valve_id")
    measure(path.stem, tables, lambda: wntr_s(model.to_graph(), layer))


def curve(sizes: list[int]) -> None:
    """How the cost grows: seconds per n·log n against those of the smallest network; 1 is exactly n·log n, less is better."""
    rows = []
    for n in sizes:
        tables = streets(n)
        rows.append((n, measure(f"streets {n}", tables, (lambda t=tables: wntr_streets_s(t)) if n <= _WNTR_PIPES else None)))
    unit = [n * np.log(n) for n, _ in rows]
    for what in rows[0][1]:
        growth = [float(made[what] / u / (rows[0][1][what] / unit[0])) for (_, made), u in zip(rows, unit, strict=True)]
        seconds = [round(made[what], 5) for _, made in rows]
        figure(figure=f"growth: {what}", sizes=sizes, seconds=seconds, to_n_log_n=[round(g, 3) for g in growth])


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--no-database", action="store_true", help="leave out what is measured in PostGIS")
    wanted = parser.parse_args()
    import wntr

    epanet(Path(wntr.__file__).parent / "library" / "networks" / "Net6.inp", (), 0.5)
    pacific = ROOT.parent / "shared" / "data" / "networks" / "PacificCity.inp"
    if pacific.is_file():
        epanet(pacific, ("TCV",), 0.0)
    curve([n for n in (10_000, 30_000, 100_000, 300_000, 1_000_000) if n < wanted.size] + [wanted.size])
    if not wanted.no_database:
        from bench import isolation_database

        isolation_database.measure(wanted.size)


if __name__ == "__main__":
    main()
