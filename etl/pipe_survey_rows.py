"""The rows of a survey's tables as points and lines for `gis.analysis.survey`: numbers as numbers, categories and features by the standard.

What a row is follows from its type or code column, else from its table's name, else from what it is joined to; never from its number.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa

from etl.pipe_survey_tables import LINE, POINT, Table, origins, stacked
from gis.analysis.survey import Faults
from gis.ingest.values import fold, numbers, quantity
from gis.standards import category, codes, feature_codes

SUBTYPES = {
    "JS": "cjj61.water_subtype", "PS": "cjj61.sewer_subtype", "RQ": "cjj61.gas_subtype", "RL": "cjj61.heat_subtype",
    "DL": "cjj61.power_subtype", "TX": "cjj61.telecom_subtype", "GY": "cjj61.industry_subtype", "QT": "cjj61.other_subtype",
}  # fmt: skip
"""Category → its list of sub-categories (CJJ 61-2017 appendix B)."""
FEATURES = {"JS": "cjj61.water_node_feature", "PS": "cjj61.drain_node_feature"}
OTHER_FEATURES = "cjj61.pipe_node_feature"
ARMS = {"bend": 2, "tee": 3, "cross": 4, "reducer": 2, "material_change": 2, "stub": 1, "cap": 1, "line_point": 2, "vertex": 2}
"""How many lines a feature joins."""
FITTINGS = {*ARMS, "riser", "branch", "expansion_joint", "inlet", "outfall", "outlet", "compensator"}
"""Features (特征); everything else is an appurtenance (附属物)."""
_WORDS = ("雨污合流", "合流", "雨水", "污水", "给水", "供水", "自来水", "排水", "燃气", "天然气", "煤气", "热力", "供热", "蒸汽",
"电力", "供电",
          "路灯", "通信", "电信", "工业", "综合管沟", "综合管廊", "不明", "其他")  # fmt: skip
_ALSO = {"供水": "JS", "自来水": "JS", "供热": "RL", "电信": "TX", "其他": "QT", "不明": "QT"}
_AGAINST = {"1", "-", "-1", "逆", "逆向", "反向", "反", "终点至起点", "终点到起点", "<-", "←"}
_BOX = re.compile(r"^\D*(\d+(?:\.\d+)?)\s*[x×*]\s*(\d+(?:\.\d+)?)\s*(mm|cm|m)?$")
_ABOVE, _BURIED = {"JK"}, {"ZM", "GM", "GK", "GG", "DG", "XTD"}


@lru_cache(maxsize=4096)
def kind_of(text: str | None) -> tuple[str | None, str | None]:
    """(category, sub-category) that a text names: a code of appendix B (`JP`, `JS`), its title (`配水`, `给水`) or a feature code of
    eight digits;
    (None, None) where it names none.

    >>> kind_of("WS"), kind_of("给水"), kind_of("51042204")
    (('PS', 'WS'), ('JS', None), ('JS', 'JP'))
    """
    if text is None:
        return None, None
    digits = re.match(r"^5([1-8])(\d\d)[123]", text.strip())
    if digits and len(text.strip()) == 8:
        found = category(digits[1]).code
        inner = codes(SUBTYPES[found]).codes
        position = int(digits[2]) - 1
        return found, inner[position] if 0 <= position < len(inner) else None
    whole = codes("cjj61.category").code_of(text) or _ALSO.get(text.strip())
    if whole:
        return whole, None
    for found, list_ in SUBTYPES.items():
        inner = codes(list_).code_of(text)
        if inner:
            return found, inner
    return None, None


@lru_cache(maxsize=256)
def kind_of_table(name: str) -> tuple[str | None, str | None]:
    """(category, sub-category) that the name of a table says: `JS_POINT.csv`, `WSL.shp`, `survey.xlsx[污水管点]`.

    >>> kind_of_table("survey.xlsx[WS_LINE]"), kind_of_table("points.csv")
    (('PS', 'WS'), (None, None))
    """
    own = name[name.index("[") + 1 : -1] if name.endswith("]") and "[" in name else name
    own = re.sub(r"\.[A-Za-z]{3,5}$", "", own.rpartition("/")[2])
    for word in _WORDS:
        if word in own:
            return kind_of(word)
    code = re.match(r"^([A-Za-z]{2})(?=[_\-. ]|[PL]|点|线|管|[^A-Za-z]|$)", own)
    return kind_of(code[1].upper()) if code else (None, None)


def points_of(tables: list[Table], faults: Faults) -> pd.DataFrame:
    """The points of all point tables, typed, with `origin` (where the row stands) and `src_row` (running number). `category` and
    `subtype` are None
    where neither row nor table says them. Adds TYP01 (a value is no number), SP06, SP11, SP13."""
    rows = stacked(tables, POINT)
    frame = rows[["number", "map_number", "code", "feature", "appurtenance", "cover", "road", "type", "table", "row"]].copy()
    frame["origin"], frame["src_row"] = origins(tables, rows), _running(tables, rows)
    for name in ("north", "east", "lon", "lat", "ground", "depth"):
        frame[name] = _numbers(rows[name], name, "point", faults)
    _kinds(frame, tables)
    by_code = {row["code"]: row["feature"] for row in feature_codes()}
    meant = frame["code"].map(by_code, na_action="ignore").to_numpy(dtype=object)
    said = np.where(pd.notna(frame["appurtenance"]), frame["appurtenance"], frame["feature"])
    frame["feature_text"] = np.where(pd.notna(said), said, meant)
    both = (pd.notna(frame["feature"]) == pd.notna(frame["appurtenance"])).to_numpy()
    faults.add("SP06", "point", both & (pd.notna(frame["feature"]).to_numpy() | pd.isna(meant)), field="feature",
               values=list(frame["feature_text"].to_numpy()[both & (pd.notna(frame["feature"]).to_numpy() | pd.isna(meant))]))  # fmt: skip
    _features(frame, meant, faults)
    return frame


def _features(frame: pd.DataFrame, meant: np.ndarray, faults: Faults) -> None:
    """The code of each point's feature, the lines that it joins, and whether it is a chamber; SP11 (code against feature), SP13 (no
    such feature)."""
    pairs = pd.MultiIndex.from_arrays([frame["category"].fillna(""), frame["feature_text"].fillna("")])
    position, unique = pd.factorize(pairs)
    found = [_feature(c, t) for c, t in unique]
    frame["feature_code"] = np.array(found, dtype=object)[position] if len(frame) else np.array([], dtype=object)
    told = pd.notna(frame["feature_text"]).to_numpy()
    unknown = told & pd.isna(frame["feature_code"]).to_numpy()
    faults.add("SP13", "point", unknown, field="feature", values=list(frame["feature_text"].to_numpy()[unknown]))
    wrong = np.zeros(len(frame), dtype=bool)
    for i in np.flatnonzero(pd.notna(meant) & told & (meant != frame["feature_text"].to_numpy())):
        wrong[i] = _feature(frame["category"].iloc[i] or "", meant[i]) != frame["feature_code"].iloc[i]
    coded = pd.notna(frame["code"]).to_numpy()
    known = frame["code"].map(lambda c: c is None or kind_of(c)[0] is not None).to_numpy(dtype=bool)
    eight = frame["code"].str.fullmatch(r"5[12]\d{6}").fillna(False).to_numpy(dtype=bool)
    faults.add("SP11", "point", wrong | (coded & ~known) | (eight & pd.isna(meant)), field="code",
               values=list(frame["code"].to_numpy()[wrong | (coded & ~known) | (eight & pd.isna(meant))]))  # fmt: skip
    frame["arms"] = frame["feature_code"].map(ARMS).fillna(0).astype(int)
    frame["chamber"] = (frame["category"] == "PS") & ~frame["feature_code"].isin(FITTINGS) & pd.notna(frame["feature_code"])


def _feature(category_: str, text: str) -> str | None:
    return codes(FEATURES.get(category_, OTHER_FEATURES)).code_of(text) if text else None


def lines_of(tables: list[Table], faults: Faults) -> pd.DataFrame:
    """The lines of all line tables, typed, likewise. Adds TYP01, SL14 (no category)."""
    rows = stacked(tables, LINE)
    frame = rows.drop(columns=["size", *(n for n in LINE if n.endswith(("_north", "_east", "_depth", "_level")))]).copy()
    frame["origin"], frame["src_row"] = origins(tables, rows), _running(tables, rows)
    for name in LINE:
        if name.endswith(("_north", "_east")):
            if rows[name].notna().any():
                frame[name] = _numbers(rows[name], name, "line", faults)
        elif name.endswith(("_depth", "_level")):
            frame[name] = _numbers(rows[name], name, "line", faults)
    _kinds(frame, tables)
    embedding = frame["embedding"].map(codes("cjj61.embedding").code_of, na_action="ignore")
    frame["above"], frame["buried"] = embedding.isin(_ABOVE), embedding.isin(_BURIED)
    frame["riser"] = embedding.eq("SJ").fillna(False).astype(bool)
    frame["against"] = frame["flow"].map(lambda v: v is not None and fold(v) in _AGAINST).astype(bool)
    sizes = {text: _size(text) for text in rows["size"].dropna().unique()}
    frame["size_mm"] = rows["size"].map(lambda t: sizes[t][0] if t is not None else np.nan).astype(float)
    frame["section"] = rows["size"].map(lambda t: sizes[t][1] if t is not None else None)
    frame["box"] = frame["section"].notna()
    bad = rows["size"].notna().to_numpy() & np.isnan(frame["size_mm"].to_numpy())
    faults.add("TYP01", "line", bad, field="size", values=list(rows["size"].to_numpy()[bad]))
    return frame


def _size(text: str) -> tuple[float, str | None]:
    """(diameter or width in mm, section) of a size as written: DN300, Φ300, 300, 400×300, 1.2m×0.8m."""
    box = _BOX.match(fold(text).replace("mm×", "×").replace("m×", "×"))
    if box:
        factor = {"cm": 10.0, "m": 1000.0}.get(box[3], 1000.0 if float(box[1]) < 20 else 1.0)
        width, height = (float(v) * factor for v in box.groups()[:2])
        return width, f"{width:g}×{height:g}"
    try:
        value = quantity(text, "mm")
    except ValueError:
        return np.nan, None
    return (np.nan if value is None else value), None


def _numbers(column: pd.Series, name: str, subject: str, faults: Faults) -> np.ndarray:
    """Metres (n,); what is no number is NaN and reported with its text."""
    values, bad = numbers(pa.array(column.where(column.notna(), None).tolist(), pa.string()), None if name in ("lon", "lat") else "m")
    faults.add("TYP01", subject, bad, field=name, values=list(column.to_numpy()[bad]))
    return values.to_numpy(zero_copy_only=False).astype(float)


def _kinds(frame: pd.DataFrame, tables: list[Table]) -> None:
    """`category` and `subtype` of each row: by its type, its code, its table."""
    of_table = [kind_of_table(t.name) for t in tables]
    found: list[tuple[str | None, str | None]] = []
    cache: dict[tuple, tuple[str | None, str | None]] = {}
    for key in zip(frame["type"], frame["code"], frame["table"], strict=True):
        if key not in cache:
            options = [kind_of(key[0]), kind_of(key[1]), of_table[key[2]]]
            chosen = next((o for o in options if o[0]), (None, None))
            finer = next((o[1] for o in options if o[0] == chosen[0] and o[1]), None)
            cache[key] = (chosen[0], finer)
        found.append(cache[key])
    frame["category"] = np.array([f[0] for f in found], dtype=object)
    frame["subtype"] = np.array([f[1] for f in found], dtype=object)


def _running(tables: list[Table], rows: pd.DataFrame) -> np.ndarray:
    before = np.array([t.before for t in tables] or [0])
    return before[rows["table"].to_numpy(dtype=int)] + rows["row"].to_numpy(dtype=int)


def settle_categories(points: pd.DataFrame, lines: pd.DataFrame, faults: Faults) -> None:
    """Rows that say no category take that of what bears or uses their number; what is joined to nothing known is of unknown use
    (不明管线). Adds
    SL14 for lines whose sub-category nobody says: a drain is then taken as combined, another line as its layer's usual kind."""
    of_point = points.dropna(subset=["category", "number"]).drop_duplicates("number").set_index("number")["category"]
    open_ = lines["category"].isna()
    if open_.any():
        lines.loc[open_, "category"] = lines.loc[open_, "start"].map(of_point).fillna(lines.loc[open_, "end"].map(of_point))
    unknown = lines["category"].isna().to_numpy()
    vague = unknown | ((lines["category"] == "PS") & lines["subtype"].isna()).to_numpy()
    faults.add("SL14", "line", vague, field="type", values=list(lines["type"].to_numpy()[vague]))
    lines.loc[unknown, ["category", "subtype"]] = ["QT", "BM"]
    lines.loc[(lines["category"] == "PS") & lines["subtype"].isna(), "subtype"] = "HS"
    used = pd.concat(
        [lines[["start", "category"]].rename(columns={"start": "number"}), lines[["end", "category"]].rename(columns={"end": "number"})]
    )
    of_line = used.dropna().drop_duplicates("number").set_index("number")["category"]
    bare = points["category"].isna()
    if bare.any():
        points.loc[bare, "category"] = points.loc[bare, "number"].map(of_line).fillna("QT")
        again = points[bare]
        points.loc[bare, "feature_code"] = [_feature(c, t or "") for c, t in zip(again["category"], again["feature_text"], strict=True)]
        points["arms"] = points["feature_code"].map(ARMS).fillna(0).astype(int)
        points["chamber"] = (points["category"] == "PS") & ~points["feature_code"].isin(FITTINGS) & points["feature_code"].notna()
