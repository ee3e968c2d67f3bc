"""Issuing codes: one address, one code; serials go on, never back."""

import pandas as pd

from gis.analysis import doorplate_code, doorplates

GRID = "999901100001001"
COLUMNS = ["address_id", "level", "road", "lane", "number", "compound", "building_no", "unit", "community_code", "grid_code"]


def rows(*values) -> pd.DataFrame:
    return pd.DataFrame(values, columns=COLUMNS, dtype=object)


def gate(name, number, grid=GRID, community="999901100001"):
    return (name, "gate", "府前街", None, number, None, None, None, community, grid)


NONE = pd.DataFrame(columns=["code", "road", "lane", "number", "compound", "building_no"], dtype=object)


def test_each_gate_its_serial_and_rooms_that_of_their_building():
    issued, skipped = doorplates.issue(
        rows(
            gate("A", "1号"),
            ("B", "building", "府前街", None, "1号", "府前小区", "1幢", None, None, GRID),
            ("U", "unit", "府前街", None, "1号", "府前小区", "1幢", "2单元", None, GRID),
            ("R1", "room", "府前街", None, "1号", "府前小区", "1幢", "2单元", None, GRID),
            ("R2", "room", "府前街", None, "1号", "府前小区", "1幢", "2单元", None, GRID),
            gate("C", "3号"),
        ),
        NONE,
    )
    assert skipped.empty
    assert issued["code"].str[15:26].tolist() == [
        "00001000000", "00002000000", "00002020000", "00002020001", "00002020002", "00003000000",
    ]  # fmt: skip
    assert issued["kind"].tolist() == ["gate_medium", "building", "unit", "room", "room", "gate_medium"]
    assert (doorplate_code.faults(issued["code"]) == doorplate_code.OK).all() and issued["code"].is_unique


def test_serials_go_on_after_those_ever_given():
    given = pd.DataFrame({
        "code": doorplate_code.compose(["999901100001"] * 2, 1, [7, 4], [0, 10003]),
        "road": ["府前街", "五一路"], "lane": [None, None], "number": ["1号", "2号"], "compound": None, "building_no": [None, "1幢"],
    })  # fmt: skip
    issued, _ = doorplates.issue(
        rows(gate("A", "8号"), gate("B", "9号"), ("R", "room", "五一路", None, "2号", "小区", "1幢", "1单元", None, GRID)), given
    )
    assert issued["code"].str[15:26].tolist() == ["00008000000", "00009000000", "00004010004"]


def test_what_cannot_get_a_code_is_said_not_guessed():
    issued, skipped = doorplates.issue(
        rows(gate("A", "1号", grid=None), gate("B", "1号", community="999901100002"), gate("C", "5号")), NONE
    )
    assert issued["address_id"].tolist() == ["C"]
    assert dict(skipped.to_numpy()) == {"A": doorplates.NO_GRID, "B": doorplates.OTHER_COMMUNITY}


def test_a_full_grid_cell_is_said():
    given = pd.DataFrame({"code": doorplate_code.compose("999901100001", 1, 99_999), "road": "x", "lane": None, "number": "1号",
                          "compound": None, "building_no": None})  # fmt: skip
    issued, skipped = doorplates.issue(rows(gate("A", "1号")), given)
    assert issued.empty and skipped["reason"].tolist() == [doorplates.FULL]


def test_a_gate_and_its_single_building_without_number_share_the_serial():
    issued, _ = doorplates.issue(rows(gate("A", "1号"), ("R", "room", "府前街", None, "1号", None, None, "1单元", None, GRID)), NONE)
    assert issued["code"].str[15:26].tolist() == ["00001000000", "00001010001"]


def test_one_gate_one_plate():
    issued, skipped = doorplates.issue(rows(gate("A", "1号"), gate("B", "1号")), NONE)
    assert issued["address_id"].tolist() == ["A"] and skipped["reason"].tolist() == [doorplates.TAKEN]
    again = issued.assign(road="府前街", lane=None, number="1号", compound=None, building_no=None)
    assert doorplates.issue(rows(gate("C", "1号")), again)[1]["reason"].tolist() == [doorplates.TAKEN]
