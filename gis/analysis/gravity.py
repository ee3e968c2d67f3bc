"""A network that runs by gravity: every pipe from its upper to its lower manhole."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd

from gis.analysis.network import ABANDONED, encoded, in_byte_order, position
from gis.errors import NotOnNetwork


@dataclass(frozen=True)
class Gravity:
    """Pipes and nodes sorted by id; origin, target: node indices of each pipe; length in metres."""

    pipe_id: np.ndarray
    origin: np.ndarray
    target: np.ndarray
    length: np.ndarray
    node_id: np.ndarray

    def pipe(self, pipe_id: str) -> int:
        """The index of a pipe. Raises NotOnNetwork."""
        return self._found(self.pipe_id, pipe_id, "pipe")

    def node(self, node_id: str) -> int:
        """The index of a node. Raises NotOnNetwork."""
        return self._found(self.node_id, node_id, "node")

    @staticmethod
    def _found(ids: np.ndarray, wanted: str, kind: str) -> int:
        at = position(ids, wanted)
        if at < 0:
            raise NotOnNetwork(f"there is no {kind} {wanted[:80]!r} on this network", remedy="Check the id")
        return at


def gravity(pipes: gpd.GeoDataFrame) -> Gravity:
    """The network of pipes (pipe_id, from_node, to_node, status, geometry in a metric CRS); abandoned pipes are left out."""
    pipes = pipes.loc[pipes["status"].ne(ABANDONED) & pipes["from_node"].notna() & pipes["to_node"].notna()]
    pipes = pipes.sort_values("pipe_id", key=in_byte_order)
    nodes = pd.Index(sorted(pd.unique(pd.concat([pipes["from_node"], pipes["to_node"]]))), dtype=object)
    origin, target = (nodes.get_indexer(pipes[c]).astype(np.int32) for c in ("from_node", "to_node"))
    return Gravity(encoded(pipes["pipe_id"]), origin, target, pipes.geometry.length.to_numpy(), encoded(nodes))
