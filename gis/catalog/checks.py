"""The checks of a layer as data: those that its fields imply and those that its file adds.

A row check is an SQL condition over one row of `stage.<layer>` (alias `s`) that is TRUE for a *bad* row; a set check is a
SELECT of `src_row, key, value` of the bad rows. The SQL carries no `%` and no parameter, so that it can be put into a larger
statement as it is. A code never changes its meaning:

======  =======  ==================================================  =================================================
code    level    what is wrong                                       remedy
======  =======  ==================================================  =================================================
NUL     error    a required field is empty                           give the value
RNG     error    a number or date is out of its range, or no number  check value and unit
        /warning (a warning where the field may be empty: it then is)
COD     error    a value is not in its code list                     use a code or title of the list
        /warning (a warning where the field may be empty: it then is)
LEN     error    a text is too long                                  shorten it
PAT     error    a text has not the form asked for                   write it in that form
DUP     error    the key occurs before in the delivery               keep one of the rows
UNI     error    a value that must be unique occurs before           keep one of the rows
REF     error    what a field refers to does not exist (a warning    deliver it first, or correct the reference
        /warning where the field may be empty)
GEO01   error    no geometry                                         give the position
GEO02   error    another type of geometry                            deliver it in its own layer
GEO03   error    a coordinate is no number, or infinite              correct it
GEO04   error    outside the city                                    check the CRS
GEO05   error    a polygon that crosses itself or is not closed      mend it
GEO06   error    a line without length                               draw or remove it
GEO07   error    outside the city, but inside with exchanged axes    exchange X and Y
GEO08   warning  partly outside the city                             check position and city extent
VAL01   error    valid_from is not before valid_to                   check the two dates
======  =======  ==================================================  =================================================

One fault, one finding: what depends on a value (a rule of the layer file, a reference) is not judged where the value itself has
been found wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gis.catalog import faults_of_geometry, rule
from gis.catalog.model import Catalog, Column, Layer, Level, Text
from gis.catalog.quote import literal, name, names
from gis.catalog.read import catalog as read_catalog
from gis.standards import codes


@dataclass(frozen=True)
class RowCheck:
    """One check. `sql`: see the module; `field`: the column it is about; `counterexample`: the values in which a row that it
    catches differs from the layer's good row (`geometry` as WKT)."""

    code: str
    level: Level
    sql: str
    field: str | None
    title: Text
    remedy: Text
    counterexample: dict = field(default_factory=dict)
    kind: Literal["row", "set"] = "row"
    source: str | None = None

    @property
    def empties(self) -> bool:
        """Whether the row is loaded with the field left empty: a pipe of unknown material is still a pipe. The value stays
        in the finding and in the kept source."""
        return self.code in ("RNG", "COD") and self.level == "warning"


def of(layer: Layer, catalog: Catalog | None = None, staged: Mapping[str, str] | None = None) -> list[RowCheck]:
    """All checks of a layer: those of its fields, its geometry, its sets, its own. None for a raster layer.

    staged: where the rows of each layer of the delivery are (layer id → quoted name); without it each layer's are in its stage.
    """
    return [*derived(layer, catalog, staged), *own(layer, catalog)] if not layer.is_raster else []


def derived(layer: Layer, catalog: Catalog | None = None, staged: Mapping[str, str] | None = None) -> list[RowCheck]:
    """The checks that the fields, the key and the geometry type imply."""
    catalog = catalog or read_catalog()
    staged = {one: name("stage", one) for one in catalog.layers} if staged is None else staged
    found = [check for n, column in layer.columns.items() for check in _of_column(n, column)]
    found += faults_of_geometry.of(layer, catalog.city, RowCheck)
    stage = staged.get(layer.id, name("stage", layer.id))
    return [*found, _valid_time(), _duplicate(layer, stage), *_unique(layer, stage), *_references(layer, catalog, stage, staged)]


def own(layer: Layer, catalog: Catalog | None = None) -> list[RowCheck]:
    """The checks that the layer file adds; their rule must hold, so the SQL is its negation."""
    geometry = faults_of_geometry.of(layer, (catalog or read_catalog()).city, RowCheck)
    found = []
    for check in layer.checks:
        parsed = rule.parse(check.rule, set(layer.columns))
        before = [one.sql for n in parsed.columns if n != "geom" for one in _of_column(n, layer.columns[n])]
        before += [one.sql for one in geometry] if "geom" in parsed.columns else []
        subject = next((n for n in check.counterexample if n in layer.columns), None)
        found.append(RowCheck(
            check.code, check.level, _unless(f"NOT ({parsed.sql})", before), subject, check.title, check.remedy,
            check.counterexample, source=check.source,
        ))  # fmt: skip
    return found


