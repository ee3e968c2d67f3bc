"""The data quality of a water network, as findings with geometry."""

from __future__ import annotations

import time

import geopandas
import numpy as np
import shapely
from pydantic import Field

from gis import crs
from gis.analysis.network_quality import GAP_M, MEANINGS, quality
from gis.catalog.model import Text
from gis.processes import Inputs, Process, Progress
from gis.processes._water_answer import CHINESE
from gis.processes._water_network import LAYERS, water

REMEDIES = {
    "NQ01": (
        "核对这一部分是否真的独立供水；若应相连，补上相连的管段或节点",
        "Check whether this part is really supplied by itself; else add the pipe or node that joins it",
    ),
    "NQ02": ("补上水源或相连的管段；已废弃的，把状态改为废弃", "Add its source or the pipe that joins it; retire it where it is abandoned"),
    "NQ03": (
        "核对阀门所在的节点或管段；不起隔断作用的，把“可隔断”改为否",
        "Check where the valve sits; set it to not isolating where it closes nothing",
    ),
    "NQ04": (
        "核对是否漏画阀门或旁通管；有旁通的，应同时登记旁通阀",
        "Look for a valve or bypass that is missing in the data; a bypass needs its own valve",
    ),
    "NQ05": ("现场或档案核实后删去其中一根", "Delete one of the two after checking the records"),
    "NQ06": ("核对两根管段的走向；在分叉处加节点打断", "Check the courses of both; break them at a node where they part"),
    "NQ07": (
        "若实际相连，在交点加节点并打断两根管段；立体交叉的不必改",
        "Where they are connected, add a node and break both pipes there; where one passes over the other, leave it",
    ),
    "NQ08": (
        "若实际相连，把端点接到该管段的节点上；不相连的不必改",
        "Where they are connected, join the end to a node of that pipe; else leave it",
    ),
    "NW01": ("补上管段的起止节点编号", "Give the pipe its missing node"),
    "NW02": ("把节点补进节点图层，或改正管段上的节点编号", "Load the node, or mend the id that the pipe names"),
    "NW03": ("改正阀门所在的节点、管段编号", "Mend the node or pipe that the valve names"),
    "NW04": ("补上水流方向（flow）", "Give its direction of flow"),
    "NW05": ("若是阀门，改为可隔断的阀门；否则把状态改为开", "Make it an isolating valve, or set it open"),
    "NW06": ("补上管径", "Give the diameter"),
    "NW07": ("把节点补进节点图层，或改正水源的节点编号", "Load the node, or mend the id that the source names"),
    "NW08": ("改正入户管所接的管段编号", "Mend the pipe that the service line names"),
    "NW09": ("补上长度，或重新由图形计算", "Give the length"),
}
"""What to do about each code, in Chinese and English."""


class QualityInputs(Inputs):
    """Which network."""

    network: str = Field("city", title="Network", description="The name of the water network", min_length=1, max_length=40)
    gap_m: float = Field(
        GAP_M, title="Gap", description="端点离另一管段小于此距离（米）而不相连即列出 / An end nearer to another pipe, metres", gt=0, le=10
    )
    features: bool = Field(True, title="Features", description="Add the findings as a GeoJSON FeatureCollection")


def findings(store, network: str, gap_m: float = GAP_M) -> tuple[geopandas.GeoDataFrame, str]:
    """The findings of a network (EPSG:4490) and the data version. Raises NotFound, AccessDenied."""
    known = water(store, network)
    net, metric = known.engine.network, store.catalog.city.working_crs

    def metres(xy: np.ndarray) -> np.ndarray:
        there = np.isfinite(xy).all(axis=1)
        moved = np.full(xy.shape, np.nan)
        moved[there] = np.column_stack(crs.transform(xy[there, 0], xy[there, 1], crs.STORED, metric))
        return moved

    found = quality(known.engine, metres(net.pipe_xy), metres(net.node_xy), metres(net.valve_xy), gap_m)
    shapes = found.pop("geometry").to_numpy(dtype=object).copy()
    there = ~shapely.is_missing(shapes)
    shapes[there] = crs.project(shapes[there], metric, crs.STORED)
    return geopandas.GeoDataFrame(found, geometry=shapes, crs=f"EPSG:{crs.STORED}"), known.version


def run(store, inputs: QualityInputs, progress: Progress) -> dict:
    """`counts` per code, `meanings` {level, zh, en, remedy: {zh, en}}, and the findings as features. Raises NotFound, AccessDenied."""
    begun = time.perf_counter()
    found, version = findings(store, inputs.network, inputs.gap_m)
    counts = found["code"].value_counts().sort_index()
    result = {
        "network": inputs.network, "findings": len(found), "counts": {code: int(n) for code, n in counts.items()},
        "meanings": {code: _meaning(code) for code in counts.index},
        "data_version": version,
    }  # fmt: skip
    if inputs.features:
        result["features"] = found.to_geo_dict(drop_id=True)
    return result | {"seconds": round(time.perf_counter() - begun, 6)}


def _meaning(code: str) -> dict:
    level, zh, en = MEANINGS[code]
    remedy = REMEDIES.get(code)
    return {"level": level, "zh": zh or CHINESE.get(code, ""), "en": en} | (
        {"remedy": {"zh": remedy[0], "en": remedy[1]}} if remedy else {}
    )


PROCESS = Process(
    id="network-quality",
    title=Text(zh="管网数据质量", en="Network data quality"),
    description=Text(
        zh="孤立部分、无水源管段、无效阀门、重复与重叠管段、相交而无节点、端点未接上等问题，逐条定位",
        en="Parts that hang together with nothing, pipes without a source, valves that isolate nothing, duplicate and overlapping pipes, "
        "crossings without a node, ends that miss their pipe: each with its place",
    ),
    inputs=QualityInputs,
    run=run,
    layers=LAYERS,
    keywords=("water", "quality", "数据质量"),
    example={"network": "city"},
)
