"""The tables of a pipe survey: point and line tables of CSV, Excel, Access and shapefiles, with their columns under one name each.

`tables(path)` reads a folder, a ZIP or a file; what is a point table, a line table or a table of repeated measurements is told by its
columns (and, for the last, its name). Values stay the texts that were delivered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from etl.pipe_survey_files import Raw, raw_tables
from gis.ingest.map import plain

POINT = {
    "number": ("物探点号", "管线点号", "管点编号", "点号", "探测点号", "Exp_No", "ExpNo", "Exp", "Point_No", "Pt_No", "S_Point", "WTDH"),
    "map_number": ("图上点号", "图幅点号", "Map_No", "TSDH"),
    "north": ("X", "X坐标", "X坐标(m)", "X(m)", "纵坐标", "北坐标", "坐标X", "North", "Northing"),
    "east": ("Y", "Y坐标", "Y坐标(m)", "Y(m)", "横坐标", "东坐标", "坐标Y", "East", "Easting"),
    "lon": ("经度", "lon", "lng", "longitude"),
    "lat": ("纬度", "lat", "latitude"),
    "ground": ("地面高程", "地面高程(m)", "高程", "Surf_H", "SurfH", "Ground_H", "High", "Elevation", "DMGC"),
    "code": ("点编码", "点要素编码", "要素编码", "要素代码", "编码", "Point_Code", "Code"),
    "feature": ("特征", "点特征", "管点特征", "Feature", "TZ"),
    "appurtenance": ("附属物", "附属物名称", "附属设施", "Subsid", "Adjunct", "FSW"),
    "depth": ("埋深", "井深", "井底埋深", "管顶埋深", "Deep", "Depth", "Well_Deep", "JS"),
    "cover": ("井盖材质", "井盖类型", "Cover_Mat", "WellCover"),
    "type": ("管线种类", "管线类型", "管线小类", "管类", "类别", "Type", "Kind"),
    "road": ("所在道路", "道路名称", "道路", "地址", "Address", "Road", "RoadName"),
}  # fmt: skip
"""Point table: our name → the names in deliveries (CJJ 61-2017, ../shared/standards and the usual variants), the surest first."""
LINE = {
    "line_id": ("管段编号", "管线编号", "管段号", "线号", "Lno", "Line_No", "LineID"),
    "start": ("起点点号", "起点物探点号", "起始点号", "起点管线点号", "起点编号", "起点号", "S_Exp", "SExp", "S_Point", "QDDH", "本点号"),
    "end": ("终点点号", "终点物探点号", "连接点号", "连接点物探点号", "终止点号", "终点管线点号", "终点编号", "终点号", "E_Exp", "EExp",
            "E_Point", "ZDDH", "连接方向", "下点号"),
    "start_north": ("S_X", "起点X", "起点X坐标"),
    "start_east": ("S_Y", "起点Y", "起点Y坐标"),
    "end_north": ("E_X", "终点X", "终点X坐标"),
    "end_east": ("E_Y", "终点Y", "终点Y坐标"),
    "start_depth": ("S_Deep", "起点埋深", "起点埋深(m)", "起点管顶埋深", "QDMS"),
    "end_depth": ("E_Deep", "终点埋深", "终点埋深(m)", "终点管顶埋深", "ZDMS"),
    "start_level": ("QDGC", "起点高程", "起点管线高程", "起点管顶高程", "起点管底高程", "S_H", "S_Level"),
    "end_level": ("ZDGC", "终点高程", "终点管线高程", "终点管顶高程", "终点管底高程", "E_H", "E_Level"),
    "type": ("管线种类", "管线类型", "管线小类", "管类", "类别", "Type", "Kind"),
    "code": ("线编码", "管线编码", "线要素编码", "要素编码", "要素代码", "Line_Code", "Code"),
    "material": ("材质", "管材", "管线材质", "Material"),
    "size": ("规格", "管径", "管径(mm)", "断面尺寸", "管径或断面尺寸", "PSize", "P_Size", "D_S", "DS"),
    "embedding": ("埋设方式", "埋设类型", "敷设方式", "EmBed"),
    "flow": ("排水流向", "流向", "FlowDir", "Flow_Dir"),
    "pressure": ("压力", "压力(MPa)", "压力值", "Pressure"),
    "voltage": ("电压", "电压(kV)", "电压值", "电压等级", "Voltage"),
    "temperature": ("温度", "Temperature"),
    "cables": ("电缆条数", "电缆根数", "条数", "CabNum", "Cab_Count"),
    "ducts": ("总孔数", "管孔数", "TotalHole", "Hole_Count"),
    "used_ducts": ("已用孔数", "占用孔数", "UsedHole", "Hole_Used"),
    "circuit": ("供回水", "供水回水"),
    "road": ("所在道路", "道路名称", "道路", "地址", "Address", "Road", "RoadName"),
    "owner": ("权属单位", "权属", "Belong", "Owner"),
    "laid": ("埋设日期", "埋设年代", "建设年代", "建成日期", "敷设日期", "Mdate", "BuildDate"),
    "status": ("使用状态", "使用状况", "管线状态", "状态", "Status", "UseStatus"),
}  # fmt: skip
"""Line table, likewise. 埋深 at both ends: to the top of pressure pipes and ducts, to the inner bottom of gravity pipes."""
_REPEATED = re.compile(r"检查|复测|重复|抽查|check|repeat", re.IGNORECASE)


@dataclass
class Table:
    """One table of a survey: `rows` has our column names (texts, None where empty), `unknown` are its other columns. `before` is how many
    rows of its kind were read earlier: row numbers run on from one table to the next. kind: point, line, check (points measured again)."""

    name: str
    file: Path
    kind: str
    rows: pd.DataFrame
    unknown: tuple[str, ...]
    before: int = 0
    crs: str | None = None
    encoding: str | None = None


@dataclass
class Tables:
    """All tables of a delivery. `ignored`: tables and files that are neither points nor lines, with what they hold."""

    files: list[Path]
    points: list[Table]
    lines: list[Table]
    checks: list[Table]
    ignored: list[str]


def tables(path: Path | str, *, encoding: str | None = None) -> Tables:
    """All point and line tables under a path (folder, ZIP, CSV, Excel, Access, shapefile).

    Raises SourceError (unreadable, no such file, no point or line table).
    """
    found = Tables([], [], [], [], [])
    lists = {"point": found.points, "line": found.lines, "check": found.checks}
    for raw in raw_tables(Path(path), encoding=encoding):
        if raw.file not in found.files:
            found.files.append(raw.file)
        table = recognised(raw)
        if table is None:
            found.ignored.append(raw.name)
            continue
        own = lists[table.kind]
        table.before = own[-1].before + len(own[-1].rows) if own else 0
        own.append(table)
    return found


def recognised(raw: Raw) -> Table | None:
    """What a table is, by its columns: both point numbers make a line table, a number and a place a point table; None: neither."""
    line, rest = _named(raw.rows, LINE)
    if {"start", "end"} <= set(line.columns):
        return Table(raw.name, raw.file, "line", line, rest, crs=raw.crs, encoding=raw.encoding)
    point, rest = _named(raw.rows, POINT)
    names = set(point.columns)
    if raw.easting is not None and "east" not in names:
        point["east"], point["north"] = raw.easting, raw.northing
    if names & {"number", "map_number"} and ({"north", "east"} <= set(point.columns) or {"lon", "lat"} <= names):
        if "number" not in names:
            point["number"] = point["map_number"]
        kind = "check" if _REPEATED.search(raw.name) else "point"
        return Table(raw.name, raw.file, kind, point, rest, crs=raw.crs, encoding=raw.encoding)
    return None


def _named(rows: pd.DataFrame, names: dict[str, tuple[str, ...]]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The columns that are known, under our names, and the names of the others."""
    by_plain: dict[str, str] = {}
    for column in rows.columns:
        by_plain.setdefault(plain(str(column)), column)
    found: dict[str, str] = {}
    for ours, theirs in names.items():
        for name in theirs:
            column = by_plain.get(plain(name))
            if column is not None and column not in found.values():
                found[ours] = column
                break
    taken = set(found.values())
    frame = pd.DataFrame({ours: texts(rows[column]) for ours, column in found.items()}, index=rows.index)
    return frame, tuple(str(c) for c in rows.columns if c not in taken)


