"""The audit: whole, sealed, written together, never late; and the sums of what went to whom."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import threading
import time

import psycopg2
import pytest
from asking import rows

from gis.access import audit, chain, ledger
from gis.access.identity import Identity
from gis.catalog.read import catalog
from gis.db.connection import owner, reading, writing
from gis.errors import AccessDenied, InputError, OneMapError, StoreError

LI = Identity("li", "water")


@pytest.fixture(autouse=True)
def database(fresh):
    return fresh


def record(n: int = 1, **detail) -> None:
    audit.record(LI, "items", "water_pipe", n=n, **detail)


def tampered(*statements: str) -> None:
    """What the owner of the machine can do: take the guards away, change, put them back."""
    tables = "access.audit", "access.audit_seal"
    with owner() as connection, connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.mark.parametrize(
    "statements, what",
    [
        (["UPDATE access.audit SET n = 0 WHERE id = 3"], "the row was changed"),
        (["UPDATE access.audit SET at = at - interval '1 microsecond' WHERE id = 3"], "the row was changed"),
        (["DELETE FROM access.audit WHERE id = 3"], "the row is missing"),
        (["DELETE FROM access.audit WHERE id = 3", "DELETE FROM access.audit_seal WHERE audit_id = 3"], "seals are missing before it"),
        (["DELETE FROM access.audit WHERE id = 5", "DELETE FROM access.audit_seal WHERE audit_id = 5"], "the head that was told"),
        (["INSERT INTO access.audit (id, action) OVERRIDING SYSTEM VALUE VALUES (99, 'items')"], "never sealed"),
        (
            [
                "DELETE FROM access.audit WHERE id = 3", "DELETE FROM access.audit_seal WHERE audit_id = 3",
                "UPDATE access.audit_seal SET seq = seq - 1 WHERE seq > 3",
            ],
            "the row was changed",
        ),
    ],
)  # fmt: skip
def test_what_is_changed_or_missing_is_seen(statements, what):
    for i in range(5):
        record(i)
    found = chain.verify()
    assert found["whole"] and found["rows"] == 5 and found["head"].startswith("5:")
    tampered(*statements)
    spoilt = chain.verify(head=found["head"])
    assert not spoilt["whole"] and any(what in fault["what"] for fault in spoilt["faults"]), spoilt


def test_a_chain_written_anew_does_not_hold_the_head_that_was_told():
    for i in range(3):
        record(i)
    head = chain.verify()["head"]
    tampered("DELETE FROM access.audit", "DELETE FROM access.audit_seal")
    for i in range(3):
        record(i)
    assert chain.verify()["whole"] and not chain.verify(head=head)["whole"], "why the head is kept elsewhere"
    for wrong in ("", "3", "x:y", "3;ab"):
        with pytest.raises(InputError):
            chain.verify(head=wrong)


def test_no_role_changes_the_audit_and_only_the_auditor_reads_it():
    record()
    for role in ("identity", "water", "planner", "admin", "security", "auditor"):
        for statement in (
            "UPDATE access.audit SET n = 0", "DELETE FROM access.audit", "TRUNCATE access.audit", "DELETE FROM access.audit_seal",
            "INSERT INTO access.audit_seal VALUES (9, 9, '')", "INSERT INTO access.audit_archive (upto) VALUES (1)",
            "ALTER TABLE access.audit DISABLE TRIGGER ALL", "SELECT access.seal_audit()",
        ):  # fmt: skip
            with pytest.raises(OneMapError), writing(role) as connection, connection.cursor() as cursor:
                cursor.execute(statement)
        for table in ("access.audit", "access.audit_seal"):
            with reading(role) as connection, connection.cursor() as cursor:
                if role == "auditor":
                    cursor.execute(f"SELECT 1 FROM {table}")
                    assert cursor.fetchall() == [(1,)]
                else:
                    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                        cursor.execute(f"SELECT 1 FROM {table}")
    for table in ('access."user"', "access.key", "access.failure", "access.federated", "access.allowance"):
        for role in ("admin", "auditor", "water"):
            with pytest.raises(AccessDenied), reading(role) as connection, connection.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {table}")
    for column in ("password_hash", "sha256"):
        table = 'access."user"' if column == "password_hash" else "access.key"
        with pytest.raises(AccessDenied), reading("security") as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {column} FROM {table}")


def test_callers_at_the_same_time_are_written_together(monkeypatch):
    statements, insert = [], audit._insert

    def counted(together):
        statements.append(len(together))
        time.sleep(0.02)
        insert(together)

    monkeypatch.setattr(audit, "_insert", counted)
    threads = [threading.Thread(target=record, args=(i,)) for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(statements) == 40 and len(statements) < 20, "whoever waits goes with the next statement"
    assert [n for (n,) in rows("SELECT n FROM access.audit ORDER BY n")] == list(range(40))
    assert chain.verify()["whole"]


def test_what_cannot_be_written_is_an_error_within_a_bounded_time(monkeypatch, chosen):
    chosen(audit_wait_s=0.3)
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("LOCK access.audit IN ACCESS EXCLUSIVE MODE")
        begun, errors = time.perf_counter(), []

        def attempt():
            try:
                record()
            except StoreError as error:
                errors.append(error)

        threads = [threading.Thread(target=attempt) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(errors) == 4 and time.perf_counter() - begun < 2
    record()
    assert len(rows("SELECT 1 FROM access.audit")) == 1

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "_insert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record()
    monkeypatch.undo()


def test_a_long_transaction_holds_up_nobody():
    with writing("identity", "wang") as slow, slow.cursor() as cursor:
        cursor.execute("INSERT INTO access.audit (action) VALUES ('edit')")
        begun = time.perf_counter()
        record()
        assert time.perf_counter() - begun < 1
    assert chain.verify()["whole"]
    assert rows("SELECT a.user_name FROM access.audit_seal s JOIN access.audit a ON a.id = s.audit_id ORDER BY seq") == [("li",), ("wang",)]


def test_texts_that_the_database_does_not_know_are_recorded_without_them():
    record(filter="a\0b", inputs={"x\0": ["\ud800", "\\u0000", '"']})
    (detail,) = rows("SELECT detail FROM access.audit")[0]
    assert detail == {"filter": "ab", "inputs": {"x": ["?", "\\u0000", '"']}}


def test_old_rows_go_into_a_file_and_the_chain_goes_on(tmp_path, chosen):
    for i in range(4):
        record(i)
    tampered("UPDATE access.audit SET at = at - interval '400 days' WHERE id <= 3")
    with pytest.raises(InputError, match="not whole"):
        chain.archive(dt.date.today(), tmp_path / "no.gz")
    tampered("UPDATE access.audit SET at = at + interval '400 days' WHERE id <= 3")
    head = chain.verify()["head"]
    file = tmp_path / "audit.jsonl.gz"
    assert chain.archive(dt.date.today() - dt.timedelta(days=1), file)["rows"] == 0 and not file.exists()
    with pytest.raises(InputError):
        chain.archive(dt.date.today() + dt.timedelta(days=1), file)
    rows("SELECT pg_sleep(0.01)")
    tampered("UPDATE access.audit SET at = at - interval '2 days'")
    tampered("UPDATE access.audit_seal s SET hash = x.hash FROM (WITH RECURSIVE link AS ("
             " SELECT s.seq, sha256(convert_to(access.audit_text(a), 'UTF8')) AS hash FROM access.audit_seal s"
             " JOIN access.audit a ON a.id = s.audit_id WHERE s.seq = 1 UNION ALL"
             " SELECT s.seq, sha256(l.hash || convert_to(access.audit_text(a), 'UTF8'))"
             " FROM link l JOIN access.audit_seal s ON s.seq = l.seq + 1"
             " JOIN access.audit a ON a.id = s.audit_id) SELECT * FROM link) x WHERE x.seq = s.seq")  # fmt: skip
    record(9)
    head = chain.verify()["head"]
    done = chain.archive(dt.date.today(), file)
    assert done["rows"] == 4
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        kept = [json.loads(line) for line in lines]
    assert [row["n"] for row in kept] == [0, 1, 2, 3] and kept[0]["user"] == "li" and len(kept[0]["hash"]) == 64
    found = chain.verify(head=head, archives=(file,))
    assert found["whole"] and found["rows"] == 2 and found["archived"] == 4, "what is left, and the act itself"
    assert [row[0] for row in rows("SELECT action FROM access.audit ORDER BY id")] == ["items", "audit archived"]
    old = f"2:{kept[1]['hash']}"
    assert chain.verify(head=old, archives=(file,))["whole"], "an old head is in the file"
    for given, files in ((old, ()), ("2:" + "0" * 64, (file,)), ("9:" + "0" * 64, (file,))):
        assert not chain.verify(head=given, archives=files)["whole"], "that it went into a file is proved by the file"
    with pytest.raises(InputError, match="there already"):
        chain.archive(dt.date.today(), file)
    changed, digest = [row | {"n": 77} if row["seq"] == 2 else row for row in kept], "UPDATE access.audit_archive SET sha256 = '{}'"
    for lines, what in ((changed, "broken"), ([*kept[:1], *kept[2:]], "broken"), (kept[:3], "ends elsewhere"), ([], "ends elsewhere")):
        with gzip.open(file, "wt", encoding="utf-8") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
        with owner() as connection, connection.cursor() as cursor:  # as the owner of the machine can
            cursor.execute("ALTER TABLE access.audit_archive DISABLE TRIGGER USER")
            cursor.execute(digest.format(hashlib.sha256(file.read_bytes()).hexdigest()))
            cursor.execute("ALTER TABLE access.audit_archive ENABLE TRIGGER USER")
        faults = chain.verify(head=old, archives=(file,))["faults"]
        assert what in faults[0]["what"] and "its file proves it" in faults[1]["what"], faults
    file.write_bytes(b"other")
    assert not chain.verify(archives=(file,))["whole"]
    for statement in ("DELETE FROM access.audit", "DELETE FROM access.audit_archive", "UPDATE access.audit_archive SET n = 0"):
        with pytest.raises(OneMapError):
            rows(statement)


def test_areas_are_added_up_once_however_often_they_were_asked_for():
    west, south, east, north = catalog().city.extent
    record(10, bbox=[117.0, 32.0, 117.01, 32.01])
    record(10, bbox=[117.0, 32.0, 117.01, 32.01])
    audit.record(LI, "tile", "water_pipe", n=3, bbox=[117.005, 32.0, 117.015, 32.01], tile="16/1/1")
    audit.record(LI, "download", "gas_pipe", n=3, bbox=[-180, -90, 180, 90])
    audit.record(LI, "edit", "water_valve", n=3)
    audit.record(LI, "process", None, process="pipe-burst", layers=["water_pipe", "water_valve"])
    audit.record(Identity("wang", "planner"), "item", "water_pipe", n=1, id="x")
    found = {(one["user"], one["layer"]): one for one in ledger.areas(catalog())}
    assert set(found) == {("li", "water_pipe"), ("li", "gas_pipe"), ("li", "water_valve"), ("wang", "water_pipe")}
    pipes = found["li", "water_pipe"]
    assert abs(pipes["placed_km2"] - 1.5 * 0.9446 * 1.1090) < 0.02, "1.5 boxes of 0.945 by 1.109 km"
    assert (pipes["accesses"], pipes["features"], pipes["without_area"], pipes["over"]) == (4, 23, 1, False)
    whole = found["li", "gas_pipe"]
    assert whole["over"] and whole["area_km2"] < 1600 and whole["area_km2"] > 37.7 * 39.9 * 0.98, (west, south, east, north)
    assert {one["user"] for one in ledger.areas(catalog(), user="wang")} == {"wang"}
    told = {"layers": ["gas_valve"], "bbox": [117.0, 32.0, 117.01, 32.01]}
    audit.record(LI, "process", None, n=7, process="trace", **told)
    audit.record(LI, "result", None, n=7, process="trace", **told)
    valves = ledger.areas(catalog(), layer="gas_valve")[0]
    assert (valves["accesses"], valves["features"], valves["features_without_area"]) == (1, 7, 7), "ids: no box"
    assert valves["placed_km2"] > 1 and valves["area_km2"] > valves["placed_km2"]
    assert not ledger.areas(catalog(), since=dt.date.today() + dt.timedelta(days=2))
    assert ledger.areas(catalog(), layer="gas_pipe", limit_km2=5000)[0]["over"] is False
