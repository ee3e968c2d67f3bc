"""Faults planted in the sample city: one row for each check of each layer, listed with its code, and nothing else wrong.

A planted row is a copy of a good row of the city under a key of its own, appended at the end, in which only what the check is
about is changed. What the file format cannot carry (a 400-byte text in a shapefile, a polygon in a CSV) is not planted there.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import shapely

from etl.city.write import SHEET_NAMES, SURVEY_NAMES, degrees
from gis.analysis.doorplate_code import compose
from gis.catalog import checks, read
from gis.catalog.checks import RowCheck
from gis.catalog.model import Catalog, Layer

SHARE = 0.4
"""At most this share of a layer's rows is planted, so that the delivery as a whole is not refused."""
NOT_IN_SHAPEFILE = ("GEO02", "GEO03", "GEO07")
NOT_IN_SHEET = ("GEO02", "GEO03")


def plant(city, tables: dict) -> list[dict]:
    """Append the faulty rows to `tables` (in place; the third element becomes {row: geometry in EPSG:4490 or raw text}).

    Returns the manifest: [{layer, row (1-based in its file), key, code, field}], in order of layer and row.
    """
    catalog, manifest = read.catalog(), []
    for layer_id in list(tables):
        layer = catalog.layers[layer_id]
        frame, geom = tables[layer_id][:2]
        room = int(len(frame) * SHARE)
        bench = _Bench(layer, catalog, frame, geom, tables)
        for check in [*checks.own(layer, catalog), *checks.derived(layer, catalog)]:
            if len(bench.rows) < room and bench.carries(check):
                bench.add(check)
        if layer_id in SHEET_NAMES:
            bench.add_wrong_types(room)
        tables[layer_id] = bench.appended()
        manifest += bench.manifest
    return manifest


