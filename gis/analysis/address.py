"""Addresses as people type them: brought to one form, split into the components of GB/T 35639-2017, and compared.

No list of all addresses is needed: a gazetteer of area, road and compound names is enough to split a text. Nothing is
guessed: what fits two addresses equally well is answered with both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import lru_cache

from opencc import OpenCC
from pypinyin import lazy_pinyin
from rapidfuzz import fuzz, process

from gis.analysis import numerals
from gis.errors import InputError

MAX_TEXT = 300
"""No address is longer (`address.full_text`)."""

_RADICALS = dict(
    zip("⻄⻓⻔⻋⻢⻅⻉⻘⻚⻛⻜⻝⻥⻦⻩⻬⻮⻰⻳⻨⻆⻁⺠⺟⻙⻣⻤⻧", "西长门车马见贝青页风飞食鱼鸟黄齐齿龙龟麦角虎民母韦骨鬼卤", strict=True)
)
_DASHES = dict.fromkeys("—–―－﹣~～‐‑", "-")
_LOOK_ALIKES = str.maketrans(_RADICALS | _DASHES | {"〇": "零", "＃": "#"})
"""CJK radicals that look like a character but are none (NFKC leaves them), and the many dashes."""

_LETTERED_BUILDING = r"(?<![A-Za-z])([A-Za-z])(?:号楼|栋|座|幢)"
_NUMBERED_BUILDING = r"(\d+)(?:号楼|#楼|栋|座|幢)"


def checked(text: str) -> str:
    """The text without control characters. Raises InputError where it cannot be an address: blank, too long, no letter."""
    if not isinstance(text, str) or not text.strip():
        raise InputError("the address is empty", remedy="Give a text such as 府前街81号")
    if len(text) > MAX_TEXT:
        raise InputError(f"the address has {len(text):,} characters, more than {MAX_TEXT}")
    if not re.search(r"\w", text):
        raise InputError("the address holds neither a letter nor a digit")
    return "".join(char for char in text if char.isprintable() or char == "\u3000").strip()


@lru_cache
def _simplifier() -> OpenCC:
    return OpenCC("t2s")


def tidy(text: str) -> str:
    """Half-width, simplified, without spaces, punctuation and control characters; numerals and words as typed."""
    text = unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)
    text = _simplifier().convert(text)
    text = re.sub(r"\(([^()]*)\)|\[([^\[\]]*)\]|【([^【】]*)】", _bracket, text)
    return "".join(char for char in text if char.isalnum() or char in "-#")


def _bracket(found: re.Match) -> str:
    """What stands in brackets is kept where it counts something, and dropped where it describes (县政府对面)."""
    inner = next(group for group in found.groups() if group is not None)
    return inner if re.search(r"\d|[A-Za-z]座", inner) else ""


def normalised(text: str) -> str:
    """The one form in which addresses are compared: `tidy`, digits for numerals, 幢 for 栋 and 号楼, 12-3号 for 12号之3."""
    text = numerals.arabic(tidy(text)).upper()
    text = re.sub(r"(\d+)号之(\d+)", r"\1-\2号", text)
    text = re.sub(r"(\d+)之(\d+)号?", r"\1-\2号", text)
    text = re.sub(r"(\d+)号(\d{1,2})$", r"\1-\2号", text)
    text = re.sub(_NUMBERED_BUILDING, r"\1幢", text)
    text = re.sub(_LETTERED_BUILDING, r"\1幢", text)
    text = re.sub(r"(\d+)#", r"\1号", text)
    text = re.sub(r"(?<=\D)(\d+)-(\d+)-(\d+)(?:室|房)?$", r"\1幢\2单元\3室", text)
    text = re.sub(r"(\d+|[A-Z])幢(\d+)-(\d+)(?:室|房)?$", r"\1幢\2单元\3室", text)
    text = re.sub(r"((?:(?:幢|单元|层|楼)\d+)|号\d{3,4})(?:房|户)?$", r"\1室", text)
    return re.sub(r"([路街巷弄道][甲乙丙丁]?\d+(?:-\d+)?)$", r"\1号", text)


@dataclass(frozen=True)
class Parts:
    """The components of an address in the normalised form; empty where the text does not name them."""

    areas: tuple[str, ...] = ()
    road: str = ""
    lane: str = ""
    number: str = ""
    compound: str = ""
    building: str = ""
    unit: str = ""
    floor: str = ""
    room: str = ""
    rest: str = ""
    """What was not understood."""

    @property
    def depth(self) -> int:
        """How many components below the road are named."""
        return sum(bool(getattr(self, name)) for name in ("lane", "number", "compound", "building", "unit", "room"))


_TAIL = re.compile(
    r"^(?P<lane>(?:(?:\d+|[\u4e00-\u9fff]{1,4}?)(?:巷|弄|胡同)){1,3})?"
    r"(?:(?P<number>[甲乙丙丁]?(?:附)?\d+(?:-\d+)?[A-Z甲乙丙丁]?号(?:附\d+号?)?)(?:院内|院|内)?)?"
    r"(?P<between>.*?)"
    r"(?P<building>(?:\d+|[A-Z])幢)?(?P<unit>(?:\d+|[甲乙丙丁A-Z])单元)?(?P<floor>\d+(?:层|楼))?"
    r"(?P<room>[A-Z]?\d+[A-Z]?(?:室|房|户))?(?P<rest>[^\d]*)$"
)
_ROAD_SUFFIX = "大道|公路|胡同|街|路|道|巷|弄"
_AREA_SUFFIX = "省市县区镇乡村"
_GROUP = re.compile(r"\d+(?:村民小组|组|邻|队)")
"""A group of neighbours within a village or community."""


@dataclass
class Gazetteer:
    """The names that split an address: normalised name -> the spellings in the data."""

    areas: dict[str, set[str]] = field(default_factory=dict)
    roads: dict[str, set[str]] = field(default_factory=dict)
    compounds: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, areas: Iterable[str] = (), roads: Iterable[str] = (), compounds: Iterable[str] = ()) -> Gazetteer:
        """The gazetteer of names as they are spelt in the data. An alias is given as (alias, name)."""
        found = cls()
        for names, into in ((areas, found.areas), (roads, found.roads), (compounds, found.compounds)):
            for entry in names:
                typed, spelt = entry if isinstance(entry, tuple) else (entry, entry)
                if typed and (key := tidy(typed)):
                    into.setdefault(key, set()).add(spelt)
        return found

    def __post_init__(self):
        self._by_sound: dict[str, set[str]] | None = None

    def split(self, text: str) -> Parts:
        """The components of a normalised text. What no name explains is a road by its suffix (路, 街 …) or `rest`."""
        areas, at = [], 0
        while (name := _longest(self.areas, text, at)) and not self._is_road_there(text, at, name):
            areas.append(name)
            at += len(name)
        if group := _GROUP.match(text, at):
            areas.append(group[0])
            at = group.end()
        text = text[at:]
        road, before, after = self._road(text)
        tail = _TAIL.match(after)
        between, rest = tail["between"], tail["rest"]
        compound, between = self._compound(before + between)
        return Parts(
            areas=tuple(areas), road=road, compound=compound, rest=between + rest,
            **{name: tail[name] or "" for name in ("lane", "number", "building", "unit", "floor", "room")},
        )  # fmt: skip

    def _is_road_there(self, text: str, at: int, area: str) -> bool:
        """重庆 in 重庆路 is no area: a longer road name begins there, or a road's suffix follows a bare name.

        A village is both in 金家村五巷7号: it is the road where no other road or area follows it.
        """
        road, end = _longest(self.roads, text, at), at + len(area)
        if road == area:
            return not (_longest(self.roads, text, end) or _longest(self.areas, text, end) or _longest(self.compounds, text, end))
        bare = area[-1] not in _AREA_SUFFIX
        return len(road) > len(area) or (bare and re.match(_ROAD_SUFFIX, text[end:]) is not None)

    def _road(self, text: str) -> tuple[str, str, str]:
        """The road, what stands before it, and what follows."""
        for at in range(min(len(text), 40)):
            if text[at].isdigit():
                break
            if name := _longest(self.roads, text, at):
                return name, text[:at], text[at + len(name) :]
            if name := _longest(self.compounds, text, at):
                return "", "", text[at:]
        if guess := re.match(rf"^([^\d]{{1,10}}?(?:{_ROAD_SUFFIX}))(?=\d|[甲乙丙丁]\d|[^\d]{{1,4}}(?:巷|弄))", text):
            return guess[1], "", text[guess.end() :]
        return "", "", text

    def _compound(self, text: str) -> tuple[str, str]:
        for at in range(len(text)):
            if name := _longest(self.compounds, text, at):
                return name, text[:at] + text[at + len(name) :]
        return "", text

    def similar_roads(self, typed: str, *, at_least: float = 50, limit: int = 8) -> dict[str, float]:
        """Roads that sound or look like a misspelt one: name -> agreement 0..1, homophones first; all ties are kept."""
        if self._by_sound is None:
            self._by_sound = {}
            for name in self.roads:
                self._by_sound.setdefault(_sound(name), set()).add(name)
        found = {name: 0.95 for name in self._by_sound.get(_sound(typed), ())}
        close = process.extract(typed, self.roads.keys(), scorer=fuzz.ratio, limit=50, score_cutoff=at_least)
        for name, score, _ in close:
            found[name] = max(found.get(name, 0), score / 100)
        best = sorted(found, key=found.get, reverse=True)
        if len(best) > limit:
            worst = found[best[limit - 1]]
            best = [name for name in best if found[name] >= worst]
        return {name: found[name] for name in best}


def _sound(name: str) -> str:
    """Pinyin without tones; n/ng, z/zh, c/ch, s/sh and l/n are not told apart, as dialects do not."""
    text = " ".join(lazy_pinyin(name))
    for written, heard in (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ng", "n")):
        text = text.replace(written, heard)
    return text


def _longest(names: dict[str, set[str]], text: str, at: int, longest: int = 24) -> str:
    """The longest of the names that begins at this place of the text, or nothing."""
    for end in range(min(len(text), at + longest), at + 1, -1):
        if text[at:end] in names:
            return text[at:end]
    return ""


WEIGHTS = {"road": 0.34, "number": 0.26, "lane": 0.1, "compound": 0.1, "building": 0.1, "unit": 0.05, "room": 0.05}
EXTRA = 0.01
"""What each component costs that the answer names and the question does not: 81号 before 81号1幢."""
WRONG_AREA = 0.3


def agreement(asked: Parts, found: Parts, *, road: float | None = None) -> float:
    """How well an address fits what was asked, 0..1; exactly 1 where every component asked agrees and none is added.

    road: the agreement of the road's name where it was misspelt (`Gazetteer.similar_roads`).
    """
    score = total = 0.0
    for name, weight in WEIGHTS.items():
        wanted, given = getattr(asked, name), getattr(found, name)
        if wanted:
            total += weight
            equal = road if name == "road" and road is not None else float(wanted == given)
            score += weight * equal
        elif given and not (name == "compound" and asked.road and asked.building == found.building):
            score -= EXTRA if name not in ("road", "number") or not asked.compound else 0
    if not total:
        return 0.0
    if any(area not in found.areas for area in asked.areas):
        score -= WRONG_AREA
    if asked.rest and asked.rest != found.rest:
        score -= EXTRA
    return max(0.0, min(1.0, score / total))


def spellings(part: str) -> list[str]:
    """The ways in which data may spell a normalised component: 3幢 also 3栋, 3号楼, 3座; 12-3号 also 12之3號."""
    if part.endswith("幢"):
        return [part[:-1] + word for word in ("幢", "栋", "号楼", "座", "#楼", "棟", "號樓")]
    if part.endswith("号"):
        body = part[:-1]
        return [form + mark for form in dict.fromkeys((body, body.replace("-", "之"))) for mark in ("号", "號", "")]
    if part.endswith(("室", "房", "户")):
        return [part[:-1] + word for word in ("室", "房", "户", "")]
    return [part]


def named(parts: Parts) -> dict[str, str]:
    """The components that a text names."""
    return {item.name: getattr(parts, item.name) for item in fields(parts) if getattr(parts, item.name)}
