"""Which rows of a delivery the checks of their layer may speak against: a superset, found in Arrow; the SQL of the checks judges them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import shapely

from gis.catalog import checks, predicate
from gis.catalog.condition import columns as columns_of
from gis.catalog.condition import parsed
from gis.catalog.model import Catalog, Layer

_TYPES = {0: 0, 1: 1, 2: 6}
"""The type (GEOS) of a stored geometry by its dimension."""


class Sieve:
    """The row checks of one layer, ready for many batches. `but` names columns that will take their values from core: every row
    may be bad by a check that compares one of them with another column."""

    def __init__(self, layer: Layer, catalog: Catalog | None = None, but: frozenset[str] = frozenset()):
        self.layer, self.but = layer, but
        self.extent = (catalog or checks.read_catalog()).city.extent
        self.conditions = [parsed(c.sql) for c in checks.of(layer, catalog) if c.kind == "row" and c.field != "geom"]
        # What is taken from core whole has passed its checks; what is compared with it has not.
        self.mixed = [bool(named & but) and not named <= but for named in map(columns_of, self.conditions)]

    def suspects(self, columns: Mapping[str, pa.Array], n: int) -> np.ndarray:
        """The rows (n,) that a check of their values may catch. columns: the layer's, of its types (`gis.ingest.map`)."""
        rows = predicate.Rows(columns, n)
        part = predicate.Rows({k: v for k, v in columns.items() if k not in self.but}, n) if self.but else rows
        found = np.zeros(n, bool)
        for condition, is_mixed in zip(self.conditions, self.mixed, strict=True):
            found |= (part if is_mixed else rows).may_be(condition)
        return found

    def misplaced_points(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The points (n,), degrees, NaN where missing, that a check of geometry may catch."""
        west, south, east, north = self.extent
        return ~((x >= west) & (x <= east) & (y >= south) & (y <= north))

    def misplaced(self, shapes: np.ndarray) -> np.ndarray:
        """The geometries (n,), degrees, None where missing, that a check of geometry may catch."""
        west, south, east, north = self.extent
        x0, y0, x1, y1 = shapely.bounds(shapes).T
        good = (x0 >= west) & (y0 >= south) & (x1 <= east) & (y1 <= north)
        good &= (shapely.get_type_id(shapes) == _TYPES[self.layer.dimension]) & ~shapely.is_empty(shapes)
        if self.layer.dimension:
            size = shapely.length(shapes)
            good &= np.isfinite(size) & (size > 0)
        if self.layer.dimension == 2 and good.any():
            good[good] = shapely.is_valid(shapes[good])
        return ~good
