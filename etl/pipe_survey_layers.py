"""Surveyed points and lines as rows of the layers: nodes, pipes and devices of every category, with heights.

Heights (1985 national height) are ground − depth: the top of pressure pipes, ducts and cables, the inner bottom of gravity pipes. A
manhole's own height
is its lowest invert; its pipes keep theirs.
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from etl.pipe_survey_devices import devices
from gis import crs
from gis.analysis.survey import Faults
from gis.ingest.values import fold

NODES = {"JS": "water_node", "PS": "sewer_manhole", "RQ": "gas_node", "RL": "heat_node", "DL": "power_node", "TX": "telecom_node"}
LINES = {"JS": "water_pipe", "RQ": "gas_pipe", "RL": "heat_pipe", "DL": "power_line", "TX": "telecom_line"}
DEFAULT_SUBTYPE = {"JS": "JP", "RQ": "TR", "RL": "RS", "DL": "GD", "TX": "XX", "GY": "BM", "QT": "BM"}
"""Where only the category is said: the usual kind (a drain is settled before)."""


def node_layer(category: pd.Series) -> np.ndarray:
    """The layer of each point (n,) by its category."""
    return category.map(NODES).fillna("other_node").to_numpy(dtype=object)


def line_layer(lines: pd.DataFrame) -> np.ndarray:
    """The layer of each line (n,) by category and sub-category: storm drains apart from sewers."""
    drains = np.where(lines["subtype"] == "YS", "rain_pipe", "sewer_pipe")
    return np.where(lines["category"] == "PS", drains, lines["category"].map(LINES).fillna("other_pipe")).astype(object)


def frames_of(
    points: pd.DataFrame, lines: pd.DataFrame, at: np.ndarray, usable: np.ndarray, whole: np.ndarray, network: str, faults: Faults
) -> dict:
    """Layer → GeoDataFrame (EPSG:4490, with `src_row`) of everything delivered, rejected rows included; the categories that the
    delivery holds have all
    their layers, empty ones too. `at` (n, 2) points of the lines; `usable`, `whole`: which points and lines are sound."""
    lines = lines.assign(subtype=lines["subtype"].fillna(lines["category"].map(DEFAULT_SUBTYPE)), pipe_id=ids(lines))
    levels = _levels(points, lines, at)
    place = np.column_stack([points["lon"], points["lat"]]).astype(float)
    frames = _nodes(points, lines, at, whole, levels, place) | _lines(points, lines, at, whole, levels, place)
    frames |= devices(points, lines, at, usable, whole, frames, faults)
    for name in ("water_node", "water_pipe", "water_valve", "hydrant", "water_source"):
        if name in frames:
            frames[name]["network"] = network
    return {k: gpd.GeoDataFrame(v, geometry="geometry", crs=crs.STORED) for k, v in frames.items()}


def ids(lines: pd.DataFrame) -> np.ndarray:
    """A key for each line (n,): its own number where that is unique in its layer, else START-END; a repetition gets `~2`, `~3` …"""
    layer = line_layer(lines)
    own = lines["line_id"].to_numpy(dtype=object)
    pair = pd.Series(layer + "\0") + lines["line_id"].fillna("").to_numpy()
    unique = pd.notna(own) & ~pair.duplicated(keep=False).to_numpy()
    ends = lines["start"].fillna("?").astype(str) + "-" + lines["end"].fillna("?").astype(str)
    made = pd.Series(np.where(unique, own, ends), index=lines.index)
    nth = made.groupby([pd.Series(layer, index=lines.index), made]).cumcount().to_numpy()
    return np.where(nth > 0, made + "~" + (nth + 1).astype(str), made).astype(object)


def _levels(points: pd.DataFrame, lines: pd.DataFrame, at: np.ndarray) -> np.ndarray:
    """Heights (n, 2) of the lines' ends: ground − depth, else the level as delivered, else NaN."""
    ground = points["ground"].to_numpy(dtype=float)
    found = []
    for side, name in enumerate(("start", "end")):
        z = np.where(at[:, side] >= 0, ground[np.maximum(at[:, side], 0)] if len(points) else np.nan, np.nan) - lines[
            f"{name}_depth"
        ].to_numpy(float)
        found.append(np.where(np.isfinite(z), z, lines[f"{name}_level"].to_numpy(float)))
    return np.round(np.column_stack(found), 4)


