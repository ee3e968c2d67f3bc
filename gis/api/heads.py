"""A connection and the heads of requests that come over it: read without a thread, understood once.

Nobody but gunicorn's parser says what a head means. What this module knows of HTTP is where a head ends, and a request line so plain that
there is one way to read it. A caller who keeps his connection sends the same headers again and again (a map asks for forty tiles, a
program for page after page): where they are the same bytes as those that the parser understood before, on the same connection, they mean
the same, and only the request line is looked at. Everything else goes to the parser, byte for byte.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from typing import Any
from urllib.parse import unquote_to_bytes

from gunicorn.http import wsgi
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

from gis.api.visit import LARGEST_BODY

LONGEST = 64 * 2**10
"""Bytes of a head. The parser's own limits (8190 for a line, 60 lines) are checked by it."""
HEADERS_S = 10
"""Within which a head has to come, from its first byte."""
BODY_S = 30
"""Within which the body has to come behind it: ten megabytes at 350 kB/s."""
SEND_S = 30
"""A caller who takes nothing of his answer for so long gets no more of it."""
_LINE = re.compile(rb"GET (/(?!/)[!-\"$-~]*) HTTP/1\.1\r\n")
"""A request line that can be read in one way only: printable ASCII without # from the first byte, one slash at the beginning of the path.
What `urllib.parse` does with others (a fragment, //host) is the parser's business."""
_READ = 64 * 2**10
_READ_OF_BODY = 2**20
_REPEATED = 4
"""Heads that are remembered of a connection: a browser alternates between pages, pictures and data."""
_LARGEST_REPEATED = 4096
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,12})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_NOT_REPEATED = frozenset({"CONTENT-LENGTH", "CONTENT-TYPE", "TRANSFER-ENCODING", "EXPECT", "UPGRADE", "HTTP2-SETTINGS"})
_SEND_TIMEOUT = struct.pack("ll", SEND_S, 0)


class Ahead(SocketUnreader):
    """What was read ahead, in pieces as gunicorn would have read them from the socket, and then the socket. Given at once, ten megabytes of
    tiny chunks would be copied once for each chunk."""

    ahead = memoryview(b"")

    def chunk(self, size_hint=None) -> bytes:
        """The next piece."""
        if not self.ahead:
            return super().chunk(size_hint)
        size = min(max(self.mxchunk, size_hint or 0), self.max_body_chunk)
        piece, self.ahead = bytes(self.ahead[:size]), self.ahead[size:]
        return piece

    def take_buffered(self) -> bytes:
        """All that was read and not taken."""
        rest, self.ahead = bytes(self.ahead), memoryview(b"")
        return super().take_buffered() + rest


