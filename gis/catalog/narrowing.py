"""What rights leave of the layers for a caller whom they narrow (`gis.access.rights`), told by his role: `water~1f0c…` is the role water
with the rights of that digest.

Whatever asks a layer who may read it, which columns, who may write, and whatever is kept by role, so asks for exactly this caller; where
the digest is not known (another process, an outdated one) nothing exists.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gis.catalog.model import Layer

SIGN = "~"
"""Between the role and the digest of the rights; no name of a role holds it."""
NEVER_NARROWED = frozenset(("anonymous", "security", "auditor", "identity"))
"""Roles that see what anybody sees: the layer file alone says what that is."""
_MOST = 4096


@dataclass(frozen=True)
class Part:
    """What is left of a layer: nothing where not `shown`; these columns (None: all that the role sees); some of its rows only where an
    area or `filters` (CQL2, all of them hold) narrow it."""

    shown: bool = True
    columns: frozenset[str] | None = None
    by_area: bool = False
    filters: tuple[str, ...] = ()

    @property
    def lacks_rows(self) -> bool:
        """Whether there may be rows that the caller does not see."""
        return self.by_area or bool(self.filters)

    def also(self, other: Part) -> Part:
        """What is left where both hold."""
        columns = other.columns if self.columns is None else self.columns if other.columns is None else self.columns & other.columns
        return Part(self.shown and other.shown, columns, self.by_area or other.by_area, self.filters + other.filters)


@dataclass(frozen=True)
class Narrowing:
    """The rights of one caller: what is left of a layer, of a group (`pipe/`), of all layers (`*`)."""

    role: str
    parts: tuple[tuple[str, Part], ...]

    def part(self, layer: Layer) -> Part | None:
        """What is left of a layer; None where it is whole. A picture cannot be cut to an area: who sees a part of it sees none."""
        found = [part for name, part in self.parts if name in ("*", f"{layer.group}/", layer.id)]
        if not found:
            return None
        whole = Part()
        for part in found:
            whole = whole.also(part)
        return Part(shown=False) if layer.is_raster and whole.lacks_rows else whole


NOTHING = Part(shown=False)
_known: dict[str, Narrowing] = {}
_lock = threading.Lock()


def narrowed(role: str, rights: Iterable[tuple], parts: Iterable[tuple[str, Part]]) -> str:
    """The role of a caller with these rights (what tells them apart) that leave these parts; the role itself where there is none."""
    rights = sorted(rights)
    if not rights or role in NEVER_NARROWED:
        return role
    name = f"{role}{SIGN}{hashlib.blake2b(repr(rights).encode(), digest_size=8).hexdigest()}"
    with _lock:
        _known.pop(name, None)
        while len(_known) >= _MOST:
            _known.pop(next(iter(_known)))
        _known[name] = Narrowing(role, tuple(parts))
    return name


def base(role: str) -> str:
    """The role of the layer files in a caller's role."""
    return role.partition(SIGN)[0]


def part(layer: Layer, role: str) -> Part | None:
    """What is left of a layer for a caller's role; None where no right narrows it."""
    if SIGN not in role:
        return None
    narrowing = _known.get(role)
    return NOTHING if narrowing is None else narrowing.part(layer)


@lru_cache(maxsize=64)
def database_role(role: str) -> str:
    """The role that a transaction takes for a caller's role."""
    return f"onemap_part_{base(role)}" if SIGN in role else f"onemap_{role}"
