"""The load: a delivery of one or several layers, from its sources to `core`, all or nothing.

Stage and findings are written in transactions of their own, so that the findings of a refused delivery survive it; `core` and `history`
change in one. A process that dies leaves the old rows published; the next load marks its batch as failed.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import geopandas
import psycopg2
from psycopg2 import sql

from gis.catalog.model import Layer
from gis.db.connection import owner, translated
from gis.errors import DataError, InputError, NotFound, OneMapError, StoreError
from gis.ingest import check, frames, map as mapping, publish, sources, stage
from gis.ingest.findings import Findings
from gis.ingest.publish import Outcome
from gis.ingest.read import Source, open_source
from gis.ingest.statements import statement, text

MODES = ("replace", "append", "update")
LAYER_LOCK, BATCH_LOCK = 0x4F4D4C, 0x4F4D42
"""Classes of the advisory locks: one per layer, one per running batch."""
_WAIT_S = 10.0

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how far (rows), and of how many where that is known."""


def silent(what: str, done: int, total: int | None) -> None:
    """No progress."""


@dataclass
class Delivery:
    """One layer of a delivery: its sources (files or frames), constants (fields that are the same in all rows), names (field → source column),
    and findings that were made before. `extent` (west, south, east, north) is what positions must mostly lie in."""

    layer: Layer
    sources: Sequence[Source]
    constants: dict[str, object] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    extent: tuple[float, float, float, float] | None = None


@dataclass
class LoadResult:
    """What a load did. `findings` counts by code; `layers` has one entry per layer and scope; status published, dry_run or rejected."""

    batch: int
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    findings: dict[str, int]
    seconds: float
    status: str = "published"
    layers: list[Outcome] = field(default_factory=list)

    def as_dict(self) -> dict:
        """The contract of `onemap load --json`, with a line per layer behind it."""
        return {
            "batch": self.batch, "rows_read": self.rows_read, "rows_loaded": self.rows_loaded, "rows_rejected": self.rows_rejected,
            "findings": self.findings, "seconds": round(self.seconds, 3), "status": self.status,
            "layers": [vars(outcome) for outcome in self.layers],
        }  # fmt: skip


class Rejected(DataError):
    """A delivery was refused; `result` says what was read and found, and under which batch its findings are kept."""

    def __init__(self, what: str, result: LoadResult):
        super().__init__(what, where=f"batch {result.batch}", remedy="Read the findings (--report DIR), correct the delivery and load it again",
                         findings=result.findings)  # fmt: skip
        self.result = result

    def as_dict(self) -> dict:
        return super().as_dict() | {"result": self.result.as_dict()}


def load_files(
    catalog, layer_id: str, paths: Iterable[Path | str], *, mode: str = "replace", crs: str | int | None = None, encoding: str | None = None,
    source_layer: str | None = None, scope: str | None = None, constants: dict[str, object] | None = None,
    names: dict[str, str] | None = None, operator: str | None = None, dry_run: bool = False, progress: Progress = silent,
) -> LoadResult:  # fmt: skip
    """Loads files into one layer. `scope` is the value of the layer's scope column (a network's name) for all rows.

    Raises SourceError (unreadable), InputError (no such mode, layer ambiguous), Rejected (findings too grave), StoreError.
    """
    layer = catalog.layer(layer_id)
    if layer.is_raster:
        raise InputError(f"{layer_id} is a raster layer", remedy=f"Use `onemap load raster {layer_id} FILE.tif`")
    constants = dict(constants or {})
    if scope is not None:
        if layer.scope is None:
            raise InputError(f"the layer {layer_id} is not split into scopes", remedy="Leave --network out")
        constants[layer.scope] = scope
    unknown = [name for name in (*constants, *(names or {})) if name not in layer.columns]
    if unknown:
        raise NotFound(f"the layer {layer_id} has no field {unknown[0]!r}", remedy=f"It has: {', '.join(layer.columns)}")
    opened = [open_source(path, layer, encoding=encoding, crs=crs, source_layer=source_layer) for path in paths]
    if not opened:
        raise InputError("no source was named", remedy="Name one or several files")
    delivery = Delivery(layer, opened, constants, dict(names or {}), extent=catalog.city.extent)
    return load([delivery], mode=mode, operator=operator, dry_run=dry_run, progress=progress)


