"""`onemap jobs …`: scheduled loads: what is due when, what came of it, run one now, judge the file that lists them."""

from __future__ import annotations

import contextlib
import getpass
from pathlib import Path
from typing import Annotated

import typer

from etl import history
from etl import jobs as definitions
from gis.catalog import read
from gis.cli import load
from gis.cli.output import console, emit, pairs, rows
from gis.errors import DefinitionError, OneMapError, SourceError, StoreError
from gis.settings import settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
jobs = typer.Typer(help="Scheduled loads: list, run, check. 定时入库。", no_args_is_help=True)


UsageError = typer.BadParameter.__base__
"""What typer raises for any command line that it does not understand."""


class RunFailed(OneMapError):
    """A run that came to no good end; it has the exit code of its load and says what the run was."""

    def __init__(self, outcome, run: dict):
        error = outcome.error or {}
        super().__init__(
            error.get("what") or outcome.message or outcome.status, where=error.get("where", ""), remedy=error.get("remedy", "")
        )
        self.exit_code, self.run, self.code = outcome.exit_code, run, error.get("code", "StoreError")

    def as_dict(self) -> dict:
        """The error of the load, with the run."""
        return super().as_dict() | {"code": self.code, "run": self.run}


class Unsound(DefinitionError):
    """A file of jobs with faults: the first of them, and all."""

    def __init__(self, faults: list[DefinitionError]):
        first = faults[0]
        super().__init__(first.what, where=first.where, remedy=first.remedy)
        self.faults = faults

    def as_dict(self) -> dict:
        """The first fault, and the list of all."""
        return super().as_dict() | {"code": "DefinitionError", "faults": [fault.as_dict() for fault in self.faults]}


@jobs.command("list")
def list_(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The runs of this job; without it all jobs, each with its last run.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many runs, the newest first.")] = 20,
    failing: Annotated[bool, typer.Option("--failing", help="Only jobs whose last result was a fault; then the exit code is 1.")] = False,
    json: Json = False,
) -> None:
    """What is due when, and what came of the last runs. 任务与运行记录。"""
    found = definitions.read(settings().jobs_file)
    if name is not None:
        runs_ = history.runs(found, name, limit)
        if name not in found.jobs and not runs_:
            found.job(name)
        emit({"job": name, "runs": runs_}, json, table=lambda: _table(_RUNS, runs_))
        return
    listed = [one for one in history.jobs(found) if not failing or one["failing"]]
    scheduler = history.scheduler()
    emit({"jobs": listed, "scheduler": scheduler}, json, table=lambda: _table(_LISTED, listed))
    if not json and not scheduler["alive"]:
        console.print("no worker keeps the times now: run `onemap serve` or `onemap worker`")
    if not json and scheduler["fault"]:
        console.print(f"the file of jobs cannot be used: {scheduler['fault']}", markup=False)
    if failing and listed:
        raise typer.Exit(StoreError.exit_code)


@jobs.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    force: Annotated[bool, typer.Option("--force", help="Load the source even if it is the one of the last run.")] = False,
    dry_run: load.DryRun = False,
    json: Json = False,
) -> None:
    """Run a job now, whether it is due or not; the exit code is that of its load. 立即运行。"""
    from etl import runs

    found = definitions.read(settings().jobs_file)
    number, outcome = runs.run(
        found, name, read.catalog(), force=force, dry_run=dry_run, operator=_operator(), tell=lambda said: console.print(said, markup=False)
    )
    answer = {
        "run": number, "job": name, "status": outcome.status, "source": outcome.source, "batches": outcome.batches, **outcome.counts(),
        "findings": (outcome.result or {}).get("findings", {}), "message": outcome.message,
    }  # fmt: skip
    if outcome.exit_code:
        raise RunFailed(outcome, answer)
    emit(answer, json, table=lambda: pairs({name: value for name, value in answer.items() if value not in (None, [], {})}))


@jobs.command()
def check(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Default: the file of this installation.")] = None,
    json: Json = False,
) -> None:
    """Judge the file of jobs, line by line, without running anything. 检查任务文件。"""
    path, catalog = file or settings().jobs_file, read.catalog()
    wrong = definitions.faults(path, catalog, fault_of_arguments)
    if not wrong:
        found = definitions.read(path)
        plan = [{"job": name, **history.planned(found, job), "found": _present(found, job, catalog)} for name, job in found.jobs.items()]
        titles = ("job", "loads", "when", "next", "there now")
        lines = ([p["job"], p["load"], p["when"], p["next"], p["found"]] for p in plan)
        emit({"sound": True, "jobs": plan}, json, table=lambda: rows(titles, lines))
        return
    for fault in () if json else wrong[1:]:
        console.print(str(fault), markup=False)
    raise Unsound(wrong)


def fault_of_arguments(arguments: list[str]) -> str | None:
    """What `onemap load` would not understand of a command line, or None."""
    app = typer.Typer()
    load.register(app)
    command = typer.main.get_command(app).commands["load"]
    try:
        with contextlib.suppress(typer.Exit):
            command.make_context("load", arguments[1:])
    except UsageError as error:
        return error.format_message()
    return None


def _present(found: definitions.Jobs, job: definitions.Job, catalog) -> str | None:
    try:
        return ", ".join(path.name for path in found.files(job, catalog))[:200]
    except SourceError:
        return None


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


_LISTED = {
    "job": "job", "loads": "load", "when": "when", "next": "next", "state": "status", "last run": "started_at", "batch": "batches",
    "read": "rows_read", "loaded": "rows_loaded", "rejected": "rows_rejected", "message": "message",
}  # fmt: skip
_RUNS = {
    "run": "id", "started": "started_at", "by": "operator", "state": "status", "source": "source", "batch": "batches", "read": "rows_read",
    "loaded": "rows_loaded", "rejected": "rows_rejected", "new": "inserted", "changed": "updated", "retired": "retired",
    "seconds": "seconds", "message": "message",
}  # fmt: skip
"""Titles of the columns and what is in them."""


def _table(columns: dict[str, str], found: list[dict]):
    return rows(columns, ([_cell(one[key]) for key in columns.values()] for one in found))


def _cell(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if hasattr(value, "astimezone"):
        return f"{value:%Y-%m-%d %H:%M}"
    return value[:79] + "…" if isinstance(value, str) and len(value) > 80 else value


def register(app: typer.Typer) -> None:
    """Add `onemap jobs`."""
    app.add_typer(jobs, name="jobs")
