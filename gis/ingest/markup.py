"""XML from outside: whole, without a document type, hence without entities, before any reader sees it."""

from __future__ import annotations

import io
from pathlib import Path
from xml.parsers import expat

from gis.errors import SourceError

_CHUNK = 1 << 20
_DEEPEST = 200
_PROLOG = 64 << 10


def require_sound(path: Path) -> None:
    """Raises SourceError where a file is not well-formed XML, ends too early, or declares a document type."""
    with path.open("rb") as file:
        _parse(file, path.name, whole=True)


def require_no_doctype(file: io.IOBase, name: str) -> None:
    """The same for a stream of which only the beginning is looked at: what stands before the first element."""
    _parse(file, name, whole=False)


class _Begun(Exception):
    """The first element is reached."""


def _parse(file, name: str, whole: bool) -> None:
    parser = expat.ParserCreate()
    depth = 0

    def doctype(*_) -> None:
        raise SourceError(
            f"{name} declares a document type (DTD), which may hold entities", remedy="Deliver it without <!DOCTYPE …>: none needs it"
        )

    def started(*_) -> None:
        nonlocal depth
        depth += 1
        if not whole:
            raise _Begun
        if depth > _DEEPEST:
            raise SourceError(f"{name} has elements nested more than {_DEEPEST} deep", remedy="It is damaged: write it again")

    def ended(_) -> None:
        nonlocal depth
        depth -= 1

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = started
    if whole:
        parser.EndElementHandler = ended
    try:
        while chunk := file.read(_CHUNK if whole else _PROLOG):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except _Begun:
        return
    except (expat.ExpatError, ValueError, LookupError) as error:
        at = f"line {error.lineno}, column {error.offset}" if isinstance(error, expat.ExpatError) else ""
        raise SourceError(
            f"{name} is not well-formed XML: {expat.ErrorString(error.code) if isinstance(error, expat.ExpatError) else error}",
            where=at, remedy="It is damaged or cut off, or not in UTF-8: write it again",
        ) from None  # fmt: skip
