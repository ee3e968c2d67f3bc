"""Grid cells (定格): drawn or statistical cells get their community and their 15-digit code; what is against the rules is found.

Rules after CJ/T 349 and DB6101/T 3185: a cell belongs to one community and lies in it, cells do not overlap, together they cover the
community; the code is that of the community (12 digits) and a serial of three, from north to south and in each row from west to east.
"""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely

from etl.listed import columns, listed
from gis import crs as reference
from gis.catalog.model import Catalog
from gis.db.store import Store
from gis.errors import InputError
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, load_frames, silent
from gis.ingest.map import placed
from gis.ingest.read import open_source

INSIDE = 0.99
"""The share of a cell that must lie in its community: borders are drawn by hand."""
OVERLAP = 0.01
COVERED = 0.95
_FIELDS = ("grid_code", "name", "community_code", "officer", "phone", "population", "valid_from", "valid_to")


def load(
    catalog: Catalog, path: Path | str, *, crs=None, encoding: str | None = None, source_layer: str | None = None, mode: str = "replace",
    dry_run: bool = False, progress=silent,
) -> LoadResult:  # fmt: skip
    """Loads a file of cells into `grid_cell`. Raises InputError where no communities are loaded yet, SourceError where it is unreadable."""
    path, layer = Path(path), catalog.layer("grid_cell")
    with Store() as store:
        communities = store.frame("community", ["code", "name"], crs=catalog.city.working_crs)
    if not len(communities):
        raise InputError("there are no communities that cells could belong to", remedy="Load the layer community first")
    source = open_source(path, layer, encoding=encoding, crs=crs, source_layer=source_layer)
    made = listed(source, "grid_cell", columns(source, {name: layer.source_names(name)[1:] for name in _FIELDS}))
    cells = geopandas.GeoDataFrame(made.rows, geometry=placed(made.geometry, source.crs), crs=reference.STORED)
    progress(f"communities of {path.name}", 0, len(cells))
    frame, findings = coded(cells, communities)
    made.findings.take(findings)
    return load_frames(
        catalog, {"grid_cell": frame}, name=path.name, files=source.parts, findings=made.findings, mode=mode, dry_run=dry_run,
        progress=progress, extent=catalog.city.extent,
    )  # fmt: skip


def coded(cells: geopandas.GeoDataFrame, communities: geopandas.GeoDataFrame) -> tuple[geopandas.GeoDataFrame, Findings]:
    """(rows of `grid_cell`, findings): cells (columns of the layer as far as they are known, `src_row`; any CRS) with community and code.

    `communities` has `code` and is in the CRS (metres) in which areas are measured. What the source says of a cell's community or code
    holds; else it is the community that most of it lies in, and the next free serial.
    """
    findings, cells = Findings(), cells.copy()
    for name in ("grid_code", "community_code"):
        if name not in cells.columns:
            cells[name] = None
    shapes = cells.geometry.to_crs(communities.crs).to_numpy()
    areas = np.nan_to_num(shapely.area(shapes))
    shares = _shares(shapes, areas, communities)
    given = cells["community_code"].fillna(cells["grid_code"].str[:12])
    most = shares.sort_values("share").drop_duplicates("cell", keep="last").set_index("cell")["code"]
    cells["community_code"] = given.fillna(pd.Series(cells.index.map(most), index=cells.index))
    own = shares.set_index(["cell", "code"])["share"]
    inside = pd.Series([own.get((i, c), 0.0) for i, c in zip(cells.index, cells["community_code"], strict=True)], index=cells.index)
    measured = areas > 0
    _tell(findings, cells, measured & cells["community_code"].isna(), "GRD90", "error", "the cell lies in no community",
          "核对位置，或先装入社区 / Correct its place, or load its community first")  # fmt: skip
    crossing = measured & cells["community_code"].notna() & (inside < INSIDE)
    _tell(findings, cells, crossing, "GRD91", "warning", "the cell is not wholly in its community",
          "沿社区边界划分 / Cut it at the border", inside.map("{:.0%}".format))  # fmt: skip
    _overlaps(findings, cells, shapes, areas)
    _gaps(findings, cells, shapes, communities)
    _number(findings, cells, shapes, measured)
    return cells, findings


