"""Street graphs in GraphML, as OSMnx writes them: nodes with x and y, directed edges with tags, become roads and road nodes.

A street that may be driven both ways is two edges there and one road here.
"""

from __future__ import annotations

import re
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from etl.road_graph import attributes, is_closed, is_road
from gis import crs
from gis.catalog.model import Catalog
from gis.errors import SourceError
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, load_frames, silent

_NAMESPACE = "{http://graphml.graphdrawing.org/xmlns}"
_TAGS = ("highway", "name", "oneway", "access", "junction", "bridge", "tunnel", "layer", "lanes", "width", "maxspeed")
MOST = 5_000_000
"""Nodes and edges that are accepted."""


def load(catalog: Catalog, path: Path | str, *, mode: str = "replace", dry_run: bool = False, progress=silent) -> LoadResult:
    """Loads a street graph as one delivery of `road_node` and `road`. Positions WGS 84, taken as EPSG:4490. Raises SourceError."""
    path = Path(path)
    nodes, edges, declared = read(path, progress)
    roads, findings = streets(nodes, edges)
    if not len(roads):
        raise SourceError(f"{path.name} holds no roads", remedy="Deliver a street graph")
    known = crs.crs(declared or crs.WGS84).to_wkt()
    ends = pd.unique(pd.concat([roads["from_node"], roads["to_node"]]))
    degree = pd.concat([roads["from_node"], roads["to_node"]]).value_counts()
    places = geopandas.GeoDataFrame(
        {"node_id": ends, "kind": np.where(degree.reindex(ends) > 1, "junction", "end")},
        geometry=shapely.points([nodes[node[1:]] for node in ends]), crs=known,
    )  # fmt: skip
    return load_frames(
        catalog, {"road_node": places, "road": roads.set_crs(known)}, name=path.name, files=[path], findings=findings, mode=mode,
        dry_run=dry_run, progress=progress, extent=catalog.city.extent,
    )  # fmt: skip


def read(path: Path, progress=silent) -> tuple[dict[str, tuple[float, float]], pd.DataFrame, str | None]:
    """(node → (x, y), edges, CRS): what a GraphML file holds; an edge has `source`, `target`, tags, `osmid` and `geometry` (WKT).

    Raises SourceError (damaged, no positions, entities, too large).
    """
    names: dict[str, str] = {}
    nodes: dict[str, tuple[float, float]] = {}
    edges, declared = [], None
    try:
        for _, element in iterparse(path, events=("end",), forbid_dtd=True):
            kind = element.tag.removeprefix(_NAMESPACE)
            if kind == "key":
                names[element.get("id")] = element.get("attr.name")
            elif kind in ("node", "edge"):
                data = {names.get(d.get("key")): d.text for d in element}
                if kind == "node":
                    nodes[element.get("id")] = float(data["x"]), float(data["y"])
                else:
                    edges.append({"source": element.get("source"), "target": element.get("target")} | data)
                element.clear()
                if len(nodes) + len(edges) > MOST:
                    raise SourceError(f"{path.name} has more nodes and edges than are accepted", remedy="Deliver it in parts")
                if len(edges) % 50_000 == 1:
                    progress(f"reading edges of {path.name}", len(edges), None)
            elif kind == "data" and names.get(element.get("key")) == "crs":
                declared = element.text
    except (ParseError, DefusedXmlException, KeyError, TypeError, ValueError, OSError):
        raise SourceError(
            f"{path.name} is no street graph: it is damaged, or its nodes have no x and y", remedy="Write it with OSMnx"
        ) from None
    known = ("source", "target", "osmid", "geometry", *_TAGS)
    frame = pd.DataFrame(edges).reindex(columns=list(dict.fromkeys(known))).astype(object)
    frame = frame[frame["source"].isin(nodes) & frame["target"].isin(nodes)].reset_index(drop=True)
    return nodes, frame.where(frame.notna(), None), declared


def streets(nodes: dict[str, tuple[float, float]], edges: pd.DataFrame) -> tuple[geopandas.GeoDataFrame, Findings]:
    """(roads, findings): directed edges as roads; an edge and its reverse are one road for both directions, named after the edge."""
    findings = Findings()
    tags = edges.assign(**{name: edges[name].map(_first) for name in ("osmid", *_TAGS)})
    tags["other_tags"] = None
    tags = tags[is_road(tags)]
    closed = is_closed(tags.assign(**{mode: None for mode in ("foot", "motor_vehicle")}))
    if closed.any():
        findings.add("road", "OSM03", "info", f"{int(closed.sum())} edges are closed to everybody (access=no) and were left out",
                     "若可通行，请在来源更正 / Correct them in the source if they are open")  # fmt: skip
    tags = tags[~closed].reset_index(drop=True)
    given = shapely.from_wkt(tags["geometry"].to_numpy(dtype=object), on_invalid="ignore")
    straight = (
        shapely.linestrings([[nodes[a], nodes[b]] for a, b in zip(tags["source"], tags["target"], strict=True)]) if len(tags) else given
    )
    lines = np.where(shapely.is_missing(given), straight, given)
    forth = shapely.to_wkb(shapely.set_precision(lines, 1e-7), hex=True)
    back = shapely.to_wkb(shapely.set_precision(shapely.reverse(lines), 1e-7), hex=True)
    first = {(a, b, line): n for n, (a, b, line) in reversed(list(enumerate(zip(tags["source"], tags["target"], forth, strict=True))))}
    opposite = [first.get((b, a, line)) for a, b, line in zip(tags["source"], tags["target"], back, strict=True)]
    kept = np.array([o is None or n < o for n, o in enumerate(opposite)], dtype=bool)
    kept &= np.array([first[key] == n for n, key in enumerate(zip(tags["source"], tags["target"], forth, strict=True))], dtype=bool)
    both = np.array([o is not None for o in opposite], dtype=bool)
    roads = attributes(tags).assign(oneway=np.where(both, "both", "forward"), from_node="n" + tags["source"], to_node="n" + tags["target"])[
        kept
    ]
    name = "w" + tags["osmid"].fillna("0").astype(str) + "_" + tags["source"] + "_" + tags["target"]
    turn = name[kept].groupby(name[kept]).cumcount()
    roads["road_id"] = name[kept] + turn.map(lambda n: f"_{n}" if n else "")
    return geopandas.GeoDataFrame(roads.reset_index(drop=True), geometry=lines[kept], crs=crs.WGS84), findings


def _first(text: str | None) -> str | None:
    """The first of several values that OSMnx writes as a list where it has joined ways: `['a', 'b']`."""
    if not isinstance(text, str) or not text.startswith("["):
        return text
    found = re.search(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|([^\[\],\s]+)", text)
    return None if found is None else next(part for part in found.groups() if part is not None)
