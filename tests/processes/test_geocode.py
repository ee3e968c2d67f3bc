"""Geocoding and its reverse on a small town, as different people type it."""

import pytest

from gis.db.store import Store
from gis.errors import InputError, OutsideExtent
from gis.processes import geocode, reverse_geocode


def ask(text, limit=10) -> dict:
    with Store("anonymous") as store:
        return geocode.run(store, geocode.GeocodeInputs(text=text, limit=limit))


@pytest.mark.parametrize(
    ("text", "address", "level"),
    [
        ("示例省示例市青澜县城关镇府前街3号", "E1", "exact"),
        ("府前街3号", "E1", "exact"),
        ("青澜县府前街３号", "E1", "exact"),
        ("府前街三号", "E1", "exact"),
        ("府前街3號", "E1", "exact"),
        (" 府前街 3 号 ", "E1", "exact"),
        ("府前街3", "E1", "exact"),
        ("府前街3号（粮站对面）", "E1", "exact"),
        ("府钱街3号", "E1", "road_number"),
        ("府前街3号1栋", "E1-1", "exact"),
        ("府前街3号1号楼301", "E1-1-301", "exact"),
        ("府前小区1幢301室", "E1-1-301", "exact"),
        ("府前街3号5幢", "E1", "road_number"),
        ("五一路12号之3", "N1", "exact"),
        ("五一路十二之三号", "N1", "exact"),
        ("老衙门街3号", "E1", "exact"),
        ("城关镇人民路1号", "P1", "exact"),
        ("青澜县人民医院", "E4", "name"),
        ("人民医院", "E4", "name"),
    ],
)
def test_found_however_it_is_typed(town, text, address, level):
    answer = ask(text)
    best = answer["results"][0]
    assert (best["address_id"], best["level"], answer["ambiguous"]) == (address, level, False), answer
    assert best["lon"] == pytest.approx(117, abs=0.1) and best["lat"] == pytest.approx(32, abs=0.1)


def test_two_that_fit_equally_are_both_given(town):
    answer = ask("人民路1号", limit=1)
    assert answer["ambiguous"]
    assert {row["address_id"] for row in answer["results"] if row["ambiguous"]} == {"P1", "P2"}


def test_an_unknown_number_is_answered_with_its_road_and_how_far_off_that_may_be(town):
    answer = ask("府前街888号")
    (road,) = answer["results"]
    assert (road["level"], road["address_id"], road["full_text"]) == ("road", None, "府前街")
    assert road["score"] <= 0.5 and road["radius_m"] > 100


def test_places_are_found_by_their_aliases(town):
    assert ask("人民公园")["results"][0]["full_text"] == "青澜公园"


@pytest.mark.parametrize(
    "text", ["府前街99号", "府前街97号", "府前街80000号1幢1单元1室", "天上人间", "%", "_", "'; DROP TABLE core.address; --"]
)
def test_what_is_not_there_is_not_invented(town, text):
    answer = ask(text) if any(char.isalnum() for char in text) else {"results": []}
    assert all(row["level"] == "road" for row in answer["results"])


@pytest.mark.parametrize("text", ["", " ", "\u3000\n", "。。。", "街" * 10_000, "\1"])
def test_no_address_is_refused(town, text):
    with pytest.raises(InputError):
        ask(text)


def test_control_characters_do_no_harm(town):
    assert ask("府前街\1 3\u200b号")["results"][0]["address_id"] == "E1"


def test_many_at_once_in_their_order(town):
    texts = ["示例省示例市青澜县城关镇府前街3号", "", "府前街五号", "没有这个地方", "x" * 400, "人民路1号"]
    with Store("anonymous") as store:
        answers = list(geocode.find_all(store, texts))
    assert [answer["query"] for answer in answers] == texts
    assert [next((row["address_id"] for row in answer["results"]), None) for answer in answers[:5]] == ["E1", None, "E2", None, None]
    assert "error" in answers[1] and "error" in answers[4] and answers[5]["ambiguous"]


def back(lon, lat, limit=3) -> dict:
    with Store("anonymous") as store:
        return reverse_geocode.run(store, reverse_geocode.ReverseGeocodeInputs(lon=lon, lat=lat, limit=limit))


def test_reverse_gives_back_what_geocode_gave(town):
    there = ask("府前街3号1幢")["results"][0]
    answer = back(there["lon"], there["lat"])
    first = answer["addresses"][0]
    assert first["full_text"].endswith("府前街3号府前小区1幢") and first["distance_m"] < 0.1, "the building before its rooms"
    assert answer["road"]["name"] == "府前街" and answer["road"]["distance_m"] == pytest.approx(30, abs=0.1)
    assert answer["community"]["name"] == "府东社区" and answer["grid"]["grid_code"] == "999901100002001"


def test_reverse_orders_by_metres_not_by_degrees(town):
    there = ask("府前街3号")["results"][0]
    found = back(there["lon"] + 0.0005, there["lat"] + 0.0008, limit=15)["addresses"]
    metres = [row["distance_m"] for row in found]
    assert metres == sorted(metres) and len(found) == 15


@pytest.mark.parametrize("position", [(32.0, 117.0), (0, 0), (116.0, 32.0)])
def test_outside_the_city(town, position):
    with pytest.raises(OutsideExtent):
        back(*position)


@pytest.mark.parametrize("position", [(float("nan"), 32), (1e9, 32), (117, float("inf"))])
def test_no_position(town, position):
    with pytest.raises(InputError):
        back(*position)
