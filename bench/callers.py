"""Callers that count: as many as wanted, each with a connection that it keeps, asking for the next path as soon as it has the answer.

They speak HTTP over a bare socket, because Python's own client takes longer for a small answer than the servers measured here.
"""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Mapping

from bench import mapserver
from bench.serving import Server

_LARGEST_READ = 1 << 18
WARM_UP = 0.25
"""For how long a server is asked before it is measured, as a share of the time that it is measured."""


class Link:
    """One HTTP/1.1 connection, opened again where the server closed it."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None):
        host, _, port = url.partition(":")
        self._at = (host, int(port))
        self._head = "".join(f"{name}: {value}\r\n" for name, value in ({"Host": url, "Accept": "*/*"} | dict(headers or {})).items())
        self._socket: socket.socket | None = None

    def ask(self, path: str) -> tuple[int, int]:
        """(status, bytes of the body). Raises OSError."""
        if self._socket is None:
            self._socket = socket.create_connection(self._at, timeout=300)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._read()
        head = got[:end].lower()
        status, size = int(head[9:12]), self._body(head, got[end + 4 :])
        if b"connection: close" in head:
            self.close()
        return status, size

    def _body(self, head: bytes, begun: bytes) -> int:
        at = head.find(b"content-length:")
        if at >= 0:
            length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            left = length - len(begun)
            while left > 0:
                left -= len(self._read())
            return length
        if b"transfer-encoding: chunked" not in head:
            return 0  # 204 and 304
        size, last = len(begun), begun[-5:]
        while not last.endswith(b"0\r\n\r\n"):
            more = self._read()
            size, last = size + len(more), (last + more)[-5:]
        return size

    def _read(self) -> bytes:
        got = self._socket.recv(_LARGEST_READ)
        if not got:
            self.close()
            raise ConnectionResetError("the server closed the connection")
        return got

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def link(server: Server, headers: Mapping[str, str] | None = None):
    """A caller's connection to a server."""
    return Link(server.url, headers) if ":" in server.url else mapserver.Link(server.url)


def called(server: Server, paths: list[str], clients: int, seconds: float, headers: Mapping[str, str] | None = None) -> dict:
    """{ms: each answer's time, bytes: of the answers' bodies, failed: how many, seconds: that it took} of callers that ask for the paths
    in turn, each beginning at another one."""
    until = time.perf_counter() + seconds
    return _all(server, paths, clients, lambda _: time.perf_counter() < until, headers)


def called_times(server: Server, paths: list[str], clients: int, times: int) -> dict:
    """As `called`, for a number of questions in all."""
    return _all(server, paths, clients, lambda asked: asked < times // clients, None)


def _all(server: Server, paths: list[str], clients: int, goes_on: Callable[[int], bool], headers) -> dict:
    times: list[list[float]] = [[] for _ in range(clients)]
    sizes: list[list[int]] = [[] for _ in range(clients)]
    failed = [0] * clients

    def call(who: int) -> None:
        own, at, asked = link(server, headers), who * 7, 0
        while goes_on(asked):
            begun = time.perf_counter()
            try:
                status, size = own.ask(paths[at % len(paths)])
            except OSError:
                own.close()
                status, size = 0, 0
            if status in (200, 204):
                times[who].append((time.perf_counter() - begun) * 1000)
                sizes[who].append(size)
            else:
                failed[who] += 1
            at, asked = at + 1, asked + 1
        own.close()

    begun = time.perf_counter()
    threads = [threading.Thread(target=call, args=(who,)) for who in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flat = {"ms": [t for one in times for t in one], "bytes": [s for one in sizes for s in one]}
    return flat | {"failed": sum(failed), "seconds": time.perf_counter() - begun}


def measured(server: Server, paths: list[str], *, clients: int = 8, seconds: float = 4.0, headers: Mapping[str, str] | None = None) -> dict:
    """{p50_ms: median at one caller, per_second: answers per second at `clients` callers, p99_ms there, bytes: of an answer, failed: how
    many}; {skipped: why} where the server does not run.

    Before it is measured the server is asked the same by as many callers for a while: connections to the database are open and statements
    known, whichever question comes first in a run.
    """
    if server.url is None:
        return {"skipped": server.why_not}
    called(server, paths, clients, seconds * WARM_UP, headers)
    alone = called(server, paths, 1, seconds / 2, headers)
    together = called(server, paths, clients, seconds, headers)
    failed = alone["failed"] + together["failed"]
    if not alone["ms"] or len(together["ms"]) < 2:
        return {"p50_ms": None, "per_second": None, "failed": failed}
    return {
        "p50_ms": round(statistics.median(alone["ms"]), 3),
        "per_second": round(len(together["ms"]) / together["seconds"], 1),
        "p99_ms": round(statistics.quantiles(together["ms"], n=100)[98], 2),
        "bytes": round(statistics.mean(alone["bytes"])),
        "failed": failed,
    }


def over(ours: dict, theirs: dict, figure: str) -> float | None:
    """How many times better ours is (above 1: more answers, or sooner); None where one of them has no figure."""
    mine, other = ours.get(figure), theirs.get(figure)
    if not mine or not other:
        return None
    return round(mine / other if figure == "per_second" else other / mine, 2)


def report(
    case: str, size: int, found: dict[str, dict], asked: dict[str, tuple[str, float]] | None = None, more: dict[str, dict] | None = None
) -> None:
    """One JSON line: every server's figures, ours over each of theirs, and beside it what was asked for and whether it is reached.
    asked: {server: (figure, at least so many times)}; more: what else was asked for, judged already."""
    ratios = {
        name: {"per_second": over(found["ours"], figures, "per_second"), "p50": over(found["ours"], figures, "p50_ms")}
        for name, figures in found.items()
        if name != "ours" and (figures.get("per_second") or figures.get("p50_ms"))
    }
    judged: dict[str, dict] = {}
    for name, (figure, least) in (asked or {}).items():
        ratio = over(found["ours"], found.get(name, {}), figure)
        judged[name] = {"of": figure, "at_least": least, "is": ratio, "reached": None if ratio is None else ratio >= least}
    judged |= more or {}
    line = {"case": case, "size": size, **found, "ours_over": ratios} | ({"asked": judged} if judged else {})
    print(json.dumps(line, ensure_ascii=False), flush=True)
