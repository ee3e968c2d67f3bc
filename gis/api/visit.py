"""One request as all parts of the API see it: its id, its address, its parameters. Flask need not be asked, nor be there.

`current` is set for every request before anything else (gis/api/front.py), and None outside of requests.
"""

from __future__ import annotations

import re
import secrets
import time
from contextvars import ContextVar
from functools import lru_cache
from urllib.parse import parse_qsl, quote, quote_plus, unquote_to_bytes

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.utils import get_host

from gis.errors import InputError

LARGEST_BODY = 10 * 2**20
LONGEST_QUERY = 16_384

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
_HOST = re.compile(r"^[A-Za-z0-9.-]{1,253}(:\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](:\d{1,5})?$")


class Visit:
    """One request. `refused`: why the front could not answer it."""

    __slots__ = (
        "_args", "address", "base_url", "counted", "data", "environ", "found_at", "id", "looked_into",
        "method", "path", "query", "rasters", "refused", "started", "streams", "ticket", "version_of_feature",
    )  # fmt: skip

    def __init__(self, environ: dict):
        self.started = time.perf_counter()
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = _text(environ.get("PATH_INFO", ""))
        self.query: bytes = environ.get("QUERY_STRING", "").encode("latin-1")
        given = environ.get("HTTP_X_REQUEST_ID", "")
        self.id: str = given if _REQUEST_ID.match(given) else secrets.token_hex(8)
        self.found_at: str | None = _found_at(
            environ["wsgi.url_scheme"], environ.get("HTTP_HOST"), environ.get("SERVER_NAME", ""), environ.get("SERVER_PORT", "")
        )
        """Scheme and host as the caller wrote them; None where they are no address."""
        self.base_url = ""
        """Where the API lives, as the caller finds it."""
        self.refused: Exception | None = None
        self.counted = False
        self.address: str = environ.get("REMOTE_ADDR") or ""
        """The network address that it comes from."""
        self.streams = False
        """Whether the answer goes on being made while it is sent."""
        self.ticket = -1
        """With which it is counted out of its caller's limits (gis/access/limits.py)."""
        self.looked_into = False
        """Whether a page or a formatter looks into the features, so that they are needed parsed."""
        self.data = b""
        """A filter that was posted."""
        self.version_of_feature = ""
        """The version of the feature that was asked for (gis/api/transaction.py)."""
        self.rasters: tuple[str, ...] | None = None
        """The rasters that are loaded (gis/api/served.py)."""
        self._args: dict[str, str] | None = None

    @property
    def args(self) -> dict[str, str]:
        """The parameters of the query. Raises InputError for what no path has to bear (`require_wellformed`)."""
        if self._args is None:
            self._args = _parameters(self.query)
        return self._args

    def header(self, name: str) -> str | None:
        """A header of the request; the name as WSGI writes it (`ACCEPT`, `IF_NONE_MATCH`)."""
        return self.environ.get(f"HTTP_{name}")

    @property
    def has_body(self) -> bool:
        """Whether anything comes behind the headers."""
        return bool(self.environ.get("CONTENT_LENGTH", "0").strip("0") or self.environ.get("HTTP_TRANSFER_ENCODING"))

    def require_wellformed(self) -> None:
        """Refuses parameters given twice (one of them would be dropped in silence), texts that are none, endless queries.
        Raises InputError, RequestEntityTooLarge."""
        length = self.environ.get("CONTENT_LENGTH") or "0"
        if length.isascii() and length.isdigit() and int(length) > LARGEST_BODY:
            raise RequestEntityTooLarge
        _ = self.args
        if "\0" in self.path or "\ufffd" in self.path:
            raise InputError("the path is not UTF-8 text")


current: ContextVar[Visit | None] = ContextVar("visit", default=None)
"""The request that is being answered."""


def here() -> Visit:
    """The request that is being answered, for code that exists only within one."""
    visit = current.get()
    if visit is None:
        raise LookupError("there is no request")
    return visit


def _text(latin: str) -> str:
    """WSGI carries bytes as Latin-1 (PEP 3333)."""
    return latin if latin.isascii() else latin.encode("latin-1").decode("utf-8", "replace")


@lru_cache(maxsize=64)
def _found_at(scheme: str, host: str | None, server: str, port: str) -> str | None:
    found = get_host(scheme, host, (server, int(port)) if port.isdigit() else None)
    return f"{scheme}://{found}" if _HOST.match(found) else None


def _parameters(query: bytes) -> dict[str, str]:
    if len(query) > LONGEST_QUERY:
        raise InputError(f"the query is longer than {LONGEST_QUERY} bytes", remedy="Send the filter as the body of a POST")
    if not _is_text(query):
        raise InputError("the query is not UTF-8 text")
    pairs = parse_qsl(query.decode(), keep_blank_values=True)
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for name in names if names.count(name) > 1)
        raise InputError(f"parameter {name[:60]!r} is given {names.count(name)} times", remedy="Give it once")
    return found


def _is_text(quoted: bytes) -> bool:
    """Whether percent-encoded bytes are UTF-8 without NUL."""
    if b"%" not in quoted and quoted.isascii():
        return b"\0" not in quoted
    try:
        return "\0" not in unquote_to_bytes(quoted).decode()
    except UnicodeDecodeError:
        return False


def quoted(text: str, safe: str, *, plus: bool = False) -> str:
    """A text as part of an address: percent-encoded but for `safe`, blanks as + where `plus`. What is short comes again and again, and is
    looked up."""
    return _quoted(text, safe, plus) if len(text) <= _SHORT else (quote_plus if plus else quote)(text, safe)


_SHORT = 64


@lru_cache(maxsize=4096)
def _quoted(text: str, safe: str, plus: bool) -> str:
    return (quote_plus if plus else quote)(text, safe)
