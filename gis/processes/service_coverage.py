"""How far it is by street from every address to the nearest facility, and which share of people and addresses is covered."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import Literal

import geopandas as gpd
import numpy as np
import orjson
import pandas as pd
import shapely
from pydantic import Field

from gis import crs
from gis.analysis import coverage
from gis.catalog.model import Text
from gis.db import cql2, selection
from gis.db.store import Store
from gis.errors import InputError
from gis.processes import Inputs, Process
from gis.processes._road_network import MAX_SNAP_M, Placed, Roads, placed, roads
from gis.standards import codes

MAX_FEATURES = 50_000
"""More stretches of street than this are not put into one answer; ask for a file instead."""


class ServiceCoverageInputs(Inputs):
    """Which facilities, how far, and how people get there."""

    facilities: str = Field(
        "facility", title="设施图层 Facilities", description="设施所在图层 / The layer that holds the facilities", max_length=60
    )
    distance: float = Field(
        title="距离 Distance", gt=0, le=100_000, allow_inf_nan=False,
        description="米，沿道路 / Metres along the streets within which an address is covered",
    )  # fmt: skip
    kind: str | None = Field(
        None, title="设施类型 Kind", max_length=60,
        description="设施类型代码或名称（如 primary_school、小学）/ A kind of facility, by code or Chinese title",
    )  # fmt: skip
    filter: str | dict | None = Field(None, title="过滤 Filter", description="CQL2 条件，选取设施 / A CQL2 condition that picks facilities")
    mode: Literal["walk", "drive"] = Field(
        "walk", title="方式 Mode",
        description="walk 步行（不计单行）或 drive 驾车（遵守单行，驶向设施）/ walk ignores one-way streets, drive keeps them",
    )  # fmt: skip
    features: bool = Field(
        False, title="返回要素 Features", description="同时返回服务范围路段 / Also the stretches of street within the distance"
    )


@dataclass(frozen=True)
class Coverage:
    """What was computed: the roads, the facilities, the addresses, and the nearest facility of each address (n,)."""

    roads: Roads
    facilities: Placed
    addresses: Placed
    nearest: coverage.Nearest
    day: dt.date


def cover(store: Store, inputs: ServiceCoverageInputs, progress=None) -> Coverage:
    """The nearest facility of every address. Distances go from the address to the facility."""
    step = progress or (lambda share, text: None)
    day = dt.date.today()
    store.require(["road", "address"])  # what may not be seen is told from what is not there by nobody: see selection.fids
    picked = selection.fids(store, inputs.facilities, _filter(store, inputs), day=day)
    step(0.05, "道路 roads")
    network = roads(store, day)
    step(0.3, "设施 facilities")
    facilities = placed(store, network, inputs.facilities, inputs.mode, day)
    rows = np.flatnonzero(np.isin(facilities.fid, picked))
    facilities = Placed(facilities.fid[rows], facilities.community[rows], facilities.positions.take(rows))
    step(0.4, "地址 addresses")
    addresses = placed(store, network, "address", inputs.mode, day)
    step(0.8, "距离 distances")
    ways = network.ways(inputs.mode).turned()
    found = coverage.nearest(network.graph, facilities.positions, addresses.positions, ways)
    return Coverage(network, facilities, addresses, found, day)


def _filter(store: Store, inputs: ServiceCoverageInputs) -> str | dict | None:
    """The filter and the kind as one condition."""
    if inputs.kind is None:
        return inputs.filter
    columns = store.catalog.layer(inputs.facilities).columns_for(store.role)
    if "kind" not in columns or columns["kind"].codes is None:
        raise InputError(f"layer {inputs.facilities} has no kinds", remedy="Leave kind out, or use filter")
    known = codes(columns["kind"].codes)
    code = known.code_of(inputs.kind)
    if code is None:
        raise InputError(f"no kind {inputs.kind[:40]!r}", remedy="One of " + ", ".join(known.codes))
    kind = {"op": "=", "args": [{"property": "kind"}, code]}
    if inputs.filter is None:
        return kind

    return {"op": "and", "args": [kind, cql2.parsed(inputs.filter)]}


def summary(store: Store, inputs: ServiceCoverageInputs, found: Coverage) -> dict:
    """The counts, in all and per community; people are taken as spread evenly over the addresses of their community."""
    distance, positions = found.nearest.distance, found.addresses.positions
    names, people = _communities(store, found.day)
    table = coverage.covered_share(distance, inputs.distance, found.addresses.community, people)
    unreachable = np.isnan(distance)
    off_road = np.asarray(positions.edge) < 0
    return {
        "facilities": len(found.facilities.fid),
        "facilities_off_road": int((np.asarray(found.facilities.positions.edge) < 0).sum()),
        "distance_m": inputs.distance,
        "mode": inputs.mode,
        "addresses": len(distance),
        "covered": int((distance <= inputs.distance).sum()),
        "share": _share((distance <= inputs.distance).sum(), len(distance)),
        "unreachable": int(unreachable.sum()),
        "unreachable_why": {
            "no_road_within_m": MAX_SNAP_M, "no_road": int(off_road.sum()), "not_connected": int((unreachable & ~off_road).sum()),
        },
        "median_m": _rounded(np.nanmedian(distance)) if (~unreachable).any() else None,
        "people": _rounded(table["people"].sum(min_count=1)),
        "people_covered": _rounded(table["people_covered"].sum(min_count=1)),
        "communities": [
            {
                "code": row.Index or None, "name": names.get(row.Index), "addresses": int(row.addresses),
                "covered": int(row.covered), "share": round(float(row.share), 4), "people": _rounded(row.people),
                "people_covered": _rounded(row.people_covered),
            }
            for row in table.itertuples()
        ],
    }  # fmt: skip


def _communities(store: Store, day: dt.date) -> tuple[dict[str, str], pd.Series]:
    if not store.can_read("community"):
        return {}, pd.Series(dtype=float)
    frame = store.frame("community", columns=["code", "name", "population"], at=day, geometry=False).drop_duplicates("code")
    return dict(zip(frame["code"], frame["name"], strict=True)), frame.set_index("code")["population"].astype(float)


def _share(part: int, whole: int) -> float | None:
    return round(float(part / whole), 4) if whole else None


def _rounded(value: float) -> float | None:
    return None if pd.isna(value) else round(float(value), 1)


def address_table(store: Store, inputs: ServiceCoverageInputs, found: Coverage) -> gpd.GeoDataFrame:
    """Every address with its distance (m, null where unreachable), whether it is covered, the nearest facility's id and
    name, and how far it stands from the road; EPSG:4490."""
    positions = found.addresses.positions
    frame = store.frame("address", columns=["fid", "address_id", "full_text", "community_code"])
    own = pd.DataFrame({
        "fid": found.addresses.fid,
        "distance_m": np.round(found.nearest.distance, 2),
        "covered": found.nearest.distance <= inputs.distance,
        "facility": found.nearest.facility,
        "off_road_m": np.round(positions.gap, 2),
    })  # fmt: skip
    facility = _facility_names(store, inputs.facilities, found.facilities.fid)
    row = own.pop("facility").to_numpy()
    for name in ("facility_id", "facility_name"):
        values = np.append(facility[name].to_numpy(dtype=object), None)
        own[name] = values[np.where(row >= 0, row, len(facility))]
    return frame.merge(own, on="fid").drop(columns="fid")


def _facility_names(store: Store, layer_id: str, fid: np.ndarray) -> pd.DataFrame:
    """facility_id (the feature's id) and facility_name (where the layer has names), in the order of `fid`."""
    layer = store.catalog.layer(layer_id)
    visible = layer.columns_for(store.role)
    columns = list(dict.fromkeys(["fid", *layer.key, *(name for name in ("name",) if name in visible)]))
    frame = store.frame(layer_id, columns=columns, geometry=False).set_index("fid").reindex(fid)
    ids = frame[list(layer.key)].astype(str).agg(":".join, axis=1) if len(frame) else pd.Series(dtype=object)
    names = frame["name"] if "name" in frame else pd.Series(None, index=frame.index, dtype=object)
    return pd.DataFrame({"facility_id": ids.to_numpy(dtype=object), "facility_name": names.to_numpy(dtype=object)})


def street_lines(store: Store, inputs: ServiceCoverageInputs, found: Coverage) -> gpd.GeoDataFrame:
    """The stretches of street from which a facility is within the distance, cut at the limit; EPSG:4490."""
    network, metric = found.roads, store.catalog.city.working_crs
    ways = network.ways(inputs.mode).turned()
    lines = coverage.service_area(network.graph, found.facilities.positions, ways, inputs.distance, metric)
    edge = lines["edge"].to_numpy()
    names = {"road_id": network.road_id[edge], "road_name": network.name[edge], "whole": lines["whole"].to_numpy()}
    return gpd.GeoDataFrame(names, geometry=crs.project(lines.geometry.to_numpy(), metric), crs=crs.STORED)


def _feature_collection(lines: gpd.GeoDataFrame) -> dict:
    if len(lines) > MAX_FEATURES:
        raise InputError(f"{len(lines):,} stretches of street are too many for one answer", remedy="Ask without features")
    shapes = shapely.to_geojson(shapely.set_precision(lines.geometry.to_numpy(), 1e-7, mode="pointwise"))

    return {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": orjson.loads(shape), "properties": properties | {"part": "within"}}
            for shape, properties in zip(shapes, lines.drop(columns="geometry").to_dict("records"), strict=True)
        ],
    }


