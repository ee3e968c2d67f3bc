"""What a reader has to know of a layer, and where it writes down what it finds: plain data that crosses to the reading process and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from gis.errors import InputError

if TYPE_CHECKING:
    from gis.catalog.model import Layer
    from gis.ingest.findings import Findings


@dataclass(frozen=True)
class Assumed:
    """What the layer file says of its sources; see `gis.catalog.model.Source`."""

    files: tuple[str, ...] = ()
    layer: str | None = None
    encoding: str | None = None
    crs: str | None = None
    lon: tuple[str, ...] = ()
    lat: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """The layer that a file is opened for: its id, its Chinese title, what its file says of its sources, and every name under which
    one of its fields may stand in a header. `positions`: whether rows without coordinates are of use."""

    id: str
    title: str
    source: Assumed = field(default_factory=Assumed)
    names: tuple[str, ...] = ()
    dimension: int | None = None
    positions: bool = True

    @classmethod
    def of(cls, layer: Layer, *, positions: bool = True) -> Wanted:
        """The same of a layer of the catalogue."""
        said = layer.source
        names = [n for name, c in layer.columns.items() for n in (name, *c.source, c.title.zh, c.title.en) if n]
        return cls(
            layer.id, layer.title.zh, Assumed(said.files, said.layer, said.encoding, said.crs, said.lon, said.lat), tuple(names),
            None if layer.is_raster else layer.dimension, positions,
        )  # fmt: skip

    def choice(self, name: str, among: Sequence[str], asked: str | None, what: str) -> str | None:
        """Which of a file's layers, sheets or tables to read: the one asked for, the only one, or the one that the layer file names.

        Raises InputError, which lists them, where it cannot be told.
        """
        if asked is not None:
            if asked not in among:
                raise InputError(f"{name} has no {what.removesuffix('s')} {asked!r}", remedy=f"It has: {', '.join(among)[:2000]}")
            return asked
        if len(among) <= 1:
            return among[0] if among else None
        for wanted in (self.source.layer, self.id, self.title):
            if wanted in among:
                return wanted
        raise InputError(f"{name} holds {len(among)} {what}", remedy=f"Choose one with --source-layer: {', '.join(among)[:2000]}")

    def as_dict(self) -> dict:
        """For JSON; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, said: dict) -> Wanted:
        tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in said["source"].items()}
        return cls(**{**said, "source": Assumed(**tuples), "names": tuple(said["names"])})


@dataclass
class Notes:
    """Findings as the reading process writes them down: the arguments of `Findings.extend`, as plain data."""

    notes: list[dict] = field(default_factory=list)

    def add(self, layer: str, code: str, level: str, message: str, remedy: str = "", *, field: str | None = None, value=None) -> None:
        """One finding about the whole file."""
        self.extend(layer, code, level, message, remedy, field=field, rows=[None], values=[value])

    def extend(self, layer: str, code: str, level: str, message: str, remedy: str = "", *, rows, field=None, values=None) -> None:
        """One finding per source row (1-based)."""
        rows = [None if row is None else int(row) for row in rows]
        if rows:
            values = None if values is None else [None if v is None else str(v) for v in values]
            said = {"layer": layer, "code": code, "level": level, "message": message, "remedy": remedy, "field": field}
            self.notes.append({**said, "rows": rows, "values": values})

    def taken(self) -> list[dict]:
        """The notes since the last time, which are then forgotten."""
        notes, self.notes = self.notes, []
        return notes


_TEXTS = ("layer", "code", "level", "message", "remedy", "field")


def write_down(notes: list[dict], findings: Findings) -> None:
    """Puts the reading process's notes into findings."""
    for note in notes:
        findings.extend(**{k: note[k] for k in _TEXTS}, rows=note["rows"], values=note["values"])
