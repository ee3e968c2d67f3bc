"""A folder of source files as one delivery: which file is which layer's, and in which order they are read."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from etl import observation
from etl.city.observations import FILE
from gis.catalog.model import Catalog, Layer
from gis.errors import InputError
from gis.ingest.load import Delivery, LoadResult, silent
from gis.ingest.load import load as load_delivery
from gis.ingest.read import open_source

READABLE = {".gpkg", ".shp", ".geojson", ".csv", ".tif", ".tiff"}


def ordered(catalog: Catalog) -> list[Layer]:
    """The layers so that each comes after those that its fields refer to."""
    done: dict[str, Layer] = {}

    def visit(layer: Layer, above: tuple[str, ...]) -> None:
        if layer.id in done or layer.id in above:
            return
        for column in layer.fields.values():
            if column.references:
                visit(catalog.layers[column.references.split(".")[0]], (*above, layer.id))
        done[layer.id] = layer

    for layer in catalog.layers.values():
        visit(layer, ())
    return list(done.values())


def files_of(layer: Layer, folder: Path) -> list[Path]:
    """The readable files of a folder whose names fit the layer's patterns, the first pattern that fits any."""
    names = sorted(p for p in folder.iterdir() if p.suffix.lower() in READABLE)
    for pattern in layer.source.files:
        found = [p for p in names if fnmatch(p.name, pattern)]
        if found:
            return found
    return []


def load(catalog: Catalog, folder: Path, *, dry_run: bool = False, progress=silent) -> list[LoadResult]:
    """Load all files of a folder: the vector layers as one delivery, all or nothing, then each raster, then what sensors observed.

    Raises InputError (no such folder, nothing in it that a layer knows), SourceError, DataError, StoreError.
    """
    if not folder.is_dir():
        raise InputError(f"{folder.name!r} is no folder", remedy="Make one with `onemap city make --out DIR`")
    found = {layer.id: files_of(layer, folder) for layer in ordered(catalog)}
    found = {layer_id: paths for layer_id, paths in found.items() if paths}
    if not found:
        raise InputError(f"no file in {folder.name!r} bears the name of a layer", remedy="See `onemap layers show ID`: source, files")
    deliveries = [
        Delivery(catalog.layers[k], [open_source(p, catalog.layers[k]) for p in paths], extent=catalog.city.extent)
        for k, paths in found.items()
        if not catalog.layers[k].is_raster
    ]
    results = [load_delivery(deliveries, dry_run=dry_run, progress=progress)] if deliveries else []
    rasters = [(k, paths) for k, paths in found.items() if catalog.layers[k].is_raster]
    if rasters:
        from etl import raster

        results += [raster.load(catalog, k, path, dry_run=dry_run, progress=progress) for k, paths in rasters for path in paths]
    if (folder / FILE).is_file() and not dry_run:  # in a dry run the sensors are not there any more
        results.append(observation.load([folder / FILE], progress=progress))
    return results
