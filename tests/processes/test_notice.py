"""The outage notice: what it says, and its files."""

import base64
import csv
import json
import re

import openpyxl
import pytest
from test_works import add, change, ring  # noqa: F401
from typer.testing import CliRunner

from gis.cli.main import application
from gis.cli.typed import inputs_of
from gis.db.connection import owner
from gis.db.store import Store
from gis.errors import AccessDenied, InputError
from gis.processes import outage_notice, pipe_burst

TIMES = {"starts": "2026-12-01T08:00:00+08:00", "ends": "2026-12-01T16:00:00+08:00"}


def notice(role="water", **inputs):
    with Store(role) as store:
        return outage_notice.run(store, inputs_of(outage_notice.OutageNoticeInputs, inputs))


@pytest.fixture
def onemap(tmp_path):
    def run(*arguments):
        times = () if "--work" in arguments else ("--from", "2026-12-01T08:00", "--until", "2026-12-01T16:00")
        done = CliRunner().invoke(application(), ["notice", *arguments, *times, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run


def test_what_a_notice_of_a_burst_says(street):
    found = notice(pipe="AB", contact="96390", **TIMES)
    assert found["kind"] == "emergency" and found["contact"] == "96390" and found["reason"]
    assert [v["id"] for v in found["valves"]] == ["VAB"] and found["valves"][0]["lon"] == 117.001
    assert [(c["connection"], c["priority"], c["customers"]) for c in found["customers"]] == [("c1", "school", 24)]
    assert [p["id"] for p in found["doorplates"]] == ["m1"] and sum(a["plates"] for a in found["areas"]) == 1
    with pytest.raises(AccessDenied):
        notice("anonymous", pipe="AB", **TIMES)


def test_customers_are_named_only_to_those_who_may_know(street):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE core.water_connection SET customer_name = '=cmd()', phone = '+86999'")
    assert notice("water", pipe="AB", **TIMES)["customers"][0]["name"] == "=cmd()"
    assert notice("planner", pipe="AB", **TIMES)["customers"][0]["name"] is None


def test_a_service_line_behind_its_curb_stop(street):
    found = notice(connection="c1", **TIMES)
    assert [v["id"] for v in found["valves"]] == ["k1"] and found["valves"][0]["lon"] is None
    assert [c["connection"] for c in found["customers"]] == ["c1"]


def test_a_work_is_announced_with_what_it_does_together_with_another(ring):  # noqa: F811
    first, second = add(pipe="AB", title="换管"), add(pipe="AC")
    found = notice(work=first)
    assert found["works"] == [second] and found["affected"]["pipes"] == ["AB", "BD", "CD"] and found["affected"]["customers"] == 9
    assert [c["priority"] for c in found["customers"]] == ["hospital"] and found["number"] == f"停水〔2026〕第{first:04d}号"
    change("cancel", work=second)
    assert notice(work=first)["affected"]["customers"] == 0
    change("cancel", work=first)
    with pytest.raises(InputError, match="cancelled"):
        notice(work=first)


def test_the_files(street, onemap, tmp_path):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE core.water_connection SET customer_name = '=HYPERLINK(1)'")
    paths = {kind: tmp_path / f"notice.{kind}" for kind in ("html", "pdf", "csv", "xlsx")}
    for path in paths.values():
        assert "features" not in onemap("--pipe", "AB", "--reason", "<b>检修</b>", "--out", str(path))
    page = paths["html"].read_text(encoding="utf-8")
    for said in ("停水原因", "停水时间", "停水范围", "恢复供水", "编号", "府前街1号", "VAB", "学校", "&lt;b&gt;检修"):
        assert said in page, said
    assert "<b>检修" not in page and "<svg" in page
    assert not re.search(r"(src|href)=|url\(|@import", page), "nothing comes from outside"
    assert paths["pdf"].read_bytes().startswith(b"%PDF-")
    raw = paths["csv"].read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(raw.decode("utf-8-sig").splitlines()))
    assert rows[0]["类别"] == "学校" and rows[0]["用户"] == "'=HYPERLINK(1)" and rows[0]["户数"] == "24"
    book = openpyxl.load_workbook(paths["xlsx"])
    assert [cell.value for cell in book["停水用户"][2]][:2] == ["学校", "'=HYPERLINK(1)"]
    assert all(cell.data_type != "f" for sheet in book for row in sheet for cell in row) and book["停水门牌"]["B2"].value == "府前街1号"


def test_wrong_requests_are_refused(street, tmp_path):
    late = TIMES | {"ends": "2026-12-01T07:00:00+08:00"}
    for inputs in ({"pipe": "AB"}, {"work": 1, "pipe": "AB"}, {**TIMES}, {"pipe": "AB", **late}):
        with pytest.raises(InputError):
            notice(**inputs)
    for out in ("notice.docx", "nowhere/notice.pdf"):
        done = CliRunner().invoke(application(), ["notice", "--pipe", "AB", "--out", str(tmp_path / out)])
        assert isinstance(done.exception, InputError)


def test_the_files_come_by_value_too(street):
    """So the map and other programs have them without the command."""
    for kind, begins in (("html", b"<!doctype html>"), ("pdf", b"%PDF-"), ("csv", b"\xef\xbb\xbf"), ("xlsx", b"PK")):
        made = notice(pipe="AB", document=kind, **TIMES)["document"]
        assert made["name"].endswith(f".{kind}") and made["encoding"] == ("utf-8" if kind == "html" else "base64")
        data = made["value"].encode() if kind == "html" else base64.b64decode(made["value"])
        assert data.startswith(begins), kind
    with Store("water") as store:
        asked = pipe_burst.BurstInputs(pipe="AB", document="html")
        sheet = pipe_burst.run(store, asked, lambda share, what: None)["document"]
    assert sheet["mediaType"].startswith("text/html") and "VAB" in sheet["value"] and "<svg" in sheet["value"]
    with pytest.raises(InputError):
        notice(pipe="AB", document="docx", **TIMES)


def test_a_washout_is_where_to_drain_and_no_hydrant_that_fails(street):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE core.hydrant SET kind = 'washout'")
    found = notice(pipe="AB", document="html", **TIMES)
    assert found["affected"]["hydrants"] == [] and [(h["hydrant"], h["kind"]) for h in found["drain"]["hydrants"]] == [("H", "washout")]
    assert "排泥阀（放水口） H" in found["document"]["value"]
