"""Valves, hydrants and sources among the surveyed points, in one form however they were delivered.

A valve is a point on its main, or a short line of its own, or a line between two valve points (each side of the valve surveyed). All
become one row:
a valve at a node; where it was a line, at that line's end at its start, so that it parts this line from the others and nothing else.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gis.analysis.survey import Faults
from gis.ingest.values import fold
from gis.standards import codes, feature_codes

_VALVES = ("valve", "valve_chamber", "valve_box")
_LONGEST_VALVE_M = 1.5
_SOURCES = {"well": "well", "plant_outlet": "plant", "water_tower": "tank", "basin": "tank"}


def devices(points, lines, at, usable, whole, frames: dict, faults: Faults) -> dict[str, pd.DataFrame]:
    """Layer → frame of water_valve, hydrant and gas_valve (where the delivery holds water, gas), and water_source where there are some.

    Adds SP15 (a valve where several lines meet), SP16 (a check valve without direction), SL20 (a valve that was a line).
    """
    touch = at[whole]
    degree = np.bincount(touch.ravel(), minlength=len(points)) if len(touch) else np.zeros(len(points), dtype=int)
    feature, category = (points[c].to_numpy(dtype=object) for c in ("feature_code", "category"))
    valve_point = usable & np.isin(feature, _VALVES) & np.isin(category, ["JS", "RQ"])
    as_line = _as_lines(lines, at, whole, valve_point)
    faults.add("SL20", "line", as_line, values=list(lines["pipe_id"].to_numpy()[as_line]))
    single = valve_point.copy()
    single[at[as_line].ravel()] = False
    crowded = single & (degree > 2)
    faults.add("SP15", "point", crowded, values=[str(d) for d in degree[crowded]], east=points["east"].to_numpy()[crowded],
               north=points["north"].to_numpy()[crowded])  # fmt: skip
    widest = np.zeros(len(points))
    for side in (0, 1):
        np.maximum.at(widest, at[whole, side], np.nan_to_num(lines["size_mm"].to_numpy(float)[whole]))
    found = {}
    for code, name, nodes in (("JS", "water_valve", "water_node"), ("RQ", "gas_valve", "gas_node")):
        if nodes in frames:
            found[name] = _valves(
                points, lines, at, single & (category == code), as_line & (lines["category"] == code).to_numpy(), widest, frames[nodes]
            )
    if "water_node" in frames:
        checks = _check_valves(
            points, lines, at, whole, usable & (feature == "check_valve") & (category == "JS"), widest, frames["water_node"], faults
        )
        found["water_valve"] = pd.concat([f for f in (found["water_valve"], checks) if len(f)] or [found["water_valve"]], ignore_index=True)
        found["hydrant"] = _at_nodes(points, usable & (feature == "hydrant") & (category == "JS"), frames["water_node"], "hydrant_id")
        sources = usable & np.isin(feature, list(_SOURCES)) & (category == "JS") & (degree > 0)
        if sources.any():
            made = _at_nodes(points, sources, frames["water_node"], "source_id")
            found["water_source"] = made.drop(columns="road_name").assign(kind=[_SOURCES[f] for f in feature[sources]])
    return found


def _as_lines(lines: pd.DataFrame, at: np.ndarray, whole: np.ndarray, valve_point: np.ndarray) -> np.ndarray:
    """Which lines (n,) are a valve: those whose code or type says so, and the short ones between two valve points."""
    valve_codes = {
        r["code"] for r in feature_codes() if r["geometry"] == "点" and codes("cjj61.water_node_feature").code_of(r["feature"]) in _VALVES
    }
    says = lines["code"].isin(valve_codes) | lines["type"].map(_names_a_valve)
    ends = valve_point[np.maximum(at, 0)].all(axis=1) & (at >= 0).all(axis=1)
    short = lines["length"].to_numpy(dtype=float) <= _LONGEST_VALVE_M
    return whole & lines["category"].isin(["JS", "RQ"]).to_numpy() & (says.to_numpy(dtype=bool) | (ends & short))


def _names_a_valve(text: str | None) -> bool:
    return text is not None and (fold(text) == "阀" or codes("onemap.valve_kind").code_of(text) in ("gate", "butterfly", "ball"))


def _valves(points, lines, at, single, as_line, widest, nodes) -> pd.DataFrame:
    """One row per valve: at its point, or at the start of its line."""
    by_point = _at_nodes(points, single, nodes, "valve_id").assign(diameter_mm=widest[single], pipe_id=None)
    first = at[as_line, 0]
    by_line = _at_nodes(points, first, nodes, "valve_id").assign(diameter_mm=lines["size_mm"].to_numpy(float)[as_line])
    by_line["pipe_id"] = by_line["valve_id"] = lines["pipe_id"].to_numpy(dtype=object)[as_line]
    by_line["src_row"] = lines["src_row"].to_numpy()[as_line] + len(
        points
    )  # behind those of the points: both kinds of rows are in one layer
    made = pd.concat([f for f in (by_point, by_line) if len(f)] or [by_point], ignore_index=True)
    made["diameter_mm"] = made["diameter_mm"].where(made["diameter_mm"] > 0)
    return made.assign(kind="gate")


def _check_valves(points, lines, at, whole, which, widest, nodes, faults) -> pd.DataFrame:
    """Check valves at the end of the pipe that leaves them, where the flow of that pipe is said; else a plain fitting (SP16)."""
    made = []
    flow = lines["flow"].notna().to_numpy() & whole
    against = lines["against"].to_numpy(dtype=bool)
    upstream = np.where(against, at[:, 1], at[:, 0])
    leaving = {int(p): i for i, p in zip(np.flatnonzero(flow), upstream[flow], strict=True)}
    for point in np.flatnonzero(which):
        line = leaving.get(int(point))
        if line is None:
            faults.add(
                "SP16",
                "point",
                [point],
                values=[points["number"].iloc[point]],
                east=points["east"].iloc[point],
                north=points["north"].iloc[point],
            )
            continue
        row = _at_nodes(points, np.array([point]), nodes, "valve_id").assign(
            pipe_id=lines["pipe_id"].iloc[line], diameter_mm=widest[point] or None
        )
        made.append(row.assign(kind="check", isolating=False, flow="to_pipe"))
    return pd.concat(made, ignore_index=True) if made else pd.DataFrame()


def _at_nodes(points: pd.DataFrame, which: np.ndarray, nodes: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows of a device at each of these points, with the place of its node."""
    index = np.flatnonzero(which) if which.dtype == bool else which
    rows = points.iloc[index]
    place = nodes["geometry"].reindex(rows.index)
    return pd.DataFrame({
        key: rows["number"].to_numpy(dtype=object), "node_id": rows["number"].to_numpy(dtype=object),
        "road_name": rows["road"].to_numpy(dtype=object),
        "src_row": rows["src_row"].to_numpy(dtype=int), "geometry": place.to_numpy(dtype=object),
    })  # fmt: skip
