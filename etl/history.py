"""The run history of the scheduled loads, as lists: what is due, what came of each job's last run, who keeps the times."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import psycopg2.extras

from etl.jobs import Job, Jobs
from gis.db.connection import owner

SILENT_S = 60
"""A scheduler without a sign of life for so long is gone."""

_RUNS = """
SELECT id, job, trigger, due_at, status, source, batches, rows_read, rows_loaded, rows_rejected, inserted, updated, retired, unchanged,
       findings, progress, coalesce(message, progress) AS message, error, exit_code, operator, started_at, finished_at,
       round(extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at), 1)::float8 AS seconds
FROM meta.job_run WHERE job = %(job)s ORDER BY id DESC LIMIT %(limit)s
"""
_LAST = """
SELECT job, id AS run, status, started_at, finished_at, succeeded_at, batches, rows_read, rows_loaded, rows_rejected, findings, exit_code,
       coalesce(message, progress) AS message, failing
FROM meta.last_job_run
"""
_NEVER = dict.fromkeys(("run", "status", "started_at", "finished_at", "succeeded_at", "batches", "rows_read", "rows_loaded",
                        "rows_rejected", "findings", "exit_code", "message")) | {"failing": False}  # fmt: skip
_PLANNED = "SELECT job, next_at, note FROM meta.scheduled_job"
_SCHEDULER = "SELECT worker, beat_at, fault, beat_at > clock_timestamp() - make_interval(secs => %s) AS alive FROM meta.scheduler"


def runs(found: Jobs, job: str, limit: int = 20) -> list[dict]:
    """The newest runs of a job; `seconds` is how long each took. Times are in the time zone of the file of jobs."""
    return [_local(found, row) for row in _asked(_RUNS, {"job": job, "limit": limit})]


def jobs(found: Jobs) -> list[dict]:
    """Every job of the file with its next time and its last run (None where it never ran); `failing`: its last result was a fault."""
    last = {row["job"]: row for row in _asked(_LAST)}
    due = {row["job"]: row for row in _asked(_PLANNED)}
    listed = []
    for name, job in sorted(found.jobs.items()):
        row = last.get(name, _NEVER)
        plan = planned(found, job)
        if name in due and plan["next"] is not None:
            plan["next"] = due[name]["next_at"]
            row = row | ({"message": due[name]["note"]} if due[name]["note"] else {})
        more = {"job": name, "title": job.title, "enabled": job.enabled}
        listed.append(_local(found, row | plan | more))
    return listed


def planned(found: Jobs, job: Job) -> dict:
    """What a job loads and when: its next time by the file alone; None where it is not run by the clock."""
    clocked = job.when is not None and job.enabled
    return {"load": job.load, "when": job.when, "next": found.next_time(job, dt.datetime.now(dt.UTC)) if clocked else None}


def scheduler() -> dict:
    """Who keeps the times: worker, its last sign of life, whether that is recent, and what is wrong with the file of jobs."""
    found = _asked(_SCHEDULER, (SILENT_S,))
    return found[0] if found else {"worker": None, "beat_at": None, "fault": None, "alive": False}


def _local(found: Jobs, row: dict) -> dict:
    zone = ZoneInfo(found.timezone)
    return {name: value.astimezone(zone) if isinstance(value, dt.datetime) else value for name, value in row.items()}


def _asked(query: str, values: dict | tuple | None = None) -> list[dict]:
    with owner() as connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(query, values)
        return [dict(row) for row in cursor.fetchall()]