def load_frames(
    catalog, layers: dict[str, geopandas.GeoDataFrame], *, name: str, files: Iterable[Path] = (), findings: Findings | None = None,
    mode: str = "replace", operator: str | None = None, dry_run: bool = False, progress: Progress = silent,
    extent: tuple[float, float, float, float] | None = None,
) -> LoadResult:  # fmt: skip
    """Loads frames (layer id → GeoDataFrame with the layer's columns and a CRS) as one delivery named `name`, made from `files`."""
    deliveries = []
    for layer_id, frame in layers.items():
        layer = catalog.layer(layer_id)
        deliveries.append(Delivery(layer, [frames.source(frame, layer, name, files)], extent=extent))
    if deliveries and findings is not None:
        deliveries[0].findings = findings
    return load(deliveries, mode=mode, operator=operator, dry_run=dry_run, progress=progress)


def load(
    deliveries: Sequence[Delivery], *, mode: str = "replace", operator: str | None = None, dry_run: bool = False, progress: Progress = silent
) -> LoadResult:
    """Loads a delivery of one or several layers as one batch: all of them, or nothing.

    Rows that an error rejects are kept in `meta.reject`; the rest is loaded unless too many are rejected or a finding is fatal.
    dry_run: everything is done and then undone; batch, findings and rejects stay. Raises Rejected with the findings' counts.
    """
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}", remedy=f"One of {', '.join(MODES)}")
    begun = time.monotonic()
    files = [sources.digest(path) for path in dict.fromkeys(p for d in deliveries for s in d.sources for p in s.parts)]
    with owner() as connection, connection.cursor() as cursor:
        lock(cursor, sorted(d.layer.id for d in deliveries), progress)
        name = ", ".join(dict.fromkeys(s.name for d in deliveries for s in d.sources))
        batch = begin(cursor, name, files, mode, operator, [d.layer.id for d in deliveries])
        connection.commit()
        with _failing(connection, batch):
            return _Run(connection, cursor, batch, deliveries, mode, dry_run, progress, begun, files).run()


def lock(cursor, layers: list[str], progress: Progress) -> None:
    """One load per layer at a time. Raises StoreError when another one has not finished after ten seconds."""
    until = time.monotonic() + _WAIT_S
    while True:
        cursor.execute(text("lock_layers"), {"layers": layers, "class": LAYER_LOCK})
        busy = [row[0] for row in cursor.fetchall()]
        if not busy:
            return
        if time.monotonic() > until:
            raise StoreError(f"another load of {', '.join(busy)} is running", remedy="Wait until it has finished, then load again")
        progress(f"waiting for another load of {', '.join(busy)}", 0, None)
        time.sleep(1)


def begin(cursor, name: str, files: list[sources.Kept], mode: str, operator: str | None, layers: Sequence[str] = ()) -> int:
    """Opens a batch of these layers (already locked), and clears up after processes that died."""
    cursor.execute(
        "INSERT INTO meta.batch (source, sha256, bytes, operator, mode) VALUES (%s, %s, %s, %s, %s) RETURNING id",
        (name[:500], sources.digest_of(files) if files else None, sum(f.bytes for f in files), operator or _operator(), mode),
    )
    batch = cursor.fetchone()[0]
    cursor.execute("SELECT pg_advisory_lock(%s, %s)", (BATCH_LOCK, batch % 2147483647))
    cursor.execute(text("fail_dead_batches"), {"batch": batch, "class": BATCH_LOCK})
    if cursor.rowcount:
        cursor.execute(text("abandoned_stages"), {"mine": list(layers), "class": LAYER_LOCK})
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("stage", table)))
    return batch


def begin_rollback(cursor, of: int, operator: str | None) -> int:
    """Opens the batch that takes batch `of` back."""
    cursor.execute(
        "INSERT INTO meta.batch (kind, source, operator, rollback_of) SELECT 'rollback', source, %s, id FROM meta.batch WHERE id = %s RETURNING id",
        (operator or _operator(), of),
    )
    return cursor.fetchone()[0]


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


