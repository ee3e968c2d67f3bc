"""Who is behind the service lines of some pipes, in the order in which they are told: priority users first."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from gis.analysis import outage_area


def customers(
    store, network: str, *, pipes: Iterable[str] = (), connection: str | None = None, plates: Iterable[dict] = ()
) -> list[dict]:  # fmt: skip
    """One row per service line of these pipes, or of this one connection: connection, priority, customers, name, phone, building,
    community, address. Names and telephones only where the caller may see them. plates: door-plates whose communities are known."""
    known = store.catalog.layer("water_connection").columns_for(store.role)
    columns = ["connection_id", "building_id", "customers", "priority", *(c for c in ("customer_name", "phone") if c in known)]
    where = {"connection_id": [connection]} if connection else {"pipe_id": list(pipes)}
    frame = store.frame("water_connection", columns, where={"network": network} | where, geometry=False)
    buildings = store.frame("building", ["building_id", "address", "community"], geometry=False,
                            where={"building_id": frame["building_id"].dropna().unique().tolist()}).set_index("building_id")  # fmt: skip
    community = {p["building_id"]: p["community"] for p in plates if p["community"]}
    rows = []
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        house = buildings.loc[row["building_id"]] if row["building_id"] in buildings.index else None
        own = None if house is None or pd.isna(house["community"]) else house["community"]
        rows.append({
            "connection": row["connection_id"], "priority": row["priority"] or "none", "customers": int(row["customers"]),
            "name": row.get("customer_name"), "phone": row.get("phone"), "building": row["building_id"],
            "community": community.get(row["building_id"]) or own or outage_area.ELSEWHERE,
            "address": None if house is None or pd.isna(house["address"]) else house["address"],
        })  # fmt: skip
    return outage_area.told_first(rows)
