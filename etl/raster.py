"""Rasters (elevation, images): checked, and kept as a cloud-optimised GeoTIFF with overviews under the home; recorded as a batch."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import rasterio.errors
from rasterio.warp import transform_bounds

from gis import crs as reference
from gis.catalog.model import Catalog, Layer
from gis.db.connection import owner
from gis.errors import InputError, SourceError, StoreError
from gis.ingest import check, rasters, sandbox, sources
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, Rejected, begin, lock, silent
from gis.ingest.publish import Outcome
from gis.ingest.read import format_of
from gis.ingest.statements import text
from gis.ingest.wanted import write_down
from gis.settings import settings

BANDS = {"dem": (1,)}
"""Bands that a layer takes; images take a grey band, three colours, or three and one of transparency."""
IMAGE_BANDS = (1, 3, 4)


def load(
    catalog: Catalog, layer_id: str, path: Path | str, *, crs: str | int | None = None, operator: str | None = None, dry_run: bool = False,
    progress=silent,
) -> LoadResult:  # fmt: skip
    """Loads a GeoTIFF into a raster layer: what `raster/<layer>.tif` in the home shows is replaced in one step; see `gis.ingest.rasters`.

    Raises SourceError (unreadable, no CRS, a bomb), InputError (no raster layer), Rejected (outside the city, wrong bands, no values).
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
        rasters.settle(cursor, [layer_id])
        batch = begin(cursor, path.name, [file], "replace", operator)
        cursor.execute(text("found"))
        check.keep(cursor, findings)
        cursor.execute(text("keep_file_findings"), {"batch": batch, "layer": layer_id})
        counts = findings.counts()
        fatal = findings.frame().query("level == 'fatal'")["message"]
        if len(fatal):
            raise _refused(connection, cursor, batch, layer_id, f"refused: {fatal.iloc[0]}", counts, begun)
        connection.commit()
        try:
            outcome = _publish(cursor, batch, layer_id, path, file, crs, dry_run, progress)
        except (SourceError, StoreError) as error:
            connection.rollback()
            _fail(cursor, batch, str(error))
            connection.commit()
            raise
        connection.commit()
        rasters.settle(cursor, [layer_id])
        rasters.tidy(cursor, layer_id)
    return LoadResult(batch, 1, 1, 0, counts, time.monotonic() - begun, "dry_run" if dry_run else "published", [outcome])


def _refused(connection, cursor, batch: int, layer_id: str, reason: str, counts: dict[str, int], begun: float) -> Rejected:
    """The batch is refused; what to raise."""
    cursor.execute(
        "UPDATE meta.batch SET status = 'rejected', finished_at = clock_timestamp(), message = %s WHERE id = %s", (reason, batch)
    )
    outcome = Outcome(layer_id, None, 1, 0, 1)
    cursor.execute(text("batch_layers"), {"batch": batch} | vars(outcome))
    connection.commit()
    return Rejected(reason, LoadResult(batch, 1, 0, 1, counts, time.monotonic() - begun, "rejected", [outcome]))


def _fail(cursor, batch: int, message: str) -> None:
    cursor.execute(
        "UPDATE meta.batch SET status = 'failed', finished_at = clock_timestamp(), message = %s WHERE id = %s", (message[:1000], batch)
    )


