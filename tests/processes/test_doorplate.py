"""Door-plate commands on the town: issued by the ordinary road in, once; found by code and token; drawn as QR."""

import csv
import json
import sys

import pytest

from gis.analysis import doorplate_code
from gis.cli.main import main
from gis.db.store import Store


@pytest.fixture
def onemap(monkeypatch, capfdbinary):
    """Runs a command and gives the JSON document that it prints; `code` is the exit code that it must have."""

    def run(*arguments, code=0) -> dict:
        monkeypatch.setattr(sys, "argv", ["onemap", *arguments, "--json"])
        capfdbinary.readouterr()
        try:
            main()
            exit_code = 0
        except SystemExit as stopped:
            exit_code = stopped.code or 0
        said, complained = capfdbinary.readouterr()
        assert exit_code == code, complained.decode()
        return json.loads(said)

    return run


def plates() -> list[dict]:
    with Store("admin") as store:
        return store.frame("door_plate", geometry=False).to_dict("records")


def test_issue_find_and_draw(fresh_town, tmp_path, onemap):
    planned = onemap("doorplate", "issue", "--dry-run")
    assert planned["issued"] == 15 and planned["why"] == {} and plates() == []
    done = onemap("doorplate", "issue", "--out", str(tmp_path / "plates.csv"))
    assert done["issued"] == 15 and done["batch"]
    issued = plates()
    assert len({plate["code"] for plate in issued}) == len({plate["token"] for plate in issued}) == 15
    assert (doorplate_code.faults([plate["code"] for plate in issued]) == doorplate_code.OK).all()
    assert all(plate["code"].startswith(plate["grid_code"]) for plate in issued)
    assert onemap("doorplate", "issue")["issued"] == 0, "a second run issues nothing"

    plate = next(plate for plate in issued if plate["address_id"] == "E1-1-301")
    by_code = onemap("doorplate", "resolve", doorplate_code.parse(plate["code"]).printed)
    assert by_code["address"].endswith("301室") and by_code["plate_id"] == plate["plate_id"]
    assert onemap("doorplate", "resolve", plate["token"])["code"] == plate["code"]
    for name in ("plate.png", "plate.svg"):
        answer = onemap("doorplate", "qr", plate["plate_id"], "--out", str(tmp_path / name))
        assert answer["url"].endswith(f"/d/{plate['token']}") and (tmp_path / name).stat().st_size > 200
    with (tmp_path / "plates.csv").open(encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 15


def test_check_a_code_and_a_file(town, tmp_path, onemap):
    right = str(doorplate_code.compose("999901100001", 1, 1)[0])
    assert onemap("doorplate", "check", right)["grid_code"] == "999901100001001"
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    assert "校验码" in onemap("doorplate", "check", wrong, code=2)["error"]["what"]
    file = tmp_path / "codes.csv"
    file.write_bytes(f"序号,门牌编码\r\n1,{right}\r\n2,{wrong}\r\n3,12\r\n4,\r\n5,{right}\r\n".encode("gbk"))
    answer = onemap("doorplate", "check", "--file", str(file), "--out", str(tmp_path / "wrong.csv"))
    assert (answer["codes"], answer["wrong"]) == (5, 5)
    assert "编码重复 given twice" in answer["why"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("resolve", "nosuchtoken"), 2),
        (("resolve", "9" * 27), 2),
        (("resolve", " "), 2),
        (("check",), 2),
        (("qr", "nosuch", "--out", "x.gif"), 2),
        (("check", "--file", "/nosuch.csv"), 3),
    ],
)
def test_mistakes_are_named(town, onemap, arguments, code):
    assert onemap("doorplate", *arguments, code=code)["error"]["what"]


def test_geocode_reverse_and_coverage_commands(town, tmp_path, onemap):
    assert onemap("geocode", "府前街三号")["results"][0]["address_id"] == "E1"
    assert onemap("reverse", "117.0", "32.0")["addresses"]
    assert onemap("reverse", "-3", "32", code=2)["error"]["code"] == "OutsideExtent"
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes("编号,地址\r\n1,府前街三号\r\n2,\r\n3,人民路1号\r\n4,无此地\r\n".encode("gbk"))
    counts = onemap("geocode", "--file", str(source), "--out", str(out))
    assert counts == {"rows": 4, "found": 1, "ambiguous": 1, "not_found": 1, "faulty": 1, "out": "out.csv"}
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    with out.open(encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    assert [line["编号"] for line in lines] == list("1234") and lines[0]["address_id"] == "E1" and "有歧义" in lines[2]["note"]
    for name in ("far.gpkg", "far.csv", "far.geojson"):
        answer = onemap("coverage", "--facilities", "facility", "--kind", "小学", "--distance", "300", "--out", str(tmp_path / name))
        assert answer["covered"] == 9 and (tmp_path / name).stat().st_size > 500
    assert onemap("coverage", "--filter", "kind = 'clinic'", "--distance", "300")["facilities"] == 1
    assert onemap("coverage", "--filter", "kind = ", "--distance", "300", code=2)["error"]["code"] == "InputError"
