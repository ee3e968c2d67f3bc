"""EPANET files as the water layers: against wntr's reading, and what wntr cannot read."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
import wntr

from etl.epanet import deliveries
from etl.inp import read
from gis.errors import DataError, InputError, OutsideExtent, SourceError

LIBRARY = Path(wntr.__file__).parent / "library" / "networks"
EXTENT = (116.80, 31.82, 117.20, 32.18)

SMALL = """
[JUNCTIONS]
 A  10  2 ;a comment
 阀井  12  0
 C  8
[RESERVOIRS]
 R  50
[PIPES]
 p1  R  A  100  12  100  0  Open
 p2  A  阀井  100  12  100  0  CV
 p3  阀井  C  100  12  100  0  Open
[PUMPS]
 u1  A  C  POWER 5
[VALVES]
 t1  A  C  6  TCV  0
[STATUS]
 p3  Closed
 u1  0
[DEMANDS]
 C  5
 C  6
[OPTIONS]
 Units  GPM
[VERTICES]
 p1 50 20
[COORDINATES]
 R 0 0
 A 100 0
 C 300 0
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.inp"
    path.write_text(SMALL, encoding="gbk")
    return path


@pytest.mark.parametrize("name", ["Net1", "Net2", "Net3", "Net6", "ky4", "ky10"])
def test_the_tables_are_those_of_wntr(name):
    path = LIBRARY / f"{name}.inp"
    model, inp = wntr.network.WaterNetworkModel(str(path)), read(path)
    assert set(inp.nodes) == set(model.node_name_list) and set(inp.links) == set(model.link_name_list)
    for pipe_id, pipe in model.pipes():
        ours = inp.links[pipe_id]
        assert (ours.start, ours.end) == (pipe.start_node_name, pipe.end_node_name)
        assert ours.length == pytest.approx(pipe.length) and ours.diameter == pytest.approx(pipe.diameter * 1000)
        assert (ours.status == "CV") == pipe.check_valve
        assert (ours.status == "CLOSED") == (pipe.initial_status == wntr.network.LinkStatus.Closed and not pipe.check_valve)
    for pump_id, pump in model.pumps():
        assert (inp.links[pump_id].status == "CLOSED") == (pump.initial_status == wntr.network.LinkStatus.Closed)
    for node_id, node in model.junctions():
        assert (inp.nodes[node_id].demand > 0) == (sum(d.base_value for d in node.demand_timeseries_list) > 0)
        assert inp.nodes[node_id].elevation == pytest.approx(node.elevation, abs=1e-6)


def test_every_part_has_its_canonical_form(small):
    made = deliveries(small, "n")
    valves = made["water_valve"].set_index("valve_id")
    assert set(valves.index) == {"p2@阀井", "p3@阀井", "p3@C", "u1", "t1"}
    assert valves.loc["p2@阀井", ["kind", "flow", "isolating"]].tolist() == ["check", "to_node", False]
    assert valves.loc[["p3@阀井", "p3@C"], "normal_status"].eq("closed").all() and valves.loc[["p3@阀井", "p3@C"], "isolating"].all()
    assert valves.loc["u1", ["kind", "normal_status", "from_node", "to_node"]].tolist() == ["pump", "closed", "A", "C"]
    assert not valves.loc["t1", "isolating"]
    assert deliveries(small, "n", isolation=["tcv"])["water_valve"].set_index("valve_id").loc["t1", "isolating"]
    nodes = made["water_node"].set_index("node_id")
    assert nodes.loc["C", "base_demand_lps"] == pytest.approx(11 * 0.0630901964)
    assert nodes.loc["A", "ground_m"] == pytest.approx(3.048)
    pipes = made["water_pipe"].set_index("pipe_id")
    assert pipes.loc["p1", "diameter_mm"] == pytest.approx(304.8) and pipes.loc["p1", "length_m"] == pytest.approx(30.48)
    assert len(pipes.loc["p1", "geometry"].coords) == 3
    for frame in made.values():
        assert isinstance(frame, geopandas.GeoDataFrame) and frame.crs.to_epsg() == 4490 and frame["network"].eq("n").all()
        west, south, east, north = frame.total_bounds
        assert EXTENT[0] < west and south > EXTENT[1] and east < EXTENT[2] and north < EXTENT[3]
        assert (
            frame.geometry.has_z.all() and (shapely.length(frame.geometry.to_numpy()) > 0).any() == (frame.geom_type == "LineString").any()
        )


def test_a_valve_layer_puts_valves_at_the_ends_of_pipes_and_devices(small, tmp_path):
    layer = tmp_path / "layer.csv"
    layer.write_text(",link,node\n0,p1,A\n1,u1,A\n2,p3,C\n", encoding="utf-8")
    made = deliveries(small, "n", valve_layer=layer)
    valves = made["water_valve"].set_index("valve_id")
    assert valves.loc["p1@A", ["node_id", "pipe_id", "normal_status"]].tolist() == ["A", "p1", "open"]
    assert valves.loc["p3@C", "normal_status"] == "closed"
    assert valves.loc["u1@A", ["from_node", "to_node"]].tolist() == ["A", "u1@A"] and valves.loc["u1", "from_node"] == "u1@A"
    assert "u1@A" in set(made["water_node"]["node_id"])


def test_a_network_is_placed_where_it_is_told(small):
    x, y = deliveries(small, "n", place=(117.1, 31.9))["water_node"].union_all().centroid.coords[0][:2]
    assert np.hypot(x - 117.1, y - 31.9) < 0.002
    with pytest.raises(OutsideExtent):
        deliveries(small, "n", place=(10.0, 50.0))
    with pytest.raises(OutsideExtent):
        deliveries(small, "n", crs="EPSG:4548")


@pytest.mark.parametrize(
    ("change", "error", "where"),
    [
        ((" 100  12  100  0  CV", " 100  wide  100  0  CV"), SourceError, "line 10"), (("p3  阀井  C", "p3  阀井  D"), SourceError, "'D'"),
        (("[JUNCTIONS]", "[TITLE]"), SourceError, "JUNCTIONS"), (("Units  GPM", "Units  BUCKETS"), SourceError, "BUCKETS"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_with_the_place(small, change, error, where):
    small.write_text(SMALL.replace(*change), encoding="gbk")
    with pytest.raises(error) as caught:
        deliveries(small, "n")
    assert where in str(caught.value)


def test_wrong_options_are_named(small, tmp_path):
    with pytest.raises(InputError, match="XYZ"):
        deliveries(small, "n", isolation=["XYZ"])
    layer = tmp_path / "layer.csv"
    layer.write_text("link,node\np1,C\n")
    with pytest.raises(DataError, match="'p1'"):
        deliveries(small, "n", valve_layer=layer)
    with pytest.raises(SourceError):
        deliveries(tmp_path / "none.inp", "n")


@pytest.mark.real
def test_what_wntr_refuses_is_read(shared_data):
    made = deliveries(shared_data / "networks" / "MICROPOLIS_v1.inp", "n", isolation=["TCV"])
    assert len(made["water_pipe"]) > 1400 and made["water_valve"]["isolating"].sum() == 196
