"""What the answers about a water network have in common: ids instead of indices, what the network assumes, and the map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from gis.analysis.consumers import Outage, outage
from gis.analysis.network import FINDINGS, decoded, ranges
from gis.processes._water_network import Water

_SHOWN = 20
"""Ids named in a finding; its `n` counts them all."""
BYPASSED = "valves with both sides in one segment: closing them isolates nothing"
CHINESE = {
    "NW01": "管段一端没有节点：该端不与任何管段相连",
    "NW02": "端点不在节点表中：按没有坐标的普通接点处理",
    "NW03": "阀门没有指明本管网的节点、管段或节点对，或所指节点不在其管段上：未计入",
    "NW04": "节点上的单向设备没有注明方向：按双向连通处理",
    "NW05": "状态为关闭的普通双向连接：没有可关的阀门，按连通处理",
    "NW06": "管段缺少管径：未计入需排水量",
    "NW07": "水源所在节点不存在：未计入",
    "NW08": "入户管所接管段不在本管网：未计入",
    "NW09": "管段缺少长度：未计入管长",
    "NW10": "阀门两侧属于同一区段：关了也隔断不了",
    "NW11": "管网数据中这一部分没有任何水源，无法判断来水方向：请关闭周围全部阀门（含可选阀门），并核查管网数据",
    "NW12": "按阀门状态这一部分本已无水，因此没有列出需关闭的阀门：请核查周围已关闭的阀门；如仍有水，请同时关闭可选阀门",
}
"""The messages of findings in Chinese."""


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
        found.append(_finding("NW10", BYPASSED, net.valve_id[bypassed]))
    return found + _without_water(water, region)


def _without_water(water: Water, region: np.ndarray) -> list[dict]:
    """What must be said where the region was dry by the data: nothing is named to close there, yet the pipe may well be full."""
    engine, part = water.engine, water.engine.segments
    if not len(region) or engine.feed.fed[region].any():
        return []
    unknown = region[~engine.with_source[region]]
    known = np.setdiff1d(region, unknown)
    found = []
    for code, segments, message in (
        ("NW11", unknown, "no known source feeds this part of the network, so what keeps its water out is not known: "
         "close every valve around it, the optional ones too, and check the network's data"),
        ("NW12", known, "by the valves' states this part has no water already, so none is named to close: check the closed valves "
         "around it, and if there is water close the optional ones too"),
    ):  # fmt: skip
        if len(segments):
            pipes = part.pipe[ranges(part.pipe_at[segments], part.pipe_at[segments + 1])]
            found.append(_finding(code, message, water.engine.network.pipe_id[np.sort(pipes)]))
    return found


def _finding(code: str, message: str, ids: np.ndarray) -> dict:
    return {"code": code, "message": message, "message_zh": CHINESE[code], "n": len(ids), "ids": decoded(ids[:_SHOWN])}


def doorplate_list(store, plates: list[str]) -> list[dict]:
    """The door-plates with their addresses and communities."""
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
