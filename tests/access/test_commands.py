"""`onemap user` and `onemap key` as commands."""

from __future__ import annotations

import json

from typer import Typer
from typer.testing import CliRunner

from gis.access import identity
from gis.access.identity import Identity, identify
from gis.cli import access


def run(*arguments: str, stdin: str | None = None) -> object:
    app = Typer()
    access.register(app)
    answer = CliRunner().invoke(app, [*arguments, "--json"], input=stdin, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_from_a_user_to_a_revoked_key(store_db):
    identity.forget()
    made = run("user", "add", "li", "--role", "water")
    assert made["role"] == "water" and len(made["password"]) >= 16
    assert "password" not in run("user", "add", "li", "--role", "planner"), "he has one already"
    run("user", "add", "wang", "--role", "gas", "--password-stdin", stdin="Blue-river-2024\n")
    key = run("key", "new", "li", "--days", "30")["key"]
    assert identify(None, key) == Identity("li", "planner")
    listed = run("key", "list", "li")
    assert listed[0]["prefix"] == key[:9] and key not in json.dumps(listed)
    assert run("key", "revoke", key[:9])["revoked"] == listed[0]["id"]
    assert [one["keys"] for one in run("user", "list")] == [0, 0]
    assert run("user", "disable", "wang")["disabled"] and not run("user", "enable", "wang")["disabled"]
