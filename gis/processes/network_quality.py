"""The data quality of a water network, as findings with geometry."""

from __future__ import annotations

import time

import geopandas
import numpy as np
import shapely
from pydantic import Field

from gis import crs
from gis.analysis.network_quality import MEANINGS, quality
from gis.catalog.model import Text
from gis.processes import Inputs, Process, Progress
from gis.processes._water_network import LAYERS, water


class QualityInputs(Inputs):
    """Which network."""

    network: str = Field("city", title="Network", description="The name of the water network", min_length=1, max_length=40)
    features: bool = Field(True, title="Features", description="Add the findings as a GeoJSON FeatureCollection")


def findings(store, network: str) -> tuple[geopandas.GeoDataFrame, str]:
    """The findings of a network (EPSG:4490) and the data version. Raises NotFound, AccessDenied."""
    known = water(store, network)
    net, metric = known.engine.network, store.catalog.city.working_crs

    def metres(xy: np.ndarray) -> np.ndarray:
        there = np.isfinite(xy).all(axis=1)
        moved = np.full(xy.shape, np.nan)
        moved[there] = np.column_stack(crs.transform(xy[there, 0], xy[there, 1], crs.STORED, metric))
        return moved

    found = quality(known.engine, metres(net.pipe_xy), metres(net.node_xy), metres(net.valve_xy))
    shapes = found.pop("geometry").to_numpy(dtype=object).copy()
    there = ~shapely.is_missing(shapes)
    shapes[there] = crs.project(shapes[there], metric, crs.STORED)
    return geopandas.GeoDataFrame(found, geometry=shapes, crs=f"EPSG:{crs.STORED}"), known.version


def run(store, inputs: QualityInputs, progress: Progress) -> dict:
    """`counts` per code, `meanings`, and the findings as features. Raises NotFound, AccessDenied."""
    begun = time.perf_counter()
    found, version = findings(store, inputs.network)
    counts = found["code"].value_counts().sort_index()
    result = {
        "network": inputs.network, "findings": len(found), "counts": {code: int(n) for code, n in counts.items()},
        "meanings": {code: dict(zip(("level", "zh", "en"), MEANINGS[code], strict=True)) for code in counts.index},
        "data_version": version,
    }  # fmt: skip
    if inputs.features:
        result["features"] = found.to_geo_dict(drop_id=True)
    return result | {"seconds": round(time.perf_counter() - begun, 6)}


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
