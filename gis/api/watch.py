"""What looks at requests that take long: a caller who sends too slowly is cut off, and the statement of one who hung up is cancelled.

A thread per web process looks twice a second. Without it sixteen callers who send a byte a minute would hold every thread of the server,
and a costly question would go on for the whole of its time after nobody waits for the answer any more.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
import time
from dataclasses import dataclass

from gunicorn.workers.gthread import TConn, ThreadWorker

from gis.api import metrics
from gis.db import connection

log = logging.getLogger("onemap.watch")

EVERY_S = 0.5
HEADERS_S = 10
"""Within which the headers of a request have to come."""
BODY_S = 30
"""Within which its body has to come: ten megabytes at 350 kB/s."""
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


class Threads(ThreadWorker):
    """gunicorn's worker with threads, watched."""

    def init_process(self) -> None:
        """In the forked worker: begin to watch."""
        threading.Thread(target=_look, name="watch", daemon=True).start()
        super().init_process()

    def handle(self, conn: TConn):
        """One request of a connection, from its first byte to its answer."""
        thread, now = threading.get_ident(), time.monotonic()
        # a new connection that sends nothing at all is put aside by gunicorn itself after some seconds
        _waiting[thread] = Waiting(conn.sock, now + HEADERS_S, now)
        try:
            return super().handle(conn)
        finally:
            _waiting.pop(thread, None)


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
