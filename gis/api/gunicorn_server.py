"""gunicorn with threads around the application: workers that share nothing but the port, and stop gracefully."""

from __future__ import annotations

import gc
import logging
import mmap
import sys
import time
from collections.abc import Callable
from typing import Protocol

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from gis.access import audit, limits
from gis.api import envelope, logs, threads, warm, watch
from gis.db import connection
from gis.errors import OneMapError
from gis.settings import settings

log = logging.getLogger("onemap.server")
DRAIN_S = 5
"""Beyond the longest statement: how long requests in flight may take after the server was told to stop or to reload."""

READY_S = 10
"""How long new processes may take to be ready at a reload, before those of before are ended all the same."""

SWITCH_S = 0.002
"""After which a thread that computes lets another on. With Python's five milliseconds who has heard from the database waits behind each of
them in turn: the slowest of a hundred answers among 32 callers takes up to twice as long, at a twentieth less processor time."""


class Server(BaseApplication):
    """The server of `onemap serve`. The application is made before the workers are forked: a wrong layer file stops it here.

    `beside`: what runs beside the web processes; `renewed()`: makes the settings and layer files in force those of the files as they are
    now, or says what is wrong with them.
    """

    def __init__(self, timeout_s: int, beside: Beside | None = None, renewed: Callable[[], str | None] | None = None):
        self.timeout_s = timeout_s
        self.beside, self.renewed = beside, renewed
        super().__init__()

    def load_config(self) -> None:
        values = {
            "bind": f"{settings().host}:{settings().port}",
            "workers": settings().workers,
            "threads": settings().threads,
            "worker_class": threads.Threads,
            "pre_request": watch.received,
            "logger_class": logs.ServerLog,
            "loglevel": settings().log_level,
            "timeout": self.timeout_s,
            "graceful_timeout": round(settings().statement_timeout_s + DRAIN_S),
            "keepalive": 15,
            "preload_app": True,
            "limit_request_line": 8190,
            "limit_request_fields": 60,
            "proc_name": "onemap",
            "child_exit": _forget_figures,
            "pre_fork": _count_worker,
            "post_fork": _begin_worker,
            "post_worker_init": _warm_worker,
            "worker_tmp_dir": None,
            "control_socket_disable": True,
        }
        for name, value in values.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def reload(self) -> None:
        """SIGHUP: new web processes with the settings and layer files as they are now, before the old ones end what they do and go.
        Where they are wrong everything stays as it is, and the log says why."""
        fault = self.renewed() if self.renewed else None
        if fault:
            log.error("not reloaded, what was served goes on: %s", fault)
            return
        try:
            made = self.load()
        except OneMapError as error:  # the files changed since they were looked at
            log.error("not reloaded, what was served goes on: %s", error)
            return
        super().reload()
        self.callable = made
        if self.beside is not None:
            self.beside.renew()
        log.info("reloaded")

    def run(self) -> None:
        """Serve until told to stop."""
        Master(self).run()

    def load(self):
        from gis.api.app import create_app

        app = create_app()
        warm.parent(app.extensions["onemap_api"])
        limits.prepare(settings().workers)
        gc.collect()
        gc.freeze()  # what is there now stays: no worker looks through it again, and its pages stay shared
        return app


class Beside(Protocol):
    """A process beside the web processes."""

    def keep(self) -> None:
        """Called about every second: start it again where it ended."""

    def renew(self) -> None:
        """Replace it by one that knows the new settings."""


class Master(Arbiter):
    """gunicorn's master process, which also keeps what runs beside the web processes."""

    def manage_workers(self) -> None:
        """About every second, and whenever a process ended. After a reload those of before go when the new ones take callers."""
        until = time.monotonic() + READY_S
        while len(self.WORKERS) > self.num_workers and time.monotonic() < until and not all(w.is_ready[0] for w in self.WORKERS.values()):
            self.reap_workers()
            time.sleep(0.02)
        super().manage_workers()
        if self.app.beside is not None:
            self.app.beside.keep()


def _count_worker(server, worker) -> None:
    """A row for a worker to count his callers in."""
    worker.row_of_limits = limits.free_row()
    worker.is_ready = mmap.mmap(-1, 1)  # shared with the process that is forked now


def _begin_worker(server, worker) -> None:
    """A forked worker makes connections of its own, and counts and records for itself."""
    sys.setswitchinterval(SWITCH_S)
    connection.close_pool()
    limits.take_row(worker.row_of_limits)
    audit.renew()
    envelope.begin_worker()


def _warm_worker(worker) -> None:
    """Before it takes callers; then those of before may go."""
    warm.process()
    worker.is_ready[0] = 1


def _forget_figures(server, worker) -> None:
    """Gauges of a worker that ended do not count any more."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
    limits.give_back_row(worker.row_of_limits)