def _nodes(points, lines, at, whole, levels, place) -> dict[str, pd.DataFrame]:
    """The points in their layers."""
    rows, sides = np.nonzero((at >= 0) & whole[:, None])
    ends = pd.DataFrame({"at": at[rows, sides], "z": levels[rows, sides], "size": np.nan_to_num(lines["size_mm"].to_numpy(float))[rows],
                         "subtype": lines["subtype"].to_numpy(dtype=object)[rows]})  # fmt: skip
    n = len(points)
    ground, own = points["ground"].to_numpy(dtype=float), points["depth"].to_numpy(dtype=float)
    known = ends.dropna(subset=["z"])
    top = (
        known.sort_values(["size"], ascending=False, kind="stable").drop_duplicates("at").set_index("at")["z"].reindex(range(n)).to_numpy()
    )
    low = known.groupby("at")["z"].min().reindex(range(n)).to_numpy()
    gravity = (points["category"] == "PS").to_numpy()
    z = np.where(np.isfinite(own), ground - own, np.where(gravity, low, top))
    z = np.where(np.isfinite(z), z, np.where(gravity, low, top))
    z = np.where(gravity & (low < z), low, z)
    layer = node_layer(points["category"])
    data = pd.DataFrame({
        "node_id": points["number"], "feature": points["feature_code"], "ground_m": ground, "depth_m": np.round(ground - z, 4),
        "road_name": points["road"],
        "category": points["category"], "cover": points["cover"], "invert_m": np.round(z, 4), "src_row": points["src_row"],
        "system": _systems(points, ends), "geometry": _points(place, z),
    })  # fmt: skip
    wanted = {"water_node": ["node_id", "feature", "ground_m", "depth_m"], "other_node": ["node_id", "category", "feature", "ground_m",
    "depth_m", "road_name"],
              "sewer_manhole": ["node_id", "system", "feature", "ground_m", "invert_m", "depth_m", "cover", "road_name"]}  # fmt: skip
    usual = ["node_id", "feature", "ground_m", "depth_m", "road_name"]
    found = {name: data.loc[layer == name, [*wanted.get(name, usual), "src_row", "geometry"]] for name in dict.fromkeys(layer)}
    if "sewer_manhole" in found:
        found["sewer_manhole"] = found["sewer_manhole"].rename(columns={"node_id": "manhole_id"})
    return found


def _points(place: np.ndarray, z: np.ndarray) -> np.ndarray:
    made = shapely.points(np.column_stack([place, np.where(np.isfinite(z), z, np.nan)]))
    made[~np.isfinite(place).all(axis=1)] = None
    return made


def _systems(points: pd.DataFrame, ends: pd.DataFrame) -> np.ndarray:
    """sewage, storm or combined for each drainage point: as it says, else as its pipes."""
    word = {"WS": "sewage", "YS": "storm", "HS": "combined"}
    number = {"WS": 0, "YS": 1, "HS": 2}
    kinds = pd.Series(ends["subtype"].map(number).to_numpy(dtype=float), index=ends["at"]).dropna().groupby(level=0)
    low, high = (getattr(kinds, of)().reindex(range(len(points))).to_numpy(dtype=float) for of in ("min", "max"))
    mixed = np.where(low == high, low, 2.0)  # pipes of both kinds make it combined
    joined = np.array([*word.values(), None], dtype=object)[np.where(np.isfinite(low), mixed, 3).astype(int)]
    own = points["subtype"].map(word).to_numpy(dtype=object)
    return np.where(pd.notna(own), own, np.where(pd.notna(joined), joined, "combined"))


