"""Published networks with their own valves, with random and with strategic ones, as the engine, the oracle and WNTR take them."""

import random
import warnings
from collections import defaultdict
from pathlib import Path

import pandas as pd
import wntr

from etl.epanet import deliveries
from etl.inp import read
from gis.errors import SourceError
from gis.settings import ROOT

WNTR = Path(wntr.__file__).parent
LIBRARY = WNTR / "library" / "networks"
SHARED = ROOT.parent / "shared" / "data" / "networks"
LAYERS = {"nodes": "water_node", "pipes": "water_pipe", "valves": "water_valve", "sources": "water_source"}
PLACEMENTS = ("own", "random", "strategic", "strategic-2")
"""The valves that the file has; on half as many pipe ends as there are pipes; at all arms of every junction but one, or but two."""
EMPTY_VALVES = pd.DataFrame(columns=["valve_id", "kind", "isolating", "node_id", "pipe_id", "from_node", "to_node", "flow", "normal_status",
                                     "operable"])  # fmt: skip


def files():
    """Every EPANET file that WNTR ships, and those beside the project, largest first."""
    return sorted([*WNTR.rglob("*.inp"), *SHARED.glob("*.inp")], key=lambda p: -p.stat().st_size)


def readable(path):
    """Whether the file is a network at all; WNTR ships some that are not, on purpose."""
    try:
        deliveries(path, "n")
    except SourceError:
        return False
    return True


def tables(path, **options):
    """The frames of an EPANET file as the engine and the oracle take them."""
    made = deliveries(path, "n", **options)
    return {name: made.get(layer, EMPTY_VALVES) for name, layer in LAYERS.items()}


def own_types(path):
    """The types of its valves that isolate where they are named as isolating: all but those that regulate."""
    return sorted({link.kind for link in read(path).links.values()} - {"PIPE", "PUMP", "PRV", "PSV"})


def model(path):
    """WNTR's reading of a file; None where it refuses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return wntr.network.WaterNetworkModel(str(path))
        except (wntr.epanet.exceptions.EpanetException, ValueError):
            return None


def layer(path, placement, seed=3, share=0.5):
    """A valve layer by WNTR (link, node); for a file that it refuses, made here by the same rule."""
    known = model(path)
    if known is not None:
        kind, _, left = placement.partition("-")
        n = max(1, int(share * known.num_pipes)) if kind == "random" else int(left or 1)
        return wntr.network.generate_valve_layer(known, kind, n, seed=seed)
    chance, inp = random.Random(seed), read(path)
    arms = defaultdict(list)
    for link in inp.links.values():
        for node in (link.start, link.end):
            arms[node].append(link.id)
    if placement == "random":
        pipes = [link for link in inp.links.values() if link.kind == "PIPE"]
        chosen = chance.sample([(p.id, n) for p in pipes for n in (p.start, p.end)], int(share * len(pipes)))
    else:
        left = int(placement.partition("-")[2] or 1)
        chosen = [(link, node) for node, here in arms.items() for link in chance.sample(here, max(len(here) - left, 0))]
    return pd.DataFrame(chosen, columns=["link", "node"])


def valved(path, placement, folder, seed=3):
    """The frames of a file with one of the PLACEMENTS of valves; None where it has none of its own."""
    if placement == "own":
        types = own_types(path)
        return tables(path, isolation=types) if types else None
    csv = folder / f"{path.stem}-{placement}-{seed}.csv"
    layer(path, placement, seed).to_csv(csv, index=False)
    return tables(path, valve_layer=csv)
