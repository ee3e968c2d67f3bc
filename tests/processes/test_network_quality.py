"""What is told of a finding in a network's data."""

from __future__ import annotations

from gis.analysis.network_quality import MEANINGS
from gis.db.store import Store
from gis.processes import processes
from gis.processes._water_answer import CHINESE
from gis.processes.network_quality import REMEDIES

PROCESS = processes()["network-quality"]


def test_every_code_says_what_it_means_and_what_to_do_in_both_languages():
    assert set(MEANINGS) <= set(REMEDIES)
    for code, (level, zh, en) in MEANINGS.items():
        assert level in ("error", "warning", "info") and (zh or CHINESE[code]) and en and all(REMEDIES[code])


def test_findings_come_with_their_remedy_and_place(street):
    with Store("water") as store:
        found = PROCESS.run(store, PROCESS.inputs(), lambda share, what: None)
    assert set(found["counts"]) == {one["properties"]["code"] for one in found["features"]["features"]}
    assert all(meaning["zh"] and meaning["remedy"]["zh"] for meaning in found["meanings"].values())
