"""Frames that a job has already made (from EPANET, OSM …), as sources of the same road in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gis import crs
from gis.catalog.model import Layer
from gis.errors import SourceError
from gis.ingest import wkb
from gis.ingest.findings import Findings
from gis.ingest.read import BATCH, Batch, Source

if TYPE_CHECKING:
    import geopandas


def source(frame: geopandas.GeoDataFrame, layer: Layer, name: str, files: Iterable[Path] = ()) -> Source:
    """A GeoDataFrame with the layer's columns and a CRS as a source named `name`, made from `files`. A column `src_row` is the rows'
    numbers in the file that they came from; without it they are counted.

    Raises SourceError where the frame has no CRS.
    """
    if frame.crs is None:
        raise SourceError(f"the {layer.id} rows of {name} have no coordinate reference system", remedy="Give it with --crs or --place")
    geometry_name = frame.geometry.name
    columns = tuple(str(c) for c in frame.columns if c not in (geometry_name, "src_row"))
    numbers = np.asarray(frame["src_row"] if "src_row" in frame.columns else np.arange(1, len(frame) + 1), dtype=np.int64)

    def batches() -> Iterator[Batch]:
        geometry = np.asarray(frame.geometry.array, dtype=object)
        for start in range(0, len(frame), BATCH):
            part = frame.iloc[start : start + BATCH][list(columns)]
            rows = pa.table({str(c): _arrow(part[c]) for c in part.columns}) if columns else pa.table({})
            yield Batch(rows, numbers[start : start + BATCH], wkb.of(geometry[start : start + BATCH]))

    return Source(
        name=name, path=Path(name), format="frame", columns=columns, crs=frame.crs.to_wkt(), crs_declared=True, encoding="UTF-8",
        count=len(frame), findings=Findings(), batches=batches, parts=tuple(files),
    )  # fmt: skip


def empty(layer: Layer) -> geopandas.GeoDataFrame:
    """A frame of the layer without rows."""
    import geopandas

    return geopandas.GeoDataFrame({name: [] for name in layer.columns}, geometry=[], crs=crs.STORED)


def _arrow(column) -> pa.Array:
    """One column; mixed objects become texts, which the layer's types then read."""
    try:
        return pa.Array.from_pandas(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if v is None or v != v else str(v) for v in column], pa.string())
