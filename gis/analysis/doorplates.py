"""Issuing door-plate codes: which building and unit serial each address without a plate gets. Arrays in, arrays out.

A gate, and each building of a compound, has its own building serial within its grid cell, counted on from the highest one
ever given there: a serial is never given twice. Units and rooms take the serial of the building they belong to.
"""

from __future__ import annotations

import pandas as pd

from gis.analysis import doorplate_code as code

KIND_OF_LEVEL = {"gate": "gate_medium", "building": "building", "unit": "unit", "room": "room"}
"""The plate of each level of address; a gate's size (GB 17733-2008) is a matter of its street and may be changed later."""

NO_GRID, OTHER_COMMUNITY, FULL, TAKEN = "no_grid", "other_community", "full", "taken"
REASONS = {
    NO_GRID: ("不在任何网格内", "it lies in no grid cell"),
    OTHER_COMMUNITY: ("所在网格属于另一社区", "its grid cell belongs to another community"),
    FULL: ("网格或楼栋的序号已用完", "the serials of its grid cell or building are used up"),
    TAKEN: ("该门楼单元已有门牌（一址多牌）", "its gate, building or unit has a plate already"),
}


def issue(addresses: pd.DataFrame, existing: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The codes of addresses that have none.

    addresses: address_id, level (gate, building, unit, room), road, lane, number, compound, building_no, unit, community_code
    (may be null) and grid_code (15 digits, null where the point lies in no cell).
    existing: all codes ever given, with the address components of each plate: code, road, lane, number, compound, building_no.
    Returns (issued: address_id, code, kind, grid_code; skipped: address_id, reason), in the order of the addresses.
    """
    rows = addresses.reset_index(drop=True)
    reason = pd.Series(None, index=rows.index, dtype=object)
    reason[rows["grid_code"].isna()] = NO_GRID
    community = rows["community_code"]
    reason[reason.isna() & community.notna() & (rows["grid_code"].str[:12] != community)] = OTHER_COMMUNITY
    todo = rows[reason.isna()].copy()
    todo["building"] = _building_serials(todo, existing)
    todo["tail"] = _unit_serials(todo, existing)
    full = (todo["building"] >= 10**code.BUILDING) | (todo["tail"] >= 10**code.UNIT)
    reason[todo.index[full]] = FULL
    todo = todo[~full]
    areas = todo["grid_code"].to_numpy(dtype=object)
    todo["code"] = code.compose(
        [area[: code.AREA] for area in areas], [area[code.AREA :] for area in areas], todo["building"].to_numpy(), todo["tail"].to_numpy()
    )
    taken = todo["code"].isin(existing["code"]) | todo["code"].duplicated()
    reason[todo.index[taken]] = TAKEN
    todo = todo[~taken]
    todo["kind"] = todo["level"].map(KIND_OF_LEVEL)
    issued = todo[["address_id", "code", "kind", "grid_code"]]
    skipped = pd.DataFrame({"address_id": rows["address_id"], "reason": reason})[reason.notna()]
    return issued.reset_index(drop=True), skipped.reset_index(drop=True)


_BUILDING_KEY = ["road", "lane", "number", "building_no"]


def _keys(frame: pd.DataFrame, grid: pd.Series) -> pd.Series:
    """What tells buildings apart: grid cell, street number, and the building within the compound where it has a number."""
    parts = frame[_BUILDING_KEY].fillna("").astype(str)
    key = grid.astype(str)
    for name in _BUILDING_KEY:
        key = key + "|" + parts[name]
    return key


def _building_serials(rows: pd.DataFrame, existing: pd.DataFrame) -> pd.Series:
    """The building serial of each row: that of its building where it has one already, else the next of its grid cell."""
    grid, serial = existing["code"].str[:15], pd.to_numeric(existing["code"].str[15:20])
    last = serial.groupby(grid).max()
    known = serial.groupby(_keys(existing, grid)).min()
    key = _keys(rows, rows["grid_code"])
    found = key.map(known)
    fresh = key[found.isna()].drop_duplicates()
    cell = rows.loc[fresh.index, "grid_code"]
    number = fresh.groupby(cell).cumcount() + 1 + cell.map(last).fillna(0)
    given = pd.Series(number.to_numpy(), index=fresh.to_numpy())
    return found.fillna(key.map(given)).astype("int64")


def _unit_serials(rows: pd.DataFrame, existing: pd.DataFrame) -> pd.Series:
    """The six digits behind the building: 000000 for gate and building, UU0000 for a unit, UU and the next serial for a room."""
    unit = pd.to_numeric(rows["unit"].fillna("").astype(str).str.extract(r"(\d+)")[0]).fillna(0).astype("int64")
    head = unit * 10_000
    own = rows["level"].isin(["gate", "building"])
    is_room = rows["level"] == "room"
    base = rows["grid_code"] + rows["building"].astype(str).str.zfill(5) + unit.astype(str).str.zfill(2)
    last = pd.to_numeric(existing["code"].str[22:26]).groupby(existing["code"].str[:22]).max()
    rooms = rows[is_room]
    serial = rooms.groupby(base[is_room]).cumcount() + 1 + base[is_room].map(last).fillna(0).astype("int64")
    tail = head.where(~own, 0)
    tail[is_room] = (head[is_room] + serial).where((serial < 10_000) & (unit[is_room] < 100), 10**code.UNIT)
    return tail.astype("int64")
