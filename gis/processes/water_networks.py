"""Which water networks there are, how large they are and where they lie: what the map offers to choose from."""

from __future__ import annotations

from gis.catalog.model import Text
from gis.processes import Inputs, Process

_known: dict[tuple[str, str, str], list[dict]] = {}
"""The last answer, by database, role and data version: counting a million pipes takes longer than all the rest."""


class NetworksInputs(Inputs):
    """Nothing is asked for."""


def run(store, inputs: NetworksInputs, progress=None) -> dict:
    """{networks: [{id, pipes, bbox: [west, south, east, north] in degrees}], data_version}; the network `city` is the first.
    Raises AccessDenied."""
    store.require(["water_pipe"])
    version = store.version(["water_pipe"])
    key = (store.rows("database_identity")[0]["identity"], store.role, version)
    found = _known.get(key)
    if found is None:
        found = [
            {"id": row["network"], "pipes": row["pipes"], "bbox": [round(row[side], 7) for side in ("west", "south", "east", "north")]}
            for row in store.rows("water_network_extents")
        ]
        for old in list(_known):
            if old[:2] == key[:2]:
                _known.pop(old, None)
        _known[key] = found
    return {"networks": found, "data_version": version}


PROCESS = Process(
    id="water-networks",
    title=Text(zh="供水管网列表", en="Water networks"),
    description=Text(zh="有哪些供水管网、管段数和范围", en="Which water networks there are, how many pipes they have and where they lie"),
    inputs=NetworksInputs,
    run=run,
    layers=("water_pipe",),
    keywords=("water", "network", "管网"),
    example={},
)
