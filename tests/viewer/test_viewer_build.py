"""The viewer's own checks: types, unit tests, and that neither its lock file nor its build names another server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

VIEWER = Path(__file__).resolve().parents[2] / "gis" / "viewer"


@pytest.fixture
def npm(built_viewer: Path):
    """Runs a script of the package; skips where it is not installed."""
    if shutil.which("npm") is None or not (VIEWER / "node_modules").is_dir():
        pytest.skip("the viewer's packages are not installed: ./run setup")

    def run(script: str) -> subprocess.CompletedProcess:
        return subprocess.run(["npm", "run", "--silent", script], cwd=VIEWER, capture_output=True, text=True, timeout=180)

    return run


@pytest.mark.parametrize("script", ["check", "test"])
def test_script_of_the_package_passes(npm, script):
    done = npm(script)
    assert done.returncode == 0, done.stdout + done.stderr


def test_lock_file_names_no_download_address():
    lock = json.loads((VIEWER / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_built_page_refuses_other_servers(built_viewer: Path):
    page = (built_viewer / "index.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', page).group(1)
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == directives["worker-src"] == "'self'"
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
