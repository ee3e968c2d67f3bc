"""A pipe survey as points and the lines between them: joined by number, never by guess, and everything that does not fit.

Points and lines are DataFrames with a 0…n-1 index. Points: `category`, `number` (text or None), `east`, `north`, `ground`, `depth` (metres,
NaN unknown), `arms` (lines that its feature joins, 0 any). Lines: `category`, `subtype`, `start`, `end` (numbers), `start_depth`,
`end_depth`, `start_level`, `end_level` (metres), `size_mm`, `gravity`, `above` (laid above ground), and optionally the ends' own
positions `start_east` … `end_north`. Depth: to the top of pressure pipes and ducts, to the inner bottom of gravity pipes, negative
above ground (CJJ 61-2017).

Codes (they never change their meaning; SP a point, SL a line, SN the network):

SP01 no number                 SP02 repeats an earlier point      SP03 one number at two places: none is used
SP04 two points at one place   SP05 no position                   SP06 both or neither of feature and appurtenance
SP07 no ground level           SP08 no line ends here             SP09 the feature does not fit the number of lines
SP10 depths disagree here      SP12 shallower than its pipes      SP14 measured again with a difference above the limit
SL01 an end has no number      SL02 an end is not in the points   SL03 starts where it ends
SL04 repeats an earlier line   SL05 an earlier line reversed      SL06 the end is a point of another category
SL07 the end's number is ambiguous (SP03)                         SL08 length out of the limits
SL09 ground ≠ depth + level    SL10 its own position is not that of its point
SL11 no depth at an end        SL13 slope out of the limits       SL15 no such nominal diameter
SL17 depth against the way of laying                              SL18 measured to the wrong side of the pipe
SL19 joined within the tolerance                                  SN01 a part that is not connected with the rest
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Limits:
    """What is allowed, metres unless named otherwise; see `gis/standards/tables/survey_limits.json` for the sources."""

    closure_m: float = 0.05
    same_place_m: float = 0.01
    point_line_m: float = 0.05
    depth_agreement_m: float = 0.05
    length_m: tuple[float, float] = (0.05, 75.0)
    slope_permille: tuple[float, float] = (0.0, 300.0)
    diameters_mm: tuple[float, ...] = ()
    plane_rmse_m: float = 0.05
    height_rmse_m: float = 0.03
    depth_rmse_m: float = 0.025


@dataclass
class Faults:
    """What was found: one frame per code, with columns `code`, `subject` (point, line), `index` (position in its frame), `field`, `value`,
    `east`, `north`."""

    frames: list[pd.DataFrame] = field(default_factory=list)

    def add(self, code: str, subject: str, index, *, field: str | None = None, values=None, east=None, north=None) -> None:
        """Adds a fault for each position in `index`; `values` are texts or numbers of the same length."""
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        if not len(index):
            return
        if values is not None:
            values = [v if isinstance(v, str) or v is None else f"{v:.3f}" for v in values]
        parts = {"code": code, "subject": subject, "index": index, "field": field, "value": values, "east": east, "north": north}
        self.frames.append(pd.DataFrame(parts))

    def frame(self) -> pd.DataFrame:
        """All faults, one row each."""
        if self.frames:
            return pd.concat([f.astype({"value": object, "field": object, "east": float, "north": float}) for f in self.frames],
                             ignore_index=True)  # fmt: skip
        return pd.DataFrame(columns=["code", "subject", "index", "field", "value", "east", "north"])

    def rejected(self, subject: str, codes: tuple[str, ...], n: int) -> np.ndarray:
        """Which of n points or lines have one of these codes (mask)."""
        bad = np.zeros(n, dtype=bool)
        for frame in self.frames:
            hit = frame[frame["code"].isin(codes) & (frame["subject"] == subject)]
            bad[hit["index"].to_numpy(dtype=int)] = True
        return bad


REJECTING = {"point": ("SP01", "SP02", "SP03", "SP05"), "line": ("SL01", "SL02", "SL03", "SL04", "SL05", "SL06", "SL07")}
"""Faults with which a point or line cannot be used at all."""


def usable_points(points: pd.DataFrame, faults: Faults, limits: Limits) -> np.ndarray:
    """Which points (n,) have a number of their own and a position. Adds SP01–SP05.

    A number that is given twice at the same place is one point, delivered twice; at two places it is none: which is meant is not known.
    """
    n = len(points)
    number, place = points["number"].notna().to_numpy(), np.isfinite(points["east"].to_numpy()) & np.isfinite(points["north"].to_numpy())
    faults.add("SP01", "point", ~number, field="number", east=points["east"][~number].to_numpy(), north=points["north"][~number].to_numpy())
    faults.add("SP05", "point", number & ~place, field="east")
    good = number & place
    keyed = points[good]
    group = keyed.groupby(["category", "number"], sort=False)
    spread = np.hypot(group["east"].transform("max") - group["east"].transform("min"),
                      group["north"].transform("max") - group["north"].transform("min")).to_numpy()  # fmt: skip
    repeated = group["number"].transform("size").to_numpy() > 1
    away = repeated & (spread > limits.same_place_m)
    again = repeated & ~away & (group.cumcount().to_numpy() > 0)
    for code, bad in (("SP03", away), ("SP02", again)):
        rows = keyed[bad]
        faults.add(code, "point", rows.index, field="number", values=list(rows["number"]), east=rows["east"].to_numpy(),
                   north=rows["north"].to_numpy())  # fmt: skip
    usable = np.zeros(n, dtype=bool)
    usable[keyed.index[~(away | again)]] = True
    _coincident(points, usable, faults, limits)
    return usable


def _coincident(points: pd.DataFrame, usable: np.ndarray, faults: Faults, limits: Limits) -> None:
    """Points of one category and different numbers at one place (SP04): one of each pair is named, with the other's number."""
    at = np.flatnonzero(usable)
    if len(at) < 2:
        return
    xy = points.loc[at, ["east", "north"]].to_numpy(dtype=float)
    pairs = cKDTree(xy).query_pairs(limits.same_place_m, output_type="ndarray")
    a, b = at[pairs[:, 0]], at[pairs[:, 1]]
    same = points["category"].to_numpy()[a] == points["category"].to_numpy()[b]
    a, b = np.minimum(a, b)[same], np.maximum(a, b)[same]
    faults.add("SP04", "point", b, field="number", values=list(points["number"].to_numpy()[a]), east=points["east"].to_numpy()[b],
               north=points["north"].to_numpy()[b])  # fmt: skip


