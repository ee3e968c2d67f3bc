"""The house stands as designed: who imports whom, no circles, nothing grown too large, nothing that hides a failure."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import networkx
import pytest
import typer

from gis.settings import ROOT

GROUND = {"errors", "crs", "settings", "standards"}
BELOW_ROOF = GROUND | {"analysis", "catalog", "db"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    "crs": {"errors"},
    "standards": {"errors", "settings"},
    "analysis": GROUND - {"settings"},
    "catalog": GROUND,
    "db": GROUND | {"catalog"},
    "ingest": BELOW_ROOF,
    "access": BELOW_ROOF,
    "processes": BELOW_ROOF,
    "api": BELOW_ROOF | {"ingest", "access", "processes"},
    "etl": BELOW_ROOF | {"ingest", "access", "processes"},
    "cli": BELOW_ROOF | {"ingest", "access", "processes", "api", "etl"},
}
"""Floor -> floors that it may import (its own always): ground to roof, never sideways, never upwards."""

ONLY_IN = {
    "pygeoapi": {"api", "cli", "catalog"},
    "flask": {"api"},
    "gunicorn": {"api", "cli"},
    "psycopg2": {"db", "ingest", "access", "processes", "api", "cli", "etl"},
    "yaml": {"catalog", "standards", "api", "cli", "etl"},
    "typer": {"cli"},
    "wntr": {"analysis", "etl", "ingest"},
}
"""Libraries that belong to certain floors."""

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "tools"}
MAX_LINES = 400


@dataclass(frozen=True)
class Import:
    """One import statement: where it stands, what it names, whether it runs when the module is loaded."""

    module: str
    line: int
    target: str
    at_load: bool


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, of everything that ships."""
    found = {}
    for top in ("gis", "etl"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if "node_modules" not in path.parts:
                parts = path.relative_to(ROOT).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def nodes(module: str) -> list[ast.AST]:
    return list(ast.walk(tree(module)))


@cache
def imports(module: str) -> tuple[Import, ...]:
    """All imports of a module, those inside functions too; those for type checking only do not count."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[Import]:
    later = {id(node) for function in nodes(module) if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
             for node in ast.walk(function)}  # fmt: skip
    typing = {id(node) for test in nodes(module) if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
              for node in ast.walk(test)}  # fmt: skip
    for node in nodes(module):
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = modules()[module].relative_to(ROOT).parts[: -node.level] if node.level else ()
            base = ".".join((*package, node.module or "")).strip(".")
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base for alias in node.names]
        else:
            continue
        for target in targets:
            yield Import(module, node.lineno, target, id(node) not in later)


def floor(module: str) -> str | None:
    """`gis.db.store` -> db, `etl.city.plan` -> etl; None for what is not ours and for the bare package."""
    parts = module.split(".")
    if parts[0] == "etl":
        return "etl"
    return parts[1] if parts[0] == "gis" and len(parts) > 1 else None


def _say(found: Import) -> str:
    return f"{modules()[found.module].relative_to(ROOT)}:{found.line} imports {found.target}"


def test_every_floor_is_in_the_table():
    assert {floor(module) for module in modules()} - {None} <= set(MAY_IMPORT)


def test_imports_go_downwards_only():
    wrong = [
        _say(found)
        for module in modules()
        for found in imports(module)
        if (target := floor(found.target)) and floor(module) and target != floor(module) and target not in MAY_IMPORT[floor(module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_there_are_no_circles():
    graph = networkx.DiGraph()
    for module in modules():
        for found in imports(module):
            if found.at_load and found.target in modules() and found.target != module:
                graph.add_edge(module, found.target)
    circles = [sorted(circle) for circle in networkx.strongly_connected_components(graph) if len(circle) > 1]
    assert not circles


def test_libraries_stay_on_their_floors():
    wrong = [
        _say(found)
        for module in modules()
        for found in imports(module)
        if (library := found.target.split(".")[0]) in ONLY_IN and floor(module) not in ONLY_IN[library]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_environment_is_read_in_one_place():
    """Setting a variable for a child is no reading; `prometheus_client` is steered by a variable of its own."""
    wrong = []
    for module in set(modules()) - {"gis.settings", "gis.api.metrics"}:
        written = {id(node.value) for node in nodes(module) if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)}
        for node in nodes(module):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv") and id(node) not in written:
                wrong.append(f"{modules()[module].relative_to(ROOT)}:{node.lineno}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["gis", "etl", "tests", "bench"])
def test_files_are_short_and_named_after_what_they_are(folder: str):
    files = [path for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    long = [f"{path.relative_to(ROOT)}: {count}" for path, count in lines.items() if count > MAX_LINES]
    assert not long, "\n".join(long)
    vague = [str(path.relative_to(ROOT)) for path in files if {path.stem, path.parent.name} & FORBIDDEN_NAMES]
    assert not vague


def test_no_failure_is_swallowed_and_nothing_is_left_for_later():
    wrong = []
    for module, path in modules().items():
        for node in nodes(module):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
                silent = all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
                if node.type is None or (broad and silent):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} swallows every failure")
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} is not implemented")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if any(word in line for word in ("TODO", "FIXME", "XXX")):
                wrong.append(f"{path.relative_to(ROOT)}:{number} leaves something for later")
    assert not wrong, "\n".join(wrong)


def test_every_public_function_says_what_it_answers():
    """In the rooms that others build on; commands say it in their help."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for module, path in modules().items()
        if floor(module) in GROUND | {"analysis", "db", "processes"}
        for node in tree(module).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_command_file_is_part_of_the_command():
    from gis.cli import main

    files = {module.split(".")[2] for module in modules() if module.startswith("gis.cli.")} - {"main", "output"}
    registering = {name for name in files if "def register(" in modules()[f"gis.cli.{name}"].read_text(encoding="utf-8")}
    assert registering == set(main.COMMANDS)
    for module, names in main.COMMANDS.items():
        app = typer.Typer()
        importlib.import_module(f"gis.cli.{module}").register(app)
        registered = [command.name or command.callback.__name__ for command in app.registered_commands]
        assert sorted(registered + [group.name for group in app.registered_groups]) == sorted(names)
