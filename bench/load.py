"""The road in measured: a large first load, its memory, an update of one row in a hundred and the same delivery once more, beside the limit
and ogr2ogr, in the same run.

`./run bench load [--size N] [--formats gpkg,…]`: N address points (default 1000000) with 15 delivered columns from GeoParquet, GeoPackage
and a GBK shapefile, with checks, history, key, GiST and ANALYZE, by the command itself: once with the indexes that every layer has (key,
GiST, feature number, batch), once with all of the layer, among them two for texts that cost more than all others together. The limit is
COPY BINARY inside the server of the same rows, the same indexes one after the other, and ANALYZE; ogr2ogr copies with a GiST index and
checks nothing; `arrow_copy` is the bare way from Arrow to a table without an index. One JSON line per figure; what is
not there is null.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import psycopg2.extensions
import pyarrow as pa
import pyarrow.parquet
from psycopg2 import sql

from bench import load_data
from gis.catalog import ddl, read
from gis.db import cluster, connection, migrations, plan
from gis.ingest import binary, direct
from gis.ingest.load import load_frames
from gis.settings import settings

DATABASE = "onemap_bench_load"
WRITERS = {"parquet": load_data.parquet, "gpkg": load_data.geopackage, "shp": load_data.shapefile}
TARGETS = {"parquet": 1.3, "gpkg": 1.3, "shp": 1.6}
"""The greatest ratio to the limit that is asked for."""


@contextlib.contextmanager
def database() -> Iterator[dict]:
    """An empty database with all layers and the communities that the addresses refer to; it is dropped."""
    cluster.start()
    _administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)", "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'")
    parameters = cluster.parameters(DATABASE)
    os.environ["ONEMAP_DSN"] = psycopg2.extensions.make_dsn(**parameters)
    settings.cache_clear()
    try:
        migrations.migrate()
        plan.apply(read.catalog())
        load_frames(read.catalog(), {"community": load_data.communities()}, name="communities")
        yield parameters
    finally:
        del os.environ["ONEMAP_DSN"]
        settings.cache_clear()
        _administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)")


def _administrate(*statements: str) -> None:
    link = psycopg2.connect(**cluster.parameters("postgres"))
    try:
        link.autocommit = True
        with link.cursor() as cursor:
            for statement in statements:
                cursor.execute(sql.SQL(statement).format(sql.Identifier(DATABASE)))
    finally:
        link.close()


_WATCH = """
import json, resource, subprocess, sys, time
begun = time.perf_counter()
code = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump({"seconds": time.perf_counter() - begun, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}, file)
sys.exit(code)
"""
"""A small process that starts the one that is measured: a process inherits the peak of the one that starts it."""


def run(*arguments: str) -> dict:
    """`onemap load` in a process of its own: its answer, the seconds of the whole process, its CPU seconds and the peak memory (MB) of the
    largest of it and its children, which read the file."""
    with tempfile.NamedTemporaryFile("r") as used:
        command = [sys.executable, "-m", "gis.cli.main", "load", *arguments, "--json"]
        done = subprocess.run([sys.executable, "-c", _WATCH, used.name, *command], capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"onemap load {' '.join(arguments)} failed:\n{done.stdout.decode()}{done.stderr.decode()}")
        return json.load(used) | {"answer": json.loads(done.stdout)}


def empty(*, all_indexes: bool = True) -> None:
    """The layer as before any load, with all its indexes or those that every layer has."""
    _execute("TRUNCATE core.address, history.address")
    layer = read.catalog().layer("address")
    if all_indexes:
        _execute(*(statement for statement in ddl.indexes(layer)))
    else:
        with connection.owner() as link, link.cursor() as cursor:
            for one in direct.indexes(cursor, layer):
                if one.name not in ("address_pkey", "address_geom_idx", "address_fid_idx", "address_batch_idx"):
                    cursor.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier("core", one.name)))
    with connection.owner(autocommit=True) as link, link.cursor() as cursor:
        cursor.execute("CHECKPOINT")


def _execute(*statements: str) -> None:
    with connection.owner() as link, link.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def limit(folder: Path) -> dict[str, float]:
    """Seconds of the server's own COPY BINARY of the rows in core, of the same indexes one after the other, and of ANALYZE."""
    file = folder / "address.bin"
    taken = {}
    with connection.owner(autocommit=True) as link, link.cursor() as cursor:
        indexes = direct.indexes(cursor, read.catalog().layer("address"))
        cursor.execute("COPY core.address TO %s (FORMAT binary)", (str(file),))
        cursor.execute("CREATE SCHEMA IF NOT EXISTS limits; CREATE TABLE limits.address (LIKE core.address INCLUDING DEFAULTS)")
        cursor.execute("CHECKPOINT")
        for what, statements in {
            "copy": [("COPY limits.address FROM %s (FORMAT binary)", (str(file),))],
            "indexes": [(one.definition.replace(" ON incoming.", " ON limits."), None) for one in indexes],
            "analyze": [("ANALYZE limits.address", None)],
        }.items():
            begun = time.perf_counter()
            for statement, bound in statements:
                cursor.execute(statement, bound)
            taken[what] = time.perf_counter() - begun
        cursor.execute("DROP SCHEMA limits CASCADE")
    file.unlink(missing_ok=True)
    return taken


