"""A Dask cluster for large loads: its workers map, check and encode the batches; reading, copying and publishing stay here.

The workers need the platform installed and nothing else: no database, no files. Dask is an optional extra (`pip install onemap[cluster]`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from gis.errors import InputError
from gis.ingest.read import Batch
from gis.ingest.treatment import Treated, Treatment

_PATIENCE_S = 15


class Cluster:
    """A connected cluster: batches in, treated batches out. `workers` is how many threads it has."""

    def __init__(self, client):
        self._client = client
        self.workers = sum(client.nthreads().values())
        self._sent: dict[int, object] = {}

    def submit(self, treatment: Treatment, batch: Batch) -> Future:
        """Treats a batch on one of the workers; the treatment travels once."""
        if id(treatment) not in self._sent:
            self._sent[id(treatment)] = self._client.scatter(treatment, broadcast=True)
        return self._client.submit(treated, self._sent[id(treatment)], batch, pure=False)


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
