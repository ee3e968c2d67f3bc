"""The web process with real sockets: slow callers cost no thread, and what is asked in whichever pieces is answered."""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import socket
import threading
import time

import pytest
from gunicorn.config import Config

from gis.api import heads, logs, sending, threads, watch
from gis.api.threads import Threads

HEAD = b"Host: x\r\nAccept: */*\r\n\r\n"
THREADS = 2


def application(environ, start_response):
    """Says which path was asked for, and how much was sent; /large answers with megabytes, /held when it is let."""
    path = environ["PATH_INFO"].encode("latin-1").decode()
    sent = environ["wsgi.input"].read()
    if path == "/held":
        _let.wait(10)
    if path == "/broken":
        raise ZeroDivisionError("secret")
    body = b"x" * 30_000_000 if path == "/large" else f"{path} {len(sent)}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return (body,)


_let = threading.Event()


class Served:
    """A worker with two threads, and how to reach it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        cfg = Config()
        for name, value in {"threads": THREADS, "keepalive": 3, "pre_request": watch.received, "graceful_timeout": 10}.items():
            cfg.set(name, value)
        self.worker = Threads(1, os.getppid(), [self.listener], None, 30, cfg, logs.ServerLog(cfg))
        self.worker.wsgi = application
        self.worker.tpool, self.worker.poller = self.worker.get_thread_pool(), selectors.DefaultSelector()
        self.worker.method_queue.init()
        self.worker._ready = select.epoll()
        self._runs = threading.Thread(target=self.worker.run)
        self._runs.start()

    def caller(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=10)

    def ask(self, link: socket.socket, path: str, more: bytes = HEAD) -> bytes:
        link.sendall(f"GET {path} HTTP/1.1\r\n".encode() + more)
        return answer(link)

    def _threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("serve-") and thread._target.__self__ is self.worker]

    def stop(self) -> float:
        """End it as SIGTERM does; how long that took."""
        began = time.monotonic()
        self.worker.handle_exit(None, None)
        self._runs.join(15)
        assert not self._runs.is_alive() and not self.worker._open
        assert not any(thread.is_alive() for thread in self._threads())
        return time.monotonic() - began


def answer(link: socket.socket) -> bytes:
    """One whole answer; empty where the connection was closed."""
    got = b""
    while b"\r\n\r\n" not in got:
        came = link.recv(65536)
        if not came:
            return got
        got += came
    head, _, body = got.partition(b"\r\n\r\n")
    body, length = bytearray(body), int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += link.recv(2**20)
    assert len(body) == length, "no more than the one answer"
    return head + b"\r\n\r\n" + bytes(body)


@pytest.fixture(scope="module")
def served():
    one = Served()
    yield one
    _let.set()
    one.stop()


@pytest.fixture
def links(served):
    """A function: a new caller, who hangs up afterwards."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(served.caller())


def test_many_more_slow_callers_than_threads_hold_nobody_up(served, links, monkeypatch):
    monkeypatch.setattr(heads, "HEADERS_S", 1)
    monkeypatch.setattr(heads, "BODY_S", 1.5)
    stuck = [links() for _ in range(20)]
    for number, link in enumerate(stuck):
        post = b"POST / HTTP/1.1\r\nHost: x\r\n"
        link.sendall(
            (
                b"G",
                b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
                post + b"Content-Length: 100\r\n\r\n{",
                post + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
                b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
            )[number % 5]
        )
    silent = [links() for _ in range(20)]
    began = time.monotonic()
    for _ in range(5):
        assert served.ask(links(), "/quick").endswith(b"/quick 0")
    assert time.monotonic() - began < 1, "nobody waits for those who are slow"
    for number, link in enumerate(stuck):
        if number % 5 == 1:
            with contextlib.suppress(OSError):
                link.sendall(b"a")  # a byte now and then does not help
    assert all(link.recv(10) == b"" for link in stuck)
    assert time.monotonic() - began < 4
    assert all(link.recv(10) == b"" for link in silent), "those who say nothing are let go like those who say nothing any more"
    assert time.monotonic() - began < 6


