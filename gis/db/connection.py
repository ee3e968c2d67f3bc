"""Connections to the database: the owner's for administration and loads, the serving login's with a role per
transaction.

Every failure of the database leaves here as one of the platform's errors, without SQL, DSN or path in its message; the
cause is chained.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from typing import get_args

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.pool
from psycopg2 import sql

from gis.catalog.model import Role
from gis.catalog.narrowing import base, database_role
from gis.db import cluster, prepared
from gis.errors import AccessDenied, InputError, OneMapError, StoreError
from gis.settings import settings

log = logging.getLogger(__name__)

LOGIN = "onemap_login"
ROLES: tuple[str, ...] = (*get_args(Role), "identity")
"""The roles a transaction may take: those of the layer files, and `identity`, which may only look up who holds a key
or password."""

SERVING_OPTIONS = "-c max_parallel_workers_per_gather=0 -c jit=off -c idle_in_transaction_session_timeout=120000 -c datestyle=ISO"
"""Parallel plans make tiles slower, a reader that hangs must not keep old rows alive, and dates go out as JSON writes them."""


# --- errors -----------------------------------------------------------------------------------------------------------

_E = psycopg2.errors
_NEWER = "The administrator runs `onemap db start`, then `onemap layers apply`; the server need not be restarted"
_NAMED: tuple[tuple[type[psycopg2.Error], str, str], ...] = (
    (_E.QueryCanceled, "The query took too long and was stopped", "Ask for a smaller area or fewer features"),
    (_E.DiskFull, "The database's disk is full", "Make room, then try again; nothing was half done"),
    (_E.ConfigurationLimitExceeded, "The question needs more room than the database gives one", "Ask for a smaller area or fewer features"),
    (_E.OutOfMemory, "The database ran out of memory", "Ask for less at once, or give the machine more"),
    (_E.TooManyConnections, "The database has no free connection", "Try again in a moment"),
    (_E.InvalidPassword, "The database refuses the password", "Run `onemap db start`, or correct ONEMAP_DSN"),
    (_E.InvalidCatalogName, "The database does not exist on the server", "Create it, or correct ONEMAP_DSN"),
    (_E.LockNotAvailable, "Another load holds this layer", "Try again when it has finished"),
    (_E.DeadlockDetected, "Two writers stood in each other's way; this one gave way", "Try again"),
    (_E.SerializationFailure, "Two writers stood in each other's way; this one gave way", "Try again"),
    (_E.ReadOnlySqlTransaction, "This transaction may only read", "Report it: a reading path tried to write"),
    (_E.UndefinedTable, "The database is older than the program: a table is missing", _NEWER),
    (_E.UndefinedColumn, "The database is older than the program: a column is missing", _NEWER),
    (_E.InvalidSchemaName, "The database is not set up for the platform", _NEWER),
    (_E.UndefinedFunction, "The database is older than the program: a function is missing", _NEWER),
    (psycopg2.OperationalError, "The database does not answer", "Run `onemap db start`; see `onemap db status`"),
    (psycopg2.InterfaceError, "The connection to the database broke", "Try again; see `onemap db status`"),
    (psycopg2.IntegrityError, "The rows contradict a key or a rule of the tables", "Nothing was stored; see the log"),
)


def translated(error: psycopg2.Error) -> OneMapError:
    """The platform's error for one of psycopg2's. What the server said goes to the log (without the statement), not
    into the message."""
    said = (error.diag.message_primary or "") if error.diag else ""
    if isinstance(error, psycopg2.errors.InsufficientPrivilege):
        log.warning("database: %s %s", error.pgcode, said)
        return AccessDenied("The role may not do this", remedy="Ask the administrator for the right, or use another key")
    level = logging.DEBUG if error.pgcode is None else logging.INFO if isinstance(error, _E.QueryCanceled) else logging.ERROR
    log.log(level, "database: %s %s", error.pgcode, said)  # a statement that was too long, or whose caller left, is no fault
    if isinstance(error, psycopg2.DataError):  # class 22: a value that a type cannot hold, which is the asker's
        return InputError("The database refused a value", remedy="Check the values given")
    for kind, what, remedy in _NAMED:
        if isinstance(error, kind):
            return StoreError(what, remedy=remedy)
    return StoreError("The database reported a fault", where=error.pgcode or "", remedy="See the log")


@contextlib.contextmanager
def translating() -> Iterator[None]:
    """Within it every psycopg2 error becomes one of the platform's, and so does its refusal to send a text that is none."""
    try:
        yield
    except psycopg2.Error as error:
        raise translated(error) from error
    except ValueError as error:
        if isinstance(error, UnicodeEncodeError) or "NUL (0x00)" in str(error):
            raise InputError("A text holds characters that are part of no text (NUL, half of a pair)", remedy="Leave them out") from error
        raise


# --- the owner --------------------------------------------------------------------------------------------------------


