"""What the pixels of a delivered raster are, and the same made cloud-optimised: both done in the reading process.

`look` and `optimise` run in this very process and must be called through `gis.ingest.sandbox.answer`: a damaged file, or one whose header
claims more than it can hold, then ends its own process and no other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import rasterio.errors

from gis.errors import SourceError
from gis.ingest.wanted import Notes

MAX_PIXELS = 4_000_000_000
"""Pixels × bands that are accepted: a header may claim any size."""
PACKED = 2_000
"""How many times smaller than its pixels a file may be: deflate reaches about 1,030, what is beyond was made to fill a disk."""
SMALL = 1 << 28
"""Bytes of pixels up to which packing is not looked at."""
SAMPLE = 512
_CACHE_MB = 256
"""GDAL's own default is a share of the machine's memory, which may be more than the reading process has."""
_BROKEN = (rasterio.errors.RasterioError, rasterio.errors.CRSError)


def look(path: str, layer: str, bands: list[int]) -> dict:
    """A GeoTIFF as it is: `crs` (WKT, None where it declares none), `bounds`, `notes` on its form, and of a sample of its first band how
    many pixels (`size`) and values (`values`) there are and their `range`. bands: how many the layer takes.

    Raises SourceError where it cannot be read, or claims more pixels than it can hold.
    """
    file, notes, sample = Path(path), Notes(), None
    try:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB), rasterio.open(file, driver="GTiff") as raster:
            _require_plausible_size(file, raster)
            _form(layer, bands, raster, file, notes)
            if not any(note["level"] == "fatal" for note in notes.notes):
                shape = min(raster.height, SAMPLE), min(raster.width, SAMPLE)
                sample = raster.read(1, out_shape=shape, masked=True)
            said = {"crs": None if raster.crs is None else raster.crs.to_wkt(), "bounds": list(raster.bounds), "notes": notes.taken()}
    except _BROKEN:
        raise SourceError(f"{file.name} cannot be read: it is damaged or cut off", remedy="Deliver the complete file") from None
    if sample is None:
        return said
    values = np.ma.masked_invalid(sample).compressed()
    ends = [values.min().item(), values.max().item()] if len(values) else None
    return said | {"size": int(sample.size), "values": len(values), "range": ends}


def _require_plausible_size(path: Path, raster: rasterio.DatasetReader) -> None:
    pixels = raster.width * raster.height * raster.count
    size = sum(raster.width * raster.height * np.dtype(t).itemsize for t in raster.dtypes if not t.startswith("complex_int"))
    if pixels > MAX_PIXELS:
        raise SourceError(
            f"{path.name} claims {raster.width} × {raster.height} × {raster.count} pixels, more than is accepted",
            remedy="Deliver it in tiles",
        )
    if size > SMALL and size > PACKED * path.stat().st_size:
        raise SourceError(
            f"{path.name} claims {size >> 20:,} MB of pixels in a file of {path.stat().st_size >> 10:,} KB: no data can be packed so far",
            remedy="Deliver the data themselves",
        )


def _form(layer: str, wanted: list[int], raster: rasterio.DatasetReader, path: Path, notes: Notes) -> None:
    """Bands, type, grid and the value of missing data."""
    if raster.count not in wanted:
        notes.add(layer, "RAS06", "fatal", f"{path.name} has {raster.count} bands; {layer} has {' or '.join(map(str, wanted))}",
                  "导出所需波段 / Export the bands that are needed", value=str(raster.count))  # fmt: skip
    if any("complex" in kind for kind in raster.dtypes) or len(set(raster.dtypes)) > 1:
        notes.add(layer, "RAS08", "fatal", f"the pixels of {path.name} are of the type {', '.join(sorted(set(raster.dtypes)))}",
                  "转换为同一种实数类型 / Convert them to one type of real numbers", value=raster.dtypes[0])  # fmt: skip
    grid = raster.transform
    if grid.is_identity or grid.b or grid.d or grid.e >= 0 or grid.a <= 0:
        notes.add(layer, "RAS07", "fatal", f"{path.name} has no grid that runs east and south: it is not georeferenced, or turned",
                  "配准并重采样为正北向上 / Georeference it and resample it with north up",
                  value=" ".join(f"{v:g}" for v in grid[:6]))  # fmt: skip
    if raster.nodata is None and layer == "dem":
        notes.add(layer, "RAS02", "warning", f"{path.name} declares no value for missing data",
                  "声明无数据值（如 -9999） / Declare it (for example -9999)")  # fmt: skip


def optimise(path: str, target: str, crs: str | None) -> dict:
    """Writes a cloud-optimised GeoTIFF with overviews to `target`; the values are unchanged. crs: WKT of what it is in, where that is not
    what it says. Raises SourceError where the file cannot be read to its end."""
    from rio_cogeo import cogeo
    from rio_cogeo.profiles import cog_profiles

    file, made, profile = Path(path), Path(target), cog_profiles.get("deflate")
    try:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB), rasterio.open(file, driver="GTiff") as raster:
            profile["predictor"] = 3 if raster.dtypes[0].startswith("float") else 2
            kwargs = {} if crs is None else {"additional_cog_metadata": None}
            cogeo.cog_translate(raster, made, profile, quiet=True, in_memory=False, nodata=raster.nodata,
                          overview_resampling="average" if raster.count == 1 else "bilinear", **kwargs)  # fmt: skip
        if crs is not None:
            with rasterio.open(made, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
                raster.crs = rasterio.crs.CRS.from_wkt(crs)
    except _BROKEN:
        raise SourceError(f"{file.name} cannot be read to its end", remedy="Deliver the complete file") from None
    return {}
