"""OpenStreetMap PBF files read and written byte by byte, without GDAL: what the tests hold the base map's job against.

After the format's public description (wiki.openstreetmap.org/wiki/PBF_Format): blobs of a header and of blocks; a block is a table of
texts and groups of dense nodes, ways or relations.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

Nodes = dict[int, tuple[int, int]]
"""Node → (longitude, latitude) in 1e-7 degrees."""
Ways = dict[int, tuple[list[int], dict[str, str]]]
"""Way → (its nodes in order, its tags)."""


def read(path: Path) -> tuple[Nodes, Ways]:
    """All nodes and ways of an extract."""
    nodes, ways = {}, {}
    data, at = path.read_bytes(), 0
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        header = _fields(data[at + 4 : at + 4 + size])
        length = header[3][0]
        blob = _fields(data[at + 4 + size : at + 4 + size + length])
        at += 4 + size + length
        if header[1][0] == b"OSMData":
            _block(blob[1][0] if 1 in blob else zlib.decompress(blob[3][0]), nodes, ways)
    return nodes, ways


def _block(data: bytes, nodes: Nodes, ways: Ways) -> None:
    block = _fields(data)
    texts = [text.decode() for text in _fields(block[1][0]).get(1, [])]
    grain = block.get(17, [100])[0]
    for group in map(_fields, block.get(2, [])):
        for dense in map(_fields, group.get(2, [])):
            ids, lats, lons = (_running(_signed(_packed(dense[n][0]))) for n in (1, 8, 9))
            nodes.update(zip(ids, ((lon * grain // 100, lat * grain // 100) for lon, lat in zip(lons, lats, strict=True)), strict=True))
        for way in map(_fields, group.get(3, [])):
            keys, values = (_packed(way[n][0]) if n in way else [] for n in (2, 3))
            refs = _running(_signed(_packed(way[8][0]))) if 8 in way else []
            ways[way[1][0]] = refs, {texts[k]: texts[v] for k, v in zip(keys, values, strict=True)}


def _fields(data: bytes) -> dict[int, list]:
    found: dict[int, list] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
        else:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _packed(data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _signed(values: list[int]) -> list[int]:
    return [(v >> 1) ^ -(v & 1) for v in values]


def _running(values: list[int]) -> list[int]:
    total, found = 0, []
    for value in values:
        total += value
        found.append(total)
    return found


# --- writing ----------------------------------------------------------------------------------------------------------


def write(path: Path, nodes: Nodes, ways: Ways, *, block: int = 4000) -> Path:
    """Writes nodes and ways (in the order of their numbers) as an extract."""
    with path.open("wb") as file:
        _blob(file, "OSMHeader", b"".join(_bytes(4, f.encode()) for f in ("OsmSchema-V0.6", "DenseNodes")))
        for part in _parts(sorted(nodes), block):
            dense = (
                _bytes(1, _deltas(part)) + _bytes(8, _deltas([nodes[n][1] for n in part])) + _bytes(9, _deltas([nodes[n][0] for n in part]))
            )
            _blob(file, "OSMData", _bytes(1, _bytes(1, b"")) + _bytes(2, _bytes(2, dense)))
        for part in _parts(sorted(ways), block):
            texts: dict[str, int] = {"": 0}
            group = b"".join(_bytes(3, _way(n, *ways[n], texts)) for n in part)
            table = b"".join(_bytes(1, text.encode()) for text in texts)
            _blob(file, "OSMData", _bytes(1, table) + _bytes(2, group))
    return path


def _way(number: int, refs: list[int], tags: dict[str, str], texts: dict[str, int]) -> bytes:
    keys, values = (b"".join(_coded(texts.setdefault(t, len(texts))) for t in side) for side in (tags, tags.values()))
    return _number(1, number) + (_bytes(2, keys) + _bytes(3, values) if tags else b"") + _bytes(8, _deltas(refs))


def _blob(file, kind: str, data: bytes) -> None:
    blob = _number(2, len(data)) + _bytes(3, zlib.compress(data, 1))
    header = _bytes(1, kind.encode()) + _number(3, len(blob))
    file.write(struct.pack(">I", len(header)) + header + blob)


def _parts(values: list, size: int) -> Iterator[list]:
    return (values[at : at + size] for at in range(0, len(values), size))


def _deltas(values: list[int]) -> bytes:
    steps = (b - a for a, b in zip([0, *values], values, strict=False))
    return b"".join(_coded(step << 1 if step >= 0 else (-step << 1) - 1) for step in steps)


def _coded(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _number(field: int, value: int) -> bytes:
    return _coded(field << 3) + _coded(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _coded(field << 3 | 2) + _coded(len(value)) + value
