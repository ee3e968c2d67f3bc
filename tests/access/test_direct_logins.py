"""Whoever has a login of his own in the database reads what his role reads, and writes nothing: no audit, no edit, no job of another."""

from __future__ import annotations

import contextlib
import os

import psycopg2
import pytest
from api_rows import put
from asking import rows

from gis.access import chain
from gis.db.connection import owner, writing
from gis.errors import AccessDenied

PERSON = f"desk_of_zhang_{os.getpid()}"


@pytest.fixture
def direct(fresh):
    """A function that asks with the login of one person in the role of the water company, as docs/planner-qgis.md has it made."""
    put("water_pipe", {})
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {PERSON} LOGIN IN ROLE onemap_water")

    def ask(statement: str, *, before: str = "RESET ROLE") -> list[tuple]:
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute(f"SET SESSION AUTHORIZATION {PERSON}; SET app.\"user\" = 'wang'; {before}")
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    yield ask
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP ROLE {PERSON}")


EDIT = "SELECT * FROM meta.edit('water_pipe', 'delete', {}, 'x', 'city', '{{}}', NULL, '[]', '[]', '[]')"
WORK = (
    "INSERT INTO works.work (network, element, element_id, kind, title, during)"
    " VALUES ('city', 'pipe', 'P1', 'planned', 'x', '[2026-01-01,2026-01-02)')"
)
REPORT = "SELECT * FROM works.report_valves('city', '[{\"valve_id\": \"V1\", \"live\": \"closed\"}]', 'x', 'x', 'wang')"


def test_a_persons_own_login_reads_and_writes_nothing(direct):
    with writing("water", "wang") as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO meta.job (process, inputs, role) VALUES ('trace', '{}', 'water')")
    ((fid,),) = direct("SELECT fid FROM pub.water_pipe")
    assert direct("SELECT count(*) FROM pub.water_pipe_history") == [(1,)]
    for before in ("RESET ROLE", "SET ROLE onemap_water"):
        for statement in (
            EDIT.format(fid), WORK, REPORT, "SELECT lo_create(0)", "CREATE TEMP TABLE t (x int)", "CREATE TABLE public.t (x int)",
            "INSERT INTO access.audit (user_name, role, action) VALUES ('wang', 'water', 'items')",
            "INSERT INTO meta.job (process, inputs, role) VALUES ('trace', '{}', 'water')",
            "SELECT access.forget_sessions()", "SELECT pg_read_file('/etc/hostname')", "SET ROLE onemap_identity",
        ):  # fmt: skip
            with pytest.raises((AccessDenied, psycopg2.errors.InsufficientPrivilege)):
                direct(statement, before=before)
        assert direct("SELECT count(*) FROM meta.job", before=before) == [(0,)], "a job of who he says that he is"
    with writing("water", "wang") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM meta.job")
        assert cursor.fetchone() == (1,), "the platform still tells its own callers"
        cursor.execute(EDIT.format(fid))
        assert cursor.fetchone()[0] is not None, "and edits for them"


@pytest.mark.parametrize("role", ["water", "anonymous", "admin", "security", "auditor", "identity"])
def test_nobody_says_when_a_row_was_written_or_which_it_is(fresh, role):
    """Neither that nor the rows at all, but for who looks callers up and for the administrators whose acts stand there."""
    row = "INSERT INTO access.audit (user_name, role, action{}) {} VALUES ('wang', 'water', 'items'{})"
    for statement in (
        row.format(", at", "", ", '2020-01-01'"), row.format(", id", "OVERRIDING SYSTEM VALUE", ", 77"),
        *([row.format("", "", "")] if role in ("water", "anonymous", "admin") else ()),
    ):  # fmt: skip
        with pytest.raises(AccessDenied), writing(role) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
    with contextlib.suppress(AccessDenied), writing(role) as connection, connection.cursor() as cursor:
        cursor.execute(row.format("", "", ""))
    assert rows("SELECT count(*) FROM access.audit WHERE at > now() - interval '1 minute'") == rows("SELECT count(*) FROM access.audit")
    assert chain.verify()["whole"]
