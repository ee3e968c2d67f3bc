"""Isolation measured: segments beside the bare SciPy call and WNTR's own, and single bursts.

`./run bench isolation [--size N]`: PacificCity where its file is beside the project, EPANET's Net6, and a synthetic street network
of N pipes (default 100000). One JSON line per figure, all taken in this run; a peer that does not finish in 120 s is null.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gis.analysis.feed import feed
from gis.analysis.isolation import Engine
from gis.analysis.network import AS_LINK, AT_PIPE_END, Network, network
from gis.analysis.segments import segments
from gis.settings import ROOT

PEER_LIMIT_S = 120
PIECES = 4
"""Pipes per street between two crossings."""


def streets(size: int, seed: int = 1) -> dict[str, pd.DataFrame]:
    """A town of square blocks with `size` pipes: each street in four pieces, a valve on 60 % of the arms of the crossings."""
    rng = np.random.default_rng(seed)
    side = max(int(np.sqrt(size / (2 * PIECES))), 2)
    crossing = np.arange(side * side).reshape(side, side)
    a = np.concatenate((crossing[:, :-1].ravel(), crossing[:-1].ravel()))
    b = np.concatenate((crossing[:, 1:].ravel(), crossing[1:].ravel()))
    inner = side * side + np.arange(len(a) * (PIECES - 1)).reshape(len(a), PIECES - 1)
    chain = np.column_stack((a, inner, b))
    ends = np.column_stack((chain[:, :-1].ravel(), chain[:, 1:].ravel()))
    node = np.char.mod("N%08d", np.arange(inner.max() + 1)).astype(object)
    pipe = np.char.mod("P%08d", np.arange(len(ends))).astype(object)
    first, last = np.arange(len(a)) * PIECES, np.arange(len(a)) * PIECES + PIECES - 1
    arm_pipe, arm_node = np.concatenate((first, last)), np.concatenate((a, b))
    chosen = np.flatnonzero(rng.random(len(arm_pipe)) < 0.6)
    n = len(chosen)
    source = rng.choice(side * side, min(8, side), replace=False)
    return {
        "nodes": pd.DataFrame({"node_id": node, "base_demand_lps": 0.1}),
        "pipes": pd.DataFrame({
            "pipe_id": pipe, "from_node": node[ends[:, 0]], "to_node": node[ends[:, 1]], "length_m": 40.0,
            "diameter_mm": 200.0, "status": "0",
        }),
        "valves": pd.DataFrame({
            "valve_id": np.char.mod("V%08d", np.arange(n)).astype(object), "kind": "gate", "isolating": True,
            "node_id": node[arm_node[chosen]], "pipe_id": pipe[arm_pipe[chosen]],
            "normal_status": np.where(rng.random(n) < 0.01, "closed", "open"), "operable": rng.random(n) > 0.02,
        }),
        "sources": pd.DataFrame({"source_id": node[source], "node_id": node[source]}),
    }  # fmt: skip


def median_s(work, times: int = 5) -> float:
    """The median time of some calls, seconds."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


def bare(net: Network):
    """The bare SciPy call on the same contraction, for valves at pipe ends and as links: nothing but labels."""
    cut = np.zeros(2 * net.n_pipes, bool)
    cut[net.valve_end[net.valve_place == AT_PIPE_END]] = True
    through = ~cut[0::2] & ~cut[1::2]
    plain = (net.valve_place == AS_LINK) & ~net.valve_isolating & ~net.valve_directed
    i = np.concatenate((net.pipe_from[through], net.valve_node[plain]))
    j = np.concatenate((net.pipe_to[through], net.valve_to[plain]))
    graph = coo_matrix((np.ones(len(i), np.int8), (i, j)), shape=(net.n_nodes, net.n_nodes)).tocsr()
    return connected_components(graph, directed=False)


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


def figure(**values) -> None:
    print(json.dumps({"bench": "isolation"} | {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}), flush=True)


def ratio(ours: float, peer: float | None) -> float | None:
    """How many times as long we take; below 1 we are faster."""
    return None if peer is None else ours / peer


def measure(name: str, tables: dict[str, pd.DataFrame], peer=None) -> None:
    """The figures of one network; `peer` measures WNTR on it."""
    begun = time.perf_counter()
    net, states = network(**tables)
    arrays = time.perf_counter() - begun
    partition = segments(net)
    size = {"network": name, "pipes": net.n_pipes, "valves": net.n_valves, "segments": partition.count}
    ours, scipy_s, peer_s = median_s(lambda: segments(net)), median_s(lambda: bare(net)), peer() if peer else None
    figure(**size, figure="segments", ours_s=ours, scipy_s=scipy_s, wntr_s=peer_s,
           to_scipy=ratio(ours, scipy_s), to_wntr=ratio(ours, peer_s))
    figure(**size, figure="frames to arrays", ours_s=arrays)
    figure(**size, figure="feed", ours_s=median_s(lambda: feed(net, partition, states), 3))
    engine = Engine.built(net, states, partition)
    rng, taken = np.random.default_rng(7), []
    for pipe in rng.integers(0, net.n_pipes, 1000):
        begun = time.perf_counter()
        engine.burst(partition.of_pipe[[pipe]])
        taken.append(time.perf_counter() - begun)
    median, p99 = float(np.median(taken)) * 1e3, float(np.percentile(taken, 99)) * 1e3
    figure(**size, figure="one burst", median_ms=median, p99_ms=p99, linear_pass_ms=scipy_s * 1e3, to_linear_pass=median / (scipy_s * 1e3))


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


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000)
    size = parser.parse_args().size
    import wntr

    epanet(Path(wntr.__file__).parent / "library" / "networks" / "Net6.inp", (), 0.5)
    pacific = ROOT.parent / "shared" / "data" / "networks" / "PacificCity.inp"
    if pacific.is_file():
        epanet(pacific, ("TCV",), 0.0)
    measure(f"streets {size}", streets(size))


if __name__ == "__main__":
    main()
