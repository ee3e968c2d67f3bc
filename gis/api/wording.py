"""What the platform says in English, on a page in the reader's language: sentences with their values, texts written in both."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from babel.messages.pofile import read_po

LOCALE = Path(__file__).parent / "locale"
_VALUE = re.compile(r"\\\{(\d)\\\}")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_SIDES = re.compile(r"\s*/\s+|(?<=[.;]) (?=[\u3400-\u9fff])")
_TITLE = re.compile(r"([^\s/]*[\u3400-\u9fff][^\s/]*) ([A-Za-z][^/\u3400-\u9fff]*)")
LONGEST = 500
"""Characters of a sentence that is looked up; longer ones quote a caller at length and stay as they are."""


@lru_cache
def catalogue(language: str, name: str) -> dict[str, str]:
    """English text → its translation, of `locale/<language>/LC_MESSAGES/<name>.po`; empty where there is none, as for English."""
    path = LOCALE / language / "LC_MESSAGES" / f"{name}.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id and message.string}


@lru_cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Sentences with values (`{0}`), those that say most of themselves first: what fits two fits the more particular."""
    with_values = [one for one in catalogue(language, "sentences").items() if "{0}" in one[0]]
    with_values.sort(key=lambda one: -len(one[0]))
    return [(re.compile(_VALUE.sub(r"(?P<v\1>.+?)", re.escape(text)), re.DOTALL), said) for text, said in with_values]


def sentence(text: str, language: str) -> str:
    """A sentence of the platform in this language, with the values that stand in it (which are translated too where they are sentences
    themselves); the sentence itself where nobody has translated it."""
    if language == "en" or not text or len(text) > LONGEST:
        return text
    if said := catalogue(language, "messages").get(text) or catalogue(language, "sentences").get(text):
        return said
    for pattern, said in _patterns(language):
        if found := pattern.fullmatch(text):
            values = {name[1:]: sentence(value, language) for name, value in found.groupdict().items()}
            return re.sub(r"\{(\d)\}", lambda place, values=values: values[place[1]], said)
    return _of_two(text, language) or text


def _of_two(text: str, language: str) -> str:
    """What was wrong and what to do about it, where they are told in one; empty where that is not so."""
    for gap in re.finditer(r"\.? (?=[A-Z])", text):
        wrong, remedy = text[: gap.start()], text[gap.end() :]
        if (first := sentence(wrong, language)) != wrong and (second := sentence(remedy, language)) != remedy:
            return f"{first}。{second}"
    return ""


def side(text: str, language: str) -> str:
    """The one side of a text that is written as 中文 / English, or as a title 中文 English; a sentence of the platform as `sentence`."""
    said = sentence(text, language)
    if said != text or not _CHINESE.search(text):
        return said
    if title := _TITLE.fullmatch(text):
        return title[1] if language == "zh" else title[2]
    parts = [part for part in _SIDES.split(text) if bool(_CHINESE.search(part)) == (language == "zh")]
    return " ".join(parts) or text
