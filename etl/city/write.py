"""The delivery: one file per layer in the formats in which a bureau gets them, and the elevation model."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import shapely
from rasterio.transform import from_origin
from scipy.ndimage import map_coordinates, spline_filter

from etl.city.terrain import EXTENT, Ground, to_degrees, to_metres

ORDER = (
    "admin_area",
    "community",
    "grid_cell",
    "road_node",
    "road",
    "building",
    "water_body",
    "parcel",
    "address",
    "door_plate",
    "place_name",
    "facility",
    "water_node",
    "water_pipe",
    "water_valve",
    "water_source",
    "hydrant",
    "water_connection",
    "sewer_manhole",
    "sewer_pipe",
    "rain_pipe",
    "gas_pipe",
    "gas_valve",
    "heat_pipe",
    "power_line",
    "telecom_line",
    "sensor",
)
"""Layers so that whatever is referred to comes first."""

SURVEY_NAMES = {
    "gas_pipe": {
        "pipe_id": "管段编号",
        "from_node": "起点点号",
        "to_node": "终点点号",
        "subtype": "管线小类",
        "pressure_class": "压力级制",
        "pressure_mpa": "压力",
        "diameter_mm": "管径",
        "material": "材质",
        "depth_from_m": "起点埋深",
        "depth_to_m": "终点埋深",
        "embedding": "埋设方式",
        "status": "使用状态",
        "road_name": "所在道路",
        "owner": "权属单位",
        "valid_from": "敷设日期",
    },
    "power_line": {
        "line_id": "管段编号",
        "from_node": "起点点号",
        "to_node": "终点点号",
        "subtype": "管线小类",
        "voltage_kv": "电压",
        "cables": "电缆条数",
        "section": "断面尺寸",
        "ducts": "总孔数",
        "used_ducts": "已用孔数",
        "material": "材质",
        "depth_from_m": "起点埋深",
        "depth_to_m": "终点埋深",
        "embedding": "埋设方式",
        "status": "使用状态",
        "road_name": "所在道路",
        "owner": "权属单位",
        "valid_from": "敷设日期",
    },
}
"""Layers delivered as a survey: shapefile in EPSG:4548, GBK, Chinese field names of at most 10 bytes."""
SHEET_NAMES = {
    "facility": {
        "facility_id": "设施编号",
        "name": "设施名称",
        "kind": "设施类型",
        "capacity": "容量",
        "level": "设施级别",
        "address": "地址",
        "phone": "联系电话",
        "valid_from": "启用日期",
    },
    "sensor": {
        "sensor_id": "设备编号",
        "name": "设备名称",
        "kind": "监测类型",
        "unit": "计量单位",
        "network": "管网",
        "node_id": "所在节点",
        "pipe_id": "所在管段",
        "state": "设备状态",
        "installed_on": "安装日期",
        "valid_from": "启用日期",
    },
}
"""Layers delivered as a sheet: CSV, UTF-8, columns 经度 and 纬度 behind."""


def degrees(geom: np.ndarray) -> np.ndarray:
    """Geometries of EPSG:4548 in EPSG:4490 (longitude, latitude), heights kept."""
    flat, height = shapely.get_coordinates(geom, include_z=True), shapely.has_z(geom)
    turned = np.c_[to_degrees(flat[:, :2]), flat[:, 2]]
    if height.any():
        return shapely.set_coordinates(geom.copy(), turned)
    return shapely.set_coordinates(shapely.force_2d(geom), turned[:, :2])


def write(out: Path, tables: dict, ground: Ground, progress=None) -> dict[str, str]:
    """Write every layer of `tables` (layer -> (DataFrame, geometry in EPSG:4548)) and the elevation model to `out`.

    Returns layer -> file name. What lay in `out` under the same names is replaced. A layer without rows (the smallest towns have no
    such thing) has no file: nothing was surveyed, nothing is delivered.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for layer in ORDER:
        for old in out.glob(f"{layer}.*"):
            old.unlink()
        if layer not in tables or not len(tables[layer][0]):
            continue
        frame, geom, *places = tables[layer]
        places = places[0] if places else {}
        if progress:
            progress(f"write {layer}", len(frame), len(frame))
        if layer in SURVEY_NAMES:
            files[layer] = _shapefile(out, layer, frame, geom, places)
        elif layer in SHEET_NAMES:
            files[layer] = _sheet(out, layer, frame, geom, places)
        else:
            files[layer] = _package(out, layer, frame, geom, places)
    files["dem"] = elevation(out / "dem.tif", ground)
    return files


def _days(frame: pd.DataFrame) -> pd.DataFrame:
    days = {c: frame[c].dt.strftime("%Y-%m-%d") for c in frame if pd.api.types.is_datetime64_any_dtype(frame[c])}
    return frame.assign(**days)


