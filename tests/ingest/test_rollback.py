"""A batch is taken back exactly, and nothing that was published is forgotten."""

import pandas as pd
import pytest
from deliveries import BELIEVED, content, pipes, query

from gis.catalog import read
from gis.errors import InputError, NotFound
from gis.ingest.load import load_frames
from gis.ingest.rollback import rollback

pytestmark = pytest.mark.usefixtures("store_db")


def test_rollback_restores_exactly(deliver, facilities):
    deliver(facilities)
    before = content("facility")
    second = deliver(pd.concat([facilities.iloc[:2].assign(容量=1), facilities.iloc[[3]].assign(设施编号="S9")]))
    after = content("facility")
    assert after != before
    undone = rollback_(second.batch)
    assert content("facility") == before and (undone.layers[0].inserted, undone.layers[0].retired) == (4, 3)
    assert query("SELECT kind, rollback_of FROM meta.batch WHERE id = %s", undone.batch) == [("rollback", second.batch)]
    assert query("SELECT count(*) FROM history.facility WHERE batch = %s", second.batch) == [(3,)], "nothing published is forgotten"
    then = query("SELECT recorded_at FROM meta.batch WHERE id = %s", second.batch)[0][0]
    as_of = f"SELECT count(*), count(*) FILTER (WHERE capacity = 1) FROM pub.facility_history WHERE {BELIEVED}"
    assert query(as_of, then, then) == [(3, 2)]
    with pytest.raises(InputError, match="already taken back"):
        rollback_(second.batch)
    with pytest.raises(InputError, match="itself a rollback"):
        rollback_(undone.batch)


def rollback_(batch):

    return rollback(read.catalog(), batch)


def test_rollbacks_one_after_the_other_lead_back_to_nothing(deliver, facilities):
    states, batches = [content("facility")], []
    for capacity in (1, 2, 3):
        batches.append(deliver(facilities.assign(容量=capacity).iloc[: capacity + 1]).batch)
        states.append(content("facility"))
    with pytest.raises(InputError, match=f"{batches[1]}, {batches[2]}"):
        rollback_(batches[0])
    for batch, state in zip(reversed(batches), reversed(states[:-1]), strict=True):
        rollback_(batch)
        assert content("facility") == state


def test_rollback_of_another_scope_is_free(catalog):
    city = load_frames(catalog, pipes("city"), name="city").batch
    load_frames(catalog, pipes("Net3"), name="Net3")
    rollback_(city)
    assert query("SELECT DISTINCT network FROM core.water_pipe") == [("Net3",)]


def test_a_batch_of_several_scopes_is_taken_back_exactly(catalog):
    both = {k: pd.concat([pipes("city")[k], pipes("Net3")[k]], ignore_index=True) for k in ("water_node", "water_pipe")}
    load_frames(catalog, both, name="both")
    before = content("water_node"), content("water_pipe")
    changed = both | {"water_pipe": both["water_pipe"].assign(diameter_mm=[100.0] * 3 + [300.0] * 3).iloc[:5]}
    batch = load_frames(catalog, changed, name="both").batch
    assert query("SELECT network, count(*) FROM core.water_pipe GROUP BY 1 ORDER BY 1") == [("Net3", 2), ("city", 3)]
    rollback_(batch)
    assert (content("water_node"), content("water_pipe")) == before


def test_a_batch_that_changed_nothing_blocks_no_rollback(deliver, facilities):
    first = deliver(facilities).batch
    deliver(facilities)
    rollback_(first)
    assert query("SELECT count(*) FROM core.facility") == [(0,)]


def test_rollback_of_what_is_none(deliver, facilities):
    with pytest.raises(NotFound):
        rollback_(999)
    dry = deliver(facilities, dry_run=True).batch
    with pytest.raises(InputError, match="never published"):
        rollback_(dry)
