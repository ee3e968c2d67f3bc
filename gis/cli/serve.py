"""`onemap serve`, `onemap worker`, `onemap publish`: the web server, the worker for long work, and what both are described by."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from gis.cli.output import console, emit
from gis.errors import InputError
from gis.settings import ROOT, SERVED, Overlay, settings

TIMEOUT_S = 120
"""A worker process that answers nothing for so long is replaced."""
STOP_S = 30
"""How long the worker may take to put its job back."""
CHECK_S = 120
AGAIN_S = 5
"""A worker that ended by itself is started again, but not more often."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes.")] = None,
    jobs: Annotated[bool, typer.Option("--jobs/--no-jobs", help="Run long work in a process beside the server.")] = True,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="File of NAME=value lines over the environment; read again at SIGHUP.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether settings and layer files can be served.")] = False,
) -> None:
    """Serve the one map: OGC API, tiles, processes and the viewer. SIGHUP takes changed layer files and settings, SIGTERM ends it."""
    given = {f"ONEMAP_{name}": str(value) for name, value in (("HOST", host), ("PORT", port), ("WORKERS", workers)) if value is not None}
    reload = Reload(settings_file, given)
    reload.read()
    if check:
        from gis.api.app import create_app

        create_app()
        return
    from gis.api import logs

    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_fresh(settings().home / "metrics"))
    logs.begin()
    from gis.api.gunicorn_server import Server

    address = f"http://{settings().host}:{settings().port}"
    (settings().home / SERVED).write_text(address)
    console.print(f"serving {address}/  (map: /map/)")
    beside = JobProcess() if jobs else None
    me = os.getpid()
    try:
        Server(TIMEOUT_S, beside, reload.renew).run()
    finally:
        if beside is not None and os.getpid() == me:  # the forked workers of the server come through here, too
            beside.end()


class Reload:
    """The settings as the file, the environment and the command line say them, and taking them anew at SIGHUP."""

    def __init__(self, file: Path | None, given: dict[str, str]):
        self._said = Overlay(file, given)

    def read(self) -> None:
        """Settings from the files as they are now. Raises InputError for a file or a setting that cannot be understood."""
        self._said.apply()
        try:
            settings()
        except ValidationError as error:
            names = sorted({f"ONEMAP_{str(fault['loc'][0]).upper()}" for fault in error.errors() if fault["loc"]})
            raise InputError("a setting cannot be understood", where=", ".join(names), remedy="See docs/administrator.md") from None

    def renew(self) -> str | None:
        """What is wrong with the files as they are now, found by a process of its own, so that nothing here changes; where nothing is
        wrong they are in force afterwards."""
        command = [sys.executable, "-m", "gis.cli.main", "serve", "--check"]
        command += ["--settings", str(self._said.file.absolute())] if self._said.file else []
        try:
            done = subprocess.run(command, cwd=ROOT, env=self._said.below(), capture_output=True, text=True, timeout=CHECK_S)
        except subprocess.TimeoutExpired:
            return f"the files were not read within {CHECK_S} s"
        if done.returncode != 0:
            return " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        self.read()
        _forget()
        from gis.api import logs

        logs.begin()
        return None


def _forget() -> None:
    """Everything that was derived from settings and layer files: the caches of this process."""
    for name, module in list(sys.modules.items()):
        if name.startswith("gis."):
            for value in list(vars(module).values()):
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder


class JobProcess:
    """`onemap worker` as a child that ends with the server, and is started again where it ended by itself."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._next = 0.0

    def keep(self) -> None:
        """Start it where it does not run; one that ends at once is not started more than every few seconds."""
        if (self._process is None or self._process.poll() is not None) and time.monotonic() >= self._next:
            self._next = time.monotonic() + AGAIN_S
            self._process = subprocess.Popen([sys.executable, "-m", "gis.cli.main", "worker", "--beside-server"], cwd=ROOT)

    def renew(self) -> None:
        """The present one puts its job back and ends; the next one knows the new layer files."""
        if self._process is not None:
            self._process.terminate()
        self._process, self._next = None, 0.0

    def end(self) -> None:
        """End it, and wait a while for that."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)


def worker(beside_server: Annotated[bool, typer.Option("--beside-server", hidden=True)] = False) -> None:
    """Run long work from the queue and scheduled loads until stopped (SIGTERM ends it; what it was doing is done again later)."""
    from etl.schedule import Scheduler
    from gis.api import logs
    from gis.api.tile_preparation import Preparer
    from gis.api.webhook_delivery import Deliverer
    from gis.api.worker import Worker

    logs.begin()
    one = Worker()
    _settle_rasters()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: one.stop.set())
    if beside_server:
        threading.Thread(target=_follow, args=(os.getppid(), one.stop), daemon=True).start()
    clock = threading.Thread(target=Scheduler(one.stop, one.name).run, name="schedule")
    teller = threading.Thread(target=Deliverer(one.stop).run, name="webhooks")
    painter = threading.Thread(target=Preparer(one.stop).run, name="tiles", daemon=True)  # what it draws is asked for by nobody
    teller.start()
    clock.start()
    painter.start()
    try:
        one.run()
    finally:
        one.stop.set()
        clock.join()
        teller.join()


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
