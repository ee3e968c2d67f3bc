"""Subscribers of changes by HTTP: who is told of which layers, with whose rights, and the secret that signs what he is told.

That somebody outside is told, and since when, stands in the audit, in the same transaction.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time

import psycopg2.extras

from gis.access import outbound, rights
from gis.access.identity import Identity
from gis.access.operator import SYSTEM, operator, trace
from gis.catalog.model import ROLES
from gis.catalog.read import catalog
from gis.db import cluster
from gis.db.connection import owner
from gis.errors import AccessDenied, InputError, NotFound

SIGNATURE = "X-OneMap-Signature"
"""`t=<Unix time>,v1=<hex>`: HMAC-SHA256 with the secret over the time, a full stop and the body."""
DELIVERY = "X-OneMap-Delivery"
"""The id of the delivery: the same when it is sent again."""
MOST = 1000
"""Webhooks of an installation."""

_LISTED = """
SELECT w.id, w.url, w.user_name AS "user", w.role, w.state, w.failures, w.message, w.created_at, w.delivered_at,
       w.pending_id IS NOT NULL AS waiting, CASE WHEN w.failures > 0 AND w.state = 'active' THEN w.next_at END AS next_at,
       array(SELECT l.layer FROM access.webhook_layer l WHERE l.webhook = w.id ORDER BY 1) AS layers
FROM access.webhook w WHERE %(id)s::bigint IS NULL OR w.id = %(id)s ORDER BY w.id
"""


def add(url: str, layers: dict[str, str], *, user: str | None = None, role: str | None = None) -> tuple[int, str]:
    """Subscribes a URL to layers (id → token of the change feed from which on it is told) with the rights of a user or a role; the number
    and the secret, which is shown this once. Raises InputError (host not listed, no layer, no role), NotFound, AccessDenied (he does not
    read a layer)."""
    outbound.target(url)
    if (user is None) == (role is None):
        raise InputError("either a user or a role", remedy="--user NAME or --role ROLE")
    if role is not None and role not in ROLES:
        raise InputError(f"there is no role {role[:40]!r}", remedy="One of " + ", ".join(ROLES))
    who = subscriber({"id": 0, "user": user, "role": role})
    if not layers:
        raise InputError("of which layers?", remedy="--layer LAYER, several times for several")
    for name in layers:
        if not catalog().layer(name).readable_by(who.role):
            raise AccessDenied(f"{who.user} does not read {name}")
    salt, admin = secrets.token_urlsafe(16), operator(SYSTEM)
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM access.webhook")
        if cursor.fetchone()[0] >= MOST:
            raise InputError(f"there are {MOST} webhooks already", remedy="Remove one: onemap webhook remove ID")
        cursor.execute(
            "INSERT INTO access.webhook (url, user_name, role, salt) VALUES (%s, %s, %s, %s) RETURNING id", (url, user, role, salt)
        )
        number = cursor.fetchone()[0]
        psycopg2.extras.execute_values(
            cursor, "INSERT INTO access.webhook_layer (webhook, layer, token) VALUES %s", [(number, *one) for one in layers.items()]
        )
        trace(cursor, admin, "webhook added", webhook=number, url=url, of=user, role=role, layers=list(layers))
    return number, secret(number, salt)


def subscriber(one: dict) -> Identity:
    """With whose rights a webhook (its `id`, `user`, `role`) is told, as they are now. Raises NotFound, AccessDenied (shut out)."""
    if one["user"] is None:
        return Identity(f"webhook-{one['id']}", rights.role_of(f"webhook-{one['id']}", one["role"]))
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute('SELECT role, disabled OR coalesce(expires_at <= now(), false) FROM access."user" WHERE name = %s', (one["user"],))
        row = cursor.fetchone()
    if row is None:
        raise NotFound(f"no user {one['user']!r}", remedy="See `onemap user list`")
    if row[1]:
        raise AccessDenied(f"{one['user']} is shut out")
    return Identity(one["user"], rights.role_of(one["user"], row[0]))


def webhooks(number: int | None = None) -> list[dict]:
    """All webhooks, or one: whom, what, with whose rights, how it stands; never a secret. Raises NotFound."""
    with owner() as connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(_LISTED, {"id": number})
        found = [dict(row) for row in cursor.fetchall()]
    if number is not None and not found:
        raise NotFound(f"no webhook {number}", remedy="See `onemap webhook list`")
    return found


def remove(number: int) -> None:
    """Ends a subscription. Raises NotFound."""
    _changed("DELETE FROM access.webhook WHERE id = %s RETURNING url", number, "webhook removed")


def enable(number: int) -> None:
    """Tells a subscriber again who was given up; what he missed comes first. Raises NotFound."""
    _changed(
        "UPDATE access.webhook SET state = 'active', failures = 0, message = NULL, next_at = clock_timestamp() WHERE id = %s RETURNING url",
        number,
        "webhook enabled",
    )


def _changed(statement: str, number: int, action: str) -> None:
    admin = operator(SYSTEM)
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(statement, (number,))
        found = cursor.fetchone()
        if found:
            trace(cursor, admin, action, webhook=number, url=found[0])
        else:
            raise NotFound(f"no webhook {number}", remedy="See `onemap webhook list`")


# --- signing ----------------------------------------------------------------------------------------------------------


def secret(number: int, salt: str) -> str:
    """The secret of a webhook: made of a secret in the home (its owner's eyes only) and a salt in the database, stored nowhere."""
    made = hmac.new(cluster.secret("webhook").encode(), f"webhook {number} {salt}".encode(), hashlib.sha256).digest()
    return "whsec_" + base64.urlsafe_b64encode(made).decode().rstrip("=")


def signature(key: str, body: bytes, at: int) -> str:
    """The value of the header `X-OneMap-Signature`."""
    return f"t={at},v1={hmac.new(key.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def send(number: int, url: str, salt: str, delivery: str, body: bytes) -> int:
    """Signs and sends; the status of the answer. Raises what `outbound.post` raises."""
    headers = {
        "Content-Type": "application/json",
        DELIVERY: delivery,
        SIGNATURE: signature(secret(number, salt), body, int(time.time())),
    }
    return outbound.post(url, body, headers)
