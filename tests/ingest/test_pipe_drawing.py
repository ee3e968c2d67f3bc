"""Drawings of mains and valves that do not touch, through the road in: what is joined, what is only shown, and why."""

import pytest

from etl.pipe_drawing import Drawing, deliveries
from gis.errors import InputError, SourceError
from gis.ingest.load import load_frames

pytestmark = pytest.mark.usefixtures("store_db")


def loaded(catalog, drawing):
    frames, findings = deliveries(drawing, catalog)
    return load_frames(catalog, frames, name=drawing.pipes.name, files=drawing.files, findings=findings)


@pytest.fixture
def forest(shared_data, city):
    folder = shared_data / "utility" / "forestcity_nc"
    drawing = {"pipes": folder / "waterLines.geojson", "valves": folder / "valves.geojson", "network": "forest",
               "isolating": ("valve", ("wv", "sv")), "names": {"pipe_id": "ID", "diameter_mm": "DIAMETER*25.4"}}  # fmt: skip
    catalog = city((-82.2, 35.0, -81.5, 35.6))
    metric = catalog.city.model_copy(update={"working_crs": "EPSG:32617"})  # the zone of that town
    return catalog.model_copy(update={"city": metric}), drawing


@pytest.mark.real
def test_forest_city_as_drawn(forest, query):
    """1,065 mains and 2,557 valves: 26 valves touch a main; the others stay on the map, outside the network."""
    catalog, drawing = forest
    result = loaded(catalog, Drawing(**drawing))
    assert {o.layer: (o.rows_loaded, o.rows_rejected) for o in result.layers} == {
        "water_node": (1_844, 0), "water_pipe": (1_490, 0), "water_valve": (2_557, 0)}  # fmt: skip
    assert query("SELECT count(*) FROM core.water_valve WHERE node_id IS NOT NULL") == [(26,)]
    assert result.findings["NC03"] == result.findings["VLV04"] == 2_531
    assert query("SELECT count(*) FROM core.water_valve WHERE isolating") == [(2_216 + 81,)]
    assert query("SELECT max(diameter_mm) FROM core.water_pipe") == [(20 * 25.4,)]
    # a finding says what, how far and where
    value, place = query("""SELECT value, ST_AsText(geom, 4) FROM meta.finding WHERE code = 'NC03' ORDER BY id LIMIT 1""")[0]
    assert value.endswith(" m") and place.startswith("POINT(-81.")
    # a second run changes nothing
    assert all((o.inserted, o.updated, o.retired) == (0, 0, 0) for o in loaded(catalog, Drawing(**drawing)).layers)


@pytest.mark.real
def test_forest_city_with_a_tolerance(forest, query):
    catalog, drawing = forest
    result = loaded(catalog, Drawing(**drawing, tolerance=0.5))
    assert result.rows_rejected == 0
    assert query("SELECT count(*) FROM core.water_valve WHERE node_id IS NOT NULL") == [(1_857,)]
    assert result.findings["NC04"] == 1_831  # 1,857 in the network, 26 of them touched without being moved
    assert query("""SELECT count(*) FROM core.water_pipe p JOIN core.water_node n ON n.network = p.network AND n.node_id = p.from_node
                    WHERE ST_Distance(ST_StartPoint(p.geom), n.geom) > 1e-9""") == [(0,)]  # fmt: skip


@pytest.mark.real
def test_micropolis_in_local_units(shared_data, catalog, query):
    folder = shared_data / "networks" / "micropolis_gis"
    drawing = {"pipes": folder / "watermains_v0.shp", "network": "micro", "valves": folder / "valves_v0.shp",
               "sources": folder / "watertower_v1.shp", "hydrants": folder / "hydrants_v1.shp"}  # fmt: skip
    with pytest.raises(SourceError):
        deliveries(Drawing(**drawing), catalog)
    result = loaded(catalog, Drawing(**drawing, place=(117.0, 32.0)))
    assert {o.layer: o.rows_loaded for o in result.layers} == {
        "water_node": 742, "water_pipe": 567, "water_valve": 203, "hydrant": 52}  # fmt: skip
    assert result.findings["NC10"] == 175  # the tower touches no main: no part has a source
    west, east = query("SELECT ST_XMin(e), ST_XMax(e) FROM (SELECT ST_Extent(geom) e FROM core.water_pipe) s")[0]
    assert (west + east) / 2 == pytest.approx(117.0, abs=1e-5)


def test_a_wrong_column_is_named(tmp_path, catalog):
    file = tmp_path / "mains.geojson"
    file.write_text('{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"no":"a"},'
                    '"geometry":{"type":"LineString","coordinates":[[117,32],[117.001,32]]}}]}')  # fmt: skip
    with pytest.raises(InputError, match="DIA"):
        deliveries(Drawing(file, "x", names={"diameter_mm": "DIA"}), catalog)
    frames, findings = deliveries(Drawing(file, "x", names={"pipe_id": "no"}), catalog)
    assert frames["water_pipe"].pipe_id.tolist() == ["a"] and findings.counts() == {"NC10": 1}
