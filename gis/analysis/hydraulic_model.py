"""A water network as what EPANET solves: from its arrays, with some of its valves closed.

A closed valve at the end of a pipe leaves that end hanging: the pipe keeps the water and the customers that come from its other end. A
closed valve at a junction leaves all its arms hanging. So the same customers can be followed before a closure and after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from gis.analysis.consumers import Consumers
from gis.analysis.hydraulics import SET, SMOOTH, Tables
from gis.analysis.network import AS_LINK, AT_JUNCTION, AT_PIPE_END, Network, decoded

FINDINGS = {
    "HY01": ("pipes without a roughness: taken as Hazen–Williams C 120", "管段无粗糙系数：按海曾-威廉系数 120 计"),
    "HY02": ("pipes without a diameter: taken as 100 mm", "管段无管径：按 100 mm 计"),
    "HY03": ("nodes without a ground level: taken as the middle of the others", "节点无地面高程：取其余节点的中位数"),
    "HY04": ("sources without a head: left out", "水源无水头：未计入"),
    "HY05": (
        "pressure valves whose setting is not recorded: they hold the pressure recorded on the pipe behind them, or let it pass",
        "减压阀、稳压阀未登记设定值：取阀后管段登记的压力，没有则视为全通",
    ),
    "HY06": ("pumps whose curve and power are not recorded: they let water pass and add no head",
             "水泵未登记特性曲线和功率：视为单向通过，不加压"),
    "HY07": ("pressures that no main stands: pumps run against a closed end, what lies behind them has no real result",
             "水压高于管道所能承受：水泵顶着关断处运行，其后的水压不是实际值"),
    "HY08": ("warnings of EPANET", "EPANET 的警告"),
}  # fmt: skip
"""What the model assumes where the layers are silent, in English and Chinese."""

ROUGHNESS, DIAMETER_MM = 120.0, 100.0


@dataclass(frozen=True)
class Closure:
    """What is shut, in indices: valves (all that are closed then), pipes that are out of service, sources."""

    valves: np.ndarray
    pipes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    sources: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class Attributes:
    """What the topology does not know, aligned with its arrays: elevation per node, roughness per pipe, kind and setting (as in
    `hydraulics.Tables`) per valve, head per source; per valve also the curve of a pump (points, or None), its power (kW), and whether the
    setting was taken from what is recorded beside it; NaN where unknown."""

    elevation_m: np.ndarray
    roughness: np.ndarray
    kind: np.ndarray
    setting_m: np.ndarray
    head_m: np.ndarray
    curve: np.ndarray | None = None
    power_kw: np.ndarray | None = None
    guessed: np.ndarray | bool = True


def curve_points(text: object) -> np.ndarray | None:
    """The points (flow L/s, head m) of a pump curve as the layers write it, `0:60 50:45 100:20`; None where it is none."""
    parts = [part.split(":") for part in text.replace("：", ":").split()] if isinstance(text, str) else []
    try:
        points = np.array([(float(flow), float(head)) for flow, head in parts])
    except ValueError:
        return None
    return points if len(points) and np.isfinite(points).all() else None


def points(net: Network, supplied: Consumers, fraction: np.ndarray, lps_per_customer: float) -> pd.DataFrame:
    """Where water is used: connections gathered at the nearer end of their pipe, or without any the junctions with a base demand. Columns:
    node, end (2·pipe + side, or -1), node_id, pipe_id, demand_lps, customers; fraction: along the pipe, per connection."""
    if supplied.n_connections:
        end = 2 * supplied.connection_pipe.astype(np.int64) + (np.asarray(fraction) > 0.5)
        customers = np.bincount(end, weights=supplied.connection_customers, minlength=2 * net.n_pipes)
        end = np.flatnonzero(customers)
        node = _ends(net)[end]
        pipe_id = decoded(net.pipe_id[end // 2])
        customers = np.rint(customers[end]).astype(np.int64)
        demand = customers * lps_per_customer
    else:
        node = np.flatnonzero(net.node_demand > 0)
        end, pipe_id, customers = np.full(len(node), -1), [None] * len(node), np.ones(len(node), np.int64)
        demand = net.node_demand[node]
    frame = {"node": node, "end": end, "node_id": decoded(net.node_id[node]), "pipe_id": pipe_id, "demand_lps": demand}
    return pd.DataFrame(frame | {"customers": customers})


def _ends(net: Network) -> np.ndarray:
    """The node at each pipe end; index 2·pipe + side."""
    return np.column_stack((net.pipe_from, net.pipe_to)).ravel()


def tables(net: Network, known: Attributes, used: pd.DataFrame, closure: Closure) -> tuple[Tables, np.ndarray]:
    """What is solved with these valves closed, and the name of the junction on which each point of use hangs."""
    ends = _ends(net)
    shut = np.zeros(net.n_valves, bool)
    shut[closure.valves] = True
    at_junction = np.zeros(net.n_nodes, bool)
    at_junction[net.valve_node[shut & (net.valve_place == AT_JUNCTION)]] = True
    device = net.valve_directed & ~shut
    at_end = np.unique(net.valve_end[(net.valve_place == AT_PIPE_END) & (shut | device)])
    hanging = (ends >= 0) & at_junction[ends]
    hanging[at_end] = True
    # an end without a node hangs too
    name = np.where(hanging | (ends < 0), _names("E", len(ends)), _names("N", net.n_nodes)[ends])
    there = np.ones(net.n_pipes, bool)
    there[closure.pipes] = False
    pipes = pd.DataFrame({
        "pipe_id": _names("P", net.n_pipes), "from_node": name[0::2], "to_node": name[1::2], "length_m": np.nan_to_num(net.pipe_length),
        "diameter_mm": _or(net.pipe_diameter, DIAMETER_MM), "roughness": _or(known.roughness, ROUGHNESS),
    })[there]  # fmt: skip
    at = np.where(used["end"] >= 0, name[used["end"]], _names("N", net.n_nodes)[used["node"]])
    demand = pd.Series(used["demand_lps"].to_numpy()).groupby(at).sum()
    ground = np.where(np.isfinite(known.elevation_m), known.elevation_m, np.nan_to_num(np.nanmedian(known.elevation_m)))
    names = np.concatenate((_names("N", net.n_nodes), name[hanging]))
    junctions = pd.DataFrame({"node_id": names, "elevation_m": np.concatenate((ground, ground[ends[hanging]]))})
    junctions["demand_lps"] = junctions["node_id"].map(demand).fillna(0.0)
    devices, sources = _devices(net, known, shut, at_junction), _sources(net, known, closure)
    joined = pd.DataFrame({
        "pipe_id": [f"S{i}" for i in sources.index], "from_node": sources["node_id"], "to_node": sources.pop("at"), "length_m": 0.0,
        "diameter_mm": 2000.0, "roughness": SMOOTH,
    })  # fmt: skip
    special = devices["directed"] | (devices["kind"].isin(SET) & devices["setting_m"].notna())
    plain = devices[~special].rename(columns={"device_id": "pipe_id"}).assign(length_m=0.0, roughness=SMOOTH)
    columns = list(pipes.columns)
    return Tables(junctions, pd.concat([pipes, plain[columns], joined[columns]]), devices[special], sources), at


def _names(letter: str, count: int) -> np.ndarray:
    return np.array([f"{letter}{i}" for i in range(count)], dtype=object)


def _or(values: np.ndarray, default: float) -> np.ndarray:
    return np.where(np.isfinite(values) & (values > 0), values, default)


def _devices(net: Network, known: Attributes, shut: np.ndarray, at_junction: np.ndarray) -> pd.DataFrame:
    """The links of their own that are open, and the directed devices at pipe ends; those at a junction that is shut lead nowhere."""
    link = (net.valve_place == AS_LINK) & ~shut & ~at_junction[net.valve_node] & ~at_junction[np.maximum(net.valve_to, 0)]
    end = (net.valve_place == AT_PIPE_END) & net.valve_directed & ~shut
    at_end = np.array([f"E{e}" for e in net.valve_end], dtype=object)
    node, to = _names("N", net.n_nodes)[net.valve_node], _names("N", net.n_nodes)[np.maximum(net.valve_to, 0)]
    frame = pd.DataFrame({
        "device_id": _names("V", net.n_valves), "kind": known.kind, "from_node": np.where(end & ~net.valve_inward, at_end, node),
        "to_node": np.where(link, to, np.where(net.valve_inward, at_end, node)), "diameter_mm": _or(net.valve_diameter, DIAMETER_MM),
        "setting_m": known.setting_m, "directed": net.valve_directed, "curve": _curves(net, known), "power_kw": _powers(net, known),
    })  # fmt: skip
    return frame[link | end]


def _curves(net: Network, known: Attributes) -> np.ndarray:
    return known.curve if known.curve is not None else np.full(net.n_valves, None, object)


def _powers(net: Network, known: Attributes) -> np.ndarray:
    return known.power_kw if known.power_kw is not None else np.full(net.n_valves, np.nan)


def _sources(net: Network, known: Attributes, closure: Closure) -> pd.DataFrame:
    """Each source with a head as a reservoir beside its node (several may stand at one)."""
    frame = pd.DataFrame(
        {"node_id": _names("R", len(net.source_id)), "head_m": known.head_m, "at": _names("N", net.n_nodes)[net.source_node]}
    )
    return frame.drop(index=closure.sources).dropna(subset="head_m")


def findings(net: Network, known: Attributes) -> list[tuple[str, np.ndarray]]:
    """What the model assumes, with the ids it concerns."""
    driven = np.array([points is not None for points in _curves(net, known)], bool) | (_powers(net, known) > 0)
    unset = ~np.isfinite(known.setting_m) | known.guessed
    silent = {
        "HY01": net.pipe_id[~(known.roughness > 0)], "HY02": net.pipe_id[~(net.pipe_diameter > 0)],
        "HY03": net.node_id[~np.isfinite(known.elevation_m)], "HY04": net.source_id[~np.isfinite(known.head_m)],
        "HY05": net.valve_id[np.isin(known.kind, ("prv", "psv")) & unset], "HY06": net.valve_id[(known.kind == "pump") & ~driven],
    }  # fmt: skip
    return [(code, ids) for code, ids in silent.items() if len(ids)]


def links_shut(net: Network, valves: np.ndarray) -> list[str]:
    """The links of the EPANET file that carry nothing while these valves are closed: the pipe at whose end a valve stands, all arms of its
    junction, or the link that it is itself (`LINK@NODE` where it was put at the end of a device)."""
    place = net.valve_place[valves]
    pipes = net.valve_end[valves[place == AT_PIPE_END]] // 2
    nodes = net.valve_node[valves[place == AT_JUNCTION]]
    arms = np.flatnonzero(np.isin(net.pipe_from, nodes) | np.isin(net.pipe_to, nodes))
    linked = np.flatnonzero((net.valve_place == AS_LINK) & (np.isin(net.valve_node, nodes) | np.isin(net.valve_to, nodes)))
    own = decoded(net.valve_id[np.concatenate((valves[place == AS_LINK], linked))])
    names = decoded(net.pipe_id[np.union1d(pipes, arms)])
    return names + own + [name.rpartition("@")[0] for name in own if "@" in name]
