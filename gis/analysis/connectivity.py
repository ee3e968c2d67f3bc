"""Which pipes and devices of a drawing connect, which do not, and why.

A drawing (shapefile, CAD, GeoJSON) has lines and points but no node numbers. Connected is what shares a point: an end
on an end, an end on a line, a vertex drawn in both lines, a valve on a line. Lines that only cross are *not* connected:
one may pass under the other. Nothing is moved unless the caller names a tolerance, and then every move is a finding.

All coordinates in metres (a projected CRS); ids are text; findings are rows, never exceptions.
"""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

TOUCH_M = 0.001
"""Survey precision: what is nearer than 1 mm is the same point."""
GAP_M = 0.5
"""Ends nearer than this to another pipe without touching it are reported as gaps."""

FINDING_COLUMNS = ["code", "level", "subject", "row", "id", "other", "distance_m", "geometry"]


@dataclass(frozen=True)
class Connected:
    """The drawing as a network: frames `nodes` (node_id, degree, part), `pipes` (pipe_id, from_node, to_node, length_m,
    row: 0-based row of the drawing), `devices` (the given columns, node_id or None) and `findings`."""

    nodes: gpd.GeoDataFrame
    pipes: gpd.GeoDataFrame
    devices: gpd.GeoDataFrame
    findings: gpd.GeoDataFrame


def connect(pipes: gpd.GeoDataFrame, devices: gpd.GeoDataFrame, *, tolerance: float = TOUCH_M) -> Connected:
    """The network that a drawing of pipes (pipe_id, geometry) and devices (device_id, kind, geometry) really shows.

    tolerance: metres within which ends and devices are moved onto the nearest pipe (default 1 mm: nothing moves).
    Pipes are split where another pipe or a device touches them; pieces are named `ID/1`, `ID/2` … .
    """
    lines, found = _single_lines(pipes)
    points = devices.reset_index(drop=True)
    geometry = lines.geometry.to_numpy()
    tree = shapely.STRtree(geometry)
    ends = shapely.points(np.vstack([shapely.get_coordinates(shapely.get_point(geometry, i)) for i in (0, -1)]))
    owner = np.tile(np.arange(len(lines)), 2)
    stops = [_end_stops(ends, owner, geometry, tree, tolerance), _shared_vertex_stops(geometry)]
    placed, device_found = _device_stops(points, geometry, tree, tolerance)
    pieces, nodes = _split(lines, pd.concat([*stops, placed], ignore_index=True), tolerance)
    pieces, collapsed = _without_collapsed(pieces, tolerance)
    points["node_id"] = _nearest_node(points, placed, nodes, tolerance)
    found += [collapsed, *device_found, _gaps(ends, owner, lines, tree, tolerance), _crossings(lines, tree, pieces, nodes)]
    found += [_splits(lines, pieces), _snaps(ends, owner, lines, nodes, tolerance), _shared_places(points, nodes)]
    findings = pd.concat([f for f in found if len(f)] or [_findings([], crs=pipes.crs)], ignore_index=True)
    return Connected(nodes, pieces, points, gpd.GeoDataFrame(findings, geometry="geometry", crs=pipes.crs))


def parts_without_source(network: Connected, source_nodes: np.ndarray) -> gpd.GeoDataFrame:
    """Findings NC10: one per connected part (pipes only, valves ignored) without any of these nodes."""
    fed = network.nodes.loc[network.nodes.node_id.isin(source_nodes), "part"].unique()
    parts = network.pipes.merge(network.nodes[["node_id", "part"]], left_on="from_node", right_on="node_id")
    dry = parts[~parts.part.isin(fed)].groupby("part")
    rows = dry.agg(
        row=("row", "first"),
        id=("pipe_id", "first"),
        other=("pipe_id", "size"),
        distance_m=("length_m", "sum"),
        geometry=("geometry", "first"),
    )
    rows["other"] = rows.other.map("{} pipes".format)
    return _findings(rows, "NC10", "warning", "pipe", network.pipes.crs)


