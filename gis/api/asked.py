"""A request as pygeoapi's functions want it, made of a visit: what they look up in the headers is looked up once per kind of client."""

from __future__ import annotations

from functools import lru_cache

from gis.api.adapt import core
from gis.api.visit import Visit

_LOOKED_AT = tuple((name, f"HTTP_{name.upper().replace('-', '_')}") for name in ("accept", "accept-language", "accept-encoding", "prefer"))
"""The headers that pygeoapi looks at."""
_TABLES = (("csv", "text/csv"),)


class Asked(core.APIRequest):
    """The question of one visit; `data`: what was posted."""

    def __init__(self, visit: Visit, locales: list, data: bytes = b""):
        self._args = visit.args
        self._data = data
        self._path_info = visit.path.strip("/")
        self._headers = {name: value for name, key in _LOOKED_AT if (value := visit.environ.get(key))}
        self._raw_locale, self._locale = _languages(self._args.get("lang"), self._headers.get("accept-language", ""), tuple(locales))
        self._format = self._get_format(self._headers)

    def _get_format(self, headers: dict, extra_formats: dict | None = None) -> str | None:
        return _format(self._args.get("f"), headers.get("accept", ""), tuple((extra_formats or {}).items()))


def is_for_json(visit: Visit) -> bool:
    """Whether a question about features is answered in JSON, and not as a page or a table."""
    return _format(visit.args.get("f"), visit.header("ACCEPT") or "", _TABLES) in (None, "json")


class _Unmade(core.APIRequest):
    """pygeoapi's own reading of parameters and headers, without a request."""

    def __init__(self, args: dict[str, str]):
        self._args = args


@lru_cache(maxsize=256)
def _languages(lang: str | None, accepted: str, locales: tuple) -> tuple:
    return _Unmade({} if lang is None else {"lang": lang})._get_locale({"accept-language": accepted}, list(locales))


@lru_cache(maxsize=256)
def _format(f: str | None, accepted: str, extra: tuple) -> str | None:
    return _Unmade({} if f is None else {"f": f})._get_format({"accept": accepted}, dict(extra))
