"""Requests that the platform itself makes: only to hosts that the settings list, never to where a name leads by surprise.

`ONEMAP_WEBHOOK_HOSTS` lists `host`, `host:port`, addresses likewise; without a port 80 and 443 are meant; empty: nobody. The host of a URL
must be listed. A name is looked up once, and the connection goes to the address that was judged: one that the public internet routes, or
one that is listed itself. So a name that suddenly means 127.0.0.1 reaches nothing, and a server of the intranet is listed by its name and
its address. Redirects are not followed, no proxy of the environment is used.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from gis.errors import InputError, OneMapError
from gis.settings import settings

TIMEOUT_S = 10.0
"""For connecting and between two bytes; the whole exchange takes three times as long at most."""
PORTS = {"http": 80, "https": 443}
LONGEST_URL = 2000
_URL = re.compile(r"^https?://[A-Za-z0-9._\-\[\]:]{1,260}(?:[/?][!-~]*)?$")
_HOST = re.compile(r"^[a-z0-9](?:[a-z0-9._-]{0,252}[a-z0-9])?$")
_TUNNELS = tuple(
    ipaddress.ip_network(text) for text in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
)
"""IPv6 addresses that lead to an IPv4 one."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Unreachable(OneMapError):
    """A subscriber did not take what was sent: no connection, no answer, or another answer than yes."""

    exit_code = 1


@dataclass(frozen=True)
class Target:
    """Where a request goes: host and port as the URL says, path with its query."""

    scheme: str
    host: str
    port: int
    path: str


def target(url: str) -> Target:
    """The target of a URL. Raises InputError for what is no plain http(s) URL and for a host or port that is not listed."""
    if len(url) > LONGEST_URL or not _URL.match(url):
        raise InputError("this is no http or https URL of ASCII characters without user, fragment or blanks", where="URL")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or PORTS[parts.scheme]
    except ValueError:
        raise InputError("the URL has no usable host and port", where="URL") from None
    if "#" in url or not (_HOST.match(host) or _literal(host)):
        raise InputError("the URL has no usable host", where="URL")
    if not _listed(host, port):
        raise InputError(
            f"{host}:{port} is not listed", where="ONEMAP_WEBHOOK_HOSTS", remedy="The administrator lists the hosts that may be told there"
        )
    return Target(parts.scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _literal(text: str) -> Address | None:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(text)
    return None


def _listed(host: str, port: int) -> bool:
    for entry in filter(None, (part.strip().lower() for part in settings().webhook_hosts.split(","))):
        name, given = entry, ""
        if entry.startswith("["):
            name, _, given = entry[1:].partition("]")
            given = given.removeprefix(":")
        elif entry.count(":") == 1:
            name, _, given = entry.partition(":")
        if name == host and (port == int(given) if given.isdigit() else not given and port in PORTS.values()):
            return True
    return False


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet: not private, shared, local, reserved, nor another address in disguise."""
    if address.version == 6 and any(address in tunnel for tunnel in _TUNNELS):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local)


def resolved(where: Target) -> list[str]:
    """The addresses of the target's host, all judged. Raises Unreachable for a name that is not known, InputError where one of its
    addresses is neither public nor listed."""
    try:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
    except OSError:
        raise Unreachable(f"the name {where.host} is not known", remedy="See whether the server resolves it") from None
    addresses = list(dict.fromkeys(info[4][0].partition("%")[0] for info in found))
    for text in addresses:
        address = ipaddress.ip_address(text)
        if not is_public(address) and not _listed(text, where.port):
            raise InputError(
                f"{where.host} leads to an address that is not public and not listed", where="ONEMAP_WEBHOOK_HOSTS",
                remedy="For a server of the intranet list its address beside its name",
            )  # fmt: skip
    return addresses


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Sends a body; the status of the answer, 200 to 299. Raises InputError (not listed), Unreachable for everything else."""
    where = target(url)
    address = resolved(where)[0]
    try:
        with contextlib.closing(socket.create_connection((address, where.port), TIMEOUT_S)) as plain:
            return _exchanged(where, plain, body, headers)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{where.host} did not answer: {type(error).__name__}", remedy="See whether its service runs") from error


def _exchanged(where: Target, plain: socket.socket, body: bytes, headers: dict[str, str]) -> int:
    over = threading.Event()

    def cut() -> None:
        over.set()
        with contextlib.suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)

    late = threading.Timer(3 * TIMEOUT_S, cut)  # an answer that drips in keeps every single wait short
    late.daemon = True
    late.start()
    try:
        if where.scheme == "https":
            with ssl.create_default_context().wrap_socket(plain, server_hostname=where.host) as sealed:
                status = _status(where, sealed, body, headers)
        else:
            status = _status(where, plain, body, headers)
    finally:
        late.cancel()
    if over.is_set():  # half an answer reads as a whole one
        raise TimeoutError
    return status


def _status(where: Target, sock: socket.socket, body: bytes, headers: dict[str, str]) -> int:
    exchange = http.client.HTTPConnection(where.host, where.port, timeout=TIMEOUT_S)
    exchange.default_port = PORTS[where.scheme]
    exchange.sock = sock
    exchange.request("POST", where.path, body, {"User-Agent": "OneMap", "Connection": "close"} | headers)
    status = exchange.getresponse().status
    if not 200 <= status < 300:
        remedy = "Redirects are not followed: subscribe the last URL" if 300 <= status < 400 else "See the log of the subscriber"
        raise Unreachable(f"{where.host} answered {status}", remedy=remedy)
    return status
