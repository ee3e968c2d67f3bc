"""CAD drawings (DXF): which CAD layers and blocks belong to a layer, texts beside an element and block attributes as its attributes.

What belongs where is said by `--source-layer` (patterns of CAD layers), else by a table `NAME.layers.csv` beside the drawing, else by
`gis/standards/tables/drawing_layers.csv`. Its columns: layer and block (patterns; without a block the row means lines, areas, points
and texts), target (a layer's id); any further column is an attribute of the rows that it takes.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyogrio
import shapely

from gis.errors import InputError, SourceError
from gis.ingest import encoding as texts
from gis.ingest import vector, wkb
from gis.ingest.read import BATCH, Batch, Source
from gis.ingest.values import fold
from gis.ingest.wanted import Notes, Wanted
from gis.standards import TABLES

_NEAR = 5.0
"""Drawing units (metres) within which a text belongs to an element."""
_DIAMETER = re.compile(r"(?:DN|De|D|d|[ΦφФфØø∅])\s*(\d{2,4})(?!\d)")
_PARTS = ("VERTEX", "SEQEND", "ATTRIB", "VIEWPORT")
"""Entities that are parts of others, or no part of the drawing."""
_KINDS = {0: 0, 4: 0, 1: 1, 5: 1, 2: 1, 3: 2, 6: 2}
"""Shapely's geometry types by dimension."""


@dataclass(frozen=True)
class Rule:
    """One row of the table: patterns of CAD layer and block, the layer that it fills, attributes that it gives."""

    layer: str
    block: str
    target: str
    attributes: dict[str, str] = field(default_factory=dict)

    def takes(self, layer: str, block: str | None) -> bool:
        if not fnmatchcase(fold(layer), fold(self.layer)):
            return False
        return fnmatchcase(fold(block), fold(self.block)) if block else not self.block


@dataclass
class Element:
    """One entity of model space: its CAD layer, block and text where it has them, handle, angle, block attributes, shape."""

    layer: str
    block: str | None
    text: str | None
    handle: str
    angle: float | None
    attributes: dict[str, str]
    shape: shapely.Geometry | None


def open_drawing(path: Path, layer: Wanted, *, encoding: str | None, source_layer: str | None, scratch: Path | None) -> Source:
    """Opens the elements of a drawing that belong to one layer; see `gis.ingest.read.open_source`."""
    findings = Notes()
    with path.open("rb") as file:
        head = file.read(8 << 20)
    binary = head.startswith(b"AutoCAD Binary DXF")
    if binary:
        raise SourceError(f"{path.name} is a binary DXF", remedy="Save it as an ASCII DXF")
    used = texts.canonical(encoding) if encoding else texts.of_text(path, head)
    read = path if used == "UTF-8" else texts.as_utf8(path, used, scratch)
    pyogrio.set_gdal_config_options({"DXF_ENCODING": "UTF-8"})
    elements, handles = _elements(path, read)
    rules, parts = _rules(path, layer, source_layer)
    taken, left = _taken(elements, rules, layer)
    if not taken:
        found = Counter(e.layer for e in elements)
        listed = ", ".join(f"{name} ({n})" for name, n in found.most_common(60))
        raise InputError(
            f"nothing in {path.name} is known to belong to {layer.id}",
            remedy=f"Name its CAD layers with --source-layer, or in {path.stem}.layers.csv; there are: {listed}",
        )
    if left:
        listed = ", ".join(f"{name} ({n})" for name, n in left.most_common(60))
        message = f"{path.name}: {sum(left.values())} elements of the drawing are not of this layer"
        findings.add(layer.id, "SRC12", "info", message, value=listed)
    unread = _unread(read, handles)
    if unread:
        listed = ", ".join(f"{name} ({n})" for name, n in unread.most_common(20))
        message = f"{path.name}: {sum(unread.values())} elements of the drawing are of kinds that are not read"
        findings.add(layer.id, "SRC12", "warning", message, "Draw them as lines, polylines, points, texts or blocks", value=listed)
    rows = _table(taken, _texts_beside(elements, taken))
    geometry = wkb.of(np.array([e.shape for e, _ in taken], dtype=object))
    return Source(
        name=path.name, path=path, format="dxf", columns=tuple(rows.column_names), crs=None, crs_declared=False, encoding=used,
        count=len(taken), findings=findings, batches=lambda: _batches(rows, geometry), layer_name=source_layer, parts=parts,
    )  # fmt: skip


def _rules(path: Path, layer: Wanted, asked: str | None) -> tuple[list[Rule], tuple[Path, ...]]:
    """The rules of a drawing in order, and the files that they and it are from."""
    if asked is not None:
        patterns = [p.strip() for p in asked.split(",") if p.strip()]
        return [Rule(p, block, layer.id) for p in patterns for block in ("", "*")], (path,)
    own = path.with_name(f"{path.stem}.layers.csv")
    if own.is_file():
        return _read_rules(own), (path, own)
    return _read_rules(TABLES / "drawing_layers.csv"), (path,)


def _read_rules(path: Path) -> list[Rule]:
    raw = path.read_bytes()
    table = csv.DictReader(io.StringIO(raw.decode(texts.of_text(path, raw), "replace").lstrip("\ufeff")))
    names = {"layer", "block", "target"}
    if not names <= set(table.fieldnames or ()):
        raise SourceError(f"{path.name} has no columns layer, block, target", remedy="Name them so in its first line")
    return [
        Rule(
            row["layer"] or "*", row["block"] or "", (row["target"] or "").strip(),
            {k: v for k, v in row.items() if k and k not in names and v},
        )
        for row in table
    ]  # fmt: skip


