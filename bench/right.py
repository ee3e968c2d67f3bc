"""Isolation proved right: differences to a brute-force oracle and to WNTR's own segments; the limit is none.

`./run bench right [--size N]`: a burst in every pipe of every EPANET network that WNTR ships and of those beside the project, each with
its own valves, with random and with two kinds of strategic ones, all valves turning and one in twenty stuck; N random networks (default
10,000) with every kind of valve, device, state and fault, a burst in every pipe, node and valve of each; WNTR's `valve_segments` on all of
its networks. The oracle (`tests/analysis/oracle.py`) is written from the definitions and shares nothing with the engine. One JSON line
per network and placement of valves; the exit code is 1 where anything differs. Uses every core.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from gis.settings import ROOT

sys.path.insert(0, str(ROOT / "tests" / "analysis"))  # the oracle and its networks live with the tests

import hypothesis
import published
import wntr_segments
from agreement import Pair
from hypothesis import strategies as st
from random_networks import Seeded, made, people_of, supplied

STUCK_SHARE = 0.05
SHOWN = 3
"""Differences that are told in words, per network."""
BATCH = 500


def of_published(path: Path, placement: str, share: float) -> dict | None:
    """A burst in every pipe of one network; None where the file has no valves of its own."""
    with tempfile.TemporaryDirectory() as folder:
        tables = published.valved(path, placement, Path(folder))
    if tables is None:
        return None
    pair, chance = Pair(tables), random.Random(7)
    stuck = [v for v in pair.valve_ids if chance.random() < share]
    found = {"network": path.stem, "valves": placement, "stuck": len(stuck), "pipes": len(pair.pipe_ids), "segments": pair.part.count}
    wrong = [] if pair.partition() else ["the partition"]
    wrong += [f"{what}: {sorted(fields)}" for what, fields in pair.pipes(stuck) if fields]
    return found | {"different_answers": len(pair.oracle.known), "differences": len(wrong), "wrong": wrong[:SHOWN]}


def _of_one(pair: Pair, stuck: list[str]) -> tuple[int, list[str]]:
    """All questions about one small network: how many, and which differ."""
    asked, wrong = 0, [] if pair.partition() else ["the partition"]
    for questions in (pair.pipes, pair.nodes, pair.valves):
        for what, fields in questions(stuck):
            asked += 1
            if fields:
                wrong.append(f"{what}: {sorted(fields)}")
    return asked, wrong


def of_hypothesis(seed: int, count: int) -> dict:
    """As many networks as wanted, drawn by hypothesis."""
    total = {"networks": 0, "bursts": 0, "differences": 0, "wrong": []}

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, deadline=None, database=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(st.booleans().flatmap(supplied), st.data())
    def ask(drawn, data):
        tables, people = drawn
        pair = Pair(tables, people)
        stuck = data.draw(st.lists(st.sampled_from(pair.valve_ids), max_size=3, unique=True)) if pair.valve_ids else []
        _count(total, *_of_one(pair, stuck), tables)

    ask()
    return {"network": f"random, hypothesis seed {seed}"} | total


def of_seeds(first: int, count: int) -> dict:
    """Networks up to four times as large from seeds."""
    total = {"networks": 0, "bursts": 0, "differences": 0, "wrong": []}
    for seed in range(first, first + count):
        choose = Seeded(seed, scale=1 + seed % 4)
        tables = made(choose, faulty=seed % 2 == 1)
        pair = Pair(tables, people_of(choose, tables))
        _count(total, *_of_one(pair, pair.valve_ids[: seed % 4]), f"seed {seed}")
    return {"network": f"random, seeds {first} to {first + count - 1}"} | total


def _count(total: dict, asked: int, wrong: list[str], where) -> None:
    total["networks"] += 1
    total["bursts"] += asked
    total["differences"] += len(wrong)
    if wrong and len(total["wrong"]) < SHOWN:
        total["wrong"].append(f"{where}: {wrong[0]}")


def of_wntr(path: Path, placement: str) -> dict | None:
    """WNTR's segments of one of its networks, as a bare graph and as loaded; None where it does not read the file."""
    if published.model(path) is None or (placement == "own" and not published.own_types(path)):
        return None
    found = {"network": path.stem, "valves": placement, "peer": "wntr.metrics.topographic.valve_segments"}
    if placement == "own":
        compared, astray = wntr_segments.of_loaded(path, None, None)
        return found | {"nodes_and_pipes": compared, "differences": astray}
    layer = published.layer(path, placement, seed=5)
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "layer.csv"
        layer.to_csv(csv, index=False)
        loaded = wntr_segments.of_loaded(path, layer, csv)
    graph = wntr_segments.of_graph(path, layer)
    return found | {"nodes_and_pipes": loaded[0], "nodes_and_links_of_the_graph": graph[0], "differences": loaded[1] + graph[1]}


def tasks(size: int) -> list[tuple]:
    """Everything that is asked, what takes longest first."""
    files = [path for path in published.files() if published.readable(path)]
    proofs = [(of_published, path, placement, share) for path in files
              for placement in reversed(published.PLACEMENTS) for share in (0.0, STUCK_SHARE)]  # fmt: skip
    segments = [(of_wntr, path, placement) for path in files for placement in ("strategic", "random", "own")]
    by_hypothesis = [(of_hypothesis, seed, min(BATCH, size - done)) for seed, done in enumerate(range(0, size, BATCH))]
    by_seed = [(of_seeds, first, min(BATCH, size // 10 - first)) for first in range(0, size // 10, BATCH)]
    return sorted(proofs + segments, key=lambda task: -task[1].stat().st_size) + by_hypothesis + by_seed


def done(task: tuple) -> dict | None:
    """One task, timed; what went wrong in words goes to stderr."""
    warnings.simplefilter("ignore")
    begun = time.perf_counter()
    found = task[0](*task[1:])
    if found is None:
        return None
    for one in found.pop("wrong", []):
        print(f"{found['network']}: {one}", file=sys.stderr, flush=True)
    return {"bench": "right"} | found | {"limit": 0, "seconds": round(time.perf_counter() - begun, 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000, help="how many random networks")
    begun, total = time.perf_counter(), {"pipes": 0, "networks": 0, "bursts": 0, "nodes_and_pipes": 0, "differences": 0}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for future in as_completed([pool.submit(done, task) for task in tasks(parser.parse_args().size)]):
            found = future.result()
            if found is not None:
                print(json.dumps(found, ensure_ascii=False), flush=True)
                total = {name: value + found.get(name, 0) for name, value in total.items()}
    names = {"pipes": "pipes_asked", "networks": "random_networks", "bursts": "random_bursts", "nodes_and_pipes": "elements_beside_wntr"}
    summary = {names.get(name, name): value for name, value in total.items()}
    print(json.dumps({"bench": "right", "figure": "all"} | summary | {"limit": 0, "seconds": round(time.perf_counter() - begun, 1)}))
    return int(total["differences"] > 0)


if __name__ == "__main__":
    sys.exit(main())
