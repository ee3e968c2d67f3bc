"""The customers without water as a sheet: CSV (UTF-8 with BOM, as Excel reads it) or Excel; no value is ever a formula."""

from __future__ import annotations

import csv
import io

from gis.analysis.outage_area import plain
from gis.standards import codes

_COLUMNS = {
    "类别": "priority", "用户": "name", "电话": "phone", "社区": "community", "地址": "address", "户数": "customers", "房屋": "building",
    "接户编号": "connection",
}  # fmt: skip


def table(customers: list[dict]) -> list[list]:
    """Titles and rows, in the given order (priority users first)."""
    titles = codes("onemap.priority")
    rows = [
        [plain(titles.title_of(c["priority"]) if column == "priority" else c[column]) for column in _COLUMNS.values()] for c in customers
    ]
    return [list(_COLUMNS), *rows]


def as_csv(customers: list[dict]) -> bytes:
    """Comma-separated, UTF-8 with BOM, CRLF."""
    sheet = io.StringIO(newline="")
    csv.writer(sheet).writerows(table(customers))
    return sheet.getvalue().encode("utf-8-sig")


def as_xlsx(notice: dict) -> bytes:
    """Two sheets: customers, and door-plates by community."""
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet = book.active
    sheet.title = "停水用户"
    plates = [["社区", "门牌地址", "门牌编号"], *([plain(p[k]) for k in ("community", "address", "id")] for p in notice["doorplates"])]
    for one, rows in ((sheet, table(notice["customers"])), (book.create_sheet("停水门牌"), plates)):
        for row in rows:
            one.append(row)
        one.freeze_panes = "A2"
        for number, title in enumerate(rows[0], 1):
            one.cell(1, number).font = Font(bold=True)
            widest = max(len(str(row[number - 1] or "")) for row in rows[:500])
            one.column_dimensions[get_column_letter(number)].width = min(max(10, 1.9 * max(widest, len(title))), 70)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()
