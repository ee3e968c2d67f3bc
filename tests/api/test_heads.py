"""What is understood without gunicorn's parser is what the parser understands, and what is written past its writer is what that writes."""

from __future__ import annotations

import contextlib
import io
import re
import socket
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser, wsgi
from hypothesis import example, given
from hypothesis import strategies as st

from gis.api import sending
from gis.api.heads import Connection, understood

CLIENT, SERVER = ("10.1.2.3", 4711), ("127.0.0.1", 5080)
CFG = Config()
CFG.set("limit_request_fields", 60)
CFG.set("limit_request_line", 8190)
OBJECTS = ("wsgi.input", "wsgi.errors", "wsgi.early_hints", "gunicorn.socket")

LINES = st.sampled_from(
    ["Host: map.example.org", "Accept: */*", "Accept-Language: zh-CN,zh;q=0.9", "Authorization: Bearer om_1", "X-Forwarded-For: 1.2.3.4",
     "X-Forwarded-Proto: https", "X-API-Key:om_2", "X-Request-Id:  one ", "Connection: keep-alive", "Connection: close",
     "connection: Close", "Cookie: a=b", "Cookie: c=d", "Host: other", "X_API_Key: om_3", "Content-Length: 0", "Content-Length: 3",
     "Transfer-Encoding: chunked",
     "Expect: 100-continue", "Upgrade: h2c", "Script_Name: /x", "SCRIPT_NAME: /x", "Proxy: evil", "Range: bytes=0-1", " folded: line",
     "No colon", ": no name", "Bad name: x", "X-Control: \x01", "X-Latin: é", "Content-Type: text/plain", "Content-Type: a/b",
     "TE: trailers"]
)  # fmt: skip
TARGETS = st.one_of(
    st.sampled_from(["/", "//host/path", "/a//b", "/a?b=c?d", "/a;b?x", "/%E8%B7%AF", "/%zz%", "/a#b", "/a?b#c", "*", "http://x/y", "x:1",
                     "/[a]", "/a:b@c", "/\x7f", "/a b", "/é", "/" + "a" * 8176, "/" + "a" * 8177, "", "/..%2f..", "/a\tb"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=20).map("/".__add__),
)  # fmt: skip
METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "get", "G", "GET "])
VERSIONS = st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.1 ", "http/1.1", "HTTP/2.0", ""])
BLOCKS = st.lists(LINES, max_size=6).map(lambda lines: "".join(f"{line}\r\n" for line in lines) + "\r\n")


@pytest.fixture(scope="module")
def pair():
    mine, callers = socket.socketpair()
    yield mine, callers
    mine.close()
    callers.close()


def by_parser(head: bytes) -> dict | None:
    """The environment that gunicorn makes of it; None for what it refuses."""
    try:
        req = next(get_parser(CFG, iter([head]), CLIENT))
        return wsgi.create(req, SimpleNamespace(send=lambda data: None), CLIENT, SERVER, CFG)[1]
    except (Exception, StopIteration):
        return None


def connection(mine: socket.socket, remembered: bytes) -> Connection:
    """A connection on which the parser has understood one head already, if it did."""
    conn = Connection(CFG, mine, CLIENT, SERVER)
    conn.sock = SimpleNamespace(send=lambda data: None)
    conn.read = remembered
    if conn.is_whole():
        conn.hand_on()
        conn.parser = get_parser(CFG, iter([conn.parser.unreader.take_buffered()]), CLIENT)
        with contextlib.suppress(Exception):  # refused, or nothing there
            conn.remember(next(conn.parser))
    return conn


@given(METHODS, TARGETS, VERSIONS, BLOCKS)
@example("GET", "/a?b=c", "HTTP/1.1", "Host: x\r\nAuthorization: Bearer om_1\r\n\r\n")
@example("GET", "/" + "a" * 8177, "HTTP/1.1", "Host: x\r\n\r\n")
@example("GET", "/", "HTTP/1.1", "\r\n")
def test_a_repeated_head_means_what_the_parser_says_or_goes_to_it(pair, method, target, version, block):
    conn = connection(pair[0], f"GET /first HTTP/1.1\r\n{block}".encode("latin-1"))
    head = f"{method} {target} {version}\r\n{block}".encode("latin-1")
    conn.read = head
    found = conn.repeated() if conn.is_whole() else None
    said = by_parser(understood(head))
    if found is None:
        is_plain = method == "GET" and version == "HTTP/1.1" and re.fullmatch(r"/(?!/)[!-\"$-~]{0,8176}", target)
        assert not is_plain or not conn._known, "what is plain is understood"
        return
    assert said is not None
    short = {name: value for name, value in found[0].items() if name not in OBJECTS}
    assert short == {name: value for name, value in said.items() if name not in OBJECTS} | {"wsgi.multithread": True}
    assert found[0]["wsgi.input"].read() == b"" and conn.read == b""


