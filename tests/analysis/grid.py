"""Networks drawn in ASCII.

    Sx---A----B
         |    o
         C---xD

An upper-case letter is a junction; a run of `-` or `|` between two junctions is one pipe, named by its ends (`AB`). A mark
that touches a junction stands at the pipe's end there, and a run that holds one of `> < ^ v`, `#` or `=` is a link without
length. `x` open valve, `o` closed valve, `!` stuck open valve,
`c` check valve towards the later end (right or down), `>`/`v` pump or PRV to the right or down, `<`/`^` the other way,
`#` valve as a link, `=` plain link. Valves are named `PIPE@JUNCTION`, links by their ends.
"""

from __future__ import annotations

import pandas as pd

from gis.analysis.isolation import Engine
from gis.analysis.network import decoded, network

VALVE_MARKS = {"x": ("open", True), "o": ("closed", True), "!": ("open", False)}


def frames(drawing: str, sources: str = "S", at_junction: str = "") -> dict[str, pd.DataFrame]:
    """The frames of a drawing. sources: letters of junctions that are sources; at_junction: letters with a valve between all
    their arms (named by the letter)."""
    rows = drawing.strip("\n").split("\n")
    width = max(map(len, rows))
    cells = [r.ljust(width) for r in rows]
    letters = [(c, x, y) for y, r in enumerate(cells) for x, c in enumerate(r) if c.isupper()]
    pipes, valves = [], []
    for letter, x, y in letters:
        for dx, dy in ((1, 0), (0, 1)):
            run, other = _run(cells, x, y, dx, dy)
            if other:
                _add(letter, other, run, pipes, valves)
    for letter in at_junction:
        valves.append({"valve_id": letter, "kind": "gate", "isolating": True, "node_id": letter, "normal_status": "open"})
    columns = [
        "valve_id",
        "kind",
        "isolating",
        "node_id",
        "pipe_id",
        "from_node",
        "to_node",
        "flow",
        "normal_status",
        "operable",
    ]
    nodes = pd.DataFrame({"node_id": [c for c, _, _ in letters], "base_demand_lps": 1.0})
    return {
        "nodes": nodes,
        "pipes": pd.DataFrame(pipes, columns=["pipe_id", "from_node", "to_node", "length_m", "diameter_mm", "status"]),
        "valves": pd.DataFrame(valves, columns=columns),
        "sources": pd.DataFrame({"source_id": list(sources), "node_id": list(sources)}),
    }


def burst(drawing: str, *, sources: str = "S", at_junction: str = "", stuck: tuple = (), **where: str) -> dict:
    """The answer of a burst (`pipe=`, `node=` or `valve=`) in a drawing, as lists of ids."""
    built = engine(drawing, sources, at_junction)
    net, part = built.network, built.segments
    ((kind, wanted),) = where.items()
    index = getattr(net, kind)(wanted)
    start = {"pipe": lambda i: part.of_pipe[[i]], "node": built.segments_at_node, "valve": built.segments_at_valve}[kind](index)
    found = built.burst(start, [net.valve(v) for v in stuck], index if kind == "valve" else -1)

    def pipes(segments) -> list[str]:
        return sorted(p for s in segments for p in decoded(net.pipe_id[part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]]]))

    valves = {k: decoded(net.valve_id[getattr(found, k)]) for k in ("close", "optional", "already_closed", "stuck", "feeds_to_open")}
    return {k: sorted(v) for k, v in valves.items()} | {
        "isolated": found.isolated, "sources_to_shut": decoded(net.source_id[found.sources_to_shut]),
        "closed": pipes(found.region), "unintended": pipes(found.lost), "beside": pipes(found.beside),
        "bypassed": decoded(net.valve_id[built.bypassed(found.region)]),
    }  # fmt: skip


def engine(drawing: str, sources: str = "S", at_junction: str = "") -> Engine:
    """The engine of a drawing."""
    return Engine.built(*network(**frames(drawing, sources, at_junction)))


def _run(cells: list[str], x: int, y: int, dx: int, dy: int) -> tuple[str, str | None]:
    """The characters from a junction to the next one in a direction, and that junction."""
    run = ""
    while True:
        x, y = x + dx, y + dy
        if y >= len(cells) or x >= len(cells[0]) or cells[y][x] in (" |^v" if dx else " -<>"):
            return run, None
        if cells[y][x].isupper():
            return run, cells[y][x] if run else None
        run += cells[y][x]


def _add(start: str, end: str, run: str, pipes: list, valves: list) -> None:
    name = start + end
    link = next((m for m in run if m in "><^v#="), None)
    if link:
        ends = (end, start) if link in "<^" else (start, end)
        kind = {"#": "gate", "=": "fcv"}.get(link, "pump")
        status = "closed" if "o" in run else "open"
        valves.append({
            "valve_id": name, "kind": kind, "isolating": link == "#", "from_node": ends[0], "to_node": ends[1],
            "normal_status": status, "operable": "!" not in run,
        })  # fmt: skip
        return
    if any(m in "xo!c" for m in run[1:-1]):
        raise ValueError(f"the valve in {name} ({run}) stands at no end")
    pipes.append({"pipe_id": name, "from_node": start, "to_node": end, "length_m": 100.0, "diameter_mm": 200.0, "status": "0"})
    for mark, node in ((run[0], start), (run[-1], end)):
        if mark in VALVE_MARKS:
            status, operable = VALVE_MARKS[mark]
            valves.append({
                "valve_id": f"{name}@{node}", "kind": "gate", "isolating": True, "node_id": node, "pipe_id": name,
                "normal_status": status, "operable": operable,
            })  # fmt: skip
        elif mark == "c":
            flow = "to_node" if node == end else "to_pipe"
            valves.append({
                "valve_id": f"{name}@{node}", "kind": "check", "isolating": False, "node_id": node, "pipe_id": name,
                "flow": flow, "normal_status": "open",
            })  # fmt: skip