def _placed(geom: np.ndarray, places: dict) -> np.ndarray:
    """The geometries with those of `places` (row -> geometry in the same CRS) instead."""
    geom = geom.copy()
    for row, other in places.items():
        geom[row] = other
    return geom


def _package(out: Path, layer: str, frame: pd.DataFrame, geom: np.ndarray, places: dict) -> str:
    path = out / f"{layer}.gpkg"
    frame = frame.assign(**{c: frame[c].astype("datetime64[ms]") for c in frame if pd.api.types.is_datetime64_any_dtype(frame[c])})
    geom = _placed(degrees(geom), places)
    data = gpd.GeoDataFrame(frame, geometry=geom, crs="EPSG:4490")
    kinds = set(np.unique(shapely.get_type_id(geom)).tolist()) - {-1}
    flat = {0: "Point", 1: "LineString", 6: "MultiPolygon"}.get(next(iter(kinds))) if len(kinds) == 1 else "Unknown"
    kind = flat + (" Z" if len(geom) and shapely.has_z(geom).any() and flat != "Unknown" else "")
    pyogrio.write_dataframe(data, path, layer=layer, driver="GPKG", use_arrow=True, geometry_type=kind)
    return path.name


def _shapefile(out: Path, layer: str, frame: pd.DataFrame, geom: np.ndarray, places: dict) -> str:
    path = out / f"{layer}.shp"
    names = SURVEY_NAMES[layer] | ({"valid_to": "废弃日期"} if "valid_to" in frame else {})
    metric = {k: None if g is None else shapely.transform(g, _metric, include_z=True) for k, g in places.items()}
    geom = _placed(geom, metric)
    data = gpd.GeoDataFrame(_days(frame)[list(names)].rename(columns=names), geometry=geom, crs="EPSG:4548")
    pyogrio.write_dataframe(data, path, driver="ESRI Shapefile", encoding="GBK")
    path.with_suffix(".cpg").unlink(missing_ok=True)
    return path.name


def _metric(xyz: np.ndarray) -> np.ndarray:
    return np.c_[to_metres(xyz[:, :2]), xyz[:, 2]]


def _sheet(out: Path, layer: str, frame: pd.DataFrame, geom: np.ndarray, places: dict) -> str:
    path = out / f"{layer}.csv"
    geom = _placed(degrees(geom), places)
    names = SHEET_NAMES[layer] | ({"valid_to": "停用日期"} if "valid_to" in frame else {})
    sheet = _days(frame)[list(names)].rename(columns=names)
    sheet["经度"], sheet["纬度"] = np.round(shapely.get_x(geom), 8), np.round(shapely.get_y(geom), 8)
    sheet.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\n")
    return path.name


def elevation(path: Path, ground: Ground, step: float = 30.0) -> str:
    """The ground as a GeoTIFF of EPSG:4548 with cells of `step` metres, heights at their middles, 1985 national height."""
    w, s, e, n = EXTENT
    corner = to_metres(np.array([[w, s], [e, s], [w, n], [e, n]]))
    low, high = np.floor(corner.min(0) / step - 3) * step, np.ceil(corner.max(0) / step + 3) * step
    cols, rows = np.round((high - low) / step).astype(int)
    x, y = low[0] + (np.arange(cols) + 0.5) * step, high[1] - (np.arange(rows) + 0.5) * step
    z = np.empty((rows, cols), np.float32)
    coarse = step * 6
    cx, cy = np.arange(low[0], high[0] + 2 * coarse, coarse), np.arange(high[1], low[1] - 2 * coarse, -coarse)
    bend = ground.town(np.stack(np.meshgrid(cx, cy), -1).reshape(-1, 2)).reshape(len(cy), len(cx), 2)
    smooth = [spline_filter(bend[..., k], order=3) for k in (0, 1)]
    for top in range(0, rows, 200):
        part = np.stack(np.meshgrid(x, y[top : top + 200]), -1).reshape(-1, 2)
        at = [(high[1] - part[:, 1]) / coarse, (part[:, 0] - low[0]) / coarse]
        st = np.stack([map_coordinates(v, at, order=3, prefilter=False) for v in smooth], 1)
        z[top : top + 200] = np.round(ground.height(part, st), 2).reshape(-1, cols)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=cols,
        height=rows,
        count=1,
        dtype="float32",
        crs="EPSG:4548",
        transform=from_origin(low[0], high[1], step, step),
        compress="deflate",
        predictor=3,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        nodata=-9999.0,
    ) as tif:
        tif.write(z, 1)
        tif.set_band_description(1, "ground elevation, m, 1985 national height datum")
    return path.name
