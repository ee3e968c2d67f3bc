"""Reading the layer files: YAML with its line numbers kept, so that whatever is wrong names file, line, key and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from gis.catalog.model import GROUPS, Catalog, City, Layer
from gis.catalog.validate import faults
from gis.errors import DefinitionError
from gis.settings import Settings, settings

Loc = tuple[str | int, ...]


def catalog() -> Catalog:
    """The catalogue of this installation, read once for its settings. Raises DefinitionError."""
    global _current
    now = settings()
    if _current is None or _current[0] is not now:  # asked several times per request: hashing two paths each time is felt
        _current = (now, _catalog(now.layers, now.city_file))
    return _current[1]


_current: tuple[Settings, Catalog] | None = None


@lru_cache
def _catalog(folder: Path, city_file: Path) -> Catalog:
    return read(folder, city_file)


def read(folder: Path, city_file: Path | None = None) -> Catalog:
    """The catalogue of a folder of layer files (`<group>/<id>.yaml`) and its city file (default `city.yaml` in it).

    Raises DefinitionError with file, line, key and remedy for the first thing that is wrong.
    """
    folder = Path(folder)
    city = read_city(city_file or folder / "city.yaml")
    documents: dict[str, Document] = {}
    layers: dict[str, Layer] = {}
    for path in layer_files(folder):
        if path.stem in documents:
            raise DefinitionError(
                f"two layers are called {path.stem}",
                where=f"{_short(path)} and {_short(documents[path.stem].path)}",
                remedy="Rename one of the two files: the file's name is the layer's id",
            )
        document = documents[path.stem] = Document(path)
        layers[path.stem] = document.build(Layer, {"id": path.stem, "group": path.parent.name})
    for layer in layers.values():
        for fault in faults(layer, layers):
            raise documents[layer.id].error(fault.loc, fault.what, fault.remedy)
    return Catalog(city=city, layers=layers, root=folder)


def read_city(path: Path) -> City:
    """The city of a city file. Raises DefinitionError."""
    return Document(Path(path)).build(City, {})


def layer_files(folder: Path) -> Iterator[Path]:
    """The layer files of a folder, by group and name. A YAML file elsewhere in it is a mistake: DefinitionError."""
    if not folder.is_dir():
        raise DefinitionError("no folder of layer files", where=str(folder), remedy="Set ONEMAP_LAYERS to the folder `layers`")
    for path in sorted(folder.rglob("*.yml")):
        raise DefinitionError("a layer file ends in .yaml", where=_short(path), remedy=f"Rename it to {path.stem}.yaml")
    for path in folder.rglob("*.yaml"):
        if path.parent != folder and path.parent not in [folder / group for group in GROUPS]:
            near = get_close_matches(path.parent.name, GROUPS, 1, 0.5)
            raise DefinitionError(
                f"{path.parent.name!r} is not a group of layers",
                where=_short(path),
                remedy=f"Move the file into {near[0] + '/' if near else 'one of ' + ', '.join(GROUPS)}",
            )
    for group in GROUPS:
        yield from sorted((folder / group).glob("*.yaml"))


class Document:
    """A YAML file, with the line of every key and value."""

    def __init__(self, path: Path):
        self.path = path
        self.lines: dict[Loc, int] = {}
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        except OSError as err:
            raise DefinitionError("the file cannot be read", where=_short(path), remedy="Check that it exists") from err
        except UnicodeDecodeError as err:
            raise DefinitionError("the file is not UTF-8", where=_short(path), remedy="Save it as UTF-8") from err
        except yaml.YAMLError as err:
            mark = getattr(err, "problem_mark", None)
            raise DefinitionError(
                f"not YAML: {getattr(err, 'problem', None) or 'syntax error'}",
                where=f"{_short(path)}, line {mark.line + 1}, column {mark.column + 1}" if mark else _short(path),
                remedy="Check indentation, brackets and quotes; a text that holds `: ` or begins with a bracket needs quotes",
            ) from err
        self.data = self._value(node, ()) if node is not None else {}
        if not isinstance(self.data, dict):
            raise self.error((), "the file is not a mapping", "Write `key: value` lines")

    def build(self, kind: type[BaseModel], fixed: dict) -> Any:
        """The object that the file describes; `fixed` are the values that it may not give itself."""
        for key in fixed:
            if key in self.data:
                raise self.error((key,), f"`{key}` comes from the file's name and folder", "Remove the line")
        try:
            return kind.model_validate({**self.data, **fixed})
        except ValidationError as err:
            first = sorted(err.errors(), key=lambda e: (e["type"] != "extra_forbidden", self.line(tuple(e["loc"]))))[0]
            raise self._explain(kind, first) from err

    def error(self, loc: Loc, what: str, remedy: str) -> DefinitionError:
        """The DefinitionError at a key: its file, line and dotted name."""
        key = ".".join(map(str, loc))
        where = f"{_short(self.path)}, line {self.line(loc)}" + (f", key {key}" if key else "")
        return DefinitionError(what, where=where, remedy=remedy)

    def line(self, loc: Loc) -> int:
        """The line (from 1) of a key, or of the nearest key above it that the file has."""
        while loc not in self.lines and loc:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def _value(self, node: yaml.Node, loc: Loc) -> Any:
        self.lines.setdefault(loc, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, loc))
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*loc, i)) for i, child in enumerate(node.value)]
        return _scalar(node)

    def _pairs(self, node: yaml.MappingNode, loc: Loc) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                self.lines[(*loc, "?")] = key_node.start_mark.line + 1
                raise self.error((*loc, "?"), f"a key must be a text, not {key!r}", "Put it in quotes")
            self.lines[(*loc, key)] = key_node.start_mark.line + 1
            if key in seen:
                raise self.error((*loc, key), f"`{key}` is given twice", "Keep one of the two")
            seen.add(key)
            yield key, self._value(value_node, (*loc, key))

    def _explain(self, kind: type[BaseModel], found: dict) -> DefinitionError:
        loc = tuple(found["loc"])
        if found["type"] == "extra_forbidden":
            known = sorted(_keys(kind, loc[:-1]))
            near = get_close_matches(str(loc[-1]), known, 1, 0.5)
            remedy = f"Did you mean `{near[0]}`?" if near else f"Known here: {', '.join(known)}"
            return self.error(loc, f"unknown key `{loc[-1]}`", remedy)
        if found["type"] == "missing":
            return self.error(loc, f"`{loc[-1]}` is missing", f"Add `{loc[-1]}:`")
        while loc and loc not in self.lines:
            loc = loc[:-1]
        what = found["msg"].removeprefix("Value error, ")
        shown = repr(found.get("input"))
        return self.error(loc, what, f"Found {shown[:80]}" if loc else "See an existing layer file for the form")


def _scalar(node: yaml.ScalarNode) -> Any:
    """The value of a scalar; a date stays the text that was written."""
    if node.tag in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"):
        return node.value
    return _loader.construct_object(node)


_loader = yaml.SafeLoader("")
"""Only its constructors are used."""


def _keys(kind: Any, loc: Loc) -> list[str]:
    """The keys that a model knows at a place inside it."""
    for step in loc:
        kind = _inner(kind, step)
        if kind is None:
            return []
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _inner(kind: Any, step: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _model_of(kind.model_fields[step].annotation) if step in kind.model_fields else None
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return _model_of(arguments[1])
    return _model_of(arguments[0]) if arguments else None


def _model_of(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        return next((_model_of(a) for a in get_args(annotation) if a is not type(None)), None)
    return annotation


def _short(path: Path) -> str:
    """A path as a person knows it: from the folder that holds the layer files on."""
    parts = path.parts
    return "/".join(parts[-3:] if path.parent.name in GROUPS else parts[-2:])