def _findings(rows, code: str = "", level: str = "", subject: str = "", crs=None) -> gpd.GeoDataFrame:
    frame = pd.DataFrame(rows, columns=None if len(rows) else FINDING_COLUMNS)
    frame = frame.reindex(columns=FINDING_COLUMNS).assign(**{"code": code, "level": level, "subject": subject})
    return gpd.GeoDataFrame(frame, geometry="geometry", crs=crs)


def _single_lines(pipes: gpd.GeoDataFrame) -> tuple[gpd.GeoDataFrame, list]:
    """Every pipe as single lines with `row`; parts that do not merge become pipes (NC06); empty ones drop (NC07)."""
    frame = gpd.GeoDataFrame(
        {"pipe_id": pipes.pipe_id.astype(str).to_numpy(), "row": np.arange(len(pipes))},
        geometry=shapely.line_merge(pipes.geometry.to_numpy()),
        crs=pipes.crs,
    )
    empty = frame.geometry.isna() | frame.geometry.is_empty | (frame.length <= TOUCH_M)
    found = [_findings(frame[empty].rename(columns={"pipe_id": "id"}), "NC07", "error", "pipe", pipes.crs)]
    frame = frame[~empty].explode(index_parts=False).reset_index(drop=True)
    frame = frame[frame.length > TOUCH_M].reset_index(drop=True)
    several = frame.duplicated("row", keep=False)
    parts = frame[several].drop_duplicates("row").rename(columns={"pipe_id": "id"})
    found.append(_findings(parts, "NC06", "warning", "pipe", pipes.crs))
    number = frame.groupby("row").cumcount() + 1
    frame["pipe_id"] = np.where(several, frame.pipe_id + "#" + number.astype(str), frame.pipe_id)
    same = pd.Series(shapely.to_wkb(shapely.normalize(frame.geometry.to_numpy()))).duplicated()
    found.append(_findings(frame[same].rename(columns={"pipe_id": "id"}), "NC08", "error", "pipe", pipes.crs))
    return frame[~same.to_numpy()].reset_index(drop=True), found


def _stops(pipe, x, y) -> pd.DataFrame:
    return pd.DataFrame({"line": pipe, "x": x, "y": y})


def _end_stops(ends, owner, geometry, tree, tolerance) -> pd.DataFrame:
    """Where an end of one pipe lies on another pipe: a stop on that other pipe at the end's position."""
    end, pipe = tree.query(ends, predicate="dwithin", distance=tolerance)
    other = pipe != owner[end]
    xy = shapely.get_coordinates(ends[end[other]])
    return _stops(pipe[other], xy[:, 0], xy[:, 1])


def _shared_vertex_stops(geometry) -> pd.DataFrame:
    """Vertices drawn at the same place (1 mm) in two pipes or more: a stop on each of them."""
    xy, pipe = shapely.get_coordinates(geometry, return_index=True)
    frame = _stops(pipe, xy[:, 0], xy[:, 1])
    key = np.round(xy / TOUCH_M).astype(np.int64)
    frame["kx"], frame["ky"] = key[:, 0], key[:, 1]
    pipes_there = frame.groupby(["kx", "ky"])["line"].transform("nunique")
    return frame.loc[pipes_there > 1, ["line", "x", "y"]]


