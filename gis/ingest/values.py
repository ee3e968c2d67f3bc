"""Delivered values as the types of the catalogue: numbers with units, dates as written in China, codes by their titles.

Each function takes one Arrow column of any type and answers (column of the wanted type, mask of the values that are none);
a bad value becomes null, and the caller reports it with its raw text. Empty becomes null. Nothing is guessed.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gis.standards import CodeList, codes

if TYPE_CHECKING:
    from gis.catalog.model import Column

Cast = tuple[pa.Array, np.ndarray]

_EMPTY = frozenset({"", "-", "--", "—", "/", "\\", "无", "不详", "未知", "空", "<空>", "null", "<null>", "(null)", "none", "n/a"})
"""What surveyors write into a number or date that they do not know. Texts are kept as they are."""
_SMALLEST, _LARGEST = 1e-100, 1e100
"""What no measure of a city falls below or exceeds; the square of either is still a number for the database."""
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$"
_UNITS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("mm", "毫米"), ("length", 0.001)), **dict.fromkeys(("cm", "厘米", "公分"), ("length", 0.01)),
    **dict.fromkeys(("m", "米"), ("length", 1.0)), **dict.fromkeys(("km", "公里", "千米"), ("length", 1000.0)),
    **dict.fromkeys(("pa", "帕"), ("pressure", 1.0)), **dict.fromkeys(("kpa", "千帕"), ("pressure", 1e3)),
    **dict.fromkeys(("mpa", "兆帕"), ("pressure", 1e6)), "bar": ("pressure", 1e5),
    **dict.fromkeys(("v", "伏"), ("voltage", 1.0)), **dict.fromkeys(("kv", "千伏"), ("voltage", 1e3)),
    **dict.fromkeys(("m2", "平方米", "平米"), ("area", 1.0)), **dict.fromkeys(("km2", "平方公里", "平方千米"), ("area", 1e6)),
    **dict.fromkeys(("ha", "hm2", "公顷"), ("area", 1e4)),
    **dict.fromkeys(("m3", "立方米"), ("volume", 1.0)), "l": ("volume", 0.001),
    **dict.fromkeys(("l/s", "升/秒"), ("flow", 1.0)), **dict.fromkeys(("m3/h", "立方米/小时"), ("flow", 1 / 3.6)), "m3/s": ("flow", 1e3),
    **dict.fromkeys(("km/h", "公里/小时", "公里/时", "千米/小时"), ("speed", 1.0)), "m/s": ("speed", 3.6),
    **dict.fromkeys(("‰", "[‰]"), ("share", 0.001)), "%": ("share", 0.01),
    **dict.fromkeys(("人", "户", "层", "个", "孔", "根", "条", "床", "座", "圈", "车道"), ("count", 1.0)),
}  # fmt: skip
_QUANTITY = re.compile(r"^(?:dn|de|φ|ø|ϕ|d)?\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]{1,3})?)\s*([^\d\s].*)?$")
_DIAMETER = re.compile(r"^(dn|de|φ|ø|ϕ|d)\s*[0-9]")
_DATE = re.compile(r"^(\d{4})(?:[-/.年](\d{1,2})(?:[-/.月](\d{1,2})日?|月)?|年)?$")
_TRUE = frozenset({"1", "true", "t", "yes", "y", "是", "有", "真", "√", "对"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "否", "无", "没有", "假", "×", "错"})


def fold(text: str) -> str:
    """Full-width forms made half-width, case folded, space at the ends removed: how values are compared."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def plain(name: str) -> str:
    """A column name as names are compared: width, case, blanks, hyphens and underscores do not matter."""
    return fold(name).replace(" ", "").replace("_", "").replace("-", "")


def cast(column: pa.Array, field: Column) -> Cast:
    """A delivered column as the field's type. Codes that no list knows stay as they are written: their check reports them."""
    match field.type:
        case "real":
            return measures(*numbers(column, field.unit))
        case "int":
            return integers(column, field.unit)
        case "bool":
            return booleans(column)
        case "date":
            return dates(column)
        case "timestamp":
            return timestamps(column)
        case "texts":
            return lists(column)
        case "code":
            return coded(column, codes(field.codes))
    column = texts(column)
    return column, np.zeros(len(column), bool)


