"""EPANET networks into the water layers: one canonical form, whatever the file drew as a valve.

Reservoirs and tanks become sources. A closed pipe gets a closed isolation valve at each end (`PIPE@NODE`), a CV pipe a check
valve at its end node. PRV, PSV and pumps are directed links; other valves are plain links unless their type is named as
isolating. A valve layer puts isolation valves at link ends (`LINK@NODE`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import shapely

from etl.inp import FOOT_M, Inp, Link, read, text_of
from gis import crs as systems
from gis.catalog.read import catalog
from gis.errors import DataError, InputError, OutsideExtent, SourceError

VALVE_TYPES = ("PRV", "PSV", "PBV", "FCV", "TCV", "GPV", "PCV")
DIRECTED = ("PRV", "PSV", "PUMP")
_KINDS = {"PUMP": "pump", "PRV": "prv", "PSV": "psv", "PBV": "pbv", "FCV": "fcv", "TCV": "tcv", "GPV": "gpv"}
_METRE_DEGREES = 111_320.0


@dataclass
class _Map:
    """The network on the map: nodes (id → index) with lon/lat (n, 2) and elevation (n,), NaN where unknown."""

    index: dict[str, int]
    xy: np.ndarray
    z: np.ndarray

    def point(self, node: str) -> shapely.Point:
        i = self.index[node]
        return shapely.Point(self.xy[i, 0], self.xy[i, 1], self.z[i])

    def near(self, node: str, line: np.ndarray) -> shapely.Point:
        """A point on a line close to its end at a node: where a valve at that end is drawn."""
        at = self.xy[self.index[node]]
        line = line if np.allclose(line[0], at) else line[::-1]
        path = shapely.LineString(line)
        spot = path.interpolate(min(1.5 / _METRE_DEGREES, path.length * 0.1))
        return shapely.Point(spot.x, spot.y, self.z[self.index[node]])


def deliveries(
    path: Path | str, network: str, place: tuple[float, float] | None = None, crs: str | None = None, isolation: Iterable[str] = (),
    valve_layer: Path | str | None = None, encoding: str | None = None,
) -> dict[str, geopandas.GeoDataFrame]:  # fmt: skip
    """The layers water_node, water_pipe, water_valve and water_source of an EPANET file, EPSG:4490, all rows of `network`.

    place: longitude, latitude of the middle of a file in local coordinates (default: the centre of the city); crs: the system of
    the file's coordinates, where it has a real one; isolation: valve types that are isolation valves; valve_layer: CSV link,node.
    Local coordinates are in the file's map unit; where it names none, in the unit that makes the drawn pipes as long as recorded.
    Raises SourceError (unreadable, with the line), InputError (unknown type), DataError (the valve layer names what is not there).
    """
    isolation = _isolating_types(isolation)
    inp = read(Path(path), encoding)
    _check_ends(inp, Path(path).name)
    drawn = _placed(inp, place, crs)
    _require_inside(drawn.xy)
    extra = _valve_rows(inp, Path(valve_layer), encoding) if valve_layer else []
    lines = {link.id: _line(link, drawn, inp, place, crs) for link in inp.links.values()}
    valves, stubs = _valves(inp, isolation, extra, drawn, lines)
    frames = {
        "water_node": _node_rows(inp, drawn, stubs), "water_pipe": _pipe_rows(inp, drawn, lines),
        "water_valve": valves, "water_source": _source_rows(inp, drawn),
    }  # fmt: skip
    for layer, rows in frames.items():
        frame = geopandas.GeoDataFrame(rows, geometry=[r.pop("geometry") for r in rows], crs=f"EPSG:{systems.STORED}")
        frame.insert(0, "network", network)
        frames[layer] = frame
    return {layer: frame for layer, frame in frames.items() if len(frame)}


def _isolating_types(wanted: Iterable[str]) -> set[str]:
    types = {t.strip().upper() for t in wanted if t.strip()}
    unknown = sorted(types - set(VALVE_TYPES))
    if unknown:
        raise InputError(f"no valve type {unknown[0][:20]!r}", remedy=f"One of {', '.join(VALVE_TYPES)}")
    return types


def _check_ends(inp: Inp, file: str) -> None:
    for link in inp.links.values():
        for node in (link.start, link.end):
            if node not in inp.nodes:
                raise SourceError(
                    f"link {link.id!r} ends at node {node[:40]!r}, which the file does not have",
                    where=file,
                    remedy="Correct the link",
                )


def _placed(inp: Inp, place: tuple[float, float] | None, crs: str | None) -> _Map:
    """The nodes in degrees. Nodes without a position stand between their neighbours, so that the map shows where they belong."""
    index = {node: i for i, node in enumerate(inp.nodes)}
    xy = np.array([n.xy or (np.nan, np.nan) for n in inp.nodes.values()], float)
    xy = _between_neighbours(inp, index, xy)
    elevation = np.array([n.elevation if n.elevation is not None else 0.0 for n in inp.nodes.values()], float)
    return _Map(index, np.column_stack(_to_degrees(inp, xy, place, crs, xy)), elevation)


def _require_inside(xy: np.ndarray) -> None:
    """A network that is not in the city would lose rows on its way in: refused as a whole, before anything is loaded."""
    outside = ~systems.inside(xy[:, 0], xy[:, 1], catalog().city.extent)
    if outside.any():
        raise OutsideExtent(f"{int(outside.sum())} of {len(xy)} nodes would lie outside the city",
                            remedy="Name the right --crs, or a --place so that the network fits")  # fmt: skip


def _between_neighbours(inp: Inp, index: dict[str, int], xy: np.ndarray) -> np.ndarray:
    """Fills missing positions from the neighbours, then with the middle of the network."""
    a = np.array([index[link.start] for link in inp.links.values()])
    b = np.array([index[link.end] for link in inp.links.values()])
    known = ~np.isnan(xy[:, 0])
    while not known.all():
        target = np.concatenate((a[known[b] & ~known[a]], b[known[a] & ~known[b]]))
        origin = np.concatenate((b[known[b] & ~known[a]], a[known[a] & ~known[b]]))
        if not len(target):
            xy[~known] = np.nanmean(xy, axis=0) if known.any() else 0.0
            break
        xy[np.unique(target)] = 0.0
        np.add.at(xy, target, xy[origin])
        count = np.bincount(target, minlength=len(xy))
        hit = count > 0
        xy[hit] /= count[hit, None]
        known |= hit
    return xy


def _to_degrees(inp: Inp, xy: np.ndarray, place, crs, all_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the file in degrees of EPSG:4490; `all_xy` gives the middle of a local network."""
    if crs:
        systems.require_known_datum(crs) if not systems.chinese_offset(crs) else None
        lon, lat = systems.transform(xy[:, 0], xy[:, 1], crs)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            raise SourceError(
                f"the coordinates do not lie in {crs}",
                remedy="Name the right --crs, or use --place for local coordinates",
            )
        return lon, lat
    lon, lat = place or catalog().city.center
    if not (-180 <= lon <= 180 and -85 <= lat <= 85):
        raise InputError("--place is longitude, latitude in degrees", remedy="For example 117.0,32.0")
    low, high = np.nanmin(all_xy, axis=0), np.nanmax(all_xy, axis=0)
    middle = (low + high) / 2
    unit = {"FEET": FOOT_M, "METERS": 1.0}.get(inp.map_units) or _unit(inp)
    local = systems.local(lon, lat, x0=float(middle[0]), y0=float(middle[1]), unit_m=unit)
    return systems.transform(xy[:, 0], xy[:, 1], local)


