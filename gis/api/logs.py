"""What the server writes down: one line per request and one per event, as plain text or as JSON, to stderr.

A line names the pattern of a path, never the path or the query: they hold ids, names, door-plate tokens. Who asked is in the audit, which
is guarded; here stands the role. What the database said of a value is not repeated.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import sys
import traceback

import orjson
import psycopg2
import structlog
from gunicorn.glogging import Logger as GunicornLogger

from gis.api import visit
from gis.settings import settings

FORMS = ("plain", "json")
_time = structlog.processors.TimeStamper(fmt="iso", utc=True)


def begin() -> None:
    """From now on every logger of this process writes as the settings say (`ONEMAP_LOG_FORMAT`, `ONEMAP_LOG_LEVEL`)."""
    chain = [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), _time, _named_request, _fault]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _text]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    level = logging.getLevelName(settings().log_level.upper())
    for name in ("onemap", "gis", "gunicorn"):
        logging.getLogger(name).setLevel(level)
    global _requests
    _requests = settings().log_format if level <= logging.INFO else None


_requests: str | None = None
"""The form of the lines of requests; None where nobody wants them."""


def of_request(request_id: str, method: str, route: str, status: int, seconds: float, role: str) -> None:
    """The line of an answered request. route: the pattern of its path. Written past the loggers, which would take five times as long;
    a line is shorter than what the system writes in one piece, so that processes and threads do not get mixed up."""
    if _requests is None:
        return
    at = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
    ms = round(seconds * 1000, 1)
    if _requests == "json":
        said = {
            "timestamp": at,
            "level": "info",
            "logger": "onemap.request",
            "event": f"{method} {route} {status}",
            "request_id": request_id,
        }
        line = orjson.dumps(said | {"method": method, "route": route, "status": status, "ms": ms, "role": role})
    else:
        line = f"{at} info    onemap.request: {method} {route} {status} request_id={request_id} ms={ms} role={role}".encode()
    with contextlib.suppress(OSError):  # a reader of the log that went away stops no answer
        os.write(sys.stderr.fileno(), line + b"\n")


def _text(_logger, _name: str, event: dict) -> str:
    """A line: JSON, or time, level, logger, what happened, the rest as name=value."""
    if settings().log_format == "json":
        return orjson.dumps(event, default=str).decode()
    event = dict(event)
    fault = event.pop("fault", "")
    head = f"{event.pop('timestamp')} {event.pop('level'):<7} {event.pop('logger')}: {event.pop('event')}"
    rest = " ".join(f"{name}={value}" for name, value in event.items() if value not in (None, ""))
    return "\n".join(filter(None, (f"{head} {rest}".rstrip(), fault)))


def _named_request(_logger, _name: str, event: dict) -> dict:
    """What happened during a request carries its id."""
    asked = visit.current.get()
    if asked is not None:
        event.setdefault("request_id", asked.id)
    return event


def _fault(_logger, _name: str, event: dict) -> dict:
    """An exception as where it came from and what it is; the database's own words may hold values of rows, so its code stands for them."""
    found = event.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else found if isinstance(found, BaseException) else sys.exc_info()[1] if found else None
    if error is not None:
        event["fault"] = fault_text(error)
    return event


def fault_text(error: BaseException) -> str:
    """The traceback of an error and of what caused it, without the words of the database."""
    parts = []
    while error is not None:
        said = f"SQLSTATE {error.pgcode or 'none'}" if isinstance(error, psycopg2.Error) else str(error)
        parts.append("".join(traceback.format_tb(error.__traceback__)) + f"{type(error).__name__}: {said}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\ncaused by\n".join(parts)


class ServerLog(GunicornLogger):
    """gunicorn's own events through the same handler as all others."""

    def setup(self, cfg) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
