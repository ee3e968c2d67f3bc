"""Where a delivery lies: whether the CRS that it declares can be true for this city, and what more likely is.

Codes: CRS02 the declared CRS cannot be true, CRS03 X was taken as northing (`gis.ingest.findings` lists all).
"""

from __future__ import annotations

import numpy as np
import shapely
from psycopg2 import sql

from gis import crs
from gis.catalog.model import Layer
from gis.ingest import wkb
from gis.ingest.check import keep
from gis.ingest.delivery import Delivery
from gis.ingest.findings import Findings
from gis.ingest.read import Source
from gis.ingest.stage import suspects
from gis.ingest.statements import text

Extent = tuple[float, float, float, float]


def implausible(cursor, delivery: Delivery) -> None:
    """A declared CRS that cannot be true is fatal, with the likely truth: more than half of the rows lie outside the city (`CRS02`)."""
    layer, sources, extent = delivery.layer, delivery.sources, delivery.extent
    if extent is None or not sources or sources[0].crs is None:
        return
    cursor.execute(text("outside"), {"layer": layer.id})
    outside = cursor.fetchone()[0]
    if not outside:
        return
    cursor.execute(sql.SQL(text("positions")).format(stage=delivery.place.rows, suspects=suspects(layer).rows))
    total, lon, lat = cursor.fetchone()
    if not total or outside <= total / 2:
        return
    findings, declared = Findings(), sources[0].crs
    truth = None
    if crs.chinese_offset(declared) is None:
        x, y = crs.transform(np.array(lon), np.array(lat), crs.STORED, declared)
        truth = crs.likely_truth(x, y, declared, extent)
    remedy = (
        f"It is likely {truth}: check, then give it with --crs"
        if truth and "swapped" not in truth
        else ("The axes are likely swapped: survey X is northing" if truth else "Give the right one with --crs")
    )
    findings.add(layer.id, "CRS02", "fatal", f"{outside} of {total} rows lie outside the city: the CRS cannot be true", remedy, value=truth)
    keep(cursor, findings)


def axes_swapped(layer: Layer, source: Source, extent: Extent | None) -> bool:
    """Whether columns X and Y of a table are northing and easting, as survey tables mean them: so they lie in the city, and not otherwise.
    That is reported (`CRS03`), not guessed."""
    if not source.survey_axes or extent is None or source.crs is None or crs.chinese_offset(source.crs):
        return False
    first = source.peek()
    if first is None or first.geometry is None:
        return False
    geometry, _ = wkb.shapes(first.geometry.drop_null()[:2000])
    bounds = shapely.bounds(geometry[~shapely.is_missing(geometry)])
    if not len(bounds) or crs.likely_truth(bounds[:, 0], bounds[:, 1], source.crs, extent) != "swapped axes":
        return False
    source.findings.add(layer.id, "CRS03", "info", f"{source.name}: X was taken as northing and Y as easting, as in survey tables")
    return True
