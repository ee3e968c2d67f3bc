"""The way of a crew: from the nearest depot over the valves of a burst or a work, along the streets, with times and addresses."""

from __future__ import annotations

import datetime as dt
import time
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from gis import crs
from gis.analysis import crew_route, road_graph
from gis.analysis.crew_route import Leg, Route, Streets
from gis.analysis.network import position
from gis.analysis.road_graph import Positions
from gis.catalog.model import Text
from gis.errors import InputError
from gis.processes import Inputs, Process, pipe_burst, works
from gis.processes._road_network import MAX_SNAP_M, Roads, roads
from gis.processes._water_network import LAYERS, Water, water

DEPOT = "water_depot"
"""The kind of facility (onemap.facility_kind) from which crews start."""


class CrewRouteInputs(Inputs):
    """A burst, a work, or valves in their order; and where the crew starts."""

    network: str = Field("city", title="管网 Network", description="管网名称 / The network's name", min_length=1, max_length=40)
    pipe: str | None = Field(None, title="管段 Pipe", description="爆管管段 / The burst pipe", max_length=200)
    node: str | None = Field(None, title="节点 Node", description="爆管节点 / The burst junction", max_length=200)
    valve: str | None = Field(None, title="阀门 Valve", description="损坏的阀门 / The burst valve", max_length=200)
    connection: str | None = Field(None, title="入户管 Connection", description="损坏的入户管 / The service line", max_length=200)
    at: tuple[float, float] | None = Field(None, title="位置 Position", description="经度,纬度 / Longitude, latitude")
    work: int | None = Field(None, title="作业 Work", description="作业编号 / The number of a work", ge=1, lt=2**63)
    valves: list[str] | None = Field(None, title="阀门 Valves", description="按此顺序 / In this order", min_length=1, max_length=200)
    stuck: list[str] = Field(default_factory=list, title="关不动 Stuck", description="关不动的阀门 / They do not turn", max_length=1000)
    depot: tuple[float, float] | None = Field(
        None, title="出发点 Depot", description="经度,纬度；不填则取最近的供水抢修站 / Longitude, latitude; default the nearest depot"
    )
    order: Literal["closing", "quickest"] = Field(
        "closing", title="顺序 Order", description="closing 按关阀顺序、quickest 用时最短 / In closing order, or with the least driving"
    )
    minutes_per_valve: float = Field(
        10.0, title="每阀用时 At each valve", description="分钟，找阀、开井、关阀 / Minutes to find, open and turn a valve", ge=0, le=240
    )
    features: bool = Field(False, title="要素 Features", description="同时返回路线要素 / Add a GeoJSON FeatureCollection")

    @model_validator(mode="after")
    def _one_task(self):
        given = [n for n in (*pipe_burst.PLACES, "work", "valves") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of " + ", ".join((*pipe_burst.PLACES, "work", "valves")))
        for name in ("at", "depot"):
            place = getattr(self, name)
            if place is not None and not (-180 <= place[0] <= 180 and -90 <= place[1] <= 90):
                raise ValueError(f"`{name}` is longitude, latitude in degrees")
        return self


def run(store, inputs: CrewRouteInputs, progress=None) -> dict:
    """{network, depot: {id, name, lon, lat}, stops: [{order, valve, lon, lat, address, address_m, road_m, drive_m, drive_s, arrive_s,
    leave_s}], remote, unreached, drive_m, drive_s, total_s, assumed, data_version, seconds}.

    Remote-controlled valves need no crew and are named in `remote`; valves farther than 300 m from every street, or that no street leads
    to, in `unreached`. Times in seconds from setting out. Raises InputError (no depot), and as the burst does."""
    begun = time.perf_counter()
    store.require(PROCESS.layers)
    known = water(store, inputs.network)
    wanted, line = _task(store, inputs)
    remote, crewed, at = _places(known, wanted, line)
    on = roads(store, dt.date.today())
    streets = _streets(store, on)
    depots = _depots(store, inputs)
    places, stops = (_snapped(store, on, streets, xy) for xy in (depots[["lon", "lat"]].to_numpy(float), at))
    found = crew_route.route(streets, places, stops, inputs.order == "quickest")
    told = list(_stops(store, crewed, at, stops, found, inputs.minutes_per_valve * 60))
    result = {
        "network": inputs.network, "depot": None if found.depot < 0 else depots.iloc[found.depot].to_dict(), "order": inputs.order,
        "stops": told, "remote": remote, "unreached": [crewed[i] for i in found.unreached],
        "drive_m": round(sum(leg.metres for leg in found.legs), 1), "drive_s": round(sum(leg.seconds for leg in found.legs)),
        "total_s": told[-1]["leave_s"] if told else 0,
        "assumed": {"share_of_speed_limit": crew_route.PACE, "minutes_per_valve": inputs.minutes_per_valve},
        "data_version": store.version(["road", "water_valve", "facility"]),
    }  # fmt: skip
    if inputs.features:
        result["features"] = _features(store, result, found.legs)
    return result | {"seconds": round(time.perf_counter() - begun, 6)}


def _places(known: Water, wanted: list[str], line: str | None) -> tuple[list[str], list[str], np.ndarray]:
    """Valves that are moved from afar; those that a crew has to go to, and where they are (degrees). A curb stop is where its service line
    ends; `line`: that service line. Raises NotOnNetwork."""
    net, supplied = known.engine.network, known.consumers
    remote, crewed, at = [], [], []
    for name in wanted:
        if line is not None and position(net.valve_id, name) < 0:
            crewed.append(name)
            at.append(supplied.connection_xy[supplied.connection(line)])
        elif net.valve_remote[net.valve(name)]:
            remote.append(name)
        else:
            crewed.append(name)
            at.append(net.valve_xy[net.valve(name)])
    return remote, crewed, np.array(at, float).reshape(-1, 2)


def _task(store, inputs: CrewRouteInputs) -> tuple[list[str], str | None]:
    """The valves to close, in order; and the service line, where it is about one."""
    if inputs.valves is not None:
        return list(dict.fromkeys(inputs.valves)), None
    if inputs.work is not None:
        shown = works.shown(store, inputs.work)
        if shown["work"]["network"] != inputs.network:
            raise InputError(f"work {inputs.work} is on the network {shown['work']['network']}", remedy="Give that network")
        if shown["plan"] is None:
            raise InputError(f"work {inputs.work} is {shown['work']['state']}", remedy="See `onemap works list`")
        row = shown["work"]
        return shown["plan"]["valves"]["close"], row["element_id"] if row["element"] == "connection" else None
    place = {name: getattr(inputs, name) for name in pipe_burst.PLACES if getattr(inputs, name) is not None}
    burst = pipe_burst.parsed(network=inputs.network, stuck=inputs.stuck, **place)
    return pipe_burst.run(store, burst, lambda share, what: None)["valves"]["close"], inputs.connection


def _streets(store, on: Roads) -> Streets:
    """The streets to drive on, with the seconds of each edge."""
    limits = store.frame("road", ["road_id", "speed_kmh"], geometry=False)
    limit = pd.Series(limits["speed_kmh"].to_numpy(float), index=limits["road_id"].to_numpy(object))
    limit = limit[~limit.index.duplicated()].reindex(np.asarray(on.road_id, dtype=object)).to_numpy(float)
    return Streets(on.graph, on.ways("drive"), crew_route.edge_seconds(on.graph, limit, np.asarray(on.klass)))


def _depots(store, inputs: CrewRouteInputs) -> pd.DataFrame:
    """Where crews may start: the given point, or the depots in service. Raises InputError where there are none."""
    if inputs.depot is not None:
        return pd.DataFrame([{"id": None, "name": None, "lon": inputs.depot[0], "lat": inputs.depot[1]}])
    frame = store.frame("facility", ["facility_id", "name"], where={"kind": DEPOT}, at=dt.date.today())
    if frame.empty:
        raise InputError("there is no depot", where="depot", remedy="Give its position, or load facilities of the kind 供水抢修站")
    xy = {"lon": frame.geometry.x.round(7), "lat": frame.geometry.y.round(7)}
    return pd.DataFrame({"id": frame["facility_id"], "name": frame["name"], **xy})


def _snapped(store, on: Roads, streets: Streets, lonlat: np.ndarray) -> Positions:
    """Positions on the streets that cars may use."""
    x, y = crs.transform(lonlat[:, 0], lonlat[:, 1], crs.STORED, store.catalog.city.working_crs)
    return road_graph.snap(on.graph, np.column_stack([x, y]), MAX_SNAP_M, among=streets.ways.forward | streets.ways.backward)


def _stops(store, crewed: list[str], lonlat: np.ndarray, at: Positions, found: Route, each_s: float):
    """The stops in the order of the way."""
    clock = 0.0
    metric = crs.epsg(store.catalog.city.working_crs)
    for order, leg in enumerate(found.legs, 1):
        clock += leg.seconds
        lon, lat = (round(float(v), 7) for v in lonlat[leg.stop])
        near = store.rows("reverse_addresses", lon=lon, lat=lat, day=dt.date.today(), srid=metric, limit=1)
        yield {
            "order": order, "valve": crewed[leg.stop], "lon": lon, "lat": lat,
            "address": near[0]["full_text"] if near else None, "address_m": round(near[0]["distance_m"], 1) if near else None,
            "road_m": round(float(at.gap[leg.stop]), 1), "drive_m": round(leg.metres, 1), "drive_s": round(leg.seconds),
            "arrive_s": round(clock), "leave_s": round(clock + each_s),
        }  # fmt: skip
        clock += each_s


def _features(store, result: dict, legs: list[Leg]) -> dict:
    """The way on the map: `part` depot, leg (with `order`), stop (with `order`)."""
    features = []

    def add(kind: str, coordinates, **properties) -> None:
        features.append({"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties})

    for order, leg in enumerate(legs, 1):
        if len(leg.line) > 1:
            lon, lat = crs.transform(leg.line[:, 0], leg.line[:, 1], store.catalog.city.working_crs, crs.STORED)
            add("LineString", np.column_stack([lon, lat]).round(7).tolist(), part="leg", order=order)
    for stop in result["stops"]:
        add("Point", [stop["lon"], stop["lat"]], part="stop", order=stop["order"], layer="water_valve", id=stop["valve"])
    if result["depot"]:
        add("Point", [result["depot"]["lon"], result["depot"]["lat"]], part="depot", name=result["depot"]["name"])
    return {"type": "FeatureCollection", "features": features}


PROCESS = Process(
    id="crew-route",
    title=Text(zh="抢修路线", en="Crew route"),
    description=Text(
        zh="抢修人员从最近的供水抢修站出发，沿道路（遵守单行）逐个到达要关的阀门：路线、到达时间、每个阀门附近的地址；远控阀不必前往",
        en="The way of a crew from the nearest depot along the streets over the valves to close: route, times, the address near each; "
        "remote-controlled valves are skipped",
    ),
    inputs=CrewRouteInputs,
    run=run,
    layers=(*LAYERS, "road", "facility", "address"),
    keywords=("water", "crew", "route", "抢修"),
    example={"network": "city", "at": [117.0, 32.0], "features": True},
)
