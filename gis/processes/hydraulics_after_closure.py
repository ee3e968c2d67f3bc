"""What a closure does to the pressure: who keeps water and falls below the minimum service pressure."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from gis.analysis import hydraulic_model, hydraulics
from gis.analysis.hydraulic_model import Attributes, Closure
from gis.analysis.network import decoded
from gis.catalog.model import Text
from gis.errors import InputError, NotFound, SourceError
from gis.processes import Inputs, Process, Progress, _works, pipe_burst
from gis.processes import _water_answer as answer
from gis.processes._water_network import LAYERS, Water, water
from gis.settings import settings
from gis.standards import document

METRES_PER_MPA = 101.97
"""Metres of water (ρ = 1000 kg/m³, g = 9.807 m/s²)."""
PEOPLE = 3.0
"""People behind one customer where the layers count customers, not people."""
_SERVICE = document("water_service")
_NONE = np.zeros(0, np.int64)


_TASKS = (*pipe_burst.PLACES, "valves", "work")


class HydraulicsInputs(Inputs):
    """What is closed (a burst, valves, or a work), and what counts as enough pressure."""

    network: str = Field("city", title="Network", description="The name of the water network", min_length=1, max_length=40)
    pipe: str | None = Field(None, title="Pipe", description="The burst pipe; its segment is isolated", max_length=200)
    node: str | None = Field(None, title="Node", description="The burst junction", max_length=200)
    valve: str | None = Field(None, title="Valve", description="The burst valve", max_length=200)
    connection: str | None = Field(None, title="Connection", description="The burst service connection", max_length=200)
    at: tuple[float, float] | None = Field(None, title="Position", description="Longitude, latitude; the nearest pipe is taken")
    work: int | None = Field(None, title="Work", description="The number of a work: with those at the same time", ge=1, lt=2**63)
    valves: list[str] | None = Field(None, title="Valves", description="The valves to close", min_length=1, max_length=1000)
    stuck: list[str] = Field(
        default_factory=list, title="Stuck valves", description="Valves that do not turn (with a burst)", max_length=1000
    )
    min_pressure_m: float = Field(
        float(_SERVICE["network_end_pressure_m"]["value"]), title="Minimum service pressure", ge=1, le=200,
        description="Metres of water above ground; " + _SERVICE["network_end_pressure_m"]["source"],
    )  # fmt: skip
    as_of: dt.date | None = Field(None, title="As of", description="Solve the network and states of that day, as known at its end")
    hours: float = Field(
        24.0, title="Hours", description="How long the patterns of an EPANET file are followed; 0: its first moment", ge=0, le=168
    )
    litres_per_day: float = Field(
        PEOPLE * _SERVICE["demand_l_per_person_day"]["value"], title="Demand", ge=1, le=100_000,
        description="Litres that one customer uses a day, where the demand is counted from service connections",
    )  # fmt: skip
    peak_factor: float = Field(
        float(_SERVICE["peak_hour_factor"]["value"]), title="Peak factor", ge=0.1, le=10, description="The hour looked at, over the mean"
    )
    model: Literal["auto", "file", "layers"] = Field(
        "auto", title="Model", description="The kept EPANET file with its curves and patterns, or the layers; auto: the file while it holds"
    )
    limit: int = Field(200, title="Limit", description="How many junctions are listed, the worst first", ge=0, le=10_000)
    features: bool = Field(False, title="Features", description="Add a GeoJSON FeatureCollection for the map")

    @model_validator(mode="after")
    def _one_thing(self):
        given = [name for name in _TASKS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of " + ", ".join(_TASKS))
        if self.work is not None and self.as_of is not None:
            raise ValueError("a work is solved on the network of today: leave as_of out")
        return self


@dataclass(frozen=True)
class _Shut:
    """The closure in the engine's indices: valves the crew closes, valves closed before, valves that do not turn, and the pipes and sources
    out of service with them."""

    valves: np.ndarray
    before: np.ndarray
    stuck: np.ndarray
    pipes: np.ndarray
    sources: np.ndarray


def run(store, inputs: HydraulicsInputs, progress: Progress) -> dict:
    """Pressures before and after. `junctions` and `customers` count them by state (cut_off, fell_below, low, served, dry), `points` lists
    those that fell below, `unserved_lps` the demand that is not met; `model` says what was solved and `findings` what it assumes and what
    EPANET warns of.

    Raises NotOnNetwork, NotFound, AccessDenied, InputError where EPANET finds no solution."""
    begun = time.perf_counter()
    progress(0.02, "network")
    known, named, shut = _task(store, inputs)
    moment = _end_of(inputs.as_of)
    file, why = _file(store, known, inputs, moment)
    progress(0.1, "model")
    notes, solve = _of_file(known, shut, *file) if file else _of_layers(store, known, shut, inputs, moment)
    table, described, warned = solve(inputs, progress)
    net = known.engine.network
    found = hydraulics.summary(table)
    result = {
        "network": known.name, "burst": named,
        "closed": {"valves": decoded(net.valve_id[shut.valves]), "pipes": decoded(net.pipe_id[shut.pipes]),
                   "sources": decoded(net.source_id[shut.sources]), "already_closed": decoded(net.valve_id[shut.before]),
                   "stuck": decoded(net.valve_id[shut.stuck])},
        "min_pressure_m": inputs.min_pressure_m, "standard": _standard(inputs), **found,
        "points": _listed(table, inputs.limit), "model": described | {"why": why}, "findings": [*notes, *warned],
        "data_version": known.version, "as_of": (inputs.as_of or dt.date.today()).isoformat(),
    }  # fmt: skip
    if inputs.features:
        result["features"] = _features(known, shut, table)
    progress(1.0, "done")
    return result | {"seconds": round(time.perf_counter() - begun, 3)}


def _end_of(day: dt.date | None) -> dt.datetime | None:
    """The moment whose knowledge counts for a day: its end, or now."""
    if day is None:
        return None
    return min(dt.datetime.combine(day + dt.timedelta(days=1), dt.time()).astimezone(), dt.datetime.now().astimezone())


def _standard(inputs: HydraulicsInputs) -> dict | None:
    """The rule that the minimum comes from, while it is not the caller's own."""
    rule = _SERVICE["network_end_pressure_m"]
    return {k: rule[k] for k in ("text", "source", "status")} if inputs.min_pressure_m == rule["value"] else None


