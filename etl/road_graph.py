"""The roads of OpenStreetMap as a graph: ways split at shared nodes, with direction, level, bridges and tunnels.

Roads meet only where they share a node of the source: a bridge that passes over a road shares none with it, so the two stay apart.
"""

from __future__ import annotations

import re

import geopandas
import numpy as np
import pandas as pd
import shapely

from gis import crs

ROAD_CLASSES = {
    "motorway": "expressway",
    "motorway_link": "expressway",
    "trunk": "expressway",
    "trunk_link": "expressway",
    "primary": "trunk",
    "primary_link": "trunk",
    "secondary": "secondary",
    "secondary_link": "secondary",
    "tertiary": "branch",
    "tertiary_link": "branch",
    "unclassified": "branch",
    "residential": "branch",
    "road": "branch",
    "living_street": "lane",
    "service": "lane",
    "track": "lane",
    "pedestrian": "path",
    "footway": "path",
    "path": "path",
    "steps": "path",
    "cycleway": "path",
    "bridleway": "path",
    "corridor": "path",
}
"""OSM `highway` to the classes of GB 50220; what is not named (proposed, construction, raceway …) is no road yet or any more."""
MODES = ("foot", "bicycle", "horse", "vehicle", "motor_vehicle", "motorcar", "motorcycle", "bus", "psv", "taxi", "hgv", "goods",
         "agricultural", "forestry", "emergency", "delivery")  # fmt: skip
"""Kinds of traffic that a tag of their own may let through where `access=no` stands."""
_CLOSED = ("no", "0", "false", "never")
_YES = ("yes", "true", "1")
_NO = ("no", "false", "0")
_SCALE = 1e7
"""OSM keeps positions to 1e-7 degrees: equal positions are the same node."""


def tag(frame: pd.DataFrame, key: str) -> pd.Series:
    """The value of an OSM tag per row, from its own column or from `other_tags`; missing where there is none."""
    if key in frame.columns:
        return frame[key]
    found = frame["other_tags"].str.extract(rf'"{re.escape(key)}"=>"((?:[^"\\]|\\.)*)"', expand=False)
    return found.str.replace('\\"', '"', regex=False)


def number(texts: pd.Series) -> pd.Series:
    """The number that a text begins with."""
    return pd.to_numeric(texts.str.extract(r"^\s*(\d+(?:\.\d+)?)", expand=False), errors="coerce")


def is_road(lines: pd.DataFrame) -> pd.Series:
    """Which features of a `lines` layer are roads that exist."""
    return lines["highway"].isin(ROAD_CLASSES)


def is_closed(ways: pd.DataFrame) -> pd.Series:
    """Which roads nobody may use: `access=no`, and no kind of traffic that is let through by a tag of its own."""
    closed = tag(ways, "access").isin(_CLOSED)
    for mode in MODES if closed.any() else ():
        closed &= tag(ways, mode).isna() | tag(ways, mode).isin(_CLOSED)
    return closed


def attributes(ways: pd.DataFrame) -> pd.DataFrame:
    """The catalogue's fields of roads from OSM's tags; `oneway` is relative to the direction of the way."""
    oneway = tag(ways, "oneway").fillna("")
    backward = oneway.isin(["-1", "reverse"])
    implied = ways["highway"].isin(["motorway"]) | tag(ways, "junction").fillna("").isin(["roundabout", "circular"])
    forward = ~backward & (oneway.isin(_YES) | (implied & ~oneway.isin(_NO)))
    bridge = ~tag(ways, "bridge").fillna("no").isin(_NO)
    tunnel = ~tag(ways, "tunnel").fillna("no").isin([*_NO, "building_passage"])
    level = number(tag(ways, "layer").str.removeprefix("-")) * np.where(tag(ways, "layer").fillna("").str.startswith("-"), -1, 1)
    speed, lanes, width = number(tag(ways, "maxspeed")), number(tag(ways, "lanes")), number(tag(ways, "width"))
    return pd.DataFrame(
        {
            "name": ways["name"],
            "class": ways["highway"].map(ROAD_CLASSES),
            "oneway": np.select([backward, forward], ["backward", "forward"], "both"),
            "lanes": lanes.where(lanes.between(1, 20)).round().astype("Int64"),
            "width_m": width.where(width.between(0.5, 200)),
            "speed_kmh": speed.where(speed.between(1, 130)),
            "level": level.where(level.notna(), np.where(bridge, 1, np.where(tunnel, -1, 0))).clip(-5, 5).astype(int),
            "bridge": bridge.to_numpy(bool),
            "tunnel": tunnel.to_numpy(bool),
        }
    )


