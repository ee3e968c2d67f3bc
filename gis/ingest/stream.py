"""From a source into its place: reading, treating and copying at the same time, a bounded number of batches in memory."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from gis.db.connection import owner
from gis.ingest import changes, stage
from gis.ingest.findings import Findings
from gis.ingest.read import Batch
from gis.ingest.treatment import Treated, Treatment

_MOST_REFERRED = 20_000
"""Distinct values of a reference that are held in memory; of more, the database compares the rows."""


@dataclass
class Flow:
    """What one source brought: how many rows, what was found while they were mapped, and what they refer to (None: too many values)."""

    rows: int = 0
    findings: Findings = field(default_factory=Findings)
    referred: dict[str, set[str] | None] = field(default_factory=dict)

    def add(self, treated: Treated) -> None:
        """One batch more."""
        self.rows += treated.rows
        self.findings.take(treated.findings)
        for name, values in treated.referred.items():
            refer(self.referred, name, values)


def refer(referred: dict[str, set[str] | None], name: str, values: pa.Array | Iterable[str] | None) -> None:
    """Adds distinct values of a reference to those that are known, until they are too many."""
    known = referred.setdefault(name, set())
    if known is None or values is None or (isinstance(values, pa.Array) and len(values) > _MOST_REFERRED):
        referred[name] = None
        return
    known.update(pc.cast(values, pa.string()).to_pylist() if isinstance(values, pa.Array) else values)
    if len(known) > _MOST_REFERRED:
        referred[name] = None


def flow(cursor, batches: Iterable[Batch], treatment: Treatment, workers: int, progress: Callable[[int], None], cluster=None) -> Flow:
    """Brings the batches of one source into the treatment's place. With several workers each has a connection of its own, whose rows are
    there at once: a place is nothing that is published. `cluster`: where the batches are treated instead (`gis.ingest.cluster`)."""
    done = Flow()
    batches = iter(batches)
    begun = [batch for batch in (next(batches, None), next(batches, None)) if batch is not None]

    def finish(treated: Treated) -> None:
        for body in treated.suspects:
            stage.copy(cursor, treatment.layer, stage.suspects(treatment.layer), memoryview(body))
        for body in treated.changes:
            changes.copy(cursor, treatment.layer, memoryview(body))
        done.add(treated)
        progress(done.rows)

    if workers == 1 or len(begun) < 2:
        for batch in chain(begun, batches):
            treated = treatment(batch) if cluster is None else cluster.submit(treatment, batch).result()
            for body in treated.clean:
                stage.copy(cursor, treatment.layer, treatment.place, memoryview(body))
            finish(treated)
        return done
    with _Copiers(treatment, workers, cluster) as copiers:
        for treated in copiers.treated(chain(begun, batches)):
            finish(treated)
    return done


class _Copiers:
    """Threads that treat batches and copy them, each over a connection of its own while it copies."""

    def __init__(self, treatment: Treatment, workers: int, cluster):
        self.treatment, self.workers, self.cluster = treatment, workers, cluster
        self._connections: queue.SimpleQueue = queue.SimpleQueue()
        self._stack = ExitStack()

    def __enter__(self) -> _Copiers:
        self._pool = self._stack.enter_context(ThreadPoolExecutor(self.workers, "copy"))
        for _ in range(self.workers):
            connection = self._stack.enter_context(owner())
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit = off")
            self._connections.put(connection)
        return self

    def __exit__(self, *failed) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._stack.__exit__(*failed)

    def treated(self, batches: Iterator[Batch]) -> Iterator[Treated]:
        """The batches as they were treated and copied, in order; at most one more is read than there are threads."""
        waiting: deque[Future] = deque()
        most = self.workers if self.cluster is None else max(self.workers, self.cluster.workers + 1)
        for batch in batches:
            waiting.append(self._begin(batch))
            del batch  # the queue holds the only reference: memory stays bounded
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _begin(self, batch: Batch) -> Future:
        if self.cluster is None:
            return self._pool.submit(lambda: self._copied(self.treatment(batch)))
        far = self.cluster.submit(self.treatment, batch)
        return self._pool.submit(lambda: self._copied(far.result()))

    def _copied(self, treated: Treated) -> Treated:
        connection = self._connections.get()
        try:
            with connection.cursor() as cursor:
                for body in treated.clean:
                    stage.copy(cursor, self.treatment.layer, self.treatment.place, memoryview(body))
            connection.commit()
        finally:
            self._connections.put(connection)
        treated.clean = []
        return treated
