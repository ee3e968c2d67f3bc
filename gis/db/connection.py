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
from gis.db import cluster
from gis.errors import AccessDenied, OneMapError, StoreError
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
_NAMED: tuple[tuple[type[psycopg2.Error], str, str], ...] = (
    (_E.QueryCanceled, "The query took too long and was stopped", "Ask for a smaller area or fewer features"),
    (_E.DiskFull, "The database's disk is full", "Make room, then try again; nothing was half done"),
    (_E.OutOfMemory, "The database ran out of memory", "Ask for less at once, or give the machine more"),
    (_E.TooManyConnections, "The database has no free connection", "Try again in a moment"),
    (_E.InvalidPassword, "The database refuses the password", "Run `onemap db start`, or correct ONEMAP_DSN"),
    (_E.InvalidCatalogName, "The database does not exist on the server", "Create it, or correct ONEMAP_DSN"),
    (_E.LockNotAvailable, "Another load holds this layer", "Try again when it has finished"),
    (_E.DeadlockDetected, "Two writers stood in each other's way; this one gave way", "Try again"),
    (_E.SerializationFailure, "Two writers stood in each other's way; this one gave way", "Try again"),
    (_E.ReadOnlySqlTransaction, "This transaction may only read", "Report it: a reading path tried to write"),
    (_E.UndefinedTable, "A table is missing", "Run `onemap db start` and `onemap layers apply`"),
    (_E.UndefinedColumn, "A column is missing", "Run `onemap layers plan` and `onemap layers apply`"),
    (_E.InvalidSchemaName, "The database is not set up for the platform", "Run `onemap db start`"),
    (_E.UndefinedFunction, "A function is missing", "Run `onemap db start`"),
    (psycopg2.OperationalError, "The database does not answer", "Run `onemap db start`; see `onemap db status`"),
    (psycopg2.InterfaceError, "The connection to the database broke", "Try again; see `onemap db status`"),
    (psycopg2.IntegrityError, "The rows contradict a key or a rule of the tables", "Nothing was stored; see the log"),
    (psycopg2.DataError, "The database refused a value", "Check the values given"),
)


def translated(error: psycopg2.Error) -> OneMapError:
    """The platform's error for one of psycopg2's. What the server said goes to the log (without the statement), not
    into the message."""
    said = (error.diag.message_primary or "") if error.diag else ""
    if isinstance(error, psycopg2.errors.InsufficientPrivilege):
        log.warning("database: %s %s", error.pgcode, said)
        return AccessDenied("The role may not do this", remedy="Ask the administrator for the right, or use another key")
    log.log(logging.DEBUG if error.pgcode is None else logging.ERROR, "database: %s %s", error.pgcode, said)
    for kind, what, remedy in _NAMED:
        if isinstance(error, kind):
            return StoreError(what, remedy=remedy)
    return StoreError("The database reported a fault", where=error.pgcode or "", remedy="See the log")


@contextlib.contextmanager
def translating() -> Iterator[None]:
    """Within it every psycopg2 error becomes one of the platform's."""
    try:
        yield
    except psycopg2.Error as error:
        raise translated(error) from error


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
        fixed = {"options": SERVING_OPTIONS, "client_encoding": "UTF8"}
        self._pool = psycopg2.pool.ThreadedConnectionPool(0, size, **defaults | parameters | fixed)
        self._pool.minconn = size  # so many are kept; given at once, so many would be opened at once

    def take(self, wait_s: float = 15) -> psycopg2.extensions.connection:
        if not self._free.acquire(timeout=wait_s):
            raise StoreError("All connections to the database are busy", remedy="Try again in a moment, or raise ONEMAP_POOL_SIZE")
        try:
            return self._pool.getconn()
        except BaseException:
            self._free.release()
            raise

    def give_back(self, connection: psycopg2.extensions.connection, *, broken: bool = False) -> None:
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
                    (f"onemap_{role}", user, str(round(timeout_s * 1000))),
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
    if role not in ROLES:
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
    "SELECT set_config('role', %(_role)s, true), set_config('app.user', %(_user)s, true),"
    " set_config('statement_timeout', %(_timeout)s, true), set_config('transaction_read_only', 'on', true); "
)


def fetch(
    role: str, user: str, statement: sql.Composable, parameters: dict | None = None, *, timeout_s: float | None = None
) -> list[tuple]:
    """The rows of one reading statement, in a read-only transaction of its own as `onemap_<role>`.

    What `reading` does in four round trips this does in one: statements sent together are one transaction of the server, in which the
    settings hold to its end (PostgreSQL, Message Flow, 55.2.2.1). Bound parameters have names.
    """
    if role not in ROLES:
        raise AccessDenied(f"There is no role {role!r}", remedy="One of " + ", ".join(ROLES))
    milliseconds = str(round(settings().statement_timeout_s * 1000))
    given = (parameters or {}) | {"_role": f"onemap_{role}", "_user": user, "_timeout": milliseconds}
    with translating():
        pool = _current_pool()
        for _ in range(pool.size):
            try:
                return _fetched(pool, _ALONE + statement, given)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                if isinstance(error, psycopg2.extensions.QueryCanceledError) or error.pgcode not in (None, *_SERVER_GONE):
                    raise
        return _fetched(pool, _ALONE + statement, given)


_SERVER_GONE = ("57P01", "57P02", "57P03")
"""admin_shutdown, crash_shutdown, cannot_connect_now: the server was restarted under an idle connection."""


def _fetched(pool: Pool, statement: sql.Composable, parameters: dict) -> list[tuple]:
    connection = pool.take()
    broken = True
    try:
        connection.autocommit = True  # no BEGIN of psycopg2's own
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            rows = cursor.fetchall()
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
