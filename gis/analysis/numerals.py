"""Chinese numerals in addresses: 八十一号 is 81号, 二〇三室 is 203室; 五一路 and 三里街 keep theirs."""

from __future__ import annotations

import re

DIGITS = {char: value for value, chars in enumerate(["零〇", "一壹幺", "二贰两", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"])
          for char in chars}  # fmt: skip
UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
COUNTED = "号|弄|幢|栋|座|单元|层|楼|室|户|房|组|巷|门|之"
"""What a counted part of an address ends with; before anything else a numeral is part of a name."""

_NUMERAL = f"[{''.join(DIGITS)}{''.join(UNITS)}]+"
_COUNTED_NUMERAL = re.compile(f"({_NUMERAL})(?={COUNTED})|(?<=[号之])({_NUMERAL})$")


def value(numeral: str) -> str | None:
    """The number that a Chinese numeral writes, as digits; None where it writes none.

    Without a unit the digits stand side by side (二〇三 is 203, 零八 is 08); with units they count (一百零八 is 108).
    """
    if not numeral:
        return None
    if not any(char in UNITS for char in numeral):
        return "".join(str(DIGITS[char]) for char in numeral) if all(char in DIGITS for char in numeral) else None
    total, digit, last = 0, None, 10_000
    for char in numeral:
        if char in UNITS:
            if UNITS[char] >= last or (digit is None and last != 10_000):
                return None
            total += UNITS[char] * (1 if digit is None else digit)
            digit, last = None, UNITS[char]
        elif char in DIGITS:
            if digit not in (None, 0):
                return None
            digit = DIGITS[char]
        else:
            return None
    return str(total + (digit or 0))


def arabic(text: str) -> str:
    """The text with the numerals of its counted parts (号, 幢, 单元, 室 …) as digits; names keep theirs."""

    def replaced(found: re.Match) -> str:
        numeral = found[1] or found[2]
        return value(numeral) or numeral

    return _COUNTED_NUMERAL.sub(replaced, text)