def _unit(inp: Inp) -> float:
    """The metres of one map unit of a file that does not name it: what makes the drawn pipes as long as their recorded lengths.

    Feet or metres where the median pipe agrees with them within a fifth; schematic drawings get the scale of their median pipe.
    """
    ends = [(p.length, p.start, p.end) for p in inp.links.values() if p.length and not p.vertices]
    known = [(size, inp.nodes[a].xy, inp.nodes[b].xy) for size, a, b in ends if inp.nodes[a].xy and inp.nodes[b].xy]
    ratios = [size / np.hypot(a[0] - b[0], a[1] - b[1]) for size, a, b in known if a != b]
    ratio = float(np.median(ratios)) if ratios else 1.0
    return next((usual for usual in (1.0, FOOT_M) if abs(ratio / usual - 1) < 0.2), ratio)


def _line(link: Link, drawn: _Map, inp: Inp, place, crs) -> np.ndarray:
    """The vertices of a link in degrees; two ends at one place are drawn as a tiny spur, because a line needs two points."""
    ends = drawn.xy[[drawn.index[link.start], drawn.index[link.end]]]
    if link.vertices:
        nodes = np.array([n.xy for n in inp.nodes.values() if n.xy] or [(0.0, 0.0)])
        inner = np.column_stack(_to_degrees(inp, np.array(link.vertices), place, crs, nodes))
        ends = np.vstack((ends[:1], inner, ends[1:]))
    if np.allclose(ends, ends[0], rtol=0, atol=1e-10):
        ends = np.vstack((ends[:1], ends[:1] + 0.3 / _METRE_DEGREES, ends[-1:]))
    return ends