def _device_stops(points, geometry, tree, tolerance) -> tuple[pd.DataFrame, list]:
    """Where devices sit on pipes. NC03: on no pipe; NC04: moved onto one; NC09: on several unconnected pipes."""
    position = points.geometry.to_numpy()
    (device, pipe), distance = tree.query_nearest(position, return_distance=True, all_matches=True)
    hit = pd.DataFrame({"device": device, "line": pipe, "distance_m": distance})
    first = hit.drop_duplicates("device")
    far = first[first.distance_m > tolerance]
    ids = points.device_id.astype(str).to_numpy()
    names = {
        "row": lambda f: f.device,
        "id": lambda f: ids[f.device],
        "geometry": lambda f: position[f.device],
        "other": lambda f: f["line"].astype(str),
    }
    moved = first[(first.distance_m > TOUCH_M) & (first.distance_m <= tolerance)]
    near, on = tree.query(position, predicate="dwithin", distance=TOUCH_M)
    on_pipe = pd.concat([pd.DataFrame({"device": near, "line": on}), moved[["device", "line"]]]).drop_duplicates()
    ends = (
        shapely.get_coordinates(shapely.get_point(geometry, 0)),
        shapely.get_coordinates(shapely.get_point(geometry, -1)),
    )
    here = shapely.get_coordinates(position[on_pipe.device])
    at_end = np.minimum(*(np.hypot(*(e[on_pipe["line"]] - here).T) for e in ends)) <= tolerance
    inside = on_pipe[~at_end]
    several = inside.device[inside.duplicated("device", keep=False)].unique()
    several = several[~np.isin(several, on_pipe.device[at_end])]
    shared = set(map(tuple, np.round(_shared_vertex_stops(geometry)[["x", "y"]].to_numpy(), 3)))
    unsure = [d for d in several if tuple(np.round(shapely.get_coordinates(position[d])[0], 3)) not in shared]
    on_pipe = on_pipe[~on_pipe.device.isin(unsure)]
    under = geometry[on_pipe["line"]]
    foot = shapely.line_interpolate_point(under, shapely.line_locate_point(under, position[on_pipe.device]))
    xy = shapely.get_coordinates(foot)
    stops = _stops(on_pipe["line"].to_numpy(), xy[:, 0], xy[:, 1]).assign(device=on_pipe.device.to_numpy())
    crs = points.crs
    ambiguous = pd.DataFrame({"device": unsure, "line": "several", "distance_m": 0.0}).astype({"device": int})
    return stops, [
        _findings(far.assign(**names), "NC03", "warning", "device", crs),
        _findings(moved.assign(**names), "NC04", "info", "device", crs),
        _findings(ambiguous.assign(**names), "NC09", "warning", "device", crs),
    ]


def _split(lines, stops, tolerance) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """The pipes cut at their stops, and the nodes where the pieces meet: vertices and cuts sorted, no loop."""
    geometry = lines.geometry.to_numpy()
    length = shapely.length(geometry)
    at = shapely.line_locate_point(geometry[stops["line"]], shapely.points(stops.x, stops.y))
    inner = (at > tolerance) & (at < length[stops["line"]] - tolerance)
    cuts = pd.DataFrame({"line": stops["line"].to_numpy()[inner], "at": at[inner]}).sort_values(["line", "at"])
    fresh = (cuts["line"].diff() != 0) | (cuts["at"].diff() > tolerance)
    cuts = cuts[fresh.to_numpy()]
    cut_xyz = shapely.get_coordinates(shapely.line_interpolate_point(geometry[cuts["line"]], cuts["at"].to_numpy()), include_z=True)
    xyz, pipe = shapely.get_coordinates(geometry, include_z=True, return_index=True)
    step = np.hypot(*np.diff(xyz[:, :2], axis=0, prepend=xyz[:1, :2]).T)
    start = np.r_[True, pipe[1:] != pipe[:-1]]
    step[start] = 0
    total = np.cumsum(step)
    along = total - total[start][np.cumsum(start) - 1]
    # a cut stands twice: as the end of one piece (side 0) and the start of the next (side 1)
    pipe_all = np.r_[pipe, cuts["line"], cuts["line"]]
    side = np.r_[np.zeros(len(pipe), int), np.full(len(cuts), -1), np.ones(len(cuts), int)]
    xyz_all, at_all = np.vstack([xyz, cut_xyz, cut_xyz]), np.r_[along, cuts["at"], cuts["at"]]
    order = np.lexsort((side, at_all, pipe_all))
    piece = np.cumsum(np.r_[True, pipe_all[order][1:] != pipe_all[order][:-1]] | (side[order] == 1)) - 1
    keep = np.r_[True, (piece[1:] != piece[:-1]) | np.any(xyz_all[order][1:] != xyz_all[order][:-1], axis=1)]
    coords = xyz_all[order][keep]
    if np.isnan(coords[:, 2]).any():
        coords = coords[:, :2]
    made = shapely.linestrings(coords, indices=piece[keep])
    of = pipe_all[order][np.r_[True, piece[1:] != piece[:-1]]]
    number = pd.Series(of).groupby(of).cumcount().to_numpy() + 1
    split = np.isin(of, cuts["line"])
    ids = lines.pipe_id.to_numpy()[of]
    frame = gpd.GeoDataFrame(
        {
            "pipe_id": np.where(split, [f"{i}/{n}" for i, n in zip(ids, number, strict=True)], ids),
            "row": lines.row.to_numpy()[of],
        },
        geometry=made,
        crs=lines.crs,
    )
    return _with_nodes(frame, tolerance)


