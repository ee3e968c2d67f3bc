"""What a reverse proxy says of a request, believed only of those in `ONEMAP_TRUSTED_PROXIES`: who asks, by which scheme and host."""

from __future__ import annotations

import re

from gis.access.address import client_address, is_trusted
from gis.settings import settings

_HOST = re.compile(r"^[A-Za-z0-9.-]{1,253}(:\d{1,5})?$|^\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?$")


def believe(environ: dict) -> None:
    """Make a WSGI environment say what the trusted proxy saw: REMOTE_ADDR, the scheme, the host. Anybody else's headers change nothing."""
    remote = environ.get("REMOTE_ADDR", "")
    if not settings().trusted_proxies or not is_trusted(remote):
        return
    environ["REMOTE_ADDR"] = client_address(remote, environ.get("HTTP_X_FORWARDED_FOR"))
    scheme = environ.get("HTTP_X_FORWARDED_PROTO", "")
    if scheme in ("http", "https"):
        environ["wsgi.url_scheme"] = scheme
    host = environ.get("HTTP_X_FORWARDED_HOST", "")
    if _HOST.match(host):
        environ["HTTP_HOST"] = host