def _task(store, inputs: HydraulicsInputs) -> tuple[Water, dict | None, _Shut]:
    """The network, what it is about, and what is shut on it."""
    if inputs.work is not None:
        return _of_work(store, inputs)
    known = water(store, inputs.network, inputs.as_of)
    engine, net = known.engine, known.engine.network
    if inputs.valves is not None:
        valves = np.unique(np.array([net.valve(v) for v in inputs.valves], np.int64))
        found = engine.close(valves)
        shut = np.setdiff1d(valves, np.concatenate((found.already_closed, found.stuck)))
        return known, None, _Shut(shut, found.already_closed, found.stuck, _NONE, _NONE)
    place = {name: getattr(inputs, name) for name in pipe_burst.PLACES if getattr(inputs, name) is not None}
    start = pipe_burst.located(store, known, pipe_burst.parsed(network=inputs.network, stuck=inputs.stuck, **place))
    if start.curb and not start.curb.get("stuck"):
        raise InputError("a curb stop shuts this connection: the pressure of the mains stays as it is", where="connection",
                         remedy="Name the curb stop as stuck to see what shutting the main does")  # fmt: skip
    tried = {v for part in start.curb.values() for v in part}
    found = engine.burst(start.segments, sorted({net.valve(v) for v in inputs.stuck if v not in tried}), start.burst_valve)
    return known, start.named, _isolated(known, found.close, found.already_closed, found.stuck, found.region, found.sources_to_shut)


