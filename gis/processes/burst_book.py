"""The burst book: for every segment which valves to close and who loses water, gathered into map sheets by grid cell or pressure zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gis.analysis import sheets
from gis.analysis.consumers import outage
from gis.analysis.network import decoded
from gis.errors import NotFound
from gis.processes import Progress
from gis.processes._water_network import Water, water
from gis.standards import codes

LARGEST_M, MOST = 950.0, 30
"""What fits legibly on one A4 sheet: about 1:5000, and as many segments."""
_VALVE = [
    "valve_id",
    "kind",
    "normal_status",
    "live_status",
    "operable",
    "accessible",
    "remote",
    "diameter_mm",
    "turns",
    "road_name",
    "address",
]
By = Literal["grid", "zone"]


@dataclass(frozen=True)
class Entry:
    """One segment in the book. Numbers are those on the maps; valves are indices of the network; beyond: for each valve
    to close the segments behind it, whose valves are to be closed too where it does not turn."""

    number: int
    segment: int
    name: str
    streets: list[str]
    pipes: list[str]
    length_m: float
    diameters: list[int]
    isolated: bool
    sources: list[str]
    close: list[int]
    beyond: list[list[int]]
    optional: list[int]
    already_closed: list[int]
    stuck: list[int]
    feeds: list[int]
    customers: int
    volume_m3: float
    priority: list[str]
    plates: dict[str, list[str]]
    behind_streets: list[str]
    behind_pipes: int
    behind_customers: int
    hydrants: int


@dataclass(frozen=True)
class Page:
    """One sheet: its number and title, the numbers of its segments, those of others drawn on it, and its extent (metres)."""

    number: int
    title: str
    code: str
    entries: list[int]
    neighbours: list[int]
    box: tuple[float, float, float, float]


@dataclass
class Book:
    """Everything that is printed. lines: per entry its geometry (metres); valve_*: per valve of the network its number on the maps (0: none
    of the book), place (metres, NaN: unknown), the pipe at whose end it stands (from that end on, else None) and row of attributes."""

    network: str
    city: str
    by: str
    version: str
    day: dt.date
    entries: list[Entry]
    pages: list[Page]
    lines: np.ndarray
    valve_number: np.ndarray
    valve_xy: np.ndarray
    valve_arm: np.ndarray
    valves: pd.DataFrame
    roads: gpd.GeoDataFrame
    waters: gpd.GeoDataFrame
    sources: pd.DataFrame
    home: dict[int, int] = field(default_factory=dict)
    number_of: dict[int, int] = field(default_factory=dict)


def book(store, network: str, by: By, progress: Progress, limit: int | None = None) -> Book:
    """The book of a network. limit: only so many sheets. Raises NotFound, AccessDenied."""
    progress(0.0, "network")
    known = water(store, network)
    part, net = known.engine.segments, known.engine.network
    used = np.flatnonzero(np.diff(part.pipe_at) > 0)
    pipes = store.frame("water_pipe", ["pipe_id", "road_name", "zone"], {"network": network}, crs=store.catalog.city.working_crs)
    pipes = pipes.drop_duplicates("pipe_id").set_index("pipe_id").reindex(decoded(net.pipe_id))
    lines = _lines(pipes.geometry.to_numpy(), part, used)
    areas, home = _areas(store, by, pipes, part, used, lines)
    cut = sheets.sheets(shapely.bounds(lines), home, LARGEST_M, MOST)
    order = np.concatenate([s.members for s in cut]) if cut else np.zeros(0, np.int64)
    progress(0.1, "segments")
    entries = list(_entries(store, known, used[order], pipes, progress))
    if not entries:
        raise NotFound(f"nothing of {network[:60]!r} lies in a {by}", remedy="Ask with the other of --by grid and --by zone")
    valves = store.frame("water_valve", _VALVE, {"network": network}, crs=store.catalog.city.working_crs)
    valves = valves.drop_duplicates("valve_id").set_index("valve_id", drop=False).reindex(decoded(net.valve_id))
    made = Book(
        network=network, city=store.catalog.city.name.zh, by=by, version=known.version, day=dt.date.today(), entries=entries,
        pages=[], lines=lines[order], valve_number=np.zeros(net.n_valves, np.int64), valve_xy=_xy(valves.geometry),
        valve_arm=_arms(net, pipes.geometry.to_numpy()),
        valves=pd.DataFrame(valves.drop(columns="geometry")), roads=_background(store, "road", ["name", "class", "width_m"], lines),
        waters=_background(store, "water_body", ["name"], lines), sources=_source_rows(store, network),
    )  # fmt: skip
    _paginate(made, cut, areas, limit)
    _number_valves(made)
    return made


def _xy(points: gpd.GeoSeries) -> np.ndarray:
    return np.column_stack((points.x.to_numpy(float), points.y.to_numpy(float)))


def _arms(net, shapes: np.ndarray) -> np.ndarray:
    """Per valve the pipe at whose end it stands, beginning there; None for the others."""
    arms = np.full(net.n_valves, None, object)
    for v in np.flatnonzero(net.valve_end >= 0):
        line, end = shapes[net.valve_end[v] // 2], net.valve_end[v] % 2
        if line is not None and not line.is_empty:
            arms[v] = shapely.force_2d(line.reverse() if end else line)
    return arms


def _lines(shapes: np.ndarray, part, used: np.ndarray) -> np.ndarray:
    """The pipes of each segment as one geometry (metres)."""
    found = np.empty(len(used), object)
    for i, s in enumerate(used):
        own = shapes[part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]]
        found[i] = shapely.MultiLineString([shapely.force_2d(line) for line in own if line is not None and not line.is_empty])
    return found


def _areas(store, by: By, pipes, part, used, lines) -> tuple[list[tuple[str, str]], np.ndarray]:
    """The areas (title, code) and the one that each segment belongs to."""
    if by == "grid":
        cells = store.frame("grid_cell", ["grid_code", "name"], crs=store.catalog.city.working_crs).sort_values("grid_code")
        names = [(row.name_ or row.code, row.code) for row in cells.rename(columns={"name": "name_", "grid_code": "code"}).itertuples()]
        return names, sheets.homes(lines, cells.geometry.to_numpy())
    zone = pipes["zone"].fillna("").to_numpy(object)
    names = sorted(set(zone))
    of_pipe = pd.Index(names).get_indexer(zone)
    home = np.array([np.bincount(of_pipe[part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]]).argmax() for s in used], np.int64)
    return [(name or "未分区", name) for name in names], home


def _entries(store, known: Water, segments: np.ndarray, pipes, progress: Progress) -> Iterator[Entry]:
    """The answer for each of these segments, numbered from 1."""
    engine, net, part, supplied = known.engine, known.engine.network, known.engine.segments, known.consumers
    road = pipes["road_name"].to_numpy(object)
    plates = store.frame("door_plate", ["plate_id", "road", "number"], geometry=False).set_index("plate_id")
    buildings = store.frame("building", ["building_id", "name", "address"], geometry=False).set_index("building_id")
    for number, s in enumerate(segments, 1):
        if number % 50 == 0:
            progress(0.1 + 0.25 * number / len(segments), "segments")
        found = engine.burst(np.array([s]))
        own = part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]
        dry = outage(engine, supplied, np.union1d(found.region, found.lost))
        behind = outage(engine, supplied, np.setdiff1d(np.union1d(found.region, found.lost), [s]))
        yield Entry(
            number=number, segment=int(s), name=engine.segment_name(s), streets=_streets(road[own]), pipes=decoded(net.pipe_id[own]),
            length_m=float(np.nansum(net.pipe_length[own])), diameters=_diameters(net.pipe_diameter[own]),
            beyond=[[int(t) for t in engine.segments_at_valve(v) if t not in found.region] for v in found.close.tolist()],
            isolated=found.isolated, sources=decoded(net.source_id[found.sources_to_shut]), close=found.close.tolist(),
            optional=found.optional.tolist(), already_closed=found.already_closed.tolist(), stuck=found.stuck.tolist(),
            feeds=found.feeds_to_open.tolist(), customers=dry.customers, volume_m3=dry.volume_m3,
            priority=_priority(supplied, buildings, dry.priority.tolist(), store.catalog.city.name.zh),
            plates=_plates(plates, decoded(dry.plates)),
            behind_streets=_streets(road[behind.pipes]), behind_pipes=len(behind.pipes), behind_customers=behind.customers,
            hydrants=len(dry.hydrants),
        )  # fmt: skip


def _diameters(known: np.ndarray) -> list[int]:
    """The diameters, each once, the largest first."""
    return sorted({int(d) for d in known if d > 0}, reverse=True)


def _streets(names: np.ndarray) -> list[str]:
    """The streets of some pipes, the one with the most of them first."""
    counted = pd.Series(names, dtype=object).dropna().value_counts(sort=True)
    return sorted(counted.index, key=lambda name: (-counted[name], name))


def _priority(supplied, buildings: pd.DataFrame, connections: list[int], town: str) -> list[str]:
    """The priority users as a crew knows them, by kind: the names of their buildings, or the addresses within the town."""
    by_kind: dict[str, list[str]] = {}
    for i in connections:
        at = int(supplied.connection_building[i])
        key = supplied.building_id[at].decode() if at >= 0 else None
        row = buildings.loc[key] if key in buildings.index else None
        named = [] if row is None else [str(row[c]).rpartition(town)[2] or str(row[c]) for c in ("name", "address") if pd.notna(row[c])]
        kind = codes("onemap.priority").title_of(supplied.connection_priority[i].decode())
        by_kind.setdefault(kind, []).append(named[0] if named else supplied.connection_id[i].decode())
    return [f"{kind}：{'、'.join(dict.fromkeys(names))}" for kind, names in by_kind.items()]


def _plates(plates: pd.DataFrame, ids: list[str]) -> dict[str, list[str]]:
    """The numbers of door-plates by street."""
    own = plates.loc[plates.index.intersection(ids)].dropna(subset=["road", "number"])
    return {road: sorted(set(rows), key=_house_number) for road, rows in own.groupby("road")["number"]}


def _house_number(text: str) -> tuple[int, str]:
    digits = "".join(c for c in text if c.isdigit())
    return int(digits[:9] or 0), text


def _background(store, layer: str, columns: list[str], lines: np.ndarray) -> gpd.GeoDataFrame:
    """A layer of the base map around the network, in metres."""
    crs = store.catalog.city.working_crs
    box = gpd.GeoSeries([shapely.box(*shapely.total_bounds(lines)).buffer(300)], crs=crs).to_crs(4490).total_bounds
    return store.frame(layer, columns, bbox=tuple(box), crs=crs) if store.can_read(layer) else gpd.GeoDataFrame(geometry=[])


def _source_rows(store, network: str) -> pd.DataFrame:
    rows = store.frame("water_source", ["source_id", "name"], {"network": network}, crs=store.catalog.city.working_crs)
    return pd.DataFrame(
        {"source_id": rows["source_id"], "name": rows["name"].fillna(rows["source_id"]), "x": rows.geometry.x, "y": rows.geometry.y}
    )


def _paginate(made: Book, cut: list[sheets.Sheet], areas: list[tuple[str, str]], limit: int | None) -> None:
    """Sheets in order, with the segments of other sheets that are drawn on them too."""
    bounds, tree = shapely.bounds(made.lines), shapely.STRtree(made.lines)
    start = 0
    for number, sheet in enumerate(cut[:limit], 1):
        own = np.arange(start, start + len(sheet.members))
        start += len(sheet.members)
        low, high = bounds[own, :2].min(axis=0), bounds[own, 2:].max(axis=0)
        box = (*low, *high)
        title, code = areas[sheet.area]
        part = f"（{sheet.part}/{sheet.parts}）" if sheet.parts > 1 else ""
        others = np.setdiff1d(tree.query(shapely.box(*box), predicate="intersects"), own)
        made.pages.append(Page(number, title + part, code, (own + 1).tolist(), (others + 1).tolist(), tuple(map(float, box))))
        made.home |= {int(i) + 1: number for i in own}
    made.entries[:] = made.entries[:start]
    for page in made.pages:
        page.neighbours[:] = [n for n in page.neighbours if n <= start]
    made.lines = made.lines[:start]
    made.number_of |= {entry.segment: entry.number for entry in made.entries}


def _number_valves(made: Book) -> None:
    """Valves are numbered as they first come in the book, within a sheet from north-west to south-east by rows."""
    number = 0
    for page in made.pages:
        own = np.array(sorted({v for i in page.entries for v in valves_of(made.entries[i - 1])}), np.int64)
        own = own[made.valve_number[own] == 0]
        row = np.round(-np.nan_to_num(made.valve_xy[own, 1]) / 150)
        for v in own[np.lexsort((np.nan_to_num(made.valve_xy[own, 0]), row))]:
            number += 1
            made.valve_number[v] = number


def valves_of(entry: Entry) -> list[int]:
    """Every valve that an entry names."""
    return [*entry.close, *entry.optional, *entry.already_closed, *entry.stuck, *entry.feeds]
