"""Damaged files end in rows or in a clear error: no crash, no hang, no silent loss."""

import random

import pytest

from gis.errors import OneMapError
from gis.ingest import map as mapping
from gis.ingest.findings import Findings
from gis.ingest.read import open_source

FORMATS = ("gpkg", "shp", "geojson", "csv")


def write(frame, folder, suffix):
    path = folder / f"facility.{suffix}"
    if suffix == "csv":
        table = frame.drop(columns="geometry").assign(lon=frame.geometry.x, lat=frame.geometry.y)
        table.to_csv(path, index=False, encoding="gb18030")
    else:
        frame.to_file(path, engine="pyogrio", **({"encoding": "GBK"} if suffix == "shp" else {}))
    return path


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


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_corpus_of_damaged_files(facilities, catalog, tmp_path, suffix):
    layer, dice = catalog.layer("facility"), random.Random(suffix)
    path = write(facilities.loc[facilities.index.repeat(60)].reset_index(drop=True), tmp_path, suffix)
    parts = [path] if suffix != "shp" else [path, path.with_suffix(".dbf"), path.with_suffix(".shx"), path.with_suffix(".prj")]
    whole = {part: part.read_bytes() for part in parts}
    read = refused = 0
    for i in range(80):
        part = parts[i % len(parts)]
        part.write_bytes(damaged(whole[part], i % 5, dice))
        try:
            source = open_source(path, layer)
            how, findings, rows = mapping.mapping(layer, source), Findings(), 0
            for batch in source.batches():
                got = mapping.mapped(layer, source, how, batch, findings)
                assert len(got.rows) == len(got.numbers) == len(got.geometry)
                rows += len(got.numbers)
            assert source.count is None or rows == source.count, "rows were lost in silence"
            read += 1
        except OneMapError as error:
            assert error.what and str(tmp_path) not in str(error)
            refused += 1
        finally:
            part.write_bytes(whole[part])
    assert read + refused == 80 and refused > 0
