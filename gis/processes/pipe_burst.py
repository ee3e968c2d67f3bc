"""A pipe has burst: which valves to close, in which order, and who loses water."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from gis import crs
from gis.analysis.isolation import Isolation
from gis.analysis.network import decoded
from gis.analysis.place import pipe_at
from gis.catalog.model import Text
from gis.errors import InputError, OutsideExtent
from gis.processes import Inputs, Process, Progress
from gis.processes import _burst_plan as plan
from gis.processes import _water_answer as answer
from gis.processes._water_network import LAYERS, Water, water
from gis.processes.paper import ASKED, Document, burst_sheet, page

PLACES = ("pipe", "node", "valve", "connection", "at")


class BurstInputs(Inputs):
    """Where it burst (exactly one of pipe, node, valve, connection, at), and which valves are known not to turn."""

    network: str = Field("city", title="Network", description="The name of the water network", min_length=1, max_length=40)
    pipe: str | None = Field(None, title="Pipe", description="The id of the burst pipe", max_length=200)
    node: str | None = Field(None, title="Node", description="The id of the burst junction", max_length=200)
    valve: str | None = Field(None, title="Valve", description="The id of the burst valve", max_length=200)
    connection: str | None = Field(None, title="Connection", description="The id of the burst service connection", max_length=200)
    at: tuple[float, float] | None = Field(
        None, title="Position", description="Longitude, latitude (degrees, CGCS2000); the nearest pipe is taken"
    )
    tolerance_m: float = Field(30.0, title="Tolerance", description="How far a pipe may lie from `at`, metres", gt=0, le=500)
    stuck: list[str] = Field(
        default_factory=list,
        title="Stuck valves",
        description="Ids of valves that cannot be turned (二次关阀)",
        max_length=1000,
    )
    as_of: dt.date | None = Field(None, title="As of", description="Answer with the network and states of that day, as known at its end")
    features: bool = Field(False, title="Features", description="Add a GeoJSON FeatureCollection for the map")
    details: bool = Field(False, title="Details", description="Add the addresses of the door-plates, and how to drain the closed part")
    failures: bool = Field(False, title="Failures", description="Add for each valve to close what its failure would add (N-1)")
    document: Literal["html", "pdf"] | None = Field(None, title="Document", description="爆管关阀单 / The sheet for the crew. " + ASKED)

    @model_validator(mode="after")
    def _one_place(self):
        given = [p for p in PLACES if getattr(self, p) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(PLACES)}; given: {', '.join(given) or 'none'}")
        if self.at is not None and not (-180 <= self.at[0] <= 180 and -90 <= self.at[1] <= 90):
            raise ValueError("`at` is longitude, latitude in degrees")
        return self


@dataclass
class Start:
    """Where the burst is: segments it begins in, the named element, a position, the burst valve, the curb stop that was tried."""

    named: dict
    segments: np.ndarray
    xy: np.ndarray
    burst_valve: int = -1
    curb: dict[str, list[str]] = field(default_factory=dict)
    connection: int = -1


def run(store, inputs: BurstInputs, progress: Progress) -> dict:
    """The burst answer: `valves.close` in closing order, `affected` everything without water, `unintended` what is cut off
    behind the closed part, `also_cut` what goes dry beside it because a valve to close stands between all arms of a junction.

    Raises NotOnNetwork, Ambiguous, NotFound, AccessDenied."""
    begun = time.perf_counter()
    known = water(store, inputs.network, inputs.as_of)
    start = located(store, known, inputs)
    tried = {v for part in start.curb.values() for v in part}
    stuck = {known.engine.network.valve(v) for v in inputs.stuck if v not in tried}
    if start.curb and not start.curb.get("stuck"):
        result, parts = behind_curb_stop(known, start)
    else:
        found = known.engine.burst(start.segments, sorted(stuck), start.burst_valve)
        result, parts = _isolated(known, start, found)
        result |= _beside_the_plan(known, start, inputs, found, sorted(stuck))
    result |= {"data_version": known.version, "as_of": (inputs.as_of or dt.date.today()).isoformat()}
    result["findings"] = answer.findings(known, start.segments if start.connection >= 0 else parts["region"])
    if inputs.details:
        result["doorplate_list"] = answer.doorplate_list(store, result["affected"]["doorplates"])
    if inputs.features or inputs.document:
        result["features"] = _features(known, start, parts)
    if inputs.document:
        result["document"] = document(store, result, inputs.document).by_value()
    return result | {"seconds": round(time.perf_counter() - begun, 6)}


def document(store, answer: dict, kind: str) -> Document:
    """An answer with its features as a sheet for the crew, html or pdf."""
    name, element = next(iter(answer["burst"].items()))
    return page(f"爆管关阀单-{name}-{element}", burst_sheet.html(store, answer), kind)


def _beside_the_plan(known: Water, start: Start, inputs: BurstInputs, found: Isolation, stuck: list[int]) -> dict:
    """What is said beyond the plan: what the stuck valves add, each valve's failure, draining."""
    more = {}
    if stuck:
        more["added"] = plan.added_by_stuck(known, start.segments, found, start.burst_valve)
    if inputs.failures:
        more["if_stuck"] = plan.failures(known, start.segments, stuck, start.burst_valve)
    if inputs.details or inputs.document:
        more["drain"] = plan.drain(known, found.region)
    return more


