"""Access databases (.mdb, .accdb): one table, through `mdb-export` of mdbtools."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from gis.errors import SourceError
from gis.ingest import positions, table
from gis.ingest.read import Batch, Source
from gis.ingest.wanted import Notes, Wanted

_PATIENCE_S = 120
_LARGE_TEXT = 256 << 10


def open_database(path: Path, layer: Wanted, *, crs: str | int | None, source_layer: str | None) -> Source:
    """Opens one table for one layer; see `gis.ingest.read.open_source`."""
    findings = Notes()
    chosen = layer.choice(path.name, tables(path), source_layer, "tables")
    if chosen is None:
        raise SourceError(f"{path.name} holds no tables", remedy="Deliver the database with its tables, not with links to another one")
    columns = _columns(path, chosen)
    at = positions.where(path, columns, layer)
    first = next(islice(_batches(path, chosen, columns, positions.Where(), layer, Notes()), 1), None)
    sample = first.rows.slice(0, 500) if first is not None else pa.table({n: pa.array([], pa.string()) for n in columns})
    return Source(
        name=path.name, path=path, format="access", columns=tuple(n for n in columns if n not in at.columns),
        crs=positions.declared(path, at, sample, crs, layer, findings), crs_declared=False, encoding="UTF-8", count=None,
        findings=findings, batches=lambda: _batches(path, chosen, columns, at, layer, findings), layer_name=chosen, parts=(path,),
        survey_axes=at.survey_axes,
    )  # fmt: skip


def tables(path: Path) -> list[str]:
    """The tables of a database, not those of Access itself. Raises SourceError."""
    return [name for name in _said(path, "mdb-tables", "-1").splitlines() if name]


def _command(path: Path, program: str, *options: str) -> list[str]:
    found = shutil.which(program)
    if found is None:
        raise SourceError(
            f"{path.name} is an Access database, and mdbtools is not installed to read it",
            remedy="Install it (apt-get install mdbtools), or export the tables to Excel or CSV",
        )
    return [found, *options]


_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "MDB_JET3_CHARSET": "GB18030", "MDBICONV": "UTF-8"}


def _said(path: Path, program: str, *options: str) -> str:
    try:
        done = subprocess.run(
            [*_command(path, program, *options), str(path)], capture_output=True, timeout=_PATIENCE_S, env=_ENVIRONMENT, check=False
        )
    except subprocess.TimeoutExpired:
        raise _damaged(path) from None
    if done.returncode:
        raise _damaged(path)
    return done.stdout.decode("utf-8", "replace")


def _damaged(path: Path) -> SourceError:
    return SourceError(
        f"{path.name} cannot be read: it is damaged, encrypted or of a version that mdbtools does not know",
        remedy="Save it without a password as an Access 2000–2016 database, or export the tables to Excel",
    )


def _export(path: Path, name: str) -> subprocess.Popen:
    options = ("-D", "%Y-%m-%d", "-T", "%Y-%m-%d %H:%M:%S", "-b", "strip", "-R", "\n")
    return subprocess.Popen(
        [*_command(path, "mdb-export", *options), str(path), name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_ENVIRONMENT
    )


def _columns(path: Path, name: str) -> list[str]:
    """The names in the header line, which is read by itself: names may hold line breaks."""
    process = _export(path, name)
    try:
        head = process.stdout.read(_LARGE_TEXT).decode("utf-8", "replace")
    finally:
        process.kill()
        process.wait()
    if not head:
        raise _damaged(path)
    return table.header(path, head, ",")


def _batches(path: Path, name: str, columns: list[str], at: positions.Where, layer: Wanted, findings: Notes) -> Iterator[Batch]:
    process = _export(path, name)
    try:
        yield from table.rows(process.stdout, columns, at, layer, findings, encoding="UTF-8", separator=",")
        if process.wait(_PATIENCE_S):
            raise _damaged(path)
    except (pa.ArrowException, OSError, subprocess.TimeoutExpired):
        raise _damaged(path) from None
    finally:
        process.kill()
        process.wait()