def _publish(cursor, batch: int, layer_id: str, path: Path, file: sources.Kept, crs, dry_run: bool, progress) -> Outcome:
    """Makes the optimised file (also in a dry run: only then is it known that the source can be read to its end) and records the batch; the
    caller commits. A file that is shown already is not made again."""
    given = None if crs is None else str(crs)
    shown = rasters.believed(cursor, layer_id)
    same = shown is not None and (shown.source, shown.crs) == (file.sha256, given) and rasters.link(layer_id).exists()
    outcome = Outcome(layer_id, None, 1, 1, 0, updated=int(not same), unchanged=int(same))
    if not same:
        _require_room(path)
        progress(f"overviews of {layer_id}", 0, None)
        with rasters.partial(layer_id) as partial:
            size = rasters.optimised(path, partial, crs).stat().st_size
            digest = None if dry_run else rasters.keep(partial, layer_id)
    if dry_run:
        cursor.execute("UPDATE meta.batch SET status = 'dry_run', finished_at = clock_timestamp() WHERE id = %s", (batch,))
    else:
        cursor.execute(text("record_batch"), {"batch": batch})
        if not same:
            rasters.record(cursor, batch, layer_id, digest, size, given)
        for kept in sources.keep([file]):
            cursor.execute(
                "INSERT INTO meta.source (sha256, name, bytes) VALUES (%s, %s, %s) ON CONFLICT (sha256) DO NOTHING",
                (kept.sha256, kept.name, kept.bytes),
            )
    cursor.execute(text("batch_layers"), {"batch": batch} | vars(outcome))
    return outcome


def _require_room(path: Path) -> None:
    """Raises StoreError where the disk has no room for the optimised file beside the present one."""
    settings().home.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(settings().home).free < 2 * path.stat().st_size + (64 << 20):
        raise StoreError(f"there is no room on the disk for {path.name}", remedy="Make room in the home folder; nothing was changed")


def inspect(layer: Layer, path: Path, extent: tuple[float, float, float, float], crs: str | int | None = None) -> Findings:
    """What is wrong with a GeoTIFF: bands, types, place, missing data, values. Raises SourceError where it cannot be read at all, or claims
    more pixels than it can hold."""
    findings = Findings()
    said = sandbox.answer("gis.ingest.pixels:look", path, layer=layer.id, bands=list(BANDS.get(layer.id, IMAGE_BANDS)))
    if said["crs"] is None and crs is None:
        raise SourceError(f"{path.name} declares no coordinate reference system", remedy="Give it with --crs")
    declared = crs if crs is not None else said["crs"]
    reference.require_known_datum(declared)
    write_down(said["notes"], findings)
    if "size" not in said:
        return findings
    try:
        box = transform_bounds(reference.crs(declared).to_wkt(), f"EPSG:{reference.STORED}", *said["bounds"])
    except (rasterio.errors.RasterioError, rasterio.errors.CRSError):
        raise SourceError(f"{path.name} cannot be read: it is damaged or cut off", remedy="Deliver the complete file") from None
    _place(layer, path, box, extent, findings)
    _values(layer, path, said, findings)
    return findings


def _place(layer: Layer, path: Path, box, extent, findings: Findings) -> None:
    west, south, east, north = box
    value = f"{west:.4f} {south:.4f} {east:.4f} {north:.4f}"
    if not np.isfinite(box).all() or west > extent[2] or east < extent[0] or south > extent[3] or north < extent[1]:
        findings.add(layer.id, "RAS01", "fatal", f"{path.name} lies outside the city", "核对坐标系 / Check its CRS", value=value)
    elif west > extent[0] or east < extent[2] or south > extent[1] or north < extent[3]:
        findings.add(layer.id, "RAS03", "info", f"{path.name} covers only a part of the city", value=value)


def _values(layer: Layer, path: Path, said: dict, findings: Findings) -> None:
    if not said["values"]:
        findings.add(layer.id, "RAS04", "fatal", f"{path.name} holds no values", "提交有数据的文件 / Deliver the data")
        return
    missing, (least, most) = 1 - said["values"] / said["size"], said["range"]
    if missing > 0.2:
        findings.add(layer.id, "RAS09", "info", f"{missing:.0%} of {path.name} has no values", "核对范围 / Check the area that it covers",
                     value=f"{missing:.2f}")  # fmt: skip
    if layer.id == "dem" and (least < -500 or most > 9000):
        findings.add(layer.id, "RAS05", "warning", f"{path.name} has heights that do not occur",
                     "核对无数据值 / Check the value for missing data", value=f"{least} … {most}")  # fmt: skip
