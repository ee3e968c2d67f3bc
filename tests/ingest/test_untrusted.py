"""Files that mean harm, or would do it: each is refused with a reason, and the next file is read as ever."""

import os
import signal
import stat
import struct
import time
import zipfile
from pathlib import Path

import files
import numpy as np
import pytest
import rasterio
import rasterio.transform

from etl import drainage_inp, inp, raster
from gis.errors import SourceError
from gis.ingest import rasters, sandbox, sandbox_process
from gis.ingest.read import open_source
from gis.settings import settings


@pytest.fixture
def layer(catalog):
    return catalog.layer("facility")


@pytest.fixture
def limits(monkeypatch):
    """`limits(READ_STALL_S=1)`: other limits for one test."""

    def use(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"ONEMAP_{name}", str(value))
        settings.cache_clear()

    yield use
    monkeypatch.undo()
    settings.cache_clear()


def rows(source):
    return sum(len(batch.numbers) for batch in source.batches())


def refused(path, layer, match, **options):
    with pytest.raises(SourceError, match=match) as error:
        rows(open_source(path, layer, **options))
    assert error.value.remedy and str(path.parent) not in str(error.value)
    return error.value


def test_the_reading_process_has_no_credentials_no_network_and_few_drivers(monkeypatch, facilities, layer, tmp_path):
    monkeypatch.setenv("ONEMAP_DSN", "postgresql://someone:secret@somewhere/onemap")
    monkeypatch.setenv("PGPASSWORD", "secret")
    sandbox._close()
    assert rows(open_source(files.write(facilities, tmp_path, "csv"), layer)) == 4
    process = sandbox._room.process.pid
    said = Path(f"/proc/{process}/environ").read_bytes()
    assert b"secret" not in said and b"ONEMAP" not in said and b"PGPASSWORD" not in said
    opened = {os.readlink(f"/proc/{process}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{process}/fd")}
    assert not any(name.endswith((".s.PGSQL.5432", ".csv")) for name in opened)
    if os.geteuid() == 0:
        assert os.readlink(f"/proc/{process}/ns/net") != os.readlink("/proc/self/ns/net")


