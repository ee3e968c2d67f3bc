"""A drawing of mains and point devices, without node numbers, as a water network: what connects is decided by shared points.

`onemap load drawing PIPES --network NAME [--valves FILE] [--sources FILE] [--hydrants FILE] …`: the pipes are split and numbered
by `gis.analysis.connectivity`; every crossing, gap, valve beside a pipe and part without a source becomes a finding (codes NC…).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gis import crs
from gis.analysis import connectivity
from gis.catalog.model import Catalog
from gis.errors import InputError, SourceError
from gis.ingest import map as mapping
from gis.ingest.findings import Findings
from gis.ingest.read import open_source

LAYERS = ("water_node", "water_pipe", "water_valve", "water_source", "hydrant")
"""The layers that a drawing fills, those first that others refer to."""

MESSAGES = {
    "NC01": ("Two pipes cross without a common point: not connected", "Draw a node where they are joined; else nothing is to be done"),
    "NC02": ("A pipe ends beside another without touching it", "Join the ends in the drawing, or load again with --tolerance"),
    "NC03": ("The device touches no pipe: it is on the map, not in the network", "Move it onto its pipe, or load again with --tolerance"),
    "NC04": ("The device was moved onto the nearest pipe", "Check the place"),
    "NC05": ("The pipe was split where others or devices touch it", ""),
    "NC06": ("The pipe has several parts that do not join: each became a pipe", "Draw one line per pipe"),
    "NC07": ("The pipe has no length", "Draw it, or take it out"),
    "NC08": ("The pipe is drawn twice; one was taken", "Delete one"),
    "NC09": ("The device lies where pipes cross without a common point: it was given to none", "Say which pipe it is on"),
    "NC10": ("This part of the network has no source", "Add its source, or the pipe that is missing"),
    "NC11": ("Several devices of one kind at one place", "Delete those that do not exist"),
    "NC12": ("The pipe's end was moved onto the nearest pipe", "Check the place"),
    "NC14": ("A piece shorter than the tolerance shrank to a point and was left out", ""),
    "NC13": ("The device sits on a junction and parts all its arms", "Say which arm it is on"),
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """The files of a drawing and how to understand them.

    names: field of water_pipe → column, or `COLUMN*FACTOR` (inches: `diameter_mm=DIAMETER*25.4`). isolating: column of the valves and the
    values that mean an isolation valve; without it all are. crs: of files that declare none; place: (lon, lat) of the centre of a drawing
    in local metres. tolerance: metres within which ends and devices are moved onto the nearest pipe (default 1 mm: none).
    """

    pipes: Path
    network: str
    valves: Path | None = None
    sources: Path | None = None
    hydrants: Path | None = None
    names: dict[str, str] = field(default_factory=dict)
    isolating: tuple[str, tuple[str, ...]] | None = None
    crs: str | None = None
    place: tuple[float, float] | None = None
    tolerance: float = connectivity.TOUCH_M

    @property
    def files(self) -> list[Path]:
        return [p for p in (self.pipes, self.valves, self.sources, self.hydrants) if p is not None]


def deliveries(drawing: Drawing, catalog: Catalog) -> tuple[dict[str, gpd.GeoDataFrame], Findings]:
    """The rows of water_node, water_pipe, water_valve, water_source and hydrant that the drawing shows, and what was found.

    Frames are in a metric CRS of the drawing's own place. Raises SourceError (a file unreadable, no CRS), InputError (a bad column).
    """
    pipes = _read(drawing, drawing.pipes, "water_pipe", catalog)
    metric = _metric_crs(pipes, drawing, catalog)
    pipes = pipes.to_crs(metric)
    pipes["pipe_id"] = _ids(pipes, drawing.names.get("pipe_id"), "P")
    devices = [
        _devices(drawing, path, layer, prefix, metric, catalog)
        for path, layer, prefix in (
            (drawing.valves, "water_valve", "V"), (drawing.sources, "water_source", "S"), (drawing.hydrants, "hydrant", "H"),
        )
        if path is not None
    ]  # fmt: skip
    points = gpd.GeoDataFrame(pd.concat(devices, ignore_index=True) if devices else _no_devices(metric), crs=metric)
    network = connectivity.connect(pipes[["pipe_id", "geometry"]], points, tolerance=drawing.tolerance)
    fed = network.devices.loc[network.devices.layer == "water_source", "node_id"].dropna().to_numpy()
    dry = connectivity.parts_without_source(network, fed)
    return _frames(drawing, pipes, network), _findings([network.findings, dry], network.devices)


def _read(drawing: Drawing, path: Path, layer: str, catalog: Catalog) -> gpd.GeoDataFrame:
    """A file's rows with its own columns and its geometry; local metres get the CRS of their place."""
    assumed = drawing.crs or ("EPSG:3857" if drawing.place else None)
    source = open_source(path, catalog.layer(layer), crs=assumed)
    batches = list(source.batches())
    if not batches:
        raise SourceError(f"{path.name} holds no rows", remedy="Deliver a file with rows")
    rows = pd.concat([b.rows.to_pandas() for b in batches], ignore_index=True)
    frame = gpd.GeoDataFrame(rows, geometry=np.concatenate([b.shapes() for b in batches]))
    if drawing.place and (drawing.crs or not source.crs_declared):
        west, south, east, north = _bounds_of_pipes(drawing, catalog) if path != drawing.pipes else frame.total_bounds
        lon, lat = drawing.place
        return frame.set_crs(crs.local(lon, lat, x0=(west + east) / 2, y0=(south + north) / 2))
    if source.crs is None:
        raise SourceError(f"{path.name} does not say its coordinate system", remedy="Name it with --crs, or its centre with --place")
    return frame.set_crs(source.crs)


