"""How much one caller may ask: requests per second, at the same time, and features per file, by user or (nobody) by address.

The counts stand in a piece of memory that all workers of a server share, made before they are forked. Each worker writes its
own row of it and adds up all rows: no lock is taken between processes, none is left behind by one that is killed, and a
caller has one limit however his connections are spread. The rate is that of the last ten seconds (the window before counts
by the share of it that is still within ten seconds), so a map may ask for its forty tiles at once. Servers on other machines
count for themselves.
"""

from __future__ import annotations

import ipaddress
import logging
import mmap
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from gis.access import generation
from gis.access.address import is_own
from gis.catalog.narrowing import base
from gis.db.connection import reading
from gis.errors import OneMapError, Throttled
from gis.settings import settings

if TYPE_CHECKING:
    from gis.access.identity import Identity

log = logging.getLogger("onemap.access")

WINDOW_S = 10
SLOTS = 1 << 14
"""Callers counted apart. Two that fall together share a limit: among 100 callers at once, some two do in one case of four."""
FAILURES_ALLOWED = 30
"""Wrong passwords, keys and tokens from one address within WINDOW_S, after which it has to wait."""
REFRESHED_S = 30
"""For how long the allowances of the database are trusted where the generation does not move."""
UNCOUNTED = -1
"""The ticket of a caller whom nothing limits."""

_CELL = 8  # numbers of eight bytes
_WINDOW, _NOW, _BEFORE, _INSIDE, _HEAVY = range(5)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one caller may do at most; 0: no limit."""

    rate_per_s: float
    at_once: int
    heavy_at_once: int
    file_rows: int


class Counts:
    """The shared memory: for each worker a row, in each row a cell for each caller."""

    def __init__(self, rows: int):
        self.rows = rows
        self._memory = mmap.mmap(-1, 8 * (rows + rows * SLOTS * _CELL))  # anonymous and shared: a page costs when it is written
        self.numbers = memoryview(self._memory).cast("q")

    def cell(self, row: int, slot: int) -> int:
        return self.rows + (row * SLOTS + slot) * _CELL


_counts = Counts(1)
_row = 0
_counts.numbers[0] = 1
_lock = threading.Lock()
_allowances: tuple[int, float, dict[str, tuple]] = (-1, 0.0, {})
_of_caller: dict[tuple[str, str], Allowance] = {}


# --- the workers ------------------------------------------------------------------------------------------------------


def prepare(workers: int) -> None:
    """Before the workers are forked: memory for them, and for those that take their place while they end."""
    global _counts, _row
    with _lock:
        if _counts.rows >= 2 * workers + 4:  # a reload: workers of before count on
            return
        _counts, _row = Counts(2 * workers + 4), 0
        _counts.numbers[0] = 1  # the parent's own


def free_row() -> int:
    """In the parent, before a fork: a row that no worker has; the parent's where there are more workers than were prepared for."""
    taken = _counts.numbers
    row = next((row for row in range(1, _counts.rows) if not taken[row]), 0)
    taken[row] = 1
    return row


def take_row(row: int) -> None:
    """In a new worker: what it counts stands in this row from now on."""
    global _row, _lock
    _lock = threading.Lock()
    _row = row
    _clear(row)


def give_back_row(row: int) -> None:
    """In the parent, after a worker ended: what it was answering is answered no more."""
    if row:
        _clear(row)
        _counts.numbers[row] = 0


def _clear(row: int) -> None:
    start = _counts.cell(row, 0)
    if row:
        _counts.numbers[start : start + SLOTS * _CELL] = memoryview(bytes(8 * SLOTS * _CELL)).cast("q")


def forget() -> None:
    """Nobody has asked for anything yet (in tests)."""
    global _allowances
    with _lock:
        _allowances = (-1, 0.0, {})
        _of_caller.clear()
        start = _counts.cell(_row, 0)
        _counts.numbers[start : start + SLOTS * _CELL] = memoryview(bytes(8 * SLOTS * _CELL)).cast("q")


# --- the requests -----------------------------------------------------------------------------------------------------


def enter(identity: Identity, address: str = "", heavy: bool = False) -> int:
    """Count a request in; the ticket to leave with. heavy: it makes a file, a coverage or runs a process.

    Raises Throttled (429) with the seconds to wait. A request that was refused does not count.
    """
    subject = identity.user or _place(address)
    if not subject:
        return UNCOUNTED
    allowed = allowance(identity)
    slot = hash(subject) & (SLOTS - 1)
    with _lock:
        _require(slot, allowed, heavy)
        own, numbers = _counts.cell(_row, slot), _counts.numbers
        numbers[own + _NOW] += 1
        numbers[own + _INSIDE] += 1
        numbers[own + _HEAVY] += heavy
    return slot << 1 | heavy


def leave(ticket: int) -> None:
    """Count a request out: once for every ticket, when its answer has been sent."""
    if ticket < 0:
        return
    with _lock:
        own, numbers = _counts.cell(_row, ticket >> 1), _counts.numbers
        numbers[own + _INSIDE] = max(0, numbers[own + _INSIDE] - 1)
        numbers[own + _HEAVY] = max(0, numbers[own + _HEAVY] - (ticket & 1))


