"""What the answers about a water network have in common: ids instead of indices, what the network assumes, and the map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from gis.analysis.consumers import Outage, outage
from gis.analysis.network import FINDINGS, decoded
from gis.processes._water_network import Water

_SHOWN = 20
"""Ids named in a finding; its `n` counts them all."""


def affected(water: Water, segments: np.ndarray) -> tuple[dict, Outage]:
    """The part `affected` of an answer: everything without water in these segments."""
    net, supplied = water.engine.network, water.consumers
    dry = outage(water.engine, supplied, np.sort(segments))
    return {
        "pipes": decoded(net.pipe_id[dry.pipes]), "length_m": round(dry.length_m, 3), "volume_m3": round(dry.volume_m3, 4),
        "customers": dry.customers, "doorplates": decoded(dry.plates), "priority": list(_priority(water, dry)),
        "hydrants": decoded(supplied.hydrant_id[dry.hydrants]),
    }, dry  # fmt: skip


def _priority(water: Water, dry: Outage) -> Iterator[dict]:
    supplied = water.consumers
    for i in dry.priority.tolist():
        building = int(supplied.connection_building[i])
        yield {
            "connection": supplied.connection_id[i].decode(), "priority": supplied.connection_priority[i].decode(),
            "customers": int(supplied.connection_customers[i]),
            "building": supplied.building_id[building].decode() if building >= 0 else None,
        }  # fmt: skip


def findings(water: Water, region: np.ndarray) -> list[dict]:
    """What the answer rests on that the data do not say, and the valves in the region that close nothing."""
    net = water.engine.network
    codes = net.finding_code
    found = [
        _finding(code, FINDINGS[code], net.finding_id[codes == code.encode()])
        for code in decoded(np.unique(codes))
    ]  # fmt: skip
    if len(water.consumers.unattached):
        found.append(_finding("NW08", FINDINGS["NW08"], water.consumers.unattached))
    bypassed = water.engine.bypassed(region)
    if len(bypassed):
        found.append(
            _finding(
                "NW10", "valves with both sides in one segment: closing them isolates nothing", net.valve_id[bypassed]
            )
        )
    return found


def _finding(code: str, message: str, ids: np.ndarray) -> dict:
    return {"code": code, "message": message, "n": len(ids), "ids": decoded(ids[:_SHOWN])}


def doorplate_list(store, plates: list[str]) -> list[dict]:
    """The door-plates with their addresses."""
    return store.rows("doorplates", ids=plates)


def collection(parts: Iterable[dict]) -> dict:
    """A GeoJSON FeatureCollection (CRS84)."""
    return {"type": "FeatureCollection", "features": list(parts)}


def pipe_features(water: Water, pipes: Iterable[int], part: str) -> Iterator[dict]:
    """Pipes as features, `part` says what becomes of them."""
    net = water.engine.network
    for p in pipes:
        line = net.line(p)
        if len(line) > 1:
            yield _feature("LineString", _rounded(line), "water_pipe", net.pipe_id[p], part)


def point_features(water: Water, kind: str, items: Iterable[int], part: str, ordered: bool = False) -> Iterator[dict]:
    """Valves, hydrants, sources or nodes as features; `ordered` numbers them from 1."""
    net = water.engine.network
    layer, ids, places = {
        "valve": ("water_valve", net.valve_id, net.valve_xy), "source": ("water_source", net.source_id, net.source_xy),
        "node": ("water_node", net.node_id, net.node_xy), "hydrant": ("hydrant", water.consumers.hydrant_id, water.consumers.hydrant_xy),
    }[kind]  # fmt: skip
    for number, i in enumerate(items, 1):
        if np.isfinite(places[i]).all():
            extra = {"order": number} if ordered else {}
            yield _feature("Point", _rounded(places[i]), layer, ids[i], part, **extra)


def _rounded(xy: np.ndarray) -> list:
    return np.round(xy, 9).tolist()


def _feature(geometry: str, coordinates: list, layer: str, item: bytes, part: str, **extra) -> dict:
    properties = {"layer": layer, "id": item.decode(), "part": part, **extra}
    return {"type": "Feature", "geometry": {"type": geometry, "coordinates": coordinates}, "properties": properties}