def _with_heights(line: np.ndarray, start: float, end: float) -> shapely.LineString:
    """The line with heights that change evenly from its start to its end."""
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))))
    return shapely.LineString(np.column_stack((line, start + (end - start) * along / (along[-1] or 1.0))))


def _within(value: float | None, low: float, high: float) -> float | None:
    """The value where the layer accepts it, else None: an impossible attribute must not cost the element.

    To six decimals: twelve inches are 304.8 mm, not 304.79999999999995.
    """
    return round(value, 6) if value is not None and low <= value <= high else None


def _node_rows(inp: Inp, drawn: _Map, stubs: dict[str, shapely.Point]) -> list[dict]:
    rows = [
        {
            "node_id": node.id, "ground_m": _within(node.elevation, -200, 9000) if node.kind == "junction" else None,
            "base_demand_lps": _within(node.demand, -10000, 10000) if node.kind == "junction" else None,
            "geometry": drawn.point(node.id),
        }
        for node in inp.nodes.values()
    ]  # fmt: skip
    return rows + [{"node_id": name, "ground_m": None, "base_demand_lps": None, "geometry": spot} for name, spot in stubs.items()]


def _pipe_rows(inp: Inp, drawn: _Map, lines: dict[str, np.ndarray]) -> list[dict]:
    hazen_williams = inp.headloss.startswith("H")
    return [
        {
            "pipe_id": p.id, "from_node": p.start, "to_node": p.end, "diameter_mm": _within(p.diameter, 1, 6000),
            "length_m": _within(p.length, 0, 200000), "status": "0",
            "roughness": _within(p.roughness, 0, 1000) if hazen_williams else None,
            "geometry": _with_heights(lines[p.id], drawn.z[drawn.index[p.start]], drawn.z[drawn.index[p.end]]),
        }
        for p in inp.links.values() if p.kind == "PIPE"
    ]  # fmt: skip


def _source_rows(inp: Inp, drawn: _Map) -> list[dict]:
    return [
        {
            "source_id": n.id, "node_id": n.id, "kind": n.kind, "name": n.id, "head_m": _within(n.head, -500, 9000),
            "capacity_m3": _within(n.capacity, 0, 1e9), "geometry": drawn.point(n.id),
        }
        for n in inp.nodes.values() if n.kind != "junction"
    ]  # fmt: skip


def _valve_rows(inp: Inp, path: Path, encoding: str | None) -> list[tuple[str, str]]:
    """The (link, node) pairs of a valve layer, each once. Raises SourceError, or DataError naming the row that does not fit."""
    if not path.is_file():
        raise SourceError(f"there is no valve layer {path.name}", remedy="Check the path")
    table = csv.DictReader(io.StringIO(text_of(path, encoding)))
    names = {(n or "").strip().lower(): n for n in table.fieldnames or ()}
    if not {"link", "node"} <= set(names):
        raise SourceError(f"the valve layer {path.name} has no columns link and node", remedy="Give it a header line with link,node")
    pairs = []
    for row in table:
        link, node = ((row[names[k]] or "").strip() for k in ("link", "node"))
        found = inp.links.get(link)
        if found is None or node not in (found.start, found.end):
            raise DataError(f"there is no link {link[:40]!r} with an end at node {node[:40]!r}", where=f"{path.name}:{table.line_num}",
                            remedy="Correct the row, or leave it out")  # fmt: skip
        pairs.append((link, node))
    return list(dict.fromkeys(pairs))


