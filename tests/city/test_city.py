"""The sample city: the same from the same seed, as many addresses as asked for, whole in every reference and number."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from city.conftest import ADDRESSES, SEED

from etl import synthetic_city
from gis.analysis import doorplate_code
from gis.catalog import read
from gis.errors import InputError


def _content(files, layer: str) -> pd.DataFrame:
    frame = files(layer)
    plain = pd.DataFrame(frame.drop(columns=frame.geometry.name)).astype(object)
    plain["wkb"] = shapely.to_wkb(frame.geometry.to_numpy())
    return plain


def test_the_same_seed_gives_the_same_data(city, tmp_path):
    again = type(city)(tmp_path, synthetic_city.make(ADDRESSES, SEED, tmp_path))
    for layer in city.summary["layers"]:
        pd.testing.assert_frame_equal(_content(city, layer), _content(again, layer))
    with rasterio.open(city.folder / "dem.tif") as one, rasterio.open(tmp_path / "dem.tif") as other:
        assert np.array_equal(one.read(1), other.read(1))


def test_another_seed_is_another_town():
    one, other = (synthetic_city._town(ADDRESSES, seed, lambda *_: None) for seed in (1, 2))
    assert not np.array_equal(one.graph.node, other.graph.node)


@pytest.mark.parametrize("addresses", [500, 777, 3001])
def test_as_many_addresses_as_asked_for(addresses):
    assert len(synthetic_city._town(addresses, 3, lambda *_: None).rows.yard) == addresses


def test_too_few_addresses_are_refused(tmp_path):
    with pytest.raises(InputError, match="addresses"):
        synthetic_city.make(10, 1, tmp_path)


def test_every_layer_of_the_catalogue_has_its_file(city):
    from_elsewhere = {"image", "gas_node", "heat_node", "power_node", "telecom_node", "other_node", "other_pipe"}
    assert set(read.catalog().layers) - from_elsewhere == set(city.summary["files"]), "those come from imagery and from surveys"
    assert all(n > 0 for n in city.summary["layers"].values())


def test_one_plate_to_each_address_with_a_code_that_proves_itself(city):
    address, plate = city("address"), city("door_plate")
    assert len(address) == ADDRESSES == len(plate)
    assert sorted(plate["address_id"]) == sorted(address["address_id"])
    assert address["full_text"].is_unique and plate["code"].is_unique and plate["token"].is_unique
    assert not doorplate_code.faults(plate["code"].to_numpy()).any()
    assert (plate["code"].str[:15] == plate["grid_code"]).all()
    assert set(address["level"]) == {"gate", "building", "unit", "room"}


def _gates(city) -> pd.DataFrame:
    gate = city("address")[city("address")["level"] == "gate"]
    gate = gate.merge(city("door_plate")[["address_id", "side"]], on="address_id")
    return gate.assign(street=gate["road"] + gate["lane"].fillna(""), n=gate["number"].str.removesuffix("号").astype(int))


def test_numbers_run_without_gap_or_repeat_on_the_right_side(city):
    """GB/T 35639-2017 Annex B: odd numbers north and west, even ones south and east, each once."""
    gates = _gates(city)
    for (_, side), group in gates.groupby(["street", "side"]):
        first = 1 if side in ("north", "west") else 2
        assert sorted(group["n"]) == list(range(first, first + 2 * len(group), 2))
    assert gates.groupby("street")["side"].agg(lambda s: set(s) <= {"north", "south"} or set(s) <= {"east", "west"}).all()


def test_numbers_count_from_the_east_and_from_the_north(city):
    gates = gpd.GeoDataFrame(_gates(city), geometry="geometry", crs=4548)
    checked = 0
    for (_, side), group in gates.groupby(["street", "side"]):
        along = group.geometry.x if side in ("north", "south") else group.geometry.y
        near = np.hypot(group.geometry.x - 500000, group.geometry.y - 3541913).max() < 1200  # country roads wind
        if len(group) >= 5 and near and along.max() - along.min() > 100:
            assert np.corrcoef(along, group["n"])[0, 1] < -0.8
            checked += 1
    assert checked >= 5


def test_whatever_is_referred_to_exists(city):
    catalog = read.catalog()
    for layer in catalog.layers.values():
        if layer.is_raster or layer.id in ("gas_pipe", "power_line", "facility", "sensor"):
            continue
        for name, column in layer.fields.items():
            target, _, field = (column.references or "").partition(".")
            if target and name in city(layer.id) and target not in ("gas_pipe",):
                assert city(layer.id)[name].dropna().isin(city(target)[field]).all(), f"{layer.id}.{name}"


@pytest.mark.parametrize(("layer", "key"), [("community", "code"), ("grid_cell", "grid_code")])
def test_areas_tile_the_county_without_gap_or_overlap(city, layer, key):
    area, county = city(layer), city("admin_area").query("level == 'county'").geometry.iloc[0]
    assert area[key].is_unique and area.geometry.is_valid.all()
    assert area.area.sum() == pytest.approx(county.area, abs=20)
    assert area.union_all().symmetric_difference(county).area < 20
    a, b = area.sindex.query(area.geometry, predicate="overlaps")
    assert shapely.area(shapely.intersection(area.geometry.to_numpy()[a], area.geometry.to_numpy()[b])).sum() < 1


def test_streets_meet_at_junctions_and_none_is_named_twice(city):
    road, node = city("road"), city("road_node").set_index("node_id").geometry
    for end, at in (("from_node", 0), ("to_node", -1)):
        gap = shapely.distance(shapely.get_point(road.geometry.to_numpy(), at), node.loc[road[end]].to_numpy())
        assert gap.max() < 0.001
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    index = pd.Series(range(len(node)), node.index)
    a, b = index.loc[road["from_node"]].to_numpy(), index.loc[road["to_node"]].to_numpy()
    parts, _ = connected_components(coo_matrix((np.ones(len(a)), (a, b)), (len(node),) * 2), directed=False)
    assert parts == 1
    assert road["bridge"].any() and road["name"].notna().all()


def test_buildings_stand_on_land_and_not_in_streets(city):
    building, water = city("building"), city("water_body")
    inside = building.sindex.query(water[water["kind"] == "river"].geometry, predicate="intersects")
    assert inside.shape[1] == 0
    road = city("road").query("`class` in ('trunk', 'secondary', 'branch')")
    assert building.sindex.query(road.geometry, predicate="intersects").shape[1] == 0
