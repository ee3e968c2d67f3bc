"""Serving vector tiles measured, beside stock pygeoapi, tipg and the least web app, in the same run.

`./run bench tiles [--size N] [--seconds S] [--clients C]`: N addresses (default 100000). One JSON line per zoom. Ours is measured
twice: tiles that were made before (as a town looks at its map), and tiles asked for the first time (`ours_first`), one caller only.
pygeoapi's tiles take long: it gets one caller, and few tiles. At zoom 16 ours are thinned to one address per 4 pixels, as the
layer file says (compare the bytes); at zoom 17 all addresses are in all of them, and ours carry the 5 columns that the map needs.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from contextlib import ExitStack
from http.client import HTTPConnection

from bench.serving import Server, _ask, bare, measured, ours, report, stock_pygeoapi, table, tipg

PATHS = {
    "ours": "/collections/address/tiles/WebMercatorQuad/{z}/{y}/{x}?f=mvt",
    "pygeoapi": "/collections/address/tiles/WebMercatorQuad/{z}/{y}/{x}?f=mvt",
    "tipg": "/collections/public.address84/tiles/WebMercatorQuad/{z}/{x}/{y}",
    "least_web_app": "/tiles/{z}/{y}/{x}",
}
PATIENCE_S = 60


def places(z: int, most: int = 24) -> list[dict[str, int]]:
    """Tiles in the middle of the addresses."""
    n = 2**z
    x = int((117.0 + 180) / 360 * n)
    y = int((1 - math.asinh(math.tan(math.radians(32.0))) / math.pi) / 2 * n)
    near = sorted(((dx, dy) for dx in range(-2, 3) for dy in range(-2, 3)), key=lambda d: d[0] ** 2 + d[1] ** 2)
    return [{"z": z, "x": x + dx, "y": y + dy} for dx, dy in near][:most]


def first(server: Server, paths: list[str]) -> dict:
    """The median of tiles asked for once, by one caller, within a minute."""
    link, times, size = HTTPConnection(server.url, timeout=300), [], 0
    until = time.perf_counter() + PATIENCE_S
    for path in paths:
        begun = time.perf_counter()
        try:
            status, size = _ask(link, path)
        except OSError:
            break
        if status in (200, 204):
            times.append((time.perf_counter() - begun) * 1000)
        if time.perf_counter() > until:
            break
    return {"p50_ms": round(statistics.median(times), 3), "tiles": len(times), "bytes": size} if times else {"p50_ms": None}


def main() -> None:
    """Print the figures."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--size", type=int, default=100_000)
    asked.add_argument("--seconds", type=float, default=4.0)
    asked.add_argument("--clients", type=int, default=8)
    given = asked.parse_args()
    with ExitStack() as stack:
        dsn = stack.enter_context(table(given.size))
        servers = [stack.enter_context(one) for one in (ours(), bare(dsn), stock_pygeoapi(dsn), tipg(dsn))]
        for z in (16, 17):
            found: dict[str, dict] = {}
            for server in servers:
                if server.url is None:
                    found[server.name] = {"skipped": server.why_not}
                    continue
                paths = [PATHS[server.name].format(**place) for place in places(z)]
                if server.name == "ours":
                    found["ours_first"] = first(server, paths)
                if server.name == "pygeoapi":
                    found[server.name] = first(server, paths[:2])
                    continue
                found[server.name] = measured(server, paths, clients=given.clients, seconds=given.seconds)
            report(f"addresses z{z}", given.size, found)


if __name__ == "__main__":
    main()
