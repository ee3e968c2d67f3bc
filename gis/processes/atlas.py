"""The burst atlas: the answer for every pipe of a network. Pipes of one segment share their answer, so each segment is asked once."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from gis.analysis.consumers import outage
from gis.analysis.network import decoded
from gis.processes._water_network import Water


def atlas(known: Water) -> tuple[pd.DataFrame, float]:
    """One row per pipe (pipe_id, segment_id, close, isolated, affected_pipes, affected_length_m, affected_customers), and the seconds."""
    begun = time.perf_counter()
    engine, net, part = known.engine, known.engine.network, known.engine.segments
    segments, row = np.unique(part.of_pipe, return_inverse=True)
    answers = []
    for segment in segments.tolist():
        found = engine.burst(np.array([segment]))
        dry = outage(engine, known.consumers, np.sort(np.concatenate((found.region, found.lost))))
        answers.append(
            (
                engine.segment_name(segment),
                decoded(net.valve_id[found.close]),
                found.isolated,
                len(dry.pipes),
                dry.length_m,
                dry.customers,
            )
        )
    columns = ["segment_id", "close", "isolated", "affected_pipes", "affected_length_m", "affected_customers"]
    table = pd.DataFrame(answers, columns=columns).iloc[row].reset_index(drop=True)
    table.insert(0, "pipe_id", decoded(net.pipe_id))
    return table, time.perf_counter() - begun
