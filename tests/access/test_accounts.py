"""Accounts as the security administrator keeps them: duties apart, lock-out and changes in all workers, passwords and keys that end."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time

import pytest
from asking import PASSWORD, basic, rows
from typer import Typer
from typer.testing import CliRunner

from gis.access import accounts, audit, chain, generation, identity, ledger, lookup, operator, passwords
from gis.access.identity import Identity, identify
from gis.catalog.model import Access
from gis.catalog.read import catalog
from gis.cli import access
from gis.cli import audit as audit_commands
from gis.errors import AccessDenied, InputError, NotFound, OneMapError
from gis.settings import ROOT

NEW = "Green-hill-2025x"
OTHER_WORKER = """
import sys
from gis.access.identity import identify
from gis.errors import AccessDenied
for line in sys.stdin:
    header = line.strip()
    try:
        print(identify(header).user, flush=True)
    except AccessDenied as error:
        print("!", error.what, flush=True)
"""


@pytest.fixture(autouse=True)
def database(fresh):
    return fresh


@pytest.fixture
def other_worker():
    """A function that asks another process of the same server who it is that sends a header."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_WORKER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )

    def ask(header: str) -> str:
        process.stdin.write(header + "\n")
        return process.stdout.readline().strip()

    yield ask
    process.stdin.close()
    process.wait(10)


def run(*arguments: str, stdin: str | None = None, code: int = 0):
    app = Typer()
    access.register(app)
    audit_commands.register(app)
    answer = CliRunner().invoke(app, [*arguments, "--json"], input=stdin)
    assert answer.exit_code == code, (answer.output, answer.exception)
    return json.loads(answer.stdout) if answer.stdout and not code else answer.exception


def test_what_changes_holds_at_once_in_every_worker(other_worker):
    accounts.add_user("wang", "gas", PASSWORD)
    key = f"Bearer {accounts.new_key('wang')}"
    for header in (key, basic("wang", PASSWORD)):
        assert other_worker(header) == identify(header).user == "wang"
    accounts.disable_user("wang")
    for header in (key, basic("wang", PASSWORD)):
        assert other_worker(header).startswith("!")
        with pytest.raises(AccessDenied):
            identify(header)
    accounts.enable_user("wang")
    assert other_worker(key) == "wang"
    accounts.revoke_key(key.split()[1])
    assert other_worker(key).startswith("!")


def test_a_locked_name_is_locked_in_every_worker_and_after_a_restart(other_worker):
    accounts.add_user("zhao", "planner", PASSWORD)
    for name in ("zhao", "never-was"):
        assert other_worker(basic(name, "wrong")) == "! The credentials do not hold"
        rows("UPDATE access.failure SET n = %s WHERE name = %s", (lookup.FAILURES_ALLOWED - 1, lookup.digest(name)))
        assert other_worker(basic(name, "wrong again")) == "! The credentials do not hold"
        with pytest.raises(AccessDenied, match="locked"):  # the same for names that do not exist
            identify(basic(name, PASSWORD))
    assert {one["name"]: one["locked"] for one in accounts.users()} == {"zhao": True}
    assert [row[0] for row in rows("SELECT action FROM access.audit WHERE user_name = 'zhao' ORDER BY id")].count("locked") == 1
    rows("UPDATE access.failure SET since = now() - interval '301 seconds'")
    assert identify(basic("zhao", PASSWORD)).user == "zhao", "the lock opens by itself"
    assert not rows("SELECT 1 FROM access.failure WHERE name = %s", (lookup.digest("zhao"),))
    other_worker(basic("zhao", "wrong"))
    assert accounts.unlock_user("zhao") and not accounts.unlock_user("zhao")