def located(store, known: Water, inputs: BurstInputs) -> Start:
    """The segments in which the burst begins."""
    engine, net = known.engine, known.engine.network
    if inputs.connection is not None:
        return connection_start(known, inputs.connection, inputs.stuck)
    if inputs.valve is not None:
        valve = net.valve(inputs.valve)
        return Start({"valve": inputs.valve}, engine.segments_at_valve(valve), net.valve_xy[valve], burst_valve=valve)
    if inputs.at is not None:
        return _point_start(store, known, inputs)
    if inputs.node is not None:
        return _node_start(known, net.node(inputs.node))
    return _pipe_start(known, net.pipe(inputs.pipe))


def _pipe_start(known: Water, pipe: int) -> Start:
    net = known.engine.network
    line = net.line(pipe)
    middle = _middle(line) if len(line) else np.array([np.nan, np.nan])
    return Start({"pipe": net.pipe_id[pipe].decode()}, known.engine.segments.of_pipe[[pipe]].astype(np.int64), middle)


def _node_start(known: Water, node: int) -> Start:
    net = known.engine.network
    return Start({"node": net.node_id[node].decode()}, known.engine.segments_at_node(node), net.node_xy[node])


def _point_start(store, known: Water, inputs: BurstInputs) -> Start:
    """The pipe nearest to the point, or the junction where several are equally near."""
    if not crs.inside(*inputs.at, store.catalog.city.extent, margin=0.1):
        raise OutsideExtent("the point lies outside the city", where=f"{inputs.at[0]}, {inputs.at[1]}", remedy="Longitude comes first")
    metric = store.catalog.city.working_crs
    kind, index, _ = pipe_at(
        known.engine, *inputs.at, inputs.tolerance_m, lambda x, y: crs.transform(x, y, crs.STORED, metric), known.boxes
    )
    start = _pipe_start(known, index) if kind == "pipe" else _node_start(known, index)
    start.xy = np.array(inputs.at)
    return start


def connection_start(known: Water, connection: str, stuck: Collection[str] = ()) -> Start:
    """A service connection: its curb stop where it has one that turns (or is closed), else the main that it hangs on."""
    supplied = known.consumers
    index = supplied.connection(connection)
    main = int(supplied.connection_pipe[index])
    start = _pipe_start(known, main)
    start.named = {"connection": connection, "pipe": start.named["pipe"]}
    if np.isfinite(supplied.connection_xy[index]).all():
        start.xy = supplied.connection_xy[index]
    start.connection = index
    curb = supplied.curb_id[index].decode()
    if curb:
        fails = curb in stuck or not supplied.curb_usable[index]
        part = "already_closed" if not supplied.curb_open[index] else ("stuck" if fails else "close")
        start.curb = {part: [curb]}
    return start


def _middle(line: np.ndarray) -> np.ndarray:
    """The point half way along a line."""
    step = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(step)))
    half = along[-1] / 2
    return np.array([np.interp(half, along, line[:, axis]) for axis in (0, 1)])


def _shell(known: Water, start: Start) -> dict:
    lon, lat = (round(float(v), 9) if np.isfinite(v) else None for v in start.xy)
    return {"network": known.name, "burst": start.named | {"lon": lon, "lat": lat}}


