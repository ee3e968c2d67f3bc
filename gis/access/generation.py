"""A number that all processes of a server share: it moves when users, keys or allowances change, and what was looked up before is stale.

It stands in a file of the home that every process maps into its memory: to read it costs a tenth of a microsecond, and what
the administrator changes holds in all workers at once. A server elsewhere (another home) does not see it move; there a look-up
ages (`gis.access.identity.REMEMBERED_S`).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from pathlib import Path

from gis.settings import settings

FILE = "access-generation"
_NUMBER = struct.Struct("=Q")
_lock = threading.Lock()
_mapped: tuple[Path, mmap.mmap] | None = None


def current() -> int:
    """The number now."""
    mapped = _mapped
    if mapped is None or mapped[0] is not settings().home:
        mapped = _map()
    return _NUMBER.unpack_from(mapped[1])[0]


def advance() -> None:
    """Make all processes of this server look up again. Call it after the change is committed."""
    with _opened() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (number,) = _NUMBER.unpack(os.pread(file.fileno(), _NUMBER.size, 0))
        os.pwrite(file.fileno(), _NUMBER.pack(number + 1), 0)


def _opened():
    """The file, made where it is missing, never replaced: others have it mapped."""
    path = settings().home / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    if os.fstat(descriptor).st_size < _NUMBER.size:
        os.ftruncate(descriptor, _NUMBER.size)
    return file


def _map() -> tuple[Path, mmap.mmap]:
    global _mapped
    with _lock, _opened() as file:
        _mapped = settings().home, mmap.mmap(file.fileno(), _NUMBER.size, prot=mmap.PROT_READ)
        return _mapped
