"""Public facilities from lists of points of interest: kind by the list's categories, positions turned back from GCJ-02."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import geopandas
import pandas as pd

from etl.listed import columns, listed
from gis import crs as reference
from gis.catalog.model import Catalog
from gis.errors import InputError, SourceError
from gis.ingest.load import LoadResult, load_frames, silent
from gis.ingest.map import placed
from gis.ingest.read import open_source
from gis.standards import codes

KINDS: tuple[tuple[str, str], ...] = (
    (r"宠物|动物医疗|医药保健|药房|整形美容", ""),
    (r"幼儿园|托儿所", "kindergarten"),
    (r"小学", "primary_school"),
    (r"高中|高级中学", "high_school"),
    (r"中学|初中", "middle_school"),
    (r"诊所|卫生室|卫生服务|卫生院", "clinic"),
    (r"医院|急救中心", "hospital"),
    (r"养老|敬老", "elderly_care"),
    (r"避难", "shelter"),
    (r"公交", "bus_stop"),
    (r"消防", "fire_station"),
    (r"派出所|公安", "police_station"),
    (r"公园", "park"),
    (r"菜市场|农贸|超市", "market"),
    (r"图书馆|文化站", "library"),
    (r"体育", "sports"),
    (r"公厕|公共厕所", "toilet"),
)
"""Words of a category → kind of facility, the first that fits; empty: not a public facility."""
_NAMES = {
    "name": ("名称", "设施名称", "name"),
    "address": ("地址", "address"),
    "category": ("类型", "类别", "type", "category"),
    "phone": ("电话", "tel", "phone"),
}


def load(
    catalog: Catalog,
    path: Path | str,
    *,
    kind: str | None = None,
    crs: str = "GCJ-02",
    encoding: str | None = None,
    mode: str = "update",
    dry_run: bool = False,
    progress=silent,
) -> LoadResult:
    """Loads a list of points of interest into `facility`; see `deliveries`. The mode is update: each list holds some kinds only."""
    path = Path(path)
    frame, findings = deliveries(catalog, path, kind=kind, crs=crs, encoding=encoding)
    return load_frames(
        _allowing(catalog, frame),
        {"facility": frame},
        name=path.name,
        files=[path],
        findings=findings,
        mode=mode,
        dry_run=dry_run,
        progress=progress,
        extent=catalog.city.extent,
    )


def _allowing(catalog: Catalog, frame: geopandas.GeoDataFrame) -> Catalog:
    """The catalogue with a `facility` that allows what is no public facility to be rejected, however much of the list that is: a list of
    everything in a city is a sound delivery. Of the facilities themselves no more may be faulty than in any delivery, and a list
    without any is refused."""
    layer, foreign = catalog.layer("facility"), float(frame["kind"].isna().mean())
    if foreign == 1:
        return catalog
    allowed = layer.source.model_copy(update={"max_rejected": foreign + layer.source.max_rejected * (1 - foreign)})
    return catalog.model_copy(update={"layers": catalog.layers | {"facility": layer.model_copy(update={"source": allowed})}})


def deliveries(catalog: Catalog, path: Path, *, kind: str | None = None, crs: str = "GCJ-02", encoding: str | None = None):
    """(rows of `facility`, findings). `kind` is the kind of all rows; without it the category decides. A row whose category is no public
    facility has no kind and a finding (FAC90) that rejects it. Maps of the internet are in GCJ-02, which is the default.

    Raises SourceError (unreadable, no names), InputError (unknown kind).
    """
    if kind is not None and kind not in codes("onemap.facility_kind"):
        raise InputError(f"unknown kind of facility {kind!r}", remedy=", ".join(codes("onemap.facility_kind").codes))
    source = open_source(path, catalog.layer("facility"), encoding=encoding, crs=crs)
    known = columns(source, _NAMES)
    if "name" not in known or (kind is None and "category" not in known):
        raise SourceError(
            f"{path.name} has no column with names or categories; it has {', '.join(source.columns)}", remedy="Name them 名称 and 类型"
        )
    made = listed(source, "facility", known)
    rows, findings = made.rows, made.findings
    kinds = pd.Series(kind, index=rows.index, dtype=object) if kind else kind_of(rows["category"])
    unread = rows["src_row"].isin(findings.frame().query("code == 'SRC02'")["src_row"].astype("int64"))
    foreign = kinds.isna() & ~unread
    if foreign.any():
        findings.extend(
            "facility", "FAC90", "error", "the row is no public facility", "若属公共服务设施，请更正类型 / Correct the type if it is one",
            field="kind", rows=rows.loc[foreign, "src_row"], values=rows.loc[foreign, "category"],
        )  # fmt: skip
    given = {n: rows[n] for n in ("name", "address", "phone") if n in rows.columns}
    address = rows["address"].fillna("") if "address" in rows.columns else ""
    text = rows["name"].fillna("") + "|" + address + "|" + kinds.fillna("")
    frame = geopandas.GeoDataFrame(
        {"facility_id": text.map(_id), "kind": kinds, "src_row": rows["src_row"]} | given,
        geometry=placed(made.geometry, source.crs),
        crs=reference.STORED,
    )
    return frame, findings


def kind_of(categories: pd.Series) -> pd.Series:
    """The kind of facility that a category text means, per row; missing where it is no public facility."""

    def decide(text: str) -> str | None:
        return next((kind or None for words, kind in KINDS if re.search(words, text)), None)

    return categories.map({text: decide(text) for text in categories.dropna().unique()}).astype(object)


def _id(text: str) -> str:
    return "F" + hashlib.sha256(text.encode()).hexdigest()[:16]
