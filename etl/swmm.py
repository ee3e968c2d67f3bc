"""SWMM drainage models (.inp) into manholes and pipes: `onemap load swmm FILE.inp --kind storm`.

Junctions, outfalls, storage units and dividers become manholes, conduits become pipes of the system that `--kind` names. Sections
and columns: EPA SWMM 5.2 User's Manual, appendix D.2. Pumps, orifices, weirs and outlets have no pipe; they are reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import geopandas
import numpy as np
import shapely

from etl.inp import FOOT_M, SI_FLOW_LPS, text_of
from gis import crs as systems
from gis.catalog.model import Catalog
from gis.errors import InputError, OutsideExtent, SourceError
from gis.ingest.delivery import Progress, silent
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, load_frames

KINDS = {"storm": ("rain_pipe", "YS"), "sewage": ("sewer_pipe", "WS"), "combined": ("sewer_pipe", "HS")}
"""The systems, each with the layer of its pipes and their sub-category."""
_NODES = ("JUNCTIONS", "OUTFALLS", "STORAGE", "DIVIDERS")
_PIPELESS = ("PUMPS", "ORIFICES", "WEIRS", "OUTLETS")
_FEATURES = {"OUTFALLS": "outfall", "STORAGE": "vault"}
_MOST_DEPTH = 40.0


@dataclass
class Model:
    """The tables of a file in metres: nodes (id → section, invert, depth), conduits (id → its two nodes, length, offsets), cross-sections
    (id → shape, height, width), positions and inner vertices as in the file."""

    nodes: dict[str, tuple[str, float, float | None]] = field(default_factory=dict)
    conduits: dict[str, tuple[str, str, float, float, float]] = field(default_factory=dict)
    sections: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    xy: dict[str, tuple[float, float]] = field(default_factory=dict)
    vertices: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    pipeless: int = 0
    metre: float = 1.0
    elevations: bool = False
    degrees: bool = False


def load(
    catalog: Catalog, path: Path, *, kind: str | None = None, place: tuple[float, float] | None = None, crs: str | None = None,
    encoding: str | None = None, mode: str = "append", dry_run: bool = False, progress: Progress = silent,
) -> LoadResult:  # fmt: skip
    """Loads a model as one delivery of manholes and pipes; see `deliveries`."""
    frames, findings = deliveries(catalog, path, kind=kind, place=place, crs=crs, encoding=encoding)
    return load_frames(catalog, frames, name=path.name, files=[path], findings=findings, mode=mode, dry_run=dry_run, progress=progress)


def deliveries(
    catalog: Catalog, path: Path, *, kind: str | None = None, place: tuple[float, float] | None = None, crs: str | None = None,
    encoding: str | None = None,
) -> tuple[dict[str, geopandas.GeoDataFrame], Findings]:  # fmt: skip
    """The rows of sewer_manhole and of the pipes' layer, EPSG:4490, and what was found.

    kind: storm (default), sewage or combined. place: longitude, latitude of the middle of a model in local coordinates; crs: the system
    of its coordinates. Raises SourceError (unreadable, with the line), InputError (kind), OutsideExtent.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"no drainage system {kind[:20]!r}", remedy=f"One of {', '.join(KINDS)}")
    system = kind or "storm"
    model = read(path, encoding)
    lost = [node for node in model.nodes if node not in model.xy]
    findings = Findings()
    if lost:
        raise SourceError(f"{len(lost)} nodes of {path.name} have no position, the first is {lost[0][:40]}", remedy="Draw them on the map")
    placed = _placed(model, catalog, place, crs)
    _report(model, system, findings)
    layer, subtype = KINDS[system]
    pipes = [_pipe(model, name, subtype, placed) for name in model.conduits]
    frames = {"sewer_manhole": [_manhole(model, name, system, placed) for name in model.nodes], layer: pipes}
    stored = f"EPSG:{systems.STORED}"
    made = {k: geopandas.GeoDataFrame(rows, geometry=[r.pop("geometry") for r in rows], crs=stored) for k, rows in frames.items() if rows}
    return made, findings


