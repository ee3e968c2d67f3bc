"""One burst over HTTP, with door-plates, from a served process: the first answer of a worker and the median of one client."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from gis.access import accounts

USER = "bench"
_PATH = "/processes/pipe-burst/execution"


def measure(network: str, size: int, asked: int = 200) -> dict[str, float]:
    """Milliseconds: the first answer of a fresh server, then median and 99th percentile of one client that asks for random pipes with
    addresses of door-plates and the map; how many door-plates the median answer names."""
    accounts.add_user(USER, "water")
    key = accounts.new_key(USER)
    pipes = [f"P{i:08d}" for i in np.random.default_rng(5).integers(0, size * 9 // 10, asked)]
    with _served() as port:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        taken, plates = [], []
        for pipe in pipes:
            begun = time.perf_counter()
            answer = _asked(link, key, network, pipe)
            taken.append((time.perf_counter() - begun) * 1e3)
            plates.append(len(answer["affected"]["doorplates"]))
    rest = taken[1:]
    return {"first_ms": taken[0], "median_ms": statistics.median(rest), "p99_ms": float(np.percentile(rest, 99)),
            "doorplates_median": statistics.median(plates)}  # fmt: skip


def _asked(link: http.client.HTTPConnection, key: str, network: str, pipe: str) -> dict:
    body = json.dumps({"inputs": {"network": network, "pipe": pipe, "details": True, "features": True}})
    link.request("POST", _PATH, body, {"Content-Type": "application/json", "X-API-Key": key})
    reply = link.getresponse()
    text = reply.read()
    if reply.status != 200:
        raise RuntimeError(f"{reply.status}: {text[:300]!r}")
    return json.loads(text)


@contextlib.contextmanager
def _served() -> Iterator[int]:
    """A server with one worker on a free port, ready to answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gis.cli.main", "serve", "--port", str(port), "--workers", "1"]
    server = subprocess.Popen(command, env=os.environ.copy(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                probe = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                probe.request("GET", "/health")
                if probe.getresponse().status == 200:
                    break
            if server.poll() is not None:
                raise RuntimeError("the server ended")
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(30)
