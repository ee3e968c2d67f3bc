"""GeoTIFFs: checked, optimised with unchanged values, recorded."""

import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.transform import from_bounds
from rio_cogeo.cogeo import cog_validate

from etl import raster
from gis.db.connection import owner
from gis.errors import InputError, SourceError, StoreError
from gis.ingest import rasters
from gis.ingest.load import Rejected
from gis.ingest.rollback import rollback
from gis.settings import ROOT, settings


def write(path, *, bounds=(116.8, 31.82, 117.2, 32.18), crs="EPSG:4490", fill=None, nodata=-9999.0, size=700, dtype="float32"):
    values = (
        np.add.outer(np.linspace(10, 60, size), np.linspace(0, 20, size)).astype(dtype)
        if fill is None
        else np.full((size, size), fill, dtype)
    )
    with rasterio.open(path, "w", driver="GTiff", width=size, height=size, count=1, dtype=dtype, crs=crs, nodata=nodata,
                       transform=from_bounds(*bounds, size, size)) as file:  # fmt: skip
        file.write(values, 1)
    return path, values


@pytest.mark.usefixtures("store_db")
def test_a_dem_becomes_a_cog_with_its_values_unchanged(catalog, tmp_path, query):
    path, values = write(tmp_path / "dem.tif")
    result = raster.load(catalog, "dem", path)
    made = settings().home / "raster" / "dem.tif"
    assert cog_validate(made, quiet=True)[0] and (result.rows_read, result.rows_loaded) == (1, 1)
    with rasterio.open(made) as file:
        assert file.overviews(1) and file.crs.to_epsg() == 4490 and file.nodata == -9999
        assert np.array_equal(file.read(1), values)
    assert query("SELECT status, rows_loaded, updated FROM meta.batch JOIN meta.batch_layer ON batch = id") == [("published", 1, 1)]
    before = made.stat().st_mtime_ns
    again = raster.load(catalog, "dem", path)
    assert (again.layers[0].updated, again.layers[0].unchanged) == (0, 1) and made.stat().st_mtime_ns == before
    assert not list(made.parent.glob("*partial*"))


@pytest.mark.usefixtures("store_db")
def test_in_the_working_crs_and_with_a_crs_given(catalog, tmp_path):
    path, _ = write(tmp_path / "a.tif", bounds=(490_000, 3_530_000, 510_000, 3_550_000), crs=None)
    with pytest.raises(SourceError, match="declares no coordinate reference system"):
        raster.load(catalog, "dem", path)
    result = raster.load(catalog, "dem", path, crs="EPSG:4548")
    assert result.findings == {"RAS03": 1}
    with rasterio.open(settings().home / "raster" / "dem.tif") as file:
        assert file.crs.to_epsg() == 4548


@pytest.mark.usefixtures("store_db")
@pytest.mark.parametrize(
    ("options", "code"), [({"bounds": (9, 47, 9.5, 47.5)}, "RAS01"), ({"fill": -9999.0}, "RAS04"), ({"fill": float("nan")}, "RAS04")]
)
def test_what_cannot_be_the_citys_is_refused(catalog, tmp_path, options, code, query):
    path, _ = write(tmp_path / "a.tif", **options)
    with pytest.raises(Rejected) as refused:
        raster.load(catalog, "dem", path)
    assert refused.value.findings[code] == 1 and not (settings().home / "raster" / "dem.tif").exists()
    assert query("SELECT status, message LIKE 'refused%%' FROM meta.batch") == [("rejected", True)]


def test_no_value_for_missing_data_and_impossible_heights_are_said(catalog, tmp_path):
    path, _ = write(tmp_path / "a.tif", nodata=None, fill=-32768.0)
    assert set(raster.inspect(catalog.layer("dem"), path, catalog.city.extent).counts()) == {"RAS02", "RAS05"}


@pytest.mark.usefixtures("store_db")
def test_a_dry_run_leaves_no_file(catalog, tmp_path):
    path, _ = write(tmp_path / "a.tif", size=300)
    assert raster.load(catalog, "dem", path, dry_run=True).status == "dry_run"
    assert not [path for path in (settings().home / "raster").rglob("*") if not path.is_dir()]


@pytest.mark.parametrize("content", [b"II*\0" + b"\0" * 100, b"<VRTDataset/>", b"", b"MM\0*garbage"])
def test_no_geotiff(catalog, tmp_path, content):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(SourceError) as refused:
        raster.load(catalog, "dem", path)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.usefixtures("store_db")
