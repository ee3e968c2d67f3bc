"""The acceptance report of a delivery: the verdict, why, and everything that a surveyor needs to mend it, in files that open without us.

`write` makes `acceptance.html` (one page, no network), `acceptance.xlsx`, `findings.gpkg`, `findings.csv` and `findings.geojson`. The
numbers
of the findings are the same in all of them and on the red-pen map. The limits are those of `layers/city.yaml` (`acceptance`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely

from gis.catalog.model import AcceptanceLimits, Catalog, Layer
from gis.db.connection import owner
from gis.errors import InputError
from gis.ingest import report
from gis.ingest.delivery import LoadResult
from gis.ingest.evidence import Completeness, Evidence
from gis.ingest.statements import text
from gis.standards import document

ACCEPTED, CONDITIONAL, REFUSED = "合格", "有条件合格", "不合格"
LEVELS = {"fatal": "严重", "error": "错误", "warning": "警告", "info": "提示"}


@dataclass
class Acceptance:
    """A delivery judged: the verdict and its reasons, the batch (columns of meta.batch), the findings in the order of their numbers
    (`number`, code,
    level, layer, src_row, key, field, value, title, message, remedy, geometry), counts by layer, and the evidence."""

    verdict: str
    reasons: list[str]
    batch: dict
    result: LoadResult
    findings: geopandas.GeoDataFrame
    evidence: Evidence
    layers: dict[str, Layer]
    city: str
    limits: AcceptanceLimits
    unconfirmed: bool = False
    """Whether the verdict rests on limits that are not confirmed against the standard's text."""
    filled: list[Completeness] = field(default_factory=list)


def write(catalog: Catalog, result: LoadResult, evidence: Evidence, folder: Path) -> list[Path]:
    """Judges a load (published, tried or refused) and writes its report into a folder; answers the files. Raises InputError where the
    folder cannot be
    written."""
    from gis.ingest import acceptance_page, acceptance_sheets

    found = judged(catalog, result, evidence)
    try:
        files = report.write(result.batch, folder)
        page = folder / "acceptance.html"
        page.write_text(acceptance_page.page(found), encoding="utf-8")
        book = acceptance_sheets.write(found, folder / "acceptance.xlsx")
        package = acceptance_sheets.package(found, folder / "findings.gpkg")
    except OSError as error:
        raise InputError(f"the report cannot be written: {error.strerror}", remedy="Name another folder with --report") from None
    return [page, book, *([package] if package else []), *(f for f in files if f.suffix != ".gpkg")]


def judged(catalog: Catalog, result: LoadResult, evidence: Evidence) -> Acceptance:
    """The verdict on a load by the city's limits, with the reasons.

    不合格: the platform refused the batch, or more rows than the second limit are rejected or have a warning. 有条件合格: more than
    the first limit, an
    attribute that is not filled enough, or an accuracy that is not kept. 合格: none of these.
    """
    limits = catalog.city.acceptance
    findings = _numbered(result.batch)
    layers = {name: catalog.layers[name] for name in dict.fromkeys(o.layer for o in result.layers) if name in catalog.layers}
    reasons, worst = [], 0
    if result.status == "rejected":
        reasons.append("整批被拒收：有严重问题，或被拒的行超过图层允许的比例")
        worst = 2
    read = max(result.rows_read, 1)
    rejected = findings.loc[findings["level"].isin(["error", "fatal"])]
    warned = findings.loc[findings["level"] == "warning"]
    for rows, allowed, what in ((rejected, limits.errors, "有错误、被拒收的行"), (warned, limits.warnings, "有警告的行")):
        n = len(rows.dropna(subset=["src_row"]).drop_duplicates(["layer", "src_row"]))
        share, grade = n / read, 0
        grade = 2 if share > allowed[1] else 1 if share > allowed[0] else 0
        if grade:
            reasons.append(f"{what} {n} 行，占 {share:.2%}（合格 ≤ {allowed[0]:.2%}，有条件合格 ≤ {allowed[1]:.2%}）")
        worst = max(worst, grade)
    for one in evidence.completeness:
        least = limits.least(one.layer, one.field)
        if least is not None and one.total and one.share < least:
            title = layers[one.layer].columns[one.field].title.zh if one.layer in layers else one.field
            name = layers[one.layer].title.zh if one.layer in layers else one.layer
            reasons.append(f"{name}“{title}”填写率 {one.share:.1%}，低于 {least:.0%}")
            worst = max(worst, 1)
    missed = [s for s in evidence.statistics if s["kept"] is False]
    for figure in missed:
        value = figure["rms"] if figure["kind"] == "rms" else figure["max"]
        reasons.append(f"{figure['name']} {value:.3f} {figure['unit']}，超过限差 {figure['limit']:g} {figure['unit']}（{figure['n']} 个）")
        worst = max(worst, 1)
    return Acceptance(
        (ACCEPTED, CONDITIONAL, REFUSED)[worst], reasons or ["各项均在限内"], _batch(result.batch), result, findings, evidence, layers,
        catalog.city.name.zh, limits, bool(evidence.statistics) and document("survey_limits")["status"] == "R",
        [c for c in evidence.completeness if c.total],
    )  # fmt: skip


def _numbered(batch: int) -> geopandas.GeoDataFrame:
    """The findings of a batch, the gravest first, with their numbers from 1, the code's title, and a place that can be drawn or None."""
    found = report.findings(batch)
    found.insert(0, "number", np.arange(1, len(found) + 1))
    found["title"] = found["message"].fillna("").str.split(" / ").str[0].str.replace(r"\s*\[[^\]]*\]$", "", regex=True)
    found["message"] = found["message"].fillna("")
    geometry = found.geometry.to_numpy()
    bounds = shapely.bounds(geometry)
    usable = np.isfinite(bounds).all(axis=1) & (np.abs(bounds) < 1e3).all(axis=1)
    geometry[~usable] = None
    return found.set_geometry(geopandas.array.GeometryArray(shapely.force_2d(geometry), crs=found.crs))


def _batch(batch: int) -> dict:
    """What meta.batch says of a batch."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(text("batch_of"), {"batch": batch})
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


def by_code(found: Acceptance) -> pd.DataFrame:
    """The findings by code: level, code, layers, title, remedy, n; the gravest and most frequent first."""
    if not len(found.findings):
        return pd.DataFrame(columns=["level", "code", "title", "layers", "remedy", "n"])
    titles = {k: v.title.zh for k, v in found.layers.items()}
    rows = found.findings.groupby(["level", "code"], sort=False).agg(
        title=("title", "first"), layers=("layer", lambda s: "、".join(titles.get(x, x) for x in dict.fromkeys(s))),
        remedy=("remedy", "first"), n=("number", "size"),
    ).reset_index()  # fmt: skip
    rows["grave"] = rows["level"].map(list(LEVELS).index)
    return rows.sort_values(["grave", "n"], ascending=[True, False], kind="stable").drop(columns="grave").reset_index(drop=True)
