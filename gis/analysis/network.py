"""The water network as arrays: nodes, pipes, valves of every placement, sources; and apart from them the state of the valves.

Built once from frames and never changed; every array can be written to a file and mapped into any number of processes.
Ids are kept sorted as UTF-8 bytes: an element is found by binary search, and the same data always give the same arrays.
Lengths and levels in metres, diameters in millimetres, coordinates in degrees (EPSG:4490, longitude first), NaN where unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix

from gis.analysis.columns import Columns, byte_order, codes, fixed_width
from gis.analysis.mapped import mapped
from gis.errors import NotOnNetwork

AT_JUNCTION, AT_PIPE_END, AS_LINK = 0, 1, 2
"""The three placements of a valve: between all arms of a junction; between one pipe and one junction; a link of its own."""

DIRECTED_KINDS = ("check", "prv", "psv", "pump")
"""Devices that let water pass from their start to their end only."""

ABANDONED = "1"
"""Status 废弃 of CJJ 61-2017: out of the topology."""

FINDINGS = {
    "NW01": "pipes without a node at one end: that end connects to nothing",
    "NW02": "end nodes that are in no node table: taken as junctions without position",
    "NW03": "valves that name no node, pipe or pair of nodes of this network, or a node that their pipe does not touch: left out",
    "NW04": "directed devices at a junction without a direction: taken as open both ways",
    "NW05": "plain two-way links whose status is closed: taken as connecting, because no valve closes them",
    "NW06": "pipes without a diameter: not counted in the volume",
    "NW07": "sources at a node that does not exist: left out",
    "NW08": "service connections of a pipe that is not on this network: left out",
    "NW09": "pipes without a length: not counted in the length",
}
"""What the network assumes where its data are silent; every answer carries those that apply."""


@dataclass(frozen=True)
class Network:
    """The topology. Index arrays are int32 (-1 = none); `valve_end` is 2·pipe + (0 at its start, 1 at its end)."""

    node_id: np.ndarray
    node_xy: np.ndarray
    node_demand: np.ndarray
    node_level: np.ndarray
    pipe_id: np.ndarray
    pipe_from: np.ndarray
    pipe_to: np.ndarray
    pipe_length: np.ndarray
    pipe_diameter: np.ndarray
    pipe_xy: np.ndarray
    pipe_xy_at: np.ndarray
    abandoned_id: np.ndarray
    valve_id: np.ndarray
    valve_place: np.ndarray
    valve_node: np.ndarray
    valve_end: np.ndarray
    valve_to: np.ndarray
    valve_isolating: np.ndarray
    valve_directed: np.ndarray
    valve_inward: np.ndarray
    valve_remote: np.ndarray
    valve_diameter: np.ndarray
    valve_xy: np.ndarray
    source_id: np.ndarray
    source_node: np.ndarray
    source_xy: np.ndarray
    finding_code: np.ndarray
    finding_id: np.ndarray

    @property
    def n_nodes(self) -> int:
        return len(self.node_id)

    @property
    def n_pipes(self) -> int:
        return len(self.pipe_id)

    @property
    def n_valves(self) -> int:
        return len(self.valve_id)

    def volume(self, pipes: np.ndarray) -> float:
        """The water in these pipes (indices), m³."""
        return float(np.sum(np.pi / 4 * (self.pipe_diameter[pipes] / 1000.0) ** 2 * self.pipe_length[pipes]))

    def pipe(self, pipe_id: str) -> int:
        """The index of a pipe. Raises NotOnNetwork, and says so when the pipe is abandoned."""
        found = position(self.pipe_id, pipe_id)
        if found < 0 and position(self.abandoned_id, pipe_id) >= 0:
            raise NotOnNetwork(f"pipe {pipe_id!r} is abandoned and carries no water", remedy="Choose a pipe in service")
        return found if found >= 0 else _absent("pipe", pipe_id)

    def node(self, node_id: str) -> int:
        """The index of a node. Raises NotOnNetwork."""
        found = position(self.node_id, node_id)
        return found if found >= 0 else _absent("node", node_id)

    def valve(self, valve_id: str) -> int:
        """The index of a valve or device. Raises NotOnNetwork."""
        found = position(self.valve_id, valve_id)
        return found if found >= 0 else _absent("valve", valve_id)

    def line(self, pipe: int) -> np.ndarray:
        """The vertices of a pipe, degrees, (n, 2)."""
        return self.pipe_xy[self.pipe_xy_at[pipe] : self.pipe_xy_at[pipe + 1]]


@dataclass(frozen=True)
class States:
    """What may change without changing the network: per valve `open`, and `usable` (operable and accessible)."""

    open: np.ndarray
    usable: np.ndarray


def _absent(kind: str, wanted: str) -> int:
    raise NotOnNetwork(f"there is no {kind} {wanted[:80]!r} on this network", remedy="Check the id and the name of the network")


def encoded(ids: Iterable[str] | pa.Array) -> np.ndarray:
    """Ids as fixed-width UTF-8 bytes, shape (n,)."""
    if isinstance(ids, pa.Array):
        return fixed_width(ids)
    ids = list(ids)
    if not ids:
        return np.zeros(0, "S1")
    try:
        return np.array(ids, dtype="S")
    except UnicodeEncodeError:
        return np.array([i.encode() for i in ids], dtype="S")


def decoded(ids: np.ndarray) -> list[str]:
    """The ids of an array of UTF-8 bytes as text."""
    return [i.decode() for i in ids.tolist()]


def position(ids: np.ndarray, wanted: str) -> int:
    """Where an id stands in a sorted array of ids; -1 when it is not there."""
    key = wanted.encode()
    at = int(np.searchsorted(ids, key)) if len(ids) else 0
    return at if at < len(ids) and ids[at] == key else -1


def ranges(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """All integers of the half-open ranges [start, stop), one after the other: how rows of a compressed table are gathered."""
    size = stop - start
    total = int(size.sum())
    if total == 0:
        return np.zeros(0, np.int64)
    return np.repeat(start - np.concatenate(([0], np.cumsum(size)[:-1])), size) + np.arange(total)


def offsets(groups: np.ndarray, count: int) -> np.ndarray:
    """Where each of `count` groups starts in an array sorted by group; shape (count + 1,)."""
    return np.concatenate(([0], np.cumsum(np.bincount(groups, minlength=count)))).astype(np.int64)


def grouped(group: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The members of each of `count` groups as a compressed table: offsets (count + 1,) and indices in order. A counting sort, as
    SciPy does it for matrices by row: linear, where sorting a million numbers is not."""
    table = coo_matrix((np.ones(len(group), np.int8), (group, np.arange(len(group), dtype=np.int32))), shape=(count, max(len(group), 1)))
    table.has_canonical_format = True  # each member stands in one group: nothing to add up
    table = table.tocsr()
    return table.indptr.astype(np.int64), table.indices


