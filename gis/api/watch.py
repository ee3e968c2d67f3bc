"""What looks at requests that take long: a caller who sends too slowly is cut off, and the statement of one who hung up is cancelled.

A thread per web process looks twice a second. Without it callers whose body is not there yet when a thread begins to read it (`Expect`,
broken chunks) would hold every thread of the server, and a costly question would go on for the whole of its time after nobody waits for the
answer any more. Those who have not sent a whole request yet have no thread (gis/api/threads.py).
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
import time
from dataclasses import dataclass

from gis.api import metrics
from gis.api.heads import BODY_S, HEADERS_S
from gis.db import connection

log = logging.getLogger("onemap.watch")

EVERY_S = 0.5
UNASKED_S = 1
"""A request that is answered within it is not asked whether anybody still waits."""


@dataclass(slots=True)
class Waiting:
    """A thread at work for a caller: until `deadline` the request has to be there; from `since` on the answer is being made."""

    sock: socket.socket
    deadline: float | None
    since: float
    cut: bool = False


_waiting: dict[int, Waiting] = {}
"""By thread. Entries are set and removed by that thread alone."""


def begin() -> None:
    """In the forked worker: begin to watch."""
    threading.Thread(target=_look, name="watch", daemon=True).start()


class answering:
    """Within it this thread makes an answer: from now on the caller may hang up."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket):
        self._sock = sock

    def __enter__(self) -> None:
        _waiting[threading.get_ident()] = Waiting(self._sock, None, time.monotonic())

    def __exit__(self, *_) -> None:
        _waiting.pop(threading.get_ident(), None)


class reading(answering):
    """Within it this thread lets gunicorn read a request, which has its time, and makes the answer (`received`)."""

    __slots__ = ()

    def __enter__(self) -> None:
        now = time.monotonic()
        _waiting[threading.get_ident()] = Waiting(self._sock, now + HEADERS_S, now)


def received(_worker, request) -> None:
    """The headers are there (gunicorn's pre_request): the body has its own time, and from now on somebody may hang up."""
    one = _waiting.get(threading.get_ident())
    if one is not None:
        one.since = time.monotonic()
        has_body = any(name == "TRANSFER-ENCODING" or (name == "CONTENT-LENGTH" and value != "0") for name, value in request.headers)
        one.deadline = one.since + BODY_S if has_body else None


def _look() -> None:
    while True:
        time.sleep(EVERY_S)
        metrics.observe()
        now = time.monotonic()
        for thread, one in list(_waiting.items()):
            if one.cut:
                continue
            if one.deadline is not None and now > one.deadline:
                one.cut = True
                with contextlib.suppress(OSError):
                    one.sock.shutdown(socket.SHUT_RD)
                log.warning(
                    "a request was cut off: it did not come within %d s", BODY_S if one.deadline - one.since > HEADERS_S else HEADERS_S
                )
            elif one.deadline is None and now - one.since > UNASKED_S and has_hung_up(one.sock) and connection.cancel(thread):
                log.info("a statement was cancelled: its caller hung up")


def has_hung_up(sock: socket.socket) -> bool:
    """Whether the other side closed its end; bytes that wait to be read speak against it."""
    try:
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLRDHUP)
        events = poll.poll(0)
    except (OSError, ValueError):
        return False  # closed by the thread that answered
    return bool(events and events[0][1] & (select.POLLRDHUP | select.POLLHUP | select.POLLERR))
