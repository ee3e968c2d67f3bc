"""What is done to each batch of a source before it reaches the database: mapped, sieved, encoded. It needs no database and no file, so
any thread or machine can do it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gis.catalog.model import Catalog, Layer
from gis.catalog.sieve import Sieve
from gis.ingest import map as mapping
from gis.ingest import stage, wkb
from gis.ingest.findings import Findings
from gis.ingest.read import Batch


@dataclass
class Treated:
    """A batch ready to be copied: the encoded rows that no check can speak against and those that one may; the findings of its mapping
    (rows numbered within the source); the distinct values of each field that refers to another layer."""

    rows: int
    clean: list[memoryview | bytes]
    suspects: list[memoryview | bytes]
    findings: Findings
    referred: dict[str, pa.Array] = field(default_factory=dict)


@dataclass
class Treatment:
    """How the batches of one source become rows of one layer. `before` rows of other sources came earlier. `but`: see `Sieve`."""

    layer: Layer
    catalog: Catalog
    reading: mapping.Reading
    how: mapping.Mapping
    place: stage.Place
    swapped: bool = False
    before: int = 0
    but: frozenset[str] = frozenset()

    @cached_property
    def sieve(self) -> Sieve:
        return Sieve(self.layer, self.catalog, self.but)

    @cached_property
    def referring(self) -> list[str]:
        """The fields whose distinct values are worth gathering: references that no scope narrows."""
        found = []
        for name, column in self.layer.columns.items():
            target = self.catalog.layers.get((column.references or "").partition(".")[0])
            if target is not None and not (target.scope and target.scope in self.layer.columns):
                found.append(name)
        return found

    def __call__(self, batch: Batch) -> Treated:
        """One batch treated."""
        findings = Findings()
        made = mapping.mapped(self.layer, self.reading, self.how, batch, findings, swapped=self.swapped)
        made.numbers = made.numbers + self.before
        bad = self._suspects(made)
        waiting = stage.suspects(self.layer)
        done = Treated(len(made.numbers), [], [], findings)
        for part, place, into in ((~bad, self.place, done.clean), (bad, waiting, done.suspects)):
            if part.any():
                chosen = made if part.all() else made.cut(part)
                into += [stage.encoded(self.layer, p, place) for p in stage.parts(chosen)]
        for name in self.referring:
            done.referred[name] = pc.drop_null(pc.unique(wkb.whole(made.rows.column(name))))
        return done

    def _suspects(self, made: mapping.Mapped) -> np.ndarray:
        columns = {n: wkb.whole(made.rows.column(n)) for n in self.layer.columns}
        found = self.sieve.suspects(columns, len(made.numbers))
        points = wkb.coordinates(made.geometry) if self.layer.dimension == 0 else None
        if points is not None:
            return found | self.sieve.misplaced_points(points[0], points[1])
        return found | self.sieve.misplaced(made.shapes())
