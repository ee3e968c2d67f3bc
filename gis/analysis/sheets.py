"""Map sheets of a printed book: which lines go on which sheet, and where numbers stand so that they can be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely


@dataclass(frozen=True)
class Sheet:
    """One sheet: the area it belongs to (index), which part of how many, and its members (indices)."""

    area: int
    part: int
    parts: int
    members: np.ndarray


def homes(lines: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """The area (polygon) that holds the most of each line (any geometry, metres); of those outside all areas the nearest. -1: no areas."""
    home = np.full(len(lines), -1)
    if not len(areas) or not len(lines):
        return home
    tree = shapely.STRtree(areas)
    line, area = tree.query(lines, predicate="intersects")
    inside = shapely.length(shapely.intersection(lines[line], areas[area]))
    order = np.lexsort((area, -inside, line))
    first = order[np.concatenate(([True], np.diff(line[order]) > 0))] if len(order) else order
    home[line[first]] = area[first]
    lost = np.flatnonzero(home < 0)
    if len(lost):
        at, near = tree.query_nearest(lines[lost], all_matches=False)
        home[lost[at]] = near
    return home


def sheets(boxes: np.ndarray, home: np.ndarray, largest_m: float, most: int) -> list[Sheet]:
    """Members cut into sheets by area: an area wider than `largest_m`, or with more than `most` members, is halved across its longer side
    until it fits. boxes: (n, 4) in metres; members with home -1 are left out. From north to south, west to east within an area."""
    found = []
    for area in np.unique(home[home >= 0]):
        groups = _halved(np.flatnonzero(home == area), boxes, largest_m, most)
        found += [Sheet(int(area), i, len(groups), group) for i, group in enumerate(groups, 1)]
    return found


def _halved(members: np.ndarray, boxes: np.ndarray, largest_m: float, most: int) -> list[np.ndarray]:
    low, high = boxes[members, :2].min(axis=0), boxes[members, 2:].max(axis=0)
    if len(members) == 1 or (len(members) <= most and (high - low).max() <= largest_m):
        return [members]
    middle = (boxes[members, :2] + boxes[members, 2:]) / 2
    axis = int(np.ptp(middle, axis=0).argmax())
    order = members[np.argsort(middle[:, axis] * (1 if axis == 0 else -1), kind="stable")]
    half = len(order) // 2
    return _halved(order[:half], boxes, largest_m, most) + _halved(order[half:], boxes, largest_m, most)


def tints(lines: np.ndarray, count: int, near_m: float = 5.0) -> np.ndarray:
    """A tint (0 … count - 1) for each line, so that lines which meet differ as far as `count` allows."""
    tree = shapely.STRtree(lines)
    one, other = tree.query(lines, predicate="dwithin", distance=near_m)
    tint = np.full(len(lines), -1)
    start = np.searchsorted(one, np.arange(len(lines) + 1))
    for i in range(len(lines)):
        met = tint[other[start[i] : start[i + 1]]]
        used = np.bincount(met[met >= 0], minlength=count)
        tint[i] = np.lexsort(((np.arange(count) - i) % count, used))[0]
    return tint


def labels(anchors: np.ndarray, sizes: np.ndarray, frame: tuple[float, float], taken: np.ndarray, step: float = 2.2) -> np.ndarray:
    """The centres of labels near their anchors, one after the other, where they overlap what is taken and each other least.

    anchors (n, 2) and sizes (n, 2: width, height) in millimetres on a sheet of size `frame`; taken: boxes (m, 4) that are occupied already.
    """
    angle = np.radians([45, 135, 225, 315, 0, 90, 180, 270, 22, 68, 112, 158, 202, 248, 292, 338])
    directions = np.column_stack((np.cos(angle), np.sin(angle)))
    ring = np.concatenate([directions * (1 + r) * step for r in range(6)])
    cost = np.repeat(np.arange(6), len(directions)) * 0.6
    occupied = np.vstack((np.asarray(taken, float).reshape(-1, 4), np.full((len(anchors), 4), np.nan)))
    placed, n = np.zeros((len(anchors), 2)), len(occupied) - len(anchors)
    for i, (anchor, size) in enumerate(zip(anchors, sizes, strict=True)):
        centre = anchor + ring * (1 + size / 4)
        box = np.hstack((centre - size / 2, centre + size / 2))
        outside = (box[:, :2] < 0).any(axis=1) | (box[:, 2:] > np.asarray(frame)).any(axis=1)
        best = int((cost + _overlap(box, occupied[: n + i]) * 4 + outside * 1000).argmin())
        placed[i], occupied[n + i] = centre[best], box[best]
    return placed


def _overlap(box: np.ndarray, occupied: np.ndarray) -> np.ndarray:
    """The area of each box that others cover, square millimetres."""
    width = np.minimum(box[:, None, 2], occupied[None, :, 2]) - np.maximum(box[:, None, 0], occupied[None, :, 0])
    height = np.minimum(box[:, None, 3], occupied[None, :, 3]) - np.maximum(box[:, None, 1], occupied[None, :, 1])
    return (np.clip(width, 0, None) * np.clip(height, 0, None)).sum(axis=1)
