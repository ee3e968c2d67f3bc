"""gunicorn with threads around the application: workers that share nothing but the port, and stop gracefully."""

from __future__ import annotations

import gc

from gunicorn.app.base import BaseApplication

from gis.db import connection
from gis.settings import settings


class Server(BaseApplication):
    """The server of `onemap serve`. The application is made before the workers are forked: a wrong layer file stops it here."""

    def __init__(self, timeout_s: int):
        self.timeout_s = timeout_s
        super().__init__()

    def load_config(self) -> None:
        values = {
            "bind": f"{settings().host}:{settings().port}",
            "workers": settings().workers,
            "threads": settings().threads,
            "worker_class": "gthread",
            "timeout": self.timeout_s,
            "graceful_timeout": 20,
            "keepalive": 15,
            "preload_app": True,
            "limit_request_line": 8190,
            "limit_request_fields": 60,
            "proc_name": "onemap",
            "child_exit": _forget_figures,
            "post_fork": _begin_worker,
            "worker_tmp_dir": None,
            "control_socket_disable": True,
        }
        for name, value in values.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self):
        from gis.api.app import create_app

        app = create_app()
        gc.collect()
        gc.freeze()  # what is there now stays: no worker looks through it again, and its pages stay shared
        return app


def _begin_worker(server, worker) -> None:
    """A forked worker makes connections of its own."""
    connection.close_pool()


def _forget_figures(server, worker) -> None:
    """Gauges of a worker that ended do not count any more."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
