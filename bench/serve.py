"""Serving features measured, beside stock pygeoapi, tipg and the least web app, in the same run.

`./run bench serve [--size N] [--seconds S] [--clients C]`: N addresses (default 100000). One JSON line per case: the median at one
caller, answers per second at C callers, and ours over each of the others. All write the same 25 columns of the
same rows; only the least web app leaves links, counts, roles and checks out.
"""

from __future__ import annotations

import argparse
import random
from contextlib import ExitStack
from urllib.parse import quote

from bench.serving import bare, measured, ours, report, stock_pygeoapi, table, tipg

ITEMS = {
    "ours": "/collections/address/items",
    "pygeoapi": "/collections/address/items",
    "tipg": "/collections/public.address84/items",
    "least_web_app": "/items",
}
FORMAT = {"ours": "f=json&", "pygeoapi": "f=json&", "tipg": "f=geojson&", "least_web_app": ""}


def cases(size: int) -> dict[str, list[str]]:
    """What is asked, as the part of the path behind the items: many places, so that no answer is asked for twice in a row."""
    chance = random.Random(1)
    share = (100 / size) ** 0.5 * 0.2

    def box() -> str:
        west, south = chance.uniform(116.9, 117.1 - share), chance.uniform(31.9, 32.1 - share)
        return f"bbox={west:.6f},{south:.6f},{west + share:.6f},{south + share:.6f}&limit=1000"

    return {
        "limit=10": ["?limit=10"],
        "limit=1000": ["?limit=1000"],
        "bbox, about 100 found": ["?" + box() for _ in range(200)],
        "one by id": [f"/A{chance.randint(1, size):09d}?" for _ in range(200)],
        "road = …": [f"?road={quote(f'第{chance.randint(0, 499)}路')}&limit=1000" for _ in range(100)],
        f"offset {size // 2}": [f"?limit=10&offset={size // 2}"],
    }


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
        for case, tails in cases(given.size).items():
            found = {}
            for server in servers:
                if server.url is None:
                    found[server.name] = {"skipped": server.why_not}
                    continue
                paths = [ITEMS[server.name] + tail.replace("?", "?" + FORMAT[server.name], 1).rstrip("?&") for tail in tails]
                found[server.name] = measured(server, paths, clients=given.clients, seconds=given.seconds)
            report(case, given.size, found)


if __name__ == "__main__":
    main()
