"""SWMM drainage models (.inp) into manholes and pipes: `onemap load swmm FILE.inp --kind storm`.

Junctions, outfalls, storage units and dividers become manholes, conduits become pipes of the system that `--kind` names. Sections
and columns: EPA SWMM 5.2 User's Manual, appendix D.2. Pumps, orifices, weirs and outlets have no pipe; they are reported.
"""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import shapely

from etl.drainage_inp import Model, read
from gis import crs as systems
from gis.catalog.model import Catalog
from gis.errors import InputError, OutsideExtent, SourceError
from gis.ingest.delivery import Progress, silent
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, load_frames

KINDS = {"storm": ("rain_pipe", "YS"), "sewage": ("sewer_pipe", "WS"), "combined": ("sewer_pipe", "HS")}
"""The systems, each with the layer of its pipes and their sub-category."""
_FEATURES = {"OUTFALLS": "outfall", "STORAGE": "vault"}
_MOST_DEPTH = 40.0


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
