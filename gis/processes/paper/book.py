"""The burst book: for every segment which valves to close and who loses water, gathered into map sheets by grid cell or pressure zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gis.analysis import sheets
from gis.analysis.consumers import Outage, outage
from gis.analysis.network import decoded
from gis.errors import NotFound
from gis.processes import Progress
from gis.processes._water_network import Water, water
from gis.processes.paper.drawing import Ground, ground
from gis.standards import codes

LARGEST_M, MOST = 950.0, 30
"""What fits legibly on one A4 sheet: about 1:5000, and as many segments."""
_VALVE = ["valve_id", "kind", "normal_status", "live_status", "operable", "accessible", "remote", "diameter_mm", "turns", "road_name",
          "address"]  # fmt: skip
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
    """Everything that is printed: the whole book of a network, or the volume of some of its areas, in which segments and sheets have the
    numbers of the whole. lines, home: per segment of the whole its geometry (metres) and its sheet; entries, pages: those printed;
    valve_*: per valve of the network its number on the maps (0: none of the book), place (metres, NaN: unknown), the pipe at whose end it
    stands (from that end on, else None) and row of attributes; number_of: the number of each segment (index of the network)."""

    network: str
    city: str
    by: str
    version: str
    day: dt.date
    entries: dict[int, Entry]
    pages: list[Page]
    lines: np.ndarray
    home: np.ndarray
    number_of: dict[int, int]
    valve_number: np.ndarray
    valve_xy: np.ndarray
    valve_arm: dict[int, object]
    valves: pd.DataFrame
    ground: Ground
    sources: pd.DataFrame

    def line(self, number: int):
        """The geometry of the segment with this number."""
        return self.lines[number - 1]

    def sheet_of(self, number: int) -> int:
        """The sheet on which the segment with this number is found."""
        return int(self.home[number - 1])


def book(store, network: str, by: By, progress: Progress, limit: int | None = None, areas: Sequence[str] = ()) -> Book:
    """The book of a network. limit: only so many sheets; areas: only these grid cells (or what begins like that: a community, a town), or
    these zones. Raises NotFound, AccessDenied."""
    progress(0.0, "network")
    known, metric = water(store, network), store.catalog.city.working_crs
    part, net = known.engine.segments, known.engine.network
    used = np.flatnonzero(np.diff(part.pipe_at) > 0)
    pipes = store.frame("water_pipe", ["pipe_id", "road_name", "zone"], {"network": network}, crs=metric)
    pipes = pipes.drop_duplicates("pipe_id").set_index("pipe_id").reindex(decoded(net.pipe_id))
    shapes = shapely.force_2d(pipes.geometry.to_numpy())
    lines = _lines(shapes, part, used)
    names, home = _areas(store, by, pipes, part, used, lines)
    cut = sheets.sheets(shapely.bounds(lines), home, LARGEST_M, MOST)
    order = np.concatenate([s.members for s in cut]) if cut else np.zeros(0, np.int64)
    pages = _pages(lines[order], cut, names, _wanted(by, areas), limit)
    if not pages:
        raise NotFound(f"nothing of {network[:60]!r} lies in {', '.join(areas)[:60] or 'a ' + by}",
                       remedy="Ask with the other of --by grid and --by zone, or with another area")  # fmt: skip
    progress(0.05, "segments")
    numbers = np.array([n for page in pages for n in page.entries], np.int64)
    entries = {entry.number: entry for entry in _entries(store, known, used[order], numbers, pipes, progress)}
    valves = store.frame("water_valve", _VALVE, {"network": network}, crs=metric)
    valves = valves.drop_duplicates("valve_id").set_index("valve_id", drop=False).reindex(decoded(net.valve_id))
    made = Book(
        network=network, city=store.catalog.city.name.zh, by=by, version=known.version, day=dt.date.today(), entries=entries, pages=pages,
        lines=lines[order], home=np.repeat(np.arange(1, len(cut) + 1), [len(s.members) for s in cut]),
        number_of={int(s): i for i, s in enumerate(used[order], 1)}, valve_number=np.zeros(net.n_valves, np.int64),
        valve_xy=_xy(valves.geometry), valve_arm=_arms(net, shapes, entries.values()), valves=pd.DataFrame(valves.drop(columns="geometry")),
        ground=ground(store, tuple(shapely.total_bounds(lines[order[numbers - 1]])), houses=False), sources=_source_rows(store, network),
    )  # fmt: skip
    _number_valves(made)
    return made


def _wanted(by: By, areas: Sequence[str]) -> Callable[[str], bool]:
    """Whether the code of an area is asked for."""
    if by == "grid":
        return lambda code: not areas or code.startswith(tuple(areas))
    return lambda code: not areas or code in areas


def _xy(points: gpd.GeoSeries) -> np.ndarray:
    return np.column_stack((points.x.to_numpy(float), points.y.to_numpy(float)))


def _arms(net, shapes: np.ndarray, entries: Iterable[Entry]) -> dict[int, object]:
    """Per valve of the book that stands at the end of a pipe: that pipe, beginning there."""
    arms = {}
    for v in {v for entry in entries for v in valves_of(entry) if net.valve_end[v] >= 0}:
        line, end = shapes[net.valve_end[v] // 2], net.valve_end[v] % 2
        if line is not None and not line.is_empty:
            arms[v] = line.reverse() if end else line
    return arms


def _lines(shapes: np.ndarray, part, used: np.ndarray) -> np.ndarray:
    """The pipes of each segment as one geometry (metres)."""
    found = np.empty(len(used), object)
    for i, s in enumerate(used):
        own = shapes[part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]]
        found[i] = shapely.MultiLineString([line for line in own if line is not None and not line.is_empty])
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


def _entries(store, known: Water, segments: np.ndarray, numbers: np.ndarray, pipes, progress: Progress) -> Iterator[Entry]:
    """The answers for the segments with these numbers (from 1, into `segments`)."""
    engine, net, part, supplied = known.engine, known.engine.network, known.engine.segments, known.consumers
    road = pipes["road_name"].to_numpy(object)
    answers = []
    for done, s in enumerate(segments[numbers - 1].tolist()):
        if done % 50 == 0:
            progress(0.05 + 0.2 * done / len(numbers), "segments")
        found = engine.burst(np.array([s]))
        dry = np.union1d(found.region, found.lost)
        answers.append((s, found, outage(engine, supplied, dry), outage(engine, supplied, np.setdiff1d(dry, [s]))))
    plates, buildings = _names(store, supplied, [dry for _, _, dry, _ in answers])
    for number, (s, found, dry, behind) in zip(numbers.tolist(), answers, strict=True):
        own = part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]
        yield Entry(
            number=number, segment=s, name=engine.segment_name(s), streets=_streets(road[own]), pipes=decoded(net.pipe_id[own]),
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


def _names(store, supplied, dry: list[Outage]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The door-plates of those without water, and the buildings of the priority users among them."""
    plates = np.unique(np.concatenate([one.plates for one in dry]))
    urgent = np.unique(np.concatenate([one.priority for one in dry])).astype(np.int64)
    homes = np.unique(supplied.connection_building[urgent])
    buildings = {"building_id": decoded(supplied.building_id[homes[homes >= 0]])}
    return (
        store.frame("door_plate", ["plate_id", "road", "number"], {"plate_id": decoded(plates)}, geometry=False).set_index("plate_id"),
        store.frame("building", ["building_id", "name", "address"], buildings, geometry=False).set_index("building_id"),
    )


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


