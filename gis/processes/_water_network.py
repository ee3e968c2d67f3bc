"""The water networks in memory: built once per data version into files that every process maps, never per request.

The files of one network and version lie in `networks/<network>/<version>/` under the platform's home. Whoever needs a version first
builds it, under a lock, in a folder beside, and renames it; the others map it. The caller's rights are checked on every request.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gis import crs
from gis.analysis.columns import Columns, one
from gis.analysis.consumers import Consumers, consumers
from gis.analysis.isolation import Engine
from gis.analysis.network import network, placement_digest, with_states_of
from gis.analysis.place import Boxes, boxes
from gis.errors import NotFound
from gis.processes import _network_files as files
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
_FOR_EVER = "9999-12-31"
_MOST = 20_000
"""Valves whose new states are put into the arrays that are there; where more have changed, a build is as fast."""
_TREE_AT_ONCE = 30_000
"""Segments up to which the tree is made with the answer; of a larger network it comes a second later, and the answers are the same."""

_lock, _past_lock = threading.Lock(), threading.Lock()
_open: dict[tuple, Water] = {}
_past: dict[tuple, Water] = {}


@dataclass(frozen=True)
class Water:
    """A water network ready to answer: its engine, consumers and where its pipes lie, and the data version; valid until the day
    `until` (ISO), when something is put into or out of service. `folder`: its files, where it is mapped from them."""

    name: str
    engine: Engine
    consumers: Consumers
    boxes: Boxes
    version: str
    until: str
    folder: Path | None = None


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
    if _outdated(known, version, today):
        with _lock:
            known = _open.get(key)
            if _outdated(known, version, today):
                known = _open[key] = _mapped_or_built(store, name, version, identity, today)
    return known


def _outdated(known: Water | None, version: str, today: str) -> bool:
    """Whether the files are to be looked at: another version or day, or the tree, which has come meanwhile."""
    if known is None or known.version != version or known.until <= today:
        return True
    return known.engine.cutoff is None and files.has_tree(known.folder)


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
    parent = files.folder_of(name)
    wanted = f"{identity}-{version}-{files.FORMAT}"
    with files.alone(parent):
        for candidate in sorted(parent.glob(f"{wanted}@*")):
            made = files.about(candidate)
            if made["from"] <= today < made["until"]:
                return _mapped(name, version, made["until"], candidate)
        folder = parent / f"{wanted}@{today}"
        until = _turned(store, name, version, identity, today, folder)
        if until is None:
            found = _built(store, name, version, dt.date.fromisoformat(today))
            until, engine = found.until, found.engine
            values = (engine.network, engine.states, engine.segments, engine.feed, found.consumers, found.boxes)
            told = {"from": today, "until": until, "version": version, **_recorded(store, name)}
            files.write(dict(zip(files.PARTS, values, strict=True)), engine.cutoff, told, folder)
            del found, engine, values
            _give_back()
        files.forget(parent)
    return _mapped(name, version, until, folder)


def _mapped(name: str, version: str, until: str, folder: Path) -> Water:
    """The network from its files."""
    parts = files.mapped(folder)
    engine = parts["engine"]
    if engine.cutoff is None:
        files.grow_tree(engine, folder)
    return Water(name, engine, parts["consumers"], parts["boxes"], version, until, folder)


def _give_back() -> None:
    """What a build took goes back to the system: the allocators would keep hundreds of bytes per pipe for a next one."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError, OSError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)


def _changes(store, name: str, since: str) -> dict:
    return store.rows("changes_since", layers=list(LAYERS), network=name, since=since)[0]


def _recorded(store, name: str) -> dict:
    """When the newest data of a network were recorded, and how many batches there are up to then."""
    every = _changes(store, name, "infinity")
    return {"newest": every["newest"].isoformat() if every["newest"] else None, "batches": every["before"]}


def _turned(store, name: str, version: str, identity: str, today: str, folder: Path) -> str | None:
    """Writes the network from its last files where since then nothing has changed but states of valves: the same arrays with the new
    states, and a new feed; the day until which that holds. None where anything else has changed, or there are no such files."""
    made = files.newest_first(folder.parent, f"{identity}-*-{files.FORMAT}@*")
    known = files.about(made[0]) if made else {}
    if not made or not known["from"] <= today < known["until"] or not known["newest"]:
        return None
    since = _changes(store, name, known["newest"])
    if since["before"] != known["batches"] or since["changed"] != ["water_valve"] or not since["updates_only"]:
        return None
    rows = store.rows("valves_since", network=name, since=known["newest"], most=_MOST + 1)
    if len(rows) > _MOST:
        return None
    old = files.mapped(made[0])["engine"]
    valves = _reported(store, name, [row["valve_id"] for row in rows], dt.datetime.fromisoformat(known["newest"]))
    if valves is None:
        return None
    net, states = with_states_of(old.network, old.states, valves)
    engine = Engine.built(net, states, old.segments)
    if engine.segments.count <= _TREE_AT_ONCE:
        engine = engine.with_tree()
    told = known | {"version": version, **_recorded(store, name)}
    same = [a for part in ("network", "segments", "consumers", "boxes") for a in files.arrays(part) if a != "network-valve_remote"]
    files.write({"network": net, "states": states, "feed": engine.feed}, engine.cutoff, told, folder, made[0], same)
    return known["until"]


def _reported(store, name: str, ids: list[str], before: dt.datetime) -> pa.Table | None:
    """The rows of some valves as they are now; None where more than their states has changed since a moment."""
    columns = [*_COLUMNS["water_valve"], "valid_from", "valid_to"]
    one, other = (store.table("water_valve", columns, where={"network": name, "valve_id": ids}, as_of=at) for at in (None, before))
    return one if placement_digest(one) == placement_digest(other) else None


def _built(store, name: str, version: str, day: dt.date, moment: dt.datetime | None = None) -> Water:
    """The network from the database, in service on a day, as known at a moment (default: now)."""
    tables, until = {}, _FOR_EVER
    for layer in LAYERS:
        tables[layer], ends = _table(store, layer, name, day, moment)
        until = min(until, ends)
    if not len(tables["water_pipe"]):
        raise _absent(store, name, day, moment)
    pipes = _measured(tables["water_pipe"], store.catalog.city.working_crs)
    net, state = network(tables["water_node"], pipes, tables["water_valve"], tables["water_source"])
    with ThreadPoolExecutor(1, thread_name_prefix="beside") as beside:  # what needs no segments, while they are made
        supplied = beside.submit(consumers, net, tables["water_connection"], tables["door_plate"], tables["hydrant"])
        placed = beside.submit(boxes, net)
        engine = Engine.built(net, state).with_tree()
        return Water(name, engine, supplied.result(), placed.result(), version, until)


def _absent(store, name: str, day: dt.date, moment: dt.datetime | None) -> NotFound:
    """Why there is no network of this name: it does not exist, it was not known yet, or nothing of it is in service on that day."""
    since = store.rows("water_known_since", network=name)[0]["since"]
    if since is None:
        names = [row["network"] for row in store.rows("water_networks")]
        return NotFound(f"there is no network {name[:60]!r}", remedy=f"There are: {', '.join(names) or 'none; load one first'}")
    if moment is not None and since > moment:
        first = since.astimezone().strftime("%Y-%m-%d %H:%M")
        return NotFound(
            f"nothing of network {name[:60]!r} was known on {day}: its first data were recorded on {first}",
            remedy="Ask for that day or a later one",
        )
    return NotFound(
        f"no pipe of network {name[:60]!r} is in service on {day}", remedy="Ask for another day, or check when its pipes came into service"
    )


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
