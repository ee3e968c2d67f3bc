"""Backup and restore: the database as one pg_dump archive, the kept source files and rasters, and a ledger of row counts and digests."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psycopg2.extensions
from psycopg2 import sql

from gis.db import migrations
from gis.db.binaries import binaries
from gis.db.connection import LOGIN, close_pool, owner, owner_parameters
from gis.errors import InputError, SourceError, StoreError
from gis.settings import settings

SCHEMAS = ("core", "history", "observed", "meta", "access", "pub")


def row_counts(connection: psycopg2.extensions.connection) -> dict[str, int]:
    """Rows of every table of the platform's schemas (stage is transient), by `schema.table`."""
    counts = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY (%s) ORDER BY 1, 2", (list(SCHEMAS),))
        for schema, table in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
            counts[f"{schema}.{table}"] = cursor.fetchone()[0]
    return counts


def _tool(name: str, *arguments: str | Path, database: str | None = None) -> None:
    """Run pg_dump or pg_restore with the owner's rights; the password travels in the environment, not in the command
    line."""
    dsn = owner_parameters() | ({"dbname": database} if database else {})
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
        "sslmode": "PGSSLMODE",
    }
    env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"} | {names[key]: str(value) for key, value in dsn.items() if key in names}
    done = subprocess.run([binaries() / name, *arguments], env=env, capture_output=True, text=True)
    if done.returncode != 0:
        said = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise StoreError(f"{name} failed", remedy=f"It said: {said}")


