"""Classes of a figure for a map: few, with round limits, so that the eye finds what stands out."""

from __future__ import annotations

import numpy as np

ROUND = (1.0, 2.0, 5.0)


def breaks(values: np.ndarray, count: int) -> list[float]:
    """At most `count - 1` rising limits between classes, round numbers (1, 2, 5 × 10ⁿ). Figures such as customers cut off are small nearly
    everywhere and large in few places, so the classes are narrow at the top: the limits lie near the 50 %, 80 %, 95 %, 99 % … quantiles of
    the values above zero. A class ends below its upper limit; the first holds zero."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known) & (known > 0)]
    if not len(known) or count < 2:
        return []
    shares = np.array([0.5, 0.8, 0.95, 0.99, 0.999])[: count - 1] if count <= 6 else 1 - 0.5 ** np.arange(1, count)
    limits = sorted({_rounded(v) for v in np.quantile(known, shares)})
    return [limit for limit in limits if known.min() < limit <= known.max()]


def classed(values: np.ndarray, limits: list[float]) -> np.ndarray:
    """The class of each value, 0 the lowest; unknown values are in the lowest."""
    return np.digitize(np.nan_to_num(np.asarray(values, float)), limits)


def _rounded(value: float) -> float:
    """The largest of 1, 2, 5 × 10ⁿ that is not above it, so that the value itself is in the class above the limit."""
    power = 10.0 ** np.floor(np.log10(value) + 1e-12)
    return float(max((m * power for m in ROUND if m * power <= value * (1 + 1e-12)), default=power))
