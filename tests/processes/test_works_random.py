"""Works begun, ended, cancelled and taken back at random, beside a state machine that knows only the oracle: what each holds, what stands
shut, who is without water, and that nobody who digs gets wet."""

import datetime as dt
import random

import pandas as pd
import pytest
from oracle import Oracle
from test_network_versions import add_valve, grid, put
from test_works import change, show

from gis.db.store import Store

NOON = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
LAYERS = {"nodes": "water_node", "pipes": "water_pipe", "valves": "water_valve", "sources": "water_source"}
NEXT = {"planned": ("start", "cancel"), "in_progress": ("finish", "cancel")}
BECOMES = {"start": "in_progress", "finish": "finished", "cancel": "cancelled"}


class Machine:
    """The works as they should be. Each holds what the oracle says it needs by itself, whatever else is shut."""

    def __init__(self, rows, seed):
        self.frames = {k: pd.DataFrame(list(rows[v].values())) for k, v in LAYERS.items()}
        self.oracle, self.chance = Oracle(**self.frames), random.Random(seed)
        self.works, self.past = {}, {}

    def step(self):
        """One random step, in the database and here."""
        if len(self.works) < 3 or self.chance.random() < 0.15:
            return self._add()
        alive = [w for w, (_, _, state) in self.works.items() if state in NEXT]
        if self.chance.random() < 0.25 or not alive:
            return self._undo(self.chance.choice(sorted(self.works)))
        work = self.chance.choice(sorted(alive))
        pipe, stuck, state = self.works[work]
        action = self.chance.choice(NEXT[state])
        done = change(action, work=work)
        self.past[work].append(state)
        self.works[work] = pipe, stuck, BECOMES[action]
        if action == "start":
            assert set(done["closed"]) <= self.held(work)
        return done

    def _add(self):
        pipe = self.chance.choice(sorted(self.oracle.pipe))
        stuck = [v for v in sorted(self.oracle.valve) if self.chance.random() < 0.1]
        starts = NOON + dt.timedelta(hours=self.chance.randint(0, 3))
        done = change("add", title="检修", pipe=pipe, stuck=stuck, starts=starts, ends=starts + dt.timedelta(hours=2))
        work = done["work"]["id"]
        self.works[work], self.past[work] = (pipe, tuple(stuck), "planned"), []
        return done

    def _undo(self, work):
        if not self.past[work]:
            return None
        done = change("undo", work=work)
        pipe, stuck, _ = self.works[work]
        self.works[work] = pipe, stuck, self.past[work].pop()
        return done

    def held(self, work):
        pipe, stuck, state = self.works[work]
        return self.oracle.burst("pipe", pipe, stuck)["close"] if state == "in_progress" else set()

    def check(self):
        """The database beside the machine."""
        held = {work: self.held(work) for work in self.works}
        shut = set().union(*held.values())
        with Store("water") as store:
            now = store.frame("water_valve", ["valve_id", "live_status"], where={"network": "city"}, geometry=False)
        assert set(now.loc[now["live_status"] == "closed", "valve_id"]) == shut
        wet = self.oracle.wet(shut=shut)
        for work, (pipe, stuck, state) in self.works.items():
            told = show(work)
            assert told["work"]["state"] == state
            assert {row["valve_id"] for row in told["held"] if row["released_at"] is None} == held[work]
            others = set().union(*(valves for other, valves in held.items() if other != work))
            assert set(told["may_open"]) == held[work] - others
            assert {row["valve"]: set(row["works"]) for row in told["stay_shut"]} == {
                v: {other for other, valves in held.items() if other != work and v in valves} for v in held[work] & others
            }  # fmt: skip
            if state == "in_progress" and self.oracle.burst("pipe", pipe, stuck)["isolated"]:
                assert not wet & self.oracle.region({self.oracle.pipe[pipe]}, set(stuck)), f"water comes to work {work}"


@pytest.mark.parametrize("seed", [1, 2])
def test_works_at_random_are_those_of_the_machine(store_db, seed):
    rows = grid()
    for name, pipe in list(rows["water_pipe"].items())[::3]:
        add_valve(rows, name, int(pipe["to_node"][1:]))
    put(rows)
    machine = Machine(rows, seed)
    for _ in range(24):
        machine.step()
        machine.check()
    states = [state for _, _, state in machine.works.values()]
    assert len(set(states)) > 1 and any(machine.past.values())
