"""Whether the audit is whole: its chain of seals held against its rows, and rows that went into a file."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import os
from itertools import islice
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
    written anew. Keep it where the machine's owner does not write. archives: files of `archive`, which must be what was written, with a
    whole chain in them; a head that went into one of them is proved by that file alone, for whoever owns the database could say that any
    rows went into a file. Raises InputError for a head that is none.
    """
    who = who or operator(AUDIT)
    sought = _parsed(head) if head is not None else None
    with who.connection(read=True) as connection, connection.cursor() as cursor:
        cursor.execute(_VERIFY)
        rows, archived, number, digest, faults = cursor.fetchone()
        held = set()
        for path in archives:
            faults += _faults_of_archive(cursor, path, sought, held)
        if sought is not None and sought not in held:
            faults += _fault_of_head(cursor, *sought)
    return {"whole": not faults, "rows": rows, "archived": archived, "head": f"{number}:{digest}", "faults": faults}


def _parsed(head: str) -> tuple[int, str]:
    number, colon, digest = head.partition(":")
    if not (colon and number.isascii() and number.isdigit() and len(number) < 19):
        raise InputError("the head is NUMBER:HASH", where="head", remedy="As `onemap audit verify` told it")
    return int(number), digest


def _fault_of_head(cursor, number: int, digest: str) -> list[dict]:
    cursor.execute(
        "SELECT encode(hash, 'hex') FROM access.audit_seal WHERE seq = %(seq)s"
        " UNION ALL SELECT encode(hash, 'hex') FROM access.audit_archive WHERE upto = %(seq)s",
        {"seq": number},
    )
    found = cursor.fetchone()
    if found is not None and found[0] == digest:
        return []
    cursor.execute("SELECT EXISTS (SELECT FROM access.audit_archive WHERE upto > %s)", (number,))
    if found is None and cursor.fetchone()[0]:
        return [_fault("the head that was told before lies in an archive: its file proves it (--archive)", number)]
    return [_fault("the chain does not hold the head that was told before", number)]


def _fault(what: str, seq: int | None = None) -> dict:
    return {"seq": seq, "id": None, "what": what}


_BEFORE = """
SELECT a.upto, encode(a.hash, 'hex'),
       coalesce((SELECT b.upto FROM access.audit_archive b WHERE b.upto < a.upto ORDER BY b.upto DESC LIMIT 1), 0),
       coalesce((SELECT encode(b.hash, 'hex') FROM access.audit_archive b WHERE b.upto < a.upto ORDER BY b.upto DESC LIMIT 1), '')
FROM access.audit_archive a WHERE a.sha256 = %s
"""
_BROKEN = """
WITH link AS (
  SELECT (one ->> 'seq')::bigint AS seq, decode(one ->> 'hash', 'hex') AS hash,
         decode(lag(one ->> 'hash', 1, %(hash)s) OVER (ORDER BY i), 'hex') AS before, %(seq)s + i AS due,
         jsonb_populate_record(NULL::access.audit, one || jsonb_build_object('user_name', one ->> 'user')) AS row
  FROM jsonb_array_elements(%(lines)s::jsonb) WITH ORDINALITY AS t (one, i)
)
SELECT seq FROM link
WHERE seq IS DISTINCT FROM due OR hash IS DISTINCT FROM sha256(before || convert_to(access.audit_text(row), 'UTF8')) LIMIT 1
"""
_TOGETHER = 2000
"""Lines of an archive that are held against their seals at a time."""


def _faults_of_archive(cursor, path: Path, sought: tuple[int, str] | None, held: set[tuple[int, str]]) -> list[dict]:
    """What is wrong with a file of `archive`; `held` gets the head that is sought, where it is in a whole file."""
    cursor.execute(_BEFORE, (_sha256(path),))
    known = cursor.fetchone()
    if known is None:
        return [_fault(f"the archive {path.name} is not what was written")]
    upto, last, seq, digest = known
    found = False
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            while lines := list(islice(file, _TOGETHER)):
                cursor.execute(_BROKEN, {"lines": f"[{','.join(lines)}]", "hash": digest, "seq": seq})
                if broken := cursor.fetchone():
                    return [_fault(f"the chain within {path.name} is broken", broken[0])]
                heads = [(one["seq"], one["hash"]) for one in map(json.loads, lines)]
                found |= sought in heads
                seq, digest = heads[-1]
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return [_fault(f"the archive {path.name} cannot be read")]
    if (seq, digest) != (upto, last):
        return [_fault(f"the chain within {path.name} ends elsewhere than the platform's goes on", seq)]
    if found and sought:
        held.add(sought)
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