def read(path: Path, encoding: str | None = None) -> Model:
    """The tables of a file. Raises SourceError with the line where it cannot be understood."""
    if not path.is_file():
        raise SourceError(f"there is no file {path.name}", remedy="Check the path")
    sections = _sections(text_of(path, encoding))
    if not sections.get("CONDUITS") or not any(sections.get(name) for name in _NODES):
        raise SourceError(
            f"{path.name} has no [CONDUITS] or no nodes", remedy="Is it a SWMM .inp file? EPANET's is loaded by `load epanet`"
        )
    options = {words[0].upper(): words[-1].upper() for _, words in sections.get("OPTIONS", []) if len(words) > 1}
    units = next((words[-1].upper() for _, words in sections.get("MAP", []) if words[0].upper() == "UNITS"), "NONE")
    flow = options.get("FLOW_UNITS", "CFS")
    model = Model(metre=1.0 if flow in SI_FLOW_LPS else FOOT_M, elevations=options.get("LINK_OFFSETS") == "ELEVATION")
    model.degrees = units == "DEGREES"
    model.pipeless = sum(len(sections.get(name, [])) for name in _PIPELESS)
    _read_nodes(sections, model, path.name)
    _read_links(sections, model, path.name)
    return model


_Lines = list[tuple[int, list[str]]]


def _sections(text: str) -> dict[str, _Lines]:
    """The lines of each section without comments, split into words, with their numbers."""
    found: dict[str, _Lines] = {}
    current = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split(";", 1)[0].strip()
        if line.startswith("["):
            current = found.setdefault(line.strip("[] ").upper(), [])
        elif line and current is not None:
            current.append((number, line.split()))
    return found


def _number(line: tuple[int, list[str]], place: int, file: str, default: float | None = None) -> float:
    number, words = line
    if len(words) <= place or words[place] == "*":
        if default is not None:
            return default
        raise SourceError("a line is too short", where=f"{file}, line {number}", remedy="Complete the line")
    try:
        value = float(words[place])
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise SourceError(f"{words[place][:20]!r} is no number", where=f"{file}, line {number}", remedy="Correct the line")
    return value


def _read_nodes(sections: dict[str, _Lines], model: Model, file: str) -> None:
    for name in _NODES:
        for line in sections.get(name, []):
            depth = None if name in ("OUTFALLS", "DIVIDERS") else _number(line, 2, file, 0.0) * model.metre
            model.nodes[line[1][0]] = (name, _number(line, 1, file, 0.0) * model.metre, depth)
    for line in sections.get("COORDINATES", []):
        if line[1][0] in model.nodes:
            model.xy[line[1][0]] = (_number(line, 1, file), _number(line, 2, file))


def _read_links(sections: dict[str, _Lines], model: Model, file: str) -> None:
    for line in sections["CONDUITS"]:
        number, words = line
        ends = words[1:3]
        if len(ends) < 2 or any(end not in model.nodes for end in ends):
            raise SourceError(
                f"conduit {words[0][:40]!r} ends at a node that the file does not have", where=f"{file}, line {number}", remedy="Correct it"
            )
        free = np.nan if model.elevations else 0.0
        start, end = (_number(line, i, file, free) * model.metre for i in (5, 6))
        model.conduits[words[0]] = (*ends, _number(line, 3, file) * model.metre, start, end)
    for line in sections.get("XSECTIONS", []):
        words = line[1]
        shape = words[1].upper() if len(words) > 1 else ""
        sizes = () if shape in ("IRREGULAR", "STREET", "CUSTOM") else (2, 3)
        height, width = (*(_number(line, i, file, 0.0) * model.metre for i in sizes), 0.0, 0.0)[:2]
        model.sections[words[0]] = (shape, height, width)
    for line in sections.get("VERTICES", []):
        model.vertices.setdefault(line[1][0], []).append((_number(line, 1, file), _number(line, 2, file)))


