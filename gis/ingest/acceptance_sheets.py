"""The acceptance report as a workbook and as a GeoPackage: every finding with its number, up to what a spreadsheet opens easily."""

from __future__ import annotations

import re
from pathlib import Path

import openpyxl
import pandas as pd
import shapely
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font, PatternFill

from gis.ingest.acceptance import LEVELS, Acceptance, by_code
from gis.ingest.report import _harmless as harmless

ROWS = 100_000
"""Findings in the workbook; the GeoPackage and the CSV have all."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_COLUMNS = ["number", "level", "code", "title", "layer", "src_row", "key", "field", "value", "message", "remedy", "lon", "lat"]
_TITLES = ["编号", "级别", "代码", "问题", "图层", "行号", "要素编号", "字段", "值", "说明", "处理建议", "经度", "纬度"]


def write(found: Acceptance, path: Path) -> Path:
    """The workbook: sheets 结论, 问题清单, 问题汇总, 属性完整性, 精度统计; headers frozen, with filters."""
    book = openpyxl.Workbook(write_only=True)
    batch = found.batch
    summary = [("结论", found.verdict), *(("理由", r) for r in found.reasons), ("批次", batch["id"]), ("文件", batch["source"]),
               ("SHA-256", batch["sha256"]), ("操作人", batch["operator"]), ("时间", f"{batch['started_at']:%Y-%m-%d %H:%M:%S %z}"),
               ("状态", batch["status"]),
               ("方式", batch["mode"]), ("说明", batch["message"]), ("读取行数", found.result.rows_read), ("入库行数",
               found.result.rows_loaded),
               ("拒收行数", found.result.rows_rejected), ("问题总数", len(found.findings))]  # fmt: skip
    if len(found.findings) > ROWS:
        summary.append(("注", f"问题清单列出前 {ROWS} 条，全部见 findings.csv 和 findings.gpkg"))
    _sheet(book, "结论", ("项目", "内容"), summary, (16, 90))
    rows = listed(found).head(ROWS)
    _sheet(book, "问题清单", _TITLES, rows.itertuples(index=False), (7, 7, 9, 30, 16, 8, 22, 16, 22, 50, 40, 13, 13))
    groups = by_code(found)
    _sheet(book, "问题汇总", ("级别", "代码", "问题", "图层", "数量", "处理建议"),
           [(LEVELS[g.level], g.code, g.title, g.layers, g.n, g.remedy) for g in groups.itertuples()], (7, 9, 40, 30, 9, 50))  # fmt: skip
    _sheet(book, "属性完整性", ("图层", "属性", "字段", "必填", "已填", "总数", "填写率"), [
        (found.layers[c.layer].title.zh, found.layers[c.layer].columns[c.field].title.zh, c.field, "是" if c.required else "", c.filled,
        c.total,
         round(c.share, 4)) for c in found.filled if c.layer in found.layers
    ], (16, 20, 20, 6, 10, 10, 9))  # fmt: skip
    _sheet(book, "精度统计", ("项目", "单位", "个数", "平均", "中误差", "最大", "限差", "超限个数", "结论"), [
        (f["name"], f["unit"], f["n"], f["mean"], f["rms"], f["max"], f["limit"], f["beyond"], {True: "符合",
        False: "超限"}.get(f["kept"], ""))
        for f in found.evidence.statistics
    ], (36, 6, 9, 10, 10, 10, 8, 10, 8))  # fmt: skip
    book.save(path)
    return path


def listed(found: Acceptance) -> pd.DataFrame:
    """The findings as rows of the workbook."""
    frame = pd.DataFrame(found.findings.drop(columns="geometry"))
    bounds = shapely.bounds(found.findings.geometry.to_numpy()).reshape(-1, 4)  # no numbers where there is no place
    frame["lon"], frame["lat"] = ((bounds[:, :2] + bounds[:, 2:]) / 2).round(8).T
    frame["level"] = frame["level"].map(LEVELS)
    frame["layer"] = frame["layer"].map(lambda n: found.layers[n].title.zh if n in found.layers else n)
    return frame[_COLUMNS]


def package(found: Acceptance, path: Path) -> Path | None:
    """All findings that have a place as points, lines or areas with their numbers (EPSG:4490); None where there are none."""
    placed = found.findings[~shapely.is_missing(found.findings.geometry.to_numpy())]
    path.unlink(missing_ok=True)
    if not len(placed):
        return None
    names = {"number": "number", "code": "code", "level": "level", "layer": "layer", "src_row": "row", "key": "key", "field": "field",
    "value": "value",
             "title": "title", "message": "message", "remedy": "remedy"}  # fmt: skip
    placed[[*names, "geometry"]].rename(columns=names).to_file(path, driver="GPKG", layer="findings", engine="pyogrio")
    return path


def _sheet(book, title: str, titles, rows, widths: tuple[int, ...]) -> None:
    """A sheet with a bold header that stays, filters over it, and columns as wide as needed."""
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for i, width in enumerate(widths):
        sheet.column_dimensions[openpyxl.utils.get_column_letter(i + 1)].width = width
    head = []
    for text in titles:
        cell = WriteOnlyCell(sheet, value=text)
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="E8EEF4")
        head.append(cell)
    sheet.append(head)
    n = 1
    for row in rows:
        sheet.append([_value(v) for v in row])
        n += 1
    sheet.auto_filter.ref = f"A1:{openpyxl.utils.get_column_letter(len(titles))}{n}"


def _value(value):
    """What a cell can hold: no formula, no control character, nothing longer than a cell."""
    if value is None or value is pd.NA or value != value:
        return None
    return harmless(_CONTROL.sub("", value))[:32_000] if isinstance(value, str) else value