def _parsed(variable: str, dsn: str) -> dict:
    """The libpq parameters of a setting. Its text is never repeated: there may be a password in it."""
    try:
        return psycopg2.extensions.parse_dsn(dsn)
    except psycopg2.Error:
        raise StoreError(
            f"{variable} is no address of a database",
            remedy='Write "host=… port=5432 dbname=… user=… password=…" or postgresql://user@host:5432/dbname',
        ) from None


def owner_parameters() -> dict:
    """libpq parameters of the owner: of `ONEMAP_DSN`, or of the embedded cluster."""
    if settings().dsn:
        return _parsed("ONEMAP_DSN", settings().dsn)
    return cluster.parameters()


@contextlib.contextmanager
def owner(*, autocommit: bool = False, database: str | None = None) -> Iterator[psycopg2.extensions.connection]:
    """A connection of the owner, for definitions, loads and administration: commits on success, rolls back on any
    exception.

    With autocommit each statement stands alone (VACUUM, CREATE DATABASE). database: another one of the same server.
    """
    with translating():
        defaults = {"connect_timeout": 10, "application_name": "onemap"}
        fixed = {"client_encoding": "UTF8"} | ({"dbname": database} if database else {})
        connection = psycopg2.connect(**defaults | owner_parameters() | fixed)
        try:
            connection.autocommit = autocommit
            yield connection
            if not autocommit:
                connection.commit()
        finally:
            connection.close()  # closing without a commit is a rollback


# --- the serving login ------------------------------------------------------------------------------------------------


class Pool:
    """Connections of the serving login in this process. Waits for a free one instead of failing; a dead one is thrown
    away."""

    def __init__(self, parameters: dict, size: int):
        self.size = size
        self.pid = os.getpid()
        self._free = threading.BoundedSemaphore(size)
        defaults = {"connect_timeout": 10, "application_name": "onemap-serving"}
        longest = f" -c statement_timeout={round(settings().statement_timeout_s * 1000)}"  # of what asks without settings of its own
        fixed = {"options": SERVING_OPTIONS + longest, "client_encoding": "UTF8", "connection_factory": prepared.Link}
        self._pool = psycopg2.pool.ThreadedConnectionPool(0, size, **defaults | parameters | fixed)
        self._pool.minconn = size  # so many are kept; given at once, so many would be opened at once
        self.in_use: dict[psycopg2.extensions.connection, int] = {}
        """Connections at work, and the thread that each works for."""
        self._changing = threading.Lock()

    def take(self, wait_s: float = 15) -> psycopg2.extensions.connection:
        if not self._free.acquire(timeout=wait_s):
            raise StoreError("All connections to the database are busy", remedy="Try again in a moment, or raise ONEMAP_POOL_SIZE")
        try:
            connection = self._pool.getconn()
        except BaseException:
            self._free.release()
            raise
        self.in_use[connection] = threading.get_ident()
        return connection

    def cancel(self, thread: int) -> bool:
        """Break off the statements that run for a thread; whether there were any. A connection is not given back meanwhile, so that
        nobody else's statement is hit."""
        with self._changing:
            found = [connection for connection, of in list(self.in_use.items()) if of == thread]
            for connection in found:
                with contextlib.suppress(psycopg2.Error):
                    connection.cancel()
        return bool(found)

    def give_back(self, connection: psycopg2.extensions.connection, *, broken: bool = False) -> None:
        with self._changing:
            self.in_use.pop(connection, None)
        try:
            self._pool.putconn(connection, close=broken or bool(connection.closed))
        finally:
            self._free.release()

    def close(self) -> None:
        with contextlib.suppress(psycopg2.pool.PoolError):
            self._pool.closeall()


_pool: Pool | None = None
_making = threading.Lock()


def serving_parameters() -> dict:
    """libpq parameters of the serving login: of `ONEMAP_DSN_SERVING`, or the owner's server with the login's own
    password."""
    if settings().dsn_serving:
        return _parsed("ONEMAP_DSN_SERVING", settings().dsn_serving)
    return owner_parameters() | {"user": LOGIN, "password": cluster.secret(LOGIN)}


def _current_pool() -> Pool:
    """The pool of this process: a forked worker makes its own."""
    global _pool
    with _making:
        if _pool is None or _pool.pid != os.getpid():
            _pool = Pool(serving_parameters(), settings().pool_size)
        return _pool


def cancel(thread: int) -> bool:
    """Break off what the database does for a thread of this process (its caller left); whether it did anything."""
    pool = _pool
    return pool is not None and pool.pid == os.getpid() and pool.cancel(thread)


def pool_figures() -> tuple[int, int]:
    """(connections at work, connections there may be) of this process."""
    pool = _pool
    return (len(pool.in_use), pool.size) if pool is not None and pool.pid == os.getpid() else (0, settings().pool_size)


def close_pool() -> None:
    """Close the idle connections of this process: before the settings change, and in a parent before it forks."""
    global _pool
    with _making:
        if _pool is not None and _pool.pid == os.getpid():
            _pool.close()
        _pool = None


