"""Cells of the grid get community and code; sensors get kind and pipe."""

import geopandas
import pytest
import shapely
from deliveries import pipes

from etl import grid, sensors
from etl.pipe_drawing import Drawing
from etl.pipe_drawing import deliveries as drawn
from gis.errors import InputError
from gis.ingest.load import load_frames

pytestmark = pytest.mark.usefixtures("store_db")
TOWN = "999901100"


def communities(catalog, boxes):
    frame = geopandas.GeoDataFrame(
        {"code": [f"{TOWN}{n:03}" for n in range(1, len(boxes) + 1)], "name": [f"社区{n}" for n in range(len(boxes))], "town_code": TOWN},
        geometry=[shapely.MultiPolygon([shapely.box(*box)]) for box in boxes], crs=4490,
    )  # fmt: skip
    load_frames(catalog, {"community": frame}, name="communities")


def squares(*corners, size=0.01, **columns):
    return geopandas.GeoDataFrame(columns, geometry=[shapely.box(x, y, x + size, y + size) for x, y in corners], crs=4490)


@pytest.fixture
def load(catalog, tmp_path):
    def go(frame, **options):
        path = tmp_path / "grid.gpkg"
        path.unlink(missing_ok=True)
        frame.to_file(path, engine="pyogrio")
        return grid.load(catalog, path, **options)

    return go


def test_cells_get_the_community_and_serials_row_by_row(catalog, load, query):
    with pytest.raises(InputError, match="no communities"):
        load(squares((117.0, 32.0)))
    communities(catalog, [(117.0, 32.0, 117.02, 32.02), (117.02, 32.0, 117.04, 32.02)])
    cells = squares((117.01, 32.0), (117.0, 32.01), (117.02, 32.0), (117.0, 32.0), (117.01, 32.01), population=[1, 2, 3, 4, 5])
    result = load(cells)
    assert query("SELECT grid_code, population FROM core.grid_cell ORDER BY 1") == [
        (f"{TOWN}001001", 2), (f"{TOWN}001002", 5), (f"{TOWN}001003", 4), (f"{TOWN}001004", 1), (f"{TOWN}002001", 3)]  # fmt: skip
    assert result.findings == {"GRD93": 1}, "a quarter of the second community has a cell"
    assert [(o.inserted, o.updated, o.retired) for o in load(cells).layers] == [(0, 0, 0)]
    assert load(cells, dry_run=True).status == "dry_run"


def test_what_is_against_the_rules(catalog, load, query):
    communities(catalog, [(117.0, 32.0, 117.02, 32.02), (117.02, 32.0, 117.04, 32.02)])
    cells = squares((117.0, 32.0), (117.005, 32.0), (117.018, 32.01), (117.1, 32.1), (117.03, 32.0), (117.0, 32.01),
                    网格编码=[f"{TOWN}001007", None, None, None, f"{TOWN}002009", f"{TOWN}001008"])  # fmt: skip
    result = load(cells)
    found = query("SELECT code, src_row, value FROM meta.finding WHERE code LIKE 'GRD9%%' AND code <> 'GRD93' ORDER BY 1, 2")
    assert found == [("GRD90", 4, None), ("GRD91", 3, "80%"), ("GRD92", 2, "50%")]
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (6, 5, 1)
    serials = [f"{TOWN}{n}" for n in ("001001", "001007", "001008", "002001", "002009")]
    assert query("SELECT array_agg(grid_code ORDER BY grid_code) FROM core.grid_cell") == [(serials,)]
    assert query(
        "SELECT count(*) FROM meta.finding WHERE code LIKE 'GRD9%%' AND (message NOT LIKE '%% / %%' OR remedy NOT LIKE '%% / %%')"
    ) == [(0,)]