def _require(slot: int, allowed: Allowance, heavy: bool) -> None:
    window, part, now, before = _rate(slot)
    most = allowed.rate_per_s * WINDOW_S
    if most and now + before * (1 - part) >= most:
        raise Throttled(
            f"More than {allowed.rate_per_s:g} requests per second",
            remedy="Wait, then ask more slowly",
            retry_after_s=_wait(now, before, part, most),
        )
    inside, heavies = _inside(slot)
    if allowed.at_once and inside >= allowed.at_once:
        raise Throttled(f"{inside} of your requests are being answered", remedy="Wait until one of them has ended")
    if heavy and allowed.heavy_at_once and heavies >= allowed.heavy_at_once:
        raise Throttled(
            f"{heavies} of your downloads and processes are running", remedy="Wait until one of them has ended", retry_after_s=5
        )
    own, numbers = _counts.cell(_row, slot), _counts.numbers
    if numbers[own + _WINDOW] != window:
        numbers[own + _BEFORE] = numbers[own + _NOW] if numbers[own + _WINDOW] == window - 1 else 0
        numbers[own + _NOW] = 0
        numbers[own + _WINDOW] = window


def _rate(slot: int) -> tuple[int, float, int, int]:
    """The window, how much of it is over (0 to 1), requests in it and in the one before, of all workers."""
    window, part = divmod(time.monotonic() / WINDOW_S, 1)
    window, now, before, numbers = int(window), 0, 0, _counts.numbers
    for row in range(_counts.rows):
        if numbers[row]:
            cell = _counts.cell(row, slot)
            if numbers[cell] == window:
                now += numbers[cell + _NOW]
                before += numbers[cell + _BEFORE]
            elif numbers[cell] == window - 1:
                before += numbers[cell + _NOW]
    return window, part, now, before


def _inside(slot: int) -> tuple[int, int]:
    inside, heavies, numbers = 0, 0, _counts.numbers
    for row in range(_counts.rows):
        if numbers[row]:
            cell = _counts.cell(row, slot)
            inside += numbers[cell + _INSIDE]
            heavies += numbers[cell + _HEAVY]
    return inside, heavies


def _wait(now: int, before: int, part: float, most: float) -> float:
    """Seconds until the rate of the last ten seconds is below the limit, if nothing else is asked."""
    share = 1 - (most - now) / before - part if now < most else 1 - part + 1 - most / now
    return share * WINDOW_S + 0.001  # then it is below, not at it


# --- who guesses ------------------------------------------------------------------------------------------------------


def refuse_guesser(address: str) -> None:
    """Raises Throttled for an address from which too many wrong credentials came just now."""
    place = _place(address)
    if not place:
        return
    _, part, now, before = _rate(_slot_of_failures(place))
    if now + before * (1 - part) >= FAILURES_ALLOWED:
        raise Throttled("Too many wrong credentials from your address", remedy="Wait", retry_after_s=WINDOW_S)


def failed(address: str) -> None:
    """Count wrong credentials."""
    place = _place(address)
    if place:
        with _lock:
            slot = _slot_of_failures(place)
            _require(slot, _UNLIMITED, False)
            _counts.numbers[_counts.cell(_row, slot) + _NOW] += 1


_UNLIMITED = Allowance(0, 0, 0, 0)


def _slot_of_failures(place: str) -> int:
    return hash("failures " + place) & (SLOTS - 1)


@lru_cache(4096)
def _place_of(address: str) -> str:
    try:
        one = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    # whoever has an IPv6 address has the 64 bits behind the network, too
    return str(ipaddress.ip_network((one, 64), strict=False)) if one.version == 6 else str(one)


def _place(address: str) -> str:
    """What an address is counted as; empty where it says nothing about who asks."""
    return "" if is_own(address) else "at " + _place_of(address)


# --- what is allowed --------------------------------------------------------------------------------------------------


def allowance(identity: Identity) -> Allowance:
    """What this caller may do: of the user, else of the role, else of the settings."""
    at, now = generation.current(), time.monotonic()
    if _allowances[0] != at or _allowances[1] < now:
        _refresh(at, now)
    found = _of_caller.get((identity.user, identity.role))
    return found or _computed(identity)


def _computed(identity: Identity) -> Allowance:
    given, chosen = _allowances[2], settings()
    usual = (
        chosen.rate_per_s if identity.user else chosen.rate_per_s_anonymous, chosen.at_once, chosen.heavy_at_once, chosen.file_rows
    )  # fmt: skip
    empty = (None,) * len(usual)
    of_user = given.get(f"user:{identity.user}", empty)
    of_role = given.get(f"role:{base(identity.role)}", empty)
    found = Allowance(*(next(v for v in three if v is not None) for three in zip(of_user, of_role, usual, strict=True)))
    with _lock:
        if len(_of_caller) > SLOTS:
            _of_caller.clear()
        _of_caller[identity.user, identity.role] = found
    return found


def _refresh(at: int, now: float) -> None:
    global _allowances
    try:
        with reading("identity") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT subject, rate_per_s, at_once, heavy_at_once, file_rows FROM access.allowance")
            given = {subject: tuple(values) for subject, *values in cursor.fetchall()}
    except OneMapError as error:  # the limits of a moment ago are better than none
        log.warning("the allowances cannot be read: %s", error.what)
        given = _allowances[2]
    with _lock:
        _allowances = at, now + REFRESHED_S, given
        _of_caller.clear()
