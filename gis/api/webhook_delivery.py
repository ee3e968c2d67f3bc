"""Telling subscribers that layers changed: what the change feed would say to each, without attributes, in order, until it is taken.

One worker delivers. What is to be told is written down before it is sent, and what was told is written down after: a crash between the two
sends it again under the same id. The next one is made when the last was taken, so that a subscriber who was away finds one delivery of all
that he missed (up to its limit, then the next).
"""

from __future__ import annotations

import datetime as dt
import logging
import select
import threading
import time
import uuid

import psycopg2
import psycopg2.extras

from gis.access import webhooks
from gis.access.identity import Identity, caller
from gis.api import changes
from gis.api.configuration import public_url
from gis.api.serialize import json_bytes
from gis.catalog.read import catalog
from gis.db.connection import owner
from gis.errors import AccessDenied, InputError, NotFound, OneMapError, StoreError

log = logging.getLogger("onemap.webhooks")

CHANNEL = "onemap_published"
LOCK = 0x4F4D574542
"""Advisory lock of the one that delivers."""
CHANGES_MOST = 1000
"""Changes of one layer in one delivery; where there are more the feed has the rest, and so has the next delivery."""
RETRY_S, LONGEST_RETRY_S = 5.0, 3600.0
FAILURES_MOST = 12
"""Refusals in a row, over some five hours, after which a subscriber is given up."""
LOOK_S = 60.0
"""How often all are looked after, also where no notice came."""

_DUE = """
SELECT id, url, user_name AS "user", role, salt, sequence, pending_id::text, pending FROM access.webhook
WHERE state = 'active' AND next_at <= clock_timestamp() ORDER BY id
"""
_PUBLISHED = """
SELECT EXISTS (SELECT FROM meta.batch b JOIN meta.batch_layer l ON l.batch = b.id
               WHERE b.status = 'published' AND b.recorded_at > %s AND l.layer = %s AND l.inserted + l.updated + l.retired > 0)
"""
_LAYERS = "SELECT layer, token FROM access.webhook_layer WHERE webhook = %s ORDER BY layer"
_MADE = """
UPDATE access.webhook SET sequence = %(sequence)s, pending_id = %(pending_id)s, pending = %(pending)s, tokens = %(tokens)s WHERE id = %(id)s
"""
_TAKEN = """
WITH told AS (
  UPDATE access.webhook w
  SET pending_id = NULL, pending = NULL, tokens = NULL, failures = 0, message = NULL, delivered_at = clock_timestamp()
  FROM (SELECT id, tokens FROM access.webhook WHERE id = %(id)s AND pending_id = %(pending_id)s) AS was
  WHERE w.id = was.id RETURNING w.id, was.tokens
)
UPDATE access.webhook_layer l SET token = told.tokens ->> l.layer FROM told WHERE l.webhook = told.id AND told.tokens ? l.layer
"""
_REFUSED = """
UPDATE access.webhook SET failures = failures + 1, message = %(message)s,
       next_at = clock_timestamp() + make_interval(secs => least(%(longest)s, %(retry)s * 2 ^ failures)),
       state = CASE WHEN %(final)s OR failures + 1 >= %(most)s THEN 'failed' ELSE state END
WHERE id = %(id)s RETURNING state
"""


