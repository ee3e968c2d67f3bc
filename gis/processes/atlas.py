"""The burst atlas as a table: one row per pipe, for nights when the computer is down and for planning."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

from gis.analysis import atlas as analysis
from gis.processes._water_network import Water


def atlas(known: Water) -> tuple[pa.Table, float]:
    """One row per pipe (pipe_id, segment_id, close, isolated, affected_pipes, affected_length_m, affected_customers), and the seconds."""
    begun = time.perf_counter()
    engine, net, part = known.engine, known.engine.network, known.engine.segments
    found = analysis.atlas(engine, known.consumers)
    pipe_id = _texts(net.pipe_id)
    first = np.append(part.pipe, 0)[part.pipe_at[:-1]]  # of segments without pipes nobody asks
    close = pa.ListArray.from_arrays(pa.array(found.close_at, pa.int32()), _texts(net.valve_id).take(pa.array(found.close)))
    row = pa.array(part.of_pipe)
    table = pa.table({
        "pipe_id": pipe_id, "segment_id": pipe_id.take(pa.array(first[part.of_pipe])), "close": close.take(row),
        "isolated": found.isolated[part.of_pipe], "affected_pipes": found.pipes[part.of_pipe],
        "affected_length_m": np.round(found.length_m, 3)[part.of_pipe], "affected_customers": found.customers[part.of_pipe],
    })  # fmt: skip
    return table, time.perf_counter() - begun


def _texts(ids: np.ndarray) -> pa.Array:
    """Ids (UTF-8 bytes) as an Arrow column of text."""
    return pa.array(ids.tolist(), pa.binary()).cast(pa.string())
