"""Where a survey lies: X is the northing, Y the easting; which CRS they are in, and whether that can be true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from etl.pipe_survey_layers import node_layer
from etl.pipe_survey_tables import Tables
from gis import crs as reference
from gis.catalog.model import Catalog
from gis.errors import SourceError
from gis.ingest.findings import Findings


@dataclass(frozen=True)
class Place:
    """The CRS of a survey: `source` as delivered, `working` (metres) in which it is checked, `swapped` where X held the easting."""

    source: str
    working: str
    swapped: bool = False

    def metric(self, east: np.ndarray, north: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Delivered coordinates in metres, east before north."""
        east, north = (north, east) if self.swapped else (east, north)
        if reference.chinese_offset(self.source) or reference.is_geographic(self.source):
            return reference.transform(east, north, self.source, self.working)
        return east, north

    @property
    def metres(self) -> str:
        """The CRS of what `metric` answers."""
        offset = reference.chinese_offset(self.source)
        return self.working if offset or reference.is_geographic(self.source) else self.source

    def degrees(self, east: np.ndarray, north: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Metres as longitude and latitude (EPSG:4490); what has no position stays NaN."""
        lon, lat = reference.transform(east, north, self.metres)
        known = np.isfinite(east) & np.isfinite(north) & np.isfinite(lon) & np.isfinite(lat)
        return np.where(known, lon, np.nan), np.where(known, lat, np.nan)


def placed(points: pd.DataFrame, lines: pd.DataFrame, found: Tables, catalog: Catalog, asked: str | None, findings: Findings) -> Place:
    """Finds the CRS and sets `east`, `north` (metres), `lon`, `lat` of the points, and the ends' own positions of the lines likewise.

    A CRS that is asked for or declared is kept unless it cannot be true (CRS02, fatal, with the likely truth). Without one, it is the
    CGCS2000 zone or the degrees
    in which the points lie in the city (CRS01). X holding the easting is reported (CRS05) and turned.
    """
    degrees = points["east"].isna().all() and points["lon"].notna().any()
    x, y = (points[c].to_numpy(dtype=float) for c in (("lon", "lat") if degrees else ("east", "north")))
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise SourceError("no point of the survey has a position", remedy="Give the columns X (northing) and Y (easting)")
    layer = str(node_layer(points["category"].iloc[:1])[0])
    declared = asked or next((t.crs for t in found.points if t.crs), None) or (f"EPSG:{reference.STORED}" if degrees else None)
    place = _where(x[known], y[known], declared, catalog, layer, findings)
    points["east"], points["north"] = place.metric(x, y)
    points["lon"], points["lat"] = place.degrees(points["east"].to_numpy(), points["north"].to_numpy())
    for end in ("start", "end"):
        if f"{end}_east" in lines and f"{end}_north" in lines:
            lines[f"{end}_east"], lines[f"{end}_north"] = place.metric(lines[f"{end}_east"].to_numpy(), lines[f"{end}_north"].to_numpy())
        else:
            for name in {f"{end}_east", f"{end}_north"} & set(lines.columns):
                del lines[name]
    return place


def _where(x: np.ndarray, y: np.ndarray, declared: str | None, catalog: Catalog, layer: str, findings: Findings) -> Place:
    city = catalog.city
    source = reference.known_datum(str(declared or city.working_crs), city.shifts)
    if declared is not None and source != str(declared):
        findings.add(
            layer, "CRS07", "info", f"{_short(str(declared))} was brought to CGCS2000 by the city's parameters", value=str(declared)[:80]
        )
    if reference.chinese_offset(source):
        findings.add(layer, "CRS04", "warning", f"positions were turned back from {source}: not survey grade", value=source)
        return Place(source, city.working_crs)
    truth = reference.likely_truth(x, y, source, city.extent)
    swapped = truth is not None and "swapped axes" in truth
    likely = source if truth in (None, "swapped axes") else truth.removesuffix(" with swapped axes")
    if declared is None:
        findings.add(
            layer,
            "CRS01",
            "info",
            f"no CRS is declared; X as northing and Y as easting lie in the city in {likely}: taken as that",
            value=likely,
        )
    elif likely != source:
        findings.add(layer, "CRS02", "fatal", f"the points do not lie in the city in {_short(source)}",
        f"It is likely {truth}: check, then give it with --crs",
                     value=truth)  # fmt: skip
    if swapped:
        findings.add(layer, "CRS05", "warning", "X holds the easting and Y the northing, against survey practice: they were exchanged",
                     "Deliver X as northing", value=truth)  # fmt: skip
    return Place(likely, city.working_crs, swapped)


def _short(crs: str) -> str:
    return crs if len(crs) < 40 else reference.crs(crs).name