def texts(column: pd.Series) -> np.ndarray:
    """Values (n,) as trimmed texts without `.0`, None where empty."""
    if pd.api.types.is_numeric_dtype(column):
        return np.array([None if v != v else f"{v:.12g}" for v in column.astype(float)], dtype=object)
    stripped = column.astype(object).where(column.notna(), None)
    return np.array([None if v is None or not (s := str(v).strip()) else s for v in stripped], dtype=object)


def stacked(tables_: list[Table], names: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """The rows of several tables one below the other, with all columns of `names`, `table` (position in the list) and `row` (1-based row of
    its own table); the index is 0…n-1."""
    parts = [t.rows.reindex(columns=list(names)).assign(table=i, row=np.arange(1, len(t.rows) + 1)) for i, t in enumerate(tables_)]
    if not parts:
        return pd.DataFrame(columns=[*names, "table", "row"])
    return pd.concat(parts, ignore_index=True).astype({name: object for name in names}).replace({np.nan: None})


def origins(tables_: list[Table], frame: pd.DataFrame) -> np.ndarray:
    """Where each row (n,) stands: `JS_LINE.csv:12`."""
    names = np.array([t.name for t in tables_], dtype=object)
    return np.array([f"{names[t]}:{r}" for t, r in zip(frame["table"], frame["row"], strict=True)], dtype=object)


def all_tables(found: Tables) -> Iterator[Table]:
    """Points, lines and repeated points, in that order."""
    yield from (*found.points, *found.lines, *found.checks)
