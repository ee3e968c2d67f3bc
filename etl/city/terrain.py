"""The ground of the county: where things are in metres, how the town bends with its river, and how high the land lies."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import shapely
from pyproj import Transformer

EXTENT = (116.80, 31.82, 117.20, 32.18)
"""West, south, east, north of the county in degrees (EPSG:4490)."""
WORKING_CRS = "EPSG:4548"


def stream(seed: int, subject: str) -> np.random.Generator:
    """A random stream of its own for each subject, so that one subject's draws never move another's."""
    return np.random.default_rng([seed, zlib.crc32(subject.encode())])


def to_metres(lonlat: np.ndarray) -> np.ndarray:
    """EPSG:4490 (longitude, latitude) -> EPSG:4548 (easting, northing), (n, 2)."""
    e, n = Transformer.from_crs("EPSG:4490", WORKING_CRS, always_xy=True).transform(lonlat[:, 0], lonlat[:, 1])
    return np.c_[e, n]


def to_degrees(xy: np.ndarray) -> np.ndarray:
    """EPSG:4548 (easting, northing) -> EPSG:4490 (longitude, latitude), (n, 2)."""
    lon, lat = Transformer.from_crs(WORKING_CRS, "EPSG:4490", always_xy=True).transform(xy[:, 0], xy[:, 1])
    return np.c_[lon, lat]


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


@dataclass
class Ground:
    """The county's ground. Town coordinates (s, t) run along and across the valley, in metres from the centre; streets
    that are straight in them bend on the map. `radius` is the reach of the town in metres."""

    seed: int
    radius: float
    centre: np.ndarray = field(init=False)
    phase: np.ndarray = field(init=False)
    county: shapely.Polygon = field(init=False)

    def __post_init__(self):
        self.centre = to_metres(np.array([[117.0, 32.0]]))[0]
        self.phase = stream(self.seed, "terrain").uniform(0, 2 * np.pi, 16)
        w, s, e, n = EXTENT
        side = np.linspace(0, 1, 21)[:-1]
        ring = np.r_[
            np.c_[w + (e - w) * side, np.full(20, s)],
            np.c_[np.full(20, e), s + (n - s) * side],
            np.c_[e - (e - w) * side, np.full(20, n)],
            np.c_[np.full(20, w), n - (n - s) * side],
        ]
        inside = np.clip(ring, [w + 1e-7, s + 1e-7], [e - 1e-7, n - 1e-7])
        self.county = shapely.Polygon(np.round(to_metres(inside), 3))

    def _waves(self) -> list[tuple[float, float]]:
        long, short = max(3.3 * self.radius, 3200.0), max(1.25 * self.radius, 1300.0)
        return [(long, 0.040 * long), (short, 0.009 * short)]

    def place(self, st: np.ndarray) -> np.ndarray:
        """Town coordinates (n, 2) -> EPSG:4548 (n, 2)."""
        s, t = st[:, 0], st[:, 1]
        x, y = s.astype(float).copy(), t.astype(float).copy()
        for k, (wave, size) in enumerate(self._waves()):
            x += size * np.sin(2 * np.pi * t / wave + self.phase[2 * k])
            y += size * np.sin(2 * np.pi * s / wave + self.phase[2 * k + 1])
        return np.c_[x, y] + self.centre

    def town(self, xy: np.ndarray) -> np.ndarray:
        """EPSG:4548 (n, 2) -> town coordinates (n, 2), by fixed-point iteration (the bend is a contraction)."""
        want = xy - self.centre
        st = want.copy()
        for _ in range(40):
            rest = want - (self.place(st) - self.centre)
            st = st + rest
            if len(rest) == 0 or np.abs(rest).max() < 1e-5:
                break
        return st

    def river_line(self, s: np.ndarray) -> np.ndarray:
        """Across-valley position t of the river's middle at s, metres."""
        r, p = max(self.radius, 900.0), self.phase
        bends = 0.15 * r * np.sin(2 * np.pi * s / (2.3 * r) + p[5]) + 0.045 * r * np.sin(2 * np.pi * s / (0.83 * r) + p[6])
        far = _smooth((np.abs(s) - 1.6 * r) / (2 * r))
        wide = 900 * np.sin(2 * np.pi * s / 11000 + p[7]) + 350 * np.sin(2 * np.pi * s / 4300 + p[8])
        at_centre = 0.15 * r * np.sin(p[5]) + 0.045 * r * np.sin(p[6])
        return -0.30 * r + (bends - at_centre) + far * wide

    def river_width(self, s: np.ndarray) -> np.ndarray:
        """Width of the river at s, metres."""
        base = 36 + 30 * (self.radius / 1000) ** 0.75
        return base * (1 + 0.13 * np.sin(2 * np.pi * s / (0.9 * self.radius + 700) + self.phase[9]))

    def river_side(self, half: float, outward: float, reach: float, step: float = 30.0) -> np.ndarray:
        """A line along the river, `outward` metres beyond its bank (side +1 north, -1 south), (n, 2) EPSG:4548."""
        s = np.arange(-reach, reach + step, step)
        mid = self.place(np.c_[s, self.river_line(s)])
        d = np.gradient(mid, axis=0)
        normal = np.c_[-d[:, 1], d[:, 0]] / np.hypot(*d.T)[:, None]
        return mid + normal * (half * (self.river_width(s) / 2 + outward))[:, None]

    def height(self, xy: np.ndarray, st: np.ndarray | None = None) -> np.ndarray:
        """Ground elevation at (n, 2) EPSG:4548, metres (1985 national height). The valley falls east along the river and
        towards it, about 4 ‰ across and 0.7 ‰ along; hills rise beyond 6 km; the river bed lies 3.5 m below its banks.
        st: their town coordinates, where they are known already."""
        st = self.town(xy) if st is None else st
        s, t = st.T
        away = np.abs(t - self.river_line(s))
        bed = self.river_width(s) / 2
        land = np.maximum(away - bed, 0)
        z = 22.0 - 0.0007 * s + 14.0 * (1 - np.exp(-land / 3200)) + 0.6 * _smooth(land / 25)
        p, (x, y) = self.phase, (xy - self.centre).T
        knolls = np.sin(x / 900 + p[10]) * np.sin(y / 1100 + p[11]) + 0.5 * np.sin(x / 370 + y / 410 + p[12])
        hills = np.sin(x / 2900 + p[13]) * np.cos(y / 2500 + p[14]) + 0.6 * np.sin((x - y) / 2100 + p[15])
        z += 0.25 * knolls * _smooth(land / 300)
        z += 34 * np.maximum(hills + 0.9, 0) * _smooth((land - 5000) / 9000)
        return z - 3.5 * (1 - _smooth((away - bed + 6) / 12))
