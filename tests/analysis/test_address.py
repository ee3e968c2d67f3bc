"""Addresses as people type them: one form, components, comparison."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gis.analysis import address, numerals
from gis.analysis.address import Gazetteer, Parts, agreement, named, normalised
from gis.errors import InputError

NAMES = Gazetteer.of(
    areas=["示例省", "示例市", "青澜县", "城关镇", "府前社区", "重庆", "金家村"],
    roads=["金家村", "府前街", "五一路", "青澜大道", "重庆路", "府前东街", "三里街", ("老衙门街", "府前街"), "興業東路"],
    compounds=["府前小区", "金色家园"],
)


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("府前街８１号", "府前街81号"),
        ("府前街八十一号", "府前街81号"),
        ("府前街 81 号", "府前街81号"),
        ("府前街81", "府前街81号"),
        ("青澜縣府前街81號", "青澜县府前街81号"),
        ("五一路十一号", "五一路11号"),
        ("三里街一百零八号", "三里街108号"),
        ("府前街81号二〇三室", "府前街81号203室"),
        ("府前街81号3栋", "府前街81号3幢"),
        ("府前街81号3号楼", "府前街81号3幢"),
        ("府前小区1-2-301", "府前小区1幢2单元301室"),
        ("金色家园a座1203", "金色家园A幢1203室"),
        ("府前街81号（县政府对面）", "府前街81号"),
        ("府前街12号之3", "府前街12-3号"),
        ("府前街12之3号", "府前街12-3号"),
        ("⻄门街1号", "西门街1号"),
        ("府前街81号501", "府前街81号501室"),
        ("府前街81#", "府前街81号"),
        ("府前街，81号。", "府前街81号"),
    ],
)
def test_one_form(typed, form):
    assert normalised(typed) == form
    assert normalised(form) == form, "what is in this form stays"


@given(st.text(max_size=60))
def test_any_text_can_be_normalised_and_split(text):
    form = normalised(text)
    assert NAMES.split(form) is not None


@pytest.mark.parametrize(
    ("numeral", "digits"),
    [("八十一", "81"), ("十", "10"), ("十一", "11"), ("二十", "20"), ("一百零八", "108"), ("一千二百", "1200"), ("二〇三", "203"),
     ("零八", "08"), ("两百", "200"), ("十十", None), ("一二十", None), ("", None), ("路", None)],
)  # fmt: skip
def test_numerals(numeral, digits):
    assert numerals.value(numeral) == digits


@given(st.integers(1, 9999))
def test_written_numbers_are_read(number):
    digits, units = "零一二三四五六七八九", ["", "十", "百", "千"]
    written, text = "", str(number)
    for place, digit in enumerate(text):
        if digit != "0":
            written += digits[int(digit)] + units[len(text) - place - 1]
        elif not written.endswith("零"):
            written += "零"
    assert numerals.value(written.rstrip("零")) == str(number)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "示例省示例市青澜县城关镇府前街81号府前小区1幢2单元301室",
            {"areas": ("示例省", "示例市", "青澜县", "城关镇"), "road": "府前街", "number": "81号", "compound": "府前小区",
             "building": "1幢", "unit": "2单元", "room": "301室"},
        ),
        ("府前街三巷十二号之3", {"road": "府前街", "lane": "3巷", "number": "12-3号"}),
        ("重庆路5号", {"road": "重庆路", "number": "5号"}),
        ("府前东街7号", {"road": "府前东街", "number": "7号"}),
        ("老衙门街7号", {"road": "老衙门街", "number": "7号"}),
        ("青岛路9号", {"road": "青岛路", "number": "9号"}),
        ("金色家园3栋", {"compound": "金色家园", "building": "3幢"}),
        ("府前街81号对面超市", {"road": "府前街", "number": "81号", "rest": "对面超市"}),
        ("五一路甲5号", {"road": "五一路", "number": "甲5号"}),
        ("青澜县3组五一路8号", {"areas": ("青澜县", "3组"), "road": "五一路", "number": "8号"}),
        ("五一路827巷2弄11号", {"road": "五一路", "lane": "827巷2弄", "number": "11号"}),
        ("五一路318号附19", {"road": "五一路", "number": "318号附19"}),
        ("青澜县金家村五巷7号", {"areas": ("青澜县",), "road": "金家村", "lane": "5巷", "number": "7号"}),
        ("金家村五一路8号", {"areas": ("金家村",), "road": "五一路", "number": "8号"}),
        ("县医院", {"rest": "县医院"}),
    ],
)  # fmt: skip
def test_components(text, parts):
    assert named(NAMES.split(normalised(text))) == parts


def test_an_alias_leads_to_the_name_of_the_data():
    assert NAMES.roads["老衙门街"] == {"府前街"}
    assert NAMES.roads["兴业东路"] == {"興業東路"}, "data in traditional characters is found in simplified ones"


def test_homophones_come_first_and_ties_stay():
    found = NAMES.similar_roads("府钱街")
    assert next(iter(found)) == "府前街" and found["府前街"] == 0.95
    two = Gazetteer.of(roads=["东风路", "东丰路", "西山街"]).similar_roads("东峰路")
    assert set(two) == {"东风路", "东丰路"} and len(set(two.values())) == 1


@pytest.mark.parametrize("text", ["", "   ", "\u3000", "。，", "街" * 10_000, None, 5])
def test_no_address_at_all(text):
    with pytest.raises(InputError):
        address.checked(text)


def split(text: str) -> Parts:
    return NAMES.split(normalised(text))


def test_the_same_address_agrees_fully():
    assert agreement(split("府前街81号"), split("青澜县府前街81号")) == 1
    assert agreement(split("青澜县府前街81号1幢"), split("青澜县府前街81号府前小区1幢")) == 1


@pytest.mark.parametrize(
    ("asked", "better", "worse"),
    [
        ("府前街81号", "府前街81号", "府前街81号1幢"),
        ("府前街81号1幢", "府前街81号1幢", "府前街81号2幢"),
        ("府前街81号", "府前街81号2幢", "府前街83号"),
        ("城关镇府前街81号", "城关镇府前街81号", "府前街81号"),
        ("府前街81号", "府前街81号", "五一路81号"),
        ("府前街81号2单元301室", "府前街81号2单元301室", "府前街81号1单元301室"),
    ],
)
def test_ranking(asked, better, worse):
    assert agreement(split(asked), split(better)) > agreement(split(asked), split(worse))


def test_spellings_reach_what_data_may_hold():
    assert {"3幢", "3栋", "3号楼"} <= set(address.spellings("3幢"))
    assert {"12-3号", "12之3號", "12-3"} <= set(address.spellings("12-3号"))


@pytest.mark.real
def test_real_door_plates_are_split_as_their_register_splits_them(shared_data):
    plates = pd.read_csv(shared_data / "doorplates" / "chiayi_doorplates.csv.gz", dtype=str).fillna("")
    villages = plates["FULL_ADDR"].str.extract(r"區(.{1,4}里)")[0].dropna().unique()
    names = Gazetteer.of(areas=["嘉義市", "東區", "西區", *villages], roads=set(plates["ROAD"]) - {""})
    sample = plates[plates["ROAD"] != ""].sample(3000, random_state=1)
    parts = [names.split(normalised(text)) for text in sample["FULL_ADDR"]]
    right = [
        found.road == address.tidy(road) and found.number == normalised(number) and found.lane == address.tidy(lane + alley)
        for found, road, number, lane, alley in zip(
            parts, sample["ROAD"] + sample["SECTION"], sample["NUMBER"], sample["LANE"], sample["ALLEY"], strict=True
        )
    ]
    assert sum(right) / len(right) > 0.95
