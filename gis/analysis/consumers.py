"""Who hangs on the water network: service connections, the door-plates of the buildings behind them, and hydrants.

Arrays like those of the network, compressed tables from pipe to connections and from building to door-plates. A network without
connections counts its junctions with a base demand above zero instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely

from gis.analysis.isolation import Engine
from gis.analysis.network import Network, encoded, flags, in_byte_order, numbers, offsets, points, ranges, text
from gis.errors import NotOnNetwork


@dataclass(frozen=True)
class Consumers:
    """connection_*: sorted by id; on_pipe/on_pipe_at: the connections of each pipe. plate/plate_at: the ids of the door-plates of
    each building. hydrant_*: sorted by id; by_pipe, by_node: the hydrants of each pipe, and those that hang on a node alone."""

    connection_id: np.ndarray
    connection_pipe: np.ndarray
    connection_building: np.ndarray
    connection_customers: np.ndarray
    connection_priority: np.ndarray
    connection_xy: np.ndarray
    curb_id: np.ndarray
    curb_open: np.ndarray
    curb_usable: np.ndarray
    on_pipe_at: np.ndarray
    on_pipe: np.ndarray
    building_id: np.ndarray
    plate_at: np.ndarray
    plate: np.ndarray
    hydrant_id: np.ndarray
    hydrant_xy: np.ndarray
    by_pipe_at: np.ndarray
    by_pipe: np.ndarray
    by_node_at: np.ndarray
    by_node: np.ndarray
    unattached: np.ndarray

    @property
    def n_connections(self) -> int:
        return len(self.connection_id)

    def connection(self, connection_id: str) -> int:
        """The index of a service connection. Raises NotOnNetwork."""
        key = connection_id.encode()
        at = int(np.searchsorted(self.connection_id, key)) if self.n_connections else 0
        if at >= self.n_connections or self.connection_id[at] != key:
            raise NotOnNetwork(
                f"there is no connection {connection_id[:80]!r} on this network", remedy="Check the id and the network"
            )
        return at

    def connections_of(self, pipes: np.ndarray) -> np.ndarray:
        """The connections of some pipes (indices)."""
        return self.on_pipe[ranges(self.on_pipe_at[pipes], self.on_pipe_at[pipes + 1])]

    def plates_of(self, connections: np.ndarray) -> np.ndarray:
        """The ids of the door-plates of the buildings that these connections serve, each once, sorted."""
        buildings = np.unique(self.connection_building[connections])
        buildings = buildings[buildings >= 0]
        return np.sort(self.plate[ranges(self.plate_at[buildings], self.plate_at[buildings + 1])])


def consumers(network: Network, connections: pd.DataFrame, plates: pd.DataFrame, hydrants: pd.DataFrame) -> Consumers:
    """The consumers of a network from frames with the columns of the layers: connections (connection_id, pipe_id, building_id,
    customers, priority, curb_*), plates (plate_id, building_id), hydrants (hydrant_id, pipe_id, node_id)."""
    pipe_index = pd.Index(network.pipe_id.astype(object))
    node_index = pd.Index(network.node_id.astype(object))
    connections = connections.sort_values("connection_id", key=in_byte_order).reset_index(drop=True)
    pipe = _indices(pipe_index, connections, "pipe_id")
    kept = pipe >= 0
    unattached = encoded(connections.loc[~kept, "connection_id"])
    connections, pipe = connections.loc[kept].reset_index(drop=True), pipe[kept]
    buildings = pd.Index(sorted(text(connections, "building_id").dropna().unique()), dtype=object)
    plate_building = buildings.get_indexer(text(plates, "building_id"))
    used = np.flatnonzero(plate_building >= 0)
    used = used[np.argsort(plate_building[used], kind="stable")]
    hydrants = hydrants.sort_values("hydrant_id", key=in_byte_order).reset_index(drop=True)
    tables = {}
    on_pipe, on_node = _indices(pipe_index, hydrants, "pipe_id"), _indices(node_index, hydrants, "node_id")
    members = {"on_pipe": (pipe, network.n_pipes), "by_pipe": (on_pipe, network.n_pipes),
               "by_node": (np.where(on_pipe >= 0, -1, on_node), network.n_nodes)}  # fmt: skip
    for name, (owner, count) in members.items():
        rows = np.flatnonzero(owner >= 0)
        tables[name] = rows[np.argsort(owner[rows], kind="stable")].astype(np.int32)
        tables[f"{name}_at"] = offsets(owner[rows], count)
    return Consumers(
        connection_id=encoded(connections["connection_id"]), connection_pipe=pipe.astype(np.int32),
        connection_building=buildings.get_indexer(text(connections, "building_id")).astype(np.int32),
        connection_customers=numbers(connections, "customers").astype(np.int64),
        connection_priority=encoded(text(connections, "priority").fillna("none")), connection_xy=_far_ends(connections),
        curb_id=encoded(text(connections, "curb_valve").fillna("")),
        curb_open=text(connections, "curb_status").ne("closed").to_numpy(), curb_usable=flags(connections, "curb_operable", True),
        building_id=encoded(buildings), plate_at=offsets(plate_building[used], len(buildings)),
        plate=encoded(plates["plate_id"].to_numpy()[used]), hydrant_id=encoded(hydrants["hydrant_id"]), hydrant_xy=points(hydrants),
        unattached=unattached, **tables,
    )  # fmt: skip


def _indices(index: pd.Index, frame: pd.DataFrame, column: str) -> np.ndarray:
    names = text(frame, column)
    return index.get_indexer(names.map(lambda v: v.encode(), na_action="ignore"))


def _far_ends(frame: pd.DataFrame) -> np.ndarray:
    """The last vertex of each line: the end at the building; (n, 2)."""
    xy = np.full((len(frame), 2), np.nan)
    if "geometry" in frame and len(frame):
        shapes = np.asarray(frame["geometry"], dtype=object)
        there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
        last = shapely.get_point(shapes[there], -1)
        xy[there] = np.column_stack((shapely.get_x(last), shapely.get_y(last)))
    return xy


@dataclass(frozen=True)
class Outage:
    """What has no water, in indices and sums: pipes, m, m³, customers, connections, priority connections, plate ids, hydrants."""

    pipes: np.ndarray
    length_m: float
    volume_m3: float
    customers: int
    connections: np.ndarray
    priority: np.ndarray
    plates: np.ndarray
    hydrants: np.ndarray


def outage(engine: Engine, supplied: Consumers, segments: np.ndarray) -> Outage:
    """What goes dry with these segments (sorted indices)."""
    net, part = engine.network, engine.segments
    pipes = np.sort(part.pipe[ranges(part.pipe_at[segments], part.pipe_at[segments + 1])])
    nodes = part.node[ranges(part.node_at[segments], part.node_at[segments + 1])]
    connections = np.sort(supplied.connections_of(pipes))
    customers = int(supplied.connection_customers[connections].sum()) if supplied.n_connections else int((net.node_demand[nodes] > 0).sum())
    hydrants = np.concatenate((
        supplied.by_pipe[ranges(supplied.by_pipe_at[pipes], supplied.by_pipe_at[pipes + 1])],
        supplied.by_node[ranges(supplied.by_node_at[nodes], supplied.by_node_at[nodes + 1])],
    ))  # fmt: skip
    urgent = connections[~np.isin(supplied.connection_priority[connections], (b"none", b""))]
    return Outage(
        pipes, float(net.pipe_length[pipes].sum()), net.volume(pipes), customers, connections, urgent,
        supplied.plates_of(connections), np.unique(hydrants),
    )  # fmt: skip