def _of_work(store, inputs: HydraulicsInputs) -> tuple[Water, dict, _Shut]:
    """A work, together with those that have to be seen as one with it: where there are several groups, the one with the most works."""
    row = _works.one(store, inputs.work)
    if row["state"] not in _works.ALIVE:
        raise InputError(f"work {row['id']} is {row['state']}", remedy="See `onemap works list`")
    known, _ = _works.network_of(store, row)
    start = _works.begun(known, row)
    if start.behind_curb_stop:
        raise InputError("a curb stop shuts this connection: the mains keep their pressure", where="work", remedy="Nothing to do")
    told, joint, _ = _works.conflicting(store, known, row)
    named = {"work": row["id"], row["element"]: row["element_id"]}
    if not joint:
        plan = start.work.plan(known.engine)
        return known, named, _isolated(known, plan.close, plan.already_closed, plan.stuck, plan.region, plan.sources_to_shut)
    most = max(range(len(joint)), key=lambda i: len(joint[i].members))
    one, plan = joint[most].joint, joint[most].joint.plan
    shut = _isolated(known, one.shut, plan.already_closed, plan.stuck, one.region, plan.sources_to_shut)
    return known, named | {"together": [w for w in told[most]["works"] if w != row["id"]]}, shut


def _isolated(known: Water, close, before, stuck, region, sources) -> _Shut:
    return _Shut(close, before, stuck, np.flatnonzero(np.isin(known.engine.segments.of_pipe, region)), sources)


def _file(store, known: Water, inputs: HydraulicsInputs, moment: dt.datetime | None) -> tuple[tuple | None, str]:
    """The kept EPANET file (its model, its name) where it is to be used and can be read, and why or why not."""
    if inputs.model == "layers":
        return None, "the layers, as asked"
    rows = store.rows("water_model", network=known.name, moment=moment)
    path = settings().home / "sources" / rows[0]["sha256"] if rows else None
    if path is not None and path.is_file():
        try:
            return (hydraulics.loaded(path), rows[0]["name"]), "the file as loaded: its curves, patterns, settings and controls"
        except SourceError as error:
            why = error.what
    else:
        why = "no EPANET file is kept that this network still is"
    if inputs.model == "file":
        raise NotFound(f"there is no model of {known.name[:60]!r}: {why}", remedy="Ask with model=layers")
    return None, why


def _of_file(known: Water, shut: _Shut, made, name: str):
    """The model of the file. Valves closed since it was loaded are closed in it before and after; pipes that it has closed and that
    were opened since are open."""
    engine, net = known.engine, known.engine.network
    closed = np.flatnonzero(~engine.states.open & (net.valve_isolating | net.valve_directed))
    standing = set(hydraulic_model.links_shut(net, closed))
    new = hydraulics.follow(made, standing)

    def solve(inputs: HydraulicsInputs, progress: Progress):
        hydraulics.cut(made, new)
        before = hydraulics.solved(made, inputs.min_pressure_m, inputs.hours, lambda share: progress(0.2 + 0.35 * share, "before"))
        size = {"junctions": made.num_junctions, "links": made.num_links, "hours": made.options.time.duration / 3600}
        pipes = decoded(net.pipe_id[shut.pipes])
        hydraulics.cut(made, [*hydraulic_model.links_shut(net, shut.valves), *pipes], decoded(net.source_id[shut.sources]))
        after = hydraulics.solved(made, inputs.min_pressure_m, inputs.hours, lambda share: progress(0.55 + 0.4 * share, "after"))
        used = before.index[before["demand_lps"] > 0]
        place = pd.DataFrame({"node_id": used, "pipe_id": None, "before": used, "after": used, "customers": 1,
                              "demand_lps": before.loc[used, "demand_lps"].to_numpy()})  # fmt: skip
        table = hydraulics.compared(place, before, after, inputs.min_pressure_m)
        return table, {"kind": "file", "name": name} | size, _warned(before, after, lambda ids: ids)

    return [], solve


def _warned(before: pd.DataFrame, after: pd.DataFrame, named) -> list[dict]:
    """What cannot be taken as it stands: pumps against a closed end, and what EPANET said. named: from the model's names to the layers'."""
    found = []
    against = list(dict.fromkeys([*before.attrs.get("against_closed", []), *after.attrs.get("against_closed", [])]))
    said = [f"{side}: {text}" for side, table in (("before", before), ("after", after)) for text in table.attrs.get("warnings", [])]
    for code, ids in (("HY07", named(against)), ("HY08", said)):
        if ids:
            message, chinese = hydraulic_model.FINDINGS[code]
            found.append({"code": code, "message": message, "message_zh": chinese, "n": len(ids), "ids": ids[:20]})
    return found