def _elements(path: Path, read: Path) -> tuple[list[Element], set[str]]:
    """The entities of model space, and the handles of all. Blocks are points, not what is drawn in them."""
    found, handles = [], set()
    for table, geometry in vector.stream(read, "entities", Wanted("", ""), Notes()):
        shapes = wkb.shapes(geometry)[0] if geometry is not None else [None] * table.num_rows
        for row, shape in zip(table.to_pylist(), shapes, strict=True):
            handles.add(row.get("EntityHandle") or "")
            if row.get("PaperSpace"):
                continue
            attributes = dict(a.partition(" ")[::2] for a in row.get("BlockAttributes") or ())
            found.append(
                Element(row.get("Layer") or "0", row.get("BlockName"), _plain_text(row.get("Text")), row.get("EntityHandle") or "",
                        row.get("BlockAngle"), attributes, shape)
            )  # fmt: skip
    if not found:
        raise SourceError(f"{path.name} draws nothing in model space", remedy="Deliver the drawing with its entities")
    return found, handles


def _unread(path: Path, handles: set[str]) -> Counter:
    """How many entities of the drawing, by kind, GDAL has passed over. In DXF a line with a group code is followed by one with its value; 0
    begins an entity, 5 is its handle."""
    found: Counter = Counter()
    kind, section, opened = "", "", False
    with path.open(encoding="utf-8", errors="replace") as file:
        for code, value in zip(file, file, strict=False):
            code, value = code.strip(), value.strip()
            if code == "0":
                kind, opened = value, value == "SECTION"
            elif code == "2" and opened:
                section, opened = value, False
            elif code == "5" and section == "ENTITIES" and kind and kind not in _PARTS:
                found[kind] += value not in handles
                kind = ""
    return +found


def _plain_text(text: str | None) -> str | None:
    """A text without line breaks and the commonest formatting codes."""
    if not text:
        return None
    text = re.sub(r"\\[A-Za-z][^;\\]*;|[{}]", "", text.replace("\\P", " ").replace("%%c", "Φ").replace("%%C", "Φ"))
    return " ".join(text.split()) or None


def _taken(elements: list[Element], rules: list[Rule], layer: Wanted) -> tuple[list[tuple[Element, Rule]], Counter]:
    """The elements that the rules give to a layer, and how many others there are by CAD layer. Texts are neither."""
    taken, left = [], Counter()
    for element in elements:
        if element.text and not element.block:
            continue
        rule = next((r for r in rules if r.takes(element.layer, element.block)), None)
        shape = None if element.shape is None else _fitting(element.shape, layer.dimension)
        if rule is None or rule.target != layer.id or shape is None:
            left[element.layer] += 1
            continue
        element.shape = shape
        taken.append((element, rule))
    return taken, left


def _fitting(shape: shapely.Geometry, dimension: int | None) -> shapely.Geometry | None:
    """The shape where it is of the layer's dimension: closed lines are areas where areas are wanted."""
    have = _KINDS.get(shapely.get_type_id(shape))
    if dimension is None or have == dimension:
        return shape
    closed = dimension == 2 and shape.geom_type == "LineString" and shape.is_closed and len(shape.coords) > 3
    return shapely.Polygon(shape.coords) if closed else None


def _texts_beside(elements: list[Element], taken: list[tuple[Element, Rule]]) -> list[list[str]]:
    """The texts of each taken element: each text belongs to the nearest one on a CAD layer that is called alike, within five metres."""
    found: list[list[str]] = [[] for _ in taken]
    written = [e for e in elements if e.text and not e.block and e.shape is not None]
    groups: dict[str, list[int]] = {}
    for i, (element, _) in enumerate(taken):
        groups.setdefault(_stem(element.layer), []).append(i)
    for stem, members in groups.items():
        tree = shapely.STRtree([taken[i][0].shape for i in members])
        beside = [e for e in written if _stem(e.layer) == stem]
        if beside:
            text, nearest = tree.query_nearest([shapely.force_2d(e.shape) for e in beside], max_distance=_NEAR, all_matches=False)
            for t, n in zip(text, nearest, strict=True):
                found[members[n]].append(beside[t].text)
    return found


def _stem(layer: str) -> str:
    """What the CAD layers of one kind of pipe have in common: `JS_LINE`, `JS-TEXT`, `给水管线`, `给水注记`."""
    head = re.split(r"[_\-\s.]", fold(layer))[0]
    return re.sub(r"(line|point|text|管线|管点|管道|管|注记|标注|文字|点|线)$", "", head) or head


def _table(taken: list[tuple[Element, Rule]], beside: list[list[str]]) -> pa.Table:
    """The attributes of the elements as texts: layer, block, handle, angle, the texts beside, the diameter in them, and what blocks and
    rules say."""
    columns: dict[str, list[str | None]] = {name: [] for name in ("图层", "图块", "句柄", "角度", "文字", "标注管径")}
    for (element, _), written in zip(taken, beside, strict=True):
        text = "; ".join(written) or None
        diameter = _DIAMETER.search(text) if text else None
        angle = None if element.angle is None else f"{element.angle:g}"
        values = (element.layer, element.block, element.handle, angle, text, diameter.group(1) if diameter else None)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    said = [{**element.attributes, **rule.attributes} for element, rule in taken]
    for name in dict.fromkeys(k for row in said for k in row):
        columns[name if name not in columns else f"{name}_2"] = [row.get(name) or None for row in said]
    if "管径" not in columns:
        columns["管径"] = columns.pop("标注管径")
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _batches(rows: pa.Table, geometry: pa.Array):
    for start in range(0, rows.num_rows, BATCH):
        n = min(BATCH, rows.num_rows - start)
        yield Batch(rows.slice(start, n), np.arange(start + 1, start + n + 1), geometry.slice(start, n))
