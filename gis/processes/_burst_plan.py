"""What a burst answer says beside the plan when it is asked: what stuck valves add, what each valve's failure would add, draining."""

from __future__ import annotations

import numpy as np

from gis.analysis.draining import draining
from gis.analysis.failures import Added, added, if_stuck
from gis.analysis.isolation import Isolation
from gis.analysis.network import decoded
from gis.processes._water_network import Water

_MOST = 10
"""Lowest points and hydrants that are named."""


def added_by_stuck(known: Water, start: np.ndarray, found: Isolation, burst_valve: int) -> dict:
    """二次关阀: what the answer has beyond the one in which the valves named as stuck had turned."""
    plain = known.engine.burst(start, (), burst_valve)
    return _named(known, added(known.engine, known.consumers, plain, found))


def failures(known: Water, start: np.ndarray, stuck: list[int], burst_valve: int) -> list[dict]:
    """For each valve to close, in closing order, what its failure alone would add."""
    net = known.engine.network
    rows = []
    for valve, more in if_stuck(known.engine, known.consumers, start, stuck, burst_valve).items():
        named = _named(known, more)
        rows.append({
            "valve": net.valve_id[valve].decode(), "close_added": named["valves"], "pipes_added": named["pipes"],
            "customers_added": named["customers"], "isolated": more.isolated,
        })  # fmt: skip
    return rows


def _named(known: Water, more: Added) -> dict:
    net = known.engine.network
    return {"valves": decoded(net.valve_id[more.valves]), "pipes": decoded(net.pipe_id[more.pipes]), "customers": more.customers}


def drain(known: Water, region: np.ndarray) -> dict:
    """How the closed part is emptied: volume, lowest points, washouts and hydrants, the lowest first; `n` counts them all."""
    net, supplied = known.engine.network, known.consumers
    found = draining(known.engine, supplied, region)
    lowest, outlets = found.lowest[:_MOST].tolist(), found.hydrants[:_MOST].tolist()
    return {
        "volume_m3": round(found.volume_m3, 4), "n": {"lowest": len(found.lowest), "hydrants": len(found.hydrants)},
        "lowest": [
            {"node": net.node_id[n].decode(), "level_m": _level(z)} | _place(net.node_xy[n])
            for n, z in zip(lowest, found.lowest_m, strict=False)
        ],
        "hydrants": [
            {"hydrant": supplied.hydrant_id[h].decode(), "kind": supplied.hydrant_kind[h].decode() or None, "level_m": _level(z)}
            | _place(supplied.hydrant_xy[h])
            for h, z in zip(outlets, found.hydrants_m, strict=False)
        ],
    }  # fmt: skip


def _level(metres: float) -> float | None:
    return round(float(metres), 3) if np.isfinite(metres) else None


def _place(xy: np.ndarray) -> dict:
    lon, lat = (round(float(v), 7) if np.isfinite(v) else None for v in xy)
    return {"lon": lon, "lat": lat}
