"""Lists (registers, points of interest) as rows of texts: the columns that a job knows, with every line of the source accounted for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from gis.errors import SourceError
from gis.ingest.findings import Findings
from gis.ingest.map import plain
from gis.ingest.read import Source


@dataclass
class Listed:
    """`rows`: the known columns as texts (None where empty), and `src_row`; `geometry` (n,) shapely objects in the source's CRS; `findings`
    so far. A line that could not be cut into columns is an empty row, which its finding (SRC02) rejects: so rows read are all rows."""

    rows: pd.DataFrame
    geometry: np.ndarray
    findings: Findings


def columns(source: Source, names: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """What a source calls each known column, the first of its names that fits; those that it lacks are missing."""
    by_plain = {plain(c): c for c in reversed(source.columns)}
    found = {known: next((by_plain[plain(n)] for n in (known, *others) if plain(n) in by_plain), None) for known, others in names.items()}
    return {known: column for known, column in found.items() if column is not None}


def listed(source: Source, layer_id: str, known: dict[str, str]) -> Listed:
    """All rows of a source; `known` is column → what the source calls it. Raises SourceError where there are none."""
    parts, geometries, findings = [], [], Findings()
    schema = pa.schema([(name, pa.string()) for name in known])
    for batch in source.batches():
        rows = batch.rows.select(list(known.values())).rename_columns(list(known)).cast(schema).to_pandas()
        rows = rows.apply(lambda column: column.str.strip()).replace("", None).astype(object)
        parts.append(rows.where(rows.notna(), None).assign(src_row=batch.numbers))
        geometries.append(batch.shapes())
        if batch.broken is not None and batch.broken.any():
            findings.extend(layer_id, "TYP02", "warning", "the coordinates are no numbers", "更正坐标 / Correct the position", field="geom",
                            rows=batch.numbers[batch.broken], values=batch.broken_texts)  # fmt: skip
    findings.take(source.findings)
    if not parts:
        raise SourceError(f"{source.name} holds no rows", remedy="Deliver the rows")
    found = findings.frame()
    unreadable = found.loc[found["code"] == "SRC02", "src_row"].astype("int64").to_numpy()
    if len(unreadable):
        parts.append(pd.DataFrame({"src_row": unreadable}).reindex(columns=[*known, "src_row"]).astype({name: object for name in known}))
        geometries.append(np.full(len(unreadable), None, dtype=object))
    rows, geometry = pd.concat(parts, ignore_index=True), np.concatenate(geometries)
    order = np.argsort(rows["src_row"].to_numpy(), kind="stable")
    return Listed(rows.iloc[order].reset_index(drop=True), geometry[order], findings)
