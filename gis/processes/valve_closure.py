"""What closing some valves cuts off."""

from __future__ import annotations

import datetime as dt
import time
from itertools import chain

import numpy as np
from pydantic import Field

from gis.analysis.network import decoded
from gis.catalog.model import Text
from gis.processes import Inputs, Process, Progress
from gis.processes import _water_answer as answer
from gis.processes._water_network import LAYERS, water


class ClosureInputs(Inputs):
    """The valves to be closed together."""

    network: str = Field("city", title="Network", description="The name of the water network", min_length=1, max_length=40)
    valves: list[str] = Field(title="Valves", description="Ids of the valves to close", min_length=1, max_length=1000)
    as_of: dt.date | None = Field(None, title="As of", description="Answer with the network and states of that day, as known at its end")
    features: bool = Field(False, title="Features", description="Add a GeoJSON FeatureCollection for the map")
    details: bool = Field(False, title="Details", description="Add the addresses of the door-plates")


def run(store, inputs: ClosureInputs, progress: Progress) -> dict:
    """What loses water when these valves are closed, beside what is dry already. Valves that cannot be turned stay open and are
    named in `stuck`. Raises NotOnNetwork, NotFound, AccessDenied."""
    begun = time.perf_counter()
    known = water(store, inputs.network, inputs.as_of)
    engine, net = known.engine, known.engine.network
    valves = np.array([net.valve(v) for v in dict.fromkeys(inputs.valves)], np.int64)
    found = engine.close(valves)
    dry, outage = answer.affected(known, found.lost)
    shut = np.setdiff1d(valves, np.concatenate((found.already_closed, found.stuck)))
    touched = np.unique(np.concatenate([engine.segments_at_valve(int(v)) for v in valves]))
    result = {
        "network": known.name, "valves": list(dict.fromkeys(inputs.valves)), "cuts_off": bool(len(found.lost)),
        "closed": decoded(net.valve_id[shut]), "already_closed": decoded(net.valve_id[found.already_closed]),
        "stuck": decoded(net.valve_id[found.stuck]),
        "segments": [engine.segment_name(s) for s in found.lost if engine.segments.real[s]],
        "affected": dry, "feeds_to_open": decoded(net.valve_id[found.feeds_to_open]),
        "data_version": known.version, "as_of": (inputs.as_of or dt.date.today()).isoformat(),
        "findings": answer.findings(known, touched),
    }  # fmt: skip
    if inputs.details:
        result["doorplate_list"] = answer.doorplate_list(store, dry["doorplates"])
    if inputs.features:
        result["features"] = answer.collection(chain(
            answer.pipe_features(known, outage.pipes, "cut_off"),
            answer.point_features(known, "hydrant", outage.hydrants, "hydrant"),
            answer.point_features(known, "valve", shut, "valve_close", ordered=True),
            answer.point_features(known, "valve", found.already_closed, "valve_already_closed"),
            answer.point_features(known, "valve", found.stuck, "valve_stuck"),
        ))  # fmt: skip
    return result | {"seconds": round(time.perf_counter() - begun, 6)}


PROCESS = Process(
    id="valve-closure",
    title=Text(zh="关阀分析", en="Valve closure"),
    description=Text(
        zh="关闭这些阀门会使哪些管段、用户和门牌停水，是否真有影响",
        en="Which pipes, customers and door-plates lose water when these valves are closed, and whether any do",
    ),
    inputs=ClosureInputs,
    run=run,
    layers=LAYERS,
    keywords=("water", "isolation", "关阀"),
    example={"network": "city", "valves": ["FM000001", "FM000002"]},
)
