"""The water network as arrays: nodes, pipes, valves of every placement, sources; and apart from them the state of the valves.

Built once from frames and never changed; every array can be written to a file and mapped into any number of processes.
Ids are kept sorted as UTF-8 bytes: an element is found by binary search, and the same data always give the same arrays.
Lengths in metres, diameters in millimetres, coordinates in degrees (EPSG:4490, longitude first), NaN where unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import shapely

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
    raise NotOnNetwork(
        f"there is no {kind} {wanted[:80]!r} on this network", remedy="Check the id and the name of the network"
    )


def encoded(ids: Iterable[str]) -> np.ndarray:
    """Ids as fixed-width UTF-8 bytes, shape (n,)."""
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


def save(table, folder, prefix: str) -> None:
    """Writes each array of a dataclass of arrays to `prefix-field.npy`."""
    for field in fields(table):
        np.save(folder / f"{prefix}-{field.name}.npy", getattr(table, field.name), allow_pickle=False)


def opened(kind: type, folder, prefix: str):
    """Such a dataclass mapped from its files: processes that open the same files share the memory."""
    return kind(**{f.name: np.asarray(np.load(folder / f"{prefix}-{f.name}.npy", mmap_mode="r")) for f in fields(kind)})


def network(
    nodes: pd.DataFrame, pipes: pd.DataFrame, valves: pd.DataFrame, sources: pd.DataFrame
) -> tuple[Network, States]:
    """The network and the states of its valves from frames with the columns of the layers (geometry optional, EPSG:4490).

    pipes: pipe_id, from_node, to_node, length_m, diameter_mm, status. valves: valve_id, kind, isolating and one of the three
    placements (node_id | node_id, pipe_id | from_node, to_node). A live status, where there is one, is believed before the normal.
    """
    found: list[tuple[str, str]] = []
    pipes = pipes.sort_values("pipe_id", key=in_byte_order).reset_index(drop=True)
    gone = pipes["status"].astype(object).eq(ABANDONED) if "status" in pipes else pd.Series(False, pipes.index)
    abandoned, pipes = pipes.loc[gone, "pipe_id"], pipes.loc[~gone].reset_index(drop=True)
    valves = valves.sort_values("valve_id", key=in_byte_order).reset_index(drop=True)
    sources = sources.sort_values("source_id", key=in_byte_order).reset_index(drop=True)
    nodes, index = _all_nodes(nodes, pipes, valves, found)
    ends = {side: index.get_indexer(pipes[side]).astype(np.int32) for side in ("from_node", "to_node")}
    table = _pipe_table(pipes, ends, found) | {"abandoned_id": encoded(abandoned)}
    table |= {
        "node_id": encoded(nodes["node_id"]),
        "node_xy": points(nodes),
        "node_demand": numbers(nodes, "base_demand_lps"),
    }
    valve_table, states = _valve_table(valves, pipes, index, table, set(abandoned), found)
    table |= valve_table | _source_table(sources, index, found)
    table |= {"finding_code": encoded(c for c, _ in found), "finding_id": encoded(i for _, i in found)}
    return Network(**table), states


def in_byte_order(ids: pd.Series) -> pd.Series:
    """Code point order of text is the order of its UTF-8 bytes: sort as plain objects, never by a locale."""
    return ids.astype(object)


def _present(column: pd.Series) -> pd.Series:
    """A text column with empty text and missing values as None."""
    column = column.astype(object)
    return column.where(column.notna() & column.ne(""), None)


def text(frame: pd.DataFrame, column: str) -> pd.Series:
    """A text column of a frame, None where it is missing or empty."""
    return _present(frame[column]) if column in frame else pd.Series(None, index=frame.index, dtype=object)


def numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    """A column as float64, zero where it is missing."""
    if column not in frame:
        return np.zeros(len(frame))
    return np.nan_to_num(pd.to_numeric(frame[column], errors="coerce").to_numpy(float, na_value=np.nan))


def flags(frame: pd.DataFrame, column: str, default: bool) -> np.ndarray:
    """A column as bool, `default` where it is missing."""
    if column not in frame:
        return np.full(len(frame), default)
    value = frame[column].astype(object)
    return value.where(value.notna(), default).astype(bool).to_numpy()


def points(frame: pd.DataFrame) -> np.ndarray:
    """The positions of a frame of points, NaN where there is none; (n, 2)."""
    xy = np.full((len(frame), 2), np.nan)
    if "geometry" in frame and len(frame):
        shapes = np.asarray(frame["geometry"], dtype=object)
        there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
        xy[there] = np.column_stack((shapely.get_x(shapes[there]), shapely.get_y(shapes[there])))
    return xy


def _all_nodes(
    nodes: pd.DataFrame, pipes: pd.DataFrame, valves: pd.DataFrame, found: list
) -> tuple[pd.DataFrame, pd.Index]:
    """The nodes in order, and those only named by a pipe or a link, which become junctions without position."""
    named = [
        _present(pipes["from_node"]),
        _present(pipes["to_node"]),
        text(valves, "from_node"),
        text(valves, "to_node"),
    ]
    known = pd.Index(nodes["node_id"].astype(object))
    missing = (
        pd.Index(pd.unique(pd.concat(named).dropna())).difference(known) if len(pipes) or len(valves) else known[:0]
    )
    found += [("NW02", n) for n in missing]
    if len(missing):
        nodes = pd.concat([pd.DataFrame(nodes), pd.DataFrame({"node_id": missing})], ignore_index=True)
    nodes = pd.DataFrame(nodes).sort_values("node_id", key=in_byte_order).reset_index(drop=True)
    return nodes, pd.Index(nodes["node_id"].astype(object))


def _pipe_table(pipes: pd.DataFrame, ends: dict, found: list) -> dict:
    """The arrays of the pipes; vertices in one array, cut by offsets."""
    loose = (ends["from_node"] < 0) | (ends["to_node"] < 0)
    length, diameter = numbers(pipes, "length_m"), numbers(pipes, "diameter_mm")
    for code, bad in (("NW01", loose), ("NW06", diameter <= 0), ("NW09", length <= 0)):
        found += [(code, i) for i in pipes.loc[bad, "pipe_id"]]
    shapes = (
        np.asarray(pipes["geometry"], dtype=object) if "geometry" in pipes else np.full(len(pipes), None, dtype=object)
    )
    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    return {
        "pipe_id": encoded(pipes["pipe_id"]), "pipe_from": ends["from_node"], "pipe_to": ends["to_node"],
        "pipe_length": length, "pipe_diameter": diameter, "pipe_xy": xy, "pipe_xy_at": offsets(owner, len(pipes)),
    }  # fmt: skip


def _valve_table(valves, pipes, index: pd.Index, table: dict, abandoned: set, found: list) -> tuple[dict, States]:
    """The arrays of the valves in one canonical form, and their states; what cannot be placed is left out and reported."""
    pipe_name = text(valves, "pipe_id")
    node = index.get_indexer(text(valves, "node_id"))
    start, to = index.get_indexer(text(valves, "from_node")), index.get_indexer(text(valves, "to_node"))
    pipe = pd.Index(pipes["pipe_id"].astype(object)).get_indexer(pipe_name)
    at_end = (table["pipe_to"][pipe] == node) if len(pipes) else np.zeros(len(valves), bool)
    at_start = (table["pipe_from"][pipe] == node) if len(pipes) else np.zeros(len(valves), bool)
    on_pipe, linked = pipe_name.notna().to_numpy(), (start >= 0) & (to >= 0)
    good = np.where(on_pipe, (pipe >= 0) & (node >= 0) & (at_end | at_start), (node >= 0) | linked)
    with_pipe = pipe_name.isin(abandoned).to_numpy()
    found += [("NW03", v) for v in valves.loc[~good & ~with_pipe, "valve_id"]]
    kind = text(valves, "kind").fillna("other")
    place = np.where(on_pipe, AT_PIPE_END, np.where(node >= 0, AT_JUNCTION, AS_LINK)).astype(np.int8)
    directed = kind.isin(DIRECTED_KINDS).to_numpy()
    isolating = flags(valves, "isolating", False) & kind.ne("check").to_numpy()
    pointed = text(valves, "flow").isin(("to_node", "to_pipe")).to_numpy()
    undirected = directed & ((place == AT_JUNCTION) | ((place == AT_PIPE_END) & ~pointed))
    found += [("NW04", v) for v in valves.loc[good & undirected, "valve_id"]]
    directed = directed & ~undirected
    status = text(valves, "live_status").fillna(text(valves, "normal_status")).fillna("open")
    is_open = status.ne("closed").to_numpy()
    found += [("NW05", v) for v in valves.loc[good & ~directed & ~isolating & ~is_open, "valve_id"]]
    result = {
        "valve_id": encoded(valves.loc[good, "valve_id"]), "valve_place": place[good],
        "valve_node": np.where(place == AS_LINK, start, node).astype(np.int32)[good],
        "valve_end": np.where(place == AT_PIPE_END, 2 * pipe + at_end, -1).astype(np.int32)[good],
        "valve_to": np.where(place == AS_LINK, to, -1).astype(np.int32)[good],
        "valve_isolating": isolating[good], "valve_directed": directed[good],
        "valve_inward": text(valves, "flow").eq("to_pipe").to_numpy()[good],
        "valve_remote": flags(valves, "remote", False)[good], "valve_diameter": numbers(valves, "diameter_mm")[good],
        "valve_xy": points(valves)[good],
    }  # fmt: skip
    usable = flags(valves, "operable", True) & flags(valves, "accessible", True)
    return result, States(open=is_open[good], usable=usable[good])


def _source_table(sources: pd.DataFrame, index: pd.Index, found: list) -> dict:
    """The arrays of the sources that stand at a node of the network."""
    node = index.get_indexer(text(sources, "node_id")).astype(np.int32)
    found += [("NW07", s) for s in sources.loc[node < 0, "source_id"]]
    kept = node >= 0
    return {
        "source_id": encoded(sources.loc[kept, "source_id"]),
        "source_node": node[kept],
        "source_xy": points(sources)[kept],
    }
