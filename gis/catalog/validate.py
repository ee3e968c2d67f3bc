"""What the types of a layer file cannot say: names that must exist, lists that must be known, rows that must fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from gis import standards
from gis.catalog import rule
from gis.catalog.model import Layer

RESERVED = {"fid", "batch", "recorded_from", "recorded_to", "geom", "geometry", "src_row", "id", "valid_from", "valid_to"}


@dataclass(frozen=True)
class Fault:
    """One mistake in a layer file: the key it is at, what is wrong, what to do."""

    loc: tuple[str | int, ...]
    what: str
    remedy: str


def faults(layer: Layer, layers: dict[str, Layer]) -> Iterator[Fault]:
    """The mistakes in a layer that its types allow, in the order of the file."""
    if layer.id.endswith("_history") or len(layer.id) > 30:
        yield Fault((), f"a layer cannot be called {layer.id}", "Rename the file: up to 30 characters, not ending in _history")
    if layer.is_raster:
        yield from _raster(layer)
        return
    yield from _fields(layer, layers)
    yield from _key(layer)
    yield from _checks(layer, layers)
    yield from _example(layer)
    yield from _access(layer)
    yield from _tiles(layer)
    yield from _style(layer)


def _raster(layer: Layer) -> Iterator[Fault]:
    for part in ("key", "fields", "checks", "example", "scope"):
        if getattr(layer, part):
            yield Fault((part,), f"a raster layer has no `{part}`", "Remove it")


def _fields(layer: Layer, layers: dict[str, Layer]) -> Iterator[Fault]:
    if not layer.fields:
        yield Fault(("fields",), "the layer has no fields", "Give at least the key")
    for name, column in layer.fields.items():
        loc = ("fields", name)
        if name in RESERVED or len(name) > 28:
            yield Fault(loc, f"`{name}` is a name of the platform, or longer than 28 characters", "Choose another name")
        if column.codes and column.codes not in standards.lists():
            yield Fault((*loc, "codes"), f"unknown code list `{column.codes}`", _near(column.codes, standards.lists()))
        if column.references:
            yield from _reference((*loc, "references"), column.references, layers)
        yield from _row(layer, column.dangling, (*loc, "dangling"), may_break=True)
        if column.index == "trgm" and column.type != "text":
            yield Fault((*loc, "index"), "a trigram index needs a text", "Use `index: btree`")
        if column.pattern and column.type != "text":
            yield Fault((*loc, "pattern"), "only a text has a pattern", "Remove it")
        if column.min is not None and column.max is not None and column.min > column.max:
            yield Fault((*loc, "min"), "min is greater than max", "Exchange the two")
        if column.default is not None and not _fits(column.default, column):
            yield Fault((*loc, "default"), f"the default {column.default!r} is no value of this field", "Correct it")


def _reference(loc: tuple, reference: str, layers: dict[str, Layer]) -> Iterator[Fault]:
    target, _, column = reference.partition(".")
    if target not in layers:
        yield Fault(loc, f"a reference to the missing layer `{target}`", _near(target, layers))
    elif column not in layers[target].columns:
        yield Fault(loc, f"layer `{target}` has no column `{column}`", _near(column, layers[target].columns))


def _key(layer: Layer) -> Iterator[Fault]:
    if not layer.key:
        yield Fault(("key",), "the layer has no key", "Name the columns that identify a feature")
    for i, name in enumerate(layer.key):
        if name not in layer.fields:
            yield Fault(("key", i), f"the key names no field: `{name}`", _near(name, layer.fields))
        elif not layer.fields[name].required:
            yield Fault(("key", i), f"the key field `{name}` may be empty", "Add `required: true` to it")
    if layer.scope and layer.scope not in layer.key:
        yield Fault(("scope",), f"the scope `{layer.scope}` is not part of the key", "Add it to the key")


def _checks(layer: Layer, layers: dict[str, Layer]) -> Iterator[Fault]:
    elsewhere = {check.code: (check, other.id) for other in layers.values() if other.id != layer.id for check in other.checks}
    seen: set[str] = set()
    for i, check in enumerate(layer.checks):
        loc = ("checks", i)
        if check.code in seen:
            yield Fault((*loc, "code"), f"the code {check.code} is given twice", "Choose the next free number")
        if check.code.rstrip("0123456789") in PLATFORM_CODES:
            yield Fault((*loc, "code"), f"codes like {check.code} are the platform's", "Choose another prefix")
        seen.add(check.code)
        other, other_id = elsewhere.get(check.code, (check, ""))
        if other.title != check.title:
            yield Fault((*loc, "code"), f"the code {check.code} means something else in layer `{other_id}`", "Choose another code")
        try:
            rule.parse(check.rule, set(layer.columns))
        except rule.RuleError as err:
            remedy = _near(err.name, [*layer.columns, *rule.FUNCTIONS]) if err.name else "A rule is one SQL condition over the row"
            yield Fault((*loc, "rule"), str(err), remedy)
        if not check.counterexample:
            yield Fault((*loc, "counterexample"), f"check {check.code} has no counterexample", "Give the values of a row that it catches")
        yield from _row(layer, check.counterexample, (*loc, "counterexample"), may_break=True)


def _example(layer: Layer) -> Iterator[Fault]:
    if not layer.example:
        yield Fault(("example",), "the layer has no example", "Give a good row; `geometry` as WKT")
        return
    yield from _row(layer, layer.example, ("example",))
    required = {name for name, column in layer.columns.items() if column.required} | {"geometry"}
    for name in sorted(required - {k for k, v in layer.example.items() if v is not None}):
        yield Fault(("example",), f"the example has no `{name}`", "An example is a complete good row")


def _row(layer: Layer, row: dict, loc: tuple, may_break: bool = False) -> Iterator[Fault]:
    for name, value in row.items():
        if name == "geometry":
            continue
        if name not in layer.columns:
            yield Fault((*loc, name), f"no column `{name}`", _near(name, layer.columns))
        elif not may_break and value is not None and not _fits(value, layer.columns[name]):
            yield Fault((*loc, name), f"{value!r} is no value of `{name}`", "See the field's type, range and code list")


def _access(layer: Layer) -> Iterator[Fault]:
    for name in layer.access.columns:
        if name not in layer.columns:
            yield Fault(("access", "columns", name), f"no column `{name}`", _near(name, layer.columns))
        elif name in layer.key:
            yield Fault(("access", "columns", name), f"the key column `{name}` cannot be hidden", "Restrict the layer instead")
    if layer.access.label == "敏感" and "anonymous" in layer.access.read:
        yield Fault(("access", "read"), "a layer labelled 敏感 is never given to anonymous", "Remove anonymous, or lower the label")
    if layer.group == "pipe" and "anonymous" in layer.access.read:
        yield Fault(("access", "read"), "pipelines are not public", "Remove anonymous (自然资发〔2020〕95号)")


def _tiles(layer: Layer) -> Iterator[Fault]:
    for i, name in enumerate(layer.tiles.columns):
        if name not in layer.columns:
            yield Fault(("tiles", "columns", i), f"tiles name no column: `{name}`", _near(name, layer.columns))
        elif name in layer.access.columns:
            yield Fault(("tiles", "columns", i), f"the restricted column `{name}` is in the tiles", "Tiles are shared: remove it")
    if not 0 <= layer.tiles.min_zoom <= layer.tiles.max_zoom <= 22:
        yield Fault(("tiles", "min_zoom"), "zooms run from 0 to 22, min_zoom not above max_zoom", "Correct them")


def _style(layer: Layer) -> Iterator[Fault]:
    style = layer.style
    for part, name in (("by", style.by), ("label", style.label)):
        if name and name not in layer.columns:
            yield Fault(("style", part), f"the style names no column: `{name}`", _near(name, layer.columns))
        elif name and name not in layer.tiles.columns:
            yield Fault(("style", part), f"`{name}` is not in the tiles", "Add it to `tiles.columns`")
    if style.by and (list_id := layer.columns[style.by].codes if style.by in layer.columns else None):
        for i, case in enumerate(style.cases):
            if str(case.value) not in standards.codes(list_id):
                yield Fault(
                    ("style", "cases", i), f"{case.value!r} is not in {list_id}", _near(str(case.value), standards.codes(list_id).codes)
                )
    if style.cases and not style.by:
        yield Fault(("style", "cases"), "cases without a column", "Add `by:`")


def _fits(value: object, column) -> bool:
    """Is this a value of the field?"""
    if column.type == "code":
        return isinstance(value, str) and value in standards.codes(column.codes)
    kinds = {"text": str, "int": int, "real": (int, float), "bool": bool, "texts": list, "date": str, "timestamp": str}
    if not isinstance(value, kinds[column.type]) or (isinstance(value, bool) and column.type != "bool"):
        return False
    if column.type in ("int", "real"):
        return (column.min is None or value >= column.min) and (column.max is None or value <= column.max)
    return True


def _near(name: str, known) -> str:
    near = get_close_matches(str(name), list(known), 1, 0.5)
    return f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(sorted(known)[:12])}"


PLATFORM_CODES = frozenset(["NUL", "RNG", "COD", "LEN", "PAT", "DUP", "UNI", "REF", "GEO", "VAL", "TYP", "SRC", "CRS", "MAP", "LOD"])
"""Prefixes of the checks that every layer has (`gis.catalog.checks`) and of the road in (`gis.ingest.findings`)."""
