"""`onemap db …`: the embedded database, its backup and its restoration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gis.cli.output import console, emit
from gis.db import backup as backups
from gis.db import cluster, migrations
from gis.db.connection import owner
from gis.errors import InputError
from gis.ingest import rasters

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_SAID = {
    "created": "database made and started",
    "started": "database started",
    "running": "database runs already",
    "external": "ONEMAP_DSN names an external server, which is started and stopped by its own administrator",
    "stopped": "database stopped",
    "not running": "database does not run",
}

db = typer.Typer(help="The database: start, stop, status, reset, backup, restore. 数据库。", no_args_is_help=True)


@db.command()
def start(json: Json = False) -> None:
    """Make the database where there is none, start it, bring its own tables up to date."""
    done = cluster.start()
    console.print(_SAID[done])
    applied = migrations.migrate()
    for name in applied:
        console.print(f"migration {name}")
    _settle_rasters()
    emit({"state": done, "migrations": applied} | _place(), json, table="")


@db.command()
def stop(json: Json = False) -> None:
    """Stop the database."""
    done = cluster.stop()
    emit({"state": done}, json, table=_SAID[done])


@db.command()
def status(json: Json = False) -> None:
    """Whether it runs, where, and which version it is."""
    answer = cluster.status()
    if answer["state"] in ("running", "external"):
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('server_version'),"
                " (SELECT extversion FROM pg_extension WHERE extname = 'postgis'),"
                " pg_size_pretty(pg_database_size(current_database())),"
                " (SELECT system_identifier FROM pg_control_system())"
                " || '-' || (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            answer |= dict(zip(("postgresql", "postgis", "size", "identity"), cursor.fetchone(), strict=True))
        answer["pending_migrations"] = [m.name for m in migrations.pending()]
    emit(answer, json)


@db.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, json: Json = False) -> None:
    """Delete the database with all its data and make an empty one."""
    if not yes and not (console.is_terminal and typer.confirm("Delete the database with all its data?", err=True)):
        raise InputError("Nothing was deleted", remedy="Confirm, or say --yes")
    cluster.remove()
    done = cluster.start()
    emit({"state": done, "migrations": migrations.migrate()}, json, table="database made anew")


@db.command()
def backup(folder: Annotated[Path, typer.Argument(metavar="DIR")], json: Json = False) -> None:
    """Write the database, the kept sources and rasters, and a ledger into DIR."""
    emit(backups.backup(folder), json)


@db.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Put the backup in DIR in the place of the database."""
    if not yes and not (console.is_terminal and typer.confirm("Replace the present database by the backup?", err=True)):
        raise InputError("Nothing was replaced", remedy="Confirm, or say --yes")
    cluster.start()
    answer = backups.restore(folder)
    _settle_rasters()
    emit(answer, json)


def _settle_rasters() -> None:
    """Every raster layer shows the file that the database believes in: a crash or a restoration may have left another."""
    with owner() as connection, connection.cursor() as cursor:
        rasters.settle(cursor)


def _place() -> dict:
    found = cluster.status()
    return {name: found[name] for name in ("port", "sockets") if name in found}


def register(app: typer.Typer) -> None:
    """Add `db` to the command."""
    app.add_typer(db, name="db")
