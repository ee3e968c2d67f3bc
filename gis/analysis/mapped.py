"""Arrays mapped from files: processes that open the same files share the memory, and none keeps a file open for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa


def mapped(path: Path) -> np.ndarray:
    """The array of a .npy file, read only, mapped into memory.

    numpy's own mapping keeps a descriptor per array for as long as the array lives: a network has ninety of them, and a process has 1,024
    in all (RLIMIT_NOFILE). Arrow lets go of the file once it is mapped.
    """
    known = np.load(path, mmap_mode="r")
    if not known.size:
        return np.empty(known.shape, known.dtype)
    with pa.memory_map(str(path)) as file:
        data = file.read_buffer()
    order = "C" if known.flags.c_contiguous else "F"
    return np.frombuffer(data, known.dtype, known.size, known.offset).reshape(known.shape, order=order)
