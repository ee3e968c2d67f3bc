"""The states of valves as they change: a report that changes something is an edit with history, audit and a new data version."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import psycopg2.extras

from gis.errors import InputError, NotOnNetwork

Live = Literal["open", "closed", "unknown"]


@dataclass(frozen=True)
class Report:
    """What is said about one valve. None says nothing; live `unknown` returns the valve to its normal state; `at` is when it was so
    (default now)."""

    valve_id: str
    live: Live | None = None
    operable: bool | None = None
    accessible: bool | None = None
    at: dt.datetime | None = None


@dataclass(frozen=True)
class Reported:
    """What came of reports, by valve ids; `batch` is the edit that they became, None where nothing changed. outdated: an older state
    than the one known; unknown: there is no such valve."""

    batch: int | None
    changed: list[str]
    unchanged: list[str]
    outdated: list[str]
    unknown: list[str]


def report(
    connection, network: str, reports: Iterable[Report], *, source: str, reason: str, operator: str, strict: bool = True
) -> Reported:  # fmt: skip
    """Believe these reports, inside a writing transaction of a role that may write the layer of the valves.

    strict: a valve that does not exist undoes them all (NotOnNetwork); else it is named in the answer.
    Raises InputError where nothing is reported, AccessDenied for the role, StoreError while a load holds the layer.
    """
    reports = list(reports)
    if not reports:
        raise InputError("nothing is reported", remedy="Give valve and state")
    for one in reports:
        if one.live is None and one.operable is None and one.accessible is None:
            raise InputError(f"nothing is said about valve {one.valve_id[:80]!r}", remedy="Give live, operable or accessible")
        if one.at is not None and one.at > dt.datetime.now().astimezone() + dt.timedelta(minutes=5):
            where = f"{one.valve_id[:80]} {one.at.isoformat()}"
            raise InputError("a state is reported for the future", where=where, remedy="Correct the time")
    rows = [asdict(one) | {"at": one.at.isoformat() if one.at else None} for one in reports]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM works.report_valves(%s, %s, %s, %s, %s)",
            (network, psycopg2.extras.Json(rows), source[:500], reason[:1000], operator),
        )
        done = Reported(*cursor.fetchone())
    if strict and done.unknown:
        raise NotOnNetwork(f"there is no valve {done.unknown[0][:80]!r} on this network", remedy="Check the id and the name of the network")
    return done