class Deliverer:
    """Delivers until `stop` is set."""

    def __init__(self, stop: threading.Event):
        self.stop = stop
        self._looked: dict[int, float] = {}

    def run(self) -> None:
        """Until stopped: waits for the lock, then tells who is to be told. A database that is away is waited for."""
        while not self.stop.is_set():
            try:
                with owner(autocommit=True) as connection, connection.cursor() as cursor:
                    while not self.stop.is_set() and not _locked(cursor):
                        self.stop.wait(5.0)
                    cursor.execute(f"LISTEN {CHANNEL}")
                    self._looked.clear()
                    while not self.stop.is_set():
                        if not self.tick(cursor):
                            self._wait(connection)
            except (StoreError, psycopg2.Error) as error:
                log.warning("the webhooks wait for the database: %s", getattr(error, "what", type(error).__name__))
                self.stop.wait(5.0)

    def _wait(self, connection) -> None:
        """Until something is published, or a second for what is to be tried again."""
        if select.select([connection], [], [], 1.0)[0]:
            connection.poll()
            connection.notifies.clear()
            self._looked.clear()

    def tick(self, cursor) -> bool:
        """Tells each subscriber that is due one delivery; whether any took one."""
        cursor.execute(_DUE)
        names = [column.name for column in cursor.description]
        due = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return any([self._told(cursor, one) for one in due if not self.stop.is_set()])

    def _told(self, cursor, one: dict) -> bool:
        try:
            if one["pending"] is None and not self._made(cursor, one):
                return False
            webhooks.send(one["id"], one["url"], one["salt"], one["pending_id"], one["pending"].encode())
        except StoreError:
            raise
        except OneMapError as error:
            # what no waiting mends: he is gone or shut out; a host that is not listed may be listed again
            final = isinstance(error, (AccessDenied, NotFound))
            self._refused(cursor, one, error, final)
            return False
        cursor.execute(_TAKEN, {"id": one["id"], "pending_id": one["pending_id"]})
        self._looked.pop(one["id"], None)
        log.info("webhook %s: delivery %s was taken", one["id"], one["pending_id"])
        return True

    def _made(self, cursor, one: dict) -> bool:
        """Writes down what is to be told; False where nothing changed."""
        if time.monotonic() - self._looked.get(one["id"], -LOOK_S) < LOOK_S:
            return False
        cursor.execute(_LAYERS, (one["id"],))
        moved = [(layer, token) for layer, token in cursor.fetchall() if _moved(cursor, layer, token)]
        told, tokens = collections(webhooks.subscriber(one), moved)
        if not told:
            self._looked[one["id"]] = time.monotonic()
            if tokens:
                psycopg2.extras.execute_batch(
                    cursor, "UPDATE access.webhook_layer SET token = %s WHERE webhook = %s AND layer = %s",
                    [(token, one["id"], layer) for layer, token in tokens.items()],
                )  # fmt: skip
            return False
        one["sequence"] += 1
        one["pending_id"] = str(uuid.uuid4())
        body = {"event": "changes", "delivery": one["pending_id"], "sequence": one["sequence"], "webhook": one["id"],
                "made": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "collections": told}  # fmt: skip
        one["pending"] = json_bytes(body).decode()
        cursor.execute(_MADE, one | {"tokens": psycopg2.extras.Json(tokens)})
        return True

    def _refused(self, cursor, one: dict, error: OneMapError, final: bool) -> None:
        bound = {"id": one["id"], "message": error.what[:500], "final": final, "most": FAILURES_MOST, "retry": RETRY_S}
        cursor.execute(_REFUSED, bound | {"longest": LONGEST_RETRY_S})
        row = cursor.fetchone()
        if row and row[0] == "failed":
            log.error("webhook %s was given up: %s", one["id"], error.what)
        else:
            log.warning("webhook %s: %s", one["id"], error.what)


def _locked(cursor) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
    return cursor.fetchone()[0]


def _moved(cursor, name: str, token: str) -> bool:
    """Whether anything was published into a layer behind a token: only then is the layer read, which goes on the record."""
    layer = catalog().layers.get(name)
    if layer is None or layer.is_raster:
        return False
    stands = changes.token_of(layer, token)
    if stands.base != stands.at:  # in the middle of a round
        return True
    cursor.execute(_PUBLISHED, (stands.at, name))
    return cursor.fetchone()[0]


def collections(identity: Identity, layers: list[tuple[str, str]]) -> tuple[list[dict], dict[str, str]]:
    """(what changed in each layer for this subscriber: ids and operations, no attribute, and where the feed has the rest; the tokens behind
    it). A layer that he does not read any more is left out."""
    told, tokens = [], {}
    known = caller.set(identity)
    try:
        for name, token in layers:
            layer = catalog().layers.get(name)
            if layer is None or layer.is_raster or not layer.readable_by(identity.role):
                continue
            found = changes.changes(layer, changes.token_of(layer, token), CHANGES_MOST)
            if found["token"] != token:
                tokens[name] = found["token"]
            if found["changes"]:
                told.append({
                    "collection": name, "since": token, "token": found["token"], "more": found["more"],
                    "changes": [{key: change[key] for key in ("op", "id", "at")} for change in found["changes"]],
                    "href": f"{public_url()}/collections/{name}/changes?since={token}",
                })  # fmt: skip
    finally:
        caller.reset(known)
    return told, tokens


def subscribe(url: str, layers: list[str], *, user: str | None = None, role: str | None = None) -> tuple[int, str]:
    """Subscribes a URL to what changes in layers from now on; the number and the secret. Raises what `webhooks.add` raises, and InputError
    for a layer without features."""
    now = dt.datetime.now(dt.UTC).isoformat()
    tokens = {}
    for name in layers:
        layer = catalog().layer(name)
        if layer.is_raster:
            raise InputError(f"{name} is a raster: it has no change feed")
        tokens[name] = changes.token_of(layer, now).text()
    return webhooks.add(url, tokens, user=user, role=role)


def try_out(number: int) -> int:
    """Sends a subscriber an event that says nothing; the status of his answer. Raises what `outbound.post` raises, NotFound."""
    webhooks.webhooks(number)
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT url, salt FROM access.webhook WHERE id = %s", (number,))
        url, salt = cursor.fetchone()
    delivery = str(uuid.uuid4())
    body = {"event": "test", "delivery": delivery, "webhook": number, "made": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    return webhooks.send(number, url, salt, delivery, json_bytes(body))
