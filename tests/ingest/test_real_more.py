"""More of the real data beside the project: what loads, with its counts; and what is no delivery, with the reason that is given."""

import pytest

from etl import address
from gis import crs
from gis.errors import InputError, OneMapError, SourceError
from gis.ingest.load import Rejected, load_files

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("store_db")]
FOREST = (-82.2, 35.0, -81.5, 35.6)


def counted(result):
    """{layer: (read, loaded, rejected)}; what is read is loaded or rejected."""
    assert all(o.rows_read == o.rows_loaded + o.rows_rejected for o in result.layers)
    return {o.layer: (o.rows_read, o.rows_loaded, o.rows_rejected) for o in result.layers}


def unchanged(result) -> bool:
    return all((o.inserted, o.updated, o.retired) == (0, 0, 0) for o in result.layers)


def test_addresses_of_forest_city(shared_data, city):
    catalog, path = city(FOREST), shared_data / "utility" / "forestcity_nc" / "address.geojson"
    result = address.load(catalog, path)
    assert counted(result) == {"address": (9_940, 9_904, 36), "door_plate": (9_940, 9_904, 36)}
    assert result.findings == {"DUP": 72}
    assert unchanged(address.load(catalog, path))


def test_power_lines_of_forest_city(shared_data, city):
    """1,750 lines whose type no list knows: the value is left empty, the line is loaded."""
    path, given = shared_data / "utility" / "forestcity_nc" / "electricLines.geojson", {"line_id": "E{row}", "status": "0"}
    result = load_files(city(FOREST), "power_line", [path], constants=given)
    assert counted(result) == {"power_line": (1_750, 1_750, 0)} and result.findings == {"COD": 1_750, "MAP01": 1}
    assert unchanged(load_files(city(FOREST), "power_line", [path], constants=given))


def test_sewers_of_forest_city_name_no_manholes(shared_data, city):
    path = shared_data / "utility" / "forestcity_nc" / "sewerLines.geojson"
    with pytest.raises(Rejected, match="no column for from_node") as refused:
        load_files(city(FOREST), "sewer_pipe", [path], constants={"pipe_id": "S{row}", "status": "0"})
    assert refused.value.findings["MAP02"] == 2 and refused.value.result.rows_read == refused.value.result.rows_rejected == 1_850


def test_kentucky_as_gis_layers(shared_data, city):
    """EPSG:3547, US survey feet: the system's own nodes and pipes, by number."""
    catalog, folder = city((-87.5, 37.0, -85.0, 39.0)), shared_data / "networks" / "ky4_geojson"
    nodes = load_files(catalog, "water_node", [folder / "ky4_junctions.geojson"], scope="ky4", names={"node_id": "name"})
    assert counted(nodes) == {"water_node": (959, 959, 0)}
    pipes = load_files(catalog, "water_pipe", [folder / "ky4_pipes.geojson"], scope="ky4", mode="append",
                       names={"pipe_id": "name", "from_node": "start_node_name", "to_node": "end_node_name"})  # fmt: skip
    # seven pipes end at tanks and the reservoir, which are other layers; diameters in metres are no millimetres
    assert counted(pipes) == {"water_pipe": (1_156, 1_149, 7)}
    assert pipes.findings == {"MAP01": 1, "PIP02": 2, "REF": 7, "RNG": 1_156}


def test_counties_of_dongying_in_gcj02(shared_data, city):
    path, names = shared_data / "admin" / "datav_370500_dongying_counties.geojson", {"code": "adcode", "name": "name"}
    result = load_files(city((117.9, 36.9, 119.4, 38.3)), "admin_area", [path], crs="GCJ-02", names=names,
                        constants={"level": "county", "parent": None})  # fmt: skip
    # one of the five crosses itself
    assert counted(result) == {"admin_area": (5, 4, 1)} and result.findings == {"CRS04": 1, "GEO05": 1, "MAP01": 1}


@pytest.mark.parametrize(
    ("file", "layer", "given", "counts"),
    [
        ("lots_v1.shp", "parcel", {"parcel_id": "L{row}", "land_use": "R"}, (695, 694, 1)),
        ("hydrants_v1.shp", "hydrant", {"hydrant_id": "H{row}", "network": "micropolis"}, (52, 52, 0)),
        ("waterbody_v1.shp", "water_body", {"body_id": "W{row}", "kind": "lake"}, (1, 1, 0)),
        ("streams_v1.shp", "road", {"road_id": "S{row}", "class": "path"}, (4, 4, 0)),
    ],
)
def test_more_of_micropolis(shared_data, catalog, file, layer, given, counts):
    path, place = shared_data / "networks" / "micropolis_gis" / file, crs.local(117.0, 32.0, x0=4400, y0=3600, unit_m=0.3048)
    result = load_files(catalog, layer, [path], crs=place, constants=given)
    assert counted(result) == {layer: counts}
    assert unchanged(load_files(catalog, layer, [path], crs=place, constants=given))


@pytest.mark.parametrize(
    ("file", "layer", "said"),
    [
        ("admin/vonng_adcode2016_5level.csv", "place_name", "several columns named"),  # it has no header
        ("admin/areacity_level4_2024.csv", "admin_area", "no columns with coordinates"),
        ("addresses/train.txt", "address", "no columns with coordinates"),  # a corpus of labelled texts
        ("city/futian_osm_graph.graphml", "road", "not accepted"),  # `onemap load osm` reads it
        ("utility/ifc_citygml/DrainageSystem-1-1.ifc", "sewer_pipe", "not accepted"),
        ("utility/ifc_citygml/nagaoka_08EE752_unf_sewer.gml", "sewer_pipe", "holds 2 layers"),
        ("utility/ifc_citygml/takeshiba_unf_water.gml", "water_pipe", "holds 2 layers"),
    ],
)
def test_what_is_no_delivery_of_a_layer_is_told_why(shared_data, catalog, file, layer, said):
    with pytest.raises((SourceError, InputError), match=said) as refused:
        load_files(catalog, layer, [shared_data / file])
    assert isinstance(refused.value, OneMapError) and refused.value.remedy and str(shared_data) not in str(refused.value)