@pytest.mark.real
def test_the_population_grid_of_helsinki(shared_data, city, query):
    """92 statistical cells in two communities that a street parts."""
    catalog = city((24.85, 60.10, 25.05, 60.25))
    catalog = catalog.model_copy(update={"city": catalog.city.model_copy(update={"working_crs": "EPSG:3879"})})
    communities(catalog, [(24.90, 60.15, 24.935, 60.18), (24.935, 60.15, 24.97, 60.18)])
    path = shared_data / "city" / "helsinki_population_grid_2020.gpkg"
    result = grid.load(catalog, path)
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (92, 92, 0)
    # seven cells lie on the line that parts the communities; both are larger than the cells that are there
    assert query("SELECT community_code, count(*), sum(population)::int, max(grid_code) FROM core.grid_cell GROUP BY 1 ORDER BY 1") == [
        (f"{TOWN}001", 51, 45_561, f"{TOWN}001051"), (f"{TOWN}002", 41, 26_163, f"{TOWN}002041")]  # fmt: skip
    assert result.findings == {"GRD91": 7, "GRD93": 2}
    assert [(o.inserted, o.updated, o.retired) for o in grid.load(catalog, path).layers] == [(0, 0, 0)]


# --- sensors ----------------------------------------------------------------------------------------------------------


def test_a_list_of_devices(catalog, tmp_path, query):
    load_frames(catalog, pipes("city"), name="city")
    place = "SELECT ST_X(p), ST_Y(p) FROM (SELECT ST_LineInterpolatePoint(geom, %s) AS p FROM core.water_pipe ORDER BY pipe_id LIMIT 1) f"
    start, end = query(place, 0.0)[0], query(place, 0.5)[0]
    path = tmp_path / "devices.csv"
    path.write_text(
        "设备编号,设备名称,类型,经度,纬度\n"
        f"S1,一号压力计,压力,{start[0]},{start[1]}\nS2,二号,电磁流量计,{end[0]},{end[1]}\nS3,远处水表,,117.15,32.1\n"
        f"S4,智能井盖,,{end[0]},{end[1]}\nS5,不明,摄像头,117.0,32.0\n", encoding="utf-8")  # fmt: skip
    result = sensors.load(catalog, path, network="city")
    assert query("SELECT sensor_id, kind, network, node_id IS NOT NULL, pipe_id IS NOT NULL FROM core.sensor ORDER BY 1") == [
        ("S1", "pressure", "city", True, False), ("S2", "flow", "city", False, True), ("S3", "flow", None, False, False),
        ("S4", "manhole_cover", None, False, False)]  # fmt: skip
    assert {k: n for k, n in result.findings.items() if k.startswith("SEN9")} == {"SEN90": 1, "SEN91": 2, "SEN92": 1}
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (5, 4, 1)
    assert [(o.inserted, o.updated, o.retired) for o in sensors.load(catalog, path, network="city").layers] == [(0, 0, 0)]
    with pytest.raises(InputError, match="no network 'north'"):
        sensors.load(catalog, path, network="north")
    with pytest.raises(InputError, match="unknown kind"):
        sensors.load(catalog, path, kind="camera")


@pytest.mark.real
def test_the_water_meters_of_forest_city(shared_data, city, query):
    catalog, folder = city((-82.2, 35.0, -81.5, 35.6)), shared_data / "utility" / "forestcity_nc"
    catalog = catalog.model_copy(update={"city": catalog.city.model_copy(update={"working_crs": "EPSG:32617"})})
    frames, found = drawn(Drawing(pipes=folder / "waterLines.geojson", network="forest", names={"pipe_id": "ID"}), catalog)
    load_frames(catalog, frames, name="forest", files=[folder / "waterLines.geojson"], findings=found, scope="forest")
    result = sensors.load(catalog, folder / "meters.geojson", network="forest", tolerance=30)
    # four of them say nothing that a device could be told by; one lies farther than 30 m from every main
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (58, 54, 4)
    assert result.findings == {"SEN01": 1, "SEN90": 4, "SEN91": 53, "SEN92": 1}
    assert query("SELECT kind, count(*), count(pipe_id), count(node_id) FROM core.sensor GROUP BY 1") == [("flow", 54, 53, 0)]