def _with_nodes(pieces, tolerance) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Number the nodes: ends within the tolerance of each other are one node, placed at the first of them."""
    geometry = pieces.geometry.to_numpy()
    xy = np.vstack([shapely.get_coordinates(shapely.get_point(geometry, i)) for i in (0, -1)])
    pair = cKDTree(xy).query_pairs(tolerance, output_type="ndarray")
    n = len(xy)
    _, label = connected_components(coo_matrix((np.ones(len(pair)), (pair[:, 0], pair[:, 1])), shape=(n, n)), directed=False)
    _, first, label = np.unique(label, return_index=True, return_inverse=True)
    ids = np.array([f"N{i + 1}" for i in range(len(first))], dtype=object)
    half = n // 2
    pieces = pieces.assign(
        geometry=_ends_moved(geometry, xy[first][label[:half]], xy[first][label[half:]]),
        from_node=ids[label[:half]],
        to_node=ids[label[half:]],
    )
    pieces["length_m"] = pieces.length.round(3)
    m = len(first)
    _, part = connected_components(coo_matrix((np.ones(half), (label[:half], label[half:])), shape=(m, m)), directed=False)
    nodes = gpd.GeoDataFrame(
        {"node_id": ids, "degree": np.bincount(label, minlength=m), "part": part},
        geometry=shapely.points(xy[first]),
        crs=pieces.crs,
    )
    return pieces, nodes


def _without_collapsed(pieces, tolerance) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """NC14: pieces no longer than the tolerance whose two ends became one node are left out."""
    gone = (pieces.from_node == pieces.to_node) & (pieces.length <= 2 * tolerance)
    rows = pieces[gone].rename(columns={"pipe_id": "id"}).assign(distance_m=lambda f: f.length)
    return pieces[~gone].reset_index(drop=True), _findings(rows, "NC14", "info", "pipe", pieces.crs)


def _ends_moved(geometry, start, end) -> np.ndarray:
    """The lines with their first and last vertex put exactly on their nodes (z is kept)."""
    xyz, line = shapely.get_coordinates(geometry, include_z=bool(shapely.has_z(geometry).any()), return_index=True)
    first = np.r_[True, line[1:] != line[:-1]]
    xyz[first, :2], xyz[np.r_[first[1:], True], :2] = start, end
    return shapely.linestrings(xyz, indices=line)


def _nearest_node(points, placed, nodes, tolerance) -> np.ndarray:
    """The node of each placed device, None for the others."""
    at = placed.drop_duplicates("device").sort_values("device")
    node = np.full(len(points), None, dtype=object)
    if len(at) and len(nodes):
        distance, index = cKDTree(shapely.get_coordinates(nodes.geometry.to_numpy())).query(at[["x", "y"]].to_numpy())
        close = distance <= 2 * tolerance
        node[at.device.to_numpy()[close]] = nodes.node_id.to_numpy()[index[close]]
    return node


def _gaps(ends, owner, lines, tree, tolerance) -> gpd.GeoDataFrame:
    """NC02: ends nearer than GAP_M to another pipe that they do not touch."""
    end, pipe = tree.query(ends, predicate="dwithin", distance=GAP_M)
    other = pipe != owner[end]
    end, pipe = end[other], pipe[other]
    distance = shapely.distance(ends[end], lines.geometry.to_numpy()[pipe])
    frame = pd.DataFrame({"end": end, "line": pipe, "distance_m": distance}).sort_values("distance_m").drop_duplicates("end")
    frame = frame[frame.distance_m > tolerance]
    ids = lines.pipe_id.to_numpy()
    frame = frame.assign(
        row=lines.row.to_numpy()[owner[frame.end]],
        id=ids[owner[frame.end]],
        other=ids[frame["line"]],
        geometry=ends[frame.end],
    )
    return _findings(frame, "NC02", "warning", "pipe", lines.crs)


def _crossings(lines, tree, pieces, nodes) -> gpd.GeoDataFrame:
    """NC01: two pipes cross where neither has a node: not connected, and said so."""
    geometry = lines.geometry.to_numpy()
    a, b = tree.query(geometry, predicate="crosses")
    a, b = a[a < b], b[a < b]
    where = shapely.get_parts(shapely.intersection(geometry[a], geometry[b]), return_index=True)
    point, index = where[0], where[1]
    is_point = shapely.get_type_id(point) == 0
    point, index = point[is_point], index[is_point]
    if not len(point):
        return _findings([], crs=lines.crs)
    away = cKDTree(shapely.get_coordinates(nodes.geometry.to_numpy())).query(shapely.get_coordinates(point))[0] > 2 * TOUCH_M
    a, b, point = a[index[away]], b[index[away]], point[away]
    ids = lines.pipe_id.to_numpy()
    return _findings(
        pd.DataFrame({"row": lines.row.to_numpy()[a], "id": ids[a], "other": ids[b], "geometry": point}),
        "NC01",
        "info",
        "pipe",
        lines.crs,
    )


def _splits(lines, pieces) -> gpd.GeoDataFrame:
    """NC05: pipes that were split, `other` says into how many."""
    count = pieces.groupby("row").size()
    many = lines[lines.row.isin(count[count > 1].index)].drop_duplicates("row")
    rows = many.assign(id=many.pipe_id, other=many.row.map(count).map("{} pieces".format))
    return _findings(rows, "NC05", "info", "pipe", lines.crs)


def _snaps(ends, owner, lines, nodes, tolerance) -> gpd.GeoDataFrame:
    """NC12: ends that were joined to a node farther than 1 mm away."""
    distance = cKDTree(shapely.get_coordinates(nodes.geometry.to_numpy())).query(shapely.get_coordinates(ends))[0]
    moved = np.flatnonzero((distance > TOUCH_M) & (distance <= tolerance))
    rows = pd.DataFrame(
        {
            "row": lines.row.to_numpy()[owner[moved]],
            "id": lines.pipe_id.to_numpy()[owner[moved]],
            "distance_m": distance[moved],
            "geometry": ends[moved],
        }
    )
    return _findings(rows, "NC12", "info", "pipe", lines.crs)


def _shared_places(points, nodes) -> gpd.GeoDataFrame:
    """NC11: devices on the same node; NC13: a device on a junction of three arms or more."""
    here = points.dropna(subset=["node_id"])
    twice = here[here.duplicated(["node_id", "kind"], keep="first")]
    degree = here.node_id.map(nodes.set_index("node_id").degree)
    many = here[(degree > 2).to_numpy()]
    row = {"row": lambda f: f.index, "id": lambda f: f.device_id, "other": lambda f: f.node_id}
    return pd.concat(
        [
            _findings(twice.assign(**row), "NC11", "warning", "device", points.crs),
            _findings(many.assign(**row), "NC13", "info", "device", points.crs),
        ],
        ignore_index=True,
    )
