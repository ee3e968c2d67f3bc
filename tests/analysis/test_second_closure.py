"""What stuck valves add, each valve's failure beforehand, the atlas and the rankings: each against the oracle's own answers."""

from types import SimpleNamespace

import numpy as np
from agreement import Pair
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import supplied

from gis.analysis import atlas as arrays
from gis.analysis.criticality import failures
from gis.analysis.failures import added, if_stuck
from gis.analysis.network import decoded
from gis.processes.atlas import atlas

ANY = st.booleans().flatmap(supplied)


def valves_of(pair, data, most):
    return data.draw(st.lists(st.sampled_from(pair.valve_ids), max_size=most, unique=True)) if pair.valve_ids else []


def assert_added(pair, more, plain, stuck):
    """`more` is what the oracle's second answer has beyond its first."""
    net = pair.net
    assert set(decoded(net.valve_id[more.valves])) == stuck["close"] - plain["close"]
    assert set(decoded(net.pipe_id[more.pipes])) == stuck["affected"] - plain["affected"]
    assert plain["affected"] <= stuck["affected"], "a stuck valve never gives water back"
    assert more.customers == stuck["customers"] - plain["customers"] and more.isolated == stuck["isolated"]


@settings(max_examples=120, deadline=None)
@given(ANY, st.data())
def test_what_any_number_of_stuck_valves_adds(drawn, data):
    pair = Pair(*drawn)
    stuck = valves_of(pair, data, 10)
    for engine in pair.engines:
        for i, pipe in enumerate(pair.pipe_ids):
            start = pair.part.of_pipe[[i]]
            before, after = engine.burst(start), engine.burst(start, [pair.place[v] for v in stuck])
            more = added(engine, pair.people, before, after)
            assert_added(pair, more, pair.oracle.burst("pipe", pipe), pair.oracle.burst("pipe", pipe, stuck))


@settings(max_examples=80, deadline=None)
@given(ANY, st.data())
def test_what_the_failure_of_each_valve_of_a_plan_would_add(drawn, data):
    """N-1, with valves that are stuck already; a burst valve is one of the starts."""
    pair = Pair(*drawn)
    stuck, engine = valves_of(pair, data, 2), pair.engines[1]
    starts = [("pipe", p, pair.part.of_pipe[[i]], -1) for i, p in enumerate(pair.pipe_ids)]
    starts += [("valve", v, engine.segments_at_valve(i), i) for v, i in pair.place.items()]
    for kind, name, start, burst_valve in starts:
        plain = pair.oracle.burst(kind, name, stuck)
        found = if_stuck(engine, pair.people, start, [pair.place[v] for v in stuck], burst_valve)
        assert {pair.valve_ids[v] for v in found} == plain["close"]
        for valve, more in found.items():
            assert_added(pair, more, plain, pair.oracle.burst(kind, name, [*stuck, pair.valve_ids[valve]]))


@settings(max_examples=120, deadline=None)
@given(ANY)
def test_a_row_of_the_atlas_is_the_oracles_answer(drawn):
    pair = Pair(*drawn)
    table, _ = atlas(SimpleNamespace(engine=pair.engines[0], consumers=pair.people))
    rows = {row["pipe_id"]: row for row in table.to_pylist()}
    assert list(rows) == pair.pipe_ids
    named = {}
    for pipe, row in rows.items():
        expected = pair.oracle.burst("pipe", pipe)
        assert (set(row["close"]), row["isolated"]) == (expected["close"], expected["isolated"]), pipe
        assert (row["affected_pipes"], row["affected_customers"]) == (len(expected["affected"]), expected["customers"]), pipe
        assert abs(row["affected_length_m"] - expected["length_m"]) < 1e-3
        named.setdefault(row["segment_id"], set()).add(pipe)
    assert {frozenset(p) for p in named.values()} == pair.oracle.partition()


@settings(max_examples=100, deadline=None)
@given(ANY)
def test_the_rankings_are_brute_force(drawn):
    """Segments by what a burst in them leaves without water; valves by the worst that their failure adds to a burst beside them."""
    pair = Pair(*drawn)
    engine, part, oracle = pair.engines[1], pair.part, pair.oracle
    book = arrays.atlas(engine, pair.people)
    worst = {}
    starts = [("pipe", p, s) for p, s in zip(pair.pipe_ids, part.of_pipe.tolist(), strict=True)]
    starts += [("node", n, s) for n, s in zip(pair.node_ids, part.of_node.tolist(), strict=True) if not oracle.standing[n]]
    for kind, name, segment in starts:
        plain = oracle.burst(kind, name)
        urgent = [c for c in oracle.connections if c["priority"] == "hospital" and c["pipe_id"] in plain["affected"]]
        assert (book.customers[segment], book.priority[segment]) == (plain["customers"], len(urgent))
        assert book.behind_pipes[segment] == len(plain["unintended"])
        for valve in plain["close"]:
            failed = oracle.burst(kind, name, [valve])
            more = failed["customers"] - plain["customers"], len(failed["affected"]) - len(plain["affected"])
            worst[valve] = max(worst.get(valve, (-1, -1)), more)
    found = failures(engine, pair.people, book, np.arange(len(pair.valve_ids)))
    ours = zip(found.valve.tolist(), found.added_customers.tolist(), found.added_pipes.tolist(), strict=True)
    assert {pair.valve_ids[v]: (customers, pipes) for v, customers, pipes in ours} == worst
