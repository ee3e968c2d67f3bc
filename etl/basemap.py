"""The base map from OpenStreetMap: roads as a graph split at shared nodes, road nodes, buildings, water bodies, administrative areas.

An extract is streamed: areas go through a file beside the memory, and only the roads, which have to be seen together, are held in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from etl.road_graph import attributes, is_closed, is_road, number, road_graph, split, tag
from gis import crs
from gis.catalog.model import Catalog
from gis.errors import SourceError
from gis.ingest import frames
from gis.ingest.findings import Findings
from gis.ingest.load import Delivery, LoadResult, silent
from gis.ingest.load import load as load_deliveries
from gis.ingest.read import Batch, Source, format_of, open_source

__all__ = ["load", "road_graph"]

BUILDING_USES = {
    "residential": (
        "house",
        "residential",
        "apartments",
        "detached",
        "semidetached_house",
        "terrace",
        "bungalow",
        "dormitory",
        "cabin",
        "farm",
    ),
    "commercial": ("commercial", "retail", "supermarket", "kiosk", "hotel", "shop"),
    "office": ("office",),
    "school": ("school", "kindergarten", "university", "college"),
    "hospital": ("hospital", "clinic"),
    "industrial": ("industrial", "warehouse", "factory", "manufacture"),
    "public": (
        "public",
        "civic",
        "government",
        "church",
        "chapel",
        "cathedral",
        "mosque",
        "temple",
        "train_station",
        "fire_station",
        "sports_hall",
        "library",
        "museum",
        "townhall",
    ),
    "utility": ("service", "transformer_tower", "utility", "water_tower", "substation"),
}
_USES = {value: use for use, values in BUILDING_USES.items() for value in values}
_ADMIN_LEVELS = {"6": "county", "8": "town", "10": "community"}
LAYERS = ("road_node", "road", "building", "water_body", "admin_area")
"""What an extract gives, in the order of their references."""


def load(
    catalog: Catalog, path: Path | str, *, layers: tuple[str, ...] = (), mode: str = "replace", dry_run: bool = False, progress=silent
) -> LoadResult:
    """Loads an OSM extract (.osm.pbf) as one delivery of the base layers (or the named ones of them), or a street graph (.graphml) as
    roads. Positions WGS 84, taken as EPSG:4490.

    Layers of which the extract holds nothing are left as they are. Raises SourceError.
    """
    path = Path(path)
    if path.suffix.lower() == ".graphml":
        from etl import street_graph

        return street_graph.load(catalog, path, mode=mode, dry_run=dry_run, progress=progress)
    if format_of(path) != "osm":
        raise SourceError(f"{path.name} is no OSM extract", remedy="Deliver an .osm.pbf file")
    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="onemap-osm-") as folder:
        sources = _areas(catalog, path, Path(folder), findings, progress) | _roads(catalog, path, findings, progress)
        chosen = [name for name in LAYERS if sources[name].count and (not layers or name in layers)]
        if not chosen:
            raise SourceError(f"{path.name} holds nothing of {', '.join(layers or LAYERS)}", remedy="Use an extract of the city")
        deliveries = [Delivery(catalog.layer(name), [sources[name]], extent=catalog.city.extent, judged=True) for name in chosen]
        deliveries[0].findings = findings
        return load_deliveries(deliveries, mode=mode, dry_run=dry_run, progress=progress)


def _features(catalog: Catalog, path: Path, layer: str, progress) -> Iterator[tuple[pd.DataFrame, Batch]]:
    """The features of one of GDAL's layers of an extract, a batch at a time."""
    done = 0
    for batch in open_source(path, catalog.layer("road"), source_layer=layer).batches():
        yield batch.rows.to_pandas(), batch
        done += len(batch.numbers)
        progress(f"reading {layer} of {path.name}", done, None)


# --- roads ------------------------------------------------------------------------------------------------------------


