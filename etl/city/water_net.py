"""The water network as arrays while it grows, and what its parts are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from etl.city.polylines import Polylines

OWNER = "青澜县自来水有限公司"


@dataclass
class Net:
    """Pipes and nodes while the network grows. Pipe k runs from node a[k] to b[k]."""

    xy: np.ndarray
    a: np.ndarray
    b: np.ndarray
    lines: Polylines
    edge: np.ndarray
    """Graph edge of a main, -1 elsewhere."""
    start: np.ndarray
    """Measure along its edge's line at which a main's piece begins, and ends."""
    end: np.ndarray
    diameter: np.ndarray
    year: np.ndarray
    kind: np.ndarray
    """0 main, 1 compound pipe, 2 supply from a source."""


def heights(ground, lines: Polylines, a, b, depth) -> np.ndarray:
    """z of the top along pipes: ground less the depth, which runs evenly from one end's to the other's; (M,) metres."""
    run, length = lines.measures(), np.maximum(lines.lengths(), 1e-9)
    f = run / length[lines.of]
    d = depth[a][lines.of] * (1 - f) + depth[b][lines.of] * f
    return np.round(np.round(ground.height(lines.xy), 3) - d, 3)


def material_of(diameter, year, rng) -> np.ndarray:
    """Materials as they were in fashion: grey iron until 1990, ductile iron and steel after, polyethylene for small pipes from 2002."""
    draw = rng.random(len(diameter))
    return np.select(
        [(year < 1990), (diameter >= 500) & (draw < 0.35), (diameter <= 200) & (year >= 2002), draw < 0.04], ["ZT", "G", "PE", "PVC"], "QM"
    ).astype(object)


def dates(year, rng) -> pd.Series:
    """A day in each year, as dates."""
    day = (np.asarray(year) - 1970).astype("datetime64[Y]").astype("datetime64[D]") + rng.integers(20, 340, len(year))
    return pd.Series(pd.to_datetime(day))
