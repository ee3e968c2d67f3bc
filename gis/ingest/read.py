"""The sources: what a delivered file holds, read in batches of Arrow tables, whatever its format, encoding and CRS.

Files come from outside: they are opened in a process of their own (`gis.ingest.sandbox`), which streams the rows back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gis.ingest import wkb
from gis.ingest.formats import TABULAR, UNPACKED, format_of
from gis.ingest.wanted import Notes, Wanted, write_down

if TYPE_CHECKING:
    from gis.catalog.model import Layer
    from gis.ingest.findings import Findings

__all__ = ["BATCH", "Batch", "Source", "format_of", "layers_of", "open_source", "together"]

BATCH = 65_536
"""Rows per batch: bounds the memory of a load."""


@dataclass
class Batch:
    """Rows of a source: `rows` their attributes as delivered, `numbers` their 1-based numbers in the source, `geometry` as WKB (null where
    missing) in the source's CRS, x before y, Z kept; bytes that are no geometry may stand in it and are found when it is mapped. `broken`
    marks positions that the reader could not make a geometry of (null then), `broken_texts` are their raw texts where there are some."""

    rows: pa.Table
    numbers: np.ndarray
    geometry: pa.BinaryArray | None = None
    broken: np.ndarray | None = None
    broken_texts: list[str] | None = None

    def shapes(self) -> np.ndarray:
        """The positions as shapely objects (n,), None where there is none or its bytes are no geometry."""
        return np.full(len(self.numbers), None, dtype=object) if self.geometry is None else wkb.shapes(self.geometry)[0]


@dataclass(frozen=True)
class Far:
    """A file as any process can open it that sees the same path: the arguments of the reading process, and whether it unpacks."""

    what: dict
    path: Path
    unpacks: bool

    def pieces(self, most: int, least: int = BATCH) -> list[tuple[int, int | None] | None]:
        """The ranges of rows that can be read each by itself (see `Source.pieces`); None for a file that is read in one."""
        from gis.ingest import sandbox

        if self.unpacks:
            return [None]
        reading = sandbox.open_source(self.what, self.path, unpacks=False, pieces=(most, least))
        reading.close()
        found = [(start, stop) for start, stop in reading.header["pieces"]]
        return found if len(found) > 1 else [None]

    def read(self, piece: tuple[int, int | None] | None) -> tuple[list[Batch], list[dict]]:
        """All rows of a piece, read in the reading process of this very process, and the notes made meanwhile. Raises SourceError."""
        from gis.ingest import sandbox

        notes: list[dict] = []
        reading = sandbox.open_source(self.what, self.path, unpacks=self.unpacks, piece=piece)
        return list(reading.batches(notes.extend)), notes


@dataclass
class Source:
    """One file (or one layer of it), open for reading. `crs` is what it is in (None only where it has no positions);
    `crs_declared` says whether the file itself says so. `columns` are its attributes; `count` its rows where known beforehand."""

    name: str
    path: Path
    format: str
    columns: tuple[str, ...]
    crs: str | None
    crs_declared: bool
    encoding: str
    count: int | None
    findings: Findings | Notes
    batches: Callable[..., Iterator[Batch]]
    """Its rows in order; where it can be cut, those from a row (counted from 0) up to before another, both left out for all."""
    layer_name: str | None = None
    survey_axes: bool = False
    """The positions come from columns named X and Y, which in survey tables mean northing and easting."""
    parts: tuple[Path, ...] = field(default=())
    """All files that belong to it (a shapefile has several); the first is `path`."""
    cuts: Sequence[int] = ()
    """Rows (counted from 0) before which a reader can begin; none where it is read from its front only."""
    far: Far | None = None
    """How another process opens it; None for what is no file."""

    @property
    def likely_rows(self) -> int:
        """How many rows it has, guessed from its size where it does not say."""
        if self.count is not None:
            return self.count
        return self.path.stat().st_size // 150 if self.path.is_file() else 0

    @property
    def tabular(self) -> bool:
        """Whether its positions are columns of a table, where numbers may be no numbers."""
        return self.format in TABULAR

    def pieces(self, most: int, least: int) -> list[tuple[int, int | None]]:
        """At most `most` ranges of at least `least` rows (but for the last), which together are all of it; the last has no end."""
        step, starts = max(least, -(-(self.count or 0) // most)), [0]
        while (at := bisect_left(self.cuts, starts[-1] + step)) < len(self.cuts):
            starts.append(self.cuts[at])
        return list(zip(starts, [*starts[1:], None], strict=True))

    def peek(self) -> Batch | None:
        """The first rows, None where there are none; they come again when the rows are taken, and the file is opened but once."""
        rows = self.batches()
        first = next(rows, None)
        again = self.batches

        def whole() -> Iterator[Batch]:
            self.batches = again
            return chain(() if first is None else (first,), rows)

        self.batches = whole
        return first


def open_source(
    path: Path | str,
    layer: Layer,
    *,
    encoding: str | None = None,
    crs: str | int | None = None,
    source_layer: str | None = None,
    positions: bool = True,
) -> Source:
    """Opens a delivered file (or the one file of an archive, or a file geodatabase's folder) for one layer.

    encoding, crs: what the operator says, before what the file declares, before what the layer file assumes. source_layer: which
    layer, sheet, table or file where there are several. positions: False for tables that are read without coordinates and CRS.
    Raises SourceError (unreadable, not allowed, wrong encoding, no CRS, beyond a limit) or InputError (several and none named).
    """
    from gis.ingest import sandbox
    from gis.ingest.findings import Findings
    from gis.ingest.system import source_crs

    path = Path(path)
    unpacks = format_of(path) in UNPACKED
    what = {
        "path": str(path.absolute()), "wanted": Wanted.of(layer, positions=positions).as_dict(), "encoding": encoding,
        "crs": None if crs is None else str(crs), "source_layer": source_layer,
    }  # fmt: skip
    reading = sandbox.open_source(what, path, unpacks=unpacks)
    said, findings, opened = reading.header, Findings(), [reading]
    write_down(said["notes"], findings)

    def batches() -> Iterator[Batch]:
        reading = opened.pop() if opened else sandbox.open_source(what, path, unpacks=unpacks)
        return reading.batches(lambda notes: write_down(notes, findings))

    return Source(
        name=path.name, path=path, format=said["format"], columns=tuple(said["columns"]),
        crs=source_crs(path.name, layer, crs, said["crs"], findings) if positions else said["crs"],
        crs_declared=said["crs_declared"] and crs is None, encoding=said["encoding"], count=said["count"], findings=findings,
        batches=batches, layer_name=said["layer_name"], survey_axes=said["survey_axes"], parts=tuple(Path(part) for part in said["parts"]),
        far=Far(what, path, unpacks),
    )  # fmt: skip


def layers_of(path: Path | str) -> tuple[str, ...]:
    """The layers, sheets, tables or files in a delivered file, as `source_layer` of `open_source` names them; none where it is but one
    table. Raises SourceError."""
    from gis.ingest import sandbox

    path = Path(path)
    what = {"path": str(path.absolute())}
    reading = sandbox.open_source(what, path, unpacks=format_of(path) in UNPACKED, listing=True)
    try:
        return tuple(reading.header["layers"])
    finally:
        reading.close()


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several batches as one table; a column whose values are not of one type in all of them becomes texts."""
    first = tables[0].schema
    mixed = {n for t in tables for n, kind in zip(t.schema.names, t.schema.types, strict=True) if kind != first.field(n).type}
    texts = [field.with_type(pa.string()) if field.name in mixed else field for field in first]
    return pa.concat_tables([t.cast(pa.schema(texts)) if mixed else t for t in tables])