def _isolated(known: Water, start: Start, found: Isolation) -> tuple[dict, dict]:
    """The answer of a burst on the main."""
    engine, net = known.engine, known.engine.network
    dry, all_dry = answer.affected(known, np.concatenate((found.region, found.lost)))
    behind, cut_off = answer.affected(known, found.lost)
    beside, also_cut = answer.affected(known, found.beside)
    stuck = start.curb.get("stuck", []) + decoded(net.valve_id[found.stuck])
    result = _shell(known, start) | {
        "isolated": found.isolated, "segments": [engine.segment_name(s) for s in found.region if engine.segments.real[s]],
        "valves": {
            "close": decoded(net.valve_id[found.close]), "optional": decoded(net.valve_id[found.optional]),
            "already_closed": decoded(net.valve_id[found.already_closed]), "stuck": stuck,
        },
        "sources_to_shut": decoded(net.source_id[found.sources_to_shut]), "affected": dry,
        "unintended": {"pipes": behind["pipes"], "customers": behind["customers"]},
        "also_cut": {"pipes": beside["pipes"], "customers": beside["customers"]},
        "feeds_to_open": decoded(net.valve_id[found.feeds_to_open]),
    }  # fmt: skip
    inside = np.setdiff1d(all_dry.pipes, cut_off.pipes)
    return result, {"region": found.region, "found": found, "inside": inside, "cut_off": np.concatenate((cut_off.pipes, also_cut.pipes)),
                    "hydrants": all_dry.hydrants}  # fmt: skip


def behind_curb_stop(known: Water, start: Start) -> tuple[dict, dict]:
    """The answer where the curb stop isolates the service connection: the main stays in service."""
    supplied, one = known.consumers, np.array([start.connection])
    building = int(supplied.connection_building[start.connection])
    urgent = supplied.connection_priority[start.connection].decode()
    priority = [] if urgent in ("none", "") else [{
        "connection": start.named["connection"], "priority": urgent, "customers": int(supplied.connection_customers[start.connection]),
        "building": supplied.building_id[building].decode() if building >= 0 else None,
    }]  # fmt: skip
    result = _shell(known, start) | {
        "isolated": True, "segments": [],
        "valves": {"close": [], "optional": [], "already_closed": [], "stuck": []} | start.curb,
        "sources_to_shut": [],
        "affected": {
            "pipes": [], "length_m": 0.0, "volume_m3": 0.0, "customers": int(supplied.connection_customers[start.connection]),
            "doorplates": decoded(supplied.plates_of(one)), "priority": priority, "hydrants": [],
        },
        "unintended": {"pipes": [], "customers": 0}, "also_cut": {"pipes": [], "customers": 0}, "feeds_to_open": [],
    }  # fmt: skip
    none = np.zeros(0, np.int64)
    return result, {"region": none, "found": None, "inside": none, "cut_off": none, "hydrants": none}


def _features(known: Water, start: Start, parts: dict) -> dict:
    """The answer on the map. `part`: burst, closed, cut_off, valve_close (with `order`), valve_optional, valve_already_closed,
    valve_stuck, hydrant, source."""
    shown = [
        answer.pipe_features(known, parts["inside"], "closed"), answer.pipe_features(known, parts["cut_off"], "cut_off"),
        answer.point_features(known, "hydrant", parts["hydrants"], "hydrant"),
    ]  # fmt: skip
    found = parts["found"]
    if found is not None:
        shown += [
            answer.point_features(known, "valve", found.close, "valve_close", ordered=True),
            answer.point_features(known, "valve", found.optional, "valve_optional"),
            answer.point_features(known, "valve", found.already_closed, "valve_already_closed"),
            answer.point_features(known, "valve", found.stuck, "valve_stuck"),
            answer.point_features(known, "source", found.sources_to_shut, "source"),
        ]  # fmt: skip
    burst = []
    if np.isfinite(start.xy).all():
        kind, name = next(iter(start.named.items()))
        layer = {"connection": "water_connection"}.get(kind, f"water_{kind}")
        point = {"type": "Point", "coordinates": np.round(start.xy, 9).tolist()}
        burst = [{"type": "Feature", "geometry": point, "properties": {"layer": layer, "id": name, "part": "burst"}}]
    return answer.collection(chain(*shown, burst))


def parsed(**parameters) -> BurstInputs:
    """The inputs from parameters. Raises InputError that names what is wrong."""
    from pydantic import ValidationError

    try:
        return BurstInputs(**parameters)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            first["msg"].removeprefix("Value error, "), where=".".join(map(str, first["loc"])), remedy="See `onemap burst --help`"
        ) from None


PROCESS = Process(
    id="pipe-burst",
    title=Text(zh="爆管分析", en="Pipe burst"),
    description=Text(
        zh="爆管后关哪些阀门（按关闭顺序）、停水范围、户数与门牌、意外停水、可开启的联络阀；阀门关不动时再算一次（二次关阀）",
        en="The valves to close in closing order, the pipes, customers and door-plates without water, what is cut off behind them, "
        "and closed valves that could feed it; asked again when a valve does not turn",
    ),
    inputs=BurstInputs,
    run=run,
    layers=LAYERS,
    keywords=("water", "isolation", "爆管", "关阀"),
    example={"network": "city", "at": [117.0, 32.0], "features": True},
)