def _bounds_of_pipes(drawing: Drawing, catalog: Catalog) -> np.ndarray:
    batches = open_source(drawing.pipes, catalog.layer("water_pipe"), crs="EPSG:3857").batches()
    return shapely.total_bounds(np.concatenate([b.shapes() for b in batches]))


def _metric_crs(pipes: gpd.GeoDataFrame, drawing: Drawing, catalog: Catalog) -> str:
    """The city's working CRS where the drawing lies in the city, else a local one around its middle."""
    west, south, east, north = pipes.to_crs(crs.STORED).total_bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    if not np.isfinite([lon, lat]).all():
        raise SourceError(f"{drawing.pipes.name} has no positions", remedy="Deliver lines with coordinates")
    inside = crs.inside(lon, lat, catalog.city.extent, margin=1.0)
    return catalog.city.working_crs if inside else crs.local(lon, lat)


def _ids(frame: pd.DataFrame, column: str | None, prefix: str) -> pd.Series:
    """The named column as ids where it is filled and unique, else PREFIX + row number."""
    numbered = pd.Series([f"{prefix}{i + 1}" for i in range(len(frame))], index=frame.index)
    if column is None:
        return numbered
    if column not in frame:
        raise InputError(f"there is no column {column!r}", remedy=f"There are: {', '.join(c for c in frame.columns if c != 'geometry')}")
    values = frame[column].map(lambda v: f"{v:g}" if isinstance(v, float) and v == v else None if v is None or v != v else str(v))
    return values.where(values.notna() & ~values.duplicated(keep=False), numbered)


def _no_devices(metric: str) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"device_id": [], "kind": [], "layer": [], "isolating": [], "row": []}, geometry=[], crs=metric)


def _devices(drawing: Drawing, path: Path, layer: str, prefix: str, metric: str, catalog: Catalog) -> gpd.GeoDataFrame:
    frame = _read(drawing, path, layer, catalog).to_crs(metric).explode(index_parts=False, ignore_index=True)
    isolating = np.full(len(frame), True)
    if layer == "water_valve" and drawing.isolating:
        column, wanted = drawing.isolating
        if column not in frame:
            raise InputError(f"{path.name} has no column {column!r}", remedy=f"It has: {', '.join(frame.columns.drop('geometry'))}")
        isolating = frame[column].astype(str).isin(wanted).to_numpy()
    kind = np.where(isolating, layer, layer + " (not isolating)")
    return gpd.GeoDataFrame({"device_id": _ids(frame, None, prefix), "kind": kind, "layer": layer, "isolating": isolating,
                             "row": np.arange(len(frame))}, geometry=frame.geometry.to_numpy(), crs=metric)  # fmt: skip


def _frames(drawing: Drawing, pipes: gpd.GeoDataFrame, network: connectivity.Connected) -> dict[str, gpd.GeoDataFrame]:
    metric = pipes.crs
    lines = network.pipes.drop(columns="row").assign(**_attributes(drawing, pipes, network.pipes.row.to_numpy()))
    devices = network.devices
    valve, source, hydrant = (devices[devices.layer == name] for name in ("water_valve", "water_source", "hydrant"))
    frames = {
        "water_node": network.nodes[["node_id", "geometry"]],
        "water_pipe": lines,
        "water_valve": valve.rename(columns={"device_id": "valve_id"})[["valve_id", "node_id", "isolating", "geometry"]].assign(
            kind=np.where(valve.isolating, "gate", "other")
        ),
        "water_source": source.dropna(subset=["node_id"]).rename(columns={"device_id": "source_id"})[["source_id", "node_id", "geometry"]]
        .assign(kind="reservoir"),
        "hydrant": hydrant.rename(columns={"device_id": "hydrant_id"})[["hydrant_id", "node_id", "geometry"]],
    }  # fmt: skip
    return {k: gpd.GeoDataFrame(f.assign(network=drawing.network), crs=metric) for k, f in frames.items() if len(f)}


def _attributes(drawing: Drawing, pipes: gpd.GeoDataFrame, row: np.ndarray) -> dict[str, np.ndarray]:
    """The named columns of the drawing, spread over the pieces; `COLUMN*FACTOR` converts a unit."""
    found = {}
    for name, column in drawing.names.items():
        if name == "pipe_id":
            continue
        column, _, factor = column.partition("*")
        by_plain = {mapping.plain(c): c for c in pipes.columns}
        if mapping.plain(column) not in by_plain:
            raise InputError(f"the pipes have no column {column!r}", remedy=f"They have: {', '.join(pipes.columns.drop('geometry'))}")
        values = pipes[by_plain[mapping.plain(column)]]
        if factor:
            values = pd.to_numeric(values, errors="coerce") * float(factor)
        found[name] = values.to_numpy()[row]
    return found


def _findings(found: list[gpd.GeoDataFrame], devices: gpd.GeoDataFrame) -> Findings:
    """The findings of the drawing as those of the delivery, one extend per code and layer."""
    layer_of = dict(zip(devices.device_id, devices.layer, strict=True))
    result = Findings()
    for frame in found:
        layer = frame.id.map(layer_of).where(frame.subject == "device", "water_pipe")
        for (code, level, at), rows in frame.groupby(["code", "level", layer]):
            message, remedy = MESSAGES[code]
            values = [
                "; ".join(part for part in (str(r.id), "" if r.other is None or r.other != r.other else str(r.other),
                                            "" if r.distance_m != r.distance_m else f"{r.distance_m:.3f} m") if part)
                for r in rows.itertuples()
            ]  # fmt: skip
            places = rows.geometry.to_crs(crs.STORED).to_numpy()
            numbers = [int(r) + 1 if r == r and r is not None else None for r in rows.row]
            result.extend(at, code, level, message, remedy, rows=numbers, values=values, geometries=places)
    return result