def ends(points: pd.DataFrame, usable: np.ndarray, lines: pd.DataFrame, faults: Faults, tolerance: float | None = None) -> np.ndarray:
    """The points (n, 2) at the start and end of each line, -1 where there is none: by category and number. Adds SL01, SL02, SL06, SL07.

    tolerance (metres): an end without its point is joined to the one point of its category that lies so near to the end's own position;
    each such join is SL19. Without it (the default) nothing is joined but by number.
    """
    key = pd.Series(np.flatnonzero(usable), index=pd.MultiIndex.from_frame(points.loc[usable, ["category", "number"]]))
    ambiguous = pd.MultiIndex.from_frame(points.loc[faults.rejected("point", ("SP03",), len(points)), ["category", "number"]]).unique()
    elsewhere = pd.Series(points["category"].to_numpy()[usable], index=points["number"].to_numpy()[usable])
    elsewhere = elsewhere[~elsewhere.index.duplicated()]
    found = np.full((len(lines), 2), -1)
    for side, name in enumerate(("start", "end")):
        wanted = pd.MultiIndex.from_arrays([lines["category"], lines[name]])
        at = key.reindex(wanted).fillna(-1).to_numpy(dtype=int, copy=True)
        empty = lines[name].isna().to_numpy()
        at[empty] = -1
        if tolerance:
            at = _snapped(points, usable, lines, name, at, tolerance, faults)
        found[:, side] = at
        missing = (at < 0) & ~empty
        twice = missing & wanted.isin(ambiguous)
        other = elsewhere.reindex(lines[name]).to_numpy(dtype=object)
        foreign = missing & ~twice & pd.notna(other)
        faults.add("SL01", "line", empty, field=name)
        for code, bad in (("SL07", twice), ("SL06", foreign), ("SL02", missing & ~twice & ~foreign)):
            faults.add(code, "line", bad, field=name, values=list(lines[name].to_numpy()[bad]))
    return found


def _snapped(points, usable, lines, name, at, tolerance, faults) -> np.ndarray:
    """Ends without their point, joined to the only point of their category within the tolerance of their own position (SL19)."""
    if f"{name}_east" not in lines:
        return at
    own = lines[[f"{name}_east", f"{name}_north"]].to_numpy(dtype=float)
    open_ = np.flatnonzero((at < 0) & np.isfinite(own).all(axis=1))
    candidates = np.flatnonzero(usable)
    if not len(open_) or not len(candidates):
        return at
    tree = cKDTree(points.loc[candidates, ["east", "north"]].to_numpy(dtype=float))
    category = points["category"].to_numpy()
    at, joined, told = at.copy(), [], []
    for line, near in zip(open_, tree.query_ball_point(own[open_], tolerance), strict=True):
        fitting = [p for p in candidates[near] if category[p] == lines["category"].to_numpy()[line]]
        if len(fitting) == 1:
            at[line] = fitting[0]
            gap = np.hypot(*(own[line] - points.loc[fitting[0], ["east", "north"]].to_numpy(dtype=float)))
            joined.append(line)
            told.append(f"{lines[name].to_numpy()[line]} → {points['number'].to_numpy()[fitting[0]]}: {gap:.3f} m")
    faults.add("SL19", "line", np.array(joined, dtype=int), field=name, values=told, east=own[joined, 0], north=own[joined, 1])
    return at


