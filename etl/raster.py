"""Rasters (elevation, images): checked, and kept as a cloud-optimised GeoTIFF with overviews under the home; recorded as a batch."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import rasterio
import rasterio.errors
from rasterio.warp import transform_bounds
from rio_cogeo.cogeo import cog_translate
from rio_cogeo.profiles import cog_profiles

from gis import crs as reference
from gis.catalog.model import Catalog, Layer
from gis.db.connection import owner
from gis.errors import InputError, SourceError
from gis.ingest import check, sources
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, Rejected, begin, lock, silent
from gis.ingest.publish import Outcome
from gis.ingest.read import format_of
from gis.ingest.statements import text
from gis.settings import settings

MAX_PIXELS = 4_000_000_000
"""Pixels × bands that are accepted: a header may claim any size."""


def load(
    catalog: Catalog, layer_id: str, path: Path | str, *, crs: str | int | None = None, operator: str | None = None, dry_run: bool = False,
    progress=silent,
) -> LoadResult:  # fmt: skip
    """Loads a GeoTIFF into a raster layer: `raster/<layer>.tif` in the home is replaced in one step.

    Raises SourceError (unreadable, no CRS), InputError (no raster layer), Rejected (outside the city, no values).
    """
    layer, path, begun = catalog.layer(layer_id), Path(path), time.monotonic()
    if not layer.is_raster:
        raise InputError(f"{layer_id} is no raster layer", remedy=f"Use `onemap load {layer_id} FILE`")
    if format_of(path) != "tiff":
        raise SourceError(f"{path.name} is no GeoTIFF", remedy="Deliver a GeoTIFF")
    findings = inspect(layer, path, catalog.city.extent, crs)
    file = sources.digest(path)
    with owner() as connection, connection.cursor() as cursor:
        lock(cursor, [layer_id], progress)
        batch = begin(cursor, path.name, [file], "replace", operator)
        cursor.execute(text("found"))
        check.keep(cursor, findings)
        cursor.execute(text("keep_file_findings"), {"batch": batch, "layer": layer_id})
        counts = findings.counts()
        fatal = findings.frame().query("level == 'fatal'")["message"]
        if len(fatal):
            reason = f"refused: {fatal.iloc[0]}"
            cursor.execute(
                "UPDATE meta.batch SET status = 'rejected', finished_at = clock_timestamp(), message = %s WHERE id = %s", (reason, batch)
            )
            outcome = Outcome(layer_id, None, 1, 0, 1)
            cursor.execute(text("batch_layers"), {"batch": batch} | vars(outcome))
            connection.commit()
            raise Rejected(reason, LoadResult(batch, 1, 0, 1, counts, time.monotonic() - begun, "rejected", [outcome]))
        connection.commit()
        target = settings().home / "raster" / f"{layer_id}.tif"
        progress(f"overviews of {layer_id}", 0, None)
        same = _published_already(cursor, layer_id, file.sha256) and target.exists()
        outcome = Outcome(layer_id, None, 1, 1, 0, updated=int(not same), unchanged=int(same))
        partial = target if same else optimised(path, target.with_suffix(f".{os.getpid()}.partial.tif"), crs)
        try:
            if dry_run:
                cursor.execute("UPDATE meta.batch SET status = 'dry_run', finished_at = clock_timestamp() WHERE id = %s", (batch,))
            else:
                cursor.execute(text("record_batch"), {"batch": batch})
                for kept in sources.keep([file]):
                    cursor.execute(
                        "INSERT INTO meta.source (sha256, name, bytes) VALUES (%s, %s, %s) ON CONFLICT (sha256) DO NOTHING",
                        (kept.sha256, kept.name, kept.bytes),
                    )
            cursor.execute(text("batch_layers"), {"batch": batch} | vars(outcome))
            if not dry_run and not same:
                partial.replace(target)
            connection.commit()
        finally:
            if not same:
                partial.unlink(missing_ok=True)
    return LoadResult(batch, 1, 1, 0, counts, time.monotonic() - begun, "dry_run" if dry_run else "published", [outcome])


def _published_already(cursor, layer_id: str, sha256: str) -> bool:
    """Whether the layer's last published batch was this very file."""
    cursor.execute(text("last_source"), {"layer": layer_id})
    row = cursor.fetchone()
    return row is not None and row[0] == sha256


