"""The network of any moment is the one that the reports up to then make: as-of against a replay of everything that was reported."""

import datetime as dt
import random

import numpy as np
import pandas as pd
import pytest
from oracle import Oracle
from test_network_versions import grid, put, turn

from gis.analysis.network import decoded
from gis.db.store import Store
from gis.processes import pipe_burst, valve_state
from gis.processes._water_network import water


def report(chance, valves, known):
    """One random report through the process of the duty room, and its effect on the replayed states."""
    name = chance.choice(sorted(valves))
    said = {"live": chance.choice(["open", "closed", "unknown"])} if chance.random() < 0.7 else {chance.choice(["operable", "accessible"]):
            chance.random() < 0.5}  # fmt: skip
    with Store("water", "li") as store:
        valve_state.run(store, valve_state.ValveStateInputs(valve=name, **said))
    field, value = next(iter(said.items()))
    changed = {"live_status": None if value == "unknown" else value} if field == "live" else {field: value}
    return known | {name: known[name] | changed}


def asked(as_of):
    with Store("admin") as store:
        return water(store, "city", as_of)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_as_of_is_the_replay_of_the_reports(store_db, seed):
    rows, chance = grid(), random.Random(seed)
    put(rows)
    known = rows["water_valve"]
    moments = [(dt.datetime.now().astimezone(), known)]
    for _ in range(10):
        known = report(chance, rows["water_valve"], known)
        moments.append((dt.datetime.now().astimezone(), known))
    for moment, states in [*chance.sample(moments, len(moments)), (None, known)]:
        network = asked(moment)
        net, valves = network.engine.network, decoded(network.engine.network.valve_id)
        expected = [(states[v]["live_status"] or states[v]["normal_status"]) == "open" for v in valves]
        assert network.engine.states.open.tolist() == expected
        assert network.engine.states.usable.tolist() == [states[v]["operable"] and states[v]["accessible"] for v in valves]
        frames = {"nodes": "water_node", "pipes": "water_pipe", "sources": "water_source"}
        oracle = Oracle(**{k: pd.DataFrame(list(rows[v].values())) for k, v in frames.items()}, valves=pd.DataFrame(list(states.values())))
        for pipe in chance.sample(sorted(oracle.pipe), 6):
            found, answer = network.engine.burst(network.engine.segments.of_pipe[[net.pipe(pipe)]]), oracle.burst("pipe", pipe)
            for part in ("close", "optional", "already_closed", "feeds_to_open"):
                assert set(decoded(net.valve_id[getattr(found, part)])) == answer[part], (moment, pipe, part)
        assert network.engine.cutoff is not None


def test_a_day_is_answered_with_the_states_at_its_end(store_db):
    """`as_of` a day means its end: what was reported on it counts, what was reported after it does not."""
    rows = grid()
    put(rows)
    name = sorted(rows["water_valve"])[0]
    before = asked(dt.date.today()).engine.states.open.copy()
    turn(rows["water_valve"], name)
    put({"water_valve": rows["water_valve"]})
    today = asked(dt.date.today())
    assert np.flatnonzero(today.engine.states.open != before).tolist() == [today.engine.network.valve(name)]
    with Store("admin") as store:
        answers = [pipe_burst.run(store, pipe_burst.parsed(pipe="p0-1", **day), None) for day in ({}, {"as_of": dt.date.today()})]
    assert answers[0]["valves"] == answers[1]["valves"] and answers[0]["affected"] == answers[1]["affected"]
