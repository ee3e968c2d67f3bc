"""GeoTIFFs: checked, optimised with unchanged values, recorded."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_bounds
from rio_cogeo.cogeo import cog_validate

from etl import raster
from gis.errors import InputError, SourceError
from gis.ingest.load import Rejected
from gis.settings import settings


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
    assert not list((settings().home / "raster").glob("*"))


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
