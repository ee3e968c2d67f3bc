"""The burst from a file to the answer: EPANET into PostGIS, the network mapped from files, the process, the command."""

import datetime as dt
import json
from pathlib import Path

import geopandas
import pytest
import wntr
from street import rows as street_rows
from typer.testing import CliRunner

from etl.epanet import deliveries
from gis.catalog.read import catalog
from gis.cli.main import application
from gis.db.store import Store
from gis.errors import AccessDenied, InputError, NotFound, NotOnNetwork
from gis.ingest.load import load_frames
from gis.processes import _water_network, atlas, pipe_burst
from gis.settings import settings

NET3 = Path(wntr.__file__).parent / "library" / "networks" / "Net3.inp"


@pytest.fixture
def net3(store_db, tmp_path):
    """Net3 with a few valves, in the database."""
    layer = tmp_path / "valves.csv"
    layer.write_text("link,node\n20,20\n40,40\n111,111\n112,111\n114,115\n")
    load_frames(catalog(), deliveries(NET3, "net3", valve_layer=layer), name="Net3.inp")
    return store_db


def burst(role="admin", **inputs):
    with Store(role) as store:
        return pipe_burst.run(store, pipe_burst.parsed(**inputs), lambda share, what: None)


def test_the_answer_has_everything_that_the_contract_names(street):
    found = burst(pipe="AB", features=True, details=True)
    assert found["burst"] == {"pipe": "AB", "lon": 117.0015, "lat": 32.0}
    assert found["isolated"] is True and found["segments"] == ["AB"]
    assert found["valves"] == {"close": ["VAB"], "optional": [], "already_closed": [], "stuck": []}
    dry = found["affected"]
    assert dry["pipes"] == ["AB"] and dry["customers"] == 24 and dry["doorplates"] == ["m1"] and dry["hydrants"] == ["H"]
    assert dry["length_m"] == pytest.approx(94.4, abs=0.2)  # measured in the working CRS: the layer gives none
    assert dry["priority"] == [{"connection": "c1", "priority": "school", "customers": 24, "building": "b1"}]
    assert found["unintended"] == {"pipes": [], "customers": 0} and found["feeds_to_open"] == [] and found["sources_to_shut"] == []
    assert found["doorplate_list"] == [{"id": "m1", "address": "府前街1号", "community": None}]
    parts = {(f["properties"]["part"], f["properties"]["id"]) for f in found["features"]["features"]}
    assert parts == {("closed", "AB"), ("valve_close", "VAB"), ("hydrant", "H"), ("burst", "AB")}
    assert found["data_version"] and found["as_of"] == dt.date.today().isoformat() and found["seconds"] < 5


def test_a_stuck_valve_widens_the_answer(street):
    found = burst(pipe="AB", stuck=["VAB"])
    assert found["valves"]["close"] == ["VSA"] and found["valves"]["stuck"] == ["VAB"] and found["affected"]["pipes"] == ["AB", "SA"]


def test_what_stuck_valves_add_is_said_before_and_after(street):
    plan = burst(pipe="AB", failures=True, details=True)
    (row,) = plan["if_stuck"]
    assert row == {"valve": "VAB", "close_added": ["VSA"], "pipes_added": ["SA"], "customers_added": 0, "isolated": True}
    after = burst(pipe="AB", stuck=["VAB"])
    assert after["added"] == {"valves": ["VSA"], "pipes": ["SA"], "customers": 0}
    assert "added" not in plan and "if_stuck" not in after
    drain = plan["drain"]
    assert drain["volume_m3"] == pytest.approx(plan["affected"]["volume_m3"]) and drain["n"] == {"lowest": 0, "hydrants": 1}
    assert [(h["hydrant"], h["level_m"], h["lon"]) for h in drain["hydrants"]] == [("H", None, 117.002)]


def test_a_service_connection_is_shut_at_its_curb_stop_before_the_main(street):
    found = burst(connection="c1")
    assert found["valves"]["close"] == ["k1"] and found["affected"]["pipes"] == [] and found["affected"]["doorplates"] == ["m1"]
    again = burst(connection="c1", stuck=["k1"])
    assert again["valves"]["close"] == ["VAB"] and again["valves"]["stuck"] == ["k1"] and again["burst"]["pipe"] == "AB"


def test_a_point_finds_its_pipe(street):
    assert burst(at=(117.0015, 32.00001))["burst"]["pipe"] == "AB"
    assert burst(at=(117.001, 32.0))["burst"]["node"] == "A"
    with pytest.raises(NotOnNetwork):
        burst(at=(117.01, 32.0))


def test_a_turned_valve_counts_in_the_next_answer_and_the_past_stays(street):
    before = burst(pipe="SA")
    assert before["valves"]["optional"] == ["VAB"]
    street(valve_state="closed")
    after = burst(pipe="SA")
    assert after["valves"]["already_closed"] == ["VAB"] and after["data_version"] != before["data_version"]
    with pytest.raises(NotFound):
        burst(pipe="SA", as_of=dt.date(2001, 1, 1))  # nothing was known then