def arrow_copy(path: Path) -> float:
    """Seconds from a GeoParquet file through Arrow into a bare table: no check, no index."""
    listed = ", ".join(f"{name} text" for name in load_data.NAMES)
    _execute("CREATE SCHEMA limits", f"CREATE TABLE limits.bare ({listed}, geom geometry(Point,4490))")
    _execute("ALTER TABLE limits.bare ALTER floor TYPE bigint USING NULL, ALTER valid_from TYPE date USING NULL")
    begun = time.perf_counter()
    with connection.owner() as link, link.cursor() as cursor:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(65_536):
            body = binary.rows([pa.array(c) if not isinstance(c, pa.Array) else c for c in batch.columns])
            cursor.copy_expert("COPY limits.bare FROM STDIN (FORMAT binary)", binary.Copy(body), size=1 << 20)
    seconds = time.perf_counter() - begun
    _execute("DROP SCHEMA limits CASCADE")
    return seconds


def ogr2ogr(path: Path) -> float | None:
    """Seconds of ogr2ogr with COPY and a GiST index; None where it is not installed or does not read the format."""
    program = shutil.which("ogr2ogr")
    if program is None:
        return None
    _execute("CREATE SCHEMA limits")
    begun = time.perf_counter()
    done = subprocess.run(
        [program, "-f", "PostgreSQL", f"PG:{os.environ['ONEMAP_DSN']}", str(path), "-nln", "limits.ogr", "-lco", "SPATIAL_INDEX=GIST",
         "-lco", "GEOMETRY_NAME=geom", "--config", "PG_USE_COPY", "YES", "-nlt", "POINT"],
        capture_output=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    _execute("DROP SCHEMA limits CASCADE")
    return seconds if done.returncode == 0 else None


def told(figure: str, **values) -> None:
    """One line."""
    print(json.dumps({"figure": figure} | {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}), flush=True)


def first_loads(size: int, formats: list[str], folder: Path, file: Callable[[str, int], Path], *, all_indexes: bool) -> None:
    """A first load from each format, beside its peers."""
    for format_ in formats:
        path = file(format_, size)
        empty(all_indexes=all_indexes)
        ours = run("address", str(path))
        if ours["answer"]["rows_loaded"] != size:
            raise SystemExit(f"{ours['answer']['rows_loaded']} of {size} rows were loaded: {ours['answer']['findings']}")
        floor = limit(folder)
        peer = None if all_indexes else ogr2ogr(path)
        least = sum(floor.values())
        parts = {k: round(v, 2) for k, v in floor.items()}
        which = "all indexes" if all_indexes else "key and GiST"
        told(
            f"first load, {format_}, {which}", rows=size, ours_s=ours["seconds"], limit_s=least, limit_parts=parts,
            ratio=ours["seconds"] / least, asked=TARGETS[format_], ogr2ogr_s=peer, faster_than_ogr2ogr=None if peer is None else
            peer / ours["seconds"], cpu_s=ours["cpu_s"], peak_mb=ours["peak_mb"],
        )  # fmt: skip
        if format_ == "parquet" and not all_indexes:
            told("arrow to COPY, no check, no index", rows=size, seconds=arrow_copy(path))


def changes(size: int, folder: Path, file: Callable[[str, int], Path]) -> None:
    """An update of one row in a hundred and the same delivery once more, over what is loaded."""
    path = file("parquet", size)
    empty()
    full = run("address", str(path))
    again = run("address", str(path))
    outcome = again["answer"]["layers"][0]
    told(
        "the same delivery again", rows=size, ours_s=again["seconds"], share=again["seconds"] / full["seconds"], peak_mb=again["peak_mb"],
        changed=[outcome[k] for k in ("inserted", "updated", "retired")],
    )  # fmt: skip
    changed = pyarrow.parquet.read_table(path).slice(size // 2, size // 100)
    names = [f"{name}附" for name in changed.column("compound").to_pylist()]
    changed = changed.set_column(changed.column_names.index("compound"), "compound", pa.array(names))
    pyarrow.parquet.write_table(changed, folder / "changed.parquet")
    update = run("address", str(folder / "changed.parquet"), "--mode", "update")
    told(
        "update of 1 %", rows=len(changed), updated=update["answer"]["layers"][0]["updated"], ours_s=update["seconds"],
        full_load_s=full["seconds"], share=update["seconds"] / full["seconds"], asked=0.15,
    )  # fmt: skip


def memory(size: int, file: Callable[[str, int], Path]) -> None:
    """The peak memory of a load three times as large."""
    empty()
    ours = run("address", str(file("parquet", 3 * size)))
    told("memory, three times the rows", rows=3 * size, ours_s=ours["seconds"], peak_mb=ours["peak_mb"], asked_mb=600)


def main() -> None:
    """Print the figures."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--size", type=int, default=1_000_000)
    asked.add_argument("--formats", default="parquet,gpkg,shp")
    asked.add_argument("--only", choices=["first", "changes", "memory"], help="one part of it")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-load-") as name, database():
        folder = Path(name)
        folder.chmod(0o777)  # the server writes its file there
        made: dict[tuple[str, int], Path] = {}

        def file(format_: str, n: int) -> Path:
            if (format_, n) not in made:
                made[format_, n] = WRITERS[format_](folder / f"address{n}.{format_}", n)
            return made[format_, n]

        if given.only in (None, "first"):
            for all_indexes in (False, True):
                first_loads(given.size, given.formats.split(","), folder, file, all_indexes=all_indexes)
        if given.only in (None, "changes"):
            changes(given.size, folder, file)
        if given.only in (None, "memory"):
            memory(given.size, file)


if __name__ == "__main__":
    main()
