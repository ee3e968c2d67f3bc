"""OpenStreetMap extracts (.osm.pbf) through GDAL, layer by layer, in the reading process.

GDAL keeps the positions of nodes in a file of its own where there are many, so that the memory does not grow with the extract.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyogrio
from pyogrio.raw import open_arrow

from gis.errors import SourceError
from gis.ingest.read import BATCH, Batch, Source
from gis.ingest.vector import UNREADABLE, unreadable
from gis.ingest.wanted import Notes, Wanted

LAYERS = ("points", "lines", "multilinestrings", "multipolygons")
"""GDAL's layers of an extract: nodes with tags, open ways, relations of lines, areas."""


def open_extract(path: Path, layer: Wanted, *, source_layer: str | None, scratch: Path | None) -> Source:
    """Opens one of GDAL's layers of an extract; positions are WGS 84. See `gis.ingest.read.open_source`."""
    name = layer.choice(path.name, LAYERS, source_layer, "layers")
    if scratch is not None:
        pyogrio.set_gdal_config_options({"CPL_TMPDIR": str(scratch)})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fields = [str(field) for field in pyogrio.read_info(path, layer=name)["fields"]]
    except UNREADABLE:
        raise unreadable(path) from None
    return Source(
        name=path.name, path=path, format="osm", columns=tuple(fields), crs="OGC:CRS84", crs_declared=True, encoding="UTF-8", count=None,
        findings=Notes(), batches=lambda: _batches(path, name), layer_name=name, parts=(path,),
    )  # fmt: skip


def _batches(path: Path, name: str) -> Iterator[Batch]:
    """The features in order, numbered from 1. A geometry that GDAL could not make is null."""
    done = 0
    try:
        with warnings.catch_warnings(), open_arrow(path, layer=name, use_pyarrow=True, batch_size=BATCH // 4) as (meta, reader):
            warnings.simplefilter("ignore")
            column = meta["geometry_name"] or "wkb_geometry"
            for record in reader:
                table = pa.Table.from_batches([record])
                geometry = table.column(column).combine_chunks().cast(pa.binary())
                yield Batch(table.drop_columns([column]), np.arange(done + 1, done + len(record) + 1), geometry)
                done += len(record)
    except UNREADABLE as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path.name} cannot be read: it is damaged or cut off", remedy="Fetch the extract again") from None
