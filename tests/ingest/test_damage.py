"""Damaged files end in rows or in a clear error: no crash, no hang, no silent loss."""

import random

import files
import numpy as np
import pytest
import shapely

from gis.errors import OneMapError
from gis.ingest import map as mapping
from gis.ingest.findings import Findings
from gis.ingest.read import open_source

EACH = {"gpkg": 30, "shp": 60, "geojson": 30, "csv": 30, "xlsx": 15, "dxf": 15}
"""How many damaged files of a format, where not 20."""
AS = {"dxf": {"source_layer": "*", "crs": "EPSG:4490"}}
"""How a format is opened, where it does not say all by itself."""


def damaged(raw: bytes, kind: int, dice: random.Random) -> bytes:
    """Cut off, bytes flipped, a block zeroed, a block doubled, or a field of lengths made huge."""
    at = dice.randrange(len(raw))
    match kind:
        case 0:
            return raw[:at]
        case 1:
            changed = bytearray(raw)
            for _ in range(dice.choice((1, 8, 64))):
                changed[dice.randrange(len(raw))] = dice.randrange(256)
            return bytes(changed)
        case 2:
            return raw[:at] + bytes(min(200, len(raw) - at)) + raw[at + 200 :]
        case 3:
            return raw[:at] + raw[max(0, at - 300) :]
        case _:
            at = dice.randrange(min(len(raw), 200))
            return raw[:at] + b"\xff\xff\xff\x7f" + raw[at + 4 :]


@pytest.mark.parametrize("suffix", (*files.FORMATS, "dxf"))
def test_a_corpus_of_damaged_files(facilities, catalog, tmp_path, suffix):
    layer, dice, many = catalog.layer("facility"), random.Random(suffix), EACH.get(suffix, 20)
    path = files.write(facilities.loc[facilities.index.repeat(60)].reset_index(drop=True), tmp_path, suffix)
    whole = {part: part.read_bytes() for part in parts(path)}
    read = refused = 0
    for i in range(many):
        part = list(whole)[i % len(whole)]
        part.write_bytes(damaged(whole[part], i % 5, dice))
        try:
            rows = mapped(open_source(path, layer, **AS.get(suffix, {})), layer)
            read += 1
            assert rows <= 260, "rows out of nothing"
        except OneMapError as error:
            assert error.what and str(tmp_path) not in str(error)
            refused += 1
        finally:
            part.write_bytes(whole[part])
    assert read + refused == many and refused > 0


def parts(path):
    """The files that make a delivery, those with rows in them."""
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.stat().st_size and p.suffix in (".gdbtable", ".gdbtablx"))
    return [path] if path.suffix != ".shp" else [path, *(path.with_suffix(s) for s in (".dbf", ".shx", ".prj"))]


def mapped(source, layer):
    """Reads a source to its end; answers how many rows. Each must have a number and a geometry or none."""
    how, findings, rows = mapping.mapping(layer, source), Findings(), 0
    for batch in source.batches():
        got = mapping.mapped(layer, source, how, batch, findings)
        assert len(got.rows) == len(got.numbers) == len(got.geometry)
        rows += len(got.numbers)
    assert source.count is None or rows == source.count, "rows were lost in silence"
    return rows


STRANGE = {
    "mixed": lambda f: f.set_geometry([shapely.Point(117, 32), shapely.LineString([(117, 32), (118, 32)]), shapely.box(0, 0, 1, 1), None]),
    "absurd": lambda f: f.set_geometry(shapely.points([[1e300, -1e300], [181, 91], [0, 0], [1e-320, 5e8]])),
    "infinite": lambda f: f.set_geometry(shapely.points([[np.inf, 32], [117, -np.inf], [117, 32], [117, 32]])),
    "empty": lambda f: f.set_geometry(shapely.from_wkt(["POINT EMPTY", "MULTIPOINT EMPTY", "POINT (1 1)", "GEOMETRYCOLLECTION EMPTY"])),
    "doubled": lambda f: f.assign(**{"设施编号": "S1"}),
    "controls": lambda f: f.assign(**{"设施名称": ["a\tb", "c\nd", "\u202e\ufeff", "𠮷<script>"]}),
    "long": lambda f: f.assign(**{"设施名称": "青" * 60_000}),
    "many": lambda f: f.assign(**{f"列{i}": i for i in range(250)}),
    "cased": lambda f: f.assign(**{"Name": "a", "NAME": "b", "name ": "c"}),
}


@pytest.mark.parametrize("suffix", files.FORMATS)
def test_strange_content_is_read_or_refused_and_never_lost(facilities, catalog, tmp_path, suffix):
    layer, outcomes = catalog.layer("facility"), {}
    for name, change in STRANGE.items():
        (tmp_path / name).mkdir()
        try:
            path = files.write(change(facilities).set_crs(4490, allow_override=True), tmp_path / name, suffix)
        except Exception:  # the format cannot hold it: its own writer says so
            continue
        try:
            outcomes[name] = mapped(open_source(path, layer), layer)
            assert outcomes[name] == 4, name
        except OneMapError as error:
            assert error.what and str(tmp_path) not in str(error)
            outcomes[name] = type(error).__name__
    assert outcomes["doubled"] == 4 and len(outcomes) >= 5