class Connection(TConn):
    """A caller's connection: gunicorn's, with what was read of its next request."""

    def __init__(self, cfg, sock: socket.socket, client, server):
        super().__init__(cfg, sock, client, server)
        self.init()  # the socket blocks, for gunicorn reads bodies from it; heads are read here, which never waits
        self.parser.unreader = Ahead(sock)
        self.data_ready = True
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
        self.number = sock.fileno()
        self.read = bytearray()
        """What came and is not answered yet: at most one request and the beginning of the next."""
        self.end = -1
        """Where the head in it ends."""
        self.begun = 0.0
        """When its first byte came."""
        self.until = time.monotonic() + cfg.keepalive
        """When it is closed, if nothing happens on it; infinite while a thread works for it."""
        self.cut = False
        """Whether its time is over."""
        self.leaving = False
        """Whether it was answered for the last time: what still comes is thrown away until the caller closes, too."""
        self.drained = 0
        self._target: str | None = None
        self._below: bytes = b""
        self._known: dict[bytes, tuple[dict, Any]] = {}

    # --- reading ------------------------------------------------------------------------------------------------------

    def receive(self) -> int | None:
        """How many bytes came, without waiting: 0 at the end, None where nothing is there. Raises OSError."""
        try:
            came = self.sock.recv(_READ if len(self.read) < _READ else _READ_OF_BODY, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        if not self.read:
            self.begun = time.monotonic()
        self.read += came
        return len(came)

    def is_whole(self) -> bool:
        """Whether a thread has something to do without waiting: a head with its body, or what can be no head."""
        end = self.end = self.read.find(b"\r\n\r\n")
        if end < 0:
            return len(self.read) > LONGEST or self.read.count(b"\n") != self.read.count(b"\r\n")
        line = _LINE.match(self.read)
        if line is None:
            self.read = bytearray(understood(self.read))
            end = self.end = self.read.find(b"\r\n\r\n")
            line = _LINE.match(self.read)
        if line is None or line.end() - 2 > self.cfg.limit_request_line:
            self._target = None
            return self._has_body()
        self._target, self._below = line[1].decode("ascii"), bytes(self.read[line.end() : end + 4])
        return self._below in self._known or self._has_body()

    def _has_body(self) -> bool:
        """Whether the body is there, as far as can be seen from outside: a guess that the parser need not share. Where it is wrong a thread
        waits for the rest, or the caller's time is over."""
        head, behind = self.read[: self.end + 2], len(self.read) - self.end - 4
        if behind > LARGEST_BODY or _EXPECTS.search(head):
            return True
        if _CHUNKED.search(head):  # the last chunk and the fields behind it end with an empty line
            return self.read.endswith(b"\r\n\r\n", self.end + 4)
        length = _LENGTH.search(head)
        return length is None or int(length[1]) > LARGEST_BODY or behind >= int(length[1])

    def patience(self) -> float:
        """Until when (monotonic) this connection is waited for, as it is now: nothing came yet, or a head, or a body."""
        if not self.read:
            return time.monotonic() + self.cfg.keepalive
        return self.begun + (HEADERS_S if self.end < 0 else BODY_S)

    # --- understanding ------------------------------------------------------------------------------------------------

    def repeated(self) -> tuple[dict, Any] | None:
        """The WSGI environment and gunicorn's request of a head that differs from an earlier one in its path and query only; it is taken
        from what was read. None where the parser has to look."""
        target = self._target
        known = self._known.get(self._below) if target is not None and self.end >= 0 else None
        if known is None:
            return None
        path, _, query = target.partition("?")
        environ = known[0].copy()
        environ["RAW_URI"] = target
        environ["QUERY_STRING"] = query
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        self.read = self.read[self.end + 4 :]
        if self.read:
            self.begun = time.monotonic()
        return environ, known[1]

    def hand_on(self) -> None:
        """Give everything that was read to gunicorn's parser."""
        self.parser.unreader.ahead = memoryview(self.read)
        self.read = bytearray()

    def remember(self, req) -> None:
        """The parser understood what was handed on: the next head with the same bytes below its request line means the same."""
        if self._target is None or len(self._below) > _LARGEST_REPEATED or req.should_close():
            return
        if _NOT_REPEATED & {name for name, _ in req.headers}:
            return
        _, environ = wsgi.create(req, self.sock, self.client, self.server, self.cfg)
        if environ["SCRIPT_NAME"]:
            return
        del environ["wsgi.early_hints"]  # it belongs to one answer
        environ["wsgi.multithread"] = True
        if len(self._known) >= _REPEATED:
            self._known.clear()
        self._known[self._below] = environ, req

    def take_back(self) -> None:
        """What the parser read beyond its request."""
        self.read = bytearray(self.parser.unreader.take_buffered())
        self.begun = time.monotonic()


_TYPED = re.compile(rb"([A-Z]+ )([^ \r\n]*)( HTTP/1\.[01]\r\n)")


def understood(head: bytes | bytearray) -> bytes | bytearray:
    """A head whose address holds UTF-8 as it is typed (`curl …?road=第1路`), with those bytes percent-encoded, as browsers do it (RFC 3987,
    3.1); every other head as it is."""
    line = _TYPED.match(head)
    if line is None or line[2].isascii():
        return head
    try:
        line[2].decode("utf-8")
    except UnicodeDecodeError:
        return head
    target = b"".join(b"%%%02X" % byte if byte > 0x7F else bytes((byte,)) for byte in line[2])
    return line[1] + target + line[3] + head[line.end() :]
