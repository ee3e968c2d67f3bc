"""Levels, depths, lengths and sizes of a pipe survey: what does not agree, and how well the rest does.

Points, lines, faults and codes as in `gis.analysis.survey`; `at` (n, 2) are the points at the ends of the lines, `whole` the lines that
have both. Every function adds its faults and answers the differences that it looked at, for the statistics of the acceptance report.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gis.analysis.survey import Faults, Limits

_ENDS = ("start", "end")


def statistic(name: str, differences: np.ndarray, limit: float, *, kind: str = "rms", unit: str = "m") -> dict:
    """Figures of some differences (n,), NaN left out: number, mean, root mean square, greatest, how many are beyond the limit.

    kind: how the limit is meant: `rms` (of repeated measurements: √(Σd²/2n)) or `max` (of each single one).
    """
    d = differences[np.isfinite(differences)]
    if not len(d):
        return {
            "name": name,
            "unit": unit,
            "n": 0,
            "mean": None,
            "rms": None,
            "max": None,
            "limit": limit,
            "kind": kind,
            "beyond": 0,
            "kept": None,
        }
    rms = float(np.sqrt(np.mean(d**2) / (2.0 if kind == "rms" else 1.0)))
    beyond = int((np.abs(d) > (2 * np.sqrt(2) * limit if kind == "rms" else limit) + 1e-9).sum())
    kept = rms <= limit + 1e-9 if kind == "rms" else beyond == 0
    return {
        "name": name, "unit": unit, "n": len(d), "mean": float(np.mean(d)), "rms": rms, "max": float(np.max(np.abs(d))), "limit": limit,
        "kind": kind, "beyond": beyond, "kept": bool(kept),
    }  # fmt: skip


def closures(points: pd.DataFrame, lines: pd.DataFrame, at: np.ndarray, whole: np.ndarray, faults: Faults, limits: Limits) -> np.ndarray:
    """Ground − depth − level (metres) at both ends of the lines (2n,): beyond the limit it is SL09; where it is just one diameter, the
    depth was
    measured to the wrong side of the pipe (SL18): the top of a gravity pipe, the bottom of a pressure pipe. Adds SL11, SL17 too.

    A buried gravity pipe whose invert is less than its diameter below the ground was measured to the top as well (SL18).
    """
    size = lines["size_mm"].to_numpy(dtype=float) / 1000
    gravity = lines["gravity"].to_numpy(dtype=bool)
    buried, above = lines["buried"].to_numpy(dtype=bool), lines["above"].to_numpy(dtype=bool)
    found = []
    for side, name in enumerate(_ENDS):
        ground = _of(points, "ground", at[:, side])
        depth, level = (lines[f"{name}_{what}"].to_numpy(dtype=float) for what in ("depth", "level"))
        place = {"east": _of(points, "east", at[:, side]), "north": _of(points, "north", at[:, side])}

        def add(code, bad, values, field, place=place):
            faults.add(code, "line", bad, field=field, values=values[bad], **{k: v[bad] for k, v in place.items()})

        add("SL11", whole & ~np.isfinite(depth) & ~np.isfinite(level), np.full(len(lines), None, dtype=object), f"{name}_depth")
        add("SL17", whole & ((above & (depth > 0)) | (buried & (depth < 0))), depth, f"{name}_depth")
        gap = np.where(whole, ground - depth - level, np.nan)
        off = np.abs(gap) > limits.closure_m + 1e-9
        trap = off & np.isfinite(size) & (size > 2 * limits.closure_m) & (np.abs(gap - np.where(gravity, size, -size)) <= limits.closure_m)
        shallow = whole & ~off & gravity & buried & np.isfinite(size) & (depth >= 0) & (depth < size - limits.closure_m)
        add("SL18", trap, gap, f"{name}_depth")
        add("SL18", shallow, depth, f"{name}_depth")
        add("SL09", off & ~trap, gap, f"{name}_level")
        found.append(gap)
    return np.concatenate(found)


def agreements(points: pd.DataFrame, lines: pd.DataFrame, at: np.ndarray, whole: np.ndarray, faults: Faults, limits: Limits) -> np.ndarray:
    """How far the depths of the lines that meet at a point differ (metres, one per point with several). Adds SP10, SP12.

    Fittings only: a manhole has as many depths as it has pipes. Pipes of several sizes may differ by the difference of their
    diameters. A manhole
    must be as deep as its deepest pipe (SP12).
    """
    rows, sides = np.nonzero((at >= 0) & whole[:, None])
    depth = np.column_stack([lines["start_depth"], lines["end_depth"]]).astype(float)[rows, sides]
    ends = pd.DataFrame({"at": at[rows, sides], "depth": depth, "size": lines["size_mm"].to_numpy(dtype=float)[rows] / 1000,
                         "riser": lines["riser"].to_numpy(dtype=bool)[rows]}).dropna(subset=["depth"])  # fmt: skip
    found = ends.groupby("at").agg(low=("depth", "min"), high=("depth", "max"), n=("depth", "size"), thin=("size", "min"),
    thick=("size", "max"),
                                   riser=("riser", "any"))  # fmt: skip
    own = points["depth"].to_numpy(dtype=float)[found.index]
    chamber = points["chamber"].to_numpy(dtype=bool)[found.index]
    many = (found["n"] > 1).to_numpy() & ~chamber & ~found["riser"].to_numpy()
    spread = (found["high"] - found["low"]).to_numpy()
    allowed = limits.depth_agreement_m + np.nan_to_num((found["thick"] - found["thin"]).to_numpy())
    against = np.isfinite(own) & ~chamber & ((own < found["low"] - allowed) | (own > found["high"] + allowed)).to_numpy()
    shallow = chamber & np.isfinite(own) & (own < found["high"].to_numpy() - limits.depth_agreement_m)
    index = found.index.to_numpy()
    for code, bad, values in (
        ("SP10", (many & (spread > allowed + 1e-9)) | against, spread),
        ("SP12", shallow, found["high"].to_numpy() - own),
    ):
        at_ = index[bad]
        faults.add(
            code,
            "point",
            at_,
            field="depth",
            values=values[bad],
            east=points["east"].to_numpy()[at_],
            north=points["north"].to_numpy()[at_],
        )
    return np.where(many, spread, np.nan)


def measures(points: pd.DataFrame, lines: pd.DataFrame, at: np.ndarray, whole: np.ndarray, faults: Faults, limits: Limits) -> np.ndarray:
    """Lengths of the lines (n,), NaN where they have no two points. Adds SL08 (length), SL13 (slope), SL15 (diameter), SP07 (no ground
    level).

    Slope is along the flow, of gravity pipes with levels at both ends; one that rises against its flow is the layer's own check (SEW01).
    """
    x, y = (points[c].to_numpy(dtype=float) for c in ("east", "north"))
    a, b = np.maximum(at, 0).T
    length = np.where(whole, np.hypot(x[a] - x[b], y[a] - y[b]), np.nan)
    middle = {"east": (x[a] + x[b]) / 2, "north": (y[a] + y[b]) / 2}

    def add(code, bad, values, field):
        faults.add(code, "line", bad, field=field, values=values[bad], **{k: v[bad] for k, v in middle.items()})

    low, high = limits.length_m
    add("SL08", whole & ((length < low) | (length > high)), length, None)
    level = np.column_stack([_of(points, "ground", at[:, i]) - lines[f"{n}_depth"].to_numpy(dtype=float) for i, n in enumerate(_ENDS)])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(lines["against"].to_numpy(dtype=bool), -1, 1) * (level[:, 0] - level[:, 1]) / length * 1000
    gravity = lines["gravity"].to_numpy(dtype=bool) & whole & np.isfinite(slope)
    add("SL13", gravity & (slope > limits.slope_permille[1]), slope, "slope_permille")
    size = lines["size_mm"].to_numpy(dtype=float)
    known = np.isin(size, limits.diameters_mm) | ~np.isfinite(size) | lines["box"].to_numpy(dtype=bool)
    add("SL15", whole & ~known, size, "size")
    used = np.zeros(len(points), dtype=bool)
    used[at[whole].ravel()] = True
    levelled = np.zeros(len(points), dtype=bool)
    for i, n in enumerate(_ENDS):
        levelled[at[whole & np.isfinite(lines[f"{n}_level"].to_numpy(dtype=float)), i]] = True
    bare = used & ~np.isfinite(points["ground"].to_numpy(dtype=float)) & ~levelled
    faults.add("SP07", "point", bare, field="ground", east=x[bare], north=y[bare])
    return length


def own_positions(points: pd.DataFrame, lines: pd.DataFrame, at: np.ndarray, faults: Faults, limits: Limits) -> np.ndarray:
    """Distances (metres) between where a line says its ends are and where their points are (2n,). Adds SL10."""
    found = []
    for side, name in enumerate(_ENDS):
        if f"{name}_east" not in lines:
            continue
        dx = lines[f"{name}_east"].to_numpy(dtype=float) - _of(points, "east", at[:, side])
        dy = lines[f"{name}_north"].to_numpy(dtype=float) - _of(points, "north", at[:, side])
        gap = np.hypot(dx, dy)
        bad = gap > limits.point_line_m + 1e-9
        faults.add("SL10", "line", bad, field=name, values=gap[bad], east=_of(points, "east", at[:, side])[bad],
                   north=_of(points, "north", at[:, side])[bad])  # fmt: skip
        found.append(gap)
    return np.concatenate(found) if found else np.zeros(0)


def repeated(points: pd.DataFrame, usable: np.ndarray, checks: pd.DataFrame, faults: Faults, limits: Limits) -> list[dict]:
    """What points measured twice say of the accuracy: statistics of position, ground level and depth, by √(Σd²/2n) (CJJ 61-2017).

    checks: `number`, `east`, `north`, `ground`, `depth` of the second measurement. A difference above 2√2 times the limit (twice that
    of a difference of
    two measurements) is SP14 at its point.
    """
    first = points[usable].reset_index().drop_duplicates("number").set_index("number")
    both = checks[checks["number"].isin(first.index)]
    one = first.loc[both["number"]]
    place = np.hypot(
        both["east"].to_numpy(float) - one["east"].to_numpy(float), both["north"].to_numpy(float) - one["north"].to_numpy(float)
    )
    ground, depth = (both[c].to_numpy(float) - one[c].to_numpy(float) for c in ("ground", "depth"))
    result = []
    for name, difference, limit in (
        ("重复测量平面位置", place, limits.plane_rmse_m), ("重复测量地面高程", ground, limits.height_rmse_m),
        ("重复量测埋深", depth, limits.depth_rmse_m),
    ):  # fmt: skip
        bad = np.abs(difference) > 2 * np.sqrt(2) * limit
        at = one["index"].to_numpy()[bad]
        faults.add(
            "SP14",
            "point",
            at,
            field=name,
            values=difference[bad],
            east=points["east"].to_numpy()[at],
            north=points["north"].to_numpy()[at],
        )
        result.append(statistic(name, difference, limit))
    return result


def _of(points: pd.DataFrame, column: str, at: np.ndarray) -> np.ndarray:
    """A column of the points at positions (n,), NaN where there is none."""
    return np.where(at >= 0, points[column].to_numpy(dtype=float)[np.maximum(at, 0)] if len(points) else np.nan, np.nan)
