"""Who administers: the holder of a key with the duty, or the owner of the machine. Three duties, and nobody has two of them.

`admin` keeps the system (layers, loads, jobs, servers), `security` the users, keys, roles and limits, `auditor` reads the
audit (GB/T 22239-2019, 8.1.5). With `ONEMAP_OPERATOR_KEY` a command runs with the database rights of the key's holder, so the
database itself refuses what is not his duty. Without it it runs as the owner of the database, who may do everything that the
owner of a machine may; what he does is recorded under his name on the machine (`os:NAME`).
"""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg2.extensions
import psycopg2.extras

from gis.access.identity import Identity, identify
from gis.db.connection import owner, reading, writing
from gis.errors import AccessDenied
from gis.settings import settings

SYSTEM, SECURITY, AUDIT = "admin", "security", "auditor"
DUTIES = {SYSTEM: "系统管理员 system administrator", SECURITY: "安全管理员 security administrator", AUDIT: "审计员 auditor"}
ADDRESS = "command line"


@dataclass(frozen=True)
class Operator:
    """Who acts, with which role; role empty: the owner of the database."""

    name: str
    role: str = ""

    @property
    def is_owner(self) -> bool:
        return not self.role

    def connection(self, *, read: bool = False):
        """A transaction with his rights."""
        if self.is_owner:
            return owner()
        return (reading if read else writing)(self.role, self.name)


def operator(duty: str) -> Operator:
    """Who acts in this process, for something that is this duty. Raises AccessDenied where it is not his."""
    key = settings().operator_key
    if key:
        holder = identify(None, key, ADDRESS)
        require(holder, duty)
        return Operator(holder.user, holder.role)
    if settings().separate_duties and _has(duty):
        raise AccessDenied(
            f"This is the duty of the {DUTIES[duty].split(' ', 1)[1]}", remedy="Set ONEMAP_OPERATOR_KEY to a key of that administrator"
        )
    return Operator(f"os:{_account()}")


def require(identity: Identity, duty: str) -> None:
    """Raises AccessDenied where a caller does not have this duty."""
    if identity.role != duty:
        raise AccessDenied(
            f"This is the duty of the {DUTIES[duty].split(' ', 1)[1]}",
            remedy="Log in as one", anonymous=identity.is_anonymous,
        )  # fmt: skip


def _has(duty: str) -> bool:
    """Whether anybody has the duty: the first one is made by the owner."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            'SELECT EXISTS (SELECT FROM access."user" u JOIN access.key k ON k.user_name = u.name WHERE u.role = %s AND NOT u.disabled'
            " AND k.kind = 'key' AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()))",
            (duty,),
        )
        return cursor.fetchone()[0]


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@contextlib.contextmanager
def acting(duty: str) -> Iterator[tuple[Operator, psycopg2.extensions.cursor]]:
    """A transaction of who acts, for administration; what he records with `trace` stands in it."""
    who = operator(duty)
    with who.connection() as connection, connection.cursor() as cursor:
        yield who, cursor


def trace(cursor, who: Operator, action: str, **detail) -> None:
    """A row of the audit in the same transaction as the act: one is never there without the other."""
    cursor.execute(
        "INSERT INTO access.audit (user_name, role, action, detail) VALUES (%s, %s, %s, %s)",
        (who.name, who.role or "owner", action, psycopg2.extras.Json({name: value for name, value in detail.items() if value is not None})),
    )
