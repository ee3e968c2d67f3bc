"""The tables of the standards as data, and the one reader of them.

Each list is a file under `tables/`; each entry says how sure we are of it. `codes("cjj61.material")` answers a list,
`category("JS")` the colours of CJJ 61-2017, `feature_codes()` its appendix F, `document("gb50289")` a whole document.
"""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import yaml

TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True)
class Code:
    """One entry: the stored code, its Chinese and English titles, and the other spellings found in deliveries.

    status: V read in a copy of the standard, P survey practice, R remembered and to be confirmed, O the platform's own.
    """

    code: str
    zh: str
    en: str
    status: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeList:
    """A list of codes. `id` is `table.list`; `source` the standard and clause that it comes from."""

    id: str
    zh: str
    en: str
    source: str
    entries: tuple[Code, ...]

    def __iter__(self) -> Iterator[Code]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, code: object) -> bool:
        return code in self._by_code

    def __getitem__(self, code: str) -> Code:
        return self._by_code[code]

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes in the order of the standard."""
        return tuple(entry.code for entry in self.entries)

    def code_of(self, text: object) -> str | None:
        """The code that a delivery means by this text: the code itself, its Chinese or English title, or another spelling;
        width, case and surrounding space do not matter. None where nothing fits."""
        if text is None:
            return None
        return self._spellings.get(fold(str(text)))

    def title_of(self, code: str, language: str = "zh") -> str:
        """The title of a code in a language (`zh` or `en`); an unknown code is its own title."""
        entry = self._by_code.get(code)
        return code if entry is None else (entry.zh if language.startswith("zh") else entry.en)

    @cached_property
    def _by_code(self) -> dict[str, Code]:
        return {entry.code: entry for entry in self.entries}

    @cached_property
    def _spellings(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for texts in (lambda e: (e.code,), lambda e: (e.zh, e.en), lambda e: e.also):
            for entry in self.entries:
                for text in texts(entry):
                    found.setdefault(fold(text), entry.code)
        return found


@dataclass(frozen=True)
class Category:
    """A category of pipelines of CJJ 61-2017 appendix B with its colour `#rrggbb`."""

    code: str
    number: int
    zh: str
    en: str
    color: str


def fold(text: str) -> str:
    """A text as it is compared: full width made half width (NFKC), case folded, space at the ends removed."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


@lru_cache
def codes(list_id: str) -> CodeList:
    """The code list `table.list`, for example `cjj61.material`. Raises KeyError with the id where there is none."""
    table, _, name = list_id.partition(".")
    if table not in tables() or name not in _table(table):
        raise KeyError(list_id)
    content = _table(table)[name]
    status = content.get("status", "O")
    entries = tuple(_entry(str(code), value, status) for code, value in content["codes"].items())
    return CodeList(list_id, content["title"]["zh"], content["title"]["en"], content.get("source", ""), entries)


@lru_cache
def lists() -> tuple[str, ...]:
    """The ids of all code lists."""
    return tuple(f"{table}.{name}" for table in tables() for name in _table(table))


@lru_cache
def tables() -> tuple[str, ...]:
    """The names of the tables that hold code lists."""
    return tuple(sorted(path.stem for path in TABLES.glob("*.yaml")))


@lru_cache
def categories() -> tuple[Category, ...]:
    """The categories of pipelines of CJJ 61-2017 appendix B, in its order."""
    return tuple(
        Category(code, value["number"], value["zh"], value["en"], value["color"])
        for code, value in _table("cjj61")["category"]["codes"].items()
    )


def category(code: str) -> Category:
    """The category with this code (`JS`) or number (`1`). Raises KeyError where there is none."""
    for found in categories():
        if code in (found.code, str(found.number)):
            return found
    raise KeyError(code)


@lru_cache
def feature_codes() -> tuple[dict[str, str], ...]:
    """The feature codes of CJJ 61-2017 appendix F for water supply and drainage.

    Each row: category and subtype (Chinese names), feature, code (8 digits), geometry (线 点 面) and kind (特征, 附属设施).
    """
    with (TABLES / "cjj61_feature_codes.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@lru_cache
def document(name: str) -> dict:
    """A standard kept as one JSON document, for example `gb50289` (clearances and covers, metres; each value with its status)."""
    path = TABLES / f"{name}.json"
    if not path.is_file():
        raise KeyError(name)
    return json.loads(path.read_text(encoding="utf-8"))


@lru_cache
def _table(name: str) -> dict:
    return yaml.safe_load((TABLES / f"{name}.yaml").read_text(encoding="utf-8"))


def _entry(code: str, value: list | dict, status: str) -> Code:
    if isinstance(value, list):
        return Code(code, value[0], value[1], status)
    return Code(code, value["zh"], value["en"], value.get("status", status), tuple(map(str, value.get("also", ()))))
