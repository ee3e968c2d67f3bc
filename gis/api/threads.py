"""The web process: a thread that has answered waits a moment for the next question on the same connection.

gunicorn hands every kept connection back to its main thread, which watches it and hands it out again: for a short answer that costs as
much as the answer (docs/decisions/0171). A client that asks again at once, as a map or a loop does, is answered by the same thread.
"""

from __future__ import annotations

import select
import time

from gunicorn.workers.gthread import TConn

from gis.api import watch

STAY_MS = 3
"""For how long a thread waits. Longer than a client in the same building needs, and short enough that nobody notices it."""
ALIVE_EVERY_S = 0.5
"""gunicorn's main process wants a sign of life within its time-out, not with each request."""


class Threads(watch.Threads):
    """gunicorn's worker with threads, watched, whose threads stay with a busy connection while nobody else waits for them."""

    _staying = 0
    _said_alive = 0.0

    def handle(self, conn: TConn):
        """The requests of a connection that follow each other closely."""
        result = super().handle(conn)
        while result is True and not conn.is_http2 and self._asks_again(conn):
            result = super().handle(conn)
        return result

    def _asks_again(self, conn: TConn) -> bool:
        """Whether the next request comes at once. One thread at least is left for others; who waits for a thread gets this one."""
        if not self.alive or self._staying >= self.cfg.threads - 1 or not self.tpool._work_queue.empty():
            return False
        if conn.parser.unreader.buf.getvalue():
            return True
        ready = select.poll()
        ready.register(conn.sock, select.POLLIN)
        self._staying += 1
        try:
            return bool(ready.poll(STAY_MS))
        finally:
            self._staying -= 1

    def notify(self) -> None:
        """Say that this process is alive."""
        now = time.monotonic()
        if now - self._said_alive > ALIVE_EVERY_S:
            self._said_alive = now
            super().notify()
