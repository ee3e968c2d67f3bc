"""The tables of the standards: complete, unambiguous, found by whatever a bureau writes."""

from __future__ import annotations

import pytest

from gis import standards
from gis.catalog import read


@pytest.mark.parametrize("list_id", standards.lists())
def test_list_is_unambiguous(list_id):
    known = standards.codes(list_id)
    assert known.zh and known.en and len(known)
    assert len(set(known.codes)) == len(known)
    for entry in known:
        assert entry.status in "VPRO" and entry.zh and entry.en
        for text in (entry.code, entry.zh, entry.en, *entry.also):
            assert known.code_of(text) == entry.code, f"{text} means two things"


@pytest.mark.parametrize(("list_id", "text", "code"), [
    ("cjj61.material", "球墨铸铁", "QM"), ("cjj61.material", "ＰＥ", "PE"), ("cjj61.material", " pe ", "PE"),
    ("cjj61.material", "HDPE", "PE"),
    ("cjj61.material", "木", None), ("cjj61.material", "", None), ("cjj61.material", None, None), ("cjj61.status", 0, "0"),
    ("cjj61.status", "在用", "0"), ("cjj61.embedding", "综合管廊", "ZH"), ("onemap.valve_status", "常闭", "closed"),
    ("onemap.drain_system", "雨污合流", "combined"), ("gbt35639.stage", "现行", "current"),
    ("onemap.facility_kind", "小学", "primary_school"),
])  # fmt: skip
def test_code_of(list_id, text, code):
    assert standards.codes(list_id).code_of(text) == code


def test_unknown_list():
    with pytest.raises(KeyError):
        standards.codes("cjj61.nothing")
    with pytest.raises(KeyError):
        standards.codes("nothing")
    with pytest.raises(KeyError):
        standards.document("../../settings")


def test_every_list_that_layers_use_exists_and_titles_are_in_two_languages():
    for layer in read.catalog().vectors:
        for column in layer.fields.values():
            assert column.title.zh and column.title.en
            if column.codes:
                assert standards.codes(column.codes)


def test_categories_and_colours():
    """CJJ 61-2017 appendix B."""
    assert [c.code for c in standards.categories()] == ["JS", "PS", "RQ", "RL", "DL", "TX", "GY", "QT"]
    assert standards.category("JS").color == "#00ffff" and standards.category("2").color == "#4c3926"
    drawn = {
        "water_pipe": "JS",
        "sewer_pipe": "PS",
        "rain_pipe": "PS",
        "gas_pipe": "RQ",
        "heat_pipe": "RL",
        "power_line": "DL",
        "telecom_line": "TX",
    }
    for layer_id, category in drawn.items():
        assert read.catalog().layer(layer_id).style.color == standards.category(category).color


def test_feature_codes_have_eight_digits():
    """CJJ 61-2017 appendix F."""
    rows = standards.feature_codes()
    assert len(rows) == 375
    assert all(len(row["code"]) == 8 and row["code"].isdigit() for row in rows)
    assert {row["feature"] for row in rows if row["code"] == "51042204"} == {"阀门"}


def test_every_point_feature_of_the_standard_has_a_code():
    for category, list_id in (("给水管线", "cjj61.water_node_feature"), ("排水管线", "cjj61.drain_node_feature")):
        subtypes = {"输水", "配水"} if category == "给水管线" else {"雨水", "污水", "合流"}
        names = {
            r["feature"]
            for r in standards.feature_codes()
            if r["category"] == category and r["subtype"] in subtypes and r["geometry"] == "点"
        }
        missing = {name for name in names if standards.codes(list_id).code_of(name) is None}
        assert not missing


def test_clearances_keep_their_status():
    table = standards.document("gb50289")["horizontal_table_4_1_9"]
    assert table["污水雨水"]["给水 d>200"] == [1.5, "V1"]
