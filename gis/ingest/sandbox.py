"""Opening delivered files in a process of their own (`gis.ingest.sandbox_process`), and taking their rows from it.

Whatever a file does to its reader, here it is rows or a SourceError: a crash, a limit of memory or time, a reader that falls silent.
One reading process serves this process for as long as it lives; each file has a fork of it to itself.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import logging
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from gis import errors
from gis.errors import SourceError
from gis.ingest.read import Batch
from gis.ingest.sandbox_process import ENVIRONMENT
from gis.settings import ROOT, library_environment, settings

_log = logging.getLogger("onemap.ingest")
PROGRAM = "gis.ingest.sandbox_process"
_PIPE = 1 << 20
_SET_PIPE_SIZE = 1031
_MOST = 1 << 31
"""Bytes that one frame may have: more is not what the reading process sends."""
_RAISED = {e.__name__: e for e in (errors.SourceError, errors.InputError, errors.Ambiguous, errors.NotFound)}


class Room:
    """The reading process of this process, and the socket on which it is asked."""

    def __init__(self):
        self.pid = os.getpid()
        self.requests, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = library_environment() | ENVIRONMENT
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        with other:
            self.process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, str(other.fileno())], env=environment, cwd="/",
                pass_fds=[other.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    @property
    def usable(self) -> bool:
        return self.pid == os.getpid() and self.process.poll() is None

    def close(self) -> None:
        self.requests.close()
        if self.pid == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
                return
            self.process.kill()
            self.process.wait()


_room: Room | None = None
_lock = threading.Lock()


def warm() -> None:
    """Starts the reading process, if there is none, without waiting for it: it loads while the caller does something else."""
    global _room
    with _lock:
        if _room is None or not _room.usable:
            if _room is not None:
                _room.close()
            else:
                atexit.register(_close)
            _room = Room()


def _close() -> None:
    global _room
    with _lock:
        if _room is not None:
            _room.close()
            _room = None


class _Lost(SourceError):
    """The process that forks for each file is gone."""


class Reading:
    """One file opened in the reading process. `header` is what it holds; its rows can be taken once."""

    def __init__(self, what: dict, name: str, listing: bool = False, **of):
        self.name = name
        own = settings()
        self.patience = of.pop("patience", own.read_stall_s)
        limits = {"memory": own.read_memory_bytes, "seconds": own.read_cpu_s, "written": own.read_unpacked_bytes}
        request = json.dumps({"what": what, "limits": limits, "listing": listing} | of).encode()
        self._ask(request)
        try:
            self.header = self._json(b"H")
        except _Lost:  # the reading process itself was gone: a new one is asked, once
            self._ask(request)
            self.header = self._json(b"H")

    def _ask(self, request: bytes) -> None:
        self._data, self._control = _asked(request)
        self._pidfd: list[int] = []
        self._end = weakref.finalize(self, _let_go, self._data, self._control, self._pidfd)

    def batches(self, finished) -> Iterator[Batch]:
        """The rows. `finished` hears the notes that were made while reading. Raises SourceError."""
        schema = None
        try:
            with contextlib.suppress(OSError):
                self._control.send(b"g")
            while True:
                kind, body = self._frame()
                if kind == b"F":
                    finished(json.loads(body.to_pybytes())["notes"])
                    return
                if kind == b"S":
                    schema = pa.ipc.read_schema(body)
                    continue
                yield _batch(pa.ipc.read_record_batch(body, schema))
        except pa.ArrowException:
            raise self._gone() from None
        finally:
            self.close()

    def close(self) -> None:
        """Ends the reading, wherever it is."""
        self._end()

    def _json(self, wanted: bytes) -> dict:
        kind, body = self._frame()
        if kind != wanted:
            raise self._gone()
        return json.loads(body.to_pybytes())

    def _frame(self) -> tuple[bytes, pa.Buffer]:
        """The next frame; an error in it is raised."""
        kind, length = struct.unpack("<cQ", self._exactly(9))
        if length > _MOST:
            raise self._gone()
        body = self._exactly(length)
        if kind in b"EX":
            self.close()
            raise self._error(kind, json.loads(body.to_pybytes()))
        return kind, body

    def _exactly(self, length: int) -> pa.Buffer:
        """That many bytes. Raises SourceError where they do not come: the reader ended, or is silent for too long."""
        body = pa.allocate_buffer(length)
        view, stall = memoryview(body).cast("B"), self.patience
        poll = select.poll()
        poll.register(self._data, select.POLLIN)
        while len(view):
            until = time.monotonic() + stall
            while not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                if time.monotonic() >= until:
                    self._kill()
                    raise SourceError(
                        f"{self.name} gave nothing to read for {stall:g} seconds: reading it was stopped",
                        remedy="It is damaged, or too large for one piece: ONEMAP_READ_STALL_S sets how long is waited",
                    )
            got = os.readv(self._data, [view])
            if not got:
                raise self._gone()
            view = view[got:]
        return body

    def _error(self, kind: bytes, said: dict) -> Exception:
        if kind == b"X":
            _log.error("reading %s failed: %s", self.name, said["trace"])
            return SourceError(
                f"{self.name} cannot be read: its content is not as its format demands ({said['what']})",
                remedy="Open it in the program that wrote it, save it again and deliver all its files",
            )
        if said.get("limit") == "memory":
            return self._too_much_memory()
        return _RAISED.get(said["code"], SourceError)(said["what"], where=said["where"], remedy=said["remedy"])

    def _too_much_memory(self) -> SourceError:
        most = settings().read_memory_bytes >> 20
        return SourceError(
            f"{self.name} needs more than {most} MB of memory to be read",
            remedy="It is damaged or holds a huge element; ONEMAP_READ_MEMORY_BYTES sets the limit",
        )

    def _gone(self) -> SourceError:
        """Why the rows ended before their end."""
        code = self._exit_code()
        self.close()
        if code is None and _room:  # a killed process closes its sockets a moment before it can be seen to have ended
            with contextlib.suppress(subprocess.TimeoutExpired):
                _room.process.wait(1)
        if code is None and not (_room and _room.usable):
            return _Lost(f"the reading process ended while it read {self.name}", remedy="Load it again; `onemap doctor` tells more")
        if code == -signal.SIGXCPU or code == -signal.SIGKILL:
            return SourceError(
                f"reading {self.name} took too long and was stopped",
                remedy="It is damaged, or larger than one load may be: ONEMAP_READ_CPU_S sets the seconds of computing",
            )
        if code == -signal.SIGABRT:
            return self._too_much_memory()
        return SourceError(
            f"{self.name} brought its reader down{'' if code is None else f' ({_called(code)})'}",
            remedy="It is damaged: open it in the program that wrote it, save it again and deliver all its files",
        )

    def _exit_code(self) -> int | None:
        """How the fork ended, when it has."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        until = time.monotonic() + 5
        while (left := until - time.monotonic()) > 0 and poll.poll(left * 1000):
            said = self._heard()
            if not said:
                return None
            if said[:1] == b"x":
                return struct.unpack("<i", said[1:5])[0]
        return None

    def _heard(self) -> bytes:
        try:
            said, descriptors, _, _ = socket.recv_fds(self._control, 16, 1)
        except OSError:
            return b""
        self._pidfd.extend(descriptors)
        return said

    def _kill(self) -> None:
        """Ends the fork, which may be where it hears nothing."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while not self._pidfd and poll.poll(1000) and self._heard():
            pass
        _kill(self._pidfd)
        self.close()


def _called(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"code {code}"


def _asked(request: bytes) -> tuple[int, socket.socket]:
    """Sends a request; answers where its rows come from and the socket of its fork. A reading process that is gone is started anew."""
    data, theirs = os.pipe2(os.O_CLOEXEC)
    mine, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.suppress(OSError):
        fcntl.fcntl(theirs, _SET_PIPE_SIZE, _PIPE)
    try:
        if not _sent(request, theirs, control) and not _sent(request, theirs, control):
            raise SourceError("the reading process does not start", remedy="Run `onemap doctor`")
        return data, mine
    finally:
        os.close(theirs)
        control.close()


def _sent(request: bytes, data: int, control: socket.socket) -> bool:
    warm()
    with _lock:
        try:
            socket.send_fds(_room.requests, [request], [data, control.fileno()])
        except OSError:
            _room.process.kill()
            _room.process.wait()
            return False
    return True


def _kill(pidfds: list[int]) -> None:
    for pidfd in pidfds:
        with contextlib.suppress(ProcessLookupError, OSError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _let_go(data: int, control: socket.socket, pidfds: list[int]) -> None:
    """Closes what a reading holds; its fork ends when it next writes."""
    os.close(data)
    with contextlib.suppress(OSError):
        while not pidfds and _has_something(control):
            said, descriptors, _, _ = socket.recv_fds(control, 16, 1)
            pidfds.extend(descriptors)
            if not said:
                break
    _kill(pidfds)
    for pidfd in pidfds:
        os.close(pidfd)
    control.close()


def _has_something(control: socket.socket) -> bool:
    """Whether a message waits: by poll, select knows no descriptor beyond 1023."""
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    return bool(waiting.poll(0))


def _batch(record: pa.RecordBatch) -> Batch:
    """The rows of one frame. What does not hold together raises ArrowInvalid."""
    record.validate(full=True)
    own = {name: record.column(name) for name in record.schema.names if name.startswith("\0")}
    rows = pa.Table.from_batches([record]).drop_columns(list(own))
    broken = own.get("\0broken")
    mask = None if broken is None else broken.to_numpy(zero_copy_only=False)
    texts = None if broken is None else own["\0texts"].filter(broken).to_pylist()
    if texts is not None and all(text is None for text in texts):
        texts = None
    return Batch(rows, own["\0numbers"].to_numpy(), own.get("\0geometry"), mask, texts)


def answer(function: str, path: Path, patience: float | None = None, **arguments) -> dict:
    """What a function (`module:name`) says of a file, as plain data, called in the reading process with the file's path and these
    arguments. patience: seconds that it may work; default those that a reader may be silent. Raises SourceError, and what it raises."""
    of = {} if patience is None else {"patience": patience}
    reading = Reading({"path": str(path.absolute())} | arguments, path.name, call=function, **of)
    try:
        return reading.header
    finally:
        reading.close()


def open_source(what: dict, path: Path, *, unpacks: bool, listing: bool = False, **of) -> Reading:
    """Opens a file; `what` are the arguments of `gis.ingest.formats.open_here`. unpacks: it gets a folder for what it unpacks, which
    goes when the reading ends. listing: only the names of its layers are asked for. of: `pieces`, into how many at most
    and of how many rows at least the header shall cut it, or the `piece` to read."""
    if not unpacks:
        return Reading(what | {"scratch": None}, path.name, listing, **of)
    scratch = tempfile.mkdtemp(prefix="onemap-")
    try:
        reading = Reading(what | {"scratch": scratch}, path.name, listing, **of)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    weakref.finalize(reading, shutil.rmtree, scratch, ignore_errors=True)
    return reading
