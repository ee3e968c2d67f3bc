"""The web process: callers wait in the kernel, and a thread takes whichever has sent a whole request.

gunicorn gives a connection to a thread when it is opened, which then waits for the request: as many callers who send slowly as there are
threads hold the process. And it hands every kept connection to its main thread and from there to a thread again, which for a short answer
costs as much as the answer. Here all threads wait for all connections (epoll, each event for one of them): the one that wakes reads what
is there without waiting, answers where the request is whole, and lets the connection wait again where it is not. Nothing is handed over,
and a caller who is slow costs no thread. What the requests mean is read by gunicorn's parser (gis/api/heads.py).
"""

from __future__ import annotations

import errno
import logging
import math
import os
import select
import socket
import threading
import time
from contextlib import suppress

from gunicorn import util
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from gis.api import unreadable, watch
from gis.api.heads import LONGEST, Connection
from gis.api.sending import Answer

log = logging.getLogger("onemap.server")

ALIVE_EVERY_S = 0.5
"""gunicorn's main process wants a sign of life within its time-out, not with each request."""
LINGER_S = 2.0
"""How long the caller may take to close after his last answer: closed before, what is on its way to him may be lost (RFC 9112, 9.6)."""
DRAINED = 2**20
"""Bytes that are read and thrown away meanwhile."""
AHEAD = 256 * 2**20
"""Bytes of requests that are not whole yet, of all connections together: who has sent the most of them gives way."""
_READABLE = select.EPOLLIN | select.EPOLLONESHOT


