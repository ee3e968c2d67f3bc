"""Limits: one for a caller over all workers, nothing left behind by a worker that dies, next to no time."""

from __future__ import annotations

import os
import time

import pytest

from gis.access import address, generation, limits
from gis.access.identity import NOBODY, Identity, identify
from gis.errors import Throttled

LI = Identity("li", "water")


@pytest.fixture(autouse=True)
def clock(fresh, chosen, monkeypatch):
    """A clock that stands still until it is moved, at the beginning of a window."""
    monkeypatch.setattr(limits, "_counts", limits._counts)
    monkeypatch.setattr(limits, "_row", 0)
    chosen(rate_per_s=1, at_once=3, heavy_at_once=1)
    now = [1_000_000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    limits.forget()
    yield now
    limits.forget()


def asked(n: int, who: Identity = LI, place: str = "") -> int:
    """How many of n requests, one after the other, are let in."""
    let_in = 0
    for _ in range(n):
        try:
            limits.leave(limits.enter(who, place))
            let_in += 1
        except Throttled:
            pass
    return let_in


def test_the_rate_is_that_of_the_last_ten_seconds(clock):
    assert asked(15) == 10, "at once, as a map does"
    with pytest.raises(Throttled) as refused:
        limits.enter(LI)
    wait = refused.value.retry_after_s
    assert 10 <= wait <= 11
    clock[0] += wait
    assert asked(1) == 1, "who waits as told is let in"
    clock[0] += 4
    assert 2 <= asked(10) <= 5
    clock[0] += 100
    assert asked(15) == 10
    assert asked(3, Identity("wang", "water")) == 3


def test_at_the_same_time(clock):
    inside = [limits.enter(LI), limits.enter(LI, heavy=True)]
    with pytest.raises(Throttled, match="downloads"):
        limits.enter(LI, heavy=True)
    inside.append(limits.enter(LI))
    with pytest.raises(Throttled, match="being answered"):
        limits.enter(LI)
    for ticket in inside:
        limits.leave(ticket)
    limits.leave(limits.enter(LI, heavy=True))
    limits.leave(limits.UNCOUNTED)


def in_worker(row: int, work) -> int:
    """Do something in a forked worker with this row; what it says (0 to 255)."""
    child = os.fork()
    if not child:
        limits.take_row(row)
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_workers_share_the_limits_and_a_dead_one_leaves_nothing(clock):
    limits.prepare(2)
    limits.allowance(LI)
    first, second = limits.free_row(), limits.free_row()
    assert (first, second) == (1, 2)
    assert in_worker(first, lambda: asked(6)) == 6
    assert in_worker(second, lambda: asked(6)) == 4, "one limit, however the connections are spread"
    assert asked(1) == 0
    clock[0] += 100

    def dies_answering() -> int:
        for _ in range(3):
            limits.enter(LI)
        return 0

    in_worker(first, dies_answering)
    with pytest.raises(Throttled):
        limits.enter(LI)
    limits.give_back_row(first)
    assert asked(1) == 1
    assert limits.free_row() == first, "its place is taken by the next"
    memory = limits._counts
    limits.prepare(2)
    assert limits._counts is memory, "a reload counts on"
    rows = {limits.free_row() for _ in range(20)}
    assert 0 in rows and max(rows) < memory.rows


def test_nobody_in_particular_is_his_address(clock, chosen):
    chosen(rate_per_s=0, rate_per_s_anonymous=0.3)
    limits.forget()
    assert asked(50) == 50
    assert asked(5, NOBODY, "10.0.0.1") == 3 and asked(5, NOBODY, "10.0.0.2") == 3
    assert asked(5, NOBODY, "2001:db8::1") == 3 and asked(5, NOBODY, "2001:db8::2") == 0, "who has one has the 64 bits"
    assert asked(5, NOBODY, "2001:db8:0:1::2") == 3
    assert asked(50, NOBODY, "127.0.0.1") == 50, "a proxy that nobody declared stands for everybody"
    chosen(trusted_proxies="127.0.0.1")
    assert asked(5, NOBODY, "127.0.0.1") == 3


def test_a_guesser_waits(clock):
    for i in range(limits.FAILURES_ALLOWED):
        limits.refuse_guesser("10.0.0.1")
        limits.failed("10.0.0.1")
        assert i < limits.FAILURES_ALLOWED
    with pytest.raises(Throttled):
        limits.refuse_guesser("10.0.0.1")
    with pytest.raises(Throttled):
        identify(None, "om_whatever", "10.0.0.1")
    limits.refuse_guesser("10.0.0.2")
    clock[0] += 21
    limits.refuse_guesser("10.0.0.1")


@pytest.mark.parametrize(
    "remote, told, found",
    [
        ("10.0.0.1", None, "10.0.0.1"), ("8.8.8.8", "1.1.1.1", "8.8.8.8"), ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"), ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1"), ("10.0.0.1", "", "10.0.0.1"), ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"), (None, "1.1.1.1", ""), ("", "1.1.1.1", ""), ("unix:", "1.1.1.1", "unix:"),
    ],
)  # fmt: skip
def test_who_is_behind_a_proxy(chosen, remote, told, found):
    chosen(trusted_proxies="10.0.0.0/8, ::1")
    assert address.client_address(remote, told) == found


def test_it_takes_next_to_no_time(chosen, monkeypatch):
    monkeypatch.undo()
    chosen(rate_per_s=1_000_000)
    limits.prepare(4)
    taken = time.process_time()
    for _ in range(5000):
        limits.leave(limits.enter(LI))
    each = (time.process_time() - taken) / 5000
    assert each < 60e-6, f"{each * 1e6:.1f} µs"  # a few µs where nothing else runs
    assert generation.current() == generation.current()