def _of_layers(store, known: Water, shut: _Shut, inputs: HydraulicsInputs, moment: dt.datetime | None):
    """The model of the layers: one moment, demands from the service connections."""
    net, engine = known.engine.network, known.engine
    attributes, fraction = _attributes(store, known, inputs.as_of, moment)
    notes = [_finding(code, ids) for code, ids in hydraulic_model.findings(net, attributes)]
    each = inputs.litres_per_day * inputs.peak_factor / 86_400
    used = hydraulic_model.points(net, known.consumers, fraction, each)
    closed = np.flatnonzero(~engine.states.open & (net.valve_isolating | net.valve_directed))

    def solve(inputs: HydraulicsInputs, progress: Progress):
        solutions, size = {}, {}
        steps = {"before": (0.3, Closure(closed)), "after": (0.6, Closure(np.union1d(closed, shut.valves), shut.pipes, shut.sources))}
        for side, (share, closure) in steps.items():
            progress(share, side)
            tables, used[side] = hydraulic_model.tables(net, attributes, used, closure)
            made = hydraulics.model(tables)
            hydraulics.cut(made)
            solutions[side] = hydraulics.solved(made, inputs.min_pressure_m)
            size[side] = {"junctions": made.num_junctions, "links": made.num_links}
        described = {"kind": "layers", "name": known.name} | size["before"] | {"hours": 0.0}
        table = hydraulics.compared(used, solutions["before"], solutions["after"], inputs.min_pressure_m)
        return table, described, _warned(solutions["before"], solutions["after"], lambda names: _in_layers(net, names))

    return notes, solve


