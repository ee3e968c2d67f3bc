"""The delivery that `bench load` measures: address points of the sample city with 15 columns, drawn with numpy, in three formats."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import pyogrio
import shapely

from gis import crs
from gis.catalog import read
from gis.ingest import wkb

PART = 250_000
"""Rows made at a time: the memory of the generator is not what is measured, but it must fit."""
NAMES = {
    "address_id": "地址编号", "full_text": "地址全称", "town": "乡镇", "community": "社区", "community_code": "社区代码",
    "road": "街路", "number": "门牌号", "compound": "小区", "building_no": "楼牌号", "unit": "单元", "floor": "楼层", "room": "户室号",
    "status": "地址状态", "level": "地址级别", "valid_from": "生效日期",
}  # fmt: skip
"""The 15 columns: field and its Chinese name, as a bureau delivers them."""


def communities(n: int = 200) -> geopandas.GeoDataFrame:
    """The communities that the addresses refer to: n squares side by side."""
    west, south, east, north = read.catalog().city.extent
    edges = np.linspace(west, east, n + 1)
    return geopandas.GeoDataFrame(
        {"code": [_code(i) for i in range(n)], "name": [f"第{i}社区" for i in range(n)]},
        geometry=[shapely.MultiPolygon([shapely.box(a, south, b, north)]) for a, b in pairwise(edges)],
        crs=crs.STORED,
    )


def _code(i: int) -> str:
    return f"999901{i // 100 + 100:03d}{i % 100:03d}"


def rows(first: int, n: int, *, seed: int = 7) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Addresses number `first` to `first + n`: their 15 columns and their positions in degrees."""
    draw = np.random.default_rng([seed, first])
    west, south, east, north = read.catalog().city.extent
    x, y = draw.uniform(west + 0.01, east - 0.01, n), draw.uniform(south + 0.01, north - 0.01, n)

    def of(pattern: str, most: int) -> pa.Array:
        names = pa.array([pattern.format(i) for i in range(1, most + 1)])
        return names.take(pa.array(draw.integers(0, most, n)))

    community = draw.integers(0, 200, n)
    road, number, building = of("青澜{}路", 900), of("{}号", 999), of("{}幢", 60)
    unit, room = of("{}单元", 6), of("{}室", 3200)
    town = pa.array([f"第{i}镇" for i in range(12)]).take(pa.array(community % 12))
    join = pc.binary_join_element_wise
    return pa.table({
        "address_id": pc.binary_join_element_wise("A", pa.array(np.arange(first, first + n)).cast(pa.string()), ""),
        "full_text": join("示例省示例市青澜县", town, road, number, building, unit, room, ""),
        "town": town,
        "community": pa.array([f"第{i}社区" for i in range(200)]).take(pa.array(community)),
        "community_code": pa.array([_code(i) for i in range(200)]).take(pa.array(community)),
        "road": road, "number": number, "compound": of("和园{}期", 2500), "building_no": building, "unit": unit,
        "floor": pa.array(draw.integers(1, 33, n)), "room": room,
        "status": pa.array(["official"]).take(pa.array(np.zeros(n, int))),
        "level": pa.array(["room"]).take(pa.array(np.zeros(n, int))),
        "valid_from": pa.array((draw.integers(3650, 19000, n)).astype("int32"), pa.int32()).cast(pa.date32()),
    }), x, y  # fmt: skip


def parquet(path: Path, n: int, *, first: int = 0) -> Path:
    """A GeoParquet file (1.1) of n addresses in EPSG:4490."""
    writer = None
    column = {"encoding": "WKB", "geometry_types": ["Point"], "crs": crs.crs(crs.STORED).to_json_dict()}
    meta = json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}})
    for start in range(first, first + n, PART):
        table, x, y = rows(start, min(PART, first + n - start))
        table = table.append_column("geometry", wkb.points(x, y)).replace_schema_metadata({"geo": meta})
        writer = writer or pa.parquet.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=65_536)
    writer.close()
    return path


def geopackage(path: Path, n: int) -> Path:
    """A GeoPackage of n addresses in EPSG:4490, written by GDAL with its spatial index."""
    for start in range(0, n, PART):
        table, x, y = rows(start, min(PART, n - start))
        pyogrio.write_arrow(
            table.append_column("geometry", wkb.points(x, y)), path, driver="GPKG", geometry_name="geometry", geometry_type="Point",
            crs=f"EPSG:{crs.STORED}", append=start > 0,
        )  # fmt: skip
    return path


def shapefile(path: Path, n: int) -> Path:
    """A shapefile of n addresses with Chinese column names and texts in GBK, in the city's working CRS."""
    working = read.catalog().city.srid
    table, x, y = rows(0, n)
    frame = table.rename_columns([NAMES[c] for c in table.column_names]).to_pandas()
    frame[NAMES["valid_from"]] = frame[NAMES["valid_from"]].astype(str)
    points = shapely.points(*crs.transform(x, y, crs.STORED, working))
    pyogrio.write_dataframe(
        geopandas.GeoDataFrame(frame, geometry=points, crs=working), path, driver="ESRI Shapefile", encoding="GBK",
        layer_options={"RESIZE": "YES"},
    )  # fmt: skip
    return path
