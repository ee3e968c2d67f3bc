"""One run of a job: `onemap load` as a process of its own, and its line in the run history.

The load is a child that dies with its parent: whatever a damaged file does to it, the worker goes on; and a worker that is killed leaves
no load behind that nobody follows.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2.extras

from etl import jobs
from etl.jobs import Job, Jobs
from gis.catalog.model import Catalog
from gis.db.connection import owner
from gis.errors import InputError, OneMapError, StoreError
from gis.settings import ROOT

JOB_LOCK = 0x4F4D4A
"""Class of the advisory locks: one run of a job at a time."""
QUIET_DAYS = 90
"""How long runs that found nothing new are remembered; all others are for ever."""
TICK_S = 1.0
STOP_S = 20.0
"""How long a load that is told to end may take before it is killed."""
Tell = Callable[[str], None]

_DEAD = """
UPDATE meta.job_run SET status = 'interrupted', finished_at = clock_timestamp(),
       message = 'the process that ran it ended before it had finished'
WHERE job = %(job)s AND status = 'running'
"""
_FORGET = """
DELETE FROM meta.job_run WHERE job = %(job)s AND status = 'unchanged' AND started_at < clock_timestamp() - make_interval(days => %(days)s)
"""
_BEGIN = """
INSERT INTO meta.job_run (job, trigger, due_at, operator, worker) VALUES (%(job)s, %(trigger)s, %(due)s, %(operator)s, %(worker)s)
RETURNING id
"""
_LAST = """
SELECT status, sha256, batches, message, exit_code FROM meta.job_run
WHERE job = %(job)s AND status IN ('done', 'rejected', 'failed') AND sha256 IS NOT NULL ORDER BY id DESC LIMIT 1
"""
_PROGRESS = "UPDATE meta.job_run SET progress = %(progress)s WHERE id = %(id)s"
_FINISH = """
UPDATE meta.job_run SET status = %(status)s, source = %(source)s, sha256 = %(sha256)s, batches = %(batches)s, rows_read = %(rows_read)s,
       rows_loaded = %(rows_loaded)s, rows_rejected = %(rows_rejected)s, inserted = %(inserted)s, updated = %(updated)s,
       retired = %(retired)s, unchanged = %(unchanged)s, findings = %(findings)s, progress = NULL, message = %(message)s,
       error = %(error)s, exit_code = %(exit_code)s, finished_at = clock_timestamp()
WHERE id = %(id)s
"""
_COUNTS = ("rows_read", "rows_loaded", "rows_rejected")
_CHANGES = ("inserted", "updated", "retired", "unchanged")


class Stopped(Exception):
    """The worker shuts down: the run ends and is made up for later."""


@dataclass
class Outcome:
    """What came of a run: `status` done, unchanged, rejected, failed, interrupted or dry_run; `exit_code` that of `onemap load`."""

    status: str
    exit_code: int
    source: str | None = None
    sha256: str | None = None
    result: dict | None = None
    error: dict | None = None
    message: str | None = None

    @property
    def batches(self) -> list[int]:
        """The batches that the run made."""
        result = self.result or {}
        return result.get("batches") or ([result["batch"]] if "batch" in result else [])

    def counts(self) -> dict[str, int | None]:
        """Rows read, loaded, rejected, inserted, updated, retired, unchanged; None where nothing was read."""
        result = self.result or {}
        layers = result.get("layers") or [layer for load in result.get("loads", ()) for layer in load["layers"]]
        changes = {name: sum(layer[name] for layer in layers) if self.result else None for name in _CHANGES}
        return {name: result.get(name) for name in _COUNTS} | changes


@dataclass(frozen=True)
class Started:
    """A run whose lock is held: its number and the connection that says how far it is."""

    id: int
    cursor: object


def run(
    found: Jobs, name: str, catalog: Catalog, *, trigger: str = "command", due: dt.datetime | None = None, force: bool = False,
    dry_run: bool = False, operator: str = "", stop: threading.Event | None = None, tell: Tell = lambda _: None,
) -> tuple[int, Outcome]:  # fmt: skip
    """Runs a job now: (number of the run, outcome). A source that is the same as at the last result is not loaded again (unless `force`).

    `tell` hears how far the load is, at least once in a few seconds. A fault of the load is an outcome, not an error; raised are only
    NotFound (no such job), InputError (it runs already) and StoreError (the history cannot be written).
    """
    job, stop = found.job(name), stop or threading.Event()
    with _started(name, trigger, due, operator) as started:
        source, digest = None, None
        try:
            files = found.files(job, catalog)
            source = ", ".join(path.name for path in files)[:500]
            digest = jobs.digest(job, files)
            outcome = (not force and not dry_run and _as_last_time(started, name, digest)) or _load(
                found, job, files, dry_run, started, stop, tell
            )
        except OneMapError as error:
            outcome = Outcome("failed", error.exit_code, error=error.as_dict(), message=str(error))
        except Stopped:
            outcome = Outcome("interrupted", StoreError.exit_code, message="the worker was stopped; the run is made up for later")
        except OSError as error:
            outcome = Outcome("failed", StoreError.exit_code, message=f"the source cannot be read: {error.strerror}")
        outcome.source, outcome.sha256 = source, None if dry_run else digest  # a rehearsal is no result that later runs compare with
        _finish(started, outcome)
    return started.id, outcome


@contextlib.contextmanager
def _started(name: str, trigger: str, due: dt.datetime | None, operator: str) -> Iterator[Started]:
    """The job's lock and a new line in the history; what a dead process left there is called interrupted."""
    with owner(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (JOB_LOCK, name))
        if not cursor.fetchone()[0]:
            raise InputError(f"the job {name} runs already", remedy="See `onemap jobs list`; wait until it has ended")
        bound = {"job": name, "trigger": trigger, "due": due, "operator": operator, "worker": f"{socket.gethostname()}:{os.getpid()}"}
        cursor.execute(_DEAD, bound)
        cursor.execute(_FORGET, {"job": name, "days": QUIET_DAYS})
        cursor.execute(_BEGIN, bound)
        yield Started(cursor.fetchone()[0], cursor)


