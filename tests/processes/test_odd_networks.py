"""Networks as they should not be, from the load to the answer: each burst is what the oracle says of the same rows."""

import json

import geopandas
import pandas as pd
import pytest
import shapely
from oracle import Oracle
from test_burst import burst
from typer.testing import CliRunner

from gis.catalog.read import catalog
from gis.cli.main import application
from gis.db.store import Store
from gis.errors import InputError, NotOnNetwork
from gis.ingest.load import load_frames
from gis.processes import valve_closure

AT = {name: (117.0 + 0.001 * i, 32.0) for i, name in enumerate("SABCDEFG")}


def row(**fields):
    return {"network": "odd"} | fields


def node(name):
    return row(node_id=name, ground_m=30.0, base_demand_lps=1.0, geometry=shapely.Point(*AT[name], 30.0))


def pipe(name, start, end, **fields):
    line = [(*AT[start], 30.0), (*AT[end], 30.0)]
    if start == end:
        (lon, lat, z), aside = line[0], 0.0005
        line = [line[0], (lon, lat + aside, z), (lon + aside, lat + aside, z), line[0]]
    usual = {"diameter_mm": 100.0, "length_m": 94.0, "status": "0", "geometry": shapely.LineString(line)}
    return row(pipe_id=name, from_node=start, to_node=end, **(usual | fields))


def valve(name, at, **fields):
    usual = {"kind": "gate", "isolating": True, "normal_status": "open", "operable": True, "accessible": True}
    return row(valve_id=name, geometry=shapely.Point(*AT[at], 30.0), **(usual | fields))


SOURCE = row(source_id="S", node_id="S", kind="plant", geometry=shapely.Point(*AT["S"], 30.0))
PIPES = [
    pipe("SA", "S", "A"), pipe("AB", "A", "B"), pipe("AB-2", "A", "B"), pipe("BC", "B", "C", length_m=0.0),
    pipe("CD", "C", "D"), pipe("EF", "E", "F"), pipe("gone", "D", "E", status="1"),
]  # fmt: skip
VALVES = [
    valve("v1", "S", node_id="S", pipe_id="SA"), valve("v1-twin", "S", node_id="S", pipe_id="SA"),
    valve("v2", "A", node_id="A", pipe_id="AB"), valve("v4", "C", node_id="C", pipe_id="CD"),
    valve("v3", "C", node_id="C", pipe_id="BC", normal_status="closed"), valve("middle", "C", node_id="C"),
    valve("pump", "D", kind="pump", isolating=False, from_node="D", to_node="G"),
    valve("shut", "D", kind="prv", isolating=False, from_node="G", to_node="D", normal_status="closed"),
    valve("plain", "D", kind="fcv", isolating=False, from_node="C", to_node="D"),
]  # fmt: skip


@pytest.fixture
def odd(store_db):
    """Twin pipes and twin valves, a pipe without length, a part that only an abandoned pipe joined, a pump
    into nothing, a closed reducer; `put(sources)` loads it with these sources and gives the oracle of the rows that are stored."""

    def put(*sources, **changed):
        layers = {"water_node": [node(n) for n in AT], "water_pipe": PIPES, "water_valve": VALVES, "water_source": list(sources)} | changed
        frames = {name: geopandas.GeoDataFrame(rows, geometry="geometry", crs=4490) for name, rows in layers.items() if rows}
        load_frames(catalog(), frames, name="odd")
        with Store() as store:
            stored = {
                kind: pd.DataFrame(store.frame(f"water_{kind[:-1]}", where={"network": "odd"}, geometry=False))
                for kind in ("nodes", "pipes", "valves", "sources")
            }
        return Oracle(**stored)

    return put


def assert_agrees(oracle, stuck=()):
    questions = [("pipe", p) for p in oracle.pipe] + [("node", n) for n in oracle.node] + [("valve", v) for v in oracle.valve]
    assert len(questions) > 20
    for kind, name in questions:
        expected, found = oracle.burst(kind, name, stuck), burst(network="odd", stuck=list(stuck), **{kind: name})
        valves = {part: set(found["valves"][part]) for part in ("close", "optional", "already_closed")}
        assert valves == {part: expected[part] for part in valves}, (kind, name)
        assert (found["isolated"], set(found["sources_to_shut"])) == (expected["isolated"], expected["sources_to_shut"]), (kind, name)
        assert set(found["affected"]["pipes"]) == expected["affected"] and set(found["unintended"]["pipes"]) == expected["unintended"]
        assert found["affected"]["customers"] == expected["customers"], (kind, name)
        assert found["affected"]["length_m"] == pytest.approx(expected["length_m"])


