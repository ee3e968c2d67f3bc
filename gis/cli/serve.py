"""`onemap serve`, `onemap worker`, `onemap publish`: the web server, the worker for long work, and what both are described by."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from gis.cli.output import console, emit
from gis.settings import ROOT, settings

TIMEOUT_S = 120
"""A worker process that answers nothing for so long is replaced."""


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

    console.print(f"serving http://{settings().host}:{settings().port}/  (map: /map/)")
    worker = _start_worker() if jobs else None
    try:
        Server(TIMEOUT_S).run()
    finally:
        if worker is not None:
            os.kill(worker, signal.SIGTERM)
            os.waitpid(worker, 0)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _start_worker() -> int:
    """`onemap worker` as a child that ends with the server; its pid."""
    import subprocess

    return subprocess.Popen([sys.executable, "-m", "gis.cli.main", "worker"], cwd=ROOT).pid


def worker() -> None:
    """Run long work from the queue until stopped (SIGTERM ends it, and what it was doing goes back into the queue)."""
    from gis.api.worker import Worker

    logging.getLogger("onemap").setLevel(logging.INFO)
    one = Worker()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: one.stop.set())
    one.run()


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
    emit({"written": ["pygeoapi-config.yml", "openapi.json"], "collections": sum(r["type"] == "collection" for r in api._whole["resources"].values())}, json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (serve, worker, publish):
        app.command()(command)
