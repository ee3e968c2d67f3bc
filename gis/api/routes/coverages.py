"""Coverages: the cells of a raster."""

from __future__ import annotations

from flask import Response, request

from gis import crs as systems
from gis.api import coverage as coverages
from gis.api.routes.blueprint import cache_control, ogc, provider_of, served_api
from gis.api.serialize import json_bytes
from gis.errors import InputError

_COVERAGE_TAKES = (
    "f", "lang", "crs", "bbox", "bbox-crs", "subset", "properties", "scale-factor", "scale-size", "scale-axes",
    "scaleFactor", "scaleSize", "scaleAxes",
)  # fmt: skip
"""The last three are names before the standard: GDAL asks so."""


@ogc.get("/collections/<name>/coverage")
def coverage(name: str) -> Response:
    """The cells of a raster, or of the part in an area: a GeoTIFF, or CoverageJSON by f=json; a browser is led to the collection."""
    provider = provider_of(name, "coverage")
    unknown = set(request.args) - set(_COVERAGE_TAKES)
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(_COVERAGE_TAKES))
    wanted = request.args.get("f") or ("json" if request.accept_mimetypes.best == coverages.COVERAGE_JSON else "GTiff")
    if wanted == "html":
        return Response(status=303, headers={"Location": f"{served_api().base_url}/collections/{name}?f=html"})
    if wanted not in ("json", "GTiff"):
        raise InputError(f"format {wanted[:40]!r} is not offered here", where="f", remedy="One of GTiff, json")
    area = (request.args.get(parameter) for parameter in ("bbox", "bbox-crs", "subset"))
    older = {"scale-factor": "scaleFactor", "scale-size": "scaleSize", "scale-axes": "scaleAxes"}
    scale = coverages.scale_of(*(request.args.get(name, request.args.get(before)) for name, before in older.items()))
    degrees, bands = provider.is_in_degrees(request.args.get("crs")), provider.bands(request.args.get("properties"))
    cells = provider.cut(coverages.box_of(*area), bands, wanted == "json", scale, degrees=degrees)
    headers = {"Cache-Control": cache_control(provider.layer)}
    if degrees:
        headers["Content-Crs"] = f"<{systems.CRS84}>"
    if wanted == "json":
        return Response(json_bytes(cells), content_type=coverages.COVERAGE_JSON, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{name}.tif"'
    return Response(cells, content_type=coverages.TIFF, headers=headers)
