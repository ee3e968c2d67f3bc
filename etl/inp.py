"""An EPANET input file (.inp) as tables in SI units: nodes and links as the file has them, and nothing computed.

One reader for every file: the usual readers build a hydraulic model and refuse a whole network for one line that the topology
does not need (EPANET 2.2 User Manual, appendix C.2, gives the sections; C.3 the units).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gis.errors import SourceError
from gis.ingest import encoding as encodings
from gis.ingest import sandbox

FOOT_M, INCH_MM = 0.3048, 25.4

US_FLOW_LPS = {"CFS": 28.316846592, "GPM": 0.0630901964, "MGD": 43.8126363889, "IMGD": 52.6167, "AFD": 14.2764102}
"""Flow units that come with US customary units, in L/s (EPANET 2.2 User Manual, C.3)."""
SI_FLOW_LPS = {"LPS": 1.0, "LPM": 1 / 60, "MLD": 1e6 / 86400, "CMH": 1 / 3.6, "CMD": 1000 / 86400, "CMS": 1000.0}
"""Flow units that come with SI units, in L/s."""

PSI_M = 0.3048 / 0.4333
"""Metres of water in a psi, as EPANET 2.2 counts them."""
HORSEPOWER_KW = 0.745699872

_SECTIONS = ("JUNC", "RESE", "TANK", "PIPE", "PUMP", "VALV", "DEMA", "STAT", "OPTI", "COOR", "VERT", "BACK", "CURV")
"""EPANET knows a section by its first letters."""


@dataclass
class Node:
    """A junction, reservoir or tank: elevation (head of a reservoir) in metres, base demand in L/s, position as in the file; head: of a
    reservoir, or of a tank at its first level."""

    id: str
    kind: str
    elevation: float | None = None
    demand: float = 0.0
    capacity: float | None = None
    head: float | None = None
    xy: tuple[float, float] | None = None


@dataclass
class Link:
    """A pipe, pump or valve from start to end: kind PIPE, PUMP or the valve's type; status OPEN, CLOSED, CV or ACTIVE;
    length in metres, diameter in millimetres, inner vertices as in the file. setting: of a PRV, PSV or PBV metres of water, of an FCV L/s,
    of a TCV its coefficient; of a pump curve: its points (flow L/s, head m) at its speed, and power_kw."""

    id: str
    start: str
    end: str
    kind: str
    status: str = "OPEN"
    length: float | None = None
    diameter: float | None = None
    roughness: float | None = None
    vertices: list[tuple[float, float]] = field(default_factory=list)
    setting: float | None = None
    curve: list[tuple[float, float]] = field(default_factory=list)
    power_kw: float | None = None


@dataclass
class Inp:
    """The file: nodes and links by id in the order of the file, whether its units are US customary, the unit of its map
    (FEET, METERS, DEGREES or NONE), and the name of its headloss formula (H-W, D-W, C-M)."""

    nodes: dict[str, Node]
    links: dict[str, Link]
    us_units: bool
    map_units: str
    headloss: str


@dataclass(frozen=True)
class _Line:
    number: int
    words: list[str]


def text_of(path: Path, encoding: str | None = None) -> str:
    """The text of a file in its declared encoding, else UTF-8, GB18030 or, where the bytes are neither, Latin-1."""
    raw = path.read_bytes()
    try:
        name = encodings.canonical(encoding) if encoding else encodings.of_text(path, raw)
    except SourceError:
        if encoding:
            raise
        name = "latin-1"
    try:
        return raw.decode(name).lstrip("\ufeff")
    except UnicodeDecodeError:
        if encoding:
            raise SourceError(f"{path.name} is not in {encoding}", remedy="Leave --encoding out, or name the right one") from None
        return raw.decode("latin-1")


def read(path: Path, encoding: str | None = None) -> Inp:
    """The tables of an EPANET file, parsed in the reading process. Raises SourceError with the line where it cannot be understood."""
    path = Path(path)
    if not path.is_file():
        raise SourceError(f"there is no file {path.name}", remedy="Check the path")
    said = sandbox.answer("etl.inp:parsed", path, encoding=encoding)
    for node in said["nodes"]:
        node["xy"] = None if node["xy"] is None else tuple(node["xy"])
    for link in said["links"]:
        link["vertices"], link["curve"] = [tuple(xy) for xy in link["vertices"]], [tuple(point) for point in link["curve"]]
    said["nodes"] = {node["id"]: Node(**node) for node in said["nodes"]}
    said["links"] = {link["id"]: Link(**link) for link in said["links"]}
    return Inp(**said)


def parsed(path: str, encoding: str | None) -> dict:
    """The same in this very process, as plain data."""
    made = _tables(Path(path), encoding)
    return vars(made) | {"nodes": [vars(node) for node in made.nodes.values()], "links": [vars(link) for link in made.links.values()]}


def _tables(path: Path, encoding: str | None) -> Inp:
    sections = _sections(text_of(path, encoding))
    if not sections["JUNC"] or not (sections["PIPE"] or sections["PUMP"] or sections["VALV"]):
        raise SourceError(
            f"{path.name} has no [JUNCTIONS] or no links",
            remedy="Is it an EPANET .inp text file? Export it as Network → .INP",
        )
    options = {line.words[0].upper(): line.words[-1].upper() for line in sections["OPTI"] if len(line.words) > 1}
    flow = options.get("UNITS", "GPM")
    if flow not in US_FLOW_LPS and flow not in SI_FLOW_LPS:
        raise SourceError(f"unknown flow unit {flow[:20]!r} in [OPTIONS]", where=path.name, remedy="One of CFS … CMD")
    us_units = flow in US_FLOW_LPS
    map_units = next((x.words[-1].upper() for x in sections["BACK"] if x.words[0].upper() == "UNITS"), "NONE")
    nodes = _nodes(sections, FOOT_M if us_units else 1.0, (US_FLOW_LPS | SI_FLOW_LPS)[flow], path.name)
    links = _links(sections, us_units, path.name)
    _regulate(sections, links, us_units, (US_FLOW_LPS | SI_FLOW_LPS)[flow])
    return Inp(nodes, links, us_units, map_units, options.get("HEADLOSS", "H-W"))


def _sections(text: str) -> dict[str, list[_Line]]:
    """The lines of each section without comments, split into words."""
    found: dict[str, list[_Line]] = {name: [] for name in _SECTIONS}
    current: list[_Line] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split(";", 1)[0].strip()
        if line.startswith("["):
            current = found.get(line[1:5].upper())
        elif line and current is not None:
            current.append(_Line(number, line.split()))
    return found


def _word(line: _Line, place: int, what: str, file: str) -> str:
    if len(line.words) <= place:
        raise SourceError(f"a line without {what}", where=f"{file}, line {line.number}", remedy="Complete the line")
    return line.words[place]


def _number(line: _Line, place: int, what: str, file: str, default: float | None = None) -> float:
    if len(line.words) <= place and default is not None:
        return default
    word = _word(line, place, what, file)
    try:
        return float(word)
    except ValueError:
        raise SourceError(f"{what} {word[:20]!r} is no number", where=f"{file}, line {line.number}", remedy="Correct the line") from None


def _nodes(sections: dict, metre: float, lps: float, file: str) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for line in sections["JUNC"]:
        elevation, demand = _number(line, 1, "an elevation", file, 0.0), _number(line, 2, "a demand", file, 0.0)
        nodes[line.words[0]] = Node(line.words[0], "junction", elevation * metre, demand * lps)
    for line in sections["RESE"]:
        head = _number(line, 1, "a head", file) * metre
        nodes[line.words[0]] = Node(line.words[0], "reservoir", head, head=head)
    for line in sections["TANK"]:
        elevation, lowest, highest, width = (_number(line, i, "a level or diameter", file, 0.0) * metre for i in (1, 3, 4, 5))
        capacity = 3.141592653589793 / 4 * width**2 * max(highest - lowest, 0.0)
        first = _number(line, 2, "a level", file, 0.0) * metre
        nodes[line.words[0]] = Node(line.words[0], "tank", elevation, capacity=capacity, head=elevation + first)
    named: dict[str, float] = {}
    for line in sections["DEMA"]:
        named[line.words[0]] = named.get(line.words[0], 0.0) + _number(line, 1, "a demand", file) * lps
    for node_id, demand in named.items():
        if node_id in nodes and nodes[node_id].kind == "junction":
            nodes[node_id].demand = demand  # [DEMANDS] replaces the demand of [JUNCTIONS]
    for line in sections["COOR"]:
        if line.words[0] in nodes:
            nodes[line.words[0]].xy = (_number(line, 1, "a coordinate", file), _number(line, 2, "a coordinate", file))
    return nodes


def _links(sections: dict, us_units: bool, file: str) -> dict[str, Link]:
    metre, mm = (FOOT_M, INCH_MM) if us_units else (1.0, 1.0)
    links: dict[str, Link] = {}
    for line in sections["PIPE"]:
        ends = _word(line, 1, "a start node", file), _word(line, 2, "an end node", file)
        roughness = _number(line, 5, "a roughness", file, 0.0)
        # Older files leave the minor loss out and put the status in its place.
        status = next((w.upper() for w in line.words[6:8] if w.upper() in ("OPEN", "CLOSED", "CV")), "OPEN")
        length, width = _number(line, 3, "a length", file) * metre, _number(line, 4, "a diameter", file) * mm
        links[line.words[0]] = Link(line.words[0], *ends, "PIPE", status, length, width, roughness)
    for line in sections["PUMP"]:
        speed = {k.upper(): v for k, v in zip(line.words[3::2], line.words[4::2], strict=False)}.get("SPEED")
        status = "CLOSED" if speed is not None and _zero(speed) else "OPEN"
        links[line.words[0]] = Link(
            line.words[0], _word(line, 1, "a start node", file), _word(line, 2, "an end node", file), "PUMP", status
        )
    for line in sections["VALV"]:
        ends = _word(line, 1, "a start node", file), _word(line, 2, "an end node", file)
        kind = _word(line, 4, "a type", file).upper()
        links[line.words[0]] = Link(line.words[0], *ends, kind, "ACTIVE", None, _number(line, 3, "a diameter", file) * mm)
    for line in sections["STAT"]:
        link = links.get(line.words[0])
        if link is not None and link.status != "CV":
            link.status = _status(link, _word(line, 1, "a status", file))
    for line in sections["VERT"]:
        if line.words[0] in links:
            xy = _number(line, 1, "a coordinate", file), _number(line, 2, "a coordinate", file)
            links[line.words[0]].vertices.append(xy)
    return links


def _regulate(sections: dict, links: dict[str, Link], us_units: bool, lps: float) -> None:
    """Settings of valves, curves and power of pumps. The topology does not need them: what cannot be read is left unknown."""
    metre, pressure, kilowatt = (FOOT_M, PSI_M, HORSEPOWER_KW) if us_units else (1.0, 1.0, 1.0)
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in sections["CURV"]:
        point = [_figure(word) for word in line.words[1:3]]
        if len(point) == 2 and None not in point:
            curves.setdefault(line.words[0], []).append((point[0] * lps, point[1] * metre))
    for line in sections["PUMP"]:
        given = {k.upper(): v for k, v in zip(line.words[3::2], line.words[4::2], strict=False)}
        link, speed, power = links[line.words[0]], _figure(given.get("SPEED", "1")) or 1.0, _figure(given.get("POWER", ""))
        link.curve = [(flow * speed, head * speed**2) for flow, head in curves.get(given.get("HEAD", ""), [])]
        link.power_kw = None if power is None else power * kilowatt
    words = {line.words[0]: line.words[5] for line in sections["VALV"] if len(line.words) > 5}
    words |= {line.words[0]: line.words[1] for line in sections["STAT"] if line.words[0] in words and len(line.words) > 1}
    unit = {"PRV": pressure, "PSV": pressure, "PBV": pressure, "FCV": lps, "TCV": 1.0}
    for name, word in words.items():
        value = _figure(word)
        if value is not None and links[name].kind in unit:
            links[name].setting = value * unit[links[name].kind]


def _figure(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _zero(word: str) -> bool:
    try:
        return float(word) == 0
    except ValueError:
        return False


def _status(link: Link, word: str) -> str:
    """A status of [STATUS]: OPEN, CLOSED, or a setting; a pump whose speed is set to 0 stands still."""
    if word.upper() in ("OPEN", "CLOSED"):
        return word.upper()
    return "CLOSED" if link.kind == "PUMP" and _zero(word) else ("OPEN" if link.kind == "PUMP" else "ACTIVE")