def usable_lines(lines: pd.DataFrame, at: np.ndarray, points: pd.DataFrame, faults: Faults) -> np.ndarray:
    """Which lines (n,) have two points and are delivered once. Adds SL03 (start = end), SL04 (repeated), SL05 (repeated in reverse)."""
    named = lines["start"].notna().to_numpy() & lines["end"].notna().to_numpy()
    same = named & (lines["start"].to_numpy() == lines["end"].to_numpy())
    whole = (at >= 0).all(axis=1) & ~same
    pair = pd.DataFrame({"s": lines["subtype"], "a": at.min(axis=1), "b": at.max(axis=1), "way": at[:, 0] < at[:, 1]})
    if "line_id" in lines:  # several cables side by side have numbers of their own and are told apart by them
        pair["id"] = np.where(lines["parallel"], lines["line_id"], "") if "parallel" in lines else ""
    joined = pair[whole]
    first = joined.groupby([c for c in joined.columns if c != "way"], sort=False, dropna=False)["way"].transform("first")
    again = joined.duplicated([c for c in joined.columns if c != "way"]).to_numpy()
    turned = again & (joined["way"] != first).to_numpy()
    middle = points[["east", "north"]].to_numpy(dtype=float)[np.maximum(at, 0)].mean(axis=1)
    for code, bad in (("SL03", np.flatnonzero(same)), ("SL04", joined.index[again & ~turned]), ("SL05", joined.index[turned])):
        bad = np.asarray(bad, dtype=int)
        values = [f"{a} – {b}" for a, b in zip(lines["start"].to_numpy()[bad], lines["end"].to_numpy()[bad], strict=True)]
        known = at[bad].max(axis=1, initial=-1) >= 0
        faults.add(
            code, "line", bad, values=values, east=np.where(known, middle[bad, 0], np.nan), north=np.where(known, middle[bad, 1], np.nan)
        )
    usable = whole.copy()
    usable[joined.index[again]] = False
    return usable


def network_faults(
    points: pd.DataFrame, usable: np.ndarray, at: np.ndarray, lines: pd.DataFrame, whole: np.ndarray, faults: Faults
) -> None:
    """Points without lines (SP08), features that do not fit the number of their lines (SP09), unconnected parts (SN01).

    A line that is rejected for another reason still counts for the points it names: one fault, one finding.
    """
    n = len(points)
    touched = np.bincount(at[at >= 0], minlength=n)
    named = set(zip(lines["category"], lines["start"], strict=True)) | set(zip(lines["category"], lines["end"], strict=True))
    mentioned = np.array([key in named for key in zip(points["category"], points["number"], strict=True)], dtype=bool)
    where = {"east": points["east"].to_numpy(), "north": points["north"].to_numpy()}
    lonely = usable & (touched == 0) & ~mentioned
    faults.add("SP08", "point", lonely, values=list(points["number"].to_numpy()[lonely]), **{k: v[lonely] for k, v in where.items()})
    a, b = at[whole].T
    degree = np.bincount(np.r_[a, b], minlength=n)
    disturbed = np.zeros(n, dtype=bool)
    broken = at[~whole]
    disturbed[broken[broken >= 0]] = True
    arms = points["arms"].to_numpy()
    wrong = usable & (arms > 0) & (degree > 0) & (degree != arms) & ~disturbed
    told = [f"{f}: {d}" for f, d in zip(points["feature_text"].to_numpy()[wrong], degree[wrong], strict=True)]
    faults.add("SP09", "point", wrong, field="feature", values=told, **{k: v[wrong] for k, v in where.items()})
    _parts(points, at[whole], faults, where)


def _parts(points: pd.DataFrame, joined: np.ndarray, faults: Faults, where: dict) -> None:
    """Each part that is not connected with the largest one of its category (SN01), at its first point, with the number of its lines."""
    if not len(joined):
        return
    n = len(points)
    _, label = connected_components(coo_matrix((np.ones(len(joined)), joined.T), (n, n)), directed=False)
    parts = pd.DataFrame({"part": label[joined[:, 0]], "at": joined[:, 0]}).groupby("part")["at"].agg(["first", "size"])
    parts["category"] = points["category"].to_numpy()[parts["first"]]
    parts = parts.sort_values("size", ascending=False, kind="stable")
    small = parts[parts.duplicated("category")]
    first = small["first"].to_numpy()
    faults.add("SN01", "point", first, values=[f"{s} 条管线" for s in small["size"]], **{k: v[first] for k, v in where.items()})
