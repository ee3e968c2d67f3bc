"""Tiles kept in memory, by data version and role: a load makes new keys, so nothing stale is ever found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from cachetools import LRUCache

LARGEST = 64 * 2**20
"""Bytes kept per process."""


class TileCache:
    """The tiles used last, up to so many bytes. Safe for threads."""

    def __init__(self, largest: int = LARGEST):
        self._lock = threading.Lock()
        self.hits = self.misses = 0
        self._kept: LRUCache = LRUCache(largest, getsizeof=lambda value: len(value[0]) + 200)

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept

    def get(self, key: Hashable) -> tuple[bytes, int, str, str] | None:
        """(tile, number of features, how it is generalised, ETag), or None."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                self.misses += 1
            else:
                self.hits += 1
        return found

    def put(self, key: Hashable, tile: bytes, n: int, how: str = "", etag: str = "") -> None:
        """Keep a tile, unless it alone is larger than an eighth of the cache."""
        if len(tile) * 8 <= self._kept.maxsize:
            with self._lock:
                self._kept[key] = (tile, n, how, etag)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


cache = TileCache()
_packed = TileCache(LARGEST // 2)


def packed(etag: str, tile: bytes, pack: Callable[[], bytes]) -> bytes:
    """The tile as a browser takes it: compressed once, for compressing takes several times as long as finding it."""
    found = _packed.get((etag, len(tile)))
    if found is not None:
        return found[0]
    made = pack()
    _packed.put((etag, len(tile)), made, 0)
    return made
