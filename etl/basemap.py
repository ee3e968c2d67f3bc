"""The base map from OpenStreetMap: roads as a graph split at shared nodes, road nodes, buildings, water bodies, administrative areas.

Roads meet only where they share a node of the source: a bridge that passes over a road shares none with it, so the two stay apart.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import shapely

from gis import crs
from gis.errors import SourceError
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, load_frames, silent
from gis.ingest.read import format_of

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
BUILDING_USES = {
    "residential": (
        "house",
        "residential",
        "apartments",
        "detached",
        "semidetached_house",
        "terrace",
        "bungalow",
        "dormitory",
        "cabin",
        "farm",
    ),
    "commercial": ("commercial", "retail", "supermarket", "kiosk", "hotel", "shop"),
    "office": ("office",),
    "school": ("school", "kindergarten", "university", "college"),
    "hospital": ("hospital", "clinic"),
    "industrial": ("industrial", "warehouse", "factory", "manufacture"),
    "public": (
        "public",
        "civic",
        "government",
        "church",
        "chapel",
        "cathedral",
        "mosque",
        "temple",
        "train_station",
        "fire_station",
        "sports_hall",
        "library",
        "museum",
        "townhall",
    ),
    "utility": ("service", "transformer_tower", "utility", "water_tower", "substation"),
}
_USES = {value: use for use, values in BUILDING_USES.items() for value in values}
_ADMIN_LEVELS = {"6": "county", "8": "town", "10": "community"}
_YES = ("yes", "true", "1")
_SCALE = 1e7
"""OSM keeps positions to 1e-7 degrees: equal positions are the same node."""


def load(
    catalog, path: Path | str, *, layers: tuple[str, ...] = (), mode: str = "replace", dry_run: bool = False, progress=silent
) -> LoadResult:
    """Loads an OSM extract (.osm.pbf) as one delivery of the base layers (or the named ones of them)."""
    path = Path(path)
    frames, findings = deliveries(path, catalog)
    chosen = {k: v for k, v in frames.items() if (not layers or k in layers) and len(v)}
    if not chosen:
        raise SourceError(f"{path.name} holds nothing of {', '.join(layers or frames)}", remedy="Use an extract of the city")
    return load_frames(
        catalog,
        chosen,
        name=path.name,
        files=[path],
        findings=findings,
        mode=mode,
        dry_run=dry_run,
        progress=progress,
        extent=catalog.city.extent,
    )


def deliveries(path: Path | str, catalog) -> tuple[dict[str, geopandas.GeoDataFrame], Findings]:
    """The base layers that an OSM extract holds, in the order of their references: road_node before road. Positions WGS 84, taken as
    EPSG:4490. Raises SourceError."""
    path = Path(path)
    if format_of(path) != "osm":
        raise SourceError(f"{path.name} is no OSM extract", remedy="Deliver an .osm.pbf file")
    findings = Findings()
    lines, areas = (_read(path, layer, findings) for layer in ("lines", "multipolygons"))
    roads, nodes = road_graph(lines)
    administrative = admin_areas(areas)
    uncoded = administrative["code"].isna()
    if uncoded.any():
        findings.add(
            "road_node",
            "OSM01",
            "info",
            f"{int(uncoded.sum())} administrative areas of the extract have no code and were left out",
            value=", ".join(administrative.loc[uncoded, "name"].dropna().head(20)),
            remedy="Load them from the civil affairs bureau's data",
        )
    frames = {
        "road_node": nodes,
        "road": roads,
        "building": buildings(areas),
        "water_body": water_bodies(areas),
        "admin_area": administrative[~uncoded],
    }
    return {k: v.reset_index(drop=True) for k, v in frames.items()}, findings


def _read(path: Path, layer: str, findings: Findings) -> geopandas.GeoDataFrame:
    """One of GDAL's layers of an extract; geometries that are none (a ring of two points at the extract's edge) are counted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = pyogrio.read_dataframe(path, layer=layer, use_arrow=True, on_invalid="ignore")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError, OSError, ValueError, RuntimeError):
        raise SourceError(f"{path.name} cannot be read: it is damaged or cut off", remedy="Fetch the extract again") from None
    broken = frame.geometry.isna()
    if broken.any():
        findings.add(
            "road" if layer == "lines" else "building",
            "OSM02",
            "warning",
            f"{int(broken.sum())} {layer} of the extract have no sound geometry",
            value=", ".join(frame.loc[broken, "osm_id"].dropna().head(20)),
            remedy="Mend them in OpenStreetMap, or take a larger extract",
        )
    return frame[~broken]


