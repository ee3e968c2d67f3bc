"""Raster layers: coverages cut to an area, pictures for the map, and who may have them."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from gis.api import raster
from gis.settings import settings

COVERAGE = "/collections/dem/coverage"
TILE = "/collections/dem/tiles/WebMercatorQuad/14/6653/13516"
BOX = "bbox=116.995,31.995,117.005,32.005"


def published(name: str, bands: np.ndarray, crs: str = "EPSG:4548", west: float = 495_000.0, north: float = 3_546_000.0) -> None:
    """A raster file as a load leaves it: cells of 30 m around the middle of the city."""
    folder = settings().home / "raster"
    folder.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": count, "dtype": bands.dtype, "crs": crs}
    nodata = -9999.0 if bands.dtype.kind == "f" else None
    with rasterio.open(folder / f"{name}.tif", "w", transform=from_origin(west, north, 30, 30), nodata=nodata, **profile) as out:
        out.write(bands)


@pytest.fixture
def heights(app) -> np.ndarray:
    """A hill of 100 m on a plain of 20 m, 10 km wide, with a lake of no data."""
    rows, columns = np.mgrid[0:330, 0:330]
    cells = (20 + 100 * np.exp(-((rows - 165) ** 2 + (columns - 165) ** 2) / 4000)).astype("float32")
    cells[:20, :20] = -9999.0
    published("dem", cells[None])
    return cells


def picture(answer) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(answer.data)))


def test_a_geotiff_of_an_area_keeps_values_and_place(planner, heights):
    answer = planner.get(f"{COVERAGE}?{BOX}")
    assert answer.status_code == 200 and answer.content_type == "image/tiff; application=geotiff"
    with rasterio.MemoryFile(answer.data) as memory, memory.open() as file:
        row, column = round((3_546_000.0 - file.bounds.top) / 30), round((file.bounds.left - 495_000.0) / 30)
        part = heights[row : row + file.height, column : column + file.width]
        assert file.crs.to_epsg() == 4548 and 30 < file.width < 40
        np.testing.assert_array_equal(file.read(1), part)


def test_coverage_json_is_a_grid_of_cell_centres(planner, heights):
    answer = planner.get(f"{COVERAGE}?{BOX}&f=json")
    assert answer.content_type == "application/prs.coverage+json"
    cells, axes = answer.json["ranges"]["dem"], answer.json["domain"]["axes"]
    assert cells["shape"] == [axes["y"]["num"], axes["x"]["num"]] and len(cells["values"]) == axes["y"]["num"] * axes["x"]["num"]
    assert axes["y"]["start"] > axes["y"]["stop"] and (axes["x"]["start"] - 495_000) % 30 == 15
    assert max(cells["values"]) == pytest.approx(118, abs=3)
    assert None in planner.get(f"{COVERAGE}?f=json").json["ranges"]["dem"]["values"], "no data is null"


def test_an_area_in_another_crs_and_as_subset_is_the_same(planner, heights):
    by_box = planner.get(f"{COVERAGE}?{BOX}&f=json").json["domain"]
    crs = "http://www.opengis.net/def/crs/EPSG/0/4490"
    turned = f"bbox=31.995,116.995,32.005,117.005&bbox-crs={crs}"
    for same in (turned, "subset=Lat(31.995:32.005),Lon(116.995:117.005)"):
        assert planner.get(f"{COVERAGE}?{same}&f=json").json["domain"] == by_box


@pytest.mark.parametrize(
    "query",
    ["bbox=1,2,3", "bbox=a,b,c,d", "bbox=nan,1,2,3", "bbox=10,10,11,11", "bbox=-180,-90,-170,-80", "bbox=117,33,117,31", "f=png", "x=1",
     "subset=Lat(1)", "subset=Lat(31.9:32.1),Height(0:1)", "subset=Lat(e:e)", "properties=2", "properties=", f"{BOX}&subset=Lat(1:2)",
     f"{BOX}&bbox-crs=EPSG:1", "bbox=117,32,117,32&bbox-crs=http://www.opengis.net/def/crs/EPSG/0/4548", "bbox="],
)  # fmt: skip
def test_what_cannot_be_cut_is_the_callers_mistake(planner, heights, query):
    answer = planner.get(f"{COVERAGE}?{query}")
    assert answer.status_code == 400 and answer.json["error"] in ("InputError", "OutsideExtent"), answer.text


def test_too_large_an_area_is_refused(planner, app):
    published("dem", np.zeros((1, 600, 600), "float32"))
    answer = planner.get(f"{COVERAGE}?f=json")
    assert answer.status_code == 400 and "360,000 cells" in answer.json["what"] and "smaller" in answer.json["remedy"]
    assert planner.get(COVERAGE).status_code == 200


def test_cells_in_degrees_lie_where_the_collection_says(planner, heights):
    """As GDAL asks (`subset` by the axes of the domain set, the older `scaleSize`), and by bbox: the box exactly, in CRS84."""
    described = planner.get("/collections/dem").json
    grid, spatial = described["domainset"]["generalGrid"], described["extent"]["spatial"]
    bounds = [axis[end] for end in ("lowerBound", "upperBound") for axis in grid["axis"]]
    assert spatial["bbox"] == [bounds] and grid["axisLabels"] == ["Lon", "Lat"] and grid["srsName"].endswith("CRS84")
    assert [one["cellsCount"] for one in spatial["grid"]] == [round((h - lo) / r) for h, lo, r in (
        (axis["upperBound"], axis["lowerBound"], axis["resolution"]) for axis in grid["axis"])]  # fmt: skip
    assert described["rangetype"]["field"][0]["definition"] == "ogcType:float32"
    link = [one["href"] for one in described["links"] if one["type"].startswith("image/tiff")][-1]
    assert link.endswith("coverage?f=GTiff&crs=http://www.opengis.net/def/crs/OGC/1.3/CRS84")
    asked = f"{COVERAGE}?{link.split('?')[1]}"
    answer = planner.get(f"{asked}&subset=Lon(116.99:117.01),Lat(31.99:32.01)&scaleSize=Lon(50),Lat(60)")
    assert answer.status_code == 200 and "CRS84" in answer.headers["Content-Crs"], answer.text
    with rasterio.MemoryFile(answer.data) as memory, memory.open() as file:
        assert (file.width, file.height) == (50, 60) and file.crs.is_geographic
        np.testing.assert_allclose(file.bounds, (116.99, 31.99, 117.01, 32.01), atol=1e-9)
        found = file.read(1)
    same = planner.get(f"{asked}&bbox=116.99,31.99,117.01,32.01&scale-size=Lon(50),Lat(60)").data
    with rasterio.MemoryFile(same) as memory, memory.open() as file:
        np.testing.assert_array_equal(file.read(1), found)
    top = planner.get(f"{COVERAGE}?bbox=116.99,31.99,117.01,32.01")
    with rasterio.MemoryFile(top.data) as memory, memory.open() as file:
        assert abs(float(file.read(1).max()) - float(found.max())) < 1, "the hill is the same hill"
    cells = planner.get(f"{asked.replace('GTiff', 'json')}&bbox=117,32,117.001,32.001").json
    assert cells["domain"]["referencing"][0] == {
        "coordinates": ["x", "y"], "system": {"type": "GeographicCRS", "id": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}}  # fmt: skip
    own = planner.get(f"{COVERAGE}?f=json&{BOX}&crs=http://www.opengis.net/def/crs/EPSG/0/4548").json
    assert own["domain"]["referencing"][0]["coordinates"] == ["y", "x"], "EPSG:4548 has its northing first"
    for wrong in (
        "crs=http://www.opengis.net/def/crs/EPSG/0/3857",
        "crs=x",
        "crs=http://www.opengis.net/def/crs/OGC/1.3/CRS84&bbox=1,1,2,2",
    ):
        assert planner.get(f"{COVERAGE}?{wrong}").status_code == 400, wrong


def test_hills_are_lit_from_the_north_west(planner, heights):
    answer = planner.get(f"{TILE}?f=png")
    assert answer.status_code == 200 and answer.mimetype == "image/png"
    pixels = picture(answer)
    assert pixels.shape == (256, 256, 4) and (pixels[..., 3] == 255).all()
    whole = picture(planner.get("/collections/dem/tiles/WebMercatorQuad/12/1663/3379?f=png")).astype(int)
    assert 0 < np.count_nonzero(whole[..., 3]) < 256 * 256, "what the raster does not cover is clear"


def test_a_picture_is_asked_again_and_changes_with_the_file(planner, heights):
    first = planner.get(TILE)
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = planner.get(TILE, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.data
    published("dem", heights[None] * 0 + 20)
    os.utime(raster.file_of("dem"), (1, 1))
    changed = planner.get(TILE, headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200 and changed.headers["ETag"] != first.headers["ETag"]
    assert len(np.unique(picture(changed).reshape(-1, 4), axis=0)) == 1, "a plain has no shade"


def test_an_image_keeps_its_colours(planner, app):
    published("image", np.stack([np.full((330, 330), value, "uint8") for value in (200, 100, 50)]))
    pixels = picture(planner.get(TILE.replace("dem", "image")))
    assert (pixels == (200, 100, 50, 255)).all()


def test_pictures_have_bounds_of_their_own(planner, heights):
    base = "/collections/dem/tiles/WebMercatorQuad"
    assert planner.get(f"{base}/14/6653/13000").status_code == 204
    assert planner.get(f"{base}/3/3/6").status_code == 404
    assert planner.get(f"{base}/14/-1/0").status_code == 400
    assert planner.get(f"{TILE}?f=mvt").status_code == 400 and planner.get(f"{TILE}?datetime=2020").status_code == 400
    assert planner.get(f"{base}?f=tilejson").json["tiles"][0].endswith("/{z}/{y}/{x}?f=png")
    assert planner.get(base).json["dataType"] == "map"


def test_a_raster_exists_only_for_those_who_may_see_it(anyone, as_role, heights):
    for path in (COVERAGE, f"{COVERAGE}?f=json", TILE, "/collections/dem", "/collections/dem/tiles", "/styles/dem"):
        assert anyone.get(path).status_code == 404 and as_role("address").get(path).status_code == 404, path
    for caller, sees in ((anyone, False), (as_role("planner"), True)):
        style, tree = caller.get("/styles/onemap").json, caller.get("/catalog").json
        assert ("dem" in style["sources"]) == sees
        assert ("dem" in {layer["id"] for group in tree["groups"] for layer in group["layers"]}) == sees


def test_rasters_lie_under_everything_and_out_of_sight(planner, heights):
    style = planner.get("/styles/onemap").json
    kinds = [layer["type"] for layer in style["layers"]]
    assert kinds[:2] == ["background", "raster"] and kinds.count("raster") == 1
    assert style["layers"][1]["layout"]["visibility"] == "none"


def test_a_raster_that_was_never_loaded_is_not_there(planner):
    for path in (COVERAGE, TILE, "/collections/dem", "/styles/dem"):
        assert planner.get(path).status_code == 404, path
    published("dem", np.zeros((1, 50, 50), "float32"))
    assert planner.get("/collections/dem").status_code == 200, "and after its load it is, without a restart"


def test_a_broken_file_is_the_platforms_mistake(planner, heights):
    raster.file_of("dem").write_text("<VRTDataset/>")
    for path in (COVERAGE, TILE):
        answer = planner.get(path)
        assert answer.status_code == 503 and "tif" not in answer.text.replace("certif", ""), path


# --- scaled coverages: rasterio is the oracle -----------------------------------------------------------------------------


@pytest.fixture
def orthophoto(app) -> np.ndarray:
    bands = np.random.default_rng(5).integers(1, 255, (3, 240, 300), "uint8")
    published("image", bands)
    return bands


def test_native_cells_of_imagery_are_those_of_the_file(planner, orthophoto):
    answer = planner.get(f"/collections/image/coverage?{BOX}&properties=3,1")
    with rasterio.MemoryFile(answer.data) as memory, memory.open() as file, rasterio.open(raster.file_of("image")) as whole:
        part = whole.window(*file.bounds)
        np.testing.assert_array_equal(file.read(), whole.read([3, 1], window=part))
        assert file.crs == whole.crs and file.res == whole.res
    assert planner.get("/collections/image/coverage?scale-factor=1").data == planner.get("/collections/image/coverage").data


def test_a_scaled_coverage_lies_where_the_raster_lies(planner, orthophoto, heights):
    for query, shape in (
        ("scale-factor=4", (60, 75)), ("scale-size=Lon(50),Lat(40)", (40, 50)), ("scale-size=lat(120)", (120, 150)),
        ("scale-axes=Lon(2),Lat(4)", (60, 150)), ("scale-axes=Lon(10)", (240, 30)), ("scale-factor=0.5", (480, 600)),
    ):  # fmt: skip
        answer = planner.get(f"/collections/image/coverage?{query}")
        assert answer.status_code == 200, answer.text
        with rasterio.MemoryFile(answer.data) as memory, memory.open() as file, rasterio.open(raster.file_of("image")) as whole:
            assert file.shape == shape and file.count == 3, query
            assert file.bounds == pytest.approx(whole.bounds), "the same ground in other cells"
            if "factor=4" in query:
                blocks = orthophoto.reshape(3, 60, 4, 75, 4).mean(axis=(2, 4))
                assert np.abs(file.read().astype(float) - blocks).max() <= 1, "each cell is the mean of sixteen"
    grid = planner.get(f"{COVERAGE}?scale-factor=3&f=json").json
    axes, cells = grid["domain"]["axes"], np.array(grid["ranges"]["dem"]["values"], float).reshape(110, 110)
    assert (axes["x"]["num"], axes["x"]["start"], axes["y"]["start"]) == (110, 495_000 + 45, 3_546_000 - 45)
    assert np.isnan(cells[0, 0]) and cells[50, 50] == pytest.approx(heights[150:153, 150:153].mean(), abs=1e-2)


def test_scales_that_are_none_are_the_callers_mistake(planner, heights):
    for query in (
        "scale-factor=0", "scale-factor=-2", "scale-factor=nan", "scale-factor=a", "scale-factor=inf", "scale-factor=", "scale-size=Lon(0)",
        "scale-size=Lon(1.5)", "scale-size=5", "scale-size=Lon(5),Lon(6)", "scale-axes=Height(2)", "scale-size=Lon(1e9)",
        "scale-factor=2&scale-size=Lon(5)", "scale-factor=0.001",
    ):  # fmt: skip
        answer = planner.get(f"{COVERAGE}?{query}")
        assert answer.status_code == 400 and answer.json["error"] == "InputError", (query, answer.text)
    published("dem", np.zeros((1, 600, 600), "float32"))
    refused = planner.get(f"{COVERAGE}?f=json").json
    assert "scale-factor=2" in refused["remedy"] and planner.get(f"{COVERAGE}?f=json&scale-factor=2").status_code == 200
