"""A finding: what is wrong with a delivery, as data: code, level, source row, key, field, raw value, message, remedy, geometry.

Codes of the road in itself (a code never changes its meaning; the checks of a layer have theirs in `gis.catalog.checks`):

SRC01 the source holds no rows            SRC02 a line of a text file has the wrong number of columns
SRC03 the encoding was detected           SRC04 the declared encoding is not the one the bytes are in
SRC05 a table of the delivery was not read
SRC10 measures (M) are left out           SRC11 a column's name stands twice
SRC12 elements of a drawing are not of this layer
CRS01 the CRS was assumed                 CRS02 the declared CRS cannot be true for this city
CRS03 X was taken as northing             CRS04 converted from GCJ-02 or BD-09: not survey grade
CRS05 X holds the easting: exchanged      CRS06 displaced against the base map, as GCJ-02 or BD-09 are
CRS07 an older datum was brought to CGCS2000 by the city's own parameters
MAP01 source columns without a field      MAP02 a required field has no source column
TYP01 a value is not of its field's type  TYP02 a coordinate is not a number    TYP03 a geometry cannot be read
LOD01 the old row of a rejected key stays LOD02 the key is there already (append)
LOD03 a row that stays refers to a row that the delivery retires
CHG01 … CHG07 of change sets: see `gis.ingest.changes`

Of the jobs for rasters, lists of facilities, and OpenStreetMap:

RAS01 the raster lies outside the city    RAS02 no value for missing data is declared
RAS03 it covers a part of the city        RAS04 it holds no values      RAS05 it has heights that do not occur
RAS06 it has the wrong number of bands    RAS07 it is not georeferenced or not north up
RAS08 its pixels are of a wrong type      RAS09 much of it has no values
GRD90 the cell lies in no community       GRD91 not wholly in its own     GRD92 it overlaps another
GRD93 cells do not cover the community    GRD94 more cells than serials
SEN90 what a device measures is unknown   SEN91 attached to a pipe by its place
SEN92 there is no pipe near it
FAC90 the row is no public facility       OSM01 an area without a code was left out
OSM02 the geometry is incomplete          OSM03 a road that nobody may use was left out
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import shapely

from gis import crs

if TYPE_CHECKING:
    import pandas as pd

TITLES = {
    "SRC01": "数据源没有记录",
    "SRC02": "该行列数不对",
    "SRC03": "已识别字符编码",
    "SRC04": "声明的编码与实际不符",
    "SRC10": "测量值（M）已舍去",
    "SRC11": "列名重复，已编号区分",
    "SRC12": "图中不属于本图层的要素",
    "SWM01": "没有管段的连接（泵、孔、堰）未装入",
    "SWM02": "管段没有断面",
    "SRC05": "有未读取的表",
    "CRS01": "未声明坐标系，已采用默认值",
    "CRS02": "坐标系与本市不符",
    "CRS03": "X 按北坐标、Y 按东坐标处理",
    "CRS04": "由偏移坐标系换算，非测量精度",
    "CRS05": "X 列为东坐标，已对调",
    "CRS06": "与底图整体偏移，疑为 GCJ-02 或 BD-09 坐标",
    "CRS07": "旧基准已按本市参数转换",
    "MAP01": "源数据有未对应的列",
    "MAP02": "缺少必填字段的列",
    "TYP01": "值的类型不对",
    "TYP02": "坐标不是数",
    "TYP03": "几何无法读取",
    "RAS01": "栅格不在本市范围内",
    "RAS02": "未声明无数据值",
    "RAS03": "栅格只覆盖本市一部分",
    "RAS04": "栅格没有数据",
    "RAS05": "高程值不合理",
    "RAS06": "波段数不对",
    "RAS07": "没有地理配准或不是正北向上",
    "RAS08": "像元类型不对",
    "RAS09": "大片没有数据",
    "FAC90": "不是公共服务设施",
    "GRD90": "网格不在任何社区内",
    "GRD91": "网格不完全在本社区内",
    "GRD92": "网格重叠",
    "GRD93": "社区未被网格覆盖完",
    "GRD94": "社区网格数超过顺序号",
    "SEN90": "监测类型不明",
    "SEN91": "按位置挂接管网",
    "SEN92": "附近没有管网",
    "OSM01": "行政区没有代码，未装入",
    "OSM02": "几何不完整",
    "OSM03": "禁止通行的道路，未装入",
    "LOD01": "被拒记录的原有记录保留",
    "LOD02": "编号已存在且内容不同",
    "LOD03": "保留的记录引用了本次注销的记录",
    "CHG01": "变更操作无法识别",
    "CHG07": "已识别变更操作列",
}
"""The Chinese titles of the codes, put before each message."""
COLUMNS = ["layer", "code", "level", "src_row", "key", "field", "value", "message", "remedy", "geom"]


class Findings:
    """Findings as they are gathered, in batches: one list of frames. `counts()` is {code: n}."""

    def __init__(self) -> None:
        self._frames: list[pd.DataFrame] = []

    def add(
        self, layer: str, code: str, level: str, message: str, remedy: str = "", *, field: str | None = None, value: str | None = None
    ) -> None:
        """One finding about the whole file."""
        self.extend(layer, code, level, message, remedy, field=field, rows=[None], values=[value])

    def extend(
        self,
        layer: str,
        code: str,
        level: str,
        message: str | list[str],
        remedy: str = "",
        *,
        rows,
        field: str | None = None,
        values=None,
        geometries=None,
    ) -> None:
        """One finding per source row (1-based); `values` are the raw values, `geometries` shapely objects in EPSG:4490; the message is one
        for all, or one per row."""
        rows = list(rows)
        if not rows:
            return
        import pandas as pd  # most deliveries have no findings, and do without it

        values = [None] * len(rows) if values is None else [None if v is None else str(v) for v in values]
        geom = (
            [None] * len(rows)
            if geometries is None
            else shapely.to_wkb(shapely.set_srid(geometries, crs.STORED), hex=True, include_srid=True)
        )
        self._frames.append(
            pd.DataFrame(
                {
                    "layer": layer,
                    "code": code,
                    "level": level,
                    "src_row": pd.array(rows, dtype="Int64"),
                    "key": None,
                    "field": field,
                    "value": values,
                    "message": f"{TITLES[code]} / {message}" if code in TITLES and isinstance(message, str) else message,
                    "remedy": remedy,
                    "geom": geom,
                },
                columns=COLUMNS,
            )
        )

    def refer(self, layer: str, field: str, found: list[tuple], level: str, count: int) -> None:
        """Rows (key, value, position as hexadecimal EWKB) that stay and refer to what a delivery retires; of `count` that there are, those
        that are not listed are one finding, with their number."""
        if found:
            keys, values, places = zip(*found, strict=True)
            self.extend(
                layer, "LOD03", level, "it stays and refers to a row that the delivery retires", "Deliver both, or keep the row",
                rows=[None] * len(found), field=field, values=values,
            )  # fmt: skip
            self._frames[-1] = self._frames[-1].assign(key=keys, geom=places)
        if count > len(found):
            self.add(
                layer, "LOD03", level, "so many more rows stay and refer to what the delivery retires", "Deliver both, or keep the rows",
                field=field, value=str(count - len(found)),
            )  # fmt: skip

    def rows(self, code: str) -> int:
        """How many findings have this code."""
        return sum(int((frame["code"] == code).sum()) for frame in self._frames)

    def take(self, other: Findings, before: int = 0) -> None:
        """Adds another's findings; its row numbers count on from `before`."""
        for frame in other._frames:
            self._frames.append(frame.assign(src_row=frame["src_row"] + before))

    def frame(self) -> pd.DataFrame:
        """All findings, columns as `COLUMNS`; `geom` is hexadecimal EWKB."""
        import pandas as pd

        return pd.concat(self._frames, ignore_index=True) if self._frames else pd.DataFrame(columns=COLUMNS)

    def counts(self) -> dict[str, int]:
        """How many findings of each code."""
        return self.frame()["code"].value_counts().sort_index().to_dict()

    def __len__(self) -> int:
        return sum(map(len, self._frames))
