"""Statements that are kept prepared answer as if they were not: for each role, each user, each value, and after the table has changed."""

from __future__ import annotations

import pytest
from psycopg2 import sql

from gis.db import prepared
from gis.db.connection import ROLES, fetch, owner
from gis.errors import AccessDenied

pytestmark = pytest.mark.usefixtures("store_db")

WHO = sql.SQL("SELECT current_user, session_user, current_setting('app.user'), current_setting('transaction_read_only'), %(p0)s::text")


def _by_owner(*statements: str) -> None:
    with owner() as link, link.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _kept() -> int:
    return fetch("anonymous", "", sql.SQL("SELECT count(*) FROM pg_prepared_statements"))[0][0]


@pytest.mark.parametrize("keep", [False, True])
def test_role_user_and_values_are_those_of_this_question(keep):
    for role in ROLES:
        for value in ("100 %", "it's \\ %s %(p0)s", None):
            found = fetch(role, f"李'工\\ of {role}", WHO, {"p0": value}, keep=keep)
            assert found == [(f"onemap_{role}", "onemap_login", f"李'工\\ of {role}", "on", value)]
    assert fetch("anonymous", "", WHO, {"p0": ""}, keep=keep) == [("onemap_anonymous", "onemap_login", "", "on", "")]


def test_a_statement_is_prepared_once_for_all_values():
    before = _kept()
    for i in range(9):
        assert fetch("anonymous", "", sql.SQL("SELECT %(p0)s::bigint + %(p1)s::bigint"), {"p0": i, "p1": 40}, keep=True) == [(i + 40,)]
        assert fetch("anonymous", "", sql.SQL("SELECT 7 %% 4"), {}, keep=True) == [(3,)]
    assert _kept() == before + 2


def test_what_one_role_prepared_is_still_refused_to_another():
    _by_owner("CREATE TABLE pub.secret AS SELECT 1 AS a", "GRANT SELECT ON pub.secret TO onemap_water")
    question = sql.SQL("SELECT a FROM pub.secret WHERE a = %(p0)s::int")
    for _ in range(3):
        assert fetch("water", "", question, {"p0": 1}, keep=True) == [(1,)]
        with pytest.raises(AccessDenied):
            fetch("gas", "", question, {"p0": 1}, keep=True)


def test_the_rows_of_each_role_are_its_own():
    _by_owner(
        "CREATE TABLE pub.parted AS SELECT unnest(ARRAY['onemap_water', 'onemap_gas']) AS who",
        "GRANT SELECT ON pub.parted TO onemap_water, onemap_gas",
        "ALTER TABLE pub.parted ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON pub.parted USING (who = current_user)",
    )
    for _ in range(7):
        for role in ("water", "gas"):
            assert fetch(role, "", sql.SQL("SELECT who FROM pub.parted"), {}, keep=True) == [(f"onemap_{role}",)]


def test_a_table_that_changed_is_answered_as_it_is_now():
    _by_owner("CREATE TABLE pub.changing AS SELECT 1::int AS a", "GRANT SELECT ON pub.changing TO onemap_anonymous")
    question = sql.SQL("SELECT a FROM pub.changing")
    for _ in range(7):
        assert fetch("anonymous", "", question, {}, keep=True) == [(1,)]
    _by_owner("ALTER TABLE pub.changing ALTER a TYPE text USING 'one'")
    for _ in range(3):
        assert fetch("anonymous", "", question, {}, keep=True) == [("one",)]


def test_a_pooler_that_forgets_is_answered_all_the_same():
    for _ in range(3):
        assert fetch("anonymous", "", sql.SQL("SELECT 5"), {}, keep=True) == [(5,)]
        fetch("anonymous", "", sql.SQL("DEALLOCATE ALL; SELECT 1"))


def test_not_more_than_so_many_are_kept(monkeypatch):
    monkeypatch.setattr(prepared, "MOST", 5)
    for i in range(12):
        assert fetch("anonymous", "", sql.SQL(f"SELECT {i}"), {}, keep=True) == [(i,)]
    assert _kept() <= 5