def _shares(shapes: np.ndarray, areas: np.ndarray, communities: geopandas.GeoDataFrame) -> pd.DataFrame:
    """Which share of each cell (`cell`, its position) lies in which community (`code`)."""
    borders = communities.geometry.to_numpy()
    cell, community = shapely.STRtree(borders).query(shapes, predicate="intersects")
    common = shapely.area(shapely.intersection(shapes[cell], borders[community]))
    found = pd.DataFrame({"cell": cell, "code": communities["code"].to_numpy()[community], "share": common / np.maximum(areas[cell], 1e-9)})
    return found[found["share"] > 1e-6]


def _tell(findings: Findings, cells, which, code: str, level: str, message: str, remedy: str, values: pd.Series | None = None) -> None:
    rows = cells[which]
    findings.extend("grid_cell", code, level, message, remedy, field="geom", rows=rows["src_row"],
                    values=None if values is None else values[which])  # fmt: skip


def _overlaps(findings: Findings, cells: geopandas.GeoDataFrame, shapes: np.ndarray, areas: np.ndarray) -> None:
    """Cells of the same community that lie on one another: told of the later one."""
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    code = cells["community_code"].to_numpy()
    later = (one > other) & (code[one] == code[other])
    one, other = one[later], other[later]
    common = shapely.area(shapely.intersection(shapes[one], shapes[other])) / np.maximum(np.minimum(areas[one], areas[other]), 1e-9)
    worst = pd.Series(common, index=one).groupby(level=0).max()
    share = pd.Series(cells.index.map(worst), index=cells.index).fillna(0.0)
    _tell(findings, cells, share > OVERLAP, "GRD92", "warning", "the cell overlaps another of its community",
          "同一社区的网格不得重叠 / Cells of a community must not overlap", share.map("{:.0%}".format))  # fmt: skip


def _gaps(findings: Findings, cells: geopandas.GeoDataFrame, shapes: np.ndarray, communities: geopandas.GeoDataFrame) -> None:
    """Communities that have cells but are not covered by them."""
    borders = communities.set_index("code").geometry
    for code, members in cells.groupby("community_code").indices.items():
        if code in borders.index:
            covered = shapely.area(shapely.intersection(shapely.union_all(shapes[members]), borders[code])) / shapely.area(borders[code])
            if covered < COVERED:
                findings.add("grid_cell", "GRD93", "info", f"the cells of the community {code} cover {covered:.0%} of it",
                             "补划网格 / Draw the missing cells", field="community_code", value=code)  # fmt: skip


def _number(findings: Findings, cells: geopandas.GeoDataFrame, shapes: np.ndarray, measured: np.ndarray) -> None:
    """Gives cells without a code the next free serial of their community: row by row from the north, each from the west."""
    bare = cells["grid_code"].isna() & cells["community_code"].notna() & measured
    bounds = shapely.bounds(shapes)
    centre = (bounds[:, :2] + bounds[:, 2:]) / 2
    for code, members in cells[bare].groupby("community_code"):
        at = cells.index.get_indexer(members.index)
        height = max(float(np.median(bounds[at, 3] - bounds[at, 1])), 1e-9)
        row = np.rint((centre[at, 1].max() - centre[at, 1]) / height)
        used = {int(c[12:]) for c in cells["grid_code"].dropna() if c[:12] == code and c[12:].isdigit()}
        free = [n for n in range(1, 1000) if n not in used]
        order = at[np.lexsort((centre[at, 0], row))]
        for place, serial in zip(order, free, strict=False):
            cells.iloc[place, cells.columns.get_loc("grid_code")] = f"{code}{serial:03}"
        left = cells.index.isin(cells.index[order[len(free) :]])
        _tell(findings, cells, left, "GRD94", "error", f"the community {code} has more cells than serials",
              "三位顺序号最多 999 个 / Three digits number 999 cells")  # fmt: skip