def tag(frame: pd.DataFrame, key: str) -> pd.Series:
    """The value of an OSM tag per row, from its own column or from `other_tags`; missing where there is none."""
    if key in frame.columns:
        return frame[key]
    found = frame["other_tags"].str.extract(rf'"{re.escape(key)}"=>"((?:[^"\\]|\\.)*)"', expand=False)
    return found.str.replace('\\"', '"', regex=False)


def _number(texts: pd.Series) -> pd.Series:
    return pd.to_numeric(texts.str.extract(r"^\s*(\d+(?:\.\d+)?)", expand=False), errors="coerce")


def road_graph(lines: geopandas.GeoDataFrame) -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
    """(roads, road nodes): the roads of an OSM `lines` layer split wherever they share a node with another road, with the nodes at
    their ends. A piece is `w<way>_<number along the way>`, a node `n<lon>_<lat>` (1e-7 degrees)."""
    ways = lines[lines["highway"].isin(ROAD_CLASSES)].reset_index(drop=True)
    points, way = shapely.get_coordinates(ways.geometry.values, return_index=True)
    cells = np.rint(points * _SCALE).astype(np.int64)
    if not len(points):
        return _no_roads()
    same = np.r_[False, (way[1:] == way[:-1]) & (cells[1:] == cells[:-1]).all(axis=1)]
    points, way, cells = points[~same], way[~same], cells[~same]
    _, vertex, visits = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    vertex = vertex.ravel()
    first, last = np.r_[True, way[1:] != way[:-1]], np.r_[way[1:] != way[:-1], True]
    node = first | last | (visits[vertex] > 1)
    starts = np.flatnonzero(node & ~last)
    ends = np.flatnonzero(node & ~first)
    kept = ends > starts
    starts, ends = starts[kept], ends[kept]
    lengths = ends - starts + 1
    take = np.repeat(starts - np.r_[0, np.cumsum(lengths)[:-1]], lengths) + np.arange(lengths.sum())
    pieces = shapely.linestrings(points[take], indices=np.repeat(np.arange(len(starts)), lengths))
    origin = way[starts]
    number = np.arange(len(starts)) - np.r_[0, np.flatnonzero(np.diff(origin)) + 1][np.cumsum(np.r_[0, np.diff(origin) != 0])]
    attributes = _road_attributes(ways).iloc[origin].reset_index(drop=True)
    name = np.char.add(np.char.add(np.char.add("n", cells[:, 0].astype(str)), "_"), cells[:, 1].astype(str))
    roads = geopandas.GeoDataFrame(
        attributes.assign(
            road_id="w" + ways["osm_id"].iloc[origin].reset_index(drop=True).astype(str) + "_" + pd.Series(number).astype(str),
            from_node=name[starts],
            to_node=name[ends],
        ),
        geometry=pieces,
        crs=crs.WGS84,
    )
    return roads, _road_nodes(points, name, starts, ends)


def _no_roads() -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
    return tuple(geopandas.GeoDataFrame({key: []}, geometry=[], crs=crs.WGS84) for key in ("road_id", "node_id"))


