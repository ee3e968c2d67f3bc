"""Who hangs on the water network: service connections, the door-plates of the buildings behind them, and hydrants.

Arrays like those of the network, compressed tables from pipe to connections and from building to door-plates. A network without
connections counts its junctions with a base demand above zero instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gis.analysis.columns import Columns, codes
from gis.analysis.isolation import Engine
from gis.analysis.network import Network, Table, encoded, grouped, offsets, ranges
from gis.errors import NotOnNetwork

WASHOUT = b"washout"
"""The kind of hydrant (onemap.hydrant_kind) that only empties a main: no fire brigade misses it."""


@dataclass(frozen=True)
class Consumers:
    """connection_*: sorted by id; on_pipe/on_pipe_at: the connections of each pipe. plate/plate_at: the ids of the door-plates of
    each building. hydrant_*: sorted by id, washouts among them; by_pipe, by_node: those of each pipe, and those that hang on a node."""

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
    hydrant_kind: np.ndarray
    hydrant_usable: np.ndarray
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
            raise NotOnNetwork(f"there is no connection {connection_id[:80]!r} on this network", remedy="Check the id and the network")
        return at

    def connections_of(self, pipes: np.ndarray) -> np.ndarray:
        """The connections of some pipes (indices)."""
        return self.on_pipe[ranges(self.on_pipe_at[pipes], self.on_pipe_at[pipes + 1])]

    def plates_of(self, connections: np.ndarray) -> np.ndarray:
        """The ids of the door-plates of the buildings that these connections serve, each once, sorted."""
        buildings = np.unique(self.connection_building[connections])
        buildings = buildings[buildings >= 0]
        return np.sort(self.plate[ranges(self.plate_at[buildings], self.plate_at[buildings + 1])])


def consumers(network: Network, connections: Table, plates: Table, hydrants: Table) -> Consumers:
    """The consumers of a network from tables with the columns of the layers: connections (connection_id, pipe_id, building_id,
    customers, priority, curb_*), plates (plate_id, building_id), hydrants (hydrant_id, pipe_id, node_id, kind, operable)."""
    pipe_ids, node_ids = (pa.array(ids.tolist(), pa.binary()).cast(pa.string()) for ids in (network.pipe_id, network.node_id))
    lines = Columns(connections).sorted("connection_id")
    pipe = codes(lines.text("pipe_id"), pipe_ids)
    unattached = encoded(lines.take(pipe < 0).text("connection_id"))
    lines, pipe = lines.take(pipe >= 0), pipe[pipe >= 0]
    buildings = lines.text("building_id").drop_null().unique()
    buildings = buildings.take(pc.array_sort_indices(buildings))
    doors = Columns(plates)
    plate_building = codes(doors.text("building_id"), buildings)
    used = np.flatnonzero(plate_building >= 0)
    used = used[np.argsort(plate_building[used], kind="stable")]
    points = Columns(hydrants).sorted("hydrant_id")
    on_pipe, on_node = codes(points.text("pipe_id"), pipe_ids), codes(points.text("node_id"), node_ids)
    members = {"on_pipe": (pipe, network.n_pipes), "by_pipe": (on_pipe, network.n_pipes),
               "by_node": (np.where(on_pipe >= 0, -1, on_node), network.n_nodes)}  # fmt: skip
    tables = {}
    for name, (owner, count) in members.items():
        rows = np.flatnonzero(owner >= 0)
        tables[f"{name}_at"], order = grouped(owner[rows], count)
        tables[name] = rows[order].astype(np.int32)
    return Consumers(
        connection_id=encoded(lines.text("connection_id")), connection_pipe=pipe,
        connection_building=codes(lines.text("building_id"), buildings), connection_customers=lines.numbers("customers").astype(np.int64),
        connection_priority=encoded(lines.text("priority").fill_null("none")), connection_xy=lines.points(last=True),
        curb_id=encoded(lines.text("curb_valve")), curb_open=curb_open(lines), curb_usable=lines.flags("curb_operable", True),
        building_id=encoded(buildings), plate_at=offsets(plate_building[used], len(buildings)),
        plate=encoded(doors.take(used).text("plate_id")), hydrant_id=encoded(points.text("hydrant_id")), hydrant_xy=points.points(),
        hydrant_kind=encoded(points.text("kind").fill_null("")), hydrant_usable=points.flags("operable", True),
        unattached=unattached, **tables,
    )  # fmt: skip


def curb_open(connections: Columns) -> np.ndarray:
    """Whether each connection's curb stop is open; one of unknown state is."""
    return ~pc.fill_null(pc.equal(connections.text("curb_status"), "closed"), False).to_numpy(zero_copy_only=False)


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
    hydrants = hydrants[supplied.hydrant_kind[hydrants] != WASHOUT]
    urgent = connections[~np.isin(supplied.connection_priority[connections], (b"none", b""))]
    return Outage(
        pipes, float(net.pipe_length[pipes].sum()), net.volume(pipes), customers, connections, urgent,
        supplied.plates_of(connections), np.unique(hydrants),
    )  # fmt: skip
