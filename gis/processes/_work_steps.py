"""What a step of a work does to its valves: held and reported shut, released and reported open. Each inside the caller's transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from gis.analysis.joint_works import may_open
from gis.analysis.network import States, position
from gis.db import valve_states
from gis.db.valve_states import Report
from gis.errors import InputError
from gis.processes import _works
from gis.processes._water_network import water

_HOLD = "INSERT INTO works.work_valve (work, valve_id, position) VALUES (%s, %s, %s)"
_RELEASE = "UPDATE works.work_valve SET released_at = greatest(clock_timestamp(), closed_at) WHERE work = %s AND released_at IS NULL"
_HELD = """
SELECT v.work, v.valve_id FROM works.work_valve v JOIN works.work w ON w.id = v.work
WHERE w.network = %s AND v.released_at IS NULL
"""


def begin(store, connection, cursor, row: dict) -> dict:
    """Holds the valves that the work needs by itself, and shuts those that are open. Raises NotOnNetwork."""
    needed = _needed(store, row)
    _hold(cursor, row["id"], needed)
    shut = _open_now(store, row["network"], needed)
    _report(store, connection, row, [Report(v, "closed") for v in shut])
    return {"closed": shut, "shut_already": sorted(set(needed) - set(shut))}


def release(store, connection, cursor, row: dict) -> dict:
    """Releases what the work holds, and opens what nobody else holds."""
    opened, still = may_open(_holding(cursor, row["network"]), row["id"])
    cursor.execute(_RELEASE, (row["id"],))
    _report(store, connection, row, [Report(v, "open") for v in sorted(opened)])
    return {"opened": sorted(opened), "left_shut": sorted(still)}


def again(store, connection, cursor, row: dict, since) -> dict:
    """Holds and shuts again what the work released at its end, which was no mistake of the network but of the one who ended it."""
    cursor.execute("SELECT valve_id FROM works.work_valve WHERE work = %s AND released_at >= %s ORDER BY position", (row["id"], since))
    needed = [valve for (valve,) in cursor.fetchall()]
    _hold(cursor, row["id"], needed)
    shut = _open_now(store, row["network"], needed)
    _report(store, connection, row, [Report(v, "closed") for v in shut])
    return {"closed": shut}


def adjust(store, connection, cursor, row: dict, was: Iterable[str]) -> dict:
    """二次关阀 of a work in progress: its valves are those that it needs now that other valves do not turn. Valves newly stuck are reported
    open and not to be turned, those that turn after all as such; what is needed no more and held by nobody else is opened."""
    jammed, freed = set(row["stuck"]) - set(was), set(was) - set(row["stuck"])
    needed = _needed(store, row, freed)
    holding = _holding(cursor, row["network"])
    mine = holding.get(row["id"], set())
    gone = mine - set(needed)
    others = set().union(*(valves for work, valves in holding.items() if work != row["id"]))
    cursor.execute(_RELEASE + " AND valve_id = ANY (%s)", (row["id"], sorted(gone)))
    added = [v for v in needed if v not in mine]
    _hold(cursor, row["id"], added, first=len(mine) + 1)
    opened = sorted(gone - others - jammed)
    shut = _open_now(store, row["network"], added)
    known = water(store, row["network"]).engine.network
    reports = {v: Report(v, "open", operable=False) for v in sorted(jammed)} | {v: Report(v, operable=True) for v in sorted(freed)}
    reports |= {v: Report(v, "open") for v in opened} | {v: Report(v, "closed", operable=True if v in freed else None) for v in shut}
    _report(store, connection, row, [r for v, r in reports.items() if position(known.valve_id, v) >= 0])
    return {"closed": shut, "opened": opened}


def _needed(store, row: dict, freed: Iterable[str] = ()) -> list[str]:
    """The valves that a work shuts by itself, in closing order; a curb stop among them. freed: valves that turn after all."""
    known, _ = _works.network_of(store, row)
    net, states = known.engine.network, known.engine.states
    valves = [net.valve(v) for v in freed if position(net.valve_id, v) >= 0]
    if valves:
        usable = states.usable.copy()
        usable[valves] = True
        known = dataclasses.replace(known, engine=known.engine.with_states(States(states.open, usable)))
    return _works.planned(known, row)[0]["valves"]["close"]


def _hold(cursor, work: int, valves: list[str], first: int = 1) -> None:
    for place, valve in enumerate(valves, first):
        cursor.execute(_HOLD, (work, valve, place))


def _open_now(store, network: str, valves: list[str]) -> list[str]:
    """Those of these valves that are open; a curb stop is none of the network's."""
    now = water(store, network).engine
    return [v for v in valves if position(now.network.valve_id, v) >= 0 and now.states.open[now.network.valve(v)]]


def _holding(cursor, network: str) -> dict[int, set[str]]:
    cursor.execute(_HELD, (network,))
    holding: dict[int, set[str]] = {}
    for work, valve in cursor.fetchall():
        holding.setdefault(work, set()).add(valve)
    return holding


def _report(store, connection, row: dict, reports: list[Report]) -> None:
    if reports:
        valve_states.report(
            connection, row["network"], reports, source=f"work {row['id']}", reason=row["title"], operator=store.user, strict=False
        )


def last(cursor, work: int) -> tuple:
    """The last step that can be taken back: id, state before, state after, fields changed, when. Raises InputError."""
    cursor.execute("SELECT id, was, becomes, changed, at FROM works.last_step(%s)", (work,))
    found = cursor.fetchone()
    if found is None or found[0] is None:
        raise InputError(f"work {work} has no step that could be taken back", remedy="Cancel it instead")
    return found
