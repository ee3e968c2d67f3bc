"""`onemap serve` over a database of its own, and ways to ask it that no client library offers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gis.settings import ROOT


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(url: str, headers: dict | None = None, data: bytes | None = None, patience_s: float = 20) -> tuple[int, dict, bytes]:
    """Status, headers and body."""
    request = urllib.request.Request(url, headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request, timeout=patience_s) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


@contextmanager
def running(*options: str, log: Path, env: dict[str, str] | None = None) -> Iterator[tuple[str, subprocess.Popen]]:
    """(base URL, process) of a server with two workers; it has to end well."""
    base = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gis.cli.main", "serve", "--port", base.rsplit(":", 1)[1], "--workers", "2", *options]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | (env or {}) | {"PYTHONPATH": str(ROOT)}, stderr=out, stdout=out)
    try:
        wait_for(lambda: process.poll() is not None or ask(f"{base}/health")[0] == 200, 60)
        assert process.poll() is None, log.read_text()
        yield base, process
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()[-3000:]


def wait_for(question, seconds: float, every: float = 0.05) -> float:
    """Ask until the answer is true; how long that took. What cannot be reached is asked again."""
    began = time.monotonic()
    while True:
        try:
            if question():
                return time.monotonic() - began
        except OSError:
            pass
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(every)


def raw(base: str, *pieces: bytes, patience_s: float = 5, pause_s: float = 0.0) -> tuple[int, bytes]:
    """(status, everything that came back) for bytes as they are; 0 where nothing came."""
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=patience_s) as link:
        try:
            for piece in pieces:
                link.sendall(piece)
                time.sleep(pause_s)
        except OSError:
            pass  # refused before all of it was sent: what was said is read all the same
        found = b""
        try:
            while chunk := link.recv(65536):
                found += chunk
                if b"\r\n\r\n" in found and b"Connection: keep-alive" in found:
                    break
        except OSError:
            pass
    return (int(found.split(b" ", 2)[1]) if found.startswith(b"HTTP/1.1 ") else 0), found
