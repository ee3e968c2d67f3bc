"""`onemap layers …` from outside: answers, exit codes, drift."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gis.settings import ROOT


def onemap(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "gis.cli.main", *arguments], capture_output=True, text=True, cwd=ROOT)


def test_list_is_one_json_document():
    done = onemap("layers", "list", "--json")
    assert done.returncode == 0
    found = {layer["id"]: layer for layer in json.loads(done.stdout)["layers"]}
    assert found["water_pipe"]["title"] == {"zh": "给水管线", "en": "Water pipes"}


def test_show():
    done = onemap("layers", "show", "water_valve", "--json")
    assert json.loads(done.stdout)["key"] == ["network", "valve_id"]


def test_show_unknown_layer():
    done = onemap("layers", "show", "water_valf", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "NotFound" and "water_valve" in error["remedy"]


def test_render_writes_then_check_agrees_then_drift_is_told(tmp_path):
    assert onemap("layers", "render", "--to", str(tmp_path)).returncode == 0
    assert onemap("layers", "render", "--check", "--to", str(tmp_path)).returncode == 0
    page = tmp_path / "docs/layers/road.md"
    page.write_text("changed by hand", encoding="utf-8")
    (tmp_path / "docs/layers/gone.md").write_text("a layer that is no more", encoding="utf-8")
    done = onemap("layers", "render", "--check", "--to", str(tmp_path))
    assert done.returncode == 2
    assert "road.md" in done.stderr and "gone.md" in done.stderr
    assert page.read_text(encoding="utf-8") == "changed by hand"


@pytest.mark.usefixtures("store_db")
def test_plan_of_a_current_database_is_empty():
    done = onemap("layers", "plan", "--json")
    assert json.loads(done.stdout) == {"changes": []}