def answered(store: Store, inputs: ServiceCoverageInputs, progress=None) -> tuple[dict, Coverage]:
    """The answer of `run`, and what it was made from."""
    started = time.perf_counter()
    found = cover(store, inputs, progress)
    answer = summary(store, inputs, found)
    if inputs.features:
        answer["features"] = _feature_collection(street_lines(store, inputs, found))
    version = store.version(["road", "address", inputs.facilities, "community"])
    return answer | {"data_version": version, "seconds": round(time.perf_counter() - started, 3)}, found


def run(store: Store, inputs: ServiceCoverageInputs, progress=None) -> dict:
    """{facilities, distance_m, mode, addresses, covered, share, unreachable, people, people_covered, communities: [{code,
    name, addresses, covered, share, people, people_covered}], data_version, seconds}, with `features` where asked.

    An address from which no facility can be reached counts as not covered and as unreachable.
    """
    return answered(store, inputs, progress)[0]


PROCESS = Process(
    id="service-coverage",
    title=Text(zh="公共服务覆盖分析", en="Service coverage"),
    description=Text(
        zh="沿道路计算每个地址到最近设施的距离，按社区统计覆盖的地址和人口。",
        en="The distance by street from every address to the nearest facility; covered addresses and people by community.",
    ),
    inputs=ServiceCoverageInputs,
    run=run,
    layers=("road", "address", "facility"),
    layer_inputs=("facilities",),
    counted=("facilities",),
    keywords=("覆盖", "服务范围", "生活圈", "coverage", "service area"),
    example={"facilities": "facility", "kind": "primary_school", "distance": 500},
)