def test_each_log_in_and_each_act_leaves_a_row():
    accounts.add_user("li", "water", PASSWORD, department="供水公司")
    identify(basic("li", PASSWORD), address="10.1.1.1")
    identify(basic("li", PASSWORD), address="10.1.1.1")
    for header, key in ((basic("li", "wrong"), None), (None, "om_wrong"), (basic("a b", "x"), None)):
        with pytest.raises(AccessDenied):
            identify(header, key, "10.1.1.2")
    accounts.disable_user("li")
    found = rows("SELECT action, user_name, detail ->> 'address', detail ->> 'of' FROM access.audit ORDER BY id")
    me = operator.operator(operator.SECURITY).name
    assert me.startswith("os:") and found == [
        ("user added", me, None, "li"), ("login", "li", "10.1.1.1", None), ("login refused", "li", "10.1.1.2", None),
        ("login refused", "", "10.1.1.2", None), ("login refused", "", "10.1.1.2", None), ("user disabled", me, None, "li"),
    ]  # fmt: skip
    assert chain.verify()["whole"]
    (one,) = accounts.users()
    assert one["last_login_from"] == "10.1.1.1" and one["department"] == "供水公司"
    assert PASSWORD not in str(rows("SELECT * FROM access.audit"))


def test_an_old_password_a_last_day_and_an_old_key_hold_no_longer(chosen):
    accounts.add_user("sun", "water", PASSWORD)
    key = accounts.new_key("sun", days=30)
    assert identify(basic("sun", PASSWORD)) and identify(None, key)
    rows("UPDATE access.\"user\" SET password_set_at = now() - interval '91 days'")
    identity.forget()
    with pytest.raises(AccessDenied) as denied:
        identify(basic("sun", PASSWORD))
    assert denied.value.http_status == 403 and "changed" in denied.value.what
    assert identify(None, key).user == "sun", "keys have days of their own"
    chosen(password_days=0)
    assert identify(basic("sun", PASSWORD)).user == "sun"
    accounts.expire_user("sun", dt.date(2020, 1, 1))
    for header, sent in ((basic("sun", PASSWORD), None), (None, key)):
        with pytest.raises(AccessDenied):
            identify(header, sent)
    accounts.expire_user("sun", None)
    rows("UPDATE access.key SET expires_at = now() + interval '0.6 seconds'")
    identity.forget()
    assert identify(None, key)
    time.sleep(0.7)
    with pytest.raises(AccessDenied):
        identify(None, key)


def test_keys_live_as_long_as_the_settings_allow_and_are_replaced_without_a_gap(chosen):
    accounts.add_user("li", "water")
    old = accounts.new_key("li")
    assert rows("SELECT round(extract(epoch FROM expires_at - created_at) / 86400)::int FROM access.key") == [(365,)]
    new = accounts.rotate_key(old[:9], grace_hours=1)
    assert identify(None, old) == identify(None, new) == Identity("li", "water")
    listed = accounts.keys("li")
    assert listed[1].last_used_at and (listed[1].expires_at - listed[0].created_at).total_seconds() < 3700
    rows("UPDATE access.key SET expires_at = now() WHERE id = %s", (listed[1].id,))
    generation.advance()
    with pytest.raises(AccessDenied):
        identify(None, old)
    accounts.expire_key(new, 3)
    assert 2 < (accounts.keys("li")[0].expires_at - listed[0].created_at).total_seconds() / 86400 < 3.1
    chosen(key_days_longest=30)
    for days in (0, 31):
        with pytest.raises(InputError):
            accounts.new_key("li", days=days)
        with pytest.raises(InputError):
            accounts.expire_key(new, days)
    for wrong in ("om_", "%", "om_______", "1 OR 1=1"):
        with pytest.raises(NotFound):
            accounts.revoke_key(wrong)


@pytest.mark.parametrize(
    "password", ["short1A-", "alllowercaseletters", "Zhang-2024-xx", "gnahZ-2024-xx", "1234567890", "Password-2024", "P@ssw0rd!1",
     "Aa1Aa1Aa1Aa1",
                 "Qwerty12345!", "x" * 600 + "A1-", "Tab\there-2024"]
)  # fmt: skip
def test_weak_passwords_are_refused(password):
    with pytest.raises(InputError, match="too weak"):
        passwords.require_strong(password, "zhang")


def test_strong_passwords_and_those_made_here_are_taken():
    for password in ("Blue-river-2024", "李冰治水-Du-256", "correct horse Battery 9", *(passwords.made() for _ in range(20))):
        passwords.require_strong(password, "zhang")
    with pytest.raises(InputError):
        passwords.require_different("Blue-river-2024!", "Blue-river-2024")