def _source_rows(store, network: str) -> pd.DataFrame:
    rows = store.frame("water_source", ["source_id", "name"], {"network": network}, crs=store.catalog.city.working_crs)
    return pd.DataFrame(
        {"source_id": rows["source_id"], "name": rows["name"].fillna(rows["source_id"]), "x": rows.geometry.x, "y": rows.geometry.y}
    )


def _pages(lines: np.ndarray, cut: list[sheets.Sheet], areas: list[tuple[str, str]], wanted, limit: int | None) -> list[Page]:
    """The sheets that are wanted, with the segments of other sheets that are drawn on them too. lines: in the order of the sheets."""
    bounds, tree, pages = shapely.bounds(lines), shapely.STRtree(lines), []
    start = 0
    for number, sheet in enumerate(cut, 1):
        own = np.arange(start, start + len(sheet.members))
        start += len(sheet.members)
        title, code = areas[sheet.area]
        if not wanted(code) or (limit is not None and len(pages) >= limit):
            continue
        box = (*bounds[own, :2].min(axis=0), *bounds[own, 2:].max(axis=0))
        part = f"（{sheet.part}/{sheet.parts}）" if sheet.parts > 1 else ""
        others = np.setdiff1d(tree.query(shapely.box(*box), predicate="intersects"), own)
        pages.append(Page(number, title + part, code, (own + 1).tolist(), (others + 1).tolist(), tuple(map(float, box))))
    return pages


def _number_valves(made: Book) -> None:
    """Valves are numbered as they first come in the book, within a sheet from north-west to south-east by rows."""
    number = 0
    for page in made.pages:
        own = np.array(sorted({v for i in page.entries for v in valves_of(made.entries[i])}), np.int64)
        own = own[made.valve_number[own] == 0]
        row = np.round(-np.nan_to_num(made.valve_xy[own, 1]) / 150)
        for v in own[np.lexsort((np.nan_to_num(made.valve_xy[own, 0]), row))]:
            number += 1
            made.valve_number[v] = number


def valves_of(entry: Entry) -> list[int]:
    """Every valve that an entry names."""
    return [*entry.close, *entry.optional, *entry.already_closed, *entry.stuck, *entry.feeds]
