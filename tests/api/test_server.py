"""The real server: gunicorn with its workers, as `onemap serve` starts it; and what happens when the database goes away."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from api_rows import put

from gis.access import accounts
from gis.catalog.read import catalog
from gis.db import connection
from gis.settings import ROOT, settings


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(url: str, headers: dict | None = None, data: bytes | None = None) -> tuple[int, dict, bytes]:
    request = urllib.request.Request(url, headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


@pytest.fixture
def server(store_db):
    """(base URL, process) of a server with two workers over a fresh database."""
    for layer in catalog().vectors:
        put(layer.id, {})
    base = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gis.cli.main", "serve", "--port", base.rsplit(":", 1)[1], "--workers", "2"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    for _ in range(240):
        if process.poll() is not None:
            pytest.fail(process.stderr.read())
        try:
            if ask(f"{base}/health")[0] == 200:
                break
        except OSError:
            time.sleep(0.25)
    yield base, process
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0, process.stderr.read()


def test_the_server_from_start_to_stop(server):
    base, _ = server
    accounts.add_user("li", "water")
    key = {"X-API-Key": accounts.new_key("li")}
    status, headers, body = ask(f"{base}/collections/water_pipe/items", key)
    assert status == 200 and json.loads(body)["numberReturned"] == 1 and headers["X-Content-Type-Options"] == "nosniff"
    links = {link["href"].split("?")[0] for link in json.loads(ask(f"{base}/")[2])["links"]}
    assert all(link.startswith(base) for link in links), "the platform is found under the name the caller used"
    about = json.loads(ask(f"{base}/", {"Host": "map.city.example:8080"})[2])["links"]
    assert all(link["href"].startswith("http://map.city.example:8080") for link in about), "the link to the platform itself too"
    with ThreadPoolExecutor(8) as threads:
        paths = [("/collections/water_pipe/items", key), ("/collections/water_pipe/items", {}), ("/collections/road/items", {})] * 40
        found = list(threads.map(lambda one: ask(base + one[0], one[1])[0], paths))
    assert found == [200, 404, 200] * 40, "roles do not mix between threads"
    job = ask(
        f"{base}/processes/geocode/execution",
        {"Content-Type": "application/json", "Prefer": "respond-async"},
        json.dumps({"inputs": {"text": "府前街81号"}}).encode(),
    )
    assert job[0] == 201, job
    state = {}
    for _ in range(120):
        state = json.loads(ask(job[1]["Location"])[2])
        if state["status"] not in ("accepted", "running"):
            break
        time.sleep(0.25)
    assert state["status"] == "successful", state
    figures = ask(f"{base}/metrics")[2].decode()
    assert (
        'onemap_http_requests_total{method="GET",route="/collections/<name>/items",status="200"}' in figures and "water_pipe" not in figures
    )
    survives_a_restart(base)


def survives_a_restart(base: str) -> None:
    """All connections of the server die, as in a restart of the database: it goes on by itself."""
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()",
            (connection.LOGIN,),
        )
        assert cursor.rowcount > 0
    assert [ask(f"{base}/collections/road/items")[0] for _ in range(12)] == [200] * 12


def test_without_a_database_the_answer_is_503(store_db, monkeypatch):
    from gis.api.app import create_app

    client = create_app().test_client()
    assert client.get("/collections/road/items").status_code == 200
    monkeypatch.setenv("ONEMAP_DSN_SERVING", f"host=127.0.0.1 port={free_port()} dbname=none user=none password=none")
    connection.close_pool()
    settings.cache_clear()
    for path in (
        "/collections/road/items",
        "/collections/road/items/R1",
        "/collections/road/tiles/WebMercatorQuad/15/13306/27033",
        "/health",
        "/d/unknown-token-1",
    ):
        answer = client.get(path)
        assert answer.status_code == 503 and answer.headers["Retry-After"], path
        assert "none" not in answer.text and "127.0.0.1" not in answer.text
    assert client.get("/collections/road", headers={"X-API-Key": "om_x"}).status_code == 503, (
        "nobody is let in, and nobody is told he is wrong"
    )
    assert (
        client.get("/health/live").status_code == 200
        and client.get("/metrics").status_code == 200
        and client.get("/collections").status_code == 200
    )
