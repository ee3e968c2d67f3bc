"""What a plan isolates, put into EPANET by hand: with the pipes of its valves closed nobody in the affected part draws water, but for what
EPANET's own tolerance leaves."""

import random
import warnings

import pytest
import wntr
from agreement import Pair
from published import LIBRARY, model, valved

SHUT = wntr.network.LinkStatus.Closed


def delivered(path, links, folder):
    """L/s that each junction draws at the first moment, by EPANET run directly on the file with these links closed."""
    made = model(path)
    for name in links:
        made.get_link(name).initial_status = SHUT
    for name in list(made.control_name_list):
        made.remove_control(name)
    made.options.hydraulic.demand_model, made.options.hydraulic.required_pressure = "PDD", 14.0
    made.options.time.duration = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = wntr.sim.EpanetSimulator(made).run_sim(file_prefix=str(folder / "run"))
    return found.node["demand"].iloc[0][made.junction_name_list] * 1000


@pytest.mark.parametrize(("name", "placement"), [
    ("Net3", "strategic"), ("Net3", "strategic-2"), ("ky4", "random"), ("ky10", "strategic-2"),
])  # fmt: skip
def test_nobody_in_the_affected_part_draws_water(tmp_path, name, placement):
    path = LIBRARY / f"{name}.inp"
    pair = Pair(valved(path, placement, tmp_path))
    engine, net, part = pair.engines[1], pair.net, pair.part
    before, asked, thirsty, drawn = delivered(path, [], tmp_path), 0, 0.0, 0.0
    for pipe in random.Random(5).sample(pair.pipe_ids, len(pair.pipe_ids)):
        found = engine.burst(part.of_pipe[[net.pipe(pipe)]])
        valves = [pair.valve_ids[v] for v in found.close]
        if not found.isolated or not valves or not pair.oracle.burst("pipe", pipe)["customers"]:
            continue
        dry = {pair.node_ids[n] for s in (*found.region, *found.lost) for n in part.node[part.node_at[s] : part.node_at[s + 1]]}
        after = delivered(path, {v.rpartition("@")[0] for v in valves} & set(pair.pipe_ids), tmp_path)
        known = sorted(dry & set(after.index))
        wanted = before[known].clip(lower=0).sum()
        assert abs(after[known].sum()) < 0.01 * wanted + 0.02, f"water still comes to what the burst of {pipe} cuts off"
        thirsty, drawn = thirsty + wanted, drawn + abs(after[known].sum())
        left = before.index.difference(known)
        assert after[left].sum() > 0.5 * before[left].sum(), "the rest is still fed"
        asked += 1
        if asked == 5:
            break
    assert asked == 5 and drawn < 0.1 * thirsty
