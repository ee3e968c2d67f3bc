"""The real data beside the project, with the counts and findings written down."""

import numpy as np
import pytest
import shapely

from etl import address, basemap, facility, raster
from gis import crs
from gis.errors import SourceError
from gis.ingest.load import load_files

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("store_db")]


def test_chiayi_doorplates(shared_data, city, query):
    catalog = city((120.35, 23.40, 120.55, 23.56))
    result = address.load(catalog, shared_data / "doorplates" / "chiayi_doorplates.csv.gz")
    plates = next(o for o in result.layers if o.layer == "door_plate")
    addresses = next(o for o in result.layers if o.layer == "address")
    assert (addresses.rows_read, addresses.rows_loaded, addresses.rows_rejected) == (83_523, 79_486, 4_037)
    assert (plates.rows_read, plates.rows_loaded, plates.rows_rejected) == (83_523, 79_486, 4_037)
    # 4,035 texts that occurred before; one position with latitude 0 and a bad longitude, one 30 km to the south; in each of the two layers
    assert result.findings["DUP"] == 2 * 4_035 and result.findings["GEO04"] == 2 * 2
    # plates that have no road stand twice in the register, without and with the village as road: the first row stays
    assert query("SELECT count(DISTINCT road) FROM core.address") == [(380,)]
    wrong = query("SELECT src_row, value FROM meta.finding WHERE code = 'GEO04' AND layer = 'address' ORDER BY src_row")
    assert wrong == [(14_445, "POINT(120.451229999 23.209050003)"), (32_141, "POINT(118.754566071 0)")]
    again = address.load(catalog, shared_data / "doorplates" / "chiayi_doorplates.csv.gz")
    assert all((o.inserted, o.updated, o.retired) == (0, 0, 0) for o in again.layers)


def test_liechtenstein_roads_and_buildings(shared_data, city, query):
    catalog = city((9.46, 47.04, 9.65, 47.28))
    result = basemap.load(catalog, shared_data / "city" / "liechtenstein.osm.pbf")
    assert {o.layer: (o.rows_read, o.rows_rejected) for o in result.layers} == {
        "road_node": (6_253, 0), "road": (7_877, 0), "building": (8_993, 0), "water_body": (75, 0)}  # fmt: skip
    assert result.findings == {"OSM01": 1, "OSM03": 1}
    assert all(o.rows_read == o.rows_loaded + o.rows_rejected for o in result.layers)
    assert query("SELECT value FROM meta.finding WHERE code = 'OSM03'")[0][0].count(",") == 1, "two roads are closed to everybody"
    assert query("SELECT count(*) FROM meta.finding WHERE message NOT LIKE '%% / %%' OR remedy NOT LIKE '%% / %%'") == [(0,)]
    assert query("SELECT count(*) FROM core.road WHERE bridge") == [(188,)] and query("SELECT count(*) FROM core.road WHERE tunnel") == [
        (5,)
    ]
    assert query("SELECT oneway, count(*) FROM core.road GROUP BY 1 ORDER BY 1") == [("backward", 3), ("both", 7_698), ("forward", 176)]
    # every end of a road is where its node is
    assert query("""SELECT count(*) FROM core.road r JOIN core.road_node n ON n.node_id = r.from_node
                    WHERE ST_Distance(ST_StartPoint(r.geom), n.geom) > 1e-7""") == [(0,)]  # fmt: skip


def test_helsinki(shared_data, city):
    result = basemap.load(city((24.5, 59.9, 25.5, 60.5)), shared_data / "city" / "helsinki.osm.pbf")
    # the extract was cut at its edge: 18 buildings cross themselves, 5 have rings of two points
    assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (8_119, 8_096, 23)
    assert result.findings["GEO05"] == 18 and result.findings["OSM02"] == 5
    again = basemap.load(city((24.5, 59.9, 25.5, 60.5)), shared_data / "city" / "helsinki.osm.pbf")
    assert all((o.inserted, o.updated, o.retired) == (0, 0, 0) and o.rows_read == o.rows_loaded + o.rows_rejected for o in again.layers)


