"""Whether the audit is whole: its chain of seals held against its rows, and rows that went into a file."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import os
from pathlib import Path

from gis.access.operator import AUDIT, Operator, operator, trace
from gis.db.connection import owner
from gis.errors import AccessDenied, InputError

_VERIFY = """
WITH start AS (
  SELECT coalesce((SELECT max(a.upto) FROM access.audit_archive a), 0) AS upto,
         coalesce((SELECT a.hash FROM access.audit_archive a ORDER BY a.upto DESC LIMIT 1), '') AS hash
), link AS (
  SELECT s.seq, s.audit_id, s.hash, lag(s.hash) OVER (ORDER BY s.seq) AS before, lag(s.seq) OVER (ORDER BY s.seq) AS seq_before
  FROM access.audit_seal s, start WHERE s.seq > start.upto
), fault AS (
  SELECT l.seq, l.audit_id, CASE
      WHEN l.seq <> coalesce(l.seq_before, start.upto) + 1 THEN 'seals are missing before it'
      WHEN a.id IS NULL THEN 'the row is missing'
      WHEN l.hash <> sha256(coalesce(l.before, start.hash) || convert_to(access.audit_text(a), 'UTF8')) THEN 'the row was changed'
    END AS what
  FROM start, link l LEFT JOIN access.audit a ON a.id = l.audit_id
  UNION ALL
  SELECT NULL, a.id, 'the row was never sealed' FROM access.audit a
  WHERE NOT EXISTS (SELECT FROM access.audit_seal s WHERE s.audit_id = a.id)
)
SELECT (SELECT count(*) FROM access.audit), (SELECT coalesce(sum(a.n), 0)::bigint FROM access.audit_archive a),
       coalesce((SELECT max(l.seq) FROM link l), start.upto),
       encode(coalesce((SELECT l.hash FROM link l ORDER BY l.seq DESC LIMIT 1), start.hash), 'hex'),
       (SELECT coalesce(json_agg(json_build_object('seq', f.seq, 'id', f.audit_id, 'what', f.what)), '[]')
        FROM (SELECT * FROM fault WHERE what IS NOT NULL ORDER BY seq NULLS LAST, audit_id LIMIT 20) f)
FROM start
"""


def verify(*, head: str | None = None, archives: tuple[Path, ...] = (), who: Operator | None = None) -> dict:
    """{whole, rows, archived, head, faults}: whether every row is there and as it was written.

    head: `NUMBER:HASH` as an earlier check told it; where that seal is gone or another, the end of the chain was cut off and
    written anew. Keep it where the machine's owner does not write. archives: files of `archive`, which must be what was written.
    Raises InputError for a head that is none.
    """
    who = who or operator(AUDIT)
    with who.connection(read=True) as connection, connection.cursor() as cursor:
        cursor.execute(_VERIFY)
        rows, archived, number, digest, faults = cursor.fetchone()
        if head is not None:
            faults += _fault_of_head(cursor, head, number)
        for path in archives:
            cursor.execute("SELECT EXISTS (SELECT FROM access.audit_archive WHERE sha256 = %s)", (_sha256(path),))
            if not cursor.fetchone()[0]:
                faults.append({"seq": None, "id": None, "what": f"the archive {path.name} is not what was written"})
    return {"whole": not faults, "rows": rows, "archived": archived, "head": f"{number}:{digest}", "faults": faults}


def _fault_of_head(cursor, head: str, last: int) -> list[dict]:
    number, colon, digest = head.partition(":")
    if not (colon and number.isascii() and number.isdigit() and len(number) < 19):
        raise InputError("the head is NUMBER:HASH", where="head", remedy="As `onemap audit verify` told it")
    cursor.execute(
        "SELECT encode(hash, 'hex') FROM access.audit_seal WHERE seq = %(seq)s"
        " UNION ALL SELECT encode(hash, 'hex') FROM access.audit_archive WHERE upto = %(seq)s",
        {"seq": int(number)},
    )
    found = cursor.fetchone()
    if found is None and int(number) <= last:
        cursor.execute("SELECT EXISTS (SELECT FROM access.audit_archive WHERE upto > %s)", (int(number),))
        if cursor.fetchone()[0]:  # it went into a file since; the chain goes on behind it
            return []
    if found is None or found[0] != digest:
        return [{"seq": int(number), "id": None, "what": "the chain does not hold the head that was told before"}]
    return []


_ARCHIVED = """
SELECT s.seq, encode(s.hash, 'hex'), a.id, a.at, a.user_name, a.role, a.action, a.layer, a.n, a.detail
FROM access.audit_seal s JOIN access.audit a ON a.id = s.audit_id
WHERE s.seq <= (SELECT max(t.seq) FROM access.audit_seal t JOIN access.audit b ON b.id = t.audit_id WHERE b.at < %s)
ORDER BY s.seq
"""
_NAMES = ("seq", "hash", "id", "at", "user", "role", "action", "layer", "n", "detail")


def archive(before: dt.date, file: Path) -> dict:
    """Write the rows older than a day into a file (JSON lines, gzip) and take them out of the table: {rows, file, sha256}.

    The file is written and on the disk before a row goes; what went, with the file's digest, stands in the database, and the chain goes
    on behind it. Only the owner of the database may; the audit must be whole. Raises InputError, AccessDenied.
    """
    who = operator(AUDIT)
    if not who.is_owner:
        raise AccessDenied(
            "Only the owner of the database takes rows out of the audit", remedy="On the server, without ONEMAP_OPERATOR_KEY"
        )
    if before > dt.date.today():
        raise InputError("rows of days to come are not archived", where="before")
    if not (found := verify(who=who))["whole"]:
        raise InputError("the audit is not whole", remedy=f"See `onemap audit verify`: {found['faults'][0]['what']}")
    with owner() as connection:
        rows, last, digest = _write(connection, before, file)
        if not rows:
            file.unlink()
            return {"rows": 0, "file": None, "sha256": None}
        sha256 = _sha256(file)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO access.audit_archive (upto, hash, n, file, sha256, operator) VALUES (%s, decode(%s, 'hex'), %s, %s, %s, %s)",
                (last, digest, rows, file.name, sha256, who.name),
            )
            cursor.execute(
                "DELETE FROM access.audit a USING access.audit_seal s WHERE s.audit_id = a.id AND s.seq <= %(upto)s;"
                "DELETE FROM access.audit_seal WHERE seq <= %(upto)s",
                {"upto": last},
            )
            trace(cursor, who, "audit archived", rows=rows, file=file.name, sha256=sha256)
    return {"rows": rows, "file": str(file), "sha256": sha256}


def _write(connection, before: dt.date, file: Path) -> tuple[int, int, str]:
    """Rows written, the number and hash of the last seal among them."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError("the file is there already", where=file.name, remedy="Name a new one") from None
    except OSError:
        raise InputError("the file cannot be written", where=file.name, remedy="Name a file in a folder that is there") from None
    rows, last, digest = 0, 0, ""
    with os.fdopen(descriptor, "wb") as raw, connection.cursor("archive") as cursor:
        with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
            cursor.execute(_ARCHIVED, (before,))
            for row in cursor:
                packed.write(json.dumps(dict(zip(_NAMES, row, strict=True)), ensure_ascii=False, default=str).encode() + b"\n")
                rows, last, digest = rows + 1, row[0], row[1]
        raw.flush()
        os.fsync(raw.fileno())
    return rows, last, digest


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise InputError("the file cannot be read", where=path.name) from None
