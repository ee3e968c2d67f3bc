"""One server through all that goes wrong around it: callers who send too much, too slowly or nonsense, or leave; new layer files; a
database that is stopped, killed and comes back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import serving
from api_rows import put
from real_server import ask, raw, running, wait_for

from gis.access import accounts
from gis.catalog.read import catalog
from gis.db import cluster, connection
from gis.settings import ROOT, settings

ITEMS = "/collections/road/items"
MEGABYTE = 2**20
STATEMENT_S = 4
TOO_LONG = (400, 414, 431)
"""Which of them depends on the parser in use."""


@dataclass
class Served:
    """A server: its address, its process, its log, its layer files and its file of settings."""

    url: str
    process: object
    log: Path
    layers: Path
    settings: Path
    key: dict

    def get(self, path: str, headers: dict | None = None, **more):
        return ask(self.url + path, headers, **more)

    def lines(self) -> list[dict]:
        """What it wrote down, as far as it is JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def served(pg: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The platform served over a database of its own with the good row of every layer, with layer files that may be changed."""
    folder = tmp_path_factory.mktemp("endurance")
    shutil.copytree(ROOT / "layers", folder / "layers")
    file = folder / "onemap.env"
    file.write_text(f"# settings\nONEMAP_STATEMENT_TIMEOUT_S='{STATEMENT_S}'\nONEMAP_LOG_FORMAT=json\nONEMAP_RATE_PER_S_ANONYMOUS=0\n")
    with serving.database("endurance", template) as name, pytest.MonkeyPatch.context() as environment:
        for variable, value in serving.environment(name, folder / "home").items():
            environment.setenv(variable, value)
        environment.setenv("ONEMAP_LAYERS", str(folder / "layers"))
        connection.close_pool()
        settings.cache_clear()
        for layer in catalog().vectors:
            put(layer.id, {})
        accounts.add_user("li", "water")
        key = {"X-API-Key": accounts.new_key("li")}
        log = folder / "serve.log"
        with running("--settings", str(file), log=log) as (url, process):
            yield Served(url, process, log, folder / "layers", file, key)
        environment.undo()
        connection.close_pool()
        settings.cache_clear()


# --- callers ----------------------------------------------------------------------------------------------------------


def test_too_much_is_refused_at_once(served):
    """Without reading it: the answer is there before a tenth was sent."""
    head = f"POST {ITEMS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunk = b"%x\r\n" % MEGABYTE + b" " * MEGABYTE + b"\r\n"
    questions = {
        "a hundred megabytes announced": (413, [f"{head}Content-Length: {100 * MEGABYTE}\r\n\r\n".encode(), b" " * MEGABYTE]),
        "a hundred megabytes in chunks": (413, [f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *[chunk] * 100]),
        "a length that is none": (400, [f"{head}Content-Length: many\r\n\r\n".encode()]),
        "a negative length": (400, [f"{head}Content-Length: -1\r\n\r\n".encode()]),
        "two lengths": (400, [f"{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}".encode()]),
        "chunks that are none": (400, [f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n".encode()]),
        "a header of a megabyte": (TOO_LONG, [b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a" * MEGABYTE, b"\r\n\r\n"]),
        "a thousand headers": (TOO_LONG, [b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(1000)) + b"\r\n"]),
        "an address of a megabyte": (TOO_LONG, [b"GET /?" + b"a" * MEGABYTE, b" HTTP/1.1\r\nHost: x\r\n\r\n"]),
        "a coding that nobody knows": (400, [f"{head}Transfer-Encoding: x\r\n\r\n0\r\n\r\n".encode()]),
        "an expectation": (417, [f"{head}Expect: nothing\r\nContent-Length: 2\r\n\r\n{{}}".encode()]),
        "another version": (400, [b"GET / HTTP/9.9\r\nHost: x\r\n\r\n"]),
        "no HTTP": (400, [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"]),
        "a method that is none": (405, [f"BREW {ITEMS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()]),
        "a header cut in two": (400, [b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\rSet-Cookie: c\r\n\r\n"]),
        "bytes that are no text": (400, [f"GET {ITEMS}?name=%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()]),
        "squeezed zeros": (
            400,
            [f"{head}Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: 20\r\n\r\n".encode() + b"\x1f\x8b" + b"\0" * 18],
        ),
    }
    wrong = {}
    for name, (status, pieces) in questions.items():
        began = time.monotonic()
        found, body = raw(served.url, *pieces)
        seconds = time.monotonic() - began
        told = b"application/problem+json" in body and b"X-Request-Id: " in body
        if (found not in status if isinstance(status, tuple) else found != status) or seconds > 1.5 or b"Traceback" in body or not told:
            wrong[name] = (found, round(seconds, 2), body[-300:])
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())
    assert served.get(ITEMS)[0] == 200
    unreadable = [line for line in served.lines() if line.get("route") == "unreadable"]
    assert len(unreadable) > 5 and all(line["request_id"] and line["status"] < 500 for line in unreadable)


@pytest.mark.parametrize(
    "body",
    [
        '{"op":"not","args":[' * 10_000 + "true" + "]}" * 10_000,
        '{"op":"and","args":[true,' * 10_000 + "true" + "]}" * 10_000,
        '{"op":"s_intersects","args":[{"property":"geom"},{"type":"LineString","coordinates":['
        + ",".join(["[117.0,32.0]"] * 400_000)
        + "]}]}",
        '{"op":"in","args":[{"property":"name"},[' + ",".join(['"x"'] * 500_000) + "]]}",
        '{"op":"like","args":[{"property":"name"},"' + "%a" * 500_000 + '"]}',
    ],
    ids=["nested", "joined", "vertices", "list", "pattern"],
)
def test_a_filter_that_is_too_much_is_a_mistake(served, body):
    began = time.monotonic()
    status, _, said = ask(served.url + ITEMS, {"Content-Type": "application/json"}, body.encode())
    assert status == 400 and time.monotonic() - began < 1.5, (status, said[:200])
    assert json.loads(said)["what"]


@pytest.mark.parametrize("path", ["items", "download", "tiles/WebMercatorQuad/15/13306/27033"])
def test_the_same_in_an_address(served, path):
    for text in ("(" * 3900 + "lanes=1" + ")" * 3900, "NOT%20" * 1300 + "lanes=1", "lanes=1%20OR%20" * 500 + "lanes=1"):
        began = time.monotonic()
        status = served.get(f"/collections/road/{path}?filter={text}")[0]
        assert status in ((200, 400) if "OR" in text else (400, 414)) and time.monotonic() - began < 1.5, (path, text[:20], status)
    for text in ("bbox=-180,-90,180,90", "bbox=-1e308,-1e308,1e308,1e308", "limit=99999999999", "offset=100000&limit=10000"):
        began = time.monotonic()
        assert served.get(f"/collections/road/{path}?{text}")[0] in (200, 400) and time.monotonic() - began < 1.5


def test_slow_callers_hold_nobody_up(served):
    """Six of them, each stuck within its request (a process has eight threads, and which one takes a connection is chance); all others
    are answered meanwhile, and they are cut off."""
    host, port = served.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as links:
        stuck = [links.enter_context(socket.create_connection((host, int(port)))) for _ in range(6)]
        for number, link in enumerate(stuck):
            link.sendall(
                b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "
                if number % 2
                else f"POST {ITEMS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode()
            )
        assert served.get("/health/live")[0] == 200
        began = time.monotonic()
        for link in stuck[1::2]:
            link.settimeout(15)
            assert not link.recv(1000).startswith(b"HTTP/1.1 2")
        assert time.monotonic() - began < 14, "cut off"


# --- statements -------------------------------------------------------------------------------------------------------


def waiting() -> int:
    """Statements of the server that wait for a lock."""
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = %s AND wait_event_type = 'Lock'",
            (connection.LOGIN,),
        )
        return cursor.fetchone()[0]


@contextlib.contextmanager
def locked(table: str):
    """Nobody can read the table meanwhile: a statement without end."""
    with connection.owner() as link:
        with link.cursor() as cursor:
            cursor.execute(f"LOCK TABLE core.{table} IN ACCESS EXCLUSIVE MODE")
        yield
        link.rollback()


def test_a_statement_ends_with_its_time_and_with_its_caller(served):
    with locked("road"):
        link = socket.create_connection(served.url.removeprefix("http://").split(":"))
        link.sendall(f"GET {ITEMS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for(lambda: waiting() == 1, 3)
        link.close()
        assert wait_for(lambda: waiting() == 0, STATEMENT_S) < STATEMENT_S - 1, "nobody waits for the answer any more"
        began = time.monotonic()
        status, headers, body = served.get(ITEMS)
        assert status == 503 and STATEMENT_S - 1 < time.monotonic() - began < STATEMENT_S + 2 and headers["Retry-After"]
        assert "too long" in json.loads(body)["what"] and json.loads(body)["remedy"] and waiting() == 0
    assert not [line for line in served.lines() if line["level"] == "error"], "what was ended on purpose is no fault"
    assert served.get(ITEMS)[0] == 200


# --- new layer files and settings -------------------------------------------------------------------------------------


class Load:
    """Callers who never stop: half of them on connections that are kept, half on new ones."""

    def __init__(self, served: Served, path: str = ITEMS, callers: int = 4):
        self.served, self.path = served, path
        self.answers: list[tuple[int, float]] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(callers)]

    def _ask(self, kept: bool) -> None:
        import http.client

        host = self.served.url.removeprefix("http://")
        link = None
        while not self._over.is_set():
            began = time.monotonic()
            try:
                link = link or http.client.HTTPConnection(host, timeout=20)
                link.request("GET", self.path, headers={} if kept else {"Connection": "close"})
                answer = link.getresponse()
                answer.read()
                status = answer.status
                if not kept or answer.will_close:
                    link.close()
                    link = None
            except (OSError, http.client.HTTPException) as error:
                status, link = -1, None
                print(type(error), error)
            self.answers.append((status, time.monotonic() - began))
            time.sleep(0.01)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def statuses(self) -> set[int]:
        return {status for status, _ in self.answers}


def title(served: Served) -> str:
    return json.loads(served.get("/collections/road?f=json&lang=en")[2])["title"]


def test_new_files_are_taken_without_a_dropped_request(served):
    road = served.layers / "base" / "road.yaml"
    good = road.read_text(encoding="utf-8")
    assert title(served) == "Roads"
    with Load(served) as load:
        road.write_text(good.replace("en: Roads", "en: Streets", 1), encoding="utf-8")
        served.settings.write_text(served.settings.read_text() + "ONEMAP_PUBLIC_URL=https://map.example.org\n")
        served.process.send_signal(signal.SIGHUP)
        wait_for(lambda: title(served) == "Streets", 40, 0.2)
        time.sleep(1)
        assert {title(served) for _ in range(10)} == {"Streets"}, "the old processes are gone"
        assert json.loads(served.get("/collections/road?f=json")[2])["links"][0]["href"].startswith("https://map.example.org")
        road.write_text(good + "\nnonsense: true\n", encoding="utf-8")
        served.process.send_signal(signal.SIGHUP)
        wait_for(lambda: any("not reloaded" in line["event"] for line in served.lines()), 40, 0.2)
        time.sleep(0.5)
        assert title(served) == "Streets"
    assert load.statuses() == {200} and len(load.answers) > 100
    said = next(line for line in served.lines() if "not reloaded" in line["event"])
    assert "road.yaml" in said["event"] and "nonsense" in said["event"] and said["level"] == "error"
    road.write_text(good.replace("en: Roads", "en: Streets", 1), encoding="utf-8")


# --- the database goes and comes back ---------------------------------------------------------------------------------


@contextlib.contextmanager
def of_the_cluster(pg: Path):
    """Settings under which the cluster is our own and not someone else's."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("ONEMAP_DSN", raising=False)
        environment.setenv("ONEMAP_HOME", str(pg))
        settings.cache_clear()
        yield
    settings.cache_clear()


def stop(pg: Path) -> None:
    with of_the_cluster(pg):
        cluster.stop()


def kill(pg: Path) -> None:
    """As a power cut would: nothing is told to end."""
    with of_the_cluster(pg):
        os.kill(cluster.status()["pid"], signal.SIGKILL)


def job(served: Served) -> str:
    """The state of a job after a while."""
    body = json.dumps({"inputs": {"text": "府前街81号"}}).encode()
    headers = served.key | {"Content-Type": "application/json", "Prefer": "respond-async"}
    status, _, said = ask(f"{served.url}/processes/geocode/execution", headers, body)
    assert status == 201, said
    number, state = json.loads(said)["jobID"], {}

    def finished() -> bool:
        state.update(json.loads(served.get(f"/jobs/{number}", served.key)[2]))
        return state["status"] not in ("accepted", "running")

    wait_for(finished, 10)
    return state["status"]


@pytest.mark.parametrize("end", [stop, kill])
def test_the_database_comes_back_and_nobody_restarts_anything(served, pg, end):
    assert job(served) == "successful"
    with Load(served) as load:
        end(pg)
        wait_for(lambda: served.get(ITEMS)[0] == 503, 5)
        for path in (ITEMS, "/health", "/health/ready", "/collections/road/items/R1"):
            began = time.monotonic()
            status, headers, _ = served.get(path)
            assert status == 503 and headers["Retry-After"] and time.monotonic() - began < 1, (path, status)
        assert json.loads(served.get("/health/ready")[2])["reasons"][0]["remedy"]
        assert served.get("/health/live")[0] == served.get("/metrics")[0] == 200
        assert served.get(ITEMS, served.key | {"X-API-Key": "om_new"})[0] == 503
        time.sleep(1.5)  # the process for jobs has noticed, too
        with of_the_cluster(pg):
            cluster.start()
        assert wait_for(lambda: served.get("/health/ready")[0] == 200, 5) < 2
        assert [served.get(ITEMS)[0] for _ in range(30)] == [200] * 30, "every connection of every process is a new one"
    assert load.statuses() == {200, 503}
    began = time.monotonic()
    assert job(served) == "successful" and time.monotonic() - began < 5


def test_a_database_older_than_the_program_is_said_to_be_so(served):
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute("DELETE FROM meta.migration WHERE number = 540 RETURNING name, sha256")
        kept = cursor.fetchone()
    status, _, body = served.get("/health")
    assert status == 503 and json.loads(body)["database"] == "behind" and "onemap db start" in json.loads(body)["reasons"][0]["remedy"]
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute("INSERT INTO meta.migration (number, name, sha256) VALUES (540, %s, %s)", kept)
        cursor.execute("DROP VIEW pub.place_name CASCADE")
    status, _, body = served.get("/health")
    assert status == 200 and json.loads(body)["database"] == "incomplete"
    status, _, body = served.get("/collections/place_name/items")
    assert status == 503 and "older than the program" in json.loads(body)["what"] and "onemap layers apply" in json.loads(body)["remedy"]


def test_figures_tell_each_what_is_his(served):
    open_ = served.get("/metrics")[2].decode()
    for name in ("onemap_http_requests_total", "onemap_http_request_seconds_bucket", "onemap_pool_connections", "onemap_tile_cache_hits"):
        assert name in open_
    accounts.add_user("root", "admin")
    whole = served.get("/metrics", {"Authorization": f"Bearer {accounts.new_key('root')}"})[2].decode()
    for told in ('onemap_data_version{layer="water_pipe"}', "onemap_queue_oldest_waiting_seconds", "onemap_database_up 1.0"):
        assert told in whole and told.split("{")[0] not in open_
    assert served.get("/metrics", served.key)[2].decode().count("water_pipe") == 0
    assert served.get("/metrics", {"X-API-Key": "om_wrong"})[0] == 401


def test_what_was_written_down(served):
    lines = served.lines()
    asked = [line for line in lines if line.get("logger") == "onemap.request"]
    assert len(asked) > 100 and {"request_id", "method", "route", "status", "ms", "role", "timestamp"} <= asked[0].keys()
    given = served.get(ITEMS + "?name=Zhang", {"X-Request-Id": "seen-in-the-log"} | served.key)
    assert given[1]["X-Request-Id"] == "seen-in-the-log"
    wait_for(lambda: any(line.get("request_id") == "seen-in-the-log" for line in served.lines()), 2)
    text = served.log.read_text()
    assert served.key["X-API-Key"] not in text and "Zhang" not in text and "password=" not in text
    faults = [line for line in served.lines() if line.get("level") == "error" and line["status" if "status" in line else "event"]]
    assert not [line for line in faults if "unexpected" in line["event"]], faults[:3]
