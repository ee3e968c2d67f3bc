"""Sensors (感知设备): lists of devices get their kind by words, and the node or pipe that they measure at by their place."""

from __future__ import annotations

import re
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely

from etl.listed import columns, listed
from gis import crs as reference
from gis.catalog.model import Catalog
from gis.db.store import Store
from gis.errors import InputError, SourceError
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, load_frames, silent
from gis.ingest.map import placed
from gis.ingest.read import open_source
from gis.standards import codes

KINDS: tuple[tuple[str, str], ...] = (
    (r"井盖|manhole", "manhole_cover"),
    (r"燃气|可燃|甲烷|gas|methane", "gas"),
    (r"水质|浊度|余氯|pH|COD|氨氮|quality|turbid|chlorine", "quality"),
    (r"压力|压强|pressure", "pressure"),
    (r"流量|水表|meter|flow", "flow"),
    (r"液位|水位|level", "level"),
    (r"雨量|气象|风速|气温|weather|rain", "weather"),
)
"""Words of a type or name → kind of sensor, the first that fits."""
TOLERANCE_M = 5.0
"""How far a device may lie from the pipe that it measures at."""
_AT_NODE_M = 1.0
_TYPE = ("监测类型", "设备类型", "类型", "type", "category", "description")


def load(
    catalog: Catalog, path: Path | str, *, network: str | None = None, kind: str | None = None, tolerance: float | None = None, crs=None,
    encoding: str | None = None, source_layer: str | None = None, mode: str = "update", dry_run: bool = False, progress=silent,
) -> LoadResult:  # fmt: skip
    """Loads a list of devices into `sensor`. `kind`: that of all rows; `network`: pressure and flow sensors that name no node or pipe are
    attached to the nearest node (within 1 m) or pipe (within `tolerance` metres) of this network.

    Raises InputError (unknown kind, no such network), SourceError (unreadable, nothing that says what a device measures).
    """
    path, layer = Path(path), catalog.layer("sensor")
    if kind is not None and kind not in codes("onemap.sensor_kind"):
        raise InputError(f"unknown kind of sensor {kind!r}", remedy=", ".join(codes("onemap.sensor_kind").codes))
    source = open_source(path, layer, encoding=encoding, crs=crs, source_layer=source_layer)
    names = {name: layer.source_names(name)[1:] for name in layer.columns} | {"kind": _TYPE}
    names["name"] = (*names["name"], "description")
    known = columns(source, names)
    if kind is None and not {"kind", "name"} & set(known):
        raise SourceError(
            f"{path.name} has no column that says what a device measures; it has {', '.join(source.columns)}", remedy="Name it 监测类型"
        )
    made = listed(source, "sensor", known)
    geometry = placed(made.geometry, source.crs)
    devices = geopandas.GeoDataFrame(made.rows, geometry=shapely.force_2d(geometry), crs=reference.STORED)
    described(devices, kind, made.findings)
    if network is not None:
        progress(f"attaching {path.name}", 0, len(devices))
        attach(devices, *_network(catalog, network), network, tolerance or TOLERANCE_M, made.findings)
    return load_frames(
        catalog, {"sensor": devices}, name=path.name, files=source.parts, findings=made.findings, mode=mode, dry_run=dry_run,
        progress=progress, extent=catalog.city.extent,
    )  # fmt: skip


def _network(catalog: Catalog, network: str) -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
    """(nodes, pipes) of a water network in the city's working CRS. Raises InputError where there is none."""
    with Store() as store:
        nodes, pipes = (store.frame(layer, [key], where={"network": network}, crs=catalog.city.working_crs)
                        for layer, key in (("water_node", "node_id"), ("water_pipe", "pipe_id")))  # fmt: skip
    if not len(pipes):
        raise InputError(f"there is no network {network!r} with pipes", remedy="Load it first, or leave --network out")
    return nodes, pipes


