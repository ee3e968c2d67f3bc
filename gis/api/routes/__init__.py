"""The paths of the OGC API: each leads to a function of pygeoapi, or to ours where pygeoapi's own is wrong.

One module per part of the API; what is not listed in one of them (STAC, maps, the admin API) is not there.
"""

from gis.api.routes import (
    appearance,
    capabilities,
    changes,
    coverages,
    environment,
    features,
    processes,
    qgis,
    records,
    tile_sets,
    tiles,
    transactions,
    wmts,
)
from gis.api.routes.blueprint import ogc

__all__ = [
    "appearance",
    "capabilities",
    "changes",
    "coverages",
    "environment",
    "features",
    "ogc",
    "processes",
    "qgis",
    "records",
    "tile_sets",
    "tiles",
    "transactions",
    "wmts",
]
