"""Who one is inside a transaction, what one may do there, and what a caller hears when the database fails."""

from __future__ import annotations

import threading

import psycopg2
import pytest

from gis.db import connection
from gis.db.connection import ROLES, owner, reading, writing
from gis.errors import AccessDenied, StoreError
from gis.settings import settings

pytestmark = pytest.mark.usefixtures("store_db")


def _one(link, question: str, *values):
    with link.cursor() as cursor:
        cursor.execute(question, values)
        return cursor.fetchone()


def test_every_transaction_runs_as_its_role_reads_only_and_says_who_asks():
    for role in ROLES:
        with reading(role, "李工") as link:
            found = _one(link, "SELECT current_user, session_user, current_setting('app.user'), current_setting('transaction_read_only')")
        assert found == (f"onemap_{role}", "onemap_login", "李工", "on")


def test_role_and_user_end_with_the_transaction():
    with reading("admin", "a"):
        pass
    with reading("anonymous") as link:
        assert _one(link, "SELECT current_user, current_setting('app.user')") == ("onemap_anonymous", "")


def test_the_serving_login_owns_nothing_and_sees_nothing_without_a_role():
    with owner() as link:
        assert _one(link, "SELECT count(*) FROM pg_class WHERE relowner = 'onemap_login'::regrole") == (0,)
        assert _one(link, "SELECT rolsuper OR rolinherit OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = 'onemap_login'") == (
            False,
        )
    with pytest.raises(AccessDenied), reading("water") as link, link.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute("SELECT 1 FROM pub.address")


def test_an_unknown_role_is_refused():
    for role in ("", "postgres", "admin; DROP", "login"):
        with pytest.raises(AccessDenied), reading(role):
            pass


def test_writing_commits_and_a_failure_undoes_all_of_it():
    with writing("identity", "me") as link, link.cursor() as cursor:
        cursor.execute("INSERT INTO access.audit (action) VALUES ('seen')")
    with pytest.raises(ZeroDivisionError), writing("identity") as link, link.cursor() as cursor:
        cursor.execute("INSERT INTO access.audit (action) VALUES ('half')")
        raise ZeroDivisionError
    with reading("auditor") as link:
        assert _one(link, "SELECT array_agg(action), min(user_name), min(role) FROM access.audit") == (["seen"], "me", "onemap_identity")


def test_the_audit_can_only_grow():
    with writing("identity") as link, link.cursor() as cursor:
        cursor.execute("INSERT INTO access.audit (action) VALUES ('x')")
    for statement in ("UPDATE access.audit SET n = 1", "DELETE FROM access.audit", "TRUNCATE access.audit"):
        for role in ("admin", "water"):
            with pytest.raises(AccessDenied), writing(role) as link, link.cursor() as cursor:
                cursor.execute(statement)
        with pytest.raises(AccessDenied), owner() as link, link.cursor() as cursor:  # not even the owner by accident
            cursor.execute(statement)
    with owner() as link:
        assert _one(link, "SELECT count(*) FROM access.audit") == (1,)


def test_secrets_of_users_are_for_the_identity_role_only():
    for role in set(ROLES) - {"identity"}:
        for question in ("SELECT password_hash FROM access.user", "SELECT sha256 FROM access.key"):
            with pytest.raises(AccessDenied), reading(role) as link:
                _one(link, question)
    with reading("identity") as link:
        assert _one(link, "SELECT count(password_hash) FROM access.user") == (0,)
    with pytest.raises(AccessDenied), reading("identity") as link:
        _one(link, "SELECT 1 FROM pub.address")


@pytest.mark.parametrize(
    "question",
    [
        "SELECT * FROM core.address",
        "SELECT * FROM pg_stats",
        "SELECT ST_EstimatedExtent('core', 'water_pipe', 'geom')",
        "SELECT * FROM pub.water_pipe",
    ],
)
def test_what_a_reader_may_not_see_he_sees_on_no_side_path(question: str):
    with pytest.raises(AccessDenied), reading("anonymous") as link:
        _one(link, question)


def test_a_long_statement_is_stopped_and_the_connection_is_used_again():
    with pytest.raises(StoreError, match="too long"), reading("admin", timeout_s=0.2) as link:
        _one(link, "SELECT pg_sleep(20)")
    with reading("admin") as link:
        assert _one(link, "SELECT current_setting('statement_timeout')") == ("30s",)


def test_what_is_said_of_a_failure_holds_no_sql_and_no_password(store_db: str):
    with pytest.raises(StoreError) as failure, reading("admin") as link:
        _one(link, "SELECT secret_column FROM pub.address WHERE road = '秘密'")
    password = psycopg2.extensions.parse_dsn(store_db)["password"]
    for hidden in ("secret_column", "SELECT", "秘密", password):
        assert hidden not in str(failure.value)
    assert isinstance(failure.value.__cause__, psycopg2.errors.UndefinedColumn)


def test_connections_that_died_are_replaced_unseen():
    """What a restart of the server does to a process that serves."""
    inside, go = threading.Barrier(4), threading.Event()

    def hold():
        with reading("admin") as link:
            _one(link, "SELECT 1")
            inside.wait(10)
            go.wait(10)

    holders = [threading.Thread(target=hold) for _ in range(3)]
    for holder in holders:
        holder.start()
    inside.wait(10)
    go.set()
    for holder in holders:
        holder.join()
    with owner() as link:
        mine = "usename = 'onemap_login' AND datname = current_database()"  # other tests' servers share the cluster
        assert _one(link, f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {mine}") == (3,)
    for _ in range(4):
        with reading("admin") as link:
            assert _one(link, "SELECT 1") == (1,)


def test_a_connection_that_dies_in_use_is_an_error_of_the_platform():
    with pytest.raises(StoreError), reading("admin") as link:
        with owner() as other:
            _one(other, "SELECT pg_terminate_backend(%s)", link.get_backend_pid())
        _one(link, "SELECT 1")
    with reading("admin") as link:
        assert _one(link, "SELECT 1") == (1,)


def test_a_setting_that_is_no_address_is_named_and_not_repeated(monkeypatch):
    monkeypatch.setenv("ONEMAP_DSN", "hostlocalhost secret=Xy")
    settings.cache_clear()
    try:
        with pytest.raises(StoreError, match="ONEMAP_DSN is no address") as fault:
            connection.owner_parameters()
        assert "Xy" not in str(fault.value) and fault.value.remedy
    finally:
        monkeypatch.undo()
        settings.cache_clear()