def road_graph(lines: geopandas.GeoDataFrame) -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
    """(roads, road nodes) of an OSM `lines` layer; what is no road, or closed to everybody, is left out. See `split`."""
    ways = lines[is_road(lines)]
    ways = ways[~is_closed(ways)].reset_index(drop=True)
    return split(attributes(ways).assign(way=ways["osm_id"].astype(str)), ways.geometry.to_numpy())


def split(ways: pd.DataFrame, lines: np.ndarray) -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
    """(roads, road nodes): ways (fields of roads, and `way`, their number) with their lines (n,) split wherever they share a node with
    another or with themselves, with the nodes at their ends. A piece is `w<way>_<number along the way>`, a node `n<lon>_<lat>` (1e-7
    degrees). WGS 84; memory grows with the vertices of the roads, about 100 bytes each."""
    points, way = shapely.get_coordinates(lines, return_index=True)
    cells = np.rint(points * _SCALE).astype(np.int64)
    if not len(points):
        return _no_roads()
    same = np.r_[False, (way[1:] == way[:-1]) & (cells[1:] == cells[:-1]).all(axis=1)]
    points, way, cells = points[~same], way[~same], cells[~same]
    places = (cells[:, 0] << 32) ^ (cells[:, 1] & 0xFFFFFFFF)  # one number per position: both fit into 32 bits
    _, vertex, visits = np.unique(places, return_inverse=True, return_counts=True)
    first, last = np.r_[True, way[1:] != way[:-1]], np.r_[way[1:] != way[:-1], True]
    node = first | last | (visits[vertex.ravel()] > 1)
    starts = np.flatnonzero(node & ~last)
    ends = np.flatnonzero(node & ~first)
    kept = ends > starts
    starts, ends = starts[kept], ends[kept]
    lengths = ends - starts + 1
    take = np.repeat(starts - np.r_[0, np.cumsum(lengths)[:-1]], lengths) + np.arange(lengths.sum())
    pieces = shapely.linestrings(points[take], indices=np.repeat(np.arange(len(starts)), lengths))
    origin = way[starts]
    along = np.arange(len(starts)) - np.r_[0, np.flatnonzero(np.diff(origin)) + 1][np.cumsum(np.r_[0, np.diff(origin) != 0])]
    fields = ways.iloc[origin].reset_index(drop=True)
    from_node, to_node = (_names(cells[at]) for at in (starts, ends))
    roads = geopandas.GeoDataFrame(
        fields.drop(columns="way").assign(
            road_id="w" + fields["way"] + "_" + pd.Series(along).astype(str), from_node=from_node, to_node=to_node
        ),
        geometry=pieces,
        crs=crs.WGS84,
    )
    return roads, _road_nodes(points, cells, starts, ends)


def _names(cells: np.ndarray) -> np.ndarray:
    return np.char.add(np.char.add(np.char.add("n", cells[:, 0].astype(str)), "_"), cells[:, 1].astype(str))


def _no_roads() -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
    return tuple(geopandas.GeoDataFrame({key: []}, geometry=[], crs=crs.WGS84) for key in ("road_id", "node_id"))


def _road_nodes(points: np.ndarray, cells: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> geopandas.GeoDataFrame:
    """One node per distinct end of a piece: an `end` where only one piece touches it, else a `junction`."""
    touched = np.r_[starts, ends]
    ids, index, degree = np.unique(_names(cells[touched]), return_index=True, return_counts=True)
    return geopandas.GeoDataFrame(
        {"node_id": ids, "kind": np.where(degree > 1, "junction", "end")}, geometry=shapely.points(points[touched[index]]), crs=crs.WGS84
    )
