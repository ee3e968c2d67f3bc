"""The road graph in memory, and where addresses and facilities stand on it: built once per data version into files that
every process maps, never per request.

Under the platform's home: roads/<database>-<version>-<format>@<day>/ holds the graph, and in it one folder per layer that
was placed on it. Whoever needs one first builds it under a lock, in a folder beside, and renames it.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from cachetools import LRUCache

from gis.analysis import coverage, road_graph
from gis.analysis.coverage import Ways
from gis.analysis.mapped import mapped
from gis.analysis.road_graph import Positions, RoadGraph
from gis.db import cluster
from gis.db.store import Store
from gis.errors import InputError, NotFound

MAX_SNAP_M = 300.0
"""Farther than this from every road, a point stands on none; it is then counted as unreachable."""
FOOTPATHS = ("path",)
"""Road classes (onemap.road_class) that cars may not use. On foot every road counts: the layer does not tell pavements."""

_OF_EDGE = ("road_id", "name", "klass", "off_ground")
_FORMAT = 2
"""Raised when the arrays change their meaning, so that older files are built anew."""
_KEPT = 3
_FOREVER = "9999-12-31"
_open: LRUCache[Path, object] = LRUCache(maxsize=16)


@dataclass(frozen=True)
class Roads:
    """The graph of the roads in service on a day, and of each edge (e,) the road's id, name and class, and whether it runs
    over a bridge or through a tunnel, where no door opens onto it."""

    graph: RoadGraph
    road_id: np.ndarray
    name: np.ndarray
    klass: np.ndarray
    off_ground: np.ndarray
    folder: Path

    def ways(self, mode: str) -> Ways:
        """The edges open on foot (`walk`: all, both ways) or by car (`drive`: no footpaths, one-ways as signed)."""
        if mode == "walk":
            return coverage.walking(self.graph)
        return coverage.driving(self.graph, closed=np.isin(self.klass, FOOTPATHS))


@dataclass(frozen=True)
class Placed:
    """The n features of a layer in service on a day: fid, community code ("" for none), and their positions on the roads."""

    fid: np.ndarray
    community: np.ndarray
    positions: Positions


def roads(store: Store, day: dt.date) -> Roads:
    """The road graph in service on a day. Raises AccessDenied for the role, NotFound where there are no roads."""
    store.require(["road"])
    identity = store.rows("database_identity")[0]["identity"]
    parent = cluster.room("roads")
    folder = _made(parent, f"{identity}-{store.version(['road'])}-{_FORMAT}", day, lambda into: _build(store, day, into))
    if folder not in _open:
        names = {part: mapped(folder / f"{part}.npy") for part in _OF_EDGE}
        _open[folder] = Roads(graph=RoadGraph.load(folder), folder=folder, **names)
    return _open[folder]


def placed(store: Store, on: Roads, layer: str, mode: str, day: dt.date) -> Placed:
    """Where the features of a layer stand on the roads that are open in this mode. Areas stand at a point inside them."""
    store.require([layer])
    wanted = f"{layer}-{mode}-{store.version([layer])}"
    folder = _made(on.folder / "placed", wanted, day, lambda into: _place(store, on, layer, mode, day, into))
    if folder not in _open:
        part = {path.stem: mapped(path) for path in folder.glob("*.npy")}
        positions = Positions(part["edge"], part["offset"], part["gap"])
        _open[folder] = Placed(part["fid"], part["community_codes"][part["community"]], positions)
    return _open[folder]


def _build(store: Store, day: dt.date, folder: Path) -> str:
    """Writes the graph; returns the day from which it no longer holds."""
    columns = ["road_id", "name", "class", "from_node", "to_node", "oneway", "level", "bridge", "tunnel"]
    columns += ["valid_from", "valid_to"]
    frame = store.frame("road", columns=columns, crs=store.catalog.city.working_crs)
    frame, until = _in_service(frame, day)
    if frame.empty:
        raise NotFound("there are no roads yet", remedy="Load the layer road first")
    graph = road_graph.build(frame)
    graph.save(folder)
    for part, column in (("road_id", "road_id"), ("name", "name"), ("klass", "class")):
        np.save(folder / f"{part}.npy", frame[column].fillna("").to_numpy().astype(str)[graph.road])
    off = frame["bridge"].fillna(False).astype(bool) | frame["tunnel"].fillna(False).astype(bool) | (frame["level"].fillna(0) != 0)
    np.save(folder / "off_ground.npy", off.to_numpy()[graph.road])
    return until


def _place(store: Store, on: Roads, layer: str, mode: str, day: dt.date, folder: Path) -> str:
    if store.catalog.layer(layer).is_raster:
        raise InputError(f"{layer} is a raster; it has no features")
    known = store.catalog.layer(layer).columns_for(store.role)
    columns = ["fid", "valid_from", "valid_to", *(name for name in ("community_code", "stage") if name in known)]
    frame = store.frame(layer, columns=columns, crs=store.catalog.city.working_crs)
    frame, until = _in_service(frame, day)
    if layer == "address" and "stage" in frame:
        frame = frame[~frame["stage"].isin(["retired", "rejected"])]
    points = shapely.point_on_surface(frame.geometry.to_numpy())
    xy = np.column_stack([shapely.get_x(points), shapely.get_y(points)])
    ways = on.ways(mode)
    found = road_graph.snap(on.graph, xy, MAX_SNAP_M, among=(ways.forward | ways.backward) & ~on.off_ground)
    given = frame["community_code"].fillna("") if "community_code" in frame else pd.Series("", index=frame.index)
    index, codes = pd.factorize(given.to_numpy(dtype=object), sort=True)
    arrays = {"fid": frame["fid"].to_numpy(), "community": index.astype(np.int32), "community_codes": codes.astype("U40")}
    for name, values in (arrays | {"edge": found.edge, "offset": found.offset, "gap": found.gap}).items():
        np.save(folder / f"{name}.npy", values)
    return until


def _in_service(frame: pd.DataFrame, day: dt.date) -> tuple[pd.DataFrame, str]:
    """The rows in service on a day, and the next day on which that changes."""
    now = np.datetime64(day)
    starts, ends = (pd.to_datetime(frame[name]).to_numpy().astype("datetime64[D]") for name in ("valid_from", "valid_to"))
    late, gone = starts > now, ends <= now
    coming = np.concatenate([starts[late], ends[~np.isnat(ends) & ~gone]])
    return frame[~late & ~gone], str(coming.min()) if len(coming) else _FOREVER


def _made(parent: Path, wanted: str, day: dt.date, make: Callable[[Path], str]) -> Path:
    """The folder of these arrays that holds on a day; made under a lock where there is none."""
    parent.mkdir(parents=True, exist_ok=True)
    if (found := _holding(parent, wanted, day)) is not None:
        return found
    with _alone(parent):
        if (found := _holding(parent, wanted, day)) is not None:
            return found
        beside = Path(tempfile.mkdtemp(prefix="making-", dir=parent))
        try:
            until = make(beside)
            (beside / "holds.json").write_text(json.dumps({"from": day.isoformat(), "until": until}))
            beside.chmod(0o755)
            folder = parent / f"{wanted}@{day}"
            if folder.exists():
                shutil.rmtree(folder)
            beside.rename(folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        _forget(parent, keep=_KEPT if parent.name == "roads" else 4 * _KEPT)
    return folder


def _holding(parent: Path, wanted: str, day: dt.date) -> Path | None:
    for folder in sorted(parent.glob(f"{wanted}@*")):
        holds = json.loads((folder / "holds.json").read_text())
        if holds["from"] <= day.isoformat() < holds["until"]:
            return folder
    return None


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """One builder per folder on this machine; the others wait and then find the files."""
    with (parent / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _forget(parent: Path, keep: int) -> None:
    """Old versions go; a process that has mapped one keeps its pages until it lets go."""
    folders = sorted((path for path in parent.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[keep:]:
        if not folder.name.startswith("making-"):
            shutil.rmtree(folder, ignore_errors=True)
