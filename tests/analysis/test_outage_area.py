"""The words of a notice."""

import pytest

from gis.analysis.outage_area import areas, by_number, grouped, id_runs, plain, ranges, rooms, told_first


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["1幢", "2幢", "3幢", "5幢"], "1–3、5幢"),
        (["10号", "2号", "1号"], "1、2、10号"),
        (["12-3号", "5号", "4号"], "4、5号、12-3号"),
        (["东门", ""], "东门"),
        ([], ""),
    ],
)
def test_numbers_in_short(texts, told):
    assert ranges(texts) == told


def test_areas_by_community():
    house = {"community": "府前社区", "compound": "福达小区", "road": "友谊路", "number": "5号", "building_no": "1幢"}
    gate = {"community": "府前社区", "compound": None, "road": "人民路", "number": "3号", "building_no": None}
    loose = {"community": None, "compound": None, "road": None, "number": None, "building_no": None, "address": "某处"}
    found = areas([loose, house, house | {"building_no": "2幢"}, gate])
    assert [a["community"] for a in found] == ["府前社区", "其他"] and found[0]["plates"] == 3
    assert found[0]["places"] == [{"name": "人民路", "detail": "3号"}, {"name": "福达小区（友谊路5号）", "detail": "1、2幢"}]
    assert found[1]["places"] == [{"name": "某处", "detail": ""}]


def test_door_plates_are_listed_under_their_house():
    rooms = [{"id": room, "address": f"青澜县友谊路3号花园1幢{room}", "house": "花园1幢"} for room in ("10室", "9室")]
    plates = [*rooms, {"id": "c", "address": None, "house": ""}]
    assert grouped(plates) == [("青澜县友谊路3号花园1幢", "9、10室"), ("其他", "c")]


def test_priority_users_come_first():
    def user(name, priority, address="1号"):
        return {"connection": name, "priority": priority, "community": "甲", "address": address}

    told = told_first([user("a", "none"), user("b", "school"), user("c", "dialysis"), user("d", None, "10号"), user("e", "none", "9号")])
    assert [c["connection"] for c in told] == ["c", "b", "a", "e", "d"]


def test_no_value_is_a_formula():
    for text in ("=1+1", "+8613", "-1", "@SUM(A1)", "\t=1", "\r=1"):
        assert plain(text) == "'" + text
    assert plain("府前街1号") == "府前街1号" and plain(3) == 3 and plain(None) is None


def test_numbers_sort_as_numbers():
    assert sorted(["10号", "9号", "府前街"], key=by_number) == ["9号", "10号", "府前街"]


def test_rooms_are_drawn_together_and_nothing_is_left_out():
    texts = [f"{u}单元{f}0{r}室" for u in (1, 2, 3) for f in (1, 2, 3) for r in (1, 2)]
    assert rooms(texts) == "1–3单元 1–3层 01、02室"
    assert rooms([*texts, "4单元101室"]) == "1–3单元 1–3层 01、02室；4单元101室"
    assert rooms(["101室", "102室", "203室"]) == "101、102、203室", "floors that differ are not drawn together"
    assert rooms(["1号"]) == "1号" and rooms(["府前街1号"]) == "府前街1号" and rooms(["门卫室"]) == "门卫室"
    assert id_runs(["XH019", "XH017", "XH018", "XH031", "S"]) == "XH017–XH019、XH031、S"
    assert id_runs([]) == ""