def test_three_duties_and_nobody_has_two(chosen, tmp_path):
    keys = {}
    for name, role in (("sys", "admin"), ("sec", "security"), ("aud", "auditor"), ("sec-2", "security")):
        run("user", "add", name, "--role", role, "--no-password")
        keys[name] = run("key", "new", name)["key"]
    chosen(separate_duties="true")
    for command in (("user", "list"), ("key", "new", "sys"), ("audit", "list"), ("audit", "verify")):
        assert isinstance(run(*command, code=1), AccessDenied), "the owner's account alone is not enough any more"
    chosen(operator_key=keys["sec"])
    assert {one["name"] for one in run("user", "list")} == {"sys", "sec", "aud", "sec-2"}
    made = run(
        "user",
        "add",
        "li",
        "--role",
        "water",
        "--password-stdin",
        "--department",
        "供水公司",
        "--expires",
        "2999-01-01",
        stdin=PASSWORD + "\n",
    )
    assert made == {"user": "li", "role": "water"}
    assert "password" in run("user", "password", "li")
    run("user", "password", "li", "--password-stdin", stdin=NEW + "\n")
    assert identify(basic("li", NEW)).department == "供水公司"
    key = run("key", "new", "li", "--days", "3")["key"]
    run("key", "expire", key[:9], "--days", "9")
    new = run("key", "rotate", key[:9], "--grace", "2")["key"]
    run("key", "revoke", key[:9])
    assert identify(None, new).user == "li"
    assert run("user", "limit", "role:water", "--rate", "5", "--at-once", "2", "--heavy", "1", "--file-rows", "1000")[0]["rate_per_s"] == 5
    assert run("user", "limit", "role:water") == []
    for command in (("user", "expire", "li", "2999-12-31"), ("user", "unlock", "li"), ("user", "disable", "li"), ("user", "enable", "li")):
        run(*command)
    for wrong in (
        ("audit", "list"),
        ("audit", "areas"),
        ("audit", "verify"),
        ("audit", "archive", str(tmp_path / "x"), "--before", "2020-01-01"),
    ):
        assert isinstance(run(*wrong, code=1), AccessDenied)
    for own in (("user", "add", "sec", "--role", "auditor"), ("user", "disable", "sec"), ("user", "password", "sec")):
        assert isinstance(run(*own, code=1), InputError), "nobody gives himself another duty"
    chosen(operator_key=keys["aud"])
    assert run("audit", "verify")["whole"]
    assert {one["user"] for one in run("audit", "list", "--action", "user added")} > {"sec"}
    assert run("audit", "list", "--user", "sec", "--since", "2020-01-01", "--until", "2999-01-01", "--limit", "2")
    assert run("audit", "areas") == [] and run("audit", "--limit", "1")
    assert isinstance(run("audit", "archive", str(tmp_path / "x"), "--before", "2020-01-01", code=1), AccessDenied), "reads, nothing else"
    for name in ("aud", "sys"):
        chosen(operator_key=keys[name])
        for command in (("user", "list"), ("key", "new", "sys"), ("user", "add", "x", "--role", "admin"), ("user", "limit", "user:li")):
            assert isinstance(run(*command, code=1), AccessDenied)
    assert isinstance(run("audit", "list", code=1), AccessDenied), "the system administrator sees no audit"
    with pytest.raises(ValueError, match="beyond that"):
        Access(read=("water", "auditor"))
    assert catalog().readable_by("security").keys() == catalog().readable_by("auditor").keys() == catalog().readable_by("anonymous").keys()


def test_what_the_commands_refuse(chosen, tmp_path):
    for command in (
        ("user", "password", "none"), ("user", "expire", "none"), ("user", "add", "li", "--role", "root"),
        ("user", "limit", "li", "--rate", "1"),
        ("user", "limit", "role:root", "--rate", "1"), ("user", "expire", "li", "soon"), ("key", "rotate", "none"),
        ("audit", "list", "--since", "soon"), ("audit", "list", "--bbox", "1,2"), ("audit", "verify", "--head", "x"),
        ("audit", "verify", "--archive", str(tmp_path / "none")),
        ("audit", "archive", str(tmp_path / "no" / "x"), "--before", "2020-01-01"),
    ):  # fmt: skip
        assert isinstance(run(*command, code=1), OneMapError), command
    chosen(operator_key="om_wrong")
    assert isinstance(run("user", "list", code=1), AccessDenied)
    with pytest.raises(AccessDenied):
        ledger.areas(catalog())
    with pytest.raises(AccessDenied):
        audit.entries()
