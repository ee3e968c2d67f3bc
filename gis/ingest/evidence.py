"""What an acceptance report needs beside the findings, taken from a load while its rows are staged: how complete each attribute is,
what was delivered
(for the drawing), and the statistics of a job. Nothing is taken unless somebody gathers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np
import shapely
from psycopg2 import sql

from gis.ingest.delivery import Delivery

DRAWN = 60_000
"""At most so many geometries of a layer are drawn; of a larger one every n-th."""


@dataclass
class Completeness:
    """How many of a layer's delivered rows fill a field."""

    layer: str
    field: str
    required: bool
    filled: int
    total: int

    @property
    def share(self) -> float:
        return self.filled / self.total if self.total else 1.0


@dataclass
class Evidence:
    """What was gathered: completeness per field, geometries (shapely, EPSG:4490, two dimensions) per layer, statistics of the job."""

    completeness: list[Completeness] = field(default_factory=list)
    drawn: dict[str, np.ndarray] = field(default_factory=dict)
    statistics: list[dict] = field(default_factory=list)


_current: ContextVar[Evidence | None] = ContextVar("evidence", default=None)


@contextmanager
def gathering() -> Iterator[Evidence]:
    """Loads within this context leave their evidence in what it yields."""
    found = Evidence()
    token = _current.set(found)
    try:
        yield found
    finally:
        _current.reset(token)


def add_statistics(figures: Sequence[dict]) -> None:
    """Figures of accuracy that a job has computed (`gis.analysis.survey_levels.statistic`)."""
    found = _current.get()
    if found is not None:
        found.statistics += figures


def gather(cursor, deliveries: Sequence[Delivery]) -> None:
    """Takes the evidence of staged and rejected rows, where somebody gathers."""
    found = _current.get()
    if found is None:
        return
    for delivery in deliveries:
        layer = delivery.layer
        rows = sql.SQL("(SELECT * FROM {} UNION ALL SELECT * FROM {}) d").format(delivery.place.rows, sql.Identifier(f"aside_{layer.id}"))
        counts = sql.SQL(", ").join(sql.SQL("count({})").format(sql.Identifier(name)) for name in layer.columns)
        cursor.execute(sql.SQL("SELECT count(*), {} FROM {}").format(counts, rows))
        total, *filled = cursor.fetchone()
        for (name, column), n in zip(layer.columns.items(), filled, strict=True):
            found.completeness.append(Completeness(layer.id, name, column.required, n, total))
        every = max(1, -(-total // DRAWN))
        cursor.execute(
            sql.SQL("SELECT ST_AsBinary(ST_Force2D(geom)) FROM {} WHERE geom IS NOT NULL AND src_row %% %s = 0").format(rows), (every,)
        )
        found.drawn[layer.id] = shapely.from_wkb([bytes(row[0]) for row in cursor.fetchall()], on_invalid="ignore")