def inspect(layer: Layer, path: Path, extent: tuple[float, float, float, float], crs: str | int | None = None) -> Findings:
    """What is wrong with a GeoTIFF: no values, wrong place, no nodata value. Raises SourceError where it cannot be read at all."""
    findings = Findings()
    try:
        with rasterio.open(path, driver="GTiff") as raster:
            if raster.crs is None and crs is None:
                raise SourceError(f"{path.name} declares no coordinate reference system", remedy="Give it with --crs")
            if raster.width * raster.height * raster.count > MAX_PIXELS:
                raise SourceError(
                    f"{path.name} claims {raster.width} × {raster.height} pixels, more than is accepted", remedy="Deliver it in tiles"
                )
            declared = crs if crs is not None else raster.crs.to_wkt()
            reference.require_known_datum(declared)
            west, south, east, north = transform_bounds(reference.crs(declared).to_wkt(), f"EPSG:{reference.STORED}", *raster.bounds)
            sample = raster.read(1, out_shape=(min(raster.height, 512), min(raster.width, 512)), masked=True)
            if raster.nodata is None and layer.id == "dem":
                findings.add(
                    layer.id, "RAS02", "warning", f"{path.name} declares no value for missing data", "Declare it (for example -9999)"
                )
    except (rasterio.errors.RasterioError, rasterio.errors.CRSError):
        raise SourceError(f"{path.name} cannot be read: it is damaged or cut off", remedy="Deliver the complete file") from None
    if west > extent[2] or east < extent[0] or south > extent[3] or north < extent[1]:
        findings.add(layer.id, "RAS01", "fatal", f"{path.name} lies outside the city", "Check its CRS",
                     value=f"{west:.4f} {south:.4f} {east:.4f} {north:.4f}")  # fmt: skip
    elif west > extent[0] or east < extent[2] or south > extent[1] or north < extent[3]:
        findings.add(
            layer.id, "RAS03", "info", f"{path.name} covers only a part of the city", value=f"{west:.4f} {south:.4f} {east:.4f} {north:.4f}"
        )
    values = np.ma.masked_invalid(sample).compressed()
    if not len(values):
        findings.add(layer.id, "RAS04", "fatal", f"{path.name} holds no values", "Deliver the data")
    elif layer.id == "dem" and (values.min() < -500 or values.max() > 9000):
        findings.add(layer.id, "RAS05", "warning", f"{path.name} has heights that do not occur", "Check the value for missing data",
                     value=f"{values.min()} … {values.max()}")  # fmt: skip
    return findings


def optimised(path: Path, target: Path, crs: str | int | None = None) -> Path:
    """Writes a cloud-optimised GeoTIFF with overviews beside `target`'s final place and answers where; the values are unchanged."""
    target.parent.mkdir(parents=True, exist_ok=True)
    profile = cog_profiles.get("deflate")
    try:
        with rasterio.open(path, driver="GTiff") as raster:
            profile["predictor"] = 3 if raster.dtypes[0].startswith("float") else 2
            kwargs = {} if crs is None else {"additional_cog_metadata": None}
            cog_translate(raster, target, profile, quiet=True, in_memory=False, nodata=raster.nodata,
                          overview_resampling="average" if raster.count == 1 else "bilinear", **kwargs)  # fmt: skip
        if crs is not None:
            with rasterio.open(target, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as made:
                made.crs = rasterio.crs.CRS.from_wkt(reference.crs(crs).to_wkt())
    except (rasterio.errors.RasterioError, rasterio.errors.CRSError):
        target.unlink(missing_ok=True)
        raise SourceError(f"{path.name} cannot be read to its end", remedy="Deliver the complete file") from None
    return target
