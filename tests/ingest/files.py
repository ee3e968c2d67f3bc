"""Small deliveries of the same rows in every format that may come in."""

from __future__ import annotations

import zipfile
from pathlib import Path

import ezdxf
import geopandas
import openpyxl

GDAL = {
    "gpkg": ("GPKG", {}),
    "shp": ("ESRI Shapefile", {"encoding": "GBK"}),
    "geojson": ("GeoJSON", {}),
    "geojsonl": ("GeoJSONSeq", {}),
    "gml": ("GML", {"FORMAT": "GML3"}),
    "kml": ("LIBKML", {}),
    "fgb": ("FlatGeobuf", {}),
    "gdb": ("OpenFileGDB", {}),
}
FORMATS = (*GDAL, "csv", "parquet", "xlsx", "zip")
"""Those that carry attributes under their own names; drawings (`dxf`) are apart."""


def write(frame: geopandas.GeoDataFrame, folder: Path, suffix: str, name: str = "facility") -> Path:
    """Writes the frame (points, EPSG:4490) into a folder; answers the file to load."""
    path = folder / f"{name}.{suffix}"
    if suffix in GDAL:
        driver, options = GDAL[suffix]
        degrees = suffix in ("geojson", "geojsonl", "kml")
        (frame.set_crs(4326, allow_override=True) if degrees else frame).to_file(path, driver=driver, engine="pyogrio", **options)
    elif suffix == "dxf":
        drawing(path, frame)
    elif suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "zip":
        shape = write(frame, folder, "shp", f"{name}_in")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for part in sorted(folder.glob(f"{name}_in.*")):
                packed.write(part, f"交付/{part.name}")
        assert shape.exists()
    else:
        table = frame.drop(columns="geometry").assign(lon=frame.geometry.x, lat=frame.geometry.y)
        table.to_csv(path, index=False, encoding="gb18030") if suffix == "csv" else workbook(path, {"设施": table})
    return path


def drawing(path: Path, frame: geopandas.GeoDataFrame) -> Path:
    """Draws each row as a block with attributes on the CAD layer `facility`, in GBK."""
    made = ezdxf.new("R2004")
    made.encoding, made.header["$DWGCODEPAGE"] = "gbk", "ANSI_936"
    made.blocks.new("设施").add_circle((0, 0), 0.5)
    for row, shape in zip(frame.drop(columns="geometry").itertuples(index=False), frame.geometry, strict=True):
        block = made.modelspace().add_blockref("设施", (shape.x, shape.y), dxfattribs={"layer": "facility"})
        for name, value in zip(frame.columns, row, strict=False):
            block.add_attrib(name, str(value))
    made.saveas(path)
    return path


def workbook(path: Path, sheets: dict, title: str | None = None) -> Path:
    """Writes tables as the sheets of a workbook, each below a title where one is given."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, table in sheets.items():
        page = book.create_sheet(name)
        if title:
            page.append([title])
        page.append(list(table.columns))
        for row in table.astype(object).where(table.notna(), None).itertuples(index=False):
            page.append(list(row))
    book.save(path)
    return path