def test_a_request_may_come_in_any_pieces(served, links):
    link = links()
    for byte in b"GET /by/bytes HTTP/1.1\r\n" + HEAD:
        link.send(bytes((byte,)))
    assert answer(link).endswith(b"/by/bytes 0")
    whole = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + b"b" * 70_000
    for piece in (whole[:20], whole[20:60], whole[60:40_000], whole[40_000:]):
        link.sendall(piece)
        time.sleep(0.02)
    assert answer(link).endswith(b"/body 70000")
    link.sendall(b"POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")
    time.sleep(0.02)
    link.sendall(b"de\r\n0\r\n\r\n")
    assert answer(link).endswith(b"/chunks 5")
    link.sendall(b"POST /waits HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert link.recv(100).startswith(b"HTTP/1.1 100")
    link.sendall(b"ab")
    assert answer(link).endswith(b"/waits 2")
    assert served.ask(link, "/after").endswith(b"/after 0")


def test_tiny_chunks_cost_no_more_than_they_would_unread(served, links):
    """They are read ahead, but not copied again for each of them."""
    link, count = links(), 20_000
    began = time.process_time()
    link.sendall(b"POST /tiny HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * count + b"0\r\n\r\n")
    link.sendall(b"GET /behind HTTP/1.1\r\n" + HEAD)
    got = b""
    while b"/behind" not in got:
        got += link.recv(65536)
    assert b"/tiny %d" % count in got and time.process_time() - began < 5


def test_who_has_sent_the_most_of_what_is_not_whole_gives_way(served, links, monkeypatch):
    monkeypatch.setattr(threads, "AHEAD", 3_000_000)
    head = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
    large, small = links(), links()
    small.sendall(head % 1 + b"x" * 1_000_000)
    large.sendall(head % 2 + b"x" * 5_000_000)
    large.settimeout(5)
    with contextlib.suppress(ConnectionError):
        assert large.recv(1) == b""
    small.sendall(b"x" * 8_000_000)
    assert answer(small).endswith(b"/1 9000000")


def test_an_address_is_understood_as_it_is_typed_and_what_is_none_is_a_problem(served, links):
    link = links()
    for _ in range(2):
        link.sendall("GET /第1路?q=府前街 HTTP/1.1\r\n".encode() + HEAD)
        assert answer(link).endswith("/第1路 0".encode())
    wrong = {
        400: (
            "GET /第1路 HTTP/1.1\r\n".encode("gbk") + HEAD,
            b"GET / HTTP/1.1\r\nNo colon\r\n\r\n",
            b"get / HTTP/1.1\r\n" + HEAD,
            b"GET /\n",
        ),
        414: (b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\n" + HEAD, b"GET /" + b"a" * 70_000),
        431: (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000),
    }
    for status, heads_of in wrong.items():
        for head in heads_of:
            link = links()
            link.sendall(head)
            said = answer(link)
            assert said.startswith(b"HTTP/1.1 %d " % status), (head[:60], said[:60])
            above, _, body = said.partition(b"\r\n\r\n")
            assert b"Content-Type: application/problem+json" in above and b"X-Content-Type-Options: nosniff" in above
            assert json.loads(body)["status"] == status and json.loads(body)["what"] and link.recv(10) == b""


def test_many_at_once_on_one_connection_are_answered_in_turn(served, links):
    link, count = links(), 60
    link.sendall(b"".join(b"GET /%d HTTP/1.1\r\n%b" % (number, HEAD) for number in range(count)) + b"GET /la")
    got = b""
    while got.count(b"HTTP/1.1 200") < count or not got.endswith(b" 0"):
        got += link.recv(65536)
    said = [part.split(b"\r\n\r\n")[1] for part in got.split(b"HTTP/1.1 200 OK")[1:]]
    assert said == [b"/%d 0" % number for number in range(count)]
    link.sendall(b"st HTTP/1.1\r\n" + HEAD)
    assert answer(link).endswith(b"/last 0")


def test_who_does_not_close_holds_nobody_up(served, links):
    """After the last answer the connection is closed when the caller closes his side, or after a while."""
    staying = [links() for _ in range(10)]
    began = time.monotonic()
    for link in staying:
        said = served.ask(link, "/bye", b"Host: x\r\nConnection: close\r\n\r\n")
        assert b"Connection: close" in said and said.endswith(b"/bye 0") and link.recv(10) == b""
    assert served.ask(links(), "/next").endswith(b"/next 0")
    assert time.monotonic() - began < 1.5
    assert not served.ask(staying[0], "/more")


def test_who_does_not_read_is_given_up(served, links, monkeypatch):
    monkeypatch.setattr(heads, "_SEND_TIMEOUT", heads.struct.pack("ll", 0, 200_000))
    monkeypatch.setattr(sending, "PATIENCE_S", -10_000)
    lazy = [links() for _ in range(THREADS + 1)]
    for link in lazy:
        link.sendall(b"GET /small HTTP/1.1\r\n" + HEAD)
        assert answer(link)
        link.sendall(b"GET /large HTTP/1.1\r\n" + HEAD)
    began = time.monotonic()
    assert served.ask(links(), "/next").endswith(b"/next 0") and time.monotonic() - began < 3
    got = 0
    with contextlib.suppress(OSError):
        while came := len(lazy[0].recv(2**20)):
            got += came
    assert got < 30_000_000
    monkeypatch.undo()
    link = links()
    assert len(served.ask(link, "/large")) > 30_000_000 and len(served.ask(link, "/large")) > 30_000_000, "who reads gets all of it"


def test_what_goes_wrong_outside_of_the_application_is_said_without_its_words(served, links, caplog):
    link = links()
    assert served.ask(link, "/first")
    for one in (link, links()):
        said = served.ask(one, "/broken")
        assert said.startswith(b"HTTP/1.1 500") and b"application/problem+json" in said and b"secret" not in said
    assert served.ask(links(), "/next").endswith(b"/next 0")


def test_it_stops_when_everybody_has_his_answer():
    one = Served()
    _let.clear()
    kept, held, slow = one.caller(), one.caller(), one.caller()
    assert one.ask(kept, "/a")
    held.sendall(b"GET /held HTTP/1.1\r\n" + HEAD)
    slow.sendall(b"GET / HTTP/1.1\r\nX")
    time.sleep(0.1)
    threading.Timer(0.5, _let.set).start()
    stopping = threading.Thread(target=one.stop)
    stopping.start()
    time.sleep(0.1)
    assert b"Connection: close" in one.ask(kept, "/b"), "a request that was on its way is answered"
    assert answer(held).endswith(b"/held 0")
    stopping.join(6)
    assert not stopping.is_alive() and slow.recv(10) == b""
    for link in (kept, held, slow):
        link.close()


def test_it_says_that_it_lives_often_enough_and_no_more(monkeypatch):
    said = []
    monkeypatch.setattr("gunicorn.workers.base.Worker.notify", lambda self: said.append(time.monotonic()))
    made = object.__new__(Threads)
    for _ in range(100):
        made.notify()
    assert len(said) == 1
    made._said_alive -= threads.ALIVE_EVERY_S + 1
    made.notify()
    assert len(said) == 2