def _lines(points, lines, at, whole, levels, place) -> dict[str, pd.DataFrame]:
    """The lines in their layers; gravity pipes turned to their flow."""
    turn = (lines["gravity"] & lines["against"]).to_numpy(dtype=bool)
    number = points["number"].to_numpy(dtype=object)
    ends = np.column_stack([
        np.where(at[:, i] >= 0, number[np.maximum(at[:, i], 0)] if len(points) else None, lines[name].to_numpy(dtype=object))
        for i, name in enumerate(("start", "end"))
    ])  # fmt: skip
    depths = lines[["start_depth", "end_depth"]].to_numpy(dtype=float)
    order = np.where(turn[:, None], [1, 0], [0, 1])
    ends, depths, z, a = (np.take_along_axis(v, order, axis=1) for v in (ends, depths, levels, at))
    geometry = np.full(len(lines), None, dtype=object)
    joined = (a >= 0).all(axis=1)
    if joined.any():
        corners = np.concatenate([place[a[joined]], z[joined][:, :, None]], axis=2)
        geometry[joined] = shapely.linestrings(corners)
    length = lines["length"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(length > 0, (z[:, 0] - z[:, 1]) / length * 1000, np.nan)
    slope[np.abs(slope) > 300] = np.nan  # beyond belief (SL13): the levels stay, and no check compares this with a length on the ellipsoid
    pressure = _pressure(lines["pressure"])
    data = pd.DataFrame({
        "pipe_id": lines["pipe_id"], "line_id": lines["pipe_id"], "from_node": ends[:, 0], "to_node": ends[:, 1],
        "category": lines["category"],
        "subtype": lines["subtype"], "diameter_mm": lines["size_mm"], "section": lines["section"], "material": lines["material"],
        "length_m": np.round(length, 3), "depth_from_m": depths[:, 0], "depth_to_m": depths[:, 1], "invert_from_m": z[:, 0],
        "invert_to_m": z[:, 1],
        "slope_permille": np.round(slope, 3), "embedding": lines["embedding"], "status": lines["status"], "pressure_mpa": pressure[0],
        "pressure_class": pressure[1], "voltage_kv": lines["voltage"], "cables": lines["cables"], "ducts": lines["ducts"],
        "used_ducts": lines["used_ducts"], "circuit": lines["circuit"], "owner": lines["owner"], "road_name": lines["road"],
        "valid_from": lines["laid"], "src_row": lines["src_row"], "geometry": geometry,
    })  # fmt: skip
    layer = line_layer(lines)
    return {name: data.loc[layer == name, [*_FIELDS[name], "src_row", "geometry"]] for name in dict.fromkeys(layer)}


_USUAL = [
    "from_node",
    "to_node",
    "subtype",
    "material",
    "depth_from_m",
    "depth_to_m",
    "embedding",
    "status",
    "road_name",
    "owner",
    "valid_from",
]
_DRAIN = ["pipe_id", *_USUAL, "diameter_mm", "section", "invert_from_m", "invert_to_m", "slope_permille"]
_DUCTS = ["line_id", *_USUAL, "cables", "section", "ducts", "used_ducts"]
_FIELDS = {
    "water_pipe": ["pipe_id", *_USUAL, "diameter_mm", "length_m", "pressure_mpa"], "sewer_pipe": _DRAIN, "rain_pipe": _DRAIN,
    "gas_pipe": ["pipe_id", *_USUAL, "diameter_mm", "pressure_mpa", "pressure_class"], "heat_pipe": ["pipe_id", *_USUAL, "diameter_mm",
    "circuit"],
    "power_line": [*_DUCTS, "voltage_kv"], "telecom_line": _DUCTS,
    "other_pipe": ["pipe_id", "category", *_USUAL, "diameter_mm", "section", "pressure_mpa"],
}  # fmt: skip
"""What each layer takes of a line."""


def _pressure(column: pd.Series) -> tuple[list, list]:
    """A pressure in MPa, or the name of its class (中压A), whichever was delivered."""
    number = [v if v is not None and any(c.isdigit() for c in fold(v)) else None for v in column]
    return number, [v if n is None else None for v, n in zip(column, number, strict=True)]