@pytest.mark.parametrize("stuck", [(), ("v2", "v2", "pump"), ("v1", "v1-twin", "v2", "v4", "v3", "middle")])
def test_an_odd_network_is_answered_as_the_oracle_says(odd, stuck):
    oracle = odd(SOURCE)
    assert len(oracle.pipe) == 6 and len(oracle.valve) == len(VALVES)
    assert_agrees(oracle, stuck)


def test_what_is_odd_is_said(odd):
    odd(SOURCE)
    found = burst(network="odd", pipe="AB")
    assert {f["code"] for f in found["findings"]} >= {"NW09", "NW10"}  # a pipe without length; v2 isolates nothing beside the twin pipe
    assert sorted(burst(network="odd", pipe="SA")["valves"]["close"]) == ["v1", "v1-twin"]
    assert [f["code"] for f in burst(network="odd", pipe="EF")["findings"] if f["code"] == "NW11"], "no source is known for that part"
    with pytest.raises(NotOnNetwork, match="abandoned"):
        burst(network="odd", pipe="gone")


def test_a_network_without_any_source_names_every_valve_as_optional_and_says_why(odd):
    assert_agrees(odd())
    found = burst(network="odd", pipe="SA")
    assert found["isolated"] and found["valves"]["close"] == [] and found["valves"]["optional"] == ["v1", "v1-twin"]
    assert "NW11" in {f["code"] for f in found["findings"]}


def test_a_burst_at_a_source_cannot_be_isolated_without_it(odd):
    odd(SOURCE)
    found = burst(network="odd", node="S")
    assert not found["isolated"] and found["sources_to_shut"] == ["S"] and found["valves"]["close"] == []
    assert found["affected"]["pipes"] == ["AB", "AB-2", "BC", "SA"], "all that the source fed"


def test_a_pipe_that_ends_where_it_begins_stays_out_and_so_does_its_valve(odd):
    odd(SOURCE, water_pipe=[*PIPES, pipe("BB", "B", "B")], water_valve=[*VALVES, valve("loop", "B", node_id="B", pipe_id="BB")])
    found = burst(network="odd", pipe="AB")
    assert [f["ids"] for f in found["findings"] if f["code"] == "NW03"] == [["loop"]] and "BB" not in found["affected"]["pipes"]
    with pytest.raises(NotOnNetwork):
        burst(network="odd", valve="loop")


def test_a_network_of_abandoned_pipes_has_no_answers_and_no_fault(odd, tmp_path):
    odd(SOURCE, water_pipe=[p | {"status": "1"} for p in PIPES], water_valve=[])
    with pytest.raises(NotOnNetwork, match="abandoned"):
        burst(network="odd", pipe="SA")
    out = tmp_path / "atlas.parquet"
    done = CliRunner().invoke(application("burst"), ["burst", "--network", "odd", "--all", "--out", str(out), "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["pipes"] == 0 and not len(pd.read_parquet(out))


def test_valves_named_twice_or_wrongly(odd):
    odd(SOURCE)
    twice = burst(network="odd", pipe="CD", stuck=["middle", "middle"])
    assert twice["valves"] == burst(network="odd", pipe="CD", stuck=["middle"])["valves"] and twice["valves"]["stuck"] == ["middle"]
    for wrong in ("nowhere", "", "v1 ", "SA"):
        with pytest.raises(NotOnNetwork):
            burst(network="odd", pipe="CD", stuck=[wrong])
    with Store() as store:
        found = valve_closure.run(store, valve_closure.ClosureInputs(network="odd", valves=["v1", "v1", "pump"]), None)
    assert found["closed"] == ["v1"] and found["stuck"] == ["pump"] and not found["cuts_off"], "its twin still feeds the pipe"


@pytest.mark.parametrize("arguments", [["--pipe", "SA"], ["--stuck", "v1"], ["--as-of", "2020-01-01"]])
def test_the_atlas_takes_no_other_question(odd, tmp_path, arguments):
    odd(SOURCE)
    everything = ["burst", "--network", "odd", "--all", "--out", str(tmp_path / "atlas.parquet")]
    assert isinstance(CliRunner().invoke(application("burst"), [*everything, *arguments]).exception, InputError)
    nowhere = [*everything[:-1], str(tmp_path / "no" / "atlas.parquet")]
    assert isinstance(CliRunner().invoke(application("burst"), nowhere).exception, InputError)
