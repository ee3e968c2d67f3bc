"""ZIP archives from outside: unpacked into a folder of the load's own, within limits, and the one file in them opened.

Refused are paths that lead out, links, encryption, archives in archives, and bombs: what unpacks to more than its size allows.
"""

from __future__ import annotations

import resource
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gis.errors import InputError, SourceError
from gis.ingest import formats
from gis.ingest.wanted import Wanted

_MODEST = 256 << 20
_RATIO = 200
"""Above a quarter of a gigabyte, how many times its size an archive may unpack to: real tables reach fifty."""
_ENTRIES = 20_000
_DEEPEST = 12
_COMPANIONS = (".dbf", ".shx", ".prj", ".cpg", ".sbn", ".sbx", ".qix", ".xml", ".sld", ".qml", ".pdf", ".doc", ".docx", ".jpg", ".png")


def open_archive(path: Path, layer: Wanted, scratch: Path, encoding: str | None, crs: str | None, source_layer: str | None):
    """Opens the one file of an archive that a layer can be read from; see `gis.ingest.read.open_source`.

    Where there are several, `source_layer` names one (or FILE/LAYER), or the layer's file says which. Raises SourceError, InputError.
    """
    unpack(path, scratch)
    found = {str(p.relative_to(scratch)): p for p in _datasets(scratch)}
    if not found:
        raise SourceError(f"{path.name} holds no file that can be loaded", remedy=f"Accepted are {', '.join(formats.SUFFIXES)}")
    name, inner = _chosen(path, found, layer, source_layer)
    source = formats.opened(found[name], layer, encoding, crs, inner, scratch=scratch, nested=True)
    source.parts = (path,)
    return source


def files(path: Path, scratch: Path) -> list[str]:
    """The files of an archive that can be loaded; FILE/LAYER where a file has several. Raises SourceError."""
    unpack(path, scratch)
    found = []
    for file in _datasets(scratch):
        name, inner = str(file.relative_to(scratch)), formats.listed(file, scratch)
        found += [f"{name}/{layer}" for layer in inner] if len(inner) > 1 else [name]
    return found


def _chosen(path: Path, found: dict[str, Path], layer: Wanted, asked: str | None) -> tuple[str, str | None]:
    """The file of the archive and the layer in it that are meant."""
    if asked is not None:
        known = _called(found)
        file, _, inner = asked.rpartition("/")
        if asked in known:
            return known[asked], None
        if file in known:
            return known[file], inner
        if len(found) > 1:
            raise InputError(f"{path.name} holds no {asked!r}", remedy=f"It holds: {', '.join(sorted(found))[:2000]}")
    if len(found) == 1:
        return next(iter(found)), asked
    fitting = [n for n, p in found.items() if any(p.match(pattern) for pattern in layer.source.files) or p.stem in (layer.id, layer.title)]
    if len(fitting) == 1:
        return fitting[0], None
    raise InputError(f"{path.name} holds {len(found)} files", remedy=f"Choose one with --source-layer: {', '.join(sorted(found))[:2000]}")


def _called(found: dict[str, Path]) -> dict[str, str]:
    """Each file by its path, its name and, where it is the only one of that name, its stem."""
    stems = [p.stem for p in found.values()]
    known = {p.stem: n for n, p in found.items() if stems.count(p.stem) == 1}
    return known | {p.name: n for n, p in found.items()} | {n: n for n in found}


def _datasets(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside_gdb = any(parent.suffix.lower() == ".gdb" for parent in path.relative_to(folder).parents)
        if inside_gdb or path.name.startswith((".", "__MACOSX")) or "__MACOSX" in path.parts:
            continue
        suffix = path.suffix.lower()
        if path.is_dir():
            if suffix == ".gdb":
                yield path
        elif suffix not in _COMPANIONS and formats.SUFFIXES.get(suffix) not in (None, "zip", "gdb"):
            yield path


def require_modest(name: str, packed: zipfile.ZipFile) -> None:
    """Refuses what claims to unpack to far more than it is. Raises SourceError."""
    entries = packed.infolist()
    total, size = sum(e.file_size for e in entries), max(1, sum(e.compress_size for e in entries))
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if len(entries) > _ENTRIES:
        raise SourceError(f"{name} holds {len(entries)} files", remedy=f"Deliver at most {_ENTRIES} in one archive")
    if most != resource.RLIM_INFINITY and total > most:
        raise SourceError(
            f"{name} would unpack to {total >> 20} MB", remedy="Deliver it in parts; ONEMAP_READ_UNPACKED_BYTES sets the limit"
        )
    if total > _MODEST and total > _RATIO * size:
        raise SourceError(f"{name} unpacks to {total // size} times its size: no delivery does", remedy="Deliver the files themselves")


def unpack(path: Path, folder: Path) -> None:
    """Unpacks an archive. Raises SourceError where it is damaged or would do harm; claimed and real sizes both count."""
    try:
        with zipfile.ZipFile(path) as packed:
            require_modest(path.name, packed)
            for entry in packed.infolist():
                if not entry.is_dir():
                    _unpack(path, packed, entry, folder)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError) as error:
        full = isinstance(error, OSError) and error.errno == 28
        raise SourceError(
            f"there is no room to unpack {path.name}" if full else f"{path.name} cannot be unpacked: it is damaged",
            remedy="Free space in the folder for temporary files" if full else "Pack it again as a plain ZIP",
        ) from None


def _unpack(path: Path, packed: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    name = _name(entry)
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or len(parts) > _DEEPEST or "\0" in name:
        raise SourceError(f"{path.name} holds a file that would be written elsewhere: {name[:80]!r}", remedy="Pack it again without paths")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise SourceError(f"{path.name} holds a link, {name[:80]!r}", remedy="Pack the files themselves")
    if entry.flag_bits & 1:
        raise SourceError(f"{path.name} is encrypted", remedy="Pack it without a password")
    target = folder.joinpath(*parts)
    if target.exists():
        raise SourceError(f"{path.name} holds {name[:80]!r} twice", remedy="Pack it again")
    target.parent.mkdir(parents=True, exist_ok=True)
    with packed.open(entry) as source, target.open("xb") as file:
        shutil.copyfileobj(_Measured(source, entry.file_size, path.name), file, 1 << 20)


class _Measured:
    """A stream that may not give more than was announced."""

    def __init__(self, source, announced: int, name: str):
        self.source, self.left, self.name = source, announced, name

    def read(self, size: int) -> bytes:
        chunk = self.source.read(size)
        self.left -= len(chunk)
        if self.left < 0:
            raise SourceError(f"{self.name} unpacks to more than it announces", remedy="Pack it again")
        return chunk


def _name(entry: zipfile.ZipInfo) -> str:
    """The entry's name; without the UTF-8 flag it is what Chinese Windows writes, GB18030."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("gb18030")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return entry.filename