class _Bench:
    """One layer's good rows, and the faulty ones made from them."""

    def __init__(self, layer: Layer, catalog: Catalog, frame: pd.DataFrame, geom: np.ndarray, tables: dict):
        self.layer, self.catalog, self.frame, self.geom, self.tables = layer, catalog, frame, geom, tables
        self.rows: list[dict] = []
        self.base: list[int] = []
        self.places: dict[int, object] = {}
        self.manifest: list[dict] = []
        self.shapefile, self.sheet = layer.id in SURVEY_NAMES, layer.id in SHEET_NAMES
        self.delivered = set(SURVEY_NAMES.get(layer.id, SHEET_NAMES.get(layer.id, layer.columns))) | {"valid_to"}

    def carries(self, check: RowCheck) -> bool:
        """Whether the file can hold this fault, and whether it would be one (a default fills an empty field)."""
        column = self.layer.columns.get(check.field)
        if column is not None and check.field not in self.delivered:
            return False
        if check.code == "NUL" and column is not None and column.default is not None:
            return False
        if self.shapefile:
            long = check.code == "LEN" and column.max_length > 110
            return not long and check.code not in NOT_IN_SHAPEFILE
        return not (self.sheet and check.code in NOT_IN_SHEET)

    def add(self, check: RowCheck) -> None:
        """Append one row that this check, and no other, finds."""
        base = self._base(check)
        if base is None:
            return
        row = self.frame.iloc[base].to_dict()
        row |= self._key(row)
        row |= {n: None for n, c in self.layer.columns.items() if c.unique and n not in self.layer.key}
        number = len(self.rows)
        if check.code[:3] == "GEO":
            self.places[number] = self._geometry(check, base)
        else:
            row |= self._values(check, row, base)
        self._append(row, base, check.code, check.field)

    def add_wrong_types(self, room: int) -> None:
        """In sheets: words where a number, a date of 13 months where a day, words where coordinates should be."""
        for field, value in (("capacity", "很多"), ("valid_from", "2021-13-01"), ("installed_on", "去年")):
            if field in self.frame and len(self.rows) < room:
                row = self.frame.iloc[0].to_dict()
                self._append(row | self._key(row) | {field: value}, 0, "TYP01", field)

    def _append(self, row: dict, base: int, code: str, field: str | None) -> None:
        self.rows.append(row)
        self.base.append(base)
        key = ":".join("" if row.get(k) is None else str(row[k]) for k in self.layer.key)
        self.manifest.append({"layer": self.layer.id, "row": len(self.frame) + len(self.rows), "key": key, "code": code, "field": field})

    def appended(self) -> tuple[pd.DataFrame, np.ndarray, dict]:
        """The table with its faulty rows, their geometry, and the places that no file in the working CRS could give."""
        if not self.rows:
            return self.frame, self.geom, {}
        extra = pd.DataFrame(self.rows)
        frame = self.frame
        if "valid_to" in extra and "valid_to" not in frame:
            frame = frame.assign(valid_to=pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us]"))
        columns = {}
        for n in [*frame, *(n for n in extra if n not in frame and n in self.layer.columns)]:
            if n not in frame:
                columns[n] = pd.concat([pd.Series(None, index=frame.index, dtype=object), extra[n]], ignore_index=True).astype("str")
                continue
            values = extra[n] if n in extra else pd.Series(None, index=extra.index, dtype=object)
            columns[n] = _joined(frame[n], values)
        places = {len(frame) + k: g for k, g in self.places.items()}
        return pd.DataFrame(columns), np.r_[self.geom, self.geom[self.base]], places

    # --- which row, which key, which values ---------------------------------------------------------------------------

    def _base(self, check: RowCheck) -> int | None:
        """A good row to copy: for rules of the layer file one to which the rule applies; else one of the first."""
        frame, code = self.frame, check.code
        wanted = {
            "ADR01": lambda: frame["level"] == "gate",
            "ADR02": lambda: frame["level"] == "gate",
            "ADR03": lambda: frame["level"] == "gate",
            "ADR04": lambda: frame["level"] == "gate",
            "PLT01": lambda: frame["kind"] != "room",
            "PLT02": lambda: frame["state"] == "installed",
            "ADM01": lambda: frame["level"] == "community",
            "ADM02": lambda: frame["level"] == "community",
            "FAC01": lambda: frame["kind"] == "primary_school",
            "SEN01": lambda: frame["kind"] == "pressure",
            "CON01": lambda: frame["curb_valve"].notna(),
            "PIP02": lambda: frame["length_m"] > 30,
            "VLV01": lambda: frame["kind"] == "gate",
            "VLV02": lambda: frame["kind"] == "gate",
            "VLV03": lambda: frame["kind"] == "gate",
            "GAS01": lambda: frame["pressure_class"] == "low",
            "HEA01": lambda: frame["diameter_mm"] > 200,
            "PCL01": lambda: frame["area_m2"] > 200,
        }
        if code in wanted:
            found = np.flatnonzero(wanted[code]().to_numpy(dtype=bool))
            return int(found[len(found) // 3]) if len(found) else None
        if self.layer.id == "admin_area":
            return int(np.flatnonzero((frame["level"] == "community").to_numpy())[0])
        if self.layer.id == "water_valve":
            return int(np.flatnonzero((frame["kind"] == "gate").to_numpy())[0])
        if self.layer.id in ("sewer_pipe", "rain_pipe"):
            return int(np.argmax(frame["slope_permille"].to_numpy() < 8))
        return min(len(frame) - 1, 1 + len(self.rows) % max(1, len(frame) // 2))

    def _key(self, row: dict) -> dict:
        """A key that no other row has, in the form that the layer asks for."""
        name, n = self.layer.key[-1], len(self.rows)
        value = str(row[name])
        if re.fullmatch(r"[0-9]+", value):
            return {name: value[:-3] + f"{999 - n:03d}"}
        return {name: f"QX{n + 1:04d}"}

    def _values(self, check: RowCheck, row: dict, base: int) -> dict:
        """What makes the row faulty: mostly the check's own counterexample; where that speaks of the good row of the layer file,
        the same fault in terms of this city's row."""
        own = {
            "PIP01": lambda: {"to_node": row["from_node"]},
            "ADR03": lambda: {"full_text": f"{row['full_text']}Ａ座"},
            "PLT01": lambda: self._plate_code(row),
            "ADM02": lambda: {"parent": self._other_town(row["parent"])},
            "COM01": lambda: {"town_code": self._other_town(row["town_code"])},
            "GRD01": lambda: {"grid_code": "999901999999001"},
            "MAN01": lambda: {"depth_m": row["depth_m"] + 1.0},
            "MAN02": lambda: {"invert_m": row["ground_m"] + 5.0, "depth_m": None},
            "SEW01": lambda: {"invert_to_m": row["invert_from_m"] + 0.6, "slope_permille": None},
            "VLV01": lambda: {"from_node": row["node_id"]},
            "VLV02": lambda: {"kind": "prv", "isolating": False, "flow": None},
            "VLV03": lambda: {"kind": "check", "isolating": True, "flow": "to_node"},
            "NAM01": lambda: {"name": "府前街Ａ"},
            "CON01": lambda: {"curb_status": None},
            "VAL01": lambda: {"valid_to": pd.Timestamp("2000-01-01"), "valid_from": pd.Timestamp("2001-01-01")},
            "DUP": lambda: {k: self.frame.iloc[base][k] for k in self.layer.key},
            "UNI": lambda: {check.field: self.frame.iloc[base][check.field]},
            "REF": lambda: self._dangling(check),
        }
        if check.code in own:
            return own[check.code]()
        values = {n: v for n, v in check.counterexample.items() if n != "geometry"}
        return {n: ";".join(v) if isinstance(v, list) else v for n, v in values.items()}

    def _plate_code(self, row: dict) -> dict:
        others = self.tables["grid_cell"][0]["grid_code"]
        other = next(g for g in others if g != row["grid_code"])
        return {"grid_code": other, "code": compose([row["grid_code"][:12]], [row["grid_code"][12:]], [99999], [0])[0]}

    def _other_town(self, code: str) -> str:
        towns = self.tables["admin_area"][0]
        return next(c for c in towns["code"][towns["level"] == "town"] if c != code)

    def _dangling(self, check: RowCheck) -> dict:
        values = {n: v for n, v in check.counterexample.items() if n != "geometry"}
        if self.layer.id == "grid_cell":
            return {"community_code": "999901999999", "grid_code": "999901999999002"}
        if self.layer.id == "admin_area":
            return {"parent": "999901999", "code": "999901999998"}
        if self.layer.id == "water_valve" and check.field in ("from_node", "to_node"):
            other = {"from_node": "to_node", "to_node": "from_node"}[check.field]
            return values | {"node_id": None, "pipe_id": None, other: self.frame["node_id"].iloc[0]}
        return values

    def _geometry(self, check: RowCheck, base: int):
        """The faulty place in EPSG:4490: exchanged axes and displacement of the copied row's own place, else the example."""
        code, good = check.code, degrees(self.geom[base : base + 1])[0]
        if code == "GEO04":
            return shapely.transform(good, lambda c: c + np.r_[10.0, np.zeros(c.shape[1] - 1)], include_z=good.has_z)
        if code == "GEO07":
            return shapely.transform(good, lambda c: c[:, [1, 0, *range(2, c.shape[1])]], include_z=good.has_z)
        text = check.counterexample.get("geometry")
        return None if text is None else shapely.from_wkt(text)


def _joined(column: pd.Series, values: pd.Series) -> pd.Series:
    """A column with more values behind, in its own type where they fit."""
    both = pd.concat([column.astype(object), values.astype(object)], ignore_index=True)
    both = both.where(both.notna(), None)
    if pd.api.types.is_datetime64_any_dtype(column):
        parsed = pd.to_datetime(both, errors="coerce")
        return both.map(_day) if (parsed.isna() & both.notna()).any() else parsed
    for kind in (str(column.dtype), "Float64") if pd.api.types.is_numeric_dtype(column) else ():
        try:
            return both.astype({"int64": "Int64", "bool": "boolean", "int32": "Int64"}.get(kind, kind))
        except (TypeError, ValueError):
            continue
    return both if pd.api.types.is_numeric_dtype(column) else both.astype("str")


def _day(value):
    return value.strftime("%Y-%m-%d") if isinstance(value, pd.Timestamp) else value