def texts(column: pa.Array) -> pa.Array:
    """The values as trimmed texts, empty ones null; whole floating numbers without `.0`; characters that no database keeps
    (NUL) removed."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return texts(column.dictionary_decode())
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.fill_null(pc.is_nan(column), False), pa.scalar(None, kind), column)
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 1e15))
        as_whole = pc.cast(pc.cast(pc.if_else(pc.fill_null(whole, False), column, 0.0), pa.int64()), pa.string())
        column = pc.if_else(pc.fill_null(whole, False), as_whole, pc.cast(column, pa.string()))
    elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        column = pa.array([None if v is None else _plain(v) for v in column.to_pylist()], pa.string())
    elif not pa.types.is_string(kind):
        column = pc.cast(column, pa.string())
    if _has_nul(column):
        column = pc.replace_substring(column, "\0", "")
    column = pc.utf8_trim_whitespace(column)
    is_empty = pc.equal(column, "")
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), column) if pc.any(is_empty).as_py() else column


def _has_nul(column: pa.Array) -> bool:
    """Whether a character NUL may be in the texts: one look at their bytes."""
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    return bool(len(data)) and data.min() == 0


def _plain(value) -> str:
    return value.hex() if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False, default=str)


def _by_value(column: pa.Array, parse: Callable[[str], object], type_: pa.DataType) -> Cast:
    """Parses each distinct text once. `parse` answers a value, None for empty, and raises ValueError for a bad one."""
    coded_ = column.dictionary_encode() if not pa.types.is_dictionary(column.type) else column
    values, bad = [], np.zeros(len(coded_.dictionary) + 1, bool)
    for i, text in enumerate(coded_.dictionary.to_pylist()):
        try:
            values.append(parse(text))
        except (ValueError, OverflowError, RecursionError):
            values.append(None)
            bad[i] = True
    indices = coded_.indices
    where = indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    return pa.array([*values, None], type_).take(pa.array(where)), bad[where]


def measures(values: pa.Array, bad: np.ndarray) -> Cast:
    """Numbers that rules may calculate with: what is next to nothing is nothing (in the database a product that vanishes is an error, of
    the whole delivery), what is beyond all measure is bad."""
    sizes = pc.abs(values)
    tiny, huge = (pc.fill_null(found, False) for found in (pc.less(sizes, _SMALLEST), pc.greater(sizes, _LARGEST)))
    if pc.any(tiny).as_py():
        values = pc.if_else(tiny, 0.0, values)
    if pc.any(huge).as_py():
        values, bad = pc.if_else(huge, pa.scalar(None, pa.float64()), values), bad | huge.to_numpy(zero_copy_only=False)
    return values, bad


def numbers(column: pa.Array, unit: str | None = None) -> Cast:
    """Floating numbers: `1,234.5`, `１２`, `DN300`, `0.3m` where the field is in mm (converted), `12 MPa`. Infinite is bad."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.float64()), np.zeros(len(column), bool)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        values = pc.cast(column, pa.float64(), safe=False)
        infinite = pc.fill_null(pc.is_inf(values), False).to_numpy(zero_copy_only=False)
        return pc.if_else(pc.fill_null(pc.is_finite(values), False), values, pa.scalar(None, pa.float64())), infinite
    column = texts(column)
    plain = pc.fill_null(pc.match_substring_regex(column, _NUMBER), False)
    values = pc.cast(pc.if_else(plain, column, pa.scalar(None, pa.string())), pa.float64())
    others = pc.if_else(plain, pa.scalar(None, pa.string()), column)
    bad = pc.fill_null(pc.is_inf(values), False).to_numpy(zero_copy_only=False)
    if others.null_count < len(others):
        parsed, wrong = _by_value(others, lambda text: quantity(text, unit), pa.float64())
        values, bad = pc.coalesce(values, parsed), bad | wrong
    return pc.if_else(pa.array(bad), pa.scalar(None, pa.float64()), values), bad


def quantity(text: str, unit: str | None = None) -> float | None:
    """A number as a person writes it, in the field's unit; None for what means "not known". Raises ValueError.

    >>> quantity("DN300", "mm"), quantity("０.３ｍ", "mm"), quantity("1,234", None)
    (300.0, 300.0, 1234.0)
    """
    text = fold(text)
    if text in _EMPTY:
        return None
    text = re.sub(r"(?<=\d)[,，](?=\d{3}(?:\D|$))", "", text)
    found = _QUANTITY.match(text)
    if not found:
        raise ValueError(text)
    value, suffix = float(found[1]), (found[2] or "").strip()
    own = _UNITS.get(fold(unit or ""))
    if _DIAMETER.match(text) and fold(unit or "mm") != "mm":
        raise ValueError(text)
    if suffix:
        given = _UNITS.get(suffix)
        if given is None or (own is None and given[0] != "count") or (own is not None and own[0] != given[0]):
            raise ValueError(text)
        value = value if own is None else round(value * given[1] / own[1], 12)
    if not np.isfinite(value):
        raise ValueError(text)
    return value


