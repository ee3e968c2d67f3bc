"""Circular arcs as lines, as ISO 13249-3 strings of points give them: start, a point on the way, end; the end starts the next."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

_STEP = np.radians(4.0)
"""The angle between two points of a drawn arc, as GDAL draws them: a hundredth of the radius is a fifteenth of that off the arc."""


def drawn(points: np.ndarray) -> np.ndarray:
    """The vertices (m, d) of a circular string's points (n, d), n odd. Raises ValueError where n is even."""
    if len(points) < 3:
        return points
    if len(points) % 2 == 0:
        raise ValueError("a circular string has an odd number of points")
    parts = [points[:1]]
    for i in range(0, len(points) - 2, 2):
        parts.append(_arc(points[i], points[i + 1], points[i + 2])[1:])
    return np.vstack(parts)


def _arc(start: np.ndarray, middle: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The vertices of one arc, its own three points among them. A start that is the end means the whole circle; points in a row a line."""
    a, b, c = start[:2], middle[:2], end[:2]
    if np.array_equal(a, c):
        centre, sweep = (a + b) / 2, 2 * np.pi
        before = after = np.pi
    else:
        centre = _centre(a, b, c)
        if centre is None:
            return np.vstack([start, middle, end])
        angles = [np.arctan2(*(p - centre)[::-1]) for p in (a, b, c)]
        turn = 1.0 if _cross(b - a, c - b) > 0 else -1.0
        before, after = ((turn * (q - p)) % (2 * np.pi) * turn for p, q in pairwise(angles))
        sweep = abs(before) + abs(after)
    if not np.isfinite(sweep):
        raise ValueError("an arc without a radius")
    first = np.arctan2(*(a - centre)[::-1])
    halves = [(start, middle, first, before), (middle, end, first + before, after)]
    radius = float(np.hypot(*(a - centre)))
    return np.vstack([start, *(_half(centre, radius, *half) for half in halves)])


def _half(centre: np.ndarray, radius: float, start: np.ndarray, end: np.ndarray, angle: float, sweep: float) -> np.ndarray:
    """The vertices behind `start` up to `end`, heights straight between them."""
    n = max(1, int(np.ceil(abs(sweep) / _STEP)))
    share = np.arange(1, n + 1)[:, None] / n
    made = start + (end - start) * share
    made[:, 0] = centre[0] + radius * np.cos(angle + sweep * share[:, 0])
    made[:, 1] = centre[1] + radius * np.sin(angle + sweep * share[:, 0])
    made[-1] = end
    return made


def _cross(u: np.ndarray, v: np.ndarray) -> float:
    return float(u[0] * v[1] - u[1] * v[0])


def _centre(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray | None:
    """The centre of the circle through three points, None where they are in a row."""
    u, v = b - a, c - a
    twice = 2 * _cross(u, v)
    if abs(twice) < 1e-12 * max(1e-300, float(u @ u + v @ v)):
        return None
    return a + np.array([v[1] * (u @ u) - u[1] * (v @ v), u[0] * (v @ v) - v[0] * (u @ u)]) / twice