def test_drivers_that_no_delivery_needs_are_not_there(tmp_path, layer, facilities):
    """The allow-list, seen from outside: a file of another driver under an accepted name is no file of that format."""
    path = tmp_path / "a.gml"
    inner = files.write(facilities, tmp_path, "gpkg")
    path.write_text(f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{inner}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>')
    refused(path, layer, "not a gml file")
    path.write_text("<?xml version='1.0'?><OGRVRTDataSource><OGRVRTLayer name='a'/></OGRVRTDataSource>")
    refused(path, layer, "cannot be read|not a GML")
    assert "OGR_VRT" not in sandbox_process.DRIVERS and "HTTP" not in sandbox_process.DRIVERS


ENTITY = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
LAUGHS = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize("head", [ENTITY, LAUGHS])
@pytest.mark.parametrize("suffix", ["gml", "kml"])
def test_entities_in_gml_and_kml(facilities, layer, tmp_path, suffix, head):
    path = files.write(facilities, tmp_path, suffix)
    text = path.read_text()
    path.write_text(head + text[text.index("?>") + 2 :])
    refused(path, layer, "document type")


def test_entities_in_a_workbook(facilities, layer, tmp_path):
    path = files.write(facilities, tmp_path, "xlsx")
    changed = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            body = old.read(entry)
            if entry.filename.endswith("sheet1.xml"):
                body = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + body
            new.writestr(entry.filename, body)
    refused(changed, layer, "document type")


def zipped(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, body in entries:
            packed.writestr(name, body)
    return path


@pytest.mark.parametrize("name", ["../../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "C:\\evil.csv", "..\\evil.csv"])
def test_zip_slip(layer, tmp_path, name):
    refused(zipped(tmp_path / "a.zip", [(name, "名称,lon,lat\na,117,32\n")]), layer, "written elsewhere")
    assert not list(tmp_path.parent.glob("**/evil.csv"))


def test_links_passwords_and_archives_in_archives(layer, tmp_path):
    link = zipfile.ZipInfo("a.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(zipped(tmp_path / "link.zip", [(link, "/etc/passwd")]), layer, "holds a link")
    inner = zipped(tmp_path / "inner.zip", [("a.csv", "名称,lon,lat\na,117,32\n")])
    refused(zipped(tmp_path / "outer.zip", [("inner.zip", inner.read_bytes())]), layer, "no file that can be loaded")
    locked = tmp_path / "locked.zip"
    raw = bytearray(inner.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    locked.write_bytes(raw)
    refused(locked, layer, "encrypted")
    refused(zipped(tmp_path / "empty.zip", [("readme.md", "nothing")]), layer, "no file that can be loaded")


def test_bombs(layer, tmp_path, limits):
    bomb = zipped(tmp_path / "bomb.zip", [("a.csv", bytes(260 << 20))])
    refused(bomb, layer, "times its size")
    refused(zipped(tmp_path / "many.zip", [(f"{i}.csv", "") for i in range(20_001)]), layer, "holds 20001 files")
    limits(READ_UNPACKED_BYTES=1 << 20)
    refused(zipped(tmp_path / "large.zip", [("a.csv", os.urandom(2 << 20))]), layer, "would unpack to 2 MB")
    lying = bytearray(zipped(tmp_path / "lying.zip", [("a.csv", b"lon,lat\n" * 200_000)]).read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        lying[lying.index(mark) + at : lying.index(mark) + at + 4] = struct.pack("<I", 100)
    (tmp_path / "lying.zip").write_bytes(lying)
    refused(tmp_path / "lying.zip", layer, "more than it announces|cannot be unpacked|damaged")


def test_what_was_unpacked_is_gone_afterwards(facilities, layer, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    source = open_source(files.write(facilities, tmp_path, "zip"), layer)
    assert rows(source) == 4
    del source
    with pytest.raises(SourceError):
        open_source(zipped(tmp_path / "b.zip", [("a.md", "")]), layer)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_claims_in_headers(facilities, layer, tmp_path):
    """Four gigabytes of records that are not there, a record longer than the file, a sheet with a billion rows."""
    path = files.write(facilities, tmp_path, "shp")
    table, index = path.with_suffix(".dbf"), path.with_suffix(".shx")
    whole = table.read_bytes()
    table.write_bytes(whole[:4] + b"\xff\xff\xff\xff" + whole[8:])
    refused(path, layer, "incomplete")
    table.write_bytes(whole)
    raw = index.read_bytes()
    index.write_bytes(raw[:100] + b"\x7f\xff\xff\xff" + raw[104:])
    refused(path, layer, "no point")
    flat = files.write(facilities, tmp_path, "fgb")
    raw = bytearray(flat.read_bytes())
    raw[8:12] = b"\xff\xff\xff\x7f"
    flat.write_bytes(raw)
    refused(flat, layer, "cannot be read|not a")
    book = files.write(facilities, tmp_path, "xlsx")
    with zipfile.ZipFile(book) as old:
        parts = {entry.filename: old.read(entry) for entry in old.infolist()}
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(b'<row r="5"', b'<row r="4000000000"')
    refused(zipped(book, parts.items()), layer, "than Excel can hold|damaged")


def test_a_million_nested_brackets(layer, tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text('{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"a":' + "[" * 1_000_000 + "}}]}")
    refused(path, layer, "cannot be read|down|memory")
    path = tmp_path / "a.kml"
    path.write_text('<?xml version="1.0"?><kml>' + "<Folder>" * 1000 + "</Folder>" * 1000 + "</kml>")
    refused(path, layer, "nested")


def hostile(monkeypatch, tmp_path, body):
    """A reading process whose CSV reader does what `body` says."""
    (tmp_path / "hostile.py").write_text(f"""
import os, signal, time
from gis.ingest import formats, sandbox_process
os.chdir({str(tmp_path)!r})
def open_table(*_, **__):
    {body}
def preload():
    from gis.ingest import table
    table.open_table = open_table
formats.preload = preload
sandbox_process.keep_drivers = lambda: None
sandbox_process.main()
""")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sandbox, "PROGRAM", "hostile")
    sandbox._close()


@pytest.mark.parametrize(
    ("body", "match", "values"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "brought its reader down .SIGSEGV", {}),
        ("os._exit(3)", "brought its reader down .code 3", {}),
        ("time.sleep(60)", "gave nothing to read for 1 seconds", {"READ_STALL_S": 1}),
        ("while True: pass", "took too long", {"READ_CPU_S": 1}),
        ("x = bytearray(400 << 20)", "more than 200 MB of memory", {"READ_MEMORY_BYTES": 200 << 20}),
        (
            "f = open('written', 'wb', 0); f.write(b'0' * 4096); f.write(b'0')",
            "content is not as its format demands .OSError",
            {"READ_UNPACKED_BYTES": 1024},
        ),
    ],
)
def test_whatever_a_reader_does_is_a_source_error(request, monkeypatch, tmp_path, layer, limits, body, match, values):
    hostile(monkeypatch, tmp_path, body)
    request.addfinalizer(sandbox._close)
    limits(**values)
    path = tmp_path / "a.csv"
    path.write_text("名称,lon,lat\na,117,32\n")
    began = time.monotonic()
    refused(path, layer, match)
    assert time.monotonic() - began < 20


def test_a_reading_process_that_was_killed_is_started_again(facilities, layer, tmp_path):
    path = files.write(facilities, tmp_path, "csv")
    assert rows(open_source(path, layer)) == 4
    os.kill(sandbox._room.process.pid, signal.SIGKILL)
    assert rows(open_source(path, layer)) == 4


def test_a_reading_that_is_not_finished_leaves_no_process(layer, tmp_path):
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write("名称,lon,lat\n")
        file.writelines(f"n{i},117,32\n" for i in range(400_000))
    source = open_source(path, layer)
    batches = source.batches()
    next(batches)
    mine = sandbox._room.process.pid
    assert forks(mine) == 1
    batches.close()
    until = time.monotonic() + 5
    while forks(mine) and time.monotonic() < until:
        time.sleep(0.02)
    assert forks(mine) == 0


def forks(pid):
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_the_first_rows_can_be_looked_at(facilities, layer, tmp_path):
    source = open_source(files.write(facilities, tmp_path, "csv"), layer)
    assert len(source.peek().numbers) == 4 and rows(source) == 4 and rows(source) == 4


# --- rasters and models, whose readers answer in one piece ---


def grid(path, size=512):
    transform = rasterio.transform.from_bounds(116.8, 31.82, 117.2, 32.18, size, size)
    with rasterio.open(path, "w", driver="GTiff", width=size, height=size, count=1, dtype="float32", crs="EPSG:4490", transform=transform,
                       tiled=True, compress="deflate") as file:  # fmt: skip
        file.write(np.random.default_rng(1).random((1, size, size), np.float32))
    return path


def told(read, path, match):
    with pytest.raises(SourceError, match=match) as error:
        read(path)
    assert error.value.remedy and str(path.parent) not in str(error.value)


def test_a_damaged_raster_and_one_that_claims_too_much(catalog, tmp_path):
    def look(path):
        return raster.inspect(catalog.layer("dem"), path, catalog.city.extent)

    path = grid(tmp_path / "whole.tif")
    whole = path.read_bytes()
    for name, content in (("cut.tif", whole[: len(whole) // 3]), ("header.tif", whole[:8] + b"\xff" * 4000)):
        (tmp_path / name).write_bytes(content)
        told(look, tmp_path / name, "cannot be read")
    claims = bytearray(whole)
    first = struct.unpack("<I", whole[4:8])[0]
    for entry in range(first + 2, first + 2 + 12 * struct.unpack("<H", whole[first : first + 2])[0], 12):
        if struct.unpack("<H", whole[entry : entry + 2])[0] in (256, 257):  # width and height
            claims[entry : entry + 12] = claims[entry : entry + 2] + struct.pack("<HII", 4, 1, 2_000_000_000)
    (tmp_path / "claims.tif").write_bytes(claims)
    told(look, tmp_path / "claims.tif", "cannot be read|claims 2000000000")
    assert look(path).counts() == {"RAS02": 1}, "the next file is read as ever"


def test_a_raster_that_needs_too_much_memory_to_be_optimised(tmp_path, limits):
    path = grid(tmp_path / "large.tif", 3000)
    limits(READ_MEMORY_BYTES=1 << 22)
    with pytest.raises(SourceError):
        rasters.optimised(path, tmp_path / "made.tif")
    assert not (tmp_path / "made.tif").exists()


def test_rasters_are_opened_in_the_reading_process(catalog, tmp_path, monkeypatch):
    path = grid(tmp_path / "a.tif")
    monkeypatch.setattr(rasterio, "open", None)
    assert raster.inspect(catalog.layer("dem"), path, catalog.city.extent).counts() == {"RAS02": 1}
    assert rasters.optimised(path, tmp_path / "made.tif").exists()


@pytest.mark.parametrize("read", [inp.read, drainage_inp.read], ids=["epanet", "swmm"])
def test_a_model_without_end(tmp_path, limits, read):
    path = tmp_path / "model.inp"
    with path.open("wb") as file:
        file.write(b"[JUNCTIONS]\n")
        file.truncate(1 << 40)
    limits(READ_MEMORY_BYTES=1 << 28)
    told(read, path, "more than 256 MB of memory")
    path.write_bytes(b"[JUNCTIONS]\n" + b"J1 0 0\n" * 2_000_000 + b"[CONDUITS]\nP\n[PIPES]\nP\n")
    limits(READ_MEMORY_BYTES=3 << 30, READ_CPU_S=1)
    told(read, path, "took too long")
    path.write_bytes(b"[JUNCTIONS]\nJ1\n[PIPES]\nP1 J1\n[CONDUITS]\nP1 J1\n")
    limits(READ_MEMORY_BYTES=3 << 30, READ_CPU_S=60)
    told(read, path, r"model\.inp, line \d")
