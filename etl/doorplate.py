"""Door-plates of a register: one per address, planned until its code is issued and it hangs."""

from __future__ import annotations

import geopandas
import pandas as pd


def plate_ids(addresses: geopandas.GeoDataFrame) -> pd.Series:
    """The id of each address's plate."""
    return "P" + addresses["address_id"].str.removeprefix("A")


def plates(addresses: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Rows of the layer `door_plate` for rows of `address`: small plates, planned; code and token are issued later."""
    names = [c for c in ("road", "number") if c in addresses.columns]
    return geopandas.GeoDataFrame({
        "plate_id": plate_ids(addresses), "address_id": addresses["address_id"], "address": addresses["full_text"],
        **{name: addresses[name] for name in names}, "kind": "gate_small", "state": "planned",
    }, geometry=addresses.geometry, crs=addresses.crs)  # fmt: skip
