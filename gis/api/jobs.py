"""Long work as OGC API jobs: a durable queue in PostgreSQL, seen by its owner only."""

from __future__ import annotations

import datetime as dt
import uuid
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

import psycopg2.extras
from psycopg2 import sql
from pygeoapi.process.base import JobNotFoundError, JobResultNotFoundError
from pygeoapi.process.manager.base import BaseManager

from gis.access.identity import Identity, caller
from gis.api import process as served
from gis.catalog import narrowing
from gis.db.connection import reading, writing
from gis.errors import Throttled

WAITING_ALLOWED = 20
"""Jobs of one user that may wait or run at a time."""
WAITING_OF_NOBODY = 5
"""The same of all callers without a name together: they cannot be told apart."""
QUEUE_RETRY_S = 30
CHANNEL = "onemap_job"
"""NOTIFY wakes the worker."""

_COLUMNS = sql.SQL(
    "id::text AS identifier, process AS process_id, status, message, progress, inputs AS parameters, created_at AS created, "
    "started_at AS started, finished_at AS finished, updated_at AS updated, error, cancelled"
)
_RESULT, _STATUS = sql.SQL("status, result, process, inputs"), sql.SQL("status")
_INSERT = "INSERT INTO meta.job (process, inputs, role) VALUES (%s, %s, %s) RETURNING id::text"
_DISMISS = (
    "UPDATE meta.job SET cancelled = true, message = 'dismissed', updated_at = clock_timestamp(), result = NULL, "
    "status = CASE WHEN status = 'running' THEN status ELSE 'dismissed' END, "
    "finished_at = CASE WHEN status = 'running' THEN NULL ELSE clock_timestamp() END WHERE id = %s"
)


@dataclass(frozen=True)
class Sought:
    """Which jobs a list is to hold (None: any): of these processes, in these states, made from `first` up to `after` (exclusive), that took
    at least and at most so many seconds."""

    processes: list[str] | None = None
    statuses: list[str] | None = None
    first: dt.datetime | None = None
    after: dt.datetime | None = None
    shortest: float | None = None
    longest: float | None = None


sought: ContextVar[Sought | None] = ContextVar("sought", default=None)
"""What the list of this request is to hold: pygeoapi does not hand it on."""

_SOUGHT = sql.SQL(
    "(%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s)) AND (%(processes)s::text[] IS NULL OR process = ANY (%(processes)s)) "
    "AND (%(first)s::timestamptz IS NULL OR created_at >= %(first)s) AND (%(after)s::timestamptz IS NULL OR created_at < %(after)s) "
    "AND (%(shortest)s::float8 IS NULL OR extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at) >= %(shortest)s) "
    "AND (%(longest)s::float8 IS NULL OR extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at) <= %(longest)s)"
)
_COUNT = sql.SQL("SELECT count(*) AS n FROM meta.job WHERE {}").format(_SOUGHT)
_LIST = sql.SQL("SELECT {} FROM meta.job WHERE {} ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s").format(_COLUMNS, _SOUGHT)


class JobManager(BaseManager):
    """pygeoapi's process manager over `meta.job`. Jobs are run by `onemap worker`, never in a web process."""

    def __init__(self, manager_def: dict):
        self._processes: dict = {}
        super().__init__(manager_def)
        self._processes = {name: dict(definition) for name, definition in manager_def.get("processes", {}).items()}
        self.is_async = True
        self.supports_subscribing = False

    @property
    def processes(self) -> dict:
        """The processes that exist for the caller of this request."""
        seen = served.runnable(caller.get().role)
        return {name: definition for name, definition in self._processes.items() if name in seen}

    @processes.setter
    def processes(self, definitions: dict) -> None:
        """The base class fills this while it is made; what it fills is the caller's view, so it is set again afterwards."""
        self._processes = definitions

    def get_jobs(self, status=None, limit=None, offset=None) -> dict:
        """The caller's jobs, newest first; nobody's list is empty."""
        identity = caller.get()
        if identity.is_anonymous:
            return {"jobs": [], "numberMatched": 0}
        wanted = asdict(sought.get() or Sought(statuses=[getattr(status, "value", status)] if status else None))
        wanted |= {"limit": limit, "offset": offset or 0}
        with (
            reading(identity.role, identity.user) as connection,
            connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
        ):
            cursor.execute(_COUNT, wanted)
            matched = cursor.fetchone()["n"]
            cursor.execute(_LIST, wanted)
            return {"jobs": [_shown(row) for row in cursor.fetchall()], "numberMatched": matched}

    def get_job(self, job_id: str) -> dict:
        """One job of the caller. Raises JobNotFoundError."""
        return _shown(_row(job_id, _COLUMNS))

    def get_job_result(self, job_id: str) -> tuple[str, Any]:
        """The answer of a finished job, as long as its owner may still ask the question. Raises JobNotFoundError, JobResultNotFoundError,
        AccessDenied where rights leave him a part of what it was made of. Recorded as the running of the process was: now he has it."""
        row, identity = _row(job_id, _RESULT), caller.get()
        if row["process"] not in served.runnable(identity.role):
            raise JobNotFoundError()
        process = served.found(row["process"], identity.role)
        served.require_whole(process, identity, row["inputs"])
        if row["status"] != "successful":
            raise JobResultNotFoundError()
        served.record(process, row["inputs"], row["result"], identity, "result", job=str(_uuid(job_id)))
        return "application/json", row["result"]

    def delete_job(self, job_id: str) -> bool:
        """Dismiss a job: a waiting one at once, a running one as soon as it listens; its result goes. Raises JobNotFoundError."""
        _row(job_id, _STATUS)
        identity = caller.get()
        with writing(identity.role, identity.user) as connection, connection.cursor() as cursor:
            cursor.execute(_DISMISS, (_uuid(job_id),))
            if not cursor.rowcount:
                raise JobNotFoundError()
        return True

    def __repr__(self) -> str:
        return "<JobManager>"


def submit(process_id: str, inputs: dict, identity: Identity) -> str:
    """Queue a job with checked inputs; its id. Raises Throttled where too many of his wait already."""
    with writing(identity.role, identity.user) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM meta.job WHERE status IN ('accepted', 'running') AND user_name = %s", (identity.user,))
        allowed = WAITING_OF_NOBODY if identity.is_anonymous else WAITING_ALLOWED
        if cursor.fetchone()[0] >= allowed:
            whose = "callers without a name" if identity.is_anonymous else "yours"
            raise Throttled(f"{allowed} jobs of {whose} wait already", remedy="Wait for them, or dismiss one", retry_after_s=QUEUE_RETRY_S)
        cursor.execute(_INSERT, (process_id, psycopg2.extras.Json(inputs), narrowing.base(identity.role)))
        job_id = cursor.fetchone()[0]
        cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, job_id))
        return job_id


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise JobNotFoundError() from None


def _row(job_id: str, columns: sql.SQL) -> dict:
    identity = caller.get()
    with reading(identity.role, identity.user) as connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(sql.SQL("SELECT {} FROM meta.job WHERE id = %s").format(columns), (_uuid(job_id),))
        row = cursor.fetchone()
    if row is None:
        raise JobNotFoundError()
    return row


def _shown(row: dict) -> dict:
    """A job as pygeoapi lists it; times in UTC."""
    times = {
        name: row[name].astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if row[name] else None
        for name in ("created", "started", "finished", "updated")
    }
    message = row["message"]
    if row["status"] == "failed" and row["error"]:
        message = " ".join(filter(None, (row["error"].get("what"), row["error"].get("remedy"))))
    return dict(row) | times | {"started": times["started"] or times["created"], "message": message, "mimetype": "application/json"}