def _roads(catalog: Catalog, path: Path, findings: Findings, progress) -> dict[str, Source]:
    """The sources of roads and road nodes. A road without a sound geometry is a row of its own, which its finding rejects."""
    ways, lines, closed = [], [], []
    for frame, batch in _features(catalog, path, "lines", progress):
        chosen = is_road(frame).to_numpy()
        frame = frame[chosen].reset_index(drop=True)
        shut = is_closed(frame)
        closed += frame.loc[shut, "osm_id"].tolist()
        ways.append(attributes(frame)[~shut].assign(way=frame["osm_id"][~shut].astype(str)))
        lines.append(batch.shapes()[chosen][~shut.to_numpy()])
    if closed:
        findings.add(
            "road", "OSM03", "info", f"{len(closed)} roads are closed to everybody (access=no) and were left out",
            "若可通行，请在 OpenStreetMap 更正 / Correct them in OpenStreetMap if they are open", value=", ".join(closed[:20]),
        )  # fmt: skip
    if not ways:
        return {name: frames.source(frames.empty(catalog.layer(name)), catalog.layer(name), path.name) for name in ("road", "road_node")}
    fields, shapes = pd.concat(ways, ignore_index=True), np.concatenate(lines)
    broken = np.array([shape is None or shape.is_empty for shape in shapes], dtype=bool)
    roads, nodes = split(fields[~broken].reset_index(drop=True), shapes[~broken])
    if broken.any():
        rows = fields[broken].assign(road_id="w" + fields["way"][broken]).drop(columns="way")
        roads = pd.concat([roads, geopandas.GeoDataFrame(rows, geometry=[None] * len(rows), crs=crs.WGS84)], ignore_index=True)
        _incomplete("road", range(len(roads) - len(rows) + 1, len(roads) + 1), rows["road_id"], findings)
    return {name: frames.source(frame, catalog.layer(name), path.name, (path,)) for name, frame in (("road", roads), ("road_node", nodes))}


def _incomplete(layer_id: str, rows, values, findings: Findings) -> None:
    findings.extend(layer_id, "OSM02", "error", "the object has no sound geometry in the extract",
                    "在 OpenStreetMap 修正，或取更大的范围 / Mend it in OpenStreetMap, or take a larger extract", field="geom",
                    rows=rows, values=values)  # fmt: skip


# --- areas ------------------------------------------------------------------------------------------------------------


@dataclass
class Spool:
    """Rows of one layer on their way through a file: written a batch at a time, read the same way."""

    layer_id: str
    path: Path
    make: Callable[[pd.DataFrame], pd.DataFrame]
    rows: int = 0
    writer: pa.RecordBatchStreamWriter | None = None
    columns: tuple[str, ...] = ()
    types: dict[str, pa.DataType] = field(default_factory=dict)

    def write(self, frame: pd.DataFrame, geometry: pa.Array, findings: Findings) -> None:
        """Takes what of a batch of areas belongs to the layer; areas without a sound geometry are rows that a finding rejects."""
        made = self.make(frame)
        if not len(made):
            return
        shapes = geometry.take(pa.array(made.index))
        broken = shapely.is_missing(shapely.from_wkb(shapes.to_numpy(zero_copy_only=False), on_invalid="ignore"))
        if broken.any():
            _incomplete(self.layer_id, self.rows + 1 + np.flatnonzero(broken), made.iloc[broken, 0], findings)
            shapes = pc.if_else(pa.array(broken), pa.scalar(None, shapes.type), shapes)
        table = pa.table({name: pa.array(made[name], self.types[name], from_pandas=True) for name in made.columns} | {"\0wkb": shapes})
        if self.writer is None:
            self.columns, self.writer = tuple(made.columns), pa.ipc.new_stream(str(self.path), table.schema)
        self.writer.write_table(table)
        self.rows += len(made)

    def source(self, name: str, parts: tuple[Path, ...]) -> Source:
        """What was written, as a source."""
        if self.writer is not None:
            self.writer.close()
        return Source(
            name=name, path=Path(name), format="frame", columns=self.columns, crs=crs.crs(crs.WGS84).to_wkt(), crs_declared=True,
            encoding="UTF-8", count=self.rows, findings=Findings(), batches=self._batches, parts=parts,
        )  # fmt: skip

    def _batches(self) -> Iterator[Batch]:
        done = 0
        if not self.rows:
            return
        with pa.ipc.open_stream(str(self.path)) as reader:
            for record in reader:
                table = pa.Table.from_batches([record])
                numbers = np.arange(done + 1, done + len(record) + 1)
                yield Batch(table.select(list(self.columns)), numbers, table.column("\0wkb").combine_chunks())
                done += len(record)