def _unless(bad: str, before: list[str]) -> str:
    """The condition, where none of the earlier ones holds."""
    return f"{bad} AND NOT coalesce({' OR '.join(f'({one})' for one in before)}, false)" if before else bad


# --- one field --------------------------------------------------------------------------------------------------------


def _of_column(n: str, column: Column) -> list[RowCheck]:
    made = []
    if column.required:
        made.append(_null(n, column))
    if column.type == "code":
        made.append(_code(n, column))
    if column.type in ("int", "real", "date"):
        made += _range(n, column)
    if column.type in ("text", "texts"):
        made.append(_length(n, column))
    if column.pattern:
        made.append(_pattern(n, column))
    return made


def _null(n: str, column: Column) -> RowCheck:
    return RowCheck(
        "NUL", "error", f"s.{name(n)} IS NULL", n,
        Text(zh=f"{column.title.zh}为空", en=f"{column.title.en} is empty"),
        Text(zh=f"填写{column.title.zh}", en=f"Give {column.title.en}"),
        {n: None},
    )  # fmt: skip


def _level(column: Column) -> Level:
    """A value that cannot be believed rejects the row only where the row makes no sense without it."""
    return "error" if column.required else "warning"


def _code(n: str, column: Column) -> RowCheck:
    known = codes(column.codes)
    shown = known.codes[:8]
    return RowCheck(
        "COD", _level(column), f"s.{name(n)} NOT IN ({', '.join(map(literal, known.codes))})", n,
        Text(zh=f"{column.title.zh}不在代码表“{known.zh}”中", en=f"{column.title.en} is not in the code list {column.codes}"),
        Text(zh="使用代码表中的代码或名称，如 " + "、".join(f"{c} {known[c].zh}" for c in shown),
             en="Use a code or title of the list, such as " + ", ".join(f"{c} ({known[c].en})" for c in shown)),
        {n: "no such code"}, source=known.source or None,
    )  # fmt: skip


def _range(n: str, column: Column) -> Iterator[RowCheck]:
    low = None if column.min is None else _bound(column, column.min)
    high = None if column.max is None else _bound(column, column.max)
    subject, bad = f"s.{name(n)}", []
    if low is not None:
        bad.append(f"{subject} < {low}")
    elif column.type == "real":
        bad.append(f"{subject} = '-Infinity'")
    if high is not None:
        bad.append(f"{subject} > {high}")
    elif column.type == "real":
        bad.append(f"{subject} >= 'Infinity'")  # NaN counts as greater than every number
    if not bad:
        return
    unit = f" {column.unit}" if column.unit else ""
    least, most = (("" if v is None else plain(v)) for v in (column.min, column.max))
    yield RowCheck(
        "RNG", _level(column), " OR ".join(bad), n,
        Text(zh=f"{column.title.zh}超出范围 {least}…{most}{unit}", en=f"{column.title.en} is out of range {least}…{most}{unit}"),
        Text(zh="核对数值与单位", en="Check value and unit"),
        {n: _beyond(column)},
    )  # fmt: skip


def _bound(column: Column, value) -> str:
    if column.type == "date":
        return f"{literal(str(value))}::date"
    return literal(int(value) if column.type == "int" else float(value))


def _beyond(column: Column) -> float | int | str:
    """A value just out of the range."""
    if column.type == "date":
        return "0001-01-01" if column.min is not None else "9999-12-31"
    value = column.max + 1 if column.max is not None else (column.min - 1 if column.min is not None else float("nan"))
    return int(value) if column.type == "int" else value


