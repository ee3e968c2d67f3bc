"""A load whose rows are read, mapped and checked by the workers of a Dask cluster says and stores the same as one that does all itself."""

import functools
import operator

import distributed
import geopandas
import pytest
import shapely
from deliveries import query

from gis.errors import InputError, SourceError
from gis.ingest import cluster as cluster_module
from gis.ingest import read, sources
from gis.ingest.load import load_files
from gis.ingest.rollback import rollback

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


WRITTEN = ("gpkg", "fgb", "geojsonl", "shp", "parquet", "csv", "geojson")


def delivered(folder, suffix, n=3000):
    """Places with a fault in each third, in one format; files of the same format do not share keys."""
    frame = geopandas.GeoDataFrame(
        {"设施编号": [f"{suffix}{i}" for i in range(n)], "设施名称": "公园", "设施类型": "公园", "容量": 5},
        geometry=shapely.points([[116.9 + i / n / 10, 32.0] for i in range(n)]),
        crs=4490,
    )
    frame.loc[n // 2, "设施类型"] = "鬼屋"
    frame.loc[n - 5, "设施编号"] = f"{suffix}7"
    path = folder / f"places.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path, row_group_size=700)
    elif suffix == "csv":
        x, y = frame.geometry.x, frame.geometry.y
        frame.drop(columns="geometry").assign(经度=x, 纬度=y).to_csv(path, index=False)
        text = path.read_text().splitlines()
        text[n // 3] += ",one too many"
        path.write_text("\n".join(text) + "\n")
    elif suffix == "shp":
        frame.to_file(path, engine="pyogrio", encoding="GBK")
    else:
        drivers = {"gpkg": "GPKG", "fgb": "FlatGeobuf", "geojsonl": "GeoJSONSeq", "geojson": "GeoJSON"}
        frame.to_file(path, engine="pyogrio", driver=drivers[suffix])
    return path


@pytest.mark.parametrize("suffixes", [*[(one,) for one in WRITTEN], WRITTEN], ids="+".join)
def test_pieces_and_files_are_read_by_the_workers(catalog, tmp_path, scheduler, monkeypatch, suffixes):
    monkeypatch.setattr(cluster_module, "_LEAST", 500)
    paths = [delivered(tmp_path, suffix) for suffix in suffixes]
    said, stored = [], []
    for cluster in (scheduler, None):
        result = load_files(catalog, "facility", paths, cluster=cluster, workers=2, crs="EPSG:4490")
        said.append((result.rows_read, result.rows_loaded, result.rows_rejected, query(SAID, result.batch)))
        stored.append(query(STORED))
        rollback(catalog, result.batch)
    assert said[0] == said[1] and stored[0] == stored[1]
    assert said[0][0] == 3000 * len(suffixes) and len(stored[0]) > 2900 * len(suffixes)


def test_what_can_be_cut_is_cut_and_nothing_is_read_twice(catalog, tmp_path):
    for suffix in WRITTEN:
        source = read.open_source(delivered(tmp_path, suffix), catalog.layer("facility"), crs="EPSG:4490")
        pieces = source.far.pieces(8, 500)
        assert len(pieces) == (1 if suffix in ("csv", "geojson") else 5 if suffix == "parquet" else 6), suffix
        numbers = [n for piece in pieces for batch in source.far.read(piece)[0] for n in batch.numbers.tolist()]
        whole = [n for batch in source.batches() for n in batch.numbers.tolist()]
        assert numbers == whole and len(numbers) >= 2999


def test_measures_are_counted_over_all_pieces(catalog, tmp_path):
    path = tmp_path / "measured.parquet"
    lines = shapely.from_wkt([f"LINESTRING ZM (117 32 1 {i}, 117.001 32 1 2)" for i in range(1000)])
    geopandas.GeoDataFrame({"pipe_id": range(1000)}, geometry=lines, crs=4490).to_parquet(path, row_group_size=250)
    source = read.open_source(path, catalog.layer("water_pipe"))
    list(source.batches())
    notes = [note for piece in source.far.pieces(4, 100) for note in source.far.read(piece)[1]]
    assert len(notes) == 4
    (one,) = cluster_module.together(notes, source)
    found = source.findings.frame().query("code == 'SRC10'").iloc[0]
    assert found["message"].endswith(one["message"]) and one["values"] == [found["value"]] == ["1000"]


def test_a_worker_that_does_not_see_the_same_file(catalog, tmp_path, scheduler, monkeypatch):
    path = delivered(tmp_path, "gpkg")
    for change, message in ((lambda file: file.path.with_name("gone.gpkg"), "cannot open gone.gpkg"), (None, "is another file")):
        kept = sources.digest(path)
        far = read.open_source(path, catalog.layer("facility")).far
        seen = ((str(change(kept) if change else path), kept.bytes, kept.sha256 if change else "0" * 64),)
        with distributed.Client(scheduler, set_as_default=False) as client, pytest.raises(SourceError, match=message):
            client.submit(cluster_module.read, far, None, seen, pure=False).result()


def test_a_scheduler_that_is_not_there(catalog, facilities, tmp_path, monkeypatch):
    from gis.ingest import cluster

    monkeypatch.setattr(cluster, "_PATIENCE_S", 1)
    facilities.to_file(tmp_path / "a.gpkg", engine="pyogrio")
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        load_files(catalog, "facility", [tmp_path / "a.gpkg"], cluster="tcp://127.0.0.1:1")
    assert query("SELECT status FROM meta.batch") == [("failed",)]


def test_a_treatment_is_never_taken_for_another(scheduler):
    """A source's treatment is gone when the next one is made, which may then have its address in memory."""
    with distributed.Client(scheduler, set_as_default=False) as client:
        cluster = cluster_module.Cluster(client)
        said = []
        for i in range(50):
            treatment = functools.partial(str, f"source {i}")
            said.append(client.submit(operator.call, cluster.sent(treatment), pure=False).result())
            del treatment
        assert said == [f"source {i}" for i in range(50)]
