"""A survey as a batch, and its acceptance report: all or nothing, repeatable, taken back; page, workbook and GeoPackage say the same."""

import json
import re
import sqlite3

import openpyxl
import pandas as pd
import pyogrio
import pytest
from deliveries import content, query

from etl import pipe_survey
from gis.db.store import Store
from gis.errors import SourceError
from gis.ingest import acceptance, evidence, load
from gis.ingest.rollback import rollback
from gis.processes import pipe_burst

LAYERS = ("water_node", "water_pipe", "water_valve", "hydrant", "sewer_manhole", "sewer_pipe", "rain_pipe", "gas_node", "gas_pipe",
          "gas_valve", "heat_pipe", "power_line", "telecom_line")  # fmt: skip


@pytest.fixture
def small(clean, tmp_path):
    """The gas and telecommunication tables of the clean survey."""
    return sorted(f for f in clean.glob("*.csv") if f.name[:2] in ("RQ", "TX"))


def reported(catalog, paths, folder, **options):
    """Loads with a report; answers the result (of a refusal too)."""
    with evidence.gathering() as found:
        try:
            result = pipe_survey.load(catalog, paths, **options)
        except load.Rejected as refused:
            result = refused.result
    return result, acceptance.write(catalog, result, found, folder)


def test_a_survey_is_one_batch_that_can_be_repeated_and_taken_back(store_db, catalog, clean, faulty):
    before = {layer: content(layer) for layer in LAYERS}
    first = pipe_survey.load(catalog, [clean])
    assert first.rows_rejected == 0 and first.rows_read == first.rows_loaded and {o.layer for o in first.layers} >= set(LAYERS)
    published = {layer: content(layer) for layer in LAYERS}
    again = pipe_survey.load(catalog, [clean])
    assert sum(o.inserted + o.updated + o.retired for o in again.layers) == 0
    second = pipe_survey.load(catalog, [faulty])
    assert second.rows_read == second.rows_loaded + second.rows_rejected and second.rows_rejected > 0
    assert all(o.rows_read == o.rows_loaded + o.rows_rejected for o in second.layers)
    assert query("SELECT count(*) FROM meta.reject WHERE batch = %s", second.batch)[0][0] == second.rows_rejected
    planted = json.loads((faulty / "manifest.json").read_text(encoding="utf-8"))
    for code, n in pd.Series([m["code"] for m in planted]).value_counts().items():
        assert second.findings[code] - first.findings.get(code, 0) == n, code
    assert set(second.findings) - set(first.findings) == {m["code"] for m in planted} - {"SN01"}  # one fault, one finding
    rollback(catalog, second.batch)
    assert {layer: content(layer) for layer in LAYERS} == published
    rollback(catalog, again.batch), rollback(catalog, first.batch)
    assert {layer: content(layer) for layer in LAYERS} == before


def test_a_refused_survey_changes_nothing_and_is_reported(store_db, catalog, small, tmp_path):
    result, files = reported(catalog, small, tmp_path / "report", crs="EPSG:4527")
    assert result.status == "rejected" and result.findings["CRS02"] == 1 and query("SELECT count(*) FROM core.gas_pipe")[0][0] == 0
    page = files[0].read_text(encoding="utf-8")
    assert "不合格" in page and "EPSG:4548" in page and "整批拒收" in page
    with pytest.raises(SourceError, match="no point table"):
        pipe_survey.load(catalog, [small[0]])


