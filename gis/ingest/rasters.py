"""The files of raster layers: cloud-optimised GeoTIFFs kept by digest in the home, and which of them is published.

`raster/<layer>/<sha256>.tif` holds the bytes, the link `raster/<layer>.tif` says which of them is served. What is believed stands in the
database (`meta.raster`, `meta.batch`); the link follows it after each commit, and `settle` brings it back after a crash between the two.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gis import crs as reference
from gis.db import cluster
from gis.errors import SourceError, StoreError
from gis.ingest import sandbox
from gis.ingest.statements import text
from gis.settings import settings

KEPT = 2
"""How many of a layer's files stay ready: the published one and the one before; older ones are made again from the kept sources."""


class Believed(NamedTuple):
    """A published raster batch: its number, the digest of its file (None: loaded before files were kept by digest), and of its source."""

    batch: int
    sha256: str | None
    source: str | None
    crs: str | None


def link(layer_id: str) -> Path:
    """What is served of a raster layer."""
    return settings().home / "raster" / f"{layer_id}.tif"


def file(layer_id: str, sha256: str) -> Path:
    """Where the file of this digest lies."""
    return settings().home / "raster" / layer_id / f"{sha256}.tif"


def believed(cursor, layer_id: str, *, without: int | None = None) -> Believed | None:
    """The batch whose file the layer shows: the newest that is published and not taken back. `without` leaves one out: the one before."""
    cursor.execute(text("believed_raster"), {"layer": layer_id, "without": without})
    row = cursor.fetchone()
    return None if row is None else Believed(*row)


@contextmanager
def partial(layer_id: str) -> Iterator[Path]:
    """Room for a file that is being made, on the disk of the kept ones; what is left of it goes, and so does what dead processes left."""
    cluster.room("raster")
    folder = file(layer_id, "").parent
    folder.mkdir(exist_ok=True)
    for left in folder.glob("*.partial"):
        if not _alive(left.stem):
            shutil.rmtree(left, ignore_errors=True)
    room = folder / f"{os.getpid()}.partial"
    room.mkdir(exist_ok=True)
    try:
        yield room / f"{layer_id}.tif"
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _alive(pid: str) -> bool:
    return pid.isdigit() and Path(f"/proc/{pid}").exists()


def keep(made: Path, layer_id: str) -> str:
    """Gives a finished file its place under its digest, safely on the disk; answers the digest."""
    with made.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    target = file(layer_id, digest)
    made.replace(target)
    _sync(target.parent)
    return digest


def settle(cursor, layer_ids: Iterable[str] | None = None) -> list[str]:
    """Lets layers (default: all that were ever loaded) show the file of their believed batch, whatever happened before; those that had
    shown another."""
    if layer_ids is None:
        cursor.execute("SELECT DISTINCT layer FROM meta.raster")
        layer_ids = {row[0] for row in cursor.fetchall()} | {path.stem for path in link("").parent.glob("*.tif") if path.is_symlink()}
    return [layer_id for layer_id in sorted(layer_ids) if _point(layer_id, believed(cursor, layer_id))]


def _point(layer_id: str, to: Believed | None) -> bool:
    """Whether the link had to change. A file from before there were links stays as long as its batch is believed."""
    at = link(layer_id)
    if to is None:
        if not os.path.lexists(at):
            return False
        at.unlink()
    else:
        target = f"{layer_id}/{to.sha256}.tif"
        if to.sha256 is None or (at.is_symlink() and os.readlink(at) == target) or not file(layer_id, to.sha256).exists():
            return False
        new = at.with_name(f".{layer_id}.{os.getpid()}.link")
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(at)
    _sync(at.parent)
    return True


def tidy(cursor, layer_id: str) -> None:
    """Removes files that neither the published batch nor the one before it needs, if they can be made again from a kept source."""
    now = believed(cursor, layer_id)
    before = None if now is None else believed(cursor, layer_id, without=now.batch)
    needed = {one.sha256 for one in (now, before) if one is not None}
    cursor.execute(text("rasters_of"), {"layer": layer_id})
    for digest, source in cursor.fetchall():
        if digest not in needed and (settings().home / "sources" / source).exists():
            file(layer_id, digest).unlink(missing_ok=True)


def take_back(cursor, layer_id: str, batch: int) -> tuple[int, int]:
    """Makes ready what a layer shows when a batch is taken back: how many files go (0 where the batch had changed nothing) and how many
    come back (0 where there was none before). The caller commits, then calls `settle`.

    Raises StoreError where the file of before is gone and cannot be made again.
    """
    now, before = believed(cursor, layer_id), believed(cursor, layer_id, without=batch)
    if now is None or now.batch != batch:
        return 0, 0
    if before is None:
        return 1, 0
    if before.sha256 is not None and file(layer_id, before.sha256).exists():
        return 1, 1
    source = settings().home / "sources" / (before.source or "-")
    if not source.exists():
        raise StoreError(
            f"the raster of batch {before.batch} is not kept any more", remedy=f"Load it again with `onemap load raster {layer_id} FILE`"
        )
    with partial(layer_id) as made:
        digest = keep(optimised(source, made, before.crs), layer_id)
        size = file(layer_id, digest).stat().st_size
    record(cursor, before.batch, layer_id, digest, size, before.crs)
    return 1, 1


def record(cursor, batch: int, layer_id: str, sha256: str, size: int, crs: str | None) -> None:
    """Writes down which file a batch made."""
    cursor.execute(
        "INSERT INTO meta.raster (batch, layer, sha256, bytes, crs) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (batch) DO UPDATE SET sha256 = excluded.sha256, bytes = excluded.bytes",
        (batch, layer_id, sha256, size, crs),
    )


def optimised(path: Path, target: Path, crs: str | int | None = None) -> Path:
    """Writes a cloud-optimised GeoTIFF with overviews to `target` and answers where; the values are unchanged. Raises SourceError where the
    file cannot be read to its end."""
    given = None if crs is None else reference.crs(crs).to_wkt()
    try:
        sandbox.answer("gis.ingest.pixels:optimise", path, settings().read_cpu_s, target=str(target.absolute()), crs=given)
    except SourceError:
        target.unlink(missing_ok=True)
        raise
    return target


def _sync(folder: Path) -> None:
    """What was renamed in a folder stays so over a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