def test_a_raster_cut_off_is_refused_and_the_old_one_stays(catalog, tmp_path):
    path, values = write(tmp_path / "a.tif")
    raster.load(catalog, "dem", path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(SourceError):
        raster.load(catalog, "dem", path)
    with rasterio.open(settings().home / "raster" / "dem.tif") as file:
        assert np.array_equal(file.read(1), values)


def test_a_vector_layer_is_no_raster_layer(catalog, tmp_path):
    with pytest.raises(InputError, match="no raster layer"):
        raster.load(catalog, "road", tmp_path / "a.tif")


# --- which file is shown ----------------------------------------------------------------------------------------------


def shown():
    with rasterio.open(settings().home / "raster" / "dem.tif") as file:
        return file.read(1)


def kept():
    return sorted(path.name for path in (settings().home / "raster" / "dem").glob("*.tif"))


@pytest.mark.usefixtures("store_db")
def test_a_rollback_shows_the_raster_of_before_and_at_last_none(catalog, tmp_path, query):
    first, values = write(tmp_path / "a.tif", size=300)
    second, _ = write(tmp_path / "b.tif", size=300, fill=7.0)
    one = raster.load(catalog, "dem", first).batch
    raster.load(catalog, "dem", first)  # changes nothing, so it stands in nobody's way
    two = raster.load(catalog, "dem", second).batch
    assert (shown() == 7).all() and len(kept()) == 2
    with pytest.raises(InputError, match=str(two)):
        rollback(catalog, one)
    undone = rollback(catalog, two)
    assert np.array_equal(shown(), values)
    assert [(o.layer, o.rows_read, o.inserted, o.retired) for o in undone.layers] == [("dem", 1, 1, 1)]
    gone = rollback(catalog, one)
    assert not (settings().home / "raster" / "dem.tif").exists() and (gone.layers[0].inserted, gone.layers[0].retired) == (0, 1)
    assert raster.load(catalog, "dem", second).layers[0].updated == 1 and (shown() == 7).all(), "what was taken back may come again"
    assert query("SELECT count(*) FROM meta.batch WHERE kind = 'rollback' AND status = 'published'") == [(2,)]


@pytest.mark.usefixtures("store_db")
def test_older_files_go_and_are_made_again_from_their_source(catalog, tmp_path):
    batches = []
    for n in range(4):
        path, _ = write(tmp_path / f"{n}.tif", size=64, fill=float(n))
        batches.append(raster.load(catalog, "dem", path).batch)
        path.unlink()
    assert len(kept()) == 2
    for n in (2, 1, 0):
        rollback(catalog, batches[n + 1])
        assert (shown() == n).all()


@pytest.mark.usefixtures("store_db")
def test_a_raster_from_before_there_were_links_is_kept_shown_and_can_be_come_back_to(catalog, tmp_path, query):
    old, values = write(tmp_path / "a.tif", size=64)
    raster.load(catalog, "dem", old)
    link = settings().home / "raster" / "dem.tif"
    plain = link.read_bytes()
    query("DELETE FROM meta.raster RETURNING 1")
    link.unlink(), shutil.rmtree(link.parent / "dem")
    link.write_bytes(plain)
    assert raster.load(catalog, "dem", old).layers[0].unchanged == 1 and not link.is_symlink()
    new, _ = write(tmp_path / "b.tif", size=64, fill=3.0)
    batch = raster.load(catalog, "dem", new).batch
    assert link.is_symlink() and (shown() == 3).all()
    rollback(catalog, batch)
    assert np.array_equal(shown(), values)


@pytest.mark.usefixtures("store_db")
def test_a_source_that_is_not_kept_is_not_come_back_to(catalog, tmp_path, monkeypatch):
    batches = [raster.load(catalog, "dem", write(tmp_path / f"{n}.tif", size=64, fill=float(n))[0]).batch for n in range(2)]
    for path in (*(settings().home / "sources").glob("*"), *(settings().home / "raster" / "dem").glob("*.tif")):
        if path.resolve() != (settings().home / "raster" / "dem.tif").resolve():
            path.unlink()
    with pytest.raises(StoreError, match=f"batch {batches[0]} is not kept"):
        rollback(catalog, batches[1])
    assert (shown() == 1).all()


KILLED = """
import os, signal, sys
from etl import raster
from gis.catalog import read
from gis.ingest import rasters

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

target, name = {"optimised": (rasters, "optimised"), "keep": (rasters, "keep"), "settle": (rasters, "_point"),
                "tidy": (rasters, "tidy")}[sys.argv[2]]
original = getattr(target, name)
if sys.argv[2] == "settle":  # the first is before the load
    calls = iter((original, die))
    setattr(target, name, lambda *given: next(calls)(*given))
else:
    setattr(target, name, die)
raster.load(read.catalog(), "dem", sys.argv[1])
"""


@pytest.mark.usefixtures("store_db")
@pytest.mark.parametrize("step", ["optimised", "keep", "settle", "tidy"])
def test_killed_at_any_step_the_old_or_the_new_raster_is_shown_whole(catalog, tmp_path, query, step):
    old, values = write(tmp_path / "a.tif", size=64)
    new, _ = write(tmp_path / "b.tif", size=64, fill=5.0)
    raster.load(catalog, "dem", old)
    done = subprocess.run([sys.executable, "-c", KILLED, str(new), step], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert np.array_equal(shown(), values) or (shown() == 5).all()
    published = query("SELECT count(*) FROM meta.batch WHERE status = 'published'")[0][0]
    with owner() as connection, connection.cursor() as cursor:
        rasters.settle(cursor, ["dem"])
    assert (shown() == 5).all() if published == 2 else np.array_equal(shown(), values), "the file is that of the believed batch"
    assert raster.load(catalog, "dem", new).status == "published" and (shown() == 5).all()
    assert not list((settings().home / "raster" / "dem").glob("*.partial"))
    assert query("SELECT DISTINCT status FROM meta.batch WHERE status NOT IN ('published', 'failed')") == []


# --- what is refused --------------------------------------------------------------------------------------------------


def made(path, *, count=1, dtype="float32", transform=None, size=64, sparse=False):
    transform = from_bounds(116.8, 31.82, 117.2, 32.18, size, size) if transform is None else transform
    with rasterio.open(path, "w", driver="GTiff", width=size, height=size, count=count, dtype=dtype, crs="EPSG:4490", nodata=None,
                       transform=transform, **({"SPARSE_OK": True, "tiled": True} if sparse else {})) as file:  # fmt: skip
        if not sparse:
            file.write(np.ones((count, size, size), dtype))
    return path


@pytest.mark.parametrize(
    ("layer", "options", "code"),
    [
        ("dem", {"count": 3}, "RAS06"),
        ("image", {"count": 2, "dtype": "uint8"}, "RAS06"),
        ("dem", {"dtype": "complex64"}, "RAS08"),
        ("dem", {"transform": Affine(0.01, 0.002, 116.8, 0.002, -0.01, 32.1)}, "RAS07"),
        ("dem", {"transform": Affine(0.01, 0, 116.8, 0, 0.01, 31.8)}, "RAS07"),
        ("dem", {"transform": Affine.identity()}, "RAS07"),
    ],
)
def test_bands_types_and_grids(catalog, tmp_path, layer, options, code):
    found = raster.inspect(catalog.layer(layer), made(tmp_path / "a.tif", **options), catalog.city.extent)
    frame = found.frame().set_index("code")
    assert frame.loc[code, "level"] == "fatal" and " / " in frame.loc[code, "message"] and " / " in frame.loc[code, "remedy"]


@pytest.mark.parametrize(("layer", "count"), [("dem", 1), ("image", 1), ("image", 3), ("image", 4)])
def test_the_bands_that_are_taken(catalog, tmp_path, layer, count):
    path = made(tmp_path / "a.tif", count=count, dtype="uint8")
    assert not {"RAS06", "RAS07", "RAS08"} & set(raster.inspect(catalog.layer(layer), path, catalog.city.extent).counts())


def test_a_bomb_is_refused_before_a_pixel_is_read(catalog, tmp_path):
    for size, said in ((40_000, "packed"), (80_000, "more than is accepted")):
        path = made(tmp_path / f"{size}.tif", size=size, sparse=True)
        assert path.stat().st_size < 2_000_000
        with pytest.raises(SourceError, match=said):
            raster.inspect(catalog.layer("dem"), path, catalog.city.extent)


def test_missing_data_are_told(catalog, tmp_path):
    path, values = write(tmp_path / "a.tif", size=100)
    with rasterio.open(path, "r+") as file:
        values[:50] = -9999
        file.write(values, 1)
    assert raster.inspect(catalog.layer("dem"), path, catalog.city.extent).counts() == {"RAS09": 1}


@pytest.mark.usefixtures("store_db")
def test_a_full_disk_changes_nothing(catalog, tmp_path, monkeypatch, query):
    path, values = write(tmp_path / "a.tif", size=64)
    raster.load(catalog, "dem", path)
    monkeypatch.setattr(raster.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(StoreError, match="no room"):
        raster.load(catalog, "dem", write(tmp_path / "b.tif", size=64, fill=2.0)[0])
    assert np.array_equal(shown(), values) and query("SELECT status FROM meta.batch ORDER BY id") == [("published",), ("failed",)]
