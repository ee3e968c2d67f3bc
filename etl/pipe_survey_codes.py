"""The codes of a pipe survey's findings: level, what is wrong, what to do. `gis.analysis.survey` says when each is found; the texts are in
`gis/standards/tables/survey_codes.json`."""

from __future__ import annotations

from gis.standards import document

CODES: dict[str, dict[str, str]] = document("survey_codes")["codes"]
"""Code → level, zh, en, remedy_zh, remedy_en."""


def level(code: str) -> str:
    """info, warning or error (the row is rejected)."""
    return CODES[code]["level"]


def message(code: str) -> str:
    """What is wrong, in both languages."""
    return f"{CODES[code]['zh']} / {CODES[code]['en']}"


def remedy(code: str) -> str:
    """What to do, in both languages."""
    zh, en = CODES[code]["remedy_zh"], CODES[code]["remedy_en"]
    return f"{zh} / {en}" if zh else ""
