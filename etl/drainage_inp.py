"""A SWMM input file (.inp) as tables in metres: what the file says, and nothing computed.

Sections and columns: EPA SWMM 5.2 User's Manual, appendix D.2. The file is parsed in the reading process (`gis.ingest.sandbox`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from etl.inp import FOOT_M, SI_FLOW_LPS, text_of
from gis.errors import SourceError
from gis.ingest import sandbox

_NODES = ("JUNCTIONS", "OUTFALLS", "STORAGE", "DIVIDERS")
_PIPELESS = ("PUMPS", "ORIFICES", "WEIRS", "OUTLETS")


@dataclass
class Model:
    """The tables of a file in metres: nodes (id → section, invert, depth), conduits (id → its two nodes, length, offsets), cross-sections
    (id → shape, height, width), positions and inner vertices as in the file."""

    nodes: dict[str, tuple[str, float, float | None]] = field(default_factory=dict)
    conduits: dict[str, tuple[str, str, float, float, float]] = field(default_factory=dict)
    sections: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    xy: dict[str, tuple[float, float]] = field(default_factory=dict)
    vertices: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    pipeless: int = 0
    metre: float = 1.0
    elevations: bool = False
    degrees: bool = False


def read(path: Path, encoding: str | None = None) -> Model:
    """The tables of a file, parsed in the reading process. Raises SourceError with the line where it cannot be understood."""
    if not path.is_file():
        raise SourceError(f"there is no file {path.name}", remedy="Check the path")
    said = sandbox.answer("etl.drainage_inp:parsed", path, encoding=encoding)
    for name in ("nodes", "conduits", "sections", "xy"):
        said[name] = {key: tuple(value) for key, value in said[name].items()}
    said["vertices"] = {key: [tuple(xy) for xy in points] for key, points in said["vertices"].items()}
    return Model(**said)


def parsed(path: str, encoding: str | None) -> dict:
    """The same in this very process, as plain data."""
    return vars(_model(Path(path), encoding))


def _model(path: Path, encoding: str | None) -> Model:
    sections = _sections(text_of(path, encoding))
    if not sections.get("CONDUITS") or not any(sections.get(name) for name in _NODES):
        raise SourceError(
            f"{path.name} has no [CONDUITS] or no nodes", remedy="Is it a SWMM .inp file? EPANET's is loaded by `load epanet`"
        )
    options = {words[0].upper(): words[-1].upper() for _, words in sections.get("OPTIONS", []) if len(words) > 1}
    units = next((words[-1].upper() for _, words in sections.get("MAP", []) if words[0].upper() == "UNITS"), "NONE")
    flow = options.get("FLOW_UNITS", "CFS")
    model = Model(metre=1.0 if flow in SI_FLOW_LPS else FOOT_M, elevations=options.get("LINK_OFFSETS") == "ELEVATION")
    model.degrees = units == "DEGREES"
    model.pipeless = sum(len(sections.get(name, [])) for name in _PIPELESS)
    _read_nodes(sections, model, path.name)
    _read_links(sections, model, path.name)
    return model


_Lines = list[tuple[int, list[str]]]


def _sections(text: str) -> dict[str, _Lines]:
    """The lines of each section without comments, split into words, with their numbers."""
    found: dict[str, _Lines] = {}
    current = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split(";", 1)[0].strip()
        if line.startswith("["):
            current = found.setdefault(line.strip("[] ").upper(), [])
        elif line and current is not None:
            current.append((number, line.split()))
    return found


def _number(line: tuple[int, list[str]], place: int, file: str, default: float | None = None) -> float:
    number, words = line
    if len(words) <= place or words[place] == "*":
        if default is not None:
            return default
        raise SourceError("a line is too short", where=f"{file}, line {number}", remedy="Complete the line")
    try:
        value = float(words[place])
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise SourceError(f"{words[place][:20]!r} is no number", where=f"{file}, line {number}", remedy="Correct the line")
    return value


def _read_nodes(sections: dict[str, _Lines], model: Model, file: str) -> None:
    for name in _NODES:
        for line in sections.get(name, []):
            depth = None if name in ("OUTFALLS", "DIVIDERS") else _number(line, 2, file, 0.0) * model.metre
            model.nodes[line[1][0]] = (name, _number(line, 1, file, 0.0) * model.metre, depth)
    for line in sections.get("COORDINATES", []):
        if line[1][0] in model.nodes:
            model.xy[line[1][0]] = (_number(line, 1, file), _number(line, 2, file))


def _read_links(sections: dict[str, _Lines], model: Model, file: str) -> None:
    for line in sections["CONDUITS"]:
        number, words = line
        ends = words[1:3]
        if len(ends) < 2 or any(end not in model.nodes for end in ends):
            raise SourceError(
                f"conduit {words[0][:40]!r} ends at a node that the file does not have", where=f"{file}, line {number}", remedy="Correct it"
            )
        free = np.nan if model.elevations else 0.0
        start, end = (_number(line, i, file, free) * model.metre for i in (5, 6))
        model.conduits[words[0]] = (*ends, _number(line, 3, file) * model.metre, start, end)
    for line in sections.get("XSECTIONS", []):
        words = line[1]
        shape = words[1].upper() if len(words) > 1 else ""
        sizes = () if shape in ("IRREGULAR", "STREET", "CUSTOM") else (2, 3)
        height, width = (*(_number(line, i, file, 0.0) * model.metre for i in sizes), 0.0, 0.0)[:2]
        model.sections[words[0]] = (shape, height, width)
    for line in sections.get("VERTICES", []):
        model.vertices.setdefault(line[1][0], []).append((_number(line, 1, file), _number(line, 2, file)))