def _valves(inp: Inp, isolation: set[str], extra: list[tuple[str, str]], drawn: _Map, lines: dict) -> tuple[list[dict], dict]:
    """The rows of all valves, and the nodes put between a device and the isolation valve at its end (id → point)."""
    rows: dict[str, dict] = {}
    ends: dict[str, list[str]] = {}
    for link in inp.links.values():
        ends[link.id] = [link.start, link.end]
        if link.kind == "PIPE" and link.status == "CLOSED":
            for node in (link.start, link.end):
                rows[f"{link.id}@{node}"] = _gate(link, node, "closed", drawn, lines)
        if link.kind == "PIPE" and link.status == "CV":
            name = f"{link.id}@{link.end}" if (link.id, link.end) not in extra else f"{link.id}@{link.end}/CV"
            rows[name] = _gate(link, link.end, "open", drawn, lines) | {
                "valve_id": name,
                "kind": "check",
                "isolating": False,
                "flow": "to_node",
            }
    stubs: dict[str, shapely.Point] = {}
    for link_id, node in extra:
        link, name = inp.links[link_id], f"{link_id}@{node}"
        if link.kind == "PIPE":
            rows.setdefault(name, _gate(link, node, "open", drawn, lines))
            continue
        stubs[name] = drawn.near(node, lines[link_id])
        ends[link_id][0 if node == link.start else 1] = name
        rows[name] = {"valve_id": name, "kind": "gate", "isolating": True, "from_node": node, "to_node": name, "normal_status": "open",
                      "diameter_mm": _within(link.diameter, 1, 6000), "geometry": drawn.point(node)}  # fmt: skip
    for link in inp.links.values():
        if link.kind != "PIPE":
            rows[link.id] = _link_valve(link, ends[link.id], isolation, lines, drawn)
    columns = (
        "valve_id",
        "kind",
        "isolating",
        "node_id",
        "pipe_id",
        "from_node",
        "to_node",
        "flow",
        "normal_status",
        "diameter_mm",
        "setting",
        "curve",
        "power_kw",
    )
    return [
        {c: row.get(c) for c in columns} | {"operable": True, "accessible": True, "geometry": row["geometry"]} for row in rows.values()
    ], stubs


def _gate(link: Link, node: str, status: str, drawn: _Map, lines: dict) -> dict:
    """An isolation valve at a pipe's end."""
    return {
        "valve_id": f"{link.id}@{node}", "kind": "gate", "isolating": True, "node_id": node, "pipe_id": link.id, "normal_status": status,
        "diameter_mm": _within(link.diameter, 1, 6000), "geometry": drawn.near(node, lines[link.id]),
    }  # fmt: skip


def _link_valve(link: Link, ends: list[str], isolation: set[str], lines: dict, drawn: _Map) -> dict:
    """A pump or valve as a link between two nodes."""
    middle = shapely.LineString(lines[link.id]).interpolate(0.5, normalized=True)
    return {
        "valve_id": link.id, "kind": _KINDS.get(link.kind, "other"), "isolating": link.kind in isolation,
        "from_node": ends[0], "to_node": ends[1], "normal_status": "closed" if link.status == "CLOSED" else "open",
        "diameter_mm": _within(link.diameter, 1, 6000), "setting": _within(link.setting, -1000, 1e6),
        "curve": " ".join(f"{flow:.6g}:{head:.6g}" for flow, head in link.curve[:20]) or None,
        "power_kw": _within(link.power_kw, 0, 1e5),
        "geometry": shapely.Point(middle.x, middle.y, drawn.z[drawn.index[link.start]]),
    }  # fmt: skip