def described(devices: geopandas.GeoDataFrame, kind: str | None, findings: Findings) -> None:
    """Gives every device its kind and, where it has none, an id from its kind, name and place: the same device gets the same id again."""
    list_ = codes("onemap.sensor_kind")
    said = devices["kind"] if "kind" in devices.columns else pd.Series(None, index=devices.index, dtype=object)
    named = devices["name"] if "name" in devices.columns else pd.Series(None, index=devices.index, dtype=object)
    unread = devices["src_row"].isin(findings.frame().query("code == 'SRC02'")["src_row"].astype("int64"))
    listed_kind = [list_.code_of(text) if isinstance(text, str) else None for text in said]  # a column would turn None into a true NaN
    kinds = [kind or k or _by_words(s) or _by_words(n) for k, s, n in zip(listed_kind, said, named, strict=True)]
    devices["kind"] = pd.Series(kinds, index=devices.index, dtype=object)
    unknown = devices["kind"].isna() & ~unread
    if unknown.any():
        findings.extend("sensor", "SEN90", "error", "what the device measures cannot be told", "填写监测类型 / Give the kind of sensor",
                        field="kind", rows=devices.loc[unknown, "src_row"], values=said[unknown].fillna(named[unknown]))  # fmt: skip
    if "sensor_id" not in devices.columns:
        where = shapely.get_coordinates(devices.geometry.fillna(shapely.Point(0, 0)).to_numpy())
        devices["sensor_id"] = [f"{k or '?'}@{x:.6f},{y:.6f}" for k, (x, y) in zip(kinds, where, strict=True)]
        devices.loc[unread, "sensor_id"] = None


def _by_words(text: str | None) -> str | None:
    return next((kind for words, kind in KINDS if isinstance(text, str) and re.search(words, text, re.IGNORECASE)), None)


def attach(devices: geopandas.GeoDataFrame, nodes: geopandas.GeoDataFrame, pipes: geopandas.GeoDataFrame, network: str, tolerance: float,
           findings: Findings) -> None:  # fmt: skip
    """Attaches pressure and flow sensors that name neither node nor pipe; nodes and pipes in a CRS in metres. Each that is attached, or
    that is too far from everything, is found."""
    for name in ("network", "node_id", "pipe_id"):
        if name not in devices.columns:
            devices[name] = None
        devices[name] = devices[name].astype(object)
    free = devices["kind"].isin(("pressure", "flow")) & devices["node_id"].isna() & devices["pipe_id"].isna() & devices.geometry.notna()
    at = devices.geometry[free].to_crs(pipes.crs).to_numpy()
    rows = np.flatnonzero(free)
    found = {}
    for field, frame, key, within in (("pipe_id", pipes, "pipe_id", tolerance), ("node_id", nodes, "node_id", min(_AT_NODE_M, tolerance))):
        (device, other), metres = shapely.STRtree(frame.geometry.to_numpy()).query_nearest(
            at, max_distance=within, return_distance=True, all_matches=False
        )
        found |= {int(rows[d]): (field, frame[key].iloc[o], m) for d, o, m in zip(device, other, metres, strict=True)}
    for row, (field, key, _) in found.items():
        devices.iloc[row, [devices.columns.get_loc("network"), devices.columns.get_loc(field)]] = [network, key]
    near = sorted(found)
    values = [f"{found[r][1]} {found[r][2]:.2f} m" for r in near]
    findings.extend("sensor", "SEN91", "info", "attached by its place", "核对所在管段或节点 / See whether it is the right one",
                    field="pipe_id", rows=devices["src_row"].iloc[near], values=values)  # fmt: skip
    far = [r for r in rows if r not in found]
    findings.extend("sensor", "SEN92", "warning", f"no node or pipe of the network {network} within {tolerance:g} m",
                    "填写所在节点或管段 / Give its node or pipe", field="pipe_id", rows=devices["src_row"].iloc[far])  # fmt: skip
