"""The files of built water networks: one folder per network and version, mapped by every process, written by one at a time.

A folder appears under its name in one step. What a version has in common with the one before it is not written again: the folder
links to the same files. The tree of what each segment cuts off may come later than the rest, in a folder `tree` of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote

from gis.analysis.consumers import Consumers
from gis.analysis.cutoff import Cutoff
from gis.analysis.feed import Feed
from gis.analysis.isolation import Engine
from gis.analysis.network import Network, States, opened, save
from gis.analysis.place import Boxes
from gis.analysis.segments import Segments
from gis.db import cluster

FORMAT = 6
"""Raised when the arrays change their meaning, so that older files are built anew."""
KEPT = 3
"""Versions of a network that stay on disk: the present one, and those that a slow reader may still be opening."""
PARTS = {"network": Network, "states": States, "segments": Segments, "feed": Feed, "consumers": Consumers, "boxes": Boxes}
_TREE, _ABOUT = "tree", "network.json"


def folder_of(network: str) -> Path:
    """Where the versions of a network lie."""
    folder = cluster.room("networks") / quote(network, safe="").replace(".", "%2E")
    folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def alone(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """One builder per folder on this machine; the others wait and then find the files. Without waiting: whether one is alone."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def about(folder: Path) -> dict:
    """What is known of a version: in service from and until which day, its version, when its newest data were recorded."""
    return json.loads((folder / _ABOUT).read_text())


def newest_first(parent: Path, pattern: str) -> list[Path]:
    """The folders of a network's versions, the one made last first."""
    return sorted(parent.glob(pattern), key=lambda p: p.stat().st_mtime_ns, reverse=True)


def write(parts: dict[str, object], tree: Cutoff | None, told: dict, folder: Path, like: Path | None = None, same: Collection = ()) -> None:
    """A version's arrays into a folder. The arrays (`part-field`) named in `same` are those of the version in `like`."""
    beside = Path(tempfile.mkdtemp(prefix="making-", dir=folder.parent))
    for array in same:
        os.link(like / f"{array}.npy", beside / f"{array}.npy")
    for part, value in parts.items():
        save(value, beside, part, same)
    if tree is not None:
        (beside / _TREE).mkdir(mode=0o755)
        save(tree, beside / _TREE, "cutoff")
    (beside / _ABOUT).write_text(json.dumps(told))
    beside.chmod(0o755)
    if folder.exists():
        shutil.rmtree(folder)
    beside.rename(folder)


def arrays(part: str) -> list[str]:
    """The names of the arrays of a part, as `write` takes them."""
    return [f"{part}-{field.name}" for field in fields(PARTS[part])]


def mapped(folder: Path) -> dict[str, object]:
    """The parts of a version from its files, `engine` among them; nothing is read before it is needed."""
    parts = {part: opened(kind, folder, part) for part, kind in PARTS.items()}
    tree = opened(Cutoff, folder / _TREE, "cutoff") if has_tree(folder) else None
    parts["engine"] = Engine.built(parts["network"], parts["states"], parts["segments"], parts["feed"], tree)
    return parts


def has_tree(folder: Path) -> bool:
    """Whether the tree of a version is there."""
    return (folder / _TREE).is_dir()


def grow_tree(engine: Engine, folder: Path) -> None:
    """The tree of a version that was written without, made beside the answers and put into its folder; whoever maps it later has it.
    Where another process is at it already, or the version has gone meanwhile, nothing is done."""

    def grow() -> None:
        with contextlib.suppress(FileNotFoundError), alone(folder, wait=False) as mine:
            if mine and not has_tree(folder):
                tree = engine.with_tree().cutoff
                beside = Path(tempfile.mkdtemp(prefix="making-", dir=folder))
                save(tree, beside, "cutoff")
                beside.chmod(0o755)
                beside.rename(folder / _TREE)

    threading.Thread(target=grow, name="tree", daemon=True).start()


def forget(parent: Path) -> None:
    """Old versions go; a process that has mapped one keeps its pages until it lets go."""
    for old in [p for p in newest_first(parent, "*") if p.is_dir()][KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