_TYPES = {"floors": pa.int64(), "population": pa.int64(), "height_m": pa.float64()}


def _areas(catalog: Catalog, path: Path, folder: Path, findings: Findings, progress) -> dict[str, Source]:
    """The sources of buildings, water bodies and administrative areas, from one pass over the extract."""
    makers = {"building": buildings, "water_body": water_bodies, "admin_area": admin_areas}
    types = {name: _TYPES.get(name, pa.string()) for layer in makers for name in catalog.layer(layer).columns}
    spools = [Spool(name, folder / name, make, types=types) for name, make in makers.items()]
    uncoded: list[str] = []
    for frame, batch in _features(catalog, path, "multipolygons", progress):
        for spool in spools:
            spool.write(frame, batch.geometry, findings)
        areas = _administrative(frame)
        uncoded += areas.loc[areas["code"].isna(), "name"].fillna("?").tolist()
    if uncoded:
        findings.add(
            "road_node", "OSM01", "info", f"{len(uncoded)} administrative areas of the extract have no code and were left out",
            "由民政部门的数据入库 / Load them from the civil affairs bureau's data", value=", ".join(uncoded[:20]),
        )  # fmt: skip
    return {spool.layer_id: spool.source(path.name, (path,)) for spool in spools}


def _ids(frame: pd.DataFrame) -> pd.Series:
    """`w123` for a way, `r123` for a relation."""
    return ("w" + frame["osm_way_id"].astype("string")).fillna("r" + frame["osm_id"].astype("string")).astype(object)


def buildings(areas: pd.DataFrame) -> pd.DataFrame:
    """The buildings of an OSM `multipolygons` layer."""
    frame = areas[areas["building"].notna() & (areas["building"] != "no")]
    use = frame["building"].map(_USES).fillna(frame["amenity"].map(_USES)).fillna("other")
    floors, height = number(tag(frame, "building:levels")), number(tag(frame, "height"))
    street, door = tag(frame, "addr:street"), tag(frame, "addr:housenumber")
    return pd.DataFrame(
        {
            "building_id": _ids(frame),
            "name": frame["name"],
            "use": use,
            "floors": floors.where(floors.between(0, 200)).round().astype("Int64"),
            "height_m": height,
            "address": (street + " " + door).fillna(street),
        }
    )


def water_bodies(areas: pd.DataFrame) -> pd.DataFrame:
    """The water surfaces of an OSM `multipolygons` layer."""
    water, landuse = tag(areas, "water"), areas["landuse"]
    wet = (areas["natural"] == "water") | landuse.isin(["reservoir", "basin"]) | (tag(areas, "waterway") == "riverbank")
    frame = areas[wet]
    named = water[wet].map(
        {"river": "river", "stream": "river", "lake": "lake", "pond": "pond", "canal": "canal", "ditch": "canal", "reservoir": "reservoir"}
    )
    kind = named.fillna(landuse[wet].map({"reservoir": "reservoir", "basin": "pond"})).fillna(
        (tag(areas, "waterway")[wet] == "riverbank").map({True: "river", False: "pond"})
    )
    return pd.DataFrame({"body_id": _ids(frame), "name": frame["name"], "kind": kind})


def _administrative(areas: pd.DataFrame) -> pd.DataFrame:
    """The administrative areas of levels 6, 8 and 10 of a `multipolygons` layer with the code of their `ref`, missing where it is none."""
    frame = areas[(areas["boundary"] == "administrative") & areas["admin_level"].isin(_ADMIN_LEVELS)]
    code = tag(frame, "ref")
    return pd.DataFrame(
        {
            "code": code.where(code.fillna("").str.fullmatch(r"\d{6}(\d{3}){0,2}")),
            "name": frame["name"],
            "level": frame["admin_level"].map(_ADMIN_LEVELS),
            "population": number(tag(frame, "population")).astype("Int64"),
        }
    )


def admin_areas(areas: pd.DataFrame) -> pd.DataFrame:
    """The administrative areas of an OSM `multipolygons` layer that have a code."""
    found = _administrative(areas)
    return found[found["code"].notna()]