def distinct(values: np.ndarray) -> np.ndarray:
    """Each value once, sorted; by sorting, which for a million numbers that hardly repeat is many times as fast as by a hash."""
    values = np.sort(values)
    kept = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=kept[1:])
    return values[kept]


def save(table, folder, prefix: str, but: Collection[str] = ()) -> None:
    """Writes each array of a dataclass of arrays to `prefix-field.npy`, but those whose names (`prefix-field`) are given."""
    for field in fields(table):
        if f"{prefix}-{field.name}" not in but:
            np.save(folder / f"{prefix}-{field.name}.npy", getattr(table, field.name), allow_pickle=False)


def opened(kind: type, folder, prefix: str):
    """Such a dataclass mapped from its files: processes that open the same files share the memory."""
    return kind(**{f.name: mapped(folder / f"{prefix}-{f.name}.npy") for f in fields(kind)})


def in_byte_order(ids: pd.Series) -> pd.Series:
    """Code point order of text is the order of its UTF-8 bytes: sort as plain objects, never by a locale."""
    return ids.astype(object)


Table = pd.DataFrame | pa.Table
"""Rows of a layer, with the columns of its definition; `geometry` as shapely objects, or in Arrow as (E)WKB."""


def network(nodes: Table, pipes: Table, valves: Table, sources: Table) -> tuple[Network, States]:
    """The network and the states of its valves from tables with the columns of the layers (geometry optional, EPSG:4490).

    pipes: pipe_id, from_node, to_node, length_m, diameter_mm, status. valves: valve_id, kind, isolating and one of the three
    placements (node_id | node_id, pipe_id | from_node, to_node). A live status, where there is one, is believed before the normal.
    """
    found: list[tuple[str, list[str]]] = []
    lines = Columns(pipes).sorted("pipe_id")
    gone = _is(lines.text("status"), ABANDONED)
    abandoned, lines = lines.take(gone).text("pipe_id"), lines.take(~gone)
    devices, springs = Columns(valves).sorted("valve_id"), Columns(sources).sorted("source_id")
    ends, table = _node_table(Columns(nodes), lines, devices, springs, found)
    table |= _pipe_table(lines, ends, found) | {"abandoned_id": encoded(abandoned)}
    valve_table, states = _valve_table(devices, lines.text("pipe_id"), ends, table, abandoned, found)
    table |= valve_table | _source_table(springs, ends["source node"], found)
    table["finding_code"] = encoded(code for code, ids in found for _ in ids)
    table["finding_id"] = encoded(i for _, ids in found for i in ids)
    return Network(**table), states


