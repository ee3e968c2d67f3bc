"""What a batch found, for people: a table that Excel opens, and the places for a map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import shapely

from gis import crs
from gis.db.connection import owner
from gis.errors import InputError
from gis.ingest.statements import text

if TYPE_CHECKING:
    import geopandas

_COLUMNS = ["layer", "code", "level", "src_row", "key", "field", "value", "message", "remedy"]
_TITLES = ["图层", "代码", "级别", "行号", "编号", "字段", "值", "问题", "处理建议"]


def findings(batch: int) -> geopandas.GeoDataFrame:
    """The findings of a batch, the gravest first; geometry EPSG:4490, None where a finding has no place."""
    import geopandas  # a load itself does without
    import pandas as pd

    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(text("findings_of"), {"batch": batch})
        frame = pd.DataFrame(cursor.fetchall(), columns=[*_COLUMNS, "geometry"])
    frame["src_row"] = frame["src_row"].astype("Int64")
    geometry = shapely.from_wkb([None if g is None else bytes(g) for g in frame["geometry"]], on_invalid="ignore")
    return geopandas.GeoDataFrame(frame[_COLUMNS], geometry=geometry, crs=crs.STORED)


def write(batch: int, folder: Path) -> list[Path]:
    """Writes `findings.csv` (UTF-8 with a byte-order mark: Excel shows the Chinese), `findings.geojson` and `findings.gpkg` (the
    findings that have a place) into a folder; answers the files. Raises InputError where the folder cannot be written."""
    import pandas as pd

    found = findings(batch)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        table = folder / "findings.csv"
        sheet = pd.DataFrame(found[_COLUMNS]).apply(
            lambda column: column.map(_harmless) if column.dtype == object or column.dtype == "str" else column
        )
        sheet.set_axis(_TITLES, axis=1).to_csv(table, index=False, encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"the report cannot be written: {error.strerror}", remedy="Name another folder with --report") from None
    coordinates = shapely.get_coordinates
    places = found[[g is not None and bool(abs(coordinates(g)).max(initial=0) < 1e9) for g in found.geometry]]
    files = [table]
    if len(places):
        for name, driver in (("findings.geojson", "GeoJSON"), ("findings.gpkg", "GPKG")):
            (folder / name).unlink(missing_ok=True)
            out = places.set_crs(crs.WGS84, allow_override=True) if driver == "GeoJSON" else places
            out.assign(geometry=shapely.force_2d(out.geometry.values)).to_file(folder / name, driver=driver, engine="pyogrio")
            files.append(folder / name)
    return files


def _harmless(value):
    """A text that a spreadsheet would take for a formula is put in quotes."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "@")) else value


def batches(limit: int = 20) -> list[dict]:
    """The newest batches with their counts."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(text("batches"), {"limit": limit})
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