def test_micropolis_shapefiles(shared_data, catalog, query):
    """No CRS, no encoding, feet: refused without a place, then put where they are told to be."""
    folder = shared_data / "networks" / "micropolis_gis"
    with pytest.raises(SourceError, match="coordinate reference system"):
        load_files(catalog, "building", [folder / "buildings_v1.shp"])
    place = crs.local(117.0, 32.0, x0=4400, y0=3600, unit_m=0.3048)
    buildings = load_files(
        catalog, "building", [folder / "buildings_v1.shp"], crs=place, names={"building_id": "ID"}, constants={"use": "residential"}
    )
    assert (buildings.rows_read, buildings.rows_loaded) == (868, 868) and buildings.findings["MAP01"] == 1
    roads = load_files(catalog, "road", [folder / "roads_v1.shp"], crs=place, constants={"road_id": "M{row}", "class": "branch"})
    assert (roads.rows_read, roads.rows_loaded) == (22, 22)
    # a foot is a foot: the area in the working CRS is that of the drawing
    (area,) = query("SELECT sum(ST_Area(ST_Transform(geom, 4548))) FROM core.building")[0]
    import pyogrio

    drawn = shapely.area(pyogrio.read_dataframe(folder / "buildings_v1.shp").geometry.values).sum() * 0.3048**2
    assert area == pytest.approx(drawn, rel=1e-4)


def test_tianditu_and_datav_boundaries(shared_data, city, query):
    """The same county twice: in CGCS2000, and in GCJ-02, which is turned back to within metres of it."""
    catalog = city((113.0, 30.0, 121.0, 39.0))
    true = load_files(catalog, "admin_area", [shared_data / "admin" / "tianditu_counties_selected.gpkg"],
                      names={"code": "district_adcode", "name": "district_name"}, constants={"level": "county"})  # fmt: skip
    assert true.rows_read == 30 and true.rows_read == true.rows_loaded + true.rows_rejected
    (before,) = query("SELECT geom FROM core.admin_area WHERE code = '410184'")
    offset = load_files(catalog, "admin_area", [shared_data / "admin" / "datav_410184.geojson"], crs="GCJ-02", mode="update",
                        names={"code": "adcode", "name": "name"}, constants={"level": "county", "parent": None})  # fmt: skip
    assert offset.findings["CRS04"] == 1 and offset.layers[0].updated == 1
    (after,) = query("SELECT geom FROM core.admin_area WHERE code = '410184'")
    a, b = (shapely.centroid(shapely.from_wkb(bytes.fromhex(g[0]))) for g in (before, after))
    metres = np.hypot((a.x - b.x) * 111_320 * np.cos(np.radians(a.y)), (a.y - b.y) * 110_574)
    assert metres < 100, "the offset itself is about 500 m"


def test_shanghai_facilities(shared_data, city, query):
    catalog, folder = city((120.8, 30.6, 122.3, 31.95)), shared_data / "city" / "shanghai_poi"
    counts = {}
    for name in ("幼儿园.csv", "小学.csv", "中学.csv", "shanghai_hospital.csv"):
        result = facility.load(catalog, folder / name)
        assert result.findings["CRS04"] == 1 and result.rows_read == result.rows_loaded + result.rows_rejected
        counts[name] = (result.rows_read, result.rows_loaded)
    # five rows stand twice; 691 rows of the hospitals are pet clinics, beauty parlours and the like: rejected, each with its own finding
    assert counts == {"幼儿园.csv": (2_284, 2_284), "小学.csv": (931, 930), "中学.csv": (983, 981), "shanghai_hospital.csv": (7_513, 6_820)}
    assert result.findings["FAC90"] == 691 and result.findings["DUP"] == 2 and "NUL" not in result.findings
    assert query("SELECT count(*) FROM meta.reject WHERE 'FAC90' = ANY (codes)") == [(691,)]
    again = facility.load(catalog, folder / "小学.csv")
    assert [(o.inserted, o.updated, o.retired) for o in again.layers] == [(0, 0, 0)]
    assert query("SELECT kind, count(*) FROM core.facility GROUP BY 1 ORDER BY 1") == [
        ("clinic", 2_702), ("hospital", 4_118), ("kindergarten", 2_284), ("middle_school", 981), ("primary_school", 930)]  # fmt: skip


def test_shanghai_districts_in_undeclared_gbk(shared_data, city, query):
    catalog = city((120.8, 30.6, 122.3, 31.95))
    path = shared_data / "city" / "shanghai_poi" / "district_shp" / "区县界_area.shp"
    result = load_files(catalog, "admin_area", [path], names={"code": "ADMINCODE"}, constants={"level": "county"})
    assert (result.rows_read, result.rows_loaded, result.findings["SRC03"]) == (17, 17, 1)
    assert ("黄浦区",) in query("SELECT name FROM core.admin_area")


def test_aster_dem(shared_data, city):
    catalog = city((122.0, 36.5, 122.8, 37.0))
    result = raster.load(catalog, "dem", shared_data / "raster" / "ASTGTMV003_N36E122_dem.tif")
    assert (result.rows_read, result.rows_loaded) == (1, 1) and not {"RAS01", "RAS04"} & set(result.findings)
