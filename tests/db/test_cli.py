"""The command line's promises: one JSON document on stdout, messages on stderr, the exit code of whose mistake it was."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gis.settings import ROOT


def _onemap(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "gis.cli.main", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_json_is_one_document_and_progress_goes_elsewhere(store_db: str):
    done = _onemap("db", "start", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "external"
    done = _onemap("db", "status", "--json")
    answer = json.loads(done.stdout)
    assert answer["pending_migrations"] == []
    assert store_db not in done.stdout


def test_a_database_that_is_down_is_the_platforms_fault_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ONEMAP_DSN", "host=127.0.0.1 port=1 user=nobody password=hidden dbname=none")
    done = _onemap("layers", "plan", "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "StoreError" and "onemap db start" in error["remedy"]
    done = _onemap("layers", "plan")
    assert done.returncode == 1 and done.stdout == ""
    assert "onemap db start" in done.stderr
    assert "hidden" not in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_command_is_the_callers_mistake():
    assert _onemap("no-such-command").returncode == 2
    assert _onemap("db", "start", "--no-such-option").returncode == 2


def test_nothing_is_deleted_without_asking(store_db: str):
    done = _onemap("db", "reset", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["what"] == "Nothing was deleted"


def test_a_backup_into_a_used_folder_is_refused(store_db: str, tmp_path):
    (tmp_path / "file").touch()
    done = _onemap("db", "backup", str(tmp_path), "--json")
    assert done.returncode == 2 and "not empty" in done.stdout
    done = _onemap("db", "restore", str(tmp_path), "--yes", "--json")
    assert done.returncode == 3 and "no complete backup" in done.stdout
