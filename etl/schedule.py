"""The clock of the scheduled loads: which job is due. It runs inside `onemap worker`; of several workers one keeps the times."""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import threading
import time
from pathlib import Path

import psycopg2

from etl import jobs, runs
from etl.jobs import Job, Jobs
from gis.catalog import read
from gis.db.connection import owner
from gis.errors import InputError, OneMapError, StoreError
from gis.settings import settings

log = logging.getLogger("onemap.jobs")

SCHEDULER_LOCK = 0x4F4D53434845
"""Advisory lock of the one that keeps the times."""
ATTEMPTS = 3
"""A run that takes the whole machine down with it so often is given up until its next time."""
BEAT_S = 5.0

_BEAT = """
INSERT INTO meta.scheduler (worker, fault) VALUES (%(worker)s, %(fault)s)
ON CONFLICT (one) DO UPDATE SET worker = excluded.worker, fault = excluded.fault, beat_at = clock_timestamp()
"""
_PLAN = """
INSERT INTO meta.scheduled_job (job, times, next_at) VALUES (%(job)s, %(times)s, %(next)s)
ON CONFLICT (job) DO UPDATE SET times = excluded.times, next_at = excluded.next_at, note = NULL
"""
_FORGET = "DELETE FROM meta.scheduled_job WHERE job <> ALL (%s)"
_NOTE = "UPDATE meta.scheduled_job SET note = %s WHERE job = %s AND note IS DISTINCT FROM %s"
_INTERRUPTED = "SELECT count(*) FROM meta.job_run WHERE job = %s AND due_at = %s AND status IN ('interrupted', 'running')"
_GIVEN_UP = """
INSERT INTO meta.job_run (job, trigger, due_at, status, exit_code, message, worker, finished_at)
VALUES (%s, 'schedule', %s, 'failed', 1, 'given up: it was interrupted too often', %s, clock_timestamp())
"""


class Scheduler:
    """Runs due jobs, one after the other, until `stop` is set."""

    def __init__(self, stop: threading.Event, worker: str | None = None):
        self.stop = stop
        self.worker = worker or f"{socket.gethostname()}:{os.getpid()}"
        self._file: tuple[Path, float] | None = None
        self._jobs, self._fault = Jobs(), None
        self._beaten = 0.0

    def run(self) -> None:
        """Until stopped: waits for the lock, then keeps the times. A database that is away is waited for; nothing is forgotten meanwhile,
        for what is due stands in the database."""
        while not self.stop.is_set():
            try:
                with owner(autocommit=True) as connection, connection.cursor() as cursor:
                    while not self.stop.is_set() and not self._locked(cursor):
                        self.stop.wait(BEAT_S)
                    while not self.stop.is_set():
                        self.tick(cursor)
                        self.stop.wait(settings().jobs_poll_s)
            except (StoreError, psycopg2.Error) as error:
                log.warning("the scheduled loads wait for the database: %s", getattr(error, "what", type(error).__name__))
                self.stop.wait(BEAT_S)

    def _locked(self, cursor) -> bool:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (SCHEDULER_LOCK,))
        return cursor.fetchone()[0]

    def tick(self, cursor, now: dt.datetime | None = None) -> list[str]:
        """Plans what is new and runs what is due; the names of the jobs that ran. `now` is the present moment."""
        self._read()
        self._beat(cursor)
        clocked = {name: job for name, job in self._jobs.jobs.items() if job.when and job.enabled}
        if self._fault is None:
            cursor.execute(_FORGET, (list(clocked),))
        cursor.execute("SELECT job, times, next_at FROM meta.scheduled_job")
        planned = {name: (times, due) for name, times, due in cursor.fetchall()}
        for name, job in clocked.items():
            if name not in planned or planned[name][0] != self._times(job):
                planned[name] = (self._times(job), self._plan(cursor, name, job, now or _now()))
        due = sorted((when, name) for name, (_, when) in planned.items() if name in clocked and when <= (now or _now()))
        return [name for when, name in due if not self.stop.is_set() and self._run(cursor, name, clocked[name], when, now)]

    def _run(self, cursor, name: str, job: Job, due: dt.datetime, now: dt.datetime | None) -> bool:
        """Whether the job ran to a result; then its next time is planned."""
        if (note := self._unsettled(job)) is not None:
            cursor.execute(_NOTE, (note, name, note))
            return False
        cursor.execute(_INTERRUPTED, (name, due))
        if cursor.fetchone()[0] >= ATTEMPTS:
            cursor.execute(_GIVEN_UP, (name, due, self.worker))
            log.error("job %s: given up, it was interrupted too often", name)
        else:
            try:
                _, outcome = runs.run(self._jobs, name, read.catalog(), trigger="schedule", due=due, operator="schedule", stop=self.stop,
                                      tell=lambda _: self._beat(cursor))  # fmt: skip
            except InputError:
                return False  # it runs already: somebody started it by hand
            log.log(logging.INFO if outcome.exit_code == 0 else logging.ERROR, "job %s: %s, batches %s %s", name, outcome.status,
                    outcome.batches, outcome.message or "")  # fmt: skip
            if outcome.status == "interrupted":
                return False
        self._plan(cursor, name, job, max(now or _now(), due))
        return True

    def _unsettled(self, job: Job) -> str | None:
        """Why a due job has to wait: its file is still being written. A file that is not there is the run's fault to tell."""
        try:
            files = self._jobs.files(job, read.catalog())
            since = time.time() - jobs.youngest(files)
        except (OneMapError, OSError):
            return None
        if since >= job.settle_s:
            return None
        return f"{files[0].name} was written {max(since, 0):.0f} s ago; it is loaded when it has been left alone for {job.settle_s} s"

    def _times(self, job: Job) -> str:
        return f"{job.when} {self._jobs.timezone}"

    def _plan(self, cursor, name: str, job: Job, after: dt.datetime) -> dt.datetime:
        next_at = self._jobs.next_time(job, after)
        cursor.execute(_PLAN, {"job": name, "times": self._times(job), "next": next_at})
        return next_at

    def _read(self) -> None:
        """Reads the file of jobs when it has changed; one that cannot be understood is told and the last good one stays."""
        path = settings().jobs_file
        seen = (path, path.stat().st_mtime if path.exists() else 0.0)
        if seen == self._file:
            return
        self._file = seen
        try:
            found = jobs.read(path)
            timed = {name: jobs.fault_of_times(job.when) for name, job in found.jobs.items() if job.when}
            wrong = next((f"{name}: {fault}" for name, fault in timed.items() if fault), None)
            if wrong:
                raise InputError(wrong, remedy="Run `onemap jobs check`")
            self._jobs, self._fault = found, None
            log.info("%d scheduled loads", sum(bool(job.when and job.enabled) for job in found.jobs.values()))
        except OneMapError as error:
            self._fault = str(error)[:500]
            log.error("the file of jobs: %s", error)

    def _beat(self, cursor) -> None:
        if time.monotonic() - self._beaten > BEAT_S:
            self._beaten = time.monotonic()
            cursor.execute(_BEAT, {"worker": self.worker, "fault": self._fault})


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
