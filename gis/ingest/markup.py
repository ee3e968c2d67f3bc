"""XML from outside: whole, without a document type, hence without entities, before any reader sees it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.parsers import expat

from gis.errors import SourceError
from gis.ingest import encoding

_CHUNK = 1 << 20
_DEEPEST = 200
_PROLOG = 64 << 10


_DECLARED = re.compile(rb"""^(<\?xml[^>]*encoding=["'])([A-Za-z0-9._-]+)(["'])""")
_CHINESE = ("GBK", "GB2312", "GB18030", "CP936")


def sound(path: Path, folder: Path | None) -> Path:
    """The file as it stands in `folder`: a link to it, or its copy in UTF-8 where it declares a Chinese encoding, which XML parsers do not
    know. There its reader may write beside it what it has learnt (GDAL's .gfs), and finds nothing that somebody else put there.

    Raises SourceError where it is not well-formed XML, ends too early, or declares a document type.
    """
    with path.open("rb") as file:
        declared = _DECLARED.match(file.read(200))
    if declared is not None and declared.group(2).decode().upper() in _CHINESE:
        path = encoding.as_utf8(path, encoding.GB18030, folder)
        with path.open("r+b") as file:
            file.write(declared.group(1) + b"UTF-8".ljust(len(declared.group(2))).rstrip() + declared.group(3))
            rest = len(declared.group(2)) - len(b"UTF-8")
            file.write(b" " * rest if rest > 0 else b"")
    with path.open("rb") as file:
        _parse(file, path.name.removeprefix("utf-8-"), whole=True)
    return path if folder is None or path.parent == folder else _linked(path, folder)


def _linked(path: Path, folder: Path) -> Path:
    """The file by another way, with the schema that it was delivered with."""
    for one in (path, path.with_suffix(".xsd")):
        if one.is_file() and not (folder / one.name).exists():
            (folder / one.name).symlink_to(one.absolute())
    return folder / path.name


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
