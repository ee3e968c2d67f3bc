"""A synthetic street network for measurements: frames with the columns of the layers, and the same put into a database."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import shapely
from psycopg2 import sql

PIECES = 4
"""Pipes per street between two crossings."""
BLOCK = 0.0016
"""Degrees between two crossings, about 160 m."""
CORNER = (116.0, 31.0)

_LAYERS = {"nodes": "water_node", "pipes": "water_pipe", "valves": "water_valve", "sources": "water_source"}


def streets(size: int, seed: int = 1, *, drawn: bool = False) -> dict[str, pd.DataFrame]:
    """A town of square blocks with `size` pipes: each street in four pieces, a valve on 60 % of the arms of the crossings, eight
    sources. drawn: with geometry (EPSG:4490)."""
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
    made = {
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
        "sources": pd.DataFrame({"source_id": node[source], "node_id": node[source], "kind": "plant"}),
    }  # fmt: skip
    if drawn:
        _draw(made, _positions(crossing, a, b, inner), ends, arm_node[chosen], source)
    return made


def _positions(crossing: np.ndarray, a: np.ndarray, b: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Longitude, latitude and height of every node."""
    row, column = np.divmod(np.arange(crossing.size), len(crossing))
    corners = np.column_stack((column, row)) * BLOCK + CORNER
    along = (np.arange(1, PIECES) / PIECES)[:, None]
    between = corners[a][:, None] + (corners[b] - corners[a])[:, None] * along
    flat = np.vstack((corners, between.reshape(-1, 2)))
    return np.column_stack((flat, np.zeros(len(flat))))


def _draw(made: dict[str, pd.DataFrame], xy: np.ndarray, ends: np.ndarray, valve_node: np.ndarray, source: np.ndarray) -> None:
    made["nodes"]["geometry"] = shapely.points(xy)
    made["pipes"]["geometry"] = shapely.linestrings(xy[ends])
    made["valves"]["geometry"] = shapely.points(xy[valve_node])
    made["sources"]["geometry"] = shapely.points(xy[source])


def put(connection, made: dict[str, pd.DataFrame], network: str) -> None:
    """A network with geometry into the database of this connection, as one published batch; its earlier rows go."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO meta.batch (kind, operator, status, recorded_at) VALUES ('load', 'bench', 'published', now()) RETURNING id"
        )
        batch = cursor.fetchone()[0]
        for name, layer in _LAYERS.items():
            table = sql.Identifier("core", layer)
            cursor.execute(sql.SQL("DELETE FROM {} WHERE network = %s").format(table), (network,))
            frame = made[name].assign(network=network, batch=batch)
            shapes = shapely.set_srid(frame.pop("geometry").to_numpy(), 4490)
            frame["geom"] = shapely.to_wkb(shapes, hex=True, include_srid=True)
            text = io.StringIO(frame.to_csv(index=False, header=False))
            columns = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
            cursor.copy_expert(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, columns), text)
            cursor.execute(
                "INSERT INTO meta.batch_layer (batch, layer, scope, rows_read, rows_loaded, inserted) VALUES (%s, %s, %s, %s, %s, %s)",
                (batch, layer, network, *[len(frame)] * 3),
            )
            cursor.execute(sql.SQL("ANALYZE {}").format(table))
