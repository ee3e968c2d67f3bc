"""What the documents say is true: their commands run, their links lead somewhere, both READMEs say the same, nothing is left unsaid."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import prepared
import pytest
import serving
import typer

from gis.cli.main import application
from gis.settings import ROOT, Settings

READMES = ROOT / "README.md", ROOT / "README.zh-CN.md"
HOW_TO = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*READMES, *HOW_TO, *sorted((ROOT / "docs" / "decisions").glob("*.md")), *sorted((ROOT / "docs" / "layers").glob("*.md")),
         ROOT / "GLOSSARY.md", ROOT / "CHANGELOG.md"]  # fmt: skip
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_HERE = re.compile(r"^(\./run|onemap serve|onemap worker|onemap db reset)\b")
"""Commands that install, run for ever, or delete everything; they have tests of their own."""
UNSAFE = re.compile(r"^onemap doctor$", re.MULTILINE)
"""The tests' database does not wait for the disk, and the doctor rightly says so; tests/db/test_doctor.py tests what else he says."""


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language, in order."""
    return [body for named, body in BLOCK.findall(page.read_text(encoding="utf-8")) if named == language]


def script(page: Path) -> str:
    """The bash blocks of a page as one script that stops at the first command that fails, and says which."""
    lines = "\n".join(blocks(page, "bash")).splitlines()
    body = "\n".join(line for line in lines if not NOT_HERE.match(line))
    trap = "trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR"
    return f"set -eEuo pipefail\n{trap}\n{UNSAFE.sub('onemap doctor || [ $? -eq 1 ]', body)}\n"


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


# --- the commands run -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def documented_city(loaded_city, tmp_path_factory):
    """A served copy of the city: the pages load, roll back and restore."""
    with serving.city("documented_city", loaded_city, tmp_path_factory.mktemp("documented") / "home", jobs=True) as one:
        yield one


@pytest.fixture
def reader(documented_city, loaded_city, tmp_path) -> dict[str, str]:
    """The environment of a reader who follows a page in an empty folder: onemap and python3 on the path, $ONEMAP_URL, $KEY, $CITY."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "onemap").symlink_to(prepared.command())
    (folder / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / "python3").chmod(0o755)
    path = f"{folder}{os.pathsep}{documented_city.env['PATH']}"
    return documented_city.env | {
        "PATH": path, "ONEMAP_URL": documented_city.url, "KEY": documented_city.keys["water"], "CITY": str(loaded_city.files),
    }  # fmt: skip


def follow(command: list[str], env: dict[str, str], folder: Path) -> None:
    """Run what a page says in an empty folder; it must end well."""
    (folder / "here").mkdir(exist_ok=True)
    done = subprocess.run(command, env=env, cwd=folder / "here", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("page", [page for page in (READMES[0], *HOW_TO) if blocks(page, "bash")], ids=relative)
def test_commands_run(page, reader, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (tmp_path / "page.sh").write_text(script(page), encoding="utf-8")
    follow(["bash", str(tmp_path / "page.sh")], reader, tmp_path)


@pytest.mark.parametrize(("language", "program"), [("python", sys.executable), ("javascript", "node")])
def test_examples_for_programs_run(language, program, reader, tmp_path):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: ./run setup")
    found = blocks(ROOT / "docs" / "platform.md", language)
    assert found
    file = tmp_path / {"python": "example.py", "javascript": "example.mjs"}[language]
    for example in found:
        file.write_text(example, encoding="utf-8")
        follow([program, str(file)], reader, tmp_path)


def test_no_command_hides_in_another_kind_of_block():
    command = re.compile(r"^\$? *(onemap (?!serve|worker|db stop)|curl )", re.MULTILINE)
    found = [(page, language, body) for page in (*READMES, *HOW_TO) for language, body in BLOCK.findall(page.read_text(encoding="utf-8"))]
    assert not [(relative(page), language) for page, language, body in found if language != "bash" and command.search(body)]


# --- nothing is left unsaid, nothing is made up -----------------------------------------------------------------------


def commands() -> dict[str, list[set[str]]]:
    """Every command, as it is typed, and its options, each with all its spellings."""

    def walk(command, name: str):
        inner = getattr(command, "commands", None)
        if inner is None:
            shown = [one for one in command.params if not getattr(one, "hidden", False)]
            spelt = [{text for text in (*one.opts, *one.secondary_opts) if text.startswith("--")} for one in shown]
            yield name, [spellings for spellings in spelt if spellings - {"--help"}]
        for part, one in (inner or {}).items():
            yield from walk(one, f"{name} {part}")

    return dict(walk(typer.main.get_command(application()), "onemap"))


TEXT = "\n".join(page.read_text(encoding="utf-8") for page in (*READMES, *HOW_TO))


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_written_about(command):
    assert re.search(rf"{re.escape(command)}\b", TEXT), f"no page mentions {command}"


def test_every_option_is_written_about():
    options = [spellings for found in commands().values() for spellings in found]
    assert not [spellings for spellings in options if not any(re.search(rf"{text}\b", TEXT) for text in spellings)]


def test_no_page_names_an_option_that_is_not_there():
    wrong = []
    for name, options in commands().items():
        known = {"--help"}.union(*options)
        for line in re.findall(rf"(?:^|[\s`(]){name}((?: [^\n`|;$)（）]*)?)", TEXT):
            wrong += [f"{name} {option}" for option in re.findall(r"(?<!\S)--[a-z-]+", line) if option not in known]
    assert not wrong


def test_every_setting_is_in_the_table():
    page = (ROOT / "docs" / "administrator.md").read_text(encoding="utf-8")
    assert not [name for name in Settings.model_fields if f"`ONEMAP_{name.upper()}`" not in page]


# --- links, and both languages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]
    assert not [target for target in targets if target and not (page.parent / target).exists()]


def test_every_decision_is_in_the_index_by_topic():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert not [path.name for path in folder.glob("0*.md") if f"({path.name})" not in index]


def test_both_readmes_say_the_same():
    """The same commands, too: those of the English one have run."""
    english, chinese = READMES
    shape = r"^(#+|\||!\[|- \*\*)"

    def outline(page: Path) -> list[str]:
        """The headings, table rows, pictures and bold points of a page, without what they say."""
        return re.findall(shape, BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)

    assert outline(english) == outline(chinese)
    assert BLOCK.findall(english.read_text(encoding="utf-8")) == BLOCK.findall(chinese.read_text(encoding="utf-8"))


def test_pictures_are_light():
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.png"))
    assert {picture.name for picture in pictures} >= {"town.png", "burst.png"}
    assert all(picture.stat().st_size < 400_000 for picture in pictures)
