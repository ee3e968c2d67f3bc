"""The printed code of a door-plate (一户一码): 27 digits that say where, and that prove themselves.

    area 12 | grid 3 | building 5 | unit 6 | check 1

area: 统计用区划代码 of the village or community (国统字〔2009〕91: 2+2+2+3+3); area + grid is the 15-digit code of the
grid cell (6+3+3+3). building: serial of the gate or building within its grid cell, from 1. unit: two digits of the unit
(单元) within the building and four digits of the serial within that unit; 000000 is the gate or building itself,
UU0000 the entrance of unit UU. check: ISO/IEC 7064:2003, hybrid system MOD 11,10.

What the check digit proves: *every* wrong single digit is found. Of two exchanged neighbours it finds most, not all
(see `adjacent_transpositions_found`); nothing more is claimed. The code is an attribute that may be issued anew after a
boundary changes; the identity of a plate is its permanent key, never this code.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gis.errors import InputError

AREA, GRID, BUILDING, UNIT, CHECK = 12, 3, 5, 6, 1
BODY = AREA + GRID + BUILDING + UNIT
LENGTH = BODY + CHECK

OK, EMPTY, WRONG_LENGTH, NOT_DIGITS, WRONG_CHECK, NO_BUILDING = range(6)
"""What `faults` answers per code."""

REASONS = {
    OK: ("正确", "right"),
    EMPTY: ("编码为空", "the code is empty"),
    WRONG_LENGTH: ("编码应为27位", "a code has 27 digits"),
    NOT_DIGITS: ("编码只能含数字0–9", "a code holds the digits 0 to 9 only"),
    WRONG_CHECK: ("校验码不符，至少一位有误", "the check digit does not agree: at least one digit is wrong"),
    NO_BUILDING: ("楼栋序号从1起，不能为00000", "the building serial starts at 1; 00000 is no building"),
}


def _step_table() -> np.ndarray:
    """(11, 10) table: the next product of MOD 11,10 from the last product (1..10) and a digit."""
    product, digit = np.arange(11)[:, None], np.arange(10)[None, :]
    total = (product + digit) % 10
    return (2 * np.where(total == 0, 10, total) % 11).astype(np.uint8)


_STEP = _step_table()


def _digit_matrix(texts, length: int) -> np.ndarray:
    """(n, length) digits of n strings that all have this length; anything but 0..9 gives a value outside 0..9."""
    array = np.array(texts, dtype=f"<U{length}", ndmin=1, copy=True)
    points = array.view(np.uint32).reshape(len(array), length) - np.uint32(ord("0"))
    return np.minimum(points, 99).astype(np.int8)


def _text_of(digits: np.ndarray) -> np.ndarray:
    """(n,) strings of (n, k) digits."""
    points = np.ascontiguousarray(digits).astype(np.uint32) + np.uint32(ord("0"))
    return points.view(f"<U{digits.shape[1]}").reshape(len(digits))


def _check_of(digits: np.ndarray) -> np.ndarray:
    """(n,) check digits 0..9 of (n, k) digits: ISO/IEC 7064:2003, 9 (MOD 11,10)."""
    product = np.full(len(digits), 10, dtype=np.uint8)
    for column in range(digits.shape[1]):
        product = _STEP[product, digits[:, column]]
    return ((11 - product.astype(np.int8)) % 10).astype(np.int8)


def _strings(codes) -> np.ndarray:
    """(n,) array of str; None and NaN become the empty text."""
    values = np.ravel(codes if isinstance(codes, np.ndarray) else np.asarray(codes, dtype=object))
    if values.dtype.kind == "U":
        return values
    return np.array(["" if value is None or value != value else str(value) for value in values], dtype=object)


def _lengths(texts: np.ndarray) -> np.ndarray:
    return np.strings.str_len(texts) if texts.dtype.kind == "U" else np.array([len(text) for text in texts], dtype=int)


def _digits_of(values, width: int, name: str) -> np.ndarray:
    """(n, width) digits of numbers (padded with zeros) or of digit strings of exactly this width."""
    array = np.atleast_1d(values if isinstance(values, np.ndarray) else np.asarray(values, dtype=object))
    if array.dtype == object and all(isinstance(value, (int, np.integer)) for value in array):
        array = array.astype(np.int64)
    if np.issubdtype(array.dtype, np.integer):
        wrong = np.flatnonzero((array < 0) | (array >= 10**width))
        digits = np.column_stack([(array // 10**place % 10).astype(np.int8) for place in range(width - 1, -1, -1)])
    else:
        texts = _strings(array)
        wrong = np.flatnonzero(_lengths(texts) != width)
        digits = _digit_matrix(texts, width)
        wrong = wrong if len(wrong) else np.flatnonzero(((digits < 0) | (digits > 9)).any(axis=1))
    if len(wrong):
        raise InputError(
            f"{name} of a door-plate code has {width} digits 0 to 9, not {str(array[wrong[0]])[:40]!r}",
            where=f"item {wrong[0] + 1}",
        )
    return digits


def check_digit(bodies) -> np.ndarray:
    """The check digit of each 26-digit body, as an array of one-character strings.

    bodies: (n,) array-like of str, 26 digits each. Raises InputError with the first that is not.
    """
    return _text_of(_check_of(_digits_of(_strings(bodies), BODY, "the body"))[:, None])


def compose(area, grid, building, unit=0) -> np.ndarray:
    """The 27-digit codes from their parts, check digit included, as an (n,) array of str.

    area: 12-digit strings; grid, building, unit: numbers, or digit strings of their full width; arrays of one length,
    or single values. Raises InputError naming the part and the item that does not fit its width.
    """
    widths = {"area": AREA, "grid": GRID, "building": BUILDING, "unit": UNIT}
    parts = [_digits_of(part, widths[name], name) for name, part in zip(widths, (area, grid, building, unit), strict=True)]
    size = np.broadcast_shapes(*((len(part),) for part in parts))[0]
    body = np.hstack([np.broadcast_to(part, (size, part.shape[1])) for part in parts])
    return _text_of(np.column_stack([body, _check_of(body)]))


def normalised(code: str) -> str:
    """A code as typed or scanned, brought to plain digits: full-width digits, spaces, hyphens, dots."""
    text = unicodedata.normalize("NFKC", code)
    return "".join(char for char in text if not (char.isspace() or char in "-‐‑–—·._"))


def faults(codes) -> np.ndarray:
    """(n,) int array: OK or the first reason why the code is wrong (keys of REASONS). None and NaN count as empty."""
    texts = _strings(codes)
    lengths = _lengths(texts)
    answer = np.full(len(texts), WRONG_LENGTH)
    answer[lengths == 0] = EMPTY
    whole = np.flatnonzero(lengths == LENGTH)
    if not len(whole):
        return answer
    digits = _digit_matrix(texts[whole], LENGTH)
    numeric = ((digits >= 0) & (digits <= 9)).all(axis=1)
    answer[whole[~numeric]] = NOT_DIGITS
    whole, digits = whole[numeric], digits[numeric]
    right = _check_of(digits[:, :BODY]) == digits[:, BODY]
    building = digits[:, AREA + GRID : AREA + GRID + BUILDING].any(axis=1)
    answer[whole] = np.where(~right, WRONG_CHECK, np.where(building, OK, NO_BUILDING))
    return answer


@dataclass(frozen=True)
class DoorplateCode:
    """The parts of a valid code, as digit strings."""

    area: str
    grid: str
    building: str
    unit: str
    check: str

    def __str__(self) -> str:
        return self.area + self.grid + self.building + self.unit + self.check

    @property
    def grid_code(self) -> str:
        """The 15-digit code of the grid cell."""
        return self.area + self.grid

    @property
    def printed(self) -> str:
        """In groups, as on a plate: 999901001001-001-00012-000000-5."""
        return "-".join((self.area, self.grid, self.building, self.unit, self.check))


def parse(code: str) -> DoorplateCode:
    """The parts of one code, as typed (see `normalised`). Raises InputError with the reason in both languages."""
    text = normalised(code)
    fault = int(faults([text])[0])
    if fault != OK:
        zh, en = REASONS[fault]
        where = f"{len(text)} characters: {text[:40]}"
        raise InputError(f"{zh} ({en})", where=where, remedy="Compare it with the plate digit by digit")
    ends = np.cumsum([0, AREA, GRID, BUILDING, UNIT, CHECK])
    return DoorplateCode(*(text[start:end] for start, end in pairwise(ends)))


def adjacent_transpositions_found(codes) -> float:
    """The share (0..1) of exchanges of two different neighbouring digits in valid codes that `faults` notices."""
    digits = _digit_matrix(_strings(codes), LENGTH)
    tried = found = 0
    for column in range(LENGTH - 1):
        swapped = digits.copy()
        swapped[:, [column, column + 1]] = digits[:, [column + 1, column]]
        differs = digits[:, column] != digits[:, column + 1]
        tried += int(differs.sum())
        found += int((differs & (_check_of(swapped[:, :BODY]) != swapped[:, BODY])).sum())
    return found / tried if tried else 1.0
