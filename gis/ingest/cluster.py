"""A Dask cluster for large loads: its workers read, map, check and encode; copying and publishing stay here.

A worker reads a file, or a range of its rows, in its own reading process (`gis.ingest.sandbox`): it needs the platform installed and sees
the delivered files under the same path, but no database. Dask is an optional extra (`pip install onemap[cluster]`).
"""

from __future__ import annotations

import dataclasses
import functools
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from gis.errors import InputError, SourceError
from gis.ingest import sources
from gis.ingest.read import BATCH, Batch, Far, Source
from gis.ingest.treatment import Treated, Treatment
from gis.ingest.wanted import Notes, Wanted, write_down

_PATIENCE_S = 15
_PIECES = 4
"""Pieces per thread that a file is cut into at most: who begins at a row must first find it."""
_LEAST = BATCH
"""Rows that a piece has at least."""

Seen = tuple[tuple[str, int, str], ...]
"""The files of a source as this process saw them: path, bytes, SHA-256."""
Read = tuple[list[Batch], list[dict]]
"""The rows of a piece and the notes made over them."""


class Cluster:
    """A connected cluster: sources in, treated batches out. `workers` is how many threads it has."""

    def __init__(self, client):
        self._client = client
        self.workers = sum(client.nthreads().values())
        self._sent: tuple[Treatment, Future] | None = None
        self._waiting: deque[tuple[Far, tuple[int, int | None] | None, Seen]] = deque()
        self._reading: deque = deque()
        self._pieces: dict[int, int] = {}

    def begin(self, of: Sequence[Source], files: Sequence[sources.Kept]) -> None:
        """Lets the workers read ahead of `batches`, which must then be asked for these sources in this order."""
        known = {file.path: (str(file.path), file.bytes, file.sha256) for file in files}
        self._waiting.clear()
        self._reading.clear()
        for source in (s for s in of if s.far is not None):
            pieces = source.far.pieces(_PIECES * self.workers, _LEAST)
            self._pieces[id(source)] = len(pieces)
            seen = tuple(known[part] for part in source.parts)
            self._waiting += [(source.far, piece, seen) for piece in pieces]
        self._fill()

    def _fill(self) -> None:
        """One piece more is being read than there are threads."""
        while self._waiting and len(self._reading) <= self.workers:
            self._reading.append(self._client.submit(read, *self._waiting.popleft(), pure=False))

    def batches(self, source: Source) -> Iterator:
        """The batches of a source in order, as futures of what lies on the workers; of what is no file, the batches themselves. The notes
        that were made while reading are then among the source's findings."""
        if source.far is None:
            yield from source.batches()
            return
        notes: list[dict] = []
        for _ in range(self._pieces.pop(id(source))):
            self._fill()
            piece = self._reading.popleft()
            n, made = self._client.submit(described, piece, pure=False).result()
            notes += made
            for i in range(n):
                yield self._client.submit(taken, piece, i, pure=False)
            del piece
        write_down(together(notes, source), source.findings)

    def submit(self, treatment: Treatment, batch) -> Future:
        """Treats a batch, or the future of one, on one of the workers."""
        return self._client.submit(treated, self.sent(treatment), batch, pure=False)

    def sent(self, treatment: Treatment) -> Future:
        """The treatment on the workers; it travels once for all batches of its source. It is kept here as long as it is known by its
        identity: another one must not get its address in memory."""
        if self._sent is None or self._sent[0] is not treatment:
            self._sent = treatment, self._client.scatter(treatment, broadcast=True, hash=False)
        return self._sent[1]


def read(far: Far, piece: tuple[int, int | None] | None, seen: Seen) -> Read:
    """On a worker: the rows of a piece. Raises SourceError where the file cannot be opened there, or is another one."""
    for path, size, sha256 in seen:
        _require_same(Path(path), size, sha256)
    return far.read(piece)


def described(piece: Read) -> tuple[int, list[dict]]:
    """How many batches a piece has, and its notes."""
    return len(piece[0]), piece[1]


def taken(piece: Read, i: int) -> Batch:
    """One of its batches."""
    return piece[0][i]


def _require_same(path: Path, size: int, sha256: str) -> None:
    host = socket.gethostname()
    try:
        state = path.stat()
        found = (state.st_size, _digest(path, state.st_size, state.st_mtime_ns)) if state.st_size == size else (state.st_size, "")
    except (OSError, SourceError):
        raise SourceError(
            f"the worker on {host} cannot open {path.name}",
            remedy="Put the delivery into a folder that all workers see under the same path and may read",
        ) from None
    if found != (size, sha256):
        raise SourceError(
            f"{path.name} is another file on the worker on {host}: {found[0]} bytes there, {size} here",
            remedy="Put the delivery into a folder that all workers share, and leave it unchanged while it is loaded",
        )


@functools.lru_cache(256)
def _digest(path: Path, size: int, changed: int) -> str:
    """The SHA-256 of a file as it was then: a worker takes it once for all pieces."""
    return sources.digest(path).sha256


def together(notes: list[dict], source: Source) -> list[dict]:
    """Notes of the pieces as they are made over the whole file: geometries with measures are counted together."""
    measured = [note for note in notes if note["code"] == "SRC10"]
    if len(measured) < 2:
        return notes
    from gis.ingest.vector import note_measures

    one, layer = Notes(), Wanted(measured[0]["layer"], "")
    note_measures(sum(int(note["values"][0]) for note in measured), source.path, layer, one)
    return [note for note in notes if note["code"] != "SRC10"] + one.taken()


def treated(treatment: Treatment, batch: Batch) -> Treated:
    """A batch treated, in a form that travels."""
    done = treatment(batch)
    whole = {k: [bytes(body) for body in getattr(done, k)] for k in ("clean", "suspects", "changes")}
    return dataclasses.replace(done, **whole)


@contextmanager
def connected(address: str | None) -> Iterator[Cluster | None]:
    """The cluster at an address of a scheduler (`tcp://host:8786`), None where none is named. Raises InputError."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise InputError("Dask is not installed", remedy="pip install 'onemap[cluster]', here and on the workers") from None
    try:
        client = Client(address, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError):
        remedy = "Start one with `dask scheduler`, workers with `dask worker`"
        raise InputError(f"no Dask scheduler answers at {address}", remedy=remedy) from None
    with client:
        if not client.nthreads():
            raise InputError(f"the Dask scheduler at {address} has no workers", remedy="Start some with `dask worker ADDRESS`")
        yield Cluster(client)
