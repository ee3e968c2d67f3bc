"""MapServer beside the others: its own FastCGI processes over the same copy of the addresses, asked through its OGC API.

The callers speak FastCGI to it themselves, over a Unix socket: no web server stands between, which is in its favour.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.serving import Server, address_of
from gis.settings import settings

PROCESSES = 4
"""More than two for two processors: each waits for the database while others work."""
ITEMS = "/bench/ogcapi/collections/address/items"
_PROGRAMS = ("/usr/lib/cgi-bin/mapserv", "/usr/bin/mapserv")
_MAP = """
MAP
  NAME "bench"
  EXTENT 116.8 31.8 117.2 32.2
  SIZE 256 256
  UNITS DD
  PROJECTION "init=epsg:4326" END
  WEB METADATA
    "ows_enable_request" "*"
    "ows_title" "bench"
    "ows_srs" "EPSG:4326"
    "oga_onlineresource" "http://127.0.0.1/bench/ogcapi"
    "oga_max_limit" "10000"
  END END
  LAYER
    NAME "address" TYPE POINT STATUS ON
    CONNECTIONTYPE POSTGIS
    CONNECTION "host={host} port={port} dbname={dbname} user={user} password={password}"
    PROCESSING "CLOSE_CONNECTION=DEFER"
    DATA "geom from address84 using unique address_id using srid=4326"
    PROJECTION "init=epsg:4326" END
    TEMPLATE "x.html"
    METADATA
      "ows_title" "address" "gml_featureid" "address_id" "gml_include_items" "all" "ows_include_items" "all"
      "ows_extent" "116.8 31.8 117.2 32.2"
    END
  END
END
"""
_CONFIG = 'CONFIG\n  ENV "MS_MAP_PATTERN" "." END\n  MAPS "bench" "{map}" END\nEND\n'


@contextlib.contextmanager
def mapserver(dsn: str) -> Iterator[Server]:
    """MapServer's FastCGI processes, as long as the context."""
    program = next((path for path in _PROGRAMS if Path(path).exists()), None) or shutil.which("mapserv")
    if program is None:
        yield Server("mapserver", None, "mapserv is not installed (cgi-mapserver)")
        return
    home = settings().home / "bench"
    home.mkdir(parents=True, exist_ok=True)
    (home / "address.map").write_text(_MAP.format(**address_of(dsn)), encoding="utf-8")
    (home / "address.map").chmod(0o600)
    (home / "mapserver.conf").write_text(_CONFIG.format(map=home / "address.map"), encoding="utf-8")
    at = home / "mapserver.sock"
    at.unlink(missing_ok=True)
    env = os.environ | {"MAPSERVER_CONFIG_FILE": str(home / "mapserver.conf")}
    with socket.socket(socket.AF_UNIX) as listening, (home / "mapserver.out").open("w") as out:
        listening.bind(str(at))
        listening.listen(128)
        # a FastCGI process finds its listening socket as its standard input
        processes = [subprocess.Popen([program], stdin=listening, stdout=out, stderr=out, env=env) for _ in range(PROCESSES)]
        try:
            status, _ = Link(str(at)).ask(f"{ITEMS}?f=json&bbox=117,32,117.0001,32.0001")
            yield Server("mapserver", str(at) if status == 200 else None, f"it answers {status}")
        finally:
            for process in processes:
                process.kill()  # while it waits for a question it hears nothing softer
            for process in processes:
                process.wait(20)


class Link:
    """Questions to a FastCGI server, one connection for each as web servers do it by default (FastCGI 1.0)."""

    def __init__(self, path: str):
        self._path = path

    def ask(self, path: str) -> tuple[int, int]:
        """(status, bytes of the body). Raises OSError."""
        place, _, query = path.partition("?")
        values = {"REQUEST_METHOD": "GET", "PATH_INFO": place, "QUERY_STRING": query, "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80"}
        values |= {"SCRIPT_NAME": "", "REQUEST_URI": path, "HTTP_HOST": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1"}
        pairs = b"".join(struct.pack(">BI", len(n), len(v) | 0x80000000) + n.encode() + v.encode() for n, v in values.items())
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(300)
            link.connect(self._path)
            link.sendall(_record(1, struct.pack(">HB5x", 1, 0)) + _record(4, pairs) + _record(4, b"") + _record(5, b""))
            got = b"".join(iter(lambda: link.recv(1 << 18), b""))
        answer, at = b"", 0
        while at + 8 <= len(got):
            _, kind, _, length, padding = struct.unpack_from(">BBHHB", got, at)
            answer += got[at + 8 : at + 8 + length] if kind == 6 else b""
            at += 8 + length + padding
        head, _, body = answer.partition(b"\r\n\r\n")
        status = next((int(line.split()[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"status:")), 200 if head else 0)
        return status, len(body)

    def close(self) -> None:
        """Nothing is kept."""


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content