def _begin(pool: Pool, role: str, user: str, timeout_s: float, readonly: bool) -> psycopg2.extensions.connection:
    """A connection inside a transaction with that role. Connections that died since their last use (the server was
    restarted)
    are thrown away; a connection made just now gets one try only."""
    for attempt in range(pool.size + 1):
        connection = pool.take()
        try:
            connection.set_session(readonly=readonly, autocommit=False)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('role', %s, true), set_config('app.user', %s, true), set_config('statement_timeout', %s, true)",
                    (database_role(role), user, str(round(timeout_s * 1000))),
                )
            return connection
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            pool.give_back(connection, broken=True)
            if attempt == pool.size:
                raise
        except BaseException:
            pool.give_back(connection, broken=True)
            raise
    raise AssertionError("unreachable")


@contextlib.contextmanager
def _transaction(role: str, user: str, timeout_s: float | None, readonly: bool) -> Iterator[psycopg2.extensions.connection]:
    if base(role) not in ROLES:
        raise AccessDenied(f"There is no role {role!r}", remedy="One of " + ", ".join(ROLES))
    with translating():
        pool = _current_pool()
        connection = _begin(pool, role, user, timeout_s or settings().statement_timeout_s, readonly)
        broken = False
        try:
            yield connection
            if not readonly:
                connection.commit()
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            broken = not isinstance(error, psycopg2.errors.QueryCanceled)
            raise
        finally:
            if not broken and not connection.closed:
                try:
                    connection.rollback()
                except psycopg2.Error:
                    broken = True
            pool.give_back(connection, broken=broken)


def reading(role: str, user: str = "", *, timeout_s: float | None = None):
    """A context manager: a read-only transaction of the serving login as `onemap_<role>`, always ended by a rollback.

    `user` is seen by the database as the setting `app.user`. Statements longer than timeout_s (default: the setting)
    are stopped.
    """
    return _transaction(role, user, timeout_s, readonly=True)


_ALONE = sql.SQL(
    'SET LOCAL role = %(_role)s; SET LOCAL app."user" = %(_user)s; SET LOCAL statement_timeout = %(_timeout)s; SET TRANSACTION READ ONLY; '
)
_NOTHING = sql.SQL("")
_BY_INDEX = _ALONE + sql.SQL(
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL plan_cache_mode = force_generic_plan; "
)


def fetch(
    role: str,
    user: str,
    statement: sql.Composable,
    parameters: dict | None = None,
    *,
    keep: bool = False,
    by_index: bool = False,
) -> list[tuple]:
    """The rows of one reading statement, in a read-only transaction of its own as `onemap_<role>`.

    What `reading` does in four round trips this does in one: statements sent together are one transaction of the server, in which the
    settings hold to its end (PostgreSQL, Message Flow, 55.2.2.1). Bound parameters have names. keep: the connection keeps the statement
    prepared (gis/db/prepared.py), which is for those whose plan does not depend on the values. by_index: it is one that an index answers
    row by row, whatever PostgreSQL would think of values that it does not know yet.
    """
    if base(role) not in ROLES:
        raise AccessDenied(f"There is no role {role!r}", remedy="One of " + ", ".join(ROLES))
    milliseconds = str(round(settings().statement_timeout_s * 1000))
    given = (parameters or {}) | {"_role": database_role(role), "_user": user, "_timeout": milliseconds}
    return _insisted(_BY_INDEX if by_index else _ALONE, statement, given, keep)


def fetch_as_login(statement: sql.SQL, parameters: dict) -> list[tuple]:
    """The rows of one short reading statement of the serving login itself, kept prepared. Without a role it sees no layer, only what it was
    given of its own (migration 0552); without settings before it the statement costs a quarter."""
    return _insisted(_NOTHING, statement, parameters, True)


def _insisted(before: sql.Composable, statement: sql.Composable, given: dict, keep: bool) -> list[tuple]:
    """The rows of a statement; on another connection where the server was restarted under an idle one."""
    with translating():
        pool = _current_pool()
        for _ in range(pool.size):
            try:
                return _fetched(pool, before, statement, given, keep)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                if isinstance(error, psycopg2.extensions.QueryCanceledError) or error.pgcode not in (None, *_SERVER_GONE):
                    raise
        return _fetched(pool, before, statement, given, keep)


_SERVER_GONE = ("57P01", "57P02", "57P03")
"""admin_shutdown, crash_shutdown, cannot_connect_now: the server was restarted under an idle connection."""


def _fetched(pool: Pool, before: sql.Composable, statement: sql.Composable, parameters: dict, keep: bool) -> list[tuple]:
    connection = pool.take()
    broken = True
    try:
        connection.autocommit = True  # no BEGIN of psycopg2's own
        rows = connection.run(before, statement, parameters, keep)
        broken = False
        return rows
    except psycopg2.Error:
        broken = bool(connection.closed)
        raise
    finally:
        pool.give_back(connection, broken=broken)


def writing(role: str, user: str = "", *, timeout_s: float | None = None):
    """As `reading`, but it may write what the role may write; commits on success."""
    return _transaction(role, user, timeout_s, readonly=False)