def test_page_workbook_and_package_say_the_same(store_db, catalog, faulty, tmp_path):
    result, files = reported(catalog, [faulty], tmp_path / "report", dry_run=True)
    assert query("SELECT count(*) FROM core.water_pipe")[0][0] == 0 and result.status == "dry_run"
    names = {f.name: f for f in files}
    assert set(names) == {"acceptance.html", "acceptance.xlsx", "findings.gpkg", "findings.csv", "findings.geojson"}
    page = names["acceptance.html"].read_text(encoding="utf-8")
    assert "有条件合格" in page and not re.search(r"(src|href)\s*=\s*['\"](?!#)", page) and "http://" not in page and "https://" not in page
    book = openpyxl.load_workbook(names["acceptance.xlsx"])
    assert book.sheetnames == ["结论", "问题清单", "问题汇总", "属性完整性", "精度统计"]
    assert all(sheet.freeze_panes == "A2" and sheet.auto_filter.ref for sheet in book.worksheets)
    head, *rows = book["问题清单"].iter_rows(values_only=True)
    listed = pd.DataFrame(rows, columns=head)
    assert len(listed) == sum(result.findings.values()) and listed["编号"].tolist() == list(range(1, len(listed) + 1))
    assert listed["代码"].value_counts().to_dict() == result.findings
    placed = pyogrio.read_dataframe(names["findings.gpkg"]).set_index("number")
    assert placed.crs.to_epsg() == 4490 and (listed.set_index("编号")["经度"].notna().sum()) == len(placed)
    assert (listed.set_index("编号").loc[placed.index, "代码"] == placed["code"]).all()
    with sqlite3.connect(names["findings.gpkg"]) as package:
        assert package.execute("SELECT count(*) FROM gpkg_contents WHERE table_name = 'findings'").fetchone() == (1,)
    marked = {int(n) for n in re.findall(r"<text x=\"11\" y=\"-7\" fill=\"#\w+\">(\d+)</text>", page)}
    assert marked <= set(placed.index) and len(marked) >= 40
    filled = {(r[0], r[2]): r for r in book["属性完整性"].iter_rows(min_row=2, values_only=True)}
    assert filled["给水管线", "diameter_mm"][4] == filled["给水管线", "diameter_mm"][5] - 0
    figures = {r[0]: r for r in book["精度统计"].iter_rows(min_row=2, values_only=True)}
    assert figures["重复测量平面位置"][7] == 1 and figures["高程闭合差（地面高程－埋深－管线高程）"][8] == "超限"


def test_the_verdict_follows_the_citys_limits(store_db, catalog, small, tmp_path):
    result, _ = reported(catalog, small, tmp_path / "one", dry_run=True)
    with evidence.gathering() as found:
        pipe_survey.load(catalog, small, dry_run=True)
    assert acceptance.judged(catalog, result, found).verdict == "合格"
    strict = catalog.city.acceptance.model_copy(update={"filled": {"gas_pipe.pressure_class": 0.5}})
    other = catalog.model_copy(update={"city": catalog.city.model_copy(update={"acceptance": strict})})
    judged = acceptance.judged(other, result, found)
    assert judged.verdict == "有条件合格" and "压力级制" in judged.reasons[0]


def test_many_findings_are_grouped_and_bounded(store_db, catalog, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    n = 3000
    points = pd.DataFrame({"物探点号": [f"J{i}" for i in range(n)], "特征": "<b>怪点</b>", "X": [3_541_000 + i % 50 for i in range(n)],
                           "Y": [500_000 + i // 50 for i in range(n)], "地面高程": 30.0})  # fmt: skip
    lines = pd.DataFrame({"S_Exp": ["J0"], "E_Exp": ["J1"], "S_Deep": [1.0], "E_Deep": [1.0], "PSize": ["=1+1"], "EmBed": ["直埋"]})
    points.to_csv(folder / "JS_POINT.csv", index=False, encoding="utf-8")
    lines.to_csv(folder / "JS_LINE.csv", index=False, encoding="utf-8")
    result, files = reported(catalog, [folder], tmp_path / "report", dry_run=True)
    page = files[0].read_text(encoding="utf-8")
    assert result.findings["SP13"] == n and len(page) < 1_000_000
    assert "共 3,000 条，列出前 20 条" in page and "<b>怪点" not in page
    values = [r[8] for r in openpyxl.load_workbook(files[1])["问题清单"].iter_rows(min_row=2, values_only=True)]
    assert len(values) == sum(result.findings.values()) and "'=1+1" in values  # no formula comes in by a delivery


@pytest.mark.parametrize("form", ["point", "split", "link"])
def test_a_burst_is_closed_by_the_same_valve_however_it_was_surveyed(form, store_db, catalog, valve):
    pipe_survey.load(catalog, [valve(form)], network=form)
    last = "V" if form == "point" else "V2"
    with Store(role="water", user="test") as store:
        answer = pipe_burst.run(store, pipe_burst.parsed(network=form, pipe=f"{last}-J2"), lambda share, what: None)
    assert answer["isolated"] and len(answer["valves"]["close"]) == 1
    assert "J1-V" not in answer["affected"]["pipes"] and f"{last}-J2" in answer["affected"]["pipes"]
