"""How much an answer tells of the features it was made of, for the audit: how many, and where.

The answers of analyses have no common shape; what counts is the same in all: features of a GeoJSON collection, rows (objects in a list),
and ids (texts in a list). What stands there several times, as an id and as a feature, counts once: an upper bound of what was told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DIGITS = 6
"""Of degrees, as the other rows of the audit have them."""


@dataclass(frozen=True)
class Disclosure:
    """n: features told of; bbox: west, south, east, north in degrees of those that are placed, None where none is."""

    n: int
    bbox: list[float] | None


def disclosed(answer: Any) -> Disclosure:
    """What an answer (JSON: objects, lists, texts, numbers) tells of features; positions are longitude before latitude."""
    features = rows = 0
    ids: set[str] = set()
    places: list[tuple[float, float]] = []
    waiting = [answer]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("type") == "Feature":
                features += 1
                places += _bounds(value.get("geometry"))
                continue
            lon, lat = value.get("lon"), value.get("lat")
            if _is_number(lon) and _is_number(lat):
                places.append((lon, lat))
            waiting += value.values()
        elif isinstance(value, list | tuple):
            ids.update(one for one in value if isinstance(one, str))
            objects = [one for one in value if isinstance(one, dict)]
            rows += sum(one.get("type") != "Feature" for one in objects)
            waiting += objects
            waiting += (one for one in value if isinstance(one, list | tuple))
    return Disclosure(max(features, rows + len(ids)), _box(places))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bounds(geometry: Any) -> list[tuple[float, float]]:
    """The south-western and north-eastern corner of a GeoJSON geometry; empty where it has no position."""
    found = list(_positions(geometry))
    return [(min(x for x, _ in found), min(y for _, y in found)), (max(x for x, _ in found), max(y for _, y in found))] if found else []


def _positions(geometry: Any) -> Iterator[tuple[float, float]]:
    if not isinstance(geometry, dict):
        return
    waiting = [geometry.get("coordinates"), *(geometry.get("geometries") or ())]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from _positions(value)
        elif isinstance(value, list | tuple) and len(value) > 1 and _is_number(value[0]) and _is_number(value[1]):
            yield value[0], value[1]
        elif isinstance(value, list | tuple):
            waiting += value


def _box(places: list[tuple[float, float]]) -> list[float] | None:
    if not places:
        return None
    xs, ys = zip(*places, strict=True)
    return [round(value, DIGITS) for value in (min(xs), min(ys), max(xs), max(ys))]