def _placed(model: Model, catalog: Catalog, place: tuple[float, float] | None, crs: str | None):
    """A function from the file's coordinates (n, 2) to degrees."""
    nodes = np.array(list(model.xy.values()))
    if crs is None and model.degrees:
        crs = f"EPSG:{systems.STORED}"
    if crs is None:
        lon, lat = place or catalog.city.center
        middle = (nodes.min(axis=0) + nodes.max(axis=0)) / 2
        crs = systems.local(lon, lat, x0=float(middle[0]), y0=float(middle[1]), unit_m=model.metre)
    elif not systems.chinese_offset(crs):
        systems.require_known_datum(crs)

    def degrees(points) -> np.ndarray:
        points = np.asarray(points, float)
        return np.column_stack(systems.transform(points[:, 0], points[:, 1], crs))

    lonlat = degrees(nodes)
    outside = ~np.isfinite(lonlat).all(axis=1) | ~systems.inside(lonlat[:, 0], lonlat[:, 1], catalog.city.extent)
    if outside.any():
        raise OutsideExtent(
            f"{int(outside.sum())} of {len(nodes)} nodes would lie outside the city",
            remedy="Name the right --crs, or a --place so that it fits",
        )
    return degrees


def _report(model: Model, system: str, findings: Findings) -> None:
    layer = KINDS[system][0]
    if model.pipeless:
        message = f"{model.pipeless} pumps, orifices, weirs and outlets have no pipe and are left out"
        findings.add(layer, "SWM01", "info", message, value=str(model.pipeless))
    unknown = sum(name not in model.sections for name in model.conduits)
    if unknown:
        findings.add(layer, "SWM02", "warning", f"{unknown} conduits have no cross-section", "Complete [XSECTIONS]", value=str(unknown))


def _manhole(model: Model, name: str, system: str, degrees) -> dict:
    kind, invert, depth = model.nodes[name]
    known = depth if depth and 0 < depth <= _MOST_DEPTH else None
    (lonlat,) = degrees([model.xy[name]])
    return {
        "manhole_id": name, "system": system, "feature": _FEATURES.get(kind, "manhole"), "invert_m": round(invert, 4),
        "ground_m": None if known is None else round(invert + known, 4), "depth_m": None if known is None else round(known, 4),
        "geometry": shapely.Point(*lonlat, invert),
    }  # fmt: skip


def _pipe(model: Model, name: str, subtype: str, degrees) -> dict:
    start, end, _, offset_start, offset_end = model.conduits[name]
    shape, height, width = model.sections.get(name, ("", 0.0, 0.0))
    inverts = [_invert(model, start, offset_start), _invert(model, end, offset_end)]
    round_ = shape in ("CIRCULAR", "FORCE_MAIN", "FILLED_CIRCULAR")
    line = degrees([model.xy[start], *model.vertices.get(name, []), model.xy[end]])
    along = np.r_[0.0, np.cumsum(np.hypot(*np.diff(line, axis=0).T))]
    z = inverts[0] + (inverts[1] - inverts[0]) * along / (along[-1] or 1.0)
    size = f"{round(width * 1000)}×{round(height * 1000)}"
    return {
        "pipe_id": name, "from_node": start, "to_node": end, "subtype": subtype,
        "diameter_mm": round(height * 1000, 1) if round_ and height else None,
        "section": None if round_ or not shape else size if shape.startswith("RECT") else f"{shape} {size}" if height else shape,
        "invert_from_m": round(inverts[0], 4), "invert_to_m": round(inverts[1], 4), "status": "0",
        "geometry": shapely.LineString(np.column_stack([line, z])),
    }  # fmt: skip


def _invert(model: Model, node: str, offset: float) -> float:
    """The height of a conduit's end: above its node's invert, or itself where the file gives elevations."""
    invert = model.nodes[node][1]
    if model.elevations:
        return offset if np.isfinite(offset) else invert
    return invert + offset
