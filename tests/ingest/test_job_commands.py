"""Each job as its command: a rehearsal, a load, the same again, a report, a file that is none."""

import json

import geopandas
import numpy as np
import osm_pbf
import pytest
import rasterio
import shapely
from rasterio.transform import from_bounds
from test_grid_and_sensors import communities, squares

from gis.cli import main
from gis.errors import OneMapError

INP = """[JUNCTIONS]
J1 30 5
J2 30 5
[RESERVOIRS]
R1 80
[PIPES]
P1 R1 J1 400 300 100 0 Open
P2 J1 J2 300 200 100 0 Open
[COORDINATES]
R1 0 0
J1 400 0
J2 700 0
[OPTIONS]
Units LPS
[END]
"""


def doorplates(folder, catalog):
    path = folder / "plates.csv"
    path.write_text("地址全称,街路,门牌号,经度,纬度\n" + "".join(f"府前街{n}号,府前街,{n}号,117.00{n},32.001\n" for n in range(1, 9)))
    return ["doorplates", path], (16, 16, 0)


def facilities(folder, catalog):
    path = folder / "poi.csv"
    path.write_text("名称,类型,经度,纬度\n一小,小学,117.01,32.01\n饭店,餐饮,117.02,32.01\n县医院,医院,117.03,32.01\n")
    return ["facilities", path, "--crs", "EPSG:4490"], (3, 2, 1)


def grid(folder, catalog):
    communities(catalog, [(117.0, 32.0, 117.02, 32.02)])
    squares((117.0, 32.0), (117.01, 32.0), (117.0, 32.01), (117.01, 32.01)).to_file(folder / "grid.gpkg", engine="pyogrio")
    return ["grid", folder / "grid.gpkg"], (4, 4, 0)


def sensors(folder, catalog):
    path = folder / "devices.csv"
    path.write_text("设备编号,类型,经度,纬度\nS1,压力,117.01,32.01\nS2,液位,117.02,32.02\nS3,摄像头,117.02,32.03\n")
    return ["sensors", path], (3, 2, 1)


def dem(folder, catalog):
    with rasterio.open(folder / "dem.tif", "w", driver="GTiff", width=50, height=50, count=1, dtype="float32", crs="EPSG:4490",
                       nodata=-9999.0, transform=from_bounds(116.8, 31.82, 117.2, 32.18, 50, 50)) as file:  # fmt: skip
        file.write(np.ones((1, 50, 50), "float32"))
    return ["dem", folder / "dem.tif"], (1, 1, 0)


def osm(folder, catalog):
    nodes = {n + 1: (1_170_000_000 + n * 10_000, 320_000_000 + n * 5_000 * (n % 2)) for n in range(6)}
    ways = {1: ([1, 2, 3], {"highway": "residential"}), 2: ([2, 4], {"highway": "service"}), 3: ([1, 5, 6, 1], {"building": "house"})}
    return ["osm", osm_pbf.write(folder / "town.osm.pbf", nodes, ways)], (8, 8, 0)


def epanet(folder, catalog):
    (folder / "small.inp").write_text(INP)
    return ["epanet", folder / "small.inp", "--network", "small", "--place", "117.05,32.02"], (6, 6, 0)


def layer(folder, catalog):
    frame = geopandas.GeoDataFrame({"设施编号": ["S1"], "名称": ["一小"], "类型": ["小学"]}, geometry=[shapely.Point(117, 32)], crs=4490)
    frame.to_file(folder / "facility.gpkg", engine="pyogrio")
    return ["facility", folder / "facility.gpkg"], (1, 1, 0)


@pytest.fixture
def onemap(capfdbinary):
    """(exit code, the JSON document) of a command, run in this process."""

    def go(*words):
        try:
            main.application("load")([*map(str, words), "--json"], standalone_mode=False)
        except OneMapError as error:
            return main.report(error, json=True), json.loads(capfdbinary.readouterr().out)
        return 0, json.loads(capfdbinary.readouterr().out)

    return go


@pytest.mark.usefixtures("store_db")
@pytest.mark.parametrize("job", [doorplates, facilities, grid, sensors, dem, osm, epanet, layer], ids=lambda job: job.__name__)
def test_a_job_by_its_command(job, onemap, catalog, tmp_path, query):
    words, counts = job(tmp_path, catalog)

    def loaded(*more):
        code, answer = onemap("load", *words, *more)
        assert code == 0, answer
        assert (answer["rows_read"], answer["rows_loaded"], answer["rows_rejected"]) == counts
        assert all(o["rows_read"] == o["rows_loaded"] + o["rows_rejected"] for o in answer["layers"])
        return answer

    assert loaded("--dry-run")["status"] == "dry_run"
    assert loaded("--report", tmp_path / "report")["status"] == "published" and any((tmp_path / "report").iterdir())
    again = loaded()
    assert all((o["inserted"], o["updated"], o["retired"]) == (0, 0, 0) for o in again["layers"])
    words[1].write_bytes(
        words[1].read_bytes()[: words[1].stat().st_size // 3] if words[0] in ("dem", "osm", "grid", "facility") else b"\x00\x01"
    )
    code, answer = onemap("load", *words)
    assert code in (3, 4) and answer["error"]["remedy"] and str(tmp_path) not in json.dumps(answer)
    words[1] = words[1].with_suffix(".docx")
    words[1].write_bytes(b"PK\x03\x04")
    code, answer = onemap("load", *words)
    assert code == 3 and answer["error"]["code"] == "SourceError"
    assert query("SELECT count(*) FROM meta.batch WHERE status = 'loading'") == [(0,)]