def _in_layers(net, names: list[str]) -> list[str]:
    """The ids of what the model of the layers calls V12 (a valve), N12 (a node) or E12 (an end of a pipe)."""
    kinds = {"V": (net.valve_id, 1), "N": (net.node_id, 1), "E": (net.pipe_id, 2)}
    return list(dict.fromkeys(kinds[name[0]][0][int(name[1:]) // kinds[name[0]][1]].decode() for name in names if name[0] in kinds))


def _finding(code: str, ids: np.ndarray) -> dict:
    message, chinese = hydraulic_model.FINDINGS[code]
    return {"code": code, "message": message, "message_zh": chinese, "n": len(ids), "ids": decoded(ids[:20])}


def _attributes(store, known: Water, day: dt.date | None, moment: dt.datetime | None) -> tuple[Attributes, np.ndarray]:
    """What the hydraulics need beside the topology, in its order; of a day as it was known then."""
    net = known.engine.network

    def rows(layer: str, columns: list[str], geometry: bool = False):
        return store.frame(layer, columns, {"network": known.name}, at=day, as_of=moment, geometry=geometry)

    nodes = rows("water_node", ["node_id", "ground_m"], geometry=True)
    height = nodes["ground_m"].to_numpy(float)
    drawn = nodes.geometry.get_coordinates(include_z=True)["z"].to_numpy(float)
    pipes = rows("water_pipe", ["pipe_id", "roughness", "pressure_mpa"])
    valves = rows("water_valve", ["valve_id", "kind", "setting", "curve", "power_kw"])
    sources = rows("water_source", ["source_id", "head_m"])
    connections = rows("water_connection", ["connection_id", "fraction"])
    kind = _aligned(valves["valve_id"], valves["kind"], net.valve_id).fillna("other").to_numpy(object)
    recorded = _numbers(valves["valve_id"], valves["setting"], net.valve_id)
    beside = _settings(net, _numbers(pipes["pipe_id"], pipes["pressure_mpa"], net.pipe_id) * METRES_PER_MPA, kind)
    curves = np.full(net.n_valves, None, object)
    for v, text in enumerate(_aligned(valves["valve_id"], valves["curve"], net.valve_id)):
        curves[v] = hydraulic_model.curve_points(text)
    attributes = Attributes(
        elevation_m=_numbers(nodes["node_id"], np.where(np.isfinite(height), height, drawn), net.node_id),
        roughness=_numbers(pipes["pipe_id"], pipes["roughness"], net.pipe_id), kind=kind,
        setting_m=np.where(np.isfinite(recorded), recorded, beside), guessed=~np.isfinite(recorded),
        head_m=_numbers(sources["source_id"], sources["head_m"], net.source_id), curve=curves,
        power_kw=_numbers(valves["valve_id"], valves["power_kw"], net.valve_id),
    )  # fmt: skip
    return attributes, _numbers(connections["connection_id"], connections["fraction"], known.consumers.connection_id)


def _aligned(ids: pd.Series, values, wanted: np.ndarray) -> pd.Series:
    table = pd.Series(np.asarray(values), index=ids.to_numpy(object))
    return table[~table.index.duplicated()].reindex(decoded(wanted))


def _numbers(ids: pd.Series, values, wanted: np.ndarray) -> np.ndarray:
    return pd.to_numeric(_aligned(ids, values, wanted), errors="coerce").to_numpy(float)


def _settings(net, pressure_m: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """What a pressure valve holds: the highest pressure recorded on the pipes at the node it regulates (behind a PRV, before a PSV)."""
    setting = np.full(net.n_valves, np.nan)
    for v in np.flatnonzero(np.isin(kind, ("prv", "psv"))):
        node = net.valve_to[v] if kind[v] == "prv" and net.valve_to[v] >= 0 else net.valve_node[v]
        near = pressure_m[(net.pipe_from == node) | (net.pipe_to == node)]
        if np.isfinite(near).any():
            setting[v] = np.nanmax(near)
    return setting


def _listed(table: pd.DataFrame, limit: int) -> list[dict]:
    """Those that keep water and fell below, or were below before and lost more; the lowest pressure first."""
    worse = table[table["state"].isin(["fell_below", "low"]) & (table["before_m"] - table["after_m"] > 0.01)]
    worse = worse.sort_values(["after_m", "node_id"]).head(limit)
    return [
        {"node": row.node_id, "pipe": row.pipe_id, "state": row.state, "before_m": round(row.before_m, 3), "after_m": round(row.after_m, 3),
         "customers": int(row.customers), "demand_lps": round(row.demand_lps, 4), "unserved_lps": round(row.unserved_lps, 4)}
        for row in worse.itertuples()
    ]  # fmt: skip


def _features(known: Water, shut: _Shut, table: pd.DataFrame) -> dict:
    """The junctions where water is used with their pressures, and the closed part."""
    net = known.engine.network
    shown = [*answer.pipe_features(known, shut.pipes, "closed")]
    shown += answer.point_features(known, "valve", shut.valves, "valve_close", ordered=True)
    index = {name: i for i, name in enumerate(decoded(net.node_id))}
    for row in table.itertuples():
        at = net.node_xy[index[row.node_id]] if row.node_id in index else None
        if at is not None and np.isfinite(at).all():
            pressures = {k: None if np.isnan(v) else round(v, 2) for k, v in (("before_m", row.before_m), ("after_m", row.after_m))}
            properties = {"layer": "water_node", "id": row.node_id, "part": row.state, "customers": int(row.customers)} | pressures
            point = {"type": "Point", "coordinates": np.round(at, 9).tolist()}
            shown.append({"type": "Feature", "geometry": point, "properties": properties})
    return answer.collection(shown)


PROCESS = Process(
    id="hydraulics-after-closure",
    title=Text(zh="关阀后水压", en="Pressure after a closure"),
    description=Text(
        zh="关阀或爆管隔离后，仍有水处的水压（前、后）、低于最低服务水压的节点与户数、缺供水量；EPANET，随压用水",
        en="After valves are closed or a burst is isolated: pressures before and after where water remains, junctions and customers that "
        "fall below the minimum service pressure, demand not served; by EPANET with pressure-dependent demand",
    ),
    inputs=HydraulicsInputs,
    run=run,
    layers=LAYERS,
    keywords=("water", "hydraulics", "pressure", "水压", "关阀"),
    example={"network": "city", "valves": ["FM000001"]},
)
