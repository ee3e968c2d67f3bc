"""Webhooks: told in order, once taken never again, signed, with the subscriber's rights; and nowhere but where the settings allow."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import ipaddress
import json
import socket
import sys
import threading

import pytest
from api_rows import put

from gis.access import accounts, outbound, webhooks
from gis.api import webhook_delivery
from gis.api.webhook_delivery import Deliverer, subscribe
from gis.cli import main as command
from gis.db.connection import owner
from gis.errors import AccessDenied, InputError, NotFound
from gis.settings import settings


class Subscriber:
    """A real server on this machine: what it was sent, and what it answers next."""

    def __init__(self):
        received, answers = self.received, self.answers = [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, dict(self.headers), body))
                status, headers = answers.pop(0) if answers else (204, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_):
                """Nothing is written."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/told?by=map"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self) -> list[dict]:
        return [json.loads(body) for _, _, body in self.received]

    def told(self) -> list[tuple[str, str, str]]:
        """(layer, operation, id) of everything that was taken or refused, in order."""
        return [(part["collection"], change["op"], change["id"]) for event in self.events() for part in event.get("collections", ())
                for change in part["changes"]]  # fmt: skip


@pytest.fixture
def server(app, monkeypatch):
    one = Subscriber()
    monkeypatch.setenv("ONEMAP_WEBHOOK_HOSTS", f"hooks.example.com, 127.0.0.1:{one.port}")
    settings.cache_clear()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def deliver(server):
    """A function: a new worker looks after everything, until nothing is left to tell now."""

    def run() -> None:
        with owner(autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE access.webhook SET next_at = now()")
            worker = Deliverer(threading.Event())
            while worker.tick(cursor):
                pass

    return run


def road(name: str) -> None:
    put("road", {"road_id": name})


def test_told_in_order_signed_once_and_with_the_subscribers_rights(app, server, deliver):
    number, secret = subscribe(server.url, ["road", "water_pipe", "grid_cell"], role="water")
    deliver()
    assert server.received == [], "what was there before is no news"
    road("R2")
    put("grid_cell", {"grid_code": "999901001001002"})
    put("water_pipe", {"pipe_id": "P2"})
    deliver()
    road("R3")
    road("R4")
    deliver()
    deliver()
    assert server.told() == [
        ("grid_cell", "insert", "999901001001002"),
        ("road", "insert", "R2"),
        ("water_pipe", "insert", "city:P2"),
        ("road", "insert", "R3"),
        ("road", "insert", "R4"),
    ]
    path, headers, body = server.received[0]
    assert path == "/told?by=map" and b"officer" not in body and b"properties" not in body
    parts = dict(part.split("=", 1) for part in headers["X-OneMap-Signature"].split(","))
    assert parts["v1"] == hmac.new(secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    events = server.events()
    assert [event["sequence"] for event in events] == [1, 2] and events[0]["delivery"] == headers["X-OneMap-Delivery"]
    told = events[1]["collections"][0]
    answer = app.test_client().get(told["href"].split("5080", 1)[-1] if ":5080" in told["href"] else told["href"])
    assert [change["id"] for change in answer.json["changes"]] == ["R3", "R4"], "the link leads to the same changes with all they are"
    (one,) = webhooks.webhooks()
    assert one["state"] == "active" and one["delivered_at"] and not one["waiting"] and one["id"] == number
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(w)::text FROM access.webhook w")
        assert secret not in cursor.fetchone()[0]
        cursor.execute(
            "SELECT count(*) FROM access.audit WHERE action = 'changes' AND layer = 'water_pipe' AND user_name = %s", (f"webhook-{number}",)
        )
        assert cursor.fetchone()[0] == 1, "what a subscriber is told is on the record"


def test_what_is_not_taken_is_sent_again_before_anything_newer(server, deliver, monkeypatch):
    number, _ = subscribe(server.url, ["road"], role="anonymous")
    server.answers += [(500, {}), (302, {"Location": f"http://127.0.0.1:{server.port}/elsewhere"})]
    road("R2")
    deliver()
    (one,) = webhooks.webhooks()
    assert one["failures"] == 1 and one["next_at"] and "500" in one["message"] and one["waiting"]
    road("R3")
    deliver()
    deliver()
    assert [path for path, _, _ in server.received] == ["/told?by=map"] * 4, "a redirect is not followed"
    deliveries = [headers["X-OneMap-Delivery"] for _, headers, _ in server.received]
    assert deliveries[0] == deliveries[1] == deliveries[2] != deliveries[3] and server.received[0][2] == server.received[2][2]
    assert server.told()[-2:] == [("road", "insert", "R2"), ("road", "insert", "R3")]
    monkeypatch.setattr(webhook_delivery, "FAILURES_MOST", 3)
    server.answers += [(503, {})] * 3
    road("R4")
    for _ in range(5):
        deliver()
    (one,) = webhooks.webhooks()
    assert one["state"] == "failed" and len(server.received) == 7, "given up after three"
    webhooks.enable(number)
    deliver()
    assert server.told()[-1] == ("road", "insert", "R4") and webhooks.webhooks()[0]["failures"] == 0


def test_who_may_not_know_is_not_told(app, server, deliver):
    accounts.add_user("bureau", "water", None)
    with pytest.raises(AccessDenied):
        subscribe(server.url, ["water_pipe"], role="anonymous")
    with pytest.raises(NotFound):
        subscribe(server.url, ["road"], user="nobody")
    for wrong in ({"role": "king"}, {}, {"role": "water", "user": "bureau"}):
        with pytest.raises(InputError):
            subscribe(server.url, ["road"], **wrong)
    subscribe(server.url, ["road", "water_pipe"], user="bureau")
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE access.\"user\" SET role = 'gas' WHERE name = 'bureau'")
    put("water_pipe", {"pipe_id": "P2"})
    road("R2")
    deliver()
    assert server.told() == [("road", "insert", "R2")], "he reads no water any more"
    accounts.disable_user("bureau")
    road("R3")
    deliver()
    assert len(server.received) == 1 and webhooks.webhooks()[0]["state"] == "failed"


def test_the_worker_hears_of_a_publication_at_once(server):
    subscribe(server.url, ["road"], role="anonymous")
    worker = Deliverer(threading.Event())
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        for name in ("R2", "R3"):
            road(name)
            for _ in range(100):
                if ("road", "insert", name) in server.told():
                    break
                worker.stop.wait(0.05)
        assert server.told() == [("road", "insert", "R2"), ("road", "insert", "R3")]
    finally:
        worker.stop.set()
        thread.join(10)


def test_only_where_the_settings_allow_and_never_where_a_name_leads_by_surprise(server, monkeypatch):
    for url in (
        "ftp://hooks.example.com/", "http://hooks.example.com@127.0.0.1/", "http://evil.example.com/", "http://127.0.0.1/", "http:///x",
        f"http://localhost:{server.port}/", "http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
        "http://hooks.example.com:8080/", "http://hooks.example.com:x/", "https://hooks.example.com/a b", "http://hooks.example.com\\@a/",
        "http://hooks.example.com/#x", "file:///etc/passwd", "http://hooks.example.com\n.evil/", "http://钩子.example.com/", "x" * 3000,
    ):  # fmt: skip
        with pytest.raises(InputError):
            outbound.target(url)
    where = outbound.target("https://Hooks.Example.com/a?b=c")
    assert (where.host, where.port, where.path) == ("hooks.example.com", 443, "/a?b=c")
    asked = []

    def leads_to(address: str):
        def looked_up(host, port, *_, **__):
            asked.append(host)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", looked_up)

    for address in (
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.254",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
        "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "2002:7f00:1::1", "2001:0:7f00:1::", "::127.0.0.1", "2001:db8::1",
    ):  # fmt: skip
        leads_to(address)
        assert not outbound.is_public(ipaddress.ip_address(address)), address
        with pytest.raises(InputError, match="not public"):
            outbound.post("http://hooks.example.com/", b"", {})
    assert outbound.is_public(ipaddress.ip_address("8.8.8.8")) and outbound.is_public(ipaddress.ip_address("2606:4700::1"))
    # a server of the intranet is listed by name and address; the connection goes to the address that was judged, looked up once
    monkeypatch.setenv("ONEMAP_WEBHOOK_HOSTS", f"desk.lan:{server.port}, 127.0.0.1:{server.port}")
    settings.cache_clear()
    leads_to("127.0.0.1")
    asked.clear()
    assert outbound.post(f"http://desk.lan:{server.port}/here", b"{}", {}) == 204
    assert asked.count("desk.lan") == 1 and server.received[-1][1]["Host"] == f"desk.lan:{server.port}"
    monkeypatch.setenv("ONEMAP_WEBHOOK_HOSTS", "")
    settings.cache_clear()
    with pytest.raises(InputError, match="not listed"):
        outbound.target("https://hooks.example.com/")


def test_an_answer_that_drips_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(outbound, "TIMEOUT_S", 0.2)
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen()
        port = slow.getsockname()[1]
        monkeypatch.setenv("ONEMAP_WEBHOOK_HOSTS", f"127.0.0.1:{port}")
        settings.cache_clear()
        over = threading.Event()

        def drip() -> None:
            link, _ = slow.accept()
            with link:
                try:
                    link.sendall(b"HTTP/1.1 200 OK\r\n")
                    while not over.wait(0.1):
                        link.sendall(b"X: y\r\n")
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        with pytest.raises(outbound.Unreachable):
            outbound.post(f"http://127.0.0.1:{port}/", b"{}", {})
        over.set()


def test_the_commands(server, deliver, monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, dict]:
        monkeypatch.setattr(sys, "argv", ["onemap", "webhook", *arguments, "--json"])
        with pytest.raises(SystemExit) as end:
            command.main()
        return end.value.code, json.loads(capsys.readouterr().out)

    code, made = run("add", server.url, "--layer", "road", "--layer", "building", "--role", "anonymous")
    assert code == 0 and made["secret"].startswith("whsec_")
    number = str(made["webhook"])
    assert run("test", number) == (0, {"webhook": made["webhook"], "status": 204})
    assert server.events()[-1]["event"] == "test"
    listed = run("list")[1]
    assert listed[0]["layers"] == ["building", "road"] and made["secret"] not in json.dumps(listed)
    assert run("enable", number)[0] == 0 and run("remove", number)[0] == 0 and run("list")[1] == []
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_name LIKE 'os:%%', action, detail ->> 'url' FROM access.audit WHERE action ~ '^webhook' ORDER BY id")
        assert cursor.fetchall() == [(True, f"webhook {what}", server.url) for what in ("added", "enabled", "removed")]
    assert run("remove", number)[0] == 2 and run("add", "http://elsewhere.example.com/", "--layer", "road", "--role", "anonymous")[0] == 2
