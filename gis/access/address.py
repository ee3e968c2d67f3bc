"""Where a request comes from: the address of the connection, or what a reverse proxy that is trusted says of it."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from gis.errors import DefinitionError
from gis.settings import settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(remote: str | None, forwarded: str | None = None) -> str:
    """The client's address: `remote` (of the connection), or the last one in `forwarded` (X-Forwarded-For) that no trusted proxy has.

    Each proxy appends whom it saw, so only what trusted ones appended is read, from the right; what a client made up stands further left.
    """
    remote = remote or ""
    trusted = settings().trusted_proxies
    if not trusted or not forwarded or not is_trusted(remote):
        return remote
    seen = remote
    for part in reversed(forwarded[-2000:].split(",")):
        try:
            seen = str(ipaddress.ip_address(part.strip().removeprefix("[").removesuffix("]")))
        except ValueError:
            break
        if not is_trusted(seen):
            break
    return seen


def is_trusted(address: str) -> bool:
    """Whether the address is a proxy's of `ONEMAP_TRUSTED_PROXIES`."""
    return _within(address, settings().trusted_proxies)


def is_own(address: str) -> bool:
    """Whether the address says nothing of who asks: this machine, where a proxy that is not declared may stand before everybody."""
    return not address or (_loopback(address) and not settings().trusted_proxies)


@lru_cache(4096)
def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@lru_cache(4096)
def _within(address: str, listed: str) -> bool:
    try:
        one = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(one in network for network in networks(listed))


@lru_cache
def networks(listed: str) -> tuple[Network, ...]:
    """The networks of a comma-separated list. Raises DefinitionError."""
    try:
        return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in listed.split(",") if part.strip())
    except ValueError:
        raise DefinitionError("ONEMAP_TRUSTED_PROXIES is no list of addresses", remedy="Such as 127.0.0.1,10.0.0.0/8") from None
