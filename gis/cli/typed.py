"""From what was typed to typed values: parameters of a process, positions, times, who typed it."""

from __future__ import annotations

import datetime as dt
import getpass

from pydantic import BaseModel, ValidationError

from gis.errors import InputError


def inputs_of(kind: type[BaseModel], parameters: dict):
    """The typed parameters. Raises InputError that names the first one that does not fit."""
    try:
        return kind(**parameters)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(first["msg"].removeprefix("Value error, "), where=".".join(map(str, first["loc"])), remedy="See --help") from None


def position(text: str | None, option: str = "--at") -> tuple[float, float] | None:
    """Longitude, latitude. Raises InputError."""
    if text is None:
        return None
    try:
        lon, lat = (float(part) for part in text.replace("，", ",").split(","))
    except ValueError:
        raise InputError(f"{text[:40]!r} is no position", where=option, remedy=f"Give longitude,latitude: {option} 117.01,32.02") from None
    return lon, lat


def moment(text: str, where: str) -> dt.datetime:
    """A time as people and machines write it; without a zone it is local. Raises InputError."""
    try:
        return dt.datetime.fromisoformat(text.strip().replace("/", "-")).astimezone()
    except (ValueError, OverflowError):
        raise InputError(f"{text[:40]!r} is no time", where=where, remedy="Give it as YYYY-MM-DDTHH:MM") from None


def operator() -> str:
    """Who sits at this terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