def plain(value) -> str:
    """A bound as people write it: 0.5, 1e+09, 2020-01-01."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _length(n: str, column: Column) -> RowCheck:
    too_long = f"char_length(s.{name(n)}) > {column.max_length}"
    if column.type == "texts":
        too_long = f"EXISTS (SELECT FROM unnest(s.{name(n)}) t WHERE char_length(t) > {column.max_length})"
    value = "长" * (column.max_length + 1)
    return RowCheck(
        "LEN", "error", too_long, n,
        Text(zh=f"{column.title.zh}超过 {column.max_length} 个字符", en=f"{column.title.en} is longer than {column.max_length} characters"),
        Text(zh="缩短文字，核对是否错列", en="Shorten it; check that the columns are not shifted"),
        {n: [value] if column.type == "texts" else value},
    )  # fmt: skip


def _pattern(n: str, column: Column) -> RowCheck:
    fits = f"s.{name(n)} !~ {literal(column.pattern)} AND char_length(s.{name(n)}) <= {column.max_length}"
    form = f"（{column.description.zh}）" if column.description else ""
    return RowCheck(
        "PAT", "error", fits, n,
        Text(zh=f"{column.title.zh}格式不对{form}", en=f"{column.title.en} has not the form {column.pattern}"),
        Text(zh=f"按格式 {column.pattern} 填写", en="Write it in that form"),
        {n: "?"},
    )  # fmt: skip


def _valid_time() -> RowCheck:
    return RowCheck(
        "VAL01", "error", "s.valid_from >= s.valid_to", "valid_from",
        Text(zh="生效日期不早于失效日期", en="Valid from is not before valid to"),
        Text(zh="核对两个日期", en="Check the two dates"),
        {"valid_from": "2020-01-02", "valid_to": "2020-01-01"},
    )  # fmt: skip


# --- the rows together ------------------------------------------------------------------------------------------------


def _key_text(layer: Layer) -> str:
    return f"concat_ws(':', {', '.join(f's.{name(k)}' for k in layer.key)})"


def _repeated(layer: Layer, columns: tuple[str, ...], stage: str) -> str:
    """The rows whose values in these columns occur in an earlier row (of another key, unless these are the key); value: the
    number of that row."""
    listed = names(columns)
    given = " AND ".join(f"{name(c)} IS NOT NULL" for c in columns)
    other = (
        ""
        if columns == layer.key
        else (
            f"\n  AND NOT EXISTS (SELECT FROM {stage} f WHERE f.src_row = d.first AND "
            + " AND ".join(f"f.{name(k)} = s.{name(k)}" for k in layer.key)
            + ")"
        )
    )
    return (
        f"SELECT s.src_row, {_key_text(layer)} AS key, d.first::text AS value FROM {stage} s\n"
        f"JOIN (SELECT {listed}, min(src_row) AS first FROM {stage} WHERE {given} GROUP BY {listed} HAVING count(*) > 1) d\n"
        f"  ON {' AND '.join(f's.{name(c)} = d.{name(c)}' for c in columns)}\nWHERE s.src_row > d.first{other}"
    )


def _duplicate(layer: Layer, stage: str) -> RowCheck:
    titles = [layer.columns[k].title for k in layer.key]
    return RowCheck(
        "DUP", "error", _repeated(layer, layer.key, stage), layer.key[-1],
        Text(zh="、".join(t.zh for t in titles) + "与前面的行重复", en=", ".join(t.en for t in titles) + " repeats an earlier row"),
        Text(zh="保留其中一行，或改正编号", en="Keep one of the rows or correct the id"),
        {}, "set",
    )  # fmt: skip


def _unique(layer: Layer, stage: str) -> Iterator[RowCheck]:
    unique = [n for n, column in layer.columns.items() if column.unique]
    for n in unique:
        column, others = layer.columns[n], {other: None for other in unique if other != n}
        if n not in layer.key:
            yield RowCheck(
                "UNI", "error", _repeated(layer, (n,), stage), n,
                Text(zh=f"{column.title.zh}与前面的行重复", en=f"{column.title.en} repeats an earlier row"),
                Text(zh="每行应不同：改正其中一个", en="It must differ in every row: correct one"),
                {layer.key[-1]: "other", **others}, "set",
            )  # fmt: skip


def _nowhere(column: Column) -> str:
    """A value in the form that the field asks for which no row has."""
    digits = re.search(r"\{(\d+)\}", column.pattern or "")
    return "0" * int(digits.group(1)) if digits else "no such id"


def _references(layer: Layer, catalog: Catalog, stage: str, staged: Mapping[str, str]) -> Iterator[RowCheck]:
    for n, column in layer.columns.items():
        if column.references is None:
            continue
        target_id, _, target_column = column.references.partition(".")
        target = catalog.layer(target_id)
        value = f"s.{name(n)}"
        same = [f"t.{name(target_column)} = {value}"]
        given = [f"{value} IS NOT NULL"]
        if target.scope and target.scope in layer.columns:
            given.append(f"s.{name(target.scope)} IS NOT NULL")
            same.append(f"t.{name(target.scope)} = s.{name(target.scope)}")
        there = [name("core", target_id), *([staged[target_id]] if target_id in staged else [])]
        missing = [f"NOT EXISTS (SELECT FROM {table} t WHERE {' AND '.join(same)})" for table in there]
        good = [f"NOT ({check.sql})" for check in _of_column(n, column) if check.code != "NUL"]
        yield RowCheck(
            "REF", "error" if column.required else "warning",
            f"SELECT s.src_row, {_key_text(layer)} AS key, {value} AS value FROM {stage} s\n"
            "WHERE " + "\n  AND ".join([*given, *missing, *good]), n,
            Text(zh=f"{column.title.zh}在“{target.title.zh}”中不存在", en=f"{column.title.en} is not in {target.title.en}"),
            Text(zh=f"先提交“{target.title.zh}”，或改正{column.title.zh}", en=f"Deliver {target.title.en} first, or correct it"),
            column.dangling or {n: _nowhere(column)}, "set",
        )  # fmt: skip
