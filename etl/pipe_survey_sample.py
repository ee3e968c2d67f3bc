"""A survey delivery of the fictional city's pipelines by CJJ 61-2017: point and line tables of every category, as a surveyor hands
them over.

The pipelines are those of the synthetic city; they are cut into straight lines between numbered points (bends, joints, devices, and a
point at least every
`spacing` metres), with ground level, depth and levels to the millimetre, X = northing. Faults can be planted (`etl.pipe_survey_faults`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from etl import synthetic_city
from gis.standards import codes, feature_codes

GROUPS = {
    "JS": ("water_pipe",), "PS": ("sewer_pipe", "rain_pipe"), "RQ": ("gas_pipe",), "RL": ("heat_pipe",), "DL": ("power_line",),
    "TX": ("telecom_line",),
}  # fmt: skip
TITLES = {"JS": "给水", "PS": "排水", "RQ": "燃气", "RL": "热力", "DL": "电力", "TX": "通信"}
_DEVICE_AT, _CLEAR = 2.0, 1.0
"""Valves lie so far from their node, and no other point so near to a device, metres."""
_CHAMBERS = {"DL": "人孔", "TX": "手孔"}
_SHAPES = {1: "预留口", 3: "三通", 4: "四通"}


@dataclass
class Tables:
    """The point and the line table of one category, with the columns of the delivery."""

    points: pd.DataFrame
    lines: pd.DataFrame


def make(out: Path, *, addresses: int = 2000, seed: int = 1, spacing: float = 70.0, defects: bool = False, form: str = "csv") -> dict:
    """Writes the tables of every category into a folder; answers counts. `form`: csv (GBK, one file per table) or xlsx (one workbook).
    With `defects` faults
    are planted and listed in `manifest.json` as [{code, at}], `at` being `table:row`."""
    city = synthetic_city._town(addresses, seed, lambda *_: None)
    layers = synthetic_city._tables(city, lambda *_: None)
    made = {code: _category(code, layers, city.ground, spacing) for code in GROUPS}
    checks, manifest = repeated(made["JS"].points, seed), []
    if defects:
        from etl import pipe_survey_faults

        manifest = pipe_survey_faults.plant(made, checks)
    out.mkdir(parents=True, exist_ok=True)
    written = {name: frame for code, t in made.items() for name, frame in ((f"{code}_POINT", t.points), (f"{code}_LINE", t.lines))}
    written["JS_CHECK"] = checks
    if form == "xlsx":
        with pd.ExcelWriter(out / "survey.xlsx", engine="openpyxl") as book:
            for name, frame in written.items():
                frame.to_excel(book, sheet_name=name, index=False)
    else:
        for name, frame in written.items():
            frame.to_csv(out / f"{name}.csv", index=False, encoding="gbk", lineterminator="\r\n")
    if defects:
        (out / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), "utf-8")
    return {
        "points": sum(len(t.points) for t in made.values()),
        "lines": sum(len(t.lines) for t in made.values()),
        "faults": len(manifest),
        "out": str(out),
    }


def repeated(points: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Every twentieth point measured again, with the differences that good work has (1–2 cm)."""
    rng = np.random.default_rng(seed)
    again = points.iloc[::20][["物探点号", "X", "Y", "地面高程"]].copy()
    for name, sigma in (("X", 0.012), ("Y", 0.012), ("地面高程", 0.008)):
        again[name] = np.round(again[name] + np.clip(rng.normal(0, sigma, len(again)), -2.5 * sigma, 2.5 * sigma), 3)
    return again


