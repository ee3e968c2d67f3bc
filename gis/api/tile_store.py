"""Tiles that took long to make, kept in files by data version: all processes find them, also after a restart; a load leaves them behind.

They lie under the home, readable by the platform's own user alone, as the database's files do. Nothing is answered from here before the
caller's role, the version of the data and all else that a tile depends on are in its name (`gis.api.tiles.etag_of`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

from gis.db import cluster
from gis.db.versions import Version
from gis.settings import settings

log = logging.getLogger("onemap.api")

SLOW_S = 0.1
"""Tiles that took longer are kept; the others are made again as fast as a file is read."""


def _folder(version: Version, layer_id: str) -> Path:
    """Where the tiles of one version of a layer lie."""
    return settings().home / "tiles" / version[0] / layer_id / version[1]


def has(version: Version, layer_id: str, etag: str) -> bool:
    """Whether a tile is kept."""
    return os.path.exists(
        f"{settings().home}/tiles/{version[0]}/{layer_id}/{version[1]}/{etag[1:-1]}"
    )  # paths of pathlib take ten times as long


def get(version: Version, layer_id: str, etag: str) -> tuple[bytes, int, str] | None:
    """(tile, number of features, how it is generalised), or None."""
    try:
        head, _, body = (_folder(version, layer_id) / etag.strip('"')).read_bytes().partition(b"\n")
        n, _, how = head.decode().partition(" ")
        return body, int(n), how
    except (OSError, ValueError):
        return None


def put(version: Version, layer_id: str, etag: str, tile: bytes, n: int, how: str) -> None:
    """Keep a tile. The tiles of other versions of the layer go; where the disk is full or closed nothing is kept."""
    place, name = _folder(version, layer_id), etag.strip('"')
    try:
        cluster.room("tiles")
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=place, delete=False) as out:
            out.write(f"{n} {how}\n".encode() + tile)
        os.replace(out.name, place / name)
        for other in place.parent.iterdir():
            if other != place:
                shutil.rmtree(other, ignore_errors=True)
    except OSError as error:
        log.warning("a tile was not kept: %s", error.strerror)
        with contextlib.suppress(OSError, UnboundLocalError):
            os.unlink(out.name)
