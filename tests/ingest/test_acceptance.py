"""The acceptance report of any load, not of surveys only; what a dry run tells of rows that would stay; displaced deliveries."""

import geopandas
import numpy as np
import pytest
import shapely
from deliveries import query

from gis import crs
from gis.ingest import acceptance, evidence
from gis.ingest.load import load_frames


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_rejected_rows_old_row_is_told_of_by_a_dry_run_too(store_db, catalog, facilities, deliver, dry_run):
    deliver(facilities)
    faulty = facilities.copy()
    faulty.loc[1, "设施类型"] = None
    assert deliver(faulty, dry_run=dry_run).findings == {"LOD01": 1, "NUL": 1}


def test_a_table_has_a_report_with_a_page_a_workbook_and_marks(store_db, catalog, facilities, deliver, tmp_path):
    faulty = facilities.copy()
    faulty.loc[1, "设施类型"] = None
    with evidence.gathering() as found:
        result = deliver(faulty)
    files = acceptance.write(catalog, result, found, tmp_path / "report")
    judged = acceptance.judged(catalog, result, found)
    page = files[0].read_text(encoding="utf-8")
    assert judged.verdict == "不合格" and "25.00%" in judged.reasons[0]  # one row of four
    assert len(found.drawn["facility"]) == 4 and 'id="redpen"' in page and "NUL" in page
    assert {c.field: c.filled for c in found.completeness}["name"] == 4
    assert {f.name for f in files} >= {"acceptance.html", "acceptance.xlsx", "findings.csv"}


def _street(n: int = 60) -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame, np.ndarray]:
    """A street, and points along it 4 m beside its middle."""
    nodes = geopandas.GeoDataFrame({"node_id": ["A", "B"]}, geometry=shapely.points([[116.95, 32.0], [117.05, 32.01]]), crs=4490)
    line = shapely.LineString([(116.95, 32.0), (117.05, 32.01)])
    road = geopandas.GeoDataFrame({"road_id": ["R"], "class": ["branch"], "oneway": ["both"], "from_node": ["A"], "to_node": ["B"]},
                                  geometry=[line], crs=4490)  # fmt: skip
    along = shapely.get_coordinates(shapely.line_interpolate_point(line, np.linspace(0.01, 0.99, n), normalized=True)) + np.array(
        [0, 0.00004]
    )
    return nodes, road, along


@pytest.mark.parametrize(("shift", "likely"), [(None, None), (crs.wgs84_to_gcj02, "GCJ-02"), (crs.wgs84_to_bd09, "BD-09")])
def test_a_displacement_as_of_gcj02_is_found_against_the_roads(store_db, catalog, shift, likely):
    nodes, road, along = _street()
    load_frames(catalog, {"road_node": nodes, "road": road}, name="roads", extent=catalog.city.extent)
    x, y = along.T if shift is None else shift(*along.T)
    holes = geopandas.GeoDataFrame({"node_id": [f"G{i}" for i in range(len(x))]}, geometry=shapely.points(x, y), crs=4490)
    result = load_frames(catalog, {"gas_node": holes}, name="gas", extent=catalog.city.extent)
    told = query("SELECT level, value FROM meta.finding WHERE batch = %s AND code = 'CRS06'", result.batch)
    assert told == ([] if likely is None else [("warning", likely)])
