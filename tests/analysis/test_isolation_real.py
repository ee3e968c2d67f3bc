"""The engine against the oracle and against WNTR's segments on published networks; `./run bench right` asks all of it of all of them."""

import random

import numpy as np
import pytest
import wntr_segments
from agreement import Pair
from published import LIBRARY, PLACEMENTS, WNTR, layer, model, readable, tables, valved

from gis.analysis.isolation import Engine
from gis.analysis.network import network

SMALL = sorted(p for p in WNTR.rglob("*.inp") if p.stat().st_size < 60_000)


def assert_agree(frames, stuck_share=0.0, sample=None):
    """A burst in every pipe (or in some) differs nowhere; how many different answers there were."""
    pair, chance = Pair(frames), random.Random(7)
    stuck = [v for v in pair.valve_ids if chance.random() < stuck_share]
    assert pair.partition()
    chosen = set(chance.sample(pair.pipe_ids, min(sample, len(pair.pipe_ids)))) if sample else None
    for what, fields in pair.pipes(stuck, chosen):
        assert not fields, what
    return len(pair.oracle.known)


@pytest.mark.parametrize("path", SMALL, ids=lambda p: p.stem)
def test_small_networks_agree_with_the_oracle(tmp_path, path):
    if not readable(path):
        assert path.stem in ("bad_values", "cv_controls")  # no network: a link without its node; no junction at all
        return
    for placement in PLACEMENTS:
        frames = valved(path, placement, tmp_path)
        if frames is not None:
            assert_agree(frames)
            assert_agree(frames, stuck_share=0.2)


@pytest.mark.parametrize("name", ["ky4", "ky10"])
@pytest.mark.parametrize("placement", ["random", "strategic"])
def test_library_networks_agree_with_the_oracle(tmp_path, name, placement):
    frames = valved(LIBRARY / f"{name}.inp", placement, tmp_path)
    assert assert_agree(frames) > 100 and assert_agree(frames, stuck_share=0.1, sample=200) > 20


@pytest.mark.parametrize("placement", ["random", "strategic"])
def test_net6_agrees_with_the_oracle(tmp_path, placement):
    assert assert_agree(valved(LIBRARY / "Net6.inp", placement, tmp_path), sample=500) > 200


@pytest.mark.real
@pytest.mark.parametrize("placement", ["own", "random", "strategic"])
def test_micropolis_agrees_with_the_oracle(shared_data, tmp_path, placement):
    assert assert_agree(valved(shared_data / "networks" / "MICROPOLIS_v1.inp", placement, tmp_path)) > 100


@pytest.mark.real
@pytest.mark.parametrize("placement", ["own", "random", "strategic"])
def test_pacific_city_agrees_with_the_oracle(shared_data, tmp_path, placement):
    assert assert_agree(valved(shared_data / "networks" / "PacificCity.inp", placement, tmp_path), sample=400) > 100


@pytest.mark.parametrize("path", [*SMALL, LIBRARY / "ky4.inp", LIBRARY / "ky10.inp"], ids=lambda p: p.stem)
@pytest.mark.parametrize("placement", ["random", "strategic"])
def test_segments_are_those_of_wntr(tmp_path, path, placement):
    if model(path) is None or not readable(path):
        assert path.stem in ("bad_syntax", "bad_times", "bad_values", "cv_controls")
        return
    valves = layer(path, placement, seed=5)
    csv = tmp_path / "layer.csv"
    valves.to_csv(csv, index=False)
    for compared, astray in (wntr_segments.of_graph(path, valves), wntr_segments.of_loaded(path, valves, csv)):
        assert compared and not astray


@pytest.mark.real
def test_bypassed_valves_of_pacific_city_are_known(shared_data):
    engine = Engine.built(*network(**tables(shared_data / "networks" / "PacificCity.inp", isolation=["TCV"])))
    assert len(engine.bypassed(np.arange(engine.segments.count))) == 59  # the known count of this network
