"""The water networks in memory: built once per data version into files that every process maps, never per request.

The files of one network and version lie in `networks/<network>/<version>/` under the platform's home. Whoever needs a version first
builds it, under a lock, in a folder beside, and renames it; the others map it. The caller's rights are checked on every request.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gis import crs
from gis.analysis.columns import Columns, one
from gis.analysis.consumers import Consumers, consumers
from gis.analysis.cutoff import Cutoff
from gis.analysis.feed import Feed
from gis.analysis.isolation import Engine
from gis.analysis.network import Network, States, network, opened, placement_digest, save, states
from gis.analysis.place import Boxes, boxes
from gis.analysis.segments import Segments
from gis.errors import NotFound
from gis.settings import settings

LAYERS = ("water_node", "water_pipe", "water_valve", "water_source", "hydrant", "water_connection", "door_plate")
"""What a water network is made of, and what a caller must be allowed to read to ask about it."""

_COLUMNS = {
    "water_node": ("node_id", "base_demand_lps", "ground_m", "depth_m"),
    "water_pipe": ("pipe_id", "from_node", "to_node", "length_m", "diameter_mm", "status"),
    "water_valve": ("valve_id", "kind", "isolating", "node_id", "pipe_id", "from_node", "to_node", "flow", "normal_status", "live_status",
                    "operable", "accessible", "remote", "diameter_mm"),
    "water_source": ("source_id", "node_id"),
    "hydrant": ("hydrant_id", "node_id", "pipe_id", "kind", "operable"),
    "water_connection": ("connection_id", "pipe_id", "building_id", "customers", "priority", "curb_valve", "curb_status", "curb_operable"),
    "door_plate": ("plate_id", "building_id"),
}  # fmt: skip
_FORMAT = 5
"""Raised when the arrays change their meaning, so that older files are built anew."""
_FOR_EVER = "9999-12-31"
_KEPT = 3
"""Versions of a network that stay on disk: the present one, and those that a slow reader may still be opening."""
_PARTS = {"network": Network, "states": States, "segments": Segments, "feed": Feed, "cutoff": Cutoff, "consumers": Consumers,
          "boxes": Boxes}  # fmt: skip

_lock, _past_lock = threading.Lock(), threading.Lock()
_open: dict[tuple, Water] = {}
_past: dict[tuple, Water] = {}


@dataclass(frozen=True)
class Water:
    """A water network ready to answer: its engine, consumers and where its pipes lie, and the data version; valid until the day
    `until` (ISO), when something is put into or out of service. `valves`: the digest of their placement, where it was just built."""

    name: str
    engine: Engine
    consumers: Consumers
    boxes: Boxes
    version: str
    until: str
    valves: str = ""


def water(store, name: str, as_of: dt.datetime | dt.date | None = None) -> Water:
    """The network of this name as it is in service today, or as it was, and as it was known, at `as_of` (a day: at its end).

    Raises AccessDenied where the caller may not read its layers, NotFound where there is no such network.
    """
    store.require(LAYERS)
    version = store.version(list(LAYERS), name)
    identity = store.rows("database_identity")[0]["identity"]
    if as_of is not None:
        return _as_it_was(store, name, version, identity, as_of)
    today = dt.date.today().isoformat()
    key = (str(settings().home), identity, name)
    known = _open.get(key)
    if known is None or known.version != version or known.until <= today:
        with _lock:
            known = _open.get(key)
            if known is None or known.version != version or known.until <= today:
                known = _open[key] = _mapped_or_built(store, name, version, identity, today)
    return known


def _as_it_was(store, name: str, version: str, identity: str, as_of: dt.datetime | dt.date) -> Water:
    """A network of the past, built in memory; the last few are kept."""
    key = (identity, name, version, as_of)
    with _past_lock:
        if key not in _past:
            if isinstance(as_of, dt.datetime):
                day, moment = as_of.date(), as_of.astimezone()
            else:
                day, moment = as_of, dt.datetime.combine(as_of + dt.timedelta(days=1), dt.time()).astimezone()
            found = _built(store, name, version, day, min(moment, dt.datetime.now().astimezone()))
            while len(_past) > 3:
                _past.pop(next(iter(_past)))
            _past[key] = found
        return _past[key]


def _mapped_or_built(store, name: str, version: str, identity: str, today: str) -> Water:
    folder = settings().home / "networks" / quote(name, safe="").replace(".", "%2E")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"{identity}-{version}-{_FORMAT}"
    with _alone(folder):
        for candidate in sorted(folder.glob(f"{wanted}@*")):
            made = json.loads((candidate / "network.json").read_text())
            if made["from"] <= today < made["until"]:
                return _mapped(name, version, made["until"], candidate)
        found = _turned(store, name, version, identity, today, folder) or _built(store, name, version, dt.date.fromisoformat(today))
        _write(found, folder, folder / f"{wanted}@{today}", today, _layer_versions(store, name))
        _forget(folder)
    return _mapped(name, version, found.until, folder / f"{wanted}@{today}")


def _layer_versions(store, name: str) -> dict[str, str]:
    """The data version of each layer but the valves."""
    return {layer: store.version([layer], name) for layer in LAYERS if layer != "water_valve"}


def _turned(store, name: str, version: str, identity: str, today: str, folder: Path) -> Water | None:
    """The network from its last files where since then nothing has changed but states of valves: the same arrays, a new feed and
    tree. None where anything else has, or there are none."""
    made = sorted(folder.glob(f"{identity}-*-{_FORMAT}@*"), key=lambda p: p.stat().st_mtime)
    if not made:
        return None
    known = json.loads((made[-1] / "network.json").read_text())
    if not known["from"] <= today < known["until"] or known["layers"] != _layer_versions(store, name):
        return None
    valves, _ = _table(store, "water_valve", name, dt.date.fromisoformat(today), None)
    if placement_digest(valves) != known["valves"]:
        return None
    old = _mapped(name, version, known["until"], made[-1])
    engine = old.engine.with_states(states(old.engine.network, valves)).with_tree()
    return replace(old, engine=engine, valves=known["valves"])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One builder per network on this machine; the others wait and then find the files."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _built(store, name: str, version: str, day: dt.date, moment: dt.datetime | None = None) -> Water:
    """The network from the database, in service on a day, as known at a moment (default: now)."""
    tables, until = {}, _FOR_EVER
    for layer in LAYERS:
        tables[layer], ends = _table(store, layer, name, day, moment)
        until = min(until, ends)
    if not len(tables["water_pipe"]):
        names = [row["network"] for row in store.rows("water_networks")]
        when = f" in service on {day}" if name in names else ""
        raise NotFound(
            f"there is no network {name[:60]!r}{when}",
            remedy=f"There are: {', '.join(names) or 'none; load one first'}",
        )
    pipes = _measured(tables["water_pipe"], store.catalog.city.working_crs)
    net, state = network(tables["water_node"], pipes, tables["water_valve"], tables["water_source"])
    supplied = consumers(net, tables["water_connection"], tables["door_plate"], tables["hydrant"])
    engine = Engine.built(net, state).with_tree()
    return Water(name, engine, supplied, boxes(net), version, until, placement_digest(tables["water_valve"]))


def _table(store, layer: str, name: str, day: dt.date, moment: dt.datetime | None) -> tuple[pa.Table, str]:
    """One layer of the network in service on a day, and the day until which that holds. What is not yet in service is left out
    here and not in SQL, because it says until when."""
    columns = [*_COLUMNS[layer], "valid_from", "valid_to"]
    where = {"network": name} if layer != "door_plate" else None
    table = store.table(layer, columns, where=where, as_of=moment, geometry=layer != "door_plate")
    now = np.datetime64(day, "D").astype(np.int64)
    ever = np.iinfo(np.int32).max
    starts, ends = (
        pc.fill_null(one(table[c]).cast(pa.int32()), missing).to_numpy(zero_copy_only=False)
        for c, missing in (("valid_from", -ever), ("valid_to", ever))
    )
    coming = np.concatenate((starts[starts > now], ends[(ends > now) & (ends < ever)]))
    inside = (starts <= now) & (ends > now)
    table = table if inside.all() else table.filter(pa.array(inside))
    return table, str(coming.min().astype("datetime64[D]")) if len(coming) else _FOR_EVER


def _measured(pipes: pa.Table, metric: str) -> pa.Table:
    """The pipes with the length as drawn where none is recorded."""
    missing = np.flatnonzero(one(pipes["length_m"]).is_null().to_numpy(zero_copy_only=False))
    if not len(missing):
        return pipes
    xy, at = Columns(pipes).take(missing).drawn
    x, y = crs.transform(xy[:, 0], xy[:, 1], crs.STORED, metric)
    step = np.append(np.hypot(np.diff(x), np.diff(y)), 0.0)
    step[at[1:][at[1:] > at[:-1]] - 1] = 0.0  # from the end of one pipe to the start of the next
    along = np.concatenate(([0.0], np.cumsum(step)))
    length = one(pipes["length_m"]).to_numpy(zero_copy_only=False).copy()
    length[missing] = along[at[1:]] - along[at[:-1]]
    return pipes.set_column(pipes.column_names.index("length_m"), "length_m", pa.array(length))


def _write(made: Water, parent: Path, folder: Path, today: str, layers: dict[str, str]) -> None:
    """All arrays into a folder of their own, which appears under its name in one step."""
    beside = Path(tempfile.mkdtemp(prefix="making-", dir=parent))
    engine = made.engine
    values = (engine.network, engine.states, engine.segments, engine.feed, engine.cutoff, made.consumers, made.boxes)
    for part, value in zip(_PARTS, values, strict=True):
        save(value, beside, part)
    about = {"from": today, "until": made.until, "version": made.version, "layers": layers, "valves": made.valves}
    (beside / "network.json").write_text(json.dumps(about))
    beside.chmod(0o755)
    if folder.exists():
        shutil.rmtree(folder)
    beside.rename(folder)


def _mapped(name: str, version: str, until: str, folder: Path) -> Water:
    """The network from its files; nothing is read before it is needed."""
    parts = {part: opened(kind, folder, part) for part, kind in _PARTS.items()}
    engine = Engine.built(parts["network"], parts["states"], parts["segments"], parts["feed"], parts["cutoff"])
    return Water(name, engine, parts["consumers"], parts["boxes"], version, until)


def _forget(folder: Path) -> None:
    """Old versions go; a process that has mapped one keeps its pages until it lets go."""
    made = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in made[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