class Threads(ThreadWorker):
    """gunicorn's worker with threads; connections wait here, and gunicorn's main loop is left to accept them and to stop."""

    _said_alive = 0.0
    _ended = False

    def __init__(self, *args, **kwargs):
        self._open: dict[int, Connection] = {}
        super().__init__(*args, **kwargs)

    @property
    def nr_conns(self) -> int:
        """Connections that are open: gunicorn accepts while there are few enough, and stops when there are none."""
        return len(self._open)

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        """They are counted by being there."""

    # --- the main thread ----------------------------------------------------------------------------------------------

    def init_process(self) -> None:
        """In the forked worker: begin."""
        watch.begin()
        self._ready = select.epoll()
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop."""
        threads = [threading.Thread(target=self._serve, name=f"serve-{number}", daemon=True) for number in range(self.cfg.threads)]
        for thread in threads:
            thread.start()
        super().run()
        self._ended = True
        self._ready.register(os.eventfd(1), select.EPOLLIN)  # readable from now on: each of them wakes and ends
        until = time.monotonic() + LINGER_S
        for thread in threads:  # but for one that is at work beyond the time for a graceful end
            thread.join(max(0.0, until - time.monotonic()))

    def accept(self, listener) -> None:
        """A caller: he waits like all others."""
        try:
            sock, address = listener.accept()
            conn = Connection(self.cfg, sock, address, listener.getsockname())
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                log.error("no more connections can be opened: the limit of open files is reached")
                self.set_accept_enabled(False)  # until the next look around
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK, errno.EINVAL, errno.ENOTCONN):
                raise
            return
        self._open[conn.number] = conn
        self._ready.register(conn.number, _READABLE)

    def notify(self) -> None:
        """Say that this process is alive."""
        now = time.monotonic()
        if now - self._said_alive > ALIVE_EVERY_S:
            self._said_alive = now
            super().notify()

    def murder_keepalived(self, force: bool = False) -> None:
        """End the time of those who wait too long. Their end of input wakes a thread, which closes."""
        now, here = time.monotonic(), list(self._open.values())
        for conn in here:
            if force or (conn.until < now and not conn.cut):
                if conn.read and not force:
                    log.warning("a request was cut off: it did not come within its time")
                self._cut(conn, both=force or conn.leaving)
        held = sum(len(conn.read) for conn in here)
        if held > AHEAD:
            for conn in sorted(here, key=lambda conn: len(conn.read), reverse=True):
                if held <= AHEAD:
                    break
                held -= len(conn.read)
                log.warning("a request was cut off: too much of it and others waits for the rest")
                self._cut(conn)

    def _cut(self, conn: Connection, *, both: bool = False) -> None:
        conn.cut = True
        with suppress(OSError):
            conn.sock.shutdown(socket.SHUT_RDWR if both else socket.SHUT_RD)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops: whoever waits has until then to send a request, which is answered with `Connection: close`."""
        for conn in list(self._open.values()):
            conn.until = min(conn.until, deadline) if conn.until < math.inf else conn.until

    # --- the other threads --------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._ended:
            for number, _ in self._ready.poll(-1, 1):
                conn = self._open.get(number)
                if conn is None:
                    continue
                try:
                    self._attend(conn)
                except Exception:
                    log.exception("a connection was given up")
                    self._drop(conn)

    def _attend(self, conn: Connection) -> None:
        """Whatever can be done for this connection without waiting for its caller. Nobody else has it meanwhile."""
        conn.until = math.inf
        if conn.leaving:
            self._drain(conn)
            return
        try:
            while not conn.is_whole():
                came = conn.receive()
                if came is None and not conn.cut:
                    self._await(conn)
                    return
                if not came:
                    self._drop(conn)
                    return
        except OSError:
            self._drop(conn)
            return
        if self._answered(conn):
            self._await(conn)
        else:
            self._part(conn)

    def _await(self, conn: Connection) -> None:
        """Let it wait for more. What was read ahead and is whole already has its turn after those who wait now."""
        begins = select.EPOLLOUT if conn.read and conn.is_whole() else 0
        until = conn.patience()
        conn.until = until if self.alive else min(until, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self._ready.modify(conn.number, _READABLE | begins)

    def _part(self, conn: Connection) -> None:
        """The last answer was given: say so, and close when the caller has closed, too."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        conn.leaving, conn.read = True, bytearray()
        self._drain(conn)

    def _drain(self, conn: Connection) -> None:
        try:
            while not conn.cut and conn.drained < DRAINED:
                conn.read.clear()
                came = conn.receive()
                if came is None:
                    conn.read.clear()
                    conn.until = time.monotonic() + LINGER_S
                    self._ready.modify(conn.number, _READABLE)
                    return
                if not came:
                    break
                conn.drained += came
        except OSError:
            pass
        self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        if self._open.get(conn.number) is conn:  # the number is another's as soon as it is closed
            del self._open[conn.number]
        util.close(conn.sock)
        if not self.alive:
            self.method_queue.defer(lambda: None)  # the main thread waits for the last one

    # --- answers ------------------------------------------------------------------------------------------------------

    def _answered(self, conn: Connection) -> bool:
        """Answer a whole request; whether the connection goes on."""
        if conn.end < 0 and len(conn.read) > LONGEST:
            is_line = b"\r\n" not in conn.read[: self.cfg.limit_request_line + 2]
            fault = LimitRequestLine(len(conn.read), LONGEST) if is_line else LimitRequestHeaders("")
            self.handle_error(None, conn.sock, conn.client, fault)
            return False
        repeated = conn.repeated()
        if repeated is not None:
            with watch.answering(conn.sock):
                return self._answer(conn, *repeated)
        conn.hand_on()
        with watch.reading(conn.sock):
            goes_on = self.handle(conn) is True
        conn.take_back()
        return goes_on and not self._is_crowded()

    def _is_crowded(self) -> bool:
        return len(self._open) > self.max_keepalived

    def _answer(self, conn: Connection, environ: dict, req) -> bool:
        """As gunicorn's `handle` and `handle_request` do it, for a request that was understood before."""
        answer = Answer(req, conn.sock, self.cfg)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            log.info("this process is replaced: it answered as many requests as it may")
            self.alive = False
        if not self.alive or self._is_crowded():
            answer.force_close()
        try:
            body = self.wsgi(environ, answer.start_response)
            try:
                answer.give(body)
            finally:
                if hasattr(body, "close"):
                    body.close()
        except OSError as error:
            log.debug("an answer was not taken: %s", error)
            return False
        except Exception as error:
            if answer.headers_sent:
                log.exception("an answer broke off")
            else:
                self.handle_error(req, conn.sock, conn.client, error)
            return False
        return not answer.is_last()

    def handle_request(self, req, conn: Connection) -> bool:
        """gunicorn's own way. What it understood is remembered for requests like this one."""
        conn.remember(req)
        try:
            return super().handle_request(req, conn)
        except BlockingIOError as error:  # the time that a caller has to take his answer
            raise BrokenPipeError(errno.EPIPE, "the caller does not take his answer") from error

    def handle_error(self, req, client, addr, exc) -> None:
        """What cannot be read, or went wrong outside of the application, is answered like every mistake."""
        said = unreadable.answer(exc, addr[0] if isinstance(addr, tuple) else "")
        with suppress(OSError):
            client.send(said)
