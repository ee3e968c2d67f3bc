"""Addresses and door-plates from a register of plates: one row per plate, with full text, position, and parts where there are some."""

from __future__ import annotations

import hashlib
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd

from etl import doorplate
from etl.listed import columns, listed
from gis.catalog.model import Catalog
from gis.errors import SourceError
from gis.ingest.findings import Findings
from gis.ingest.load import LoadResult, load_frames, silent
from gis.ingest.read import open_source

PARTS: dict[str, tuple[str, ...]] = {
    "full_text": ("地址全称", "标准地址", "地址", "门牌地址", "FULL_ADDR", "full_addre", "full_address", "address"),
    "town": ("乡镇", "街道", "乡镇街道"),
    "community": ("社区", "村", "村社区", "居委会"),
    "road": ("街路", "道路", "街路巷", "ROAD", "street"),
    "section": ("段", "SECTION"),
    "lane": ("巷", "弄", "LANE"),
    "alley": ("支巷", "ALLEY"),
    "sub_alley": ("SUB_ALLEY",),
    "number": ("门牌号", "门牌", "NUMBER", "housenumber"),
}
"""Parts of an address and the names that registers give them; those that follow one another in a field are joined: road and section,
lane, alley and sub-alley."""
_JOINED = {"road": ("road", "section"), "lane": ("lane", "alley", "sub_alley")}


def load(
    catalog: Catalog,
    path: Path | str,
    *,
    crs=None,
    encoding=None,
    mode: str = "replace",
    plates: bool = True,
    dry_run: bool = False,
    progress=silent,
) -> LoadResult:
    """Loads a register of door-plates as one delivery of `address` and (unless `plates` is False) `door_plate`."""
    path = Path(path)
    frames, findings, source = deliveries(catalog, path, crs=crs, encoding=encoding, plates=plates)
    return load_frames(
        catalog,
        frames,
        name=path.name,
        files=source.parts,
        findings=findings,
        mode=mode,
        dry_run=dry_run,
        progress=progress,
        extent=catalog.city.extent,
    )


def deliveries(catalog: Catalog, path: Path, *, crs=None, encoding=None, plates: bool = True):
    """(frames by layer, findings, source). The id of an address is made from its full text, so that the same register gives the same
    ids again; a text that occurs twice is one address at two places: its second row is rejected as a duplicate (一址多点).

    Raises SourceError where there is no column with the full text.
    """
    source = open_source(path, catalog.layer("address"), encoding=encoding, crs=crs)
    known = columns(source, PARTS)
    if "full_text" not in known:
        raise SourceError(
            f"{path.name} has no column with the full address; it has {', '.join(source.columns)}",
            remedy=f"Name it {' or '.join(PARTS['full_text'][:3])}",
        )
    made = listed(source, "address", known)
    found = addresses(made.rows, made.geometry, source.crs)
    frames = {"address": found}
    if plates:
        _refuse_in_plates_too(made.findings)
        frames["address"] = found.assign(plate_id=doorplate.plate_ids(found))
        frames["door_plate"] = doorplate.plates(found)
    return frames, made.findings, source


def _refuse_in_plates_too(findings: Findings) -> None:
    """A line that cannot be read is neither an address nor a plate."""
    found = findings.frame()
    lines = found[found["code"] == "SRC02"]
    findings.extend("door_plate", "SRC02", "error", "the line does not have the columns of the list", "更正该行 / Correct the line",
                    rows=lines["src_row"], values=lines["value"])  # fmt: skip


def addresses(rows: pd.DataFrame, geometry: np.ndarray, crs) -> geopandas.GeoDataFrame:
    """Rows of parts (columns of `PARTS`) and their positions as rows of the layer `address`."""
    full = rows["full_text"]
    fields = {"address_id": full.map(address_id, na_action="ignore"), "full_text": full, "src_row": rows["src_row"]}
    for field in ("town", "community", "road", "lane", "number"):
        given = [rows[p] for p in _JOINED.get(field, (field,)) if p in rows.columns]
        if given:
            joined = given[0].fillna("")
            for more in given[1:]:
                joined = joined + more.fillna("")
            fields[field] = joined.replace("", None)
    return geopandas.GeoDataFrame(fields | {"level": "gate", "status": "official", "stage": "current"}, geometry=geometry, crs=_known(crs))


def address_id(full_text: str) -> str:
    """An id that the same text always gets: 16 hexadecimal digits of its SHA-256 behind an A."""
    return "A" + hashlib.sha256(full_text.encode()).hexdigest()[:16]


def _known(crs):
    from gis import crs as reference

    if reference.chinese_offset(crs):
        raise SourceError("a register in GCJ-02 or BD-09 is no source of standard addresses", remedy="Deliver it in CGCS2000")
    return reference.crs(crs)
