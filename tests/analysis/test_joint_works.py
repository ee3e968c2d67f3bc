"""Works in force together against brute force: what only the combination cuts off, what stays isolated when one of them ends."""

import numpy as np
from grid import frames as drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle
from random_networks import frames

from gis.analysis.isolation import Engine
from gis.analysis.joint_works import Work, affected, conflicts, may_open, simultaneous, together
from gis.analysis.network import decoded, network


def on_pipe(engine, pipe, stuck=()):
    return Work(engine.segments.of_pipe[[engine.network.pipe(pipe)]].astype(np.int64), tuple(stuck))


def pipes_of(engine, segments):
    part = engine.segments
    found = [part.pipe[part.pipe_at[s] : part.pipe_at[s + 1]] for s in segments]
    return set(decoded(engine.network.pipe_id[np.concatenate(found).astype(int)])) if found else set()


def named(engine, valves):
    return set(decoded(engine.network.valve_id[valves]))


RING = """
S----AxxBxxC
     x     x
     x     x
     DxxExxF
"""


def test_two_works_that_cut_off_what_lies_between_them():
    engine = Engine.built(*network(**drawn(RING)))
    works = [on_pipe(engine, "AB"), on_pipe(engine, "DE")]
    assert all(len(work.plan(engine).lost) == 0 for work in works), "a ring feeds everything round the other side"
    found = together(engine, works)
    assert pipes_of(engine, found.extra) == {"BC", "CF", "EF"}
    assert pipes_of(engine, found.affected) == {"AB", "DE", "BC", "CF", "EF"}
    assert named(engine, found.shut) == {"AB@A", "AB@B", "DE@D", "DE@E"} and not len(found.shared)
    assert named(engine, found.spared) == {"AB@B", "DE@E"}, "nothing is fed behind them while both works last"
    assert [c.members for c in conflicts(engine, works, [(0, 10), (5, 20)])] == [(0, 1)]
    assert conflicts(engine, works, [(0, 10), (10, 20)]) == [], "the one has ended when the other begins"
    assert [(c.start, c.end) for c in conflicts(engine, works, [(0, 10), (5, 20)])] == [(5, 10)]


def test_works_far_from_each_other_are_left_alone():
    engine = Engine.built(*network(**drawn("Bx-xAx-xSx-xCx-xD")))
    works = [on_pipe(engine, "BA"), on_pipe(engine, "CD")]
    assert conflicts(engine, works, [(0, 10), (0, 10)]) == []


def test_a_shared_valve_stays_shut_until_the_last_work_that_needs_it():
    engine = Engine.built(*network(**drawn("S----Ax-xBx-xC")))
    both = [on_pipe(engine, "AB"), on_pipe(engine, "BC")]
    held = {7: {"V1", "V2"}, 9: {"V2", "V3"}, 11: {"V3"}}
    assert may_open(held, 7) == ({"V1"}, {"V2": [9]})
    assert may_open(held, 9) == (set(), {"V2": [7], "V3": [11]})
    assert may_open({9: {"V2"}}, 9) == ({"V2"}, {}) and may_open({}, 1) == (set(), {})
    assert together(engine, both).affected.tolist() == affected(both[0].plan(engine)).tolist()


def test_a_chain_of_three_works_only_together():
    """Three feeds into one district: each pair leaves it fed, all three do not."""
    engine = Engine.built(*network(**drawn("S----Ax-xB\n     |   |\n     |   |\n     Cx-xD\n     |   |\n     |   |\n     Ex-xF")))
    works = [on_pipe(engine, p) for p in ("AB", "CD", "EF")]
    found = conflicts(engine, works, [(0, 3), (1, 4), (2, 5)])
    assert [c.members for c in found] == [(0, 1, 2)] and (found[0].start, found[0].end) == (2, 3)
    assert pipes_of(engine, found[0].joint.extra) == {"BD", "DF"}
    assert conflicts(engine, works[:2], [(0, 3), (1, 4)]) == []


def test_sets_in_force_at_one_moment():
    assert simultaneous([(0, 4), (1, 2), (2, 3), (9, 10)]) == [(0, 1), (0, 2)]
    assert simultaneous([(0, 1), (1, 2)]) == [] and simultaneous([]) == []
    assert simultaneous([(0, 9), (1, 8), (2, 7)]) == [(0, 1, 2)]


@settings(max_examples=250, deadline=None)
@given(frames(), st.data())
def test_works_together_agree_with_the_oracle(tables, data):
    oracle, engine = Oracle(**tables), Engine.built(*network(**tables))
    net = engine.network
    pipes, valves = decoded(net.pipe_id), decoded(net.valve_id)
    if not pipes:
        return
    chosen = data.draw(st.lists(st.sampled_from(pipes), min_size=1, max_size=4, unique=True))
    stuck = data.draw(st.lists(st.sampled_from(valves), max_size=2, unique=True)) if valves else []
    works = [on_pipe(engine, p, [net.valve(v) for v in stuck]) for p in chosen]
    found = together(engine, works)

    alone = [oracle.burst("pipe", p, stuck) for p in chosen]
    shut = set().union(*(a["close"] for a in alone))
    jammed = set(stuck) | oracle.unusable
    regions = [oracle.region(oracle.start("pipe", p), jammed) for p in chosen]
    region = set().union(*regions)
    wet = oracle.wet(without=region, shut=shut)
    dry = {p for p in pipes if oracle.pipe[p] in region or (oracle.pipe[p] in oracle.normally and oracle.pipe[p] not in wet)}
    one_by_one = {
        p for a, own in zip(alone, regions, strict=True) for p in pipes
        if p in a["affected"] or (oracle.pipe[p] in oracle.normally and oracle.pipe[p] not in oracle.wet(without=own, shut=a["close"]))
    }  # fmt: skip
    assert pipes_of(engine, found.affected) == dry
    assert pipes_of(engine, found.extra) == dry - one_by_one
    assert named(engine, found.shut) == shut
    _when_one_ends(oracle, alone, regions, shut)
    _spared(oracle, engine, found, region, alone)


def _when_one_ends(oracle, alone, regions, shut):
    """The valves that may be opened then let no water into what the others work on."""
    held = {i: set(a["close"]) for i, a in enumerate(alone)}
    for ending in held:
        opened, kept = may_open(held, ending)
        assert opened | set(kept) == held[ending]
        left = [i for i in held if i != ending and alone[i]["isolated"]]
        wet = oracle.wet(shut=shut - opened)
        assert not any(wet & regions[i] for i in left)


def _spared(oracle, engine, found, region, alone):
    """While all last, the works stay dry without the spared valves."""
    if all(a["isolated"] for a in alone):
        needed = named(engine, found.shut) - named(engine, found.spared)
        assert not oracle.wet(shut=needed) & region
