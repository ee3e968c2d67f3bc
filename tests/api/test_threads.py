"""When a thread of a web process stays with its connection, and when it goes back to the others."""

from __future__ import annotations

import io
import queue
import socket
import time
from types import SimpleNamespace

import pytest

from gis.api import threads, watch
from gis.api.threads import Threads


@pytest.fixture
def pair():
    """(connection as gunicorn has it, the caller's end)."""
    mine, callers = socket.socketpair()
    unreader = SimpleNamespace(buf=io.BytesIO())
    yield SimpleNamespace(sock=mine, parser=SimpleNamespace(unreader=unreader), is_http2=False), callers
    mine.close()
    callers.close()


def worker(count: int = 8) -> Threads:
    """A worker with so many threads, none of which does anything."""
    made = object.__new__(Threads)
    made.alive, made.cfg, made.tpool = True, SimpleNamespace(threads=count), SimpleNamespace(_work_queue=queue.SimpleQueue())
    return made


def test_it_stays_for_the_next_question_and_not_for_long(pair):
    conn, caller = pair
    begun = time.monotonic()
    assert not worker()._asks_again(conn)
    assert time.monotonic() - begun < 1
    caller.send(b"GET / HTTP/1.1\r\n\r\n")
    assert worker()._asks_again(conn)
    caller.close()  # gunicorn reads the end and closes
    assert worker()._asks_again(conn)


def test_it_does_not_stay_while_others_wait_or_the_worker_ends(pair):
    conn, caller = pair
    caller.send(b"GET / HTTP/1.1\r\n\r\n")
    busy, ending, alone, full = worker(), worker(), worker(1), worker(3)
    busy.tpool._work_queue.put(object())
    ending.alive = False
    full._staying = 2
    assert not any(each._asks_again(conn) for each in (busy, ending, alone, full))


def test_a_question_that_was_read_ahead_is_answered(pair):
    conn, _ = pair
    conn.parser.unreader.buf.write(b"GET /")
    assert worker()._asks_again(conn)


def test_each_question_is_handled_until_none_follows(pair, monkeypatch):
    conn, caller = pair
    handled = []

    def handle(self, conn):
        handled.append(conn.sock.recv(1))
        return handled[-1] != b"c"

    monkeypatch.setattr(watch.Threads, "handle", handle)
    caller.send(b"ab")
    assert worker().handle(conn) is True and handled == [b"a", b"b"]
    caller.send(b"cd")
    assert worker().handle(conn) is False and handled[2:] == [b"c"]


def test_it_says_that_it_lives_often_enough_and_no_more(monkeypatch):
    said = []
    monkeypatch.setattr("gunicorn.workers.base.Worker.notify", lambda self: said.append(time.monotonic()))
    made = worker()
    for _ in range(100):
        made.notify()
    assert len(said) == 1
    made._said_alive -= threads.ALIVE_EVERY_S + 1
    made.notify()
    assert len(said) == 2
