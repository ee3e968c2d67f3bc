"""Where a delivery lies: whether the CRS that it declares can be true for this city, and what more likely is.

Codes: CRS02 the declared CRS cannot be true, CRS03 X was taken as northing, CRS06 displaced as GCJ-02 or BD-09 are
(`gis.ingest.findings` lists all).
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
ALONG_ROADS = ("road", "road_node", "water_pipe", "water_node", "sewer_pipe", "sewer_manhole", "rain_pipe", "gas_pipe", "gas_node",
"heat_pipe", "heat_node",
               "power_line", "power_node", "telecom_line", "telecom_node", "door_plate", "hydrant", "water_valve")  # fmt: skip
"""Layers that follow the streets: their distance to the road network says whether they are displaced."""
_NEAR_M, _FEWEST = 25.0, 40


def implausible(cursor, delivery: Delivery) -> None:
    """A declared CRS that cannot be true is fatal, with the likely truth: more than half of the rows lie outside the city (`CRS02`)."""
    layer, sources, extent = delivery.layer, delivery.sources, delivery.extent
    if extent is None or not sources or sources[0].crs is None:
        return
    cursor.execute(text("outside"), {"layer": layer.id})
    outside = cursor.fetchone()[0]
    if not outside:
        displaced(cursor, delivery)
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


def displaced(cursor, delivery: Delivery) -> None:
    """Rows of a layer that follows the streets, not near the roads that are published, but near them once turned back from GCJ-02 or
    BD-09 (400 to 700 m): a
    warning with the likely truth (`CRS06`). Nothing is said where there are few rows, or roads of another place."""
    layer, declared = delivery.layer, delivery.sources[0].crs
    if layer.id not in ALONG_ROADS or crs.chinese_offset(declared):
        return
    rows = max(1, sum(source.likely_rows for source in delivery.sources))
    where = {"stage": delivery.place.rows, "number": sql.Identifier("src_row")}
    cursor.execute(sql.SQL(text("some_positions")).format(**where), {"share": min(1.0, 600 / rows)})
    places = np.array(cursor.fetchall(), dtype=float).reshape(-1, 2)
    if len(places) < _FEWEST:
        return
    near = {}
    for name, back in (("", None), ("GCJ-02", crs.gcj02_to_wgs84), ("BD-09", crs.bd09_to_wgs84)):
        x, y = places.T if back is None else back(*places.T)
        cursor.execute(text("near_roads"), {"x": x.tolist(), "y": y.tolist(), "metres": _NEAR_M})
        near[name] = cursor.fetchone()[0] / len(places)
        if near[""] > 0.6:
            return
    likely = max(("GCJ-02", "BD-09"), key=near.__getitem__)
    if near[likely] < 0.6 or near[likely] < 1.6 * near[""]:
        return
    findings = Findings()
    findings.add(layer.id, "CRS06", "warning",
    f"{near['']:.0%} of the rows lie within {_NEAR_M:g} m of a road, {near[likely]:.0%} once turned back from {likely}",
                 f"It is likely {likely}: load it with --crs {likely}, or deliver the surveyed coordinates", value=likely)  # fmt: skip
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
