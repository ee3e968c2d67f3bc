"""The sample city's pipes: ends at their nodes, water to everybody, sewers that fall."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def _ends(lines, at):
    return shapely.get_coordinates(shapely.get_point(lines, at), include_z=True)


@pytest.mark.parametrize(("pipes", "nodes", "key"), [
    ("water_pipe", "water_node", "node_id"), ("sewer_pipe", "sewer_manhole", "manhole_id"), ("rain_pipe", "sewer_manhole", "manhole_id"),
])  # fmt: skip
def test_pipes_end_exactly_at_their_nodes(city, pipes, nodes, key):
    pipe, node = city(pipes), city(nodes).set_index(key).geometry
    for end, at in (("from_node", 0), ("to_node", -1)):
        gap = _ends(pipe.geometry.to_numpy(), at)[:, :2] - shapely.get_coordinates(node.loc[pipe[end]].to_numpy())
        assert np.hypot(*gap.T).max() < 0.001


def test_the_top_of_a_water_pipe_is_ground_less_depth(city):
    pipe, node = city("water_pipe"), city("water_node").set_index("node_id")
    for end, at, depth in (("from_node", 0, "depth_from_m"), ("to_node", -1, "depth_to_m")):
        top = node["ground_m"].loc[pipe[end]].to_numpy() - pipe[depth].to_numpy()
        assert np.abs(_ends(pipe.geometry.to_numpy(), at)[:, 2] - top).max() < 0.002


def _reached(city, *, shut=True, prv=True) -> tuple[pd.Series, pd.Series]:
    """Nodes with water from a source (True/False), and the live mains; `shut`: closed valves are closed; `prv`: they pass."""
    pipe, valve, node = city("water_pipe"), city("water_valve"), city("water_node")
    live = pipe[pipe["status"] == "0"]
    index = pd.Series(range(len(node)), node["node_id"])
    closed = set(valve.loc[(valve["normal_status"] == "closed"), "pipe_id"]) if shut else set()
    open_pipe = live[~live["pipe_id"].isin(closed)]
    a, b = index.loc[open_pipe["from_node"]].to_numpy(), index.loc[open_pipe["to_node"]].to_numpy()
    if prv:
        link = valve[valve["from_node"].notna()]
        a, b = np.r_[a, index.loc[link["from_node"]]], np.r_[b, index.loc[link["to_node"]]]
    _, label = connected_components(coo_matrix((np.ones(len(a)), (a, b)), (len(node),) * 2), directed=False)
    fed = np.isin(label, label[index.loc[city("water_source")["node_id"]]])
    return pd.Series(fed, node["node_id"]), live


def test_everybody_has_water_with_the_boundary_valves_shut(city):
    fed, live = _reached(city)
    assert fed.loc[live["to_node"]].all() or fed.loc[live["from_node"]].all()
    customers = city("water_connection").merge(live, on="pipe_id")
    assert len(customers) == len(city("water_connection"))
    assert (fed.loc[customers["from_node"]].to_numpy() | fed.loc[customers["to_node"]].to_numpy()).all()


def test_the_reduced_zone_is_fed_through_its_reducer_only(city):
    with_it, _ = _reached(city)
    without, _ = _reached(city, prv=False)
    assert (with_it & ~without).sum() > 3


def test_the_network_has_what_makes_networks_hard(city):
    valve, pipe = city("water_valve"), city("water_pipe")
    assert {"check", "prv"} <= set(valve["kind"]) and (valve["normal_status"] == "closed").any()
    assert not valve["operable"].all() and set(pipe["status"]) == {"0", "1", "2"}
    assert len(city("water_source")) >= 2
    ends = pd.concat([pipe["from_node"], pipe["to_node"]]).value_counts()
    assert (ends == 1).sum() > 5 and (ends >= 4).any()


@pytest.mark.parametrize("layer", ["sewer_pipe", "rain_pipe"])
def test_sewers_fall_to_an_end_and_never_climb(city, layer):
    pipe = city(layer)
    assert (pipe["invert_from_m"] > pipe["invert_to_m"]).all()
    assert pipe["from_node"].is_unique
    assert pipe.length.max() <= 50
    below = pipe.set_index("from_node")["to_node"]
    at = pipe["from_node"]
    for _ in range(len(pipe)):
        at = at.map(below).dropna()
        if not len(at):
            break
    assert not len(at), "a sewer runs in a circle"
    last = set(pipe["to_node"]) - set(pipe["from_node"])
    feature = city("sewer_manhole").set_index("manhole_id")["feature"].loc[sorted(last)]
    assert feature.isin(["treatment_plant", "outfall", "storm_manhole"]).all()


def test_a_sewer_never_leaves_a_manhole_higher_than_it_came_in_but_by_a_pump(city):
    pipe, hole = city("sewer_pipe"), city("sewer_manhole").set_index("manhole_id")
    into = pipe.groupby("to_node")["invert_to_m"].min()
    out = pipe.set_index("from_node")["invert_from_m"].reindex(into.index).dropna()
    climbs = out[out > into.loc[out.index] + 0.001].index
    assert (hole.loc[climbs, "feature"] == "pump_station").all()
    assert (hole["invert_m"] < hole["ground_m"]).all()


def test_the_streets_cross_section_keeps_pipes_apart(city):
    """Along the middle of streets water and gas are farther apart than GB 50289-2016 table 4.1.9 asks (0.5 m)."""
    water, gas = city("water_pipe").query("status == '0' and subtype == 'JP'"), city("gas_pipe")
    middle = gas.geometry.interpolate(0.5, normalized=True)
    _, gap = water.sindex.nearest(middle, return_distance=True)
    assert np.quantile(gap, 0.05) > 0.5