def backup(folder: Path) -> dict:
    """Write database.dump, sources/, raster/ and backup.json into an empty or new folder.

    Dump and row counts are of one snapshot, taken while others read and write. Sources and rasters are kept under their digests and
    before the batch that needs them is published, so those of the snapshot are there when it has been taken.
    Raises InputError where the folder is not empty, StoreError where the disk is full or a kept file is damaged.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError("The folder of the backup is not empty", where=str(folder), remedy="Name a new one for each backup")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # a dump holds what no role sees together
    dump = folder / "database.dump"
    with owner() as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot = f"--snapshot={cursor.fetchone()[0]}"
        counts = row_counts(connection)
        _tool("pg_dump", "--format=custom", "--compress=3", "--exclude-table-data=stage.*", snapshot, "--file", dump)
    files = _copy(settings().home, folder)
    ledger = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"), "rows": counts, "sha256": _digest(dump), "files": files,
        "migrations": [m.name for m in migrations.migrations()],
    }  # fmt: skip
    (folder / "backup.json").write_text(json.dumps(ledger, indent=1))
    size = dump.stat().st_size + sum(files.values())
    return {"folder": str(folder), "tables": len(counts), "rows": sum(counts.values()), "files": len(files), "bytes": size}


def _files(root: Path) -> list[Path]:
    """The kept sources and rasters below a home or a backup, but not what is still being made."""
    return sorted(
        path
        for path in (*(root / "sources").glob("*"), *(root / "raster").glob("*.tif"), *(root / "raster").glob("*/*.tif"))
        if path.is_file() and not path.is_symlink() and ".partial" not in path.name
    )


def _copy(from_: Path, to: Path) -> dict[str, int]:
    """Copies the kept files that are not there yet; {path below the home: bytes}. A file that is named after its digest is checked on the
    way. Raises StoreError where one is damaged or the disk is full."""
    copied = {}
    for path in _files(from_):
        name = path.relative_to(from_)
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and target.stat().st_size == path.stat().st_size and re.fullmatch("[0-9a-f]{64}", path.stem)):
            try:
                digest = _copied(path, target)
            except FileNotFoundError:
                continue  # a raster that nothing shows any more has gone meanwhile
            except OSError as error:
                raise StoreError(f"the kept file {name} cannot be copied: {error.strerror}", remedy="Make room, then begin anew") from None
            if re.fullmatch("[0-9a-f]{64}", path.stem) and digest != path.stem:
                target.unlink()
                raise StoreError(
                    f"the kept file {name} is damaged: its digest differs", remedy="Fetch it from an older backup, or remove it"
                )
        copied[str(name)] = target.stat().st_size
    return copied


def _copied(path: Path, target: Path) -> str:
    """Copies one file so that it is there whole or not at all; its SHA-256."""
    partial, made = target.with_name(f"{target.name}.{os.getpid()}.partial"), hashlib.sha256()
    try:
        with path.open("rb") as source, partial.open("wb") as copy:
            while block := source.read(1 << 20):
                made.update(block)
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
        shutil.copystat(path, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return made.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def restore(folder: Path) -> dict:
    """Put a backup in the place of the database, verified by its digest beforehand and its row counts afterwards.

    It is restored beside the present database and takes its name only when every count agrees; before that nothing is lost. The kept files
    are added before, checked by their digests; which of them the raster layers show is for the caller to settle
    (`gis.ingest.rasters.settle`).
    Raises SourceError where the backup is incomplete or damaged.
    """
    folder = Path(folder)
    ledger, dump = _read_ledger(folder), folder / "database.dump"
    name = owner_parameters()["dbname"]
    fresh = f"{name}_restoring"
    _make_roles()
    with owner(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(fresh)))
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'").format(sql.Identifier(fresh)))
    _tool("pg_restore", "--exit-on-error", "--jobs=2", "--dbname", fresh, dump)
    with owner(database=fresh) as connection, connection.cursor() as cursor:
        found = row_counts(connection)
        cursor.execute("ANALYZE")
    wrong = {table: (n, found.get(table)) for table, n in ledger["rows"].items() if found.get(table) != n}
    if wrong:
        raise StoreError(
            "The restored copy does not hold what the backup's ledger says",
            where=", ".join(list(wrong)[:5]),
            remedy="The present database is untouched; use another backup",
        )
    files = _copy(folder, settings().home)
    _swap(name, fresh)
    migrations.migrate()
    return {"tables": len(found), "rows": sum(found.values()), "files": len(files), "made_at": ledger["made_at"]}


def _read_ledger(folder: Path) -> dict:
    try:
        ledger = json.loads((folder / "backup.json").read_text())
        if _digest(folder / "database.dump") != ledger["sha256"]:
            raise SourceError("The backup is damaged: its digest differs", where=str(folder), remedy="Use another backup")
        unknown = set(ledger.get("migrations", ())) - {m.name for m in migrations.migrations()}
        if unknown:
            raise SourceError(
                "The backup was made by a newer version of the platform", where=min(unknown), remedy="Restore it with that version"
            )
        present = {str(path.relative_to(folder)): path.stat().st_size for path in _files(folder)}
        lacking = [name for name, size in ledger.get("files", {}).items() if present.get(name) != size]
        if lacking:
            raise SourceError(f"The backup lacks {len(lacking)} of its files", where=lacking[0], remedy="Use another backup")
    except (OSError, KeyError, ValueError) as error:
        raise SourceError(
            "This folder is no complete backup", where=str(folder), remedy="Name a folder that `onemap db backup` made"
        ) from error
    return ledger


def _make_roles() -> None:
    """Roles belong to the server, not to the dump; the migrations make them, whatever the present database holds."""
    texts = [m.sql for m in migrations.migrations() if m.name.endswith("_roles")]
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS pub; CREATE SCHEMA IF NOT EXISTS meta")
        for text in texts:
            cursor.execute(text)


def _swap(name: str, fresh: str) -> None:
    """Let the restored database take the name; the old one goes only then."""
    close_pool()
    old, new, before = (sql.Identifier(part) for part in (name, fresh, f"{name}_before"))
    with owner(autocommit=True, database="postgres") as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(before))
        cursor.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(old))
        cursor.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", (name,))
        cursor.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(old, before))
        cursor.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(new, old))
        # the dump carries the rights inside the database, not those on it
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(old))
        cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(old, sql.Identifier(LOGIN)))
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(before))
