"""The worker: takes jobs from the queue and runs them with their owner's rights, one at a time; several workers share the queue."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import socket
import threading
import time

import psycopg2.extras

from gis.access import rights
from gis.access.identity import Identity
from gis.api import process as served
from gis.api.jobs import CHANNEL
from gis.api.serialize import json_bytes
from gis.db import connection
from gis.db.connection import owner
from gis.errors import InputError, OneMapError, StoreError
from gis.settings import settings

log = logging.getLogger("onemap.worker")

LOOK_S = 0.5
"""How often a job at work is looked after: whether its statement has to end."""
HEARTBEAT_S = 2.0
"""How often it says that it lives, and hears whether its owner still wants it."""
DEAD_AFTER_S = 60
"""A running job without a heartbeat for so long belongs to nobody and is taken again."""
ATTEMPTS = 3
LONGEST_S = 3600.0
"""How long one statement of a job may run."""
LARGEST_RESULT = 64 << 20
"""Bytes of an answer that are kept."""
PURGED_EVERY_S = 600

_TAKE = """
UPDATE meta.job SET status = 'running', worker = %(worker)s, attempts = attempts + 1, message = 'running',
       started_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE id = (SELECT id FROM meta.job
            WHERE (status = 'accepted' OR status = 'running' AND updated_at < clock_timestamp() - make_interval(secs => %(dead)s))
              AND NOT cancelled AND attempts < %(attempts)s
            ORDER BY created_at FOR UPDATE SKIP LOCKED LIMIT 1)
RETURNING id::text, process, inputs, user_name, role
"""
_GIVE_UP = """
UPDATE meta.job SET status = CASE WHEN cancelled THEN 'dismissed' ELSE 'failed' END, finished_at = clock_timestamp(),
       error = CASE WHEN cancelled THEN NULL ELSE %(error)s::jsonb END, updated_at = clock_timestamp()
WHERE status = 'running' AND updated_at < clock_timestamp() - make_interval(secs => %(dead)s) AND (cancelled OR attempts >= %(attempts)s)
"""
_BEAT = """
UPDATE meta.job SET updated_at = clock_timestamp(), progress = %(progress)s, message = %(message)s
WHERE id = %(id)s AND worker = %(worker)s AND status = 'running' RETURNING cancelled
"""
_FINISH = """
UPDATE meta.job SET status = %(status)s, progress = CASE WHEN %(status)s = 'successful' THEN 100 ELSE progress END, message = %(status)s,
       result = %(result)s, error = %(error)s, finished_at = CASE WHEN %(status)s = 'accepted' THEN NULL ELSE clock_timestamp() END,
       attempts = CASE WHEN %(status)s = 'accepted' THEN attempts - 1 ELSE attempts END, updated_at = clock_timestamp()
