"""A pipe survey by CJJ 61-2017 as one delivery of all its layers: `onemap load survey DIR`.

Point and line tables of any category (`etl.pipe_survey_tables`) → typed rows (`…_rows`) → joined by number and checked
(`gis.analysis.survey`)
→ nodes, pipes and devices with heights (`…_layers`) → one batch, all or nothing. Codes of the findings: `…_codes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from etl import pipe_survey_rows as typed
from etl.pipe_survey_codes import level, message, remedy
from etl.pipe_survey_layers import frames_of, line_layer, node_layer
from etl.pipe_survey_place import Place, placed
from etl.pipe_survey_tables import POINT, Tables, all_tables, stacked, tables
from gis.analysis import survey, survey_levels
from gis.analysis.survey import Faults, Limits
from gis.catalog.model import Catalog
from gis.errors import SourceError
from gis.ingest import evidence
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, load_frames, silent
from gis.standards import document


@dataclass
class Survey:
    """A delivery as read and checked: layer → rows, what was found, how well it was measured, and the files."""

    frames: dict[str, gpd.GeoDataFrame]
    findings: Findings
    statistics: list[dict]
    files: list[Path]


def load(
    catalog: Catalog, paths: Sequence[Path | str], *, network: str = "city", crs: str | None = None, encoding: str | None = None,
    tolerance: float | None = None, mode: str = "replace", dry_run: bool = False, progress=silent,
) -> LoadResult:  # fmt: skip
    """Loads a survey (folders, ZIPs, workbooks, databases, tables) as one batch of all its layers.

    network: the scope of the water layers. crs: of the coordinates; without it the tables' own, else the city's working CRS if they
    lie in the city so.
    tolerance (metres): see `gis.analysis.survey.ends`. Raises SourceError, Rejected.
    """
    progress("reading the survey", 0, None)
    made = survey_of(catalog, paths, network=network, crs=crs, encoding=encoding, tolerance=tolerance)
    evidence.add_statistics(made.statistics)
    name = ", ".join(Path(p).name for p in paths)
    return load_frames(
        catalog, made.frames, name=name, files=made.files, findings=made.findings, mode=mode, dry_run=dry_run, progress=progress,
        extent=catalog.city.extent, scope=network,
    )  # fmt: skip


def survey_of(
    catalog: Catalog, paths: Sequence[Path | str], *, network: str = "city", crs: str | None = None, encoding: str | None = None,
    tolerance: float | None = None,
) -> Survey:  # fmt: skip
    """Reads and checks a survey without a database. Raises SourceError (unreadable, no points or lines)."""
    found = _all_tables(paths, encoding)
    findings, faults, limits = Findings(), Faults(), limits_of()
    points, lines = typed.points_of(found.points, faults), typed.lines_of(found.lines, faults)
    typed.settle_categories(points, lines, faults)
    _told_about_tables(found, findings, points, lines)
    place = placed(points, lines, found, catalog, crs, findings)
    lines["gravity"] = (lines["category"] == "PS").to_numpy()
    lines["parallel"] = lines["category"].isin(["DL", "TX"]).to_numpy()
    usable = survey.usable_points(points, faults, limits)
    at = survey.ends(points, usable, lines, faults, tolerance)
    whole = survey.usable_lines(lines, at, points, faults)
    survey.network_faults(points, usable, at, lines, whole, faults)
    statistics = _measured(found, points, lines, usable, at, whole, place, faults, limits)
    frames = frames_of(points, lines, at, usable, whole, network, faults)
    _reported(faults, points, lines, place, findings)
    scoped = {k for k in frames if catalog.layer(k).scope}
    return Survey({k: f for k, f in frames.items() if len(f) or k in scoped}, findings, statistics, found.files)


def limits_of() -> Limits:
    """The limits of the standard's table (`gis/standards/tables/survey_limits.json`)."""
    known = document("survey_limits")
    return Limits(**{k: tuple(v) if isinstance(v, list) else v for k, v in known.items() if k in Limits.__dataclass_fields__})


