"""JSON as the platform writes it: UTF-8, features made by PostGIS passed through unparsed, nothing turned into `&lt;`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import PurePath
from typing import Any

import orjson
from babel import Locale

LAST_PAGE = {"rel": "next", "href": None}
"""Put among the links of a page that has no next one: pygeoapi otherwise guesses a next link from a full page."""

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def _other(value: Any) -> Any:
    """What orjson does not know by itself."""
    if isinstance(value, Locale):
        return str(value).replace("_", "-")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def json_bytes(value: Any, pretty: bool = False) -> bytes:
    """A value as UTF-8 JSON; NaN and infinity become null."""
    return orjson.dumps(value, _other, _OPTIONS | (orjson.OPT_INDENT_2 if pretty else 0))


def to_json(dict_: Any, pretty: bool = False) -> str:
    """A value as JSON text. Takes the place of `pygeoapi.util.to_json` (hence the parameter's name), which escapes all
    Chinese and turns `DN<300` into `DN&lt;300`; templates escape where HTML needs it."""
    if isinstance(dict_, dict) and isinstance(dict_.get("links"), list) and LAST_PAGE in dict_["links"]:
        dict_ = dict_ | {"links": [link for link in dict_["links"] if link != LAST_PAGE]}
    return json_bytes(dict_, pretty).decode()