WHERE id = %(id)s AND worker = %(worker)s AND status = 'running'
"""
_PURGE = "DELETE FROM meta.job WHERE finished_at < clock_timestamp() - make_interval(secs => %(kept)s)"


class Dismissed(Exception):
    """The owner of the job does not want it any more."""


class Stopping(Exception):
    """The worker shuts down: the job goes back into the queue."""


class Running:
    """A job at work, made by the thread that works for it: beats, says through `progress` when it has to end, and ends its statement."""

    def __init__(self, job_id: str, worker: str, stop: threading.Event):
        self.id, self.worker, self.stop = job_id, worker, stop
        self.share, self.message = 0.0, "running"
        self.cancelled = threading.Event()
        self._at_work = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *failure) -> None:
        self._over.set()
        self._thread.join()

    def progress(self, share: float, what: str) -> None:
        """What the process says about itself. Raises Dismissed or Stopping where it has to end."""
        self.share, self.message = min(max(float(share), 0.0), 1.0), str(what)[:200]
        if self.cancelled.is_set():
            raise Dismissed
        if self.stop.is_set():
            raise Stopping

    @property
    def is_unwanted(self) -> bool:
        """Whether it has to end."""
        return self.cancelled.is_set() or self.stop.is_set()

    def _beat(self) -> None:
        beats_at = 0.0
        while not self._over.wait(LOOK_S):
            if time.monotonic() >= beats_at:
                beats_at = time.monotonic() + HEARTBEAT_S
                try:
                    self._beat_once()
                except OneMapError as error:
                    log.warning("heartbeat of job %s: %s", self.id, error.what)
            if self.is_unwanted:
                connection.cancel(self._at_work)  # again and again, for the process may begin another one

    def _beat_once(self) -> None:
        said = {"id": self.id, "worker": self.worker, "progress": int(self.share * 99), "message": self.message}
        with owner() as link, link.cursor() as cursor:
            cursor.execute(_BEAT, said)
            row = cursor.fetchone()
        if row is None or row[0]:
            self.cancelled.set()


class Worker:
    """Takes and runs jobs until `stop` is set."""

    def __init__(self, name: str | None = None):
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.stop = threading.Event()
        self._purged_at = -math.inf

    def run(self) -> None:
        """Until stopped: run what waits, then wait for a notice. A database that is away is waited for."""
        while not self.stop.is_set():
            try:
                with self._listening() as link:
                    while not self.stop.is_set():
                        if time.monotonic() - self._purged_at > PURGED_EVERY_S:
                            self._purged_at = time.monotonic()
                            purge()
                        if not self.run_one():
                            _wait(link, settings().jobs_poll_s)
            except (StoreError, psycopg2.Error) as error:
                log.warning("the worker waits for the database: %s", getattr(error, "what", type(error).__name__))
                self.stop.wait(max(1.0, settings().jobs_poll_s))

    @contextlib.contextmanager
    def _listening(self):
        with owner(autocommit=True) as link:
            with link.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            yield link

    def run_one(self) -> bool:
        """Take one job and run it to its end; False where none waits. Raises StoreError."""
        lost = psycopg2.extras.Json({"code": "StoreError", "what": "The job was interrupted too often", "remedy": "Start it again"})
        bounds = {"worker": self.name, "dead": DEAD_AFTER_S, "attempts": ATTEMPTS, "error": lost}
        with owner() as link, link.cursor() as cursor:
            cursor.execute(_GIVE_UP, bounds)
            cursor.execute(_TAKE, bounds)
            row = cursor.fetchone()
        if row is None:
            return False
        job_id, process_id, inputs, user, role = row
        started = time.monotonic()
        with Running(job_id, self.name, self.stop) as job:
            status, result, error = self._outcome(job, process_id, inputs, Identity(user, rights.role_of(user, role)))
        with owner() as link, link.cursor() as cursor:
            said = {"id": job_id, "worker": self.name, "status": status, "result": result}
            cursor.execute(_FINISH, said | {"error": psycopg2.extras.Json(error) if error else None})
        log.info("job %s %s: %s after %.1f s", job_id, process_id, status, time.monotonic() - started)
        return True

    def _outcome(self, job: Running, process_id: str, inputs: dict, identity: Identity) -> tuple[str, str | None, dict | None]:
        """(status, result as JSON, error): only the platform's own errors show their text."""
        try:
            process = served.found(process_id, identity.role)
            answer = served.run(process, served.checked(process, inputs), identity, job.progress, timeout_s=LONGEST_S)
            return "successful", _kept(answer), None
        except Dismissed:
            return "dismissed", None, None
        except Stopping:
            return "accepted", None, None
        except OneMapError as error:
            if isinstance(error, StoreError) and job.is_unwanted:  # its statement was ended
                return ("dismissed" if job.cancelled.is_set() else "accepted"), None, None
            return "failed", None, error.as_dict()
        except Exception:
            log.exception("job %s (%s) failed", job.id, process_id)
            return "failed", None, {"code": "Unexpected", "what": "Unexpected fault", "remedy": f"The log knows more under {job.id}"}


def _kept(answer: dict) -> str:
    """An answer as it is kept. Raises InputError for one that is too large."""
    written = json_bytes(answer)
    if len(written) > LARGEST_RESULT:
        raise InputError(f"The answer is larger than {LARGEST_RESULT >> 20} MB", remedy="Ask for a smaller area, or for fewer details")
    return written.decode()


def purge() -> int:
    """Forget jobs that ended longer ago than answers are kept (`ONEMAP_JOBS_KEPT_DAYS`); how many there were. Raises StoreError."""
    if not settings().jobs_kept_days:
        return 0
    with owner() as link, link.cursor() as cursor:
        cursor.execute(_PURGE, {"kept": settings().jobs_kept_days * 86_400})
        if cursor.rowcount:
            log.info("%d jobs and their answers were forgotten", cursor.rowcount)
        return cursor.rowcount


def _wait(link, seconds: float) -> None:
    """Until a job is announced or the time is over."""
    if select.select([link], [], [], seconds)[0]:
        link.poll()
        link.notifies.clear()