def _all_tables(paths: Sequence[Path | str], encoding: str | None) -> Tables:
    """The tables of all paths as one delivery. Raises SourceError where points or lines are missing."""
    found = Tables([], [], [], [], [])
    for path in paths:
        one = tables(path, encoding=encoding)
        found.files += [f for f in one.files if f not in found.files]
        for kind in ("points", "lines", "checks"):
            own = getattr(found, kind)
            before = own[-1].before + len(own[-1].rows) if own else 0
            for table in getattr(one, kind):
                table.before += before
                own.append(table)
        found.ignored += one.ignored
    for kind, what, needed in ((found.points, "point", "物探点号, X, Y"), (found.lines, "line", "起点点号, 终点点号")):
        if not kind:
            raise SourceError(
                f"the delivery holds no {what} table" + (f"; not understood: {', '.join(found.ignored)[:200]}" if found.ignored else ""),
                remedy=f"A {what} table has the columns {needed} (see docs/surveyor.md)",
            )
    return found


def _told_about_tables(found: Tables, findings: Findings, points: pd.DataFrame, lines: pd.DataFrame) -> None:
    """Encodings, columns and tables that were not taken, as findings about the delivery."""
    at = {"point": str(node_layer(points["category"].iloc[:1])[0]) if len(points) else "water_node"}
    at["line"] = str(line_layer(lines.iloc[:1])[0]) if len(lines) else "water_pipe"
    at["check"] = at["point"]
    for table in all_tables(found):
        if table.encoding not in (None, "UTF-8"):
            findings.add(at[table.kind], "SRC03", "info", f"the text of {table.name} is {table.encoding}", value=table.encoding)
        if table.unknown:
            columns = f"{table.name}: {len(table.unknown)} columns have no field and stay in the kept source"
            findings.add(at[table.kind], "MAP01", "info", columns, value=", ".join(table.unknown)[:400])
    for name in found.ignored:
        findings.add(
            at["point"],
            "SRC05",
            "warning",
            f"{name} is neither a point table nor a line table: not read",
            "See docs/surveyor.md",
            value=name,
        )


def _measured(found, points, lines, usable, at, whole, place: Place, faults: Faults, limits: Limits) -> list[dict]:
    """All checks of levels and measures; their figures for the report."""
    closure = survey_levels.closures(points, lines, at, whole, faults, limits)
    agreement = survey_levels.agreements(points, lines, at, whole, faults, limits)
    lines["length"] = survey_levels.measures(points, lines, at, whole, faults, limits)
    own = survey_levels.own_positions(points, lines, at, faults, limits)
    twice = (points["map_number"].notna() & points.duplicated(["category", "map_number"])).to_numpy()
    faults.add("SP17", "point", twice, field="map_number", values=list(points["map_number"].to_numpy()[twice]))
    checks = stacked(found.checks, POINT)
    for name in ("north", "east", "ground", "depth"):
        checks[name] = pd.to_numeric(checks[name], errors="coerce")
    if len(checks):
        checks["east"], checks["north"] = place.metric(checks["east"].to_numpy(float), checks["north"].to_numpy(float))
    figures = [
        survey_levels.statistic("高程闭合差（地面高程－埋深－管线高程）", closure, limits.closure_m, kind="max"),
        survey_levels.statistic("同点各管线埋深之差", agreement, limits.depth_agreement_m, kind="max"),
        survey_levels.statistic("管线端点与管点坐标之差", own, limits.point_line_m, kind="max"),
        *survey_levels.repeated(points, usable, checks, faults, limits),
    ]
    return [figure for figure in figures if figure["n"]]


def _reported(faults: Faults, points: pd.DataFrame, lines: pd.DataFrame, place: Place, findings: Findings) -> None:
    """The faults as findings of their layers, each with the place where it is known and the row of the table that it stands in."""
    frame = faults.frame()
    for subject, rows, layers in (("point", points, node_layer(points["category"])), ("line", lines, line_layer(lines))):
        mine = frame[frame["subject"] == subject]
        if not len(mine):
            continue
        index = mine["index"].to_numpy(dtype=int)
        lon, lat = place.degrees(mine["east"].to_numpy(float), mine["north"].to_numpy(float))
        at = np.where(np.isfinite(lon) & np.isfinite(lat), shapely.points(np.nan_to_num(lon), np.nan_to_num(lat)), None)
        mine = mine.assign(
            layer=layers[index], origin=rows["origin"].to_numpy(dtype=object)[index], src=rows["src_row"].to_numpy()[index], at=at
        )
        for (code, layer, field), group in mine.groupby(["code", "layer", mine["field"].fillna("")], sort=True):
            findings.extend(
                str(layer), str(code), level(str(code)), [f"{message(str(code))} [{origin}]" for origin in group["origin"]],
                remedy(str(code)),
                rows=group["src"], field=field or None, values=list(group["value"]), geometries=group["at"].to_numpy(dtype=object),
            )  # fmt: skip