def _as_last_time(started: Started, name: str, digest: str) -> Outcome | None:
    """The outcome without a load: the source is the one of the last result. After a fault of the platform it is tried again."""
    started.cursor.execute(_LAST, {"job": name})
    last = started.cursor.fetchone()
    if last is None or last[1] != digest or last[0] == "failed":
        return None
    status, _, batches, message, code = last
    if status == "rejected":
        return Outcome("rejected", code, message=f"the source is unchanged since it was refused: {message or ''}"[:1000])
    said = f"the source is unchanged since batch {', '.join(map(str, batches))}" if batches else "the source is unchanged"
    return Outcome("unchanged", 0, message=said)


def _load(found: Jobs, job: Job, files: list[Path], dry_run: bool, started: Started, stop: threading.Event, tell: Tell) -> Outcome:
    command = [sys.executable, "-m", "gis.cli.main", *found.arguments(job, files), "--json", *(["--dry-run"] if dry_run else [])]
    code, out, said = _followed(_bound_to_us(command), job.longest_minutes * 60, started, stop, tell)
    try:
        answer = json.loads(out)
    except ValueError:
        reason = f"it was ended by signal {-code}" if code < 0 else f"it ended with {code}"
        return Outcome("failed", StoreError.exit_code, message=f"the load did not finish: {reason}; {said[-300:]}".strip("; "))
    if "error" in answer:
        error = answer["error"]
        status = "rejected" if error.get("result") or code in (3, 4) else "failed"
        message = " ".join(filter(None, (error.get("what"), error.get("where") and f"({error['where']})", error.get("remedy"))))
        return Outcome(status, code, result=error.get("result"), error=error, message=message[:1000])
    return Outcome("dry_run" if dry_run else "done", code, result=answer)


def _bound_to_us(command: list[str]) -> list[str]:
    """The command so that it ends when this process ends, however that happens."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *command] if setpriv else command


def _followed(command: list[str], longest_s: float, started: Started, stop: threading.Event, tell: Tell) -> tuple[int, bytes, str]:
    """(exit code, stdout, last line of stderr); each line of progress goes into the history. Raises Stopped, and StoreError where the
    load takes too long."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        reading = threading.Thread(target=_gather, args=(child.stdout, out := []), daemon=True)
        reading.start()
        try:
            said = _told(child, time.monotonic() + longest_s, started, stop, tell)
            code = child.wait()
        except BaseException:
            _end(child)
            raise
        reading.join()
        return code, b"".join(out), said


def _told(child: subprocess.Popen, until: float, started: Started, stop: threading.Event, tell: Tell) -> str:
    """Follows what a load says until it says no more; its last words."""
    said, rest, written = "", b"", 0.0
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.stderr, selectors.EVENT_READ)
        while True:
            if stop.is_set():
                raise Stopped
            if time.monotonic() > until:
                raise StoreError("the load took longer than it may", remedy="Look what holds it up, or raise `longest_minutes`")
            if waiting.select(TICK_S):
                block = os.read(child.stderr.fileno(), 1 << 16)
                if not block:
                    return said
                *lines, rest = (rest + block).split(b"\n")
                said = next((line.decode("utf-8", "replace").strip() for line in reversed(lines) if line.strip()), said)
            if time.monotonic() - written > 2 * TICK_S:
                written = time.monotonic()
                started.cursor.execute(_PROGRESS, {"id": started.id, "progress": said[:200]})
                tell(said)


def _gather(stream, out: list[bytes]) -> None:
    out.append(stream.read())


def _end(child: subprocess.Popen) -> None:
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _finish(started: Started, outcome: Outcome) -> None:
    told = {
        "id": started.id, "status": outcome.status, "source": outcome.source, "sha256": outcome.sha256, "batches": outcome.batches,
        "findings": psycopg2.extras.Json((outcome.result or {}).get("findings", {})), "message": outcome.message,
        "error": psycopg2.extras.Json(outcome.error) if outcome.error else None, "exit_code": outcome.exit_code,
    }  # fmt: skip
    started.cursor.execute(_FINISH, told | outcome.counts())
