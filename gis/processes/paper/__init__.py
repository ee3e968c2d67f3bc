"""Answers on paper: sheets, notices, lists and the burst book as HTML, PDF, CSV and Excel; and how a process hands them out by value.

A document in an answer is `{name, mediaType, encoding, value}`: HTML as text (`utf-8`), everything else in `base64`. It needs nothing
from outside: no style, font, picture or script is fetched.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

_TYPES = {
    "html": "text/html;charset=utf-8", "pdf": "application/pdf", "csv": "text/csv;charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip
ASKED = "返回文件 {name, mediaType, encoding, value}：HTML 为文本，其他为 base64 / Adds the file by value: HTML as text, others base64"
"""The description of the input `document` wherever a process has one."""


@dataclass(frozen=True)
class Document:
    """A file: its name with the ending that says its kind, and its bytes."""

    name: str
    data: bytes

    @property
    def kind(self) -> str:
        return self.name.rpartition(".")[2]

    def by_value(self) -> dict:
        """The document as it stands in the answer of a process."""
        text = self.kind == "html"
        value = self.data.decode() if text else base64.b64encode(self.data).decode()
        return {"name": self.name, "mediaType": _TYPES[self.kind], "encoding": "utf-8" if text else "base64", "value": value}


def page(name: str, html: str, kind: str) -> Document:
    """One HTML page as a document of the kind html or pdf."""
    return Document(f"{name}.{kind}", html.encode() if kind == "html" else _pdf(html))


def _pdf(html: str) -> bytes:
    from weasyprint import HTML

    return HTML(string=html, url_fetcher=nothing_outside).write_pdf()


def nothing_outside(url: str, *_, **__):
    """The fetcher for print: what is printed holds all that it needs."""
    raise ValueError("what is printed fetches nothing")
