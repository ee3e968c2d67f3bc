"""What the sample city's sensors observed on three days, as their vendor would export it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from etl.city.terrain import stream
from gis.catalog.observed import OF_KIND, QUANTITIES

FILE = "observation.csv"
FIRST = np.datetime64("2025-06-02T00:00")
DAYS = 3
LARGEST = 150_000
"""Rows of the file: in a large city the values are an hour apart instead of a quarter."""

_LEVEL = {"pressure": 0.32, "flow": 180.0, "level": 0.8, "turbidity": 0.35, "gas": 0.2, "cover": 0.0, "rain": 0.0}
_SWING = {"pressure": -0.05, "flow": 90.0, "level": 0.3, "turbidity": 0.05, "gas": 0.05, "cover": 0.0, "rain": 0.0}
_NOISE = {"pressure": 0.004, "flow": 6.0, "level": 0.02, "turbidity": 0.03, "gas": 0.05, "cover": 0.0, "rain": 0.0}
_DIGITS = {"pressure": 3, "flow": 1, "level": 2, "turbidity": 2, "gas": 1, "cover": 0, "rain": 1}


def write(out: Path, sensors: pd.DataFrame, seed: int) -> str:
    """Writes the values of all sensors that are in service to `out`; the name of the file. The same seed gives the same values."""
    whole = sensors[sensors["kind"].isin(list(OF_KIND)) & sensors["sensor_id"].notna()].drop_duplicates("sensor_id")
    live = whole[(whole["state"] == "online") & (pd.to_datetime(whole["installed_on"], errors="coerce") < pd.Timestamp(FIRST))]
    quarters = DAYS * 96
    step = 1 if len(live) * quarters <= LARGEST else 4
    at = FIRST + np.arange(0, quarters, step) * np.timedelta64(15, "m")
    hours = (at - at.astype("datetime64[D]")) / np.timedelta64(1, "h")
    # people draw water at eight and at seven in the evening: flow rises, pressure falls
    draw = np.exp(-(((hours - 8) / 2) ** 2)) + 0.8 * np.exp(-(((hours - 19) / 2.5) ** 2))
    rain = np.where((at >= FIRST + np.timedelta64(38, "h")) & (at < FIRST + np.timedelta64(43, "h")), 1.0, 0.0)
    when = [text.replace("T", " ") for text in np.datetime_as_string(at, unit="m").tolist()]
    rng = stream(seed, "observations")
    tables: list[str] = []
    for sensor, kind in zip(live["sensor_id"], live["kind"], strict=True):
        name = OF_KIND[kind]
        own = 1 + 0.2 * (rng.random() - 0.5)
        value = own * (_LEVEL[name] + _SWING[name] * draw) + _NOISE[name] * rng.standard_normal(len(at))
        if name == "rain":
            value = rain * np.abs(1.6 + 0.6 * rng.standard_normal(len(at)))
        if name == "level":
            value = value + 0.5 * np.convolve(rain, np.full(6, 1 / 6), "same")
        if name == "gas":
            value = np.abs(value)
        quantity = QUANTITIES[name]
        rows = zip(when, np.round(value, _DIGITS[name]).tolist(), strict=True)
        tables += [f"{sensor},{quantity.title.zh},{moment},{one},{quantity.unit},正常\n" for moment, one in rows]
    (out / FILE).write_text("设备编号,监测项,监测时间,数值,单位,质量\n" + "".join(tables), encoding="utf-8")
    return FILE
