"""Criticality as two layers on the map: every pipe by what a burst in its segment cuts off, every valve by what its failure adds."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from gis.analysis.classes import breaks, classed
from gis.catalog.model import Text
from gis.processes import Inputs, Process, Progress
from gis.processes import _water_answer as answer
from gis.processes._water_network import LAYERS, Water, water
from gis.processes.network_criticality import segment_ranking, valve_ranking

COLOURS = ("#c9ced4", "#fdd49e", "#fc8d59", "#d7301f", "#7f0000", "#300000")
"""From little to much, darker all the way, so that grey print keeps the order."""
_SEGMENT = {"customers": "affected_customers", "unintended": "unintended_customers", "priority": "priority_users"}
_TITLES = {
    "customers": Text(zh="爆管停水户数", en="Customers without water after a burst"),
    "unintended": Text(zh="意外停水户数", en="Customers cut off behind the closed segment"),
    "priority": Text(zh="停水重点用户数", en="Priority users without water"),
    "valves": Text(zh="阀门关不动多停户数", en="Customers that a stuck valve adds (N-1)"),
}


class CriticalityMapInputs(Inputs):
    """Which network, which figure, how many classes."""

    network: str = Field("city", title="Network", description="The name of the water network", min_length=1, max_length=40)
    by: Literal["customers", "unintended", "priority"] = Field("customers", title="By", description="What colours the pipes")
    classes: int = Field(5, title="Classes", description="At most so many classes", ge=2, le=len(COLOURS))


def run(store, inputs: CriticalityMapInputs, progress: Progress) -> dict:
    """`features`: all pipes (`part` segment) and all valves that some burst closes (`part` valve) with figures, `rank`, `class` (0 least)
    and `color`; `layers`: per part the title and the classes with their limits. Raises NotFound, AccessDenied."""
    begun = time.perf_counter()
    known = water(store, inputs.network)
    progress(0.1, "segments")
    segments = segment_ranking(known)
    progress(0.4, "valves")
    valves = valve_ranking(known)
    progress(0.8, "map")
    layers = {
        "segment": _legend(segments, _SEGMENT[inputs.by], inputs.classes, _TITLES[inputs.by]),
        "valve": _legend(valves, "customers_added", inputs.classes, _TITLES["valves"]),
    }
    features = [*_pipes(known, segments), *_valves(known, valves)]
    result = {"network": known.name, "by": inputs.by, "layers": layers, "features": answer.collection(features)}
    return result | {"data_version": known.version, "seconds": round(time.perf_counter() - begun, 6)}


def _legend(table: pd.DataFrame, column: str, count: int, title: Text) -> dict:
    """Classes a ranking in place; what the map's legend says of it."""
    limits = breaks(table[column].to_numpy(), count)
    table["class"] = classed(table[column].to_numpy(), limits)
    colours = _colours(len(limits) + 1)
    table["color"] = [colours[c] for c in table["class"]]
    number = np.bincount(table["class"], minlength=len(limits) + 1).tolist()
    edges = [None, *limits, None]
    steps = [{"from": a, "to": b, "color": c, "n": n} for a, b, c, n in zip(edges, edges[1:], colours, number, strict=False)]
    return {"title": title.model_dump(), "property": column, "classes": steps}


def _colours(count: int) -> list[str]:
    """So many colours, the first and the darkest always among them."""
    return [COLOURS[round(i * (len(COLOURS) - 1) / max(count - 1, 1))] for i in range(count)]


def _pipes(known: Water, segments: pd.DataFrame) -> list[dict]:
    part, shown = known.engine.segments, []
    for row in segments.to_dict("records"):
        segment = row.pop("segment")
        pipes = part.pipe[part.pipe_at[segment] : part.pipe_at[segment + 1]].tolist()
        shown += [f | {"properties": f["properties"] | row} for f in answer.pipe_features(known, pipes, "segment")]
    return shown


def _valves(known: Water, valves: pd.DataFrame) -> list[dict]:
    places = valves.pop("valve").tolist()
    rows = valves.set_index("valve_id", drop=False).to_dict("index")
    points = answer.point_features(known, "valve", places, "valve")
    return [f | {"properties": f["properties"] | rows[f["properties"]["id"]]} for f in points]


PROCESS = Process(
    id="criticality-map",
    title=Text(zh="管网关键性专题图", en="Map of network criticality"),
    description=Text(
        zh="全部管段按爆管停水户数（或意外停水、重点用户）分级，全部阀门按关不动多停户数分级，带图例",
        en="All pipes classed by what a burst in their segment cuts off, all valves by what their failure adds, with the legend",
    ),
    inputs=CriticalityMapInputs,
    run=run,
    layers=LAYERS,
    keywords=("water", "criticality", "关键性", "专题图"),
    example={"network": "city", "by": "customers"},
)
