"""The QGIS project of the map, for the caller's role: `/qgis/city.qgz` (`gis.catalog.qgis_project`)."""

from __future__ import annotations

from flask import Response, request

from gis.access.identity import caller
from gis.access.roles import ANONYMOUS, visible_catalog
from gis.api import raster
from gis.api.routes.blueprint import ogc, served_api
from gis.catalog import qgis_project
from gis.catalog.read import catalog

MEDIA = "application/x-qgis-project"


@ogc.get("/qgis/city.qgz")
def project() -> Response:
    """All layers that the caller may see, as he may see them; he logs in with the credentials that his QGIS keeps, as in any project."""
    role = caller.get().role
    seen = visible_catalog(catalog(), role)
    shown = {name: layer for name, layer in seen.layers.items() if not layer.is_raster or raster.is_loaded(name)}
    authcfg = None if role == ANONYMOUS else qgis_project.AUTHCFG
    ways = qgis_project.Ways(served_api().base_url, authcfg, crs=request.args.get("crs", qgis_project.STORED))
    return Response(
        qgis_project.archive(seen.model_copy(update={"layers": shown}), ways),
        content_type=MEDIA,
        headers={"Content-Disposition": 'attachment; filename="city.qgz"', "Cache-Control": "private, no-cache"},
    )
