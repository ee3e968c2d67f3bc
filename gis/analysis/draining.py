"""Draining what has been closed off: how much water stands in it, where it is lowest, and which washouts and hydrants let it out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gis.analysis.consumers import WASHOUT, Consumers
from gis.analysis.isolation import Engine
from gis.analysis.network import ranges


@dataclass(frozen=True)
class Draining:
    """volume_m3 in the closed pipes; lowest: nodes (indices) from which every closed pipe leads upwards, the deepest first; hydrants:
    washouts and hydrants in working order on the closed pipes, the lowest first, at one level washouts before hydrants, and those of
    unknown level last; their levels in metres (NaN unknown)."""

    volume_m3: float
    lowest: np.ndarray
    lowest_m: np.ndarray
    hydrants: np.ndarray
    hydrants_m: np.ndarray


def draining(engine: Engine, supplied: Consumers, region: np.ndarray) -> Draining:
    """How to empty these segments (indices)."""
    net, part = engine.network, engine.segments
    pipes = part.pipe[ranges(part.pipe_at[region], part.pipe_at[region + 1])]
    start, end = net.pipe_from[pipes], net.pipe_to[pipes]
    both = (start >= 0) & (end >= 0)
    nodes, place = np.unique(np.concatenate((start[both], end[both])), return_inverse=True)
    level, (start, end) = net.node_level[nodes], np.split(place, 2)
    beside = np.full(len(nodes), np.inf)
    np.fmin.at(beside, start, level[end])
    np.fmin.at(beside, end, level[start])
    lowest = np.flatnonzero(level <= beside)  # a node of unknown level is none
    lowest = lowest[np.argsort(level[lowest], kind="stable")]
    hydrants, at = _hydrants(engine, supplied, pipes, part.node[ranges(part.node_at[region], part.node_at[region + 1])])
    order = np.lexsort((supplied.hydrant_kind[hydrants] != WASHOUT, at))
    return Draining(net.volume(pipes), nodes[lowest], level[lowest], hydrants[order], at[order])


def _hydrants(engine: Engine, supplied: Consumers, pipes: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hydrants of these pipes and nodes, and their levels: the node's, or the lower end of the pipe."""
    net, level = engine.network, np.append(engine.network.node_level, np.nan)
    count = np.diff(supplied.by_pipe_at)[pipes]
    of_pipe = supplied.by_pipe[ranges(supplied.by_pipe_at[pipes], supplied.by_pipe_at[pipes + 1])]
    lower = np.fmin(level[net.pipe_from[pipes]], level[net.pipe_to[pipes]])
    many = np.diff(supplied.by_node_at)[nodes]
    of_node = supplied.by_node[ranges(supplied.by_node_at[nodes], supplied.by_node_at[nodes + 1])]
    found, at = np.concatenate((of_pipe, of_node)), np.concatenate((np.repeat(lower, count), np.repeat(level[nodes], many)))
    usable = supplied.hydrant_usable[found]
    return found[usable], at[usable]