def integers(column: pa.Array, unit: str | None = None) -> Cast:
    """Whole numbers of 64 bits; `3.0` is one, `3.7` is not."""
    if pa.types.is_integer(column.type):
        if pa.types.is_unsigned_integer(column.type):
            too_large = pc.fill_null(pc.greater(column, pa.scalar(2**63 - 1, pa.uint64())), False)
            column = pc.if_else(too_large, pa.scalar(None, column.type), column)
            return pc.cast(column, pa.int64()), too_large.to_numpy(zero_copy_only=False)
        return pc.cast(column, pa.int64()), np.zeros(len(column), bool)
    values, bad = numbers(column, unit)
    fits = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**53))
    bad = bad | ~pc.fill_null(fits, True).to_numpy(zero_copy_only=False)
    return pc.cast(pc.if_else(pc.fill_null(fits, False), values, pa.scalar(None, pa.float64())), pa.int64()), bad


def booleans(column: pa.Array) -> Cast:
    """是 否, 有 无, 1 0, yes no, true false."""
    if pa.types.is_boolean(column.type):
        return column, np.zeros(len(column), bool)

    def parse(text: str) -> bool | None:
        text = fold(text)
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if text in _EMPTY:
            return None
        raise ValueError(text)

    return _by_value(texts(column), parse, pa.bool_())


def date(text: str) -> dt.date | None:
    """A day as written in deliveries: 2024-03-05, 2024/3/5, 2024.3.5, 20240305, 2024年3月5日, with or without a time behind it. Only a
    month (2024年3月, 202403) or a year (1998, 1998年) is its first day. Raises ValueError for what the calendar does not have.

    >>> date("2024年3月5日"), date("1998")
    (datetime.date(2024, 3, 5), datetime.date(1998, 1, 1))
    """
    text = fold(text)
    if text in _EMPTY or text.startswith("0000"):
        return None
    text = re.sub(r"[ t]\d{1,2}[:：时]\d{1,2}.*$", "", text).replace(" ", "")
    text = re.sub(r"\.0+$", "", text) if re.fullmatch(r"\d{4,8}\.0+", text) else text
    if re.fullmatch(r"\d{8}|\d{6}", text):
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:] or 1))
    found = _DATE.match(text)
    if not found:
        raise ValueError(text)
    return dt.date(int(found[1]), int(found[2] or 1), int(found[3] or 1))


def dates(column: pa.Array) -> Cast:
    """Days; see `date`. Date and timestamp columns keep their day."""
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        return pc.cast(column, pa.date32(), safe=False), np.zeros(len(column), bool)
    return _by_value(texts(column), date, pa.date32())


def timestamps(column: pa.Array) -> Cast:
    """Moments; without an offset they are Beijing time (UTC+8), as deliveries mean them."""
    beijing = dt.timezone(dt.timedelta(hours=8))
    if pa.types.is_timestamp(column.type):
        values = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
        values = values if column.type.tz else pc.assume_timezone(values, "Asia/Shanghai", ambiguous="earliest", nonexistent="latest")
        return pc.cast(values, pa.timestamp("us", "UTC")), np.zeros(len(column), bool)

    def parse(text: str) -> dt.datetime | None:
        if fold(text) in _EMPTY:
            return None
        try:
            moment = dt.datetime.fromisoformat(fold(text).upper())
        except ValueError:
            moment = dt.datetime.combine(date(text), dt.time())
        return moment if moment.tzinfo else moment.replace(tzinfo=beijing)

    return _by_value(texts(column), parse, pa.timestamp("us", "UTC"))


def lists(column: pa.Array) -> Cast:
    """Lists of texts: an Arrow list, a JSON array, or texts between ; 、 | or commas."""

    def parse(text: str) -> list[str]:
        if text.startswith("["):
            found = json.loads(text)
            return [str(v) for v in found if v is not None]
        return [part for part in (p.strip() for p in re.split(r"[;；、|,，]", text)) if part]

    values, bad = _by_value(texts(column), parse, pa.list_(pa.string()))
    return values, bad


def coded(column: pa.Array, list_: CodeList) -> Cast:
    """Codes: a code, its Chinese or English title or another known spelling becomes the code; anything else stays as written, for
    the layer's check to report with its raw value."""

    def parse(text: str) -> str:
        found = list_.code_of(text)
        return text if found is None else found

    return _by_value(texts(column), parse, pa.string())
