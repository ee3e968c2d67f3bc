"""Tracing a network up, down or all that is connected: water networks by their devices, sewers and storm drains by their slope."""

from __future__ import annotations

import datetime as dt
import time
from typing import Literal

import numpy as np
from pydantic import Field

from gis.analysis.gravity import Gravity, gravity
from gis.analysis.network import decoded, ranges
from gis.analysis.trace import trace, trace_gravity
from gis.catalog.model import Text
from gis.errors import Ambiguous, NotFound, NotOnNetwork
from gis.processes import Inputs, Process, Progress
from gis.processes import _water_answer as answer
from gis.processes._water_network import Water, water

GRAVITY = {"sewer": "sewer_pipe", "rain": "rain_pipe"}
"""The networks that run by gravity, and their layers."""


class TraceInputs(Inputs):
    """Where to begin and which way."""

    network: str = Field("city", title="Network", description="A water network's name, or `sewer` or `rain`", min_length=1, max_length=40)
    start: str = Field(
        title="From",
        alias="from",
        description="The id of a pipe, node (manhole) or valve",
        min_length=1,
        max_length=200,
    )
    kind: Literal["pipe", "node", "valve"] | None = Field(
        None, title="Kind", description="What `from` names, where the same id is used twice"
    )
    direction: Literal["up", "down", "connected"] = Field(
        title="Direction", description="up: from where water can come; down: where it can go"
    )
    as_of: dt.date | None = Field(None, title="As of", description="Answer with the network of that day, as known at its end")
    features: bool = Field(False, title="Features", description="Add a GeoJSON FeatureCollection for the map")

    model_config = Inputs.model_config | {"populate_by_name": True}


def run(store, inputs: TraceInputs, progress: Progress) -> dict:
    """The pipes up, down or connected. In water networks whole segments, with the sources among them; in gravity networks single
    pipes, the start included. Raises NotOnNetwork, Ambiguous, NotFound, AccessDenied."""
    begun = time.perf_counter()
    result = _gravity(store, inputs) if inputs.network in GRAVITY else _pressure(water(store, inputs.network, inputs.as_of), inputs)
    result["as_of"] = (inputs.as_of or dt.date.today()).isoformat()
    return result | {"seconds": round(time.perf_counter() - begun, 6)}


def _pressure(known: Water, inputs: TraceInputs) -> dict:
    engine, net, part = known.engine, known.engine.network, known.engine.segments
    kind, index = _element(inputs, {"pipe": net.pipe, "node": net.node, "valve": net.valve})
    starts = {"pipe": lambda i: part.of_pipe[[i]], "node": engine.segments_at_node, "valve": engine.segments_at_valve}
    met = trace(part, engine.states, starts[kind](index), inputs.direction)
    pipes = np.sort(part.pipe[ranges(part.pipe_at[met], part.pipe_at[met + 1])])
    sources = np.sort(part.source[ranges(part.source_at[met], part.source_at[met + 1])])
    result = _told(inputs, kind, decoded(net.pipe_id[pipes]), float(net.pipe_length[pipes].sum()), known.version)
    result["sources"] = decoded(net.source_id[sources])
    result["findings"] = answer.findings(known, met)
    if inputs.features:
        result["features"] = answer.collection(answer.pipe_features(known, pipes, inputs.direction))
    return result


def _element(inputs: TraceInputs, finders: dict) -> tuple[str, int]:
    """What the id names. Raises NotOnNetwork, or Ambiguous where it names several things."""
    found = []
    for kind, finder in finders.items():
        if inputs.kind in (None, kind):
            try:
                found.append((kind, finder(inputs.start)))
            except NotOnNetwork:
                continue
    if not found:
        raise NotOnNetwork(
            f"there is no {inputs.kind or 'pipe, node or valve'} {inputs.start[:80]!r} on this network",
            remedy="Check the id",
        )
    if len(found) > 1:
        raise Ambiguous(f"{inputs.start!r} names a {' and a '.join(k for k, _ in found)}", remedy="Say which with `kind`")
    return found[0]


def _gravity(store, inputs: TraceInputs) -> dict:
    layer = GRAVITY[inputs.network]
    store.require([layer])
    version = store.version([layer])
    day = inputs.as_of or dt.date.today()
    moment = None
    if inputs.as_of is not None and inputs.as_of < dt.date.today():
        moment = dt.datetime.combine(inputs.as_of + dt.timedelta(days=1), dt.time()).astimezone()
    net = _gravity_network(store, layer, version, day, moment)
    kind, index = _element(inputs, {"pipe": net.pipe, "node": net.node})
    pipes = trace_gravity(net.origin, net.target, len(net.node_id), inputs.direction, **{kind: index})
    result = _told(inputs, kind, decoded(net.pipe_id[pipes]), float(net.length[pipes].sum()), version)
    if inputs.features:
        result["features"] = answer.collection(_gravity_features(store, layer, result["pipes"], inputs.direction))
    return result


def _gravity_features(store, layer: str, pipes: list[str], part: str):
    """The traced pipes from the database, where they are drawn."""
    frame = store.frame(layer, columns=["pipe_id"], where={"pipe_id": pipes})
    for pipe, shape in zip(frame["pipe_id"], frame.geometry, strict=True):
        line = [[round(x, 9), round(y, 9)] for x, y, *_ in shape.coords]
        yield {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": line},
            "properties": {"layer": layer, "id": pipe, "part": part},
        }


_known: dict[tuple, Gravity] = {}


def _gravity_network(store, layer: str, version: str, day: dt.date, moment: dt.datetime | None) -> Gravity:
    """The gravity network of a layer, kept per data version and day."""
    key = (store.rows("database_identity")[0]["identity"], layer, version, day, moment)
    if key not in _known:
        columns = ["pipe_id", "from_node", "to_node", "status"]
        frame = store.frame(layer, columns=columns, at=day, as_of=moment, crs=store.catalog.city.working_crs)
        if frame.empty:
            raise NotFound(f"the network {layer.split('_')[0]!r} has no pipes on {day}", remedy=f"Load the layer {layer} first")
        while len(_known) > 3:
            _known.pop(next(iter(_known)), None)
        _known[key] = gravity(frame)
    return _known[key]


def _told(inputs: TraceInputs, kind: str, pipes: list[str], length: float, version: str) -> dict:
    return {
        "network": inputs.network, "from": {kind: inputs.start}, "direction": inputs.direction, "pipes": pipes, "n": len(pipes),
        "length_m": round(length, 3), "data_version": version,
    }  # fmt: skip


PROCESS = Process(
    id="trace",
    title=Text(zh="管网追踪", en="Trace"),
    description=Text(
        zh="从管段、节点或阀门向上游、向下游或按连通追踪；给水按水源与单向设备，雨污水按流向",
        en="Up, down or everything connected from a pipe, node or valve: water networks by sources and devices, sewers and drains by slope",
    ),
    inputs=TraceInputs,
    run=run,
    any_of=("water_pipe", *GRAVITY.values()),
    keywords=("network", "追踪", "连通"),
    example={"network": "city", "from": "JSG000001", "direction": "up"},
)
