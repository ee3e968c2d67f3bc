"""The command `onemap` without its start: a process that has imported everything forks a child for each call.

Half of what a short command takes is importing, and the documents alone hold two hundred of them. That the command also starts by
itself is tested in tests/db/test_cli.py, tests/catalog/test_layers_command.py and others.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path

from gis.settings import ROOT

LENGTH = 4
"""Bytes of the number of bytes that follow."""
ALONE = {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Who forks has no threads, those of libraries included."""
CLIENT = """import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(told).to_bytes({length}, "big")], [0, 1, 2])
    server.sendall(told)
    code = server.recv(1)
sys.exit(code[0] if code else 1)
"""


@cache
def command() -> Path:
    """An executable file `onemap` that asks a process which ends with this one."""
    folder = Path(tempfile.mkdtemp(prefix="onemap-command-"))
    address, client, file = folder / "socket", folder / "client.py", folder / "onemap"
    client.write_text(CLIENT.format(address=str(address), length=LENGTH))
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -X utf8 -IS "{client}" "$@"\n')  # a path may hold blanks
    file.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEMAP_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"} | ALONE
    server = subprocess.Popen(
        [sys.executable, __file__, str(address)], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    server.stdout.readline()  # it listens
    atexit.register(_end, server, folder)
    return file


def _end(server: subprocess.Popen, folder: Path) -> None:
    server.stdin.close()  # it has nobody left to work for
    server.wait(timeout=10)
    for path in (*folder.iterdir(), folder):
        path.rmdir() if path.is_dir() else path.unlink()


def _import_everything() -> None:
    from gis.cli import main

    main.application()
    for package in ("gis.processes", "gis.ingest", "gis.catalog", "etl"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)


def _serve(address: str) -> None:
    """Returns in a child for each call, with the caller's arguments, folder, environment and files; in the process itself at its end."""
    listener, running = socket.socket(socket.AF_UNIX), {}
    listener.bind(address)
    listener.listen(8)
    ended, wake = os.pipe()
    for end in (ended, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    print("listening", flush=True)
    while True:
        ready, _, _ = select.select([listener, ended, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        if ended in ready:
            os.read(ended, 4096)
            for child in list(running):
                pid, status = os.waitpid(child, os.WNOHANG)
                if pid:
                    with running.pop(child) as caller:
                        caller.sendall(bytes([max(os.waitstatus_to_exitcode(status), 0) or bool(status)]))
        if listener in ready:
            caller, _ = listener.accept()
            if not (child := os.fork()):
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become(caller)
                return
            running[child] = caller


def _become(caller: socket.socket) -> None:
    head, files, _, _ = socket.recv_fds(caller, LENGTH, 3)
    told = b""
    while len(told) < int.from_bytes(head, "big"):
        told += caller.recv(1 << 16)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.argv[1:], folder, environment = json.loads(told)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def _run() -> None:
    """The command; its process ends here, since taking all the modules down would cost as much as importing them."""
    from gis.cli.main import main

    sys.argv[0], code = "onemap", 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    _import_everything()
    gc.freeze()
    me = os.getpid()
    _serve(sys.argv[1])
    if os.getpid() != me:
        _run()