def _is(values: pa.Array, *wanted: str) -> np.ndarray:
    """Where a text is one of these; false where it is missing."""
    return pc.is_in(values, value_set=pa.array(wanted, pa.string())).to_numpy(zero_copy_only=False)


def _chosen(values: pa.Array, mask: np.ndarray) -> list[str]:
    return values.filter(pa.array(mask)).to_pylist()


def _node_table(nodes: Columns, pipes: Columns, valves: Columns, sources: Columns, found: list) -> tuple[dict[str, np.ndarray], dict]:
    """The nodes in order, with those only named by a pipe or a link, which become junctions without position; and the node of each
    place that names one, -1 where there is none."""
    named = {
        "pipe from": pipes.text("from_node"), "pipe to": pipes.text("to_node"), "link from": valves.text("from_node"),
        "link to": valves.text("to_node"), "valve node": valves.text("node_id"), "source node": sources.text("node_id"),
    }  # fmt: skip
    known = nodes.text("node_id")
    every = pa.concat_arrays(list(named.values()))
    joining = sum(len(named[place]) for place in ("pipe from", "pipe to", "link from", "link to"))
    index = codes(every, known)  # all at once: the table of the nodes is hashed once
    missing = every[:joining].filter(pa.array(index[:joining] < 0)).drop_null().unique()
    found.append(("NW02", missing.take(pc.array_sort_indices(missing)).to_pylist()))
    if len(missing):
        nodes_after = pa.concat_arrays([known, missing])
        index = codes(every, nodes_after)
        known = nodes_after
    order, more = byte_order(known), len(missing)
    place = np.full(len(known) + 1, -1, np.int32)  # the last stands for no node
    place[order] = np.arange(len(known))
    ends = dict(zip(named, np.split(place[index], np.cumsum([len(v) for v in named.values()])[:-1]), strict=True))
    xy = np.concatenate((nodes.points(), np.full((more, 2), np.nan)))
    demand = np.concatenate((nodes.numbers("base_demand_lps"), np.zeros(more)))
    level = np.concatenate((nodes.numbers("ground_m", np.nan) - nodes.numbers("depth_m"), np.full(more, np.nan)))
    ids = encoded(known.take(pa.array(order)))
    return ends, {"node_id": ids, "node_xy": xy[order], "node_demand": demand[order], "node_level": level[order]}


def _pipe_table(pipes: Columns, ends: dict[str, np.ndarray], found: list) -> dict:
    """The arrays of the pipes; vertices in one array, cut by offsets."""
    ids, start, end = pipes.text("pipe_id"), ends["pipe from"], ends["pipe to"]
    length, diameter = pipes.numbers("length_m"), pipes.numbers("diameter_mm")
    for code, bad in (("NW01", (start < 0) | (end < 0)), ("NW06", diameter <= 0), ("NW09", length <= 0)):
        found.append((code, _chosen(ids, bad)))
    xy, xy_at = pipes.drawn
    return {
        "pipe_id": encoded(ids), "pipe_from": start, "pipe_to": end, "pipe_length": length, "pipe_diameter": diameter,
        "pipe_xy": xy, "pipe_xy_at": xy_at,
    }  # fmt: skip


