"""The files of a pipe survey as plain tables: CSV, Excel (every sheet), Access (every table), shapefiles and GeoPackages; folders, ZIPs.

They are opened by the road in (`gis.ingest.read`), in the process of their own that all files from outside are read in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from gis.catalog.model import Layer
from gis.catalog.read import catalog
from gis.errors import SourceError
from gis.ingest import wkb
from gis.ingest.read import layers_of, open_source, together

SUFFIXES = (".csv", ".txt", ".tsv", ".xlsx", ".xlsm", ".mdb", ".accdb", ".shp", ".gpkg", ".zip")


@dataclass
class Raw:
    """A table as delivered: `rows` with its own column names; easting and northing (n,) where its features are points."""

    name: str
    file: Path
    rows: pd.DataFrame
    crs: str | None = None
    encoding: str | None = None
    easting: np.ndarray | None = None
    northing: np.ndarray | None = None


def raw_tables(path: Path, *, encoding: str | None = None) -> Iterator[Raw]:
    """Every table of a folder, ZIP or file, in the order of names. Raises SourceError."""
    if not path.exists():
        raise SourceError(f"there is no {path.name}", remedy="Check the name and the folder")
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise SourceError(f"{path.name} holds no table", remedy=f"A survey is delivered as {', '.join(SUFFIXES)}")
    for file in files:
        for name in layers_of(file) or (None,):
            yield _table(file, name, encoding)


def _columns() -> Layer:
    """A layer with the fields of water nodes and pipes: their names are how the header of a sheet is known among its titles."""
    points, lines = (catalog().layer(name) for name in ("water_node", "water_pipe"))
    return lines.model_copy(update={"fields": {**points.fields, **lines.fields}})


def _table(file: Path, name: str | None, encoding: str | None) -> Raw:
    """One table, sheet or layer. Raises SourceError where a line does not have as many columns as the header."""
    source = open_source(file, _columns(), encoding=encoding, source_layer=name, positions=False)
    batches = list(source.batches())
    broken = source.findings.frame()
    broken = broken[broken["code"] == "SRC02"]
    if len(broken):
        first = broken.iloc[0]
        raise SourceError(f"row {first['src_row']} of {file.name} has another number of columns than its header ({len(broken)} such rows)",
                          remedy="Correct the line: a separator or a quotation mark is missing or too many")  # fmt: skip
    label = file.name if name is None else f"{file.name}[{name}]"
    if not batches:
        return Raw(label, file, pd.DataFrame(columns=list(source.columns)), source.crs, source.encoding)
    rows = together([b.rows for b in batches]).to_pandas()
    raw = Raw(label, file, rows, source.crs, source.encoding if source.format == "csv" else None)
    if batches[0].geometry is not None:
        shapes = np.concatenate([wkb.shapes(b.geometry)[0] for b in batches])
        if (shapely.get_type_id(shapes) == 0).any():
            raw.easting, raw.northing = (_as_texts(of(shapes)) for of in (shapely.get_x, shapely.get_y))
    return raw


def _as_texts(values: np.ndarray) -> np.ndarray:
    return np.array([None if v != v else repr(float(v)) for v in values], dtype=object)
