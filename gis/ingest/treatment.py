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
from gis.ingest import changes as changing
from gis.ingest import map as mapping
from gis.ingest import stage, values, wkb
from gis.ingest.changes import Changes
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
    changes: list[memoryview | bytes] = field(default_factory=list)
    """Operations and versions of a change set's rows, encoded."""
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
    changes: Changes = field(default_factory=Changes)

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
        done = Treated(len(made.numbers), [], [], findings)
        retired = self._changes(batch, made, done) if self.changes.columns else None
        bad = self._suspects(made)
        if retired is not None and retired.any():  # of a row to be retired only the key counts
            bad &= ~retired
            made.geometry = pc.if_else(pa.array(retired), pa.scalar(None, pa.binary()), made.geometry)
        waiting = stage.suspects(self.layer)
        for part, place, into in ((~bad, self.place, done.clean), (bad, waiting, done.suspects)):
            if part.any():
                chosen = made if part.all() else made.cut(part)
                into += [stage.encoded(self.layer, p, place) for p in stage.parts(chosen)]
        for name in self.referring:
            done.referred[name] = pc.drop_null(pc.unique(wkb.whole(made.rows.column(name))))
        return done

    def _changes(self, batch: Batch, made: mapping.Mapped, done: Treated) -> np.ndarray:
        """Takes down what each row says of itself; answers which rows are to be retired."""
        n = len(made.numbers)
        operation, version = pa.nulls(n, pa.string()), pa.nulls(n, pa.string())
        if self.changes.operation is not None:
            column = batch.rows.column(self.changes.operation)
            operation, unknown = changing.operations(column)
            if unknown.any():
                done.findings.extend(
                    self.layer.id, "CHG01", "error", "the operation is none of insert, modify, retire",
                    "Write I, U or D (新增, 修改, 删除)", rows=batch.numbers[unknown], field=self.changes.operation,
                    values=column.filter(pa.array(unknown)).to_pylist(),
                )  # fmt: skip
        if self.changes.version is not None:
            version = values.texts(wkb.whole(batch.rows.column(self.changes.version)))
        done.changes = [changing.encoded(made.numbers, operation, version)]
        return pc.fill_null(pc.equal(operation, "D"), False).to_numpy(zero_copy_only=False)

    def _suspects(self, made: mapping.Mapped) -> np.ndarray:
        columns = {n: wkb.whole(made.rows.column(n)) for n in self.layer.columns}
        found = self.sieve.suspects(columns, len(made.numbers))
        points = wkb.coordinates(made.geometry) if self.layer.dimension == 0 else None
        if points is not None:
            return found | self.sieve.misplaced_points(points[0], points[1])
        return found | self.sieve.misplaced(made.shapes())
