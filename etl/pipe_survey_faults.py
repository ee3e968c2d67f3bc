"""Faults planted in a survey delivery: one for each code that a survey can have, listed with where each is found, and nothing else
wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd


class _Plan:
    """The tables, what was planted, and rows that no other fault touches."""

    def __init__(self, tables: dict, checks: pd.DataFrame):
        self.tables, self.checks, self.manifest = tables, checks, []
        self.taken: set[str] = set()

    def say(self, code: str, table: str, row: int) -> None:
        """`row` is the position in its table (0…)."""
        self.manifest.append({"code": code, "at": f"{table}.csv:{row + 1}"})

    def point(self, category: str, wanted) -> int:
        """A point that fits and has no neighbour among those already used; then it is used."""
        points, lines = self.tables[category].points, self.tables[category].lines
        for row in np.flatnonzero(np.asarray(wanted(points), dtype=bool)):
            number = points["物探点号"].iloc[row]
            near = self._near(lines, number)
            if not near & self.taken:
                self.taken |= near
                return int(row)
        raise LookupError(f"no point of {category} is left")

    def line(self, category: str, wanted) -> int:
        """A line likewise."""
        lines = self.tables[category].lines
        for row in np.flatnonzero(np.asarray(wanted(lines), dtype=bool)):
            near = self._near(lines, lines["S_Exp"].iloc[row]) | self._near(lines, lines["E_Exp"].iloc[row])
            if not near & self.taken:
                self.taken |= near
                return int(row)
        raise LookupError(f"no line of {category} is left")

    @staticmethod
    def _near(lines: pd.DataFrame, number: str) -> set[str]:
        touching = lines[(lines["S_Exp"] == number) | (lines["E_Exp"] == number)]
        return {number, *touching["S_Exp"], *touching["E_Exp"]}

    def add_point(self, category: str, base: int, **changes) -> int:
        """A copy of a point with changes, behind the others; its position."""
        table = self.tables[category]
        row = table.points.iloc[[base]].assign(图上点号=None, **changes)
        table.points = pd.concat([table.points, row], ignore_index=True)
        return len(table.points) - 1

    def add_line(self, category: str, base: int, **changes) -> int:
        table = self.tables[category]
        table.lines = pd.concat([table.lines, table.lines.iloc[[base]].assign(**changes)], ignore_index=True)
        return len(table.lines) - 1

    def change(self, category: str, kind: str, row: int, **changes) -> None:
        frame = getattr(self.tables[category], kind)
        for name, value in changes.items():
            if name in frame and isinstance(value, str) and frame[name].dtype != object:
                frame[name] = frame[name].astype(object)
            frame.loc[row, name] = value


def plant(tables: dict, checks: pd.DataFrame) -> list[dict]:
    """Plants the faults (in place) and answers the manifest [{code, at}]; `tables` are `etl.pipe_survey_sample.Tables` by category."""
    plan = _Plan(tables, checks)
    _of_points(plan)
    _of_features(plan)
    _of_lines(plan)
    _of_levels(plan)
    plan.manifest.sort(key=lambda m: (m["code"], m["at"]))
    return plan.manifest


def _of_points(plan: _Plan) -> None:
    """Numbers and places."""
    joint = plan.point("JS", lambda p: p["特征"] == "直线点")
    plan.say("SP01", "JS_POINT", plan.add_point("JS", joint, 物探点号=None))
    plan.say("SP02", "JS_POINT", plan.add_point("JS", joint))
    east = plan.tables["JS"].points["Y"].iloc[joint]
    for k in (1, 2):
        plan.say("SP03", "JS_POINT", plan.add_point("JS", joint, 物探点号="JSTWICE", Y=east + 5.0 * k))
    line = plan.line("JS", lambda t: t["S_Exp"].notna())
    plan.say("SL07", "JS_LINE", plan.add_line("JS", line, E_Exp="JSTWICE"))
    hole = plan.point("PS", lambda p: p["附属物"] == "污水井")
    beside = plan.add_point("PS", hole, 物探点号="WSBESIDE")
    plan.say("SP04", "PS_POINT", beside)
    plan.say("SP08", "PS_POINT", beside)
    plan.say("SP05", "RQ_POINT", plan.add_point("RQ", plan.point("RQ", lambda p: p["特征"] == "直线点"), 物探点号="RQNOWHERE", X=None))
    lonely = plan.point("TX", lambda p: p["附属物"] == "手孔")
    plan.say("SP08", "TX_POINT", plan.add_point("TX", lonely, 物探点号="TXLONELY", Y=plan.tables["TX"].points["Y"].iloc[lonely] + 3.0))
    bare = plan.point("DL", lambda p: p["附属物"] == "人孔")
    plan.change("DL", "points", bare, 地面高程=np.nan)
    plan.say("SP07", "DL_POINT", bare)
    plan.checks.loc[plan.checks.index[5], "X"] += 0.5
    plan.say("SP14", "JS_POINT", int(np.flatnonzero(plan.tables["JS"].points["物探点号"] == plan.checks["物探点号"].iloc[5])[0]))
    same = plan.point("RL", lambda p: p["特征"] == "直线点")
    plan.change("RL", "points", same + 1, 图上点号=plan.tables["RL"].points["图上点号"].iloc[same])
    plan.say("SP17", "RL_POINT", same + 1)


def _of_features(plan: _Plan) -> None:
    """Features, appurtenances and codes."""
    both = plan.point("PS", lambda p: p["附属物"] == "雨水井")
    plan.change("PS", "points", both, 特征="弯头")
    plan.say("SP06", "PS_POINT", both)
    for code, category, change in (
        ("SP09", "RL", {"特征": "三通"}), ("SP13", "RL", {"特征": "怪点"}), ("SP16", "JS", {"特征": None, "附属物": "止回阀",
        "点编码": None}),
    ):  # fmt: skip
        row = plan.point(category, lambda p: p["特征"] == "直线点")
        plan.change(category, "points", row, **change)
        plan.say(code, f"{category}_POINT", row)
    tee = plan.point("JS", lambda p: p["特征"] == "三通")
    plan.change("JS", "points", tee, 点编码="51042101")
    plan.say("SP11", "JS_POINT", tee)
    crowded = plan.point("JS", lambda p: p["特征"] == "三通")
    plan.change("JS", "points", crowded, 特征=None, 附属物="阀门", 点编码=None)
    plan.say("SP15", "JS_POINT", crowded)
    shallow = plan.point("PS", lambda p: p["附属物"] == "污水井")
    plan.change("PS", "points", shallow, 井深=0.3)
    plan.say("SP12", "PS_POINT", shallow)


def _of_lines(plan: _Plan) -> None:
    """Ends, repetitions, attributes."""
    base = plan.line("JS", lambda t: t["S_Exp"].notna())
    start, end = plan.tables["JS"].lines.loc[base, ["S_Exp", "E_Exp"]]
    gas = plan.tables["RQ"].points["物探点号"].iloc[0]
    for code, change in (
        ("SL01", {"E_Exp": None}), ("SL02", {"E_Exp": "JSNOWHERE"}), ("SL03", {"E_Exp": start}), ("SL04", {}),
        ("SL05", {"S_Exp": end, "E_Exp": start}), ("SL06", {"E_Exp": gas}),
    ):  # fmt: skip
        plan.say(code, "JS_LINE", plan.add_line("JS", base, **change))
    for code, category, change in (
        ("SL15", "JS", {"PSize": "317"}), ("SL14", "PS", {"Type": "排水"}), ("SL17", "TX", {"EmBed": "架空"}), ("COD", "RL",
        {"Material": "泡沫"}),
        ("TYP01", "RQ", {"S_Deep": "一米二"}),
    ):  # fmt: skip
        row = plan.line(category, lambda t: t["EmBed"].isin(["直埋", "管块", "管埋"]))
        plan.change(category, "lines", row, **change)
        plan.say(code, f"{category}_LINE", row)
        if code == "SL17":
            plan.say(code, f"{category}_LINE", row)  # both ends


def _of_levels(plan: _Plan) -> None:
    """Levels, depths, lengths."""
    row = plan.line("RQ", lambda t: t["S_Exp"].notna())
    plan.change("RQ", "lines", row, QDGC=plan.tables["RQ"].lines["QDGC"].iloc[row] + 0.7)
    plan.say("SL09", "RQ_LINE", row)
    row = plan.line("RQ", lambda t: t["S_Exp"].notna())
    plan.change("RQ", "lines", row, S_X=plan.tables["RQ"].lines["S_X"].iloc[row] + 0.5)
    plan.say("SL10", "RQ_LINE", row)
    row = plan.line("DL", lambda t: t["S_Exp"].notna())
    plan.change("DL", "lines", row, E_Deep=np.nan)
    plan.say("SL11", "DL_LINE", row)
    holes = plan.tables["PS"].points.loc[plan.tables["PS"].points["附属物"].notna(), "物探点号"]
    row = plan.line("PS", lambda t: (t["Type"] == "污水") & ~t["PSize"].str.contains("×") & t["S_Exp"].isin(holes) & t["E_Exp"].isin(holes))
    size = float(plan.tables["PS"].lines["PSize"].iloc[row]) / 1000
    for side in ("S_Deep", "E_Deep"):
        plan.change("PS", "lines", row, **{side: round(plan.tables["PS"].lines[side].iloc[row] - size, 3)})
        plan.say("SL18", "PS_LINE", row)
    row = plan.line("RL", lambda t: t["S_Exp"].isin(plan.tables["RL"].points.loc[plan.tables["RL"].points["特征"] == "直线点", "物探点号"]))
    lines = plan.tables["RL"].lines
    plan.change("RL", "lines", row, S_Deep=lines["S_Deep"].iloc[row] + 1.0, QDGC=lines["QDGC"].iloc[row] - 1.0)
    plan.say("SP10", "RL_POINT", int(np.flatnonzero(plan.tables["RL"].points["物探点号"] == lines["S_Exp"].iloc[row])[0]))
    _steep(plan)
    _long(plan)


def _steep(plan: _Plan) -> None:
    """A short gravity pipe that falls more than the limit, into a manhole deep enough for it."""
    points = plan.tables["PS"].points.set_index("物探点号")

    def short(t):
        a, b = points.loc[t["S_Exp"]], points.loc[t["E_Exp"]]
        length = np.hypot(a["X"].to_numpy() - b["X"].to_numpy(), a["Y"].to_numpy() - b["Y"].to_numpy())
        return (length < 12) & b["附属物"].notna().to_numpy() & (t["Type"] == "雨水").to_numpy()

    row = plan.line("PS", short)
    lines = plan.tables["PS"].lines
    plan.change("PS", "lines", row, E_Deep=round(lines["E_Deep"].iloc[row] + 6.0, 3), ZDGC=round(lines["ZDGC"].iloc[row] - 6.0, 3))
    plan.say("SL13", "PS_LINE", row)


def _long(plan: _Plan) -> None:
    """A line between two handholes more than 75 m apart, as deep as the others there; and two points with a line of their own (SN01)."""
    table = plan.tables["TX"]
    points, depth = table.points, pd.concat([table.lines.set_index("S_Exp")["S_Deep"], table.lines.set_index("E_Exp")["E_Deep"]])
    depth = depth[~depth.index.duplicated()]
    a = plan.point("TX", lambda p: p["附属物"] == "手孔")
    far = np.hypot(points["X"] - points["X"].iloc[a], points["Y"] - points["Y"].iloc[a])
    b = plan.point("TX", lambda p: (p["附属物"] == "手孔") & (far.to_numpy() > 90) & (far.to_numpy() < 300))
    names = points["物探点号"].iloc[[a, b]].tolist()
    row = plan.add_line("TX", 0, S_Exp=names[0], E_Exp=names[1], S_Deep=depth[names[0]], E_Deep=depth[names[1]])
    plan.say("SL08", "TX_LINE", row)
    east, north = (plan.tables["TX"].points[c].iloc[a] for c in ("Y", "X"))
    first = plan.add_point("TX", a, 物探点号="TXAPART1", Y=east + 4.0, X=north + 4.0)
    plan.add_point("TX", a, 物探点号="TXAPART2", Y=east + 9.0, X=north + 4.0)
    plan.add_line("TX", row, S_Exp="TXAPART1", E_Exp="TXAPART2", S_Deep=1.0, E_Deep=1.0)
    plan.say("SN01", "TX_POINT", first)