@contextmanager
def _failing(connection, batch: int) -> Iterator[None]:
    """Whatever goes wrong, the batch says so; the failure goes on."""
    try:
        yield
    except Rejected:
        raise
    except BaseException as error:
        named = translated(error) if isinstance(error, psycopg2.Error) else error
        message = str(named) if isinstance(named, OneMapError) else type(named).__name__
        try:
            connection.rollback()
            with connection.cursor() as cursor:
                cursor.execute("UPDATE meta.batch SET status = 'failed', finished_at = clock_timestamp(), message = %s WHERE id = %s", (message[:1000], batch))
            connection.commit()
        except psycopg2.Error:
            pass  # the connection is gone: the next load marks the batch
        raise


class _Run:
    """One running load: the steps in order, over one connection that holds the locks."""

    def __init__(self, connection, cursor, batch: int, deliveries: Sequence[Delivery], mode: str, dry_run: bool, progress: Progress,
                 begun: float, files: list[sources.Kept]):  # fmt: skip
        self.connection, self.cursor, self.batch, self.deliveries = connection, cursor, batch, deliveries
        self.mode, self.dry_run, self.progress, self.begun, self.files = mode, dry_run, progress, begun, files
        self.read: dict[str, int] = {}

    def run(self) -> LoadResult:
        self.cursor.execute(text("found"))
        self.cursor.execute("TRUNCATE found")
        for delivery in self.deliveries:
            self._stage(delivery)
        self.connection.commit()
        self._check()
        reason = self._refusal()
        self._keep_findings()
        if reason is not None:
            self.cursor.execute("UPDATE meta.batch SET status = 'rejected', finished_at = clock_timestamp(), message = %s WHERE id = %s", (reason, self.batch))
            self._count([Outcome(d.layer.id, None, self.read[d.layer.id], 0, self.read[d.layer.id]) for d in self.deliveries])
            self._clear()
            self.connection.commit()
            raise Rejected(reason, self._result("rejected", [Outcome(d.layer.id, None, n := self.read[d.layer.id], 0, n) for d in self.deliveries]))
        self.connection.commit()
        outcomes = self._publish()
        self._clear()
        self.connection.commit()
        return self._result("dry_run" if self.dry_run else "published", outcomes)

    def _stage(self, delivery: Delivery) -> None:
        """Sources, one after the other, into the stage; row numbers run on from one source to the next."""
        layer, rows, unreadable = delivery.layer, 0, 0
        stage.empty(self.cursor, layer)
        for source in delivery.sources:
            how = mapping.mapping(layer, source, constants=delivery.constants, names=delivery.names)
            mapping.report(layer, source, how, delivery.findings)
            swapped = check.axes_swapped(layer, source, delivery.extent)
            done_before = rows

            def mapped(source=source, how=how, swapped=swapped, before=done_before, own=delivery.findings):
                for batch in source.batches():
                    batch.numbers = batch.numbers + before
                    yield mapping.mapped(layer, source, how, batch, own, swapped=swapped)

            total = None if source.count is None else source.count + done_before
            rows += stage.fill(self.cursor, layer, mapped(), lambda n, t=total, b=done_before: self.progress(f"reading {layer.id}", n + b, t))
            broken = source.findings.rows("SRC02")
            rows, unreadable = rows + broken, unreadable + broken
            delivery.findings.take(source.findings, before=done_before)
        self.read[layer.id] = rows
        if rows == 0:
            delivery.findings.add(layer.id, "SRC01", "fatal", "the source holds no rows", "Deliver the rows; to retire a layer use `onemap rollback`")
        self.cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("stage", layer.id)))

    def _check(self) -> None:
        for delivery in self.deliveries:
            self.progress(f"checking {delivery.layer.id}", 0, self.read[delivery.layer.id])
            check.keep(self.cursor, delivery.findings)
            check.check(self.cursor, delivery.layer, self.mode)
            check.whereabouts(self.cursor, delivery.layer, delivery.sources, delivery.extent)
            self.cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(f"rejected_{delivery.layer.id}")))
            self.cursor.execute(statement("rejected", delivery.layer), {"layer": delivery.layer.id})

    def _refusal(self) -> str | None:
        """Why the whole delivery is refused: a fatal finding, or more rejected rows than a layer allows. None where it is not."""
        self.cursor.execute("SELECT code, message FROM found WHERE level = 'fatal' ORDER BY layer, code LIMIT 1")
        fatal = self.cursor.fetchone()
        if fatal:
            return f"refused: {fatal[1]} ({fatal[0]})"
        for delivery in self.deliveries:
            layer, rejected = delivery.layer, self._rejected(delivery.layer)
            if rejected > layer.source.max_rejected * self.read[layer.id]:
                return f"refused: {rejected} of {self.read[layer.id]} rows of {layer.id} are faulty; at most {layer.source.max_rejected:.0%} may be"
        return None

    def _rejected(self, layer: Layer) -> int:
        self.cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(f"rejected_{layer.id}")))
        return self.cursor.fetchone()[0]

    def _keep_findings(self) -> None:
        for delivery in self.deliveries:
            bound = {"batch": self.batch, "layer": delivery.layer.id}
            columns = sql.SQL(", ").join(sql.Identifier("s", c) for c in delivery.layer.columns)
            self.cursor.execute(statement("keep_findings", delivery.layer), bound)
            self.cursor.execute(statement("keep_rejects", delivery.layer, columns=columns), bound)
        self.cursor.execute(text("keep_other_findings"), {"batch": self.batch, "layers": [d.layer.id for d in self.deliveries]})

    def _publish(self) -> list[Outcome]:
        """The one transaction into core; undone where it is only a dry run."""
        self.cursor.execute(text("record_batch"), {"batch": self.batch})
        recorded_at = self.cursor.fetchone()[0]
        outcomes = []
        for delivery in self.deliveries:
            layer = delivery.layer
            self.progress(f"publishing {layer.id}", 0, self.read[layer.id])
            scopes = self._scopes(layer)
            counts = publish.publish(self.cursor, layer, batch=self.batch, mode=self.mode, recorded_at=recorded_at, scopes=scopes)
            rejected = self._rejected(layer)
            outcomes.append(Outcome(
                layer.id, scopes[0] if len(scopes) == 1 else None, self.read[layer.id], self.read[layer.id] - rejected, rejected,
                counts.get("new", 0), counts.get("changed", 0), counts.get("gone", 0), counts.get("same", 0),
            ))  # fmt: skip
        if self.dry_run:
            self.connection.rollback()
            self.cursor.execute("UPDATE meta.batch SET status = 'dry_run', finished_at = clock_timestamp() WHERE id = %s", (self.batch,))
        else:
            self._keep_sources()
        self._count(outcomes)
        self.connection.commit()
        if not self.dry_run:
            for delivery in self.deliveries:
                self.cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("core", delivery.layer.id)))
        return outcomes

    def _scopes(self, layer: Layer) -> list[str]:
        """The scopes that the delivery speaks of; none for a layer without."""
        if layer.scope is None:
            return []
        query = sql.SQL("SELECT DISTINCT {0} FROM {1} WHERE {0} IS NOT NULL ORDER BY 1")
        self.cursor.execute(query.format(sql.Identifier(layer.scope), sql.Identifier("stage", layer.id)))
        return [row[0] for row in self.cursor.fetchall()]

    def _count(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self.cursor.execute(text("batch_layers"), {"batch": self.batch} | vars(outcome))

    def _keep_sources(self) -> None:
        for file in sources.keep(self.files):
            self.cursor.execute(
                "INSERT INTO meta.source (sha256, name, bytes) VALUES (%s, %s, %s) ON CONFLICT (sha256) DO NOTHING", (file.sha256, file.name, file.bytes)
            )

    def _clear(self) -> None:
        """The stage is empty between loads."""
        for delivery in self.deliveries:
            stage.empty(self.cursor, delivery.layer)

    def _result(self, status: str, outcomes: list[Outcome]) -> LoadResult:
        self.cursor.execute("SELECT code, count(*) FROM meta.finding WHERE batch = %s GROUP BY code ORDER BY code", (self.batch,))
        findings = dict(self.cursor.fetchall())
        read, loaded, rejected = (sum(getattr(o, k) for o in outcomes) for k in ("rows_read", "rows_loaded", "rows_rejected"))
        return LoadResult(self.batch, read, loaded, rejected, findings, time.monotonic() - self.begun, status, outcomes)