def test_only_the_same_bytes_are_the_same_head(pair):
    block = b"Host: x\r\nX-API-Key: om_one\r\n\r\n"
    conn = connection(pair[0], b"GET /a HTTP/1.1\r\n" + block)
    conn.read = b"GET /b?c=d HTTP/1.1\r\n" + block + b"GET /next"
    assert conn.is_whole()
    environ, _ = conn.repeated()
    assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["HTTP_X_API_KEY"]) == ("/b", "c=d", "om_one")
    assert conn.read == b"GET /next" and not conn.is_whole() and conn.repeated() is None
    for other in (block.replace(b"one", b"two"), block[:-2] + b"A: b\r\n\r\n", b"\r\n", block.lower()):
        conn.read = b"GET /b HTTP/1.1\r\n" + other
        assert conn.is_whole() and conn.repeated() is None
    environ["HTTP_X_API_KEY"] = "what the application changes"
    conn.read = b"GET /c HTTP/1.1\r\n" + block
    assert conn.is_whole() and conn.repeated()[0]["HTTP_X_API_KEY"] == "om_one"
    for number in range(20):
        conn.read = b"GET /c HTTP/1.1\r\nX-N: %d\r\n\r\n" % number
        assert conn.is_whole()
        conn.hand_on()
        conn.remember(next(get_parser(CFG, iter([b"GET / HTTP/1.1\r\nX-N: %d\r\n\r\n" % number]), CLIENT)))
    assert len(conn._known) <= 4


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("GET /items?road=第1路&f=json HTTP/1.1", b"GET /items?road=%E7%AC%AC1%E8%B7%AF&f=json HTTP/1.1"),
        ("GET /青澜/é HTTP/1.0", b"GET /%E9%9D%92%E6%BE%9C/%C3%A9 HTTP/1.0"),
        ("POST /items?%e8=路 HTTP/1.1", b"POST /items?%e8=%E8%B7%AF HTTP/1.1"),
        ("GET /plain HTTP/1.1", b"GET /plain HTTP/1.1"),
        ("GÉT / HTTP/1.1", "GÉT / HTTP/1.1".encode()),
        ("GET /a 路 HTTP/1.1", "GET /a 路 HTTP/1.1".encode()),
        ("GET /a HTTP/路", "GET /a HTTP/路".encode()),
    ],
)
def test_an_address_as_it_is_typed_is_understood(typed, read):
    rest = "\r\nX-Name: 路\r\n\r\n".encode()
    assert understood(typed.encode() + rest) == read + rest


def test_an_address_that_is_no_text_is_left_to_the_parser():
    for wrong in (b"GET /\xff HTTP/1.1\r\n\r\n", "GET /第 HTTP/1.1\r\n\r\n".encode("gbk"), b"GET /\xed\xa0\x80 HTTP/1.1\r\n\r\n"):
        assert understood(wrong) == wrong and by_parser(wrong) is None


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["Content-Type", "ETag", "X-Request-Id", "Vary", "Content-Length", "content-length", "Connection", "Server",
                         "Bad name", "X:", "Transfer-Encoding", "Link"]),
        st.sampled_from(["a", " padded ", "4", "0", "5", "é", "a\r\nSet-Cookie: b", "\x00", "路", "close", '"x"', ""]),
    ),
    max_size=5,
)  # fmt: skip


STATUS = st.sampled_from(["200 OK", "204 NO CONTENT", "304 NOT MODIFIED", "404 NOT FOUND"])
BODIES = st.sampled_from([b"", b"four", b"x" * 300_000])


@given(STATUS, HEADERS, BODIES, st.booleans(), st.booleans(), st.integers(0, 2))
@example("304 NOT MODIFIED", [("ETag", '"x"')], b"", False, True, 0)
@example("200 OK", [("Link", "a\r\nSet-Cookie: b")], b"four", False, False, 1)
@example("200 OK", [("Content-Length", "a")], b"four", False, False, 1)
@example("200 OK", [("Connection", "close")], b"four", False, False, 1)
def test_an_answer_in_one_piece_is_the_one_that_gunicorn_writes(status, headers, body, closes, forced, sized):
    if sized:
        headers = [*headers, ("Content-Length", str(len(body)))]
    req = SimpleNamespace(method="GET", version=(1, 1), should_close=lambda: closes, headers=[])

    def written(kind, give) -> tuple:
        out = io.BytesIO()
        sock = SimpleNamespace(send=lambda data, flags=0: out.write(data), sendall=out.write)
        made = kind(req, sock, CFG)
        if forced:
            made.force_close()
        try:
            give(made)
            last = made.is_last() if isinstance(made, sending.Answer) else made.should_close()
        except Exception as error:
            return type(error), b""
        return last, re.sub(rb"\r\nDate: [^\r]*", b"", out.getvalue())

    def short(made):
        made.start_response(status, list(headers))
        made.give((body,))

    def long(made):
        made.start_response(status, list(headers))
        made.write(body)
        made.close()

    assert written(sending.Answer, short) == written(wsgi.Response, long)
