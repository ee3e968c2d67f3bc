"""The error taxonomy: whose mistake it was, what HTTP status and which exit code that means.

A message says what was wrong, where, and what to do. It never carries SQL, a DSN, a path of the server or a stack.
A bad *row* is not an exception but a finding (`gis.ingest.check`); a programming error stays a bare exception.
"""

from __future__ import annotations

from typing import ClassVar


class OneMapError(Exception):
    """Any mistake that the platform can name.

    what: what was wrong; where: row, field, file or position; remedy: what to do about it.
    """

    http_status = 500
    exit_code = 1
    more: ClassVar[dict] = {}
    """Members that the HTTP answer has besides (the findings of a refused edit)."""

    def __init__(self, what: str, *, where: str = "", remedy: str = ""):
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.what} ({self.where})" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text

    def as_dict(self) -> dict[str, str]:
        """The error as one JSON object, for `--json` and for HTTP answers."""
        return {"code": type(self).__name__, "what": self.what, "where": self.where, "remedy": self.remedy}


class DefinitionError(OneMapError):
    """A layer file, city file or configuration is wrong: the layer author's mistake; the platform refuses to start."""

    exit_code = 2


class SourceError(OneMapError):
    """A source cannot be read: damaged, wrong encoding, no CRS: the supplier's mistake."""

    exit_code = 3


class DataError(OneMapError):
    """A batch was rejected. `findings` counts its findings by code: {code: n}."""

    exit_code = 4

    def __init__(self, what: str, *, where: str = "", remedy: str = "", findings: dict[str, int] | None = None):
        super().__init__(what, where=where, remedy=remedy)
        self.findings = findings or {}

    def as_dict(self) -> dict:
        return super().as_dict() | {"findings": self.findings}


class InputError(OneMapError):
    """The caller's mistake: a parameter is missing, malformed or out of range."""

    http_status = 400
    exit_code = 2


class Conflict(InputError):
    """What is asked contradicts what is there: an id that is taken, a feature that others need."""

    http_status = 409


class Stale(InputError):
    """The caller changes what he has not seen: it was changed since."""

    http_status = 412


class OutsideExtent(InputError):
    """A position lies outside the city."""


class NotOnNetwork(InputError):
    """A pipe, node, valve or position is not on the network."""


class Ambiguous(InputError):
    """Several things fit, and guessing could flood the wrong street. The message lists them."""


class NotFound(OneMapError):
    """No such thing, or none that this caller may see."""

    http_status = 404
    exit_code = 2


class AccessDenied(OneMapError):
    """The caller may not do this; 401 while he is anonymous, 403 when he is known."""

    http_status = 403
    exit_code = 2

    def __init__(self, what: str, *, where: str = "", remedy: str = "", anonymous: bool = False):
        super().__init__(what, where=where, remedy=remedy)
        if anonymous:
            self.http_status = 401


class Throttled(OneMapError):
    """Too many requests of one caller, or too many at once. retry_after_s: when to try again."""

    http_status = 429
    exit_code = 2

    def __init__(self, what: str, *, where: str = "", remedy: str = "", retry_after_s: float = 1):
        super().__init__(what, where=where, remedy=remedy)
        self.retry_after_s = max(1, -int(-retry_after_s // 1))


class StoreError(OneMapError):
    """The database is down, full, or not what the platform expects: the platform's own mistake."""

    http_status = 503
    exit_code = 1