def test_what_goes_out_of_service_is_not_in_the_network(street):
    tomorrow = dt.date.today() + dt.timedelta(days=1)
    street(valid_to=tomorrow)
    assert burst(pipe="AB")["isolated"]
    with pytest.raises(NotFound):
        burst(pipe="AB", as_of=tomorrow)


def test_a_part_without_water_by_the_data_says_so(street):
    assert not {f["code"] for f in burst(pipe="AB")["findings"]} & {"NW11", "NW12"}
    street(valve_state="closed")
    found = burst(pipe="AB")
    assert found["valves"]["close"] == [] and "NW12" in {f["code"] for f in found["findings"]}
    kept = ("water_node", "water_pipe", "water_valve")
    frames = {k: [row | {"network": "other"} for row in v] for k, v in street_rows().items() if k in kept}
    load_frames(catalog(), {k: geopandas.GeoDataFrame(v, geometry="geometry", crs="EPSG:4490") for k, v in frames.items()}, name="other")
    found = burst(network="other", pipe="AB")
    (warning,) = [f for f in found["findings"] if f["code"] == "NW11"]
    assert found["valves"]["close"] == [] and warning["ids"] == ["AB"] and "no known source" in warning["message"]


def test_a_second_process_maps_the_files_of_the_first(street):
    burst(pipe="AB")
    made = list((settings().home / "networks" / "city").glob("*@*"))
    assert len(made) == 1
    stamp = (made[0] / "network.json").stat().st_mtime_ns
    _water_network._open.clear()
    assert burst(pipe="AB")["valves"]["close"] == ["VAB"]
    assert (made[0] / "network.json").stat().st_mtime_ns == stamp


def test_who_may_not_see_pipes_gets_no_answer(street):
    burst(pipe="AB", role="water")
    for role in ("anonymous", "drainage"):
        with pytest.raises(AccessDenied):
            burst(pipe="AB", role=role)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"pipe": "A", "node": "B"},
        {"at": (200, 0)},
        {"pipe": "x" * 10_000},
        {"pipe": "AB", "colour": "red"},
        {"pipe": "AB", "as_of": "2024-13-01"},
    ],
)
def test_wrong_parameters_are_named(inputs):
    with pytest.raises(InputError):
        pipe_burst.parsed(**inputs)


def test_what_is_not_there_is_said(street):
    with pytest.raises(NotFound, match="nowhere"):
        burst(network="nowhere", pipe="AB")
    with pytest.raises(NotOnNetwork, match="pipe 'ZZ'"):
        burst(pipe="ZZ")
    with pytest.raises(NotOnNetwork):
        burst(pipe="AB", stuck=["ZZ"])


def test_the_atlas_answers_every_pipe_as_the_burst_does(net3):
    with Store("admin") as store:
        table, _ = atlas.atlas(_water_network.water(store, "net3"))
    assert len(table) == 117
    for row in table.to_pandas().sample(12, random_state=1).itertuples():
        found = burst(network="net3", pipe=row.pipe_id)
        assert list(row.close) == found["valves"]["close"] and row.isolated == found["isolated"]
        assert row.affected_pipes == len(found["affected"]["pipes"]) and row.affected_customers == found["affected"]["customers"]
        assert row.affected_length_m == pytest.approx(found["affected"]["length_m"], abs=0.01)


def test_the_command_prints_one_json_document_and_writes_files(street, tmp_path):
    run = CliRunner()
    for suffix in ("geojson", "html"):
        done = run.invoke(application(), ["burst", "--pipe", "AB", "--json", "--out", str(tmp_path / f"a.{suffix}")])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["valves"]["close"] == ["VAB"]
    assert json.loads((tmp_path / "a.geojson").read_text())["answer"]["isolated"]
    assert "府前街1号" in (tmp_path / "a.html").read_text()
    done = run.invoke(application(), ["burst", "--all", "--out", str(tmp_path / "atlas.parquet"), "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["pipes"] == 2


def test_a_network_is_checked_and_ranked(street, tmp_path):
    run = CliRunner()
    done = run.invoke(application(), ["network", "check", "--json", "--out", str(tmp_path / "found.geojson")])
    assert done.exit_code == 0 and json.loads(done.stdout)["counts"] == {}, done.output
    assert json.loads((tmp_path / "found.geojson").read_text())["type"] == "FeatureCollection"
    done = run.invoke(application(), ["criticality", "--json", "--out", str(tmp_path / "rank.csv")])
    assert done.exit_code == 0, done.output
    ranked = json.loads(done.stdout)
    assert [(s["segment_id"], s["affected_customers"]) for s in ranked["segments"]] == [("SA", 24), ("AB", 24)]
    assert ranked["valves"][0]["valve_id"] == "VSA" and (tmp_path / "rank-valves.csv").is_file()
