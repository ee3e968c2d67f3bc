"""The ranking of valves in one pass against every failure asked by itself, on streets with loops, stuck valves and dead ends."""

import dataclasses

import numpy as np
import pytest

from bench.isolation import nobody
from bench.streets import streets
from gis.analysis.atlas import atlas
from gis.analysis.criticality import failures
from gis.analysis.isolation import Engine
from gis.analysis.network import network


@pytest.mark.parametrize(("seed", "stuck"), [(1, 0.02), (2, 0.3)])
def test_failures_together_are_failures_asked_singly(seed, stuck):
    net, states = network(**streets(1500, seed))
    usable = np.random.default_rng(seed).random(net.n_valves) > stuck
    engine = Engine.built(net, dataclasses.replace(states, usable=usable)).with_tree()
    people = nobody(net)
    book = atlas(engine, people)
    found = failures(engine, people, book, np.arange(net.n_valves))
    owner = np.repeat(np.arange(engine.segments.count), np.diff(book.close_at))
    worst = {}
    for segment, valve in zip(owner.tolist(), book.close.tolist(), strict=True):
        if not engine.segments.real[segment]:
            continue
        plan = engine.burst(np.array([segment]), [valve])
        dry = np.concatenate((plan.region, plan.lost))
        pipes = int(np.diff(engine.segments.pipe_at)[dry].sum())
        worst[valve] = max(worst.get(valve, 0), pipes - int(book.pipes[segment]))
        if segment in found.from_segment[found.valve == valve]:
            at = np.flatnonzero(found.valve == valve)[0]
            assert (found.pipes[at], found.isolated[at]) == (pipes, plan.isolated)
    assert max(worst.values()) > 0
    singly = dict(zip(found.valve.tolist(), found.added_customers.tolist(), strict=True))
    assert singly.keys() == worst.keys()
    limited = failures(engine, people, book, found.valve[:3])
    assert limited.valve.tolist() == found.valve[:3].tolist() and np.array_equal(limited.pipes, found.pipes[:3])
