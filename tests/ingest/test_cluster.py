"""A load whose rows are mapped and checked by the workers of a Dask cluster says and stores the same as one that does all itself."""

import geopandas
import pytest
import shapely
from deliveries import query

from gis.errors import InputError
from gis.ingest import read
from gis.ingest.load import load_files
from gis.ingest.rollback import rollback

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.usefixtures("store_db")

SAID = "SELECT code, level, src_row, key, field, value FROM meta.finding WHERE batch = %s ORDER BY 1, 3, 5"
STORED = "SELECT facility_id, name, kind, capacity, ST_AsEWKT(geom) FROM core.facility ORDER BY 1"


@pytest.fixture(scope="module")
def scheduler():
    """A scheduler and two worker processes of this machine."""
    with distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_two_worker_processes_find_the_same(catalog, tmp_path, scheduler):
    n = 150_000
    frame = geopandas.GeoDataFrame(
        {"设施编号": [f"S{i}" for i in range(n)], "设施名称": "公园", "设施类型": ["公园", "鬼屋", *["公园"] * (n - 2)], "容量": 5},
        geometry=shapely.points([[116.9 + i / n / 10, 32.0] for i in range(n)]),
        crs=4490,
    )
    frame.loc[140_000, "设施编号"] = "S7"
    frame.loc[120_000, "geometry"] = shapely.Point(9.5, 47.1)
    path = tmp_path / "facility.gpkg"
    frame.to_file(path, engine="pyogrio")
    assert n > 2 * read.BATCH, "several batches, so that both workers have something to do"
    said, stored = [], []
    for cluster in (scheduler, None):
        result = load_files(catalog, "facility", [path], cluster=cluster, workers=2)
        assert (result.rows_read, result.rows_loaded, result.rows_rejected) == (n, n - 3, 3)
        said.append(query(SAID, result.batch))
        stored.append(query(STORED))
        rollback(catalog, result.batch)
    assert said[0] == said[1] and stored[0] == stored[1] and len(stored[0]) == n - 3


def test_a_scheduler_that_is_not_there(catalog, facilities, tmp_path, monkeypatch):
    from gis.ingest import cluster

    monkeypatch.setattr(cluster, "_PATIENCE_S", 1)
    facilities.to_file(tmp_path / "a.gpkg", engine="pyogrio")
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        load_files(catalog, "facility", [tmp_path / "a.gpkg"], cluster="tcp://127.0.0.1:1")
    assert query("SELECT status FROM meta.batch") == [("failed",)]