def _valve_table(valves: Columns, pipe_ids: pa.Array, ends: dict, table: dict, abandoned: pa.Array, found: list) -> tuple[dict, States]:
    """The arrays of the valves in one canonical form, and their states; what cannot be placed is left out and reported."""
    pipe_name, ids = valves.text("pipe_id"), valves.text("valve_id")
    node, start, to = ends["valve node"], ends["link from"], ends["link to"]
    pipe = codes(pipe_name, pipe_ids)
    at_end = (table["pipe_to"][pipe] == node) if len(pipe_ids) else np.zeros(len(valves), bool)
    at_start = (table["pipe_from"][pipe] == node) if len(pipe_ids) else np.zeros(len(valves), bool)
    on_pipe, linked = pipe_name.is_valid().to_numpy(zero_copy_only=False), (start >= 0) & (to >= 0)
    good = np.where(on_pipe, (pipe >= 0) & (node >= 0) & (at_end | at_start), (node >= 0) | linked)
    found.append(("NW03", _chosen(ids, ~good & (codes(pipe_name, abandoned) < 0))))
    place = np.where(on_pipe, AT_PIPE_END, np.where(node >= 0, AT_JUNCTION, AS_LINK)).astype(np.int8)
    kind, flow = valves.text("kind"), valves.text("flow")
    directed = _is(kind, *DIRECTED_KINDS)
    isolating = valves.flags("isolating", False) & ~_is(kind, "check")
    pointed = _is(flow, "to_node", "to_pipe")
    undirected = directed & ((place == AT_JUNCTION) | ((place == AT_PIPE_END) & ~pointed))
    found.append(("NW04", _chosen(ids, good & undirected)))
    directed = directed & ~undirected
    state = _states(valves)
    is_open = state.open
    found.append(("NW05", _chosen(ids, good & ~directed & ~isolating & ~is_open)))
    result = {
        "valve_id": encoded(ids.filter(pa.array(good))), "valve_place": place[good],
        "valve_node": np.where(place == AS_LINK, start, node).astype(np.int32)[good],
        "valve_end": np.where(place == AT_PIPE_END, 2 * pipe + at_end, -1).astype(np.int32)[good],
        "valve_to": np.where(place == AS_LINK, to, -1).astype(np.int32)[good],
        "valve_isolating": isolating[good], "valve_directed": directed[good], "valve_inward": _is(flow, "to_pipe")[good],
        "valve_remote": valves.flags("remote", False)[good], "valve_diameter": valves.numbers("diameter_mm")[good],
        "valve_xy": valves.points()[good],
    }  # fmt: skip
    return result, States(open=is_open[good], usable=state.usable[good])


def _states(valves: Columns) -> States:
    """The state of each row: open unless its live status, or where there is none its normal one, says closed."""
    is_open = ~_is(pc.coalesce(valves.text("live_status"), valves.text("normal_status")), "closed")
    return States(open=is_open, usable=valves.flags("operable", True) & valves.flags("accessible", True))


def with_states_of(network: Network, states: States, valves: Table) -> tuple[Network, States]:
    """The network and the states of its valves after some valves (rows of the layer, of which nothing else has changed) were
    reported anew: open or closed, operable, accessible, remote. The arrays given stay as they are."""
    rows = Columns(valves)
    at = np.array([position(network.valve_id, i) for i in rows.text("valve_id").to_pylist()], np.int64)
    placed, told = at >= 0, _states(rows)
    remote, is_open, usable = network.valve_remote.copy(), states.open.copy(), states.usable.copy()
    for values, new in ((remote, rows.flags("remote", False)), (is_open, told.open), (usable, told.usable)):
        values[at[placed]] = new[placed]
    return replace(network, valve_remote=remote), States(is_open, usable)


def placement_digest(valves: Table) -> str:
    """A digest of all that the topology takes from the valves: while it stays the same, only states have changed. The states of
    plain links belong to it, because a closed one is a finding of the network."""
    rows = Columns(valves).sorted("valve_id")
    made = hashlib.sha256()
    for column in ("valve_id", "kind", "node_id", "pipe_id", "from_node", "to_node", "flow", "valid_from", "valid_to"):
        values = rows.text(column) if column not in ("valid_from", "valid_to") else rows.dates(column)
        made.update(fixed_width(values).tobytes() + b"\x00" + column.encode())
    isolating = rows.flags("isolating", False)
    for values in (isolating, rows.numbers("diameter_mm"), rows.points(), _states(rows).open | isolating):
        made.update(np.ascontiguousarray(values).tobytes())
    return made.hexdigest()


def _source_table(sources: Columns, node: np.ndarray, found: list) -> dict:
    """The arrays of the sources that stand at a node of the network."""
    ids = sources.text("source_id")
    found.append(("NW07", _chosen(ids, node < 0)))
    kept = node >= 0
    return {"source_id": encoded(ids.filter(pa.array(kept))), "source_node": node[kept], "source_xy": sources.points()[kept]}
