"""How an answer is written to its caller: in one piece where it is there in one piece, by gunicorn's own writer otherwise.

Both ways write the same bytes (tests/api/test_sending.py). Headers that gunicorn would refuse, or drop, or that say nothing of the length,
go its way.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable

from gunicorn import SERVER, util
from gunicorn.http import wsgi
from gunicorn.http.message import TOKEN_RE

LEAST_PER_S = 50_000
"""Bytes per second that a caller has to take of his answer: whoever reads more slowly holds a thread for nothing."""
PATIENCE_S = 30
_JOINED = 2**18
"""Up to here head and body are copied together; a longer body is not copied."""
_VALUE = re.compile(r"[ \t!-~\x80-\xff]*")
_EMPTY = ("204", "304")
_names: dict[str, bool] = {}
"""Names of headers that were looked at, and whether they go out as they are."""
_MOST_NAMES = 500
_date: tuple[int, str] = (0, "")


class TooSlow(OSError):
    """The caller does not take his answer."""


class Answer(wsgi.Response):
    """The answer to one request."""

    _given: tuple[str, list] | None = None

    def start_response(self, status, headers, exc_info=None):
        """WSGI's. What is said here is looked at when the body is there."""
        if exc_info is not None or self._given is not None:
            self._settle()
            return super().start_response(status, headers, exc_info)
        self._given = status, headers
        return self.write

    def give(self, body: Iterable[bytes]) -> None:
        """Write the whole answer. Raises OSError where the caller is gone or too slow."""
        if type(body) is tuple and len(body) == 1 and self._given is not None:
            head = self._head(*self._given, body[0])
            if head is not None:
                self.headers_sent = True
                _send(self.sock, head, body[0])
                return
        self._settle()
        if isinstance(body, wsgi.FileWrapper):
            self.write_file(body)
        else:
            for part in body:
                self.write(part)
        self.close()

    def write(self, arg) -> None:
        self._settle()
        super().write(arg)

    def _settle(self) -> None:
        if self._given is not None and self.status is None:
            super().start_response(*self._given)

    def _head(self, status: str, headers: list, body: bytes) -> bytes | None:
        """Status line and headers as gunicorn writes them; None where it has to look at them itself."""
        length, lines = None, []
        for name, value in headers:
            if not _goes_out(name) or not _VALUE.fullmatch(value):
                return None
            value = value.strip(" \t")
            if name == "Content-Length":
                if length is not None:
                    return None
                length = value
            lines.append(f"{name}: {value}\r\n")
        if (length is not None or body) if status[:3] in _EMPTY else length != str(len(body)):
            return None
        closes = "close" if self.must_close or self.req.should_close() else "keep-alive"
        begin = f"HTTP/1.1 {status}\r\nServer: {SERVER}\r\nDate: {_now()}\r\nConnection: {closes}\r\n"
        return f"{begin}{''.join(lines)}\r\n".encode("latin-1")

    def is_last(self) -> bool:
        """Whether the connection ends with it."""
        if self.status is None:
            return self.must_close or self.req.should_close()
        return self.should_close()


def _goes_out(name: str) -> bool:
    found = _names.get(name)
    if found is None:
        found = bool(TOKEN_RE.fullmatch(name)) and not util.is_hoppish(name)
        if name.lower() == "content-length" and name != "Content-Length":
            found = False
        if len(_names) < _MOST_NAMES:
            _names[name] = found
    return found


def _now() -> str:
    """The date of this second, as HTTP writes it."""
    global _date
    second = int(time.time())
    if _date[0] != second:
        _date = second, util.http_date(second)
    return _date[1]


def _send(sock: socket.socket, head: bytes, body: bytes) -> None:
    """All of it, as fast as the caller takes it; the socket gives up by itself where he takes nothing. Raises TooSlow, OSError."""
    until = time.monotonic() + PATIENCE_S + len(body) / LEAST_PER_S
    if len(body) > _JOINED:
        _send_all(sock, head, until, socket.MSG_MORE)
        _send_all(sock, body, until)
    else:
        _send_all(sock, head + body, until)


def _send_all(sock: socket.socket, data: bytes, until: float, flags: int = 0) -> None:
    sent = sock.send(data, flags)
    if sent == len(data):
        return
    left = memoryview(data)[sent:]
    while left:
        if time.monotonic() > until:
            raise TooSlow("the caller takes too long to read")
        left = left[sock.send(left, flags) :]
