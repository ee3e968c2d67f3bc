"""The command `onemap`: assembles the commands and catches every named error once."""

from __future__ import annotations

import importlib
import logging
import sys

import psycopg2
import typer

from gis.cli.output import console, emit
from gis.errors import InputError, OneMapError

COMMANDS: dict[str, tuple[str, ...]] = {
    "db": ("db",),
    "layers": ("layers",),
    "load": ("load", "rollback", "batches"),
    "drawing": ("load-drawing",),
    "survey": ("survey",),
    "jobs": ("jobs",),
    "city": ("city",),
    "analysis": ("burst", "close", "trace"),
    "network": ("network", "criticality"),
    "hydraulics": ("hydraulics",),
    "burst_book": ("burst-book",),
    "valve": ("valve",),
    "works": ("works",),
    "notice": ("notice",),
    "crew": ("crew",),
    "places": ("geocode", "reverse", "coverage"),
    "doorplate": ("doorplate",),
    "access": ("user", "key"),
    "audit": ("audit",),
    "right": ("right",),
    "webhook": ("webhook",),
    "tiles": ("tiles",),
    "serve": ("serve", "worker", "publish"),
    "qgis": ("qgis",),
    "doctor": ("doctor",),
}
"""Modules of `gis.cli`, each with `register(app)`, and the commands they add, in the order of the help page."""


def application(command: str | None = None) -> typer.Typer:
    """The command with its subcommands; where the one that is wanted is known, with that one's module only.

    A duty officer's `onemap burst` need not wait until the web server's and the loader's libraries are loaded.
    """
    app = typer.Typer(
        name="onemap", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help="One Map (一张图): the spatio-temporal map of a city. 城市时空一张图。",
    )  # fmt: skip
    app.callback()(lambda: None)  # keeps one command alone from becoming the whole
    known = [module for module, names in COMMANDS.items() if command in names]
    for module in known or COMMANDS:
        importlib.import_module(f"gis.cli.{module}").register(app)
    return app


def report(error: OneMapError, *, json: bool) -> int:
    """Say what was wrong, where, and what to do; the exit code."""
    if json:
        emit({"error": error.as_dict()}, json=True)
    else:
        console.print(f"[bold red]{type(error).__name__}[/]", end=" ")
        console.print(str(error), markup=False, soft_wrap=True)
    return error.exit_code


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 platform, 2 caller's mistake, 3 source unreadable, 4 batch
    rejected."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    as_json = "--json" in sys.argv
    try:
        application(sys.argv[1] if len(sys.argv) > 1 else None)()
    except SystemExit as end:  # a wrong option or a missing argument: what it was stands on stderr
        if as_json and end.code == 2:
            report(InputError("The command line was not understood", remedy="Its fault is on stderr; see --help"), json=True)
        raise
    except OneMapError as error:
        sys.exit(report(error, json=as_json))
    except psycopg2.Error as error:
        from gis.db.connection import translated

        sys.exit(report(translated(error), json=as_json))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