def _category(code: str, layers: dict, ground, spacing: float) -> Tables:
    parts = [(name, *layers[name][:2]) for name in GROUPS[code]]
    frame = pd.concat([f for _, f, _ in parts], ignore_index=True)
    shape = np.concatenate([g for _, _, g in parts])
    cuts = _cuts(shape, frame, layers, code, spacing)
    points, ends = _numbered(frame, shape, cuts, code, ground)
    lines = _lines(frame, points, ends, code)
    points = _features(points, lines, layers, code)
    columns = ["图上点号", "物探点号", "特征", "附属物", "X", "Y", "地面高程", "井深", "点编码", "道路名称"]
    return Tables(points.reindex(columns=columns), lines)


def _cuts(shape, frame, layers, code, spacing) -> pd.DataFrame:
    """Where each line gets a point: `line`, `at` (metres from its start), `device` (valve, hydrant or none); ends included."""
    xy, of = shapely.get_coordinates(shape, return_index=True)
    step = np.r_[0.0, np.hypot(*np.diff(xy, axis=0).T)]
    first = np.r_[True, of[1:] != of[:-1]]
    step[first] = 0
    run = np.cumsum(step)
    run -= run[first][of]
    total = shapely.length(shape)
    parts = [pd.DataFrame({"line": of, "at": run, "device": ""})]
    key = "line_id" if "line_id" in frame else "pipe_id"
    row = pd.Series(np.arange(len(frame)), index=frame[key])
    for name in {"JS": ("water_valve", "hydrant"), "RQ": ("gas_valve",)}.get(code, ()):
        device = layers[name][0]
        device = device[device["pipe_id"].isin(row.index)]
        if "kind" in device and name == "water_valve":
            device = device[device["kind"].isin(["gate", "butterfly"])]
        line = row[device["pipe_id"]].to_numpy()
        if name == "hydrant":
            at = device["fraction"].to_numpy(float) * total[line]
        else:
            at = np.where(frame["from_node"].to_numpy()[line] == device["node_id"].to_numpy(), _DEVICE_AT, total[line] - _DEVICE_AT)
        roomy = (at > 1.5 * _CLEAR) & (at < total[line] - 1.5 * _CLEAR)
        parts.append(pd.DataFrame({"line": line[roomy], "at": at[roomy], "device": "hydrant" if name == "hydrant" else "valve"}))
    cuts = pd.concat(parts, ignore_index=True).sort_values(["line", "at"], kind="stable").reset_index(drop=True)
    for _ in range(4):  # a point too near to the one before goes, unless it is an end; of two devices the second goes
        gap = np.r_[9e9, np.diff(cuts["at"])]
        gap[np.r_[True, cuts["line"].to_numpy()[1:] != cuts["line"].to_numpy()[:-1]]] = 9e9
        near = gap < _CLEAR
        last = cuts["at"].to_numpy() >= total[cuts["line"]] - 1e-6
        start = cuts["at"].to_numpy() <= 1e-6
        prior = np.r_[near[1:], False] & ~start & ((cuts["device"] == "").to_numpy() | np.r_[last[1:], False])
        drop = prior | (near & ~last & ~np.r_[False, prior[:-1]])
        cuts = cuts[~drop].reset_index(drop=True)
    gap = np.r_[np.diff(cuts["at"]), 0]
    gap[np.r_[cuts["line"].to_numpy()[1:] != cuts["line"].to_numpy()[:-1], True]] = 0
    pieces = np.maximum(1, np.ceil((gap - 1e-6) / spacing)).astype(int)
    again = np.repeat(np.arange(len(cuts)), pieces)
    nth = np.arange(len(again)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    full = cuts.iloc[again].reset_index(drop=True)
    full["at"] = full["at"] + nth * (gap / pieces)[again]
    full.loc[nth > 0, "device"] = ""
    return full


def _numbered(frame, shape, cuts, code, ground) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The points with numbers, places and levels, and the lines between them (`line`, `a`, `b`, `za`, `zb`)."""
    xyz, of = shapely.get_coordinates(shape, include_z=True, return_index=True)
    step = np.r_[0.0, np.hypot(*np.diff(xyz[:, :2], axis=0).T)]
    step[np.r_[True, of[1:] != of[:-1]]] = 0
    far = 10 * step.sum() + 1000
    run = np.cumsum(step)
    run = run - run[np.searchsorted(of, of)] + of * far
    query = cuts["at"].to_numpy() + cuts["line"].to_numpy() * far
    place = np.column_stack([np.interp(query, run, xyz[:, k]) for k in range(3)])
    line = cuts["line"].to_numpy()
    start = np.r_[True, line[1:] != line[:-1]]
    end = np.r_[line[1:] != line[:-1], True]
    number = np.array([f"{code}X{k:06d}" for k in range(1, len(cuts) + 1)], dtype=object)
    number[start], number[end] = frame["from_node"].to_numpy()[line[start]], frame["to_node"].to_numpy()[line[end]]
    points = pd.DataFrame({"物探点号": number, "Y": np.round(place[:, 0], 3), "X": np.round(place[:, 1], 3), "device": cuts["device"],
                           "道路名称": frame["road_name"].to_numpy()[line]})  # fmt: skip
    unique = points.drop_duplicates("物探点号").reset_index(drop=True)
    unique["地面高程"] = np.round(ground.height(unique[["Y", "X"]].to_numpy()), 3)
    _cover(unique, at := pd.Series(np.arange(len(unique)), index=unique["物探点号"])[number].to_numpy(), place[:, 2], frame, line, code)
    unique["图上点号"] = [f"{code}{k}" for k in range(1, len(unique) + 1)]
    if code != "PS":  # a pressure pipe runs along under the ground from node to node; all pipes at a node have its depth
        depth = np.round(unique["地面高程"].to_numpy()[at] - place[:, 2], 3)
        depth = pd.Series(depth).groupby(at).transform("first").to_numpy()
        z = np.round(unique["地面高程"].to_numpy()[at] - depth, 3)
    else:
        z = np.round(place[:, 2], 3)
    inner = np.flatnonzero(~end)
    return unique, pd.DataFrame({"line": line[inner], "a": at[inner], "b": at[inner + 1], "za": z[inner], "zb": z[inner + 1]})


def _cover(points: pd.DataFrame, at: np.ndarray, z: np.ndarray, frame: pd.DataFrame, line: np.ndarray, code: str) -> None:
    """On bridges and at outfalls the ground of the terrain model is the river's: there the pipe is covered by what was built."""
    room = frame["diameter_mm"].to_numpy(float)[line] / 1000 + 0.05 if code == "PS" else np.full(len(z), 0.5)
    least = pd.Series(z + room).groupby(at).max()
    points["地面高程"] = np.round(np.maximum(points["地面高程"], least.reindex(range(len(points))).to_numpy()), 3)


def _lines(frame, points, ends, code) -> pd.DataFrame:
    source = frame.iloc[ends["line"].to_numpy()].reset_index(drop=True)
    number, ground = points["物探点号"].to_numpy(), points["地面高程"].to_numpy()
    a, b = ends["a"].to_numpy(), ends["b"].to_numpy()
    names = {"JS": "water", "PS": "sewer", "RQ": "gas", "RL": "heat", "DL": "power", "TX": "telecom"}
    lines = pd.DataFrame({
        "S_Exp": number[a], "E_Exp": number[b], "Type": [codes(f"cjj61.{names[code]}_subtype").title_of(s) for s in source["subtype"]],
        "S_Deep": np.round(ground[a] - ends["za"], 3), "E_Deep": np.round(ground[b] - ends["zb"], 3),
        "Material": [codes("cjj61.material").title_of(m) if m is not None and m == m else None for m in source["material"]],
        "PSize": _sizes(source, code), "EmBed": [codes("cjj61.embedding").title_of(e) for e in source["embedding"]],
        "Address": source["road_name"], "Belong": source["owner"], "Mdate": pd.to_datetime(source["valid_from"]).dt.strftime("%Y-%m-%d"),
    })  # fmt: skip
    if code not in ("DL", "TX"):
        lines["QDGC"], lines["ZDGC"] = ends["za"].to_numpy(), ends["zb"].to_numpy()
    if code == "PS":
        lines["FlowDir"] = 0
    if code == "RQ":
        lines["Pressure"] = source["pressure_mpa"]
        for side, at in (("S", a), ("E", b)):
            lines[f"{side}_X"], lines[f"{side}_Y"] = points["X"].to_numpy()[at], points["Y"].to_numpy()[at]
    if code == "RL":
        lines["供回水"] = [{"supply": "供", "return": "回"}.get(c) for c in source["circuit"]]
    if code in ("DL", "TX"):
        lines["CabNum"], lines["TotalHole"], lines["UsedHole"] = (source[c].astype("Int64") for c in ("cables", "ducts", "used_ducts"))
    if code == "DL":
        lines["Voltage"] = source["voltage_kv"]
    twice = (
        lines.duplicated(["S_Exp", "E_Exp", "Type"])
        | pd.DataFrame(np.sort(lines[["S_Exp", "E_Exp"]].astype(str).to_numpy(), axis=1)).duplicated()
    )
    return lines[~(twice | (lines["S_Exp"] == lines["E_Exp"]))].reset_index(drop=True)


def _sizes(source: pd.DataFrame, code: str) -> list:
    if code in ("DL", "TX"):
        return [None if s is None or s != s else str(s) for s in source["section"]]
    box = source["section"] if "section" in source else pd.Series([None] * len(source))
    return [str(s) if s is not None and s == s else f"{d:g}" for s, d in zip(box, source["diameter_mm"], strict=True)]


def _features(points: pd.DataFrame, lines: pd.DataFrame, layers: dict, code: str) -> pd.DataFrame:
    """The points that lines touch, with the feature (特征) or appurtenance (附属物) of each, and its code in appendix F if known."""
    touch = pd.concat([lines["S_Exp"], lines["E_Exp"]]).value_counts()
    points = points[points["物探点号"].isin(touch.index)].reset_index(drop=True)
    degree = touch[points["物探点号"]].to_numpy()
    shape = np.array([_SHAPES.get(int(d), "") for d in degree], dtype=object)
    shape[degree == 2] = "直线点"
    fixed = np.full(len(points), None, dtype=object)
    fixed[degree > 4] = "窨井"
    if code == "JS":
        fixed[(points["device"] == "valve") & (degree == 2)] = "阀门"
        fixed[points["device"] == "hydrant"] = "消防栓"
        nodes = layers["water_source"][0]
        fixed[points["物探点号"].isin(nodes["node_id"])] = "水池"
    elif code == "PS":
        fixed = _manholes(points, layers, degree)
    elif code == "RQ":
        fixed[(points["device"] == "valve") & (degree == 2)] = "阀门"
    elif code in _CHAMBERS:
        fixed[:] = _CHAMBERS[code]
    points["附属物"] = fixed
    points["特征"] = np.where(pd.isna(fixed), shape, None)
    if code == "JS":
        by_name = {
            r["feature"]: r["code"]
            for r in feature_codes()
            if r["category"] == "给水管线" and r["subtype"] == "配水" and r["geometry"] == "点"
        }
        points["点编码"] = [by_name.get(s if s else f) for s, f in zip(points["附属物"].fillna(""), points["特征"].fillna(""), strict=True)]
    return points


def _manholes(points: pd.DataFrame, layers: dict, degree: np.ndarray) -> np.ndarray:
    holes = layers["sewer_manhole"][0].set_index("manhole_id")
    found = holes["feature"].reindex(points["物探点号"])
    titles = codes("cjj61.drain_node_feature")
    named = np.array([None if f is None or f != f else titles.title_of(f) for f in found], dtype=object)
    named[pd.isna(named) & (degree != 2)] = "检查井"
    return named