def _road_nodes(points: np.ndarray, name: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> geopandas.GeoDataFrame:
    """One node per distinct end of a piece: an `end` where only one piece touches it, else a `junction`."""
    touched = np.r_[starts, ends]
    ids, index, degree = np.unique(name[touched], return_index=True, return_counts=True)
    return geopandas.GeoDataFrame(
        {"node_id": ids, "kind": np.where(degree > 1, "junction", "end")}, geometry=shapely.points(points[touched[index]]), crs=crs.WGS84
    )


def _road_attributes(ways: pd.DataFrame) -> pd.DataFrame:
    """The catalogue's fields of roads from OSM's tags."""
    oneway = tag(ways, "oneway").fillna("")
    implied = ways["highway"].isin(["motorway"]) | tag(ways, "junction").fillna("").isin(["roundabout", "circular"])
    forward = oneway.isin(_YES) | (implied & ~oneway.isin(["no", "-1", "false", "0"]))
    bridge = ~tag(ways, "bridge").fillna("no").isin(["no", "false", "0"])
    tunnel = ~tag(ways, "tunnel").fillna("no").isin(["no", "false", "0", "building_passage"])
    level = _number(tag(ways, "layer").str.removeprefix("-")) * np.where(tag(ways, "layer").fillna("").str.startswith("-"), -1, 1)
    speed, lanes = _number(tag(ways, "maxspeed")), _number(tag(ways, "lanes"))
    return pd.DataFrame(
        {
            "name": ways["name"],
            "class": ways["highway"].map(ROAD_CLASSES),
            "oneway": np.select([oneway == "-1", forward], ["backward", "forward"], "both"),
            "lanes": lanes.where(lanes.between(1, 20)).round().astype("Int64"),
            "width_m": _number(tag(ways, "width")),
            "speed_kmh": speed.where(speed.between(1, 130)),
            "level": level.where(level.notna(), np.where(bridge, 1, np.where(tunnel, -1, 0))).clip(-5, 5).astype(int),
            "bridge": bridge.to_numpy(bool),
            "tunnel": tunnel.to_numpy(bool),
        }
    )


def _ids(frame: pd.DataFrame) -> pd.Series:
    """`w123` for a way, `r123` for a relation."""
    return ("w" + frame["osm_way_id"].astype("string")).fillna("r" + frame["osm_id"].astype("string")).astype(object)


def buildings(areas: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The buildings of an OSM `multipolygons` layer."""
    frame = areas[areas["building"].notna() & (areas["building"] != "no")]
    use = frame["building"].map(_USES).fillna(frame["amenity"].map(_USES)).fillna("other")
    floors, height = _number(tag(frame, "building:levels")), _number(tag(frame, "height"))
    street, number = tag(frame, "addr:street"), tag(frame, "addr:housenumber")
    return geopandas.GeoDataFrame(
        {
            "building_id": _ids(frame),
            "name": frame["name"],
            "use": use,
            "floors": floors.where(floors.between(0, 200)).round().astype("Int64"),
            "height_m": height,
            "address": (street + " " + number).fillna(street),
        },
        geometry=frame.geometry,
        crs=crs.WGS84,
    )


def water_bodies(areas: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The water surfaces of an OSM `multipolygons` layer."""
    water, landuse = tag(areas, "water"), areas["landuse"]
    wet = (areas["natural"] == "water") | landuse.isin(["reservoir", "basin"]) | (tag(areas, "waterway") == "riverbank")
    frame = areas[wet]
    named = water[wet].map(
        {"river": "river", "stream": "river", "lake": "lake", "pond": "pond", "canal": "canal", "ditch": "canal", "reservoir": "reservoir"}
    )
    kind = named.fillna(landuse[wet].map({"reservoir": "reservoir", "basin": "pond"})).fillna(
        (tag(areas, "waterway")[wet] == "riverbank").map({True: "river", False: "pond"})
    )
    return geopandas.GeoDataFrame({"body_id": _ids(frame), "name": frame["name"], "kind": kind}, geometry=frame.geometry, crs=crs.WGS84)


def admin_areas(areas: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The administrative areas of levels 6, 8 and 10 with the code of their `ref`, missing where it is no area code."""
    frame = areas[(areas["boundary"] == "administrative") & areas["admin_level"].isin(_ADMIN_LEVELS)]
    code = tag(frame, "ref")
    return geopandas.GeoDataFrame(
        {
            "code": code.where(code.fillna("").str.fullmatch(r"\d{6}(\d{3}){0,2}")),
            "name": frame["name"],
            "level": frame["admin_level"].map(_ADMIN_LEVELS),
            "population": _number(tag(frame, "population")).astype("Int64"),
        },
        geometry=frame.geometry,
        crs=crs.WGS84,
    )
