"""Many polylines in flat arrays: measures, points along, cuts and parallels without a Python loop per line.

A set of L polylines is `xy` (M, 2) metres and `of` (M,) the line of each vertex, ascending, vertices in order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely


@dataclass
class Polylines:
    """L polylines: `xy` (M, 2) metres, `of` (M,) line of each vertex (0..L-1, ascending), `n` = L."""

    xy: np.ndarray
    of: np.ndarray
    n: int

    @classmethod
    def of_geometry(cls, lines: np.ndarray) -> Polylines:
        """From an array of shapely LineStrings (2D)."""
        xy, of = shapely.get_coordinates(lines, return_index=True)
        return cls(xy, of, len(lines))

    @property
    def first(self) -> np.ndarray:
        """Row of each line's first vertex, (L,)."""
        return np.searchsorted(self.of, np.arange(self.n))

    @property
    def last(self) -> np.ndarray:
        """Row of each line's last vertex, (L,)."""
        return np.searchsorted(self.of, np.arange(self.n), side="right") - 1

    def geometry(self, z: np.ndarray | None = None) -> np.ndarray:
        """As shapely LineStrings; `z` (M,) metres makes them 3D."""
        xyz = self.xy if z is None else np.c_[self.xy, z]
        return shapely.linestrings(xyz, indices=self.of)

    def take(self, which: np.ndarray) -> Polylines:
        """The lines `which` (indices, in the wanted order)."""
        first, count = self.first[which], (self.last - self.first + 1)[which]
        rows = np.repeat(first - np.r_[0, np.cumsum(count)[:-1]], count) + np.arange(count.sum())
        return Polylines(self.xy[rows], np.repeat(np.arange(len(which)), count), len(which))

    def measures(self) -> np.ndarray:
        """Distance from its line's start of every vertex, (M,) metres."""
        step = np.r_[0.0, np.hypot(*np.diff(self.xy, axis=0).T)]
        step[self.first] = 0.0
        run = np.cumsum(step)
        return run - run[self.first][self.of]

    def lengths(self) -> np.ndarray:
        """Length of each line, (L,) metres."""
        return self.measures()[self.last]

    def at(self, line: np.ndarray, measure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (K, 2) at `measure` metres along `line`, and the unit direction of travel there (K, 2)."""
        run = self.measures()
        span = float(run.max()) + 1.0 if len(run) else 1.0
        keys = self.of * span + run
        row = np.searchsorted(keys, line * span + np.clip(measure, 0, None), side="right") - 1
        row = np.clip(row, self.first[line], self.last[line] - 1)
        a, b = self.xy[row], self.xy[row + 1]
        d = b - a
        size = np.maximum(np.hypot(*d.T), 1e-9)
        f = np.clip((measure - run[row]) / size, 0, 1)
        return a + d * f[:, None], d / size[:, None]

    def normals(self) -> np.ndarray:
        """The unit left normal at every vertex, averaged over its two steps, scaled to keep a parallel's distance (M, 2)."""
        d = np.diff(self.xy, axis=0)
        d = d / np.maximum(np.hypot(*d.T), 1e-9)[:, None]
        before, after = np.r_[d[:1], d], np.r_[d, d[-1:]]
        before[self.first], after[self.last] = after[self.first], before[self.last]
        mean = before + after
        mean /= np.maximum(np.hypot(*mean.T), 1e-9)[:, None]
        stretch = 1 / np.clip((mean * after).sum(1), 0.5, 1)
        return np.c_[-mean[:, 1], mean[:, 0]] * stretch[:, None]

    def cut(self, line: np.ndarray, measure: np.ndarray) -> tuple[Polylines, np.ndarray, np.ndarray, np.ndarray]:
        """Cut at `measure` along `line` (K cuts; none within 1 cm of another or of an end).

        Returns the pieces in order of (line, position), the line of each piece, and its start and end measure.
        """
        points, _ = self.at(line, measure)
        run = self.measures()
        of = np.r_[self.of, line, line]
        at = np.r_[run, measure, measure]
        xy = np.r_[self.xy, points, points]
        starts = np.r_[np.zeros(len(run), int), np.zeros(len(line), int), np.ones(len(line), int)]
        order = np.lexsort((starts, at, of))
        of, at, xy, starts = of[order], at[order], xy[order], starts[order].astype(bool)
        starts[np.r_[True, of[1:] != of[:-1]]] = True
        piece = np.cumsum(starts) - 1
        head = np.flatnonzero(starts)
        tail = np.r_[head[1:], len(of)] - 1
        same = np.r_[False, (piece[1:] == piece[:-1]) & (np.hypot(*(xy[1:] - xy[:-1]).T) < 1e-6)]
        same[tail] = False
        keep = ~same
        return Polylines(xy[keep], piece[keep], len(head)), of[head], at[head], at[tail]


def spaced(lengths: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut positions that divide each line evenly into parts of at most `step` metres: (line, measure)."""
    parts = np.maximum(1, np.ceil(lengths / step - 1e-9).astype(int))
    line = np.repeat(np.arange(len(lengths)), parts - 1)
    k = np.arange(len(line)) - np.repeat(np.cumsum(parts - 1) - (parts - 1), parts - 1) + 1
    return line, lengths[line] * k / parts[line]


def serial(group: np.ndarray) -> np.ndarray:
    """Position of each element within its group, 0-based, in the given order (groups in any order)."""
    order = np.argsort(group, kind="stable")
    g = group[order]
    start = np.r_[True, g[1:] != g[:-1]] if len(g) else np.zeros(0, bool)
    begin = np.maximum.accumulate(np.where(start, np.arange(len(g)), 0)) if len(g) else np.zeros(0, int)
    out = np.empty(len(g), int)
    out[order] = np.arange(len(g)) - begin
    return out
