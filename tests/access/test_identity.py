"""Users, keys and who holds them."""

from __future__ import annotations

import base64

import pytest

from gis.access import accounts, audit, identity, lookup
from gis.access.identity import NOBODY, Identity, identify
from gis.db.connection import owner, reading
from gis.errors import AccessDenied, InputError, NotFound, StoreError

PASSWORD = "Blue-river-2024"


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture(autouse=True)
def fresh(store_db):
    identity.forget()
    yield
    identity.forget()


def test_nobody_is_anonymous():
    assert identify(None) == NOBODY and NOBODY.is_anonymous


def test_a_key_holds_until_it_is_revoked_or_expires():
    accounts.add_user("李工", "water")
    key = accounts.new_key("李工")
    assert identify(None, key) == identify(f"Bearer {key}") == Identity("李工", "water")
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sha256, prefix FROM access.key")
        stored = cursor.fetchone()
    assert key not in stored and stored[0] == lookup.digest(key), "only the digest is kept"
    listed = accounts.keys("李工")
    assert listed[0].prefix == key[:9]
    assert accounts.revoke_key(str(listed[0].id)) == listed[0].id
    identity.forget()
    with pytest.raises(AccessDenied) as denied:
        identify(None, key)
    assert denied.value.http_status == 401
    old = accounts.new_key("李工", days=1)
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE access.key SET expires_at = now() - interval '1 second' WHERE revoked_at IS NULL")
    with pytest.raises(AccessDenied):
        identify(None, old)


def test_a_disabled_user_is_out():
    accounts.add_user("wang", "gas", PASSWORD)
    key = accounts.new_key("wang")
    assert identify(basic("wang", PASSWORD)) == Identity("wang", "gas")
    accounts.disable_user("wang")
    identity.forget()
    for header, sent in ((basic("wang", PASSWORD), None), (None, key)):
        with pytest.raises(AccessDenied):
            identify(header, sent)
    with pytest.raises(NotFound):
        accounts.new_key("wang")


def test_guessing_a_password_is_stopped():
    accounts.add_user("zhao", "planner", PASSWORD)
    for i in range(lookup.FAILURES_ALLOWED):
        with pytest.raises(AccessDenied):
            identify(basic("zhao", f"wrong{i}"))
    with pytest.raises(AccessDenied, match="locked"):
        identify(basic("zhao", PASSWORD))


@pytest.mark.parametrize(
    "name, role, password",
    [
        ("a b", "water", None),
        ("a:b", "water", None),
        ("", "water", None),
        ("x" * 65, "water", None),
        ("li", "anonymous", None),
        ("li", "root", None),
        ("li", "water", "short1A-"),
        ("li", "water", "alllowercase"),
        ("lili", "water", "Lili-2024-xx"),
        ("li", "water", "1234567890"),
    ],
)
def test_what_is_no_user_is_refused(name, role, password):
    with pytest.raises(InputError):
        accounts.add_user(name, role, password)


def test_a_user_keeps_his_password_when_his_role_changes():
    accounts.add_user("sun", "water", PASSWORD)
    accounts.add_user("sun", "planner")
    assert identify(basic("sun", PASSWORD)) == Identity("sun", "planner")
    (listed,) = accounts.users()
    assert {"name": "sun", "role": "planner", "disabled": False, "password": True, "keys": 0, "locked": False}.items() <= listed.items()


def test_unknown_keys_and_users_are_not_found():
    for attempt in (lambda: accounts.new_key("none"), lambda: accounts.disable_user("none"), lambda: accounts.revoke_key("none")):
        with pytest.raises(NotFound):
            attempt()
    accounts.add_user("li", "water")
    for days in (0, -1, 99999):
        with pytest.raises(InputError):
            accounts.new_key("li", days=days)


def test_the_audit_only_grows():
    audit.record(Identity("li", "water"), "items", "water_pipe", n=3, bbox=[1, 2, 3, 4])
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_name, role, action, layer, n, detail FROM access.audit")
        assert cursor.fetchall() == [("li", "water", "items", "water_pipe", 3, {"bbox": [1, 2, 3, 4]})]
    for statement in ("UPDATE access.audit SET n = 0", "DELETE FROM access.audit", "TRUNCATE access.audit"):
        with pytest.raises((AccessDenied, StoreError)), owner() as connection, connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.parametrize("role", ["anonymous", "water", "planner"])
def test_no_reader_sees_passwords_keys_or_the_audit(role):
    for table in ('access."user"', "access.key", "access.audit"):
        with pytest.raises((AccessDenied, StoreError)), reading(role) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")


def test_a_user_who_is_shut_out_comes_back_only_by_name():
    accounts.add_user("sun", "water", PASSWORD)
    accounts.disable_user("sun")
    with pytest.raises(InputError, match="shut out"):
        accounts.add_user("sun", "admin", "Another-2024-xx")
    accounts.enable_user("sun")
    identity.forget()
    assert identify(basic("sun", PASSWORD)) == Identity("sun", "water")
    with pytest.raises(NotFound):
        accounts.enable_user("none")


def test_a_refused_new_password_lets_nobody_in_with_a_wrong_old_one():
    """The old password was right, the new one too weak: the next who tries must know the old one all the same."""
    accounts.add_user("sun", "planner", PASSWORD)
    with pytest.raises(InputError):
        lookup.change_password("sun", PASSWORD, "weak", "10.0.0.9")
    with pytest.raises(AccessDenied):
        lookup.change_password("sun", "not the old one", "Another-river-2026", "10.0.0.9")
    lookup.change_password("sun", PASSWORD, "Another-river-2026", "10.0.0.9")
