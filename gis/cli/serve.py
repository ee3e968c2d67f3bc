"""`onemap serve`, `onemap worker`, `onemap publish`: the web server, the worker for long work, and what both are described by."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from gis.cli.output import console, emit
from gis.settings import ROOT, SERVED, settings

TIMEOUT_S = 120
"""A worker process that answers nothing for so long is replaced."""
STOP_S = 30
"""How long the worker may take to put its job back."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes.")] = None,
    jobs: Annotated[bool, typer.Option("--jobs/--no-jobs", help="Run long work in a process beside the server.")] = True,
) -> None:
    """Serve the one map: OGC API, tiles, processes and the viewer."""
    for name, value in (("HOST", host), ("PORT", port), ("WORKERS", workers)):
        if value is not None:
            os.environ[f"ONEMAP_{name}"] = str(value)
    settings.cache_clear()
    logging.getLogger().setLevel(logging.WARNING)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_fresh(settings().home / "metrics"))
    from gis.api.gunicorn_server import Server

    address = f"http://{settings().host}:{settings().port}"
    (settings().home / SERVED).write_text(address)
    console.print(f"serving {address}/  (map: /map/)")
    me, worker = os.getpid(), _start_worker() if jobs else None
    try:
        Server(TIMEOUT_S).run()
    finally:
        if worker is not None and os.getpid() == me:  # the forked workers of the server come through here, too
            worker.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(STOP_S)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _start_worker() -> subprocess.Popen:
    """`onemap worker` as a child that ends with the server."""
    return subprocess.Popen([sys.executable, "-m", "gis.cli.main", "worker", "--beside-server"], cwd=ROOT)


def worker(beside_server: Annotated[bool, typer.Option("--beside-server", hidden=True)] = False) -> None:
    """Run long work from the queue and scheduled loads until stopped (SIGTERM ends it; what it was doing is done again later)."""
    from etl.schedule import Scheduler
    from gis.api.worker import Worker

    logging.getLogger("onemap").setLevel(logging.INFO)
    one = Worker()
    _settle_rasters()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: one.stop.set())
    if beside_server:
        threading.Thread(target=_follow, args=(os.getppid(), one.stop), daemon=True).start()
    clock = threading.Thread(target=Scheduler(one.stop, one.name).run, name="schedule")
    clock.start()
    try:
        one.run()
    finally:
        one.stop.set()
        clock.join()


def _settle_rasters() -> None:
    """After a crash: every raster layer shows the file that the database believes in. A database that is away is waited for later."""
    from gis.db.connection import owner
    from gis.errors import StoreError
    from gis.ingest import rasters

    with contextlib.suppress(StoreError), owner() as connection, connection.cursor() as cursor:
        rasters.settle(cursor)


def _follow(parent: int, stop: threading.Event) -> None:
    """Stop when the server is gone, however it went."""
    while os.getppid() == parent and not stop.wait(2):
        pass
    stop.set()


def publish(
    out: Annotated[Path | None, typer.Option(help="Folder to write into; default: the home.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write what pygeoapi is configured by and what the API says of itself: pygeoapi-config.yml and openapi.json."""
    from gis import processes
    from gis.api.configuration import configuration
    from gis.api.serialize import json_bytes
    from gis.api.served import ServedAPI, as_role
    from gis.catalog import pygeoapi
    from gis.catalog.read import catalog

    folder = out or settings().home
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pygeoapi-config.yml").write_text(pygeoapi.render(catalog(), processes.processes()), encoding="utf-8")
    api = ServedAPI(configuration())
    document = as_role("anonymous", lambda: api.openapi)
    (folder / "openapi.json").write_bytes(json_bytes(document, pretty=True))
    emit(
        {
            "written": ["pygeoapi-config.yml", "openapi.json"],
            "collections": sum(r["type"] == "collection" for r in api._whole["resources"].values()),
        },
        json,
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (serve, worker, publish):
        app.command()(command)
