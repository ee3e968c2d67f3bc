"""Who is without water, in the words of a notice: by community, in it by compound with its buildings, or by road with its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

ELSEWHERE = "其他"
PRIORITIES = ("dialysis", "hospital", "fire", "elderly_care", "school", "industry")
"""Users that are told first, in this order."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def by_number(text: str) -> tuple:
    """A sort key in which 2号 comes before 10号."""
    parts = re.split(r"(\d+)", text or "")
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts if p)


def ranges(texts: Iterable[str]) -> str:
    """Names that differ in one number, in short: 1幢, 2幢, 3幢, 5幢 → 1–3、5幢. What has none or several stands by itself."""
    units: dict[str, set[int]] = {}
    others = set()
    for text in texts:
        found = re.fullmatch(r"(\d+)(\D+)", text or "")
        if found:
            units.setdefault(found[2], set()).add(int(found[1]))
        elif text:
            others.add(text)
    parts = ["、".join(_runs(sorted(numbers))) + unit for unit, numbers in sorted(units.items())]
    return "、".join([*parts, *sorted(others, key=by_number)])


def _runs(numbers: Sequence[int]) -> list[str]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [str(a) if a == b else f"{a}–{b}" if b > a + 1 else f"{a}、{b}" for a, b in runs]


def id_runs(ids: Iterable[str]) -> str:
    """Ids that differ in their last number only, in short: XH0017, XH0018, XH0019, XH0031 → XH0017–XH0019、XH0031."""
    found: dict[tuple[str, int], set[int]] = {}
    others = set()
    for one in ids:
        parts = re.fullmatch(r"(.*?)(\d{1,15})", one)
        if parts:
            found.setdefault((parts[1], len(parts[2])), set()).add(int(parts[2]))
        else:
            others.add(one)
    runs = []
    for (prefix, width), numbers in sorted(found.items()):
        for run in (part for several in _runs(sorted(numbers)) for part in several.split("、")):
            runs.append("–".join(f"{prefix}{int(n):0{width}d}" for n in run.split("–")))
    return "、".join([*runs, *sorted(others)])


def areas(plates: Iterable[dict]) -> list[dict]:
    """Door-plates {community, compound, road, number, building_no} as [{community, plates, places: [{name, detail}]}], by name."""
    found: dict[str, dict[str, set[str]]] = {}
    counts: dict[str, int] = {}
    for plate in plates:
        community = plate.get("community") or ELSEWHERE
        counts[community] = counts.get(community, 0) + 1
        places = found.setdefault(community, {})
        if plate.get("compound"):
            at = f"（{plate['road']}{plate['number']}）" if plate.get("road") and plate.get("number") else ""
            places.setdefault(f"{plate['compound']}{at}", set()).add(plate.get("building_no") or "")
        elif plate.get("road"):
            places.setdefault(plate["road"], set()).add(plate.get("number") or "")
        else:
            places.setdefault(plate.get("address") or ELSEWHERE, set())
    return [
        {
            "community": community, "plates": counts[community],
            "places": [{"name": name, "detail": ranges(places[name])} for name in sorted(places, key=by_number)],
        }
        for community, places in sorted(found.items(), key=lambda item: (item[0] == ELSEWHERE, item[0]))
    ]  # fmt: skip


def grouped(plates: Iterable[dict]) -> list[tuple[str, str]]:
    """Door-plates {address, house, id} of one community as (house or street, what is there): 3号福达小区1幢 | 1–2单元 1–6层 01–04室."""
    houses: dict[str, list[str]] = {}
    for plate in plates:
        house, address = plate.get("house") or "", plate["address"] or plate["id"]
        at = address.find(house) + len(house) if house and house in address else 0
        houses.setdefault(address[:at], []).append(address[at:])
    return [(house or ELSEWHERE, rooms(tails)) for house, tails in houses.items()]


def rooms(texts: Iterable[str]) -> str:
    """What follows a house in its addresses, in short: 1单元101室, 1单元102室, 1单元201室, 1单元202室 → 1单元 1、2层 01、02室.

    Nothing is left out: rooms are drawn together by floors only where every floor has the same ones, and units where they have the same
    rooms."""
    found: dict[tuple[str, str], set[int]] = {}
    others = set()
    for one in texts:
        parts = re.fullmatch(r"(.*?)(\d{1,9})(\D*)", one or "")
        if parts:
            found.setdefault((parts[1], parts[3]), set()).add(int(parts[2]))
        elif one:
            others.add(one)
    alike: dict[str, list[str]] = {}
    for (prefix, suffix), numbers in sorted(found.items(), key=lambda item: (by_number(item[0][0]), item[0][1])):
        alike.setdefault(_floors(numbers, suffix), []).append(prefix)
    parts = []
    for told, prefixes in alike.items():
        apart = any(prefixes) and ("层" in told or len(prefixes) > 1)
        parts.append(ranges(prefixes) + (" " if apart else "") + told)
    return "；".join([*parts, *sorted(others, key=by_number)])


def _floors(numbers: set[int], suffix: str) -> str:
    """Numbers of rooms by floors where each floor has the same ones (101, 102, 201, 202 → 1、2层 01、02), else as runs."""
    by_floor: dict[int, set[int]] = {}
    for number in numbers:
        by_floor.setdefault(number // 100, set()).add(number % 100)
    on_each = {frozenset(own) for own in by_floor.values()}
    if len(by_floor) > 1 and 0 not in by_floor and len(on_each) == 1:
        ends = "、".join(re.sub(r"\d+", lambda n: f"{int(n[0]):02d}", run) for run in _runs(sorted(next(iter(on_each)))))
        return f"{'、'.join(_runs(sorted(by_floor)))}层 {ends}{suffix}"
    return "、".join(_runs(sorted(numbers))) + suffix


def told_first(customers: Iterable[dict]) -> list[dict]:
    """Customers {priority, community, address, connection}: priority users first, then by community and address."""
    rank = {name: place for place, name in enumerate(PRIORITIES)} | {None: len(PRIORITIES) + 1, "none": len(PRIORITIES) + 1}

    def place(one: dict) -> tuple:
        return rank.get(one["priority"], len(PRIORITIES)), one["community"] or "", by_number(one["address"] or ""), one["connection"]

    return sorted(customers, key=place)


def plain(value: object) -> object:
    """A value for a sheet: a text that a spreadsheet would take for a formula is marked as text."""
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA) else value
