"""Which segments and valves of a water network matter most."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from pydantic import Field

from gis.analysis.atlas import atlas
from gis.analysis.criticality import failures
from gis.analysis.network import decoded
from gis.catalog.model import Text
from gis.processes import Inputs, Process, Progress
from gis.processes import _water_answer as answer
from gis.processes._water_network import LAYERS, Water, water


class CriticalityInputs(Inputs):
    """Which network, and how much of the ranking."""

    network: str = Field("city", title="Network", description="The name of the water network", min_length=1, max_length=40)
    top: int = Field(100, title="Top", description="How many segments and how many valves are named", ge=1, le=100_000)
    features: bool = Field(False, title="Features", description="Add a GeoJSON FeatureCollection for the map")


def segment_ranking(known: Water) -> pd.DataFrame:
    """One row per segment with pipes, the most customers without water first: what a burst in it cuts off."""
    engine, book = known.engine, atlas(known.engine, known.consumers)
    rows = np.flatnonzero(np.diff(engine.segments.pipe_at) > 0)
    names = engine.network.pipe_id[engine.segments.pipe[engine.segments.pipe_at[rows]]]
    table = pd.DataFrame({
        "segment_id": decoded(names), "valves_to_close": np.diff(book.close_at)[rows], "isolated": book.isolated[rows],
        "affected_pipes": book.pipes[rows], "affected_length_m": np.round(book.length_m[rows], 3),
        "affected_customers": book.customers[rows], "priority_users": book.priority[rows],
        "unintended_pipes": book.behind_pipes[rows], "unintended_customers": book.behind_customers[rows], "segment": rows,
    })  # fmt: skip
    order = ["isolated", "affected_customers", "priority_users", "affected_length_m", "segment_id"]
    table = table.sort_values(order, ascending=[True, False, False, False, True], kind="stable").reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def valve_ranking(known: Water) -> pd.DataFrame:
    """One row per valve that some burst has to close, the worst failure (N-1) first: what goes dry if it does not turn then."""
    net, part = known.engine.network, known.engine.segments
    found = failures(known.engine, known.consumers, atlas(known.engine, known.consumers), np.arange(net.n_valves))
    first = part.pipe[np.minimum(part.pipe_at[found.from_segment], max(net.n_pipes - 1, 0))]
    table = pd.DataFrame({
        "valve_id": decoded(net.valve_id[found.valve]), "burst_in_segment": decoded(net.pipe_id[first]),
        "customers_added": found.added_customers, "pipes_added": found.added_pipes, "affected_customers": found.customers,
        "priority_users": found.priority, "isolated": found.isolated, "valve": found.valve,
    })  # fmt: skip
    order = ["isolated", "customers_added", "priority_users", "pipes_added", "valve_id"]
    table = table.sort_values(order, ascending=[True, False, False, False, True], kind="stable").reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def run(store, inputs: CriticalityInputs, progress: Progress) -> dict:
    """The `segments` and `valves` that matter most. Raises NotFound, AccessDenied."""
    begun = time.perf_counter()
    known = water(store, inputs.network)
    segments = segment_ranking(known).head(inputs.top)
    progress(0.3, "valves")
    valves = valve_ranking(known).head(inputs.top)
    result = {
        "network": known.name, "segments": segments.drop(columns="segment").to_dict("records"),
        "valves": valves.drop(columns="valve").to_dict("records"), "data_version": known.version,
    }  # fmt: skip
    if inputs.features:
        result["features"] = answer.collection(_features(known, segments, valves))
    return result | {"seconds": round(time.perf_counter() - begun, 6)}


def _features(known: Water, segments: pd.DataFrame, valves: pd.DataFrame) -> list[dict]:
    """The pipes of the segments and the valves, each with its rank and figures."""
    part, shown = known.engine.segments, []
    for row in segments.to_dict("records"):
        segment = row.pop("segment")
        pipes = part.pipe[part.pipe_at[segment] : part.pipe_at[segment + 1]].tolist()
        shown += [f | {"properties": f["properties"] | row} for f in answer.pipe_features(known, pipes, "segment")]
    for row in valves.to_dict("records"):
        valve = row.pop("valve")
        shown += [f | {"properties": f["properties"] | row} for f in answer.point_features(known, "valve", [valve], "valve")]
    return shown


PROCESS = Process(
    id="network-criticality",
    title=Text(zh="管网关键性排序", en="Network criticality"),
    description=Text(
        zh="哪些区段爆管、哪些阀门关不动影响最大：停水户数、重点用户、意外停水（N-1）",
        en="In which segments a burst, and for which valves a failure to turn, cuts off most: customers, priority users, N-1",
    ),
    inputs=CriticalityInputs,
    run=run,
    layers=LAYERS,
    keywords=("water", "criticality", "关键性", "N-1"),
    example={"network": "city", "top": 20},
)
