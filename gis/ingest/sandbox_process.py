"""The reading process: opens delivered files where a broken one can do no harm.

It starts without credentials and, where the kernel allows, without a network; it knows no GDAL driver beyond the allow-list and no
file system that reaches out. It loads the readers once, then forks for each file: a fork costs milliseconds, has a file's memory and
time to itself, and its end, however violent, ends nothing else. `gis.ingest.sandbox` is its other side.

A request is one datagram of JSON with two descriptors: where the rows go, and a socket on which the fork hears when to begin and the
asking side hears how it ended. Rows go as frames: a letter, a length of eight bytes, a payload (`H` what was opened, `S` an Arrow
schema, `B` an Arrow batch, `F` the end with the notes made meanwhile, `E` an error, `X` a fault of the reader).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import re
import resource
import select
import socket
import struct
import sys
import traceback

DRIVERS = (
    "ESRI Shapefile", "GPKG", "GeoJSON", "GeoJSONSeq", "OpenFileGDB", "GML", "LIBKML", "KML", "FlatGeobuf", "DXF", "OSM",
)  # fmt: skip
"""The GDAL drivers that open delivered files; every other one is taken out."""
ENVIRONMENT = {
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".nothing", "CPL_VSIL_CURL_ALLOWED_FILENAME": "/nothing", "CPL_CURL_ENABLE_VSIMEM": "NO",
    "GDAL_HTTP_TIMEOUT": "1", "GDAL_HTTP_MAX_RETRY": "0", "GDAL_DRIVER_PATH": "disable", "GDAL_VRT_ENABLE_PYTHON": "NO",
    "OGR_SQLITE_LOAD_EXTENSIONS": "", "OGR_SQLITE_ALLOW_EXTERNAL_ACCESS": "NO", "GML_SKIP_RESOLVE_ELEMS": "ALL",
    "GML_DOWNLOAD_SCHEMA": "NO", "GML_FIELDTYPES": "ALWAYS_STRING",
    "LIBKML_RESOLVE_STYLE": "NO", "DXF_INLINE_BLOCKS": "NO", "DXF_MERGE_BLOCK_GEOMETRIES": "NO",
    "OGR_GEOJSON_MAX_OBJ_SIZE": "200", "GDAL_PAM_ENABLED": "NO", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "OPENPYXL_DEFUSEDXML": "True", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip
"""What its environment says beside the few variables that lead to libraries: nothing from outside, no files written beside sources."""
_CHUNK = 32 << 20
"""Bytes above which a batch is cut in two, so that no frame is larger than a few of these."""
_REQUEST = 256 << 10
_PLAIN = ("format", "crs", "crs_declared", "encoding", "count", "layer_name", "survey_axes")
_NEWNET, _NEWUSER = 0x40000000, 0x10000000
_NO_NEW_PRIVS = 38


def serve(requests: socket.socket) -> None:
    """Answers requests until the asking process is gone; then ends what it has begun."""
    running: dict[int, tuple[int, socket.socket]] = {}
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready != requests.fileno():
                poll.unregister(ready)
                _ended(ready, *running.pop(ready))
                continue
            said, descriptors, _, _ = socket.recv_fds(requests, _REQUEST, 2)
            if not said:
                for pidfd, (pid, _) in running.items():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, 9)
                    os.close(pidfd)
                return
            pid, pidfd, control = _fork(said, descriptors, requests)
            running[pidfd] = (pid, control)
            poll.register(pidfd, select.POLLIN)


def _fork(said: bytes, descriptors: list[int], requests: socket.socket) -> tuple[int, int, socket.socket]:
    data, control = descriptors[0], socket.socket(fileno=descriptors[1])
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            requests.close()
            read(json.loads(said), data, control)
            code = 0
        finally:
            os._exit(code)
    os.close(data)
    pidfd = os.pidfd_open(pid)
    with contextlib.suppress(OSError):
        socket.send_fds(control, [b"p"], [pidfd])
    return pid, pidfd, control


def _ended(pidfd: int, pid: int, control: socket.socket) -> None:
    """Tells the asking side how a fork ended."""
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)
    with contextlib.suppress(OSError):
        control.send(b"x" + struct.pack("<i", os.waitstatus_to_exitcode(status)))
    control.close()


def read(request: dict, data: int, control: socket.socket) -> None:
    """Opens one file, says what it is, waits for the word, and sends its rows."""
    from gis.errors import OneMapError, SourceError
    from gis.ingest import formats

    limit(**request["limits"])
    out = Frames(data)
    try:
        if request.get("call"):
            module, name = request["call"].split(":")
            out.send(b"H", getattr(importlib.import_module(module), name)(**request["what"]))
            return
        if request["listing"]:
            out.send(b"H", {"layers": formats.listed_here(**request["what"])})
            return
        source = formats.open_here(**request["what"])
        cut = request.get("pieces")
        out.send(b"H", _header(source) | ({} if cut is None else {"pieces": source.pieces(*cut)}))
        if control.recv(1) != b"g":
            return
        for batch in source.batches(*(request.get("piece") or ())):
            out.batch(batch)
        out.send(b"F", {"notes": source.findings.taken()})
    except BrokenPipeError:
        return
    except OneMapError as error:
        out.send(b"E", error.as_dict())
    except (MemoryError, RecursionError):
        out.send(b"E", SourceError("needs more memory than a file may take", remedy="").as_dict() | {"limit": "memory"})
    except Exception as error:
        out.send(b"X", {"what": type(error).__name__, "trace": traceback.format_exc()})


def _header(source) -> dict:
    plain = {name: getattr(source, name) for name in _PLAIN}
    return plain | {"columns": list(source.columns), "parts": [str(part) for part in source.parts], "notes": source.findings.taken()}


class Frames:
    """Writes frames into a pipe."""

    def __init__(self, descriptor: int):
        self.descriptor, self.schema = descriptor, None

    def send(self, kind: bytes, payload) -> None:
        """One frame: JSON of anything but bytes and Arrow buffers."""
        body = json.dumps(payload, ensure_ascii=True).encode() if isinstance(payload, dict) else payload
        self._write(kind + struct.pack("<Q", len(memoryview(body))))
        self._write(body)

    def batch(self, batch) -> None:
        """A batch of rows, its numbers, geometry and marks as columns whose names begin with a zero byte."""
        import numpy as np
        import pyarrow as pa

        columns = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in batch.rows.columns]
        columns = [c.chunk(0) if isinstance(c, pa.ChunkedArray) else c for c in columns]
        names = [*batch.rows.column_names, "\0numbers"]
        columns.append(pa.array(np.asarray(batch.numbers, dtype=np.int64)))
        if batch.geometry is not None:
            names.append("\0geometry")
            columns.append(batch.geometry)
        if batch.broken is not None and batch.broken.any():
            names += ["\0broken", "\0texts"]
            texts = np.full(len(batch.numbers), None, dtype=object)
            if batch.broken_texts is not None:
                texts[batch.broken] = batch.broken_texts
            columns += [pa.array(batch.broken), pa.array(texts, pa.string())]
        self._record(pa.RecordBatch.from_arrays(columns, names=names))

    def _record(self, record) -> None:
        if record.nbytes > _CHUNK and record.num_rows > 1:
            half = record.num_rows // 2
            self._record(record.slice(0, half))
            self._record(record.slice(half))
            return
        if self.schema is None or not record.schema.equals(self.schema):
            self.schema = record.schema
            self.send(b"S", self.schema.serialize())
        self.send(b"B", record.serialize())

    def _write(self, body) -> None:
        view = memoryview(body).cast("B")
        while len(view):
            view = view[os.write(self.descriptor, view) :]


def limit(memory: int, seconds: int, written: int) -> None:
    """Binds this process: bytes of memory above what it has now, seconds of computing, bytes in one file that it writes."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_AS, now + memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, written), (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ):  # fmt: skip
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def cut_off() -> None:
    """Takes the network and the way to more rights from this process where the kernel lets it; who may not, keeps the other nets."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    for flags in (_NEWNET, _NEWUSER | _NEWNET):
        try:
            os.unshare(flags)
            return
        except (OSError, AttributeError):
            continue


def keep_drivers() -> None:
    """Takes every GDAL driver out that the allow-list does not name. pyogrio has no call for it; the library that it has loaded has."""
    with open("/proc/self/maps") as file:
        found = re.search(r"/\S*libgdal[^\s/]*$", file.read(), re.MULTILINE)
    if found is None:
        raise SystemExit("GDAL is not where it was loaded from")
    library = ctypes.CDLL(found.group())
    library.GDALGetDriver.restype = library.GDALGetDriverByName.restype = ctypes.c_void_p
    library.GDALGetDriverShortName.restype = ctypes.c_char_p
    drivers = [ctypes.c_void_p(library.GDALGetDriver(i)) for i in range(library.GDALGetDriverCount())]
    for driver in drivers:
        if library.GDALGetDriverShortName(driver).decode() not in DRIVERS:
            library.GDALDeregisterDriver(driver)


class _Absent:
    """Modules that pyogrio and pyarrow would load where they are there, and that no reader needs: they cost more than all others."""

    names = ("pandas", "geopandas")

    def find_spec(self, name: str, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"{name} is not loaded here", name=name)


def main() -> None:
    """Makes itself safe, loads the readers, and serves on the descriptor that it was given."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    cut_off()
    sys.meta_path.insert(0, _Absent())
    from gis.ingest import formats

    formats.preload()
    keep_drivers()
    serve(requests)


if __name__ == "__main__":
    main()
