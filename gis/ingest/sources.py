"""The delivered files: their digests, and copies kept under the home by digest, so that every published row can be traced to its source."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gis.db import cluster
from gis.errors import SourceError
from gis.settings import settings


@dataclass(frozen=True)
class Kept:
    """One file of a delivery: name without folder, SHA-256, bytes, and where it is."""

    name: str
    sha256: str
    bytes: int
    path: Path


def digest(path: Path) -> Kept:
    """The digest of one file. Raises SourceError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return Kept(path.name, hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size, path)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", remedy="Check its permissions") from None


def digest_of(files: Iterable[Kept]) -> str:
    """One digest of several files: of a single file its own, else of the names and digests in order."""
    files = list(files)
    if len(files) == 1:
        return files[0].sha256
    return hashlib.sha256("".join(f"{f.sha256}  {f.name}\n" for f in files).encode()).hexdigest()


def keep(files: Iterable[Kept]) -> list[Kept]:
    """Copies files into the home's `sources` by digest, each once; answers those that are kept now. Files above
    `ONEMAP_SOURCES_MAX_BYTES` are left out."""
    folder = cluster.room("sources")
    kept = []
    for file in files:
        if file.bytes > settings().sources_max_bytes:
            continue
        target = folder / file.sha256
        if not target.exists():
            partial = folder / f"{file.sha256}.{os.getpid()}.partial"
            try:
                shutil.copyfile(file.path, partial)
                partial.chmod(0o640)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
        kept.append(file)
    return kept
