"""The change feed: a copy that follows it is always the layer itself."""

from __future__ import annotations

import geopandas
import pytest
import shapely

from gis.catalog.read import catalog
from gis.ingest.load import load_frames
from gis.ingest.rollback import rollback

FEED = "/collections/place_name/changes"


def _load(names: dict[str, str]) -> int:
    """Publish exactly these place names: id → name. The batch."""
    frame = geopandas.GeoDataFrame(
        {"name_id": list(names), "name": list(names.values()), "kind": ["village"] * len(names)},
        geometry=[shapely.Point(117 + i / 1000, 32) for i in range(len(names))],
        crs=4490,
    )
    return load_frames(catalog(), {"place_name": frame}, name="test").batch


class Copy:
    """Another platform's copy of the layer, kept by the feed alone."""

    def __init__(self, caller, limit: int):
        self.caller, self.limit, self.token, self.names = caller, limit, None, {}

    def follow(self) -> list[tuple[str, str]]:
        """Take in everything new; what was done, as (op, id)."""
        done = []
        while True:
            since = f"&since={self.token}" if self.token else ""
            answer = self.caller.get(f"{FEED}?limit={self.limit}{since}").json
            for change in answer["changes"]:
                done.append((change["op"], change["id"]))
                if change["op"] == "delete":
                    self.names.pop(change["id"], None)
                else:
                    self.names[change["id"]] = change["feature"]["properties"]["name"]
            self.token = answer["token"]
            if not answer["more"]:
                return done


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_a_copy_that_follows_is_the_layer_itself(anyone, limit):
    copy = Copy(anyone, limit)
    copy.follow()
    first = _load({"A": "甲村", "B": "乙村", "C": "丙村"})
    copy.follow()
    assert copy.names == {"A": "甲村", "B": "乙村", "C": "丙村"}
    second = _load({"A": "甲村", "B": "乙庄", "D": "丁村"})
    assert sorted(copy.follow()) == [("delete", "C"), ("insert", "D"), ("update", "B")]
    assert copy.names == {"A": "甲村", "B": "乙庄", "D": "丁村"}
    assert copy.follow() == []
    rollback(catalog(), second)
    assert sorted(copy.follow()) == [("delete", "D"), ("insert", "C"), ("update", "B")]
    assert copy.names == {"A": "甲村", "B": "乙村", "C": "丙村"}
    _load({"A": "甲", "B": "乙村"})
    _load({"A": "甲镇", "E": "戊村"})
    copy.follow()
    assert copy.names == {"A": "甲镇", "E": "戊村"}, "two loads between two looks"
    assert first < second


def test_a_date_is_a_token_too(anyone):
    _load({"A": "甲村"})
    assert ("insert", "A") in [(c["op"], c["id"]) for c in anyone.get(f"{FEED}?since=2020-01-01").json["changes"]]
    ahead = anyone.get(f"{FEED}?since=2999-01-01").json
    assert ahead["changes"] == [] and not ahead["more"]


@pytest.mark.parametrize("query", ["since=x", "since=WyJhIl0", "since=2020-13-01", "limit=0", "limit=x", "limit=10001", "of=1", "f=html"])
def test_what_is_no_question_is_refused(anyone, query):
    assert anyone.get(f"{FEED}?{query}").status_code == 400


def test_a_token_of_another_layer_is_refused(anyone):
    token = anyone.get("/collections/road/changes").json["token"]
    assert anyone.get(f"{FEED}?since={token}").status_code == 400


def test_pipes_have_no_feed_for_nobody_and_the_access_is_recorded(anyone, as_role):
    from gis.access import audit

    assert anyone.get("/collections/water_pipe/changes").status_code == 404
    answer = as_role("water").get("/collections/water_pipe/changes").json
    assert [c["op"] for c in answer["changes"]] == ["insert"]
    entry = audit.entries(layer="water_pipe", limit=1)[0]
    assert (entry["action"], entry["n"]) == ("changes", 1)


def test_hidden_columns_stay_hidden(as_role):
    hidden = set(catalog().layers["grid_cell"].columns) - set(catalog().layers["grid_cell"].columns_for("water"))
    answer = as_role("admin").get("/collections/grid_cell/changes").json
    assert hidden <= set(answer["changes"][0]["feature"]["properties"])
    assert hidden and not hidden & set(as_role("water").get("/collections/grid_cell/changes").json["changes"][0]["feature"]["properties"])
